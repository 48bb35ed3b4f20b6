"""The operations the peer invoked on us: admitted, queued behind the window, performed, answered (PS3.7 7.5)."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any

from dimse import status
from dimse.errors import DimseError
from dimse.messages import Message, Response
from dimse.operation import BoundedBuffer, Operation, Skip
from dimse.service import Answer, Authorize, ServiceRegistry
from dul.errors import AssociationEnded, LocalProtocolError
from dul.negotiated import PresentationContext

if TYPE_CHECKING:
    from dimse.association import Association

MAXIMUM_QUEUED_REQUESTS = 16
MAXIMUM_QUEUED_BYTES = 1 << 20
UNLIMITED_WINDOW = 64  # how many at once where the negotiated window sets no limit


class Performer:
    """The table of operations performed for the peer, by Message ID.

    Attributes:
        window: how many are performed at once (PS3.7 D.3.3.3); further ones queue.
    """

    def __init__(
        self, association: "Association", services: ServiceRegistry, authorize: Authorize | None
    ) -> None:
        self.window = 1
        self.operations: dict[int, Operation] = {}
        self._association = association
        self._services = services
        self._authorize = authorize
        self._queue: deque[Operation] = deque()
        self._queued_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """True when every operation has had its response."""
        return not self._tasks and not self._queue

    def admit(self, operation: Operation) -> None:
        """Find who performs the operation and where its data set goes; what refuses it becomes its failure."""
        try:
            self._admit(operation)
        except DimseError as error:
            operation.failure = error
            operation.sink = Skip()
        starts_now = operation.service is not None and operation.service.starts_with_command
        if not operation.request.has_data_set or (starts_now and operation.failure is None):
            self._enqueue(operation)

    def _admit(self, operation: Operation) -> None:
        if operation.message_id in self.operations:
            raise DimseError(
                status.DUPLICATE_INVOCATION, "the Message ID is that of an operation in progress"
            )
        self.operations[operation.message_id] = operation
        if self._authorize is not None:
            self._authorize(operation)
        operation.service = self._services.find(operation.request, operation.context)
        if operation.request.has_data_set:
            operation.sink = operation.service.open_data_set(operation)

    def refuse(self, context: PresentationContext, response: Message) -> None:
        """Answer a request that is no operation we know."""
        self._start(self._association.send(context, response))

    def received(self, operation: Operation) -> None:
        """The data set of the operation is complete."""
        if not operation.started:
            self._enqueue(operation)

    def _enqueue(self, operation: Operation) -> None:
        """Queue behind the window; too long a queue stops reading from the peer."""
        operation.started = True
        self._queue.append(operation)
        self._queued_bytes += _weight(operation)
        self._perform_next()

    def cancel(self, message_id: int) -> None:
        """The peer's C-CANCEL-RQ; one for an unknown or finished operation means nothing (PS3.7 9.3.2.3)."""
        operation = self.operations.get(message_id)
        if operation is not None:
            operation.cancel()

    def cancel_all(self) -> None:
        """Ask every operation to end early."""
        for operation in self.operations.values():
            operation.cancel()

    def end(self) -> None:
        """The association is over: drop what waits and cancel what runs."""
        for operation in self._queue:
            if operation.sink is not None:
                operation.sink.discard()
        self._queue.clear()
        for task in self._tasks:
            task.cancel()

    async def wait(self) -> None:
        """Wait until every task has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _perform_next(self) -> None:
        while self._queue and len(self._tasks) < self.window:
            operation = self._queue.popleft()
            self._queued_bytes -= _weight(operation)
            self._start(self._perform(operation))
        if len(self._queue) >= MAXIMUM_QUEUED_REQUESTS or self._queued_bytes >= MAXIMUM_QUEUED_BYTES:
            self._association.pause_reading(self)
        else:
            self._association.resume_reading(self)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start the task of an operation; the reference is kept, and it ends with the association at the latest."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._association.abort(f"a response could not be sent: {error}")
        if self._association.ended is not None:
            return
        self._perform_next()
        if self.is_idle:
            self._association.operations_ended()

    async def _perform(self, operation: Operation) -> None:
        try:
            final = await self._final_response(operation)
        except DimseError as error:
            final = error.response(operation.request)
        except (AssociationEnded, LocalProtocolError):
            return  # the association was over before the operation
        except Exception as error:
            final = self._failed(operation, error)
        finally:
            if self.operations.get(operation.message_id) is operation:
                del self.operations[operation.message_id]
            operation.resume()
            if operation.sink is not None:
                operation.sink.discard()
        await self._association.send(operation.context, final)
        self._association.listener.operation_ended(operation, final.status)

    def _failed(self, operation: Operation, error: Exception) -> Response:
        if operation.failure is not None:  # the data set broke off under a service that was reading it
            return operation.failure.response(operation.request)
        self._association.listener.operation_failed(operation, error)
        return operation.response(status.PROCESSING_FAILURE)

    async def _final_response(self, operation: Operation) -> Response:
        if operation.failure is not None:
            raise operation.failure
        assert operation.service is not None
        performing = operation.service.perform(operation)
        if isinstance(performing, AsyncIterator):
            return await self._send_answers(operation, performing)
        return await performing

    async def _send_answers(self, operation: Operation, answers: AsyncIterator[Answer]) -> Response:
        """Send each answer but the last, which is the final response and has no data set (PS3.7 9.1.2)."""
        last: Answer | None = None
        async for answer in answers:
            if last is not None:
                await self._association.send(operation.context, *last)
            last = answer
        if last is None:
            raise DimseError(status.PROCESSING_FAILURE, "the operation gave no response")
        return last[0]


def _weight(operation: Operation) -> int:
    """Bytes that wait in memory with a queued operation."""
    return len(operation.sink.data) if isinstance(operation.sink, BoundedBuffer) else 0
