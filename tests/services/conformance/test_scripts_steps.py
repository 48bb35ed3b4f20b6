"""What a script's judging step makes of what an SCU does."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from loops import run as run_on
from raw_bytes import CT_IMAGE, RELEASE_RQ, abort, c_echo_rq, message
from scu_streams import associated
from services.conformance.conversation import Over
from services.conformance.scripts_steps import GOES_ON, WAITS, React, ends, gives_up, goes_on
from services.conformance.verdict import Verdict

Run = Callable[[Coroutine[Any, Any, None]], None]
ECHO = message(1, c_echo_rq(9, CT_IMAGE))


@pytest.fixture
def run(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Run:
    return lambda coro: run_on(coro, loop_factory)


@pytest.mark.parametrize(
    ("react", "said", "verdict"),
    [
        (gives_up("2/2", why=""), abort(2, 2), Verdict.PASS),
        (gives_up("2/2", why=""), abort(2, 0), Verdict.TOLERATED),
        (gives_up("2/2", why=""), abort(0, 0), Verdict.FAIL),
        (gives_up("2/2", why=""), b"", Verdict.FAIL),
        (gives_up("2/2", why=""), ECHO, Verdict.FAIL),
        (gives_up("2/2", GOES_ON, why=""), RELEASE_RQ, Verdict.TOLERATED),
        (gives_up("2/2", why="", crossing=True), ECHO + abort(2, 2), Verdict.PASS),
        (ends(""), b"", Verdict.PASS),
        (ends(""), abort(0, 0), Verdict.FAIL),
        (goes_on(why=""), RELEASE_RQ, Verdict.PASS),
        (goes_on(why=""), ECHO + RELEASE_RQ, Verdict.PASS),
        (goes_on(why=""), abort(0, 0), Verdict.FAIL),
        (goes_on("abort 0/*", why=""), abort(0, 0), Verdict.TOLERATED),
        (goes_on(why=""), ECHO, Verdict.FAIL),
    ],
)
def test_reactions(run: Run, react: React, said: bytes, verdict: Verdict) -> None:
    async def scenario() -> None:
        association, _ = associated(said, ended=True)
        association.target.timeout = association.idle = 0.05
        with suppress(Over):
            await react.run(association)
        assert association.verdict is verdict, association.findings

    run(scenario())


def test_waiting_is_an_answer_too(run: Run) -> None:
    async def scenario() -> None:
        association, _ = associated()
        association.target.timeout = association.idle = 0.05
        await React(WAITS, why="", hopeless=True).run(association)
        assert association.verdict is Verdict.PASS

    run(scenario())


def test_an_scu_that_talks_after_its_abort_fails(run: Run) -> None:
    async def scenario() -> None:
        association, _ = associated(abort(2, 2) + ECHO)
        with pytest.raises(Over):
            await gives_up("2/2", why="").run(association)
        assert "nothing after its A-ABORT" in str(association.findings[0])

    run(scenario())


def test_patterns_are_told_in_words() -> None:
    text = React(GOES_ON, WAITS, "abort 0/*", "closed", why="").describe()
    assert text == "expects going on (tolerated: waiting, abort 0/*, the close of the connection)"
