"""What this version is to reach, and whether a run reached it."""

import statistics
from dataclasses import dataclass

OURS = "ours"
PASS, SHORT, NOT_MEASURED = "pass", "SHORT", "not measured"


@dataclass(frozen=True)
class Target:
    """At least `wanted` times the rate of the server `against`; without one, at most `wanted` KiB of ours."""

    work: str
    wanted: float
    against: str | None = None

    @property
    def text(self) -> str:
        """What is wanted, to be read."""
        if self.against is None:
            return f"at most {self.wanted:g} KiB"
        return f"at least {self.wanted:g} x {self.against}"

    def judge(self, ours: list[float], peer: list[float]) -> "Verdict":
        """Judge by the medians; the range is that of the rounds, each beside the peer's figure of that round.

        Args:
            ours: our figure of each round; empty where there is none to judge by.
            peer: that of `against`; not looked at without one.
        """
        if not ours or (self.against is not None and not peer):
            return Verdict(self, NOT_MEASURED)
        if self.against is None:
            value, rounds = statistics.median(ours), ours
            reached = value <= self.wanted
        else:
            value = statistics.median(ours) / statistics.median(peer)
            rounds = [a / b for a, b in zip(ours, peer, strict=False)]
            reached = value >= self.wanted
        return Verdict(self, PASS if reached else SHORT, value, min(rounds), max(rounds))


@dataclass(frozen=True)
class Verdict:
    """What became of a target: `value` and the range of its rounds, as ratio or KiB."""

    target: Target
    verdict: str
    value: float | None = None
    lowest: float | None = None
    highest: float | None = None


TARGETS = (
    Target("C-STORE 512 KiB x1", 0.7, "storescp"),
    Target("C-STORE 512 KiB x1", 6, "pynetdicom"),
    Target("C-STORE 8 KiB x1", 10, "pynetdicom"),
    Target("C-ECHO", 15, "pynetdicom"),
    Target("associate + echo + release, 1 context", 3, "storescp"),
    Target("memory per idle association, 64 contexts", 48),
    Target("C-FIND, one match", 1.5, "Orthanc"),
    Target("C-FIND, streamed matches", 1, "Orthanc"),
    Target("C-GET 512 KiB x1", 0.7, "Orthanc"),
    Target("C-MOVE 512 KiB x1", 0.5, "Orthanc"),
    Target("C-STORE 512 KiB x1", 0.85, "ours without index"),
)
