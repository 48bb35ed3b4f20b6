"""A-ASSOCIATE-RQ and -AC as bytes, taken apart without `dul` (PS3.8 9.3.2, 9.3.3; PS3.7 D.3.3).

A reserved byte, a second sub-item or a missing one must be seen, and nothing be refused: what does not fit is left out.
"""

import struct
from typing import NamedTuple

from services.conformance.connection import Connection, Move
from services.conformance.conversation import Conversation


class RawItem(NamedTuple):
    """An item or sub-item: its type, the byte after it, its value."""

    kind: int
    reserved: int
    value: bytes


class RawContext(NamedTuple):
    """A presentation context of a request or an answer.

    `result` is the third byte, which is reserved in a request; `reserved` the second and the fourth.
    """

    id: int
    result: int
    reserved: bytes
    syntaxes: tuple[RawItem, ...]

    def transfer_syntaxes(self) -> list[bytes]:
        """Without padding, in their order."""
        return [uid(each.value) for each in self.syntaxes if each.kind == 0x40]


class RawAssociate(NamedTuple):
    """An A-ASSOCIATE-RQ or -AC: its bytes from the header on, and its items."""

    raw: bytes
    items: tuple[RawItem, ...]

    @property
    def version(self) -> int:
        return int.from_bytes(self.raw[6:8])

    @property
    def titles(self) -> bytes:
        """Called and calling AE title, as they stand."""
        return self.raw[10:42]

    @property
    def reserved(self) -> bytes:
        """The 32 bytes after the titles."""
        return self.raw[42:74]

    @property
    def contexts(self) -> list[RawContext]:
        return [
            RawContext(v[0], v[2], bytes((v[1], v[3])), tuple(split(v[4:])))
            for kind, _, v in self.items
            if kind in (0x20, 0x21) and len(v) >= 4
        ]

    @property
    def user_data(self) -> list[RawItem]:
        """The sub-items of the user information item."""
        return [part for kind, _, value in self.items if kind == 0x50 for part in split(value)]

    def sub_items(self, kind: int) -> list[RawItem]:
        return [part for part in self.user_data if part.kind == kind]


def uid(value: bytes) -> bytes:
    """A UID without the padding that counts for nothing."""
    return value.rstrip(b"\0 ")


def split(data: bytes) -> list[RawItem]:
    """The items that bytes are made of; what does not fit is left out."""
    items = []
    while len(data) >= 4:
        kind, reserved, length = struct.unpack_from(">BBH", data)
        if len(data) < 4 + length:
            break
        items.append(RawItem(kind, reserved, data[4 : 4 + length]))
        data = data[4 + length :]
    return items


def sent(connection: Connection) -> bytes:
    """What was sent on a connection, as far as it is kept."""
    return b"".join(each.data for each in connection.exchanges if each.move is Move.SENT)


def received(connection: Connection) -> bytes:
    """What came on a connection, as far as it is kept."""
    return b"".join(each.data for each in connection.exchanges if each.move is Move.RECEIVED)


def pdus(data: bytes) -> list[bytes]:
    """The whole PDUs that bytes begin with, header included."""
    found = []
    while len(data) >= 6:
        end = 6 + int.from_bytes(data[2:6])
        if len(data) < end:
            break
        found.append(data[:end])
        data = data[end:]
    return found


def asked(conversation: Conversation) -> RawAssociate:
    """The A-ASSOCIATE-RQ that was sent on the current connection; an empty one where there is none."""
    return _associate(sent(conversation.connection), 1)


def answered(conversation: Conversation) -> RawAssociate:
    """The A-ASSOCIATE-AC that came on the current connection; an empty one where there is none."""
    return _associate(received(conversation.connection), 2)


def _associate(data: bytes, kind: int) -> RawAssociate:
    for raw in pdus(data):
        if raw[0] == kind:
            return RawAssociate(raw, tuple(split(raw[74:])))
    return RawAssociate(b"", ())


class RawRole(NamedTuple):
    """A role selection sub-item."""

    uid: bytes
    scu: int
    scp: int


def roles(associate: RawAssociate) -> list[RawRole]:
    """The role selections of a request or an answer; those too short to be read are left out."""
    found = []
    for _, _, value in associate.sub_items(0x54):
        length = int.from_bytes(value[:2])
        if len(value) == length + 4:
            found.append(RawRole(uid(value[2 : 2 + length]), value[-2], value[-1]))
    return found
