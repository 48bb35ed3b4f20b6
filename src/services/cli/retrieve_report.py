"""What `dicom-retrieve` and `dicom-move` tell: what goes wrong as it happens, on standard error; the summary, on
standard output."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from dimse import status
from dimse.errors import DimseError
from services.cli.client import OutputFormat
from services.cli.hints import hint
from services.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from services.cli.retrieve_job import Missing, RetrieveJob
    from services.cli.retrieve_methods import Source
    from services.retrieve.folder import Folder, Identity

NAMED = 20
"""Missing instances that are named one by one."""


class Bar:
    """A progress bar whose total may become known late, and change."""

    def __init__(self, progress: "Progress | None" = None, task: "TaskID | None" = None) -> None:
        self._progress = progress
        self._task = task

    def total(self, total: int) -> None:
        """There are so many in all."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, total=total)

    def advance(self, steps: int = 1) -> None:
        """So many more are done."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, steps)

    def done(self, steps: int) -> None:
        """So many are done in all."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=steps)


@contextmanager
def progress_bar(description: str, *, quiet: bool = False) -> Iterator[Bar]:
    """A bar on a terminal, on standard error; in a pipe, or when `quiet`, one that shows nothing."""
    if quiet or not sys.stderr.isatty():
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        yield Bar(progress, progress.add_task(description, total=None))


class RetrieveReport:
    """Tells how a retrieve goes.

    Args:
        source: whom from.
        output: where to, as a person wrote it.
        destination: our AE title as the destination of a C-MOVE; empty for C-GET.
        format: of the summary.
        verbose: a line for each instance.
    """

    def __init__(
        self, source: "Source", output: str, destination: str, format: OutputFormat, verbose: bool
    ) -> None:
        self.verbose = verbose
        self.where = f"{source.called_ae} at {source.host}:{source.port}"
        self._source = source
        self._output = output
        self._destination = destination
        self._format = format
        self._begin = time.perf_counter()

    def note(self, text: str, error: Exception | None = None) -> None:
        """What happens beside the instances."""
        complain(f"{self.where}: {text}")
        self._hint(error)

    def fail(self, text: str, error: Exception | None = None) -> None:
        """Nothing can be retrieved."""
        complain(f"error: {self.where}: {text}")
        self._hint(error)

    def kept(self, identity: "Identity", size: int) -> None:
        """An instance was written."""
        if self.verbose:
            complain(f"received: {identity.sop_instance_uid}: {size} bytes")

    def refused(self, sop_instance_uid: str, reason: str) -> None:
        """An instance came, and was not taken."""
        complain(f"refused: {sop_instance_uid or 'an instance without UID'}: {reason}")

    def _hint(self, error: Exception | None) -> None:
        advice = None if error is None else self._advice(error)
        if advice is not None:
            complain(f"hint: {advice}")

    def _advice(self, error: Exception) -> str | None:
        if isinstance(error, TimeoutError):
            return None  # there was an association; the hint is about connecting
        if not isinstance(error, DimseError):
            return hint(error)
        if error.status != status.SOP_CLASS_NOT_SUPPORTED:
            return None
        if self._destination:
            return "does the peer offer C-MOVE at all? --method get asks it for C-GET"
        return "does the peer offer C-GET at all? --method move asks it for C-MOVE, to a listener of ours"

    def end(self, job: "RetrieveJob", folder: "Folder", *, interrupted: bool) -> None:
        """The summary."""
        seconds = max(time.perf_counter() - self._begin, 1e-3)
        self._name_missing(job.missing)
        if interrupted:
            left = "" if job.left is None else f"; {count(job.left, 'instance')} left"
            complain(f"interrupted{left}: run the same again, which retrieves only what is missing")
        if self._format == "json":
            self._print_json(job, folder, seconds, interrupted)
            return
        megabytes = folder.size / 1e6
        typer.echo(
            printable(
                f"retrieved {count(folder.kept, 'instance')} from {self.where} into {self._output}: "
                f"{megabytes:.1f} MB in {seconds:.2f} s, {megabytes / seconds:.1f} MB/s, "
                f"{count(job.associations, 'association')}"
            )
        )
        already = job.already + folder.repeated
        if already:
            typer.echo(f"  {already} there already")
        for reason, number in Counter(missing.reason for missing in job.missing).most_common():
            typer.echo(printable(f"  {number} missing: {reason}"))

    def _name_missing(self, missing: "Sequence[Missing]") -> None:
        for each in missing[:NAMED]:
            complain(f"missing: {each.what}: {each.reason}")
        if len(missing) > NAMED:
            more = len(missing) - NAMED
            complain(
                f"and {more} more missing" + ("" if self._format == "json" else "; --format json names all")
            )
        self._hint(next((each.error for each in missing if each.error is not None), None))
        if any(each.status == status.MOVE_DESTINATION_UNKNOWN for each in missing):
            complain(destination_hint(self._source, self._destination))

    def _print_json(self, job: "RetrieveJob", folder: "Folder", seconds: float, interrupted: bool) -> None:
        print_json(
            {
                **peer_fields(self._source),
                "method": "move" if self._destination else "get",
                "output": self._output,
                "retrieved": folder.kept,
                "alreadyThere": job.already + folder.repeated,
                "warnings": job.warnings,
                "refused": len(folder.refused),
                "bytes": folder.size,
                "seconds": round(seconds, 3),
                "megabytesPerSecond": round(folder.size / 1e6 / seconds, 1),
                "associations": job.associations,
                "listed": job.is_listed,
                "interrupted": interrupted,
                "left": job.left if interrupted or folder.failure is not None else 0,
                "missing": [_missing(each) for each in job.missing],
            }
        )


def _missing(each: "Missing") -> dict[str, str]:
    if each.listed is None:
        return {"what": each.what, "reason": each.reason}
    return {
        "what": each.what,
        "reason": each.reason,
        "study": each.listed.study_uid,
        "series": each.listed.series_uid,
        "sopClass": each.listed.sop_class_uid,
    }


def destination_hint(source: "Source", destination: str) -> str:
    """What to do about status A801H."""
    return (
        f"hint: {source.called_ae} does not know {destination}: name address and port of that AE title there "
        "(dicom-server: knownDestinations, Orthanc: DicomModalities, dcmqrscp: the HostTable), or say another one; "
        "letter case counts"
    )


def peer_fields(source: "Source") -> dict[str, Any]:
    """Who was asked, and by whom."""
    return {
        "host": source.host,
        "port": source.port,
        "calledAE": source.called_ae,
        "callingAE": source.calling_ae,
    }


def count(number: int, what: str) -> str:
    """A number and its noun."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def complain(text: str) -> None:
    """A line on standard error, above the progress bar where there is one."""
    print(printable(text), file=sys.stderr)


def print_json(answer: dict[str, Any]) -> None:
    """An object on standard output."""
    typer.echo(json.dumps(answer, indent=2))
