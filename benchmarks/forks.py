"""Processes that never outlive the one that runs the benchmarks, and whose time is counted as its own."""

import ctypes
import os
import signal
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which forked it, ends in any way, by SIGKILL too."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of what our children leave behind, as a server does that forks."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def bury_orphans(seconds: float = 1.0) -> None:
    """Wait, no longer than `seconds`, for what was adopted to end, so that its time counts as ours.

    Only to be called while no child is left that somebody else waits for.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            time.sleep(0.01)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}, {value}): {os.strerror(error)}")
