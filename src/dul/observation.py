"""What an observer of an association can see: each PDU in either direction and each transition.

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


Observation: TypeAlias = PDUReceived | PDUSent | Transition
Observer: TypeAlias = Callable[[Observation], None]
