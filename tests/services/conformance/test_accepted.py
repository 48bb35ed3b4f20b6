"""What an association knows of its SCU, from the bytes that came."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from loops import run as run_on
from raw_bytes import (
    CT_IMAGE,
    IMPLICIT,
    abort,
    c_cancel_rq,
    c_echo_rq,
    c_store_rq,
    context,
    message,
    proposing,
)
from scu_streams import associated
from services.conformance.accepted import FRAGMENT, Association
from services.conformance.connection import SILENCE
from services.conformance.scu_rules import Problem
from services.conformance.verdict import Verdict

Run = Callable[[Coroutine[Any, Any, None]], None]
STORE_RQ = proposing(context(1, CT_IMAGE, IMPLICIT))
STORE = c_store_rq(4, CT_IMAGE, b"2.25.7")


@pytest.fixture
def run(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Run:
    return lambda coro: run_on(coro, loop_factory)


async def events(association: Association, *, fragments: bool = False) -> list[str]:
    found = []
    while (event := await association.next(0.05, fragments=fragments)) is not SILENCE:
        found.append(event.text)
        if event.text == "closed":
            break
    return found


def test_the_request_is_kept(run: Run) -> None:
    async def scenario() -> None:
        association, _ = associated(STORE_RQ)
        assert await events(association) == ["associate"]
        assert association.request is not None
        assert association.rq.raw == STORE_RQ
        assert association.agreed.peer_maximum == 16384
        assert association.did == ["associate"]

    run(scenario())


def test_requests_are_outstanding_until_answered(run: Run) -> None:
    async def scenario() -> None:
        association, _ = associated(message(1, STORE, bytes(8)))
        request = association.request_of(await association.next(1))
        assert request is not None
        assert (request.label, request.message_id, request.sop_instance) == ("C-STORE-RQ", 4, b"2.25.7")
        assert list(association.outstanding) == [4]
        association.answered(4)
        assert not association.outstanding

    run(scenario())


def test_a_second_request_beyond_the_window_is_blamed(run: Run) -> None:
    async def scenario() -> None:
        association, _ = associated(message(1, c_echo_rq(1, CT_IMAGE)), message(1, c_echo_rq(2, CT_IMAGE)))
        await events(association)
        assert [finding.got for finding in association.findings] == ["2"]
        assert association.verdict is Verdict.FAIL

    run(scenario())


def test_a_cancel_is_no_request(run: Run) -> None:
    async def scenario() -> None:
        association, _ = associated(message(1, c_cancel_rq(4)))
        assert association.request_of(await association.next(1)) is None
        assert not association.outstanding

    run(scenario())


def test_parts_of_data_sets_are_shown_where_wanted(run: Run) -> None:
    async def scenario() -> None:
        said = message(1, STORE, bytes(8), bytes(8))
        association, _ = associated(said)
        association.connection.shows_fragments = True
        assert await association.next(1, fragments=True) is FRAGMENT
        begun = association.begun()
        assert begun is not None
        assert begun.message_id == 4
        assert await events(association) == ["C-STORE-RQ 4"]

    run(scenario())


def test_what_was_answered_early_is_no_event_any_more(run: Run) -> None:
    async def scenario() -> None:
        association, _ = associated(message(1, STORE, bytes(8)), message(1, c_echo_rq(5, CT_IMAGE)))
        association.answered_early(4)
        assert await events(association) == ["C-ECHO-RQ 5"]
        assert list(association.outstanding) == [5]

    run(scenario())


def test_the_same_problem_is_noted_once(run: Run) -> None:
    async def scenario() -> None:
        association, _ = associated()
        association.blame(Problem("a rule", "one thing", "PS3"), Problem("a rule", "another", "PS3"))
        assert [finding.got for finding in association.findings] == ["one thing"]

    run(scenario())


def test_what_receivers_live_with_is_noted_by_the_thorough_alone(run: Run) -> None:
    async def scenario() -> None:
        association, _ = associated()
        association.is_thorough = False
        association.blame(Problem("a rule", "nearly", "PS3", False))
        assert association.findings == []
        association.is_thorough = True
        association.blame(Problem("a rule", "nearly", "PS3", False))
        assert association.verdict is Verdict.TOLERATED

    run(scenario())


def test_the_end_is_told_to_who_is_still_there(run: Run) -> None:
    async def scenario() -> None:
        association, writer = associated(STORE_RQ)
        await events(association)
        await association.end()
        assert writer.written == abort(0, 0)
        assert writer.closed

    run(scenario())


def test_nothing_is_said_to_who_is_gone(run: Run) -> None:
    async def scenario() -> None:
        association, writer = associated(STORE_RQ, ended=True)
        assert await events(association) == ["associate", "closed"]
        await association.end()
        assert writer.written == b""

    run(scenario())
