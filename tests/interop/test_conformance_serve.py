"""The scripted acceptor and SCUs nobody here wrote: what they are known to do is what is found."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from peers import Outcome, dcmsend, echoscu, findscu, run_peer, storescu
from real_files import real_file
from services.conformance.acceptor import ScuResult, ServeOptions, serve
from services.conformance.scripts import find
from services.conformance.verdict import Verdict

CT = real_file("CT_small.dcm")
PATIENCE = ("-to", "10", "-ta", "10", "-td", "10")

ENDS_WELL = ["conforming", "reject-1-1-3", "reject-2-3-2", "abort-user-before-accept", "status-*", "late-*"]
ENDS_WELL += [
    "data-byte-by-byte",
    "data-in-sevens",
    "data-fragments-of-2",
    "data-many-in-one",
    "maximum-4096",
]
ENDS_WELL += ["accept-byte-by-byte", "accept-reserved-set", "close-after-request", "release-closed"]
"""Scripts that DCMTK comes through."""


@contextmanager
def acceptor(*names: str, count: int) -> Iterator[tuple[int, list[ScuResult], threading.Thread]]:
    """The acceptor in a thread of its own: its port, what it tells, and the thread, which ends after `count`."""
    results: list[ScuResult] = []
    listening, ports = threading.Event(), []

    def on_listening(port: int) -> None:
        ports.append(port)
        listening.set()

    options = ServeOptions(port=0, count=count, late=0.5, timeout=8.0, idle=10.0, on_listening=on_listening)
    thread = threading.Thread(target=lambda: asyncio.run(serve(options, names, results.append)), daemon=True)
    thread.start()
    assert listening.wait(20)
    yield ports[0], results, thread
    thread.join(30)
    assert not thread.is_alive(), "the acceptor did not end"


def played(names: list[str], scu: Callable[[int], Outcome]) -> dict[str, ScuResult]:
    """What came of each script; the SCU is run once for each."""
    chosen = [script.id for script in find(names)]
    with acceptor(*chosen, count=len(chosen)) as (port, results, _):
        for _ in chosen:
            scu(port)
    return {result.case.id: result for result in results}


def failures(results: dict[str, ScuResult]) -> dict[str, str]:
    return {
        name: "; ".join(map(str, each.findings))
        for name, each in results.items()
        if each.verdict is Verdict.FAIL
    }


@pytest.mark.peer("echoscu")
def test_echoscu_comes_through() -> None:
    results = played(ENDS_WELL, lambda port: echoscu(port, *PATIENCE))
    assert failures(results) == {}
    assert results["conforming"].did == ("associate", "C-ECHO-RQ 1", "release", "closed")
    assert "reserved fields" in str(results["conforming"].findings), "DCMTK writes FFH where 00H is due"


@pytest.mark.peer("storescu")
def test_storescu_comes_through() -> None:
    results = played(ENDS_WELL, lambda port: storescu(port, CT, options=PATIENCE))
    assert failures(results) == {}
    assert results["maximum-4096"].did[:2] == ("associate", "C-STORE-RQ 1")


@pytest.mark.peer("dcmsend")
def test_dcmsend_comes_through() -> None:
    assert failures(played(["conforming", "maximum-*", "status-*"], lambda port: dcmsend(port, CT))) == {}


@pytest.mark.peer("findscu")
def test_findscu_comes_through_counts_and_many_matches() -> None:
    model = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName")
    results = played(["conforming", "find-*"], lambda port: findscu(port, *model, *PATIENCE))
    assert failures(results) == {}
    assert results["find-many"].verdict is Verdict.PASS


@pytest.mark.peer("movescu")
def test_movescu_comes_through_wrong_counts() -> None:
    options = ("-aem", "ANYWHERE", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2")
    results = played(
        ["counts-*"], lambda port: run_peer("movescu", *PATIENCE, *options, "127.0.0.1", str(port))
    )
    assert failures(results) == {}
    assert {each.verdict for each in results.values()} == {Verdict.PASS}


@pytest.mark.peer("echoscu")
def test_what_dcmtk_gets_wrong_is_found() -> None:
    """It ends an association on which nothing was accepted without a word, and knows no release collision."""
    found = failures(
        played(["accept-refused-3", "release-collision", "early-http"], lambda port: echoscu(port))
    )
    assert set(found) == {"accept-refused-3", "release-collision", "early-http"}


@pytest.mark.peer("gdcmscu")
def test_what_gdcm_gets_wrong_is_found() -> None:
    """It sends on refused contexts, and P-DATA-TFs longer than it was told to."""
    found = failures(
        played(
            ["conforming", "accept-refused-3", "maximum-128"],
            lambda port: run_peer("gdcmscu", "--store", "127.0.0.1", str(port), str(CT)),
        )
    )
    assert set(found) == {"accept-refused-3", "maximum-128"}
    assert "accepted presentation contexts only" in found["accept-refused-3"]
    assert "no P-DATA-TF longer than the 128 bytes" in found["maximum-128"]


def test_pynetdicom_comes_through() -> None:
    from pynetdicom import AE

    def call(port: int) -> Outcome:
        ae = AE("PYNETDICOM")
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
        ae.add_requested_context("1.2.840.10008.1.1")
        association = ae.associate("127.0.0.1", port)
        if association.is_established:
            association.send_c_echo()
            association.release()
        return Outcome((), 0, "")

    names = [
        "conforming",
        "reject-1-1-7",
        "data-fragments-of-2",
        "maximum-128",
        "late-response",
        "status-0110",
    ]
    assert failures(played(names, call)) == {}
