"""Ctrl+C for what has something to end first."""

import asyncio
import os
import signal

import pytest

from services.cli.stoppable import run_until_stopped, unless_stopped
from services.loop import run


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_asks_to_stop_and_waits_for_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    ended = []

    async def main() -> bool:
        stop = asyncio.Event()

        async def work() -> None:
            interrupt()
            await stop.wait()
            await asyncio.sleep(0.01)
            ended.append("in order")

        return await run_until_stopped(work(), stop.set)

    assert run(main()) is True
    assert ended == ["in order"]
    assert "interrupted" in capsys.readouterr().err


def test_without_it_results_and_errors_come_through() -> None:
    async def fails() -> None:
        raise ValueError("no")

    async def main() -> bool:
        with pytest.raises(ValueError, match="no"):
            await run_until_stopped(fails(), lambda: None)
        return await run_until_stopped(asyncio.sleep(0), lambda: None)

    assert run(main()) is False


def test_what_does_not_end_is_cancelled() -> None:
    async def main() -> bool:
        async def stubborn() -> None:
            interrupt()
            await asyncio.Event().wait()

        return await run_until_stopped(stubborn(), lambda: None, grace=0.05)

    assert run(main()) is True


def test_a_second_ctrl_c_ends_at_once() -> None:
    async def main() -> None:
        async def stubborn() -> None:
            interrupt()
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_later(0.05, interrupt)
            await asyncio.Event().wait()

        await run_until_stopped(stubborn(), lambda: None, grace=60)

    with pytest.raises(KeyboardInterrupt):
        run(main())


def test_unless_stopped() -> None:
    ended = []

    async def forever() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.append("in order")
        return 1

    async def two() -> int:
        return 2

    async def main() -> None:
        stop = asyncio.Event()
        assert await unless_stopped(stop, two()) == 2
        asyncio.get_running_loop().call_later(0.01, stop.set)
        assert await unless_stopped(stop, forever()) is None
        assert ended == ["in order"]

    run(main())
