"""Messages leave one after the other, whole or not at all; half a message is the end."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from associations import STORE, accepting
from dimse.messages import CEchoRSP, CStoreRQ
from dimse.outbox import HalfSent, Outbox
from dimse_services import CT_IMAGE
from dul.errors import ConnectionLost, LocalProtocolError
from memory_provider import MemoryProvider, settle
from raw_bytes import RELEASE_RQ, messages_of, pdvs_of

Run = Callable[[Coroutine[Any, Any, None]], None]

RESPONSE = CEchoRSP(message_id_being_responded_to=7, status=0)


def store_rq(message_id: int) -> CStoreRQ:
    return CStoreRQ(
        message_id=message_id, affected_sop_class_uid=CT_IMAGE, affected_sop_instance_uid="2.25.1"
    )


def with_outbox(run: Run, scenario: Callable[[Outbox, MemoryProvider], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with accepting() as peer:
            await scenario(Outbox(peer.provider), peer.provider)

    run(whole())


def data_of(provider: MemoryProvider) -> list[bytes | None]:
    return [message.data_set for message in messages_of(provider.take_sent())]


@pytest.mark.parametrize("maximum", [0, 8, 9, 12, 128, 16384])
def test_no_pdu_is_longer_than_the_peer_takes(run: Run, maximum: int) -> None:
    async def scenario(outbox: Outbox, provider: MemoryProvider) -> None:
        outbox.maximum_length = maximum
        data = bytes(range(256)) * 3
        await outbox.send(STORE, store_rq(1), data)
        await outbox.send(1, RESPONSE)
        sent = provider.take_sent()
        assert all(len(each.body) <= (maximum or 131072) for each in sent)
        assert all(len(pdvs_of(each.body)) == 1 for each in sent)
        first, second = messages_of(sent)
        assert (first.context_id, first.data_set) == (STORE, data)
        assert (second.context_id, second.data_set, second.answered) == (1, None, 7)

    with_outbox(run, scenario)


def test_messages_never_mix(run: Run) -> None:
    async def scenario(outbox: Outbox, provider: MemoryProvider) -> None:
        outbox.maximum_length = 12

        def pieces(value: int) -> Iterator[bytes]:
            for _ in range(20):
                yield bytes([value]) * 7

        sends = [asyncio.ensure_future(outbox.send(STORE, store_rq(n), pieces(n))) for n in range(5)]
        sends.append(asyncio.ensure_future(outbox.send(1, RESPONSE)))
        await asyncio.gather(*sends)
        assert sorted(data for data in data_of(provider) if data) == [bytes([n]) * 140 for n in range(5)]

    with_outbox(run, scenario)


def test_a_peer_that_takes_nothing_holds_everything_back(run: Run) -> None:
    async def scenario(outbox: Outbox, provider: MemoryProvider) -> None:
        provider.block_writing()
        sends = [asyncio.ensure_future(outbox.send(1, RESPONSE)) for _ in range(3)]
        await settle()
        assert provider.take_sent() == []
        provider.unblock_writing()
        await asyncio.gather(*sends)
        assert len(provider.take_sent()) == 3

    with_outbox(run, scenario)


def test_cancelled_before_its_first_pdu_nothing_is_on_the_wire(run: Run) -> None:
    async def scenario(outbox: Outbox, provider: MemoryProvider) -> None:
        provider.block_writing()
        first = asyncio.ensure_future(outbox.send(STORE, store_rq(1), b"data"))
        behind = asyncio.ensure_future(outbox.send(STORE, store_rq(2), b"more"))
        await settle()
        for send in (first, behind):
            send.cancel()
            with pytest.raises(asyncio.CancelledError):
                await send
        provider.unblock_writing()
        await outbox.send(STORE, store_rq(3), b"last")
        assert data_of(provider) == [b"last"]

    with_outbox(run, scenario)


def test_cancelled_between_two_pdus_half_is_sent(run: Run) -> None:
    async def scenario(outbox: Outbox, provider: MemoryProvider) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"one!"
            provider.block_writing()
            yield b"two!"

        outbox.maximum_length = 10
        send = asyncio.ensure_future(outbox.send(STORE, store_rq(1), pieces()))
        await settle()
        send.cancel()
        with pytest.raises(HalfSent) as raised:
            await send
        assert isinstance(raised.value.cause, asyncio.CancelledError)

    with_outbox(run, scenario)


def test_when_the_last_pdu_is_out_nothing_is_waited_for(run: Run) -> None:
    async def scenario(outbox: Outbox, provider: MemoryProvider) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"data"
            asyncio.get_running_loop().call_soon(provider.block_writing)

        await outbox.send(STORE, store_rq(1), pieces())
        assert data_of(provider) == [b"data"]

    with_outbox(run, scenario)


def test_a_data_set_that_cannot_be_read_to_its_end(run: Run) -> None:
    async def scenario(outbox: Outbox, provider: MemoryProvider) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"data"
            raise OSError("the disk is gone")

        with pytest.raises(HalfSent, match="the disk is gone") as raised:
            await outbox.send(STORE, store_rq(1), pieces())
        assert isinstance(raised.value.cause, OSError)

    with_outbox(run, scenario)


def test_what_cannot_be_encoded_is_not_sent(run: Run) -> None:
    async def scenario(outbox: Outbox, provider: MemoryProvider) -> None:
        with pytest.raises(ValueError, match="status = 65536"):
            await outbox.send(1, CEchoRSP(message_id_being_responded_to=7, status=0x10000))
        outbox.maximum_length = 7
        with pytest.raises(ValueError, match="maximum length 7"):
            await outbox.send(1, RESPONSE)
        with pytest.raises(ValueError, match="maximum length 7"):
            await outbox.send(STORE, store_rq(1), b"data")
        assert provider.take_sent() == []

    with_outbox(run, scenario)


def test_after_the_connection_closed(run: Run) -> None:
    async def scenario(outbox: Outbox, provider: MemoryProvider) -> None:
        provider.block_writing()
        send = asyncio.ensure_future(outbox.send(1, RESPONSE))
        await settle()
        provider.lose()
        with pytest.raises(ConnectionLost):
            await send

    with_outbox(run, scenario)


def test_after_the_release_nothing_can_be_sent(run: Run) -> None:
    async def scenario(outbox: Outbox, provider: MemoryProvider) -> None:
        provider.feed(RELEASE_RQ)
        with pytest.raises(LocalProtocolError, match="Sta13"):
            await outbox.send(1, RESPONSE)
        with pytest.raises(LocalProtocolError, match="Sta13"):
            await outbox.send(STORE, store_rq(1), b"data")
        assert [each.kind for each in provider.take_sent()] == [6]

    with_outbox(run, scenario)
