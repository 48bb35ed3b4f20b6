"""Without --allow-write nothing is stored: not by our server, and not by a receiver that keeps whatever it is sent.

The second is the one that counts: that a peer refuses what it is sent does not make it right to send it. What is
sent does not depend on the loop: one is enough.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import uvloop

from loops import run
from peers import storescp
from servers import running_server
from services.conformance.case import Case
from services.conformance.cases import dimse, endurance, pdata
from services.conformance.cases.dimse_checks import (
    COMMAND_FIELD,
    DATA_SET_TYPE,
    NO_DATA_SET,
    messages_sent,
    number_of,
)
from services.conformance.connection import Connection
from services.conformance.player import play
from services.conformance.probe import new_run, probe
from services.conformance.results import CaseResult, PlayedConnection
from services.conformance.target import Target

CASES = [case for module in (pdata, dimse, endurance) for case in module.CASES if not case.waits]
C_STORE_RQ = 0x0001


async def _play(cases: list[Case], target: Target) -> list[CaseResult]:
    await probe(target)
    return [await play(case, target) for case in cases]


def _whole_c_store_rqs(played: PlayedConnection) -> int:
    """How many C-STORE-RQs were sent with all of their data set, or announcing none."""
    connection = cast(Connection, SimpleNamespace(exchanges=list(played.exchanges)))
    return sum(
        number_of(message.command, COMMAND_FIELD) == C_STORE_RQ
        and not message.error
        and (message.data_set is not None or number_of(message.command, DATA_SET_TYPE) == NO_DATA_SET)
        for message in messages_sent(connection)
    )


def test_a_case_that_sends_a_whole_c_store_rq_says_that_it_writes(tmp_path: Path) -> None:
    with running_server(tmp_path, "--durability", "process") as server:
        target = Target(
            host="127.0.0.1", port=server.port, called_ae=b"SERVER", allow_write=True, run=new_run()
        )
        results = run(_play(CASES, target), uvloop.new_event_loop, deadline=60)
    storing = {result.case.id for result in results if any(map(_whole_c_store_rqs, result.connections))}
    writing = {case.id for case in CASES if case.writes}
    assert len(storing) >= 30
    assert storing <= writing


@pytest.mark.peer("storescp")
def test_a_receiver_that_keeps_everything_is_left_with_nothing(tmp_path: Path) -> None:
    with storescp(tmp_path / "received") as peer:
        target = Target(
            host="127.0.0.1", port=peer.port, called_ae=peer.ae_title.encode(), timeout=2.0, run=new_run()
        )
        results = run(_play(CASES, target), uvloop.new_event_loop, deadline=120)
        assert sum(bool(result.connections) for result in results) > 150
        assert [file.name for file in peer.directory.iterdir()] == []


@pytest.mark.peer("storescp")
def test_it_does_keep_what_such_a_case_sends(tmp_path: Path) -> None:
    cases = [case for case in CASES if case.id == "pdata-85a"]
    with storescp(tmp_path / "received") as peer:
        target = Target(
            host="127.0.0.1",
            port=peer.port,
            called_ae=peer.ae_title.encode(),
            allow_write=True,
            run=new_run(),
        )
        run(_play(cases, target), uvloop.new_event_loop)
        assert len(list(peer.directory.iterdir())) == 1
