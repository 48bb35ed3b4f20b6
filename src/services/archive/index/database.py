"""The database that keeps the index: SQLite in the data directory, or PostgreSQL.

SQLite runs with a write-ahead log whose checkpoints are made by a thread of ours, since a checkpoint syncs and no
commit shall wait for that (`index.checkpoints`).
"""

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from services.archive.errors import IndexDamaged, IndexUnavailable
from services.archive.index.checkpoints import Checkpoints
from services.archive.index.damage import driver_says, is_damage, mending

FILE_NAME = "index.db"
"""Of the embedded database, in the data directory."""

SQLITE_BEGIN = "sqlite_begin"
"""Execution option of a connection: how its transactions begin in SQLite, such as EXCLUSIVE."""

_BUSY_TIMEOUT = 30_000  # milliseconds
_CACHE_KIB = 64 << 10
_MEMORY_MAPPED = 256 << 20
_CONNECT_TIMEOUT = 10  # seconds
_STATEMENT_TIMEOUT = 120_000  # milliseconds
_LOCK_TIMEOUT = 30_000
_POSTGRESQL = frozenset({"postgres", "postgresql", "postgresql+psycopg"})


class Database:
    """An open database; made by `open`, let go by `close`.

    Attributes:
        engine: for whatever is no hot path: migrations, maintenance; its connections are pooled.
        is_sqlite: SQLite, otherwise PostgreSQL.
        name: for a person, without a password.
        data_directory: whose index it keeps.
    """

    def __init__(
        self,
        engine: Engine,
        data_directory: Path,
        *,
        name: str,
        is_sqlite: bool,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.engine = engine
        self.data_directory = data_directory
        self.is_sqlite = is_sqlite
        self.name = name
        self._checkpoints = checkpoints

    @classmethod
    def open(cls, url: str, data_directory: Path, *, durability: str, checkpoints: bool = True) -> "Database":
        """Open a database, and see that it answers. Blocks.

        Args:
            url: `sqlite:///FILE`, `postgresql://user:password@host:port/name`; empty for `index.db` in the data
                directory.
            data_directory: there already.
            durability: what a committed transaction survives: `process`, the death of this process; `power`, the loss
                of power.
            checkpoints: look after SQLite's write-ahead log; another process does otherwise.

        Raises:
            IndexDamaged: it is an embedded one that SQLite cannot read any more.
            IndexUnavailable: it cannot be opened, or does not answer.
        """
        location = _location(url, data_directory)
        name = location.render_as_string(hide_password=True)
        try:
            if location.get_backend_name() == "sqlite":
                return cls._open_sqlite(location, data_directory, durability, checkpoints)
            engine = _postgresql(location, durability)
            with engine.connect():
                pass
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            if is_damage(error):
                raise _damaged(Path(location.database or ""), data_directory, error) from error
            raise IndexUnavailable(
                f"the index in {name} cannot be used: {driver_says(error)}; {_ADVICE}"
            ) from error
        return cls(engine, data_directory, name=name, is_sqlite=False)

    @classmethod
    def _open_sqlite(
        cls, location: URL, data_directory: Path, durability: str, checkpoints: bool
    ) -> "Database":
        path = Path(location.database or "")
        _make(path)
        engine = create_engine(location, connect_args={"check_same_thread": False})
        synchronous = "FULL" if durability == "power" else "NORMAL"
        event.listen(engine, "connect", lambda connection, record: _prepare_sqlite(connection, synchronous))
        event.listen(engine, "begin", _begin_sqlite)
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1")  # reads the names of all tables
        return cls(
            engine,
            data_directory,
            name=str(path),
            is_sqlite=True,
            checkpoints=Checkpoints(path) if checkpoints else None,
        )

    def connect_writer(self) -> Any:
        """A connection of the driver's in autocommit, which whoever asks for it begins transactions on and closes.

        Raises:
            Exception: the driver's.
        """
        connection = self.engine.raw_connection()
        driver: Any = connection.driver_connection
        connection.detach()
        if not self.is_sqlite:
            driver.autocommit = True
        return driver

    def failure(self, doing: str, error: Exception) -> IndexUnavailable:
        """What to raise for an error of the driver's or of SQLAlchemy's: it has no statement in it, and no values.

        Args:
            doing: what did not work, as in "the index in ... <doing>".
            error: a damaged file becomes `IndexDamaged`.
        """
        if is_damage(error):
            return _damaged(Path(self.name), self.data_directory, error)
        return IndexUnavailable(f"the index in {self.name} {doing}: {driver_says(error)}")

    def close(self) -> None:
        """Close every connection of the engine; SQLite's write-ahead log goes into the database. Blocks."""
        self.engine.dispose()
        if self._checkpoints is not None:
            self._checkpoints.close()


_ADVICE = "see that the database is there and lets this user in, or name another one (databaseURL)"


def embedded_file(url: str, data_directory: Path) -> Path | None:
    """The file of SQLite that a URL names; None where it names a PostgreSQL.

    Args:
        url, data_directory: as of `Database.open`.

    Raises:
        IndexUnavailable: it names neither.
    """
    location = _location(url, data_directory)
    return Path(location.database or "") if location.get_backend_name() == "sqlite" else None


def _location(url: str, data_directory: Path) -> URL:
    if not url:
        return URL.create("sqlite", database=str(_usual_file(data_directory)))
    try:
        location = make_url(url)
    except (ArgumentError, ValueError):
        raise IndexUnavailable(
            "databaseURL is no URL of a database: write sqlite:///FILE or postgresql://user:password@host:port/name"
        ) from None
    if location.drivername == "sqlite" and location.database:
        return location
    if location.drivername in _POSTGRESQL:
        return location.set(drivername="postgresql+psycopg")
    raise IndexUnavailable(
        f"databaseURL names {location.drivername!r}, which is not supported: "
        "write sqlite:///FILE or postgresql://user:password@host:port/name"
    )


def _usual_file(data_directory: Path) -> Path:
    return data_directory.absolute() / FILE_NAME


def _damaged(file: Path, data_directory: Path, error: Exception) -> IndexDamaged:
    what_to_do = mending(file, data_directory, _usual_file(data_directory))
    return IndexDamaged(f"the index in {file} is damaged: {driver_says(error)}; {what_to_do}")


def _make(path: Path) -> None:
    """Make the file, for this user only: it is about patients. SQLite's other files take its mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _prepare_sqlite(connection: sqlite3.Connection, synchronous: str) -> None:
    connection.isolation_level = None  # transactions begin where we say so
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT}",
        "journal_mode=WAL",
        f"synchronous={synchronous}",
        "wal_autocheckpoint=0",
        "foreign_keys=ON",
        "case_sensitive_like=ON",  # as in PostgreSQL; and patterns can be looked up
        f"cache_size=-{_CACHE_KIB}",
        f"mmap_size={_MEMORY_MAPPED}",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    how = connection.get_execution_options().get(SQLITE_BEGIN, "")
    connection.exec_driver_sql(f"BEGIN {how}")


def _postgresql(location: URL, durability: str) -> Engine:
    # A server that crashes may lose what it acknowledged without a sync; the death of our process it survives.
    settings = {
        "synchronous_commit": "on" if durability == "power" else "off",
        "statement_timeout": _STATEMENT_TIMEOUT,
        "lock_timeout": _LOCK_TIMEOUT,
        "idle_in_transaction_session_timeout": _STATEMENT_TIMEOUT,
    }
    return create_engine(
        location,
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=8,
        pool_timeout=_CONNECT_TIMEOUT,
        connect_args={
            "connect_timeout": _CONNECT_TIMEOUT,
            "application_name": "dicom-server",
            "client_encoding": "UTF8",
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
    )
