"""Medians, ratios, targets, and the conditions they hold under."""

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.holdings import Holdings
from benchmarks.load import Work
from benchmarks.processor_time import ProcessorTime
from benchmarks.targets import NOT_MEASURED, OURS, TARGETS, Verdict

SINK = "sink"
_HEADINGS = {SINK: "load generator alone"}
_SHARE_OF_OTHERS = 0.05
"""Share of the machine that others took while we measured, above which figures are polluted."""
_NEAR_THE_SINK = 0.67
"""Share of the load generator's own rate above which a figure shows the generator more than the server."""
_PACKAGES = ("uvloop", "msgspec", "pydicom")

_EXPLANATION = """\
Median of {rounds} rounds (lowest to highest), servers in turn within a round, at most {seconds:g} s each. NNx: how
many times better {first} is. *Load generator alone* is the same load against a sink that answers without doing
anything. Everything is on a tmpfs, with TCP_NODELAY; each server starts on an empty directory for each measurement, but
those that are asked for what they hold (C-FIND, C-GET, C-MOVE): they are filled once, with the same, and all run while
one is asked. C-FIND asks at STUDY level by Study Instance UID or Patient ID, a different one each time, and streams the
images of one series at IMAGE level, since dcmqrscp holds no more than 500 studies. C-GET and C-MOVE retrieve one study
at a time; C-MOVE sends it over one association to an SCP of its own process that keeps nothing. Each image has to come
once, with as many bytes as were stored, and each match to be the one that was asked for, or there is no figure. x1, x4,
x8: associations at a time, each a process with one request outstanding. The images are a real CT header of 262
elements, Explicit VR Little Endian, and pixels up to the size. {cores}
Before each C-STORE as much of the tmpfs is written and removed as it may need, since a virtual machine is several times
slower at touching memory for the first time. Memory is the growth of the PSS of a server and its children, without
pages of files{idle}.
Servers differ in what they do for an instance, which stands beside their versions: read each ratio with it."""
_ONE_CORE = """\
Load and server share one core where messages are
small and one at a time (C-ECHO, associate, 8 KiB x1), so that none waits for an idle core to wake; a server that works
with several threads or processes has less there than the machine could give it. Elsewhere the scheduler places them."""
_ANY_CORE = "The scheduler places load and server on any core."


class Results:
    """What was measured: by work and server, one figure a round, or why there is none.

    Args:
        contenders: those measured; ratios are to the first.
        absent: those left out because they are not installed.
        pinned: whether small messages were exchanged on one core.
        holdings: what archives held.
    """

    def __init__(
        self,
        contenders: Sequence[Contender],
        absent: Sequence[Contender],
        rounds: int,
        seconds: float,
        *,
        pinned: bool,
        holdings: Holdings,
    ) -> None:
        self.contenders = contenders
        self.absent = absent
        self.rounds = rounds
        self.seconds = seconds
        self.pinned = pinned
        self.holdings = holdings
        self.load_before = os.getloadavg()[0]
        self.works: dict[str, Work] = {}
        self.figures: dict[tuple[str, str], list[float]] = {}
        self.failures: dict[tuple[str, str], str] = {}
        self.conditions: dict[str, Any] = {}
        self._time = ProcessorTime()
        self._share_of_others: float | None = None

    def add(self, work: Work, name: str, figure: float) -> None:
        """Keep the figure of one round."""
        self.works[work.name] = work
        self.figures.setdefault((work.name, name), []).append(figure)

    def fail(self, work: Work, name: str, reason: str) -> None:
        """Keep why a round has none."""
        self.works[work.name] = work
        self.failures[work.name, name] = reason

    def finish(self) -> None:
        """Note the conditions; to be called once everything is measured."""
        self._share_of_others = self._time.share_of_others()
        self.conditions = {
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": f"{os.cpu_count()} cores, {_processor()}, {_memory()} GiB, {platform.platform()}",
            "kernel": platform.release(),
            "python": platform.python_version(),
            "packages": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES),
            "load average before": round(self.load_before, 2),
            "processor time of others": _percent(self._share_of_others),
            "rounds": self.rounds,
            "seconds": self.seconds,
            "archives hold": str(self.holdings),
            "servers": {c.name: f"{c.version()}: {c.conditions}" for c in self.contenders},
        }

    @property
    def names(self) -> list[str]:
        """The columns."""
        return [*(contender.name for contender in self.contenders), SINK]

    @property
    def verdicts(self) -> list[Verdict]:
        """What became of each target."""
        return [t.judge(self._sound(t.work, OURS), self._sound(t.work, t.against or "")) for t in TARGETS]

    @property
    def warnings(self) -> list[str]:
        """What a reader has to know before the figures: pollution, servers left out, failures."""
        found = []
        if (self._share_of_others or 0) > _SHARE_OF_OTHERS:
            share = _percent(self._share_of_others)
            found.append(f"**Polluted**: others took {share} of the machine during the run.")
        found += [f"{c.name} is not installed, and left out: {c.wanted}" for c in self.absent]
        found += [
            f"{name}, {work}: failed: {_one_line(reason)}" for (work, name), reason in self.failures.items()
        ]
        found += [
            f"{name}, {work.name}: near what the load generator can do; the server may be faster."
            for work in self.works.values()
            for name in self.names[:-1]
            if self._is_near_the_sink(work, name)
        ]
        return found

    def median(self, work: Work, name: str) -> float | None:
        """The median of the rounds; None where one failed or none was run."""
        figures = self._sound(work.name, name)
        return statistics.median(figures) if figures else None

    def cell(self, work: Work, name: str) -> str:
        """The median and the range, and what it is of the first server's."""
        median = self.median(work, name)
        if median is None:
            return "failed" if (work.name, name) in self.failures else ""
        figures = self.figures[work.name, name]
        text = _short(median)
        if len(figures) > 1:
            text += f" ({_short(min(figures))} to {_short(max(figures))})"
        first = self.contenders[0].name
        ours = self.median(work, first)
        if name in (first, SINK) or not ours or not median:
            return text
        # Of memory less is better: there too, more than 1 means that the first server is the better one.
        ratio = median / ours if work.kind == "memory" else ours / median
        return f"{text}, {ratio:.2f}x"

    def line(self, work: Work) -> str:
        """One work, as it is finished."""
        cells = [
            f"{_HEADINGS.get(name, name)} {cell}" for name in self.names if (cell := self.cell(work, name))
        ]
        return f"{work.name} ({work.unit}): " + "; ".join(cells)

    def _sound(self, work: str, name: str) -> list[float]:
        return [] if (work, name) in self.failures else self.figures.get((work, name), [])

    def _is_near_the_sink(self, work: Work, name: str) -> bool:
        median, sink = self.median(work, name), self.median(work, SINK)
        return median is not None and sink is not None and median > _NEAR_THE_SINK * sink


def report(results: Results) -> str:
    """All of it as Markdown."""
    memory = [work for work in results.works.values() if work.kind == "memory"]
    counts = [f"{c.name} {c.idle}" for c in results.contenders if any(map(c.does, memory))]
    idle = f", for each of so many associations: {', '.join(counts)}" if counts else ""
    explanation = _EXPLANATION.format(
        rounds=results.rounds,
        seconds=results.seconds,
        first=results.contenders[0].name,
        cores=_ONE_CORE if results.pinned else _ANY_CORE,
        idle=idle,
    )
    conditions = results.conditions
    lines = [f"* {warning}" for warning in results.warnings]
    lines += [""] if lines else []
    lines += [*_table_of_targets(results), "", *_table_of_rates(results), "", explanation, ""]
    lines += [f"* {name}: {value}" for name, value in conditions.items() if name != "servers"]
    lines += [f"* {name} {value}" for name, value in conditions["servers"].items()]
    return "\n".join(lines)


def save(results: Results, directory: Path) -> None:
    """Write `results.json` and `RESULTS.md`."""
    rows = [
        {
            "work": work.name,
            "unit": work.unit,
            "figures": {name: results.figures.get((work.name, name), []) for name in results.names},
        }
        for work in results.works.values()
    ]
    targets = [
        {"work": v.target.work, "target": v.target.text, "value": v.value, "verdict": v.verdict.lower()}
        for v in results.verdicts
    ]
    content = {
        "conditions": results.conditions,
        "warnings": results.warnings,
        "targets": targets,
        "rows": rows,
    }
    (directory / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    title = (
        "# Beside real peers\n\nWritten by `make bench`; figures of different runs cannot be compared.\n\n"
    )
    (directory / "RESULTS.md").write_text(f"{title}{report(results)}\n")


def _table_of_targets(results: Results) -> list[str]:
    lines = ["| target of this version | wanted | measured (range of the rounds) | |", "|---|---|---|---|"]
    for verdict in results.verdicts:
        target = verdict.target
        unit = " KiB" if target.against is None else " x"
        measured = ""
        if verdict.verdict != NOT_MEASURED:
            measured = f"{verdict.value:.2f}{unit} ({verdict.lowest:.2f} to {verdict.highest:.2f})"
        lines.append(f"| {target.work} | {target.text} | {measured} | {verdict.verdict} |")
    return lines


def _table_of_rates(results: Results) -> list[str]:
    headings = [_HEADINGS.get(name, name) for name in results.names]
    lines = ["| work | " + " | ".join(headings) + " |", "|---|" + "---|" * len(headings)]
    for work in results.works.values():
        cells = [results.cell(work, name) for name in results.names]
        lines.append(f"| {work.name}, {work.unit} | " + " | ".join(cells) + " |")
    return lines


def _one_line(reason: str) -> str:
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return f"{lines[0]} ... {lines[-1]}" if len(lines) > 2 else " ".join(lines)


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30))
