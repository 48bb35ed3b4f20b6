"""What both ends agreed on, and where an A-ASSOCIATE-AC does not answer its request (PS3.8 9.3.3; PS3.7 D.3.3).

`dul.negotiated` refuses such an answer; here it is taken as far as it goes and each fault is named.
"""

from collections.abc import Iterator

from msgspec import Struct

from dul.enums import ContextResult
from dul.negotiated import roles_of, smaller_window, window_of
from dul.pdus import (
    AAssociateAC,
    AAssociateRQ,
    MaximumLengthSubItem,
    PDataTF,
    PresentationContextRQItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UserDataSubItem,
    UserIdentityACSubItem,
    UserIdentityRQSubItem,
)
from services.printable import printable
from services.trace.dissect import Context
from services.trace.fields import Side

_DEFAULT_ROLES = (True, False)


class Agreement(Struct, frozen=True):
    """What holds on a traced association.

    Attributes:
        contexts: the accepted ones by id; their abstract syntax is empty where the request was not seen.
        refused: ids of those that were refused.
        longest: what each side announced as the longest P-DATA-TF it receives, in bytes after the header; 0 is no
            limit, and so is a side that is missing.
        window: how many operations each side may have outstanding; 0 is any number.
        roles: what the requestor may be by abstract syntax, SCU and SCP, where role selection says it.
    """

    contexts: dict[int, Context]
    refused: frozenset[int]
    longest: dict[Side, int]
    window: dict[Side, int]
    roles: dict[str, tuple[bool, bool]]

    def may_be_scu(self, side: Side, abstract_syntax: str) -> bool:
        """Whether this side may invoke the operations of a SOP class (PS3.7 D.3.3.4)."""
        scu, scp = self.roles.get(abstract_syntax, _DEFAULT_ROLES)
        return scu if side is Side.REQUESTOR else scp

    def faults_of_data(self, pdu: PDataTF, length: int, receiver: Side) -> list[str]:
        """What a P-DATA-TF of `length` bytes after its header breaks of what was agreed on."""
        faults = []
        longest = self.longest.get(receiver, 0)
        if longest and length > longest:
            faults.append(
                f"P-DATA-TF of {length} bytes where the {receiver.value} announced to receive {longest} at most "
                "(PS3.8 D.1)"
            )
        for context_id in dict.fromkeys(pdv.presentation_context_id for pdv in pdu.pdvs):
            if context_id not in self.contexts:
                how = "was refused" if context_id in self.refused else "was not negotiated"
                faults.append(f"a PDV on presentation context {context_id}, which {how} (PS3.8 9.3.5.1)")
        return faults


def agreement(rq: AAssociateRQ | None, ac: AAssociateAC) -> Agreement:
    """What holds after `ac`.

    Args:
        rq: None where it was not seen or could not be decoded.
        ac: its answer.
    """
    asked = rq.user_data if rq is not None else ()
    proposed = _proposed(rq)
    contexts: dict[int, Context] = {}
    refused: set[int] = set()
    for item in ac.presentation_contexts:
        if item.result != ContextResult.ACCEPTANCE:
            refused.add(item.presentation_context_id)
            continue
        proposal = proposed.get(item.presentation_context_id)
        abstract_syntax = proposal.abstract_syntax if proposal else ""
        contexts.setdefault(item.presentation_context_id, Context(abstract_syntax, item.transfer_syntax))
    offered, granted = window_of(asked) or (1, 1), window_of(ac.user_data) or (1, 1)
    wanted, given = roles_of(asked), roles_of(ac.user_data)
    return Agreement(
        contexts=contexts,
        refused=frozenset(refused - contexts.keys()),
        longest={Side.REQUESTOR: _longest(asked), Side.ACCEPTOR: _longest(ac.user_data)},
        window={
            Side.REQUESTOR: smaller_window(offered[0], granted[0]),
            Side.ACCEPTOR: smaller_window(offered[1], granted[1]),
        },
        roles={
            uid: (wanted[uid][0] and given[uid][0], wanted[uid][1] and given[uid][1])
            for uid in wanted.keys() & given.keys()
        },
    )


def _proposed(rq: AAssociateRQ | None) -> dict[int, PresentationContextRQItem]:
    proposed: dict[int, PresentationContextRQItem] = {}
    for item in rq.presentation_contexts if rq is not None else ():
        proposed.setdefault(item.presentation_context_id, item)
    return proposed


def _longest(user_data: tuple[UserDataSubItem, ...]) -> int:
    for item in user_data:
        if isinstance(item, MaximumLengthSubItem):
            return item.maximum_length_received
    return 0


def faults_of_answer(rq: AAssociateRQ, ac: AAssociateAC) -> list[str]:
    """What `ac` says that `rq` does not allow, each with its clause."""
    return [*_version(rq), *_titles(rq, ac), *_contexts(rq, ac), *_user_data(rq, ac)]


def _version(rq: AAssociateRQ) -> Iterator[str]:
    if not rq.protocol_version & 1:
        yield (
            f"accepts protocol version {rq.protocol_version:04X}H, whose bit 0 is not set: it must be rejected with "
            "1/2/2 (PS3.8 9.3.2, 9.3.4)"
        )


def _titles(rq: AAssociateRQ, ac: AAssociateAC) -> Iterator[str]:
    same = (
        rq.called_ae_title == ac.called_ae_title
        and rq.calling_ae_title == ac.calling_ae_title
        and rq.reserved == ac.reserved
    )
    if not same:
        yield "the AE titles and reserved bytes 11 to 74 are not those of the A-ASSOCIATE-RQ (PS3.8 9.3.3, Table 9-17)"


def _contexts(rq: AAssociateRQ, ac: AAssociateAC) -> Iterator[str]:
    proposed = _proposed(rq)
    answered: set[int] = set()
    for item in ac.presentation_contexts:
        cid = item.presentation_context_id
        proposal = proposed.get(cid)
        if proposal is None:
            yield f"answers context {cid}, which was not proposed (PS3.8 9.3.3.2)"
        elif cid in answered:
            yield f"answers context {cid} twice (PS3.8 9.3.3.2)"
        elif (
            item.result == ContextResult.ACCEPTANCE and item.transfer_syntax not in proposal.transfer_syntaxes
        ):
            syntax = printable(item.transfer_syntax) or "none"
            yield f"accepts context {cid} with transfer syntax {syntax}, which was not offered for it (PS3.8 9.3.3.2)"
        answered.add(cid)
    missing = [str(cid) for cid in proposed if cid not in answered]
    if missing:
        yield f"no answer to context {', '.join(missing)}: each that is proposed has a result (PS3.8 9.3.3.2)"


def _user_data(rq: AAssociateRQ, ac: AAssociateAC) -> Iterator[str]:
    asked, answered = rq.user_data, ac.user_data
    yield from _window(window_of(asked), window_of(answered))
    wanted = roles_of(asked)
    for uid, (scu, scp) in roles_of(answered).items():
        name = printable(uid)
        if uid not in wanted:
            yield f"selects roles for {name}, for which none were proposed (PS3.7 D.3.3.4)"
            continue
        for role, given, proposed in (("SCU", scu, wanted[uid][0]), ("SCP", scp, wanted[uid][1])):
            if given and not proposed:
                yield f"grants the {role} role for {name}, which was not proposed (PS3.7 D.3.3.4)"
    extended = {i.sop_class_uid for i in asked if isinstance(i, SOPClassExtendedNegotiationSubItem)}
    identity = next((i for i in asked if isinstance(i, UserIdentityRQSubItem)), None)
    for item in answered:
        if isinstance(item, SOPClassExtendedNegotiationSubItem) and item.sop_class_uid not in extended:
            name = printable(item.sop_class_uid)
            yield f"answers an extended negotiation of {name}, which was not asked for (PS3.7 D.3.3.5)"
        elif isinstance(item, SOPClassCommonExtendedNegotiationSubItem):
            yield "has a common extended negotiation, which only a request has (PS3.7 D.3.3.6)"
        elif isinstance(item, UserIdentityACSubItem) and not (
            identity is not None and identity.positive_response_requested
        ):
            yield "answers a user identity where no response was asked for (PS3.7 D.3.3.7)"


def _window(offered: tuple[int, int] | None, granted: tuple[int, int] | None) -> Iterator[str]:
    if granted is None:
        return
    if offered is None:
        yield (
            f"grants a window of asynchronous operations of {granted[0]}/{granted[1]} where none was offered "
            "(PS3.7 D.3.3.3)"
        )
        return
    for what, most, given in zip(("invoked", "performed"), offered, granted, strict=True):
        if most and (given > most or not given):
            yield (
                f"grants {given or 'any number of'} operations {what} where {most} were offered (PS3.7 D.3.3.3)"
            )
