"""The report as a page; what a browser makes of it is in tests/interop/test_pages.py."""

import json
import re
import shlex
from typing import Any

import pytest
from msgspec.structs import replace

from raw_bytes import a_associate_rq, abort
from runs import CONNECTION, HOSTILE, a_run
from services.conformance.case import Case, case
from services.conformance.connection import Exchange, Move
from services.conformance.report_html import SHOWN_OF_A_CASE, command_alone, follow, render
from services.conformance.results import CaseResult, PlayedConnection, Run
from services.conformance.script import Topic, script
from services.conformance.steps import Send, associate
from services.conformance.verdict import Finding, Verdict
from services.trace.association import TracedPDU
from services.trace.fields import Side


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def part_of(page: str, id: str) -> str:
    """What the page has of one case."""
    _, _, rest = page.partition(f' id="{id}" data-verdict')
    return rest.partition('<details class="case')[0]


def test_the_peer_is_named() -> None:
    page = render(a_run())
    for told in ("pacs://localhost:104", "CONFORMANCE", "1.2.3", "16,384 bytes", "storage, verification"):
        assert told in page
    assert "2023-11-14 22:13:20 UTC, for 1.5 s" in page
    assert 'Verification SOP Class <small class="uid">1.2.840.10008.1.1</small>' in page
    assert "1 of 4 cases failed" in page
    assert "were left out: --allow-write." in page


def test_the_summary_counts_each_verdict() -> None:
    page = render(a_run())
    _, _, body = page.partition('<table class="summary">')
    rows = re.findall(r'<tr><th scope="row">(\w+)</th>(.*?)</tr>', body.partition("</table>")[0], re.DOTALL)
    counts = {name: [int(n) for n in re.findall(r">(\d+)</(?:a|span|td)>", cells)] for name, cells in rows}
    assert counts == {
        "ul": [1, 0, 0, 1, 0, 2],
        "dimse": [0, 1, 0, 0, 0, 1],
        "storage": [0, 0, 1, 0, 1, 2],
        "all": [1, 1, 1, 1, 1, 5],
    }


def test_a_failed_case_tells_everything() -> None:
    found = part_of(render(a_run()), "ul-2a")
    for told in ("It fails", "PS3.8 9.2: Evt19 in Sta6, AA-8", "abort 2/1", "Graded so because.", "0.02 s"):
        assert told in found
    assert "dicom-conformance run pacs://localhost:104 --called-ae ANY --case ul-2a</code>" in found
    assert re.findall(r'<li class="(done|ended|after)">', found) == ["done", "done", "done", "ended", "after"]
    assert "<small>because the type is unknown</small>" in found
    assert [name for name in ("A-ASSOCIATE-RQ", "A-ABORT") if f"</small> {name}</span>" in found] == [
        "A-ASSOCIATE-RQ",
        "A-ABORT",
    ]


def test_bytes_are_there_for_what_deviates_only() -> None:
    data = data_of(render(a_run()))
    assert list(data["cases"]) == ["ul-2a", "dimse-3"]
    for connections in data["cases"].values():
        assert [len(row["v"]) for row in connections[0]] == [0, 1, 1, 0]
    assert len(data["views"]) == 2  # the same bytes in both cases are there once


def test_a_case_that_was_not_played_has_no_steps_done() -> None:
    found = part_of(render(a_run()), "storage-4")
    assert set(re.findall(r'<li class="(done|ended|after)">', found)) == {"after"}
    assert "needs storage; stores instances of its own in the peer" in found
    assert "waits for a timer of the peer" in part_of(render(a_run()), "storage-5")


def test_nothing_from_the_wire_is_markup() -> None:
    run = a_run()
    run.called_ae = run.remarks[0] = HOSTILE
    page = render(run)
    assert page.count("<script") == 2
    assert not set(page) & set("\x1b\u202e")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m\\u202e&amp;&#34;&#39;" in page


def test_a_run_without_results() -> None:
    run = a_run()
    run.results = []
    assert data_of(render(run))["cases"] == {}


# -- the command


def a_case(writes: bool = False) -> Case:
    return case("ul-9b", "A title", "PS3.8 9.2", associate(), writes=writes)


def run_of(command: str) -> Run:
    run = a_run()
    run.command = command
    return run


@pytest.mark.parametrize(
    ("command", "alone"),
    [
        (
            "dicom-conformance run dicoms://h:2762 --called-ae X --tls-ca ca.pem --suite ul,dimse -c ul-1 "
            "--html r.html --junit=j.xml --json j.json --artim 3",
            "dicom-conformance run dicoms://h:2762 --called-ae X --tls-ca ca.pem --artim 3 --case ul-9b",
        ),
        (
            "dicom-conformance run h:104 --called-ae 'A B'",
            "dicom-conformance run h:104 --called-ae 'A B' --case ul-9b",
        ),
        ("", "dicom-conformance run pacs://localhost:104 --called-ae ANY --aet CONFORMANCE --case ul-9b"),
        (
            "broken '",
            "dicom-conformance run pacs://localhost:104 --called-ae ANY --aet CONFORMANCE --case ul-9b",
        ),
    ],
)
def test_the_command_for_one_case(command: str, alone: str) -> None:
    assert command_alone(run_of(command), a_case()) == alone


def test_the_command_for_a_case_that_writes() -> None:
    words = "dicom-conformance run h:104 --called-ae X"
    assert command_alone(run_of(words), a_case(writes=True)).endswith("X --allow-write --case ul-9b")
    twice = shlex.split(command_alone(run_of(f"{words} --allow-write"), a_case(writes=True)))
    assert twice.count("--allow-write") == 1


# -- what went over the wire


def played(*exchanges: Exchange, number: int = 1) -> PlayedConnection:
    return PlayedConnection(number, 1.0, (Exchange(0.0, Move.OPENED), *exchanges), cut=False)


@pytest.mark.parametrize(
    ("moves", "last", "side"),
    [
        ((Move.CLOSED,), "connection closed", Side.REQUESTOR),
        ((Move.RESET,), "connection reset", Side.REQUESTOR),
        ((Move.PEER_CLOSED,), "connection closed", Side.ACCEPTOR),
        ((Move.PEER_RESET,), "connection reset", Side.ACCEPTOR),
        ((Move.FINISHED, Move.PEER_CLOSED), "connection closed", Side.REQUESTOR),
        ((Move.FINISHED,), "one half of the connection closed", Side.REQUESTOR),
    ],
)
def test_who_ended_a_connection(moves: tuple[Move, ...], last: str, side: Side) -> None:
    exchanges = [Exchange(0.1, Move.SENT, a_associate_rq()), *(Exchange(0.2, move) for move in moves)]
    trace, _ = follow(played(*exchanges), Side.REQUESTOR)
    entry = trace.entries[-1]
    assert not isinstance(entry, TracedPDU)
    assert (entry.what, entry.side) == (last, side)


def test_a_pdu_that_did_not_end_is_shown_as_far_as_it_goes() -> None:
    trace, remains = follow(
        played(Exchange(0.1, Move.SENT, a_associate_rq()[:50]), Exchange(0.2, Move.PEER_CLOSED)),
        Side.REQUESTOR,
    )
    ((position, dissection),) = remains.items()
    assert "left over" in getattr(trace.entries[position], "what", "")
    assert dissection.raw == a_associate_rq()[:50]
    assert dissection.name == "A-ASSOCIATE-RQ"


def test_a_script_has_the_tester_on_the_other_side() -> None:
    served = script("reject-1-1-3", Topic.REJECT, "It rejects", "PS3.8 9.3.4", Send("an abort", abort(2, 2)))
    connection = played(Exchange(0.1, Move.RECEIVED, a_associate_rq()), Exchange(0.2, Move.SENT, abort(2, 2)))
    finding = Finding(Verdict.FAIL, "closed", "silence")
    run = run_of("dicom-conformance serve --port 104 --script all --html x.html")
    run.results = [CaseResult(served, Verdict.FAIL, (finding,), (connection,), 0.1, 1)]
    page = render(run)
    assert '<span class="end r">Peer</span><span class="end a">Tester</span>' in page
    assert re.findall(r'class="entry pdu by-(\w+)"', page) == ["requestor", "acceptor"]
    assert "dicom-conformance serve --port 104 --script reject-1-1-3</code>" in page
    assert '<tr><th scope="row">reject</th>' in page


def test_what_the_tester_does_wrong_is_no_fault_of_the_peer() -> None:
    garbage = played(Exchange(0.1, Move.SENT, b"\x09garbage"), Exchange(0.2, Move.PEER_CLOSED))
    run = a_run()
    run.results = [replace(run.results[1], connections=(garbage,))]
    found = part_of(render(run), "ul-2a")
    wrong = re.findall(r'class="entry (\w+) by-(\w+) wrong"', found)
    assert wrong == [("event", "acceptor")]  # it closed where an A-ABORT was due
    assert '<span class="note">The tester: unrecognized PDU' in found


def test_many_connections_are_not_all_shown() -> None:
    run = a_run()
    connections = tuple(replace(CONNECTION, number=number) for number in range(1, 31))
    run.results = [replace(run.results[1], connections=connections)]
    found = part_of(render(run), "ul-2a")
    numbers = [int(number) for number in re.findall(r"<h4>Connection (\d+)", found)]
    assert numbers == [1, 2, 25, 26, 27, 28, 29, 30]
    assert len(numbers) == SHOWN_OF_A_CASE
    assert "22 more connections of this case are not shown." in found


def test_a_connection_that_was_cut_says_so() -> None:
    run = a_run()
    run.results = [replace(run.results[1], connections=(replace(CONNECTION, cut=True),))]
    assert "More bytes went over it than were kept." in part_of(render(run), "ul-2a")


def test_a_run_in_which_everything_fails_stays_small() -> None:
    """300 cases, each with a megabyte that nobody else sends: below 10 MB."""
    run = a_run()
    failed = run.results[1]
    run.results = []
    for number in range(300):
        body = (16_380).to_bytes(4) + b"\x03\x00" + number.to_bytes(4) * 4094 + bytes(2)
        data = (b"\x04\0" + len(body).to_bytes(4) + body) * 8
        connection = played(Exchange(0.1, Move.SENT, a_associate_rq()), Exchange(0.2, Move.RECEIVED, data))
        one = case(f"ul-{number}", "It fails", "PS3.8 9.2", failed.case.steps)
        run.results.append(replace(failed, case=one, connections=(connection,) * 2))
    assert len(render(run)) < 10_000_000
