"""Every case against our own server, which must give the strict answer, and against an acceptor that must fail it.

Each side is played once for the whole module; then every case is a test of its own.
"""

import asyncio
import json
import ssl
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
import uvloop
from msgspec.structs import replace

from agreeable import agreeable
from agreeable_tls import agreeable_tls
from certificates import self_signed, server_context
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
NOT_OFFERED = frozenset({Service.WORKLIST})
"""What our server does not offer yet: those cases are calibrated on other peers."""
DESTINATION = "CONFORMANCE_DST"
ABOUT_CLIENT_CERTIFICATES = frozenset({"security-161a", "security-161b", "security-161c"})
"""Our server asks its clients for no certificate: these are calibrated on storescp, Orthanc and pynetdicom."""

MAY_BE_DONE_FIRST = frozenset({"query-137b"})
"""Where our server may have sent all it has before the tester's C-CANCEL reaches it, which the case tolerates."""

_each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


@pytest.fixture(scope="module")
def with_us(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CaseResult]:
    """What our own server did in each case: those about TLS on a TLS port, the others on a plain one."""
    plain, over_tls = (tmp_path_factory.mktemp(name) for name in ("plain", "tls"))
    certificate, key = self_signed(over_tls)
    tls = ("--tls", "--tls-certificate", str(certificate), "--tls-private-key", str(key))
    move_port = free_port()
    with running_server(plain, *_options(plain, move_port)) as server:
        found = _played_on(server.port, move_port, [case for case in CASES if Service.TLS not in case.needs])
    with running_server(over_tls, *_options(over_tls, move_port), *tls) as server:
        trusting = ssl.create_default_context(cafile=str(certificate))
        cases = [case for case in CASES if Service.TLS in case.needs]
        found |= _played_on(server.port, move_port, cases, trusting)
    return found


def _options(directory: Path, move_port: int) -> tuple[str, ...]:
    config = directory / "config.json"
    settings = {
        "timers": {"artim": ARTIM, "artimClose": ARTIM, "tlsHandshake": ARTIM},
        "allowedCallingAETitles": ["CONFORMANCE"],
        "knownDestinations": {DESTINATION: {"host": "127.0.0.1", "port": move_port, "aeTitle": DESTINATION}},
        "retrieve": {"retries": 0},
    }
    config.write_text(json.dumps(settings))
    return ("--config", str(config), "--durability", "process")


def _played_on(
    port: int, move_port: int, cases: Sequence[Case], tls: ssl.SSLContext | None = None
) -> dict[str, CaseResult]:
    async def play_them() -> list[CaseResult]:
        target = Target(
            host="localhost",
            port=port,
            called_ae=b"SERVER",
            tls=tls,
            artim=ARTIM,
            allow_write=True,
            move_destination=DESTINATION.encode(),
            move_port=move_port,
            run=new_run(),
        )
        await probe(target)
        return (await run_cases(cases, target, max_time=100.0)).results

    return {result.case.id: result for result in run(play_them(), uvloop.new_event_loop, deadline=110)}


@pytest.fixture(scope="module")
def with_agreeable(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CaseResult]:
    """What the acceptor that agrees to everything did in each case, to every version and suite of TLS too."""
    certificate, key = self_signed(tmp_path_factory.mktemp("agreeable"))
    results = run(_play_all(_agreeing_to_all(certificate, key)), uvloop.new_event_loop, deadline=110)
    return {result.case.id: result for result in results}


def _agreeing_to_all(certificate: Path, key: Path) -> ssl.SSLContext:
    context = server_context(certificate, key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return context


async def _play_all(tls: ssl.SSLContext) -> list[CaseResult]:
    everything = [uid for uids in SYNTAXES.values() for uid in uids] + list(STORAGE_CLASSES)
    async with agreeable() as plain_port, agreeable_tls(tls) as tls_port:
        target = Target(
            host="127.0.0.1",
            port=plain_port,
            called_ae=b"SERVER",
            timeout=0.4,
            quiet=0.1,
            artim=0.1,
            allow_write=True,
            move_destination=b"DEST",
            run=new_run(),
            offer=Offer(accepted={uid: (IMPLICIT,) for uid in everything}),
        )
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        over_tls = replace(target, port=tls_port, tls=trusting)
        places, slowly = asyncio.Semaphore(24), asyncio.Semaphore(1)

        async def one(case: Case) -> CaseResult:
            where = over_tls if Service.TLS in case.needs else target
            async with places:
                result = await play(case, replace(where, move_port=free_port()), longest=20.0)
            if result.verdict is not Verdict.INCONCLUSIVE:
                return result
            async with slowly:  # a busy machine was too slow for these time-outs
                return await play(case, replace(where, move_port=free_port(), timeout=5.0), longest=20.0)

        cases = [case for case in CASES if case is not WELL_FORMED]
        light = [case for case in cases if case.suite is not Suite.ENDURANCE]
        results = await asyncio.gather(*map(one, light))
        results += [await one(case) for case in cases if case.suite is Suite.ENDURANCE]
        return [judge(results), *results]


@_each_case
def test_our_server_gives_the_strict_answer(case: Case, with_us: dict[str, CaseResult]) -> None:
    result = with_us[case.id]
    if case.needs & NOT_OFFERED or case.id in ABOUT_CLIENT_CERTIFICATES:
        assert result.verdict is Verdict.NOT_APPLICABLE
        return
    if case.id in MAY_BE_DONE_FIRST and result.verdict is Verdict.TOLERATED:
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
