"""Bytes as a peer would send them, and a reading of what comes back: by hand, from PS3.8 9.3 and PS3.7 Annex E.

Nothing here uses the code under test, so that a mistake there cannot hide here. The builders are the conformance
tester's, which has its own for the same reason.
"""

import struct
from typing import NamedTuple

from services.conformance.building import (
    APPLICATION_CONTEXT,
    CT_IMAGE,
    DATA,
    EXPLICIT,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    NO_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    VERIFICATION,
    a_associate_rq,
    abort,
    application_context,
    c_cancel_rq,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    command,
    context,
    element,
    item,
    maximum_length,
    message,
    p_data,
    pdu,
    pdv,
    proposing,
    response,
    role,
    ui,
    us,
    user_identity,
    user_information,
    window,
)

__all__ = [
    "APPLICATION_CONTEXT",
    "CT_IMAGE",
    "DATA",
    "EXPLICIT",
    "IMPLEMENTATION_CLASS",
    "IMPLICIT",
    "NO_DATA",
    "RELEASE_RP",
    "RELEASE_RQ",
    "STUDY_ROOT_FIND",
    "STUDY_ROOT_GET",
    "VERIFICATION",
    "RawMessage",
    "RawPDU",
    "a_associate_rq",
    "abort",
    "application_context",
    "c_cancel_rq",
    "c_echo_rq",
    "c_find_rq",
    "c_store_rq",
    "command",
    "context",
    "element",
    "elements_of",
    "item",
    "items_of",
    "maximum_length",
    "message",
    "messages_of",
    "p_data",
    "pdu",
    "pdus_of",
    "pdv",
    "pdvs_of",
    "proposing",
    "response",
    "role",
    "ui",
    "us",
    "user_identity",
    "user_information",
    "window",
]

# -- what comes back


class RawPDU(NamedTuple):
    """One PDU: its type and everything after its header."""

    kind: int
    body: bytes


def pdus_of(stream: bytes) -> list[RawPDU]:
    """The PDUs of a stream that ends with one."""
    found = []
    while stream:
        kind, reserved, length = struct.unpack(">BBI", stream[:6])
        assert reserved == 0
        assert len(stream) >= 6 + length, "a PDU was sent in part"
        found.append(RawPDU(kind, stream[6 : 6 + length]))
        stream = stream[6 + length :]
    return found


def items_of(value: bytes) -> list[tuple[int, bytes]]:
    found = []
    while value:
        kind, reserved, length = struct.unpack(">BBH", value[:4])
        assert reserved == 0
        assert len(value) >= 4 + length
        found.append((kind, value[4 : 4 + length]))
        value = value[4 + length :]
    return found


def pdvs_of(body: bytes) -> list[tuple[int, int, bytes]]:
    """Context id, message control header and fragment of each PDV."""
    found = []
    while body:
        length, context_id, header = struct.unpack(">IBB", body[:6])
        assert len(body) >= 4 + length >= 6
        found.append((context_id, header, body[6 : 4 + length]))
        body = body[4 + length :]
    return found


class RawMessage(NamedTuple):
    """A message: where it came, its command elements, its data set."""

    context_id: int
    elements: dict[int, bytes]
    data_set: bytes | None

    @property
    def field(self) -> int:
        return self.number(0x0100)

    @property
    def answered(self) -> int:
        return self.number(0x0120)

    @property
    def status(self) -> int:
        return self.number(0x0900)

    def number(self, element: int) -> int:
        value: int = struct.unpack("<H", self.elements[element])[0]
        return value

    def uid(self, element: int) -> bytes:
        return self.elements[element].rstrip(b"\0")


def elements_of(command_set: bytes) -> dict[int, bytes]:
    """The elements by number; ascending, of even length, and the group length right."""
    found: dict[int, bytes] = {}
    rest = command_set
    while rest:
        group, number, length = struct.unpack("<HHI", rest[:8])
        assert group == 0
        assert length % 2 == 0
        assert all(number > earlier for earlier in found)
        found[number] = rest[8 : 8 + length]
        assert len(found[number]) == length
        rest = rest[8 + length :]
    assert struct.unpack("<I", found[0])[0] == len(command_set) - 12
    return found


def messages_of(pdus: list[RawPDU]) -> list[RawMessage]:
    """The messages in the P-DATA-TF among `pdus`; nothing in part, nothing interleaved."""
    found: list[RawMessage] = []
    fragments: list[tuple[int, int, bytes]] = []
    for each in pdus:
        if each.kind == 4:
            fragments += pdvs_of(each.body)
    while fragments:
        context_id, command_set = _take(fragments, is_command=True)
        elements = elements_of(command_set)
        data_set = None
        if elements[0x0800] != b"\x01\x01":
            data_context_id, data_set = _take(fragments, is_command=False)
            assert data_context_id == context_id
        found.append(RawMessage(context_id, elements, data_set))
    return found


def _take(fragments: list[tuple[int, int, bytes]], *, is_command: bool) -> tuple[int, bytes]:
    whole = b""
    context_id = fragments[0][0]
    while True:
        assert fragments, "a message was sent in part"
        where, header, data = fragments.pop(0)
        assert where == context_id
        assert header & ~2 == is_command, "command and data are interleaved"
        whole += data
        if header & 2:
            return context_id, whole
        assert len(data) % 2 == 0
