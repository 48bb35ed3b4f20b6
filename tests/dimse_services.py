"""Services for tests: they do as they are told, and keep what happened to them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping

from dimse import status
from dimse.association import Association
from dimse.enums import DATA_SET_FOLLOWS, CommandField
from dimse.listener import AssociationListener
from dimse.messages import Response
from dimse.operation import BoundedBuffer, Operation
from dimse.service import Answer, DataSetSink
from dul.errors import AssociationEnded, AssociationRejected
from dul.negotiation import SupportedContext

VERIFICATION = "1.2.840.10008.1.1"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
SYNTAXES = frozenset({IMPLICIT, EXPLICIT})


class RecordingSink:
    """A data set as it came, and what else was done with it."""

    def __init__(self, store: "Store") -> None:
        self.data = bytearray()
        self.views: list[memoryview] = []
        self.writes = self.ends = self.discards = 0
        self._store = store

    def write(self, chunk: memoryview) -> None:
        assert not self.discards, "written to after it was discarded"
        self.writes += 1
        self.data += chunk
        self.views.append(chunk)
        if self._store.write_error is not None and self.writes > self._store.good_writes:
            raise self._store.write_error

    def end(self) -> None:
        self.ends += 1
        if self._store.end_error is not None:
            raise self._store.end_error

    def discard(self) -> None:
        self.discards += 1


class Store:
    """C-STORE into memory.

    Attributes:
        gate: what every operation waits for; closed by `close_gate`.
        good_writes: how many fragments are taken before `write_error`.
    """

    command_fields = frozenset({CommandField.C_STORE_RQ})
    starts_with_command = False
    begins_at_once = False
    sop_classes: Mapping[str, SupportedContext] = {
        CT_IMAGE: SupportedContext(transfer_syntaxes=SYNTAXES, scu_role=True)
    }

    def __init__(self) -> None:
        self.sinks: list[RecordingSink] = []
        self.performed: list[int] = []
        self.running = self.most_running = 0
        self.code = status.SUCCESS
        self.good_writes = 0
        self.open_error: Exception | None = None
        self.write_error: Exception | None = None
        self.end_error: Exception | None = None
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def open_data_set(self, operation: Operation) -> DataSetSink:
        if self.open_error is not None:
            raise self.open_error
        self.sinks.append(RecordingSink(self))
        return self.sinks[-1]

    async def perform(self, operation: Operation) -> Response:
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.gate.wait()
            self.performed.append(operation.message_id)
            if self.error is not None:
                raise self.error
            return operation.response(self.code)
        finally:
            self.running -= 1


class Find:
    """C-FIND with as many matches as it is told, each behind the gate.

    Attributes:
        identifiers: of the requests, in the order they were performed.
        ended: how each ended: "finished", "cancelled" (C-CANCEL), or the name of an exception.
    """

    command_fields = frozenset({CommandField.C_FIND_RQ})
    starts_with_command = False
    begins_at_once = False
    sop_classes: Mapping[str, SupportedContext] = {
        STUDY_ROOT_FIND: SupportedContext(transfer_syntaxes=SYNTAXES)
    }

    def __init__(self, matches: int = 2, match: bytes = b"identifier") -> None:
        self.matches = matches
        self.match = match
        self.identifiers: list[bytes] = []
        self.ended: list[str] = []
        self.yielded = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def open_data_set(self, operation: Operation) -> DataSetSink:
        return BoundedBuffer()

    async def perform(self, operation: Operation) -> AsyncGenerator[Answer, None]:
        self.identifiers.append(operation.data_set)
        how = ""
        try:
            for _ in range(self.matches):
                await self._gate_or_cancel(operation)
                if operation.cancelled:
                    how = "cancelled"
                    yield operation.response(status.CANCEL), None
                    return
                self.yielded += 1
                yield pending(operation), self.match
            how = "finished"
            yield operation.response(), None
        except BaseException as error:
            how = how or type(error).__name__
            raise
        finally:
            self.ended.append(how)

    async def _gate_or_cancel(self, operation: Operation) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self.gate, operation.cancellation)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def pending(operation: Operation) -> Response:
    """A pending response with an identifier."""
    return operation.response(status.PENDING, command_data_set_type=DATA_SET_FOLLOWS)


class Performs:
    """A service of one SOP class whose `perform` is a function of the test's."""

    starts_with_command = False
    begins_at_once = False

    def __init__(
        self,
        command_field: CommandField,
        sop_class: str,
        perform: Callable[[Operation], object],
        *,
        scu_role: bool = False,
    ) -> None:
        self.command_fields = frozenset({command_field})
        self.sop_classes: Mapping[str, SupportedContext] = {
            sop_class: SupportedContext(transfer_syntaxes=SYNTAXES, scu_role=scu_role)
        }
        self.perform = perform  # type: ignore[assignment]

    def open_data_set(self, operation: Operation) -> DataSetSink:
        return BoundedBuffer()


class RecordingListener(AssociationListener):
    """Keeps everything it is told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.statuses: list[int] = []
        self.errors: list[Exception] = []
        self.causes: list[AssociationEnded | AssociationRejected] = []

    def connected(self, association: Association) -> None:
        self.events.append("connected")

    def established(self, association: Association) -> None:
        self.events.append("established")

    def operation_ended(self, operation: Operation, code: int) -> None:
        self.statuses.append(code)

    def operation_failed(self, operation: Operation, error: Exception) -> None:
        self.errors.append(error)

    def ended(self, association: Association, cause: AssociationEnded | AssociationRejected) -> None:
        self.events.append("ended")
        self.causes.append(cause)

    def closed(self, association: Association) -> None:
        self.events.append("closed")
