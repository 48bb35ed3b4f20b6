"""What is wrong with bytes an SCU sent: nothing where they are right, the rule broken where they are not."""

from collections.abc import Iterator

import pytest

from dul.pdus import PDV, PDataTF
from raw_bytes import (
    CT_IMAGE,
    DATA,
    EXPLICIT,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    NO_DATA,
    VERIFICATION,
    a_associate_rq,
    abort,
    application_context,
    c_cancel_rq,
    c_echo_rq,
    c_store_rq,
    command,
    context,
    element,
    item,
    maximum_length,
    p_data,
    pdu,
    pdv,
    role,
    ui,
    us,
    user_identity,
    user_information,
    window,
)
from services.conformance.associate_bytes import RawAssociate, split
from services.conformance.scu_rules import (
    Agreed,
    Problem,
    in_message,
    in_order,
    in_p_data,
    in_request,
    in_short_pdu,
    label,
)
from services.trace.reading import ReadMessage

APPLICATION = application_context()
ECHO = context(1, VERIFICATION, IMPLICIT)
USER = user_information(maximum_length(16384), IMPLEMENTATION_CLASS)
AGREED = Agreed(
    contexts={1: (VERIFICATION, IMPLICIT), 3: (CT_IMAGE, IMPLICIT), 5: (CT_IMAGE, EXPLICIT)}, maximum=100
)


def rules(problems: Iterator[Problem]) -> list[str]:
    return [problem.rule for problem in problems]


def of_request(raw: bytes) -> list[Problem]:
    return list(in_request(RawAssociate(raw, tuple(split(raw[74:])))))


def with_user_data(*sub_items: bytes) -> bytes:
    return a_associate_rq(
        APPLICATION, ECHO, user_information(maximum_length(16384), IMPLEMENTATION_CLASS, *sub_items)
    )


@pytest.mark.parametrize(
    "raw",
    [
        a_associate_rq(),
        a_associate_rq(called=b"A", calling=b"SIXTEEN_LETTERS_"),
        with_user_data(window(4, 1), role(VERIFICATION, 1, 1), item(0x55, b"V"), user_identity(1, 0, b"me")),
        a_associate_rq(
            APPLICATION, *(context(n, CT_IMAGE, IMPLICIT, EXPLICIT) for n in range(1, 256, 2)), USER
        ),
        a_associate_rq(APPLICATION, ECHO, user_information(maximum_length(0), IMPLEMENTATION_CLASS)),
    ],
    ids=["plain", "titles", "every sub-item", "128 contexts", "no maximum"],
)
def test_nothing_is_wrong_with_a_right_request(raw: bytes) -> None:
    assert of_request(raw) == []


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (a_associate_rq(version=2), "protocol version with bit 0"),
        (a_associate_rq(called=b" "), "Called AE Title that is not blank"),
        (a_associate_rq(calling=b"A\\B"), "Calling AE Title of the default repertoire"),
        (a_associate_rq(calling=b"A\x1b[2J"), "Calling AE Title of the default repertoire"),
        (a_associate_rq(application_context(b"1.2.3"), ECHO, USER), "application context name"),
        (a_associate_rq(APPLICATION, context(1, None, IMPLICIT), USER), "one abstract and some transfer syntaxes"),
        (a_associate_rq(APPLICATION, context(1, VERIFICATION), USER), "one abstract and some transfer syntaxes"),
        (a_associate_rq(APPLICATION, context(1, b"1.02", IMPLICIT), USER), "a UID in presentation context 1"),
        (a_associate_rq(APPLICATION, context(1, VERIFICATION, b"1." + b"2" * 63), USER), "a UID in presentation"),
        (a_associate_rq(APPLICATION, ECHO, user_information(IMPLEMENTATION_CLASS)), "one Maximum Length"),
        (
            a_associate_rq(APPLICATION, ECHO, user_information(maximum_length(7), IMPLEMENTATION_CLASS)),
            "a Maximum Length that can carry a fragment",
        ),
        (a_associate_rq(APPLICATION, ECHO, user_information(maximum_length(100))), "one Implementation Class UID"),
        (with_user_data(IMPLEMENTATION_CLASS), "one Implementation Class UID"),
        (with_user_data(item(0x55, b"")), "Implementation Version Name of 1 to 16"),
        (with_user_data(item(0x55, b"x" * 17)), "Implementation Version Name of 1 to 16"),
        (with_user_data(window(1, 1), window(1, 1)), "one sub-item 53H at the most"),
        (with_user_data(role(VERIFICATION, 2, 0)), "roles 0 or 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_request_fails(raw: bytes, rule: str) -> None:
    assert any(problem.fails and rule in problem.rule for problem in of_request(raw)), of_request(raw)


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (a_associate_rq(version=3), "no other bit of the protocol version"),
        (a_associate_rq(reserved=0xFF), "00H in the reserved fields of byte 2"),
        (a_associate_rq(APPLICATION, context(1, VERIFICATION, IMPLICIT, reserved=1), USER), "reserved fields of the"),
        (a_associate_rq(USER, APPLICATION, ECHO), "items in ascending order"),
        (a_associate_rq(item(1, b""), APPLICATION, ECHO, USER), "items the standard defines"),
        (a_associate_rq(APPLICATION, context(1, VERIFICATION + b"\0", IMPLICIT), USER), "a UID without padding"),
        (a_associate_rq(APPLICATION, context(1, VERIFICATION, IMPLICIT, IMPLICIT), USER), "each transfer syntax once"),
        (with_user_data(item(0x7E, b"")), "sub-items the standard defines"),
        (with_user_data(role(CT_IMAGE, 1, 1)), "role selection for abstract syntaxes it proposes"),
    ],
)  # fmt: skip
def test_what_receivers_live_with_does_not_fail(raw: bytes, rule: str) -> None:
    problems = of_request(raw)
    assert any(rule in problem.rule for problem in problems), problems
    assert not any(problem.fails for problem in problems), problems


# -- P-DATA-TF and the short PDUs


def of_data(*pdvs: PDV, reserved: int = 0) -> list[str]:
    raw = p_data(
        *(pdv(each.presentation_context_id, each.message_control_header, bytes(each.data)) for each in pdvs),
        reserved=reserved,
    )
    return rules(in_p_data(raw, PDataTF(pdvs), AGREED))


def test_a_right_p_data_tf() -> None:
    assert of_data(PDV(1, 3, bytes(94))) == []
    assert of_data(PDV(1, 3, bytes(10)), PDV(1, 2, b"")) == []


@pytest.mark.parametrize(
    ("pdvs", "rule"),
    [
        ((PDV(1, 3, bytes(96)),), "no P-DATA-TF longer than the 100 bytes"),
        ((PDV(7, 3, bytes(8)),), "accepted presentation contexts only"),
        ((PDV(1, 3, bytes(7)),), "fragments of even length"),
        ((PDV(1, 0x83, bytes(8)),), "bits 2 to 7"),
    ],
)
def test_a_wrong_p_data_tf(pdvs: tuple[PDV, ...], rule: str) -> None:
    (found,) = of_data(*pdvs)
    assert rule in found


def test_contexts_are_not_held_against_it_where_the_answer_left_them_open() -> None:
    data = PDV(9, 3, bytes(8))
    assert rules(in_p_data(p_data(pdv(9, 3, bytes(8))), PDataTF((data,)), Agreed(spoilt=True))) == []


@pytest.mark.parametrize(
    "raw", [abort(0, 0), abort(2, 6), pdu(5, bytes(4)), pdu(6, bytes(4)), a_associate_rq()]
)
def test_right_short_pdus(raw: bytes) -> None:
    assert rules(in_short_pdu(raw)) == []


@pytest.mark.parametrize(
    "raw", [abort(1, 0), abort(2, 3), pdu(7, b""), pdu(5, bytes(8)), pdu(6, b"\1\0\0\0")]
)
def test_wrong_short_pdus(raw: bytes) -> None:
    assert len(rules(in_short_pdu(raw))) == 1


# -- messages


def of_message(
    command_set: bytes, data: bytes | None = None, *, context_id: int = 1, error: str = ""
) -> list[str]:
    message = ReadMessage(context_id, command_set, None, error, data, len(data or b""), 1)
    return rules(in_message(message, AGREED))


def data_set(sop_class: bytes = CT_IMAGE, instance: bytes = b"2.25.70", *before: bytes) -> bytes:
    names = element(0x0016, sop_class + b"\0" * (len(sop_class) % 2), group=8)
    names += element(0x0018, instance + b"\0" * (len(instance) % 2), group=8)
    return b"".join(before) + names + element(0x0010, b"A^B ", group=0x10)


STORE = c_store_rq(1, CT_IMAGE, b"2.25.70")


def test_right_messages() -> None:
    assert of_message(c_echo_rq(1)) == []
    assert of_message(c_cancel_rq(1)) == []
    assert of_message(STORE, data_set(), context_id=3) == []
    assert of_message(STORE, bytes.fromhex("08001600 5549 1a00") + CT_IMAGE + b"\0"
                      + bytes.fromhex("08001800 5549 0800") + b"2.25.70\0", context_id=5) == []  # fmt: skip


def _plain(*elements: bytes) -> bytes:
    return b"".join(elements)


_VERIFICATION = ui(0x0002, VERIFICATION)
_ECHO = (_VERIFICATION, us(0x0100, 0x0030), us(0x0110, 1), us(0x0800, NO_DATA))


@pytest.mark.parametrize(
    ("command_set", "rule"),
    [
        (_plain(*_ECHO), "Command Group Length first"),
        (_plain(element(0, b"\1\0\0\0"), *_ECHO), "a Command Group Length that is right"),
        (command(*_ECHO) + b"\0\0", "a command set that ends with an element"),
        (command(_ECHO[1], _ECHO[0], *_ECHO[2:]), "ascending order"),
        (command(*_ECHO, _ECHO[3]), "ascending order"),
        (command(*_ECHO, element(0x10, b"", group=8)), "group 0000 alone"),
        (command(*_ECHO, element(0x0902, b"ODD")), "even length"),
        (command(_ECHO[0], us(0x0100, 0x0FFE), *_ECHO[2:]), "a Command Field of PS3.7 E.1"),
        (command(_ECHO[0], _ECHO[1], _ECHO[3]), "every element a C-ECHO-RQ must have"),
        (command(_ECHO[0], _ECHO[1], element(0x0110, b"\1\0\0\0"), _ECHO[3]), "2 bytes in (0000,0110)"),
        (command(*_ECHO[:3], us(0x0800, DATA)), "no data set with a C-ECHO-RQ"),
        (command(ui(0x0002, b"1.02"), *_ECHO[1:]), "a UID, padded with NUL, in (0000,0002)"),
        (command(element(0x0002, VERIFICATION + b" "), *_ECHO[1:]), "a UID, padded with NUL"),
        (command(ui(0x0002, CT_IMAGE), *_ECHO[1:]), "to be the abstract syntax of its context"),
    ],
)  # fmt: skip
def test_wrong_command_sets(command_set: bytes, rule: str) -> None:
    assert any(rule in found for found in of_message(command_set)), of_message(command_set)


def test_fragments_out_of_place_are_told() -> None:
    assert "messages by PS3.7" in of_message(c_echo_rq(1), error="a fragment where none was due")


def test_priority_is_looked_at() -> None:
    urgent = command(ui(0x0002, CT_IMAGE), us(0x0100, 1), us(0x0110, 1), us(0x0700, 7), us(0x0800, DATA),
                     ui(0x1000, b"2.25.70"))  # fmt: skip
    assert "Priority 0, 1 or 2" in of_message(urgent, data_set(), context_id=3)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "a data set with elements"),
        (data_set() + b"\0", "a data set of even length"),
        (data_set(VERIFICATION), "the SOP Class UID of the command"),
        (data_set(CT_IMAGE, b"2.25.71"), "the SOP Instance UID of the command"),
        (
            data_set(CT_IMAGE, b"2.25.70", element(0x0010, b"1.2.840.10008.1.2\0", group=2)),
            "no element of groups",
        ),
    ],
)
def test_wrong_data_sets(data: bytes, rule: str) -> None:
    assert any(rule in found for found in of_message(STORE, data, context_id=3))


def test_message_ids_and_the_window() -> None:
    assert rules(in_order(1, {}, 1)) == []
    assert rules(in_order(2, {1: None}, 0)) == []
    assert rules(in_order(2, {1: None}, 2)) == []
    assert "a Message ID that no outstanding" in rules(in_order(1, {1: None}, 4))[0]
    assert "no more than 1 outstanding" in rules(in_order(2, {1: None}, 1))[0]


def test_labels() -> None:
    assert label(0x8030) == "C-ECHO-RSP"
    assert label(0x1234) == "1234H"
