"""Blanks what identifies a patient in the PDUs of an association, and keeps every length.

What is left reads as before: PDUs, items, tags, VRs and lengths stand, values do not, but for a short list. Whatever
cannot be followed is blanked to its end. A PDU that ends inside a command set or inside the header of an element is
held until the rest has come, since only then is known what it holds; what follows it is held too, so that the order
stays.
"""

import hashlib
import hmac
from collections.abc import Callable

from msgspec import Struct

from dul.decode import decode_pdu
from dul.enums import PDUType
from dul.errors import RemoteProtocolError
from dul.framing import HEADER_LENGTH
from dul.pdus import AAssociateAC
from services.trace.fields import Side
from services.trace.redact_data_set import DataSetRedactor, Span, blank

MOST_HELD = 1 << 20
"""Bytes held for a command set or a header to be completed; above it what is not complete is blanked."""

_FIXED_FIELDS = 74  # of an A-ASSOCIATE PDU: its items follow (PS3.8 9.3.2)
_USER_INFORMATION = 0x50
_USER_IDENTITY = {0x58: 2, 0x59: 0}  # PS3.7 D.3.3.7: how many bytes stand before the first length
_KNOWN_ITEMS = frozenset({0x10, 0x20, 0x21, 0x50, *range(0x51, 0x58)})

_SOP_INSTANCE_UIDS = frozenset({0x1000, 0x1001})
_ERROR_COMMENT = 0x0902
_KEPT_IN_COMMANDS = frozenset(
    {
        0x0000, 0x0002, 0x0003, 0x0100, 0x0110, 0x0120, 0x0600, 0x0700, 0x0800, 0x0900, 0x0901, 0x0903, 0x1002,
        0x1005, 0x1008, 0x1020, 0x1021, 0x1022, 0x1023, 0x1030, 0x1031,
    }
)  # fmt: skip
"""Elements of group 0000 that identify nobody (PS3.7 E.1)."""


class Redacted(Struct, frozen=True):
    """Bytes one side sent, and when it did, in seconds since 1970; as long as they were."""

    sender: Side
    data: bytes
    at: float


class _Held(Struct):
    sender: Side
    data: bytearray
    at: float


class _Message:
    """What one side is in the middle of: a command set, and a data set on each context."""

    def __init__(self) -> None:
        self.command: list[Span] = []
        self.command_lost = False
        self.data_sets: dict[int, DataSetRedactor] = {}

    @property
    def is_waiting(self) -> bool:
        return bool(self.command) or any(each.is_waiting for each in self.data_sets.values())

    def give_up(self) -> None:
        self.command_lost = self.command_lost or bool(self.command)
        blank(self.command)
        self.command = []
        for data_set in self.data_sets.values():
            data_set.give_up()


class Redactor:
    """Redacts one association.

    Args:
        key: secret; with the same one equal SOP Instance UIDs get equal replacements.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._held: list[_Held] = []
        self._held_bytes = 0
        self._syntaxes: dict[int, str] = {}
        self._messages = {side: _Message() for side in Side}

    def feed(self, sender: Side, data: bytes, at: float, *, is_pdu: bool = True) -> list[Redacted]:
        """Take the next bytes of one side; return what is ready, in the order it came.

        Args:
            data: one PDU, header included, or bytes that are none.
            is_pdu: False where it is known that they are none.
        """
        held = _Held(sender, bytearray(data), at)
        self._held.append(held)
        self._held_bytes += len(data)
        self._redact(sender, held.data, is_pdu)
        if self._held_bytes > MOST_HELD:
            return self.finish()
        if any(message.is_waiting for message in self._messages.values()):
            return []
        return self._release()

    def finish(self) -> list[Redacted]:
        """Return what is held, with everything blanked that is not complete."""
        for message in self._messages.values():
            message.give_up()
        return self._release()

    def _release(self) -> list[Redacted]:
        ready = [Redacted(held.sender, bytes(held.data), held.at) for held in self._held]
        self._held.clear()
        self._held_bytes = 0
        return ready

    def _redact(self, sender: Side, data: bytearray, is_pdu: bool) -> None:
        if not is_pdu or len(data) < HEADER_LENGTH or not 1 <= data[0] <= 7:
            blank([Span(data, 0, len(data))])
            return
        if int.from_bytes(data[2:HEADER_LENGTH], "big") != len(data) - HEADER_LENGTH:
            blank([Span(data, HEADER_LENGTH, len(data))])
            return
        if data[0] == PDUType.P_DATA_TF:
            self._redact_p_data(self._messages[sender], data)
        elif data[0] in (PDUType.A_ASSOCIATE_RQ, PDUType.A_ASSOCIATE_AC):
            self._redact_associate(data)
        elif len(data) > HEADER_LENGTH + 4:
            blank([Span(data, HEADER_LENGTH + 4, len(data))])

    def _redact_associate(self, data: bytearray) -> None:
        try:
            pdu = decode_pdu(data[0], bytes(data[HEADER_LENGTH:]))
        except RemoteProtocolError:
            blank([Span(data, HEADER_LENGTH, len(data))])
            return
        if isinstance(pdu, AAssociateAC):
            for context in pdu.presentation_contexts:
                if context.result == 0:
                    self._syntaxes[context.presentation_context_id] = context.transfer_syntax or ""
        _walk_items(data, _FIXED_FIELDS, len(data), lambda kind: kind not in _KNOWN_ITEMS)

    # -- P-DATA-TF

    def _redact_p_data(self, message: _Message, data: bytearray) -> None:
        """Each presentation data value by itself (PS3.8 9.3.5, E.2)."""
        start = HEADER_LENGTH
        while start < len(data):
            end = start + 4 + int.from_bytes(data[start : start + 4], "big")
            if end > len(data) or end < start + 6:
                message.give_up()
                blank([Span(data, start, len(data))])
                return
            control = data[start + 5]
            value = Span(data, start + 6, end)
            if control & 1:
                self._take_command(message, value, bool(control & 2))
            else:
                self._take_data(message, data[start + 4], value, bool(control & 2))
            start = end

    def _take_command(self, message: _Message, value: Span, is_last: bool) -> None:
        if message.command_lost:
            blank([value])
            message.command_lost = not is_last
            return
        message.command.append(value)
        if is_last:
            whole = bytearray(b"".join(span.data[span.start : span.end] for span in message.command))
            _redact_command(whole, self._replacement)
            taken = 0
            for span in message.command:
                length = span.end - span.start
                span.data[span.start : span.end] = whole[taken : taken + length]
                taken += length
            message.command = []

    def _take_data(self, message: _Message, context_id: int, value: Span, is_last: bool) -> None:
        data_set = message.data_sets.get(context_id)
        if data_set is None:
            data_set = DataSetRedactor(self._syntaxes.get(context_id))
            message.data_sets[context_id] = data_set
        data_set.redact(value)
        if is_last:
            data_set.give_up()
            del message.data_sets[context_id]

    def _replacement(self, uid: bytes) -> bytes:
        """Digits as many as the UID has characters, under 2.25 where there is room; the same for the same UID."""
        digest = hmac.new(self._key, uid, hashlib.sha256).digest()
        digits = str(int.from_bytes(digest, "big")).encode()
        start = b"2.25.1" if len(uid) > 12 else b"1"
        return (start + digits[::-1] * (len(uid) // 64 + 1))[: len(uid)]


def blank_user_identity(data: bytes) -> bytes:
    """An A-ASSOCIATE PDU, or the beginning of one, without names, passwords, tickets and answers to them.

    Args:
        data: header included; anything else is returned as it is.

    Returns:
        As many bytes, with the values of the User Identity sub-items (PS3.7 D.3.3.7) blanked.
    """
    if data[:1] not in (b"\x01", b"\x02"):
        return data
    changed = bytearray(data)
    _walk_items(changed, _FIXED_FIELDS, len(data), lambda kind: False)
    return bytes(changed)


def _walk_items(data: bytearray, start: int, end: int, unwanted: Callable[[int], bool]) -> None:
    """Blank user identities, and the values of unwanted items; items may run past the end."""
    while start + 4 <= end:
        kind = data[start]
        first, last = start + 4, start + 4 + int.from_bytes(data[start + 2 : start + 4], "big")
        if kind == _USER_INFORMATION:
            _walk_items(data, first, min(last, end), unwanted)
        elif kind in _USER_IDENTITY:
            if not _blank_identity(data, first + _USER_IDENTITY[kind], min(last, end)):
                blank([Span(data, first, len(data))])  # who knows where it ends
                return
        elif unwanted(kind):
            blank([Span(data, first, min(last, end))])
        start = last


def _blank_identity(data: bytearray, start: int, end: int) -> bool:
    """Values with a length of two bytes before each; False where they do not end where the sub-item does."""
    while start + 2 <= end:
        first = start + 2
        start = first + int.from_bytes(data[start:first], "big")
        blank([Span(data, first, min(start, end))])
    return start == end


def _redact_command(data: bytearray, replacement: Callable[[bytes], bytes]) -> None:
    """A whole command set, in place (PS3.7 6.3.1)."""
    start = 0
    while start + 8 <= len(data):
        group = int.from_bytes(data[start : start + 2], "little")
        number = int.from_bytes(data[start + 2 : start + 4], "little")
        first = start + 8
        last = first + int.from_bytes(data[start + 4 : first], "little")
        if group or last > len(data):
            break
        if number in _SOP_INSTANCE_UIDS:
            uid = bytes(data[first:last]).rstrip(b"\0 ")
            data[first : first + len(uid)] = replacement(uid)
        elif number == _ERROR_COMMENT:
            blank([Span(data, first, last)], b"X")
        elif number not in _KEPT_IN_COMMANDS:
            blank([Span(data, first, last)])
        start = last
    blank([Span(data, start, len(data))])
