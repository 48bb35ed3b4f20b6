"""Whoever waits for responses gets those that came, in their order, and then learns why no more will."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dimse import status
from dimse.enums import DATA_SET_FOLLOWS, CommandField
from dimse.errors import DimseError
from dimse.invocation import Invocation
from dimse.messages import CFindRSP
from dul.errors import ConnectionLost

Run = Callable[[Coroutine[Any, Any, None]], None]

FINAL = CFindRSP(message_id_being_responded_to=1, status=status.SUCCESS)
PENDING = CFindRSP(
    message_id_being_responded_to=1, status=status.PENDING, command_data_set_type=DATA_SET_FOLLOWS
)


class FakeAssociation:
    def __init__(self) -> None:
        self.is_paused = False
        self.forgotten: list[Invocation] = []

    def pause_reading(self, who: object) -> None:
        self.is_paused = True

    def resume_reading(self, who: object) -> None:
        self.is_paused = False

    def forget(self, invocation: Invocation) -> None:
        self.forgotten.append(invocation)


def invocation() -> tuple[Invocation, FakeAssociation]:
    association = FakeAssociation()
    return Invocation(association, 1, CommandField.C_FIND_RQ), association  # type: ignore[arg-type]


def receive(invocation: Invocation, response: CFindRSP, *fragments: bytes) -> None:
    sink = invocation.open_data_set(response)
    for fragment in fragments:
        sink.write(memoryview(fragment))
    sink.end()
    invocation.complete()


def test_replies_come_in_their_order(run: Run) -> None:
    async def scenario() -> None:
        waiting, _ = invocation()
        receive(waiting, PENDING, b"one", b"more")
        assert not waiting.is_final
        receive(waiting, PENDING, b"two")
        waiting.deliver(FINAL, None)
        assert waiting.is_final
        assert [await waiting.next(1) for _ in range(3)] == [
            (PENDING, b"onemore"),
            (PENDING, b"two"),
            (FINAL, None),
        ]

    run(scenario())


def test_one_who_waits_is_woken_each_time(run: Run) -> None:
    async def scenario() -> None:
        waiting, _ = invocation()
        for text in (b"one", b"two"):
            task = asyncio.ensure_future(waiting.next(5))
            await asyncio.sleep(0)
            assert not task.done()
            receive(waiting, PENDING, text)
            assert await task == (PENDING, text)

    run(scenario())


def test_no_reply_in_time(run: Run) -> None:
    async def scenario() -> None:
        waiting, _ = invocation()
        with pytest.raises(TimeoutError):
            await waiting.next(0.01)
        waiting.deliver(FINAL, None)
        assert await waiting.next(1) == (FINAL, None)

    run(scenario())


def test_what_came_before_the_end_still_counts(run: Run) -> None:
    async def scenario() -> None:
        waiting, _ = invocation()
        waiting.deliver(FINAL, None)
        waiting.fail(ConnectionLost("gone"))
        assert await waiting.next(1) == (FINAL, None)
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="gone"):
                await waiting.next(1)

    run(scenario())


def test_the_first_reason_is_the_reason(run: Run) -> None:
    async def scenario() -> None:
        waiting, _ = invocation()
        waiting.fail(ConnectionLost("first"))
        waiting.fail(ConnectionLost("second"))
        with pytest.raises(ConnectionLost, match="first"):
            await waiting.next(1)

    run(scenario())


def test_a_data_set_that_could_not_be_taken_replaces_its_reply(run: Run) -> None:
    async def scenario() -> None:
        waiting, _ = invocation()
        receive(waiting, PENDING, b"one")
        waiting.open_data_set(PENDING)
        waiting.failure = DimseError(status.RESOURCE_LIMITATION)
        waiting.complete()
        assert await waiting.next(1) == (PENDING, b"one")
        with pytest.raises(DimseError):
            await waiting.next(1)

    run(scenario())


def test_too_many_replies_wait_in_the_peer(run: Run) -> None:
    async def scenario() -> None:
        waiting, association = invocation()
        for number in range(16):
            assert not association.is_paused
            receive(waiting, PENDING, b"%d" % number)
        assert association.is_paused
        assert await waiting.next(1) == (PENDING, b"0")
        assert not association.is_paused

    run(scenario())


def test_nobody_waits_any_more(run: Run) -> None:
    async def scenario() -> None:
        waiting, association = invocation()
        receive(waiting, PENDING, b"one")
        waiting.abandon()
        receive(waiting, PENDING, b"two")
        assert association.forgotten == []
        waiting.deliver(FINAL, None)
        assert association.forgotten == [waiting]

    run(scenario())


def test_after_the_final_response_there_is_nothing_to_abandon(run: Run) -> None:
    async def scenario() -> None:
        waiting, _ = invocation()
        waiting.deliver(FINAL, None)
        waiting.abandon()
        assert not waiting.is_abandoned

    run(scenario())
