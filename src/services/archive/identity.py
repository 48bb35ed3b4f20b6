"""Which data directory an index is of, so that no server answers from the index of another one's images.

An index.db in the data directory goes where that goes. Any other database may be named by mistake for two directories,
or for the wrong one. So each of them has the identity of its directory: a UUID, in `<data-dir>/.identity`, and in the
one row of the table `data_directory`. A directory that is moved keeps its own.
"""

import os
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from services.archive.data_directory import DataDirectory
from services.archive.errors import DataDirectoryError, IndexUnavailable
from services.archive.index.database import FILE_NAME, Database
from services.archive.index.schema import data_directory

_FILE = ".identity"
_TAKE = text(
    "INSERT INTO data_directory (number, identity, path) VALUES (1, :identity, :path) ON CONFLICT DO NOTHING"
)
_IS_IDENTITY = re.compile(r"[0-9a-f]{32}").fullmatch


class OfAnotherDirectory(IndexUnavailable):
    """The index is that of another data directory."""


def identity_for(directory: DataDirectory, database: Database) -> str:
    """The identity that an index has to have, made when it is first asked for; empty for one in the directory itself.

    Args:
        directory: locked by this process.
        database: of its index.

    Raises:
        DataDirectoryError: the identity cannot be read or written, or is none.
    """
    if database.is_sqlite and Path(database.name) == directory.path / FILE_NAME:
        return ""
    try:
        identity = _read(directory) or _make(directory)
    except OSError as error:
        raise DataDirectoryError(
            f"the data directory {directory.path} cannot be used: {_FILE}: {error.strerror}; "
            "see that this user may write there, and that there is room"
        ) from error
    if not _IS_IDENTITY(identity):
        raise DataDirectoryError(
            f"{directory.path / _FILE} holds no identity: bring it back from a backup; or remove it, and "
            "dicom-server reindex makes the index that of a new one"
        )
    return identity


def check_identity(directory: DataDirectory, database: Database) -> None:
    """Refuse an index of another data directory; one of none becomes that of this one. Blocks.

    Args:
        directory, database: as of `identity_for`; the database has the tables of this version.

    Raises:
        OfAnotherDirectory: it is.
        IndexUnavailable: it cannot be asked.
        DataDirectoryError: as `identity_for`.
    """
    identity = identity_for(directory, database)
    if not identity:
        return
    path = str(directory.path)
    try:
        with database.engine.begin() as connection:
            has, has_path = _of(connection) or _take(connection, identity, path)
            if has == identity and has_path != path:
                connection.execute(update(data_directory).values(path=path))
    except SQLAlchemyError as error:
        raise database.failure("cannot be read", error) from error
    if has != identity:
        raise OfAnotherDirectory(
            f"the index in {database.name} is that of the data directory {has_path} (identity {has}), not of {path} "
            f"(identity {identity}): name another database (databaseURL); or, if no server uses that directory any "
            "more, run dicom-server reindex with this directory and this database, which replaces all rows"
        )


def adopt(cursor: Any, identity: str, path: Path, *, is_sqlite: bool) -> None:
    """Make an index that of a data directory, whosever it was, in a transaction in which all rows are replaced.

    Args:
        cursor: of the driver.
        identity: from `identity_for`; nothing is done for an empty one.
        path: of the data directory.
        is_sqlite: otherwise PostgreSQL.
    """
    if not identity:
        return
    values = "?, ?" if is_sqlite else "%s, %s"
    cursor.execute("DELETE FROM data_directory")
    cursor.execute(
        f"INSERT INTO data_directory (number, identity, path) VALUES (1, {values})", (identity, str(path))
    )


def _of(connection: Connection) -> tuple[str, str] | None:
    row = connection.execute(select(data_directory.c.identity, data_directory.c.path)).first()
    return None if row is None else (row[0], row[1])


def _take(connection: Connection, identity: str, path: str) -> tuple[str, str]:
    """Take an index that is of no directory; whose it is then, since another server may have been quicker."""
    connection.execute(_TAKE, {"identity": identity, "path": path})
    return _of(connection) or (identity, path)


def _read(directory: DataDirectory) -> str:
    try:
        fd = os.open(_FILE, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory.root_fd)
    except FileNotFoundError:
        return ""
    try:
        return os.read(fd, 100).decode("ascii", "replace").strip() or "empty"
    finally:
        os.close(fd)


def _make(directory: DataDirectory) -> str:
    """Make an identity; its file is whole or not there, whatever comes between."""
    identity = uuid4().hex
    fd, name = directory.new_temporary()
    try:
        os.write(fd, f"{identity}\n".encode())
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(name, _FILE, src_dir_fd=directory.incoming_fd, dst_dir_fd=directory.root_fd)
    os.fsync(directory.root_fd)
    return identity
