"""Association negotiation as pure functions (PS3.8 7.1.1, 9.3.2, 9.3.3; PS3.7 Annex D.3).

    acceptor                                     requestor
    answer(rq, policy)     -> AC or RJ           build_request(...)   -> RQ
    as_acceptor(rq, ac)    -> Negotiated         as_requestor(rq, ac) -> Negotiated

The lower row is `dul.negotiated`. Who may call, how many may, and whether a password is right is decided
elsewhere.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from dul.enums import ContextResult, RejectResult, UserIdentityType
from dul.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dul.negotiated import (
    ASSUMED_MAXIMUM_LENGTH,
    SMALLEST_MAXIMUM_LENGTH,
    Negotiated,
    PresentationContext,
    as_acceptor,
    as_requestor,
    both,
    maximum_length_of,
    roles_of,
    smaller_window,
    user_identity_of,
    window_of,
)
from dul.pdus import (
    AE_TITLE_LENGTH,
    APPLICATION_CONTEXT_NAME,
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
    UserDataSubItem,
    UserIdentityACSubItem,
    UserIdentityRQSubItem,
    UserInformationItem,
    VariableItem,
    significant,
)
from dul.reasons import RejectReason

__all__ = [
    "ASSUMED_MAXIMUM_LENGTH",
    "AcceptorPolicy",
    "Negotiated",
    "PresentationContext",
    "ProposedContext",
    "SupportedContext",
    "answer",
    "as_acceptor",
    "as_requestor",
    "build_request",
]

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

MAXIMUM_CONTEXTS = 128
"""The odd context ids from 1 to 255 (PS3.8 9.3.2.2)."""

_ACCEPTANCE = ContextResult.ACCEPTANCE
_USER_REJECTION = ContextResult.USER_REJECTION
_ABSTRACT_SYNTAX_NOT_SUPPORTED = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
_TRANSFER_SYNTAXES_NOT_SUPPORTED = ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED


class SupportedContext(Struct, frozen=True, gc=False):
    """How an acceptor supports one abstract syntax.

    Args:
        transfer_syntaxes: those it takes, best as a frozenset: the requestor's order decides, not ours.
        scu_role: whether we would act as SCU, that is, let the requestor be SCP (as C-GET needs).
        scp_role: whether we would act as SCP, the acceptor's role where nothing else is negotiated.
    """

    transfer_syntaxes: Collection[str]
    scu_role: bool = False
    scp_role: bool = True


class ProposedContext(Struct, frozen=True, gc=False):
    """What a requestor proposes for one presentation context.

    A role that is not None makes a role selection item, in which the other role, if None, has its default:
    SCU proposed, SCP not (PS3.7 D.3.3.4).
    """

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    scu_role: bool | None = None
    scp_role: bool | None = None


class AcceptorPolicy(Struct):
    """What an acceptor agrees to.

    Args:
        ae_title: our AE title; None answers to any called title that is a title at all.
        supported: abstract syntax -> how we support it.
        maximum_length: longest P-DATA-TF we receive, in bytes after the header.
        window: most operations (we may invoke, we may be asked to perform) at a time; 0: any number.
        extended: answers extended negotiation, (SOP Class UID, information) -> information or None.
        user_identity: answers a user identity whose sender asked for a response, with the server response or
            None; without it types 1 and 2 are acknowledged with an empty one (PS3.7 D.3.3.7.2).
        tolerate: what to let pass: "application-context" (another application context name),
            "called-ae-title" (any called title), "ae-title-case" (called title in other letter case),
            "implementation-class-uid" (none).
    """

    ae_title: str | None
    supported: Mapping[str, SupportedContext]
    maximum_length: int = 131072
    window: tuple[int, int] = (8, 8)
    extended: Callable[[str, bytes], bytes | None] | None = None
    user_identity: Callable[[UserIdentityRQSubItem], bytes | None] | None = None
    tolerate: frozenset[str] = frozenset()


def answer(rq: AAssociateRQ, policy: AcceptorPolicy) -> AAssociateAC | AAssociateRJ:
    """The answer that `policy` gives to `rq`.

    Returns:
        An A-ASSOCIATE-RJ where the titles, the application context or the user information will not do, or no
        context is proposed; else an A-ASSOCIATE-AC, even where it refuses every context (PS3.8 9.3.3.2).
    """
    proposed, asked = rq.presentation_contexts, rq.user_data
    reason = _why_rejected(rq, proposed, asked, policy)
    if reason is not None:
        return AAssociateRJ(RejectResult.PERMANENT, reason)
    roles = _granted_roles(asked, policy.supported)
    accepted: set[str] = set()
    contexts = [_answer_context(context, policy.supported, roles, accepted) for context in proposed]
    user_data = _acceptor_user_data(asked, roles, accepted, policy)
    return AAssociateAC(
        called_ae_title=rq.called_ae_title,
        calling_ae_title=rq.calling_ae_title,
        variable_items=(
            ApplicationContextItem(APPLICATION_CONTEXT_NAME),
            *contexts,
            UserInformationItem(user_data),
        ),
        reserved=rq.reserved,
    )


def tolerated(rq: AAssociateRQ, policy: AcceptorPolicy) -> frozenset[str]:
    """The switches of `policy.tolerate` without which `rq` would have been rejected."""
    used = set()
    if rq.application_context_name != APPLICATION_CONTEXT_NAME:
        used.add("application-context")
    if policy.ae_title is not None and rq.called_ae != policy.ae_title:
        same = rq.called_ae.lower() == policy.ae_title.lower() and "ae-title-case" in policy.tolerate
        used.add("ae-title-case" if same else "called-ae-title")
    if not _names_implementation(rq.user_data):
        used.add("implementation-class-uid")
    return policy.tolerate & used


def build_request(
    *,
    called_ae: str,
    calling_ae: str,
    contexts: Sequence[ProposedContext],
    maximum_length: int = 131072,
    window: tuple[int, int] = (1, 1),
    user_identity: UserIdentityRQSubItem | None = None,
    extended: Sequence[SOPClassExtendedNegotiationSubItem] = (),
    common_extended: Sequence[SOPClassCommonExtendedNegotiationSubItem] = (),
) -> AAssociateRQ:
    """An A-ASSOCIATE-RQ that proposes `contexts` under ids 1, 3, 5 ... in their order.

    Args:
        called_ae: AE title of the peer, 1 to 16 characters.
        calling_ae: our AE title, 1 to 16 characters.
        contexts: 1 to 128 of them. Role selection goes by abstract syntax, so contexts that share one and
            propose roles must propose the same.
        maximum_length: longest P-DATA-TF we receive, in bytes after the header; 0: no limit.
        window: most operations (we want to invoke, we agree to perform) at a time, 0: any number. The item is
            left out for (1, 1), the default: some peers cannot read it.
        user_identity: who we are (PS3.7 D.3.3.7).
        extended: extended negotiation (PS3.7 D.3.3.5).
        common_extended: common extended negotiation (PS3.7 D.3.3.6).

    Raises:
        ValueError: an argument that no A-ASSOCIATE-RQ can carry.
    """
    for name, title in (("called", called_ae), ("calling", calling_ae)):
        if not _is_title(significant(title)) or len(title) > AE_TITLE_LENGTH:
            raise ValueError(
                f"{name} AE title {title!r}: give 1 to 16 printable ASCII characters, no backslash"
            )
    if not 1 <= len(contexts) <= MAXIMUM_CONTEXTS:
        raise ValueError(f"{len(contexts)} presentation contexts: propose 1 to {MAXIMUM_CONTEXTS}")
    items: list[VariableItem] = [ApplicationContextItem(APPLICATION_CONTEXT_NAME)]
    for index, context in enumerate(contexts):
        if not context.transfer_syntaxes:
            raise ValueError(f"presentation context for {context.abstract_syntax}: offer a transfer syntax")
        items.append(
            PresentationContextRQItem(
                2 * index + 1, context.abstract_syntax, tuple(context.transfer_syntaxes)
            )
        )
    user_data: list[UserDataSubItem] = [
        MaximumLengthSubItem(maximum_length),
        ImplementationClassUIDSubItem(IMPLEMENTATION_CLASS_UID),
    ]
    if window != (1, 1):
        user_data.append(AsynchronousOperationsWindowSubItem(*window))
    user_data += _role_proposals(contexts)
    user_data.append(ImplementationVersionNameSubItem(IMPLEMENTATION_VERSION_NAME))
    user_data += extended
    user_data += common_extended
    if user_identity is not None:
        user_data.append(user_identity)
    items.append(UserInformationItem(tuple(user_data)))
    return AAssociateRQ(called_ae, calling_ae, tuple(items))


# The acceptor's answer


def _why_rejected(
    rq: AAssociateRQ,
    proposed: tuple[PresentationContextRQItem, ...],
    asked: tuple[UserDataSubItem, ...],
    policy: AcceptorPolicy,
) -> RejectReason | None:
    names = [i.application_context_name for i in rq.variable_items if isinstance(i, ApplicationContextItem)]
    if names != [APPLICATION_CONTEXT_NAME] and "application-context" not in policy.tolerate:
        return RejectReason.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED
    if not _is_called(rq.called_ae, policy):
        return RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED
    if not _is_title(rq.calling_ae):
        return RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED
    if not proposed or not asked or 0 < maximum_length_of(asked) < SMALLEST_MAXIMUM_LENGTH:
        return RejectReason.NO_REASON_GIVEN
    if not _names_implementation(asked) and "implementation-class-uid" not in policy.tolerate:
        return RejectReason.NO_REASON_GIVEN
    return None


def _names_implementation(asked: tuple[UserDataSubItem, ...]) -> bool:
    """PS3.7 D.3.3.2: the Implementation Class UID is required."""
    return any(isinstance(item, ImplementationClassUIDSubItem) for item in asked)


def _is_called(title: str, policy: AcceptorPolicy) -> bool:
    if not _is_title(title):
        return False
    if policy.ae_title is None or title == policy.ae_title or "called-ae-title" in policy.tolerate:
        return True
    return "ae-title-case" in policy.tolerate and title.lower() == policy.ae_title.lower()


def _is_title(title: str) -> bool:
    """Whether `title`, without padding, is an AE title: not blank, no control character, no backslash."""
    return bool(title) and title.isascii() and title.isprintable() and "\\" not in title


def _answer_context(
    context: PresentationContextRQItem,
    supported: Mapping[str, SupportedContext],
    roles: Mapping[str, tuple[bool, bool]],
    accepted: set[str],
) -> PresentationContextACItem:
    """The answer to one context; its abstract syntax joins `accepted` where it is accepted."""
    name, offered = context.abstract_syntax, context.transfer_syntaxes
    support = supported.get(name)
    if support is None:
        result = _ABSTRACT_SYNTAX_NOT_SUPPORTED
    elif not any(roles.get(name, (support.scp_role, False))):
        result = _USER_REJECTION  # neither side could do anything on it
    else:
        chosen = _choose(offered, support.transfer_syntaxes)
        if chosen is not None:
            accepted.add(name)
            return PresentationContextACItem(context.presentation_context_id, _ACCEPTANCE, chosen)
        result = _TRANSFER_SYNTAXES_NOT_SUPPORTED
    # A refused context, too, carries a transfer syntax: nobody reads it, some peers miss it (9.3.3.2).
    unread = offered[0] if offered else IMPLICIT_VR_LITTLE_ENDIAN
    return PresentationContextACItem(context.presentation_context_id, result, unread)


def _choose(offered: tuple[str, ...], supported: Collection[str]) -> str | None:
    """The first offered transfer syntax that is supported, but Explicit VR LE rather than Implicit VR LE."""
    for uid in offered:
        if uid in supported:
            if uid == IMPLICIT_VR_LITTLE_ENDIAN and EXPLICIT_VR_LITTLE_ENDIAN in supported:
                return EXPLICIT_VR_LITTLE_ENDIAN if EXPLICIT_VR_LITTLE_ENDIAN in offered else uid
            return uid
    return None


def _granted_roles(
    asked: tuple[UserDataSubItem, ...], supported: Mapping[str, SupportedContext]
) -> dict[str, tuple[bool, bool]]:
    """The requestor's (SCU, SCP) roles by SOP class: what it asks for and we allow (PS3.7 D.3.3.4)."""
    granted = {}
    for uid, roles in roles_of(asked).items():
        support = supported.get(uid)
        if support is not None and any(roles):  # to propose neither role is no proposal
            granted[uid] = both(roles, (support.scp_role, support.scu_role))
    return granted


def _acceptor_user_data(
    asked: tuple[UserDataSubItem, ...],
    roles: Mapping[str, tuple[bool, bool]],
    accepted: set[str],
    policy: AcceptorPolicy,
) -> tuple[UserDataSubItem, ...]:
    """Our sub-items, ascending by type; those that answer something only where it was asked."""
    user_data: list[UserDataSubItem] = [
        MaximumLengthSubItem(policy.maximum_length),
        ImplementationClassUIDSubItem(IMPLEMENTATION_CLASS_UID),
    ]
    window = window_of(asked)
    if window is not None:
        we_invoke, we_perform = policy.window  # what the requestor invokes, we perform
        user_data.append(
            AsynchronousOperationsWindowSubItem(
                smaller_window(window[0], we_perform), smaller_window(window[1], we_invoke)
            )
        )
    user_data += [RoleSelectionSubItem(uid, *granted) for uid, granted in roles.items() if uid in accepted]
    user_data.append(ImplementationVersionNameSubItem(IMPLEMENTATION_VERSION_NAME))
    if policy.extended is not None:
        for item in asked:
            if isinstance(item, SOPClassExtendedNegotiationSubItem) and item.sop_class_uid in accepted:
                information = policy.extended(item.sop_class_uid, item.service_class_application_information)
                if information is not None:
                    user_data.append(SOPClassExtendedNegotiationSubItem(item.sop_class_uid, information))
    identity = user_identity_of(asked)
    if identity is not None and identity.positive_response_requested:
        response = (policy.user_identity or _acknowledge_username)(identity)
        if response is not None:
            user_data.append(UserIdentityACSubItem(response))
    return tuple(user_data)


def _acknowledge_username(identity: UserIdentityRQSubItem) -> bytes | None:
    by_name = (UserIdentityType.USERNAME, UserIdentityType.USERNAME_AND_PASSCODE)
    return b"" if identity.user_identity_type in by_name else None


# The requestor's proposal


def _role_proposals(contexts: Sequence[ProposedContext]) -> list[RoleSelectionSubItem]:
    proposals: dict[str, RoleSelectionSubItem] = {}
    for context in contexts:
        if context.scu_role is None and context.scp_role is None:
            continue
        uid = context.abstract_syntax
        item = RoleSelectionSubItem(uid, context.scu_role is not False, context.scp_role is True)
        if not (item.scu_role or item.scp_role):
            raise ValueError(f"context for {uid} proposes neither role: be its SCU, its SCP, or both")
        if proposals.setdefault(uid, item) != item:
            raise ValueError(f"contexts for {uid} propose different roles: role selection goes by SOP class")
    return list(proposals.values())
