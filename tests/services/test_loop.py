import asyncio
import sys

import pytest
import uvloop

from services.loop import run


async def loop_class() -> type:
    return type(asyncio.get_running_loop())


def test_a_program_runs_on_uvloop() -> None:
    assert issubclass(run(loop_class()), uvloop.Loop)


def test_without_uvloop_it_runs_on_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert not issubclass(run(loop_class()), uvloop.Loop)


@pytest.mark.parametrize("without_uvloop", [False, True])
def test_an_interrupt_cancels_what_runs_and_is_raised(
    monkeypatch: pytest.MonkeyPatch, without_uvloop: bool
) -> None:
    if without_uvloop:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    cleaned_up = []

    async def main() -> None:
        import os
        import signal

        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0)
            cleaned_up.append(True)

    with pytest.raises(KeyboardInterrupt):
        run(main())
    assert cleaned_up == [True]
