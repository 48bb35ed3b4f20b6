"""Ctrl+C for a command that has something to end in order first: operations to cancel, associations to release."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

GRACE = 15.0
"""Seconds for the end in order; then what is left is aborted."""


async def run_until_stopped(
    main: Coroutine[Any, Any, None], stop: Callable[[], object], *, grace: float = GRACE
) -> bool:
    """Run a coroutine; Ctrl+C calls `stop`, after which it has to come to its end by itself.

    A second Ctrl+C ends the program at once.

    Args:
        main: what to do.
        stop: asks it to end.
        grace: seconds until it is cancelled after that.

    Returns:
        Whether it was stopped.

    Raises:
        Exception: what `main` raises, unless it was stopped.
    """
    doing = asyncio.ensure_future(main)
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
    else:
        return False
    print("interrupted: what is under way is cancelled; Ctrl+C again ends at once", file=sys.stderr)
    stop()
    await asyncio.wait([doing], timeout=grace)
    doing.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await doing
    return True


async def unless_stopped(stopped: asyncio.Event, main: Coroutine[Any, Any, T]) -> T | None:
    """Run a coroutine; it is cancelled, and its end awaited, when the event is set.

    Returns:
        What it returned; None where it was cancelled.

    Raises:
        Exception: what `main` raises.
    """
    doing = asyncio.ensure_future(main)
    stopping = asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait([doing, stopping], return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        doing.cancel()
        with suppress(asyncio.CancelledError):
            await doing
        return None
    finally:
        stopping.cancel()
        doing.cancel()
