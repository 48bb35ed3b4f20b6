"""The processes that a supervisor starts, as it sees them: workers, and the one that writes the index."""

import asyncio
import os
import pickle
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress

from services.archive.data_directory import DataDirectory
from services.archive.errors import ArchiveError, IndexUnavailable
from services.archive.index.entry import Indexable, Result
from services.archive.index.remote import RemoteWriter
from services.server.channel import Channel, Message, pair
from services.server.config import Config
from services.server.shared_memory import make_file
from services.server.worker import Handed

START_TIMEOUT = 30.0
"""Seconds for a process to say that it is ready."""


class _Child:
    """A process that is started, ends, and is started again."""

    module: str

    def __init__(self) -> None:
        self._process: Process | None = None
        self._since = 0.0

    @property
    def process_id(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def spawn(self, arguments: Sequence[str], descriptors: Sequence[int]) -> None:
        # -P: what lies in the current directory is no part of the program.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            self.module,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=list(descriptors),
        )
        self._since = asyncio.get_running_loop().time()

    async def exited(self) -> int:
        return await self._process.wait() if self._process is not None else 0

    async def ended(self) -> tuple[int, float]:
        """Wait for its end; its exit code, and how many seconds it lived."""
        return await self.exited(), asyncio.get_running_loop().time() - self._since

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()


class WorkerProcess(_Child):
    """One worker, whichever process it is now."""

    module = "services.server.worker"

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.given = 0  # connections, since it was started
        self._channel: Channel | None = None
        self._is_ready = asyncio.Event()
        self._counted: list[asyncio.Future[None]] = []
        self._asked: float | None = None  # since when an answer is outstanding

    @property
    def ready(self) -> bool:
        return self._is_ready.is_set()

    async def start(
        self,
        config: Config,
        memory: int,
        lock: int,
        writers: Sequence[socket.socket] | None,
        heard: Callable[["WorkerProcess", Message], None],
    ) -> None:
        """Start the process; returns when it serves.

        Raises:
            ArchiveError: it ended, or did not say that it serves.
        """
        self.given = 0
        self.answered()
        ours, theirs = pair()
        self._channel = Channel(ours, lambda message, _: self._hear(message, heard))
        fds = tuple(sock.fileno() for sock in writers) if writers is not None else None
        handed = Handed(
            config=config,
            number=self.number,
            channel=theirs.fileno(),
            memory=memory,
            lock=lock,
            writers=(fds[0], fds[1]) if fds is not None else None,
        )
        with theirs, os.fdopen(make_file(), "w+b") as file:
            pickle.dump(handed, file)
            file.flush()
            file.seek(0)
            await self.spawn([str(file.fileno())], [file.fileno(), *handed.descriptors])
        await self._until_ready()

    async def ended(self) -> tuple[int, float]:
        ended = await super().ended()
        self._is_ready.clear()
        self.answered()
        if self._channel is not None:
            self._channel.close()
        return ended

    async def count(self) -> None:
        """Have it write its statistics."""
        if self.ready and self.say(Message.COUNT):
            counted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._counted.append(counted)
            await counted

    def ask(self) -> None:
        """Ask it whether it is there; see `silence`."""
        if self._asked is None and self.say(Message.COUNT):
            self._asked = asyncio.get_running_loop().time()

    def answered(self) -> None:
        """Nothing is outstanding now."""
        self._asked = None

    def silence(self) -> float:
        """For how many seconds it has owed an answer."""
        return 0.0 if self._asked is None else asyncio.get_running_loop().time() - self._asked

    def say(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        """Say something to it, which it may not have heard before it is ready; False where it cannot be told."""
        return self._channel is not None and self._channel.say(message, descriptors)

    def _hear(self, message: Message | None, heard: Callable[["WorkerProcess", Message], None]) -> None:
        match message:
            case Message.READY:
                self._is_ready.set()
            case Message.COUNTED:
                self.answered()
                counted, self._counted = self._counted, []
                for waiting in counted:
                    if not waiting.done():
                        waiting.set_result(None)
            case None:
                self._is_ready.clear()
            case _:
                heard(self, message)

    async def _until_ready(self) -> None:
        ready = asyncio.ensure_future(self._is_ready.wait())
        exited = asyncio.ensure_future(self.exited())
        await asyncio.wait((ready, exited), timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        for one in (ready, exited):
            one.cancel()
        if self.ready:
            return
        if self._process is not None and self._process.returncode is not None:
            raise ArchiveError(f"worker {self.number} did not start; the lines above say why")
        self.kill()
        raise ArchiveError(f"worker {self.number} was not ready within {START_TIMEOUT:g} s")


class IndexWriterProcess(_Child):
    """The process that writes the index, and our own socket to it."""

    module = "services.archive.index.writer_process"

    def __init__(self, config: Config, directory: DataDirectory) -> None:
        super().__init__()
        self._config = config
        self._directory = directory
        self._control: socket.socket | None = None
        self._own: RemoteWriter | None = None

    def record(self, batch: Sequence[Indexable]) -> Sequence[Result]:
        """Have it record for the supervisor itself (`archive.committer.Record`); it waits, so call it in a thread.

        Raises:
            IndexUnavailable: whether the batch is recorded is unknown.
        """
        if self._own is None:
            raise IndexUnavailable("the process that writes the index was not started")
        return self._own.record(batch)

    async def start(self) -> None:
        """Start the process; returns when it can record.

        Raises:
            ArchiveError: it cannot.
        """
        control, theirs = socket.socketpair()
        control.setblocking(False)
        self._close_control()
        if self._own is not None:
            self._own.close()
            self._own = None
        self._control = control
        arguments = [
            str(theirs.fileno()),
            self._config.database_url,
            str(self._directory.path),
            self._config.durability,
        ]
        # It holds the lock, too: another server must not begin while it writes.
        with theirs:
            await self.spawn(arguments, [theirs.fileno(), self._directory.lock_fd])
        try:
            async with asyncio.timeout(START_TIMEOUT):
                said = await asyncio.get_running_loop().sock_recv(control, 1)
        except (TimeoutError, OSError):
            said = b""
        if not said:
            self.kill()
            raise ArchiveError("the process that writes the index did not start; the lines above say why")
        self._own = RemoteWriter(self._new_socket(), lambda: None)

    def new_sockets(self) -> tuple[socket.socket, socket.socket]:
        """Two sockets for a worker, to be handed over and closed here.

        Raises:
            ArchiveError: it does not take them.
        """
        first = self._new_socket()
        try:
            return first, self._new_socket()
        except BaseException:
            first.close()
            raise

    async def stop(self, timeout: float) -> None:
        """Nobody records any more: it ends by itself, or is killed.

        Args:
            timeout: seconds that it has.
        """
        self._close_control()
        if self._own is not None:
            self._own.close()
        for _ in range(2):
            try:
                async with asyncio.timeout(timeout):
                    await self.exited()
            except TimeoutError:
                self.kill()

    def _close_control(self) -> None:
        if self._control is not None:
            self._control.close()

    def _new_socket(self) -> socket.socket:
        assert self._control is not None
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    socket.send_fds(self._control, [b"."], [theirs.fileno()])
                except OSError:
                    ours.close()
                    raise
        except OSError as error:
            raise ArchiveError(
                f"the process that writes the index takes no socket: {error.strerror}"
            ) from error
        return ours
