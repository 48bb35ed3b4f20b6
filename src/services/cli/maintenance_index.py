"""`dicom-server reindex` and `dicom-server verify`: the index against the files."""

import json
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.common import ExitCode, progress
from services.cli.maintenance import (
    ConfigFile,
    DatabaseURL,
    DataDirectoryOption,
    existing,
    failures,
    open_index,
    schema_of,
    settings,
)
from services.printable import printable
from services.server.config import LogFormat

if TYPE_CHECKING:
    from services.archive.data_directory import DataDirectory
    from services.archive.maintenance.reindex import Reindexed
    from services.archive.maintenance.verify import Finding
    from services.archive.maintenance.walk import Problem
    from services.server.config import Config

_LISTED = 100_000  # of one run; more are counted


def reindex(
    data_dir: DataDirectoryOption = None,
    config: ConfigFile = None,
    database_url: DatabaseURL = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Leave the index empty when there is no file.")
    ] = False,
) -> None:
    """Make the whole index anew from the files.

    The server must not run. Until the end the old index stands, whatever comes between. Files that are damaged are
    listed and get no row; nothing is done to them. An index.db that is damaged is moved away first, and index.db-wal
    and index.db-shm with it; the line that says so names where to.

    \b
    Examples:
      dicom-server reindex
      dicom-server reindex --data-dir /var/lib/dicom --database-url postgresql://pacs@localhost/pacs

    Exit code 0 means that every file has its row, 1 that some have none, or that nothing was changed.
    """
    chosen = settings(config, data_dir, database_url)
    root = existing(chosen)
    problems: list[Problem] = []
    with failures("make the index anew", "the index is as it was"):
        from services.archive.data_directory import DataDirectory
        from services.archive.index.database import embedded_file
        from services.archive.maintenance.reindex import set_damaged_aside

        directory = DataDirectory.open(root, keep_published=True)
        with closing(directory):
            aside = set_damaged_aside(embedded_file(chosen.database_url, directory.path))
            if aside is None:
                done = _reindex(chosen, directory, problems, allow_empty)
            else:
                typer.echo(printable(str(aside)))
                with failures("make the index anew", "the new index is empty; say it again"):
                    done = _reindex(chosen, directory, problems, allow_empty)
    for problem in problems:
        typer.echo(printable(str(problem)))
    typer.echo(
        f"{done.instances} instances in {done.studies} studies indexed, {done.problems} files or names left out"
    )
    if done.problems:
        raise typer.Exit(ExitCode.FAILURE)


def _reindex(
    config: "Config", directory: "DataDirectory", problems: list["Problem"], allow_empty: bool
) -> "Reindexed":
    """What was made; the first files that got no row are added to `problems`."""
    from services.archive.identity import identity_for
    from services.archive.maintenance.reindex import reindex as run
    from services.archive.maintenance.walk import study_uids

    with (
        open_index(config, migrate=True) as index,
        progress("indexing studies", len(study_uids(directory.path))) as advance,
    ):
        return run(
            directory,
            index.database,
            on_problem=lambda problem: problems.append(problem) if len(problems) < _LISTED else None,
            advance=advance,
            allow_empty=allow_empty,
            identity=identity_for(directory, index.database),
        )


def verify(
    data_dir: DataDirectoryOption = None,
    config: ConfigFile = None,
    database_url: DatabaseURL = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every data set, and hold it against its row.")
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Give files without a row one, and write rows anew that differ from their files. Rows without a file "
            "are left, since the file may only be out of reach. The server must not run.",
        ),
    ] = False,
    format: Annotated[LogFormat, typer.Option("--format", help="How to print what was found.")] = "text",
) -> None:
    """Hold files and index against each other.

    The server may run, unless something is to be repaired. Listed are files without rows, rows without files, files of
    another size than their rows say, counts that are not true, and names that the archive did not make.

    \b
    Examples:
      dicom-server verify
      dicom-server verify --data-dir /var/lib/dicom --deep --format json
      dicom-server verify --repair

    Exit code 0 means that everything agrees, 1 that something does not, or that it could not be told.
    """
    chosen = settings(config, data_dir, database_url)
    existing(chosen)
    found = _Found()
    with failures("hold files and index against each other", "nothing has been decided"):
        files, mended = _repair(chosen, deep, found) if repair else (_verify(chosen, deep, found), 0)
    if format == "json":
        listed = [{"kind": each.kind.value, "path": each.path, "text": each.text} for each in found.listed]
        answer = {"files": files, "repaired": mended, "counts": dict(found.counts), "findings": listed}
        typer.echo(json.dumps(answer, indent=2))
    else:
        for each in found.listed:
            typer.echo(printable(f"{each.kind.value}  {each.path}: {each.text}"))
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(found.counts.items()))
        repaired = f", {mended} repaired" if repair else ""
        typer.echo(f"{files} files verified{repaired}: {told or 'all agree'}")
    if files and found.counts["file-without-row"] == files:
        typer.echo(
            "no file has a row: dicom-server reindex makes them all; or the index is in another database, which "
            "--database-url names",
            err=True,
        )
    if found.counts:
        raise typer.Exit(ExitCode.FAILURE)


class _Found:
    """What was found: how often each kind, and the first ones by name."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.listed: list[Finding] = []

    def add(self, finding: "Finding") -> None:
        self.counts[finding.kind.value] += 1
        if len(self.listed) < _LISTED:
            self.listed.append(finding)


def _verify(config: "Config", deep: bool, found: _Found) -> int:
    """How many files were looked at."""
    from services.archive.maintenance.verify import Verification
    from services.archive.maintenance.walk import study_uids

    with (
        open_index(config, migrate=False) as index,
        progress("verifying studies", len(study_uids(config.data_directory))) as advance,
    ):
        schema_of(index)
        verification = Verification(config.data_directory, index.database.engine, deep=deep, advance=advance)
        for finding in verification.findings():
            found.add(finding)
    return verification.files


def _repair(config: "Config", deep: bool, found: _Found) -> tuple[int, int]:
    """How many files were looked at, and how many mended; what stays is found."""
    from services.archive.data_directory import DataDirectory
    from services.archive.identity import check_identity
    from services.archive.maintenance.repair import repair
    from services.archive.maintenance.verify import Verification
    from services.archive.maintenance.walk import study_uids
    from services.archive.recovery import recover

    directory = DataDirectory.open(config.data_directory, keep_published=True)
    try:
        with (
            open_index(config, migrate=True) as index,
            progress("repairing studies", len(study_uids(directory.path))) as advance,
        ):
            check_identity(directory, index.database)
            record = index.writer.record
            recover(directory, record)
            verification = Verification(
                directory.path, index.database.engine, deep=deep, patience=0, advance=advance
            )
            mended = repair(directory.path, verification.findings(), record, on_left=found.add)
    finally:
        directory.close()
    return verification.files, mended
