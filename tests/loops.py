"""Runs a test's coroutine on an event loop, with a deadline, and lets nothing be left behind."""

import asyncio
import io
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

LoopFactory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]

_TURNS = 20
"""Turns of the loop in which a task that was cancelled, or is ending, may still end."""


def run(coro: Coroutine[Any, Any, T], loop_factory: LoopFactory, *, deadline: float = 20.0) -> T:
    """Run `coro` to its end on a new loop of `loop_factory`; stock asyncio in debug mode.

    Args:
        coro: the test.
        loop_factory: the fixture of that name, or one of asyncio's or uvloop's.
        deadline: seconds for all of it.

    Returns:
        What `coro` returned.

    Raises:
        AssertionError: the deadline passed (with every task's stack), a task was left running, or the loop
            was told of an exception that nobody awaited.
    """
    is_stock = loop_factory is asyncio.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory, debug=is_stock) as runner:
        return runner.run(_supervise(coro, deadline))


async def _supervise(coro: Coroutine[Any, Any, T], deadline: float) -> T:
    unhandled: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: unhandled.append(f"{context['message']}: {context.get('exception')!r}")
    )
    test = asyncio.ensure_future(coro)
    await asyncio.wait([test], timeout=deadline)
    if not test.done():
        stacks = _stacks(asyncio.all_tasks() - {asyncio.current_task()})
        test.cancel()
        await asyncio.wait([test], timeout=1)
        raise AssertionError(f"not done within {deadline:g} s:\n{stacks}")
    result = test.result()
    left = await _tasks_left()
    assert not left, f"tasks left running:\n{_stacks(left)}"
    assert not unhandled, "nobody awaited:\n" + "\n".join(unhandled)
    return result


async def _tasks_left() -> set[asyncio.Task[Any]]:
    left: set[asyncio.Task[Any]] = set()
    for _ in range(_TURNS):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            break
        await asyncio.sleep(0.005)
    return left


def _stacks(tasks: set[Any]) -> str:
    text = io.StringIO()
    for task in tasks:
        task.print_stack(file=text)
    return text.getvalue()
