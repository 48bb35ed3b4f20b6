"""`dicom-server migrate`: the tables of the index, as this version needs them."""

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.common import ExitCode
from services.cli.maintenance import (
    ConfigFile,
    DatabaseURL,
    DataDirectoryOption,
    existing,
    failures,
    open_index,
    settings,
)

if TYPE_CHECKING:
    from services.archive.index.database import Database


def migrate(
    data_dir: DataDirectoryOption = None,
    config: ConfigFile = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="Which database keeps the index.",
            metavar="[sqlite|postgres|none]",
            show_default="sqlite, or what --database-url names",
        ),
    ] = None,
    database_url: DatabaseURL = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what is pending; change nothing.")] = False,
) -> None:
    """Bring the tables of the index to what this version needs.

    The server does that by itself when it starts; this says what it will do, or does it beforehand.

    \b
    Examples:
      dicom-server migrate --check
      dicom-server migrate --data-dir /var/lib/dicom
      dicom-server migrate --database postgres --database-url postgresql://pacs:secret@localhost/pacs

    Exit code 0 means that the tables are as they should be, 1 that something is pending or failed.
    """
    chosen = settings(config, data_dir, database_url, database)
    with failures("migrate the index", "the index is as it was"):
        if not chosen.database_url:
            existing(chosen)
        with open_index(chosen, migrate=False, make=not check) as index:
            done = _report(index.database) if check else _migrate(index.database)
    if not done:
        raise typer.Exit(ExitCode.FAILURE)


def _report(database: "Database") -> bool:
    from services.archive.index.migrate import current, head, pending

    waiting = pending(database)
    typer.echo(f"{database.name}: revision {current(database) or 'none'}, this version has {head()}")
    typer.echo(f"pending: {', '.join(waiting)}" if waiting else "nothing is pending")
    return not waiting


def _migrate(database: "Database") -> bool:
    from services.archive.index.migrate import current, upgrade

    run = upgrade(database)
    typer.echo(f"{database.name}: revision {current(database)}")
    typer.echo(f"migrated: {', '.join(run)}" if run else "nothing was pending")
    return True
