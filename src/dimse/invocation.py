"""One operation we invoked on the peer, and whoever waits for its responses (PS3.7 7.5)."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from dimse import status
from dimse.enums import RESPONSE_BIT, CommandField
from dimse.messages import Response
from dimse.operation import BoundedBuffer

if TYPE_CHECKING:
    from dimse.association import Association

Reply = tuple[Response, bytes | None]

_ANSWERED_SEVERAL_TIMES = frozenset({CommandField.C_FIND_RQ, CommandField.C_GET_RQ, CommandField.C_MOVE_RQ})
_HIGH_WATER = 16  # responses; more than that wait in the peer


class Invocation:
    """Responses in the order they came, taken with `next`."""

    def __init__(self, association: "Association", message_id: int, command_field: CommandField) -> None:
        self.association = association
        self.message_id = message_id
        self.command_field = command_field
        self.failure: Exception | None = None
        self._response: Response | None = None
        self.is_final = False
        self.is_abandoned = False
        self._replies: deque[Reply] = deque()
        self._error: Exception | None = None
        self._arrived = asyncio.Event()
        self._buffer = BoundedBuffer()

    def is_answered_by(self, response: Response) -> bool:
        """Whether a response with our Message ID can be ours: of this operation, and pending only where there are
        pending responses (PS3.7 9.1, 10.1)."""
        return response.command_field == self.command_field | RESPONSE_BIT and (
            self.command_field in _ANSWERED_SEVERAL_TIMES or not status.is_pending(response.status)
        )

    def open_data_set(self, response: Response) -> BoundedBuffer:
        """A response with a data set is being received: where the data set goes."""
        self._response = response
        self._buffer = BoundedBuffer()
        return self._buffer

    def complete(self) -> None:
        """The data set of the response being received is complete."""
        assert self._response is not None
        response, self._response = self._response, None
        if self.failure is not None:
            self.fail(self.failure)
        self.deliver(response, bytes(self._buffer.data))

    def deliver(self, response: Response, data_set: bytes | None) -> None:
        """A whole response has come."""
        code: int = response.status
        self.is_final = not status.is_pending(code)
        if self.is_abandoned:
            if self.is_final:
                self.association.forget(self)
                self._arrived.set()
            return
        if self._error is not None:
            return
        self._replies.append((response, data_set))
        self._arrived.set()
        if len(self._replies) >= _HIGH_WATER:
            self.association.pause_reading(self)

    def fail(self, error: Exception) -> None:
        """No further response can come, or the next one is unusable; those that came before still count."""
        self._error = self._error or error
        self._arrived.set()

    def abandon(self) -> None:
        """Nobody waits any more; a late response is dropped instead of being taken for nonsense."""
        self.is_abandoned = not self.is_final
        self._replies.clear()
        if self._error is None:
            self._arrived.clear()

    async def settled(self, timeout: float) -> None:
        """After `abandon`: the final response, or the end of the association, at most `timeout` seconds from now.

        Raises:
            TimeoutError: neither came in time.
        """
        async with asyncio.timeout(timeout):
            await self._arrived.wait()

    async def next(self, timeout: float) -> Reply:
        """The next response, at most `timeout` seconds from now.

        Raises:
            AssociationEnded: the association ended first.
            DimseError: the response had a data set too long to take.
            TimeoutError: none came in time.
        """
        if not self._replies:
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        if not self._replies:
            assert self._error is not None
            raise self._error
        reply = self._replies.popleft()
        if not self._replies and self._error is None:
            self._arrived.clear()
        self.association.resume_reading(self)
        return reply
