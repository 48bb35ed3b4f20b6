"""The DICOM file format around a data set: preamble and File Meta Information (PS3.10 7.1).

A C-STORE brings a data set without them, so the archive writes its own; the preamble is always zero, which
leaves no room for a file that is something else as well. This file must not know where files lie.
"""

import struct
from typing import BinaryIO

from msgspec import Struct

from services.archive.errors import InvalidFile

_PREAMBLE = bytes(128) + b"DICM"
_VERSION = b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"
_LONGEST_META = 65536  # bytes of group 0002 that are read; ours has about 300
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)

_MEDIA_STORAGE_SOP_CLASS_UID = 0x0002
_MEDIA_STORAGE_SOP_INSTANCE_UID = 0x0003
_TRANSFER_SYNTAX_UID = 0x0010
_IMPLEMENTATION_CLASS_UID = 0x0012
_IMPLEMENTATION_VERSION_NAME = 0x0013
_SOURCE_APPLICATION_ENTITY_TITLE = 0x0016

_short_element = struct.Struct("<HH2sH").pack
_group_length = struct.Struct("<HH2sHI").pack


class FileMeta(Struct, frozen=True, gc=False):
    """What the File Meta Information of a file says.

    Attributes:
        sop_class_uid: Media Storage SOP Class UID.
        sop_instance_uid: Media Storage SOP Instance UID.
        transfer_syntax_uid: how the data set is encoded.
        data_set_offset: where the data set begins, in bytes from the start of the file.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int


def file_header(
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    *,
    implementation_class_uid: str,
    implementation_version_name: str,
    source_ae_title: str = "",
) -> bytes:
    """Everything that stands in a file before its data set.

    Args:
        sop_class_uid: without padding, as the other UIDs.
        sop_instance_uid: of the data set that follows.
        transfer_syntax_uid: of the data set that follows.
        implementation_class_uid: who writes the file.
        implementation_version_name: 1 to 16 characters.
        source_ae_title: who sent the data set. Left out when it is empty or no AE value (PS3.5 6.2), since it
            comes from a peer and a strange title is no reason to refuse an instance.
    """
    elements = [
        _VERSION,
        _element(_MEDIA_STORAGE_SOP_CLASS_UID, b"UI", sop_class_uid.encode("ascii"), b"\0"),
        _element(_MEDIA_STORAGE_SOP_INSTANCE_UID, b"UI", sop_instance_uid.encode("ascii"), b"\0"),
        _element(_TRANSFER_SYNTAX_UID, b"UI", transfer_syntax_uid.encode("ascii"), b"\0"),
        _element(_IMPLEMENTATION_CLASS_UID, b"UI", implementation_class_uid.encode("ascii"), b"\0"),
        _element(_IMPLEMENTATION_VERSION_NAME, b"SH", implementation_version_name.encode("ascii"), b" "),
    ]
    title = source_ae_title.strip(" ")
    if 0 < len(title) <= 16 and title.isascii() and title.isprintable() and "\\" not in title:
        elements.append(_element(_SOURCE_APPLICATION_ENTITY_TITLE, b"AE", title.encode("ascii"), b" "))
    meta = b"".join(elements)
    return _PREAMBLE + _group_length(0x0002, 0x0000, b"UL", 4, len(meta)) + meta


def read_file_header(file: BinaryIO) -> FileMeta:
    """Read preamble and File Meta Information, at most 64 KiB of them.

    Args:
        file: open for reading at its start; afterwards its position is unspecified.

    Raises:
        InvalidFile: it is no DICOM file, its meta information is malformed or overlong, or says nothing of
            the transfer syntax.
        OSError: it cannot be read.
    """
    head = file.read(len(_PREAMBLE) + _LONGEST_META)
    if head[128:132] != b"DICM":
        raise InvalidFile("no DICM behind the first 128 bytes: not a DICOM file (PS3.10 7.1)")
    uids: dict[int, str] = {}
    position = len(_PREAMBLE)
    while head[position : position + 2] == b"\x02\x00":
        element, vr, start, length = _element_header(head, position)
        position = start + length
        if position > len(head):
            raise InvalidFile(
                f"element (0002,{element:04X}) ends beyond the file or beyond {_LONGEST_META} bytes"
            )
        if vr == b"UI":
            uids[element] = head[start:position].rstrip(b"\0 ").decode("latin-1")
    if not uids.get(_TRANSFER_SYNTAX_UID):
        raise InvalidFile("the File Meta Information has no Transfer Syntax UID (0002,0010)")
    return FileMeta(
        sop_class_uid=uids.get(_MEDIA_STORAGE_SOP_CLASS_UID, ""),
        sop_instance_uid=uids.get(_MEDIA_STORAGE_SOP_INSTANCE_UID, ""),
        transfer_syntax_uid=uids[_TRANSFER_SYNTAX_UID],
        data_set_offset=position,
    )


def _element(element: int, vr: bytes, value: bytes, padding: bytes) -> bytes:
    if len(value) % 2:
        value += padding
    return _short_element(0x0002, element, vr, len(value)) + value


def _element_header(head: bytes, position: int) -> tuple[int, bytes, int, int]:
    """Element number, VR, start of the value and its length; Explicit VR Little Endian (PS3.10 7.1)."""
    is_long = head[position + 4 : position + 6] in _LONG_VRS
    start = position + (12 if is_long else 8)
    if start > len(head):
        raise InvalidFile("the File Meta Information ends inside an element header")
    element = int.from_bytes(head[position + 2 : position + 4], "little")
    length = int.from_bytes(head[start - 4 if is_long else start - 2 : start], "little")
    return element, head[position + 4 : position + 6], start, length
