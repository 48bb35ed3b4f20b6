"""What the actions of the state machine ask for (PS3.8 9.2.2, Tables 9-6 to 9-9).

Six effects are enough for all 28 actions. An adapter performs them in order.
"""

from typing import TypeAlias

from msgspec import Struct

from dul.pdus import AnyPDU
from dul.primitives import Indication


class _Effect(Struct, frozen=True, gc=False):
    pass


class OpenTransport(_Effect, frozen=True):
    """Issue a TRANSPORT CONNECT request."""


class SendPDU(_Effect, frozen=True):
    """Send this PDU."""

    pdu: AnyPDU


class Indicate(_Effect, frozen=True):
    """Issue this indication or confirmation primitive to the service user."""

    primitive: Indication


class StartARTIM(_Effect, frozen=True):
    """Start the ARTIM timer, or start it again if it runs (PS3.8 9.1.5)."""


class StopARTIM(_Effect, frozen=True):
    """Stop the ARTIM timer if it runs."""


class CloseTransport(_Effect, frozen=True):
    """Close the transport connection."""


Effect: TypeAlias = OpenTransport | SendPDU | Indicate | StartARTIM | StopARTIM | CloseTransport
