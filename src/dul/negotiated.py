"""What holds on an association once both of its A-ASSOCIATE PDUs are known (PS3.8 7.1.1; PS3.7 D.3.3).

Pure functions: each side derives it from the request and the answer alone. What to put into them is
`dul.negotiation`'s business.
"""

from msgspec import Struct

from dul.enums import ContextResult
from dul.errors import InvalidPDU
from dul.pdus import (
    AAssociateAC,
    AAssociateRQ,
    AsynchronousOperationsWindowSubItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UserDataSubItem,
    UserIdentityACSubItem,
    UserIdentityRQSubItem,
)

ASSUMED_MAXIMUM_LENGTH = 16384
"""What a peer that announces no maximum length is taken to receive, in bytes."""

SMALLEST_MAXIMUM_LENGTH = 8
"""A P-DATA-TF has 6 bytes before its first fragment, whose length is even (PS3.8 D.1, 9.3.5)."""

_ACCEPTANCE = ContextResult.ACCEPTANCE
_DEFAULT_ROLES = (True, False)
"""The requestor is SCU and not SCP where no role selection says otherwise (PS3.7 D.3.3.4)."""


class PresentationContext(Struct, frozen=True, gc=False):
    """An accepted presentation context; `as_scu` and `as_scp` say what we may be on it."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    as_scu: bool
    as_scp: bool


class Negotiated(Struct, frozen=True):
    """What holds on an association, seen from our side.

    Args:
        contexts: the accepted presentation contexts by id.
        maximum_length: the longest P-DATA-TF the peer receives, in bytes after the header; 0: no limit.
        invoked: how many operations we may have outstanding; 0: any number (PS3.7 D.3.3.3).
        performed: how many operations the peer may have outstanding with us; 0: any number.
        called_ae: called AE title, without padding.
        calling_ae: calling AE title, without padding.
        implementation_class_uid: the peer's; None where it told none.
        implementation_version_name: the peer's; None where it told none.
        user_identity: as the requestor sent it.
        user_identity_response: the acceptor's; None where it sent none.
        extended: the acceptor's answers to extended negotiation by SOP Class UID (PS3.7 D.3.3.5).
        common_extended: as the requestor sent it (PS3.7 D.3.3.6).
    """

    contexts: dict[int, PresentationContext]
    maximum_length: int
    invoked: int
    performed: int
    called_ae: str
    calling_ae: str
    implementation_class_uid: str | None
    implementation_version_name: str | None
    user_identity: UserIdentityRQSubItem | None
    user_identity_response: bytes | None
    extended: dict[str, bytes]
    common_extended: tuple[SOPClassCommonExtendedNegotiationSubItem, ...]


def as_acceptor(rq: AAssociateRQ, ac: AAssociateAC) -> Negotiated:
    """What holds after we answered `rq` with `ac`."""
    asked, answered = rq.user_data, ac.user_data
    abstract_syntaxes = {c.presentation_context_id: c.abstract_syntax for c in rq.presentation_contexts}
    roles = roles_of(answered)
    contexts = {}
    for context in ac.presentation_contexts:
        if context.result == _ACCEPTANCE:
            cid = context.presentation_context_id
            name = abstract_syntaxes[cid]
            peer_is_scu, peer_is_scp = roles.get(name, _DEFAULT_ROLES)
            contexts[cid] = PresentationContext(cid, name, context.transfer_syntax, peer_is_scp, peer_is_scu)
    invoked_by_peer, performed_by_peer = window_of(answered) or (1, 1)
    return _negotiated(rq, asked, answered, asked, contexts, (performed_by_peer, invoked_by_peer))


def as_requestor(rq: AAssociateRQ, ac: AAssociateAC) -> Negotiated:
    """What holds after the peer answered our `rq` with `ac`.

    A context that `ac` leaves out, or answers with an unknown result, counts as refused. A role or a wider
    window that `ac` grants without our having proposed it is not taken.

    Raises:
        InvalidPDU: `ac` answers a context that was not proposed, or one twice, accepts with a transfer syntax
            that was not offered, or announces a maximum length that no fragment fits in.
    """
    asked, answered = rq.user_data, ac.user_data
    proposed = {context.presentation_context_id: context for context in rq.presentation_contexts}
    proposed_roles, granted_roles = roles_of(asked), roles_of(answered)
    roles = {
        uid: both(proposed_roles[uid], granted)
        for uid, granted in granted_roles.items()
        if uid in proposed_roles
    }
    contexts = {}
    for context in ac.presentation_contexts:
        cid = context.presentation_context_id
        proposal = proposed.pop(cid, None)
        if proposal is None:
            raise InvalidPDU(
                f"A-ASSOCIATE-AC answers context {cid}, which was not proposed or is answered twice"
            )
        if context.result != _ACCEPTANCE:
            continue
        transfer_syntax = context.transfer_syntax
        if transfer_syntax not in proposal.transfer_syntaxes:
            raise InvalidPDU(
                f"A-ASSOCIATE-AC accepts context {cid} with {transfer_syntax!r}, which was not offered for it"
            )
        as_scu, as_scp = roles.get(proposal.abstract_syntax, _DEFAULT_ROLES)
        contexts[cid] = PresentationContext(cid, proposal.abstract_syntax, transfer_syntax, as_scu, as_scp)
    maximum_length = maximum_length_of(answered)
    if 0 < maximum_length < SMALLEST_MAXIMUM_LENGTH:
        raise InvalidPDU(f"A-ASSOCIATE-AC announces maximum length {maximum_length}: no fragment fits in it")
    offered, window = window_of(asked) or (1, 1), window_of(answered) or (1, 1)
    invoked, performed = smaller_window(offered[0], window[0]), smaller_window(offered[1], window[1])
    return _negotiated(rq, asked, answered, answered, contexts, (invoked, performed))


def _negotiated(
    rq: AAssociateRQ,
    asked: tuple[UserDataSubItem, ...],
    answered: tuple[UserDataSubItem, ...],
    of_peer: tuple[UserDataSubItem, ...],
    contexts: dict[int, PresentationContext],
    window: tuple[int, int],
) -> Negotiated:
    class_uid = version_name = response = None
    for item in of_peer:
        if isinstance(item, ImplementationClassUIDSubItem):
            class_uid = class_uid or item.implementation_class_uid
        elif isinstance(item, ImplementationVersionNameSubItem):
            version_name = version_name or item.implementation_version_name
    extended: dict[str, bytes] = {}
    for item in answered:
        if isinstance(item, SOPClassExtendedNegotiationSubItem):
            extended.setdefault(item.sop_class_uid, item.service_class_application_information)
        elif isinstance(item, UserIdentityACSubItem) and response is None:
            response = item.server_response
    return Negotiated(
        contexts=contexts,
        maximum_length=maximum_length_of(of_peer),
        invoked=window[0],
        performed=window[1],
        called_ae=rq.called_ae,
        calling_ae=rq.calling_ae,
        implementation_class_uid=class_uid,
        implementation_version_name=version_name,
        user_identity=user_identity_of(asked),
        user_identity_response=response,
        extended=extended,
        common_extended=tuple(i for i in asked if isinstance(i, SOPClassCommonExtendedNegotiationSubItem)),
    )


# Reading sub-items: of several that may stand only once, the first counts


def maximum_length_of(user_data: tuple[UserDataSubItem, ...]) -> int:
    for item in user_data:
        if isinstance(item, MaximumLengthSubItem):
            return item.maximum_length_received
    return ASSUMED_MAXIMUM_LENGTH


def window_of(user_data: tuple[UserDataSubItem, ...]) -> tuple[int, int] | None:
    for item in user_data:
        if isinstance(item, AsynchronousOperationsWindowSubItem):
            return item.maximum_number_operations_invoked, item.maximum_number_operations_performed
    return None


def user_identity_of(user_data: tuple[UserDataSubItem, ...]) -> UserIdentityRQSubItem | None:
    for item in user_data:
        if isinstance(item, UserIdentityRQSubItem):
            return item
    return None


def roles_of(user_data: tuple[UserDataSubItem, ...]) -> dict[str, tuple[bool, bool]]:
    roles: dict[str, tuple[bool, bool]] = {}
    for item in user_data:
        if isinstance(item, RoleSelectionSubItem):
            roles.setdefault(item.sop_class_uid, (item.scu_role, item.scp_role))
    return roles


def both(asked: tuple[bool, bool], allowed: tuple[bool, bool]) -> tuple[bool, bool]:
    return asked[0] and allowed[0], asked[1] and allowed[1]


def smaller_window(one: int, other: int) -> int:
    """The smaller of two numbers of operations, where 0 means any number."""
    return min(one, other) if one and other else one or other
