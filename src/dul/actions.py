"""The 28 actions of the state machine (PS3.8 9.2.2, Tables 9-6 to 9-9).

Each takes the machine and whatever came with the event (a PDU, an error, or None), does its verbs in the
order of the standard's words, and returns the next state. Only AE-6 and AR-8 choose between two.
Which action answers what is `dul.table`'s business; carrying out the verbs is the adapter's.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from dul.enums import Role, State
from dul.errors import RemoteProtocolError, UnrecognizedPDU
from dul.pdus import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AnyPDU, AReleaseRP, AReleaseRQ, PDataTF
from dul.primitives import (
    AbortIndication,
    AssociateConfirmation,
    AssociateIndication,
    PAbortIndication,
    PDataIndication,
    ReleaseConfirmation,
    ReleaseIndication,
)
from dul.reasons import AbortReason

if TYPE_CHECKING:
    from dul.machine import UpperLayer

Action: TypeAlias = Callable[["UpperLayer", Any], State]

Sta1, Sta2, Sta3, Sta4, Sta5, Sta6, Sta7, Sta8, Sta9, Sta10, Sta11, Sta12, Sta13 = State


# Table 9-6: association establishment


def AE_1(ul: "UpperLayer", rq: AAssociateRQ) -> State:
    """Issue TRANSPORT CONNECT request; the A-ASSOCIATE-RQ waits for AE-2."""
    ul.request = rq
    ul.open_transport()
    return Sta4


def AE_2(ul: "UpperLayer", _: object) -> State:
    """Send A-ASSOCIATE-RQ PDU."""
    ul.send(ul.request)
    return Sta5


def AE_3(ul: "UpperLayer", ac: AAssociateAC) -> State:
    """Issue A-ASSOCIATE confirmation (accept)."""
    ul.indicate(AssociateConfirmation(ac))
    return Sta6


def AE_4(ul: "UpperLayer", rj: AAssociateRJ) -> State:
    """Issue A-ASSOCIATE confirmation (reject) and close transport connection."""
    ul.indicate(AssociateConfirmation(rj))
    ul.close_transport()
    return Sta1


def AE_5(ul: "UpperLayer", _: object) -> State:
    """Issue transport connection response (the listener has done so); start ARTIM."""
    ul.start_artim()
    return Sta2


def AE_6(ul: "UpperLayer", rq: AAssociateRQ) -> State:
    """Stop ARTIM; if the provider can accept, issue A-ASSOCIATE indication, else send RJ, start ARTIM."""
    ul.stop_artim()
    rejection = ul.rejection_of(rq)
    if rejection is None:
        ul.indicate(AssociateIndication(rq))
        return Sta3
    ul.send(rejection)
    ul.start_artim()
    return Sta13


def AE_7(ul: "UpperLayer", ac: AAssociateAC) -> State:
    """Send A-ASSOCIATE-AC PDU."""
    ul.send(ac)
    return Sta6


def AE_8(ul: "UpperLayer", rj: AAssociateRJ) -> State:
    """Send A-ASSOCIATE-RJ PDU and start ARTIM."""
    ul.send(rj)
    ul.start_artim()
    return Sta13


# Table 9-7: data transfer


def DT_1(ul: "UpperLayer", pdata: PDataTF) -> State:
    """Send P-DATA-TF PDU."""
    ul.send(pdata)
    return Sta6


def DT_2(ul: "UpperLayer", pdata: PDataTF) -> State:
    """Issue P-DATA indication."""
    ul.indicate(PDataIndication(pdata.pdvs))
    return Sta6


# Table 9-8: association release


def AR_1(ul: "UpperLayer", _: object) -> State:
    """Send A-RELEASE-RQ PDU."""
    ul.send(AReleaseRQ())
    return Sta7


def AR_2(ul: "UpperLayer", _: object) -> State:
    """Issue A-RELEASE indication."""
    ul.indicate(ReleaseIndication())
    return Sta8


def AR_3(ul: "UpperLayer", _: object) -> State:
    """Issue A-RELEASE confirmation and close transport connection."""
    ul.indicate(ReleaseConfirmation())
    ul.close_transport()
    return Sta1


def AR_4(ul: "UpperLayer", _: object) -> State:
    """Send A-RELEASE-RP PDU and start ARTIM."""
    ul.send(AReleaseRP())
    ul.start_artim()
    return Sta13


def AR_5(ul: "UpperLayer", _: object) -> State:
    """Stop ARTIM."""
    ul.stop_artim()
    return Sta1


def AR_6(ul: "UpperLayer", pdata: PDataTF) -> State:
    """Issue P-DATA indication: data may still come after we asked to release."""
    ul.indicate(PDataIndication(pdata.pdvs))
    return Sta7


def AR_7(ul: "UpperLayer", pdata: PDataTF) -> State:
    """Send P-DATA-TF PDU: we may still answer after the peer asked to release."""
    ul.send(pdata)
    return Sta8


def AR_8(ul: "UpperLayer", _: object) -> State:
    """Issue A-RELEASE indication (release collision); the association's requestor will answer first."""
    ul.indicate(ReleaseIndication(collision=True))
    return Sta9 if ul.role is Role.REQUESTOR else Sta10


def AR_9(ul: "UpperLayer", _: object) -> State:
    """Send A-RELEASE-RP PDU."""
    ul.send(AReleaseRP())
    return Sta11


def AR_10(ul: "UpperLayer", _: object) -> State:
    """Issue A-RELEASE confirmation."""
    ul.indicate(ReleaseConfirmation())
    return Sta12


# Table 9-9: association abort


def AA_1(ul: "UpperLayer", _: object) -> State:
    """Send A-ABORT PDU (service-user source) and start ARTIM, or start it again."""
    ul.send(AAbort(AbortReason.SERVICE_USER))
    ul.start_artim()
    return Sta13


def AA_2(ul: "UpperLayer", _: object) -> State:
    """Stop ARTIM if it runs; close transport connection."""
    ul.stop_artim()
    ul.close_transport()
    return Sta1


def AA_3(ul: "UpperLayer", abort: AAbort) -> State:
    """Issue A-ABORT indication, or A-P-ABORT if its service provider aborted; close transport connection."""
    if abort.reason.by_service_provider:
        ul.indicate(PAbortIndication(abort.reason, f"the peer aborted: {abort.reason}"))
    else:
        ul.indicate(AbortIndication(abort.reason))
    ul.close_transport()
    return Sta1


def AA_4(ul: "UpperLayer", _: object) -> State:
    """Issue A-P-ABORT indication."""
    ul.indicate(PAbortIndication(None, f"transport closed in {ul.state.name}, without a release or an abort"))
    return Sta1


def AA_5(ul: "UpperLayer", _: object) -> State:
    """Stop ARTIM."""
    ul.stop_artim()
    return Sta1


def AA_6(ul: "UpperLayer", _: object) -> State:
    """Ignore the PDU."""
    return Sta13


def AA_7(ul: "UpperLayer", received: AnyPDU | RemoteProtocolError) -> State:
    """Send A-ABORT PDU."""
    unrecognized = isinstance(received, UnrecognizedPDU)
    ul.send(AAbort(AbortReason.UNRECOGNIZED_PDU if unrecognized else AbortReason.UNEXPECTED_PDU))
    return Sta13


def AA_8(ul: "UpperLayer", received: AnyPDU | RemoteProtocolError) -> State:
    """Send A-ABORT PDU (service-provider source), issue A-P-ABORT indication, start ARTIM."""
    fault = ul.fault_in(received)
    ul.send(AAbort(fault.reason))
    ul.indicate(PAbortIndication(fault.reason, str(fault)))
    ul.start_artim()
    return Sta13
