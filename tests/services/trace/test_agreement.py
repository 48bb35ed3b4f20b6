"""Each way for an answer not to fit its request is named, with its clause; an answer that fits has none."""

import pytest
from msgspec.structs import replace

from dul.pdus import (
    AAssociateAC,
    AAssociateRQ,
    AsynchronousOperationsWindowSubItem,
    PresentationContextACItem,
    RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UserIdentityACSubItem,
    UserIdentityRQSubItem,
)
from services.trace.agreement import agreement, faults_of_answer
from trace_samples import CT_IMAGE, EXPLICIT_LE, IMPLICIT_LE, STUDY_ROOT_FIND, VERIFICATION, A, R, ac, rq

Window = AsynchronousOperationsWindowSubItem
Role = RoleSelectionSubItem


def accepting(*, items: tuple[PresentationContextACItem, ...]) -> AAssociateAC:
    answer = ac(results={})
    return replace(answer, variable_items=(*items, *answer.variable_items))


def all_of(*more: PresentationContextACItem) -> AAssociateAC:
    first = tuple(PresentationContextACItem(cid, 0, IMPLICIT_LE) for cid in (1, 3, 5, 7, 9))
    return accepting(items=(*first, *more))


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (rq(), ac()),
        (rq(), ac(results={1: 0, 3: 1, 5: 2, 7: 3, 9: 4})),
        (rq(Window(5, 3)), ac(Window(5, 3))),
        (rq(Window(5, 3)), ac(Window(1, 1))),
        (rq(Window(0, 0)), ac(Window(0, 7))),
        (rq(Window(5, 3)), ac()),
        (rq(Role(CT_IMAGE, True, True)), ac(Role(CT_IMAGE, False, True))),
        (rq(Role(CT_IMAGE, True, True)), ac()),
        (
            rq(SOPClassExtendedNegotiationSubItem(CT_IMAGE, b"\1")),
            ac(SOPClassExtendedNegotiationSubItem(CT_IMAGE, b"")),
        ),
        (rq(UserIdentityRQSubItem(1, True, b"me")), ac(UserIdentityACSubItem(b""))),
    ],
)
def test_what_fits(request_: AAssociateRQ, answer: AAssociateAC) -> None:
    assert faults_of_answer(request_, answer) == []


@pytest.mark.parametrize(
    ("request_", "answer", "fault"),
    [
        (rq(version=0), ac(), "accepts protocol version 0000H, whose bit 0 is not set"),
        (rq(), ac(called="OTHER"), "the AE titles and reserved bytes 11 to 74 are not those"),
        (rq(), replace(ac(), reserved=b"\1" * 32), "the AE titles and reserved bytes 11 to 74 are not those"),
        (rq(), all_of(PresentationContextACItem(11, 3, "")), "answers context 11, which was not proposed"),
        (rq(), all_of(PresentationContextACItem(3, 3, "")), "answers context 3 twice"),
        (
            rq(contexts={1: VERIFICATION}),
            accepting(items=(PresentationContextACItem(1, 0, EXPLICIT_LE),)),
            f"accepts context 1 with transfer syntax {EXPLICIT_LE}, which was not offered for it",
        ),
        (
            rq(contexts={1: VERIFICATION}),
            accepting(items=(PresentationContextACItem(1, 0, "\x1b[2J"),)),
            r"with transfer syntax \x1b[2J, which",
        ),
        (rq(), ac(results={1: 0, 5: 0}), "no answer to context 3, 7, 9: each that is proposed has a result"),
        (rq(), ac(Window(1, 1)), "grants a window of asynchronous operations of 1/1 where none was offered"),
        (rq(Window(5, 3)), ac(Window(6, 3)), "grants 6 operations invoked where 5 were offered"),
        (
            rq(Window(5, 3)),
            ac(Window(5, 0)),
            "grants any number of operations performed where 3 were offered",
        ),
        (
            rq(),
            ac(Role(CT_IMAGE, True, False)),
            f"selects roles for {CT_IMAGE}, for which none were proposed",
        ),
        (
            rq(Role(CT_IMAGE, True, False)),
            ac(Role(CT_IMAGE, True, True)),
            f"grants the SCP role for {CT_IMAGE}, which was not proposed",
        ),
        (
            rq(),
            ac(SOPClassExtendedNegotiationSubItem(STUDY_ROOT_FIND, b"\1")),
            f"answers an extended negotiation of {STUDY_ROOT_FIND}, which was not asked for",
        ),
        (
            rq(),
            ac(SOPClassCommonExtendedNegotiationSubItem(CT_IMAGE, "1.2")),
            "has a common extended negotiation, which only a request has",
        ),
        (rq(), ac(UserIdentityACSubItem(b"")), "answers a user identity where no response was asked for"),
        (
            rq(UserIdentityRQSubItem(1, False, b"me")),
            ac(UserIdentityACSubItem(b"")),
            "answers a user identity where no response was asked for",
        ),
    ],
)
def test_what_does_not_fit(request_: AAssociateRQ, answer: AAssociateAC, fault: str) -> None:
    (found,) = faults_of_answer(request_, answer)
    assert fault in found
    assert "(PS3." in found


def test_what_holds() -> None:
    agreed = agreement(
        rq(Window(5, 0), Role(CT_IMAGE, True, True), Role(VERIFICATION, True, False), longest=1000),
        ac(
            Window(3, 4),
            Role(CT_IMAGE, False, True),
            Role(STUDY_ROOT_FIND, True, True),
            results={1: 0, 3: 0, 5: 3, 7: 4},
            longest=2000,
        ),
    )
    assert {cid: (c.abstract_syntax, c.transfer_syntax) for cid, c in agreed.contexts.items()} == {
        1: (VERIFICATION, IMPLICIT_LE),
        3: (CT_IMAGE, IMPLICIT_LE),
    }
    assert agreed.refused == {5, 7}
    assert agreed.longest == {R: 1000, A: 2000}
    assert agreed.window == {R: 3, A: 4}
    assert agreed.roles == {CT_IMAGE: (False, True)}
    assert [agreed.may_be_scu(side, CT_IMAGE) for side in (R, A)] == [False, True]
    assert [agreed.may_be_scu(side, VERIFICATION) for side in (R, A)] == [True, False]


def test_an_answer_alone() -> None:
    agreed = agreement(None, ac(results={1: 0, 3: 3}))
    assert [(cid, c.abstract_syntax) for cid, c in agreed.contexts.items()] == [(1, "")]
    assert agreed.longest[R] == 0
