"""Names of numbers and UIDs, and what is wrong with UIDs and titles."""

import pytest

from dul.reasons import AbortReason, RejectReason
from services.trace.names import (
    ABORT_REASONS,
    CONTEXT_RESULTS,
    REJECT_REASONS,
    REJECT_SOURCES,
    USER_IDENTITY_TYPES,
    VRS,
    keyword_of,
    title_problem,
    uid_name,
    uid_problem,
    vr_of,
)


def test_names_of_uids() -> None:
    assert uid_name("1.2.840.10008.1.1") == "Verification SOP Class"
    assert uid_name("1.2.840.10008.1.2") == "Implicit VR Little Endian"
    assert uid_name("1.2.3") == ""
    assert uid_name("") == ""


def test_elements_of_the_dictionary() -> None:
    assert (keyword_of(0x00100010), vr_of(0x00100010)) == ("PatientName", "PN")
    assert (keyword_of(0x00000900), vr_of(0x00000900)) == ("Status", "US")
    assert vr_of(0x7FE00010) == "OB"
    assert (keyword_of(0x60023000), vr_of(0x60023000)) == ("OverlayData", "OB")
    assert (keyword_of(0x00091001), vr_of(0x00091001)) == ("", "UN")
    assert vr_of(0x00090000) == "UL"


def test_every_code_the_core_knows_has_a_name() -> None:
    rejects = {reason for reason in vars(RejectReason).values() if isinstance(reason, RejectReason)}
    assert {(reason.source, reason.reason) for reason in rejects} == set(REJECT_REASONS)
    assert {source for source, _ in REJECT_REASONS} == set(REJECT_SOURCES)
    aborts = {reason for reason in vars(AbortReason).values() if isinstance(reason, AbortReason)}
    assert {reason.reason for reason in aborts if reason.source == 2} == set(ABORT_REASONS)
    assert set(CONTEXT_RESULTS) == set(range(5))
    assert set(USER_IDENTITY_TYPES) == set(range(1, 6))
    assert len(VRS) == 34


@pytest.mark.parametrize(
    ("uid", "problem"),
    [
        (b"1.2.840.10008.1.1", ""),
        (b"1.0.3", ""),
        (b"1." + b"2" * 62, ""),
        (b"1." + b"2" * 63, "65 characters"),
        (b"", "no UID at all"),
        (b"\0", "no UID at all"),
        (b"1.2a", "digits and dots"),
        (b" 1.2", "digits and dots"),
        (b"1..2", "empty component"),
        (b".1", "empty component"),
        (b"1.", "empty component"),
        (b"1.02", "begins with 0"),
        (b"1.2\0", "padded: in a PDU it is not (PS3.8 F.1)"),
        (b"1.2 ", "padded: in a PDU it is not (PS3.8 F.1)"),
    ],
)
def test_what_is_wrong_with_a_uid(uid: bytes, problem: str) -> None:
    found = uid_problem(uid)
    assert problem in found
    assert bool(problem) is bool(found)
    assert not found or "PS3." in found


@pytest.mark.parametrize(
    ("uid", "is_right"),
    [
        (b"1.2\0", True),
        (b"1.2.", False),
        (b"1.25", True),
        (b"1.2 ", False),
        (b"1.25\0\0", False),
        (b"1.2\0\0\0", False),
        (b"1.2", True),
    ],
)
def test_padding_to_an_even_length(uid: bytes, is_right: bool) -> None:
    assert (uid_problem(uid, padded=True) == "") is is_right


@pytest.mark.parametrize(
    ("title", "problem"),
    [
        (b"SERVER".ljust(16), ""),
        (b"  SERVER".ljust(16), ""),
        (bytes(16), "nothing but padding"),
        (b" " * 16, "nothing but padding"),
        (b"A\\B".ljust(16), "backslash"),
        (b"A\nB".ljust(16), "control character"),
        (b"\xc4".ljust(16), "not ASCII"),
        (b"A".ljust(16, b"\0"), "padded with NUL"),
    ],
)
def test_what_is_wrong_with_a_title(title: bytes, problem: str) -> None:
    found = title_problem(title)
    assert problem in found
    assert bool(problem) is bool(found)
