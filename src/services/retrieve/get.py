"""Retrieve by C-GET, SCP (PS3.4 C.4.3; PS3.7 9.1.3): instances come back on the association that asks for them.

Each sub-operation is a C-STORE that we invoke on the requestor, which is its SCP by role selection, and ends when its
response has come: as many at a time as the negotiated window allows.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from dimse import status
from dimse.enums import CommandField, Priority
from dimse.errors import DimseError
from dimse.operation import BoundedBuffer, Operation
from dimse.service import Answer, DataSetSink
from dul.errors import NetworkError
from dul.negotiation import SupportedContext
from services.query.keys import MODELS
from services.retrieve.holdings import Holdings
from services.retrieve.selection import Selection, selection_of
from services.retrieve.sub_operations import SubOperations, index_failure, reported
from services.send import InstanceFile, Ready, prepare, send_ready
from services.sop_classes import UNCOMPRESSED

MAXIMUM_IDENTIFIER = 1 << 20
"""Bytes of a request's identifier: about 15,000 UIDs."""

MOST_AT_A_TIME = 8
"""Sub-operations under way where the requestor sets no limit."""


class Failed(Protocol):
    """Told of an instance that could not be sent, and why; without a UID, of what concerns several."""

    def __call__(self, operation: Operation, sop_instance_uid: str, reason: str) -> object: ...


def nobody(operation: Operation, sop_instance_uid: str, reason: str) -> None:
    """Tell nobody."""


class Get:
    """The SCP.

    Args:
        holdings: where instances are.
        response_timeout: seconds for the response to each sub-operation; after them the association is aborted, since
            nothing that comes on it could be trusted any more.
        maximum_identifier: bytes of a request's identifier.
        failed: told of each instance that could not be sent.
        sent: told, at the end of a C-GET, how many instances were sent.
    """

    command_fields = frozenset({CommandField.C_GET_RQ})
    starts_with_command = False
    begins_at_once = False
    sop_classes: Mapping[str, SupportedContext] = {
        model.get: SupportedContext(transfer_syntaxes=UNCOMPRESSED) for model in MODELS.values()
    }

    def __init__(
        self,
        holdings: Holdings,
        *,
        response_timeout: float = 60.0,
        maximum_identifier: int = MAXIMUM_IDENTIFIER,
        failed: Failed = nobody,
        sent: Callable[[int], object] = lambda count: None,
    ) -> None:
        self._holdings = holdings
        self._response_timeout = response_timeout
        self._maximum_identifier = maximum_identifier
        self._failed = failed
        self._sent = sent

    def open_data_set(self, operation: Operation) -> DataSetSink:
        """Identifiers are wanted whole, and are small."""
        return BoundedBuffer(self._maximum_identifier)

    async def perform(self, operation: Operation) -> AsyncGenerator[Answer, None]:
        """Send what is selected, and tell how it goes."""
        selection = selection_of(operation)
        try:
            needs = await self._holdings.needs(selection.level, selection.unique_keys)
        except Exception as error:
            raise index_failure(operation, error, status.UNABLE_TO_CALCULATE_NUMBER_OF_MATCHES) from error
        sub_operations = SubOperations(sum(needs.values()))
        work = self._send_all(operation, selection, sub_operations)
        async with aclosing(reported(operation, sub_operations, work, self._sent)) as answers:
            async for answer in answers:
                yield answer

    async def _send_all(
        self, operation: Operation, selection: Selection, sub_operations: SubOperations
    ) -> None:
        """Keep the window full, and one instance more ready to go out next."""
        width = min(operation.association.negotiated.invoked or MOST_AT_A_TIME, MOST_AT_A_TIME)
        pages = self._holdings.instances(selection.level, selection.unique_keys)
        lane = _Lane(operation, sub_operations, pages, asyncio.Semaphore(width))
        async with aclosing(pages), asyncio.TaskGroup() as senders:
            for _ in range(width + 1):
                senders.create_task(self._send_some(lane))
        if lane.index_error is not None:
            failure = index_failure(operation, lane.index_error, status.UNABLE_TO_PERFORM_SUBOPERATIONS)
            sub_operations.break_off(failure.status, failure.comment)
        elif lane.goes_on:
            sub_operations.no_more()

    async def _send_some(self, lane: "_Lane") -> None:
        association = lane.operation.association
        while lane.goes_on and (instance := await lane.take()) is not None:
            try:
                ready = await prepare(association, instance)
            except (DimseError, OSError, ValueError) as error:
                self._fail(lane, instance, error)
                continue
            with ready:
                async with lane.outstanding:
                    if lane.is_wanted:
                        await self._send(lane, instance, ready)

    async def _send(self, lane: "_Lane", instance: InstanceFile, ready: Ready) -> None:
        association = lane.operation.association
        try:
            response = await send_ready(
                association, instance, ready, priority=Priority.MEDIUM, timeout=self._response_timeout
            )
        except TimeoutError:
            association.abort(f"no response to a C-STORE within {self._response_timeout:g} s")
        except NetworkError:
            return  # the association is over, or about to be
        except (DimseError, OSError, ValueError) as error:
            self._fail(lane, instance, error)
        else:
            lane.sub_operations.record(instance.sop_instance_uid, response.status)

    def _fail(self, lane: "_Lane", instance: InstanceFile, error: Exception) -> None:
        reason = error.comment if isinstance(error, DimseError) else str(error)
        self._failed(lane.operation, instance.sop_instance_uid, reason)
        lane.sub_operations.record(instance.sop_instance_uid, None)


class _Lane:
    """The instances of one C-GET on their way, each to the sender that asks first."""

    def __init__(
        self,
        operation: Operation,
        sub_operations: SubOperations,
        pages: AsyncIterator[Sequence[InstanceFile]],
        outstanding: asyncio.Semaphore,
    ) -> None:
        self.operation = operation
        self.sub_operations = sub_operations
        self.outstanding = outstanding
        self.index_error: Exception | None = None
        self._pages = pages
        self._page: list[InstanceFile] = []
        self._one_at_a_time = asyncio.Lock()

    @property
    def is_wanted(self) -> bool:
        """Whether another sub-operation may begin."""
        return not self.operation.cancelled and self.operation.association.ended is None

    @property
    def goes_on(self) -> bool:
        """Whether another instance may be taken."""
        return self.is_wanted and self.index_error is None

    async def take(self) -> InstanceFile | None:
        """The next one; None when there are no more."""
        async with self._one_at_a_time:
            try:
                while not self._page:
                    self._page = list(await anext(self._pages))[::-1]
            except StopAsyncIteration:
                return None
            except Exception as error:
                self.index_error = error
                return None
            return self._page.pop()
