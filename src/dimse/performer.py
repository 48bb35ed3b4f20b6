"""The operations the peer invoked on us: admitted, queued behind the window, performed, answered (PS3.7 7.5)."""

import asyncio
import types
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dimse import status
from dimse.errors import DimseError
from dimse.messages import Message
from dimse.operation import BoundedBuffer, Operation, Skip
from dimse.service import Answer, Authorize, Service, ServiceRegistry
from dul.errors import NetworkError
from dul.negotiated import PresentationContext

if TYPE_CHECKING:
    from dimse.association import Association

MAXIMUM_QUEUED_REQUESTS = 16
MAXIMUM_QUEUED_BYTES = 1 << 20
UNLIMITED_WINDOW = 64  # how many at once where the negotiated window sets no limit
_LONGEST_RUN = 16  # operations begun at once, one after the other: then the rest of the loop has its turn


class Performer:
    """The table of operations performed for the peer, by Message ID.

    Attributes:
        window: how many are performed at once (PS3.7 D.3.3.3); further ones queue.
        operations: those that have had no final response yet, the one being received included.
    """

    def __init__(
        self, association: "Association", services: ServiceRegistry, authorize: Authorize | None
    ) -> None:
        self.window = 1
        self.operations: dict[int, Operation] = {}
        self._association = association
        self._services = services
        self._authorize = authorize
        self._queue: deque[tuple[Operation, int]] = deque()  # with the bytes that wait in memory
        self._queued_bytes = 0
        self._run = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def has_queue(self) -> bool:
        """True while operations wait to be performed."""
        return bool(self._queue)

    @property
    def is_idle(self) -> bool:
        """True when every operation has had its response."""
        return not self._tasks and not self._queue

    def admit(self, operation: Operation) -> None:
        """Find who performs the operation and where its data set goes; what refuses it becomes its failure."""
        try:
            self._admit(operation)
        except Exception as error:
            operation.failure = self.status_of(operation, error)
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
        self._start(self._send_refusal(context, response))
        self._hold_back()

    def received(self, operation: Operation) -> None:
        """The data set of the operation is complete."""
        if not operation.started:
            self._enqueue(operation)

    def cancel(self, message_id: int) -> None:
        """The peer's C-CANCEL-RQ; one for an unknown or finished operation means nothing (PS3.7 9.3.2.3)."""
        operation = self.operations.get(message_id)
        if operation is not None:
            operation.cancel()

    def cancel_all(self) -> None:
        """Ask every operation to end early."""
        for operation in self.operations.values():
            operation.cancel()

    def status_of(self, operation: Operation, error: Exception) -> DimseError:
        """The status that ends an operation because of an error; what is no status is a defect of ours: 0110H."""
        if isinstance(error, DimseError):
            return error
        if operation.failure is not None:  # the data set broke off under a service that was reading it
            return operation.failure
        self._association.listener.operation_failed(operation, error)
        return DimseError(status.PROCESSING_FAILURE)

    def end(self) -> None:
        """The association is over: drop what waits and cancel what runs."""
        for operation, _ in self._queue:
            if operation.sink is not None:
                operation.sink.discard()
        self._queue.clear()
        self.operations.clear()
        # One turn later: a task that has not begun still has to let its data set go, and a service that reads its
        # data set learns that it broke off.
        asyncio.get_running_loop().call_soon(self._cancel_tasks)

    async def wait(self) -> None:
        """Wait until every task has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    # -- the queue and the tasks

    def _enqueue(self, operation: Operation) -> None:
        """Queue behind the window, until `perform_next`."""
        operation.started = True
        weight = len(operation.sink.data) if isinstance(operation.sink, BoundedBuffer) else 0
        self._queue.append((operation, weight))
        self._queued_bytes += weight

    def perform_next(self) -> None:
        """Perform what is queued and has room in the window; too long a queue stops reading from the peer."""
        while self._queue and len(self._tasks) < self.window:
            operation, weight = self._queue.popleft()
            self._queued_bytes -= weight
            if self._run < _LONGEST_RUN and _begins_at_once(operation.service):
                self._run += 1
                self._begin(self._perform(operation))
            else:
                self._run = 0
                self._start(self._perform(operation))
        self._hold_back()

    def _hold_back(self) -> None:
        """Read from the peer only while what waits is bounded; refusals that cannot be sent wait, too."""
        waiting = len(self._queue) + max(0, len(self._tasks) - self.window)
        if waiting >= MAXIMUM_QUEUED_REQUESTS or self._queued_bytes >= MAXIMUM_QUEUED_BYTES:
            self._association.pause_reading(self)
        else:
            self._association.resume_reading(self)

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run it here as far as it does not wait; a task, which costs two turns of the loop, does what is left."""
        try:
            awaited = coroutine.send(None)
        except StopIteration:
            return
        except Exception as error:
            self._not_answered(error)
        else:
            self._start(_rest_of(coroutine, awaited))

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a task; the reference is kept, and it ends with the association at the latest."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._not_answered(error)
        if self._association.ended is not None:
            return
        self.perform_next()
        if self.is_idle:
            self._association.operations_ended()

    def _not_answered(self, error: BaseException) -> None:
        self._association.abort(f"a response could not be sent: {error}")

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()

    # -- inside a task

    async def _send_refusal(self, context: PresentationContext, response: Message) -> None:
        with suppress(NetworkError):  # the association was over before
            await self._association.send(context, response)

    async def _perform(self, operation: Operation) -> None:
        try:
            if self._association.ended is not None:
                return
            answer = await self._final_answer(operation)
        except Exception as error:
            if not self._association.can_send:
                return  # the association was over before the operation
            answer = self.status_of(operation, error).response(operation.request), None
        finally:
            self._let_go(operation)
        await self._respond(operation, answer)

    def _let_go(self, operation: Operation) -> None:
        """Before the final response is sent: after it, the peer may use the Message ID again."""
        if self.operations.get(operation.message_id) is operation:
            del self.operations[operation.message_id]
        operation.resume()
        self._association.pass_over(operation)
        if operation.sink is not None:
            operation.sink.discard()

    async def _final_answer(self, operation: Operation) -> Answer:
        if operation.failure is not None:
            raise operation.failure
        assert operation.service is not None
        performing = operation.service.perform(operation)
        if isinstance(performing, AsyncIterator):
            return await self._send_pending(operation, performing)
        return await performing, None

    async def _send_pending(self, operation: Operation, answers: AsyncIterator[Answer]) -> Answer:
        """Send the pending responses as they come; the first other one is final (PS3.7 9.1.2 to 9.1.4)."""
        try:
            async for response, data_set in answers:
                if not status.is_pending(response.status):
                    return response, data_set
                await self._association.send(operation.context, response, data_set)
                await asyncio.sleep(0)  # one turn of the loop, in which a C-CANCEL is seen
        finally:
            if isinstance(answers, AsyncGenerator):
                await answers.aclose()
        raise RuntimeError("the service ended without a final response")

    async def _respond(self, operation: Operation, answer: Answer) -> None:
        response, data_set = answer
        try:
            await self._association.send(operation.context, response, data_set)
        except NetworkError:
            return  # the association was over before the operation
        except Exception as error:
            response = self.status_of(operation, error).response(operation.request)
            if not self._association.can_send:
                return  # the failure was in the middle of the response
            await self._association.send(operation.context, response)
        self._association.listener.operation_ended(operation, response.status)


def _begins_at_once(service: Service | None) -> bool:
    """Never while its data set still comes: whoever takes that is told of the operation's end, in this order."""
    return service is not None and service.begins_at_once and not service.starts_with_command


@types.coroutine
def _rest_of(coroutine: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """What a task must do for a coroutine that waits already: hand on what it waits for, and what comes of it."""
    while True:
        try:
            try:
                yield awaited
            except BaseException as error:  # of the future it waits for, or the task's cancellation
                awaited = coroutine.throw(error)
            else:
                awaited = coroutine.send(None)
        except StopIteration:
            return
