"""Sending Part 10 files: what they are, which contexts they need, and how each goes out (PS3.4 B.3).

A file goes out as it is where the peer accepted its transfer syntax. Where it did not, and the file is not
compressed, its data set is encoded anew in an uncompressed syntax that the peer did accept.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID

from dimse import status
from dimse.association import Association
from dimse.errors import DimseError
from dimse.messages import Response
from dul.negotiated import PresentationContext
from dul.negotiation import ProposedContext
from services.sop_classes import UNCOMPRESSED
from services.storage import encode_dataset, store

MAXIMUM_CONTEXTS = 128
"""Presentation contexts of one association: the odd ids from 1 to 255 (PS3.8 9.3.2.2)."""

CHUNK = 1 << 20


class NotDicom(ValueError):
    """A file that is not in the DICOM file format (PS3.10 7)."""


class InstanceFile(Struct, frozen=True):
    """A Part 10 file, described by its File Meta Information."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    size: int

    @property
    def needs(self) -> tuple[str, str]:
        """SOP class and transfer syntax: what a presentation context must be about."""
        return self.sop_class_uid, self.transfer_syntax_uid


def read_instance(path: Path | str) -> InstanceFile:
    """Read the File Meta Information of a file, and nothing else.

    Raises:
        NotDicom: it has none, or the transfer syntax or the UIDs are missing from it.
        OSError: it cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            file.seek(128)
            if file.read(4) != b"DICM":
                raise NotDicom(f"{path}: no DICM at byte 128")
            meta = read_file_meta_info(path)
            group_length = int(meta.FileMetaInformationGroupLength)
            return InstanceFile(
                path=path,
                sop_class_uid=str(meta.MediaStorageSOPClassUID),
                sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
                transfer_syntax_uid=str(meta.TransferSyntaxUID),
                data_set_offset=132 + 12 + group_length,
                size=path.stat().st_size,
            )
    except (InvalidDicomError, AttributeError, ValueError, TypeError) as error:
        raise error if isinstance(error, NotDicom) else NotDicom(f"{path}: {error}") from error


def contexts_for(files: Iterable[InstanceFile]) -> list[ProposedContext]:
    """The presentation contexts that files need: one for each pair of SOP class and transfer syntax.

    For uncompressed files a context with the other uncompressed syntaxes is added, where there is room, so that a
    peer that takes only Implicit VR Little Endian can be served.
    """
    needed = dict.fromkeys(file.needs for file in files)
    contexts = [ProposedContext(sop_class, (syntax,)) for sop_class, syntax in needed]
    for sop_class, syntax in needed:
        others = tuple(s for s in reversed(UNCOMPRESSED[:2]) if (sop_class, s) not in needed)
        if syntax in UNCOMPRESSED and others and len(contexts) < MAXIMUM_CONTEXTS:
            contexts.append(ProposedContext(sop_class, others))
    return contexts


def split_for_associations(files: Iterable[InstanceFile]) -> Iterator[list[InstanceFile]]:
    """Split files so that each part needs at most 128 presentation contexts."""
    part: list[InstanceFile] = []
    needed: set[tuple[str, str]] = set()
    for file in files:
        if file.needs not in needed and len(needed) == MAXIMUM_CONTEXTS:
            yield part
            part, needed = [], set()
        needed.add(file.needs)
        part.append(file)
    if part:
        yield part


async def send_file(
    association: Association, file: InstanceFile | Path | str, *, timeout: float = 120.0
) -> Response:
    """Send one file on an association.

    Args:
        association: with the contexts of `contexts_for`.
        file: what to send.
        timeout: seconds to wait for the response once all is sent.

    Returns:
        The C-STORE-RSP; its status may be a failure.

    Raises:
        NotDicom: not a Part 10 file.
        DimseError: 0122H, the peer accepted no context it could go out on.
        TimeoutError, AssociationEnded: see `Association.invoke`.
    """
    instance = file if isinstance(file, InstanceFile) else read_instance(Path(file))
    context = _context(association, instance)
    as_it_is = context.transfer_syntax == instance.transfer_syntax_uid
    return await store(
        association,
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=context.transfer_syntax,
        data_set=_stored_bytes(instance) if as_it_is else _converted(instance, context.transfer_syntax),
        context=context,
        timeout=timeout,
    )


def _context(association: Association, instance: InstanceFile) -> PresentationContext:
    try:
        return association.context_for(instance.sop_class_uid, instance.transfer_syntax_uid)
    except DimseError:
        if instance.transfer_syntax_uid not in UNCOMPRESSED:
            raise
    context = association.context_for(instance.sop_class_uid)
    if context.transfer_syntax not in UNCOMPRESSED:
        name = UID(instance.transfer_syntax_uid).name
        raise DimseError(status.SOP_CLASS_NOT_SUPPORTED, f"the peer accepted no context for {name}")
    return context


def _stored_bytes(instance: InstanceFile) -> Iterator[bytes]:
    with instance.path.open("rb") as file:
        file.seek(instance.data_set_offset)
        while chunk := file.read(CHUNK):
            yield chunk


def _converted(instance: InstanceFile, transfer_syntax_uid: str) -> bytes:
    return encode_dataset(dcmread(instance.path), transfer_syntax_uid)
