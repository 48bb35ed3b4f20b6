"""P-DATA-TF taken apart: what each fragment belongs to, and what is in it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissecting import assert_covers, dissected, leaves, named
from raw_bytes import (
    CT_IMAGE,
    IMPLICIT,
    VERIFICATION,
    c_echo_rq,
    c_store_rq,
    command,
    message,
    p_data,
    pdv,
    us,
)
from services.trace.dissect import Context, Due
from services.trace.fields import Dissection

CONTEXTS = {
    1: Context(VERIFICATION.decode(), IMPLICIT.decode()),
    3: Context(CT_IMAGE.decode(), IMPLICIT.decode()),
}
STORE = c_store_rq(8)
MODALITY = struct.pack("<HHI2s", 8, 0x60, 2, b"CT")
PATIENT = struct.pack("<HHI4s", 0x10, 0x10, 4, b"Doe ")


def fragments(found: Dissection) -> list[str]:
    """Of each fragment what is in it: "command", "data set", or nothing that can be shown."""
    kinds = {"a whole command set": "command", "a data set begins": "data set", "": ""}
    return [kinds[f.meaning] for _, f in found.walk() if f.name == "Fragment"]


def test_a_command_is_taken_apart_where_it_stands() -> None:
    found = dissected(message(1, c_echo_rq(7)), CONTEXTS)
    assert found.problems == []
    pdv_field = named(found, "PDV")
    assert pdv_field.meaning == "context 1, command, last fragment"
    assert [child.name for child in pdv_field.children] == [
        "PDV-item-length",
        "Presentation-context-ID",
        "Message-control-header",
        "Fragment",
    ]
    assert (
        named(found, "Presentation-context-ID").meaning == "Verification SOP Class, Implicit VR Little Endian"
    )
    assert named(found, "(0000,0110) MessageID").offset == 12 + 12 + 26 + 10
    assert named(found, "(0000,0110) MessageID").value == "7"


def test_a_command_in_parts_is_not() -> None:
    whole = c_echo_rq(7)
    for cut in range(2, len(whole), 2):
        raw = p_data(pdv(1, 1, whole[:cut]), pdv(1, 3, whole[cut:]))
        found = dissected(raw, CONTEXTS)
        assert fragments(found) == ["", ""], cut
        assert found.problems == []


def test_the_end_of_a_command_alone() -> None:
    whole = c_echo_rq(7)
    for cut in range(2, len(whole), 2):
        raw = p_data(pdv(1, 3, whole[cut:]))
        assert fragments(dissected(raw, due=Due.REST_OF_COMMAND)) == [""]
        # Where nobody has followed, it is told by how it looks; a tail with a Command Field looks like a whole one.
        if cut not in (12, 12 + 26):
            assert fragments(dissected(raw)) == [""], cut


def test_a_command_that_is_wrong_is_taken_apart_where_one_is_due() -> None:
    raw = message(1, b"\x08\0\x60\0\2\0\0\0CT")
    assert fragments(dissected(raw)) == [""]
    assert fragments(dissected(raw, due=Due.COMMAND)) == ["command"]
    assert fragments(dissected(message(1, us(0x0100, 0x30)))) == ["command"]


def test_data_sets_only_where_they_are_asked_for() -> None:
    raw = p_data(pdv(3, 3, STORE), pdv(3, 2, MODALITY + PATIENT))
    assert fragments(dissected(raw, CONTEXTS)) == ["command", ""]
    found = dissected(raw, CONTEXTS, data_sets=True)
    assert fragments(found) == ["command", "data set"]
    patient = named(found, "(0010,0010) PatientName")
    assert patient.value == "Doe"
    assert raw[patient.offset : patient.end] == PATIENT
    assert_covers(found.fields, 0, len(raw))


@pytest.mark.parametrize(
    ("due", "shown"),
    [
        (None, ["", ""]),
        (Due.DATA_SET, ["data set", ""]),
        (Due.REST_OF_DATA_SET, ["", ""]),
        (Due.COMMAND, ["", ""]),
        (Due.REST_OF_COMMAND, ["", ""]),
    ],
)
def test_where_a_data_set_begins(due: Due | None, shown: list[str]) -> None:
    raw = p_data(pdv(3, 0, MODALITY), pdv(3, 2, PATIENT))
    assert fragments(dissected(raw, CONTEXTS, due=due, data_sets=True)) == shown


def test_a_data_set_that_goes_on_in_the_next_fragment() -> None:
    whole = MODALITY + PATIENT
    for cut in range(0, len(whole), 2):
        raw = p_data(pdv(3, 3, STORE), pdv(3, 0, whole[:cut]), pdv(3, 2, whole[cut:]))
        found = dissected(raw, CONTEXTS, data_sets=True)
        assert found.problems == [], cut
        assert_covers(found.fields, 0, len(raw))


def test_messages_one_after_the_other() -> None:
    raw = p_data(pdv(3, 3, STORE), pdv(3, 2, MODALITY), pdv(1, 3, c_echo_rq(9)), pdv(3, 2, MODALITY))
    found = dissected(raw, CONTEXTS, data_sets=True)
    assert fragments(found) == ["command", "data set", "command", ""]


def test_a_data_set_on_a_context_that_is_not_known() -> None:
    raw = p_data(pdv(5, 3, STORE), pdv(5, 2, MODALITY))
    assert fragments(dissected(raw, CONTEXTS, data_sets=True)) == ["command", ""]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (p_data(pdv(2, 3, c_echo_rq(1))), "presentation context id 2: it is odd (PS3.8 9.3.2.2)"),
        (p_data(pdv(0, 2, b"")), "presentation context id 0: it is odd (PS3.8 9.3.2.2)"),
        (p_data(pdv(1, 2, b"odd")), "fragment of 3 bytes: its length is even (PS3.8 E.1)"),
        (p_data(pdv(1, 3, b"", length=1)), "PDV-item-length 1: context id and control header alone are 2"),
        (p_data(pdv(1, 3, b"", length=0)), "PDV-item-length 0: context id and control header alone are 2"),
        (p_data(pdv(1, 3, b"ab", length=99)), "PDV-item-length 99 goes beyond the PDU (PS3.8 9.3.5.1)"),
        (p_data(pdv(1, 2, b"ab"), b"?"), "bytes that are no PDV (PS3.8 9.3.5.1)"),
        (
            message(1, command(us(0x0100, 0x30))),
            "missing: AffectedSOPClassUID, MessageID, CommandDataSetType",
        ),
    ],
)
def test_what_is_forbidden(raw: bytes, problem: str) -> None:
    found = dissected(raw)
    assert any(problem in each for each in found.problems), found.problems
    assert all("PS3." in each for each in found.problems)
    assert_covers(found.fields, 0, len(raw))


def test_bits_that_are_not_tested() -> None:
    found = dissected(p_data(pdv(1, 0xFE, b"ab")))
    assert found.problems == []
    assert named(found, "Message-control-header").meaning == "data, last fragment"


FRAGMENTS = st.tuples(st.integers(0, 5), st.integers(0, 3), st.sampled_from([STORE, MODALITY, b"", b"odd"]))


@given(st.lists(FRAGMENTS, max_size=6), st.sampled_from([None, *Due]), st.binary(max_size=8))
def test_any_order_of_fragments_is_covered(
    sent: list[tuple[int, int, bytes]], due: Due | None, end: bytes
) -> None:
    raw = p_data(*[pdv(number, header, data) for number, header, data in sent], end)
    for data_sets in (False, True):
        assert_covers(dissected(raw, CONTEXTS, due=due, data_sets=data_sets).fields, 0, len(raw))


@pytest.mark.parametrize(
    ("raw", "summary"),
    [
        (message(1, c_echo_rq(1)), "context 1, command, last: C-ECHO-RQ, Message ID 1"),
        (p_data(pdv(3, 0, b"ab" * 8186)), "context 3, data, 16372 bytes"),
        (p_data(pdv(3, 2, b"ab")), "context 3, data, last, 2 bytes"),
        (p_data(pdv(3, 1, b"ab")), "context 3, command, 2 bytes"),
        (p_data(pdv(3, 3, b"ab")), "context 3, command, last: the end of a command set"),
        (
            p_data(pdv(3, 3, STORE), pdv(3, 2, b"ab")),
            "context 3, command, last: C-STORE-RQ, Message ID 8; context 3, data, last, 2 bytes",
        ),
        (p_data(*[pdv(3, 0, b"")] * 4), "context 3, data, 0 bytes; " * 3 + "and 1 more PDV"),
        (p_data(*[pdv(3, 0, b"")] * 9), "context 3, data, 0 bytes; " * 3 + "and 6 more PDVs"),
    ],
)
def test_in_one_line(raw: bytes, summary: str) -> None:
    assert dissected(raw, CONTEXTS).summary == summary


def test_a_name_from_the_wire_is_printable() -> None:
    found = dissected(message(1, c_echo_rq(1)), {1: Context("\x1b[2J", "1.2\n")})
    assert all(leaf.meaning.isprintable() for leaf in leaves(found.fields))
