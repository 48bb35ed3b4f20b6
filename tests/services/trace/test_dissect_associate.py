"""Association requests and answers taken apart, item by item."""

import pytest

from dissecting import assert_covers, dissected, leaves, named
from dul.encode import encode_pdu
from raw_bytes import (
    APPLICATION_CONTEXT,
    CT_IMAGE,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    a_associate_rq,
    application_context,
    context,
    item,
    pdu,
    proposing,
    user_information,
)
from trace_samples import ac

SOUND = context(1, VERIFICATION, IMPLICIT)


def answer(*items: bytes, called: bytes = b"SERVER") -> bytes:
    """An A-ASSOCIATE-AC."""
    fixed = b"\0\1\0\0" + called.ljust(16) + b"TESTER".ljust(16) + bytes(32)
    return pdu(2, fixed + b"".join(items))


def answered(context_id: int, result: int, *rest: bytes) -> bytes:
    return item(0x21, bytes([context_id, 0, result, 0]) + b"".join(rest))


def sound_answer(*contexts: bytes) -> bytes:
    return answer(application_context(), *contexts, user_information())


def test_a_request() -> None:
    found = dissected(proposing(SOUND, context(3, CT_IMAGE, IMPLICIT, EXPLICIT)))
    assert found.problems == []
    assert named(found, "PDU-type").meaning == "A-ASSOCIATE-RQ"
    assert named(found, "Protocol-version").meaning == "version 1"
    assert named(found, "Called-AE-title").value == "'SERVER          '"
    assert named(found, "Calling-AE-title").value == "'TESTER          '"
    assert named(found, "Application-context-name").value == APPLICATION_CONTEXT.decode()
    assert named(found, "Abstract-syntax-name").meaning == "Verification SOP Class"
    assert named(found, "Transfer-syntax-name").meaning == "Implicit VR Little Endian"
    offers = [f for f in found.fields if f.name == "Presentation Context Item (proposed)"]
    assert [offer.meaning for offer in offers] == [
        "context 1: Verification SOP Class, Implicit VR Little Endian",
        "context 3: CT Image Storage, Implicit VR Little Endian",
    ]
    assert [f.value for f in leaves(found.fields) if f.name == "Presentation-context-ID"] == ["1", "3"]


def test_an_answer() -> None:
    found = dissected(encode_pdu(ac(results={1: 0, 3: 3})))
    assert found.problems == []
    assert [f.meaning for f in leaves(found.fields) if f.name == "Result/Reason"] == [
        "acceptance",
        "abstract-syntax-not-supported (provider rejection)",
    ]
    assert named(found, "Called-AE-title").meaning == "sent back as it came, not tested"
    assert named(found, "Called-AE-title").clause == "PS3.8 9.3.3"


def test_titles_of_an_answer_are_not_tested() -> None:
    assert dissected(sound_answer(answered(1, 0, item(0x40, IMPLICIT)))).problems == []
    titles = answer(
        application_context(), answered(1, 0, item(0x40, IMPLICIT)), user_information(), called=b"\x1b\\"
    )
    assert dissected(titles).problems == []


@pytest.mark.parametrize("garbage", [b"", b"?", b"\x40\0\0\xff?", item(0x30, b"x") * 3, item(0x7F, b"")])
def test_what_stands_behind_a_refusal_is_not_tested(garbage: bytes) -> None:
    raw = sound_answer(answered(1, 3, garbage))
    found = dissected(raw)
    assert found.problems == []
    assert_covers(found.fields, 0, len(raw))


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (a_associate_rq(version=2), "bit 0, version 1, is not set (PS3.8 9.3.2)"),
        (a_associate_rq(called=b""), "AE title of nothing but padding (PS3.8 9.3.2)"),
        (a_associate_rq(calling=b"A\\B"), "a backslash"),
        (a_associate_rq(calling=b"A\x1bB"), "a control character"),
        (a_associate_rq(called=b"A".ljust(16, b"\0")), "AE title padded with NUL"),
        (a_associate_rq(SOUND, user_information()), "missing: Application Context Item (PS3.8 9.3.2)"),
        (
            a_associate_rq(application_context(), user_information()),
            "missing: Presentation Context Item (proposed) (PS3.8 9.3.2)",
        ),
        (
            a_associate_rq(application_context(), SOUND),
            "missing: User Information Item (PS3.8 9.3.2)",
        ),
        (
            a_associate_rq(application_context() * 2, SOUND, user_information()),
            "a second Application Context Item",
        ),
        (
            a_associate_rq(application_context(), SOUND, user_information() * 2),
            "a second User Information Item",
        ),
        (proposing(context(2, VERIFICATION, IMPLICIT)), "presentation context id 2: it must be odd"),
        (proposing(context(0, VERIFICATION, IMPLICIT)), "presentation context id 0: it must be odd"),
        (proposing(SOUND * 2), "presentation context id 1 is used twice (PS3.8 9.3.2.2)"),
        (proposing(context(1, None, IMPLICIT)), "0 abstract syntaxes: there is exactly one (PS3.8 9.3.2.2)"),
        (proposing(item(0x20, b"\1\0\0\0" + item(0x30, CT_IMAGE) * 2)), "2 abstract syntaxes"),
        (proposing(context(1, VERIFICATION)), "no transfer syntax: there is one or more (PS3.8 9.3.2.2)"),
        (proposing(item(0x20, b"\1\0")), "item-length 2: the fixed fields alone have 4 bytes"),
        (proposing(item(0x20, b"")), "item-length 0: the fixed fields alone have 4 bytes"),
        (proposing(item(0x20, b"\1\0\0\0\x30\0\0\x99")), "item-length 153 goes beyond its item"),
        (proposing(item(0x20, b"\1\0\0\0??")), "bytes that are no item (PS3.8 9.3.1)"),
        (proposing(context(1, b"1.2.03", IMPLICIT)), "a component that begins with 0"),
        (proposing(context(1, VERIFICATION, IMPLICIT + b"\0")), "padded: in a PDU it is not (PS3.8 F.1)"),
        (a_associate_rq(application_context(), SOUND, user_information(), b"??"), "bytes that are no item"),
        (a_associate_rq(item(0x10, b"1.2", length=500)), "item-length 500 goes beyond the PDU"),
        (sound_answer(answered(1, 0)), "0 transfer syntaxes: an accepted context has exactly one"),
        (sound_answer(answered(1, 0, item(0x40, IMPLICIT) * 2)), "2 transfer syntaxes"),
        (
            sound_answer(answered(1, 0, item(0x40, IMPLICIT) + item(0x30, CT_IMAGE))),
            "an abstract syntax in an answer",
        ),
        (sound_answer(answered(1, 9, item(0x40, IMPLICIT))), "reserved value 9 (PS3.8 9.3.3.2)"),
        (sound_answer(answered(4, 0, item(0x40, IMPLICIT))), "presentation context id 4: it must be odd"),
        (sound_answer(SOUND), "missing: Presentation Context Item (answered) (PS3.8 9.3.3)"),
        (
            a_associate_rq(application_context(), answered(1, 0), user_information()),
            "missing: Presentation Context Item (proposed)",
        ),
    ],
)
def test_what_is_forbidden(raw: bytes, problem: str) -> None:
    found = dissected(raw)
    assert any(problem in each for each in found.problems), found.problems
    assert all("PS3." in each for each in found.problems)
    assert_covers(found.fields, 0, len(raw))


def test_unknown_items_are_kept_and_no_problem() -> None:
    found = dissected(a_associate_rq(application_context(), item(0x7F, b"\1\2"), SOUND, user_information()))
    assert found.problems == []
    unknown = named(found, "Unknown Item 7FH")
    assert unknown.clause == "PS3.8 9.3.1"
    assert [leaf.value for leaf in unknown.children] == ["7FH", "00", "2", "01 02"]


@pytest.mark.parametrize("length", range(0, 68, 3))
def test_a_body_that_ends_early(length: int) -> None:
    raw = proposing(SOUND)[: 6 + length]
    raw = raw[:2] + length.to_bytes(4) + raw[6:]
    found = dissected(raw)
    assert_covers(found.fields, 0, len(raw))
    assert all(leaf.length for leaf in leaves(found.fields))
    assert any(str(length) in problem or "missing" in problem for problem in found.problems)
