"""Reads from a stored file what the index is told of it, when nobody remembers the scan of its arrival.

The structure of the whole data set is walked, but what lies inside long values is passed over without being read:
a file costs its first few kilobytes, however large its pixels are. Everything here blocks.
"""

import os
import stat
from collections.abc import Mapping
from io import BytesIO

from msgspec import Struct

from services.archive.errors import InvalidFile, MissingUID, UIDMismatch
from services.archive.fallback import scan_deflated
from services.archive.index_attributes import (
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from services.archive.invalid_data_set import TruncatedDataSet
from services.archive.layouts import LayoutMemory
from services.archive.part10 import read_file_header
from services.archive.paths import instance_path
from services.archive.scanner import HeaderScanner
from services.part10 import FileMeta

_FIRST_READ = 132 + 65536  # bytes: as far as File Meta Information may reach
_NEXT_READ = 8192  # bytes, behind a value that was passed over
_LONGEST_READ = 1 << 20
_LIMITS = {"max_depth": 512, "max_elements": 100_000_000}  # what has been taken once is not refused now


class Rescanned(Struct, frozen=True):
    """What a stored file says of its instance; an `Indexable`.

    Attributes:
        path: where it belongs, relative to a data directory, by its own UIDs.
        data_set_offset: where the data set begins in the file, in bytes.
        size: of the data set, in bytes.
        values: raw values of the index attributes, by tag.
        truncated: the data set ends inside an element; such a one is taken from peers that are allowed to.
        mismatched: it is not encoded as its transfer syntax says; likewise.
    """

    path: str
    sop_class_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    size: int
    values: Mapping[int, bytes]
    truncated: bool = False
    mismatched: bool = False

    @property
    def sop_instance_uid(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2].removesuffix(".dcm")


def rescan(
    path: str | os.PathLike[str],
    *,
    dir_fd: int | None = None,
    place: str | None = None,
    layouts: LayoutMemory | None = None,
) -> Rescanned:
    """Scan a Part 10 file.

    Args:
        path: of the file; a symbolic link is not followed.
        dir_fd: the directory that a relative path starts from; None is the working directory.
        place: where it lies in the data directory, to be held against its UIDs; None does not ask.
        layouts: of the files scanned before, by the same thread; they make it quicker.

    Raises:
        InvalidFile: no regular file, or no Part 10 file.
        InvalidDataSet: its data set cannot be walked.
        MissingUID: the data set has no SOP Class, SOP Instance, Study or Series Instance UID.
        InvalidUID: one of them is no UID.
        UIDMismatch: the File Meta Information, or the place, names another instance than the data set.
        OSError: it cannot be read.
    """
    # O_NONBLOCK: to open a pipe would wait for its writer.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=dir_fd)
    try:
        return _rescan(fd, place, layouts)
    finally:
        os.close(fd)


def _rescan(fd: int, place: str | None, layouts: LayoutMemory | None) -> Rescanned:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise InvalidFile("it is no regular file")
    head = os.pread(fd, _FIRST_READ, 0)
    meta = read_file_header(BytesIO(head))
    syntax = meta.transfer_syntax_uid
    recall = layouts.recall(meta.sop_class_uid, syntax) if layouts is not None else None
    scanner = HeaderScanner(syntax, recall=recall, **_LIMITS)
    if scanner.needs_fallback:
        truncated = False
        scanner = scan_deflated(os.dup(fd), offset=meta.data_set_offset, **_LIMITS)
    else:
        truncated = _scan(fd, memoryview(head)[meta.data_set_offset :], len(head), status.st_size, scanner)
    return Rescanned(
        path=_place(meta, scanner, place),
        sop_class_uid=meta.sop_class_uid,
        transfer_syntax_uid=syntax,
        data_set_offset=meta.data_set_offset,
        size=status.st_size - meta.data_set_offset,
        values=scanner.values,
        truncated=truncated,
        mismatched=scanner.mismatched,
    )


def _scan(fd: int, head: memoryview, position: int, end: int, scanner: HeaderScanner) -> bool:
    """Walk a data set; says whether it ends inside an element.

    Args:
        head: its first bytes, already read.
        position: where in the file those end.
        end: of the file.
    """
    scanner.feed(head)
    size = _NEXT_READ
    while position < end:
        if passed := min(scanner.skippable, end - position):
            scanner.skip(passed)
            position += passed
            size = _NEXT_READ
            continue
        chunk = os.pread(fd, size, position)
        if not chunk:
            break  # it has become shorter meanwhile
        scanner.feed(chunk)
        position += len(chunk)
        size = min(2 * size, _LONGEST_READ)
    try:
        scanner.finish()
    except TruncatedDataSet:
        return True
    return False


def _place(meta: FileMeta, scanner: HeaderScanner, place: str | None) -> str:
    """Where the file belongs, once everything that names it says the same."""
    uids = []
    for tag, name, told in (
        (SOP_CLASS_UID, "SOP Class UID", meta.sop_class_uid),
        (SOP_INSTANCE_UID, "SOP Instance UID", meta.sop_instance_uid),
        (STUDY_INSTANCE_UID, "Study Instance UID", None),
        (SERIES_INSTANCE_UID, "Series Instance UID", None),
    ):
        uid = scanner.uid(tag)
        if not uid:
            raise MissingUID(f"the data set has no {name}")
        if told is not None and told != uid:
            raise UIDMismatch(
                f"the data set's {name} is {uid[:64]!r}, the File Meta Information says {told[:64]!r}"
            )
        uids.append(uid)
    _, instance, study, series = uids
    belongs = instance_path(study, series, instance)
    if place is not None and belongs != place:
        raise UIDMismatch(f"by its UIDs it belongs at {belongs}")
    return belongs
