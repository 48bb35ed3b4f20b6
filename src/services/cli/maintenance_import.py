"""`dicom-server import`: takes in a folder of files."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from services.cli.common import ExitCode, fail, progress, usage_error
from services.cli.maintenance import (
    ConfigFile,
    DatabaseURL,
    DataDirectoryOption,
    failures,
    settings,
)
from services.printable import printable

_WORDS = {
    "stored": "taken in",
    "there": "there already",
    "different": "held otherwise",
    "skipped": "skipped",
    "failed": "failed",
}


def import_(
    folder: Annotated[
        Path, typer.Argument(help="Folder whose files, and those in its folders, to take in.", metavar="DIR")
    ],
    data_dir: DataDirectoryOption = None,
    config: ConfigFile = None,
    database_url: DatabaseURL = None,
    link: Annotated[
        bool,
        typer.Option(
            "--link",
            help="Give files a second name instead of copying them, where they lie in the same file system; they must "
            "not be changed afterwards.",
        ),
    ] = False,
    move: Annotated[bool, typer.Option("--move", help="Remove each file once it is stored.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print a line for each file, also where all is well.")
    ] = False,
) -> None:
    """Take in an existing folder of DICOM files.

    The server must not run: where it does, dicom-send brings the files. What is no DICOM file, or a DICOMDIR, is
    skipped. Said again after an interruption, it goes on where it was: what is there already is not stored again.

    \b
    Examples:
      dicom-server import /media/archive
      dicom-server import /media/archive --data-dir /var/lib/dicom --link

    Exit code 0 means that every DICOM file is in the archive, 1 that some are not, 130 that Ctrl+C came first.
    """
    if link and move:
        usage_error("--link keeps the originals, --move removes them; give one of them")
    if not folder.is_dir():
        usage_error(f"{folder}: there is no such folder")
    chosen = settings(config, data_dir, database_url)
    from dul.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
    from services.archive.errors import DataDirectoryInUse
    from services.archive.maintenance.importing import How, Kind, Result, files_in, import_files
    from services.archive.opening import open_with_index
    from services.loop import run

    how = How.LINK if link else How.MOVE if move else How.COPY
    counts: Counter[str] = Counter()

    def conclude(result: Result) -> None:
        counts[result.kind.value] += 1
        if verbose or result.kind in (Kind.FAILED, Kind.DIFFERENT):
            text = f": {result.text}" if result.text else ""
            typer.echo(printable(f"{_WORDS[result.kind.value]}  {result.file}{text}"))

    def unreadable(error: OSError) -> None:
        conclude(Result(Path(error.filename), Kind.FAILED, error.strerror or str(error)))

    with failures("take in the files", "what was taken in stays; say it again to go on"):
        number = sum(1 for _ in files_in(folder, chosen.data_directory, lambda error: None))
        try:
            opened = open_with_index(
                chosen.data_directory,
                chosen.database_url,
                durability=chosen.durability,
                duplicates=chosen.duplicates,
                max_instance_bytes=chosen.limits.instance_size,
                free_space_reserve=chosen.limits.min_free_space,
                max_depth=chosen.limits.data_set_depth,
                max_elements=chosen.limits.data_set_elements,
                implementation_class_uid=IMPLEMENTATION_CLASS_UID,
                implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            )
        except DataDirectoryInUse as error:
            fail(f"{error}\nwhile that server runs, dicom-send brings it the files")
        if opened.archive.repair.unindexed:
            typer.echo("the index knew none of the images that are there: run dicom-server reindex", err=True)
        files = files_in(folder, chosen.data_directory, unreadable)
        try:
            with progress("taking in", number, quiet=verbose) as advance:
                run(import_files(opened.archive, _counted(files, advance), how=how, on_result=conclude))
        finally:
            opened.close()
            typer.echo(", ".join(f"{counts[kind]} {word}" for kind, word in _WORDS.items()))
    if counts["failed"] or counts["different"]:
        raise typer.Exit(ExitCode.FAILURE)


def _counted(files: Iterator[Path], advance: Callable[[int], None]) -> Iterator[Path]:
    for file in files:
        advance(1)
        yield file
