"""Runs every conformance case against DCMTK, Orthanc, pynetdicom and this server, and writes what each did.

`make conformance-matrix` writes docs/conformance-matrix.md. Every peer listens on loopback and ends with this.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from peers import dcmqrscp, free_port, orthanc, pynetdicom_scp, storescp
from servers import running_server
from services.conformance.case import Case, Suite
from services.conformance.cases import select
from services.conformance.probe import new_run, probe
from services.conformance.results import CaseResult, Run
from services.conformance.runner import run
from services.conformance.target import Target
from services.conformance.verdict import Verdict
from services.conformance.wellformed import WELL_FORMED, judge
from services.loop import run as run_loop

ROOT = Path(__file__).parents[1]
ARTIM = 3
"""What every peer's ARTIM, or whatever it has in its place, is set to, in seconds."""

MOVE_DESTINATION = "CONFDEST"
_MARKS = {
    Verdict.PASS: "pass",
    Verdict.TOLERATED: "tolerated",
    Verdict.FAIL: "**fail**",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_APPLICABLE: "–",
}
US = "dicom-server"


class Contender(NamedTuple):
    """A peer to run against: its name and version, and how to start it at which title with which listener."""

    name: str
    version: Callable[[], str]
    start: Callable[[Path, int], Any]
    ae_title: str


@contextmanager
def _us(directory: Path, move_port: int) -> Iterator[Any]:
    config = directory / "config.json"
    config.write_text(
        json.dumps(
            {
                "timers": {"artim": ARTIM, "artimClose": ARTIM},
                "allowedCallingAETitles": ["CONFORMANCE"],
                "knownDestinations": {
                    MOVE_DESTINATION: {"host": "127.0.0.1", "port": move_port, "aeTitle": MOVE_DESTINATION}
                },
            }
        )
    )
    with running_server(directory, "--config", str(config), "--durability", "process") as server:
        yield server


def _patient(ae: Any) -> None:
    ae.acse_timeout = ae.network_timeout = ae.dimse_timeout = ARTIM


CONTENDERS = (
    Contender(
        "storescp",
        lambda: _printed("storescp", "--version"),
        lambda directory, _: storescp(directory / "data", "--acse-timeout", str(ARTIM), ae_title="STORESCP"),
        "STORESCP",
    ),
    Contender(
        "dcmqrscp",
        lambda: _printed("dcmqrscp", "--version"),
        lambda directory, move_port: dcmqrscp(
            directory / "data", "--acse-timeout", str(ARTIM), destinations={MOVE_DESTINATION: move_port}
        ),
        "DCMQRSCP",
    ),
    Contender(
        "Orthanc",
        lambda: _printed("Orthanc", "--version"),
        lambda directory, move_port: orthanc(
            directory / "data",
            rest=False,
            modalities={"tester": (MOVE_DESTINATION, move_port)},
            DicomScpTimeout=ARTIM,
            DicomAlwaysAllowFind=True,
            DicomAlwaysAllowGet=True,
            DicomAlwaysAllowMove=True,
            DicomAlwaysAllowStore=True,
        ),
        "ORTHANC",
    ),
    Contender(
        "pynetdicom",
        lambda: version("pynetdicom"),
        lambda *_: pynetdicom_scp(configure=_patient),
        "PYNETDICOM",
    ),
    Contender(US, lambda: version("dicom-server"), _us, "SERVER"),
)


def main() -> int:
    """Run; returns the exit code."""
    options = _options()
    warnings.simplefilter("ignore")  # pydicom's about what pynetdicom receives
    threading.excepthook = lambda args: None  # what a peer's threads die of is told by the cases
    contenders = [c for c in CONTENDERS if c.name in options.peers]
    cases = select([Suite(name) for name in options.suites], [])
    runs: dict[str, Run] = {}
    for contender in contenders:
        runs[contender.name] = _run(contender, cases)
        counts = ", ".join(f"{runs[contender.name].count(verdict)} {verdict.value}" for verdict in Verdict)
        print(f"{contender.name}: {counts}", file=sys.stderr, flush=True)
    text = "\n".join(_document(runs, cases, {c.name: c.version() for c in contenders})) + "\n"
    if options.output:
        options.output.write_text(text)
    else:
        print(text, end="")
    return int(US in runs and runs[US].has_failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="conformance_matrix", description=__doc__)
    names = [c.name for c in CONTENDERS]
    parser.add_argument("--peers", nargs="+", choices=names, default=names)
    parser.add_argument(
        "--suites", nargs="+", choices=[s.value for s in Suite], default=[s.value for s in Suite]
    )
    parser.add_argument("--output", type=Path, help="a Markdown file; standard output without it")
    return parser.parse_args()


def _run(contender: Contender, cases: Sequence[Case]) -> Run:
    """Every suite on a peer that was started for it: some cases take some peers down."""
    whole: Run | None = None
    for suite in Suite:
        chosen = [case for case in cases if case.suite is suite and case is not WELL_FORMED]
        if not chosen:
            continue
        with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
            part = _run_suite(contender, Path(directory), chosen)
        print(f"{contender.name}: {suite.value} in {part.seconds:.0f} s", file=sys.stderr, flush=True)
        if whole is None:
            whole = part
        else:
            whole.results += part.results
            whole.seconds += part.seconds
    assert whole is not None, "no suite was chosen"
    if WELL_FORMED in cases:
        whole.results.insert(0, judge(whole.results))
    return whole


def _run_suite(contender: Contender, directory: Path, cases: Sequence[Case]) -> Run:
    move_port = free_port()
    with ExitStack() as stack:
        peer = stack.enter_context(contender.start(directory, move_port))
        target = Target(
            host="127.0.0.1",
            port=peer.port,
            called_ae=contender.ae_title.encode(),
            artim=ARTIM,
            allow_write=True,
            move_destination=MOVE_DESTINATION.encode(),
            move_port=move_port,
            run=new_run(),
        )
        return run_loop(_probe_and_run(cases, target))


async def _probe_and_run(cases: Sequence[Case], target: Target) -> Run:
    target.timeout = (await probe(target)).fitting_timeout
    return await run(cases, target, max_time=600.0)


def _document(runs: dict[str, Run], cases: Sequence[Case], versions: dict[str, str]) -> Iterator[str]:
    names = list(runs)
    yield "# Conformance matrix"
    yield ""
    yield (
        f"What {len(cases)} cases of `dicom-conformance` found, played over loopback with `--allow-write` on "
        f"{datetime.now(UTC):%Y-%m-%d}, each suite on a peer that was started for it. Made by "
        "`make conformance-matrix`; not edited by hand."
    )
    yield ""
    yield from (f"* {name}: {text}" for name, text in versions.items())
    yield ""
    yield "Each cell: passed / tolerated / failed / inconclusive / not applicable."
    yield ""
    yield _row("suite", *names)
    yield _row("---", *("---" for _ in names))
    for suite in Suite:
        if any(case.suite is suite for case in cases):
            yield _row(suite.value, *(_counts(runs[name], suite) for name in names))
    yield _row("all", *(_counts(runs[name], None) for name in names))
    yield ""
    yield "## Cases that not everybody passed"
    yield ""
    yield _row("case", "title", "clause", *names)
    yield _row(*("---" for _ in range(3 + len(names))))
    table = {name: {result.case.id: result for result in each.results} for name, each in runs.items()}
    for case in cases:
        results = [table[name][case.id] for name in names]
        if any(result.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE) for result in results):
            yield _row(case.id, case.title, case.clause, *(_MARKS[result.verdict] for result in results))
    yield ""
    yield from _failed_by_all(table, cases)
    yield from _ours(table.get(US, {}))


def _failed_by_all(table: dict[str, dict[str, CaseResult]], cases: Sequence[Case]) -> Iterator[str]:
    others = [name for name in table if name != US]
    yield "## Cases that all others failed, and why they are kept"
    yield ""
    found = False
    for case in cases:
        played = [table[name][case.id] for name in others]
        played = [result for result in played if result.verdict is not Verdict.NOT_APPLICABLE]
        if len(played) > 1 and all(result.verdict is Verdict.FAIL for result in played):
            found = True
            yield f"* `{case.id}` {case.title} ({case.clause}): {case.note or 'no reason is given'}"
    if not found:
        yield "None."
    yield ""


def _ours(results: dict[str, CaseResult]) -> Iterator[str]:
    yield f"## Where {US} does not give the strict answer"
    yield ""
    found = False
    for result in results.values():
        if result.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE):
            found = True
            findings = "; ".join(map(str, result.findings))
            yield f"* `{result.case.id}` {result.case.title}: {_escaped(findings)}"
    if not found:
        yield "Nowhere."


def _counts(run: Run, suite: Suite | None) -> str:
    order = (Verdict.PASS, Verdict.TOLERATED, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE)
    return " / ".join(str(run.count(verdict, suite)) for verdict in order)


def _row(*cells: str) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _printed(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip("$ ") if lines else "unknown"


if __name__ == "__main__":
    sys.exit(main())
