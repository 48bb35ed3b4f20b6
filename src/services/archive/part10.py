"""The DICOM file format around a data set, as the archive keeps it: preamble and File Meta Information (PS3.10 7.1).

This file must not know where files lie.
"""

from typing import BinaryIO

from services.archive.errors import InvalidFile
from services.part10 import FileMeta, NotDicom, file_header, read_file_meta

__all__ = ["file_header", "read_file_header"]


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
