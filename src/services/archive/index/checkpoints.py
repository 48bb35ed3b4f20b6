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

_PATIENCE = 0.005
"""Seconds that a checkpoint waits for those who read; those who write may be waiting for it."""


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
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=_PATIENCE)
        connection.execute("PRAGMA synchronous=FULL")
        done = 0
        while not self._closing.wait(INTERVAL):
            size, written = self._log_state()
            if size >= CHECKPOINT_AT and written != done:
                # Nearly all of it while others write; then the little that came meanwhile, which they wait for, so that
                # the log is used from its beginning again: it would grow for as long as nobody pauses.
                self._checkpoint(connection, "PASSIVE")
                self._checkpoint(connection, "PASSIVE")
                self._checkpoint(connection, "RESTART")
                done = written
        self._checkpoint(connection, "TRUNCATE")
        connection.close()

    @staticmethod
    def _checkpoint(connection: sqlite3.Connection, mode: str) -> None:
        with suppress(sqlite3.OperationalError):  # somebody reads or writes: next time
            connection.execute(f"PRAGMA wal_checkpoint({mode})")

    def _log_state(self) -> tuple[int, int]:
        """Its size in bytes, and when it was written last."""
        try:
            status = os.stat(self._log)
        except OSError:
            return 0, 0
        return status.st_size, status.st_mtime_ns
