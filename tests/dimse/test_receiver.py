"""Messages on their way in: data sets go to whoever takes them, as they come, and what nobody takes passes by."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from associations import ECHO, FIND, STORE, Peer, accepting
from dimse import status
from dimse.errors import DimseError
from dimse_services import Find, RecordingListener, Store
from memory_provider import settle
from raw_bytes import (
    DATA,
    RELEASE_RQ,
    abort,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    command,
    message,
    p_data,
    pdv,
    response,
    us,
)
from services.data_stream import DataSetIncomplete
from services.storage import Handler, ReceivedInstance, Storage
from services.verification import Verification

Run = Callable[[Coroutine[Any, Any, None]], None]

KIB = 1024


def begin(message_id: int, *fragments: bytes) -> bytes:
    """A C-STORE-RQ and part of its data set."""
    return b"".join(
        [p_data(pdv(STORE, 3, c_store_rq(message_id))), *(p_data(pdv(STORE, 0, each)) for each in fragments)]
    )


def last(fragment: bytes = b"") -> bytes:
    return p_data(pdv(STORE, 2, fragment))


def echo(message_id: int) -> bytes:
    return message(ECHO, c_echo_rq(message_id))


async def serves(peer: Peer) -> None:
    await peer.send(echo(999))
    assert await peer.answers() == [(999, 0)]


class Streaming:
    """A handler of `services.storage.Storage` that waits to be told to read."""

    def __init__(self) -> None:
        self.may_read = asyncio.Semaphore(0)
        self.read: list[bytes] = []
        self.error: BaseException | None = None
        self.began = 0

    async def __call__(self, instance: ReceivedInstance) -> int | None:
        self.began += 1
        try:
            await self.may_read.acquire()
            async for chunk in instance.chunks():
                self.read.append(chunk)
                await self.may_read.acquire()
        except BaseException as error:
            self.error = error
            raise
        return None


def test_fragments_reach_the_sink_as_they_come(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        async with accepting(service) as peer:
            await peer.send(begin(1, b"one", b""))
            (sink,) = service.sinks
            assert (sink.data, sink.writes, sink.ends) == (b"one", 2, 0)
            await peer.send(last(b"two"))
            assert (sink.data, sink.writes, sink.ends) == (b"onetwo", 3, 1)
            assert await peer.answers() == [(1, 0)]

    run(scenario())


def test_the_peer_waits_for_nothing_while_it_still_sends(run: Run) -> None:
    """`busy` keeps an association from being idle; a peer that stops inside a data set is idle."""

    async def scenario() -> None:
        service = Store()
        service.gate.clear()
        async with accepting(service) as peer:
            assert not peer.association.busy
            await peer.send(begin(1, b"half"))
            assert not peer.association.busy
            await peer.send(last())
            assert peer.association.busy
            assert [each.message_id for each in peer.association.operations] == [1]
            service.gate.set()
            await settle()
            assert not peer.association.busy

    run(scenario())


@pytest.mark.parametrize("command_field", [0x0FFE, 0x0002, 0x7FFF])
def test_an_unknown_command_is_answered_and_its_data_set_passes_by(run: Run, command_field: int) -> None:
    async def scenario() -> None:
        service = Store()
        async with accepting(service, Verification()) as peer:
            unknown = command(us(0x0100, command_field), us(0x0110, 5), us(0x0800, DATA))
            await peer.send(message(STORE, unknown, b"data", b"more"))
            (answer,) = await peer.messages()
            assert (answer.field, answer.answered, answer.status) == (command_field | 0x8000, 5, 0x0211)
            assert service.sinks == []
            await serves(peer)

    run(scenario())


def test_an_unknown_command_inside_nothing_leaves_the_message_before_it_alone(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.gate.clear()
        async with accepting(service) as peer:
            unknown = command(us(0x0100, 0x0FFE), us(0x0110, 5), us(0x0800, 0x0101))
            await peer.send(begin(1, b"data"), last(), message(STORE, unknown))
            service.gate.set()
            assert sorted(await peer.answers()) == [(1, 0), (5, 0x0211)]

    run(scenario())


def test_a_command_that_mistypes_a_value_is_refused(run: Run) -> None:
    async def scenario() -> None:
        async with accepting(Verification()) as peer:
            mistyped = command(
                us(0x0100, 0x0001), us(0x0110, 6), us(0x0800, 0x0101), b"\0\0\x31\x10\4\0\0\0\0\0\0\0"
            )
            await peer.send(message(ECHO, mistyped))
            assert await peer.answers() == [(6, 0x0212)]
            await serves(peer)

    run(scenario())


def test_a_response_that_cannot_be_read_aborts(run: Run) -> None:
    async def scenario() -> None:
        async with accepting(Verification()) as peer:
            await peer.send(message(ECHO, command(us(0x0100, 0x8030), us(0x0800, 0x0101))))
            assert [(each.kind, each.body[2:]) for each in await peer.pdus()] == [(7, b"\0\0")]

    run(scenario())


def test_nothing_is_taken_after_an_abort_in_the_same_pdu(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        async with accepting(service) as peer:
            nonsense = pdv(STORE, 3, response(0x8001, 1))
            await peer.send(p_data(nonsense, pdv(STORE, 3, c_store_rq(1)), pdv(STORE, 2, b"data")))
            assert [each.kind for each in await peer.pdus()] == [7]
            assert service.sinks == []

    run(scenario())


# -- a service that starts with the command and reads its data set as it comes


def streaming(handler: Handler, listener: RecordingListener | None = None, invokes: int = 1) -> Any:
    return accepting(Storage(handler), Verification(), listener=listener, invokes=invokes)


def test_a_stream_is_read_while_it_arrives(run: Run) -> None:
    async def scenario() -> None:
        handler = Streaming()
        async with streaming(handler) as peer:
            await peer.send(begin(1))
            assert handler.began == 1
            for _ in range(3):
                handler.may_read.release()
            await peer.send(p_data(pdv(STORE, 0, b"one")))
            assert handler.read == [b"one"]
            await peer.send(last(b"two"))
            assert handler.read == [b"one", b"two"]
            handler.may_read.release()
            assert await peer.answers() == [(1, 0)]

    run(scenario())


def test_a_slow_reader_slows_the_sender_down(run: Run) -> None:
    async def scenario() -> None:
        handler = Streaming()
        async with streaming(handler) as peer:
            await peer.send(begin(1, *[bytes(100 * KIB)] * 40), last(), echo(2))
            assert not peer.provider.is_reading
            assert peer.provider.unread > 28 * 100 * KIB
            for _ in range(45):
                handler.may_read.release()
                await settle(3)
            assert sum(map(len, handler.read)) == 40 * 100 * KIB
            assert peer.provider.is_reading
            assert peer.provider.pauses > 1
            assert await peer.answers() == [(1, 0), (2, 0)]

    run(scenario())


@pytest.mark.parametrize(
    "end", [abort(0, 0), b"\x09", b"", RELEASE_RQ], ids=["abort", "fault", "FIN", "release"]
)
def test_a_stream_that_breaks_off_says_so(run: Run, end: bytes) -> None:
    async def scenario() -> None:
        listener = RecordingListener()
        handler = Streaming()
        async with streaming(handler, listener) as peer:
            for _ in range(9):
                handler.may_read.release()
            await peer.send(begin(1, b"half"))
            assert handler.read == [b"half"]
            await peer.send(end)
            if not end:
                peer.provider.lose()
            await settle()
            assert isinstance(handler.error, DataSetIncomplete)
            assert listener.errors == []  # no defect of ours
            if end == RELEASE_RQ:
                assert [each.kind for each in await peer.pdus()] == [4, 6]
                assert listener.statuses == [status.PROCESSING_FAILURE]
            assert not list(peer.association.operations)

    run(scenario())


def test_a_reader_that_is_elsewhere_when_its_stream_breaks_off_is_cancelled(run: Run) -> None:
    async def scenario() -> None:
        handler = Streaming()
        async with streaming(handler) as peer:
            await peer.send(begin(1, b"half"))
            await peer.send(abort(0, 0))
            assert isinstance(handler.error, asyncio.CancelledError)

    run(scenario())


def test_a_paused_association_still_ends(run: Run) -> None:
    async def scenario() -> None:
        handler = Streaming()
        async with streaming(handler) as peer:
            await peer.send(begin(1, *[bytes(100 * KIB)] * 20))
            assert not peer.provider.is_reading
            peer.association.timed_out("received data could not be taken")
            await settle()
            assert peer.provider.is_half_closed
            assert isinstance(handler.error, asyncio.CancelledError)
            assert peer.provider.unread == 0

    run(scenario())


@pytest.mark.parametrize("how", ["status", "error", "defect"])
def test_an_early_answer_lets_the_rest_pass_by(run: Run, how: str) -> None:
    """PS3.7 9.1.1: a failure may be answered before the data set has ended."""

    async def handler(instance: ReceivedInstance) -> int | None:
        async for _ in instance.chunks():
            break
        if how == "error":
            raise DimseError(0xA700, "full")
        if how == "defect":
            raise KeyError("defect")
        return 0xA700  # `Storage` reads the rest itself

    async def scenario() -> None:
        listener = RecordingListener()
        async with streaming(handler, listener) as peer:
            await peer.send(begin(1, b"first"))
            code = 0x0110 if how == "defect" else 0xA700
            assert await peer.answers() == ([] if how == "status" else [(1, code)])
            await peer.send(*[p_data(pdv(STORE, 0, bytes(100 * KIB)))] * 40)
            await peer.send(last(b"last"))
            assert peer.provider.is_reading
            assert await peer.answers() == ([(1, code)] if how == "status" else [])
            assert len(listener.errors) == (how == "defect")
            await serves(peer)

    run(scenario())


def test_a_sink_is_not_written_to_after_its_operation_ended(run: Run) -> None:
    async def scenario() -> None:
        service = Store()
        service.starts_with_command = True
        service.error = DimseError(0xA700)
        async with accepting(service, Verification()) as peer:
            await peer.send(begin(1, b"first"))
            assert await peer.answers() == [(1, 0xA700)]
            (sink,) = service.sinks
            assert (sink.data, sink.discards) == (b"first", 1)
            await peer.send(p_data(pdv(STORE, 0, b"more")), last())
            assert (sink.data, sink.ends) == (b"first", 0)
            await serves(peer)

    run(scenario())


def test_several_streams_behind_a_window(run: Run) -> None:
    async def scenario() -> None:
        handler = Streaming()
        for _ in range(100):
            handler.may_read.release()
        async with streaming(handler, invokes=3) as peer:
            await peer.send(*(begin(n, b"%d" % n, b"/") + last(b";") for n in range(6)))
            assert sorted(await peer.answers()) == [(n, 0) for n in range(6)]
            assert b"".join(handler.read).count(b"/") == 6

    run(scenario())


# -- identifiers


def test_an_identifier_too_long_costs_its_operation_only(run: Run) -> None:
    async def scenario() -> None:
        async with accepting(Find(), Verification()) as peer:
            await peer.send(message(FIND, c_find_rq(1), *[bytes(100_000)] * 11))
            assert await peer.answers() == [(1, status.RESOURCE_LIMITATION)]
            await serves(peer)

    run(scenario())
