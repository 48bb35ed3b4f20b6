"""What the peer sent in all cases, judged field by field."""

from raw_bytes import RELEASE_RP, RELEASE_RQ, a_associate_rq, c_echo_rq, message, p_data, pdu, pdv
from runs import a_run
from services.conformance.connection import Exchange, Move
from services.conformance.results import CaseResult, PlayedConnection
from services.conformance.verdict import Verdict
from services.conformance.wellformed import WELL_FORMED, judge


def _result(sent: bytes, *received: bytes, cut: bool = False) -> CaseResult:
    exchanges = [Exchange(0.0, Move.OPENED), Exchange(0.1, Move.SENT, sent)]
    exchanges += [Exchange(0.2, Move.RECEIVED, data) for data in received]
    connection = PlayedConnection(1, 0.0, tuple(exchanges), cut)
    return CaseResult(a_run().results[0].case, Verdict.PASS, (), (connection,))


def test_a_peer_that_sends_nothing_wrong_passes() -> None:
    result = judge(
        [_result(RELEASE_RQ, RELEASE_RP), _result(a_associate_rq(), RELEASE_RP[:5], RELEASE_RP[5:])]
    )
    assert result.case is WELL_FORMED
    assert result.verdict is Verdict.PASS
    assert not result.connections


def test_what_is_wrong_is_told_once_with_the_case_and_its_bytes() -> None:
    wrong = pdu(6, bytes(8))
    result = judge([_result(RELEASE_RQ, wrong), _result(RELEASE_RQ, wrong)])
    assert result.verdict is Verdict.FAIL
    told = [str(finding) for finding in result.findings]
    assert any("A-RELEASE-RP: PDU-length 8" in text and "first seen in ul-1" in text for text in told)
    assert len(told) == len(set(told))
    assert len(result.connections) == 1


def test_a_command_set_is_looked_into() -> None:
    answer = message(1, c_echo_rq(7)[12:])
    (finding,) = judge([_result(RELEASE_RQ, answer)]).findings
    assert "no Command Group Length" in finding.got


def test_an_answer_to_something_wrong_is_not_judged() -> None:
    result = judge([_result(pdu(5, b""), pdu(6, bytes(8)))])
    assert result.verdict is Verdict.NOT_APPLICABLE


def test_a_pdu_that_does_not_end_is_wrong_unless_it_was_not_kept() -> None:
    assert judge([_result(RELEASE_RQ, RELEASE_RP[:7])]).verdict is Verdict.FAIL
    assert judge([_result(RELEASE_RQ, RELEASE_RP[:7], cut=True)]).verdict is Verdict.PASS


def test_a_command_cut_between_two_elements_is_one_command() -> None:
    answer = c_echo_rq(7)
    at = 12 + 8 + 18  # behind the Affected SOP Class UID
    pieces = p_data(pdv(1, 1, answer[:at])) + p_data(pdv(1, 3, answer[at:]))
    assert judge([_result(RELEASE_RQ, pieces)]).verdict is Verdict.PASS
