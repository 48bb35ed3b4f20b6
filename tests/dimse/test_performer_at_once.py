"""Operations begun while their PDU is being taken: what never waits is answered there, a task does the rest."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from associations import ECHO, STORE, Peer, accepting
from dimse import status
from dimse.enums import CommandField
from dimse.errors import DimseError
from dimse.operation import Operation
from dimse_services import CT_IMAGE, Performs, RecordingListener, Store
from memory_provider import settle
from raw_bytes import abort, c_echo_rq, c_store_rq, message, messages_of, p_data, pdv
from services.verification import Verification

Run = Callable[[Coroutine[Any, Any, None]], None]


def store(message_id: int) -> bytes:
    return message(STORE, c_store_rq(message_id), b"instance")


def unfinished(message_id: int) -> bytes:
    """A C-STORE whose data set does not end."""
    return p_data(pdv(STORE, 3, c_store_rq(message_id)), pdv(STORE, 0, b"half"))


def echo(message_id: int) -> bytes:
    return message(ECHO, c_echo_rq(message_id))


def test_what_begins_at_once_and_never_waits_is_answered_while_the_pdu_is_taken(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.begins_at_once = True
        async with accepting(service) as peer:
            peer.provider.feed(store(1) + store(2))
            assert [(m.answered, m.status) for m in messages_of(peer.provider.take_sent())] == [
                (1, 0),
                (2, 0),
            ]
            assert service.sinks[0].discards == 1

    run(scenario())


def test_what_begins_at_once_goes_on_in_a_task_where_it_waits(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.begins_at_once = True
        service.gate.clear()
        async with accepting(service) as peer:
            peer.provider.feed(store(1))
            assert service.running == 1
            assert await peer.answers() == []
            service.gate.set()
            assert await peer.answers() == [(1, 0)]

    run(scenario())


@pytest.mark.parametrize("begins_at_once", [True, False])
def test_each_wait_hands_on_its_result_and_its_error(run: Run, begins_at_once: bool) -> None:
    async def scenario() -> None:
        futures = [asyncio.get_running_loop().create_future() for _ in range(3)]

        async def perform(operation: Operation) -> object:
            assert await futures[0] == "result"
            await asyncio.sleep(0)
            with pytest.raises(ValueError, match="first"):
                await futures[1]
            async with asyncio.timeout(60):  # after the first wait there is a task
                await futures[2]
            raise AssertionError("the last one fails")

        service = Performs(CommandField.C_STORE_RQ, CT_IMAGE, perform)
        service.begins_at_once = begins_at_once
        async with accepting(service) as peer:
            await peer.send(store(1))
            futures[0].set_result("result")
            await settle()
            futures[1].set_exception(ValueError("first"))
            await settle()
            futures[2].set_exception(DimseError(status.CANNOT_UNDERSTAND))
            assert await peer.answers() == [(1, status.CANNOT_UNDERSTAND)]

    run(scenario())


@pytest.mark.parametrize("fails", [False, True])
def test_a_first_wait_that_fails_and_one_that_is_cancelled(run: Run, fails: bool) -> None:
    async def scenario() -> None:
        happened: list[str] = []
        waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def perform(operation: Operation) -> object:
            try:
                await waited
            except BaseException as error:
                happened.append(type(error).__name__)
                raise
            raise AssertionError("it ends with an error")

        service = Performs(CommandField.C_STORE_RQ, CT_IMAGE, perform)
        service.begins_at_once = True
        async with accepting(service) as peer:
            await peer.send(store(1))
            if fails:
                waited.set_exception(DimseError(status.CANNOT_UNDERSTAND))
                assert await peer.answers() == [(1, status.CANNOT_UNDERSTAND)]
            else:
                await peer.send(abort(0, 0))
                assert waited.cancelled()
        assert happened == (["DimseError"] if fails else ["CancelledError"])

    run(scenario())


def test_many_in_one_segment_let_the_loop_have_its_turn(run: Run) -> None:
    async def scenario() -> None:
        async with accepting(Verification()) as peer:
            peer.provider.feed(b"".join(map(echo, range(200))))
            at_once = len(peer.provider.take_sent())
            assert 0 < at_once <= 16
            assert not peer.provider.is_reading
            rest = []
            while len(rest) < 200 - at_once:
                rest += await peer.answers()
            assert rest == [(n, 0) for n in range(at_once, 200)]

    run(scenario())


def test_what_starts_with_its_command_does_not_begin_inside_it(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.begins_at_once = service.starts_with_command = True
        async with accepting(service) as peer:
            peer.provider.feed(unfinished(1))
            assert service.performed == []
            assert await peer.answers() == [(1, 0)]
            await peer.send(p_data(pdv(STORE, 2, b"rest")))
            await serves_store(peer)

    run(scenario())


async def serves_store(peer: Peer) -> None:
    await peer.send(store(998))
    assert await peer.answers() == [(998, 0)]


@pytest.mark.parametrize("begins_at_once", [True, False])
def test_a_response_that_cannot_be_sent_aborts(
    run: Run, begins_at_once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*arguments: object) -> None:
        raise ValueError("no way to say this")

    async def scenario() -> None:
        service = Store()
        service.begins_at_once = begins_at_once
        listener = RecordingListener()
        async with accepting(service, listener=listener) as peer:
            monkeypatch.setattr(peer.association, "send", fails)
            await peer.send(store(1))
            assert [each.kind for each in await peer.pdus()] == [7]
        assert [str(cause) for cause in listener.causes] == [
            "a response could not be sent: no way to say this"
        ]

    run(scenario())
