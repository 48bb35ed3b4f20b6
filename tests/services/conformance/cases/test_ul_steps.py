"""The steps that the cases about PDUs and negotiation share."""

import contextlib
from collections.abc import Iterable

import pytest

from loops import LoopFactory, run
from recorded import sound
from scripted import CLOSE, HOST, scripted
from services.conformance.building import RELEASE_RP, RELEASE_RQ, abort, pdu
from services.conformance.cases.ul_steps import (
    IfAccepted,
    accepted_then_echo,
    afterwards,
    ends,
    flat,
    nothing_more,
    send_all,
    several,
    trickle,
)
from services.conformance.checks import results
from services.conformance.connection import Move
from services.conformance.conversation import Conversation, Over
from services.conformance.steps import Expect, Send, Step, release
from services.conformance.target import Offer, Target
from services.conformance.verdict import Verdict

REJECT = pdu(3, bytes([0, 1, 1, 7]))


async def _played(
    steps: Iterable[Step], *answers: tuple[bytes, ...], offer: Offer | None = None
) -> tuple[Conversation, list[bytes]]:
    """Steps on a connection that answers so; the conversation, and what each connection was sent."""
    async with scripted(*answers) as (port, received):
        target = Target(host=HOST, port=port, called_ae=b"X", timeout=0.3, quiet=0.05, offer=offer or Offer())
        conversation = Conversation(target)
        try:
            await conversation.connect()
            with contextlib.suppress(Over):
                for step in steps:
                    await step.run(conversation)
        finally:
            await conversation.close()
        return conversation, [bytes(each) for each in received]


_ASK = Send("a request", b"?")
_EITHER = Expect("reject 1/1/7", "accept")


@pytest.mark.parametrize(
    ("answer", "verdict", "goes_on"),
    [
        (REJECT, Verdict.PASS, False),
        (sound(), Verdict.TOLERATED, True),
        (abort(0, 0), Verdict.FAIL, False),
    ],
)
def test_if_accepted(loop_factory: LoopFactory, answer: bytes, verdict: Verdict, goes_on: bool) -> None:
    steps = (_ASK, _EITHER, IfAccepted((Send("more", b"more"),)))
    conversation, (received,) = run(_played(steps, (answer,)), loop_factory)
    assert conversation.verdict is verdict
    assert (received == b"?more") is goes_on


def test_if_accepted_looks_at_the_answer_first(loop_factory: LoopFactory) -> None:
    steps = (_ASK, Expect("accept"), IfAccepted(Send("more", b"more"), check=results({1: 3})))
    conversation, (received,) = run(_played(steps, (sound(),)), loop_factory)
    assert conversation.verdict is Verdict.FAIL
    assert received == b"?"
    assert steps[-1].describe() == (
        "if accepted, expects it with context 1 answered with result 3 (abstract-syntax-not-supported), "
        "then sends more"
    )


def _trickling(patience: float = 0.2) -> Step:
    return trickle("a request", bytes(20), lambda target: patience)


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ((CLOSE,), Verdict.PASS),
        ((), Verdict.FAIL),  # it waits for ever
        ((abort(0, 0),), Verdict.FAIL),
    ],
)
def test_trickle(loop_factory: LoopFactory, answers: tuple[bytes, ...], verdict: Verdict) -> None:
    conversation, (received,) = run(_played((_trickling(),), answers), loop_factory)
    assert conversation.verdict is verdict
    assert 1 <= len(received) < 20  # never the whole of it


def test_trickle_sends_bytes_one_by_one(loop_factory: LoopFactory) -> None:
    conversation, _ = run(_played((_trickling(),), ()), loop_factory)
    sent = [each.data for each in conversation.connection.exchanges if each.move is Move.SENT]
    assert len(sent) > 1
    assert set(map(len, sent)) == {1}


def test_afterwards_goes_on_on_another_connection(loop_factory: LoopFactory) -> None:
    steps = (_ASK, *afterwards(release()))
    conversation, received = run(_played(steps, (), (RELEASE_RP,)), loop_factory)
    assert conversation.verdict is Verdict.PASS
    assert received == [b"?", RELEASE_RQ]
    assert conversation.connections[0].exchanges[-1].move is Move.CLOSED


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [((), Verdict.PASS), ((CLOSE,), Verdict.PASS), ((RELEASE_RP,), Verdict.FAIL)],
)
def test_nothing_more(loop_factory: LoopFactory, answers: tuple[bytes, ...], verdict: Verdict) -> None:
    conversation, _ = run(_played((_ASK, nothing_more()), answers), loop_factory)
    assert conversation.verdict is verdict


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [((), Verdict.FAIL), ((CLOSE,), Verdict.PASS), ((abort(0, 0), CLOSE), Verdict.FAIL)],
)
def test_ends(loop_factory: LoopFactory, answers: tuple[bytes, ...], verdict: Verdict) -> None:
    conversation, _ = run(_played((_ASK, ends()), answers), loop_factory)
    assert conversation.verdict is verdict


@pytest.mark.parametrize(("able", "verdict"), [(True, Verdict.PASS), (False, Verdict.NOT_APPLICABLE)])
def test_several(loop_factory: LoopFactory, able: bool, verdict: Verdict) -> None:
    conversation, _ = run(_played((several(),), (), offer=Offer(serves_several=able)), loop_factory)
    assert conversation.verdict is verdict


def test_accepted_then_echo_wants_the_echo(loop_factory: LoopFactory) -> None:
    conversation, _ = run(_played((_ASK, *accepted_then_echo()), (sound(),)), loop_factory)
    assert conversation.verdict is Verdict.FAIL
    assert conversation.findings[-1].expected == "C-ECHO-RSP 7 0000"


def test_send_all_sends_in_one_write(loop_factory: LoopFactory) -> None:
    step = send_all("both", b"one", lambda target: target.called_ae)
    conversation, _ = run(_played((step,), ()), loop_factory)
    sent = [each.data for each in conversation.connection.exchanges if each.move is Move.SENT]
    assert sent == [b"oneX"]
    assert step.describe() == "sends both at once"


def test_groups_of_steps_count_as_their_steps() -> None:
    assert flat(_ASK, (_EITHER, _ASK), ()) == (_ASK, _EITHER, _ASK)
