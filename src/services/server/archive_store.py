"""The archive as the storage service sees it: its errors and outcomes as DIMSE statuses (PS3.4 B.2.3)."""

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from dimse import status
from dimse.association import Association
from dimse.errors import DimseError
from dimse.messages import CStoreRQ
from dimse.operation import Operation
from dimse.service import DataSetSink
from services.archive.archive import Archive
from services.archive.errors import (
    ArchiveError,
    InstanceTooLarge,
    InvalidUID,
    MissingUID,
    NotIndexed,
    NotRecordable,
    OutOfStorage,
    StorageError,
    UIDMismatch,
)
from services.archive.incoming import IncomingInstance
from services.archive.invalid_data_set import InvalidDataSet
from services.archive.publish import Outcome
from services.server.log import get_logger

_TELLING_BEGINNING = (UIDMismatch, NotIndexed, NotRecordable)
"""Errors of whose text a peer gets what stands before the colon: two UIDs would leave nothing of the 64 characters of
an LO for what is wrong, and what a database says is for the log."""

_STATUS: dict[type[ArchiveError], int] = {
    OutOfStorage: status.OUT_OF_RESOURCES,
    InstanceTooLarge: status.OUT_OF_RESOURCES,
    StorageError: status.OUT_OF_RESOURCES,
    UIDMismatch: status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
    MissingUID: status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
    InvalidUID: status.INVALID_SOP_INSTANCE,
    InvalidDataSet: status.CANNOT_UNDERSTAND,
    NotRecordable: status.CANNOT_UNDERSTAND,
}


class ArchiveStore:
    """Keeps what `services.storage.ArchiveStorage` receives.

    Args:
        archive: where.
        tolerated: the switches open for a calling AE title.
        count_tolerance: told each switch that was used, and on which association.
    """

    def __init__(
        self,
        archive: Archive,
        tolerated: Callable[[str], frozenset[str]],
        count_tolerance: Callable[[Association, str], None],
    ) -> None:
        self._archive = archive
        self._tolerated = tolerated
        self._count_tolerance = count_tolerance

    def receive(self, operation: Operation) -> DataSetSink:
        """Begin to keep the instance of a C-STORE-RQ."""
        request = operation.request
        assert isinstance(request, CStoreRQ)
        calling_ae = operation.association.negotiated.calling_ae
        try:
            incoming = self._archive.receive(
                request.affected_sop_class_uid or "",
                request.affected_sop_instance_uid or "",
                operation.context.transfer_syntax,
                source_ae_title=calling_ae,
                tolerate=self._tolerated(calling_ae),
                pause=operation.pause,
                resume=operation.resume,
            )
        except ArchiveError as error:
            raise self._refused(operation, error) from error
        return _Incoming(incoming, lambda error: self._refused(operation, error))

    async def store(self, operation: Operation) -> tuple[int, str]:
        """Publish the instance; returns when it is as durable as the archive promises."""
        assert isinstance(operation.sink, _Incoming)
        try:
            stored = await self._archive.commit(operation.sink.incoming)
        except ArchiveError as error:
            raise self._refused(operation, error) from error
        for switch in stored.tolerated:
            self._count_tolerance(operation.association, switch)
        if stored.outcome in (Outcome.DUPLICATE_DIFFERENT, Outcome.REJECTED):
            _logger(operation).warning("duplicate refused", sop_instance_uid=stored.sop_instance_uid)
            return status.DUPLICATE_SOP_INSTANCE, "another instance is stored under this UID"
        return status.SUCCESS, ""

    def _refused(self, operation: Operation, error: ArchiveError) -> DimseError:
        code = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), status.PROCESSING_FAILURE)
        _logger(operation).warning("instance refused", status=f"{code:04X}H", cause=str(error))
        comment = str(error).partition(":")[0] if isinstance(error, _TELLING_BEGINNING) else str(error)
        return DimseError(code, comment)


class _Incoming:
    """The sink of one instance: the archive's errors become statuses at the door."""

    __slots__ = ("_refused", "incoming")

    def __init__(self, incoming: IncomingInstance, refused: Callable[[ArchiveError], DimseError]) -> None:
        self.incoming = incoming
        self._refused = refused

    def write(self, chunk: memoryview) -> None:
        try:
            self.incoming.write(chunk)
        except ArchiveError as error:
            raise self._refused(error) from error

    def end(self) -> None:
        pass

    def discard(self) -> None:
        self.incoming.discard()


def _logger(operation: Operation) -> FilteringBoundLogger:
    association = operation.association
    return get_logger(association=association.number, peer=association.provider.peer)
