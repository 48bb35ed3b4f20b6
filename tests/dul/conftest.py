"""A fixture that runs a scenario on each event loop."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine to its end within 20 s, stock asyncio in debug mode."""

    def run_it(scenario: Coroutine[Any, Any, None]) -> None:
        is_stock = request.param is asyncio.new_event_loop
        with asyncio.Runner(loop_factory=request.param, debug=is_stock) as runner:
            runner.run(asyncio.wait_for(scenario, 20))

    return run_it
