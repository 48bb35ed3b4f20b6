"""A Part 10 file on its way to a peer: what it says of itself, and its bytes, as long as that is true (PS3.10 7)."""

import asyncio
import errno
import os
import re
import struct
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

from msgspec import Struct

from services.part10 import FileMeta, InvalidFileMeta, NotDicom, read_file_meta
from services.printable import printable, shorten

CHUNK = 1 << 20
"""Bytes read at a time. A data set up to this long is read before its C-STORE begins, so that a file that cannot
be read costs no association."""

SLOW_READ, CALM = 0.005, 0.25
"""Seconds: a read that takes longer sends the next ones to a thread, for so long."""

_AHEAD = 4 * CHUNK

_UID = re.compile(r"[0-9.]{1,64}").fullmatch
_T = TypeVar("_T")

Need = tuple[str, str]
"""SOP class and transfer syntax: what a presentation context must be about."""


class InstanceFile(Struct, frozen=True, gc=False):
    """A Part 10 file, described by its File Meta Information.

    Attributes:
        path: of the file.
        sop_class_uid, sop_instance_uid, transfer_syntax_uid: of its data set.
        data_set_offset: where the data set begins, in bytes.
        size: of the whole file, in bytes.
    """

    path: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    size: int

    @property
    def needs(self) -> Need:
        """What a presentation context must be about to send it as it is."""
        return self.sop_class_uid, self.transfer_syntax_uid

    @property
    def data_set_length(self) -> int:
        """Bytes of its data set."""
        return self.size - self.data_set_offset


def read_instance(path: str | os.PathLike[str]) -> InstanceFile:
    """Read the File Meta Information of a file, and nothing else.

    Raises:
        NotDicom: it is no DICOM file.
        InvalidFileMeta: the transfer syntax or a UID is missing from it, or is no UID.
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        return _read(name, file)


def _read(name: str, file: BinaryIO) -> InstanceFile:
    size = os.fstat(file.fileno()).st_size
    try:
        meta = read_file_meta(file)
        _check(meta)
    except NotDicom as error:
        raise type(error)(f"{name}: {error}") from None
    return InstanceFile(
        path=name,
        sop_class_uid=meta.sop_class_uid,
        sop_instance_uid=meta.sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        data_set_offset=meta.data_set_offset,
        size=size,
    )


def _check(meta: FileMeta) -> None:
    for what, uid in (
        ("Media Storage SOP Class UID (0002,0002)", meta.sop_class_uid),
        ("Media Storage SOP Instance UID (0002,0003)", meta.sop_instance_uid),
        ("Transfer Syntax UID (0002,0010)", meta.transfer_syntax_uid),
    ):
        if not uid:
            raise InvalidFileMeta(f"the File Meta Information has no {what}")
        if not _UID(uid):
            raise InvalidFileMeta(f"the {what} is no UID: '{shorten(printable(uid))}' (PS3.5 9.1)")


class Disk:
    """Where reading is quick it is done in the event loop, which costs less than a thread; for a while after a slow
    one, in a thread, so that whoever waits for the disk, it is not the others (as `archive.volume` writes). What is too
    long to be read at once is asked for ahead instead."""

    def __init__(self) -> None:
        self._slow_until = 0.0

    async def do(self, read: Callable[[], _T]) -> _T:
        """Have something read, here or in a thread."""
        started = time.monotonic()
        result = read() if started >= self._slow_until else await asyncio.to_thread(read)
        now = time.monotonic()
        if now - started > SLOW_READ:
            self._slow_until = now + CALM
        return result


disk = Disk()
"""Where the files of this process are."""


class OpenedFile:
    """The file of an instance, open for as long as anybody has this, and known to be what the instance says.

    Between the question what there is and its answer on the network another version may have taken the place of a
    file, in another transfer syntax, or a part of it may have been lost.
    """

    __slots__ = ("_fd", "_instance")

    def __init__(self, instance: InstanceFile) -> None:
        self._instance = instance
        self._fd = -1
        self._fd = os.open(instance.path, os.O_RDONLY | os.O_CLOEXEC)
        if not self._is_as_described():
            raise ValueError(
                f"{instance.path} has changed since it was found, or is damaged: ask again; "
                "dicom-server verify --deep says which files of an archive are damaged"
            )

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def _is_as_described(self) -> bool:
        instance = self._instance
        if os.fstat(self._fd).st_size != instance.size:
            return False
        head = os.pread(self._fd, instance.data_set_offset, 0)
        if _file_meta_of(instance) in head and _says_offset(head):
            return True
        with self.opened() as file:  # of whom we know nothing
            return _read(instance.path, file) == instance

    def opened(self) -> BinaryIO:
        """The file from its beginning."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        return open(self._fd, "rb", closefd=False)

    def chunks(self) -> Iterator[bytes]:
        """Its data set."""
        at, end = self._instance.data_set_offset, self._instance.size
        while at < end:
            if end - at > CHUNK:  # asked for while this one is sent
                os.posix_fadvise(self._fd, at + CHUNK, _AHEAD, os.POSIX_FADV_WILLNEED)
            chunk = os.pread(self._fd, min(CHUNK, end - at), at)
            if not chunk:
                raise OSError(errno.EIO, "it has become shorter", self._instance.path)
            at += len(chunk)
            yield chunk


_UI = struct.Struct("<HH2sH")
_PREFIX = bytes.fromhex("4449434d 02000000 554c 0400")
"""`DICM`, and the header of File Meta Information Group Length (0002,0000), behind the preamble."""

_BEFORE = 128 + len(_PREFIX) + 4  # bytes, with the group length


def _file_meta_of(instance: InstanceFile) -> bytes:
    """The three elements that say what a file is and stand side by side (PS3.10 7.1)."""
    return (
        _ui(0x0002, instance.sop_class_uid)
        + _ui(0x0003, instance.sop_instance_uid)
        + _ui(0x0010, instance.transfer_syntax_uid)
    )


def _ui(number: int, uid: str) -> bytes:
    value = uid.encode("latin-1")
    value += b"\0" * (len(value) % 2)
    return _UI.pack(0x0002, number, b"UI", len(value)) + value


def _says_offset(head: bytes) -> bool:
    """Whether the data set begins where this ends, going by the group length."""
    if head[128 : _BEFORE - 4] != _PREFIX:
        return False
    return len(head) - _BEFORE == int.from_bytes(head[_BEFORE - 4 : _BEFORE], "little")
