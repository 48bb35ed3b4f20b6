"""What `dicom-trace` prints while it follows, and the page it writes at the end."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol

import typer

from services.cli.client import OutputFormat
from services.cli.common import ExitCode, fail, usage_error
from services.trace.association import AssociationTrace, Entry
from services.trace.following import Followed
from services.trace.json_lines import JSONLines
from services.trace.terminal import Terminal


class _View(Protocol):
    def show(
        self, number: int, trace: AssociationTrace, entries: list[Entry], *, is_new: bool = False
    ) -> None: ...


class Output:
    """Prints what is followed, and at the end writes a page of it.

    Args:
        format: how to print.
        verbosity: how much of each PDU.
        html: where the page goes; None for none.
        strict: problems make `end` exit with 1.
        numbered: begin each line with the number of the connection.

    Attributes:
        is_broken: nobody reads what is printed any more.
        problem_count: how many problems were shown.
    """

    def __init__(
        self, format: OutputFormat, verbosity: int, html: Path | None, strict: bool, *, numbered: bool = True
    ) -> None:
        if html is not None and not html.absolute().parent.is_dir():
            usage_error(f"--html {html}: there is no directory {html.absolute().parent}")
        self.is_broken = False
        self.problem_count = 0
        self._html = html
        self._strict = strict
        self._view: _View = (
            JSONLines(sys.stdout, verbosity)
            if format == "json"
            else Terminal(sys.stdout, verbosity, numbered=numbered)
        )

    @property
    def keeps(self) -> bool:
        """Whether traces have to be held for the page."""
        return self._html is not None

    def show(self, followed: Followed | None) -> None:
        """Print what one event led to."""
        if followed is None or self.is_broken:
            return
        self.problem_count += sum(len(entry.problems) for entry in followed.entries)
        try:
            self._view.show(followed.number, followed.trace, followed.entries, is_new=followed.is_new)
        except BrokenPipeError:
            self.is_broken = True
            # What is still buffered is flushed when the program ends, and would fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def end(
        self, traces: Sequence[AssociationTrace], title: str, not_kept: int = 0, code: int = 0
    ) -> NoReturn:
        """Write the page and exit.

        Args:
            traces: what it shows.
            title: of the page.
            not_kept: how many more there were.
            code: to exit with where nothing else is to be told.
        """
        if self._html is not None:
            from services.trace.html import render_trace

            page = render_trace(traces, title)
            try:
                self._html.write_text(page, encoding="utf-8")
            except OSError as error:
                fail(f"--html {self._html}: cannot be written: {error.strerror or error}")
            typer.echo(f"written: {self._html}", err=True)
            if not_kept:
                typer.echo(
                    f"{self._html} shows the first {len(traces)} associations, {not_kept} more are not in it",
                    err=True,
                )
        if self._strict and self.problem_count:
            typer.echo(f"problems found: {self.problem_count}", err=True)
            raise typer.Exit(ExitCode.FAILURE)
        raise typer.Exit(code)
