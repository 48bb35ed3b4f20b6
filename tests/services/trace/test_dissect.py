"""PDUs taken apart: every byte once, every fault marked, whatever the bytes are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissecting import INVALID, SOUND, assert_covers, dissected, hex_bytes, leaves, named
from dul.encode import encode_pdu
from dul.errors import InvalidPDU
from dul.pdus import AnyPDU
from dul_strategies import pdus
from raw_bytes import (
    CT_IMAGE,
    RELEASE_RP,
    RELEASE_RQ,
    VERIFICATION,
    a_associate_rq,
    abort,
    application_context,
    c_store_rq,
    element,
    item,
    message,
    p_data,
    pdu,
    pdv,
    proposing,
)
from services.trace.cursor import MOST_FIELDS
from services.trace.dissect import Due, dissect
from services.trace.reading import PDUReader, ReadPDU, read_pdu

LENIENT = {
    "a_abort_empty": ["PDU-length 0: that of an A-ABORT is 4"],
    "a_abort_long": ["PDU-length 8: that of an A-ABORT is 4", "bytes that belong to no field"],
    "a_abort_reserved_codes": ["reserved value 9"],
    "a_associate_ac_result_unknown": ["reserved value"],
    "a_associate_rj_reserved_codes": ["reserved value 9", "reserved value 8", "reserved value 255"],
    "a_associate_rq_empty_transfer_syntax": ["no UID at all"],
    "a_associate_rq_padded": ["AE title padded with NUL", "UID that is padded"],
    "a_associate_rq_role_not_one": ["neither 0 nor 1"],
    "a_associate_rq_user_identity_reserved": ["reserved value 9"],
    "p_data_tf_odd_fragment": ["its length is even"],
}
"""Fixtures that are read all the same, and what is wrong with them."""


@pytest.mark.parametrize("file", [*SOUND, *INVALID], ids=lambda file: file.stem)
def test_every_byte_of_every_fixture_is_in_one_leaf(file: Path) -> None:
    raw = hex_bytes(file)
    for data in (raw, raw[:-1], raw + b"\0"):
        found = dissect(ReadPDU(data, None, InvalidPDU("whatever")))
        assert_covers(found.fields, 0, len(data))
        assert found.raw == data


@pytest.mark.parametrize("file", SOUND, ids=lambda file: file.stem)
def test_sound_fixtures_have_no_problem_but_those_known(file: Path) -> None:
    found = dissected(hex_bytes(file))
    known = LENIENT.get(file.stem, [])
    assert all(any(text in problem for problem in found.problems) for text in known), found.problems
    assert all(any(text in problem for text in known) for problem in found.problems), found.problems
    assert found.error == ""
    assert found.pdu is not None
    assert found.summary or found.raw[0] in (5, 6)


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_invalid_fixtures_have_a_problem(file: Path) -> None:
    raw = hex_bytes(file)
    found = dissect(ReadPDU(raw, None, InvalidPDU("the reason")))
    assert found.problems
    assert all("PS3." in problem for problem in found.problems), found.problems
    assert found.error == "the reason"
    assert found.summary == "the reason"


@given(st.binary(max_size=300))
def test_any_bytes_are_covered(raw: bytes) -> None:
    assert_covers(dissect(ReadPDU(raw, None, InvalidPDU("x"))).fields, 0, len(raw))


@given(st.integers(1, 7), st.binary(max_size=300))
def test_any_body_is_covered(kind: int, body: bytes) -> None:
    assert_covers(dissect(read_pdu(pdu(kind, body))).fields, 0, 6 + len(body))


@given(
    st.sampled_from([hex_bytes(file) for file in [*SOUND, *INVALID]]),
    st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=4), st.integers(0, 4)), max_size=4),
    st.sampled_from([None, *Due]),
)
def test_mutations_of_fixtures_are_covered(
    raw: bytes, changes: list[tuple[int, bytes, int]], due: Due | None
) -> None:
    for position, put, removed in changes:
        raw = raw[:position] + put + raw[position + removed :]
    found = dissect(ReadPDU(raw, None, InvalidPDU("x")), due=due, data_sets=True)
    assert_covers(found.fields, 0, len(raw))


@given(pdus)
def test_what_our_own_encoder_makes_is_covered(made: AnyPDU) -> None:
    raw = encode_pdu(made)
    assert_covers(dissected(raw).fields, 0, len(raw))


MANY = 60_000 // 4
RELATED = bytes(4) + (60_000).to_bytes(2) + bytes(60_000)


@pytest.mark.parametrize(
    "raw",
    [
        a_associate_rq(application_context(), *[item(0x50, item(0x57, RELATED))] * 4),
        a_associate_rq(*[item(0x20, bytes([1, 0, 0, 0]) + item(0x40, b"") * MANY)] * 4),
        a_associate_rq(*[item(0x50, item(0x51, b"") * MANY)] * 4),
        a_associate_rq(item(0x7F, b"") * MANY * 4),
        p_data(*[pdv(1, 3, element(0, b"") * 60)] * 500),
        p_data(*[pdv(1, 1, b"")] * 30_000),
        message(1, element(0, b"") * 30_000),
    ],
    ids=["57H", "contexts", "sub-items", "items", "commands", "PDVs", "elements"],
)
def test_no_more_fields_are_made_than_anybody_reads(raw: bytes) -> None:
    found = dissect(read_pdu(raw), due=Due.COMMAND)
    assert_covers(found.fields, 0, len(raw))
    assert len(list(found.walk())) < MOST_FIELDS + 20
    assert named(found, "Not shown").problem == ""
    assert not any(problem.startswith("missing") for problem in found.problems)


def test_the_largest_request_anybody_means_is_shown_whole() -> None:
    syntaxes = item(0x40, b"1.2.840.10008.1.2") * 40
    contexts = [
        item(0x20, bytes([2 * n + 1, 0, 0, 0]) + item(0x30, VERIFICATION) + syntaxes) for n in range(128)
    ]
    found = dissected(proposing(*contexts))
    assert found.problems == []
    assert not any(field.name == "Not shown" for _, field in found.walk())


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (pdu(5, bytes(8)), "PDU-length 8: that of an A-RELEASE-RQ is 4 (PS3.8 9.3.6)"),
        (pdu(6, b""), "PDU-length 0: that of an A-RELEASE-RP is 4 (PS3.8 9.3.7)"),
        (pdu(1, bytes(67)), "PDU-length 67: the fixed fields alone have 68 bytes (PS3.8 9.3.2)"),
        (pdu(2, b""), "PDU-length 0: the fixed fields alone have 68 bytes (PS3.8 9.3.3)"),
        (pdu(3, bytes([0, 3, 1, 1])), "reserved value 3 (PS3.8 9.3.4)"),
        (pdu(3, bytes([0, 1, 4, 1])), "reserved value 4 (PS3.8 9.3.4)"),
        (pdu(3, bytes([0, 1, 2, 3])), "reserved value 3 (PS3.8 9.3.4)"),
        (abort(1, 0), "reserved value 1 (PS3.8 9.3.8)"),
        (abort(2, 3), "reserved value 3 (PS3.8 9.3.8)"),
        (p_data(), "a P-DATA-TF without a PDV: it has one or more (PS3.8 9.3.5)"),
        (b"\x08\0", "unrecognized PDU: Evt19 (PS3.8 9.2, 9.3.1)"),
    ],
)
def test_what_is_forbidden(raw: bytes, problem: str) -> None:
    assert problem in dissected(raw).problems


def test_reserved_bytes_and_insignificant_reasons_are_no_problem() -> None:
    assert dissected(pdu(5, b"\xff" * 4, reserved=0xFF)).problems == []
    assert dissected(pdu(7, b"\xff\xff\0\x05", reserved=1)).problems == []


def test_a_length_that_is_not_that_of_what_is_there() -> None:
    found = dissect(ReadPDU(pdu(4, b"abc", length=9), None, InvalidPDU("short")))
    assert named(found, "PDU-length").problem == "PDU-length 9, and 3 bytes follow (PS3.8 9.3.1)"


def test_every_pdu_in_one_line() -> None:
    lines = {
        pdu(
            3, bytes([0, 1, 1, 7])
        ): "rejected-permanent, service-user: called-AE-title-not-recognized (1/1/7)",
        pdu(3, bytes([0, 2, 3, 2])): (
            "rejected-transient, service-provider (Presentation related function): local-limit-exceeded (2/3/2)"
        ),
        pdu(3, bytes([0, 9, 8, 255])): "reserved result, reserved source: reserved reason (9/8/255)",
        abort(2, 2): "service-provider: unexpected-PDU (2/2)",
        abort(0, 0): "service-user (0/0)",
        abort(9, 1): "reserved source (9/1)",
        RELEASE_RQ: "",
        RELEASE_RP: "",
        message(1, c_store_rq(8)): "context 1, command, last: C-STORE-RQ, Message ID 8",
    }
    assert {raw: dissected(raw).summary for raw in lines} == lines


def test_a_request_and_its_answer_in_one_line() -> None:
    by_name = {file.stem: dissected(hex_bytes(file)).summary for file in SOUND}
    assert by_name["a_associate_rq"] == "MODALITY -> ARCHIVE, 1 context, maximum length 16384"
    assert by_name["a_associate_rq_every_item"] == "MODALITY -> ARCHIVE, 3 contexts, maximum length 131072"
    assert by_name["a_associate_ac"] == "accepted 1 of 1 context, maximum length 16384"
    assert by_name["a_associate_ac_every_item"].startswith(
        "accepted 1 of 5 contexts, maximum length not limited"
    )


@pytest.mark.parametrize(
    ("raw", "guess"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP"),
        (b"\x16\x03\x01\x00\xc8", "TLS"),
        (b"\x16\x07", ""),
        (b"\xff" * 70, ""),
    ],
)
def test_what_is_no_pdu(raw: bytes, guess: str) -> None:
    found = dissected(raw)
    assert found.name == "unrecognized PDU"
    assert found.summary == found.error == f"PDU-type {raw[0]:02X}H: it must be 01H to 07H"
    assert named(found, "PDU-type").meaning.partition(":")[0] == guess
    assert_covers(found.fields, 0, len(raw))


def test_nothing_at_all() -> None:
    found = dissect(ReadPDU(b"", None))
    assert found.fields == ()
    assert found.summary == "no PDU at all"


@pytest.mark.parametrize("file", SOUND, ids=lambda file: file.stem)
def test_every_field_is_explained_and_has_a_clause(file: Path) -> None:
    for _, field in dissected(hex_bytes(file)).walk():
        assert field.explanation, field
        assert field.clause.startswith("PS3."), field


def test_only_values_are_shown_of_what_is_long() -> None:
    found = dissected(proposing(item(0x20, b"\1\0\0\0" + item(0x30, CT_IMAGE) + item(0x7E, b"x" * 4000))))
    assert max(len(leaf.value) for leaf in leaves(found.fields)) < 200


def test_each_pdu_of_a_stream() -> None:
    stream = RELEASE_RQ + RELEASE_RP + abort(0, 0)
    assert [dissect(each).name for each in PDUReader().feed(stream)] == [
        "A-RELEASE-RQ",
        "A-RELEASE-RP",
        "A-ABORT",
    ]
