"""Checkpoints of SQLite's write-ahead log, in a thread: a checkpoint syncs, and no commit shall wait for that."""

import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

CHECKPOINT_AT = 4 << 20
"""Bytes of the log from which on it is written into the database."""

INTERVAL = 0.1
"""Seconds between two looks at the log."""


class Checkpoints:
    """Looks after the log of one database until closed.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = Path(f"{path}-wal")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the whole log into the database, and cut it; other connections are closed before. Blocks."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=INTERVAL)
        connection.execute("PRAGMA synchronous=FULL")
        while not self._closing.wait(INTERVAL):
            if self._size() >= CHECKPOINT_AT:
                # Nearly all of it while others write; then the little that came meanwhile, which they wait for, so that
                # the log is used from its beginning again: it would grow for as long as nobody pauses.
                self._checkpoint(connection, "PASSIVE")
                self._checkpoint(connection, "PASSIVE")
                self._checkpoint(connection, "RESTART")
        self._checkpoint(connection, "TRUNCATE")
        connection.close()

    @staticmethod
    def _checkpoint(connection: sqlite3.Connection, mode: str) -> None:
        with suppress(sqlite3.OperationalError):  # somebody reads or writes: next time
            connection.execute(f"PRAGMA wal_checkpoint({mode})")

    def _size(self) -> int:
        try:
            return os.stat(self._log).st_size
        except OSError:
            return 0
