"""What can go wrong in the Upper Layer.

NetworkError
+-- ProtocolError                 somebody broke PS3.8
|   +-- LocalProtocolError        our own user did: a primitive that the state does not allow
|   +-- RemoteProtocolError       the peer did; carries the reason of the A-ABORT that answers it
|       +-- UnrecognizedPDU       the first byte is no PDU type
|       +-- InvalidPDU            a length, count or value that the PDU cannot have
|       +-- PDUTooLong            longer than we announced, or than our cap
+-- AssociationRejected           A-ASSOCIATE-RJ
+-- AssociationEnded              the association is over
    +-- AssociationReleased       by an orderly release
    +-- AssociationAborted        by A-ABORT or A-P-ABORT
    +-- ConnectionLost            the transport closed under it, or never opened
"""

from dul.pdus import AAssociateRQ
from dul.reasons import AbortReason, RejectReason


class NetworkError(Exception):
    """Base of every error this package raises."""


class ProtocolError(NetworkError):
    """PS3.8 was broken, by us or by the peer."""


class LocalProtocolError(ProtocolError):
    """A service primitive was issued in a state where Table 9-10 leaves the cell blank."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something PS3.8 does not allow.

    Args:
        message: what was wrong, with the value.
        reason: source and reason of the A-ABORT that answers it outside Sta2 (PS3.8 9.3.8).
    """

    reason: AbortReason = AbortReason.NOT_SPECIFIED

    def __init__(self, message: str, reason: AbortReason | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason


class UnrecognizedPDU(RemoteProtocolError):
    """The PDU type is none of 01H to 07H."""

    reason = AbortReason.UNRECOGNIZED_PDU


class InvalidPDU(RemoteProtocolError):
    """A PDU, item or sub-item with a length or value it cannot have."""

    reason = AbortReason.INVALID_PDU_PARAMETER_VALUE


class InvalidContextId(InvalidPDU):
    """An A-ASSOCIATE-RQ with a presentation context id that is zero, even or repeated (PS3.8 9.3.2.2).

    Args:
        message: what was wrong.
        remaining: the request without those contexts, for who tolerates them.
    """

    def __init__(self, message: str, remaining: AAssociateRQ) -> None:
        super().__init__(message)
        self.remaining = remaining


class PDUTooLong(InvalidPDU):
    """A PDU longer than the maximum we announced, or than the cap for its type."""


class AssociationRejected(NetworkError):
    """The acceptor answered with an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    def __init__(self, result: int, reason: RejectReason) -> None:
        permanence = {1: "permanently", 2: "for now"}.get(result, f"with result {result}")
        super().__init__(f"association rejected {permanence}: {reason}")
        self.result = result
        self.reason = reason


class AssociationEnded(NetworkError):
    """The association is over; nothing more can be sent on it."""


class AssociationReleased(AssociationEnded):
    """The association was released in order."""


class AssociationAborted(AssociationEnded):
    """The association was aborted (PS3.8 7.3, 7.4)."""

    def __init__(self, message: str, reason: AbortReason = AbortReason.SERVICE_USER) -> None:
        super().__init__(message)
        self.reason = reason


class ConnectionLost(AssociationEnded):
    """The transport connection closed without a release or an abort, or could not be opened."""
