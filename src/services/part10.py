"""What a DICOM file says of its data set before it: the File Meta Information (PS3.10 7.1), read and written by hand.

Reading group 0002 with pydicom takes longer than sending a small image. This file must not know who reads or writes
it and why: nothing of associations, and nothing of archives.
"""

import struct
import sys
from functools import lru_cache
from typing import BinaryIO

from msgspec import Struct

PREAMBLE_LENGTH = 128
PREFIX = b"DICM"

_LONGEST_META = 65536  # bytes of group 0002 that are read; a usual one has some 300
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_MEDIA_STORAGE_SOP_CLASS_UID = 0x0002
_MEDIA_STORAGE_SOP_INSTANCE_UID = 0x0003
_TRANSFER_SYNTAX_UID = 0x0010
_IMPLEMENTATION_CLASS_UID = 0x0012
_IMPLEMENTATION_VERSION_NAME = 0x0013
_SOURCE_APPLICATION_ENTITY_TITLE = 0x0016

_PREAMBLE = bytes(PREAMBLE_LENGTH) + PREFIX
_VERSION = b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"

_short_element = struct.Struct("<HH2sH").pack
_group_length = struct.Struct("<HH2sHI").pack


class NotDicom(ValueError):
    """A file that is not in the DICOM file format (PS3.10 7.1)."""


class InvalidFileMeta(NotDicom):
    """A DICOM file whose File Meta Information is malformed, or lacks what is needed."""


class FileMeta(Struct, frozen=True, gc=False):
    """What the File Meta Information of a file says; a UID that it does not tell is empty.

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


def read_file_meta(file: BinaryIO) -> FileMeta:
    """Read preamble and File Meta Information, at most 64 KiB of them.

    Its group length is not relied on: some writers get it wrong.

    Args:
        file: open at its start; where it stands afterwards is unspecified.

    Raises:
        NotDicom: it is no DICOM file.
        InvalidFileMeta: its meta information is malformed or overlong.
        OSError: it cannot be read.
    """
    position = PREAMBLE_LENGTH + len(PREFIX)
    head = file.read(position + _LONGEST_META)
    if head[PREAMBLE_LENGTH:position] != PREFIX:
        raise NotDicom("no DICM behind the first 128 bytes (PS3.10 7.1)")
    uids: dict[int, str] = {}
    while head[position : position + 2] == b"\x02\x00":
        element = int.from_bytes(head[position + 2 : position + 4], "little")
        vr = head[position + 4 : position + 6]
        start = position + (12 if vr in _LONG_VRS else 8)
        length = int.from_bytes(head[position + 8 if vr in _LONG_VRS else position + 6 : start], "little")
        position = start + length
        if position > len(head):
            raise InvalidFileMeta(
                f"(0002,{element:04X}) ends beyond the file or beyond {_LONGEST_META} bytes"
            )
        if vr == b"UI":
            uids[element] = head[start:position].rstrip(b"\0 ").decode("latin-1")
    return FileMeta(
        # Few classes and syntaxes, in very many files: one string each.
        sop_class_uid=sys.intern(uids.get(_MEDIA_STORAGE_SOP_CLASS_UID, "")),
        sop_instance_uid=uids.get(_MEDIA_STORAGE_SOP_INSTANCE_UID, ""),
        transfer_syntax_uid=sys.intern(uids.get(_TRANSFER_SYNTAX_UID, "")),
        data_set_offset=position,
    )


def file_header(
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    *,
    implementation_class_uid: str,
    implementation_version_name: str,
    source_ae_title: str = "",
) -> bytes:
    """Everything that stands in a file before its data set; the preamble is always zero, which leaves no room for a
    file that is something else as well.

    Args:
        sop_class_uid: without padding, as the other UIDs.
        sop_instance_uid: of the data set that follows.
        transfer_syntax_uid: of the data set that follows.
        implementation_class_uid: who writes the file.
        implementation_version_name: 1 to 16 characters.
        source_ae_title: who sent the data set. Left out when it is empty or no AE value (PS3.5 6.2), since it
            comes from a peer and a strange title is no reason to refuse an instance.
    """
    before, behind = _around_the_instance(
        sop_class_uid,
        transfer_syntax_uid,
        implementation_class_uid,
        implementation_version_name,
        source_ae_title,
    )
    instance = _element(_MEDIA_STORAGE_SOP_INSTANCE_UID, b"UI", sop_instance_uid.encode("ascii"), b"\0")
    length = len(before) + len(instance) + len(behind)
    return b"".join((_PREAMBLE, _group_length(0x0002, 0x0000, b"UL", 4, length), before, instance, behind))


@lru_cache(64)
def _around_the_instance(
    sop_class_uid: str,
    transfer_syntax_uid: str,
    implementation_class_uid: str,
    implementation_version_name: str,
    source_ae_title: str,
) -> tuple[bytes, bytes]:
    """What stands before and behind the SOP Instance UID, which alone differs between the files of a sender."""
    before = _VERSION + _element(_MEDIA_STORAGE_SOP_CLASS_UID, b"UI", sop_class_uid.encode("ascii"), b"\0")
    behind = [
        _element(_TRANSFER_SYNTAX_UID, b"UI", transfer_syntax_uid.encode("ascii"), b"\0"),
        _element(_IMPLEMENTATION_CLASS_UID, b"UI", implementation_class_uid.encode("ascii"), b"\0"),
        _element(_IMPLEMENTATION_VERSION_NAME, b"SH", implementation_version_name.encode("ascii"), b" "),
    ]
    title = source_ae_title.strip(" ")
    if 0 < len(title) <= 16 and title.isascii() and title.isprintable() and "\\" not in title:
        behind.append(_element(_SOURCE_APPLICATION_ENTITY_TITLE, b"AE", title.encode("ascii"), b" "))
    return before, b"".join(behind)


def _element(element: int, vr: bytes, value: bytes, padding: bytes) -> bytes:
    if len(value) % 2:
        value += padding
    return _short_element(0x0002, element, vr, len(value)) + value
