"""A trace takes any bytes in any pieces, and knows what both sides agreed on."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dimse.messages import CFindRQ, CStoreRQ
from dul.enums import State
from dul.pdus import (
    PDV,
    AAbort,
    AAssociateRJ,
    AsynchronousOperationsWindowSubItem,
    PDataTF,
    PresentationContextACItem,
)
from dul.reasons import AbortReason, RejectReason
from dul_samples import load_folder
from services.trace import association
from services.trace.association import AssociationTrace, Entry, TracedEvent, TracedPDU
from services.trace.direction import UNREADABLE_SHOWN
from services.trace.fields import Side
from services.trace.keeping import Keeper
from trace_samples import (
    ABORT,
    AN_ECHO,
    CT_IMAGE,
    ECHO_RQ,
    ECHO_RSP,
    IMPLICIT_LE,
    RELEASE_RP,
    RELEASE_RQ,
    STUDY_ROOT_FIND,
    VERIFICATION,
    A,
    R,
    Sent,
    ac,
    established,
    last_problems,
    message,
    pdus,
    rq,
    traced,
    wire,
)

# -- what it knows


def test_request_answer_and_contexts() -> None:
    trace = traced((R, rq()), (A, ac(results={1: 0, 3: 3, 5: 0, 7: 4, 9: 2})))
    assert trace.request is not None
    assert trace.request.called_ae == "CALLED"
    assert trace.answer is not None
    found = {cid: (c.abstract_syntax, c.transfer_syntax) for cid, c in trace.contexts.items()}
    assert found == {1: (VERIFICATION, IMPLICIT_LE), 5: (STUDY_ROOT_FIND, IMPLICIT_LE)}


def test_a_rejection_is_an_answer() -> None:
    rejection = AAssociateRJ(1, RejectReason.NO_REASON_GIVEN)
    assert traced((R, rq()), (A, rejection)).answer == rejection


def test_entries_are_numbered_and_timed() -> None:
    trace = traced(*AN_ECHO, closed_by=R)
    opened, *middle, closed = trace.entries
    assert isinstance(opened, TracedEvent)
    assert (opened.what, opened.side) == ("connection opened", R)
    assert isinstance(closed, TracedEvent)
    assert (closed.what, closed.side) == ("connection closed", R)
    assert [entry.number for entry in pdus(trace)] == [1, 2, 3, 4, 5, 6]
    assert [entry.sender for entry in pdus(trace)] == [R, A, R, A, R, A]
    assert [round(entry.at, 1) for entry in middle] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert trace.is_closed
    assert trace.closed(A, 9.0) == []


def test_bytes_open_the_connection() -> None:
    trace = AssociationTrace()
    assert [type(entry) for entry in trace.feed(R, wire(rq()), 0.0)] == [TracedEvent, TracedPDU]
    assert trace.opened() == []
    assert trace.state(A) is State.Sta3


def test_a_reset_says_so() -> None:
    trace = established()
    (entry,) = trace.closed(R, 1.0, reset=True)
    assert isinstance(entry, TracedEvent)
    assert entry.what == "connection reset"


# -- what needs both sides


def test_an_answer_is_held_against_its_request() -> None:
    answer = ac(results={1: 0, 3: 0, 5: 0, 7: 0, 9: 0, 11: 0})
    assert "answers context 11, which was not proposed (PS3.8 9.3.3.2)" in last_problems(
        traced((R, rq()), (A, answer))
    )


@pytest.mark.parametrize(("context_id", "how"), [(3, "was refused"), (21, "was not negotiated")])
def test_a_pdv_on_no_context(context_id: int, how: str) -> None:
    store = message(
        CStoreRQ(message_id=1, affected_sop_class_uid=CT_IMAGE, affected_sop_instance_uid="1.2"),
        context_id,
        b"",
    )
    trace = traced((R, rq()), (A, ac(results={1: 0, 3: 3, 5: 0, 7: 0, 9: 0})), (R, store))
    expected = f"a PDV on presentation context {context_id}, which {how} (PS3.8 9.3.5.1)"
    assert expected in last_problems(trace)


@pytest.mark.parametrize(("longest", "is_problem"), [(100, True), (108, False), (0, False)])
def test_a_p_data_tf_longer_than_announced(longest: int, is_problem: bool) -> None:
    find = message(CFindRQ(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND), 5, b"")
    size = 108 - (len(wire(find)) - 6)
    find = message(CFindRQ(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND), 5, bytes(size))
    trace = traced((R, rq()), (A, ac(longest=longest)), (R, find))
    assert any("announced to receive" in problem for problem in last_problems(trace)) is is_problem


def test_a_release_before_the_answer() -> None:
    trace = established((R, ECHO_RQ), (R, RELEASE_RQ))
    assert last_problems(trace) == ["A-RELEASE-RQ before C-ECHO-RQ 1 was answered in full (PS3.7 A.5)"]


def test_a_release_inside_a_message() -> None:
    begun = PDataTF((PDV(1, 1, b"\0\0"),))
    trace = established((R, begun), (R, RELEASE_RQ))
    assert "inside a message" in last_problems(trace)[0]


def test_a_release_by_the_acceptor() -> None:
    trace = established((A, RELEASE_RQ))
    assert "only the requestor of an association releases it (PS3.7 A.5)" in last_problems(trace)[0]


def test_messages_stand_at_the_pdu_that_ends_them() -> None:
    trace = traced(*AN_ECHO)
    assert [[m.command for m in entry.messages] != [] for entry in pdus(trace)] == [
        False, False, True, True, False, False,
    ]  # fmt: skip


# -- any bytes, in any pieces


STREAMS: dict[str, list[Sent]] = {
    "an echo": list(AN_ECHO),
    "garbage after it": [*AN_ECHO, (A, bytes(range(200))), (R, b"\xff"), (A, b"more")],
    "garbage": [(R, b"GET / HTTP/1.1\r\n"), (A, ABORT)],
    "cut off": [(R, rq()), (A, ac()), (R, wire(ECHO_RQ)[:20])],
    "too long": [(R, bytes.fromhex("0100 7fffffff") + bytes(100))],
    "a collision": [(R, rq()), (A, ac()), (R, RELEASE_RQ), (A, RELEASE_RQ), (R, RELEASE_RP), (A, RELEASE_RP)],
    "rejected": [(R, rq()), (A, AAssociateRJ(2, RejectReason.TEMPORARY_CONGESTION))],
}


def _pieces(sent: list[Sent], sizes: Iterator[int]) -> list[tuple[Side, bytes]]:
    pieces = []
    for sender, pdu in sent:
        data = wire(pdu)
        while data:
            size = next(sizes)
            pieces.append((sender, data[:size]))
            data = data[size:]
    return pieces


def _shown(pieces: list[tuple[Side, bytes]], *, midway: bool = False) -> list[Entry]:
    trace = AssociationTrace(midway=midway)
    trace.opened()
    for sender, data in pieces:
        trace.feed(sender, data, 0.0)
    trace.closed(R, 0.0)
    return trace.entries


@pytest.mark.parametrize("name", STREAMS)
def test_pieces_make_no_difference(name: str) -> None:
    sent = STREAMS[name]
    whole = _shown([(sender, wire(pdu)) for sender, pdu in sent])
    assert len(whole) > 2
    assert _shown(_pieces(sent, iter(lambda: 1, None))) == whole
    for size in (2, 3, 5, 7, 11, 61, 64, 65):
        assert _shown(_pieces(sent, iter(lambda size=size: size, None))) == whole, size


def test_every_split() -> None:
    sent = [(R, rq(contexts={1: VERIFICATION})), (A, ac(results={1: 0})), (R, ECHO_RQ), (A, b"\xff" * 3)]
    stream = [(sender, wire(pdu)) for sender, pdu in sent]
    whole = _shown(stream)
    for at, (sender, data) in enumerate(stream):
        for split in range(1, len(data)):
            pieces = [*stream[:at], (sender, data[:split]), (sender, data[split:]), *stream[at + 1 :]]
            assert _shown(pieces) == whole, (at, split)


_samples = [
    sample.data for folder in ("pdus", "invalid") for sample in load_folder(folder) if len(sample.data) < 4096
]
_pdus = st.one_of(
    st.sampled_from([wire(pdu) for _, pdu in AN_ECHO]),
    st.sampled_from([wire(pdu) for pdu in (ABORT, AAbort(AbortReason.UNEXPECTED_PDU), rq(version=0))]),
    st.sampled_from(_samples),
    st.binary(max_size=80),
    st.tuples(st.sampled_from(_samples), st.integers(0, 300)).map(lambda cut: cut[0][: cut[1]]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(list(Side)), _pdus), max_size=12),
    st.lists(st.integers(1, 90), min_size=1, max_size=30),
    st.booleans(),
)
def test_any_bytes_in_any_order(sent: list[tuple[Side, bytes]], sizes: list[int], midway: bool) -> None:
    def forever() -> Iterator[int]:
        while True:
            yield from sizes

    whole = _shown(sent, midway=midway)
    assert _shown(_pieces(sent, forever()), midway=midway) == whole


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["feed", "missing", "closed", "ended"]), st.sampled_from(list(Side)), _pdus
        ),
        max_size=15,
    )
)
def test_whatever_happens(happened: list[tuple[str, Side, bytes]]) -> None:
    trace = AssociationTrace()
    for what, side, data in happened:
        match what:
            case "feed":
                trace.feed(side, data, 0.0)
            case "missing":
                trace.missing(side, len(data) * 7 + 1, 0.0)
            case "closed":
                trace.closed(side, 0.0)
            case _:
                trace.ended(0.0)
    assert trace.problem_count >= len(trace.problems)


def test_what_is_no_pdu_is_shown_at_once_and_then_counted() -> None:
    trace = established()
    (first,) = trace.feed(R, b"\xaa" * (UNREADABLE_SHOWN + 10), 1.0)
    assert isinstance(first, TracedPDU)
    assert first.dissection.raw == b"\xaa" * UNREADABLE_SHOWN
    (counted, _) = trace.feed(A, wire(ABORT), 1.1)
    assert isinstance(counted, TracedEvent)
    assert counted.what == "10 bytes more that cannot be read"


def test_what_is_left_over() -> None:
    trace = established((R, wire(ECHO_RQ)[:20]))
    left, _ = trace.closed(R, 1.0)
    assert isinstance(left, TracedEvent)
    assert left.what == "20 bytes of P-DATA-TF left over"
    assert f"inside P-DATA-TF of {len(wire(ECHO_RQ))} bytes (PS3.8 9.3.1)" in left.problems[0]


def test_what_is_left_over_of_an_association_that_is_over() -> None:
    trace = established((A, wire(ECHO_RSP)[:20]), (R, ABORT))
    left, _ = trace.closed(R, 1.0)
    assert left.problems == ()
    assert "ended inside P-DATA-TF" in left.notes[0]


def test_the_end_of_a_file_is_no_fault() -> None:
    trace = established((R, wire(ECHO_RQ)[:5]))
    (left,) = trace.ended(1.0)
    assert left.problems == ()
    assert left.notes == ("what was seen ended inside P-DATA-TF of unknown length: its header is incomplete",)


# -- bytes that were not seen


def test_missing_bytes_inside_a_pdu() -> None:
    data = wire(message(CFindRQ(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND), 5, bytes(100)))
    trace = established((R, data[:130]))
    entries = trace.missing(R, 50, 1.0)
    assert "shown as zeros" in entries[0].notes[0]
    (pdu,) = trace.feed(R, data[180:], 1.1)
    assert isinstance(pdu, TracedPDU)
    assert pdu.dissection.raw == data
    assert pdu.problems == ()


def test_missing_bytes_elsewhere_accuse_nobody() -> None:
    trace = established()
    (gap,) = trace.missing(R, 1000, 1.0)
    assert "only counted" in gap.notes[0]
    assert trace.feed(R, b"whatever", 1.1) == []
    counted, data = trace.feed(A, wire(ECHO_RSP), 1.2)
    assert isinstance(counted, TracedEvent)
    assert counted.what == "8 bytes more that cannot be read"
    assert data.steps == ()
    trace.closed(A, 2.0)
    assert not any("closed" in problem or "no cell" in problem for problem in trace.problems)


# -- what is not seen from its beginning


@pytest.mark.parametrize(
    ("sent", "states"),
    [
        ([(R, ECHO_RQ)], ("Sta6", "Sta6")),
        ([(A, ac())], ("Sta6", "Sta6")),
        ([(A, AAssociateRJ(1, RejectReason.NO_REASON_GIVEN))], ("Sta1", "Sta13")),
        ([(R, RELEASE_RQ)], ("Sta7", "Sta8")),
        ([(A, RELEASE_RP)], ("Sta1", "Sta13")),
        ([(R, RELEASE_RP)], ("Sta13", "Sta1")),
        ([(R, ABORT)], ("Sta13", "Sta1")),
        ([(R, rq())], ("Sta5", "Sta3")),
    ],
    ids=["data", "ac", "rj", "release-rq", "rp by acceptor", "rp by requestor", "abort", "rq"],
)
def test_a_trace_that_begins_midway(sent: list[Sent], states: tuple[str, str]) -> None:
    trace = traced(*sent, midway=True)
    assert (trace.state(R).name, trace.state(A).name) == states
    assert trace.problems == []


def test_responses_to_what_was_not_seen() -> None:
    assert traced((A, ECHO_RSP), midway=True).problems == []


def test_one_direction_alone() -> None:
    trace = traced(*[(side, pdu) for side, pdu in AN_ECHO if side is R], one_direction=True)
    assert trace.problems == []
    assert [entry.steps for entry in trace.entries] == [(), (), ()]
    assert [type(entry) for entry in trace.entries] == [TracedPDU] * 3


# -- how much is kept


def test_nothing_is_kept_where_nobody_wants_it() -> None:
    trace = traced(*AN_ECHO, (A, ECHO_RSP), closed_by=R, keep=False)
    assert trace.entries == []
    assert trace.problems != []


def test_what_is_too_long_is_cut_in_what_is_kept() -> None:
    keeper = Keeper(per_pdu=64, in_all=1 << 20)
    trace = traced((R, rq()), (A, ac()), keeper=keeper)
    data = wire(message(CFindRQ(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND), 5, bytes(2000)))
    (returned,) = trace.feed(R, data, 1.0)
    assert isinstance(returned, TracedPDU)
    assert returned.dissection.raw == data
    kept = pdus(trace)[-1]
    assert kept.dissection.raw == data[:64]
    assert "the first 64 are kept" in kept.notes[-1]
    assert kept.steps == returned.steps
    assert (
        replace(kept, dissection=returned.dissection, messages=returned.messages, notes=returned.notes)
        == returned
    )


def test_a_long_transfer_is_not_held() -> None:
    trace = established()
    fragment = wire(PDataTF((PDV(3, 0, bytes(60_000)),)))
    for _ in range(1500):  # 90 MB
        trace.feed(R, fragment, 1.0)
    held = sum(len(entry.dissection.raw) for entry in pdus(trace))
    assert held < 64 << 20
    assert len(pdus(trace)) == 1502
    assert "not kept" in pdus(trace)[-1].notes[-1]


def test_problems_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "PROBLEMS_KEPT", 3)
    trace = established(*[(R, RELEASE_RP)] * 6)
    assert len(trace.problems) == 3
    assert trace.problem_count >= 6


def test_a_window_and_its_use() -> None:
    window = AsynchronousOperationsWindowSubItem(2, 1)
    second = message(CFindRQ(message_id=2, affected_sop_class_uid=STUDY_ROOT_FIND), 5, b"")
    granted = traced((R, rq(window)), (A, ac(window)), (R, ECHO_RQ), (R, second))
    assert granted.problems == []
    alone = established((R, ECHO_RQ), (R, second))
    assert "2 operations outstanding where the window is 1" in last_problems(alone)[0]


def test_an_answer_with_an_unknown_result_accepts_nothing() -> None:
    item = PresentationContextACItem(1, 9, IMPLICIT_LE)
    assert (
        traced(
            (R, rq(contexts={1: VERIFICATION})), (A, ac(results={item.presentation_context_id: 9}))
        ).contexts
        == {}
    )
