"""What one end did, told from outside: by order, by crossing, by what is owed."""

import pytest

from dimse.messages import CFindRQ, CFindRSP
from dul.pdus import AAbort, AAssociateRJ, AnyPDU
from dul.reasons import AbortReason, RejectReason
from services.trace.fields import Side
from trace_samples import (
    ABORT,
    AN_ECHO,
    ECHO_RQ,
    ECHO_RSP,
    RELEASE_RP,
    RELEASE_RQ,
    STUDY_ROOT_FIND,
    A,
    R,
    ac,
    established,
    last_problems,
    message,
    pdus,
    rq,
    traced,
    walk,
    wire,
)

OPENED = {R: "Sta1 Evt1 AE-1 Sta4", A: "Sta1 Evt5 AE-5 Sta2"}
ASSOCIATED = {
    R: f"{OPENED[R]}, Sta4 Evt2 AE-2 Sta5, Sta5 Evt3 AE-3 Sta6",
    A: f"{OPENED[A]}, Sta2 Evt6 AE-6 Sta3, Sta3 Evt7 AE-7 Sta6",
}


def test_an_echo_from_beginning_to_end() -> None:
    trace = traced(*AN_ECHO, closed_by=R)
    assert trace.problems == []
    assert walk(trace, R) == (
        f"{ASSOCIATED[R]}, Sta6 Evt9 DT-1 Sta6, Sta6 Evt10 DT-2 Sta6, Sta6 Evt11 AR-1 Sta7, Sta7 Evt13 AR-3 Sta1"
    )
    assert walk(trace, A) == (
        f"{ASSOCIATED[A]}, Sta6 Evt10 DT-2 Sta6, Sta6 Evt9 DT-1 Sta6, Sta6 Evt12 AR-2 Sta8, "
        "Sta8 Evt14 AR-4 Sta13, Sta13 Evt17 AR-5 Sta1"
    )


# -- rejections


def test_the_user_rejects() -> None:
    rj = AAssociateRJ(1, RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED)
    trace = traced((R, rq()), (A, rj), closed_by=R)
    assert trace.problems == []
    assert walk(trace, A) == (
        f"{OPENED[A]}, Sta2 Evt6 AE-6 Sta3, Sta3 Evt8 AE-8 Sta13, Sta13 Evt17 AR-5 Sta1"
    )
    assert walk(trace, R) == f"{OPENED[R]}, Sta4 Evt2 AE-2 Sta5, Sta5 Evt4 AE-4 Sta1"


@pytest.mark.parametrize("reason", [RejectReason.LOCAL_LIMIT_EXCEEDED, RejectReason.ACSE_NO_REASON_GIVEN])
def test_the_provider_rejects_in_ae_6(reason: RejectReason) -> None:
    trace = traced((R, rq()), (A, AAssociateRJ(2, reason)), closed_by=R)
    assert walk(trace, A) == f"{OPENED[A]}, Sta2 Evt6 AE-6 Sta13, Sta13 Evt17 AR-5 Sta1"
    assert trace.problems == []


def test_who_follows_sees_ae_6_at_the_request() -> None:
    trace = traced()
    (request,) = trace.feed(R, wire(rq()), 0.1)
    assert [step.transition.action_name for step in request.steps] == ["AE-2", "AE-6"]


def test_a_provider_cannot_reject_later() -> None:
    trace = established((R, ECHO_RQ), (A, AAssociateRJ(2, RejectReason.TEMPORARY_CONGESTION)))
    assert any("AE-6, which sends it, there" in problem for problem in last_problems(trace))


def test_a_protocol_version_nobody_may_accept() -> None:
    rejected = traced((R, rq(version=2)), (A, AAssociateRJ(1, RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED)))
    assert walk(rejected, A) == f"{OPENED[A]}, Sta2 Evt6 AE-6 Sta13"
    accepted = traced((R, rq(version=2)), (A, ac()))
    assert walk(accepted, A) == ASSOCIATED[A]
    assert any("protocol version 0002H" in problem for problem in last_problems(accepted))


# -- what has no cell


@pytest.mark.parametrize(
    ("sent", "who", "state", "event"),
    [
        ([(R, rq()), (R, ECHO_RQ)], R, "Sta5", "Evt9"),
        ([(R, rq()), (A, ECHO_RSP)], A, "Sta3", "Evt9"),
        ([(R, rq()), (R, RELEASE_RQ)], R, "Sta5", "Evt11"),
        ([(R, rq()), (A, ac()), (A, ac())], A, "Sta6", "Evt7"),
        ([(R, rq()), (A, ac()), (R, RELEASE_RP)], R, "Sta6", "Evt14"),
        ([(R, rq()), (A, ac()), (R, RELEASE_RQ), (R, ECHO_RQ)], R, "Sta7", "Evt9"),
        ([(R, rq()), (A, ac()), (R, RELEASE_RQ), (A, RELEASE_RP), (A, ECHO_RSP)], A, "Sta13", "Evt9"),
        ([(R, rq()), (A, ac()), (R, RELEASE_RQ), (A, RELEASE_RP), (R, ECHO_RQ)], R, "Sta1", "Evt9"),
        ([(R, rq()), (A, ac()), (R, RELEASE_RQ), (A, RELEASE_RP), (A, ABORT)], A, "Sta13", "Evt15"),
    ],
    ids=str,
)
def test_what_its_sender_must_not_send(sent: list, who: Side, state: str, event: str) -> None:
    trace = traced(*sent)
    found = last_problems(trace)
    assert any(f"by the {who.value} in {state}: Table 9-10 has no cell for {event}" in p for p in found), (
        found
    )
    assert all("(PS3." in problem for problem in found)
    own = [step for step in trace.entries[-1].steps if step.side is who]
    assert own == []  # the machine of the sender stays


def test_a_second_request() -> None:
    trace = established((R, rq()))
    assert "a second A-ASSOCIATE-RQ, in Sta6" in last_problems(trace)[0]
    assert walk(trace, A).endswith("Sta6 Evt6 AA-8 Sta13")


def test_a_request_by_the_wrong_end() -> None:
    trace = traced((R, rq()), (A, rq()))
    assert "by the end that accepted the connection" in last_problems(trace)[0]


def test_the_requestor_begins_with_something_else() -> None:
    trace = traced((R, ECHO_RQ), (A, ABORT), closed_by=A)
    first, second = pdus(trace)
    assert "is the first PDU of the requestor" in first.problems[-1]
    assert not any("no cell" in problem for problem in first.problems)
    assert second.problems == ()
    assert walk(trace, R) == f"{OPENED[R]}, Sta4 Evt2 AE-2 Sta5, Sta5 Evt16 AA-3 Sta1"
    assert walk(trace, A) == f"{OPENED[A]}, Sta2 Evt10 AA-1 Sta13, Sta13 Evt17 AR-5 Sta1"


# -- what is explained by segments under way


def test_a_release_collision() -> None:
    trace = established((R, RELEASE_RQ), (A, RELEASE_RQ), (R, RELEASE_RP), (A, RELEASE_RP), closed_by=R)
    assert not any("no cell" in problem for problem in trace.problems)
    assert walk(trace, R).endswith(
        "Sta6 Evt11 AR-1 Sta7, Sta7 Evt12 AR-8 Sta9, Sta9 Evt14 AR-9 Sta11, Sta11 Evt13 AR-3 Sta1"
    )
    assert walk(trace, A).endswith(
        "Sta6 Evt12 AR-2 Sta8, Sta6 Evt11 AR-1 Sta7, Sta7 Evt12 AR-8 Sta10, Sta10 Evt13 AR-10 Sta12, "
        "Sta12 Evt14 AR-4 Sta13, Sta13 Evt17 AR-5 Sta1"
    )
    assert any("sent it in Sta6, before A-RELEASE-RQ reached it" in note for note in pdus(trace)[3].notes)


def test_a_collision_with_data_before_it() -> None:
    pending = message(
        CFindRSP(message_id_being_responded_to=1, status=0xFF00, command_data_set_type=1), 5, b""
    )
    find = message(
        CFindRQ(message_id=1, affected_sop_class_uid=STUDY_ROOT_FIND, command_data_set_type=1), 5, b""
    )
    trace = established((R, find), (R, RELEASE_RQ), (A, pending), (A, RELEASE_RQ))
    assert not any("no cell" in problem for problem in trace.problems)
    assert walk(trace, A).endswith("Sta7 Evt12 AR-8 Sta10")


@pytest.mark.parametrize("late", [ECHO_RSP, RELEASE_RQ, ABORT], ids=lambda pdu: type(pdu).__name__)
def test_what_crosses_an_abort(late: AnyPDU) -> None:
    trace = established((R, ECHO_RQ), (R, ABORT), (A, late), closed_by=A)
    assert not any("no cell" in problem for problem in trace.problems)
    assert "before A-ABORT reached it" in " ".join(pdus(trace)[-1].notes)
    assert walk(trace, R).endswith("Sta1")
    assert walk(trace, A).endswith("Sta1")


def test_an_acceptance_that_crosses_an_abort() -> None:
    trace = traced((R, rq()), (R, ABORT), (A, ac()), closed_by=A)
    assert trace.problems == []
    assert walk(trace, A).endswith("Sta3 Evt7 AE-7 Sta6, Sta6 Evt16 AA-3 Sta1")


def test_an_abort_that_crosses_the_answer_to_a_release() -> None:
    trace = established((R, RELEASE_RQ), (A, RELEASE_RP), (R, ABORT), closed_by=A)
    assert trace.problems == []
    assert walk(trace, R).endswith("Sta7 Evt15 AA-1 Sta13, Sta13 Evt13 AA-6 Sta13, Sta13 Evt17 AR-5 Sta1")


def test_data_that_crosses_the_closing() -> None:
    trace = established(closed_by=R)
    (late,) = trace.feed(A, wire(ECHO_RQ), 1.0)
    assert not any("no cell" in problem for problem in late.problems)
    assert "before the closing of the connection reached it" in " ".join(late.notes)


def test_what_it_showed_to_have_received_explains_nothing() -> None:
    """The acceptor answered the release: the data after it cannot have been sent before."""
    trace = established((R, RELEASE_RQ), (A, ECHO_RSP), (A, RELEASE_RP), (A, ECHO_RSP))
    assert any("in Sta13: Table 9-10 has no cell for Evt9" in problem for problem in last_problems(trace))


# -- A-ABORT


def test_an_abort_that_an_action_sends() -> None:
    trace = established((R, rq()), (A, AAbort(AbortReason.UNEXPECTED_PDU)), closed_by=R)
    abort = pdus(trace)[-1]
    assert abort.problems == ()
    assert "sent by AA-8, for A-ASSOCIATE-RQ in Sta6" in abort.notes
    assert [(s.side, s.transition.action_name) for s in abort.steps] == [(R, "AA-3")]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ([(R, rq()), (A, ac()), (R, rq())], AbortReason.SERVICE_USER),
        ([(R, ECHO_RQ)], AbortReason.NOT_SPECIFIED),
    ],
    ids=["AA-8", "AA-1"],
)
def test_an_abort_of_the_wrong_source(sent: list, reason: AbortReason) -> None:
    trace = traced(*sent, (A, AAbort(reason)))
    assert f"A-ABORT of source {reason.source}" in last_problems(trace)[0]
    assert "PS3.8 9.2.2, Table 9-9" in last_problems(trace)[0]


def test_another_reason_is_left_open() -> None:
    trace = established((R, rq()), (A, AAbort(AbortReason.NOT_SPECIFIED)))
    assert last_problems(trace) == []
    assert any("the standard leaves it open" in note for note in trace.entries[-1].notes)


def test_a_user_aborts() -> None:
    trace = established((R, ECHO_RQ), (R, ABORT), closed_by=A)
    assert trace.problems == []
    assert walk(trace, R).endswith("Sta6 Evt15 AA-1 Sta13, Sta13 Evt17 AR-5 Sta1")


def test_a_provider_aborts_and_nothing_explains_it() -> None:
    trace = established((A, AAbort(AbortReason.NOT_SPECIFIED)), closed_by=R)
    assert any("nothing that is seen explains it" in note for note in pdus(trace)[-1].notes)
    assert walk(trace, A).endswith("Sta6 Evt19 AA-8 Sta13, Sta13 Evt17 AR-5 Sta1")


def test_a_provider_aborts_because_of_what_was_wrong() -> None:
    unknown = message(CFindRQ(message_id=1, affected_sop_class_uid="1.2"), 77, b"")
    trace = established((R, unknown), (A, AAbort(AbortReason.INVALID_PDU_PARAMETER_VALUE)))
    assert not any("explains it" in note for note in trace.entries[-1].notes)
    assert trace.entries[-1].problems == ()


def test_an_abort_that_is_due_and_never_comes() -> None:
    trace = established((R, rq()), closed_by=A)
    assert "without the A-ABORT that AA-8 sends for A-ASSOCIATE-RQ in Sta6" in last_problems(trace)[0]


def test_an_abort_of_who_never_got_a_request() -> None:
    trace = traced((A, ABORT), (R, rq()), closed_by=A)
    assert walk(trace, R) == f"{OPENED[R]}, Sta4 Evt2 AE-2 Sta5, Sta5 Evt16 AA-3 Sta1"
    assert "sent before what the acceptor sent reached the requestor" in pdus(trace)[-1].notes


# -- bytes that are no PDU


def test_bytes_that_are_no_pdu() -> None:
    trace = established(
        (R, b"GET / HTTP/1.1\r\n\r\n"), (A, AAbort(AbortReason.UNRECOGNIZED_PDU)), closed_by=R
    )
    assert walk(trace, A).endswith("Sta6 Evt19 AA-8 Sta13, Sta13 Evt17 AR-5 Sta1")
    assert pdus(trace)[2].problems != ()
    assert pdus(trace)[3].problems == ()


def test_what_cannot_be_decoded_still_tells_what_was_meant() -> None:
    """A lenient acceptor answers an A-RELEASE-RQ of a wrong length: that is its fault alone."""
    trace = established((R, bytes.fromhex("050000000000")), (A, RELEASE_RP), closed_by=R)
    assert walk(trace, R).endswith("Sta6 Evt11 AR-1 Sta7, Sta7 Evt13 AR-3 Sta1")
    (problem, *_) = pdus(trace)[3].problems
    assert "an A-ABORT was due (AA-8, for A-RELEASE-RQ in Sta6)" in problem


# -- the end


@pytest.mark.parametrize("closer", list(Side))
def test_closed_in_the_middle(closer: Side) -> None:
    trace = established(closed_by=closer)
    assert (
        f"the {closer.value} closed the connection in Sta6, without a release or an abort"
        in trace.problems[0]
    )
    assert walk(trace, R).endswith("Sta6 Evt17 AA-4 Sta1")
    assert walk(trace, A).endswith("Sta6 Evt17 AA-4 Sta1")


def test_lost_by_nobody_in_particular() -> None:
    trace = established()
    trace.closed(None, 1.0)
    assert trace.problems == []
    assert (trace.state(R).name, trace.state(A).name) == ("Sta1", "Sta1")


@pytest.mark.parametrize(
    ("reset", "last"), [(False, "Sta13 Evt17 AR-5 Sta1"), (True, "Sta13 Evt18 AA-2 Sta1")]
)
def test_the_acceptor_ends_first(reset: bool, last: str) -> None:
    """By closing its own direction alone it may still wait; by a reset it does not."""
    trace = established((R, RELEASE_RQ), (A, RELEASE_RP))
    trace.closed(A, 1.0, reset)
    assert trace.problems == []
    assert "Evt18" in trace.entries[-1].notes[0]
    assert walk(trace, A).endswith(last)


def test_connections_without_a_word() -> None:
    impatient = traced(closed_by=A)
    assert walk(impatient, A) == f"{OPENED[A]}, Sta2 Evt18 AA-2 Sta1"
    assert "ARTIM" in impatient.entries[-1].notes[0]
    probing = traced(closed_by=R)
    assert walk(probing, R) == f"{OPENED[R]}, Sta4 Evt15 AA-2 Sta1"
    assert walk(probing, A) == f"{OPENED[A]}, Sta2 Evt17 AA-5 Sta1"
    assert impatient.problems == probing.problems == []
