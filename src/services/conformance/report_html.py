"""The report of a run for people: one self-contained page, with what went over the wire explained byte by byte."""

import shlex
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from services.conformance.case import Case
from services.conformance.connection import Move
from services.conformance.probe import describe_services
from services.conformance.report_text import verdict_line
from services.conformance.results import CaseResult, PlayedConnection, Run
from services.conformance.script import Script
from services.conformance.verdict import Finding, Verdict
from services.trace.association import AssociationTrace, TracedEvent
from services.trace.dissect import dissect
from services.trace.fields import Dissection, Side
from services.trace.html.ladder import MOST_ROWS, Ladder, Row, ladder
from services.trace.html.overview import Name, named, when
from services.trace.html.page import render_page, text
from services.trace.html.render import SCRIPTS, STYLES
from services.trace.html.views import Views
from services.trace.reading import PDUReader, ReadPDU

SHOWN_OF_A_CASE = 8
"""How many connections of one case are shown: the first two, and the last ones."""

ROWS_OF_A_CONNECTION = 150
"""How many PDUs and events of one connection are shown."""

VERDICTS = (Verdict.FAIL, Verdict.TOLERATED, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)
"""In the order of the report: what a reader looks for first."""

_LEFT_OVER = "left over"
"""How a trace calls what there is of a PDU that did not end."""

_ANNOTATED = (Verdict.FAIL, Verdict.TOLERATED)
_FIRST = 2
_ABOUT_THIS_RUN = frozenset({"--suite", "-s", "--case", "-c", "--script", "--html", "--junit", "--json"})
"""Options of the command, each with a value, that say which cases are played and where reports go."""


class Conversation(Struct, frozen=True):
    """One connection of a case as it is shown.

    Attributes:
        number: of the connection, from 1.
        started: when it opened, in words.
        ladder: what went over it.
        ends: what the requestor and the acceptor are called.
        remark: what is not shown of it; empty for nothing.
    """

    number: int
    started: str
    ladder: Ladder
    ends: tuple[str, str]
    remark: str


class StepLine(Struct, frozen=True):
    """One step of a case in words: what it does, why, and whether it was "done", "ended" the case, or came "after"."""

    words: str
    why: str
    state: str


class CaseEntry(Struct, frozen=True, kw_only=True):
    """One case as the page shows it.

    Attributes:
        case: the case itself.
        suite: what it is about.
        verdict, findings, seconds: how it ended.
        steps: what it does.
        command: plays it alone.
        conversations: what went over its connections, where that is shown.
        left_out: how many more connections it had.
    """

    case: Case
    suite: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    seconds: float
    steps: tuple[StepLine, ...]
    command: str
    conversations: tuple[Conversation, ...]
    left_out: int


class SuiteLine(Struct, frozen=True):
    """One line of the summary: a suite, and how many of its cases ended how, in the order of `VERDICTS`."""

    name: str
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """How many cases it has."""
        return sum(self.counts)


def render(run: Run) -> str:
    """The report of a run as one page that needs nothing else, to open from a disk or to send to a vendor."""
    views = Views()
    shown = _conversations(run, views)
    entries = [_entry(result, run, shown.get(position, ())) for position, result in enumerate(run.results)]
    scripts = {
        entry.case.id: [conversation.ladder.script for conversation in entry.conversations]
        for entry in entries
        if entry.conversations
    }
    return render_page(
        "own/report.html.j2",
        package="services.conformance",
        styles=(*STYLES, "own/report.css"),
        scripts=(*SCRIPTS, "own/report.js"),
        title=f"DICOM conformance of {text(run.address)}",
        data={**views.as_data(), "cases": scripts},
        run=run,
        headline=verdict_line(run),
        identity=tuple(_identity(run)),
        accepted=_accepted(run),
        verdicts=VERDICTS,
        total=SuiteLine("all", tuple(run.count(verdict) for verdict in VERDICTS)),
        suites=_suites(run),
        entries=entries,
    )


def command_alone(run: Run, case: Case) -> str:
    """The command that plays one case of a run alone, with everything else as it was."""
    words = _words(run)
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _ABOUT_THIS_RUN:
            skip = True
        elif word.partition("=")[0] not in _ABOUT_THIS_RUN:
            kept.append(word)
    if case.writes and "--allow-write" not in kept:
        kept.append("--allow-write")
    return text(shlex.join([*kept, "--script" if isinstance(case, Script) else "--case", case.id]))


def _words(run: Run) -> list[str]:
    try:
        words = shlex.split(run.command)
    except ValueError:
        words = []
    if words:
        return words
    return [
        *("dicom-conformance", "run", run.address),
        *("--called-ae", run.called_ae, "--aet", run.calling_ae),
    ]


# -- who was tested


def _identity(run: Run) -> Iterable[tuple[str, str]]:
    offer = run.offer
    yield "Address", text(run.address)
    yield "Called AE title", text(run.called_ae)
    yield "Calling AE title", text(run.calling_ae)
    yield "Implementation version", text(offer.implementation_version_name) or "not given"
    yield "Implementation class UID", text(offer.implementation_class_uid) or "not given"
    yield "Longest P-DATA-TF", f"{offer.maximum_length:,} bytes" if offer.maximum_length else "no limit"
    yield "Services", ", ".join(describe_services(offer)) or "none of those tested"
    yield "Tested", f"{when(run.started)}, for {run.seconds:.1f} s"


def _accepted(run: Run) -> tuple[tuple[Name, tuple[Name, ...]], ...]:
    return tuple(
        (named(abstract.decode("latin-1")), tuple(named(syntax.decode("latin-1")) for syntax in syntaxes))
        for abstract, syntaxes in run.offer.accepted.items()
    )


def _suites(run: Run) -> list[SuiteLine]:
    counts: dict[str, list[int]] = {}
    for result in run.results:
        line = counts.setdefault(result.case.suite.value, [0] * len(VERDICTS))
        line[VERDICTS.index(result.verdict)] += 1
    return [SuiteLine(name, tuple(line)) for name, line in counts.items()]


# -- cases


def _entry(result: CaseResult, run: Run, conversations: Sequence[Conversation]) -> CaseEntry:
    shown = tuple(conversations)
    return CaseEntry(
        case=result.case,
        suite=result.case.suite.value,
        verdict=result.verdict,
        findings=tuple(
            Finding(each.verdict, text(each.expected), text(each.got), text(each.why))
            for each in result.findings
        ),
        seconds=result.seconds,
        steps=tuple(_steps(result)),
        command=command_alone(run, result.case),
        conversations=shown,
        left_out=len(result.connections) - len(shown) if shown else 0,
    )


def _steps(result: CaseResult) -> Iterable[StepLine]:
    for position, step in enumerate(result.case.steps):
        state = "done" if position < result.reached else "ended" if position == result.reached else "after"
        if not result.connections:
            state = "after"
        yield StepLine(text(step.describe()), text(getattr(step, "why", "")), state)


# -- what went over the wire


def _conversations(run: Run, views: Views) -> dict[int, list[Conversation]]:
    """What is shown of the connections of each result, by its position; failures come first where room is short."""
    left = MOST_ROWS
    found: dict[int, list[Conversation]] = {}
    for verdict in _ANNOTATED:
        for position, result in enumerate(run.results):
            if result.verdict is not verdict:
                continue
            found[position] = []
            for connection in _chosen(result.connections):
                shown = _conversation(result.case, connection, views, min(left, ROWS_OF_A_CONNECTION))
                left -= len(shown.ladder.rows)
                found[position].append(shown)
    return found


def _chosen(connections: Sequence[PlayedConnection]) -> Sequence[PlayedConnection]:
    if len(connections) <= SHOWN_OF_A_CASE:
        return connections
    return (*connections[:_FIRST], *connections[_FIRST - SHOWN_OF_A_CASE :])


def _conversation(case: Case, connection: PlayedConnection, views: Views, most: int) -> Conversation:
    tester = Side.ACCEPTOR if isinstance(case, Script) else Side.REQUESTOR
    trace, remains = follow(connection, tester)
    drawn = ladder(trace, views, most, remains)
    rows = tuple(_without_blame(row, tester) for row in drawn.rows)
    return Conversation(
        connection.number,
        when(connection.started),
        Ladder(rows, drawn.begin, drawn.left_out, drawn.script),
        ("Tester", "Peer") if tester is Side.REQUESTOR else ("Peer", "Tester"),
        "More bytes went over it than were kept." if connection.cut else "",
    )


def follow(connection: PlayedConnection, tester: Side) -> tuple[AssociationTrace, dict[int, Dissection]]:
    """A connection of the tester as a trace.

    Args:
        connection: what went over it.
        tester: which side of the association the tester was.

    Returns:
        the trace, and by the position of its entry what there was of each PDU that did not end.
    """
    trace = AssociationTrace(started=connection.started)
    readers = {side: PDUReader() for side in Side}
    finished = False
    for exchange in connection.exchanges:
        match exchange.move:
            case Move.OPENED:
                trace.opened(exchange.at)
            case Move.SENT | Move.RECEIVED:
                sender = tester if exchange.move is Move.SENT else tester.peer
                trace.feed(sender, exchange.data, exchange.at)
                readers[sender].feed(exchange.data)
            case Move.FINISHED:
                finished = True
                trace.entries.append(TracedEvent(exchange.at, tester, "one half of the connection closed"))
            case Move.CLOSED | Move.RESET:
                trace.closed(tester, exchange.at, exchange.move is Move.RESET)
            case Move.PEER_CLOSED:
                trace.closed(tester if finished else tester.peer, exchange.at)
            case Move.PEER_RESET:
                trace.closed(tester.peer, exchange.at, reset=True)
    trace.ended(connection.exchanges[-1].at if connection.exchanges else 0.0)
    return trace, _remains(trace, readers)


def _remains(trace: AssociationTrace, readers: dict[Side, PDUReader]) -> dict[int, Dissection]:
    """What there was of each PDU that did not end: the trace has an event of its sender for it, before the last."""
    found = {}
    for side, reader in readers.items():
        if not reader.incomplete:
            continue
        for position in range(len(trace.entries) - 1, -1, -1):
            entry = trace.entries[position]
            if isinstance(entry, TracedEvent) and entry.side is side and _LEFT_OVER in entry.what:
                found[position] = dissect(ReadPDU(reader.incomplete, None))
                break
    return found


def _without_blame(row: Row, tester: Side) -> Row:
    """What the tester does is wrong on purpose, or follows from that: it is told, and not held against anyone."""
    if row.sender != tester.value or not row.problems:
        return row
    return replace(
        row, problems=(), notes=(*(f"The tester: {problem}" for problem in row.problems), *row.notes)
    )
