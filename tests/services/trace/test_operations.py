"""Messages are judged by those before them."""

import pytest

from dimse.messages import (
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    CFindRQ,
    CFindRSP,
    CGetRQ,
    CGetRSP,
    CMoveRSP,
    CStoreRQ,
    CStoreRSP,
    Message,
    NCreateRQ,
    NCreateRSP,
    NEventReportRQ,
    NGetRQ,
    NSetRQ,
)
from dul.pdus import AsynchronousOperationsWindowSubItem, RoleSelectionSubItem
from services.trace.agreement import agreement
from services.trace.fields import Side
from services.trace.operations import Operations
from services.trace.reading import ReadMessage
from trace_samples import CT_IMAGE, PRINT_META, STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION, A, R, ac, rq

FILM_SESSION = "1.2.840.10008.5.1.1.1"
ECHO = CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION)
ECHOED = CEchoRSP(message_id_being_responded_to=1, status=0)
FIND = CFindRQ(message_id=2, affected_sop_class_uid=STUDY_ROOT_FIND)
GET = CGetRQ(message_id=3, affected_sop_class_uid=STUDY_ROOT_GET)
STORE = CStoreRQ(message_id=4, affected_sop_class_uid=CT_IMAGE, affected_sop_instance_uid="1.2.3")


def operations(*both: object) -> Operations:
    """With the same sub-items asked for and granted."""
    found = Operations()
    found.agreement = agreement(rq(*both), ac(*both))  # type: ignore[arg-type]
    return found


def read(
    message: Message | None, context_id: int = 1, data: bytes | None = None, error: str = ""
) -> ReadMessage:
    return ReadMessage(context_id, b"", message, error, data, len(data or b""), 1)


def take(
    to: Operations, sender: Side, message: Message, context_id: int = 1, data: bytes | None = None
) -> list[str]:
    return to.message(sender, read(message, context_id, data), None)[0]


def test_a_request_and_its_response() -> None:
    found = operations()
    assert take(found, R, ECHO) == []
    assert found.outstanding(R) == ["C-ECHO-RQ 1"]
    assert found.outstanding(A) == []
    assert take(found, A, ECHOED) == []
    assert found.outstanding(R) == []


def test_pending_responses_leave_it_outstanding() -> None:
    found = operations()
    assert take(found, R, FIND, 5, b"") == []
    for status in (0xFF00, 0xFF01):
        assert take(found, A, CFindRSP(message_id_being_responded_to=2, status=status), 5, b"") == []
    assert found.outstanding(R) == ["C-FIND-RQ 2"]
    assert take(found, A, CFindRSP(message_id_being_responded_to=2, status=0), 5) == []
    assert found.outstanding(R) == []


def test_a_retrieve_and_its_sub_operations() -> None:
    window = AsynchronousOperationsWindowSubItem(1, 1)
    found = operations(RoleSelectionSubItem(CT_IMAGE, True, True), window)
    assert take(found, R, GET, 7, b"") == []
    assert take(found, A, STORE, 3, b"") == []
    assert take(found, R, CStoreRSP(message_id_being_responded_to=4, status=0), 3) == []
    assert take(found, A, CGetRSP(message_id_being_responded_to=3, status=0xFF00), 7) == []
    assert take(found, A, CGetRSP(message_id_being_responded_to=3, status=0xB000), 7, b"failed") == []


def test_a_group_of_classes_on_one_context() -> None:
    create = NCreateRQ(message_id=1, affected_sop_class_uid=FILM_SESSION)
    assert take(operations(), R, create, 9) == []


def test_an_early_failure() -> None:
    """The SCP gives up before the data set has ended (PS3.7 9.1.1)."""
    found = operations()
    failed = read(CStoreRSP(message_id_being_responded_to=4, status=0xA700), 3)
    assert found.message(A, failed, STORE) == ([], [])
    assert take(found, R, STORE, 3, b"") == []
    assert found.outstanding(R) == []


@pytest.mark.parametrize(
    ("message", "context_id", "data", "problem"),
    [
        (ECHO, 1, b"x", "C-ECHO-RQ 1 has a data set and must have none (PS3.7 9.3.5.1)"),
        (STORE, 3, None, "C-STORE-RQ 4 has no data set and must have one (PS3.7 9.3.1.1)"),
        (FIND, 5, None, "C-FIND-RQ 2 has no data set and must have one (PS3.7 9.3.2.1)"),
        (STORE, 1, b"", f"SOP Class {CT_IMAGE} on context 1 of {VERIFICATION}"),
        (
            NEventReportRQ(
                message_id=1,
                affected_sop_class_uid=VERIFICATION,
                affected_sop_instance_uid="1",
                event_type_id=1,
            ),
            1,
            None,
            f"the requestor is not SCP of {VERIFICATION} (PS3.7 D.3.3.4)",
        ),
        (
            NSetRQ(message_id=1, requested_sop_class_uid=PRINT_META, requested_sop_instance_uid="1"),
            9,
            None,
            "N-SET-RQ 1 has no data set and must have one (PS3.7 10.3.3.1)",
        ),
        (
            NGetRQ(message_id=1, requested_sop_class_uid=PRINT_META, requested_sop_instance_uid="1"),
            9,
            b"",
            "N-GET-RQ 1 has a data set and must have none (PS3.7 10.3.2.1)",
        ),
    ],
)
def test_a_request_that_is_wrong(message: Message, context_id: int, data: bytes | None, problem: str) -> None:
    (found,) = take(operations(), R, message, context_id, data)
    assert problem in found


def test_an_operation_by_who_is_no_scu() -> None:
    assert "the acceptor is not SCU of" in take(operations(), A, STORE, 3, b"")[0]


def test_a_message_id_twice() -> None:
    found = operations(AsynchronousOperationsWindowSubItem(0, 0))
    take(found, R, ECHO)
    (problem,) = take(found, R, ECHO)
    assert "its Message ID is that of a C-ECHO-RQ still outstanding" in problem


def test_both_sides_may_use_the_same_message_id() -> None:
    found = operations(RoleSelectionSubItem(VERIFICATION, True, True))
    assert take(found, R, ECHO) == take(found, A, ECHO) == []


@pytest.mark.parametrize(("window", "is_problem"), [((2, 2), True), ((3, 1), False), ((0, 1), False)])
def test_more_outstanding_than_the_window_allows(window: tuple[int, int], is_problem: bool) -> None:
    found = operations(AsynchronousOperationsWindowSubItem(*window))
    assert take(found, R, ECHO) == []
    assert take(found, R, FIND, 5, b"") == []
    assert bool(take(found, R, GET, 7, b"")) is is_problem


@pytest.mark.parametrize(
    ("asked", "context_id", "answer", "answered_on", "data", "problem"),
    [
        (
            ECHO,
            1,
            CEchoRSP(message_id_being_responded_to=9, status=0),
            1,
            None,
            "C-ECHO-RSP 9 answers no request",
        ),
        (
            FIND,
            5,
            CEchoRSP(message_id_being_responded_to=2, status=0),
            5,
            None,
            "C-ECHO-RSP 2 answers a C-FIND-RQ",
        ),
        (ECHO, 1, ECHOED, 1, b"", "C-ECHO-RSP 1 with status 0000H has a data set and must have none"),
        (
            ECHO,
            1,
            CEchoRSP(message_id_being_responded_to=1, status=0, affected_sop_class_uid=CT_IMAGE),
            1,
            None,
            f"Affected SOP Class UID {CT_IMAGE} is not the request's, {VERIFICATION} (PS3.7 9.3.5.2)",
        ),
        (
            STORE,
            3,
            CStoreRSP(message_id_being_responded_to=4, status=0, affected_sop_instance_uid="1.2.4"),
            3,
            None,
            "Affected SOP Instance UID 1.2.4 is not the request's, 1.2.3 (PS3.7 9.3.1.2)",
        ),
        (
            ECHO,
            1,
            CEchoRSP(message_id_being_responded_to=1, status=0xFF00),
            1,
            None,
            "C-ECHO-RSP 1: pending, which",
        ),
        (
            FIND,
            5,
            CFindRSP(message_id_being_responded_to=2, status=0xFF00),
            5,
            None,
            "status FF00H has no Identifier",
        ),
        (
            FIND,
            5,
            CFindRSP(message_id_being_responded_to=2, status=0),
            5,
            b"",
            "status 0000H has an Identifier",
        ),
        (
            GET,
            7,
            CGetRSP(message_id_being_responded_to=3, status=0xFF00),
            7,
            b"",
            "status FF00H has an Identifier",
        ),
        (
            GET,
            7,
            CGetRSP(message_id_being_responded_to=3, status=0),
            7,
            b"",
            "status 0000H has an Identifier",
        ),
        (
            GET,
            7,
            CMoveRSP(message_id_being_responded_to=3, status=0),
            7,
            None,
            "C-MOVE-RSP 3 answers a C-GET-RQ",
        ),
    ],
)
def test_a_response_that_is_wrong(
    asked: Message, context_id: int, answer: Message, answered_on: int, data: bytes | None, problem: str
) -> None:
    found = operations()
    take(found, R, asked, context_id, None if asked is ECHO else b"")
    (text,) = take(found, A, answer, answered_on, data)
    assert problem in text
    assert "(PS3." in text


def test_an_answer_on_another_context_is_remarked() -> None:
    found = operations()
    take(found, R, ECHO)
    assert found.message(A, read(ECHOED, 3), None) == (
        [],
        ["C-ECHO-RSP 1 on context 3: its request came on 1"],
    )


def test_uids_that_the_request_left_open() -> None:
    found = operations()
    take(found, R, NCreateRQ(message_id=1, affected_sop_class_uid=FILM_SESSION), 9)
    created = NCreateRSP(message_id_being_responded_to=1, status=0, affected_sop_instance_uid="1.2.9")
    assert take(found, A, created, 9) == []


def test_cancelling() -> None:
    found = operations()
    take(found, R, FIND, 5, b"")
    assert found.message(R, read(CCancelRQ(message_id_being_responded_to=2), 5), None) == ([], [])
    _, (note,) = found.message(R, read(CCancelRQ(message_id_being_responded_to=7), 5), None)
    assert "C-CANCEL-RQ 7 finds no such operation" in note
    take(found, R, ECHO)
    _, (note,) = found.message(R, read(CCancelRQ(message_id_being_responded_to=1), 1), None)
    assert "a C-ECHO-RQ cannot be cancelled" in note


def test_what_cannot_be_read() -> None:
    (problem,), _ = operations().message(R, read(None, error="no\nelement"), None)
    assert problem == r"a message that cannot be read: no\nelement (PS3.7 6.3.1)"


def test_without_a_negotiation_only_what_stands_in_the_message_is_judged() -> None:
    found = Operations()
    assert take(found, A, ECHOED) == []
    assert take(found, R, STORE, 99, b"") == []
    assert take(found, R, FIND, 99) != []
