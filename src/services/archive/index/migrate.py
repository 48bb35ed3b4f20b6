"""Brings the tables of an index to what this version needs, with Alembic.

At most starts there is nothing to do, and Alembic is not even imported. Two servers that start at one time do not
migrate twice: each takes a lock, and looks again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from services.archive.errors import IndexUnavailable
from services.archive.index.database import SQLITE_BEGIN, Database

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0002"
"""The revision of `index.schema`; a test holds it equal to the last of `migrations/versions`."""

ROWS_ALIKE = frozenset({"0001", "0002"})
"""Revisions between which patients, studies, series and instances have not changed: a backup of any of them can be
restored into the others."""

_VERSION_TABLE = "alembic_version"
_LOCK = 0x4449434F4D  # any number that nobody else takes


def head() -> str:
    """The revision that this version needs."""
    return HEAD


def current(database: Database) -> str | None:
    """The revision of a database; None where it has no tables of ours.

    Raises:
        IndexUnavailable: it cannot be asked.
    """
    try:
        with database.engine.connect() as connection:
            return _current(connection)
    except SQLAlchemyError as error:
        raise database.failure("cannot be read", error) from error


def pending(database: Database) -> list[str]:
    """The revisions that a database lacks, in the order in which they are run.

    Raises:
        IndexUnavailable: it cannot be asked, or is of a newer version.
    """
    revision = current(database)
    return [] if revision == HEAD else _behind(database, revision)


def upgrade(database: Database) -> list[str]:
    """Run what is pending, in one transaction. Blocks.

    Returns:
        the revisions that were run.

    Raises:
        IndexUnavailable: the database is of a newer version, or refuses; it is as it was then.
    """
    if current(database) == HEAD:
        return []
    try:
        with _locked(database) as connection:
            revisions = _behind(database, _current(connection))
            if revisions:
                _run(connection)
            return revisions
    except SQLAlchemyError as error:
        raise database.failure("could not be migrated", error) from error


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    revision: str | None = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()
    return revision


def _behind(database: Database, revision: str | None) -> list[str]:
    if revision == HEAD:
        return []
    from alembic.script import ScriptDirectory
    from alembic.script.revision import RevisionError

    scripts = ScriptDirectory.from_config(_config())
    try:
        return [each.revision for each in scripts.iterate_revisions(HEAD, revision or "base")][::-1]
    except RevisionError:
        raise IndexUnavailable(
            f"the index in {database.name} has revision {revision}, which this version does not know (it has {HEAD}): "
            "it was made by a newer version of dicom-server; use that, or another database"
        ) from None


@contextmanager
def _locked(database: Database) -> Iterator[Connection]:
    """A transaction that only one process has at a time."""
    with database.engine.connect() as plain:
        connection = plain.execution_options(**{SQLITE_BEGIN: "EXCLUSIVE"})
        with connection.begin():
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection


def _run(connection: Connection) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config
