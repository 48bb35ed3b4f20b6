"""An operation of the peer's, and the two sinks everybody can use."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from associations import accepting
from dimse import status
from dimse.errors import DimseError
from dimse.messages import CEchoRQ, CEchoRSP
from dimse.operation import BoundedBuffer, Operation, Skip
from dimse_services import VERIFICATION

Run = Callable[[Coroutine[Any, Any, None]], None]


def with_operation(run: Run, look: Callable[[Operation], None]) -> None:
    async def scenario() -> None:
        async with accepting() as peer:
            request = CEchoRQ(message_id=5, affected_sop_class_uid=VERIFICATION)
            context = next(iter(peer.association.negotiated.contexts.values()), None)
            look(Operation(peer.association, context, request))  # type: ignore[arg-type]

    run(scenario())


def test_a_cancel_is_seen_before_and_after_somebody_waits_for_it(run: Run) -> None:
    def look(operation: Operation) -> None:
        assert not operation.cancelled
        waited_on = operation.cancellation
        operation.cancel()
        assert operation.cancelled
        assert waited_on.is_set()
        assert operation.cancellation is waited_on

    with_operation(run, look)


def test_a_response_carries_what_the_request_named(run: Run) -> None:
    def look(operation: Operation) -> None:
        assert operation.message_id == 5
        assert operation.response(status.CANCEL) == CEchoRSP(
            affected_sop_class_uid=VERIFICATION, message_id_being_responded_to=5, status=status.CANCEL
        )

    with_operation(run, look)


def test_reading_goes_on_when_the_last_of_two_pauses_ends(run: Run) -> None:
    async def scenario() -> None:
        async with accepting() as peer:
            request = CEchoRQ(message_id=5, affected_sop_class_uid=VERIFICATION)
            one, other = (Operation(peer.association, None, request) for _ in range(2))  # type: ignore[arg-type]
            one.pause()
            other.pause()
            one.pause()
            one.resume()
            assert not peer.provider.is_reading
            other.resume()
            other.resume()
            assert peer.provider.is_reading
            await asyncio.sleep(0)

    run(scenario())


def test_the_data_set_is_there_where_a_buffer_was_asked_for(run: Run) -> None:
    def look(operation: Operation) -> None:
        assert operation.data_set == b""
        operation.sink = BoundedBuffer()
        operation.sink.write(memoryview(b"identifier"))
        assert operation.data_set == b"identifier"

    with_operation(run, look)


def test_a_buffer_takes_as_much_as_it_may_and_copies() -> None:
    buffer = BoundedBuffer(maximum=8)
    memory = bytearray(b"12345678")
    buffer.write(memoryview(memory)[:4])
    buffer.write(memoryview(memory)[4:])
    buffer.end()
    memory[:] = bytes(8)
    assert buffer.data == b"12345678"


def test_a_buffer_over_its_maximum_keeps_nothing() -> None:
    buffer = BoundedBuffer(maximum=8)
    buffer.write(memoryview(b"12345678"))
    with pytest.raises(DimseError) as raised:
        buffer.write(memoryview(b"9"))
    assert raised.value.status == status.RESOURCE_LIMITATION
    assert not buffer.data


def test_a_discarded_buffer_is_empty() -> None:
    buffer = BoundedBuffer()
    buffer.write(memoryview(b"data"))
    buffer.discard()
    assert not buffer.data


def test_what_is_skipped_is_not_looked_at() -> None:
    skip = Skip()
    chunk = memoryview(b"data")
    skip.write(chunk)
    chunk.release()  # would raise, had somebody an export of it
    skip.end()
    skip.discard()
