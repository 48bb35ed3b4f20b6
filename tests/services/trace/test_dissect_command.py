"""Command sets taken apart, element by element."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dimse.command_set import encode_command_set
from dimse.enums import CommandField
from dimse.messages import MESSAGES, Message
from dimse_strategies import messages
from dissecting import assert_covers, leaves, named, problems_of
from raw_bytes import VERIFICATION, c_cancel_rq, c_echo_rq, c_store_rq, command, element, response, ui, us
from services.trace.dissect_command import (
    command_name,
    command_summary,
    dissect_command,
    has_data_set,
)
from services.trace.reading import command_elements

NO_DATA = us(0x0800, 0x0101)
ECHO = (ui(0x0002, VERIFICATION), us(0x0100, 0x0030), us(0x0110, 7), NO_DATA)


def test_an_echo() -> None:
    data = command(*ECHO)
    fields = dissect_command(data, 12)
    assert_covers(fields, 12, 12 + len(data))
    assert [(field.name, field.value, field.meaning) for field in fields] == [
        ("(0000,0000) CommandGroupLength", "56", "bytes that follow"),
        ("(0000,0002) AffectedSOPClassUID", "1.2.840.10008.1.1", "Verification SOP Class"),
        ("(0000,0100) CommandField", "0030H", "C-ECHO-RQ"),
        ("(0000,0110) MessageID", "7", ""),
        ("(0000,0800) CommandDataSetType", "0101H", "no data set"),
    ]
    assert [(leaf.name, leaf.value) for leaf in fields[3].children] == [
        ("Tag", "(0000,0110)"),
        ("Value-length", "2"),
        ("Value", "7"),
    ]
    assert fields[3].children[0].meaning == "MessageID, VR US"
    assert problems_of(fields) == []


@pytest.mark.parametrize(
    ("made", "name", "value", "meaning"),
    [
        (response(0x8001, 7, 0xA700), "Status", "A700H", "Failure: refused: out of resources (A700H)"),
        (response(0x8001, 7, 0), "Status", "0000H", "Success (0000H)"),
        (response(0x8001, 7), "MessageIDBeingRespondedTo", "7", ""),
        (c_store_rq(1), "Priority", "0000H", "medium"),
        (c_store_rq(1), "CommandDataSetType", "0000H", "a data set follows"),
        (
            command(*ECHO, us(0x0900, 1), element(0x0901, b"\x10\0\x20\0")),
            "OffendingElement",
            "(0010,0020)",
            "",
        ),
        (command(*ECHO, element(0x0902, b"why \x1bnot")), "ErrorComment", "'why \\x1bnot'", ""),
        (
            command(*ECHO, element(0x1030, b"SOMEBODY")),
            "MoveOriginatorApplicationEntityTitle",
            "'SOMEBODY'",
            "",
        ),
        (command(us(0x0100, 0x1234)), "CommandField", "1234H", "unknown"),
    ],
)
def test_values(made: bytes, name: str, value: str, meaning: str) -> None:
    field = next(each for each in dissect_command(made) if each.name.endswith(f" {name}"))
    assert (field.value, field.meaning) == (value, meaning)
    assert field.explanation
    assert field.clause == "PS3.7 E.1"


@given(messages)
def test_every_message_of_ours_is_sound(made: Message) -> None:
    data = encode_command_set(made)
    fields = dissect_command(data)
    assert_covers(fields, 0, len(data))
    assert named(fields, "(0000,0100) CommandField").meaning == made.command_field.label  # type: ignore[union-attr]
    assert problems_of(fields) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (element(0, b"\1\0\0\0") + b"".join(ECHO), "group length 1, and 56 bytes follow (PS3.7 6.3.1)"),
        (element(0, b"\1\0") + b"".join(ECHO), "a group length of other than 4 bytes (PS3.7 6.3.1)"),
        (b"".join(ECHO), "no Command Group Length (0000,0000) (PS3.7 6.3.1)"),
        (command(*ECHO[::-1]), "not in ascending order, or one is there twice (PS3.7 6.3.1)"),
        (command(*ECHO[:2], *ECHO[1:]), "not in ascending order, or one is there twice"),
        (command(*ECHO[:2], ECHO[3]), "missing: MessageID (PS3.7 9.3.5)"),
        (command(*ECHO[:2], element(0x0110, b""), NO_DATA), "without a value: MessageID (PS3.7 9.3.5)"),
        (command(us(0x0100, 0x8001), NO_DATA), "missing: MessageIDBeingRespondedTo, Status (PS3.7 9.3.1)"),
        (command(us(0x0100, 0x0FFF), NO_DATA), "missing: MessageIDBeingRespondedTo (PS3.7 9.3.2.3)"),
        (command(us(0x0100, 0x0130), us(0x0110, 1), NO_DATA), "RequestedSOPInstanceUID, ActionTypeID (PS3.7 10.3.4)"),
        (command(ECHO[0], *ECHO[2:]), "no Command Field (0000,0100)"),
        (command(us(0x0100, 0x0FFE)), "Command Field 0FFEH is none of PS3.7 E.1"),
        (command(*ECHO[:3], element(0x0700, b"\5\0"), NO_DATA), "reserved value: it is 0, 1 or 2 (PS3.7 E.1)"),
        (command(ui(0x0002, b"1.x"), *ECHO[1:]), "something else than digits and dots (PS3.5 9.1)"),
        (command(element(0x0002, b"1.2 "), *ECHO[1:]), "padded with something else than one NUL"),
        (command(*ECHO[:2], element(0x0110, b"1234"), NO_DATA), "4 bytes where a number has 2 (PS3.5 6.2)"),
        (command(*ECHO, element(0x0901, b"12")), "2 bytes where each tag has 4 (PS3.5 6.2)"),
        (command(*ECHO, element(0x0902, b"odd")), "value length 3: it is even (PS3.5 7.1.1)"),
        (command(*ECHO, element(0x0902, b"x" * 66)), "66 characters: it may have 64 (PS3.5 6.2)"),
        (command(*ECHO, element(0x1030, b"x" * 18)), "AE title of 18 characters: it may have 16"),
        (command(*ECHO, element(0x1030, b"\\ ")), "a backslash"),
        (command(*ECHO, us(0x7777, 1)), "no element of a command set (PS3.7 E.1)"),
        (command(*ECHO, element(0x0010, b"", group=8)), "group 0008H in a command set (PS3.7 6.3.1)"),
        (command(*ECHO) + b"??", "bytes that are no element (PS3.7 6.3.1)"),
        (command(*ECHO)[:-1], "value length 2 goes beyond the command set (PS3.7 6.3.1)"),
    ],
)  # fmt: skip
def test_what_is_forbidden(data: bytes, problem: str) -> None:
    fields = dissect_command(data)
    found = problems_of(fields)
    assert any(problem in each for each in found), found
    assert all("PS3." in each for each in found), found
    assert_covers(fields, 0, len(data))


@given(st.binary(max_size=200), st.integers(0, 1 << 40))
def test_any_bytes_are_covered(data: bytes, offset: int) -> None:
    assert_covers(dissect_command(data, offset), offset, offset + len(data))


def test_what_is_long_is_cut() -> None:
    fields = dissect_command(command(*ECHO, element(0x0902, b"x" * 5000), element(0x7778, b"y" * 5000)))
    assert max(len(leaf.value) for leaf in leaves(fields)) < 200


def test_a_command_in_a_few_words() -> None:
    assert command_summary(c_echo_rq(3)) == "C-ECHO-RQ, Message ID 3"
    assert command_summary(response(0x8001, 3, 0xC000)) == "C-STORE-RSP, answers Message ID 3, status C000H"
    assert command_summary(c_cancel_rq(9)) == "C-CANCEL-RQ, answers Message ID 9"
    assert command_summary(b"\0\0\2\0\xff") == "the end of a command set"


def test_names_of_messages() -> None:
    assert {command_name(message.command_field) for message in MESSAGES} == {f.label for f in CommandField}
    assert command_name(0x1234) == "unknown"


def test_whether_a_data_set_follows() -> None:
    assert has_data_set(command_elements(c_store_rq(1)))
    assert not has_data_set(command_elements(c_echo_rq(1)))
    assert not has_data_set({})
