"""Several processes that are one server: one address, one set of limits and statistics, and no loss when one dies."""

import asyncio
import os
import resource
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from archive_samples import CT_IMAGE_STORAGE, EXPLICIT_LE, data_set
from certificates import self_signed
from databases import throwaway_postgresql
from dimse.association import Association
from dimse.errors import DimseError
from dul.errors import AssociationEnded, AssociationRejected, NetworkError
from servers import PROGRAM, RunningServer, running_server
from services import associate, echo, verification_context
from services.archive.index.index import Index
from services.part10 import file_header
from services.send import InstanceFile, contexts_of, read_instance, send_file
from services.server.channel import Message
from services.server.children import WorkerProcess
from services.server.supervisor import _LOOK_AFTER, _SILENT, Supervisor

WORKERS = ("--workers", "2")


def an_instance(directory: Path, uid: str, *, series: str = "1.2.3.4", size: int = 1000) -> InstanceFile:
    """A file to send."""
    header = file_header(
        CT_IMAGE_STORAGE,
        uid,
        EXPLICIT_LE,
        implementation_class_uid="1.2.3",
        implementation_version_name="TEST",
        source_ae_title="TESTER",
    )
    directory.mkdir(exist_ok=True)
    file = directory / f"{uid}.dcm"
    file.write_bytes(header + data_set(uid, series=series, pixels=os.urandom(size)))
    return read_instance(file)


@asynccontextmanager
async def associated(port: int) -> AsyncIterator[Association]:
    contexts = [*contexts_of([(CT_IMAGE_STORAGE, EXPLICIT_LE)]), verification_context()]
    async with associate(
        "127.0.0.1", port, called_ae="SERVER", calling_ae="TESTER", contexts=contexts
    ) as association:
        yield association


def children(server: RunningServer) -> dict[str, list[int]]:
    """The processes that the supervisor has started, by their module."""
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    found: dict[str, list[int]] = {}
    for pid in map(int, listed):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"-m" in command:
                found.setdefault(command[command.index(b"-m") + 1].decode(), []).append(pid)
    return found


def workers_of(server: RunningServer) -> list[int]:
    return children(server).get("services.server.worker", [])


def wait_until(condition: object, what: str, seconds: float = 15.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def counts(server: RunningServer, database_url: str = "") -> dict[str, int]:
    index = Index.open(database_url, server.data_directory, durability="process", checkpoints=False)
    try:
        return index.counts()
    finally:
        index.close()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Two workers, for tests that leave them as they are."""
    with running_server(tmp_path_factory.mktemp("two"), *WORKERS) as server:
        yield server


@pytest.mark.parametrize(
    ("durability", "database"),
    [
        ("process", "sqlite"),
        ("power", "sqlite"),
        pytest.param("power", "postgresql", marks=pytest.mark.peer("postgres")),
    ],
)
def test_what_several_send_is_kept_found_and_counted_once(
    tmp_path: Path, durability: str, database: str
) -> None:
    with throwaway_postgresql() if database == "postgresql" else nullcontext("") as database_url:
        _store_with_eight(tmp_path, database_url, durability)


def _store_with_eight(tmp_path: Path, database_url: str, durability: str) -> None:
    files = [an_instance(tmp_path / "files", f"1.9.{n}", series=f"1.2.3.{n % 3}") for n in range(40)]

    async def send_some(port: int, some: list[InstanceFile]) -> list[int]:
        async with associated(port) as association:
            return [(await send_file(association, file)).status for file in some]

    async def send_all(port: int) -> list[int]:
        # Each file twice, by two associations at once: one is told that it is there already.
        batches = [files[n::4] for n in range(4)]
        said = await asyncio.gather(*(send_some(port, batch) for batch in [*batches, *batches]))
        return [status for one in said for status in one]

    options = [*WORKERS, "--durability", durability]
    if database_url:
        options += ["--database-url", database_url]
    with running_server(tmp_path, *options) as server:
        assert server.ask("status")["workers"] == 2
        assert asyncio.run(send_all(server.port)) == [0] * 80
        assert {path.stem for path in server.stored()} == {file.sop_instance_uid for file in files}
        assert server.left_in_incoming() == []
        stats = server.ask("stats")
        assert stats["operations"]["C-STORE"] == {"requests": 80, "success": 80, "failure": 0}
        assert stats["instances"]["stored"] == 40
        assert stats["instances"]["duplicate"] == 40
        assert stats["associations"]["accepted"] == 8
        assert stats["connections"] == {"total": 8, "active": 0, "rejected": 0, "handshakesFailed": 0}
        served = {line["worker"] for line in server.lines() if line["event"] == "association accepted"}
        assert served == {1, 2}
        assert counts(server, database_url)["instances"] == 40


def test_connections_go_to_the_worker_that_has_the_fewest(two: RunningServer) -> None:
    async def six(port: int) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(6):
                association = await stack.enter_async_context(associated(port))
                await echo(association)

    before = len(two.lines())
    asyncio.run(six(two.port))
    served = [line["worker"] for line in two.lines()[before:] if line["event"] == "association accepted"]
    assert sorted(served) == [1, 1, 1, 2, 2, 2]


def test_limits_hold_over_all_workers(tmp_path: Path) -> None:
    async def fill(port: int) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(associated(port))
            for _ in range(4):
                with pytest.raises(AssociationRejected) as refused:
                    await stack.enter_async_context(associated(port))
                assert (refused.value.reason.source, refused.value.reason.reason) == (3, 2)
        async with associated(port) as association:
            await echo(association)

    with running_server(tmp_path, *WORKERS, "--max-connections", "3") as server:
        asyncio.run(fill(server.port))
        assert server.ask("stats")["associations"]["rejected"] == 4


def test_a_limit_of_one_caller_does_too(tmp_path: Path) -> None:
    configuration = tmp_path / "server.toml"
    configuration.write_text("[limits]\nassociationsPerCaller = 2\n")

    async def fill(port: int) -> None:
        async with associated(port), associated(port):
            for _ in range(4):
                with pytest.raises(AssociationRejected):
                    async with associated(port):
                        pass

    with running_server(tmp_path, *WORKERS, "--config", str(configuration)) as server:
        asyncio.run(fill(server.port))


def test_a_worker_that_dies_ends_its_associations_and_is_started_anew(tmp_path: Path) -> None:
    files = [an_instance(tmp_path / "files", f"1.9.{n}") for n in range(3)]

    async def through(server: RunningServer) -> None:
        async with AsyncExitStack() as stack:
            associations = [await stack.enter_async_context(associated(server.port)) for _ in range(2)]
            for association, file in zip(associations, files, strict=False):
                assert (await send_file(association, file)).status == 0
            victim = workers_of(server)[0]
            os.kill(victim, signal.SIGKILL)
            await asyncio.to_thread(server.wait_for, "worker started", 20)
            assert victim not in workers_of(server)
            assert len(workers_of(server)) == 2
            lost = 0
            for association in associations:
                try:
                    await echo(association, timeout=5)
                except (AssociationEnded, NetworkError, TimeoutError):
                    lost += 1
            assert lost == 1, "the other worker's association goes on"
            async with AsyncExitStack() as again:
                for _ in range(4):
                    association = await again.enter_async_context(associated(server.port))
                    await echo(association)
            stack.pop_all()

    with running_server(tmp_path, *WORKERS, "--durability", "process") as server:
        asyncio.run(through(server))
        assert server.wait_for("worker ended; its associations are lost")["cause"] == "SIGKILL"
        assert {path.stem for path in server.stored()} == {"1.9.0", "1.9.1"}
        assert counts(server)["instances"] == 2
        wait_until(lambda: server.ask("stats")["connections"]["active"] == 0, "none is counted as open")
        assert server.ask("stats")["operations"]["C-ECHO"]["success"] >= 5


def test_workers_that_are_killed_while_they_store_lose_nothing_acknowledged(
    tmp_path: Path, database_url: str
) -> None:
    files = [an_instance(tmp_path / "files", f"1.9.{n}", size=20_000) for n in range(400)]
    acknowledged: set[str] = set()

    async def send_on(port: int, some: list[InstanceFile]) -> None:
        """Send everything, with as many associations as that takes."""
        left = list(some)
        for _ in range(100):
            try:
                async with associated(port) as association:
                    while left:
                        if (await send_file(association, left[-1])).status == 0:
                            acknowledged.add(left[-1].sop_instance_uid)
                        left.pop()
                    return
            except (NetworkError, DimseError, TimeoutError):
                await asyncio.sleep(0.1)
        raise AssertionError("never came through")

    async def kill_some(server: RunningServer) -> None:
        for round_ in range(3):
            await asyncio.sleep(0.3)
            for pid in workers_of(server)[round_ % 2 :][:1]:
                os.kill(pid, signal.SIGKILL)

    async def main(server: RunningServer) -> None:
        sending = [send_on(server.port, files[n::4]) for n in range(4)]
        await asyncio.gather(kill_some(server), *sending)

    options = [*WORKERS, "--durability", "process"]
    if database_url:
        options += ["--database-url", database_url]
    with running_server(tmp_path, *options) as server:
        asyncio.run(main(server))
        assert len(acknowledged) > 300
        assert acknowledged <= {path.stem for path in server.stored()}
        wait_until(lambda: len(workers_of(server)) == 2, "each was started anew")
        assert subprocess.run(
            [*PROGRAM, "stop", "--data-dir", str(server.data_directory)], check=True, timeout=60
        )
        assert server.process.wait(20) == 0
        assert server.left_in_incoming() == []
        assert counts(server, database_url)["instances"] == len(server.stored())


def test_the_process_that_writes_the_index_is_started_anew(tmp_path: Path) -> None:
    files = [an_instance(tmp_path / "files", f"1.9.{n}") for n in range(6)]

    async def through(server: RunningServer) -> None:
        async with associated(server.port) as association:
            assert (await send_file(association, files[0])).status == 0
            [writer] = children(server)["services.archive.index.writer_process"]
            os.kill(writer, signal.SIGKILL)
            await asyncio.to_thread(server.wait_for, "the process that writes the index was started", 20)
            said = []
            for _ in range(50):
                said.append((await send_file(association, files[1])).status)
                if said[-1] == 0:
                    break
                await asyncio.sleep(0.1)
            assert said[-1] == 0
            assert set(said) <= {0, 0xA700}, "what could not be recorded was refused, and may be sent again"

    for durability in ("process", "power"):
        (tmp_path / durability).mkdir()
        with running_server(tmp_path / durability, *WORKERS, "--durability", durability) as server:
            asyncio.run(through(server))
            assert counts(server)["instances"] == 2


@contextmanager
def few_descriptors(pid: int, most: int) -> Iterator[None]:
    """A process that can open nothing more."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


async def stored_in_the_end(server: RunningServer, file: InstanceFile) -> None:
    """It is refused for as long as it cannot be recorded, and then it is stored."""
    async with associated(server.port) as association:
        for _ in range(100):
            status = (await send_file(association, file)).status
            if status == 0:
                return
            assert status == 0xA700
            await asyncio.sleep(0.1)
    raise AssertionError("it is still refused")


@pytest.mark.parametrize("who", ["supervisor", "worker"])
def test_who_has_no_descriptors_for_a_while_goes_on_afterwards(tmp_path: Path, who: str) -> None:
    file = an_instance(tmp_path / "files", "1.9.1")
    with running_server(tmp_path, *WORKERS, "--durability", "process") as server:
        [writer] = children(server)["services.archive.index.writer_process"]
        with ExitStack() as limited:
            if who == "supervisor":
                limited.enter_context(few_descriptors(server.process.pid, 5))
            for worker in workers_of(server) if who == "worker" else ():
                limited.enter_context(few_descriptors(worker, 3))
            os.kill(writer, signal.SIGKILL)
            event = "the process that writes the index was "
            server.wait_for(event + ("not started" if who == "supervisor" else "started"), 20)
        asyncio.run(stored_in_the_end(server, file))


def test_a_connection_that_finds_no_descriptor_is_not_counted_for_ever(tmp_path: Path) -> None:
    with running_server(tmp_path, *WORKERS) as server:
        with ExitStack() as limited:
            for worker in workers_of(server):
                limited.enter_context(few_descriptors(worker, 3))
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.settimeout(10)
                assert connection.recv(1) == b""
        assert server.wait_for("connection refused: too few file descriptors (ulimit -n)")
        wait_until(lambda: server.ask("status")["openAssociations"] == 0, "it is not open any more")

        async def echoes() -> None:
            async with associated(server.port) as association:
                await echo(association)

        asyncio.run(echoes())


def test_a_worker_may_end_by_any_signal(tmp_path: Path) -> None:
    nameless = signal.SIGRTMIN + 6
    with running_server(tmp_path, *WORKERS) as server:
        os.kill(workers_of(server)[0], nameless)
        assert server.wait_for("worker ended; its associations are lost")["cause"] == f"signal {nameless}"
        server.wait_for("worker started", 20)
        assert len(workers_of(server)) == 2


def test_a_worker_that_hangs_gets_no_connections(tmp_path: Path) -> None:
    async def echoes(port: int) -> None:
        for _ in range(4):
            async with associated(port) as association:
                await echo(association, timeout=5)

    with running_server(tmp_path, *WORKERS) as server:
        stopped = workers_of(server)[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            time.sleep(_SILENT + 2 * _LOOK_AFTER)
            asyncio.run(echoes(server.port))
        finally:
            os.kill(stopped, signal.SIGCONT)


def test_a_worker_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.server.supervisor._LOOK_AFTER", 0.01)
    monkeypatch.setattr("services.server.supervisor._HANGS", 0.0)
    killed: list[int] = []

    class Hanging(WorkerProcess):
        ready = True

        def say(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
            if self.number == 2:
                self.answered()
            return self.number == 1

        def kill(self) -> None:
            killed.append(self.number)
            self.answered()

    async def main() -> None:
        supervisor = object.__new__(Supervisor)
        supervisor._workers = {number: Hanging(number) for number in (1, 2)}
        looking = asyncio.create_task(supervisor._look_after())
        while len(killed) < 2:
            await asyncio.sleep(0.01)
        looking.cancel()

    asyncio.run(asyncio.wait_for(main(), 10))
    assert set(killed) == {1}


def test_what_breaks_the_keeping_ends_the_server() -> None:
    async def breaks() -> None:
        raise ZeroDivisionError("a bug")

    async def main() -> None:
        supervisor, gave_up = object.__new__(Supervisor), asyncio.Event()
        supervisor._tasks = []
        supervisor._do(breaks(), gave_up.set)
        await asyncio.wait_for(gave_up.wait(), 10)

    asyncio.run(main())


def test_without_a_supervisor_nobody_serves_and_the_directory_is_free(tmp_path: Path) -> None:
    with running_server(tmp_path, *WORKERS) as server:
        left = [pid for pids in children(server).values() for pid in pids]
        assert len(left) == 3
        server.process.kill()
        server.process.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in left), "they end with it")
    with running_server(tmp_path) as server:
        assert server.ask("status")["running"]


def test_a_second_server_is_refused_by_name(two: RunningServer) -> None:
    second = subprocess.run(
        [*PROGRAM, "start", "--port", "0", "--data-dir", str(two.data_directory), *WORKERS],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert f"used by another server, process {two.process.pid}" in second.stderr


def test_stopping_gives_associations_their_grace_and_ends_every_process(tmp_path: Path) -> None:
    configuration = tmp_path / "server.toml"
    configuration.write_text("[timers]\ngrace = 1.0\n")

    async def hold(server: RunningServer) -> None:
        with suppress(NetworkError):
            async with associated(server.port), associated(server.port) as association:
                os.kill(server.process.pid, signal.SIGTERM)
                await asyncio.to_thread(server.wait_for, "stopping", 10)
                await echo(association)
                await asyncio.to_thread(server.process.wait, 20)

    with running_server(tmp_path, *WORKERS, "--config", str(configuration)) as server:
        left = [pid for pids in children(server).values() for pid in pids]
        asyncio.run(hold(server))
        assert server.process.returncode == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in left)
        assert "association aborted" in server.events()
        assert server.events()[-1] == "stopped"


def test_a_second_request_to_stop_ends_at_once(tmp_path: Path) -> None:
    async def hold(server: RunningServer) -> float:
        with suppress(NetworkError):
            async with associated(server.port):
                os.kill(server.process.pid, signal.SIGTERM)
                await asyncio.to_thread(server.wait_for, "stopping", 10)
                begun = time.monotonic()
                os.kill(server.process.pid, signal.SIGTERM)
                await asyncio.to_thread(server.process.wait, 30)
        return time.monotonic() - begun

    configuration = tmp_path / "server.toml"
    configuration.write_text("[timers]\ngrace = 60.0\n")
    with running_server(tmp_path, *WORKERS, "--config", str(configuration)) as server:
        assert asyncio.run(hold(server)) < 30
        assert server.process.returncode == 0


def test_a_second_request_to_stop_ends_who_hangs(tmp_path: Path) -> None:
    with running_server(tmp_path, *WORKERS) as server:
        every = [pid for pids in children(server).values() for pid in pids]
        for pid in every:
            os.kill(pid, signal.SIGSTOP)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopping")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in every)


def test_a_control_socket_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "control.sock").mkdir()
    for workers in ("1", "2"):
        done = subprocess.run(
            [*PROGRAM, "start", "--port", "0", "--data-dir", str(tmp_path), "--workers", workers],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert "cannot make control.sock in" in done.stderr
        assert "Traceback" not in done.stderr


def test_tls_connections_are_handed_on_too(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    options = ["--tls", "--tls-certificate", str(certificate), "--tls-private-key", str(key)]
    trusting = ssl.create_default_context(cafile=certificate)

    async def four(port: int) -> None:
        for _ in range(4):
            async with associate(
                "localhost",
                port,
                called_ae="SERVER",
                calling_ae="TESTER",
                contexts=[verification_context()],
                tls=trusting,
            ) as association:
                await echo(association)

    with running_server(tmp_path, *WORKERS, *options) as server:
        asyncio.run(four(server.port))
        with pytest.raises((NetworkError, TimeoutError)):
            asyncio.run(_plain(server.port))
        server.wait_for("TLS handshake failed")
        wait_until(lambda: server.ask("stats")["connections"]["handshakesFailed"] == 1, "it is counted")


async def _plain(port: int) -> None:
    async with associated(port):
        pass


def test_each_worker_records_in_a_directory_of_its_own(tmp_path: Path) -> None:
    async def two(port: int) -> None:
        async with associated(port) as one, associated(port) as other:
            await echo(one)
            await echo(other)

    traces = tmp_path / "traces"
    with running_server(tmp_path, *WORKERS, "--trace", str(traces)) as server:
        asyncio.run(two(server.port))
        subprocess.run([*PROGRAM, "stop", "--data-dir", str(server.data_directory)], check=True, timeout=30)
        server.process.wait(20)
    assert sorted(path.parent.name for path in traces.glob("*/*.pcap")) == ["worker-1", "worker-2"]


def test_what_cannot_be_honoured_is_said_once(tmp_path: Path) -> None:
    files = ["--tls-certificate", "nowhere.crt", "--tls-private-key", "nowhere.key"]
    refused = subprocess.run(
        [*PROGRAM, "start", "--port", "0", "--data-dir", str(tmp_path / "d"), *WORKERS, "--tls", *files],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert refused.returncode != 0
    assert refused.stderr.count("nowhere.crt") == 1


def test_the_log_names_the_worker(two: RunningServer) -> None:
    asyncio.run(_plain(two.port))
    assert two.wait_for("association released")["worker"] in (1, 2)
    assert "worker" not in two.lines()[0]
