"""Medians, ratios, and the conditions they hold under."""

import datetime
import json
import os
import platform
import statistics
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.load import Work

_BUSY = 0.5
"""Load average above which something else was running, so that figures are polluted."""


_EXPLANATION = """\
Median of {rounds} rounds (lowest to highest), servers in turn within a round, {seconds:g} s each. NNx: how many times
better {first} is. The sink answers without doing anything: it shows what the load generator itself can do. Everything
on tmpfs, TCP_NODELAY everywhere; x1, x4, x8: associations at a time, each with one request outstanding. The images are
a real CT header of 262 elements and pixels up to the size. Load and server share one core where messages are small and
one at a time; elsewhere the scheduler places them. Before each C-STORE as much memory is written and removed as it may
need, since a virtual machine is several times slower at touching memory for the first time."""


class Results:
    """What was measured: by work and server, one figure a round, or why there is none."""

    def __init__(self, contenders: list[Contender], rounds: int, seconds: float) -> None:
        self.contenders = contenders
        self.rounds = rounds
        self.seconds = seconds
        self.load_before = os.getloadavg()[0]
        self.works: dict[str, Work] = {}
        self.figures: dict[tuple[str, str], list[float]] = {}
        self.failures: dict[tuple[str, str], str] = {}

    def add(self, work: Work, name: str, figure: float) -> None:
        """Keep the figure of one round."""
        self.works[work.name] = work
        self.figures.setdefault((work.name, name), []).append(figure)

    def fail(self, work: Work, name: str, reason: str) -> None:
        """Keep why a round has none."""
        self.works[work.name] = work
        self.failures[work.name, name] = reason

    def median(self, work: Work, name: str) -> float | None:
        """The median of the rounds; None where one failed or none was run."""
        figures = self.figures.get((work.name, name))
        return None if not figures or (work.name, name) in self.failures else statistics.median(figures)

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
        if name == first or not ours or not median:
            return text
        # Of memory less is better: there too, more than 1 means that the first server is the better one.
        ratio = median / ours if work.kind == "memory" else ours / median
        return f"{text}, {ratio:.2f}x"

    def line(self, work: Work) -> str:
        """One work, as it is finished."""
        cells = [f"{name} {cell}" for name in self.names if (cell := self.cell(work, name))]
        return f"{work.name} [{work.unit}]: " + "; ".join(cells)

    @property
    def names(self) -> list[str]:
        """The columns."""
        return [*(contender.name for contender in self.contenders), "sink"]

    @property
    def conditions(self) -> dict[str, Any]:
        """Machine, versions, how it was run."""
        return {
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": f"{os.cpu_count()} cores, {_processor()}, {_memory()} GiB, {platform.platform()}",
            "python": platform.python_version(),
            "load average before": round(self.load_before, 2),
            "rounds": self.rounds,
            "seconds": self.seconds,
            "servers": {c.name: f"{c.version()}: {c.conditions}" for c in self.contenders},
        }


def table(results: Results) -> str:
    """All of it as Markdown."""
    conditions = results.conditions
    first = results.contenders[0].name
    lines = [
        "| work | " + " | ".join(results.names) + " |",
        "|---|" + "---|" * len(results.names),
    ]
    for work in results.works.values():
        cells = [results.cell(work, name) for name in results.names]
        lines.append(f"| {work.name}, {work.unit} | " + " | ".join(cells) + " |")
    lines.append("")
    lines.append(_EXPLANATION.format(rounds=results.rounds, seconds=results.seconds, first=first))
    lines.append("")
    lines += [f"* {name}: {value}" for name, value in conditions.items() if name != "servers"]
    lines += [f"* {name} {value}" for name, value in conditions["servers"].items()]
    if results.load_before > _BUSY:
        lines.append(f"* **Polluted**: load average {results.load_before:.2f} before the first measurement.")
    lines += [f"* {name}, {work}: {reason}" for (work, name), reason in results.failures.items()]
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
    content = {"conditions": results.conditions, "rows": rows}
    (directory / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    title = (
        "# Beside real peers\n\nWritten by `make bench`; figures of different runs cannot be compared.\n\n"
    )
    (directory / "RESULTS.md").write_text(f"{title}{table(results)}\n")


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
