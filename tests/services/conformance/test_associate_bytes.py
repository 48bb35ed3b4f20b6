"""A-ASSOCIATE-RQ and -AC, taken apart byte by byte."""

import struct

import pytest

from recorded import answer, conversation, result, sound
from services.conformance.associate_bytes import (
    RawAssociate,
    RawItem,
    RawRole,
    answered,
    asked,
    pdus,
    received,
    roles,
    sent,
    split,
    uid,
)
from services.conformance.building import (
    CT_IMAGE,
    IMPLICIT,
    RELEASE_RP,
    RELEASE_RQ,
    VERIFICATION,
    a_associate_rq,
    item,
    proposing,
    role,
)


def test_a_request_and_its_answer() -> None:
    rq = a_associate_rq(reserved=0xFF, version=3)
    ac = sound(result(1, 4, IMPLICIT + b"\0"), result(3, 0, b"1.2", b"1.3"))
    both = conversation(rq + RELEASE_RQ, ac + RELEASE_RP)
    request, got = asked(both), answered(both)
    assert (request.raw, got.raw) == (rq, ac)
    assert (request.version, got.version) == (3, 1)
    assert request.titles == got.titles == b"SERVER".ljust(16) + b"TESTER".ljust(16)
    assert (request.reserved, got.reserved) == (b"\xff" * 32, bytes(32))
    assert [(each.id, each.result) for each in got.contexts] == [(1, 4), (3, 0)]
    assert [each.transfer_syntaxes() for each in got.contexts] == [[IMPLICIT], [b"1.2", b"1.3"]]
    assert [each.kind for each in got.user_data] == [0x51, 0x52]
    assert got.sub_items(0x52) == [RawItem(0x52, 0, b"2.25.1")]
    assert got.sub_items(0x54) == []


def test_the_bytes_of_a_context_that_are_reserved() -> None:
    (context,) = answered(conversation(b"", answer(item(0x21, b"\5\x0a\0\x0b")))).contexts
    assert (context.id, context.reserved, context.syntaxes) == (5, b"\x0a\x0b", ())


def test_nothing_asked_and_nothing_answered() -> None:
    both = conversation(RELEASE_RQ, RELEASE_RP)
    for each in (asked(both), answered(both)):
        assert each == RawAssociate(b"", ())
        assert (each.contexts, each.user_data, each.titles) == ([], [], b"")


def test_what_does_not_fit_is_left_out() -> None:
    assert split(item(0x10, b"12") + item(0x20, b"3", length=9)) == [RawItem(0x10, 0, b"12")]
    assert split(item(0x10, b"", reserved=7) + b"\0\0\0") == [RawItem(0x10, 7, b"")]
    assert answered(conversation(b"", answer(item(0x21, b"\1\0\0")))).contexts == []


def test_pdus_are_whole_ones() -> None:
    data = RELEASE_RQ + RELEASE_RP
    assert pdus(data) == [RELEASE_RQ, RELEASE_RP]
    assert pdus(data[:-1]) == [RELEASE_RQ]
    assert pdus(b"\4\0\0\0") == []


def test_what_went_over_the_connection_in_pieces() -> None:
    both = conversation(b"sent", b"received, in two")
    assert (sent(both.connection), received(both.connection)) == (b"sent", b"received, in two")


@pytest.mark.parametrize(
    ("value", "significant"), [(b"1.2", b"1.2"), (b"1.2\0", b"1.2"), (b"1.2 \0", b"1.2"), (b" 1.2", b" 1.2")]
)
def test_padding_of_uids(value: bytes, significant: bytes) -> None:
    assert uid(value) == significant


def test_role_selections() -> None:
    short = item(0x54, struct.pack(">H", 9) + b"1.2" + b"\1\1")
    rq = proposing(sub_items=(role(VERIFICATION + b"\0", 1, 0), short, role(CT_IMAGE, 0, 2)))
    assert roles(asked(conversation(rq, b""))) == [RawRole(VERIFICATION, 1, 0), RawRole(CT_IMAGE, 0, 2)]
