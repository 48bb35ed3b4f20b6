"""The C-MOVE destination of the tester behaves as it is told."""

import asyncio

import pytest

from loops import LoopFactory, run
from peers import free_port
from raw_bytes import RELEASE_RQ, command, message, ui, us
from services.conformance.building import CT_IMAGE, EXPLICIT, IMPLICIT, context, proposing
from services.conformance.connection import Connection, Event
from services.conformance.conversation import Conversation, Over
from services.conformance.data_sets import STUDY_UID, encode
from services.conformance.move_listener import MOST_ASSOCIATIONS, Behaviour, Deed, MoveListener, listening
from services.conformance.storing import result_of
from services.conformance.target import Target
from services.conformance.verdict import Verdict

HOST = "127.0.0.1"


def _target() -> Target:
    return Target(
        host=HOST, port=1, called_ae=b"X", timeout=1.0, move_destination=b"US", move_port=free_port()
    )


def _store(number: int) -> bytes:
    elements = (
        ui(0x0002, CT_IMAGE),
        us(0x0100, 1),
        us(0x0110, number),
        us(0x0700, 0),
        us(0x0800, 0),
        ui(0x1000, b"1.2.%d" % number),
        us(0x1031, 31),
    )
    return message(3, command(*elements), encode({STUDY_UID: b"1"}))


async def _play(
    behaviour: Behaviour, *requests: bytes, syntax: bytes = IMPLICIT
) -> tuple[MoveListener, list[Event]]:
    """Send an A-ASSOCIATE-RQ and these requests to a destination, each after the answer to the one before."""
    target = _target()
    events = []
    async with listening(Conversation(target), behaviour) as listener:
        connection = await Connection.open(HOST, target.move_port, tls=None, timeout=2.0)
        for data in (proposing(context(3, CT_IMAGE, syntax)), *requests):
            await connection.send(data)
            events.append(await connection.receive(2.0))
        await connection.close()
        for _ in range(100):
            if listener.is_quiet:
                break
            await asyncio.sleep(0.01)
        assert listener.is_quiet
    return listener, events


def _texts(events: list[Event]) -> list[str]:
    return [event.text for event in events]


def test_it_takes_what_it_is_sent(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        listener, events = await _play(
            Behaviour(statuses=(0, 0xB000)), _store(1), _store(2), _store(3), RELEASE_RQ
        )
        assert _texts(events) == [
            "accept",
            "C-STORE-RSP 1 0000",
            "C-STORE-RSP 2 B000",
            "C-STORE-RSP 3 B000",
            "release response",
        ]
        assert [each.sop_instance for each in listener.stored] == [b"1.2.1", b"1.2.2", b"1.2.3"]
        assert {(each.originator, each.originator_id) for each in listener.stored} == {(None, 31)}
        assert listener.requests[0].calling_ae == "TESTER"
        assert listener.arrived.is_set()

    run(test(), loop_factory)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (Behaviour(rejects=True), ["reject 1/1/1"]),
        (Behaviour(deed=Deed.ABORT), ["accept", "abort 0/0"]),
        (Behaviour(deed=Deed.CLOSE), ["accept", "closed"]),
        (Behaviour(deed=Deed.ABORT, at=1), ["accept", "C-STORE-RSP 1 0000"]),
        (Behaviour(delay=0.05), ["accept", "C-STORE-RSP 1 0000"]),
    ],
)
def test_it_misbehaves_as_told(loop_factory: LoopFactory, behaviour: Behaviour, expected: list[str]) -> None:
    async def test() -> None:
        requests = [_store(1)] * (len(expected) - 1)
        _, events = await _play(behaviour, *requests)
        assert _texts(events) == expected

    run(test(), loop_factory)


@pytest.mark.parametrize(
    ("behaviour", "syntax", "result"),
    [
        (Behaviour(), IMPLICIT, 0),
        (Behaviour(), EXPLICIT, 4),
        (Behaviour(syntaxes=(EXPLICIT,)), EXPLICIT, 0),
        (Behaviour(refuses=True), IMPLICIT, 3),
    ],
)
def test_it_answers_contexts(
    loop_factory: LoopFactory, behaviour: Behaviour, syntax: bytes, result: int
) -> None:
    async def test() -> None:
        _, events = await _play(behaviour, syntax=syntax)
        assert result_of(events[0], 3) == result

    run(test(), loop_factory)


def test_anything_but_an_instance_is_aborted(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        echo = message(3, command(us(0x0100, 0x30), us(0x0110, 1), us(0x0800, 0x0101)))
        _, events = await _play(Behaviour(), echo)
        assert _texts(events) == ["accept", "abort 0/0"]

    run(test(), loop_factory)


def test_too_many_associations_are_closed(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        target = _target()
        async with listening(Conversation(target), Behaviour()):
            open_ones = [
                await Connection.open(HOST, target.move_port, tls=None, timeout=2.0)
                for _ in range(MOST_ASSOCIATIONS + 1)
            ]
            assert (await open_ones[-1].receive(2.0)).text in ("closed", "reset")
            for connection in open_ones:
                await connection.close()

    run(test(), loop_factory)


def test_a_port_that_is_taken_leaves_a_case_inconclusive(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        target = _target()
        conversation = Conversation(target)
        async with listening(Conversation(target), Behaviour()):
            with pytest.raises(Over):
                async with listening(conversation, Behaviour()):
                    pass
        assert conversation.verdict is Verdict.INCONCLUSIVE
        assert str(target.move_port) in str(conversation.findings[0])

    run(test(), loop_factory)
