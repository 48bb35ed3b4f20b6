"""Bytes of one direction to PDUs, and PDUs to messages, whatever the bytes are.

What `dul` and `dimse` read strictly, to refuse it, is read here to be shown: nothing is raised, what cannot be
read is handed over with the reason. Kept small on purpose: what a PDU or message means is for others.
"""

from enum import Enum, auto
from struct import Struct as Layout

from msgspec import Struct

from dimse.command_set import decode_command_set
from dimse.errors import InvalidCommandSet
from dimse.messages import Message
from dul.decode import decode_pdu
from dul.errors import PDUTooLong, RemoteProtocolError, UnrecognizedPDU
from dul.framing import HEADER_LENGTH
from dul.pdus import AnyPDU, PDataTF

LONGEST_PDU = 16 << 20
"""A PDU-length above it is taken for nonsense: the rest of that direction is one piece of unreadable bytes."""

KEPT_OF_A_DATA_SET = 1 << 20
"""How much of a data set is kept for those who want to look inside, in bytes; all of it is counted."""

_unpack_element = Layout("<HHI").unpack_from
_AFTERWARDS = UnrecognizedPDU("bytes after something that is no PDU")


class ReadPDU(Struct, frozen=True):
    """One PDU as it was sent, or bytes that are none.

    Attributes:
        raw: header included.
        pdu: None where it cannot be decoded.
        error: why it cannot; None where it can.
    """

    raw: bytes
    pdu: AnyPDU | None
    error: RemoteProtocolError | None = None


class PDUReader:
    """Cuts the bytes of one direction into PDUs (PS3.8 9.3.1)."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._lost = False

    @property
    def incomplete(self) -> bytes:
        """The bytes of a PDU that has begun and not ended."""
        return bytes(self._pending)

    def feed(self, data: bytes) -> list[ReadPDU]:
        """Take what came next; return the PDUs it completed.

        After bytes that are no PDU nothing tells where the next one begins: from then on every piece of bytes is
        returned as it came, as unreadable.
        """
        if self._lost:
            return [ReadPDU(bytes(data), None, _AFTERWARDS)] if data else []
        self._pending += data
        found: list[ReadPDU] = []
        while self._pending:
            kind = self._pending[0]
            if not 1 <= kind <= 7:
                found.append(self._give_up(UnrecognizedPDU(f"PDU-type {kind:02X}H: it must be 01H to 07H")))
                break
            if len(self._pending) < HEADER_LENGTH:
                break
            length = int.from_bytes(self._pending[2:HEADER_LENGTH], "big")
            if length > LONGEST_PDU:
                found.append(self._give_up(PDUTooLong(f"PDU-length {length}: nobody means that")))
                break
            end = HEADER_LENGTH + length
            if len(self._pending) < end:
                break
            found.append(read_pdu(bytes(self._pending[:end])))
            del self._pending[:end]
        return found

    def _give_up(self, why: RemoteProtocolError) -> ReadPDU:
        self._lost = True
        raw = bytes(self._pending)
        self._pending.clear()
        return ReadPDU(raw, None, why)


def read_pdu(raw: bytes) -> ReadPDU:
    """Decode one PDU, header included, whose type is 01H to 07H and whose length is that of its header."""
    try:
        return ReadPDU(raw, decode_pdu(raw[0], raw[HEADER_LENGTH:]))
    except RemoteProtocolError as error:
        return ReadPDU(raw, None, error)


class ReadMessage(Struct, frozen=True):
    """One DIMSE message, or what could be made of it.

    Attributes:
        context_id: of the presentation context it came on.
        command: the bytes of its command set.
        message: None where they cannot be decoded.
        error: why not; empty where they can.
        data_set: the first bytes of its data set, at most `KEPT_OF_A_DATA_SET`; None where it has none.
        data_set_length: of the whole data set.
        fragments: how many PDVs carried it.
    """

    context_id: int
    command: bytes
    message: Message | None
    error: str
    data_set: bytes | None
    data_set_length: int
    fragments: int


class Due(Enum):
    """What the next fragment of one direction belongs to, for who has followed it so far (PS3.8 E.1)."""

    COMMAND = auto()
    """A command set that begins."""

    REST_OF_COMMAND = auto()
    """A command set that has begun."""

    DATA_SET = auto()
    """A data set that begins."""

    REST_OF_DATA_SET = auto()
    """A data set that has begun."""


class MessageReader:
    """Joins the fragments of one direction to messages (PS3.8 Annex E)."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._context_id = 0
        self._command = bytearray()
        self._data = bytearray()
        self._data_length = 0
        self._fragments = 0
        self._decoded: Message | None = None
        self._error = ""
        self._in_data = False
        self._has_data_begun = False

    @property
    def in_message(self) -> bool:
        """True while a message has begun and not ended."""
        return self._fragments > 0

    @property
    def due(self) -> Due:
        """What the next fragment belongs to, if its sender keeps to the order (PS3.8 E.1)."""
        if self._in_data:
            return Due.REST_OF_DATA_SET if self._has_data_begun else Due.DATA_SET
        return Due.REST_OF_COMMAND if self._fragments else Due.COMMAND

    def feed(self, pdu: PDataTF) -> list[ReadMessage]:
        """Take the next P-DATA-TF; return the messages it completed.

        Fragments where they are not due (PS3.8 E.1) end what was begun as a message that cannot be read.
        """
        found: list[ReadMessage] = []
        for pdv in pdu.pdvs:
            if pdv.is_command == self._in_data or self._context_id not in (0, pdv.presentation_context_id):
                due = "a fragment of the data set" if self._in_data else "a command fragment"
                self._error = (
                    f"fragment on context {pdv.presentation_context_id} where {due} was due (PS3.8 E.1)"
                )
                found.append(self._end())
                if not pdv.is_command:
                    continue
            message = self._take(pdv.presentation_context_id, bytes(pdv.data), pdv.is_last)
            if message is not None:
                found.append(message)
        return found

    def _take(self, context_id: int, data: bytes, is_last: bool) -> ReadMessage | None:
        self._context_id = context_id
        self._fragments += 1
        if self._in_data:
            self._has_data_begun = True
            self._data_length += len(data)
            self._data += data[: max(0, KEPT_OF_A_DATA_SET - len(self._data))]
            return self._end() if is_last else None
        self._command += data[: max(0, KEPT_OF_A_DATA_SET - len(self._command))]
        if not is_last:
            return None
        try:
            self._decoded = decode_command_set(bytes(self._command))
            self._in_data = self._decoded.has_data_set
        except InvalidCommandSet as error:
            self._error = str(error)
            self._in_data = error.has_data_set
        return None if self._in_data else self._end()

    def _end(self) -> ReadMessage:
        message = ReadMessage(
            self._context_id,
            bytes(self._command),
            self._decoded,
            self._error,
            bytes(self._data) if self._in_data else None,
            self._data_length,
            self._fragments,
        )
        self._clear()
        return message


def command_elements(command: bytes) -> dict[int, bytes]:
    """The elements of a command set by element number, as far as they can be made out; the first of each counts."""
    found: dict[int, bytes] = {}
    start = 0
    while start + 8 <= len(command):
        group, number, length = _unpack_element(command, start)
        start += 8
        if group == 0:
            found.setdefault(number, command[start : start + length])
        start += length
    return found
