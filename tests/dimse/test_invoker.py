"""Operations we invoke: sent when the window has room, matched with their responses by Message ID."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from associations import ECHO, FIND, STORE, Peer, requesting
from dimse import status
from dimse.errors import DimseError
from dimse.invocation import Reply
from dimse.messages import CEchoRQ, CFindRQ, CStoreRQ, Request
from dimse_services import CT_IMAGE, STUDY_ROOT_FIND, VERIFICATION
from dul.errors import AssociationAborted, AssociationReleased, ConnectionLost
from memory_provider import settle
from raw_bytes import DATA, RELEASE_RQ, abort, message, response

Run = Callable[[Coroutine[Any, Any, None]], None]

PENDING = 0xFF00


def echo_rq(message_id: int) -> Request:
    return CEchoRQ(message_id=message_id, affected_sop_class_uid=VERIFICATION)


def store_rq(message_id: int) -> Request:
    return CStoreRQ(
        message_id=message_id, affected_sop_class_uid=CT_IMAGE, affected_sop_instance_uid="2.25.1"
    )


def find_rq(message_id: int) -> Request:
    return CFindRQ(message_id=message_id, affected_sop_class_uid=STUDY_ROOT_FIND)


def echo(peer: Peer, timeout: float = 5) -> asyncio.Task[Reply]:
    association = peer.association
    return asyncio.create_task(
        association.invoke(echo_rq, association.context_for(VERIFICATION), timeout=timeout)
    )


def echoed(message_id: int) -> bytes:
    return message(ECHO, response(0x8030, message_id))


def match(message_id: int, data: bytes = b"match") -> bytes:
    return message(FIND, response(0x8020, message_id, PENDING, data_set=DATA), data)


def found(message_id: int, code: int = 0) -> bytes:
    return message(FIND, response(0x8020, message_id, code))


async def ids(peer: Peer) -> list[int]:
    return [each.number(0x0110) for each in await peer.messages()]


async def still_serves(peer: Peer) -> None:
    """One more C-ECHO."""
    task = echo(peer)
    (message_id,) = await ids(peer)
    await peer.send(echoed(message_id))
    assert (await task)[0].status == 0


def test_responses_in_another_order_find_who_waits(run: Run) -> None:
    async def scenario() -> None:
        async with requesting(invokes=3) as peer:
            tasks = [echo(peer) for _ in range(3)]
            assert await ids(peer) == [1, 2, 3]
            await peer.send(echoed(3), echoed(1))
            assert [task.done() for task in tasks] == [True, False, True]
            await peer.send(echoed(2))
            replies = await asyncio.gather(*tasks)
            assert [each.message_id_being_responded_to for each, _ in replies] == [1, 2, 3]

    run(scenario())


@pytest.mark.parametrize(("invokes", "at_once"), [(1, 1), (3, 3), (8, 8), (0, 64)])
def test_no_more_at_once_than_the_window_allows(run: Run, invokes: int, at_once: int) -> None:
    async def scenario() -> None:
        async with requesting(invokes=invokes) as peer:
            tasks = [echo(peer) for _ in range(at_once + 2)]
            outstanding = await ids(peer)
            assert len(outstanding) == at_once
            await peer.send(echoed(outstanding[0]))
            assert len(await ids(peer)) == 1
            await peer.send(*map(echoed, range(2, at_once + 2)))
            assert len(await ids(peer)) == 1
            await peer.send(echoed(at_once + 2))
            assert len(await asyncio.gather(*tasks)) == at_once + 2

    run(scenario())


def test_a_late_response_is_dropped(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            task = echo(peer, timeout=0.01)
            assert await ids(peer) == [1]
            with pytest.raises(TimeoutError):
                await task
            await peer.send(echoed(1))
            assert peer.association.is_established
            await still_serves(peer)

    run(scenario())


def test_a_cancelled_wait_leaves_the_association(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            task = echo(peer)
            await ids(peer)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await peer.send(echoed(1))
            await still_serves(peer)

    run(scenario())


@pytest.mark.parametrize(
    "nonsense",
    [echoed(99), match(99), echoed(1) + echoed(1)],
    ids=["never asked", "with a data set", "answered twice"],
)
def test_a_response_nobody_asked_for_aborts(run: Run, nonsense: bytes) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            task = echo(peer)
            await ids(peer)
            await peer.send(nonsense)
            assert [(each.kind, each.body[2:]) for each in await peer.pdus()] == [(7, b"\0\0")]
            if nonsense == echoed(1) * 2:
                assert (await task)[0].status == 0
            else:
                with pytest.raises(AssociationAborted, match="Message ID 99"):
                    await task

    run(scenario())


@pytest.mark.parametrize(
    ("nonsense", "told"),
    [
        (message(ECHO, response(0x8001, 1)), "C-ECHO-RQ 1 with C-STORE-RSP, status 0000"),
        (match(1), "C-ECHO-RQ 1 with C-FIND-RSP, status FF00"),
        (message(ECHO, response(0x8030, 1, PENDING)), "C-ECHO-RQ 1 with C-ECHO-RSP, status FF00"),
    ],
    ids=["of another operation", "with a data set", "pending"],
)
def test_a_response_the_request_cannot_have_aborts(run: Run, nonsense: bytes, told: str) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            task = echo(peer)
            await ids(peer)
            await peer.send(nonsense)
            assert [(each.kind, each.body[2:]) for each in await peer.pdus()] == [(7, b"\0\0")]
            with pytest.raises(AssociationAborted, match=told):
                await task

    run(scenario())


def test_a_second_final_response_to_what_was_abandoned_aborts(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            task = echo(peer, timeout=0.01)
            await ids(peer)
            with pytest.raises(TimeoutError):
                await task
            await peer.send(echoed(1))
            await peer.send(echoed(1))
            assert [each.kind for each in await peer.pdus()] == [7]

    run(scenario())


@pytest.mark.parametrize(
    ("end", "error"),
    [(abort(0, 0), AssociationAborted), (b"", ConnectionLost), (RELEASE_RQ, AssociationReleased)],
    ids=["abort", "FIN", "a release the acceptor may not ask for"],
)
def test_the_end_of_the_association_ends_every_wait(run: Run, end: bytes, error: type[Exception]) -> None:
    async def scenario() -> None:
        async with requesting(invokes=2) as peer:
            tasks = [echo(peer) for _ in range(5)]  # two sent, three behind the window
            assert len(await ids(peer)) == 2
            await peer.send(end)
            if not end:
                peer.provider.lose()
            for task in tasks:
                with pytest.raises(error):
                    await task
            with pytest.raises(error):
                await echo(peer)

    run(scenario())


def test_a_response_that_came_just_before_the_end_counts(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            task = echo(peer)
            await ids(peer)
            peer.provider.feed(echoed(1) + abort(0, 0))
            assert (await task)[0].status == 0

    run(scenario())


def test_a_response_that_comes_while_the_data_set_is_still_sent(run: Run) -> None:
    """An early failure (PS3.7 9.1.1): the rest is sent all the same, then the response counts."""

    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association

            def pieces() -> Iterator[bytes]:
                yield bytes(20_000)
                peer.provider.feed(message(STORE, response(0x8001, 1, 0xA700)))
                yield bytes(20_000)

            reply = await association.invoke(store_rq, association.context_for(CT_IMAGE), pieces())
            assert reply[0].status == 0xA700
            (sent,) = await peer.messages()
            assert sent.data_set == bytes(40_000)
            await still_serves(peer)

    run(scenario())


# -- pending responses


def test_matches_come_one_by_one(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association
            replies = association.invoke_many(
                find_rq, association.context_for(STUDY_ROOT_FIND), b"identifier"
            )
            first = asyncio.create_task(anext(replies))
            (request,) = await peer.messages()
            assert request.data_set == b"identifier"
            await peer.send(match(1, b"one"))
            assert (await first)[1] == b"one"
            await peer.send(match(1, b"two"), found(1))
            assert [(each.status, data) async for each, data in replies] == [(PENDING, b"two"), (0, None)]
            assert await peer.messages() == []

    run(scenario())


def test_closing_early_cancels_and_drops_the_rest(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association
            replies = association.invoke_many(
                find_rq, association.context_for(STUDY_ROOT_FIND), b"identifier"
            )
            first = asyncio.create_task(anext(replies))
            await peer.messages()
            await peer.send(match(1))
            await first
            await replies.aclose()
            (cancel,) = await peer.messages()
            assert (cancel.field, cancel.answered, cancel.context_id) == (0x0FFF, 1, FIND)
            await peer.send(match(1), match(1), found(1, 0xFE00))
            await still_serves(peer)

    run(scenario())


def test_a_peer_that_goes_silent_among_its_matches_is_cancelled(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association
            replies = association.invoke_many(
                find_rq, association.context_for(STUDY_ROOT_FIND), b"identifier", timeout=0.02
            )
            first = asyncio.create_task(anext(replies))
            await peer.messages()
            await peer.send(match(1))
            await first
            with pytest.raises(TimeoutError):
                await anext(replies)
            assert [each.field for each in await peer.messages()] == [0x0FFF]

    run(scenario())


def test_a_reader_that_is_slow_holds_the_peer_back(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association
            replies = association.invoke_many(
                find_rq, association.context_for(STUDY_ROOT_FIND), b"identifier"
            )
            first = asyncio.create_task(anext(replies))
            await peer.messages()
            await peer.send(match(1))
            await first
            await peer.send(*[match(1)] * 100, found(1))
            assert not peer.provider.is_reading
            assert peer.provider.unread > 80 * len(match(1))
            assert len([each async for each in replies]) == 101
            assert peer.provider.is_reading

    run(scenario())


def test_closing_early_lets_reading_go_on(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association
            replies = association.invoke_many(
                find_rq, association.context_for(STUDY_ROOT_FIND), b"identifier"
            )
            first = asyncio.create_task(anext(replies))
            await peer.messages()
            await peer.send(*[match(1)] * 100, found(1))
            await first
            await replies.aclose()
            await settle()
            assert peer.provider.unread == 0
            await peer.messages()
            await still_serves(peer)

    run(scenario())


def test_a_match_too_long_to_take(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association
            replies = association.invoke_many(
                find_rq, association.context_for(STUDY_ROOT_FIND), b"identifier"
            )
            first = asyncio.create_task(anext(replies))
            await peer.messages()
            huge = [bytes(100_000)] * 11
            await peer.send(message(FIND, response(0x8020, 1, PENDING, data_set=DATA), *huge))
            with pytest.raises(DimseError) as raised:
                await first
            assert raised.value.status == status.RESOURCE_LIMITATION
            assert [each.field for each in await peer.messages()] == [0x0FFF]
            await peer.send(match(1), found(1, 0xFE00))
            await still_serves(peer)

    run(scenario())


# -- what never went out


def test_cancelled_before_it_is_sent_nothing_is_owed(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association
            peer.provider.block_writing()
            replies = association.invoke_many(
                find_rq, association.context_for(STUDY_ROOT_FIND), b"identifier"
            )
            waiting = [asyncio.create_task(anext(replies)), echo(peer)]
            await settle()
            for task in waiting:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            peer.provider.unblock_writing()
            assert await peer.pdus() == []  # no C-CANCEL either
            await peer.send(echoed(1))
            assert not association.is_established, "a response to what was never asked was let through"

    run(scenario())


def test_a_request_that_cannot_be_made_leaves_no_trace(run: Run) -> None:
    async def scenario() -> None:
        async with requesting() as peer:
            association = peer.association

            def broken(message_id: int) -> Request:
                raise KeyError("a defect")

            with pytest.raises(KeyError):
                await association.invoke(broken, association.context_for(VERIFICATION))
            with pytest.raises(ValueError, match="must have affected_sop_class_uid"):
                await association.invoke(
                    lambda message_id: CEchoRQ(message_id=message_id, affected_sop_class_uid=None),
                    association.context_for(VERIFICATION),
                )
            assert await peer.pdus() == []
            await still_serves(peer)

    run(scenario())


def test_message_ids_of_what_is_outstanding_are_not_used_again(run: Run) -> None:
    async def scenario() -> None:
        async with requesting(invokes=2) as peer:
            hanging = echo(peer, timeout=60)
            await ids(peer)
            association = peer.association
            association._invoker._message_ids = iter([1, 1, 65535, 1, 2])  # type: ignore[assignment]
            for expected in (65535, 2):
                task = echo(peer)
                assert await ids(peer) == [expected]
                await peer.send(echoed(expected))
                await task
            await peer.send(echoed(1))
            await hanging

    run(scenario())
