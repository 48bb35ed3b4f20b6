"""What the maintenance commands of `dicom-server` share: the archive they mean, its index, and how they fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from services.cli.common import ExitCode, fail

if TYPE_CHECKING:
    from services.archive.index.index import Index
    from services.server.config import Config

INTERRUPTED = 130

ConfigFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file of the server, JSON or TOML.", metavar="FILE"),
]
DataDirectoryOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data directory of the server.", metavar="DIR", show_default="./data"),
]
DatabaseURL: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        help="Where the index is kept, as for dicom-server start.",
        metavar="URL",
        show_default="index.db in the data directory",
    ),
]


def settings(
    config: Path | None, data_dir: Path | None, database_url: str | None, database: str | None = None
) -> "Config":
    """The configuration of the server whose archive is meant; exits where there is none, or no index."""
    from services.server.config_file import ConfigError, load_config

    given = {
        "dataDirectory": None if data_dir is None else str(data_dir),
        "databaseURL": database_url,
        "database": database,
    }
    try:
        made = load_config(config, {name: value for name, value in given.items() if value is not None})
    except ConfigError as error:
        fail(str(error), ExitCode.USAGE)
    if not made.has_index:
        fail('database: "none": there is no index', ExitCode.USAGE)
    return made


def existing(config: "Config") -> Path:
    """The data directory; exits where there is none."""
    if not config.data_directory.is_dir():
        fail(f"{config.data_directory}: there is no such data directory; --data-dir or --config names it")
    return config.data_directory


@contextmanager
def open_index(config: "Config", *, migrate: bool, make: bool | None = None) -> "Iterator[Index]":
    """The index, for as long as the context lasts; exits where there is none and none may be made.

    Args:
        migrate: bring its tables to this version first; nobody else may use them then.
        make: an embedded database that is not there is made; None, where `migrate` says so.
    """
    import sqlite3

    from sqlalchemy.exc import SQLAlchemyError

    from services.archive.index.damage import is_damage
    from services.archive.index.database import embedded_file
    from services.archive.index.index import Index

    file = embedded_file(config.database_url, config.data_directory)
    if not (migrate if make is None else make) and file is not None and not file.exists():
        fail(
            f"{file}: there is no index there; dicom-server start makes an empty one, dicom-server reindex one of the "
            "files that are there, and --database-url names one in PostgreSQL"
        )

    index = Index.open(
        config.database_url, config.data_directory, durability=config.durability, migrate=migrate
    )
    try:
        yield index
    except (SQLAlchemyError, sqlite3.Error) as error:
        if is_damage(error):  # further in than what opening it reads
            raise index.database.failure("cannot be read", error) from error
        raise
    finally:
        index.close()


@contextmanager
def failures(doing: str, interrupted: str) -> Iterator[None]:
    """What goes wrong becomes a line on standard error and an exit code.

    Args:
        doing: what is being done, as in "could not <doing>".
        interrupted: what is so after Ctrl+C.
    """
    import sqlite3

    import psycopg
    from sqlalchemy.exc import SQLAlchemyError

    from services.archive.errors import ArchiveError
    from services.archive.index.damage import driver_says

    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"interrupted: {interrupted}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except ArchiveError as error:
        fail(str(error))
    except (SQLAlchemyError, sqlite3.Error, psycopg.Error) as error:
        fail(f"could not {doing}: the database says: {driver_says(error)}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"could not {doing}: {where}{error.strerror or error}")


def schema_of(index: "Index") -> str:
    """The revision of the tables; exits where it is not this version's."""
    from services.archive.index.migrate import current, head

    revision = current(index.database)
    if revision is None:
        fail(
            f"the database {index.database.name} holds no index: if another one does, --database-url (or --config) "
            "names it; if the index is lost, dicom-server reindex makes it anew from the files; dicom-server migrate "
            "makes an empty one"
        )
    if revision != head():
        fail(
            f"the tables of the index have revision {revision}, this version has {head()}: start the server, "
            "or run dicom-server migrate, first"
        )
    return revision
