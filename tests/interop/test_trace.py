"""Real peers, traced: what DCMTK, GDCM and pynetdicom say to each other holds no problem, and ends where it must."""

import json
from pathlib import Path
from typing import Any

import pytest

from peers import echoscu, findscu, gdcmscu, storescp, storescu
from real_files import real_file
from tracing import Tracing, tracing, tracing_proxy
from wire import capture

CT, MR = real_file("CT_small.dcm"), real_file("MR_small.dcm")

ASSOCIATED = ["A-ASSOCIATE-RQ", "A-ASSOCIATE-AC"]
RELEASED = ["A-RELEASE-RQ", "A-RELEASE-RP"]
IN_ORDER = {
    "requestor": [
        "Sta1 Evt1 AE-1 Sta4",
        "Sta4 Evt2 AE-2 Sta5",
        "Sta5 Evt3 AE-3 Sta6",
        "Sta6 Evt11 AR-1 Sta7",
        "Sta7 Evt13 AR-3 Sta1",
    ],
    "acceptor": [
        "Sta1 Evt5 AE-5 Sta2",
        "Sta2 Evt6 AE-6 Sta3",
        "Sta3 Evt7 AE-7 Sta6",
        "Sta6 Evt12 AR-2 Sta8",
        "Sta8 Evt14 AR-4 Sta13",
        "Sta13 Evt17 AR-5 Sta1",
    ],
}


def entries(trace: Tracing, associations: int) -> list[dict[str, Any]]:
    """Those of so many associations, once they are closed."""
    return [json.loads(line) for line in trace.wait_for('"connection closed"', associations).splitlines()]


def names(found: list[dict[str, Any]]) -> list[str]:
    return [entry["pdu"] for entry in found if entry["kind"] == "pdu"]


def messages(found: list[dict[str, Any]]) -> list[str]:
    return [message["name"] for entry in found if entry["kind"] == "pdu" for message in entry["messages"]]


def problems(found: list[dict[str, Any]]) -> list[str]:
    return [problem for entry in found for problem in entry["problems"]]


def walked(found: list[dict[str, Any]], side: str) -> list[str]:
    """The transitions of one side that lead to another state."""
    steps = [step for entry in found for step in entry["steps"] if step["side"] == side]
    keys = ("state", "event", "action", "next_state")
    return [" ".join(step[key] for key in keys) for step in steps if step["state"] != step["next_state"]]


@pytest.mark.peer("echoscu", "storescp")
def test_an_echo(tmp_path: Path) -> None:
    with (
        storescp(tmp_path / "in") as peer,
        tracing_proxy(tmp_path, peer.port, "--format", "json") as (trace, port),
    ):
        assert echoscu(port, called=peer.ae_title).ok
        found = entries(trace, 1)
        assert trace.interrupt() == 0
    assert problems(found) == []
    assert names(found) == [*ASSOCIATED, "P-DATA-TF", "P-DATA-TF", *RELEASED]
    assert messages(found) == ["C-ECHO-RQ", "C-ECHO-RSP"]
    assert {side: walked(found, side) for side in IN_ORDER} == IN_ORDER


@pytest.mark.peer("storescu", "storescp")
def test_stores(tmp_path: Path) -> None:
    with (
        storescp(tmp_path / "in") as peer,
        tracing_proxy(tmp_path, peer.port, "--format", "json") as (trace, port),
    ):
        assert storescu(port, CT, MR, called=peer.ae_title).ok
        found = entries(trace, 1)
        assert trace.interrupt() == 0
        assert len(peer.files()) == 2
    assert problems(found) == []
    pdus = names(found)
    assert pdus[:2] == ASSOCIATED
    assert pdus[-2:] == RELEASED
    assert messages(found) == ["C-STORE-RQ", "C-STORE-RSP"] * 2
    assert {side: walked(found, side) for side in IN_ORDER} == IN_ORDER


@pytest.mark.peer("storescu", "storescp")
def test_ctrl_c_leaves_a_page(tmp_path: Path) -> None:
    page = tmp_path / "trace.html"
    with (
        storescp(tmp_path / "in") as peer,
        tracing_proxy(tmp_path, peer.port, "-vv", "--html", page) as (trace, port),
    ):
        assert storescu(port, CT, called=peer.ae_title).ok
        trace.wait_for("connection closed")
        assert trace.interrupt() == 0
    assert "CompressedSamples^CT1" in trace.output
    text = page.read_text()
    assert "C-STORE-RQ" in text
    assert "A-RELEASE-RP" in text


@pytest.mark.peer("echoscu", "storescp")
def test_an_abort_and_a_rejection(tmp_path: Path) -> None:
    with (
        storescp(tmp_path / "in") as peer,
        tracing_proxy(tmp_path, peer.port, "--format", "json") as (trace, port),
    ):
        assert echoscu(port, "--abort", called=peer.ae_title).ok
        found = entries(trace, 1)
    assert problems(found) == []
    assert names(found)[-1] == "A-ABORT"
    assert walked(found, "requestor")[-2:] == ["Sta6 Evt15 AA-1 Sta13", "Sta13 Evt17 AR-5 Sta1"]
    with (
        storescp(tmp_path / "refusing", "--refuse") as peer,
        tracing_proxy(tmp_path, peer.port, "--format", "json") as (trace, port),
    ):
        assert not echoscu(port, called=peer.ae_title).ok
        found = entries(trace, 1)
    assert problems(found) == []
    assert names(found) == ["A-ASSOCIATE-RQ", "A-ASSOCIATE-RJ"]
    assert walked(found, "requestor")[-1] == "Sta5 Evt4 AE-4 Sta1"
    assert walked(found, "acceptor")[-1].endswith(" Sta1")


@pytest.mark.peer("storescu", "storescp", "dumpcap")
def test_a_capture_of_it(tmp_path: Path) -> None:
    """The same association, seen by the proxy and in a capture, is the same."""
    with storescp(tmp_path / "in") as peer:
        with (
            capture(peer.port, tmp_path / "capture.pcapng") as file,
            tracing_proxy(tmp_path, peer.port, "--format", "json") as (trace, port),
        ):
            assert storescu(port, CT, MR, called=peer.ae_title).ok
            by_proxy = entries(trace, 1)
        directory = tmp_path / "read"
        directory.mkdir()
        with tracing(directory, "read", file, "--format", "json") as reading:
            assert reading.process.wait(20) == 0
    by_capture = [json.loads(line) for line in reading.output.splitlines()]
    keys = ("sender", "pdu", "raw", "steps", "problems")
    pdus = [
        [[e[key] for key in keys] for e in found if e["kind"] == "pdu"] for found in (by_proxy, by_capture)
    ]
    assert pdus[0] == pdus[1]


@pytest.mark.peer("gdcmscu", "storescp")
def test_another_requestor(tmp_path: Path) -> None:
    with (
        storescp(tmp_path / "in") as peer,
        tracing_proxy(tmp_path, peer.port, "--format", "json") as (trace, port),
    ):
        gdcmscu(port, called=peer.ae_title)
        found = entries(trace, 1)
    assert messages(found) == ["C-ECHO-RQ", "C-ECHO-RSP"]
    assert problems(found) == []


@pytest.mark.peer("findscu", "storescp")
def test_a_deviation_of_a_real_peer(tmp_path: Path) -> None:
    """Where its context is refused, DCMTK's findscu (3.6.7) drops the connection, without release or abort."""
    with (
        storescp(tmp_path / "in") as peer,
        tracing_proxy(tmp_path, peer.port, "--format", "json", "--strict") as (trace, port),
    ):
        findscu(port, "-S", "-k", "QueryRetrieveLevel=STUDY", called=peer.ae_title)
        found = entries(trace, 1)
        assert trace.interrupt() == 1
    assert names(found) == ASSOCIATED
    (problem,) = problems(found)
    assert problem.startswith("the requestor closed the connection in Sta6, without a release or an abort")
    assert walked(found, "acceptor")[-1] == "Sta6 Evt17 AA-4 Sta1"
