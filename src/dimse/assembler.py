"""PDVs to messages: a command ready, then its data set fragment by fragment (PS3.8 Annex E, PS3.7 6.3).

Joins the fragments of a command set, up to a cap, and never those of a data set. Knows neither transport nor
operations, and nothing of what is in a data set.

What the command set announced decides what is due next, command or data; a fragment that is not due is
the peer's error. A command set that cannot be read raises `InvalidCommandSet`. Where that is answerable and
announces a data set, the message goes on: its data comes out as `DataChunk` all the same, for the caller to
drop. Where it is not answerable, nothing is left but to abort.
"""

from collections.abc import Container
from typing import TypeAlias

from msgspec import Struct

from dimse.command_set import decode_command_set
from dimse.errors import InvalidCommandSet, UnexpectedPDV
from dimse.messages import Message
from dul.errors import InvalidPDU
from dul.pdus import PDV


class CommandReady(Struct, frozen=True, gc=False):
    """A command set is complete; it ends the message unless `message.has_data_set`."""

    context_id: int
    message: Message


class DataChunk(Struct, frozen=True, gc=False):
    """A fragment of the data set of the last command; the last one ends the message.

    `data` is that of the PDV, may be empty, and lives no longer than the PDV's does.
    """

    data: bytes | memoryview
    is_last: bool


Part: TypeAlias = CommandReady | DataChunk


class Assembler:
    """Assembles the messages the peer sends on one association, which never overlap (PS3.8 E.1).

    Args:
        context_ids: of the presentation contexts that were accepted.
        maximum_command_length: bytes of one command set.
    """

    __slots__ = ("_command", "_context_id", "_context_ids", "_data_due", "_maximum_command_length")

    def __init__(self, context_ids: Container[int], maximum_command_length: int = 65536) -> None:
        self._context_ids = context_ids
        self._maximum_command_length = maximum_command_length
        self._command = bytearray()
        self._context_id = 0  # of the message being assembled; 0, which no context has, between messages
        self._data_due = False

    @property
    def in_message(self) -> bool:
        """True while a message has begun and not ended."""
        return self._context_id != 0

    def feed(self, pdv: PDV) -> Part | None:
        """Take the next fragment.

        An empty fragment, and one of odd length, are fragments like any other. Bits 2 to 7 of the Message
        Control Header are ignored (E.2).

        Returns:
            What it completed; None for a command fragment that is not the last.

        Raises:
            InvalidPDU: its presentation context was not accepted (A-ABORT 2/6).
            UnexpectedPDV: another context than that of the message, data where a command is due, or a command
                where data is (A-ABORT 2/5).
            InvalidCommandSet: it completed a command set that cannot be read, or made one too long.
        """
        header = pdv.message_control_header
        if self._data_due and not header & 1 and pdv.presentation_context_id == self._context_id:
            if header & 2:
                self._end()
                return DataChunk(pdv.data, True)
            return DataChunk(pdv.data, False)
        self._check(pdv)
        return self._feed_command(pdv)

    def _check(self, pdv: PDV) -> None:
        context_id = pdv.presentation_context_id
        if context_id not in self._context_ids:
            raise InvalidPDU(f"PDV on presentation context {context_id}, which was not accepted")
        if self._context_id not in (0, context_id):
            raise UnexpectedPDV(
                f"PDV on presentation context {context_id} inside a message on {self._context_id}"
            )
        if self._data_due:
            raise UnexpectedPDV("command fragment where the data set is not complete")
        if not pdv.is_command:
            raise UnexpectedPDV("data fragment where a command is due: no data set was announced")

    def _feed_command(self, pdv: PDV) -> CommandReady | None:
        if len(self._command) + len(pdv.data) > self._maximum_command_length:
            self._end()
            raise InvalidCommandSet(f"command set over {self._maximum_command_length} bytes")
        self._context_id = pdv.presentation_context_id
        self._command += pdv.data
        if not pdv.is_last:
            return None
        command = bytes(self._command)
        self._command.clear()
        try:
            message = decode_command_set(command)
        except InvalidCommandSet as error:
            self._begin_data_set(error.is_answerable and error.has_data_set)
            raise
        self._begin_data_set(message.has_data_set)
        return CommandReady(pdv.presentation_context_id, message)

    def _begin_data_set(self, announced: bool) -> None:
        if announced:
            self._data_due = True
        else:
            self._end()

    def _end(self) -> None:
        self._context_id = 0
        self._data_due = False
        self._command.clear()
