"""The control socket: how `dicom-server status`, `stats` and `stop` reach a running server.

A socket file in the data directory, for its owner alone. One line of JSON asks, one line of JSON answers, and
the connection ends: `{"command": "status"}` is answered by `{"ok": true, "result": {...}}` or
`{"ok": false, "error": "..."}`.
"""

import asyncio
import json
import os
import select
import socket
import stat
import struct
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from services.printable import printable, shorten
from services.server.log import get_logger

SOCKET_NAME = "control.sock"

LONGEST_REQUEST = 4096
LONGEST_ANSWER = 1 << 20
DEADLINE = 5.0
"""Seconds for one request and its answer, on either side."""

MOST_CLIENTS = 16

_CREDENTIALS = struct.Struct("3i")  # of SO_PEERCRED: process, user, group
_PAUSE = 1.0  # seconds until connections are taken again

Handler: TypeAlias = Callable[[], dict[str, Any] | Awaitable[dict[str, Any]]]
"""Does a command and returns what is answered, ready for JSON. Runs on the server's loop: be quick, or await."""


class ControlError(Exception):
    """The control socket did not do what was asked; the text is for a person."""


class ServerNotRunning(ControlError):
    """Nobody answers on the data directory."""

    def __init__(self, data_directory: Path) -> None:
        super().__init__(
            f"no server is running on the data directory {_name(data_directory)}; "
            f"start one with: dicom-server start --data-dir {_name(data_directory)}, "
            "or name its --data-dir or --config"
        )


class ControlServer:
    """The server's half.

    Args:
        data_directory: an existing directory, of which the caller holds the lock.
        handlers: command to what does it.
    """

    def __init__(self, data_directory: Path, handlers: Mapping[str, Handler]) -> None:
        self._data_directory = data_directory
        self._handlers = handlers
        self._listener: socket.socket | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._socket_file = ExitStack()  # what must be undone with the socket; holds the directory open

    async def start(self) -> None:
        """Bind the socket and answer from now on.

        Raises:
            ControlError: another server answers there, or the socket cannot be made.
        """
        if is_running(self._data_directory):
            raise ControlError(f"a server already runs on the data directory {_name(self._data_directory)}")
        try:
            path = self._socket_file.enter_context(_socket_path(self._data_directory))
            self._listener = _bind(path)
        except OSError as error:
            self._socket_file.close()
            raise ControlError(
                f"cannot make {SOCKET_NAME} in {_name(self._data_directory)}: {error.strerror or error}; "
                "no server is running there, so remove what has that name, or see who may write there"
            ) from None
        self._socket_file.callback(_unlink, path)
        self._listen()

    async def close(self) -> None:
        """Remove the socket, then let the answers under way go out, within the deadline of each."""
        if self._listener is None:
            return
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._listener = None
        self._socket_file.close()
        if self._clients:
            await asyncio.wait(self._clients)

    def _listen(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # no file descriptors left: the connection stays ready, so look again later
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listener)
            loop.call_later(_PAUSE, self._listen)
            return
        if len(self._clients) >= MOST_CLIENTS:
            client.close()
            return
        client.setblocking(False)
        task = asyncio.create_task(self._serve(client))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        # A client that is slow, or gone, is no concern of ours.
        with client, suppress(TimeoutError, OSError):
            async with asyncio.timeout(DEADLINE):
                answer = await self._do(await _read_line(client))
                await loop.sock_sendall(client, json.dumps(answer).encode() + b"\n")
                client.shutdown(socket.SHUT_WR)
                while await loop.sock_recv(client, LONGEST_REQUEST):
                    pass  # until the client closes, which it does when it has the answer

    async def _do(self, line: bytes) -> dict[str, Any]:
        if len(line) > LONGEST_REQUEST:
            return _refusal(f"a request is one line of at most {LONGEST_REQUEST} bytes")
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _refusal('a request is one line of JSON, such as {"command": "status"}')
        command = request.get("command") if isinstance(request, dict) else None
        handler = self._handlers.get(command) if isinstance(command, str) else None
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            return _refusal(f"unknown command {shorten(repr(command))}; known are {known}")
        try:
            result = handler()
            return {"ok": True, "result": result if isinstance(result, dict) else await result}
        except Exception:
            get_logger().exception("control command failed", command=command)
            return _refusal(f"the server failed to do {command}; its log says why")


async def _read_line(client: socket.socket) -> bytes:
    """What the client sent, up to a line break, its end, or more than is taken."""
    loop = asyncio.get_running_loop()
    line = bytearray()
    while b"\n" not in line and len(line) <= LONGEST_REQUEST:
        chunk = await loop.sock_recv(client, LONGEST_REQUEST)
        if not chunk:
            break
        line += chunk
    return bytes(line)


def request(data_directory: Path, command: str, timeout: float = DEADLINE) -> dict[str, Any]:
    """The client's half: have the server on a data directory do a command.

    Args:
        data_directory: as given to `dicom-server start`.
        command: such as `status`, `stats` or `stop`.
        timeout: seconds for the whole exchange.

    Returns:
        What the command's handler returned.

    Raises:
        ServerNotRunning: nobody answers there.
        ControlError: the server refused, answered nonsense or not in time, or belongs to another user.
    """
    where = _name(data_directory)
    try:
        line = _exchange(data_directory, json.dumps({"command": command}).encode() + b"\n", timeout)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise ServerNotRunning(data_directory) from None
    except PermissionError:
        raise ControlError(f"the server on {where} belongs to another user; ask as that user") from None
    except TimeoutError:
        raise ControlError(f"the server on {where} did not answer within {timeout:g} s") from None
    except OSError as error:
        raise ControlError(f"cannot reach the server on {where}: {error.strerror or error}") from None
    try:
        answer = json.loads(line)
        if answer["ok"]:
            result: dict[str, Any] = answer["result"]
            return result
        text = str(answer["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ControlError(f"the server on {where} gave no proper answer to {command}") from None
    raise ControlError(printable(text))


def is_running(data_directory: Path) -> bool:
    """True where something takes connections on the control socket; a stale socket file does not count."""
    try:
        with _connect(data_directory, DEADLINE):
            return True
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        return False
    except OSError:
        return True  # somebody is there, if busy or not ours to ask


def stop(data_directory: Path, timeout: float) -> bool:
    """Tell the server to stop and wait until its process has ended, so that another may take its place.

    Args:
        data_directory: as given to `dicom-server start`.
        timeout: seconds to wait after it was told.

    Returns:
        False when it still ran after `timeout`.

    Raises:
        ControlError: as `request`.
    """
    process = _process_of_server(data_directory)
    try:
        request(data_directory, "stop")
        end = time.monotonic() + timeout
        while is_running(data_directory):
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        return process is None or _has_ended(process, max(end - time.monotonic(), 0))
    finally:
        if process is not None:
            os.close(process)


def _process_of_server(data_directory: Path) -> int | None:
    """A descriptor of the process behind the socket; None where it is this one or cannot be told."""
    try:
        with _connect(data_directory, DEADLINE) as client:
            credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, _, _ = _CREDENTIALS.unpack(credentials)
            return os.pidfd_open(pid) if pid not in (0, os.getpid()) else None
    except (OSError, AttributeError):  # not Linux; or no server, which the request will say better
        return None


def _has_ended(process: int, timeout: float) -> bool:
    """True once the process of a descriptor has ended, whether or not its parent has noticed."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def _exchange(data_directory: Path, line: bytes, timeout: float) -> bytes:
    end = time.monotonic() + timeout
    received = bytearray()
    with _connect(data_directory, timeout) as client:
        client.sendall(line)
        while not received.endswith(b"\n") and len(received) <= LONGEST_ANSWER:
            client.settimeout(max(end - time.monotonic(), 0.001))
            chunk = client.recv(65536)
            if not chunk:
                break
            received += chunk
    return bytes(received)


def _connect(data_directory: Path, timeout: float) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.settimeout(timeout)
        with _socket_path(data_directory) as path:
            client.connect(path)
    except BaseException:
        client.close()
        raise
    return client


def _bind(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                os.unlink(path)  # left behind by a server that was killed
        listener.bind(path)
        # Nobody can connect before `listen`, so the mode is right from the first connection on.
        os.chmod(path, 0o600)
        listener.listen(MOST_CLIENTS)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _unlink(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


@contextmanager
def _socket_path(data_directory: Path) -> Iterator[str]:
    """A short name of the socket file: AF_UNIX takes 107 bytes, and a data directory may be longer."""
    descriptor = os.open(data_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        by_descriptor = f"/proc/self/fd/{descriptor}"
        directory = by_descriptor if os.path.isdir(by_descriptor) else str(data_directory)
        yield f"{directory}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


def _refusal(text: str) -> dict[str, Any]:
    return {"ok": False, "error": text}


def _name(data_directory: Path) -> str:
    return printable(str(data_directory))
