"""Where one PDU ends and the next begins (PS3.8 9.3.1).

Judges the six bytes every PDU starts with, before anything is stored or allocated for its body: a length
nobody can mean, or more than we announced, is refused here. Must not know what stands in a body.
"""

from struct import Struct as Layout

from msgspec import Struct

from dul.errors import InvalidPDU, PDUTooLong, UnrecognizedPDU

HEADER_LENGTH = 6
"""PDU-type, reserved byte, PDU-length (PS3.8 9.3.1)."""

SHORTEST_A_ASSOCIATE = 68
"""Bytes of the fixed fields of an A-ASSOCIATE-RQ or -AC after the header (PS3.8 Tables 9-11 and 9-17)."""

SHORTEST_P_DATA_TF = 6
"""Bytes of one PDV item with an empty fragment (PS3.8 9.3.5.1, Annex E.2)."""

FIXED_LENGTH = 4
"""Bytes after the header of A-ASSOCIATE-RJ, A-RELEASE-RQ and -RP, A-ABORT (PS3.8 9.3.4, 9.3.6 to 9.3.8)."""

_unpack_header = Layout(">BxI").unpack_from
_NAMES = {
    1: "A-ASSOCIATE-RQ",
    2: "A-ASSOCIATE-AC",
    3: "A-ASSOCIATE-RJ",
    4: "P-DATA-TF",
    5: "A-RELEASE-RQ",
    6: "A-RELEASE-RP",
}


class PDULimits(Struct, frozen=True):
    """Longest PDUs taken from a peer, in bytes after the header.

    Attributes:
        p_data_tf: what we announced as Maximum Length Received (PS3.8 D.1), 6 or more.
        a_associate: cap for an A-ASSOCIATE-RQ or -AC, 68 or more. The standard sets none.
    """

    p_data_tf: int = 131072
    a_associate: int = 1 << 20


def read_header(
    buffer: bytes | bytearray | memoryview, start: int, end: int, limits: PDULimits
) -> tuple[int, int] | None:
    """Read the header of the PDU that begins at `start`.

    Args:
        buffer: what was received.
        start: index of the first byte of the PDU.
        end: index after the last byte received.
        limits: longest PDUs we take.

    Returns:
        PDU type and length of the body, or None while fewer than six bytes are there. An A-ABORT has the
        length 0 where its header says anything but 4: it is an abort all the same, and never answered.

    Raises:
        UnrecognizedPDU: the first byte is no PDU type; known as soon as that byte is there.
        PDUTooLong: longer than `limits` allow.
        InvalidPDU: any other length this type cannot have.
    """
    if end - start < HEADER_LENGTH:
        if end > start:
            _check_type(buffer[start])
        return None
    pdu_type, length = _unpack_header(buffer, start)
    if pdu_type == 4:
        if not SHORTEST_P_DATA_TF <= length <= limits.p_data_tf:
            raise _wrong_length(pdu_type, length, SHORTEST_P_DATA_TF, limits.p_data_tf)
        return pdu_type, length
    _check_type(pdu_type)
    if pdu_type <= 2:
        if not SHORTEST_A_ASSOCIATE <= length <= limits.a_associate:
            raise _wrong_length(pdu_type, length, SHORTEST_A_ASSOCIATE, limits.a_associate)
        return pdu_type, length
    if length == FIXED_LENGTH:
        return pdu_type, length
    if pdu_type == 7:
        return pdu_type, 0
    raise InvalidPDU(f"{_NAMES[pdu_type]} with PDU-length {length}: it must be {FIXED_LENGTH}")


def _check_type(pdu_type: int) -> None:
    if not 1 <= pdu_type <= 7:
        raise UnrecognizedPDU(f"PDU-type {pdu_type:02X}H: it must be 01H to 07H")


def _wrong_length(pdu_type: int, length: int, shortest: int, longest: int) -> InvalidPDU:
    name = _NAMES[pdu_type]
    if length > longest:
        return PDUTooLong(f"{name} with PDU-length {length}: we take {longest} at most")
    return InvalidPDU(f"{name} with PDU-length {length}: it must be {shortest} or more")
