"""What an acceptor answers, and what a requestor proposes."""

import pytest
from msgspec.structs import replace

from dul.enums import ContextResult, UserIdentityType
from dul.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dul.negotiation import (
    AcceptorPolicy,
    ProposedContext,
    SupportedContext,
    answer,
    as_acceptor,
    build_request,
    tolerated,
)
from dul.pdus import (
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    ApplicationContextItem,
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    PresentationContextACItem,
    PresentationContextRQItem,
    RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UnknownItem,
    UserDataSubItem,
    UserIdentityACSubItem,
    UserIdentityRQSubItem,
    UserInformationItem,
    VariableItem,
)
from dul.reasons import RejectReason

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
COMMITMENT = "1.2.840.10008.1.20.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG = "1.2.840.10008.1.2.4.50"
RLE = "1.2.840.10008.1.2.5"

APPLICATION_CONTEXT = ApplicationContextItem("1.2.840.10008.3.1.1.1")
UNCOMPRESSED = frozenset({IMPLICIT, EXPLICIT, BIG_ENDIAN})
POLICY = AcceptorPolicy(
    "ARCHIVE",
    {
        VERIFICATION: SupportedContext(UNCOMPRESSED),
        CT: SupportedContext(UNCOMPRESSED | {JPEG}, scu_role=True),
        MR: SupportedContext(UNCOMPRESSED),
        FIND: SupportedContext(UNCOMPRESSED),
        COMMITMENT: SupportedContext(UNCOMPRESSED, scu_role=True, scp_role=False),
    },
)
ECHO = PresentationContextRQItem(1, VERIFICATION, (IMPLICIT,))
PEER = ImplementationClassUIDSubItem("1.2.3.4")


def request(
    *contexts: PresentationContextRQItem,
    user_data: tuple[UserDataSubItem, ...] = (MaximumLengthSubItem(16384),),
    called: str = "ARCHIVE",
    calling: str = "MODALITY",
) -> AAssociateRQ:
    items: tuple[VariableItem, ...] = (
        APPLICATION_CONTEXT,
        *(contexts or (ECHO,)),
        UserInformationItem((*user_data, PEER)),
    )
    return AAssociateRQ(called, calling, items)


def accepted(rq: AAssociateRQ, policy: AcceptorPolicy = POLICY) -> AAssociateAC:
    ac = answer(rq, policy)
    assert isinstance(ac, AAssociateAC), ac
    return ac


def asking(*sub_items: UserDataSubItem, contexts: tuple[PresentationContextRQItem, ...] = ()) -> AAssociateRQ:
    return request(*contexts, user_data=(MaximumLengthSubItem(16384), *sub_items))


def answered(kind: type, rq: AAssociateRQ, policy: AcceptorPolicy = POLICY) -> list[UserDataSubItem]:
    return [item for item in accepted(rq, policy).user_data if isinstance(item, kind)]


def rejection(source: int, reason: int) -> AAssociateRJ:
    return AAssociateRJ(1, RejectReason(source, reason))


# The A-ASSOCIATE-AC as a whole


def test_the_answer_in_full():
    rq = replace(
        request(called="ARCHIVE".ljust(16), calling="  MODALITY".ljust(16)),
        reserved=bytes(range(32)),
        protocol_version=3,
    )
    assert answer(rq, POLICY) == AAssociateAC(
        "ARCHIVE".ljust(16),
        "  MODALITY".ljust(16),
        (
            APPLICATION_CONTEXT,
            PresentationContextACItem(1, 0, IMPLICIT),
            UserInformationItem(
                (
                    MaximumLengthSubItem(131072),
                    ImplementationClassUIDSubItem(IMPLEMENTATION_CLASS_UID),
                    ImplementationVersionNameSubItem(IMPLEMENTATION_VERSION_NAME),
                )
            ),
        ),
        protocol_version=1,
        reserved=bytes(range(32)),
    )


def test_items_in_any_order_and_unknown_ones():
    rq = AAssociateRQ(
        "ARCHIVE",
        "MODALITY",
        (
            UserInformationItem((UnknownItem(0x7E, b"?"), PEER, MaximumLengthSubItem(16384))),
            UnknownItem(0x7F, b"?"),
            ECHO,
            APPLICATION_CONTEXT,
        ),
    )
    assert accepted(rq).presentation_contexts == (PresentationContextACItem(1, 0, IMPLICIT),)


def test_our_maximum_length_is_the_policys():
    policy = replace(POLICY, maximum_length=65536)
    assert answered(MaximumLengthSubItem, request(), policy) == [MaximumLengthSubItem(65536)]


# Rejection


@pytest.mark.parametrize(
    "items",
    [
        (),
        (ApplicationContextItem("1.2.3"),),
        (APPLICATION_CONTEXT, APPLICATION_CONTEXT),
        (APPLICATION_CONTEXT, ApplicationContextItem("1.2.3")),
    ],
    ids=["missing", "another", "twice", "two"],
)
def test_application_context(items):
    rq = request()
    rq = replace(rq, variable_items=(*items, *rq.variable_items[1:]))
    assert answer(rq, POLICY) == rejection(1, 2)
    accepted(rq, replace(POLICY, tolerate=frozenset({"application-context"})))


@pytest.mark.parametrize("called", ["ARCHIVE", "ARCHIVE         ", "    ARCHIVE     ", "ARCHIVE\0\0\0"])
def test_called_title_that_is_ours(called):
    accepted(request(called=called))


BAD_TITLES = ["", " " * 16, "AB\0CD", "A\tB", "A\\B", "A\x7f", "GRÖẞE", "A\x80"]


@pytest.mark.parametrize("called", ["OTHER", "archive", "ARCHIVE2", *BAD_TITLES])
def test_called_title_that_is_not_ours(called):
    assert answer(request(called=called), POLICY) == rejection(1, 7)


@pytest.mark.parametrize("title", BAD_TITLES)
def test_a_title_that_is_none_is_never_accepted(title):
    anybody = replace(POLICY, ae_title=None, tolerate=frozenset({"called-ae-title", "ae-title-case"}))
    assert answer(request(called=title), anybody) == rejection(1, 7)
    assert answer(request(calling=title), anybody) == rejection(1, 3)


def test_any_called_title():
    accepted(request(called="OTHER"), replace(POLICY, ae_title=None))
    accepted(request(called="OTHER"), replace(POLICY, tolerate=frozenset({"called-ae-title"})))


def test_called_title_in_other_case():
    policy = replace(POLICY, tolerate=frozenset({"ae-title-case"}))
    accepted(request(called="Archive"), policy)
    assert answer(request(called="Archives"), policy) == rejection(1, 7)


def test_no_implementation_class_uid():
    user_information = UserInformationItem((MaximumLengthSubItem(0),))
    rq = replace(request(), variable_items=(APPLICATION_CONTEXT, ECHO, user_information))
    assert answer(rq, POLICY) == rejection(1, 1)
    policy = replace(POLICY, tolerate=frozenset({"implementation-class-uid"}))
    accepted(rq, policy)
    assert tolerated(rq, policy) == {"implementation-class-uid"}


def test_no_presentation_context():
    rq = replace(
        request(), variable_items=(APPLICATION_CONTEXT, UserInformationItem((MaximumLengthSubItem(0), PEER)))
    )
    assert answer(rq, POLICY) == rejection(1, 1)


def test_no_user_information():
    assert answer(replace(request(), variable_items=(APPLICATION_CONTEXT, ECHO)), POLICY) == rejection(1, 1)


@pytest.mark.parametrize("length", range(1, 8))
def test_a_maximum_length_that_no_fragment_fits_in(length):
    assert answer(request(user_data=(MaximumLengthSubItem(length),)), POLICY) == rejection(1, 1)


@pytest.mark.parametrize("length", [0, 8, 128, 0xFFFFFFFF])
def test_any_other_maximum_length(length):
    rq = request(user_data=(MaximumLengthSubItem(length),))
    assert as_acceptor(rq, accepted(rq)).maximum_length == length


# Presentation contexts


def result_of(*offered: str, abstract_syntax: str = CT) -> tuple[int, str]:
    (context,) = accepted(
        request(PresentationContextRQItem(3, abstract_syntax, offered))
    ).presentation_contexts
    assert context.presentation_context_id == 3
    return context.result, context.transfer_syntax


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ((IMPLICIT,), IMPLICIT),
        ((EXPLICIT, IMPLICIT), EXPLICIT),
        ((IMPLICIT, EXPLICIT), EXPLICIT),
        ((RLE, IMPLICIT, BIG_ENDIAN, EXPLICIT), EXPLICIT),
        ((IMPLICIT, BIG_ENDIAN), IMPLICIT),
        ((BIG_ENDIAN, IMPLICIT, EXPLICIT), BIG_ENDIAN),
        ((JPEG, EXPLICIT), JPEG),
        ((IMPLICIT, JPEG), IMPLICIT),
    ],
)
def test_the_first_offered_but_explicit_before_implicit(offered, chosen):
    assert result_of(*offered) == (ContextResult.ACCEPTANCE, chosen)


def test_implicit_where_explicit_is_offered_but_not_supported():
    policy = replace(POLICY, supported={CT: SupportedContext((IMPLICIT,))})
    rq = request(PresentationContextRQItem(1, CT, (EXPLICIT, IMPLICIT)))
    assert accepted(rq, policy).presentation_contexts == (PresentationContextACItem(1, 0, IMPLICIT),)


def test_unknown_abstract_syntax():
    assert result_of(JPEG, RLE, abstract_syntax="1.2.3") == (
        ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED,
        JPEG,
    )


def test_no_common_transfer_syntax():
    assert result_of(RLE, "1.2.3") == (ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, RLE)


def test_no_transfer_syntax_at_all():
    assert result_of() == (ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED, IMPLICIT)


def test_every_context_is_answered_on_its_own_and_in_order():
    rq = request(
        PresentationContextRQItem(5, CT, (JPEG,)),
        PresentationContextRQItem(1, CT, (IMPLICIT,)),
        PresentationContextRQItem(3, CT, (RLE,)),
        PresentationContextRQItem(255, "1.2.3", (RLE,)),
    )
    assert accepted(rq).presentation_contexts == (
        PresentationContextACItem(5, 0, JPEG),
        PresentationContextACItem(1, 0, IMPLICIT),
        PresentationContextACItem(3, 4, RLE),
        PresentationContextACItem(255, 3, RLE),
    )


def test_128_contexts():
    rq = build_request(called_ae="ARCHIVE", calling_ae="X", contexts=[ProposedContext(CT, (IMPLICIT,))] * 128)
    contexts = accepted(rq).presentation_contexts
    assert [context.presentation_context_id for context in contexts] == list(range(1, 256, 2))
    assert {context.result for context in contexts} == {0}


def test_all_contexts_refused_is_still_an_acceptance():
    rq = request(PresentationContextRQItem(1, "1.2.3", (IMPLICIT,)))
    assert as_acceptor(rq, accepted(rq)).contexts == {}


# Role selection


def granted(uid: str, scu: bool, scp: bool) -> tuple[list[UserDataSubItem], int]:
    rq = asking(
        RoleSelectionSubItem(uid, scu, scp), contexts=(PresentationContextRQItem(1, uid, (IMPLICIT,)),)
    )
    return answered(RoleSelectionSubItem, rq), accepted(rq).presentation_contexts[0].result


@pytest.mark.parametrize(
    ("uid", "proposed", "expected"),
    [
        (CT, (True, True), (True, True)),
        (CT, (False, True), (False, True)),
        (CT, (True, False), (True, False)),
        (MR, (True, True), (True, False)),
        (MR, (True, False), (True, False)),
        (COMMITMENT, (True, True), (False, True)),
        (COMMITMENT, (False, True), (False, True)),
    ],
)
def test_roles_are_granted_as_proposed_and_allowed(uid, proposed, expected):
    assert granted(uid, *proposed) == ([RoleSelectionSubItem(uid, *expected)], ContextResult.ACCEPTANCE)


@pytest.mark.parametrize(("uid", "proposed"), [(MR, (False, True)), (COMMITMENT, (True, False))])
def test_a_context_on_which_no_role_is_left_is_refused(uid, proposed):
    assert granted(uid, *proposed) == ([], ContextResult.USER_REJECTION)


def test_a_context_of_which_we_are_only_scu_needs_role_selection():
    assert result_of(IMPLICIT, abstract_syntax=COMMITMENT) == (ContextResult.USER_REJECTION, IMPLICIT)


def test_to_propose_neither_role_is_no_proposal():
    assert granted(CT, False, False) == ([], ContextResult.ACCEPTANCE)


@pytest.mark.parametrize("uid", [MR, "1.2.3"], ids=["supported", "unknown"])
def test_roles_for_a_class_that_is_in_no_context_are_ignored(uid):
    assert answered(RoleSelectionSubItem, asking(RoleSelectionSubItem(uid, True, True))) == []


def test_roles_named_twice_are_answered_once():
    rq = asking(
        RoleSelectionSubItem(CT, False, True),
        RoleSelectionSubItem(CT, True, True),
        contexts=(PresentationContextRQItem(1, CT, (IMPLICIT,)),),
    )
    assert answered(RoleSelectionSubItem, rq) == [RoleSelectionSubItem(CT, False, True)]


# Asynchronous operations window


def test_no_window_is_answered_with_none():
    assert answered(AsynchronousOperationsWindowSubItem, request()) == []


@pytest.mark.parametrize(
    ("ours", "offered", "expected"),
    [
        ((8, 8), (5, 5), (5, 5)),
        ((8, 8), (0, 0), (8, 8)),
        ((8, 8), (1, 20), (1, 8)),
        ((2, 8), (20, 20), (8, 2)),  # the requestor performs what we invoke
        ((2, 8), (0, 1), (8, 1)),
        ((0, 0), (0, 0), (0, 0)),
        ((0, 0), (3, 0), (3, 0)),
    ],
)
def test_the_window_never_exceeds_what_was_offered_or_what_we_allow(ours, offered, expected):
    rq = asking(AsynchronousOperationsWindowSubItem(*offered))
    policy = replace(POLICY, window=ours)
    assert answered(AsynchronousOperationsWindowSubItem, rq, policy) == [
        AsynchronousOperationsWindowSubItem(*expected)
    ]


# Extended negotiation


def test_extended_negotiation_is_answered_where_the_service_answers():
    contexts = (
        PresentationContextRQItem(1, FIND, (IMPLICIT,)),
        PresentationContextRQItem(3, CT, (IMPLICIT,)),
        PresentationContextRQItem(5, MR, (RLE,)),
    )
    rq = asking(
        *(SOPClassExtendedNegotiationSubItem(uid, b"\1\1") for uid in (FIND, CT, MR, VERIFICATION)),
        contexts=contexts,
    )
    asked: list[tuple[str, bytes]] = []

    def hook(uid: str, information: bytes) -> bytes | None:
        asked.append((uid, information))
        return b"\1\0" if uid == FIND else None

    policy = replace(POLICY, extended=hook)
    assert answered(SOPClassExtendedNegotiationSubItem, rq, policy) == [
        SOPClassExtendedNegotiationSubItem(FIND, b"\1\0")
    ]
    assert asked == [(FIND, b"\1\1"), (CT, b"\1\1")]  # neither for a refused class nor for one not proposed


def test_extended_negotiation_without_a_hook_is_not_answered():
    rq = asking(SOPClassExtendedNegotiationSubItem(VERIFICATION, b"\1"))
    assert answered(SOPClassExtendedNegotiationSubItem, rq) == []


def test_common_extended_negotiation_is_never_answered():
    item = SOPClassCommonExtendedNegotiationSubItem(VERIFICATION, "1.2.840.10008.4.2")
    assert answered(SOPClassCommonExtendedNegotiationSubItem, asking(item)) == []


# User identity


@pytest.mark.parametrize(
    ("kind", "wanted", "expected"),
    [
        (UserIdentityType.USERNAME, False, []),
        (UserIdentityType.USERNAME, True, [UserIdentityACSubItem(b"")]),
        (UserIdentityType.USERNAME_AND_PASSCODE, True, [UserIdentityACSubItem(b"")]),
        (UserIdentityType.KERBEROS_SERVICE_TICKET, True, []),
        (UserIdentityType.SAML_ASSERTION, True, []),
        (UserIdentityType.JSON_WEB_TOKEN, True, []),
        (0, True, []),
        (255, True, []),
    ],
)
def test_user_identity(kind, wanted, expected):
    rq = asking(UserIdentityRQSubItem(kind, wanted, b"name", b"secret"))
    assert answered(UserIdentityACSubItem, rq) == expected


def test_user_identity_is_answered_as_the_policy_says():
    ticket = UserIdentityRQSubItem(3, True, b"ticket")
    server = replace(POLICY, user_identity=lambda identity: b"server " + identity.primary_field)
    assert answered(UserIdentityACSubItem, asking(ticket), server) == [
        UserIdentityACSubItem(b"server ticket")
    ]
    silent = replace(POLICY, user_identity=lambda identity: None)
    assert answered(UserIdentityACSubItem, asking(ticket), silent) == []


def test_a_user_identity_that_wants_no_response_is_not_asked_about():
    asked = replace(POLICY, user_identity=pytest.fail)
    assert answered(UserIdentityACSubItem, asking(UserIdentityRQSubItem(1, False, b"name")), asked) == []


# The requestor's proposal


def test_a_request_in_full():
    identity = UserIdentityRQSubItem(1, True, b"name")
    extended = SOPClassExtendedNegotiationSubItem(CT, b"\1")
    common = SOPClassCommonExtendedNegotiationSubItem(CT, "1.2.840.10008.4.2")
    rq = build_request(
        called_ae="ARCHIVE",
        calling_ae="MODALITY",
        contexts=[
            ProposedContext(CT, (JPEG, EXPLICIT), scp_role=True),
            ProposedContext(VERIFICATION, (IMPLICIT,)),
            ProposedContext(COMMITMENT, (IMPLICIT,), scu_role=False, scp_role=True),
        ],
        maximum_length=65536,
        window=(4, 2),
        user_identity=identity,
        extended=[extended],
        common_extended=[common],
    )
    assert rq == AAssociateRQ(
        "ARCHIVE",
        "MODALITY",
        (
            APPLICATION_CONTEXT,
            PresentationContextRQItem(1, CT, (JPEG, EXPLICIT)),
            PresentationContextRQItem(3, VERIFICATION, (IMPLICIT,)),
            PresentationContextRQItem(5, COMMITMENT, (IMPLICIT,)),
            UserInformationItem(
                (
                    MaximumLengthSubItem(65536),
                    ImplementationClassUIDSubItem(IMPLEMENTATION_CLASS_UID),
                    AsynchronousOperationsWindowSubItem(4, 2),
                    RoleSelectionSubItem(CT, True, True),
                    RoleSelectionSubItem(COMMITMENT, False, True),
                    ImplementationVersionNameSubItem(IMPLEMENTATION_VERSION_NAME),
                    extended,
                    common,
                    identity,
                )
            ),
        ),
    )


def test_a_plain_request_has_only_what_it_must():
    rq = build_request(called_ae="A", calling_ae="B", contexts=[ProposedContext(CT, (IMPLICIT,))])
    assert [type(item) for item in rq.user_data] == [
        MaximumLengthSubItem,
        ImplementationClassUIDSubItem,
        ImplementationVersionNameSubItem,
    ]


def test_contexts_that_share_a_class_share_its_roles():
    contexts = [ProposedContext(CT, (uid,), scp_role=True) for uid in (JPEG, IMPLICIT)]
    rq = build_request(called_ae="A", calling_ae="B", contexts=contexts)
    assert RoleSelectionSubItem(CT, True, True) in rq.user_data
    with pytest.raises(ValueError, match="propose different roles"):
        build_request(
            called_ae="A",
            calling_ae="B",
            contexts=[*contexts, ProposedContext(CT, (RLE,), scu_role=False, scp_role=True)],
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"called_ae": "TOO LONG A TITLE!"}, "called AE title 'TOO LONG A TITLE!'"),
        ({"called_ae": "  "}, "called AE title '  '"),
        ({"calling_ae": ""}, "calling AE title ''"),
        ({"calling_ae": "A\\B"}, "calling AE title"),
        ({"contexts": []}, "0 presentation contexts: propose 1 to 128"),
        ({"contexts": [ProposedContext(CT, (IMPLICIT,))] * 129}, "129 presentation contexts"),
        ({"contexts": [ProposedContext(CT, ())]}, f"{CT}: offer a transfer syntax"),
        ({"contexts": [ProposedContext(CT, (RLE,), scu_role=False)]}, "proposes neither role"),
    ],
)
def test_a_request_that_cannot_be(arguments, message):
    sound = {"called_ae": "A", "calling_ae": "B", "contexts": [ProposedContext(CT, (IMPLICIT,))]}
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        build_request(**{**sound, **arguments})


@pytest.mark.parametrize(
    ("switch", "rq"),
    [
        ("called-ae-title", request(called="OTHER")),
        ("ae-title-case", request(called="archive")),
    ],
)
def test_only_the_switches_that_were_needed_are_said_to_be_used(switch: str, rq: AAssociateRQ):
    policy = replace(POLICY, tolerate=frozenset({"called-ae-title", "ae-title-case", "application-context"}))
    assert tolerated(rq, policy) == {switch}
    assert tolerated(request(), policy) == frozenset()
