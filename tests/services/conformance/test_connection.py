"""One connection of the tester."""

import errno
import os
import socket
import ssl

import pytest

from loops import LoopFactory, run
from raw_bytes import (
    RELEASE_RP,
    abort,
    c_echo_rq,
    c_store_rq,
    command,
    message,
    p_data,
    pdu,
    pdv,
    response,
    us,
)
from scripted import CLOSE, HOST, RESET, WAIT, scripted
from services.conformance.connection import CLOSED, SILENCE, Connection, Move, cause
from services.conformance.connection import RESET as WAS_RESET

UNRECOGNIZED = command(us(0x0100, 0x8FFE), us(0x0120, 5), us(0x0800, 0x0101), us(0x0900, 0x0211))
REJECT = pdu(3, bytes([0, 2, 3, 1]))


async def _events(*answers: bytes, count: int) -> list[str]:
    async with scripted(answers) as (port, _):
        connection = await Connection.open(HOST, port, tls=None, timeout=5)
        await connection.send(b"x")
        texts = [(await connection.receive(5)).text for _ in range(count)]
        await connection.close()
        return texts


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (REJECT, "reject 2/3/1"),
        (abort(2, 6), "abort 2/6"),
        (abort(9, 9), "abort 9/9"),
        (RELEASE_RP, "release response"),
        (pdu(5, bytes(4)), "release"),
        (message(1, response(0x8030, 7)), "C-ECHO-RSP 7 0000"),
        (message(1, response(0x8001, 3, 0xA900)), "C-STORE-RSP 3 A900"),
        (message(3, c_store_rq(9), b"data"), "C-STORE-RQ 9"),
        (message(1, c_echo_rq(5)), "C-ECHO-RQ 5"),
        (
            message(1, command(us(0x0100, 0x8FFE), us(0x0120, 5), us(0x0800, 0x0101), us(0x0900, 0x0211))),
            "8FFEH 5 0211",
        ),
        (message(1, command(us(0x0100, 0x8030), us(0x0800, 0x0101))), "C-ECHO-RSP None none"),
        (message(1, b"\0\0"), "garbage*"),
        (b"HTTP/1.1 400\r\n", "garbage*"),
        (pdu(2, bytes(10)), "garbage*"),
    ],
)
def test_what_comes_is_an_event(answer: bytes, text: str, loop_factory: LoopFactory) -> None:
    (found,) = run(_events(answer, count=1), loop_factory)
    assert found == text or (text == "garbage*" and found.startswith("garbage: "))


def test_a_message_in_many_pieces_is_one_event(loop_factory: LoopFactory) -> None:
    answer = response(0x8030, 7)
    pieces = [p_data(pdv(1, 1, answer[i : i + 2])) for i in range(0, len(answer), 2)]
    assert run(_events(*pieces, p_data(pdv(1, 3, b"")), count=1), loop_factory) == ["C-ECHO-RSP 7 0000"]


def test_the_end_is_an_event_and_stays_one(loop_factory: LoopFactory) -> None:
    assert run(_events(RELEASE_RP, CLOSE, count=3), loop_factory) == ["release response", "closed", "closed"]
    assert run(_events(RESET, count=1), loop_factory) == ["reset"]


def test_an_end_inside_a_pdu_is_told(loop_factory: LoopFactory) -> None:
    texts = run(_events(RELEASE_RP[:7], CLOSE, count=2), loop_factory)
    assert texts == ["garbage: 7 bytes of a PDU, then the end", "closed"]


def test_nothing_is_silence(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted(()) as (port, _):
            connection = await Connection.open(HOST, port, tls=None, timeout=5)
            assert await connection.receive(0.05) is SILENCE
            assert not connection.is_over
            await connection.close()

    run(main(), loop_factory)


def test_what_went_over_it_is_kept(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted((RELEASE_RP, WAIT, CLOSE)) as (port, received):
            connection = await Connection.open(HOST, port, tls=None, timeout=5, number=3)
            await connection.send(b"abcde")
            assert (await connection.receive(5)).text == "release response"
            await connection.send(b"!")
            assert await connection.receive(5) is CLOSED
            await connection.close()
            await connection.close()
            assert bytes(received[0]) == b"abcde!"
            moves = [(exchange.move, exchange.data) for exchange in connection.exchanges]
            assert moves == [
                (Move.OPENED, b""),
                (Move.SENT, b"abcde"),
                (Move.RECEIVED, RELEASE_RP),
                (Move.SENT, b"!"),
                (Move.PEER_CLOSED, b""),
            ]
            times = [exchange.at for exchange in connection.exchanges]
            assert times == sorted(times)
            assert connection.number == 3
            assert not connection.cut

    run(main(), loop_factory)


def test_no_more_is_kept_than_is_bounded(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted(()) as (port, _):
            connection = await Connection.open(HOST, port, tls=None, timeout=5)
            for _ in range(6):
                await connection.send(bytes(1 << 20))
            await connection.close()
            assert sum(len(exchange.data) for exchange in connection.exchanges) == 4 << 20
            assert connection.cut

    run(main(), loop_factory)


def test_sending_to_a_peer_that_is_gone_is_no_error(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted((RESET,)) as (port, _):
            connection = await Connection.open(HOST, port, tls=None, timeout=5)
            await connection.send(b"x")
            assert await connection.receive(5) is WAS_RESET
            await connection.send(bytes(100_000))
            connection.finish_sending()
            await connection.close()

    run(main(), loop_factory)


def test_it_can_half_close_and_reset(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted(()) as (port, _):
            first = await Connection.open(HOST, port, tls=None, timeout=5)
            first.finish_sending()
            assert await first.receive(5) is CLOSED  # the acceptor answers our FIN with its own
            await first.close()
            second = await Connection.open(HOST, port, tls=None, timeout=5)
            second.reset()
            await second.close()
            assert [e.move for e in first.exchanges] == [Move.OPENED, Move.FINISHED, Move.PEER_CLOSED]
            assert [e.move for e in second.exchanges] == [Move.OPENED, Move.RESET]
            assert first.tls_version is None

    run(main(), loop_factory)


def test_nobody_there_is_an_error(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted(()) as (port, _):
            pass
        with pytest.raises(ConnectionRefusedError):
            await Connection.open(HOST, port, tls=None, timeout=5)

    run(main(), loop_factory)


def test_bytes_can_be_sent_in_pieces(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted((RELEASE_RP,)) as (port, received):
            connection = await Connection.open(HOST, port, tls=None, timeout=5)
            await connection.send(b"abcde", piece=2, delay=0.001)
            await connection.receive(5)
            connection.finish_sending()
            assert await connection.receive(5) is CLOSED
            await connection.close()
            assert bytes(received[0]) == b"abcde"

    run(main(), loop_factory)


def test_the_socket_beneath_can_be_had(loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
        async with scripted([CLOSE]) as (port, received):
            connection = await Connection.open(HOST, port, tls=None, timeout=5)
            os.write(connection.descriptor, b"beneath")
            assert await connection.receive(5) is CLOSED
            assert received == [b"beneath"]
            await connection.close()

    run(scenario(), loop_factory)


def test_what_goes_beyond_what_is_kept_leaves_no_trace(loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
        async with scripted([WAIT]) as (port, _):
            connection = await Connection.open(HOST, port, tls=None, timeout=5)
            for _ in range(7):
                await connection.send(bytes(1 << 20))
            await connection.close()
            sent = [each for each in connection.exchanges if each.move is Move.SENT]
            assert connection.cut
            assert sum(len(each.data) for each in sent) == 4 << 20
            assert len(sent) == 5

    run(scenario(), loop_factory)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 1)"), "Connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "wrong version number"), "wrong version number"),
        (OSError("Multiple exceptions: refused, refused"), "Multiple exceptions"),
    ],
)
def test_why_there_is_no_connection_is_told_in_words(error: OSError, text: str) -> None:
    assert text in cause(error)
