"""An embedded index that SQLite cannot read any more: how that is told from other failures, and how it makes room.

Nothing is mended in it. Everything that it says is in the files as well, so that a new one is made of them
(`maintenance.reindex`); the damaged one is kept beside it, for whoever wants to know what happened to it.
"""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from sqlalchemy.exc import SQLAlchemyError

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY = 0xFF  # the bits of an extended code that are its primary one
_BESIDE = ("-wal", "-shm")


def is_damage(error: BaseException | None) -> bool:
    """Whether SQLite has said, in an error or in what that was raised from, that its file is none or malformed."""
    while error is not None:
        driver = getattr(error, "orig", None) or error
        code = getattr(driver, "sqlite_errorcode", None) if isinstance(driver, sqlite3.Error) else None
        if code is not None and code & _PRIMARY in _DAMAGED:
            return True
        error = error.__cause__
    return False


def driver_says(error: Exception) -> str:
    """What went wrong, in one line: without statements and their values, and without links into a manual.

    Args:
        error: of a driver, of SQLAlchemy, or of the operating system.
    """
    said = getattr(error, "orig", None) or error
    if isinstance(said, SQLAlchemyError):  # as text it brings a link
        said = said.args[0] if said.args else ""
    return str(said).strip().partition("\n")[0] or type(error).__name__


def mending(file: Path, data_directory: Path, embedded: Path) -> str:
    """What somebody is to do about a damaged index.

    Args:
        file: the database.
        data_directory: whose index it is.
        embedded: where the index is unless something else is said.
    """
    command = f"dicom-server reindex --data-dir {quote(str(data_directory))}"
    if file != embedded:
        command += f" --database-url {quote(f'sqlite:///{file}')}"
    return f"stop the server, then make the index anew from the files: {command}"


def find_damage(file: Path) -> str:
    """What SQLite finds wrong in a database, the first of it; empty for nothing, and where there is no such file.

    Everything is read, without comparing rows with their indices. What is wrong with the file otherwise (nobody may
    read it, say) is left to whoever opens it. Blocks, about a second for each gigabyte.
    """
    if not file.is_file():
        return ""
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return driver_says(error) if is_damage(error) else ""
    return (
        ""
        if found == "ok"
        else str(found).removeprefix("*** in database main ***").strip().partition("\n")[0]
    )


def move_aside(file: Path) -> Path:
    """Give a database, and what SQLite keeps beside it, other names: `index.db.damaged-20260131T235959Z`, and so on.

    Returns:
        where the database is now.

    Raises:
        OSError: it cannot be renamed.
    """
    place = file.resolve()  # SQLite keeps its other files beside the database, not beside a link to it
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = place.with_name(f"{place.name}.damaged-{stamp}")
    # The log goes first: one that was left behind would be written into the new database.
    for ending in _BESIDE:
        beside = Path(f"{place}{ending}")
        if beside.exists():
            beside.rename(f"{aside}{ending}")
    place.rename(aside)
    directory = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return aside
