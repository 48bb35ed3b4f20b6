"""A fixture that runs a scenario on each event loop."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

import loops


@pytest.fixture
def run(loop_factory: loops.LoopFactory) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine to its end; see `loops.run`."""
    return partial(loops.run, loop_factory=loop_factory)
