"""A fixture that runs a scenario on each event loop."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import loops


@pytest.fixture
def run(loop_factory: loops.LoopFactory) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine to its end, with a deadline; fails where it leaves a task behind."""
    return lambda scenario: loops.run(scenario, loop_factory)
