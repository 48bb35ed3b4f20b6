"""A worker: one of the processes that serve associations where there are several (`services.server.supervisor`).

It is handed everything it uses: the lock on the data directory, shared memory, connections that the supervisor has
accepted, and sockets to the process that writes the index, where there is one. When the supervisor is gone, it ends.
"""

import asyncio
import os
import pickle
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import NoReturn

import structlog
from msgspec import Struct

from dimse.association import Association
from services.archive.archive import Archive
from services.archive.data_directory import DataDirectory
from services.archive.errors import ArchiveError
from services.archive.index.index import Index
from services.archive.index.remote import RemoteLoopWriter, RemoteWriter
from services.archive.opening import Opened
from services.loop import run as run_loop
from services.server.channel import Channel, Message
from services.server.config import Config
from services.server.config_file import ConfigError
from services.server.file_limit import raise_file_limit
from services.server.log import configure, get_logger
from services.server.opening import archive_options, recorder_of
from services.server.server import DicomServer
from services.server.shared_memory import SharedMemory, WorkerNumbers
from services.server.statistics import Statistics
from services.server.tls import ssl_context
from services.trace.recorder import Recorder

COUNT_INTERVAL = 0.25
"""Seconds between two times that the statistics are written unasked: what a worker that is killed loses of them."""


class Handed(Struct, frozen=True, kw_only=True):
    """What the supervisor hands a worker, pickled: both are the same program.

    Attributes:
        config: of the server.
        number: of the worker, 1 to the last.
        channel: descriptor of its end.
        memory: descriptor of the shared memory's file.
        lock: descriptor of the data directory's lock.
        writers: descriptors of two sockets to the process that writes the index, for the loop and for threads; None
            where the worker writes for itself, or there is no index.
    """

    config: Config
    number: int
    channel: int
    memory: int
    lock: int
    writers: tuple[int, int] | None = None

    @property
    def descriptors(self) -> list[int]:
        """Everything that has to stay open while the worker is started."""
        return [self.channel, self.memory, self.lock, *(self.writers or ())]


class _Server(DicomServer):
    """Tells the supervisor of each connection that has ended, so that it knows who has how many."""

    def __init__(
        self, config: Config, opened: Opened, recorder: Recorder | None, shared: SharedMemory, number: int
    ) -> None:
        super().__init__(config, opened, Statistics(), recorder, shared)
        self.numbers: WorkerNumbers = shared.numbers_of(number)
        self._of_no_use = 0

    def of_no_use(self) -> None:
        """A connection was gone before it could be served."""
        self._of_no_use += 1
        self._tell()

    def handshake_failed(self, peer: str, error: Exception) -> None:
        super().handshake_failed(peer, error)
        self._tell()

    def closed(self, association: Association) -> None:
        super().closed(association)
        self._tell()

    def _tell(self) -> None:
        counted = self.statistics
        self.numbers.ended = (
            counted.connections_total
            - counted.connections_active
            + counted.handshakes_failed
            + self._of_no_use
        )


class Worker:
    """What becomes of what the supervisor says.

    Args:
        handed: by the supervisor.
    """

    def __init__(self, handed: Handed) -> None:
        self._handed = handed
        self._config = handed.config
        self._shared = SharedMemory(handed.config, handed.memory, owner=handed.number)
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._channel = Channel(socket.socket(fileno=handed.channel), self._heard)
        self._loop_writer: RemoteLoopWriter | None = None
        self._writer: RemoteWriter | None = None
        self._server: _Server | None = None

    async def serve(self) -> None:
        """Serve until told to stop.

        Raises:
            ConfigError: TLS files or limits that cannot be honoured.
            ArchiveError: the index cannot be used.
            OSError: the data directory or the trace directory cannot.
        """
        config, timers = self._config, self._config.timers
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # said to a terminal or a group: the supervisor says when
        raise_file_limit(config)
        tls = ssl_context(config)
        async with AsyncExitStack() as stack:
            stack.callback(self._channel.close)
            opened = self._open()
            stack.callback(self._close, opened)
            recorder = recorder_of(config, worker=self._handed.number)
            if recorder is not None:
                stack.push_async_callback(asyncio.to_thread, recorder.close)
            server = _Server(config, opened, recorder, self._shared, self._handed.number)
            self._take = await stack.enter_async_context(
                server.accept(tls=tls, tls_handshake_timeout=timers.tls_handshake)
            )
            self._server = server
            counting = asyncio.create_task(self._count_now_and_then())
            stack.callback(counting.cancel)
            self._channel.say(Message.READY)
            await self._stopping.wait()
            server.admission.stopping = True
            await self._finish(server, timers.grace)
        self._count()

    # -- what is kept

    def _open(self) -> Opened:
        config, handed = self._config, self._handed
        path = config.data_directory.absolute()
        index = None
        if config.has_index:
            index = Index.open(
                config.database_url, path, durability=config.durability, migrate=False, checkpoints=False
            )
        try:
            directory = DataDirectory.join(path, handed.lock)
        except BaseException:
            if index is not None:
                index.close()
            raise
        if index is None:
            return Opened(Archive.open(directory, **archive_options(config)), None)
        if handed.writers is None:
            archive = Archive.open(
                directory, record=index.writer.record, records_inline=False, **archive_options(config)
            )
            return Opened(archive, index)
        for_loop, for_threads = (socket.socket(fileno=fd) for fd in handed.writers)
        self._loop_writer = RemoteLoopWriter(for_loop, lambda: self._channel.say(Message.LOST))
        self._writer = RemoteWriter(for_threads, lambda: self._channel.say_from_thread(Message.LOST))
        archive = Archive.open(
            directory,
            record=self._writer.record,
            records_inline=False,
            record_later=self._loop_writer,
            **archive_options(config),
        )
        return Opened(archive, index)

    def _close(self, opened: Opened) -> None:
        opened.close()
        if self._writer is not None:
            self._writer.close()

    # -- what the supervisor says

    def _heard(self, message: Message | None, descriptors: Sequence[int]) -> None:
        match message:
            case Message.CONNECTION if not descriptors:
                self._is_not_delivered()
            case Message.CONNECTION:
                task = asyncio.create_task(self._serve_connection(descriptors[0]))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Message.COUNT:
                self._count()
                self._channel.say(Message.COUNTED)
            case Message.WRITERS if len(descriptors) != 2:
                for descriptor in descriptors:  # whoever needs the sockets asks again
                    os.close(descriptor)
            case Message.WRITERS:
                for_loop, for_threads = (socket.socket(fileno=fd) for fd in descriptors)
                assert self._loop_writer is not None
                assert self._writer is not None
                self._loop_writer.use(for_loop)
                self._writer.use(for_threads)
            case Message.FINISH:
                self._stopping.set()
            case Message.ABORT | None:
                self._at_once.set()
                self._stopping.set()
            case _:
                raise AssertionError(f"the supervisor says {message}")

    def _is_not_delivered(self) -> None:
        """A connection whose descriptor found no room in this process; it is closed."""
        assert self._server is not None
        self._server.of_no_use()
        get_logger().warning("connection refused: too few file descriptors (ulimit -n)")

    async def _serve_connection(self, descriptor: int) -> None:
        assert self._server is not None
        sock = socket.socket(fileno=descriptor)
        try:
            sock.setblocking(False)
            await self._take(sock)
        except OSError:  # the peer was quicker
            sock.close()
            self._server.of_no_use()

    async def _finish(self, server: DicomServer, grace: float) -> None:
        finishing = asyncio.ensure_future(server.finish(grace))
        at_once = asyncio.ensure_future(self._at_once.wait())
        await asyncio.wait((finishing, at_once), return_when=asyncio.FIRST_COMPLETED)
        for one in (finishing, at_once):
            one.cancel()
        await asyncio.gather(finishing, at_once, return_exceptions=True)

    # -- statistics

    def _count(self) -> None:
        if self._server is not None:
            self._server.numbers.statistics = self._server.count()

    async def _count_now_and_then(self) -> NoReturn:
        while True:
            await asyncio.sleep(COUNT_INTERVAL)
            self._count()


async def _serve(handed: Handed) -> None:
    await Worker(handed).serve()


def main(arguments: Sequence[str]) -> int:
    """Run as the supervisor starts it: the descriptor of a file with what it hands over."""
    with os.fdopen(int(arguments[0]), "rb") as file:
        handed: Handed = pickle.load(file)
    config = handed.config
    configure(config.log.format, config.log_level)
    structlog.contextvars.bind_contextvars(worker=handed.number)
    try:
        run_loop(_serve(handed))
    except (ConfigError, ArchiveError, OSError) as error:
        get_logger().error("a worker cannot serve", cause=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
