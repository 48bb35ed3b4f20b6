"""What this version is to reach, and whether a run reached it."""

import statistics
from dataclasses import dataclass

from benchmarks.works import (
    DCMQRSCP,
    DCMSEND,
    ORTHANC,
    OURS,
    PYNETDICOM,
    STORESCP,
    STORESCU,
    TWO_WORKERS,
    WORKS,
)

PASS, SHORT, NOT_MEASURED, REPORTED = "pass", "SHORT", "not measured", "reported"
_OF_SEVERAL = {work.name for work in WORKS if TWO_WORKERS in work.servers}
_UNITS = {work.name: work.unit for work in WORKS if work.less_is_better}


@dataclass(frozen=True)
class Target:
    """A figure of ours, and what it is held against: another's, another of ours, or a bound.

    Attributes:
        work: whose figure it is, by name (`benchmarks.works`).
        at_least: times the figure of `against`; without one the most our own may be; None: only reported.
        hoped_for: the same, further; None where nothing is.
        against: the server that it is held against, or `OURS` with `beside`.
        server: whose figure it is.
        beside: the work that it is held against, where that is another one.
        title: how the table calls the work, where its name leaves something out.
    """

    work: str
    at_least: float | None
    hoped_for: float | None = None
    against: str = ""
    server: str = OURS
    beside: str = ""
    title: str = ""

    @property
    def unit(self) -> str:
        """Of the value: `x`, or that of the work."""
        return "x" if self.against else _UNITS[self.work]

    @property
    def other(self) -> str:
        """What it is held against, to be read."""
        if not self.beside:
            return self.against
        return f"{self.against}: {self.beside}" if self.against != OURS else self.beside

    @property
    def variant(self) -> str:
        """Which of our servers, where they are several."""
        if self.work not in _OF_SEVERAL:
            return ""
        return "--workers 2" if self.server == TWO_WORKERS else "--workers 1"

    @property
    def name(self) -> str:
        """What the table calls it."""
        return ", ".join(filter(None, (self.title or self.work, self.variant)))

    def bound(self, value: float | None) -> str:
        """`at_least` or `hoped_for`, to be read."""
        if value is None:
            return ""
        return f"{value:g} x" if self.against else f"{value:g} {self.unit} or less"

    def judge(self, ours: list[float], peer: list[float]) -> "Verdict":
        """Judge by the medians; the range is that of the rounds, each beside the other figure of that round.

        Args:
            ours: our figure of each round; empty where there is none to judge by.
            peer: what it is held against; not looked at where that is a bound.
        """
        if not ours or (self.against and not peer):
            return Verdict(self, NOT_MEASURED)
        median = statistics.median(ours)
        if not self.against:
            reached = self.at_least is None or median <= self.at_least
            verdict = REPORTED if self.at_least is None else PASS if reached else SHORT
            return Verdict(self, verdict, median, min(ours), max(ours), median)
        other = statistics.median(peer)
        rounds = [a / b for a, b in zip(ours, peer, strict=False)]
        reached = self.at_least is None or median / other >= self.at_least
        verdict = PASS if reached else SHORT
        return Verdict(self, verdict, median / other, min(rounds), max(rounds), median, other)


@dataclass(frozen=True)
class Verdict:
    """What became of a target: `value` and the range of its rounds, as ratio or figure; the two medians behind it."""

    target: Target
    verdict: str
    value: float | None = None
    lowest: float | None = None
    highest: float | None = None
    ours: float | None = None
    peer: float | None = None

    @property
    def text(self) -> str:
        """The value, to be read; empty where nothing was measured."""
        return "" if self.value is None else f"{self.value:.2f} {self.target.unit}"


_X4, _X8 = "C-STORE 512 KiB x4", "C-STORE 8 KiB x8"
_GET, _MOVE = "C-GET 512 KiB x1", "C-MOVE 512 KiB x1"
_ASSOCIATE = "associate + echo + release, 64 contexts"
_MEMORY = "memory per idle association, 64 contexts"
_ALONE = "50 associations storing 8 KiB"
_P99 = "p99 of C-ECHO beside 512 KiB x4"
_SEND = "512 KiB files to storescp"
_NO_WINDOW = "dicom-send, 64 KiB, round trip 20 ms"

TARGETS = (
    Target("C-STORE 512 KiB x1", 0.75, 1.0, STORESCP),
    Target("C-STORE 512 KiB x1", 4, None, ORTHANC),
    Target("C-STORE 512 KiB x1", 8, None, PYNETDICOM),
    Target(_X4, 0.5, 0.65, STORESCP),
    Target(_X4, 3, None, ORTHANC),
    Target(_X4, 0.75, 1.0, STORESCP, TWO_WORKERS),
    Target(_X4, 3, None, ORTHANC, TWO_WORKERS),
    Target("C-STORE 8 KiB x1", 0.3, 0.5, STORESCP),
    Target("C-STORE 8 KiB x1", 4, None, ORTHANC),
    Target("C-STORE 8 KiB x1", 12, None, PYNETDICOM),
    Target(_X8, 0.35, 0.5, STORESCP, TWO_WORKERS),
    Target(_X8, 3.5, None, ORTHANC, TWO_WORKERS),
    Target("C-STORE 200 MB x1", 0.8, 1.0, STORESCP),
    Target("C-STORE 200 MB x1", 8, None, ORTHANC),
    Target("C-STORE 512 KiB x1, power", 2, 3, ORTHANC),
    Target("C-STORE 512 KiB x4, power", 2.5, 4, ORTHANC),
    Target("C-ECHO", 0.6, 1.0, STORESCP),
    Target("C-ECHO", 1.0, None, ORTHANC),
    Target("C-ECHO", 20, None, PYNETDICOM),
    Target(_ASSOCIATE, 4, None, STORESCP),
    Target(_ASSOCIATE, 0.5, 0.8, ORTHANC),
    Target(_ASSOCIATE, 100, None, PYNETDICOM),
    Target(_GET, 0.9, 1.2, DCMQRSCP),
    Target(_GET, 0.9, 1.2, ORTHANC),
    Target(_MOVE, 0.9, 1.2, ORTHANC, title="C-MOVE 512 KiB to storescp"),
    Target(_MOVE, 0.6, None, OURS, beside=_GET, title="C-MOVE 512 KiB to storescp"),
    Target("C-FIND, streamed matches", 1.5, 3, ORTHANC),
    Target("C-FIND, streamed matches", 0.8, None, DCMQRSCP),
    Target("C-FIND, one match", 2, 4, ORTHANC),
    Target(_MEMORY, 40, 24),
    Target(f"{_MEMORY}, TLS", None),
    Target(f"{_ALONE}, 950 more open", 0.9, None, OURS, beside=_ALONE),
    Target(_P99, 10, 3),
    Target(f"{_P99}, power", 10, 3),
    Target(_SEND, 0.9, 1.0, DCMSEND, title=f"dicom-send, {_SEND}"),
    Target(_SEND, 0.9, 1.0, STORESCU, title=f"dicom-send, {_SEND}"),
    Target("dicom-send --window 8, 64 KiB, round trip 20 ms", 5, 7, OURS, beside=_NO_WINDOW),
    Target("dicom-echo --help", 0.25, 0.15),
)
