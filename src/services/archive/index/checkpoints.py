"""Checkpoints of SQLite's write-ahead log, in a thread: a checkpoint syncs, and no commit shall wait for that."""

import logging
import os
import sqlite3
import threading
from pathlib import Path

from services.archive.errors import cause_of

CHECKPOINT_AT = 4 << 20
"""Bytes of the log from which on it is written into the database."""

INTERVAL = 0.1
"""Seconds between two looks at the log."""

AFTER_FAILURE = 5.0
"""Seconds until a checkpoint that failed is tried again."""

_PATIENCE = 0.005
"""Seconds that a checkpoint waits for those who read; those who write may be waiting for it."""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PRIMARY = 0xFF  # the bits of an extended code that are its primary one

_log = logging.getLogger("services.archive")


class Checkpoints:
    """Looks after the log of one database until closed.

    A failure is logged once, until a checkpoint has succeeded again; meanwhile the log grows.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = Path(f"{path}-wal")
        self._connection: sqlite3.Connection | None = None
        self._has_failed = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the whole log into the database, and cut it; other connections are closed before. Blocks."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        done, pause = 0, INTERVAL
        while not self._closing.wait(pause):
            pause = INTERVAL
            size, written = self._log_state()
            if size < CHECKPOINT_AT or written == done:
                continue
            # Nearly all of it while others write; then the little that came meanwhile, which they wait for, so that
            # the log is used from its beginning again: it would grow for as long as nobody pauses.
            if self._checkpoint("PASSIVE", "PASSIVE", "RESTART"):
                done = written
            else:
                pause = AFTER_FAILURE
        self._checkpoint("TRUNCATE")
        self._disconnect()

    def _checkpoint(self, *modes: str) -> bool:
        """Checkpoint in several modes, one after the other; whether that is done, or is to wait for the next write."""
        try:
            connection = self._connect()
            for mode in modes:
                connection.execute(f"PRAGMA wal_checkpoint({mode})")
        except sqlite3.Error as error:
            if (
                getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _BUSY
            ):  # somebody reads or writes: next time
                return True
            self._disconnect()  # it may fail for ever
            self._say(error)
            return False
        self._has_failed = False
        return True

    def _connect(self) -> sqlite3.Connection:
        """The connection, made where there is none; no database is made."""
        if self._connection is None:
            place = f"{self._path.absolute().as_uri()}?mode=rw"
            self._connection = sqlite3.connect(place, uri=True, isolation_level=None, timeout=_PATIENCE)
            self._connection.execute("PRAGMA synchronous=FULL")
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _say(self, error: sqlite3.Error) -> None:
        if not self._has_failed:
            _log.error(
                "the write-ahead log of %s cannot be written into it and grows: %s; see that its disk is well and has "
                "room, and that `dicom-server verify` finds the index intact",
                self._path,
                cause_of(error),
            )
        self._has_failed = True

    def _log_state(self) -> tuple[int, int]:
        """Its size in bytes, and when it was written last."""
        try:
            status = os.stat(self._log)
        except OSError:
            return 0, 0
        return status.st_size, status.st_mtime_ns
