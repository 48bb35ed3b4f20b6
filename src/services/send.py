"""Sending one Part 10 file: what it is, which contexts it needs, and how it goes out (PS3.4 B.3).

A file goes out as it is where the peer accepted its transfer syntax. Where it did not, and the file is not
compressed, its data set is encoded anew in an uncompressed syntax that the peer did accept. Many files on
many associations are the business of `services.sending`.
"""

import asyncio
import errno
import itertools
import os
import re
import struct
from collections.abc import Collection, Iterable, Iterator
from typing import BinaryIO

from msgspec import Struct

from dimse import status
from dimse.association import Association
from dimse.enums import Priority
from dimse.errors import DimseError
from dimse.messages import Response
from dul.negotiated import PresentationContext
from dul.negotiation import MAXIMUM_CONTEXTS, ProposedContext
from services.part10 import FileMeta, InvalidFileMeta, NotDicom, read_file_meta
from services.printable import printable, shorten
from services.sop_classes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UNCOMPRESSED,
    name_of,
)
from services.storage import MoveOriginator, encode_dataset, store

__all__ = [
    "InstanceFile",
    "InvalidFileMeta",
    "Need",
    "NotDicom",
    "Ready",
    "contexts_for",
    "contexts_of",
    "plan",
    "prepare",
    "read_instance",
    "send_file",
]

CHUNK = 1 << 20
"""Bytes read at a time. A data set up to this long is read before its C-STORE begins, so that a file that cannot
be read costs no association."""

CONVERTIBLE = frozenset((*UNCOMPRESSED, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN))
"""Transfer syntaxes whose pixel data is not compressed, so that the data set can be encoded in another of them."""

_UID = re.compile(r"[0-9.]{1,64}").fullmatch
_FALLBACKS = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)

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


class Ready(Struct, frozen=True):
    """A data set ready to be sent, and the context it goes out on."""

    context: PresentationContext
    data_set: bytes | Iterable[bytes]


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


# -- contexts


def contexts_for(files: Iterable[InstanceFile]) -> list[ProposedContext]:
    """The presentation contexts that files need; over 128 of them, see `plan`."""
    return contexts_of(dict.fromkeys(file.needs for file in files))


def contexts_of(needs: Collection[Need]) -> list[ProposedContext]:
    """One context for each need, so that the peer cannot choose among syntaxes that are all wanted.

    A SOP class with uncompressed files gets one more with the little endian syntaxes not needed anyway: for a
    peer that takes no other, and because the default transfer syntax has to be offered (PS3.5 10.1).
    """
    contexts = [ProposedContext(sop_class, (syntax,)) for sop_class, syntax in needs]
    for sop_class in dict.fromkeys(sop_class for sop_class, syntax in needs if syntax in CONVERTIBLE):
        others = tuple(syntax for syntax in _FALLBACKS if (sop_class, syntax) not in needs)
        if others:
            contexts.append(ProposedContext(sop_class, others))
    return contexts


def plan(needs: Iterable[Need]) -> list[list[Need]]:
    """Divide needs among associations, of which each proposes at most 128 contexts (PS3.8 9.3.2.2)."""
    associations: list[dict[Need, None]] = []
    for need in dict.fromkeys(needs):
        if associations:
            widened = associations[-1] | {need: None}
            if len(contexts_of(widened)) <= MAXIMUM_CONTEXTS:
                associations[-1] = widened
                continue
        associations.append({need: None})
    return [list(association) for association in associations]


def _context(association: Association, instance: InstanceFile) -> PresentationContext:
    """The file's own transfer syntax, or for an uncompressed file any other that is none either."""
    syntaxes = [instance.transfer_syntax_uid]
    if instance.transfer_syntax_uid in CONVERTIBLE:
        syntaxes += UNCOMPRESSED
    for syntax in syntaxes:
        try:
            return association.context_for(instance.sop_class_uid, syntax)
        except DimseError:
            continue
    name, syntax = name_of(instance.sop_class_uid), name_of(instance.transfer_syntax_uid)
    raise DimseError(
        status.SOP_CLASS_NOT_SUPPORTED, f"the peer accepted no presentation context for {name} in {syntax}"
    )


# -- sending


async def send_file(
    association: Association,
    file: InstanceFile | str | os.PathLike[str],
    *,
    priority: Priority = Priority.MEDIUM,
    timeout: float = 120.0,
) -> Response:
    """Send one file on an association.

    Args:
        association: with the contexts of `contexts_for`.
        file: what to send.
        priority: a wish, which most peers pass over.
        timeout: seconds to wait for the response once all is sent.

    Returns:
        The C-STORE-RSP; its status may be a failure.

    Raises:
        NotDicom: not a Part 10 file.
        DimseError: 0122H, the peer accepted no context it could go out on.
        ValueError: it would have to be converted, and cannot be; its data set has an odd length; or the file is not
            what `file` says any more.
        OSError: it cannot be read; where that shows in the middle of a long data set, the association is aborted.
        TimeoutError, AssociationEnded: see `Association.invoke`.
    """
    instance = file if isinstance(file, InstanceFile) else read_instance(file)
    ready = await prepare(association, instance)
    return await send_ready(association, instance, ready, priority=priority, timeout=timeout)


async def prepare(association: Association, instance: InstanceFile) -> Ready:
    """Choose the context for a file and get its data set ready; nothing is sent yet.

    Raises:
        DimseError, ValueError, OSError: see `send_file`.
    """
    context = _context(association, instance)
    file = _File(instance)
    if context.transfer_syntax != instance.transfer_syntax_uid:
        # Seconds of pydicom for a large one, which other associations need not wait for.
        return Ready(context, await asyncio.to_thread(_converted, instance, file, context.transfer_syntax))
    chunks = file.chunks()
    if instance.data_set_length % 2:
        if instance.transfer_syntax_uid != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            raise ValueError(
                f"its data set of {instance.data_set_length} bytes is cut off or damaged: an odd length cannot be sent "
                "(PS3.8 E.1)"
            )
        chunks = itertools.chain(chunks, (b"\0",))  # which its writer owed (PS3.5 A.5)
    return Ready(context, chunks if instance.data_set_length > CHUNK else b"".join(chunks))


async def send_ready(
    association: Association,
    instance: InstanceFile,
    ready: Ready,
    *,
    priority: Priority,
    timeout: float,
    move_originator: MoveOriginator | None = None,
) -> Response:
    """Send what `prepare` made ready; arguments and errors as of `send_file`."""
    return await store(
        association,
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=ready.context.transfer_syntax,
        data_set=ready.data_set,
        context=ready.context,
        priority=priority,
        move_originator=move_originator,
        timeout=timeout,
    )


class _File:
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


def _converted(instance: InstanceFile, file: _File, transfer_syntax_uid: str) -> bytes:
    from pydicom import dcmread

    try:
        with file.opened() as opened:
            return encode_dataset(dcmread(opened), transfer_syntax_uid)
    except OSError:
        raise
    except Exception as error:  # pydicom raises whatever the bytes provoke
        name, why = name_of(transfer_syntax_uid), str(error).partition("\n")[0]
        raise ValueError(f"{instance.path}: cannot be converted to {name}: {why}") from error
