"""What every response is looked at for: each rule broken in one way, and a response that breaks none."""

from typing import Any, cast

import pytest

from services.conformance.building import (
    CT_IMAGE,
    DATA,
    IMPLICIT,
    NO_DATA,
    STUDY_ROOT_FIND,
    VERIFICATION,
    a_associate_rq,
    application_context,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    command,
    context,
    element,
    maximum_length,
    message,
    p_data,
    pdv,
    ui,
    us,
    user_information,
)
from services.conformance.cases.dimse_checks import (
    AFFECTED_CLASS,
    AFFECTED_INSTANCE,
    all_rules_and,
    answers_its_request,
    elements,
    padded_with_nul,
    repeats,
    request_of,
)
from services.conformance.connection import Connection, Event, Exchange, Move
from services.conformance.conversation import Check, Conversation
from services.conformance.target import Target
from services.conformance.verdict import Finding, Verdict
from services.trace.reading import MessageReader, PDUReader, ReadMessage

ECHO_RSP = (
    ui(0x0002, VERIFICATION),
    us(0x0100, 0x8030),
    us(0x0120, 7),
    us(0x0800, NO_DATA),
    us(0x0900, 0),
)
STORE_RSP = (
    ui(0x0002, CT_IMAGE),
    us(0x0100, 0x8001),
    us(0x0120, 7),
    us(0x0800, NO_DATA),
    us(0x0900, 0),
    ui(0x1000, b"2.25.7"),
)
ECHO = message(1, c_echo_rq(7))
STORE = message(3, c_store_rq(7), b"data")
FIND = message(5, c_find_rq(7), b"identifier")


def _conversation(sent: bytes, received: bytes) -> Conversation:
    """One on whose connection this has gone over."""
    # A connection that is only looked at needs no transport.
    connection = Connection(cast(Any, None), cast(Any, None))
    connection.exchanges += [Exchange(0.0, Move.SENT, sent), Exchange(0.1, Move.RECEIVED, received)]
    conversation = Conversation(Target(host="localhost", port=104, called_ae=b"PEER"))
    conversation.connections.append(connection)
    return conversation


def _read(received: bytes) -> ReadMessage:
    """The last message of some P-DATA-TFs."""
    reader = MessageReader()
    messages = [found for read in PDUReader().feed(received) for found in reader.feed(cast(Any, read.pdu))]
    return messages[-1]


def _found(check: Check, sent: bytes, received: bytes) -> Finding | None:
    return check(_conversation(sent, received), Event("a response", None, _read(received)))


def _replaced(response: tuple[bytes, ...], position: int, *by: bytes) -> bytes:
    return command(*response[:position], *by, *response[position + 1 :])


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (ECHO, message(1, command(*ECHO_RSP))),
        (ECHO, message(1, command(*ECHO_RSP[1:]))),
        (STORE, message(3, command(*STORE_RSP))),
        (STORE, message(3, command(*STORE_RSP[1:-1]))),
        (
            FIND,
            message(
                5,
                command(
                    ui(0x0002, STUDY_ROOT_FIND),
                    us(0x0100, 0x8020),
                    us(0x0120, 7),
                    us(0x0800, DATA),
                    us(0x0900, 0xFF00),
                ),
                b"match ",
            ),
        ),
    ],
    ids=["C-ECHO", "C-ECHO without UIDs", "C-STORE", "C-STORE without UIDs", "pending C-FIND"],
)
def test_nothing_is_found_in_a_right_response(sent: bytes, received: bytes) -> None:
    assert _found(answers_its_request, sent, received) is None


_WRONG = {
    "another context": (ECHO, message(3, command(*ECHO_RSP)), "on context 1"),
    "another operation": (ECHO, message(1, _replaced(ECHO_RSP, 1, us(0x0100, 0x8001))), "8030H"),
    "another SOP class": (
        ECHO,
        message(1, _replaced(ECHO_RSP, 0, ui(0x0002, CT_IMAGE))),
        "1.2.840.10008.1.1",
    ),
    "another instance": (STORE, message(3, _replaced(STORE_RSP, 5, ui(0x1000, b"2.25.8"))), "2.25.7"),
    "no status": (ECHO, message(1, command(*ECHO_RSP[:-1])), "(0000,0900)"),
    "a status of 4 bytes": (
        ECHO,
        message(1, _replaced(ECHO_RSP, 4, element(0x0900, bytes(4)))),
        "(0000,0900)",
    ),
    "no group length": (ECHO, message(1, b"".join(ECHO_RSP)), "group length"),
    "a wrong group length": (ECHO, message(1, element(0, b"\2\0\0\0") + b"".join(ECHO_RSP)), "of 66"),
    "another order": (ECHO, message(1, command(*ECHO_RSP[::-1])), "ascending"),
    "an element twice": (ECHO, message(1, command(ECHO_RSP[0], *ECHO_RSP)), "ascending"),
    "an odd length": (
        ECHO,
        message(1, _replaced(ECHO_RSP, 0, element(0x0002, VERIFICATION))),
        "even length",
    ),
    "another group": (ECHO, message(1, command(*ECHO_RSP, element(5, b"ISO_IR 100", group=8))), "group 0000"),
    "bytes left over": (ECHO, message(1, command(*ECHO_RSP) + b"\0\0"), "where the command set does"),
    "a data set announced": (
        ECHO,
        message(1, _replaced(ECHO_RSP, 3, us(0x0800, DATA)), b"data"),
        "0101H",
    ),
    "a final C-FIND-RSP with an identifier": (
        FIND,
        message(5, command(us(0x0100, 0x8020), us(0x0120, 7), us(0x0800, DATA), us(0x0900, 0)), b"match "),
        "no identifier",
    ),
    "a pending C-FIND-RSP without one": (
        FIND,
        message(5, command(us(0x0100, 0x8020), us(0x0120, 7), us(0x0800, NO_DATA), us(0x0900, 0xFF00))),
        "an identifier",
    ),
    "an odd fragment": (
        ECHO,
        p_data(pdv(1, 1, command(*ECHO_RSP)[:13])) + p_data(pdv(1, 3, command(*ECHO_RSP)[13:])),
        "fragments of even length",
    ),
}


@pytest.mark.parametrize(("sent", "received", "expected"), _WRONG.values(), ids=_WRONG)
def test_a_wrong_response_fails(sent: bytes, received: bytes, expected: str) -> None:
    finding = _found(answers_its_request, sent, received)
    assert finding is not None
    assert finding.verdict is Verdict.FAIL
    assert expected in finding.expected


def test_a_p_data_tf_longer_than_we_announced_fails() -> None:
    announced = a_associate_rq(
        application_context(), context(1, VERIFICATION, IMPLICIT), user_information(maximum_length(64))
    )
    finding = _found(answers_its_request, announced + ECHO, message(1, command(*ECHO_RSP)))
    assert finding is not None
    assert finding.expected == "P-DATA-TFs of 64 bytes at most"
    unlimited = announced.replace(maximum_length(64), maximum_length(0))
    assert _found(answers_its_request, unlimited + ECHO, message(1, command(*ECHO_RSP))) is None


@pytest.mark.parametrize("uid", [VERIFICATION + b" ", VERIFICATION + b"\0\0\0", b"2.25.7\0\0"])
def test_odd_padding_is_tolerated_unless_it_is_the_point(uid: bytes) -> None:
    sent = message(1, c_echo_rq(7, uid.rstrip(b"\0 ")))
    received = message(1, _replaced(ECHO_RSP, 0, element(0x0002, uid)))
    tolerated = _found(answers_its_request, sent, received)
    assert tolerated is not None
    assert tolerated.verdict is Verdict.TOLERATED
    failed = _found(all_rules_and(padded_with_nul), sent, received)
    assert failed is not None
    assert failed.verdict is Verdict.FAIL


def test_a_request_is_found_by_its_message_id_the_last_one_first() -> None:
    sent = message(1, c_echo_rq(7)) + message(3, c_store_rq(8), b"data") + message(1, c_echo_rq(7, CT_IMAGE))
    conversation = _conversation(sent, b"")
    request = request_of(conversation, _read(message(1, command(*ECHO_RSP))))
    assert request is not None
    assert CT_IMAGE in request.command
    assert request_of(conversation, _read(message(1, _replaced(ECHO_RSP, 2, us(0x0120, 9))))) is None


def test_a_response_to_nothing_is_looked_at_for_its_layout_alone() -> None:
    assert _found(answers_its_request, b"", message(9, command(*ECHO_RSP))) is None
    assert _found(answers_its_request, b"", message(9, b"".join(ECHO_RSP))) is not None


def test_what_must_be_repeated_is_tolerated_where_it_is_missing_and_fails_where_it_differs() -> None:
    check = repeats(AFFECTED_CLASS, AFFECTED_INSTANCE)
    assert "(0000,0002), (0000,1000)" in (check.__doc__ or "")
    assert _found(check, STORE, message(3, command(*STORE_RSP))) is None
    missing = _found(check, STORE, message(3, command(*STORE_RSP[:-1])))
    assert missing is not None
    assert missing.verdict is Verdict.TOLERATED
    different = _found(check, STORE, message(3, _replaced(STORE_RSP, 5, ui(0x1000, b"2.25.8"))))
    assert different is not None
    assert different.verdict is Verdict.FAIL


def test_elements_are_read_as_they_stand() -> None:
    found, rest = elements(us(0x0100, 0x30) + element(0x0110, b"\7\0")[:-1])
    assert [(each.tag, each.length, each.value) for each in found] == [
        ("(0000,0100)", 2, b"\x30\0"),
        ("(0000,0110)", 2, b"\7"),
    ]
    assert rest == b""
    assert elements(us(0x0100, 0x30) + b"\0\0\0")[1] == b"\0\0\0"


def test_what_came_from_the_wire_is_made_printable() -> None:
    evil = message(1, _replaced(ECHO_RSP, 0, element(0x0002, b"1.2\x1b[2J\r\n")))
    finding = _found(answers_its_request, ECHO, evil)
    assert finding is not None
    assert "\x1b" not in finding.got
    assert "\n" not in finding.got
