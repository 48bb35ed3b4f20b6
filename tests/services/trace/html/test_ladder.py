"""Rows of a ladder."""

from dimse.command_set import encode_command_set
from dimse.messages import CStoreRQ
from dul.pdus import PDV, PDataTF
from services.trace.association import AssociationTrace
from services.trace.dissect import dissect
from services.trace.html.ladder import Ladder, Row, Transition, ladder
from services.trace.html.views import Views
from services.trace.reading import ReadPDU
from trace_samples import (
    ABORT,
    AN_ECHO,
    CT_IMAGE,
    ECHO_RSP,
    RELEASE_RQ,
    A,
    R,
    Sent,
    ac,
    established,
    message,
    rq,
    traced,
    wire,
)

STORE = CStoreRQ(message_id=1, affected_sop_class_uid=CT_IMAGE, affected_sop_instance_uid="1.2.3", priority=0)


def drawn(trace: AssociationTrace, **options: int) -> Ladder:
    return ladder(trace, Views(), **options)


def fragments(count: int, *, last: bool = True) -> list[Sent]:
    """A C-STORE-RQ with its data set in so many P-DATA-TF."""
    command: Sent = (R, PDataTF((PDV(3, 3, encode_command_set(STORE)),)))
    numbers = range(count)
    return [command, *((R, PDataTF((PDV(3, 2 * (last and n == count - 1), bytes(8)),))) for n in numbers)]


def test_a_row_for_each_pdu_and_event() -> None:
    found = drawn(traced(*AN_ECHO, closed_by=R))
    assert [(row.number, row.sender, row.name) for row in found.rows] == [
        (0, "requestor", "connection opened"),
        (1, "requestor", "A-ASSOCIATE-RQ"),
        (2, "acceptor", "A-ASSOCIATE-AC"),
        (3, "requestor", "P-DATA-TF"),
        (4, "acceptor", "P-DATA-TF"),
        (5, "requestor", "A-RELEASE-RQ"),
        (6, "acceptor", "A-RELEASE-RP"),
        (0, "requestor", "connection closed"),
    ]
    assert [row.position for row in found.rows] == list(range(8))
    assert found.left_out == 0


def test_states_go_down_both_sides() -> None:
    found = drawn(traced(*AN_ECHO, closed_by=R))
    assert found.begin == {"requestor": "Sta1", "acceptor": "Sta1"}
    assert [tuple(row.states.values()) for row in found.rows] == [
        ("Sta4", "Sta2"),
        ("Sta5", "Sta3"),
        ("Sta6", "Sta6"),
        ("Sta6", "Sta6"),
        ("Sta6", "Sta6"),
        ("Sta7", "Sta8"),
        ("Sta1", "Sta13"),
        ("Sta1", "Sta1"),
    ]
    request = found.rows[1]
    assert request.transitions["acceptor"] == (Transition("Sta2", "Evt6", "AE-6", "Sta3"),)
    assert request.moved == {"requestor", "acceptor"}
    assert found.rows[3].transitions["requestor"] == (Transition("Sta6", "Evt9", "DT-1", "Sta6"),)
    assert found.rows[3].moved == set()


def test_without_states_none_are_shown() -> None:
    trace = AssociationTrace(one_direction=True)
    trace.feed(R, wire(rq()), 0.0)
    found = drawn(trace)
    assert found.begin == {"requestor": "", "acceptor": ""}
    assert found.rows[0].states == found.begin


def test_the_script_is_told_the_same_transitions() -> None:
    found = drawn(traced(*AN_ECHO, closed_by=R))
    assert found.script[1]["s"] == [[0, 2, 4, 5], [1, 6, 2, 3]]
    for row, script in zip(found.rows, found.script, strict=True):
        told = [
            (["requestor", "acceptor"][side], f"Sta{state}", f"Evt{event}", f"Sta{after}")
            for side, event, state, after in script["s"]
        ]
        drawn_there = [
            (side, step.before, step.event, step.after)
            for side, steps in row.transitions.items()
            for step in steps
        ]
        assert sorted(told) == sorted(drawn_there)


def test_problems_stand_in_their_row() -> None:
    found = drawn(established((A, ECHO_RSP), (R, RELEASE_RQ)))
    wrong = [row.position for row in found.rows if row.problems]
    assert wrong == [3]
    assert "PS3.7" in found.rows[3].problems[0]


def folding(rows: tuple[Row, ...]) -> str:
    """A letter for each row: F one that folds, f one that is folded away, . any other."""
    return "".join("F" if row.fold else "f" if row.folded else "." for row in rows)


def test_fragments_in_the_middle_are_folded() -> None:
    found = drawn(established(*fragments(8)))
    assert folding(found.rows) == "...Ffffffff."[: len(found.rows)]
    assert [row.fold for row in found.rows if row.fold] == [7]
    assert found.rows[-1].name == "P-DATA-TF"
    assert not found.rows[-1].folded


def test_few_fragments_and_those_that_tell_something_are_not() -> None:
    assert folding(drawn(established(*fragments(3))).rows) == "......."
    without_context: Sent = (R, PDataTF((PDV(99, 0, bytes(8)),)))
    found = drawn(established(*fragments(6, last=False), without_context, *fragments(1)[1:]))
    assert not any(row.folded for row in found.rows if row.problems)


def test_views_of_a_message_in_pieces() -> None:
    data = bytes.fromhex("08000500 0a000000") + b"ISO_IR 100"
    command = encode_command_set(STORE)
    pieces = [PDV(3, 1, command[:20]), PDV(3, 3, command[20:]), PDV(3, 0, data[:8]), PDV(3, 2, data[8:])]
    found = drawn(established(*((R, PDataTF((pdv,))) for pdv in pieces)))
    assert [[title for title, _ in script["v"]] for script in found.script[-4:]] == [
        ["PDU"],
        ["PDU"],
        ["PDU"],
        ["PDU", "Command set of C-STORE-RQ", "Data set of C-STORE-RQ"],
    ]


def test_a_command_set_that_stands_whole_in_its_pdu_is_not_there_twice() -> None:
    found = drawn(established((R, message(STORE, 3, bytes(8)))))
    assert [title for title, _ in found.script[-1]["v"]] == ["PDU", "Data set of C-STORE-RQ"]


def test_a_long_trace_is_cut() -> None:
    found = drawn(established(*fragments(20)), most=5)
    assert len(found.rows) == len(found.script) == 5
    assert found.left_out == 19


def test_remains_are_shown_with_their_event() -> None:
    trace = traced((R, wire(rq())[:80]), closed_by=R)
    raw = wire(rq())[:80]
    position = next(
        n for n, row in enumerate(drawn(trace).rows) if row.name == "80 bytes of A-ASSOCIATE-RQ left over"
    )
    views = Views()
    found = ladder(trace, views, remains={position: dissect(ReadPDU(raw, None))})
    ((title, number),) = found.script[position]["v"]
    assert title == "What there is of the PDU"
    assert views.as_data()["views"][number]["t"] == 80


def test_text_of_the_wire_is_made_fit_to_be_read() -> None:
    trace = traced((R, wire(rq()).replace(b"CALLING", b"\x1b[31m<b")), (A, ac()), (R, ABORT))
    summary = drawn(trace).rows[1].summary
    assert "\\x1b[31m<b" in summary
    assert "\x1b" not in summary
