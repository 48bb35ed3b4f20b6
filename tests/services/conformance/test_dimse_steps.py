"""Messages of exact lengths, and steps whose outcome depends on what came before."""

from typing import Any, cast

import pytest

from dimse.command_set import decode_command_set
from dimse.messages import CEchoRQ
from loops import LoopFactory, run
from scripted import scripted
from services.conformance.building import (
    VERIFICATION,
    abort,
    application_context,
    command,
    item,
    maximum_length,
    message,
    pdu,
    response,
)
from services.conformance.case import case
from services.conformance.cases.dimse_steps import (
    aborted_perhaps_after,
    echo_if,
    identifier,
    in_pieces,
    long_echo_rq,
    no_instance,
    packed,
    peers_maximum,
    store_elements,
)
from services.conformance.cases.pdata_lengths import echo_of
from services.conformance.connection import Connection, Exchange, Move
from services.conformance.conversation import Conversation, Over
from services.conformance.player import play
from services.conformance.steps import Expect, Send
from services.conformance.target import Target
from services.conformance.verdict import Verdict
from services.trace.reading import MessageReader, PDUReader

RUN = "281474976710655281474976710655281474976"
TARGET = Target(host="localhost", port=104, called_ae=b"PEER", run=RUN)


def _messages(data: bytes) -> list[Any]:
    reader = MessageReader()
    return [found for read in PDUReader().feed(data) for found in reader.feed(cast(Any, read.pdu))]


def _conversation(*sub_items: bytes) -> Conversation:
    """One whose peer has accepted with these sub-items."""
    body = bytes(68) + application_context() + item(0x50, b"".join(sub_items))
    connection = Connection(cast(Any, None), cast(Any, None))
    connection.exchanges.append(Exchange(0.0, Move.RECEIVED, pdu(2, body)))
    conversation = Conversation(TARGET)
    conversation.connections.append(connection)
    return conversation


@pytest.mark.parametrize("length", [200, 202, 1024, 131066])
def test_data_sets_have_the_length_that_was_asked_for(length: int) -> None:
    assert len(no_instance(TARGET, length)) == length
    assert len(identifier(TARGET, length)) == length


def test_data_sets_are_no_shorter_than_what_they_must_hold() -> None:
    assert TARGET.uid(9) in identifier(TARGET)
    assert TARGET.uid(8) in no_instance(TARGET, 10)


@pytest.mark.parametrize("length", [92, 94, 400, 40000])
def test_a_long_c_echo_rq_is_a_c_echo_rq_of_that_length(length: int) -> None:
    data = long_echo_rq(length)
    assert len(data) == length
    assert decode_command_set(data) == CEchoRQ(message_id=7, affected_sop_class_uid=VERIFICATION.decode())


@pytest.mark.parametrize("announced", [4096, 16382, 16384, 32768, 65536, 131072])
@pytest.mark.parametrize("by", [0, 1, 2])
def test_a_c_echo_rq_fills_a_p_data_tf_exactly(announced: int, by: int) -> None:
    data = echo_of(announced + by, _conversation())
    assert len(data) == 6 + announced + by
    (read,) = _messages(data)
    assert read.error == ""
    assert isinstance(read.message, CEchoRQ)


def test_a_c_echo_rq_that_would_be_unreasonable_is_not_applicable() -> None:
    conversation = _conversation()
    with pytest.raises(Over):
        echo_of(1 << 20, conversation)
    assert conversation.verdict is Verdict.NOT_APPLICABLE


def test_pieces_hold_everything_and_the_last_one_says_so() -> None:
    pieces = in_pieces(3, 0, b"abcdefg", 2)
    assert [piece[6:] for piece in pieces] == [b"ab", b"cd", b"ef", b"g"]
    assert [piece[5] for piece in pieces] == [0, 0, 0, 2]
    assert {piece[4] for piece in pieces} == {3}


def test_packed_pdus_are_as_long_as_may_be_and_no_longer() -> None:
    pieces = in_pieces(1, 1, long_echo_rq(1000))
    data = packed(pieces, 100)
    reads = PDUReader().feed(data)
    assert {len(read.raw) - 6 for read in reads[:-1]} == {96}
    assert [found.command for found in _messages(data)] == [long_echo_rq(1000)]


def test_elements_can_be_left_out() -> None:
    whole = store_elements(TARGET)
    assert whole == command(whole[12:])
    assert TARGET.uid(8) not in store_elements(TARGET, instance=b"")
    assert TARGET.storage_class not in store_elements(TARGET, sop_class=b"")
    assert (
        len(store_elements(TARGET, message_id=None))
        == len(store_elements(TARGET, priority=None))
        == len(whole) - 10
    )


def test_the_maximum_length_is_the_one_in_the_acceptance() -> None:
    assert peers_maximum(_conversation(maximum_length(4096))) == 4096
    assert peers_maximum(_conversation(maximum_length(0))) == 0
    for sub_items in ((), (item(0x51, b"\0\0\1"),)):
        conversation = _conversation(*sub_items)
        with pytest.raises(Over):
            peers_maximum(conversation)
        assert conversation.verdict is Verdict.NOT_APPLICABLE


ANSWER = message(1, response(0x8030, 7, sop_class=VERIFICATION))


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ((abort(2, 6),), Verdict.PASS),
        ((abort(2, 1),), Verdict.TOLERATED),
        ((ANSWER, abort(2, 6)), Verdict.TOLERATED),
        ((abort(0, 0),), Verdict.FAIL),
        ((ANSWER, abort(0, 0)), Verdict.FAIL),
        ((ANSWER,), Verdict.FAIL),
        ((), Verdict.FAIL),
    ],
    ids=[
        "abort",
        "another reason",
        "answered before",
        "source 0",
        "answered, source 0",
        "answered",
        "silent",
    ],
)
def test_an_answer_before_the_abort_is_tolerated_and_no_abort_is_not(
    answers: tuple[bytes, ...], verdict: Verdict, loop_factory: LoopFactory
) -> None:
    step = aborted_perhaps_after("C-ECHO-RSP 7 0000", "2/6", "the rule")
    assert _verdict((Send("it", b"x"), step), answers, loop_factory) is verdict


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ((abort(2, 6),), Verdict.PASS),
        ((ANSWER,), Verdict.FAIL),
        ((ANSWER, b"wait", message(1, response(0x8030, 6, sop_class=VERIFICATION))), Verdict.TOLERATED),
    ],
    ids=["aborted", "then silent", "then served"],
)
def test_a_c_echo_is_asked_for_only_where_the_association_goes_on(
    answers: tuple[bytes, ...], verdict: Verdict, loop_factory: LoopFactory
) -> None:
    steps = (Send("it", b"x"), Expect("abort 2/6", "C-ECHO-RSP 7 0000"), echo_if("C-ECHO-RSP 7 0000"))
    assert _verdict(steps, answers, loop_factory) is verdict


def _verdict(steps: tuple[Any, ...], answers: tuple[bytes, ...], loop_factory: LoopFactory) -> Verdict:
    async def test() -> Verdict:
        async with scripted(answers) as (port, _):
            target = Target(host="127.0.0.1", port=port, called_ae=b"PEER", timeout=0.3)
            result = await play(case("pdata-999", "A case", "PS3.8 9", *steps), target)
            return result.verdict

    return run(test(), loop_factory)
