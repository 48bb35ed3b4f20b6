"""Playing one case."""

from loops import LoopFactory, run
from raw_bytes import IMPLICIT, RELEASE_RP, VERIFICATION, abort
from scripted import HOST, WAIT, scripted
from services.conformance.case import Case, case
from services.conformance.connection import Move
from services.conformance.conversation import Conversation
from services.conformance.player import lives, missing, play
from services.conformance.steps import Do, Expect, Send, pause, reconnect
from services.conformance.target import Offer, Service, Target
from services.conformance.verdict import Verdict

TITLE, CLAUSE = "Something", "PS3.8 9.2"
SEND = Send("a byte", b"x")


def _target(port: int, **fields: object) -> Target:
    fields.setdefault("offer", Offer(accepted={VERIFICATION: (IMPLICIT,)}))
    return Target(host=HOST, port=port, called_ae=b"X", timeout=0.3, quiet=0.05, **fields)  # type: ignore[arg-type]


def test_a_case_is_played_step_by_step(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted((abort(2, 2),), (RELEASE_RP,)) as (port, received):
            two = case(
                "ul-1", TITLE, CLAUSE, (SEND, Expect("abort 2/2")), reconnect(), SEND, Expect("release*")
            )
            result = await play(two, _target(port))
            assert result.verdict is Verdict.PASS
            assert result.reached == len(two.steps) == 5
            assert [c.number for c in result.connections] == [1, 2]
            assert [bytes(each) for each in received] == [b"x", b"x"]
            assert Move.SENT in [exchange.move for exchange in result.connections[0].exchanges]

    run(main(), loop_factory)


def test_a_step_that_fails_ends_it(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted((abort(0, 0),)) as (port, received):
            result = await play(case("ul-1", TITLE, CLAUSE, SEND, Expect("accept"), SEND), _target(port))
            assert result.verdict is Verdict.FAIL
            assert result.reached == 1
            assert [str(finding) for finding in result.findings] == ["expected accept, got abort 0/0"]
            assert bytes(received[0]) == b"x"

    run(main(), loop_factory)


def test_a_case_without_end_is_inconclusive(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted(()) as (port, _):
            result = await play(case("ul-1", TITLE, CLAUSE, pause(60)), _target(port), longest=0.05)
            assert result.verdict is Verdict.INCONCLUSIVE
            assert "0.05 s" in str(result.findings[0])

    run(main(), loop_factory)


def test_a_peer_nobody_can_reach_is_inconclusive(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted(()) as (port, _):
            pass
        assert (await play(case("ul-1", TITLE, CLAUSE, SEND), _target(port))).verdict is Verdict.INCONCLUSIVE

    run(main(), loop_factory)


def _case(**fields: object) -> Case:
    return case("storage-1", TITLE, CLAUSE, SEND, **fields)  # type: ignore[arg-type]


def test_what_cannot_be_played_is_not_applicable(loop_factory: LoopFactory) -> None:
    target = _target(1)
    assert missing(_case(), target) == ""
    assert missing(_case(needs={Service.VERIFICATION}), target) == ""
    assert missing(_case(needs={Service.STORAGE}), target) == "the peer does not offer storage"
    assert missing(_case(needs={Service.TLS}), target) == "the peer does not offer TLS"
    assert "--allow-write" in missing(_case(writes=True), target)
    assert missing(_case(writes=True), _target(1, allow_write=True)) == ""
    result = run(play(_case(needs={Service.GET}), target), loop_factory)
    assert result.verdict is Verdict.NOT_APPLICABLE
    assert not result.connections


def test_a_peer_that_does_not_serve_does_not_live(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with scripted((WAIT,)) as (port, _):
            assert "expected accept, got silence" in await lives(_target(port), patience=0.0)
        async with scripted((abort(0, 0),)) as (port, received):
            assert "got abort 0/0" in await lives(_target(port), patience=0.3)
            assert len(received) > 1, "it was not tried again"

    run(main(), loop_factory)


def test_a_defect_of_a_case_ends_that_case_alone(loop_factory: LoopFactory) -> None:
    async def break_down(conversation: Conversation) -> None:
        raise KeyError("a defect")

    async def main() -> None:
        async with scripted(()) as (port, _):
            result = await play(case("ul-1", TITLE, CLAUSE, Do("breaks down", break_down)), _target(port))
            assert result.verdict is Verdict.INCONCLUSIVE
            assert "the tester itself failed: KeyError: 'a defect'" in str(result.findings[0])

    run(main(), loop_factory)
