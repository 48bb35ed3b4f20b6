"""An association in a few lines."""

import math

import pytest

from dul.pdus import (
    AAssociateRJ,
    AsynchronousOperationsWindowSubItem,
    ImplementationVersionNameSubItem,
    RoleSelectionSubItem,
)
from dul.reasons import RejectReason
from services.trace.association import AssociationTrace
from services.trace.html.overview import MOST_PROBLEMS, overview, when
from trace_samples import (
    ABORT,
    AN_ECHO,
    ECHO_RSP,
    RELEASE_RP,
    STUDY_ROOT_GET,
    VERIFICATION,
    A,
    R,
    Sent,
    ac,
    established,
    rq,
    traced,
)


def test_who_called_whom_and_when() -> None:
    found = overview(traced(*AN_ECHO, closed_by=R, started=1_700_000_000.0))
    assert found.heading == "CALLING → CALLED"
    assert found.connection == "requestor -> acceptor"
    assert found.started == "2023-11-14 22:13:20 UTC"
    assert found.duration == pytest.approx(0.7)
    assert found.pdus == 6
    assert found.problems == ()


@pytest.mark.parametrize("seconds", [None, math.inf, math.nan, 1e30, -1e30])
def test_a_time_that_is_none(seconds: float | None) -> None:
    assert when(seconds) == ""


@pytest.mark.parametrize(
    ("sent", "closed_by", "outcome", "well"),
    [
        (AN_ECHO, R, "released", True),
        (AN_ECHO[:3], None, "not over where the trace ends", True),
        (AN_ECHO[:3], R, "the connection was closed, without a release or an abort", False),
        ((*AN_ECHO[:2], (A, ABORT)), A, "aborted by the acceptor: ", False),
        (
            ((R, rq()), (A, AAssociateRJ(1, RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED))),
            A,
            "rejected: rejected-permanent, ",
            False,
        ),
    ],
)
def test_how_it_ended(sent: tuple[Sent, ...], closed_by: object, outcome: str, well: bool) -> None:
    found = overview(traced(*sent, closed_by=closed_by))  # type: ignore[arg-type]
    assert found.outcome.startswith(outcome)
    assert found.ended_well is well


def test_what_both_said_of_themselves() -> None:
    window = AsynchronousOperationsWindowSubItem(4, 0)
    found = overview(
        traced(
            (R, rq(ImplementationVersionNameSubItem("SCU_1"), window, longest=0)),
            (A, ac(AsynchronousOperationsWindowSubItem(2, 1), longest=32768)),
        )
    )
    assert found.facts == (
        ("AE title", "CALLING", "CALLED"),
        ("Implementation version", "SCU_1", ""),
        ("Implementation class UID", "2.25.1", "2.25.1"),
        ("Longest P-DATA-TF received", "no limit", "32,768 bytes"),
        ("Operations invoked / performed", "4 / any number", "2 / 1"),
        ("PDUs sent", "1", "1"),
    )


def test_contexts() -> None:
    role = RoleSelectionSubItem(STUDY_ROOT_GET, False, True)
    results = {1: 0, 3: 3, 7: 0, 9: 8, 11: 0}
    found = overview(traced((R, rq(role)), (A, ac(role, results=results)))).contexts
    told = [(c.id, c.abstract_syntax.name, c.accepted.name if c.accepted else None, c.result) for c in found]
    implicit = "Implicit VR Little Endian"
    assert told == [
        (1, "Verification SOP Class", implicit, "acceptance"),
        (3, "CT Image Storage", None, "abstract-syntax-not-supported (provider rejection)"),
        (5, "Study Root Query/Retrieve Information Model - FIND", None, "not answered"),
        (7, "Study Root Query/Retrieve Information Model - GET", implicit, "acceptance"),
        (9, "Basic Grayscale Print Management Meta SOP Class", None, "reserved value 8"),
        (11, "", implicit, "acceptance"),
    ]
    assert found[0].abstract_syntax.uid == VERIFICATION
    assert [c.roles for c in found if c.roles] == ["requestor is SCP"]


def test_problems_name_their_row() -> None:
    found = overview(established((A, ECHO_RSP)))
    assert [(problem.where, problem.position) for problem in found.problems] == [("PDU 3, P-DATA-TF", 3)]
    closed = overview(traced(*AN_ECHO[:2], closed_by=R))
    assert [(problem.where, problem.position) for problem in closed.problems] == [("connection closed", 3)]


def test_many_problems_are_counted_and_not_all_listed() -> None:
    found = overview(established(*[(A, RELEASE_RP)] * (MOST_PROBLEMS + 10)))
    assert len(found.problems) == MOST_PROBLEMS
    assert found.problem_count > MOST_PROBLEMS


def test_a_trace_of_nothing() -> None:
    found = overview(AssociationTrace("\u202ename"))
    assert found.heading == "\\u202ename"
    assert found.contexts == ()
    assert overview(AssociationTrace()).heading == "Association"
