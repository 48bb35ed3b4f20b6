"""A run of cases."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from loops import LoopFactory, run
from scripted import CLOSE, HOST, scripted
from services.conformance.case import Case, case
from services.conformance.conversation import Conversation
from services.conformance.probe import probe
from services.conformance.results import CaseResult, Run
from services.conformance.runner import run as run_cases
from services.conformance.steps import Do, associate, echo, pause
from services.conformance.target import Offer, Target
from services.conformance.verdict import Verdict
from services.scp import SCP
from services.verification import Verification

CLAUSE = "PS3.8 9.2"


@asynccontextmanager
async def _server() -> AsyncIterator[Target]:
    scp = SCP("SERVER", [Verification()])
    async with scp.listen(port=0) as port:
        target = Target(host=HOST, port=port, called_ae=b"SERVER", timeout=2.0, quiet=0.05)
        await probe(target)
        yield target


def _failing(number: int) -> Case:
    async def fail(conversation: Conversation) -> None:
        conversation.fail("this", "that")

    return case(f"ul-{number}", "It fails", CLAUSE, Do("fails", fail))


def _good(number: int, **fields: object) -> Case:
    return case(f"ul-{number}", "It passes", CLAUSE, associate(), echo(), **fields)  # type: ignore[arg-type]


def _verdicts(result: Run) -> list[tuple[str, Verdict]]:
    return [(each.case.id, each.verdict) for each in result.results]


async def _run(cases: Sequence[Case], **fields: object) -> Run:
    async with _server() as target:
        return await run_cases(cases, target, **fields)  # type: ignore[arg-type]


def test_every_case_has_a_result_in_the_order_of_the_list(loop_factory: LoopFactory) -> None:
    told: list[CaseResult] = []
    cases = [_good(1), _failing(2), _good(3, waits=True), _good(4, writes=True)]
    result = run(_run(cases, address="pacs://here:1", on_result=told.append, command="again"), loop_factory)
    assert _verdicts(result) == [
        ("ul-1", Verdict.PASS),
        ("ul-2", Verdict.FAIL),
        ("ul-3", Verdict.PASS),
        ("ul-4", Verdict.NOT_APPLICABLE),
    ]
    assert sorted(each.case.id for each in told) == ["ul-1", "ul-2", "ul-3", "ul-4"]
    assert (result.address, result.called_ae, result.command) == ("pacs://here:1", "SERVER", "again")
    assert result.has_failed
    assert result.remarks[1:] == ["1 cases store instances in the peer and were left out: --allow-write."]


def test_cases_that_wait_wait_side_by_side(loop_factory: LoopFactory) -> None:
    here = 0
    met = asyncio.Event()

    async def meet(conversation: Conversation) -> None:
        nonlocal here
        here += 1
        if here == 5:
            met.set()
        async with asyncio.timeout(5):
            await met.wait()

    cases = [case(f"ul-{n}", "Together", CLAUSE, Do("meets", meet), waits=n < 4) for n in range(5)]
    assert {verdict for _, verdict in _verdicts(run(_run(cases), loop_factory))} == {Verdict.PASS}


def test_a_peer_that_serves_one_at_a_time_is_not_asked_for_more(loop_factory: LoopFactory) -> None:
    inside = 0

    async def alone(conversation: Conversation) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        await asyncio.sleep(0.01)
        inside -= 1

    async def main() -> Run:
        async with _server() as target:
            target.offer.serves_several = False
            cases = [case(f"ul-{n}", "Alone", CLAUSE, Do("is alone", alone), waits=n < 3) for n in range(5)]
            return await run_cases(cases, target)

    result = run(main(), loop_factory)
    assert result.count(Verdict.PASS) == 5
    assert "one connection at a time" in result.remarks[1]


def test_no_case_is_begun_or_gone_on_with_after_the_time(loop_factory: LoopFactory) -> None:
    cases = [case("ul-1", "Long", CLAUSE, pause(30)), _good(2), _good(3)]
    result = run(_run(cases, max_time=0.2), loop_factory)
    assert [verdict for _, verdict in _verdicts(result)] == [Verdict.INCONCLUSIVE] * 3
    assert "--max-time" in str(result.results[2].findings[0])
    assert result.remarks[1:] == ["2 cases were not played: the time was over (--max-time)."]


def test_a_peer_that_dies_of_a_case_fails_it_and_ends_the_run(loop_factory: LoopFactory) -> None:
    async def nothing(conversation: Conversation) -> None:
        pass

    async def main() -> Run:
        async with scripted((CLOSE,)) as (port, _):
            target = Target(host=HOST, port=port, called_ae=b"X", timeout=0.3, offer=Offer())
            cases = [case(f"ul-{n}", "Harmless", CLAUSE, Do("does nothing", nothing)) for n in range(5)]
            return await run_cases(cases, target, patience=0.0)

    result = run(main(), loop_factory)
    assert [verdict for _, verdict in _verdicts(result)] == [Verdict.FAIL] * 3 + [Verdict.INCONCLUSIVE] * 2
    assert "next association to be served" in str(result.results[0].findings[0])
    assert result.remarks[-1].startswith("The peer stopped serving:")


def test_a_run_that_is_cancelled_tells_what_it_found_out(loop_factory: LoopFactory) -> None:
    begun = asyncio.Event()

    async def begin(conversation: Conversation) -> None:
        begun.set()

    async def main() -> Run:
        async with _server() as target:
            cases = [_good(1), case("ul-2", "Long", CLAUSE, Do("begins", begin), pause(30)), _good(3)]
            running = asyncio.create_task(run_cases(cases, target))
            await begun.wait()
            running.cancel()
            return await running

    result = run(main(), loop_factory)
    assert result.interrupted
    assert _verdicts(result) == [("ul-1", Verdict.PASS)]
    assert result.remarks[-1] == "The run was interrupted after 1 cases."
