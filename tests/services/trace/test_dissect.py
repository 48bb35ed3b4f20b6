"""PDUs taken apart: every byte once, every fault marked, whatever the bytes are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file

from raw_bytes import (
    CT_IMAGE,
    EXPLICIT,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    RELEASE_RQ,
    VERIFICATION,
    a_associate_rq,
    abort,
    application_context,
    c_echo_rq,
    c_store_rq,
    command,
    context,
    element,
    item,
    maximum_length,
    message,
    p_data,
    pdu,
    pdv,
    proposing,
    response,
    role,
    ui,
    us,
    user_identity,
    user_information,
    window,
)
from services.trace.dissect import Context, dissect, dissect_command, dissect_data_set
from services.trace.fields import Dissection, Field
from services.trace.reading import PDUReader, ReadPDU

FIXTURES = Path(__file__).parents[3] / "fixtures"
HEX_FILES = sorted([*FIXTURES.glob("pdus/*.hex"), *FIXTURES.glob("invalid/*.hex")])


def hex_bytes(file: Path) -> bytes:
    lines = (line.partition("#")[0] for line in file.read_text().splitlines())
    return bytes.fromhex("".join(lines))


def dissected(raw: bytes, **more: object) -> Dissection:
    found = PDUReader().feed(raw)
    read = found[0] if found else ReadPDU(raw, None)
    return dissect(read, **more)  # type: ignore[arg-type]


def leaves(fields: tuple[Field, ...]) -> list[Field]:
    return [field for top in fields for _, field in top.walk() if not field.children]


def assert_covers(fields: tuple[Field, ...], start: int, end: int) -> None:
    position = start
    for leaf in leaves(fields):
        assert leaf.offset == position, leaf
        position += leaf.length
    assert position == end
    for top in fields:
        for _, field in top.walk():
            if field.children:
                assert (field.offset, field.end) == (field.children[0].offset, field.children[-1].end)


def named(dissection: Dissection, name: str) -> Field:
    return next(field for _, field in dissection.walk() if field.name == name)


REQUEST = proposing(
    context(1, VERIFICATION, IMPLICIT, EXPLICIT),
    context(3, CT_IMAGE, IMPLICIT),
    sub_items=(
        window(2, 0),
        role(CT_IMAGE, 0, 1),
        item(0x55, b"NAME"),
        user_identity(2, 1, b"somebody", b"secret"),
        item(0x57, b"".join(bytes([0, len(u)]) + u for u in (CT_IMAGE, b"1.2", b"")), reserved=0),
        item(0x7E, b"?"),
    ),
)


@pytest.mark.parametrize("file", HEX_FILES, ids=[file.stem for file in HEX_FILES])
def test_every_byte_of_every_fixture_is_a_leaf(file: Path) -> None:
    raw = hex_bytes(file)
    for read in PDUReader().feed(raw):
        found = dissect(read)
        assert_covers(found.fields, 0, len(read.raw))
        assert found.name
        if read.pdu is not None and file.parent.name == "pdus":
            assert found.summary or raw[0] in (5, 6)


LENIENT = {
    "a_abort_empty": "PDU-length 0",
    "a_abort_long": "PDU-length 8",
    "a_abort_reserved_codes": "reserved value",
    "a_associate_ac_result_unknown": "reserved value",
    "a_associate_rj_reserved_codes": "reserved value",
    "a_associate_rq_empty_transfer_syntax": "no UID at all",
    "a_associate_rq_padded": "padded with NUL",
    "a_associate_rq_role_not_one": "neither 0 nor 1",
    "a_associate_rq_user_identity_reserved": "reserved value",
    "p_data_tf_odd_fragment": "its length is even",
}
"""Fixtures that are read all the same, and what is wrong with them."""


def test_fixtures_that_are_right_have_no_problem() -> None:
    wrong = {}
    for file in FIXTURES.glob("pdus/*.hex"):
        problems = [
            problem for read in PDUReader().feed(hex_bytes(file)) for problem in dissect(read).problems
        ]
        if problems:
            wrong[file.stem] = " ".join(problems)
    assert wrong.keys() == LENIENT.keys()
    assert all(LENIENT[name] in problems for name, problems in wrong.items()), wrong


def test_fixtures_that_are_wrong_have_one() -> None:
    right = []
    for file in FIXTURES.glob("invalid/*.hex"):
        found = [dissect(read) for read in PDUReader().feed(hex_bytes(file))]
        if found and not any(each.problems or each.error for each in found):
            right.append(file.stem)
    assert right == []


@given(st.binary(max_size=300))
def test_any_bytes_are_covered(raw: bytes) -> None:
    for read in PDUReader().feed(raw):
        assert_covers(dissect(read).fields, 0, len(read.raw))


@given(
    st.sampled_from([REQUEST, message(1, c_echo_rq(7)), message(3, c_store_rq(8), b"data"), abort(2, 1)]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
)
def test_any_mutation_is_covered(raw: bytes, changes: list[tuple[int, int]]) -> None:
    mutated = bytearray(raw)
    for position, value in changes:
        if 6 <= position < len(mutated):
            mutated[position] = value
    for read in PDUReader().feed(bytes(mutated)):
        assert_covers(dissect(read).fields, 0, len(read.raw))


@given(
    st.binary(max_size=200), st.sampled_from([IMPLICIT.decode(), EXPLICIT.decode(), "1.2.840.10008.1.2.2"])
)
def test_any_data_set_and_command_is_covered(data: bytes, syntax: str) -> None:
    assert_covers(dissect_data_set(data, syntax, 12), 12, 12 + len(data))
    assert_covers(dissect_command(data, 5), 5, 5 + len(data))


def test_a_request_is_explained() -> None:
    found = dissected(REQUEST)
    assert found.problems == []
    assert found.summary == "TESTER -> SERVER, 2 contexts, maximum length 16384"
    assert named(found, "PDU-type").meaning == "A-ASSOCIATE-RQ"
    assert named(found, "Called-AE-title").value == "'SERVER          '"
    assert named(found, "Abstract-syntax-name").meaning == "Verification SOP Class"
    assert named(found, "Maximum-length-received").value == "16384"
    assert named(found, "SCP-role").meaning == "yes"
    assert named(found, "Maximum-number-operations-performed").value == "0"
    assert named(found, "Unknown Sub-Item 7EH").clause == "PS3.7 D.2"
    unexplained = {f.name for f in leaves(found.fields) if not f.explanation or not f.clause}
    assert unexplained <= {"Data"}


def test_what_proves_who_somebody_is_is_never_shown() -> None:
    for kind in (2, 3, 4, 5):
        primary = b"somebody" if kind == 2 else b"proof-of-it"
        found = dissected(
            proposing(
                context(1, VERIFICATION, IMPLICIT), sub_items=(user_identity(kind, 1, primary, b"pa55word"),)
            )
        )
        text = repr(found.fields)
        assert "pa55word" not in text
        assert b"pa55word".hex(" ").upper() not in text
        assert ("somebody" in text) is (kind == 2)
        assert "proof-of-it" not in text


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (a_associate_rq(version=2), "bit 0"),
        (a_associate_rq(called=b""), "nothing but padding"),
        (a_associate_rq(calling=b"A\\B"), "backslash"),
        (a_associate_rq(context(1, VERIFICATION, IMPLICIT), user_information()), "missing: Application Context"),
        (a_associate_rq(application_context(), user_information()), "missing: Presentation Context"),
        (a_associate_rq(application_context() * 2, context(1, VERIFICATION, IMPLICIT), user_information()), "a second Application"),
        (proposing(context(2, VERIFICATION, IMPLICIT)), "id 2: it must be odd"),
        (proposing(context(1, VERIFICATION, IMPLICIT) * 2), "id 1 is used twice"),
        (proposing(context(1, None, IMPLICIT)), "0 abstract syntaxes"),
        (proposing(context(1, VERIFICATION)), "no transfer syntax"),
        (proposing(context(1, b"1.2.03", IMPLICIT)), "begins with 0"),
        (proposing(context(1, b"1..2", IMPLICIT)), "empty component"),
        (proposing(context(1, b"1." + b"2" * 63, IMPLICIT)), "65 characters"),
        (a_associate_rq(application_context(), context(1, VERIFICATION, IMPLICIT), user_information(IMPLEMENTATION_CLASS)), "missing: Maximum Length"),
        (a_associate_rq(application_context(), context(1, VERIFICATION, IMPLICIT), user_information(maximum_length(1) * 2, IMPLEMENTATION_CLASS)), "a second one"),
        (proposing(context(1, VERIFICATION, IMPLICIT), sub_items=(item(0x55, bytes(17)),)), "17 characters"),
        (pdu(5, bytes(8)), "PDU-length 8"),
        (pdu(3, bytes([0, 3, 1, 4])), "reserved value (PS3.8 9.3.4)"),
        (abort(1, 0), "reserved value (PS3.8 9.3.8)"),
        (p_data(), "without a PDV"),
        (p_data(pdv(2, 3, c_echo_rq(1))), "id 2: it is odd"),
        (p_data(pdv(1, 2, b"odd")), "its length is even"),
        (p_data(pdv(1, 3, b"", length=1)), "PDV-item-length 1"),
        (p_data(pdv(1, 3, b"ab", length=99)), "goes beyond the PDU"),
        (message(1, element(0, b"\0\0\0\0") + c_echo_rq(7)[12:]), "group length 0"),
        (message(1, c_echo_rq(7)[12:]), "no Command Group Length"),
        (message(1, command(us(0x0110, 1), us(0x0100, 0x30))), "ascending order"),
        (message(1, command(us(0x0100, 0x30))), "missing: AffectedSOPClassUID, MessageID"),
        (message(1, command(us(0x0100, 0x0FFE))), "none of PS3.7 Annex E"),
        (message(1, command(ui(0x0002, b"x.y"), us(0x0100, 0x30), us(0x0110, 1), us(0x0800, 0x0101))), "digits and dots"),
    ],
)  # fmt: skip
def test_what_is_forbidden_is_marked_with_its_clause(raw: bytes, problem: str) -> None:
    found = [each for each in dissected(raw).problems if problem in each]
    assert found, dissected(raw).problems
    assert all("PS3." in each for each in found)


def test_reserved_bytes_are_never_a_problem() -> None:
    assert dissected(pdu(5, b"\xff" * 4, reserved=0xFF)).problems == []


def test_a_command_is_read_where_it_stands() -> None:
    found = dissected(
        message(1, response(0x8001, 7, 0xA900)),
        contexts={1: Context(VERIFICATION.decode(), IMPLICIT.decode())},
    )
    assert (
        found.summary
        == "context 1 (Verification SOP Class), command, last: C-STORE-RSP, answers Message ID 7, status A900H"
    )
    assert named(found, "(0000,0900) Status").meaning.startswith("Failure")
    assert named(found, "(0000,0100) CommandField").meaning == "C-STORE-RSP"
    assert dissected(p_data(pdv(3, 0, b"ab"))).summary == "context 3, data, 2 bytes"
    assert dissected(p_data(pdv(3, 1, b"ab"))).summary == "context 3, command, 2 bytes, more follow"


def test_other_pdus_in_one_line() -> None:
    assert dissected(pdu(3, bytes([0, 1, 1, 7]))).summary == (
        "rejected-permanent, UL service-user, called-AE-title-not-recognized (1/1/7)"
    )
    assert dissected(abort(2, 2)).summary == "UL service-provider: unexpected-PDU (2/2)"
    assert dissected(abort(0, 0)).summary == "UL service-user (0/0)"
    assert dissected(RELEASE_RQ).summary == ""
    assert dissected(b"GET / HTTP").name == "unrecognized PDU"


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small.dcm",
        "JPEG2000.dcm",
        "nested_priv_SQ.dcm",
        "reportsi.dcm",
        "MR_small_bigendian.dcm",
        "rtplan.dcm",
    ],
)
def test_real_data_sets_are_taken_apart(name: str) -> None:
    path = str(get_testdata_file(name))
    dataset = dcmread(path, force=True)
    meta = dataset.file_meta
    data = Path(path).read_bytes()
    start = 144 + meta.FileMetaInformationGroupLength
    fields = dissect_data_set(data[start:], str(meta.TransferSyntaxUID))
    assert_covers(fields, 0, len(data) - start)
    assert [field.name[:11] for field in fields] == [f"({e.tag.group:04X},{e.tag.elem:04X})" for e in dataset]
    values = {field.name.partition(" ")[2]: field.value for field in fields}
    assert values.get("SOPInstanceUID", "") == dataset.get("SOPInstanceUID", "")


def test_a_data_set_is_shown_no_further_than_asked() -> None:
    data = b"".join(element(n, b"ab", group=9) for n in range(1, 50))
    fields = dissect_data_set(data, IMPLICIT.decode(), limit=10)
    assert len(fields) == 11
    assert fields[-1].name == "Not shown"
    assert_covers(fields, 0, len(data))


def test_a_deflated_data_set_is_one_field() -> None:
    (field,) = dissect_data_set(b"abc", "1.2.840.10008.1.2.1.99")
    assert field.length == 3
