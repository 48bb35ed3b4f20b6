"""User information taken apart, sub-item by sub-item; and nothing shown that proves who somebody is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissecting import assert_covers, dissected, leaves, named
from raw_bytes import (
    CT_IMAGE,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    VERIFICATION,
    a_associate_rq,
    application_context,
    context,
    item,
    maximum_length,
    pdu,
    proposing,
    role,
    user_identity,
    user_information,
    window,
)
from services.trace.fields import Dissection

SOUND = context(1, VERIFICATION, IMPLICIT)
SECRET = b"pa55word"


def with_sub_items(*sub_items: bytes) -> bytes:
    return proposing(SOUND, sub_items=sub_items)


def with_only(*sub_items: bytes) -> bytes:
    return a_associate_rq(application_context(), SOUND, user_information(*sub_items))


def counted(*values: bytes) -> bytes:
    return b"".join(len(value).to_bytes(2) + value for value in values)


def shown(found: Dissection) -> str:
    """All that is shown of values and meanings, as one text."""
    return "\n".join(f"{field.value}\n{field.meaning}" for _, field in found.walk())


def test_every_sub_item() -> None:
    common = counted(CT_IMAGE, b"1.2.840.10008.4.2", counted(b"1.2.3", b"1.2.4"))
    raw = with_sub_items(
        window(2, 0),
        role(CT_IMAGE, 0, 1),
        item(0x55, b"NAME"),
        item(0x56, counted(CT_IMAGE) + b"\1\2"),
        item(0x57, common),
        user_identity(2, 1, b"somebody", SECRET),
        item(0x7E, b"?"),
    )
    found = dissected(raw)
    assert found.problems == []
    values = {field.name: (field.value, field.meaning) for field in leaves(found.fields)}
    assert values["Maximum-length-received"] == ("16384", "16384 bytes")
    assert values["Implementation-class-UID"] == ("2.25.1", "")
    assert values["Maximum-number-operations-invoked"] == ("2", "")
    assert values["Maximum-number-operations-performed"] == ("0", "any number")
    assert values["SCU-role"] == ("0", "no")
    assert values["SCP-role"] == ("1", "yes")
    assert values["Implementation-version-name"] == ("'NAME'", "")
    assert values["Service-class-application-information"] == ("01 02", "")
    assert values["Sub-item-version"] == ("0", "")
    assert values["Service-class-UID"] == ("1.2.840.10008.4.2", "Storage Service Class")
    assert values["Related-general-SOP-class-UID"] == ("1.2.4", "")
    assert values["User-Identity-Type"] == ("2", "username and passcode")
    assert values["Positive-response-requested"] == ("1", "")
    assert values["Primary-field"] == ("somebody", "")
    assert values["Secondary-field"] == ("<8 bytes, not shown>", "")
    assert named(found, "SCP/SCU Role Selection Sub-Item").meaning == "CT Image Storage"
    assert named(found, "Unknown Sub-Item 7EH").children[-1].value == "3F"
    assert named(named(found, "SCP/SCU Role Selection Sub-Item").children, "SOP-class-UID").clause == (
        "PS3.7 D.3.3.4"
    )
    assert_covers(found.fields, 0, len(raw))


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (with_only(IMPLEMENTATION_CLASS), "missing: Maximum Length Sub-Item"),
        (with_only(maximum_length(1)), "missing: Implementation Class UID Sub-Item"),
        (with_sub_items(maximum_length(1)), "a second one: there is one at most (PS3.8 9.3.2.3)"),
        (with_sub_items(IMPLEMENTATION_CLASS), "a second one: there is one at most"),
        (with_only(item(0x51, b"123"), IMPLEMENTATION_CLASS), "item-length 3: it must be 4 (PS3.8 D.1)"),
        (with_sub_items(item(0x53, b"123456")), "item-length 6: it must be 4 (PS3.7 D.3.3.3)"),
        (with_sub_items(item(0x55, b"")), "0 characters: it has 1 to 16 (PS3.7 D.3.3.2.3)"),
        (with_sub_items(item(0x55, bytes(17))), "17 characters"),
        (with_sub_items(item(0x55, b"A\x1bB")), "a character that is none of ISO 646"),
        (with_sub_items(role(CT_IMAGE, 2, 0)), "neither 0 nor 1 (PS3.7 D.3.3.4)"),
        (with_sub_items(role(CT_IMAGE, 1, 0) * 2), "a second one for this SOP class (PS3.7 D.3.3.4)"),
        (
            with_sub_items(item(0x56, counted(CT_IMAGE)) * 2),
            "a second one for this SOP class (PS3.7 D.3.3.5)",
        ),
        (with_sub_items(item(0x54, counted(CT_IMAGE) + b"\1")), "no SCP-role behind it"),
        (with_sub_items(item(0x54, b"")), "no UID-length behind it (PS3.7 D.3.3)"),
        (with_sub_items(item(0x54, b"\0\x19ab")), "length 25 goes beyond its item (PS3.7 D.3.3)"),
        (with_sub_items(item(0x54, counted(CT_IMAGE) + b"\1\1?")), "bytes that belong to no field"),
        (with_sub_items(item(0x57, counted(b"1.2", b"1.3", b"") + b"?")), "no field (PS3.7 D.3.3.6.1)"),
        (with_sub_items(item(0x57, counted(b"1.2"))), "no UID-length behind it"),
        (with_sub_items(item(0x57, counted(b"1.2", b"1.3"))), "no Field-length behind it"),
        (with_sub_items(user_identity(9, 0, b"x")), "reserved value 9 (PS3.7 D.3.3.7.1)"),
        (with_sub_items(user_identity(1, 2, b"x")), "neither 0 nor 1 (PS3.7 D.3.3.7.1)"),
        (with_sub_items(user_identity(2, 0, b"x")), "type 2 needs one (PS3.7 D.3.3.7.1)"),
        (with_sub_items(user_identity(1, 0, b"x", b"y")), "only type 2 has one (PS3.7 D.3.3.7.1)"),
        (with_sub_items(user_identity(1, 0, b"x") * 2), "a second one: there is one at most"),
        (with_sub_items(item(0x59, counted(b""))), "stands in an answer only"),
        (with_sub_items(item(0x7F, b"", length=99)), "item-length 99 goes beyond its item"),
        (with_sub_items(b"??"), "bytes that are no sub-item"),
    ],
)
def test_what_is_forbidden(raw: bytes, problem: str) -> None:
    found = dissected(raw)
    assert any(problem in each for each in found.problems), found.problems
    assert all("PS3." in each for each in found.problems), found.problems
    assert_covers(found.fields, 0, len(raw))


def test_a_later_version_may_have_more_fields() -> None:
    later = item(0x57, counted(b"1.2", b"1.3", b"") + b"more", reserved=1)
    assert dissected(with_sub_items(later)).problems == []


@pytest.mark.parametrize("kind", [0x57, 0x58])
def test_what_only_a_request_has(kind: int) -> None:
    fixed = b"\0\1\0\0" + b"SERVER".ljust(16) + b"TESTER".ljust(16) + bytes(32)
    sub_items = user_information(
        maximum_length(1), IMPLEMENTATION_CLASS, item(kind, b"\1\0" + counted(SECRET))
    )
    found = dissected(pdu(2, fixed + sub_items))
    assert any("stands in a request only" in problem for problem in found.problems)
    if kind == 0x58:
        assert_hidden(found)


def assert_hidden(found: Dissection) -> None:
    """No four bytes of the secret in a row are to be seen, as text or in hexadecimal."""
    text = shown(found)
    for start in range(len(SECRET) - 3):
        piece = SECRET[start : start + 4]
        assert piece.decode() not in text
        assert piece.hex(" ").upper() not in text


@pytest.mark.parametrize("kind", range(0, 8))
def test_what_proves_who_somebody_is_is_never_shown(kind: int) -> None:
    as_passcode = dissected(with_sub_items(user_identity(kind, 1, b"somebody", SECRET)))
    assert_hidden(as_passcode)
    assert ("somebody" in shown(as_passcode)) is (kind in (1, 2))
    if kind in (3, 4, 5):
        assert_hidden(dissected(with_sub_items(user_identity(kind, 1, SECRET))))


def test_a_server_response_is_not_shown() -> None:
    assert_hidden(dissected(with_sub_items(item(0x59, counted(SECRET) + SECRET))))


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from([1, 2, 3]))
def test_lengths_that_are_wrong_show_nothing(first: int, second: int, kind: int) -> None:
    value = bytes([kind, 1]) + first.to_bytes(2) + b"somebody" + second.to_bytes(2) + SECRET
    found = dissected(with_sub_items(item(0x58, value)))
    assert_hidden(found)
    assert_covers(found.fields, 0, len(found.raw))
