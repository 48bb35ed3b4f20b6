"""Associations to trace: PDUs of both sides in the order they are seen."""

from typing import Any, TypeAlias

from dimse.command_set import encode_command_set
from dimse.messages import CEchoRQ, CEchoRSP, Message
from dul.encode import encode_pdu
from dul.pdus import (
    PDV,
    AAbort,
    AAssociateAC,
    AAssociateRQ,
    AnyPDU,
    ApplicationContextItem,
    AReleaseRP,
    AReleaseRQ,
    ImplementationClassUIDSubItem,
    MaximumLengthSubItem,
    PDataTF,
    PresentationContextACItem,
    PresentationContextRQItem,
    UserDataSubItem,
    UserInformationItem,
)
from dul.reasons import AbortReason
from services.trace.association import AssociationTrace, TracedPDU
from services.trace.fields import Side

R, A = Side.REQUESTOR, Side.ACCEPTOR

VERIFICATION = "1.2.840.10008.1.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
PRINT_META = "1.2.840.10008.5.1.1.9"
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"

CONTEXTS = {1: VERIFICATION, 3: CT_IMAGE, 5: STUDY_ROOT_FIND, 7: STUDY_ROOT_GET, 9: PRINT_META}

Sent: TypeAlias = tuple[Side, AnyPDU | bytes]


def rq(
    *more: UserDataSubItem, contexts: dict[int, str] = CONTEXTS, longest: int = 16384, version: int = 1
) -> AAssociateRQ:
    proposals = [PresentationContextRQItem(cid, uid, (IMPLICIT_LE,)) for cid, uid in contexts.items()]
    return AAssociateRQ("CALLED", "CALLING", _items(proposals, longest, more), version)


def ac(
    *more: UserDataSubItem,
    results: dict[int, int] | None = None,
    longest: int = 16384,
    called: str = "CALLED",
) -> AAssociateAC:
    by_id = dict.fromkeys(CONTEXTS, 0) if results is None else results
    answers = [PresentationContextACItem(cid, result, IMPLICIT_LE) for cid, result in by_id.items()]
    return AAssociateAC(called, "CALLING", _items(answers, longest, more))


def _items(contexts: Any, longest: int, more: tuple[UserDataSubItem, ...]) -> Any:
    user_data = (MaximumLengthSubItem(longest), ImplementationClassUIDSubItem("2.25.1"), *more)
    return (ApplicationContextItem("1.2.840.10008.3.1.1.1"), *contexts, UserInformationItem(user_data))


def message(command: Message, context_id: int = 1, data_set: bytes | None = None) -> PDataTF:
    """One P-DATA-TF with a whole message."""
    pdvs = [PDV(context_id, 3, encode_command_set(command))]
    if data_set is not None:
        pdvs.append(PDV(context_id, 2, data_set))
    return PDataTF(tuple(pdvs))


ECHO_RQ = message(CEchoRQ(message_id=1, affected_sop_class_uid=VERIFICATION))
ECHO_RSP = message(CEchoRSP(message_id_being_responded_to=1, affected_sop_class_uid=VERIFICATION, status=0))
RELEASE_RQ, RELEASE_RP = AReleaseRQ(), AReleaseRP()
ABORT = AAbort(AbortReason.SERVICE_USER)

AN_ECHO: tuple[Sent, ...] = (
    (R, rq()),
    (A, ac()),
    (R, ECHO_RQ),
    (A, ECHO_RSP),
    (R, RELEASE_RQ),
    (A, RELEASE_RP),
)


def wire(pdu: AnyPDU | bytes) -> bytes:
    return pdu if isinstance(pdu, bytes) else encode_pdu(pdu)


def traced(*sent: Sent, closed_by: Side | None = None, **options: Any) -> AssociationTrace:
    """A trace of what was sent, a tenth of a second apart; closed by `closed_by` where that is given."""
    trace = AssociationTrace("requestor -> acceptor", **options)
    trace.opened()
    at = 0.0
    for sender, pdu in sent:
        at += 0.1
        trace.feed(sender, wire(pdu), at)
    if closed_by is not None:
        trace.closed(closed_by, at + 0.1)
    return trace


def established(*sent: Sent, closed_by: Side | None = None) -> AssociationTrace:
    """The same, after an association was accepted."""
    return traced((R, rq()), (A, ac()), *sent, closed_by=closed_by)


def pdus(trace: AssociationTrace) -> list[TracedPDU]:
    return [entry for entry in trace.entries if isinstance(entry, TracedPDU)]


def walk(trace: AssociationTrace, side: Side) -> str:
    """The transitions of one side as one text: "Sta1 Evt5 AE-5 Sta2, Sta2 …"."""
    there = [step.transition for entry in trace.entries for step in entry.steps if step.side is side]
    return ", ".join(f"{t.state.name} {t.event.name} {t.action_name} {t.next_state.name}" for t in there)


def last_problems(trace: AssociationTrace) -> list[str]:
    return list(trace.entries[-1].problems)
