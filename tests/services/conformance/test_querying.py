"""Asking by C-FIND: what comes back is collected and judged."""

import pytest

from loops import LoopFactory, run
from raw_bytes import command, message, us
from scripted import HOST, scripted
from services.conformance.building import IMPLICIT
from services.conformance.conversation import Conversation, Over
from services.conformance.data_sets import LEVEL, STUDY_UID, Items, encode
from services.conformance.querying import FIND_ID, Question, delivers_once, finds, refuses, sent, shown
from services.conformance.steps import Step
from services.conformance.target import STUDY_ROOT_FIND, Offer, Target
from services.conformance.verdict import Verdict

FIND = 5


def _target(port: int) -> Target:
    offer = Offer(accepted={STUDY_ROOT_FIND: (IMPLICIT,)})
    return Target(host=HOST, port=port, called_ae=b"X", timeout=0.5, quiet=0.05, run="7", offer=offer)


def _response(
    status: int, data_set: bytes | None = None, *, message_id: int = FIND_ID, context: int = FIND
) -> bytes:
    kind = 0x0101 if data_set is None else 0
    elements = (us(0x0100, 0x8020), us(0x0120, message_id), us(0x0800, kind), us(0x0900, status))
    return message(context, command(*elements), *([] if data_set is None else [data_set]))


def _study(uid: bytes) -> bytes:
    return encode({LEVEL: b"STUDY", STUDY_UID: uid})


async def _played(step: Step, *answers: bytes) -> Conversation:
    async with scripted((b"".join(answers),)) as (port, _):
        conversation = Conversation(_target(port))
        await conversation.connect()
        try:
            await step.run(conversation)
        except Over:
            pass
        finally:
            await conversation.close()
        return conversation


def _question(target: Target) -> Question:
    return Question(level=b"STUDY", keys={STUDY_UID: target.uid(1)})


ONE, TWO, FOREIGN = _study(b"2.25.7.1"), _study(b"2.25.7.2"), _study(b"1.2.3")
PENDING, DONE = 0xFF00, _response(0)


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        ((_response(PENDING, ONE), DONE), Verdict.PASS),
        ((_response(0xFF01, ONE), _response(PENDING, FOREIGN), DONE), Verdict.PASS),
        ((DONE,), Verdict.FAIL),
        ((_response(PENDING, ONE), _response(PENDING, ONE), DONE), Verdict.FAIL),
        ((_response(PENDING, TWO), DONE), Verdict.TOLERATED),
        ((_response(PENDING, ONE), _response(0xC000)), Verdict.FAIL),
        ((_response(PENDING, ONE), _response(0, ONE)), Verdict.FAIL),
        ((_response(PENDING),), Verdict.FAIL),
        ((_response(PENDING, ONE[:-1]), DONE), Verdict.FAIL),
        ((_response(PENDING, ONE, context=7), DONE), Verdict.FAIL),
        ((_response(PENDING, ONE, message_id=9), DONE), Verdict.FAIL),
        ((), Verdict.FAIL),
    ],
)
def test_answers_are_held_against_what_must_come(
    loop_factory: LoopFactory, answers: tuple[bytes, ...], verdict: Verdict
) -> None:
    step = finds(
        "a study",
        _question,
        lambda target: [target.uid(1)],
        tolerated=lambda target: [target.uid(2)],
        why="it matches",
    )

    async def test() -> None:
        assert (await _played(step, *answers)).verdict is verdict

    run(test(), loop_factory)


def test_a_refusal_may_stand_for_no_match(loop_factory: LoopFactory) -> None:
    step = finds("nothing", _question, lambda target: [], or_refused=True, why="nothing matches")

    async def test() -> None:
        assert (await _played(step, _response(0xA900))).verdict is Verdict.PASS

    run(test(), loop_factory)


@pytest.mark.parametrize(
    ("answers", "lenient", "verdict"),
    [
        ((_response(0xA900),), False, Verdict.PASS),
        ((_response(0xC001),), False, Verdict.TOLERATED),
        ((DONE,), False, Verdict.FAIL),
        ((DONE,), True, Verdict.TOLERATED),
        ((_response(PENDING, ONE), DONE), True, Verdict.TOLERATED),
        ((_response(PENDING, ONE),), True, Verdict.FAIL),
        ((), True, Verdict.FAIL),
    ],
)
def test_refusals(
    loop_factory: LoopFactory, answers: tuple[bytes, ...], lenient: bool, verdict: Verdict
) -> None:
    step = refuses("wrongly", _question, lenient=lenient, why="it is wrong")

    async def test() -> None:
        assert (await _played(step, *answers)).verdict is verdict

    run(test(), loop_factory)


def test_what_is_shared_is_stored_once_in_a_run(loop_factory: LoopFactory) -> None:
    made: list[Target] = []

    def nothing(target: Target) -> list[object]:
        made.append(target)
        return []

    async def test() -> None:
        async with scripted() as (port, _):
            for digits in ("7", "7", "8"):
                target = Target(host=HOST, port=port, called_ae=b"X", run=digits)
                await delivers_once("nothing", nothing, "nothing").run(Conversation(target))  # type: ignore[arg-type]

    run(test(), loop_factory)
    assert [target.run for target in made] == ["7", "8"]


def test_what_is_asked_is_told() -> None:
    keys = {STUDY_UID: b"1\n2", 0x00400100: Items(({LEVEL: b""},))}
    assert shown(keys) == r"(0020,000D) '1\n2', (0040,0100) [(0008,0052) empty]"
    assert sent(_question) == " (level 'STUDY'; (0020,000D) '2.25.RUN.1')"
    assert sent(lambda target: Question(raw=b"?")) == ""
