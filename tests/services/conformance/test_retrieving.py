"""Retrieving: sub-operations are answered, counts held against each other."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from loops import LoopFactory, run
from raw_bytes import command, message, ui, us
from scripted import HOST, WAIT, scripted
from services.conformance.connection import Event
from services.conformance.conversation import Conversation, Over
from services.conformance.data_sets import FAILED_SOP_INSTANCES, STUDY_UID, encode
from services.conformance.retrieving import (
    RETRIEVE_ID,
    Counts,
    Retrieval,
    Retrieved,
    judge_failed_list,
    judge_final,
    judge_pending,
    move_of,
    retrieve,
    sent,
    with_status,
)
from services.conformance.target import Target
from services.conformance.verdict import Verdict
from services.trace.reading import MessageReader, PDUReader, command_elements

GET = 7


def _response(status: int, counts: tuple[int | None, ...], failed: bytes | None = None) -> bytes:
    elements = [us(0x0100, 0x8010), us(0x0120, RETRIEVE_ID), us(0x0800, 0x0101 if failed is None else 0)]
    elements.append(us(0x0900, status))
    elements += [us(0x1020 + number, count) for number, count in enumerate(counts) if count is not None]
    data = [] if failed is None else [encode({FAILED_SOP_INSTANCES: failed})]
    return message(GET, command(*elements), *data)


def _store(number: int) -> bytes:
    elements = (
        ui(0x0002, b"1.2.840.10008.5.1.4.1.1.2"),
        us(0x0100, 1),
        us(0x0110, number),
        us(0x0700, 0),
        us(0x0800, 0),
        ui(0x1000, b"1.2.%d" % number),
    )
    return message(3, command(*elements), encode({STUDY_UID: b"1"}))


def _judged(judge: Callable[[Conversation], None]) -> Verdict:
    conversation = Conversation(Target(host=HOST, port=1, called_ae=b"X"))
    with suppress(Over):
        judge(conversation)
    return conversation.verdict


def test_a_get_is_answered_to_its_end(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        answers = (
            _store(1) + _response(0xFF00, (1, 1, 0, 0)) + _store(2),
            WAIT,
            _response(0xB000, (None, 1, 1, 0), b"1.2.2"),
        )
        async with scripted(answers) as (port, received):
            conversation = Conversation(Target(host=HOST, port=port, called_ae=b"X", timeout=1.0))
            await conversation.connect()
            seen = await retrieve(
                conversation,
                Retrieval(keys={STUDY_UID: b"1"}),
                answer=with_status(0, 0xA700),
                final=("B000",),
            )
            await conversation.close()
        assert seen is not None
        assert [each.sop_instance for each in seen.stored] == [b"1.2.1", b"1.2.2"]
        assert seen.pending == [Counts(1, 1, 0, 0)]
        assert seen.counts == Counts(None, 1, 1, 0)
        assert seen.failed == (b"1.2.2",)
        assert _statuses(bytes(received[0])) == [None, 0, 0xA700]

    run(test(), loop_factory)


def _statuses(sent_bytes: bytes) -> list[int | None]:
    reader = MessageReader()
    messages = [m for each in PDUReader().feed(sent_bytes) for m in reader.feed(each.pdu)]  # type: ignore[arg-type]
    found = [command_elements(each.command).get(0x0900) for each in messages]
    return [None if each is None else int.from_bytes(each, "little") for each in found]


def test_another_status_is_judged(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async with scripted((_response(0xC000, ()),)) as (port, _):
            conversation = Conversation(Target(host=HOST, port=port, called_ae=b"X", timeout=1.0))
            await conversation.connect()
            with pytest.raises(Over):
                await retrieve(conversation, Retrieval())
            await conversation.close()
        assert conversation.verdict is Verdict.FAIL

    run(test(), loop_factory)


@pytest.mark.parametrize(
    ("pending", "verdict"),
    [
        ([], Verdict.PASS),
        ([Counts(2, 1, 0, 0), Counts(1, 1, 1, 0), Counts(0, 1, 1, 1)], Verdict.PASS),
        ([Counts(2, 0, 0, 0)], Verdict.FAIL),
        ([Counts(1, 2, 0, 0), Counts(2, 1, 0, 0)], Verdict.FAIL),
        ([Counts(None, 3, 0, 0)], Verdict.FAIL),
        ([Counts(2, 1, 0, None)], Verdict.FAIL),
    ],
)
def test_counts_of_pending_responses(pending: list[Counts], verdict: Verdict) -> None:
    seen = Retrieved(Event("done"), pending=pending)
    assert _judged(lambda conversation: judge_pending(conversation, seen, 3)) is verdict


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        (Counts(None, 2, 1, 0), Verdict.PASS),
        (Counts(None, None, 1, 0), Verdict.TOLERATED),
        (Counts(0, 2, 1, 0), Verdict.FAIL),
        (Counts(None, 3, 0, 0), Verdict.FAIL),
    ],
)
def test_counts_of_a_final_response(counts: Counts, verdict: Verdict) -> None:
    seen = Retrieved(Event("done"), counts)
    assert _judged(lambda conversation: judge_final(conversation, seen, Counts(None, 2, 1, 0))) is verdict


@pytest.mark.parametrize(
    ("failed", "expected", "verdict"),
    [
        (None, [], Verdict.PASS),
        ((), [], Verdict.PASS),
        ((b"1", b"2"), [b"2", b"1"], Verdict.PASS),
        (None, [b"1"], Verdict.FAIL),
        ((b"1",), [], Verdict.FAIL),
        ((b"1",), [b"1", b"2"], Verdict.FAIL),
    ],
)
def test_the_list_of_what_failed(
    failed: tuple[bytes, ...] | None, expected: list[bytes], verdict: Verdict
) -> None:
    seen = Retrieved(Event("done"), failed=failed)
    assert _judged(lambda conversation: judge_failed_list(conversation, seen, expected)) is verdict


def test_a_move_names_its_destination() -> None:
    target = Target(host=HOST, port=1, called_ae=b"X")
    encoded = move_of(b"STUDY", {STUDY_UID: b"1"}, b"ODD").encoded(target)
    reader = MessageReader()
    found = [m for each in PDUReader().feed(encoded) for m in reader.feed(each.pdu)]  # type: ignore[arg-type]
    elements = command_elements(found[0].command)
    assert elements[0x0600] == b"ODD "
    assert elements[0x0100] == b"\x21\0"
    assert found[0].error == ""


def test_what_is_asked_is_told() -> None:
    assert sent(lambda target: Retrieval(keys={STUDY_UID: b""})) == " (level 'STUDY'; (0020,000D) empty)"


def test_counts_are_shown() -> None:
    assert str(Counts(None, 1, 2, 3)) == "- remaining, 1 completed, 2 failed, 3 with warnings"
