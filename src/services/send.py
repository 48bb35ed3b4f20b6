"""Sending one Part 10 file: what it is, which contexts it needs, and how it goes out (PS3.4 B.3).

A file goes out as it is where the peer accepted its transfer syntax. Where it did not, and the file is not
compressed, its data set is encoded anew in an uncompressed syntax that the peer did accept. Many files on
many associations are the business of `services.sending`.
"""

import asyncio
import itertools
import os
from collections.abc import Collection, Iterable

from msgspec import Struct

from dimse import status
from dimse.association import Association
from dimse.enums import Priority
from dimse.errors import DimseError
from dimse.messages import Response
from dul.negotiated import PresentationContext
from dul.negotiation import MAXIMUM_CONTEXTS, ProposedContext
from services.conversions import Room
from services.instance_file import CHUNK, InstanceFile, Need, OpenedFile, disk, read_instance
from services.part10 import InvalidFileMeta, NotDicom
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

CONVERTIBLE = frozenset((*UNCOMPRESSED, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN))
"""Transfer syntaxes whose pixel data is not compressed, so that the data set can be encoded in another of them."""

_ROOM = Room()
_FALLBACKS = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


class Ready(Struct, frozen=True):
    """A data set ready to be sent, and the context it goes out on: a context manager, whose end gives back the room
    that its conversion took."""

    context: PresentationContext
    data_set: bytes | Iterable[bytes]
    room: int = 0

    def __enter__(self) -> "Ready":
        return self

    def __exit__(self, *_: object) -> None:
        if self.room:
            _ROOM.give_back(self.room)


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
        ValueError: it would have to be converted, and cannot be, or is too long; its data set has an odd length; or
            the file is not what `file` says any more.
        OSError: it cannot be read; where that shows in the middle of a long data set, the association is aborted.
        TimeoutError, AssociationEnded: see `Association.invoke`.
    """
    instance = file if isinstance(file, InstanceFile) else read_instance(file)
    with await prepare(association, instance) as ready:
        return await send_ready(association, instance, ready, priority=priority, timeout=timeout)


async def prepare(association: Association, instance: InstanceFile) -> Ready:
    """Choose the context for a file and get its data set ready; nothing is sent yet.

    Raises:
        DimseError, ValueError, OSError: see `send_file`.
    """
    context = _context(association, instance)
    if context.transfer_syntax != instance.transfer_syntax_uid:
        return await _convert(instance, await disk.do(lambda: OpenedFile(instance)), context)
    owed = b""
    if instance.data_set_length % 2:
        if instance.transfer_syntax_uid != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            raise ValueError(
                f"its data set of {instance.data_set_length} bytes is cut off or damaged: an odd length cannot be sent "
                "(PS3.8 E.1)"
            )
        owed = b"\0"  # by its writer (PS3.5 A.5)
    if instance.data_set_length <= CHUNK:
        return Ready(context, await disk.do(lambda: b"".join((*OpenedFile(instance).chunks(), owed))))
    file = await disk.do(lambda: OpenedFile(instance))
    return Ready(context, itertools.chain(file.chunks(), (owed,) if owed else ()))


async def _convert(instance: InstanceFile, file: OpenedFile, context: PresentationContext) -> Ready:
    size = instance.data_set_length
    await _ROOM.take(size)
    # Seconds of pydicom for a large one, which other associations need not wait for.
    work = asyncio.ensure_future(asyncio.to_thread(_converted, instance, file, context.transfer_syntax))
    try:
        return Ready(context, await asyncio.shield(work), size)
    except BaseException:
        work.add_done_callback(
            lambda done: _abandoned(done, size)
        )  # whoever is cancelled leaves the thread at work
        raise


def _abandoned(work: "asyncio.Future[bytes]", size: int) -> None:
    """Nobody wants what was converted, or there is nothing."""
    _ROOM.give_back(size)
    if not work.cancelled():
        work.exception()


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


def _converted(instance: InstanceFile, file: OpenedFile, transfer_syntax_uid: str) -> bytes:
    from pydicom import dcmread

    try:
        with file.opened() as opened:
            return encode_dataset(dcmread(opened), transfer_syntax_uid)
    except OSError:
        raise
    except Exception as error:  # pydicom raises whatever the bytes provoke
        name, why = name_of(transfer_syntax_uid), str(error).partition("\n")[0]
        raise ValueError(f"{instance.path}: cannot be converted to {name}: {why}") from error
