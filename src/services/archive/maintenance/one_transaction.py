"""Everything that an index writer records in one transaction, whose end is decided here.

The writer's own transactions become savepoints of it. Whatever ends the process before the commit leaves the index as
it was, on both databases.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from services.archive.index.schema import LEVELS
from services.archive.index.writer import Connection, Connects, IndexWriter

_SAVEPOINTS = {
    "BEGIN": "SAVEPOINT batch",
    "BEGIN IMMEDIATE": "SAVEPOINT batch",
    "COMMIT": "RELEASE SAVEPOINT batch",
    "ROLLBACK": "ROLLBACK TO SAVEPOINT batch",
}


class ConnectionLost(Exception):
    """The database has gone in the middle; nothing has changed."""


class OneTransaction:
    """A transaction with a writer inside; a context manager that rolls back what `commit` did not end.

    Args:
        database: where.

    Attributes:
        cursor: of the driver.
        writer: records within the transaction.
        is_sqlite: as the database's.
    """

    def __init__(self, database: Connects) -> None:
        self.is_sqlite = database.is_sqlite
        self._connection = database.connect_writer()
        self.cursor = self._connection.cursor()
        self.cursor.execute("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN")
        self.writer = IndexWriter(self)
        self._given = False
        self._open = True

    def __enter__(self) -> "OneTransaction":
        return self

    def __exit__(self, *_: object) -> None:
        if self._open:
            with suppress(Exception):  # a lost connection has rolled back
                self.cursor.execute("ROLLBACK")
        self._connection.close()

    def connect_writer(self) -> Connection:
        """The connection, for the writer; once.

        Raises:
            ConnectionLost: it asks for another one.
        """
        if self._given:
            raise ConnectionLost("the connection to the database was lost; nothing has changed")
        self._given = True
        return _Nested(self.cursor)

    def empty(self) -> None:
        """Delete every row of the index."""
        names = [table.name for table in reversed(LEVELS)]
        if self.is_sqlite:
            for name in names:
                self.cursor.execute(f"DELETE FROM {name}")
        else:
            self.cursor.execute("SET LOCAL lock_timeout = '30s'")
            self.cursor.execute(f"TRUNCATE {', '.join(names)} RESTART IDENTITY")

    def commit(self) -> None:
        """Make it all true."""
        self.cursor.execute("COMMIT")
        self._open = False


class _Nested:
    """A connection, and its cursor, within a transaction."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def cursor(self) -> "_Nested":
        return self

    def close(self) -> None:
        pass  # whoever began the transaction closes the connection

    @property
    def rowcount(self) -> int:
        count: int = self._cursor.rowcount
        return count

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        if sql in _SAVEPOINTS:
            return self._cursor.execute(_SAVEPOINTS[sql])
        return self._cursor.execute(sql, parameters)
