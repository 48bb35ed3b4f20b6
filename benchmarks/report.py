"""Medians, ratios, targets, and the conditions they hold under."""

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.chart import write_chart
from benchmarks.contenders import Contender
from benchmarks.holdings import Holdings
from benchmarks.processor_time import ProcessorTime
from benchmarks.targets import TARGETS, Verdict
from benchmarks.works import Work

SINK = "sink"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
"""Where the table stands in the README."""

_HEADINGS = {SINK: "load generator alone"}
_SHARE_OF_OTHERS = 0.05
"""Share of the machine that others took while we measured, above which figures are polluted."""
_NEAR_THE_SINK = 0.67
"""Share of the load generator's own rate above which a figure shows the generator more than the server."""
_PACKAGES = ("uvloop", "msgspec", "pydicom")
_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")

_EXPLANATION = """\
Median of {rounds} rounds (lowest to highest), those compared in turn within a round, at most {seconds:g} s each. NNx:
how many times better {first} is. *Load generator alone* is the same load against a sink that answers without doing
anything. Everything is on a tmpfs, durability `process`, but the rows of `power`, on a disk; with TCP_NODELAY. Each
server starts on an empty directory for each measurement, but those that are asked for what they hold (C-FIND, C-GET,
C-MOVE): they are filled once, with the same, and all run while one is asked. C-FIND asks at STUDY level by Study
Instance UID, a different one each time, and streams the images of one series at IMAGE level, since dcmqrscp holds no
more than 500 studies. C-GET and C-MOVE retrieve one study at a time, C-MOVE to DCMTK's storescp, which writes it. Each
image has to come with as many bytes as were stored, and each match to be the one that was asked for, or there is no
figure. x1, x4, x8: associations at a time, each a process with one request outstanding; the crowd of 50 is driven by
two. The images are a real CT header of 262 elements, Explicit VR Little Endian, and pixels up to the size. {cores}
Before each C-STORE as much of the tmpfs is written and removed as it may need, since a virtual machine is several times
slower at touching memory for the first time. Memory is the growth of the PSS of a server and its children, without
pages of files{idle}. The p99 is that of C-ECHOs one after the other on one association while four others store. Files
are sent by the whole command, to a storescp that keeps none; to the distant peer in the time that dicom-send itself
reports, through a proxy that delays each direction by 10 ms.
Servers differ in what they do for an instance, which stands beside their versions: read each ratio with it."""
_ONE_CORE = """\
Load and server share one core where messages are
small and one at a time (C-ECHO, associate, 8 KiB x1), so that none waits for an idle core to wake; a server that works
with several threads or processes has less there than the machine could give it. Elsewhere the scheduler places them."""
_ANY_CORE = "The scheduler places load and server on any core."


@dataclass(frozen=True)
class Setting:
    """What figures depend on, beside machine and versions.

    Attributes:
        rounds: of each work.
        seconds: of each measurement, at most.
        pinned: whether small messages were exchanged on one core.
        holdings: what archives held.
        files: how many were sent.
        disk: where the files of durability `power` were.
    """

    rounds: int
    seconds: float
    pinned: bool
    holdings: Holdings
    files: int
    disk: Path


class Results:
    """What was measured: by work and name, one figure a round, or why there is none.

    Args:
        contenders: those measured; ratios are to the first.
        absent: those left out because they are not installed.
        setting: what the figures depend on.
    """

    def __init__(
        self, contenders: Sequence[Contender], absent: Sequence[Contender], setting: Setting
    ) -> None:
        self.contenders = contenders
        self.absent = absent
        self.setting = setting
        self.works: dict[str, Work] = {}
        self.figures: dict[tuple[str, str], list[float]] = {}
        self.failures: dict[tuple[str, str], str] = {}
        self.conditions: dict[str, Any] = {}
        self._load_before = os.getloadavg()[0]
        self._file_system = _file_system(setting.disk)
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

    def finish(self, works: Iterable[Work], seconds: float) -> None:
        """Note the conditions; to be called once everything is measured.

        Args:
            works: in the order in which they are told.
            seconds: that all of it took.
        """
        self.works = {work.name: work for work in works if work.name in self.works}
        self._share_of_others = self._time.share_of_others()
        setting = self.setting
        self.conditions = {
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": f"{os.cpu_count()} cores, {_processor()}, {_memory()} GiB, {platform.platform()}",
            "kernel": platform.release(),
            "python": platform.python_version(),
            "packages": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES),
            "load average before": round(self._load_before, 2),
            "processor time of others": _percent(self._share_of_others),
            "rounds": setting.rounds,
            "seconds": setting.seconds,
            "disk of durability power": self._file_system,
            "archives hold": str(setting.holdings),
            "files sent": setting.files,
            "time used": f"{seconds:.0f} s",
            "servers": {c.name: f"{c.version()}: {c.conditions}" for c in self.contenders},
        }

    @property
    def names(self) -> list[str]:
        """Whose figures there are."""
        return [*(contender.name for contender in self.contenders), SINK]

    @property
    def verdicts(self) -> list[Verdict]:
        """What became of each target."""
        return [
            t.judge(self._sound(t.work, t.server), self._sound(t.beside or t.work, t.against))
            for t in TARGETS
        ]

    @property
    def warnings(self) -> list[str]:
        """What a reader has to know before the figures: pollution, servers left out, failures."""
        found = []
        if (self._share_of_others or 0) > _SHARE_OF_OTHERS:
            share = _percent(self._share_of_others)
            found.append(f"**Polluted**: others took {share} of the machine during the run.")
        if self._file_system in _MEMORY_FILE_SYSTEMS:
            found.append(f"**No disk**: the rows of durability power are on a {self._file_system}.")
        found += [f"{c.name} is not installed, and left out: {c.wanted}" for c in self.absent]
        found += [
            f"{name}, {work}: failed: {_one_line(reason)}" for (work, name), reason in self.failures.items()
        ]
        found += [
            f"{name}, {work.name}: near what the load generator can do; the server may be better."
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
        text = short(median)
        if len(figures) > 1:
            text += f" ({short(min(figures))} to {short(max(figures))})"
        first = self.contenders[0].name
        ours = self.median(work, first)
        if name in (first, SINK) or not ours or not median:
            return text
        # More than 1 means that the first server is the better one, whatever is measured.
        ratio = median / ours if work.less_is_better else ours / median
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
        if not median or not sink:
            return False
        return (sink / median if work.less_is_better else median / sink) > _NEAR_THE_SINK


def report(results: Results) -> str:
    """All of it as Markdown."""
    memory = [work for work in results.works.values() if work.kind == "memory"]
    counts = [f"{c.name} {c.idle}" for c in results.contenders if any(map(c.does, memory))]
    explanation = _EXPLANATION.format(
        rounds=results.setting.rounds,
        seconds=results.setting.seconds,
        first=results.contenders[0].name,
        cores=_ONE_CORE if results.setting.pinned else _ANY_CORE,
        idle=f", for each of so many associations: {', '.join(counts)}" if counts else "",
    )
    conditions = results.conditions
    lines = [f"* {warning}" for warning in results.warnings]
    lines += [""] if lines else []
    lines += [*_table_of_targets(results.verdicts), ""]
    for commands in (False, True):
        lines += _table_of_figures(
            results, [w for w in results.works.values() if w.is_of_command is commands]
        )
    lines += [textwrap.fill(explanation, 120, break_on_hyphens=False), ""]
    lines += [f"* {name}: {value}" for name, value in conditions.items() if name != "servers"]
    lines += [f"* {name} {value}" for name, value in conditions["servers"].items()]
    return "\n".join(lines)


def save(results: Results, directory: Path) -> None:
    """Write `results.json`, `RESULTS.md` and `results.svg`; and the table into the README of the folder above, where
    that has a place for it."""
    content = as_json(results)
    (directory / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    title = (
        "# Beside real peers\n\nWritten by `make bench`; figures of different runs cannot be compared.\n\n"
    )
    (directory / "RESULTS.md").write_text(f"{title}{report(results)}\n")
    write_chart(content, directory / "results.svg")
    readme = directory.resolve().parent / "README.md"
    if readme.exists():
        table = f"{compact_table(results.verdicts)}\n\n{_conditions_in_short(results)}"
        readme.write_text(with_table(readme.read_text(), table))


def as_json(results: Results) -> dict[str, Any]:
    """Everything that was measured, and what became of the targets.

    `targets` has one object for each: `work`, `variant` (of our server, or empty), `against`, `at_least`, `hoped_for`
    and `unit` (`x`, or that of a figure which is to be as small as `at_least`), the medians `ours` and `peer`, `value`
    with its range `lowest` and `highest`, and `verdict`. `rows` has one for each work: `work`, `unit`, and for each
    server its `median`, null where it failed, and `rounds`.
    """
    rows = [
        {
            "work": work.name,
            "unit": work.unit,
            "servers": {
                name: {"median": results.median(work, name), "rounds": figures}
                for name in results.names
                if (figures := results.figures.get((work.name, name)))
            },
        }
        for work in results.works.values()
    ]
    targets = [
        {
            "work": v.target.title or v.target.work,
            "variant": v.target.variant,
            "against": v.target.other,
            "at_least": v.target.at_least,
            "hoped_for": v.target.hoped_for,
            "unit": v.target.unit,
            "ours": v.ours,
            "peer": v.peer,
            "value": v.value,
            "lowest": v.lowest,
            "highest": v.highest,
            "verdict": v.verdict,
        }
        for v in results.verdicts
    ]
    return {
        "conditions": results.conditions,
        "warnings": results.warnings,
        "targets": targets,
        "rows": rows,
    }


def compact_table(verdicts: Sequence[Verdict]) -> str:
    """The targets, one line for each work: what it is held against, and so on, separated by slashes."""
    lines = ["| work | against | at least | hoped for | measured | |", "|---|---|---|---|---|---|"]
    for name, group in groupby(verdicts, key=lambda verdict: verdict.target.name):
        those = list(group)
        columns = (
            [v.target.other for v in those],
            [v.target.bound(v.target.at_least) for v in those],
            [v.target.bound(v.target.hoped_for) for v in those],
            [v.text for v in those],
            [v.verdict for v in those],
        )
        lines.append(f"| {name} | " + " | ".join(_joined(column) for column in columns) + " |")
    return "\n".join(lines)


def with_table(readme: str, table: str) -> str:
    """A README with the table between its markers; as it was where it has none."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}\n{end}{after}" if begin and end else readme


def short(value: float) -> str:
    """A figure with as many digits as can be believed."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _conditions_in_short(results: Results) -> str:
    conditions = results.conditions
    versions = (f"{name} {said.partition(':')[0]}" for name, said in conditions["servers"].items())
    return (
        f"Ratios of medians, {conditions['rounds']} rounds, {conditions['date']}, on {conditions['machine']}, Python "
        f"{conditions['python']}. Durability `process`: everything on a tmpfs, Orthanc with SyncStorageArea off; "
        f"`power`: on {conditions['disk of durability power']}, SyncStorageArea on. The load generator shares the "
        f"machine. {', '.join(versions)}."
    )


def _joined(texts: Sequence[str]) -> str:
    """With slashes; once where all are the same, and a dash for what is not there."""
    return texts[0] if len(set(texts)) == 1 else " / ".join(text or "–" for text in texts)


def _table_of_targets(verdicts: Sequence[Verdict]) -> list[str]:
    lines = [
        "| work | against | at least | hoped for | measured (range of the rounds) | |",
        "|---|---|---|---|---|---|",
    ]
    for verdict in verdicts:
        target = verdict.target
        measured = verdict.text
        if verdict.lowest is not None and verdict.highest is not None:
            measured += f" ({verdict.lowest:.2f} to {verdict.highest:.2f})"
        bounds = f"{target.bound(target.at_least)} | {target.bound(target.hoped_for)}"
        lines.append(f"| {target.name} | {target.other} | {bounds} | {measured} | {verdict.verdict} |")
    return lines


def _table_of_figures(results: Results, works: Sequence[Work]) -> list[str]:
    """The figures of some works, and an empty line; nothing where there is no work."""
    names = [name for name in results.names if any(results.cell(work, name) for work in works)]
    if not names:
        return []
    headings = [_HEADINGS.get(name, name) for name in names]
    lines = ["| work | " + " | ".join(headings) + " |", "|---|" + "---|" * len(headings)]
    for work in works:
        cells = [results.cell(work, name) for name in names]
        lines.append(f"| {work.name}, {work.unit} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _one_line(reason: str) -> str:
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return f"{lines[0]} ... {lines[-1]}" if len(lines) > 2 else " ".join(lines)


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30))


def _file_system(directory: Path) -> str:
    """Of a directory, as df calls it."""
    done = subprocess.run(
        ["df", "--output=fstype", str(directory)], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.split()[-1]
