"""Processor time, and how much of it went to somebody else while we measured."""

import os
import resource
import time
from pathlib import Path


class ProcessorTime:
    """Started before a run; tells after it what share of the machine others took, so that a polluted run shows.

    Ours is what we and all children we have waited for used (see `forks.bury_orphans`). What the kernel takes for
    nobody counts as others', about one percent.
    """

    def __init__(self) -> None:
        self._begun, self._busy, self._ours = time.monotonic(), _busy(), _ours()

    def share_of_others(self) -> float | None:
        """From 0 to 1, of all cores; None where the kernel does not tell."""
        busy = _busy()
        seconds = (time.monotonic() - self._begun) * (os.cpu_count() or 1)
        if busy is None or self._busy is None:
            return None
        return max(0.0, busy - self._busy - (_ours() - self._ours)) / seconds


def _busy() -> float | None:
    """Seconds all cores were not idle since the start of the machine; stolen ones too."""
    try:
        first = Path("/proc/stat").read_text().partition("\n")[0]
    except OSError:
        return None
    user, nice, system, _idle, _waiting, irq, softirq, steal = (int(n) for n in first.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _ours() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
