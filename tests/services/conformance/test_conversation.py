"""How what a peer does is judged."""

import pytest

from loops import LoopFactory, run
from raw_bytes import RELEASE_RP, RELEASE_RQ, abort
from scripted import CLOSE, HOST, scripted
from services.conformance.connection import CLOSED, Event
from services.conformance.conversation import Conversation, Over, matches
from services.conformance.target import Target
from services.conformance.verdict import Finding, Verdict


@pytest.mark.parametrize(
    ("text", "pattern", "fits"),
    [
        ("abort 2/2", "abort 2/2", True),
        ("abort 2/2", "abort 2/*", True),
        ("abort 0/0", "abort 2/*", False),
        ("C-STORE-RSP 8 A912", "C-STORE-RSP 8 A9??", True),
        ("C-STORE-RSP 8 A912", "C-STORE-RSP 7 A9??", False),
        ("closed", "reset|closed", True),
        ("closed", "reset|release*", False),
        ("accept", "accep", False),
        ("accept", "Accept", False),
    ],
)
def test_patterns(text: str, pattern: str, fits: bool) -> None:
    assert matches(text, pattern) is fits


def _target(port: int, **fields: object) -> Target:
    return Target(host=HOST, port=port, called_ae=b"X", timeout=0.3, quiet=0.05, **fields)  # type: ignore[arg-type]


async def _asked(answer: bytes, *patterns: str, **more: object) -> Conversation:
    async with scripted((answer,)) as (port, _):
        conversation = Conversation(_target(port))
        await conversation.connect()
        await conversation.connection.send(b"?")
        try:
            await conversation.expect(*patterns, **more)  # type: ignore[arg-type]
            await conversation.connection.send(b"on")
        except Over:
            pass
        finally:
            await conversation.close()
        return conversation


def _has_gone_on(conversation: Conversation) -> bool:
    return any(exchange.data == b"on" for exchange in conversation.connection.exchanges)


def test_the_strict_answer_passes_and_the_case_goes_on(loop_factory: LoopFactory) -> None:
    conversation = run(_asked(abort(2, 2), "abort 2/2", "abort 2/*"), loop_factory)
    assert conversation.verdict is Verdict.PASS
    assert not conversation.findings
    assert _has_gone_on(conversation)


def test_a_tolerated_answer_that_ends_the_association_ends_the_case(loop_factory: LoopFactory) -> None:
    conversation = run(_asked(abort(2, 1), "abort 2/2", "abort 2/*", why="AA-8"), loop_factory)
    assert conversation.findings == [Finding(Verdict.TOLERATED, "abort 2/2", "abort 2/1", "AA-8")]
    assert not _has_gone_on(conversation)


def test_a_tolerated_answer_that_does_not_lets_it_go_on(loop_factory: LoopFactory) -> None:
    conversation = run(_asked(RELEASE_RQ, "abort 2/2", "release"), loop_factory)
    assert conversation.verdict is Verdict.TOLERATED
    assert _has_gone_on(conversation)


def test_any_other_answer_fails(loop_factory: LoopFactory) -> None:
    conversation = run(_asked(RELEASE_RP, "abort 2/2", "abort 2/*", why="AA-8"), loop_factory)
    assert conversation.findings == [Finding(Verdict.FAIL, "abort 2/2", "release response", "AA-8")]
    assert not _has_gone_on(conversation)
    assert conversation.last.text == "release response"


def test_silence_fails_unless_it_is_the_answer(loop_factory: LoopFactory) -> None:
    assert run(_asked(b"", "abort 2/2"), loop_factory).findings[0].got == "silence"
    assert run(_asked(b"", "silence"), loop_factory).verdict is Verdict.PASS


def test_a_check_looks_at_the_strict_answer(loop_factory: LoopFactory) -> None:
    def wrong(conversation: Conversation, event: Event) -> Finding:
        return Finding(Verdict.FAIL, "something else", event.text)

    def odd(conversation: Conversation, event: Event) -> Finding:
        return Finding(Verdict.TOLERATED, "something else", event.text)

    failed = run(_asked(abort(2, 2), "abort 2/2", check=wrong), loop_factory)
    assert failed.verdict is Verdict.FAIL
    assert not _has_gone_on(failed)
    tolerated = run(_asked(abort(2, 2), "abort 2/2", check=odd), loop_factory)
    assert tolerated.verdict is Verdict.TOLERATED
    assert _has_gone_on(tolerated)
    assert run(_asked(abort(2, 2), "abort 2/2", check=lambda *_: None), loop_factory).verdict is Verdict.PASS


def test_a_connection_nobody_takes_is_inconclusive(loop_factory: LoopFactory) -> None:
    async def main() -> Conversation:
        async with scripted(()) as (port, _):
            pass
        conversation = Conversation(_target(port))
        with pytest.raises(Over):
            await conversation.connect()
        assert conversation.connections == []
        assert conversation.is_over
        return conversation

    assert run(main(), loop_factory).verdict is Verdict.INCONCLUSIVE


def test_what_is_not_offered_is_not_applicable() -> None:
    conversation = Conversation(_target(1))
    with pytest.raises(Over):
        conversation.not_applicable("no C-GET")
    assert conversation.verdict is Verdict.NOT_APPLICABLE


def test_several_connections_are_numbered_and_closed(loop_factory: LoopFactory) -> None:
    async def main() -> Conversation:
        async with scripted((CLOSE,)) as (port, _):
            conversation = Conversation(_target(port))
            await conversation.connect()
            await conversation.connect()
            await conversation.connection.send(b"x")
            assert await conversation.expect("closed") is CLOSED
            assert conversation.is_over
            await conversation.close()
            return conversation

    assert [c.number for c in run(main(), loop_factory).connections] == [1, 2]
