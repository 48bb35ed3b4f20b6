"""What the checks of the user information of an A-ASSOCIATE-AC find, and what they leave alone."""

import struct

import pytest

from recorded import NAME, answer, looked_at, result, sound
from services.conformance.building import (
    CT_IMAGE,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    STUDY_ROOT_FIND,
    VERIFICATION,
    context,
    item,
    maximum_length,
    proposing,
    role,
    user_information,
    window,
)
from services.conformance.checks_user_information import (
    absent,
    at_most_one,
    extended_within_the_proposal,
    identity_response_is_empty,
    implementation_is_identified,
    maximum_length_is_announced,
    no_role_for,
    role_is_answered,
    roles_within_the_proposal,
    sound_answer,
    window_within_the_proposal,
)
from services.conformance.conversation import Check
from services.conformance.verdict import Verdict

_PASS, _TOLERATED, _FAIL = Verdict.PASS, Verdict.TOLERATED, Verdict.FAIL
ECHO, STORE = context(1, VERIFICATION, IMPLICIT), context(3, CT_IMAGE, IMPLICIT)


def _extended(uid: bytes, information: bytes) -> bytes:
    return item(0x56, struct.pack(">H", len(uid)) + uid + information)


def _verdict(check: Check, received: bytes, *asked: bytes) -> Verdict:
    finding = looked_at(check, proposing(ECHO, STORE, sub_items=asked), received)
    return _PASS if finding is None else finding.verdict


def _only(*sub_items: bytes) -> bytes:
    return answer(NAME, result(1), result(3), item(0x50, b"".join(sub_items)))


_MAXIMUM = maximum_length(16384)


@pytest.mark.parametrize(
    ("check", "sub_items", "verdict"),
    [
        (maximum_length_is_announced, (_MAXIMUM,), _PASS),
        (maximum_length_is_announced, (maximum_length(0),), _PASS),
        (maximum_length_is_announced, (maximum_length(8),), _PASS),
        (maximum_length_is_announced, (maximum_length(7),), _FAIL),
        (maximum_length_is_announced, (), _FAIL),
        (maximum_length_is_announced, (_MAXIMUM, _MAXIMUM), _FAIL),
        (maximum_length_is_announced, (item(0x51, bytes(3)),), _FAIL),
        (implementation_is_identified, (IMPLEMENTATION_CLASS,), _PASS),
        (implementation_is_identified, (item(0x52, b"2.25.1\0"),), _PASS),
        (implementation_is_identified, (item(0x52, b"1." + b"2" * 62),), _PASS),
        (implementation_is_identified, (item(0x52, b"1." + b"2" * 63),), _FAIL),
        (implementation_is_identified, (item(0x52, b"1.02"),), _FAIL),
        (implementation_is_identified, (item(0x52, b""),), _FAIL),
        (implementation_is_identified, (), _FAIL),
        (implementation_is_identified, (IMPLEMENTATION_CLASS,) * 2, _FAIL),
        (implementation_is_identified, (IMPLEMENTATION_CLASS, item(0x55, b"N" * 16)), _PASS),
        (implementation_is_identified, (IMPLEMENTATION_CLASS, item(0x55, b"N" * 17)), _FAIL),
        (implementation_is_identified, (IMPLEMENTATION_CLASS, item(0x55, b"")), _FAIL),
        (implementation_is_identified, (IMPLEMENTATION_CLASS, item(0x55, b"\x1b")), _FAIL),
        (implementation_is_identified, (IMPLEMENTATION_CLASS, *[item(0x55, b"N")] * 2), _FAIL),
        (absent(0x53, "window", "why"), (_MAXIMUM,), _PASS),
        (absent(0x53, "window", "why"), (window(1, 1),), _FAIL),
        (at_most_one(0x53, "window"), (window(1, 1),), _PASS),
        (at_most_one(0x53, "window"), (window(1, 1), window(1, 1)), _FAIL),
        (identity_response_is_empty, (_MAXIMUM,), _PASS),
        (identity_response_is_empty, (item(0x59, b"\0\0"),), _PASS),
        (identity_response_is_empty, (item(0x59, b"\0\2ok"),), _FAIL),
        (identity_response_is_empty, (item(0x59, b"\0\0"),) * 2, _FAIL),
    ],
)
def test_what_is_found(check: Check, sub_items: tuple[bytes, ...], verdict: Verdict) -> None:
    assert _verdict(check, _only(*sub_items)) is verdict


@pytest.mark.parametrize(
    ("offered", "got", "verdict"),
    [
        ((), (), _PASS),
        ((), (window(1, 1),), _FAIL),
        ((window(5, 5),), (), _PASS),
        ((window(5, 5),), (window(5, 5),), _PASS),
        ((window(5, 5),), (window(6, 5),), _FAIL),
        ((window(5, 5),), (window(5, 0),), _FAIL),  # 0 is any number
        ((window(0, 1),), (window(0, 1),), _PASS),
        ((window(0, 0),), (window(8, 8),), _PASS),
        ((window(5, 5),), (window(1, 1), window(1, 1)), _FAIL),
        ((window(5, 5),), (item(0x53, bytes(3)),), _FAIL),
        ((window(2, 2), window(5, 5)), (window(4, 4),), _PASS),  # which one counts is not said
    ],
)
def test_windows(offered: tuple[bytes, ...], got: tuple[bytes, ...], verdict: Verdict) -> None:
    assert _verdict(window_within_the_proposal, _only(*got), *offered) is verdict


@pytest.mark.parametrize(
    ("offered", "got", "verdict"),
    [
        ((), (), _PASS),
        ((), (role(CT_IMAGE, 1, 0),), _FAIL),
        ((role(CT_IMAGE, 1, 1),), (role(CT_IMAGE, 1, 1),), _PASS),
        ((role(CT_IMAGE, 0, 1),), (role(CT_IMAGE, 0, 0),), _PASS),
        ((role(CT_IMAGE, 0, 1),), (role(CT_IMAGE, 1, 1),), _FAIL),
        ((role(CT_IMAGE, 1, 0),), (role(CT_IMAGE, 1, 1),), _FAIL),
        ((role(CT_IMAGE, 1, 1),), (role(VERIFICATION, 1, 1),), _FAIL),
    ],
)
def test_roles(offered: tuple[bytes, ...], got: tuple[bytes, ...], verdict: Verdict) -> None:
    assert _verdict(roles_within_the_proposal, _only(*got), *offered) is verdict


def test_a_role_selection_is_answered_or_its_context_refused() -> None:
    check = role_is_answered(lambda _: CT_IMAGE)
    asked = role(CT_IMAGE, 0, 1)
    answered = sound(result(1), result(3), sub_items=(role(CT_IMAGE, 0, 1),))
    assert _verdict(check, answered, asked) is _PASS
    assert _verdict(check, sound(result(1), result(3)), asked) is _TOLERATED
    assert _verdict(check, sound(result(1), result(3, 1)), asked) is _PASS


def test_a_role_for_a_class_of_no_context() -> None:
    check = no_role_for(STUDY_ROOT_FIND)
    assert _verdict(check, _only()) is _PASS
    assert _verdict(check, _only(role(STUDY_ROOT_FIND, 0, 0))) is _PASS
    assert _verdict(check, _only(role(STUDY_ROOT_FIND, 1, 0))) is _TOLERATED


@pytest.mark.parametrize(
    ("offered", "got", "verdict"),
    [
        (b"\1\0\1", b"\1\0\0", _PASS),
        (b"\1\0\1", b"\1", _PASS),
        (b"\1\0\1", b"\1\1", _FAIL),
        (b"\1", b"\1\0\0", _PASS),
        (b"\1", b"\1\1", _FAIL),
    ],
)
def test_extended_negotiation(offered: bytes, got: bytes, verdict: Verdict) -> None:
    received = _only(_extended(STUDY_ROOT_FIND, got))
    assert _verdict(extended_within_the_proposal, received, _extended(STUDY_ROOT_FIND, offered)) is verdict
    assert _verdict(extended_within_the_proposal, received, _extended(CT_IMAGE, offered)) is _FAIL
    assert _verdict(extended_within_the_proposal, _only(), _extended(STUDY_ROOT_FIND, offered)) is _PASS


def test_a_sound_answer_is_sound_in_all_its_parts() -> None:
    good = sound(result(1), result(3, 4))
    assert _verdict(sound_answer(), good) is _PASS
    user = user_information()
    for flawed in (
        sound(result(1)),  # a context is not answered
        sound(result(1), result(3, 0, b"1.2")),  # a transfer syntax that was not offered
        answer(result(1), result(3), user),  # no application context
        answer(NAME, result(1), result(3), user, b"\0"),
        answer(NAME, result(1), result(3), user, version=2),
        answer(NAME, result(1), result(3), user_information(IMPLEMENTATION_CLASS)),
        answer(NAME, result(1), result(3), user_information(_MAXIMUM)),
    ):
        assert _verdict(sound_answer(), flawed) is _FAIL
    assert _verdict(sound_answer(), sound(result(1), item(0x21, b"\3\0\3\0"))) is _TOLERATED
