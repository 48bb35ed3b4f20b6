"""The report of a run for a terminal, and what `list` and `explain` print."""

from collections.abc import Iterable, Iterator

from services.conformance.case import Case
from services.conformance.probe import describe_services
from services.conformance.results import CaseResult, Run
from services.conformance.verdict import Verdict
from services.printable import printable

_COLUMNS = (
    Verdict.PASS,
    Verdict.TOLERATED,
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_APPLICABLE,
)


def peer_lines(run: Run) -> Iterator[str]:
    """Who was tested."""
    offer = run.offer
    version = printable(offer.implementation_version_name) or "no version name"
    yield f"peer      {printable(run.address)}, called '{printable(run.called_ae)}'"
    yield f"says      {version}, {printable(offer.implementation_class_uid) or 'no Implementation Class UID'}"
    longest = f"{offer.maximum_length} bytes" if offer.maximum_length else "no limit"
    yield f"takes     P-DATA-TF of {longest}"
    yield f"offers    {', '.join(describe_services(offer)) or 'none of the services tested'}"


def summary_lines(run: Run) -> Iterator[str]:
    """How many cases of each suite ended how."""
    heads = [verdict.value for verdict in _COLUMNS]
    yield f"{'suite':<12}" + "".join(f"{head:>16}" for head in heads)
    for suite in run.suites:
        yield f"{suite.value:<12}" + "".join(f"{run.count(verdict, suite):>16}" for verdict in _COLUMNS)
    yield f"{'all':<12}" + "".join(f"{run.count(verdict):>16}" for verdict in _COLUMNS)


def result_lines(result: CaseResult) -> Iterator[str]:
    """One result that is not a plain pass: what was expected, what came, and the clause."""
    case = result.case
    yield f"{result.verdict.value.upper():<12} {case.id:<16} {case.title} [{case.clause}]"
    for finding in result.findings:
        yield f"{'':<13}{printable(str(finding))}"


def report_lines(run: Run, *, verbose: bool = False) -> Iterator[str]:
    """The whole report; with `verbose` every case, else only those that say something about the peer."""
    yield from peer_lines(run)
    yield ""
    telling = (Verdict.FAIL, Verdict.TOLERATED, Verdict.INCONCLUSIVE)
    told = [result for result in run.results if verbose or result.verdict in telling]
    for result in sorted(told, key=lambda result: -result.verdict.severity):
        yield from result_lines(result)
    if told:
        yield ""
    yield from summary_lines(run)
    yield ""
    yield from (printable(remark) for remark in run.remarks)
    yield verdict_line(run)


def verdict_line(run: Run) -> str:
    """The run in one line."""
    played = len(run.results) - run.count(Verdict.NOT_APPLICABLE)
    failed = run.count(Verdict.FAIL)
    word = f"{failed} of {played} cases failed" if failed else f"none of {played} cases failed"
    return f"{word}, in {run.seconds:.1f} s"


def list_lines(cases: Iterable[Case]) -> Iterator[str]:
    """One line for each case: id, marks, title."""
    for case in cases:
        marks = ", ".join(
            mark
            for mark in (
                *(f"needs {need.value}" for need in sorted(case.needs)),
                "writes" * case.writes,
                "waits" * case.waits,
            )
            if mark
        )
        yield f"{case.id:<16} {case.title}" + (f"  ({marks})" if marks else "")


def explain_lines(case: Case) -> Iterator[str]:
    """What a case sends, what must come back, and the clause."""
    yield f"{case.id}: {case.title}"
    yield f"clause: {case.clause}"
    if case.needs:
        yield f"needs: {', '.join(need.value for need in sorted(case.needs))}"
    if case.writes:
        yield "writes: it stores instances of its own in the peer, only with --allow-write"
    if case.waits:
        yield "waits: for a timer of the peer, beside other cases"
    yield "The tester"
    yield "  1. opens a connection"
    for number, step in enumerate(case.steps, 2):
        yield f"  {number}. {step.describe()}"
        why = getattr(step, "why", "")
        if why:
            yield f"     because {why}"
    yield "Then a C-ECHO on a fresh association must be answered."
    if case.note:
        yield f"note: {case.note}"
