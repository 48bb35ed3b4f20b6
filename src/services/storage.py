"""Storage, SCP and SCU (PS3.4 Annex B; PS3.7 9.1.1).

Two SCPs share the rules of negotiation. `Storage` gives each instance to a handler, as a stream or decoded: for
those who embed or teach. `ArchiveStorage` gives the fragments straight to an archive: what the server runs on.
"""

import copy
from collections.abc import Awaitable, Callable, Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from dimse import status
from dimse.association import Association
from dimse.enums import CommandField, Priority
from dimse.errors import DimseError
from dimse.messages import CStoreRQ, Response
from dimse.operation import Operation
from dimse.service import DataSetSink
from dul.negotiated import PresentationContext
from dul.negotiation import SupportedContext
from services.data_stream import DataStream
from services.sop_classes import StorageContexts, name_of

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset

MAXIMUM_DECODED = 1 << 30

_WORD_WIDTHS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


class ReceivedInstance:
    """One instance being stored, as a handler sees it. Read it once, one way or the other.

    Attributes:
        sop_class_uid, sop_instance_uid: as the command names them; not yet compared with the data set.
        transfer_syntax_uid: how the data set is encoded.
        operation: everything else: association, context, request.
    """

    def __init__(self, operation: Operation) -> None:
        assert isinstance(operation.request, CStoreRQ)
        assert isinstance(operation.sink, DataStream)
        self.operation = operation
        self.sop_class_uid = operation.request.affected_sop_class_uid or ""
        self.sop_instance_uid = operation.request.affected_sop_instance_uid or ""
        self.transfer_syntax_uid = operation.context.transfer_syntax
        self._stream = operation.sink

    @property
    def calling_ae(self) -> str:
        """Who sends it: the calling AE title, which is a claim and no proof."""
        return self.operation.association.negotiated.calling_ae

    def chunks(self) -> DataStream:
        """The encoded data set as it arrives: iterate with `async for`; a slow reader slows the sender down."""
        return self._stream

    async def read(self, maximum: int = MAXIMUM_DECODED) -> bytes:
        """The whole encoded data set.

        Raises:
            DimseError: A700H, it is longer than `maximum` bytes.
            DataSetIncomplete: it broke off.
        """
        whole = bytearray()
        async for chunk in self._stream:
            if len(whole) + len(chunk) > maximum:
                raise DimseError(status.OUT_OF_RESOURCES, f"instance over {maximum} bytes")
            whole += chunk
        return bytes(whole)

    async def dataset(self, maximum: int = MAXIMUM_DECODED) -> "Dataset":
        """The whole data set, decoded by pydicom, with file meta information so that `save_as` makes a file.

        Raises:
            DimseError: C000H, it cannot be decoded; A700H, it is longer than `maximum` bytes.
            DataSetIncomplete: it broke off.
        """
        return decode_dataset(await self.read(maximum), self)


def decode_dataset(data: bytes, instance: ReceivedInstance) -> "Dataset":
    """Decode the data set of an instance.

    Raises:
        DimseError: C000H, pydicom cannot.
    """
    from pydicom import dcmread

    try:
        return dcmread(_with_meta(data, instance), force=True)
    except Exception as error:  # pydicom raises whatever the bytes provoke
        syntax = name_of(instance.transfer_syntax_uid)
        raise DimseError(status.CANNOT_UNDERSTAND, f"not a data set in {syntax}") from error


def _with_meta(data: bytes, instance: ReceivedInstance) -> BytesIO:
    from pydicom.dataset import FileMetaDataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(instance.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(instance.sop_instance_uid)
    meta.TransferSyntaxUID = UID(instance.transfer_syntax_uid)
    buffer = DicomBytesIO()
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, meta, enforce_standard=False)
    return BytesIO(buffer.getvalue() + data)


Handler = Callable[[ReceivedInstance], Awaitable[int | None]]
"""Returns a status, or None for success. A `DimseError` becomes its status, any other exception 0110H."""


class Storage:
    """The SCP that gives every instance to a handler while it arrives.

    Args:
        handler: one call for each C-STORE.
        contexts: what is accepted; every storage SOP class in every transfer syntax by default.
    """

    command_fields = frozenset({CommandField.C_STORE_RQ})
    starts_with_command = True
    begins_at_once = False

    def __init__(self, handler: Handler, contexts: Mapping[str, SupportedContext] | None = None) -> None:
        self.sop_classes = StorageContexts() if contexts is None else contexts
        self._handler = handler

    def open_data_set(self, operation: Operation) -> DataSetSink:
        """A bounded stream to the handler."""
        return DataStream(operation)

    async def perform(self, operation: Operation) -> Response:
        """Let the handler have the instance, and pass over what it did not read."""
        if not operation.request.has_data_set:
            raise DimseError(status.CANNOT_UNDERSTAND, "a C-STORE without a data set")
        instance = ReceivedInstance(operation)
        code = await self._handler(instance)
        async for _ in instance.chunks():
            pass
        return operation.response(status.SUCCESS if code is None else code)


class InstanceStore(Protocol):
    """Where `ArchiveStorage` keeps instances."""

    def receive(self, operation: Operation) -> DataSetSink:
        """Where the data set goes; may refuse by a DimseError."""

    async def store(self, operation: Operation) -> tuple[int, str]:
        """Keep what was received; returns the status and an Error Comment once it is as durable as promised."""


class ArchiveStorage:
    """The SCP that keeps instances in an archive.

    Args:
        store: keeps them.
        contexts: what is accepted.
    """

    command_fields = frozenset({CommandField.C_STORE_RQ})
    starts_with_command = False
    begins_at_once = True

    def __init__(self, store: InstanceStore, contexts: Mapping[str, SupportedContext]) -> None:
        self.sop_classes = contexts
        self._store = store

    def open_data_set(self, operation: Operation) -> DataSetSink:
        """Straight into the archive."""
        return self._store.receive(operation)

    async def perform(self, operation: Operation) -> Response:
        """Answer when the instance is kept (PS3.4 B.2.2)."""
        if operation.sink is None:
            raise DimseError(status.CANNOT_UNDERSTAND, "a C-STORE without a data set")
        code, comment = await self._store.store(operation)
        return operation.response(code, error_comment=comment) if comment else operation.response(code)


class MoveOriginator(Struct, frozen=True):
    """Who asked for a C-MOVE (PS3.7 9.3.1.1).

    Attributes:
        ae_title: of the AE that invoked it.
        message_id: of its C-MOVE-RQ.
    """

    ae_title: str
    message_id: int


async def store(
    association: Association,
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    data_set: bytes | Iterable[bytes],
    transfer_syntax_uid: str,
    context: PresentationContext | None = None,
    priority: Priority = Priority.MEDIUM,
    move_originator: MoveOriginator | None = None,
    timeout: float = 120.0,
) -> Response:
    """Send one instance, its data set already encoded.

    Args:
        association: with an accepted context for the class and the transfer syntax.
        sop_class_uid, sop_instance_uid: of the instance.
        data_set: encoded in `transfer_syntax_uid`; an iterable is read as it is sent.
        context: use this one instead of the first that fits.
        move_originator: the C-MOVE of which this is a sub-operation.
        timeout: seconds to wait for the response once all is sent.

    Returns:
        The C-STORE-RSP; look at its `status` (`dimse.status.category`): a failure raises nothing.

    Raises:
        DimseError: 0122H, no context for it was accepted.
        TimeoutError, AssociationEnded: see `Association.invoke`.
    """
    context = context or association.context_for(sop_class_uid, transfer_syntax_uid)
    originator_ae_title = move_originator.ae_title if move_originator is not None else None
    originator_message_id = move_originator.message_id if move_originator is not None else None
    response, _ = await association.invoke(
        lambda message_id: CStoreRQ(
            message_id=message_id,
            affected_sop_class_uid=sop_class_uid,
            affected_sop_instance_uid=sop_instance_uid,
            priority=priority,
            move_originator_application_entity_title=originator_ae_title,
            move_originator_message_id=originator_message_id,
        ),
        context,
        data_set,
        timeout=timeout,
    )
    return response


def encode_dataset(dataset: "Dataset", transfer_syntax_uid: str) -> bytes:
    """Encode a data set without file meta information, in an uncompressed transfer syntax.

    Raises:
        ValueError: pydicom cannot encode it.
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import correct_ambiguous_vr, write_dataset
    from pydicom.uid import UID

    syntax = UID(transfer_syntax_uid)
    was_little_endian = dataset.original_encoding[1]
    if was_little_endian is not None and was_little_endian != syntax.is_little_endian:
        dataset = correct_ambiguous_vr(copy.deepcopy(dataset), was_little_endian)
        dataset.walk(_swap_bytes)
    buffer = DicomBytesIO()
    buffer.is_little_endian = syntax.is_little_endian
    buffer.is_implicit_VR = syntax.is_implicit_VR
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def _swap_bytes(dataset: "Dataset", element: "DataElement") -> None:
    """Turn around the words of a value that pydicom keeps as the bytes of the file (PS3.5 7.3)."""
    width = _WORD_WIDTHS.get(element.VR)
    value = element.value
    if width is None or not isinstance(value, bytes):
        return
    swapped = bytearray(value)
    for offset in range(width):
        swapped[offset::width] = value[width - 1 - offset :: width]
    element.value = bytes(swapped)
