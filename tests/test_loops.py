"""The runner of asynchronous tests fails what it must fail."""

import asyncio

import pytest

from loops import LoopFactory, run


def test_returns_what_the_test_returns(loop_factory: LoopFactory) -> None:
    async def test() -> int:
        await asyncio.sleep(0)
        return 7

    assert run(test(), loop_factory) == 7


def test_fails_past_the_deadline_and_says_where(loop_factory: LoopFactory) -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match=r"not done within 0.05 s:(?s:.*)await asyncio.Event"):
        run(waits_for_ever(), loop_factory, deadline=0.05)


def test_fails_for_a_task_left_running(loop_factory: LoopFactory) -> None:
    async def left_behind() -> None:
        await asyncio.Event().wait()

    async def test() -> asyncio.Task[None]:
        return asyncio.create_task(left_behind())

    with pytest.raises(AssertionError, match=r"tasks left running(?s:.*)left_behind"):
        run(test(), loop_factory)


def test_lets_a_task_that_is_ending_end(loop_factory: LoopFactory) -> None:
    tasks = []

    async def test() -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(0.01)))

    run(test(), loop_factory)
    assert tasks[0].done()


def test_fails_for_an_exception_nobody_awaited(loop_factory: LoopFactory) -> None:
    def fail() -> None:
        raise ValueError("in a callback")

    async def test() -> None:
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0.01)

    with pytest.raises(AssertionError, match="in a callback"):
        run(test(), loop_factory)


def test_the_test_s_own_failure_comes_first(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        raise KeyError("what went wrong")

    with pytest.raises(KeyError, match="what went wrong"):
        run(test(), loop_factory)
