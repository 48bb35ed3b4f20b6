"""The threads that read the index, each with a connection of its own that is in no transaction between two reads."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Engine

Result = TypeVar("Result")

_QUERY_CANCELED = "57014"
_STOPPING = 5.0
"""Seconds in which a database that is asked to stop a statement has to take notice."""
_ATTEMPTS = 100

_SLOW = 0.005
"""Seconds that a read in the loop may take; then the disk is slow, and nobody else in the loop shall wait for it."""
_CALM = 1.0
"""Seconds in which everything is read by threads after that."""

Work = Callable[[Any], Result]
"""Reads with a cursor of the driver's."""


class Readable(Protocol):
    """What reading needs of `index.database.Database`."""

    @property
    def is_sqlite(self) -> bool: ...
    @property
    def engine(self) -> Engine: ...


class Reading(Generic[Result]):
    """One read, under way in a thread.

    Attributes:
        result: what it read.
    """

    def __init__(self, work: Work[Result]) -> None:
        self.result: asyncio.Future[Result]
        self._work = work
        self._lock = threading.Lock()
        self._interrupt: Callable[[], None] | None = None
        self._unwanted = False
        self._done = False

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._unwanted

    def run(self, cursor: Any, interrupt: Callable[[], None] | None) -> Result:
        """Do it, in a thread; `interrupt` stops what a cursor is doing."""
        with self._lock:
            if self._unwanted:
                raise TimeoutError("nobody waits for it any more")
            self._interrupt = interrupt
        try:
            return self._work(cursor)
        finally:
            with self._lock:
                self._interrupt = None
                self._done = True

    def abandon(self) -> None:
        """Let the thread go: nobody wants the result. Harmless when it is there already."""
        if not self._done:
            self._unwanted = True
            # A server is asked over the network to stop: not in the loop.
            threading.Thread(target=self._stop, daemon=True).start()
        self.result.cancel()

    def _stop(self) -> None:
        """Until it has ended: what has just begun may not have come as far as the statement that is to be stopped.

        While it is being stopped, the thread that reads begins nothing else, which would be stopped instead.
        """
        for _ in range(_ATTEMPTS):
            with self._lock:
                if self._interrupt is None:
                    return
                with suppress(Exception):
                    self._interrupt()
            time.sleep(_STOPPING / _ATTEMPTS)


class Readers:
    """A few threads that read.

    Args:
        database: what from.
        threads: how many.
        timeout: seconds that one read may take.
    """

    def __init__(self, database: Readable, *, threads: int, timeout: float) -> None:
        self._database = database
        self._timeout = timeout
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="index-reader")
        self._is_closing = False
        self._slow_until = 0.0
        self._in_loop: Any = None
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._connections: set[Any] = set()

    def start(self, work: Work[Result]) -> Reading[Result]:
        """Have something read as soon as a thread is free."""
        reading = Reading(work)
        reading.result = asyncio.get_running_loop().run_in_executor(self._pool, self._run, reading)
        return reading

    async def wait(self, reading: Reading[Result]) -> Result:
        """What was read.

        Raises:
            TimeoutError: it took too long, and was stopped.
            Exception: the driver's.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await reading.result
        except TimeoutError:
            raise TimeoutError(f"the index did not answer within {self._timeout:g} s") from None
        finally:
            if not reading.result.done() or reading.result.cancelled():
                reading.abandon()

    @property
    def quick(self) -> bool:
        """Whether a row or two can be read in the loop, where SQLite has them at hand: a thread costs more."""
        return self._database.is_sqlite and time.monotonic() >= self._slow_until

    def read_now(self, work: Work[Result]) -> Result | None:
        """Read a row or two in the loop, while that is `quick`; a slow one sends the next ones to the threads.

        Returns:
            what was read; None where that would have to wait for others, or failed: a thread may try.
        """
        started = time.monotonic()
        try:
            connection, cursor = self._connected()
            if connection is not self._in_loop:
                cursor.execute("PRAGMA busy_timeout=0")
                self._in_loop = connection
            return work(cursor)
        except sqlite3.OperationalError:
            return None
        finally:
            ended = time.monotonic()
            if ended - started > _SLOW:
                self._slow_until = ended + _CALM

    async def read(self, work: Work[Result]) -> Result:
        """Read something, and wait for it; see `wait`."""
        return await self.wait(self.start(work))

    def close(self) -> None:
        """Stop what is being read, and close every connection."""
        self._is_closing = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for connection in list(self._connections):
            with suppress(Exception):
                self._interrupt(connection)()
        self._pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    # -- in a thread

    def _run(self, reading: Reading[Result]) -> Result:
        connection, cursor = self._connected()
        try:
            return reading.run(cursor, self._interrupt(connection))
        except Exception as error:
            is_stopped = getattr(error, "sqlstate", None) == _QUERY_CANCELED and not reading.is_unwanted
            if self._database.is_sqlite or self._is_closing or not (connection.closed or is_stopped):
                raise
        # The server went away, and perhaps is back; or what stopped the read before came late.
        connection, cursor = self._connected()
        return reading.run(cursor, self._interrupt(connection))

    def _interrupt(self, connection: Any) -> Callable[[], None]:
        if self._database.is_sqlite:
            interrupt: Callable[[], None] = connection.interrupt
            return interrupt
        return partial(connection.cancel_safe, timeout=_STOPPING)

    def _connected(self) -> tuple[Any, Any]:
        """This thread's connection and cursor."""
        pair: tuple[Any, Any] | None = getattr(self._mine, "pair", None)
        if pair is None or (not self._database.is_sqlite and pair[0].closed):
            if pair is not None:
                self._forget(pair[0])
            pair = self._connect()
            self._mine.pair = pair
        return pair

    def _connect(self) -> tuple[Any, Any]:
        pooled = self._database.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()  # it stays with the thread, and is none of the pool's any more
        if self._database.is_sqlite:
            connection.isolation_level = None
        else:
            connection.autocommit = True
            # In case nobody can ask it to stop any more.
            connection.execute(f"SET statement_timeout = {int((self._timeout + _STOPPING) * 1000)}")
        with self._lock:
            self._connections.add(connection)
        return connection, connection.cursor()

    def _forget(self, connection: Any) -> None:
        self._mine.pair = None
        with self._lock:
            self._connections.discard(connection)
        connection.close()
