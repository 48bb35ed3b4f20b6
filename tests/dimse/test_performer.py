"""Operations the peer invokes: queued behind the window, performed, answered, and let go of whatever happens."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest

from associations import ECHO, FIND, STORE, Peer, accepting
from dimse import status
from dimse.enums import CommandField
from dimse.errors import DimseError
from dimse.messages import CStoreRSP
from dimse.operation import Operation
from dimse.service import Answer
from dimse_services import (
    CT_IMAGE,
    STUDY_ROOT_FIND,
    Find,
    Performs,
    RecordingListener,
    Store,
    pending,
)
from dul.errors import ConnectionLost
from dul.timers import Timers
from memory_provider import settle
from raw_bytes import (
    DATA,
    NO_DATA,
    RELEASE_RQ,
    abort,
    c_cancel_rq,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    command,
    message,
    p_data,
    pdv,
    us,
)
from services.verification import Verification

Run = Callable[[Coroutine[Any, Any, None]], None]


def store(message_id: int, *fragments: bytes) -> bytes:
    return message(STORE, c_store_rq(message_id), *(fragments or (b"instance",)))


def unfinished(message_id: int) -> bytes:
    """A C-STORE whose data set does not end."""
    return p_data(pdv(STORE, 3, c_store_rq(message_id)), pdv(STORE, 0, b"half"))


def find(message_id: int, identifier: bytes = b"identifier") -> bytes:
    return message(FIND, c_find_rq(message_id), identifier)


def echo(message_id: int) -> bytes:
    return message(ECHO, c_echo_rq(message_id))


async def serves(peer: Peer) -> None:
    await peer.send(echo(999))
    assert await peer.answers() == [(999, 0)]


# -- the window and the queue


def test_window_1_performs_one_after_the_other_in_order(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.gate.clear()
        async with accepting(service) as peer:
            await peer.send(*map(store, range(5)))
            assert service.running == 1
            service.gate.set()
            assert await peer.answers() == [(n, 0) for n in range(5)]
            assert service.performed == list(range(5))
            assert service.most_running == 1

    run(scenario())


@pytest.mark.parametrize(("proposed", "at_once"), [(8, 8), (3, 3), (100, 8), (0, 8)])
def test_a_wider_window_performs_many_at_once(run: Run, proposed: int, at_once: int) -> None:
    async def scenario() -> None:
        service = Store()
        service.gate.clear()
        async with accepting(service, invokes=proposed) as peer:
            await peer.send(*map(store, range(12)))
            assert service.running == at_once
            service.gate.set()
            assert sorted(await peer.answers()) == [(n, 0) for n in range(12)]
            assert service.most_running == at_once

    run(scenario())


def test_responses_leave_as_their_operations_end(run: Run) -> None:
    async def scenario() -> None:
        service = Find(matches=1)
        service.gate.clear()
        async with accepting(service, Verification(), invokes=8) as peer:
            await peer.send(find(1), echo(2))
            assert await peer.answers() == [(2, 0)]
            service.gate.set()
            assert await peer.answers() == [(1, 0xFF00), (1, 0)]

    run(scenario())


def test_reading_pauses_at_sixteen_waiting_requests(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.gate.clear()
        async with accepting(service) as peer:
            await peer.send(*map(store, range(16)))
            assert peer.provider.is_reading
            await peer.send(*map(store, range(16, 200)))
            assert not peer.provider.is_reading
            assert len(service.sinks) == 17
            assert peer.provider.unread > 0
            service.gate.set()
            for _ in range(40):
                await settle(50)
            assert peer.provider.unread == 0
            assert peer.provider.is_reading
            assert await peer.answers() == [(n, 0) for n in range(200)]

    run(scenario())


def test_reading_pauses_at_a_mebibyte_of_waiting_data(run: Run) -> None:
    async def scenario() -> None:
        holder, service = Store(), Find(matches=0)
        holder.gate.clear()
        async with accepting(holder, service, Verification()) as peer:
            await peer.send(store(1), *(find(n, bytes(100_000)) for n in range(2, 12)))
            assert peer.provider.is_reading
            await peer.send(find(12, bytes(100_000)), echo(13))
            assert not peer.provider.is_reading
            holder.gate.set()
            await settle(100)
            assert await peer.answers() == [*((n, 0) for n in range(1, 13)), (13, 0)]
            assert peer.provider.is_reading

    run(scenario())


def test_refusals_a_peer_does_not_take_hold_it_back(run: Run) -> None:
    """Else a peer that sends nonsense and reads nothing would fill our memory."""

    async def scenario() -> None:
        async with accepting(Verification()) as peer:
            peer.provider.block_writing()
            nonsense = message(ECHO, command(us(0x0100, 0x0FFE), us(0x0110, 5), us(0x0800, NO_DATA)))
            await peer.send(nonsense * 1000)
            assert not peer.provider.is_reading
            assert peer.provider.unread > 900 * len(nonsense)
            assert len(peer.association._performer._tasks) < 20
            peer.provider.unblock_writing()
            for _ in range(100):
                await settle(20)
            assert await peer.answers() == [(5, 0x0211)] * 1000
            await serves(peer)

    run(scenario())


def test_requests_whose_responses_are_not_taken_hold_the_peer_back(run: Run) -> None:
    async def scenario() -> None:
        async with accepting(Verification(), invokes=8) as peer:
            peer.provider.block_writing()
            await peer.send(*map(echo, range(1000)))
            assert not peer.provider.is_reading
            assert peer.provider.unread > 900 * len(echo(1))
            peer.provider.unblock_writing()
            for _ in range(100):
                await settle(20)
            assert sorted(await peer.answers()) == [(n, 0) for n in range(1000)]

    run(scenario())


# -- refusals


def test_a_message_id_in_progress_is_refused_and_the_first_goes_on(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.gate.clear()
        async with accepting(service, Verification(), invokes=8) as peer:
            await peer.send(store(1), store(1, b"two", b"parts"), echo(1))
            assert await peer.answers() == [(1, 0x0210), (1, 0x0210)]
            service.gate.set()
            assert await peer.answers() == [(1, 0)]
            assert len(service.sinks) == 1
            await peer.send(store(1))  # free again
            assert await peer.answers() == [(1, 0)]

    run(scenario())


def test_who_has_no_right_is_refused_before_anything_is_opened(run: Run) -> None:
    def authorize(operation: Operation) -> None:
        if operation.request.command_field != CommandField.C_ECHO_RQ:
            raise DimseError(status.NOT_AUTHORIZED, "not you")

    async def scenario() -> None:
        service = Store()
        async with accepting(service, Verification(), authorize=authorize) as peer:
            await peer.send(store(1, b"two", b"parts"))
            (answer,) = await peer.messages()
            assert answer.status == 0x0124
            assert answer.elements[0x0902] == b"not you "
            assert service.sinks == []
            await serves(peer)

    run(scenario())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DimseError(0xA700, "full"), 0xA700),
        (OSError("no descriptor left"), 0x0110),
        (KeyError("defect"), 0x0110),
    ],
)
@pytest.mark.parametrize("where", ["open_error", "write_error", "end_error", "error"])
def test_whatever_a_service_raises_becomes_a_status(
    run: Run, where: str, error: Exception, code: int
) -> None:
    async def scenario() -> None:
        listener = RecordingListener()
        service = Store()
        setattr(service, where, error)
        async with accepting(service, Verification(), listener=listener) as peer:
            await peer.send(store(1, b"first", b"rest of it", b"last"))
            assert await peer.answers() == [(1, code)]
            assert listener.statuses == [code]
            assert listener.errors == ([] if isinstance(error, DimseError) else [error])
            assert all(sink.discards for sink in service.sinks)
            setattr(service, where, None)
            await peer.send(store(1))
            assert await peer.answers() == [(1, 0)]
            await serves(peer)

    run(scenario())


def test_after_a_sink_failed_the_rest_passes_by_unseen(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.write_error, service.good_writes = DimseError(0xA700), 1
        async with accepting(service) as peer:
            whole, last = store(1, b"a1", b"b2", b"c3", b"d4"), len(p_data(pdv(STORE, 2, b"d4")))
            await peer.send(whole[:-last])
            (sink,) = service.sinks
            assert (sink.data, sink.writes, sink.discards) == (b"a1b2", 2, 1)
            assert await peer.answers() == []
            await peer.send(whole[-last:])
            assert sink.writes == 2
            assert await peer.answers() == [(1, 0xA700)]

    run(scenario())


@pytest.mark.parametrize(
    "broken", [None, "nonsense", CStoreRSP(message_id_being_responded_to=1, status=70000)]
)
def test_a_response_that_cannot_be_sent_is_a_defect_and_answered(run: Run, broken: object) -> None:
    async def perform(operation: Operation) -> object:
        return broken

    async def scenario() -> None:
        listener = RecordingListener()
        service = Performs(CommandField.C_STORE_RQ, CT_IMAGE, perform)
        async with accepting(service, Verification(), listener=listener) as peer:
            await peer.send(store(1))
            assert await peer.answers() == [(1, 0x0110)]
            assert listener.statuses == [0x0110]
            assert len(listener.errors) == 1
            await serves(peer)

    run(scenario())


def test_the_trouble_of_another_association_is_no_end_of_this_one(run: Run) -> None:
    """A C-MOVE whose destination breaks off owes its response all the same."""

    async def perform(operation: Operation) -> object:
        raise ConnectionLost("the destination is gone")

    async def scenario() -> None:
        async with accepting(Performs(CommandField.C_STORE_RQ, CT_IMAGE, perform)) as peer:
            await peer.send(store(1))
            assert await peer.answers() == [(1, 0x0110)]

    run(scenario())


# -- letting go


@pytest.mark.parametrize("end", [abort(0, 0), b"\x09", b""], ids=["abort", "a fault", "FIN"])
@pytest.mark.parametrize("when", ["in the data set", "complete", "queued", "running"])
def test_every_sink_is_discarded_when_the_association_ends(run: Run, when: str, end: bytes) -> None:
    async def scenario() -> None:
        service = Store()
        service.gate.clear()
        async with accepting(service) as peer:
            sent = store(1)
            if when == "in the data set":
                sent = unfinished(1)
            elif when == "queued":
                sent = store(1) + store(2) + store(3)
            if when == "running":
                await peer.send(sent)
                assert service.running == 1
            peer.provider.feed(sent * (when != "running") + end)  # one segment: nothing has begun yet
            if not end:
                peer.provider.lose()
            await settle()
            assert len(service.sinks) == (3 if when == "queued" else 1)
            assert all(sink.discards for sink in service.sinks)
            assert not service.performed
            assert service.running == 0
            assert not list(peer.association.operations)
            assert not peer.association._performer._tasks

    run(scenario())


def test_a_sink_that_was_kept_is_let_go_as_well(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        async with accepting(service) as peer:
            await peer.send(store(1))
            assert await peer.answers() == [(1, 0)]
            (sink,) = service.sinks
            assert (sink.ends, sink.discards) == (1, 1)

    run(scenario())


def test_a_chunk_kept_by_a_sink_cannot_be_read_later(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        async with accepting(service) as peer:
            await peer.send(store(1, b"a patient's", b"bytes"))
            (sink,) = service.sinks
            assert len(sink.views) == 2
            for view in sink.views:
                with pytest.raises(ValueError, match="released"):
                    bytes(view)

    run(scenario())


# -- C-CANCEL


def test_a_cancel_finds_its_operation(run: Run) -> None:
    async def scenario() -> None:
        service = Find(matches=100)
        service.gate.clear()
        async with accepting(service, invokes=8) as peer:
            await peer.send(find(1), find(2), find(3))
            await peer.send(message(FIND, c_cancel_rq(2)))
            assert await peer.answers() == [(2, 0xFE00)]
            await peer.send(message(FIND, c_cancel_rq(2)), message(FIND, c_cancel_rq(77)))
            assert await peer.answers() == []
            assert service.ended == ["cancelled"]

    run(scenario())


def test_what_still_waits_in_the_queue_can_be_cancelled(run: Run) -> None:
    async def scenario() -> None:
        service = Find(matches=1)
        service.gate.clear()
        async with accepting(service) as peer:
            await peer.send(find(1), find(2), message(FIND, c_cancel_rq(2)))
            service.gate.set()
            assert await peer.answers() == [(1, 0xFF00), (1, 0), (2, 0xFE00)]

    run(scenario())


# -- operations with pending responses


def test_a_pending_response_does_not_wait_for_the_next(run: Run) -> None:
    async def scenario() -> None:
        more = asyncio.Event()

        async def perform(operation: Operation) -> AsyncGenerator[Answer, None]:
            yield pending(operation), b"first "
            await more.wait()
            yield pending(operation), b"second"
            yield operation.response(), None

        async with accepting(Performs(CommandField.C_FIND_RQ, STUDY_ROOT_FIND, perform)) as peer:
            await peer.send(find(1))
            assert [each.data_set for each in await peer.messages()] == [b"first "]
            more.set()
            assert [each.data_set for each in await peer.messages()] == [b"second", None]

    run(scenario())


def test_a_final_response_may_have_a_data_set(run: Run) -> None:
    """C-GET and C-MOVE (PS3.4 C.4.2.1.4.2: the list of failed instances), and the N-services."""

    async def perform(operation: Operation) -> AsyncGenerator[Answer, None]:
        yield operation.response(0xB000, command_data_set_type=DATA), b"failed instances"

    async def scenario() -> None:
        async with accepting(Performs(CommandField.C_FIND_RQ, STUDY_ROOT_FIND, perform)) as peer:
            await peer.send(find(1))
            (answer,) = await peer.messages()
            assert (answer.status, answer.data_set) == (0xB000, b"failed instances")

    run(scenario())


def test_a_generator_without_a_final_response_is_a_defect(run: Run) -> None:
    async def perform(operation: Operation) -> AsyncGenerator[Answer, None]:
        yield pending(operation), b"match"

    async def scenario() -> None:
        listener = RecordingListener()
        service = Performs(CommandField.C_FIND_RQ, STUDY_ROOT_FIND, perform)
        async with accepting(service, listener=listener) as peer:
            await peer.send(find(1))
            assert await peer.answers() == [(1, 0xFF00), (1, 0x0110)]
            assert [str(error) for error in listener.errors] == ["the service ended without a final response"]

    run(scenario())


def test_a_generator_may_raise_in_its_middle(run: Run) -> None:
    async def perform(operation: Operation) -> AsyncGenerator[Answer, None]:
        yield pending(operation), b"match"
        raise DimseError(0xA700, "too many")

    async def scenario() -> None:
        async with accepting(Performs(CommandField.C_FIND_RQ, STUDY_ROOT_FIND, perform)) as peer:
            await peer.send(find(1))
            assert await peer.answers() == [(1, 0xFF00), (1, 0xA700)]

    run(scenario())


@pytest.mark.parametrize("how", ["abort", "unwritable", "unencodable"])
def test_a_generator_is_closed_however_it_stops(run: Run, how: str) -> None:
    """In the operation's own task, and not when the garbage collector comes by."""

    async def scenario() -> None:
        closed: list[bool] = []

        async def perform(operation: Operation) -> AsyncGenerator[Answer, None]:
            try:
                while True:
                    response = pending(operation)
                    yield (None if how == "unencodable" else response), b"match"  # type: ignore[misc]
            finally:
                await asyncio.sleep(0)  # it may await while it is closed
                closed.append(True)

        async with accepting(Performs(CommandField.C_FIND_RQ, STUDY_ROOT_FIND, perform)) as peer:
            if how != "unencodable":
                peer.provider.block_writing()
            await peer.send(find(1))
            if how == "abort":
                await peer.send(abort(0, 0))
            elif how == "unwritable":
                peer.provider.lose()
            await settle()
            assert closed == [True]
            assert not peer.association._performer._tasks

    run(scenario())


def test_a_slow_peer_holds_the_matches_back(run: Run) -> None:
    async def scenario() -> None:
        service = Find(matches=100)
        async with accepting(service) as peer:
            peer.provider.block_writing()
            await peer.send(find(1))
            assert service.yielded == 1
            peer.provider.unblock_writing()
            for _ in range(100):
                await settle()
            assert len(await peer.answers()) == 101

    run(scenario())


# -- release


def test_a_release_waits_for_what_is_performed_and_cuts_what_can_be_cut(run: Run) -> None:
    async def scenario() -> None:
        stores, finds = Store(), Find(matches=100)
        stores.gate.clear()
        finds.gate.clear()
        async with accepting(stores, finds, invokes=8) as peer:
            await peer.send(store(1), find(2), RELEASE_RQ)
            assert [each.kind for each in await peer.pdus()] == [4]  # FE00
            stores.gate.set()
            assert [each.kind for each in await peer.pdus()] == [4, 6]
            assert stores.performed == [1]
            assert finds.ended == ["cancelled"]

    run(scenario())


def test_a_release_does_not_wait_for_ever(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.gate.clear()
        async with accepting(service, timers=Timers(release=0.02)) as peer:
            await peer.send(store(1), RELEASE_RQ)
            assert await peer.pdus() == []
            await asyncio.sleep(0.05)
            assert [each.kind for each in await peer.pdus()] == [6]
            service.gate.set()
            assert await peer.pdus() == []  # nothing after the A-RELEASE-RP
            assert service.performed == []

    run(scenario())


def test_a_release_inside_a_data_set_gives_it_up(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        async with accepting(service) as peer:
            await peer.send(unfinished(1), RELEASE_RQ)
            assert [each.kind for each in await peer.pdus()] == [6]
            assert service.sinks[0].discards
            assert service.performed == []

    run(scenario())
