"""The operations we invoked on the peer: sent, awaited, matched with their responses (PS3.7 7.5)."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from dimse import status
from dimse.invocation import Invocation, Reply
from dimse.messages import CCancelRQ, Request
from dimse.performer import UNLIMITED_WINDOW
from dul.errors import NetworkError
from dul.negotiated import PresentationContext

if TYPE_CHECKING:
    from dimse.association import Association

MakeRequest = Callable[[int], Request]
"""Given the Message ID, makes the command."""


class Invoker:
    """The table of operations invoked on the peer, by Message ID."""

    def __init__(self, association: "Association") -> None:
        self._association = association
        self._invoked: dict[int, Invocation] = {}
        self._message_ids = itertools.cycle(range(1, 65536))
        self._window = asyncio.Semaphore(1)
        self._over: Exception | None = None

    def set_window(self, invoked: int) -> None:
        """The negotiated number of outstanding operations; 0: no limit of the peer's (PS3.7 D.3.3.3)."""
        self._window = asyncio.Semaphore(invoked or UNLIMITED_WINDOW)

    def find(self, message_id: int) -> Invocation | None:
        """Who waits for a response to a Message ID; None where nothing was asked, or all was answered."""
        invocation = self._invoked.get(message_id)
        return None if invocation is None or invocation.is_final else invocation

    def forget(self, invocation: Invocation) -> None:
        """It has had its final response, or never will."""
        self._invoked.pop(invocation.message_id, None)

    def end(self, cause: Exception) -> None:
        """No response will come any more: every waiter learns why, and nothing more is invoked."""
        self._over = cause
        for invocation in self._invoked.values():
            invocation.fail(cause)
        self._invoked.clear()

    async def invoke(
        self,
        request: MakeRequest,
        context: PresentationContext,
        data_set: bytes | Iterable[bytes] | None,
        timeout: float,
    ) -> Reply:
        """See `Association.invoke`."""
        async with self._window:
            invocation = await self._begin(request, context, data_set)
            try:
                return await invocation.next(timeout)
            finally:
                self._leave(invocation)

    async def invoke_many(
        self,
        request: MakeRequest,
        context: PresentationContext,
        data_set: bytes | None,
        timeout: float,
        cancel_timeout: float | None = None,
    ) -> AsyncGenerator[Reply, None]:
        """See `Association.invoke_many`."""
        async with self._window:
            invocation = await self._begin(request, context, data_set)
            was_stopped = False
            try:
                while True:
                    reply = await invocation.next(timeout)
                    yield reply
                    if not status.is_pending(reply[0].status):
                        return
            except (GeneratorExit, asyncio.CancelledError):
                was_stopped = True
                raise
            finally:
                if self._leave(invocation):
                    await self._cancel(context, invocation)
                    if was_stopped and cancel_timeout is not None:
                        await self._settle(invocation, cancel_timeout)

    async def _begin(
        self, request: MakeRequest, context: PresentationContext, data_set: bytes | Iterable[bytes] | None
    ) -> Invocation:
        if self._over is not None:
            raise self._over
        message_id = next(i for i in self._message_ids if i not in self._invoked)
        message = request(message_id)
        invocation = Invocation(self._association, message_id, message.command_field)
        self._invoked[message_id] = invocation
        try:
            await self._association.send(context, message, data_set)
        except BaseException:
            self.forget(invocation)  # nothing was sent, or the association is over
            raise
        return invocation

    def _leave(self, invocation: Invocation) -> bool:
        """Stop waiting; True where a final response is still to come, and will be dropped when it does."""
        self._association.resume_reading(invocation)
        if invocation.is_final or self._association.ended is not None:
            self.forget(invocation)
            return False
        invocation.abandon()
        return True

    async def _cancel(self, context: PresentationContext, invocation: Invocation) -> None:
        with suppress(NetworkError):
            await self._association.send(
                context, CCancelRQ(message_id_being_responded_to=invocation.message_id)
            )

    async def _settle(self, invocation: Invocation, seconds: float) -> None:
        """Wait for the final response to a C-CANCEL; without it the association is of no more use."""
        try:
            await invocation.settled(seconds)
        except TimeoutError:
            self._association.abort(f"no final response within {seconds:g} s of a C-CANCEL")
