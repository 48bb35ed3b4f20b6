"""What every test may ask for: event loops, real peers; and the order: fast tests first."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from loops import LoopFactory
from peers import require_peer

pytest_plugins = ["databases"]
TESTS = Path(__file__).parent
SLOW = ("interop", "faults")
"""Folders with real peers and killed servers, in the order they run, after everything else."""


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """Each event loop in turn, for `loops.run(coro, loop_factory)`."""
    factory: LoopFactory = request.param
    return factory


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_slowness)  # stable: within a folder everything stays where it was


def _slowness(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
    if folder in SLOW:
        return 2 + SLOW.index(folder)
    return int(item.get_closest_marker("peer") is not None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("peer"):
        for name in marker.args:
            require_peer(name)
