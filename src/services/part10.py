"""What a DICOM file says of its data set before it: the File Meta Information (PS3.10 7.1), read by hand.

Reading group 0002 with pydicom takes longer than sending a small image. This file must not know who reads it
and why: nothing of associations, and nothing of archives.
"""

import sys
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
