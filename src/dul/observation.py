"""What an observer of an association can see: each PDU in either direction, each transition, and the end.

One hook serves logs, traces and tests; with no observer nothing here is ever built.
"""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from dul.machine import Transition


class PDUReceived(Struct, frozen=True, gc=False):
    """A PDU of the peer, or the bytes that were no PDU; header included."""

    raw: bytes


class PDUSent(Struct, frozen=True, gc=False):
    """A PDU of ours; header included."""

    raw: bytes


class Discarded(Struct, frozen=True, gc=False):
    """Bytes of the peer that nobody looked at: behind bytes that were no PDU, or of a PDU that was never complete."""

    raw: bytes


class ConnectionClosed(Struct, frozen=True, gc=False):
    """The transport connection, which was open, is gone. Always the last observation.

    Attributes:
        by_peer: it closed the connection before we did.
        broken: it was not closed in order, but reset, or lost.
    """

    by_peer: bool
    broken: bool


Observation: TypeAlias = PDUReceived | PDUSent | Transition | Discarded | ConnectionClosed
Observer: TypeAlias = Callable[[Observation], None]
