"""Whole messages from a socket, and answers to C-STORE requests, as cheap as Python can: data sets are counted, never
looked at.
"""

import socket
import struct
from collections.abc import Iterator

from benchmarks.load import LoadError
from dimse.command_set import encode_command_set
from dimse.messages import CStoreRSP
from dul.encode import encode_pdu
from dul.pdus import PDV, PDataTF

SOP_CLASS, COMMAND_FIELD, MESSAGE_ID, DATA_SET_TYPE, STATUS = 0x0002, 0x0100, 0x0110, 0x0800, 0x0900
SOP_INSTANCE, REMAINING, COMPLETED, FAILED, WARNING = 0x1000, 0x1020, 0x1021, 0x1022, 0x1023
"""Element numbers of group 0000."""

C_STORE_RQ = b"\x01\x00"

_ROOM = 1 << 20
_P_DATA_TF, _RELEASE_RQ = 4, 5
_COMMAND, _LAST = 1, 2
_NO_DATA_SET = b"\x01\x01"
_PLACEHOLDER_ID = 0xA5A5


def messages_from(sock: socket.socket) -> Iterator[tuple[int, dict[int, bytes], int]]:
    """Each message once it is whole: presentation context, command set by element number, bytes of the data set.

    Ends with an A-RELEASE-RQ.

    Raises:
        LoadError: the connection was lost, or the peer aborted.
    """
    command, fields, size = b"", {}, 0
    for context_id, flags, fragment in _fragments(sock):
        if flags & _COMMAND:
            command += fragment
            if not flags & _LAST:
                continue
            fields, command, size = _elements(command), b"", 0
            if fields.get(DATA_SET_TYPE) == _NO_DATA_SET:
                yield context_id, fields, 0
        else:
            size += len(fragment)
            if flags & _LAST:
                yield context_id, fields, size


def _fragments(sock: socket.socket) -> Iterator[tuple[int, int, memoryview]]:
    """Presentation context, message control header and content of each PDV; the content is gone with the next one."""
    view = memoryview(bytearray(_ROOM))
    start = end = 0
    while True:
        length = 6
        while end - start < length or (length := 6 + int.from_bytes(view[start + 2 : start + 6])) > end - start:
            if start and start + length > _ROOM - (_ROOM >> 2):
                view[: end - start] = view[start:end]
                start, end = 0, end - start
            end += _receive_into(sock, view[end:])
        if view[start] == _RELEASE_RQ:
            return
        if view[start] != _P_DATA_TF:
            raise LoadError(f"a PDU of type {view[start]}: {bytes(view[start : start + 10]).hex()}")
        at, stop = start + 6, start + length
        while at < stop:
            behind = at + 4 + int.from_bytes(view[at : at + 4])
            yield view[at + 4], view[at + 5], view[at + 6 : behind]
            at = behind
        start = 0 if stop == end else stop
        end = 0 if stop == end else end


def _receive_into(sock: socket.socket, room: memoryview) -> int:
    try:
        taken = sock.recv_into(room)
    except BlockingIOError:
        raise LoadError("nothing came any more") from None
    if not taken:
        raise LoadError("the peer closed the connection")
    return taken


def _elements(command: bytes) -> dict[int, bytes]:
    found = {}
    at = 0
    while at + 8 <= len(command):
        _, element, length = struct.unpack_from("<HHI", command, at)
        found[element] = command[at + 8 : at + 8 + length]
        at += 8 + length
    return found


def number(fields: dict[int, bytes], element: int) -> int | None:
    """A US value; None where it is missing."""
    value = fields.get(element)
    return None if value is None else int.from_bytes(value, "little")


class StoreResponses:
    """C-STORE-RSPs of Success, encoded once for each length of the UIDs: id and UID are written over the last."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, bytes, int], tuple[bytearray, slice, slice]] = {}

    def to(self, context_id: int, request: dict[int, bytes]) -> bytearray:
        """The response to a C-STORE-RQ, in its P-DATA-TF; it stands until the next one is asked for."""
        instance = request[SOP_INSTANCE]
        key = context_id, request[SOP_CLASS], len(instance)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = _store_response(context_id, request[SOP_CLASS], instance)
        buffer, id_place, uid_place = made
        buffer[id_place] = request[MESSAGE_ID]
        buffer[uid_place] = instance
        return buffer


def _store_response(
    context_id: int, sop_class: bytes, instance: bytes
) -> tuple[bytearray, slice, slice]:
    response = CStoreRSP(
        message_id_being_responded_to=_PLACEHOLDER_ID,
        affected_sop_class_uid=sop_class.rstrip(b"\0").decode(),
        affected_sop_instance_uid=instance.rstrip(b"\0").decode(),
        status=0,
    )
    buffer = bytearray(encode_pdu(PDataTF((PDV(context_id, 3, encode_command_set(response)),))))
    id_at = buffer.index(b"\x20\x01\x02\x00\x00\x00\xa5\xa5") + 6
    uid_at = buffer.rindex(instance)
    return buffer, slice(id_at, id_at + 2), slice(uid_at, uid_at + len(instance))
