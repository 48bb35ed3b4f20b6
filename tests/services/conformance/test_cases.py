"""Every case against our own server, which must give the strict answer, and against an acceptor that must fail it.

Each side is played once for the whole module; then every case is a test of its own.
"""

import asyncio
import json

import pytest
import uvloop
from msgspec.structs import replace

from agreeable import agreeable
from loops import run
from peers import free_port
from servers import running_server
from services.conformance.building import IMPLICIT
from services.conformance.case import Case, Suite
from services.conformance.cases import CASES, select
from services.conformance.player import play
from services.conformance.probe import new_run, probe
from services.conformance.results import CaseResult
from services.conformance.runner import run as run_cases
from services.conformance.target import STORAGE_CLASSES, SYNTAXES, Offer, Service, Target
from services.conformance.verdict import Verdict
from services.conformance.wellformed import WELL_FORMED, judge

ARTIM = 1.0
NOT_OFFERED = frozenset({Service.FIND, Service.GET, Service.MOVE, Service.TLS})
"""What our server does not offer yet, or not on a plain port: those cases are calibrated on other peers."""

_each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


@pytest.fixture(scope="module")
def with_us(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CaseResult]:
    """What our own server did in each case."""
    directory = tmp_path_factory.mktemp("conformance")
    config = directory / "config.json"
    timers = {"artim": ARTIM, "artimClose": ARTIM}
    config.write_text(json.dumps({"timers": timers, "allowedCallingAETitles": ["CONFORMANCE"]}))
    with running_server(directory, "--config", str(config), "--durability", "process") as server:
        return {
            result.case.id: result
            for result in run(_run_all(server.port), uvloop.new_event_loop, deadline=110)
        }


async def _run_all(port: int) -> list[CaseResult]:
    target = Target(
        host="127.0.0.1", port=port, called_ae=b"SERVER", artim=ARTIM, allow_write=True, run=new_run()
    )
    await probe(target)
    return (await run_cases(CASES, target, max_time=100.0)).results


@pytest.fixture(scope="module")
def with_agreeable() -> dict[str, CaseResult]:
    """What the acceptor that agrees to everything did in each case."""
    return {result.case.id: result for result in run(_play_all(), uvloop.new_event_loop, deadline=110)}


async def _play_all() -> list[CaseResult]:
    everything = [uid for uids in SYNTAXES.values() for uid in uids] + list(STORAGE_CLASSES)
    async with agreeable() as port:
        target = Target(
            host="127.0.0.1",
            port=port,
            called_ae=b"SERVER",
            timeout=0.4,
            quiet=0.1,
            artim=0.1,
            allow_write=True,
            move_destination=b"DEST",
            run=new_run(),
            offer=Offer(accepted={uid: (IMPLICIT,) for uid in everything}),
        )
        places = asyncio.Semaphore(24)

        async def one(case: Case) -> CaseResult:
            async with places:
                return await play(case, replace(target, move_port=free_port()), longest=20.0)

        results = await asyncio.gather(*(one(case) for case in CASES if case is not WELL_FORMED))
        return [judge(results), *results]


@_each_case
def test_our_server_gives_the_strict_answer(case: Case, with_us: dict[str, CaseResult]) -> None:
    result = with_us[case.id]
    if case.needs & NOT_OFFERED:
        assert result.verdict is Verdict.NOT_APPLICABLE
        return
    assert result.verdict is Verdict.PASS, "\n".join(map(str, result.findings))


@_each_case
def test_an_acceptor_that_agrees_to_everything_fails(
    case: Case, with_agreeable: dict[str, CaseResult]
) -> None:
    result = with_agreeable[case.id]
    assert result.verdict is Verdict.FAIL, result.findings


def test_ids_are_unique_and_name_their_suite() -> None:
    ids = [case.id for case in CASES]
    assert len(set(ids)) == len(ids) >= 160
    assert {case.suite for case in CASES} == set(Suite)


def test_every_case_says_what_it_does() -> None:
    for case in CASES:
        assert case.title[0].isupper() or not case.title[0].isalpha(), case.id
        assert "PS3." in case.clause, case.id
        assert all(step.describe() for step in case.steps), case.id


def test_an_id_without_its_letter_stands_for_its_variants() -> None:
    chosen = select([], ["ul-19"])
    assert len(chosen) > 1
    assert all(case.id.startswith("ul-19") for case in chosen)
    assert [case.id for case in select([], [chosen[0].id])] == [chosen[0].id]


def test_an_id_nobody_has_is_refused() -> None:
    with pytest.raises(KeyError, match="ul-9999"):
        select([Suite.UL], ["ul-9999"])
