import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from services.server import control
from services.server.control import (
    ControlError,
    ControlServer,
    ServerNotRunning,
    is_running,
    request,
    stop,
)


def serve(
    directory: Path,
    ask: Callable[[], Any],
    handlers: dict[str, Callable[[], dict[str, Any]]] | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Any:
    """What `ask`, run in a thread as a client would be, got from a server on `directory`."""

    async def main() -> Any:
        server = ControlServer(directory, handlers or {"status": lambda: {"aeTitle": "MY_PACS"}})
        await server.start()
        try:
            return await asyncio.to_thread(ask)
        finally:
            await server.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main())


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await main()

    asyncio.run(body())


def raw_exchange(directory: Path, sent: bytes, end: bool = False) -> bytes:
    with control._connect(directory, 5.0) as client:
        try:
            client.sendall(sent)
            if end:
                client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b""))
        except (BrokenPipeError, ConnectionResetError):
            return b""


@contextmanager
def impostor(directory: Path, answer: bytes | None) -> Iterator[None]:
    """Something else that listens where the server should, and answers every request with `answer`."""
    path = directory / control.SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        finished = threading.Event()

        def work() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                if answer is None:
                    finished.wait(10)
                else:
                    with suppress(OSError):
                        client.sendall(answer)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()
            path.unlink()


# -- a server that answers


def test_a_command_is_answered_by_its_handler(tmp_path: Path) -> None:
    assert serve(tmp_path, lambda: request(tmp_path, "status")) == {"aeTitle": "MY_PACS"}


def test_the_fast_loop_answers_as_well(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")
    answers = serve(
        tmp_path,
        lambda: [request(tmp_path, "status"), raw_exchange(tmp_path, b"x" * 100_000), is_running(tmp_path)],
        loop_factory=uvloop.new_event_loop,
    )
    assert answers[0] == {"aeTitle": "MY_PACS"}
    assert b"at most 4096 bytes" in answers[1]
    assert answers[2] is True


def test_a_large_answer_arrives_whole(tmp_path: Path) -> None:
    large = {"text": "x" * 900_000}
    assert serve(tmp_path, lambda: request(tmp_path, "stats"), {"stats": lambda: large}) == large


def test_one_request_after_another(tmp_path: Path) -> None:
    count = iter(range(100))
    answers = serve(
        tmp_path,
        lambda: [request(tmp_path, "next")["n"] for _ in range(50)],
        {"next": lambda: {"n": next(count)}},
    )
    assert answers == list(range(50))


def test_a_data_directory_may_have_a_long_name(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120) / ("e" * 120)
    directory.mkdir(parents=True)
    assert serve(directory, lambda: request(directory, "status")) == {"aeTitle": "MY_PACS"}
    assert list(directory.iterdir()) == []


def test_the_socket_is_for_its_owner_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / control.SOCKET_NAME
    previous = os.umask(0)
    try:
        mode = serve(tmp_path, lambda: path.stat().st_mode)
    finally:
        os.umask(previous)
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert not path.exists()


def test_the_answer_to_stop_goes_out_before_the_server_does(tmp_path: Path) -> None:
    async def main() -> None:
        stopping = asyncio.Event()

        def stop() -> dict[str, Any]:
            stopping.set()
            return {"stopping": True}

        server = ControlServer(tmp_path, {"stop": stop})
        await server.start()
        answer = asyncio.create_task(asyncio.to_thread(request, tmp_path, "stop"))
        await stopping.wait()
        await server.close()
        assert await answer == {"stopping": True}
        assert not is_running(tmp_path)

    run(main)


def test_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    serve(tmp_path, lambda: request(tmp_path, "status"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_closing_twice_or_before_the_start_is_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        server = ControlServer(tmp_path, {})
        await server.close()
        await server.start()
        await server.close()
        await server.close()

    run(main)


# -- requests that are none


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"\n", "one line of JSON"),
        (b"GET / HTTP/1.1\r\n", "one line of JSON"),
        (b"\xff\xfe\x00\n", "one line of JSON"),
        (b"[" * 4000 + b"\n", "one line of JSON"),
        (b"{}\n", "unknown command None; known are status"),
        (b"[]\n", "unknown command None"),
        (b'{"command": ["status"]}\n', "unknown command ['status']"),
        (b'{"command": "__class__"}\n', "unknown command '__class__'"),
        (b"x" * 5000 + b"\n", "at most 4096 bytes"),
    ],
)
def test_garbage_is_refused_with_a_reason(tmp_path: Path, sent: bytes, text: str) -> None:
    answer = json.loads(serve(tmp_path, lambda: raw_exchange(tmp_path, sent)))
    assert answer["ok"] is False
    assert text in answer["error"]


def test_a_request_without_end_is_cut_off(tmp_path: Path) -> None:
    sent = b"x" * (8 << 20)
    assert len(serve(tmp_path, lambda: raw_exchange(tmp_path, sent))) < 200


def test_a_client_that_leaves_in_the_middle_disturbs_nobody(tmp_path: Path) -> None:
    def ask() -> dict[str, Any]:
        raw_exchange(tmp_path, b'{"comm', end=True)
        with control._connect(tmp_path, 5.0):
            pass
        return request(tmp_path, "status")

    assert serve(tmp_path, ask) == {"aeTitle": "MY_PACS"}


def test_a_client_that_says_nothing_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "DEADLINE", 0.05)
    assert serve(tmp_path, lambda: raw_exchange(tmp_path, b"")) == b""


def test_clients_above_the_limit_are_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MOST_CLIENTS", 1)

    def ask() -> bytes:
        with control._connect(tmp_path, 5.0) as first:
            first.sendall(b"{")
            return raw_exchange(tmp_path, b'{"command": "status"}\n')

    assert serve(tmp_path, ask) == b""


def test_a_server_without_descriptors_answers_when_it_has_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listener:
        """The listening socket, which fails once as it does when the process may open no more files."""

        def __init__(self, listener: socket.socket) -> None:
            self._listener = listener
            self._failed = False

        def accept(self) -> Any:
            if self._failed:
                return self._listener.accept()
            self._failed = True
            raise OSError(24, "Too many open files")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._listener, name)

    bind = control._bind
    monkeypatch.setattr(control, "_bind", lambda path: Listener(bind(path)))
    monkeypatch.setattr(control, "_PAUSE", 0.01)
    assert serve(tmp_path, lambda: request(tmp_path, "status")) == {"aeTitle": "MY_PACS"}


def test_an_unknown_command_is_told_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=r"unknown command 'halt'; known are status"):
        serve(tmp_path, lambda: request(tmp_path, "halt"))


def test_a_handler_that_fails_is_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> dict[str, Any]:
        raise RuntimeError("the reason, for the log")

    with pytest.raises(ControlError, match="the server failed to do status; its log says why"):
        serve(tmp_path, lambda: request(tmp_path, "status"), {"status": fail})
    assert "the reason, for the log" in capsys.readouterr().out


# -- no server, or no proper one


def test_nobody_there_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(ServerNotRunning) as caught:
        request(tmp_path, "status")
    assert str(caught.value) == (
        f"no server is running on the data directory {tmp_path}; "
        f"start one with: dicom-server start --data-dir {tmp_path}, or name its --data-dir or --config"
    )


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(ServerNotRunning):
            request(directory, "status")
        assert not is_running(directory)


def leave_a_stale_socket(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(directory / control.SOCKET_NAME))


def test_a_socket_left_behind_is_no_server(tmp_path: Path) -> None:
    leave_a_stale_socket(tmp_path)
    assert not is_running(tmp_path)
    with pytest.raises(ServerNotRunning):
        request(tmp_path, "status")


def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    leave_a_stale_socket(tmp_path)
    assert serve(tmp_path, lambda: request(tmp_path, "status")) == {"aeTitle": "MY_PACS"}


def test_a_second_server_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        first = ControlServer(tmp_path, {"status": lambda: {"first": True}})
        await first.start()
        with pytest.raises(ControlError, match="already runs"):
            await ControlServer(tmp_path, {}).start()
        assert await asyncio.to_thread(request, tmp_path, "status") == {"first": True}
        await first.close()

    run(main)


def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / control.SOCKET_NAME).write_text("precious")

    async def main() -> None:
        with pytest.raises(ControlError, match=r"cannot make control.sock in .*in use"):
            await ControlServer(tmp_path, {}).start()

    run(main)
    assert (tmp_path / control.SOCKET_NAME).read_text() == "precious"


@pytest.mark.parametrize(
    "answer",
    [b"", b"\n", b"HTTP/1.1 400\n", b"[]\n", b"{}\n", b'{"ok": true}\n', b"x" * (2 << 20)],
)
def test_an_answer_that_is_none_is_said(tmp_path: Path, answer: bytes) -> None:
    with impostor(tmp_path, answer), pytest.raises(ControlError, match="gave no proper answer to status"):
        request(tmp_path, "status")


def test_an_error_cannot_drive_the_terminal(tmp_path: Path) -> None:
    answer = json.dumps({"ok": False, "error": "\x1b[2Jhello"}).encode() + b"\n"
    with impostor(tmp_path, answer), pytest.raises(ControlError, match=r"^\\x1b\[2Jhello"):
        request(tmp_path, "status")


def test_a_server_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    with impostor(tmp_path, None), pytest.raises(ControlError, match=r"did not answer within 0\.05 s"):
        request(tmp_path, "status", timeout=0.05)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError(13, "Permission denied"), "belongs to another user; ask as that user"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "cannot reach the server on"),
    ],
)
def test_a_server_that_cannot_be_asked_is_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, text: str
) -> None:
    class Refusing(socket.socket):
        def connect(self, address: Any) -> None:
            raise error

    monkeypatch.setattr(control.socket, "socket", Refusing)
    with pytest.raises(ControlError, match=text):
        request(tmp_path, "status")
    assert is_running(tmp_path)


# -- stop

STOPPING_SERVER = """
import asyncio, sys, time
from pathlib import Path
from services.server.control import ControlServer

async def main() -> None:
    stopping = asyncio.Event()
    server = ControlServer(Path(sys.argv[1]), {"stop": lambda: stopping.set() or {}})
    await server.start()
    print("started", flush=True)
    await stopping.wait()
    await server.close()
    time.sleep(float(sys.argv[2]))  # what a server has left to do when nobody can ask it any more

asyncio.run(main())
"""


@contextmanager
def stopping_server(directory: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", STOPPING_SERVER, str(directory), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            yield process
        finally:
            process.kill()


def test_stop_waits_until_the_process_has_ended(tmp_path: Path) -> None:
    with stopping_server(tmp_path, 0.3) as process:
        assert stop(tmp_path, timeout=30)
        assert process.poll() == 0


def test_a_process_that_does_not_end_is_told_of(tmp_path: Path) -> None:
    with stopping_server(tmp_path, 60) as process:
        assert stop(tmp_path, timeout=0.3) is False
        assert process.poll() is None


def test_a_server_that_goes_on_answering_is_told_of(tmp_path: Path) -> None:
    assert serve(tmp_path, lambda: stop(tmp_path, timeout=0.06), {"stop": dict}) is False


def test_where_the_system_names_no_process_the_socket_must_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(control.os, "pidfd_open")
    with stopping_server(tmp_path, 0):
        assert stop(tmp_path, timeout=30)
    with pytest.raises(ServerNotRunning):
        stop(tmp_path, timeout=30)
