"""The supervisor: one process that listens, and several that serve (`--workers`).

It holds the lock on the data directory, repairs and migrates before anybody is served, accepts connections and hands
each to the worker that has the fewest, answers on the control socket for all of them, and starts anew what dies. A
listening socket that the workers shared would be simpler; but then a worker gets what it happens to wake up for, and
a modality keeps its association for hours. Of four associations, one of two workers would have all one time in eight.

The peers of a worker that dies see their connections closed (Evt17 of PS3.8 Table 9-10, AA-4). What it had stored and
not acknowledged is cleared up before another one takes its place.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

from services.archive.committer import Record
from services.archive.data_directory import DataDirectory
from services.archive.errors import ArchiveError
from services.archive.index.index import Index
from services.archive.opening import bring_together
from services.archive.recovery import recover_process
from services.server.channel import Message
from services.server.children import IndexWriterProcess, WorkerProcess
from services.server.config import Config
from services.server.control import ControlServer
from services.server.file_limit import raise_file_limit
from services.server.listening import Accepting, bind
from services.server.log import get_logger
from services.server.opening import tell_repair
from services.server.shared_memory import SharedMemory, make_file
from services.server.statistics import Statistics
from services.server.telling import announce, status
from services.server.tls import ssl_context

_COUNT_TIMEOUT = 1.0
_ENDING = 10.0  # seconds beyond the grace period, until a process is killed
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds before a process that died is started again
_LONG_ENOUGH = 10.0  # seconds; one that lived that long may be started again at once
_STARTING_AT_A_TIME = 4  # each has seconds of imports to do, and START_TIMEOUT to be ready
_LOOK_AFTER = 2.0  # seconds between two questions to each worker
_SILENT, _HANGS = 6.0, 90.0
"""Seconds without an answer: after the first a worker gets no connection if another one can have it; after the second
it is killed. No disk or database that works keeps its event loop that long: a lock is waited for 30 s at most."""

_AT_ONCE = 5.0  # seconds for what has to end at once


class Supervisor:
    """Runs the processes of one server.

    Args:
        config: of the server.
        directory: opened and repaired.
        writer: the process that writes the index for all workers; None where each does that for itself.
        record: records what a worker that died had left unfinished; None where there is no index.
    """

    def __init__(
        self,
        config: Config,
        directory: DataDirectory,
        writer: IndexWriterProcess | None,
        record: Record | None,
    ) -> None:
        self.config = config
        self.statistics = Statistics()  # of workers that have ended, and when the server started
        self._directory = directory
        self._memory_fd = make_file()
        self._shared = SharedMemory(config, self._memory_fd, owner=0)
        self._workers = {number: WorkerProcess(number) for number in range(1, config.workers + 1)}
        self._writer = writer
        self._record = record
        self._tasks: list[asyncio.Task[None]] = []
        self._starting = asyncio.Semaphore(_STARTING_AT_A_TIME)

    async def start(self, gave_up: Callable[[], object]) -> None:
        """Start every process; returns when all of them serve.

        Args:
            gave_up: told that what dies is not started anew any more, because of a defect that is logged.

        Raises:
            ArchiveError: one could not be started; its own lines of the log say why.
        """
        if self._writer is not None:
            await self._writer.start()
            self._do(self._keep_writer(self._writer), gave_up)
        await asyncio.gather(*(self._start(worker) for worker in self._workers.values()))
        for worker in self._workers.values():
            self._do(self._keep(worker), gave_up)
        self._do(self._look_after(), gave_up)

    def _do(self, work: Coroutine[Any, Any, None], gave_up: Callable[[], object]) -> None:
        """Do something until `stop`."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                get_logger().critical("stopping: a defect of this server", exc_info=task.exception())
                gave_up()

        task = asyncio.create_task(work)
        task.add_done_callback(ended)
        self._tasks.append(task)

    def serve(self, sock: socket.socket) -> bool:
        """Hand a connection to the worker that has the fewest; False where nobody takes it now."""
        for worker in sorted(self._workers.values(), key=self._burden_of):
            if worker.ready and worker.say(Message.CONNECTION, [sock.fileno()]):
                worker.given += 1
                return True
        return False

    async def count(self) -> Statistics:
        """The statistics of all workers, as they stand now; of one that does not answer, as it wrote them last."""
        counting = [asyncio.ensure_future(worker.count()) for worker in self._workers.values()]
        await asyncio.wait(counting, timeout=_COUNT_TIMEOUT)
        for one in counting:
            one.cancel()
        return self._total()

    def open_associations(self) -> int:
        """Connections that are open in all workers."""
        return sum(self._connections_of(worker) for worker in self._workers.values())

    async def stop(self, at_once: asyncio.Event) -> None:
        """End every process: workers within the grace period, or when `at_once` is set; then the one that writes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self._workers.values():
            worker.say(Message.FINISH)
        ending = [asyncio.ensure_future(worker.ended()) for worker in self._workers.values()]
        hurry = asyncio.ensure_future(self._hurry(at_once))
        _, late = await asyncio.wait(ending, timeout=self.config.timers.grace + _ENDING)
        hurry.cancel()
        for worker in self._workers.values() if late else ():
            worker.kill()
        await asyncio.gather(*ending)
        if self._writer is not None:
            await self._writer.stop(_AT_ONCE if at_once.is_set() else _ENDING)
        os.close(self._memory_fd)

    # -- workers

    async def _start(self, worker: WorkerProcess) -> None:
        async with self._starting:
            writers = self._writer.new_sockets() if self._writer is not None else None
            try:
                await worker.start(
                    self.config, self._memory_fd, self._directory.lock_fd, writers, self._heard
                )
            finally:
                for sock in writers or ():
                    sock.close()

    async def _keep(self, worker: WorkerProcess) -> None:
        """Start a worker anew whenever it ends, and clear up after it."""
        pause = _SHORTEST_PAUSE
        while True:
            code, lived = await worker.ended()
            get_logger(worker=worker.number).error(
                "worker ended; its associations are lost", cause=_how_it_ended(code)
            )
            self._forget(worker)
            pause = _SHORTEST_PAUSE if lived > _LONG_ENOUGH else _longer(pause)
            await asyncio.sleep(pause)
            while not await self._start_anew(worker):
                pause = _longer(pause)
                await asyncio.sleep(pause)

    async def _start_anew(self, worker: WorkerProcess) -> bool:
        log = get_logger(worker=worker.number)
        try:
            repair = await asyncio.to_thread(
                recover_process, self._directory, worker.process_id, self._record
            )
            tell_repair(repair, f"worker {worker.number}")
            await self._start(worker)
        except (ArchiveError, OSError) as error:
            log.error("worker not started", cause=str(error))
            worker.kill()
            await worker.ended()
            self._forget(worker)
            return False
        log.info("worker started", process=worker.process_id)
        return True

    def _forget(self, worker: WorkerProcess) -> None:
        """Its process has ended: keep what it counted, and give back what it held."""
        self.statistics.add(self._of(worker))
        self.statistics.connections_active = 0
        self._shared.has_ended(worker.number)
        worker.given = 0

    async def _look_after(self) -> None:
        """Ask each worker whether it is there; kill one that has not answered for long, so that it is started anew."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(_LOOK_AFTER)
            was_late = loop.time() - before > 2 * _LOOK_AFTER  # the whole machine stood still
            for worker in self._workers.values():
                if was_late:
                    worker.answered()
                if worker.silence() > _HANGS:
                    get_logger(worker=worker.number).error("worker hangs and is killed", seconds=_HANGS)
                    worker.kill()
                elif worker.ready:
                    worker.ask()

    def _heard(self, worker: WorkerProcess, message: Message) -> None:
        if message is Message.LOST and self._writer is not None:
            self._give_writers(worker, self._writer)

    def _give_writers(self, worker: WorkerProcess, writer: IndexWriterProcess) -> None:
        """Give a worker sockets; where that fails it asks again, or gets them when there is a new process to write."""
        with suppress(ArchiveError):
            sockets = writer.new_sockets()
            worker.say(Message.WRITERS, [sock.fileno() for sock in sockets])
            for sock in sockets:
                sock.close()

    async def _keep_writer(self, writer: IndexWriterProcess) -> None:
        """Start the process that writes anew whenever it ends."""
        pause = _SHORTEST_PAUSE
        while True:
            code, lived = await writer.ended()
            get_logger().error("the process that writes the index ended", cause=_how_it_ended(code))
            pause = _SHORTEST_PAUSE if lived > _LONG_ENOUGH else _longer(pause)
            await asyncio.sleep(pause)
            while not await self._start_writer_anew(writer):
                pause = _longer(pause)
                await asyncio.sleep(pause)

    async def _start_writer_anew(self, writer: IndexWriterProcess) -> bool:
        try:
            await writer.start()
        except (ArchiveError, OSError) as error:
            get_logger().error("the process that writes the index was not started", cause=str(error))
            return False
        for worker in self._workers.values():
            if worker.ready:
                self._give_writers(worker, writer)
        get_logger().info("the process that writes the index was started")
        return True

    async def _hurry(self, at_once: asyncio.Event) -> None:
        await at_once.wait()
        for worker in self._workers.values():
            worker.say(Message.ABORT)
        await asyncio.sleep(_AT_ONCE)
        for worker in self._workers.values():
            worker.kill()

    def _burden_of(self, worker: WorkerProcess) -> tuple[bool, int]:
        return worker.silence() > _SILENT, self._connections_of(worker)

    def _connections_of(self, worker: WorkerProcess) -> int:
        return worker.given - self._shared.numbers_of(worker.number).ended

    def _of(self, worker: WorkerProcess) -> Statistics:
        return self._shared.numbers_of(worker.number).statistics

    def _total(self) -> Statistics:
        total = Statistics(started_at=self.statistics.started_at, started=self.statistics.started)
        total.add(self.statistics)
        for worker in self._workers.values():
            total.add(self._of(worker))
        return total


async def supervise(config: Config) -> None:
    """Serve with several processes until told to stop, by a signal or over the control socket.

    Raises:
        ConfigError: TLS files or limits that cannot be honoured.
        ArchiveError: the data directory cannot be used, or a process did not start.
        OSError: the address cannot be bound.
    """
    log = get_logger()
    raise_file_limit(config)
    ssl_context(config)  # so that a mistake is told once, and not by every worker
    async with AsyncExitStack() as stack:
        directory, index = bring_together(
            config.data_directory,
            config.database_url if config.has_index else None,
            durability=config.durability,
        )
        stack.callback(directory.close)
        tell_repair(directory.repair)
        writer: IndexWriterProcess | None = None
        record: Record | None = None
        if index is not None and index.database.is_sqlite:
            index.close()
            writer = IndexWriterProcess(config, directory)
            record = writer.record
        elif index is not None:
            stack.callback(index.close)
            record = _one_at_a_time(index)
        listeners = await bind(config.host, config.port, config.limits.backlog)
        for listener in listeners:
            stack.callback(listener.close)
        await _run(Supervisor(config, directory, writer, record), listeners, stack)
    log.info("stopped")


async def _run(supervisor: Supervisor, listeners: Sequence[socket.socket], stack: AsyncExitStack) -> None:
    config, log = supervisor.config, get_logger()
    asked, at_once = asyncio.Event(), asyncio.Event()

    def stop() -> dict[str, Any]:
        if asked.is_set():
            at_once.set()
        asked.set()
        return {"stopping": True, "openAssociations": supervisor.open_associations()}

    async def stats() -> dict[str, Any]:
        return (await supervisor.count()).snapshot()

    port = listeners[0].getsockname()[1]
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await supervisor.start(stop)
        control = ControlServer(
            config.data_directory,
            {
                "status": lambda: status(
                    config, port, supervisor.statistics.uptime(), supervisor.open_associations()
                ),
                "stats": stats,
                "stop": stop,
            },
        )
        await control.start()
        stack.push_async_callback(control.close)
        accepting = [Accepting(listener, supervisor.serve) for listener in listeners]
        announce(config, port)
        await asked.wait()
        log.info("stopping", open_associations=supervisor.open_associations(), grace=config.timers.grace)
        for one in accepting:
            one.close()
    finally:
        await supervisor.stop(at_once)


def _one_at_a_time(index: Index) -> Record:
    """Records for the supervisor; two workers may have ended at once."""
    from threading import Lock

    lock = Lock()

    def record(batch: Sequence[Any]) -> Sequence[Any]:
        with lock:
            return index.writer.record(batch)

    return record


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:  # those of real time have no names
        return f"signal {-code}"


def _longer(pause: float) -> float:
    return min(2 * pause, _LONGEST_PAUSE)
