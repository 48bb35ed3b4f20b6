"""What holds on an association, seen from both of its sides."""

import pytest
from msgspec.structs import replace

from dul.errors import InvalidPDU
from dul.negotiation import (
    AcceptorPolicy,
    Negotiated,
    PresentationContext,
    ProposedContext,
    SupportedContext,
    answer,
    as_acceptor,
    as_requestor,
    build_request,
)
from dul.pdus import (
    AAssociateAC,
    AAssociateRQ,
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    PresentationContextACItem,
    PresentationContextRQItem,
    RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UserDataSubItem,
    UserIdentityACSubItem,
    UserIdentityRQSubItem,
    UserInformationItem,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
LENGTH = MaximumLengthSubItem(32768)


def rq_with(*user_data: UserDataSubItem) -> AAssociateRQ:
    contexts = (
        PresentationContextRQItem(1, CT, (EXPLICIT, IMPLICIT)),
        PresentationContextRQItem(3, MR, (IMPLICIT,)),
    )
    return AAssociateRQ("ARCHIVE  ", " MODALITY", (*contexts, UserInformationItem(user_data)))


def ac_with(*user_data: UserDataSubItem, contexts: dict[int, tuple[int, str]] | None = None) -> AAssociateAC:
    results = [
        PresentationContextACItem(cid, result, syntax)
        for cid, (result, syntax) in (contexts or {1: (0, EXPLICIT)}).items()
    ]
    return AAssociateAC("ignored", "ignored", (*results, UserInformationItem(user_data)))


def test_both_sides_see_the_same_association():
    identity = UserIdentityRQSubItem(2, True, b"name", b"secret")
    common = SOPClassCommonExtendedNegotiationSubItem(CT, "1.2.840.10008.4.2")
    rq = build_request(
        called_ae="ARCHIVE",
        calling_ae="MODALITY",
        contexts=[
            ProposedContext(CT, (EXPLICIT,), scp_role=True),
            ProposedContext("1.2.3", (EXPLICIT,)),
            ProposedContext(MR, (IMPLICIT, EXPLICIT)),
        ],
        maximum_length=65536,
        window=(5, 0),
        user_identity=identity,
        extended=[SOPClassExtendedNegotiationSubItem(CT, b"\1\1")],
        common_extended=[common],
    )
    syntaxes = frozenset({IMPLICIT, EXPLICIT})
    policy = AcceptorPolicy(
        "ARCHIVE",
        {CT: SupportedContext(syntaxes, scu_role=True), MR: SupportedContext(syntaxes)},
        maximum_length=131072,
        window=(2, 8),
        extended=lambda uid, information: b"\1\0",
    )
    ac = answer(rq, policy)
    assert isinstance(ac, AAssociateAC)
    requestor, acceptor = as_requestor(rq, ac), as_acceptor(rq, ac)
    class_uid, version_name = rq.user_data[1], rq.user_data[4]
    assert isinstance(class_uid, ImplementationClassUIDSubItem)
    assert isinstance(version_name, ImplementationVersionNameSubItem)
    assert requestor == Negotiated(
        contexts={
            1: PresentationContext(1, CT, EXPLICIT, as_scu=True, as_scp=True),
            5: PresentationContext(5, MR, EXPLICIT, as_scu=True, as_scp=False),
        },
        maximum_length=131072,
        invoked=5,
        performed=2,
        called_ae="ARCHIVE",
        calling_ae="MODALITY",
        implementation_class_uid=class_uid.implementation_class_uid,
        implementation_version_name=version_name.implementation_version_name,
        user_identity=identity,
        user_identity_response=b"",
        extended={CT: b"\1\0"},
        common_extended=(common,),
    )
    assert acceptor == replace(
        requestor,
        contexts={
            1: PresentationContext(1, CT, EXPLICIT, as_scu=True, as_scp=True),
            5: PresentationContext(5, MR, EXPLICIT, as_scu=False, as_scp=True),
        },
        maximum_length=65536,
        invoked=2,
        performed=5,
    )


def test_a_peer_that_says_nothing_of_itself():
    for side in (as_requestor(rq_with(LENGTH), ac_with()), as_acceptor(rq_with(), ac_with(LENGTH))):
        assert side.maximum_length == 16384
        assert (side.invoked, side.performed) == (1, 1)
        assert (side.implementation_class_uid, side.implementation_version_name) == (None, None)
        assert (side.user_identity, side.user_identity_response) == (None, None)
        assert (side.extended, side.common_extended) == ({}, ())
        assert (side.called_ae, side.calling_ae) == ("ARCHIVE", "MODALITY")


def test_only_accepted_contexts_hold_and_an_unknown_result_is_a_refusal():
    ac = ac_with(contexts={1: (99, EXPLICIT), 3: (0, IMPLICIT)})
    assert list(as_requestor(rq_with(), ac).contexts) == [3]
    assert list(as_acceptor(rq_with(), ac).contexts) == [3]


def test_a_context_left_out_is_refused():
    assert list(as_requestor(rq_with(), ac_with()).contexts) == [1]


@pytest.mark.parametrize(
    ("ac", "message"),
    [
        (ac_with(contexts={5: (0, IMPLICIT)}), "context 5"),
        (ac_with(contexts={5: (3, IMPLICIT)}), "context 5"),
        (ac_with(contexts={3: (0, EXPLICIT)}), f"context 3 with '{EXPLICIT}'"),
        (ac_with(contexts={1: (0, "")}), "context 1 with ''"),
        (AAssociateAC("A", "B", (PresentationContextACItem(1, 0, EXPLICIT),) * 2), "context 1"),
        (ac_with(MaximumLengthSubItem(7)), "maximum length 7"),
    ],
)
def test_an_answer_that_does_not_fit_the_request(ac, message):
    with pytest.raises(InvalidPDU, match=message):
        as_requestor(rq_with(), ac)


def test_the_transfer_syntax_of_a_refused_context_is_not_read():
    assert as_requestor(rq_with(), ac_with(contexts={1: (4, ""), 3: (3, "nonsense")})).contexts == {}


@pytest.mark.parametrize(
    ("asked", "granted", "as_scu", "as_scp"),
    [
        (None, None, True, False),
        (None, (True, True), True, False),
        ((True, True), None, True, False),
        ((True, True), (True, True), True, True),
        ((True, True), (False, True), False, True),
        ((False, True), (True, True), False, True),
        ((False, True), (False, False), False, False),
    ],
)
def test_a_requestor_takes_the_roles_it_asked_for_and_was_granted(asked, granted, as_scu, as_scp):
    rq = rq_with(*([RoleSelectionSubItem(CT, *asked)] if asked else []))
    ac = ac_with(*([RoleSelectionSubItem(CT, *granted)] if granted else []))
    context = as_requestor(rq, ac).contexts[1]
    assert (context.as_scu, context.as_scp) == (as_scu, as_scp)


@pytest.mark.parametrize(
    ("granted", "as_scu", "as_scp"),
    [
        (None, False, True),
        ((True, False), False, True),
        ((False, True), True, False),
        ((True, True), True, True),
    ],
)
def test_an_acceptor_is_the_opposite_of_what_it_granted(granted, as_scu, as_scp):
    ac = ac_with(*([RoleSelectionSubItem(CT, *granted)] if granted else []))
    context = as_acceptor(rq_with(RoleSelectionSubItem(CT, True, True)), ac).contexts[1]
    assert (context.as_scu, context.as_scp) == (as_scu, as_scp)


@pytest.mark.parametrize(
    ("offered", "answered", "invoked", "performed"),
    [
        ((5, 3), (2, 3), 2, 3),
        ((5, 3), (9, 0), 5, 3),
        ((0, 0), (0, 4), 0, 4),
        ((5, 3), None, 1, 1),
        (None, (5, 3), 1, 1),
    ],
)
def test_a_requestor_never_takes_a_wider_window_than_it_offered(offered, answered, invoked, performed):
    rq = rq_with(*([AsynchronousOperationsWindowSubItem(*offered)] if offered else []))
    ac = ac_with(*([AsynchronousOperationsWindowSubItem(*answered)] if answered else []))
    side = as_requestor(rq, ac)
    assert (side.invoked, side.performed) == (invoked, performed)


def test_of_sub_items_that_stand_twice_the_first_counts():
    ac = ac_with(
        MaximumLengthSubItem(1000),
        MaximumLengthSubItem(2000),
        ImplementationClassUIDSubItem("1.1"),
        ImplementationClassUIDSubItem("1.2"),
        ImplementationVersionNameSubItem("ONE"),
        ImplementationVersionNameSubItem("TWO"),
        SOPClassExtendedNegotiationSubItem(CT, b"1"),
        SOPClassExtendedNegotiationSubItem(CT, b"2"),
        UserIdentityACSubItem(b"1"),
        UserIdentityACSubItem(b"2"),
    )
    side = as_requestor(rq_with(), ac)
    assert side.maximum_length == 1000
    assert side.implementation_class_uid == "1.1"
    assert side.implementation_version_name == "ONE"
    assert side.extended == {CT: b"1"}
    assert side.user_identity_response == b"1"
