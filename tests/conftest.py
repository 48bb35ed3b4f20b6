"""What every test may ask for: event loops, real peers; and the order of the tests."""

import asyncio
import signal
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from loops import LoopFactory
from peers import require_peer

pytest_plugins = ["databases"]
TESTS = Path(__file__).parent
SLOW = ("interop", "faults")
"""Folders with real peers and killed servers, in the order they run, after everything else."""

# How long an example takes says what else the machine does; Hypothesis knows that where CI is set, and here always.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """Each event loop in turn, for `loops.run(coro, loop_factory)`."""
    factory: LoopFactory = request.param
    return factory


def pytest_configure() -> None:
    """Have Ctrl+C mean something even where a shell without job control started the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Alone fast tests come first; side by side slow ones do, so that at the end none is waited for."""
    # Stable: within a folder everything stays where it was.
    items.sort(key=_slowness, reverse=hasattr(config, "workerinput"))


def _slowness(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
    if folder in SLOW:
        return 2 + SLOW.index(folder)
    return int(item.get_closest_marker("peer") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("peer"):
        for name in marker.args:
            require_peer(name)
