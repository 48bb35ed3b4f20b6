"""What `dicom-send` tells: what goes wrong as it happens, on standard error; the summary, on standard output."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import typer

from dimse import status
from services.cli.client import OutputFormat
from services.cli.hints import hint
from services.printable import printable
from services.send import InstanceFile, contexts_of, plan
from services.sending import Destination, Outcome
from services.sop_classes import name_of

_NAMED = 20
"""Files not sent that are named one by one, when Ctrl+C came."""


class Report:
    """Takes note of every file.

    Attributes:
        verbose: print a line for each file.
        failures: what failed: file, status or None, and why.
    """

    def __init__(self, destination: Destination, format: OutputFormat, verbose: bool) -> None:
        self.verbose = verbose
        self.failures: list[tuple[str, int | None, str]] = []
        self._destination = destination
        self._format = format
        self._where = f"{destination.called_ae} at {destination.host}:{destination.port}"
        self._skipped: list[tuple[str, str]] = []
        self._warnings: Counter[str] = Counter()
        self._sent = 0
        self._bytes = 0
        self._begin = 0.0

    # -- as it happens

    def skip(self, path: str, reason: str) -> None:
        """A file that is not to be sent."""
        self._skipped.append((path, reason))
        _complain(f"skipped: {path}: {reason}")

    def unreadable(self, path: str, reason: str) -> None:
        """A file that should be sent and cannot be read."""
        self.failures.append((path, None, reason))
        _complain(f"failed: {path}: {reason}")

    def fail(self, text: str, error: Exception | None = None) -> None:
        """Nothing can be sent."""
        _complain(f"error: {self._where}: {text}")
        advice = None if error is None else hint(error)
        if advice is not None:
            _complain(f"hint: {advice}")

    def note(self, text: str, error: Exception | None = None) -> None:
        """What happens beside the files."""
        _complain(f"{self._where}: {text}")
        advice = None if error is None else hint(error)
        if advice is not None:
            _complain(f"hint: {advice}")

    def conclude(self, outcome: Outcome) -> None:
        """What became of a file."""
        path = outcome.file.path
        if not outcome.is_sent:
            self.failures.append((path, outcome.status, outcome.reason))
            if outcome.was_tried:
                _complain(f"failed: {path}: {outcome.reason}")
            return
        self._sent += 1
        self._bytes += outcome.file.data_set_length
        if outcome.is_warning:
            self._warnings[outcome.reason] += 1
            _complain(f"warning: {path}: {outcome.reason}")
        elif self.verbose:
            _complain(
                f"sent: {path}: {outcome.file.data_set_length} bytes in {outcome.seconds * 1000:.1f} ms"
            )

    def begin(self) -> None:
        """Sending begins."""
        self._begin = time.perf_counter()

    # -- the summary

    def end(self, associations: int, unfinished: Sequence[InstanceFile]) -> None:
        """Print the summary."""
        seconds = time.perf_counter() - self._begin
        if self._format == "json":
            self._print_json(seconds, associations, unfinished)
        else:
            self._print_text(seconds, associations, unfinished)

    def _print_text(self, seconds: float, associations: int, unfinished: Sequence[InstanceFile]) -> None:
        total = self._sent + len(self.failures) + len(unfinished)
        megabytes = self._bytes / 1e6
        typer.echo(
            f"sent {self._sent} of {_count(total, 'file')} to {self._where}: {megabytes:.1f} MB in {seconds:.2f} s, "
            f"{megabytes / seconds:.1f} MB/s, {_count(associations, 'association')}"
        )
        for reason, count in self._warnings.most_common():
            typer.echo(printable(f"  {count} with {reason}"))
        reasons = Counter(
            reason if code is None else status.describe(code) for _, code, reason in self.failures
        )
        for reason, count in reasons.most_common():
            typer.echo(printable(f"  {count} failed: {reason}"))
        if self._skipped:
            typer.echo(f"  {len(self._skipped)} skipped")
        if unfinished:
            _complain(
                f"interrupted: {_count(len(unfinished), 'file')} not sent, or sent and not answered for:"
            )
            for file in unfinished[:_NAMED]:
                _complain(f"  {file.path}")
            if len(unfinished) > _NAMED:
                _complain(f"  and {len(unfinished) - _NAMED} more")

    def _print_json(self, seconds: float, associations: int, unfinished: Sequence[InstanceFile]) -> None:
        _print(
            {
                **self._peer(),
                "sent": self._sent,
                "warnings": sum(self._warnings.values()),
                "failed": len(self.failures),
                "notSent": len(unfinished),
                "bytes": self._bytes,
                "seconds": round(seconds, 3),
                "megabytesPerSecond": round(self._bytes / 1e6 / seconds, 1),
                "associations": associations,
                "failures": self._failures(),
                "skipped": self._skips(),
                "unfinished": [file.path for file in unfinished],
            }
        )

    # -- a dry run

    def print_plan(self, files: Sequence[InstanceFile]) -> None:
        """Print what would be sent, and what would be proposed for it."""
        associations = [contexts_of(needs) for needs in plan(file.needs for file in files)]
        size = sum(file.data_set_length for file in files)
        if self._format == "json":
            _print(
                {
                    **self._peer(),
                    "bytes": size,
                    "files": [_described(file) for file in files],
                    "associations": [
                        [
                            {
                                "sopClass": context.abstract_syntax,
                                "transferSyntaxes": list(context.transfer_syntaxes),
                            }
                            for context in contexts
                        ]
                        for contexts in associations
                    ],
                    "failures": self._failures(),
                    "skipped": self._skips(),
                }
            )
            return
        for file in files:
            sop_class, syntax = name_of(file.sop_class_uid), name_of(file.transfer_syntax_uid)
            typer.echo(printable(f"{file.path}: {sop_class}, {syntax}, {file.data_set_length} bytes"))
        typer.echo(
            f"{_count(len(files), 'file')}, {size / 1e6:.1f} MB, would go to {self._where} on "
            f"{_count(len(associations), 'association')}:"
        )
        for number, contexts in enumerate(associations, 1):
            typer.echo(f"  association {number}, {_count(len(contexts), 'context')}:")
            for context in contexts:
                syntaxes = " or ".join(name_of(syntax) for syntax in context.transfer_syntaxes)
                typer.echo(f"    {name_of(context.abstract_syntax)} in {syntaxes}")

    # -- JSON

    def _peer(self) -> dict[str, Any]:
        to = self._destination
        return {"host": to.host, "port": to.port, "calledAE": to.called_ae, "callingAE": to.calling_ae}

    def _failures(self) -> list[dict[str, Any]]:
        return [
            {"file": path, "status": None if code is None else f"{code:04X}", "reason": reason}
            for path, code, reason in self.failures
        ]

    def _skips(self) -> list[dict[str, str]]:
        return [{"file": path, "reason": reason} for path, reason in self._skipped]


def _described(file: InstanceFile) -> dict[str, Any]:
    return {
        "file": file.path,
        "sopClass": file.sop_class_uid,
        "sopInstance": file.sop_instance_uid,
        "transferSyntax": file.transfer_syntax_uid,
        "bytes": file.data_set_length,
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _complain(text: str) -> None:
    typer.echo(printable(text), err=True)


def _print(answer: dict[str, Any]) -> None:
    typer.echo(json.dumps(answer, indent=2))
