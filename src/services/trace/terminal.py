"""A trace as lines for a terminal: one for each PDU, more where they are asked for.

Everything from the wire is made printable. In a pipe a line is a line however long it is, without colours; each
entry is flushed, so that who follows sees it at once.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, TextIO

from dul.pdus import PDataTF
from services.printable import printable, shorten
from services.trace.association import AssociationTrace, Entry, TracedPDU
from services.trace.dissect import Context
from services.trace.dissect_data import dissect_command
from services.trace.dissect_data_set import dissect_data_set
from services.trace.fields import Field, Side
from services.trace.inference import Step
from services.trace.reading import ReadMessage

if TYPE_CHECKING:
    from rich.console import Console

ARROWS = {Side.REQUESTOR: "->", Side.ACCEPTOR: "<-"}
"""How the direction is shown: the requestor stands left, the acceptor right."""

_SUMMARY_WIDTH = 76
_BYTES_SHOWN = 8
_DATA_SET_SHOWN = 1 << 16  # bytes of a data set that are taken apart
_VALUE_WIDTH = 64


class Span(NamedTuple):
    """A piece of a line, and how a terminal shows it."""

    text: str
    style: str = ""


Line = Sequence[Span]


class Terminal:
    """Prints a trace.

    Args:
        stream: where to.
        verbosity: 0: a line for each PDU; 1: each of its fields too; 2: the data sets too.
        numbered: begin each line with the number of the connection, since several may go on at a time.
    """

    def __init__(self, stream: TextIO, verbosity: int = 0, *, numbered: bool = True) -> None:
        self._stream = stream
        self._verbosity = verbosity
        self._numbered = numbered
        self._console = _console(stream)

    def show(
        self, number: int, trace: AssociationTrace, entries: Sequence[Entry], *, is_new: bool = False
    ) -> None:
        """Print entries of a trace, below a line of its own where it has just begun."""
        if is_new:
            self._print(_heading(number, trace))
        for entry in entries:
            for line in lines(entry, trace.contexts, self._verbosity):
                self._print((Span(f"{number:<3} ", "dim"), *line) if self._numbered else line)

    def say(self, text: str) -> None:
        """Print a line of another kind."""
        self._print((Span(printable(text)),))

    def _print(self, line: Line) -> None:
        if self._console is None:
            print("".join(span.text for span in line).rstrip(), file=self._stream, flush=True)
            return
        from rich.text import Text

        # Wide lines are for the terminal to break: what is copied from it is then still one line.
        self._console.print(Text.assemble(*line), soft_wrap=True)
        self._stream.flush()


def _console(stream: TextIO) -> "Console | None":
    if not stream.isatty():
        return None
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _heading(number: int, trace: AssociationTrace) -> Line:
    when = ""
    if trace.started is not None:
        when = f", {datetime.fromtimestamp(trace.started, UTC):%Y-%m-%d %H:%M:%S.%f} UTC"
    return (Span(f"Connection {number}: {printable(trace.name)}{when}", "bold"),)


def lines(entry: Entry, contexts: dict[int, Context], verbosity: int = 0) -> Iterator[Line]:
    """The lines of one entry.

    Args:
        entry: of a trace.
        contexts: that trace's, by which data sets are read.
        verbosity: as of `Terminal`.
    """
    yield _summary(entry)
    # Those of a field stand at the field, where fields are shown.
    at_fields = entry.dissection.problems if isinstance(entry, TracedPDU) and verbosity else []
    for problem in entry.problems:
        if problem in at_fields:
            continue
        yield (Span("           "), Span(f"! {printable(problem)}", "bold red"))
    for note in entry.notes:
        yield (Span("           "), Span(f"i {printable(note)}", "yellow"))
    if isinstance(entry, TracedPDU) and verbosity:
        for field in entry.dissection.fields:
            yield from _field_lines(field, 0, lambda f: entry.dissection.raw[f.offset : f.end])
        for message in entry.messages:
            yield from _message_lines(message, entry, contexts, verbosity)


def _summary(entry: Entry) -> Line:
    at = Span(f"{entry.at:10.6f} ", "dim")
    steps = Span(transitions(entry.steps), "cyan")
    if not isinstance(entry, TracedPDU):
        by = f" by the {entry.side.value}" if entry.side is not None else ""
        return (at, Span(f"-- {entry.what + by:<{_SUMMARY_WIDTH + 16}} "), steps)
    dissection = entry.dissection
    style = "red" if entry.problems else "green" if entry.sender is Side.REQUESTOR else "blue"
    return (
        at,
        Span(f"{ARROWS[entry.sender]} {printable(dissection.name):<15} ", style),
        Span(f"{printable(dissection.summary):<{_SUMMARY_WIDTH}} "),
        steps,
    )


def transitions(steps: Sequence[Step]) -> str:
    """Transitions of both ends, such as "requestor Sta4 + Evt2 -> AE-2 -> Sta5 | acceptor Sta2 + …"."""
    found: list[str] = []
    last: Step | None = None
    for step in steps:
        there = step.transition
        text = f" + {there.event.name} -> {there.action_name} -> {there.next_state.name}"
        goes_on = last is not None and last.side is step.side and last.transition.next_state is there.state
        if goes_on:
            found[-1] += text
        else:
            found.append(f"{step.side.value} {there.state.name}{text}")
        last = step
    return " | ".join(found)


# -- fields


def _field_lines(field: Field, depth: int, bytes_of: Callable[[Field], bytes]) -> Iterator[Line]:
    data = bytes_of(field)
    shown = data[:_BYTES_SHOWN].hex(" ") if not field.children else ""
    if len(data) > _BYTES_SHOWN and not field.children:
        shown += " …"
    value = shorten(printable(field.value), _VALUE_WIDTH)
    if field.meaning and field.meaning != field.value:
        value = f"{value}  {shorten(printable(field.meaning), _VALUE_WIDTH)}".strip()
    clause = f"  ({field.clause})" if field.clause else ""
    yield (
        Span(f"           {field.offset:06x}  ", "dim"),
        Span(f"{shown:<{_BYTES_SHOWN * 3 + 1}}  ", "magenta"),
        Span(f"{'  ' * depth}{printable(field.name)}", "bold" if field.children else ""),
        Span(f"  {value}" if value else ""),
        Span(clause, "dim"),
    )
    if field.problem:
        yield (Span(" " * 19), Span(f"! {printable(field.problem)}", "bold red"))
    for child in field.children:
        yield from _field_lines(child, depth + 1, bytes_of)


def _message_lines(
    message: ReadMessage, entry: TracedPDU, contexts: dict[int, Context], verbosity: int
) -> Iterator[Line]:
    name = message.message.command_field if message.message is not None else None
    label = getattr(name, "label", None) or "a message that cannot be read"
    fragments = f"{message.fragments} fragment{'s' if message.fragments != 1 else ''}"
    text = f"{label} complete, on context {message.context_id}, in {fragments}"
    if message.data_set is not None:
        text += f", with a data set of {message.data_set_length} bytes"
    yield (Span("           "), Span(f"= {text}", "bold"))
    if verbosity < 2:
        return
    if not _stands_in(message.command, entry):
        for field in dissect_command(message.command):
            yield from _field_lines(field, 1, lambda f: message.command[f.offset : f.end])
    if message.data_set is None:
        return
    data = message.data_set
    context = contexts.get(message.context_id)
    if context is None:
        yield (Span("             its transfer syntax is not known"),)
        return
    for field in dissect_data_set(data, context.transfer_syntax, 0, _DATA_SET_SHOWN):
        yield from _field_lines(field, 1, lambda f: data[f.offset : f.end])
    if len(data) < message.data_set_length:
        yield (Span(f"             … of which the first {len(data)} bytes were kept"),)


def _stands_in(command: bytes, entry: TracedPDU) -> bool:
    """Whether a PDU has the whole command set, so that it is shown among its fields."""
    pdu = entry.dissection.pdu
    return isinstance(pdu, PDataTF) and any(pdv.is_command and pdv.data == command for pdv in pdu.pdvs)
