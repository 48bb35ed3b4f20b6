"""Runs cases against a peer: one after the other, those that wait side by side, never longer than allowed."""

import asyncio
import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from services.conformance.case import Case
from services.conformance.player import LONGEST_CASE, lives, missing, play
from services.conformance.results import CaseResult, Run
from services.conformance.target import Target
from services.conformance.verdict import Finding, Verdict, worst
from services.conformance.wellformed import WELL_FORMED, judge

_WAITING_AT_ONCE = 16
_DEAD_AFTER = 3
"""So many cases in a row after which the peer did not serve: it is gone."""

OnResult = Callable[[CaseResult], None]


async def run(
    cases: Sequence[Case],
    target: Target,
    *,
    address: str = "",
    max_time: float = 120.0,
    on_result: OnResult = lambda result: None,
    command: str = "",
    patience: float = 5.0,
) -> Run:
    """Play cases against a peer that was probed, and ask after each whether the peer still serves.

    Args:
        cases: in the order of their list.
        target: the peer.
        address: of the peer, for the report.
        max_time: seconds after which no case is begun or gone on with; what is left is inconclusive.
        on_result: told each result as it comes.
        command: how to run the same again, for the report.
        Where it is cancelled it returns what it has found out so far, and says so in the remarks.
        patience: for how long the peer may fail to serve after a case, in seconds.
    """
    started, begun = time.time(), time.monotonic()
    runner = _Runner(target, begun + max_time, on_result, patience)
    played = [case for case in cases if case is not WELL_FORMED]
    waiting = [case for case in played if case.waits]
    serial = [case for case in played if not case.waits]
    try:
        if target.offer.serves_several:
            async with asyncio.TaskGroup() as tasks:
                aside = tasks.create_task(runner.side_by_side(waiting))
                await runner.in_turn(serial)
                await aside
        else:
            await runner.in_turn([*serial, *waiting])
    except asyncio.CancelledError:
        runner.interrupted = True
    if WELL_FORMED in cases:
        runner.done(judge(runner.results))
    order = {case.id: position for position, case in enumerate(cases)}
    return Run(
        address=address or f"{target.host}:{target.port}",
        called_ae=target.called_ae.decode("latin-1"),
        calling_ae=target.calling_ae.decode("latin-1"),
        offer=target.offer,
        started=started,
        seconds=time.monotonic() - begun,
        results=sorted(runner.results, key=lambda result: order[result.case.id]),
        remarks=_remarks(runner, target),
        interrupted=runner.interrupted,
        command=command,
    )


class _Runner:
    def __init__(self, target: Target, deadline: float, on_result: OnResult, patience: float) -> None:
        self.target = target
        self.results: list[CaseResult] = []
        self.out_of_time = 0
        self.dead = ""
        self.interrupted = False
        self._deadline = deadline
        self._on_result = on_result
        self._patience = patience
        self._silent = 0

    async def in_turn(self, cases: Sequence[Case]) -> None:
        for case in cases:
            result = await self._play(case)
            if result.connections:
                result = await self._with_liveness(result)
            self.done(result)

    async def side_by_side(self, cases: Sequence[Case]) -> None:
        places = asyncio.Semaphore(_WAITING_AT_ONCE)

        async def one(case: Case) -> None:
            async with places:
                self.done(await self._play(case))

        async with asyncio.TaskGroup() as tasks:
            for case in cases:
                tasks.create_task(one(case))

    async def _play(self, case: Case) -> CaseResult:
        left = self._deadline - time.monotonic()
        if not missing(case, self.target):
            if self.dead:
                return _unplayed(case, f"the peer no longer serves: {self.dead}")
            if left <= 0:
                self.out_of_time += 1
                return _unplayed(case, "no time was left: --max-time gives more")
        return await play(case, self.target, longest=min(LONGEST_CASE, max(left, 0.001)))

    async def _with_liveness(self, result: CaseResult) -> CaseResult:
        """The same result, or a worse one where the peer does not serve after the case."""
        problem = await lives(self.target, patience=self._patience)
        if not problem:
            self._silent = 0
            return result
        self._silent += 1
        if self._silent >= _DEAD_AFTER:
            self.dead = problem
        finding = Finding(Verdict.FAIL, "the next association to be served", problem, "the peer must live on")
        findings = (*result.findings, finding)
        return replace(result, findings=findings, verdict=worst(list(findings)))

    def done(self, result: CaseResult) -> None:
        self.results.append(result)
        self._on_result(result)


def _unplayed(case: Case, why: str) -> CaseResult:
    return CaseResult(case, Verdict.INCONCLUSIVE, (Finding(Verdict.INCONCLUSIVE, "", why),))


def _remarks(runner: _Runner, target: Target) -> list[str]:
    remarks = [f"An answer was awaited for {target.timeout:.1f} s."]
    if not target.offer.serves_several:
        remarks.append(
            "The peer serves one connection at a time: cases that wait were played one after the other."
        )
    unwritten = sum(result.case.writes for result in runner.results) if not target.allow_write else 0
    if unwritten:
        remarks.append(f"{unwritten} cases store instances in the peer and were left out: --allow-write.")
    if target.allow_write and any(result.case.writes and result.connections for result in runner.results):
        remarks.append(f"Instances stored in the peer have UIDs that begin with 2.25.{target.run}.")
    if runner.out_of_time:
        remarks.append(f"{runner.out_of_time} cases were not played: the time was over (--max-time).")
    if runner.interrupted:
        remarks.append(f"The run was interrupted after {len(runner.results)} cases.")
    if runner.dead:
        remarks.append(f"The peer stopped serving: {runner.dead}.")
    return remarks
