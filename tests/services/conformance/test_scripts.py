"""Every script of the acceptor: SCUs that are wrong must fail it, our own must not."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial

import pytest
import uvloop

from bad_scus import BAD_SCUS, call
from dimse.association import Association
from dimse.enums import DATA_SET_FOLLOWS
from dimse.errors import DimseError
from dimse.messages import CEchoRQ, CFindRQ, CGetRQ, CMoveRQ, CStoreRQ, Request
from dul.errors import NetworkError
from dul.negotiation import ProposedContext
from loops import run
from services.conformance.acceptor import ScuResult, ServeOptions, serve
from services.conformance.script import Script, Topic
from services.conformance.scripts import DEFAULT, explain_lines, find, list_lines, scripts
from services.conformance.scripts_steps import React
from services.conformance.verdict import Verdict
from services.scu import associate

SCRIPTS = scripts()
NEED_DATA = frozenset({"abort-in-data-set", "status-early-failure"})
"""Scripts that do something while a data set is on its way."""

_each_script = pytest.mark.parametrize("script", SCRIPTS, ids=[script.id for script in SCRIPTS])
_AT_ONCE = 40


def kind_for(script: Script) -> str:
    """A request that the script is about."""
    if script.id in NEED_DATA:
        return "C-STORE-RQ"
    return sorted(script.asks)[0] if script.asks else "C-ECHO-RQ"


def judging_step(script: Script) -> int:
    """How many steps are done before the SCU's answer to what the script is about is judged."""
    return next((n for n, step in enumerate(script.steps) if isinstance(step, React)), len(script.steps) - 1)


async def played(script: Script, scu: Callable[[int], Awaitable[None]], **settings: float) -> ScuResult:
    """What comes of one association with an SCU, which is told the port.

    One that was gone before the acceptor looked at what it sent made no association, and calls again.
    """
    results: list[ScuResult] = []
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    quick = {"timeout": 0.6, "idle": 0.6, "late": 0.2, "patience": 0.5, "longest": 10.0} | settings
    options = ServeOptions(port=0, count=1, on_listening=port.set_result, **quick)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve(options, [script.id], results.append))
        while not serving.done():
            await scu(await port)
            await asyncio.wait((serving,), timeout=options.longest + 1)
    return results[0]


async def _all(scu: Callable[[Script, int], Awaitable[None]], **settings: float) -> dict[str, ScuResult]:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(script: Script) -> tuple[str, ScuResult]:
        async with places:
            return script.id, await played(script, lambda port: scu(script, port), **settings)

    return dict(await asyncio.gather(*map(one, SCRIPTS)))


@pytest.fixture(scope="module")
def with_bad_scus() -> dict[str, dict[str, ScuResult]]:
    """What came of every script with every bad SCU."""

    async def play_all() -> dict[str, dict[str, ScuResult]]:
        results = await asyncio.gather(
            *(
                _all(lambda script, port, scu=scu: call(port, scu, kind_for(script)))
                for scu in BAD_SCUS.values()
            )
        )
        found = dict(zip(BAD_SCUS, results, strict=True))
        for script in SCRIPTS:
            if not any(_fails(script, each[script.id]) for each in found.values()):
                await _play_slowly(script, found)
        return found

    return run(play_all(), uvloop.new_event_loop, deadline=110)


async def _play_slowly(script: Script, found: dict[str, dict[str, ScuResult]]) -> None:
    """Play a script again, alone: a busy machine was too slow for the time-outs."""
    for name, scu in BAD_SCUS.items():
        found[name][script.id] = await played(
            script, lambda port, scu=scu: call(port, scu, kind_for(script)), timeout=3.0, patience=2.0
        )


def _fails(script: Script, result: ScuResult) -> bool:
    """The SCU did what the script is about, and did that wrong."""
    return result.verdict is Verdict.FAIL and result.reached >= judging_step(script)


@_each_script
def test_a_wrong_scu_fails(script: Script, with_bad_scus: dict[str, dict[str, ScuResult]]) -> None:
    results = {name: results[script.id] for name, results in with_bad_scus.items()}
    assert any(_fails(script, each) for each in results.values()), {
        name: (each.verdict, each.reached, each.did) for name, each in results.items()
    }


# -- our own

_CLASSES = {
    "C-ECHO-RQ": "1.2.840.10008.1.1",
    "C-STORE-RQ": "1.2.840.10008.5.1.4.1.1.2",
    "C-FIND-RQ": "1.2.840.10008.5.1.4.1.2.2.1",
    "C-MOVE-RQ": "1.2.840.10008.5.1.4.1.2.2.2",
    "C-GET-RQ": "1.2.840.10008.5.1.4.1.2.2.3",
}
_IDENTIFIER = bytes.fromhex("08005200 06000000") + b"STUDY "
_DATA_SET = (
    bytes.fromhex("08001600 1a000000") + b"1.2.840.10008.5.1.4.1.1.2\0"
    + bytes.fromhex("08001800 06000000") + b"2.25.7"
    + bytes.fromhex("20000040 00c00000") + b"x" * 0xC000
)  # fmt: skip


def _request(kind: str, number: int) -> Request:
    uid = _CLASSES[kind]
    follows = {"command_data_set_type": DATA_SET_FOLLOWS}
    match kind:
        case "C-ECHO-RQ":
            return CEchoRQ(message_id=number, affected_sop_class_uid=uid)
        case "C-STORE-RQ":
            names = {"affected_sop_class_uid": uid, "affected_sop_instance_uid": "2.25.7"}
            return CStoreRQ(message_id=number, **names, **follows)
        case "C-FIND-RQ":
            return CFindRQ(message_id=number, affected_sop_class_uid=uid, **follows)
        case "C-GET-RQ":
            return CGetRQ(message_id=number, affected_sop_class_uid=uid, **follows)
        case _:
            return CMoveRQ(
                message_id=number, affected_sop_class_uid=uid, move_destination="ANYWHERE", **follows
            )


async def our_scu(script: Script, port: int) -> None:
    """Two operations of the kind the script is about, as far as it lets us."""
    kind = kind_for(script)
    contexts = [ProposedContext(uid, ("1.2.840.10008.1.2",)) for uid in _CLASSES.values()]
    titles = {"called_ae": "ACCEPTOR", "calling_ae": "OURS"}
    try:
        async with associate(
            "127.0.0.1", port, **titles, contexts=contexts, window=(4, 1), timeout=2.0
        ) as association:
            if script.id == "reversed-responses":
                await asyncio.gather(_operation(association, kind), _operation(association, kind))
                return
            for _ in range(2):
                await _operation(association, kind)
    except (NetworkError, DimseError, TimeoutError):
        pass


async def _operation(association: Association, kind: str) -> None:
    context = association.context_for(_CLASSES[kind])
    if kind in ("C-ECHO-RQ", "C-STORE-RQ"):
        data_set = [_DATA_SET] if kind == "C-STORE-RQ" else None
        await association.invoke(partial(_request, kind), context, data_set, timeout=2.0)
        return
    replies = association.invoke_many(partial(_request, kind), context, _IDENTIFIER, timeout=2.0)
    async with aclosing(replies):
        async for _ in replies:
            pass


@pytest.fixture(scope="module")
def with_ours() -> dict[str, ScuResult]:
    """What came of every script with our own SCU."""
    patient = {"timeout": 4.0, "idle": 4.0, "patience": 3.0}
    return run(_all(our_scu, **patient), uvloop.new_event_loop, deadline=110)


@_each_script
def test_our_own_scu_comes_out_without_a_fail(script: Script, with_ours: dict[str, ScuResult]) -> None:
    result = with_ours[script.id]
    assert result.verdict in (Verdict.PASS, Verdict.TOLERATED), (result.findings, result.did)


def test_our_own_scu_is_right_where_nobody_errs(with_ours: dict[str, ScuResult]) -> None:
    result = with_ours[DEFAULT.id]
    assert result.verdict is Verdict.PASS, result.findings
    assert result.did == ("associate", "C-ECHO-RQ 1", "C-ECHO-RQ 2", "release", "closed")


# -- the list of them


def test_names_are_unique_and_there_are_many() -> None:
    names = [script.id for script in SCRIPTS]
    assert len(set(names)) == len(names) >= 40
    assert {script.suite for script in SCRIPTS} == set(Topic)


def test_every_rejection_of_the_standard_is_there() -> None:
    reasons = ("1-1", "1-2", "1-3", "1-7", "2-1", "2-2", "3-1", "3-2")
    wanted = {f"reject-{result}-{reason}" for result in (1, 2) for reason in reasons}
    assert wanted <= {script.id for script in find(["reject"])}


@_each_script
def test_every_script_says_what_it_does(script: Script) -> None:
    assert "PS3." in script.clause
    lines = list(explain_lines(script))
    assert lines[0] == f"{script.id}: {script.title}"
    assert any("A-ASSOCIATE-RQ" in line for line in lines)
    assert "|" not in "".join(step.describe() for step in script.steps)


def test_a_list_has_a_line_for_each() -> None:
    lines = list(list_lines(find(["find-many", "conforming"])))
    assert lines[0].startswith("find-many ")
    assert "needs a C-FIND-RQ" in lines[0]
    assert len(lines) == 2


def test_scripts_are_found_by_name_topic_and_pattern() -> None:
    assert [script.id for script in find(["maximum-8", "conforming", "maximum-8"])] == [
        "maximum-8",
        "conforming",
        "maximum-8",
    ]
    assert {script.topic for script in find(["abort"])} == {Topic.ABORT}
    assert all(script.id.startswith("find-") for script in find(["find-*"]))
    assert find(["all"]) == SCRIPTS


def test_a_name_nobody_has_is_refused() -> None:
    with pytest.raises(KeyError, match="reject-1-1-4"):
        find(["conforming", "reject-1-1-4"])
