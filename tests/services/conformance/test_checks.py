"""What the checks of an A-ASSOCIATE-AC find, and what they leave alone."""

import pytest

from recorded import ACCEPTED, NAME, answer, looked_at, result, sound
from services.conformance.building import (
    APPLICATION_CONTEXT,
    EXPLICIT,
    IMPLICIT,
    RELEASE_RP,
    VERIFICATION,
    a_associate_rq,
    abort,
    context,
    item,
    p_data,
    pdu,
    pdv,
    proposing,
    user_information,
)
from services.conformance.checks import (
    all_of,
    answered_once,
    application_context_is_dicom,
    every_context_is_answered,
    items_are_complete_and_in_order,
    last_pdu_is,
    lengths_add_up,
    named,
    no_pdu_longer_than,
    not_accepted,
    refused_contexts_carry_a_transfer_syntax,
    reserved_bytes_are_zero,
    result_text,
    results,
    titles_and_reserved_bytes_come_back,
    tolerable,
    transfer_syntaxes_were_offered,
    version_has_bit_0,
    wrong,
)
from services.conformance.conversation import Check, Conversation
from services.conformance.steps import check_title
from services.conformance.verdict import Finding, Verdict

USER = user_information()
RQ = proposing(context(1, VERIFICATION, IMPLICIT), context(3, VERIFICATION, EXPLICIT, IMPLICIT))
GOOD = sound(result(1), result(3, 4))
CONTEXTS = GOOD[GOOD.index(result(1)) : GOOD.index(USER)]


def _verdict(check: Check, received: bytes, sent: bytes = RQ) -> Verdict:
    finding = looked_at(check, sent, received)
    return Verdict.PASS if finding is None else finding.verdict


_PASS, _TOLERATED, _FAIL = Verdict.PASS, Verdict.TOLERATED, Verdict.FAIL


@pytest.mark.parametrize(
    ("check", "received", "verdict"),
    [
        (results({1: 0, 3: 4}), GOOD, _PASS),
        (results({1: 0, 3: (0, 4)}), GOOD, _PASS),
        (results({1: 0, 3: 3}), GOOD, _TOLERATED),  # refused for another reason
        (results({1: 0, 3: 0}), GOOD, _FAIL),
        (results({1: 3}), GOOD, _FAIL),
        (results({5: 0}), GOOD, _FAIL),  # not answered
        (results({1: 0}), sound(result(1), result(1)), _FAIL),
        (results({1: 3}), sound(result(1, 9)), _FAIL),  # no such result
        (results({1: 0}, refusal="why not"), sound(result(1, 3)), _TOLERATED),
        (results({1: 0}, refusal="why not"), sound(result(1, 9)), _FAIL),
        (results({1: 3}, refusal="why not"), GOOD, _FAIL),
        (results({1: 3}, acceptance="why not"), GOOD, _TOLERATED),
        (results({1: 0}, acceptance="why not"), sound(result(1, 3)), _FAIL),
        (results({1: 0, 3: 3, 5: 0}), GOOD, _FAIL),  # the worst of them
        (not_accepted(3, 5), GOOD, _PASS),
        (not_accepted(3, 1), GOOD, _FAIL),
        (answered_once(1, 3), GOOD, _PASS),
        (answered_once(1), sound(result(1), result(1, 3)), _FAIL),
        (every_context_is_answered, GOOD, _PASS),
        (every_context_is_answered, sound(result(3), result(1)), _PASS),
        (every_context_is_answered, sound(result(1)), _FAIL),
        (every_context_is_answered, sound(result(1), result(3), result(5)), _FAIL),
        (every_context_is_answered, sound(result(1), result(1)), _FAIL),
        (transfer_syntaxes_were_offered, GOOD, _PASS),
        (transfer_syntaxes_were_offered, sound(result(1), result(3, 0, EXPLICIT + b"\0")), _PASS),
        (transfer_syntaxes_were_offered, sound(result(1, 0, EXPLICIT)), _FAIL),
        (transfer_syntaxes_were_offered, sound(result(3, 0, EXPLICIT, IMPLICIT)), _FAIL),
        (transfer_syntaxes_were_offered, sound(item(0x21, b"\1\0\0\0")), _FAIL),
        (transfer_syntaxes_were_offered, sound(result(7)), _FAIL),
        (transfer_syntaxes_were_offered, sound(result(1, 3, b"1.2")), _PASS),  # nobody reads it
        (refused_contexts_carry_a_transfer_syntax, GOOD, _PASS),
        (refused_contexts_carry_a_transfer_syntax, sound(item(0x21, b"\1\0\3\0")), _TOLERATED),
        (refused_contexts_carry_a_transfer_syntax, sound(item(0x21, b"\1\0\0\0")), _PASS),
        (version_has_bit_0, GOOD, _PASS),
        (version_has_bit_0, answer(NAME, CONTEXTS, USER, version=3), _TOLERATED),
        (version_has_bit_0, answer(NAME, CONTEXTS, USER, version=2), _FAIL),
        (items_are_complete_and_in_order, GOOD, _PASS),
        (items_are_complete_and_in_order, answer(USER, CONTEXTS, NAME), _TOLERATED),
        (items_are_complete_and_in_order, answer(CONTEXTS, USER), _FAIL),
        (items_are_complete_and_in_order, answer(NAME, CONTEXTS), _FAIL),
        (items_are_complete_and_in_order, answer(NAME, CONTEXTS, USER, USER), _FAIL),
        (application_context_is_dicom, GOOD, _PASS),
        (application_context_is_dicom, answer(item(0x10, APPLICATION_CONTEXT + b"\0"), USER), _PASS),
        (application_context_is_dicom, answer(item(0x10, b"1.2.3"), USER), _FAIL),
        (application_context_is_dicom, answer(USER), _FAIL),
        (lengths_add_up, GOOD, _PASS),
        (lengths_add_up, answer(NAME, CONTEXTS, USER, b"\0"), _FAIL),
        (lengths_add_up, answer(NAME, item(0x21, result(1)[4:] + b"\0"), USER), _FAIL),
        (lengths_add_up, answer(NAME, CONTEXTS, item(0x50, USER[4:] + b"\0\0")), _FAIL),
        (lengths_add_up, answer(NAME, CONTEXTS, item(0x50, USER[4:], length=500)), _FAIL),
        (reserved_bytes_are_zero, GOOD, _PASS),
        (reserved_bytes_are_zero, answer(NAME, CONTEXTS, USER, filler=b"\0\1"), _TOLERATED),
        (reserved_bytes_are_zero, answer(NAME, item(0x21, b"\1\0\3\7"), USER), _TOLERATED),
        (reserved_bytes_are_zero, answer(item(0x10, APPLICATION_CONTEXT, reserved=1), USER), _TOLERATED),
        (reserved_bytes_are_zero, answer(NAME, item(0x50, item(0x51, bytes(4), reserved=1))), _TOLERATED),
        (reserved_bytes_are_zero, pdu(2, GOOD[6:], reserved=1), _TOLERATED),
        (no_pdu_longer_than(8), p_data(pdv(1, 3, b"12")) * 3, _PASS),
        (no_pdu_longer_than(8), p_data(pdv(1, 3, b"12")) + p_data(pdv(1, 3, b"123")), _FAIL),
        (no_pdu_longer_than(8), GOOD, _PASS),  # only P-DATA-TFs are bounded
        (last_pdu_is(RELEASE_RP, ""), GOOD + RELEASE_RP, _PASS),
        (last_pdu_is(RELEASE_RP, ""), RELEASE_RP + abort(0, 0), _FAIL),
        (last_pdu_is(RELEASE_RP, ""), b"", _FAIL),
    ],
)
def test_what_is_found(check: Check, received: bytes, verdict: Verdict) -> None:
    assert _verdict(check, received) is verdict


@pytest.mark.parametrize(
    ("received", "verdict"),
    [
        (answer(called=b"SERVER", reserved=b"\7" * 32), _PASS),
        (answer(called=b"SERVER"), _TOLERATED),  # the reserved bytes are not
        (answer(called=b"  SERVER", reserved=b"\7" * 32), _TOLERATED),
        (answer(called=b"SERVER".ljust(16, b"\0"), reserved=b"\7" * 32), _TOLERATED),
        (answer(called=b"SERVERS", reserved=b"\7" * 32), _FAIL),
        (answer(calling=b"TEST", reserved=b"\7" * 32), _FAIL),
        (answer(called=b"server", reserved=b"\7" * 32), _FAIL),
    ],
)
def test_titles_and_reserved_bytes(received: bytes, verdict: Verdict) -> None:
    rq = a_associate_rq(reserved=7)
    assert _verdict(titles_and_reserved_bytes_come_back, received, rq) is verdict


def test_a_finding_says_what_and_why() -> None:
    finding = looked_at(transfer_syntaxes_were_offered, RQ, sound(result(1, 0, b"1.2\x1b[2J")))
    assert finding is not None
    assert "context 1" in finding.expected
    assert "\x1b" not in finding.got
    assert "PS3.8 9.3.3.2" in finding.why
    assert "3 (abstract-syntax-not-supported)" in str(looked_at(results({1: 3}), RQ, GOOD))


def test_a_result_has_its_name() -> None:
    assert result_text(1) == "1 (user-rejection)"
    assert result_text(7) == "7 (no value the standard knows)"


def _finding(finding: Finding | None, title: str) -> Check:
    def check(conversation: Conversation, event: object) -> Finding | None:
        return finding

    return named(title, check)


def test_several_checks_find_the_worst() -> None:
    fine, odd, bad = (
        _finding(None, "fine"),
        _finding(tolerable("a", "b"), "odd"),
        _finding(wrong("c", "d"), "bad"),
    )
    assert looked_at(all_of(fine, fine), RQ, GOOD, ACCEPTED) is None
    assert looked_at(all_of(fine, odd), RQ, GOOD) == tolerable("a", "b")
    assert looked_at(all_of(odd, bad, fine), RQ, GOOD) == wrong("c", "d")
    assert check_title(all_of(fine, odd)) == "fine and odd"
    assert check_title(all_of(fine, odd, title="in order")) == "in order"


def test_titles_go_on_with_expects() -> None:
    assert check_title(results({1: 0, 3: (3, 4)})) == (
        "with context 1 answered with result 0 (acceptance), context 3 answered with result "
        "3 (abstract-syntax-not-supported) or 4 (transfer-syntaxes-not-supported)"
    )
    assert check_title(results(dict.fromkeys(range(1, 256, 2), 0))) == (
        "with 128 contexts answered with result 0 (acceptance)"
    )
    assert check_title(every_context_is_answered) == (
        "with an answer to every proposed context and to no other"
    )
