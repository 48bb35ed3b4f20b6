"""The service primitives that the Upper Layer issues to its user (PS3.8 7).

Requests and responses go the other way, as method calls on the service provider.
"""

from typing import TypeAlias

from msgspec import Struct

from dul.pdus import PDV, AAssociateAC, AAssociateRJ, AAssociateRQ
from dul.reasons import AbortReason


class Primitive(Struct, frozen=True, gc=False):
    """Base of every indication and confirmation."""


class AssociateIndication(Primitive, frozen=True):
    """A peer asks for an association (PS3.8 7.1): answer with an accept or a reject."""

    pdu: AAssociateRQ


class AssociateConfirmation(Primitive, frozen=True):
    """The acceptor's answer to our request (PS3.8 7.1)."""

    pdu: AAssociateAC | AAssociateRJ


class PDataIndication(Primitive, frozen=True):
    """Presentation data values have come (PS3.8 7.5). Their data dies when the indication returns."""

    pdvs: tuple[PDV, ...]


class ReleaseIndication(Primitive, frozen=True):
    """The peer asks to release (PS3.8 7.2); `collision` where we had asked too (AR-8)."""

    collision: bool = False


class ReleaseConfirmation(Primitive, frozen=True):
    """The peer agreed to our release (PS3.8 7.2)."""


class AbortIndication(Primitive, frozen=True):
    """The peer's service user aborted (PS3.8 7.3)."""

    reason: AbortReason


class PAbortIndication(Primitive, frozen=True):
    """A service provider aborted, ours or the peer's, or the transport closed (PS3.8 7.4).

    `reason` is None where no A-ABORT told one: the connection just closed (AA-4).
    """

    reason: AbortReason | None
    cause: str


Indication: TypeAlias = (
    AssociateIndication
    | AssociateConfirmation
    | PDataIndication
    | ReleaseIndication
    | ReleaseConfirmation
    | AbortIndication
    | PAbortIndication
)
