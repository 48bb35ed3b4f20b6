"""Steps that associate for storage and store."""

import pytest

from loops import LoopFactory, run
from raw_bytes import command, message, ui, us
from scripted import HOST, scripted
from services.conformance.building import (
    IMPLICIT,
    application_context,
    c_store_rq,
    item,
    user_information,
)
from services.conformance.connection import Event
from services.conformance.conversation import Conversation, Over, matches
from services.conformance.data_sets import Instance, instance
from services.conformance.storing import (
    STORE_ID,
    deliver,
    for_storage,
    longest_fragment,
    message_of,
    result_of,
    statuses,
    store,
)
from services.conformance.target import STORAGE_CLASSES, Offer, Target
from services.conformance.verdict import Verdict
from services.trace.reading import MessageReader, PDUReader


def _target(port: int = 1, maximum_length: int = 16384) -> Target:
    return Target(
        host=HOST,
        port=port,
        called_ae=b"X",
        timeout=0.5,
        quiet=0.05,
        offer=Offer(maximum_length=maximum_length, accepted={STORAGE_CLASSES[0]: (IMPLICIT,)}),
    )


def _made(target: Target) -> Instance:
    return instance(target, "118")


def _accept(*results: int) -> bytes:
    """An A-ASSOCIATE-AC with these results for contexts 1, 3, 5."""
    contexts = [
        item(0x21, bytes([2 * number + 1, 0, result, 0]) + item(0x40, IMPLICIT))
        for number, result in enumerate(results)
    ]
    fixed = b"\0\1\0\0" + b"X".ljust(32) + bytes(32)
    body = fixed + application_context() + b"".join(contexts) + user_information()
    return b"\2\0" + len(body).to_bytes(4, "big") + body


def _stored(status: int, *, message_id: int = STORE_ID, uid: bytes = b"", kind: int = 0x0101) -> bytes:
    elements = [us(0x0100, 0x8001), us(0x0120, message_id), us(0x0800, kind), us(0x0900, status)]
    return message(3, command(*elements, *([ui(0x1000, uid)] if uid else [])))


async def _played(*answers: bytes) -> Conversation:
    async with scripted(answers) as (port, _):
        conversation = Conversation(_target(port))
        await conversation.connect()
        try:
            for step in (*for_storage(), *store(_made)):
                await step.run(conversation)
        except Over:
            pass
        finally:
            await conversation.close()
        return conversation


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        (_stored(0), Verdict.PASS),
        (_stored(0, uid=_made(_target()).uid), Verdict.PASS),
        (_stored(0, uid=b"1.2.3"), Verdict.FAIL),
        (_stored(0, message_id=9), Verdict.FAIL),
        (_stored(0xC000), Verdict.FAIL),
        (_stored(0, kind=1), Verdict.FAIL),
    ],
    ids=["right", "named", "another instance", "another message", "another status", "with a data set"],
)
def test_a_response_is_judged(loop_factory: LoopFactory, response: bytes, verdict: Verdict) -> None:
    async def test() -> None:
        assert (await _played(_accept(0, 0, 3), b"wait", response)).verdict is verdict

    run(test(), loop_factory)


def test_a_refused_context_makes_a_case_not_applicable(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        conversation = await _played(_accept(0, 4, 0))
        assert conversation.verdict is Verdict.NOT_APPLICABLE
        assert "does not accept storage" in str(conversation.findings[0])

    run(test(), loop_factory)


@pytest.mark.parametrize(
    ("responses", "verdict"),
    [
        ((_stored(0, message_id=1001), _stored(0x0111, message_id=1002)), Verdict.PASS),
        ((_stored(0, message_id=1001), _stored(0xA700, message_id=1002)), Verdict.INCONCLUSIVE),
        ((_stored(0, message_id=7),), Verdict.FAIL),
    ],
)
def test_what_a_case_needs_is_delivered(
    loop_factory: LoopFactory, responses: tuple[bytes, ...], verdict: Verdict
) -> None:
    async def test() -> None:
        waiting = [each for response in responses for each in (response, b"wait")]
        async with scripted(waiting) as (port, _):
            conversation = Conversation(_target(port))
            await conversation.connect()
            try:
                await deliver(conversation, [_made(conversation.target)] * 2)
            except Over:
                pass
            finally:
                await conversation.close()
        assert conversation.verdict is verdict

    run(test(), loop_factory)


@pytest.mark.parametrize("maximum_length", [0, 100, 4096, 1 << 20])
@pytest.mark.parametrize("length", [0, 90, 20_000])
def test_fragments_fit_the_peer(maximum_length: int, length: int) -> None:
    target = _target(maximum_length=maximum_length)
    data = bytes(range(256)) * 80
    encoded = message_of(target, 3, c_store_rq(3), data[:length])
    pdus = PDUReader().feed(encoded)
    assert all(len(each.raw) - 6 <= (maximum_length or 16384) for each in pdus[1:])
    reader = MessageReader()
    messages = [found for each in pdus for found in reader.feed(each.pdu)]  # type: ignore[arg-type]
    assert [each.data_set for each in messages] == [data[:length]]


def test_the_longest_fragment_leaves_room_for_the_header() -> None:
    assert longest_fragment(_target(maximum_length=4096)) == 4090


def test_a_pattern_of_statuses() -> None:
    pattern = statuses(3, ("0117", "A9??"))
    assert matches("C-STORE-RSP 3 A912", pattern)
    assert not matches("C-STORE-RSP 4 A912", pattern)
    assert not matches("C-STORE-RSP 3 0000", pattern)


def test_no_result_without_an_answer() -> None:
    assert result_of(Event("closed"), 1) is None
