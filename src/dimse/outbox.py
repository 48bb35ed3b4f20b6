"""Sending messages: command set, then data set, never two messages at once (PS3.8 Annex E.1)."""

import asyncio
import itertools
from collections.abc import Iterable

from dimse.command_set import encode_command_set
from dimse.fragmenter import command_pdus, data_pdus
from dimse.messages import Message
from dul.provider import ServiceProvider


class Outbox:
    """Puts the messages of one association on the wire, one after the other.

    Attributes:
        maximum_length: the peer's Maximum Length in bytes; 0, it set none (PS3.8 D.1).
    """

    def __init__(self, provider: ServiceProvider) -> None:
        self.maximum_length = 0
        self._provider = provider
        self._one_at_a_time = asyncio.Lock()
        self._encoded: tuple[object, bytes] = self, b""  # the last command: many responses are alike

    async def send(
        self, context_id: int, message: Message, data_set: bytes | Iterable[bytes] | None = None
    ) -> None:
        """Send a message.

        Cancelled before its first PDU, nothing is sent; cancelled or failed later, the association must be aborted,
        since half a message cannot be taken back: `HalfSent` says so.

        Raises:
            AssociationEnded: the transport closed under it.
            LocalProtocolError: nothing can be sent in this state of the association.
            ValueError: the message cannot be encoded.
            HalfSent: see above.
        """
        if self._encoded[0] is not message:
            self._encoded = message, encode_command_set(message)
        command = self._encoded[1]
        if data_set is None and not self._one_at_a_time.locked() and not self._provider.writing_paused:
            for pdu in command_pdus(context_id, command, self.maximum_length):
                self._provider.p_data(pdu)
            return
        async with self._one_at_a_time:
            await self._send_fragments(context_id, command, data_set)

    async def _send_fragments(
        self, context_id: int, command: bytes, data_set: bytes | Iterable[bytes] | None
    ) -> None:
        """Wait before each PDU, not after: when the last one is out, nothing can go wrong with the message."""
        data = () if data_set is None else data_pdus(context_id, data_set, self.maximum_length)
        begun = False
        try:
            for pdu in itertools.chain(command_pdus(context_id, command, self.maximum_length), data):
                await self._provider.drain()
                self._provider.p_data(pdu)
                begun = True
        except BaseException as error:
            if begun:
                raise HalfSent(error) from error
            raise


class HalfSent(Exception):
    """A message could not be sent to its end; the association is of no further use.

    Args:
        cause: what happened.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"a message was sent in part: {cause!r}")
        self.cause = cause
