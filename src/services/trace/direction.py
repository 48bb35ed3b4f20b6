"""One direction of a traced association: its PDUs, its messages, and what is neither."""

from dimse.messages import Message
from dul.errors import RemoteProtocolError
from dul.framing import HEADER_LENGTH
from services.trace.fields import Side
from services.trace.reading import MessageReader, PDUReader

UNREADABLE_SHOWN = 64
"""How many bytes of something that is no PDU are shown; what follows is counted."""


class MessagesBegun(MessageReader):
    """Joins fragments, and shows what has begun."""

    @property
    def begun(self) -> Message | None:
        """A message whose command set is there and whose data set has not ended."""
        return self._decoded


class Direction:
    """What one side sends.

    Bytes that are no PDU are held until the other side sends, or `UNREADABLE_SHOWN` of them are there: so what is
    shown of them does not depend on the pieces in which they came.

    Attributes:
        sender: that side.
        pdus, messages: what cuts and joins its bytes.
        lost: something was no PDU: nothing after it can be read.
        unfollowed: bytes were not seen: nothing after them can be read, and nobody is to blame for it.
        held: what cannot be read and is not shown yet.
        shown: the first of what cannot be read were shown; of more only the number is kept, in `surplus`.
        surplus: how many bytes beyond those cannot be read and were not told of yet.
        error: why they cannot be read.
        last_was_faulty: its last PDU broke something.
    """

    def __init__(self, sender: Side) -> None:
        self.sender = sender
        self.pdus = PDUReader()
        self.messages = MessagesBegun()
        self.lost = False
        self.unfollowed = False
        self.held = bytearray()
        self.shown = False
        self.surplus = 0
        self.error: RemoteProtocolError | None = None
        self.last_was_faulty = False

    def hold(self, data: bytes) -> None:
        """Take bytes that cannot be read."""
        room = 0 if self.shown else UNREADABLE_SHOWN - len(self.held)
        self.held += data[:room]
        self.surplus += max(0, len(data) - room)


def is_pdu(raw: bytes) -> bool:
    """Whether these bytes are one PDU by their header, whatever stands in it."""
    return (
        len(raw) >= HEADER_LENGTH
        and 1 <= raw[0] <= 7
        and len(raw) == HEADER_LENGTH + int.from_bytes(raw[2:HEADER_LENGTH], "big")
    )
