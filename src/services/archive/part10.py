"""The DICOM file format around a data set: preamble and File Meta Information (PS3.10 7.1).

A C-STORE brings a data set without them, so the archive writes its own; the preamble is always zero, which
leaves no room for a file that is something else as well. This file must not know where files lie.
"""

import struct
from typing import BinaryIO

from services.archive.errors import InvalidFile
from services.part10 import FileMeta, NotDicom, read_file_meta

_PREAMBLE = bytes(128) + b"DICM"
_VERSION = b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01"

_MEDIA_STORAGE_SOP_CLASS_UID = 0x0002
_MEDIA_STORAGE_SOP_INSTANCE_UID = 0x0003
_TRANSFER_SYNTAX_UID = 0x0010
_IMPLEMENTATION_CLASS_UID = 0x0012
_IMPLEMENTATION_VERSION_NAME = 0x0013
_SOURCE_APPLICATION_ENTITY_TITLE = 0x0016

_short_element = struct.Struct("<HH2sH").pack
_group_length = struct.Struct("<HH2sHI").pack


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
    try:
        meta = read_file_meta(file)
    except NotDicom as error:
        raise InvalidFile(str(error)) from error
    if not meta.transfer_syntax_uid:
        raise InvalidFile("the File Meta Information has no Transfer Syntax UID (0002,0010)")
    return meta


def _element(element: int, vr: bytes, value: bytes, padding: bytes) -> bytes:
    if len(value) % 2:
        value += padding
    return _short_element(0x0002, element, vr, len(value)) + value
