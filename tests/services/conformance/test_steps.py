"""What cases are written with."""

import contextlib

import pytest

from loops import LoopFactory, run
from raw_bytes import CT_IMAGE, STUDY_ROOT_FIND, VERIFICATION, abort, items_of, pdus_of
from scripted import HOST, WAIT, scripted
from services.conformance.connection import Event, Move
from services.conformance.conversation import Conversation, Over
from services.conformance.steps import (
    Expect,
    Send,
    Step,
    aborted,
    associate,
    close,
    echo,
    finish_sending,
    pause,
    proposal,
    reconnect,
    release,
    reset,
)
from services.conformance.target import Target
from services.conformance.verdict import Finding, Verdict

TARGET = Target(host=HOST, port=1, called_ae=b"THEM")


def _checks_nothing(conversation: Conversation, event: Event) -> Finding | None:
    """with nothing wrong about it."""
    return None


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Send("a PDU", b"x"), "sends a PDU"),
        (Send("a PDU", b"x", piece=1), "sends a PDU, 1 byte at a time"),
        (Send("a PDU", b"x", piece=2, delay=0.5), "sends a PDU, 2 bytes at a time, 0.5 s apart"),
        (Expect("accept"), "expects accept"),
        (
            Expect("accept|closed", "abort 0/0", "a|b"),
            "expects accept or closed (tolerated: abort 0/0, a or b)",
        ),
        (Expect("accept", check=_checks_nothing), "expects accept, with nothing wrong about it"),
        (aborted("2/6"), "expects abort 2/6 (tolerated: abort 2/*)"),
        (pause(0.5), "waits 0.5 s"),
        (reset(), "breaks the connection (RST)"),
        (finish_sending(), "closes its half of the connection (FIN)"),
        (close(), "closes the connection"),
        (reconnect(), "opens another connection"),
    ],
)
def test_a_step_says_what_it_does(step: Step, text: str) -> None:
    assert step.describe() == text


def test_contexts_are_proposed_by_name() -> None:
    body = pdus_of(proposal(TARGET, "echo", "store", "find"))[0].body
    contexts = [value for kind, value in items_of(body[68:]) if kind == 0x20]
    syntaxes = {value[0]: items_of(value[4:])[0][1] for value in contexts}
    assert syntaxes == {1: VERIFICATION, 3: CT_IMAGE, 5: STUDY_ROOT_FIND}
    assert len([1 for kind, _ in items_of(pdus_of(proposal(TARGET))[0].body[68:]) if kind == 0x20]) == 1


def test_bytes_may_depend_on_the_target(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted(()) as (port, received):
            conversation = Conversation(Target(host=HOST, port=port, called_ae=b"THEM"))
            await conversation.connect()
            await Send("its title", lambda target: target.called_ae).run(conversation)
            await finish_sending().run(conversation)
            await Expect("closed").run(conversation)
            await conversation.close()
            assert bytes(received[0]) == b"THEM"

    run(main(), loop_factory)


def test_the_ends_of_a_connection(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted((WAIT,)) as (port, _):
            conversation = Conversation(Target(host=HOST, port=port, called_ae=b"THEM"))
            for step in (close(), reset()):
                await reconnect().run(conversation)
                await step.run(conversation)
            await conversation.close()
            last = [connection.exchanges[-1].move for connection in conversation.connections]
            assert last == [Move.CLOSED, Move.RESET]

    run(main(), loop_factory)


def test_how_long_an_answer_may_take_can_depend_on_the_target(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted(()) as (port, _):
            conversation = Conversation(Target(host=HOST, port=port, called_ae=b"THEM", quiet=0.02))
            await conversation.connect()
            with pytest.raises(Over):
                await Expect("accept", within=lambda target: target.quiet).run(conversation)
            await conversation.close()
            assert conversation.findings[0].got == "silence"

    run(main(), loop_factory)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [(abort(2, 6), Verdict.PASS), (abort(2, 0), Verdict.TOLERATED), (abort(0, 6), Verdict.FAIL)],
)
def test_an_abort_is_graded_by_its_source(answer: bytes, verdict: Verdict, loop_factory: LoopFactory) -> None:
    async def main() -> Verdict:
        async with scripted((answer,)) as (port, _):
            conversation = Conversation(Target(host=HOST, port=port, called_ae=b"THEM"))
            await conversation.connect()
            await Send("something", b"x").run(conversation)
            with contextlib.suppress(Over):
                await aborted("2/6").run(conversation)
            await conversation.close()
            return conversation.verdict

    assert run(main(), loop_factory) is verdict


def test_the_common_groups_are_made_of_steps() -> None:
    for group in (associate(), echo(), release()):
        assert [type(step) for step in group] == [Send, Expect]
