"""What the peer sends, from fragments to whoever takes the message (PS3.7 7.5, PS3.8 Annex E.1).

Requests go to the `Performer`, responses to the `Invoker`. Data sets are never joined here: fragments go from the
receive buffer into the sink that the service opened, and a sink that fails costs its operation, never the association.
"""

from collections.abc import Container
from typing import TYPE_CHECKING

from dimse import status
from dimse.assembler import Assembler, DataChunk
from dimse.errors import DimseError, InvalidCommandSet
from dimse.invocation import Invocation
from dimse.invoker import Invoker
from dimse.messages import CCancelRQ, Message, Request, Response
from dimse.operation import Operation, Skip
from dimse.performer import Performer
from dimse.service import DataSetSink
from dul.errors import InvalidPDU
from dul.negotiated import PresentationContext
from dul.pdus import PDV

if TYPE_CHECKING:
    from dimse.association import Association


class Receiver:
    """The message being received on one association, and where its data set goes.

    Attributes:
        tolerates_odd_fragments: take fragments of odd length, which PS3.8 E.1 does not allow.
        odd_fragments: how many were taken.
    """

    def __init__(self, association: "Association", performer: Performer, invoker: Invoker) -> None:
        self._association = association
        self._performer = performer
        self._invoker = invoker
        self.tolerates_odd_fragments = False
        self.odd_fragments = 0
        self._assembler = Assembler(())
        self._taker: Operation | Invocation | None = None
        self._sink: DataSetSink | None = None

    @property
    def takes_data_set(self) -> bool:
        """True while the data set of a message that somebody takes is on its way."""
        return self._taker is not None

    def establish(self, context_ids: Container[int], maximum_command_length: int) -> None:
        """The presentation contexts are known."""
        self._assembler = Assembler(context_ids, maximum_command_length)

    def receive(self, pdv: PDV) -> None:
        """Take the next fragment; its data is used up when this returns.

        Raises:
            RemoteProtocolError: a fragment that no message has a place for.
        """
        if len(pdv.data) & 1:
            self._take_odd(len(pdv.data))
        try:
            part = self._assembler.feed(pdv)
        except InvalidCommandSet as error:
            self._receive_unreadable(pdv.presentation_context_id, error)
            return
        if isinstance(part, DataChunk):
            assert isinstance(part.data, memoryview), "what is received is a view into the receive buffer"
            self._receive_data(part.data, part.is_last)
        elif part is not None:
            self._receive_command(self._association.negotiated.contexts[part.context_id], part.message)

    def pass_over(self, operation: Operation) -> None:
        """The operation has ended; what still comes of its data set is not wanted."""
        if self._taker is operation:
            self._sink = Skip()

    def break_off(self) -> None:
        """The message being received will never be complete."""
        if self._sink is not None:
            self._sink.discard()
        if isinstance(self._taker, Operation):
            self._taker.failure = DimseError(status.PROCESSING_FAILURE, "the data set broke off")
        self._taker = self._sink = None

    def _take_odd(self, length: int) -> None:
        if not self.tolerates_odd_fragments:
            raise InvalidPDU(f"a fragment of {length} bytes: its length must be even (PS3.8 E.1)")
        self.odd_fragments += 1

    def _receive_unreadable(self, context_id: int, error: InvalidCommandSet) -> None:
        """Answer 0211H where a Message ID says to whom, abort where nothing does (PS3.7 Annex C)."""
        refusal = error.refusal()
        if refusal is None:
            self._association.abort(f"the peer's command set cannot be read: {error}")
            return
        if error.has_data_set:
            self._sink = Skip()
        self._performer.refuse(self._association.negotiated.contexts[context_id], refusal)

    def _receive_command(self, context: PresentationContext, message: Message) -> None:
        match message:
            case Request():
                operation = Operation(self._association, context, message)
                self._performer.admit(operation)
                if message.has_data_set:
                    self._taker, self._sink = operation, operation.sink
            case Response():
                self._receive_response(message)
            case CCancelRQ():
                self._performer.cancel(message.message_id_being_responded_to)

    def _receive_response(self, response: Response) -> None:
        message_id = response.message_id_being_responded_to
        invocation = self._invoker.find(message_id)
        if invocation is None:
            self._association.abort(f"the peer answered Message ID {message_id}, which waits for no response")
        elif not invocation.is_answered_by(response):
            self._association.abort(
                f"the peer answered {invocation.command_field.label} {message_id} with {response.command_field.label}, "
                f"status {response.status:04X}"
            )
        elif response.has_data_set:
            self._taker, self._sink = invocation, invocation.open_data_set(response)
        else:
            invocation.deliver(response, None)

    def _receive_data(self, data: memoryview, is_last: bool) -> None:
        assert self._sink is not None, "the assembler lets no data set through that no command announced"
        try:
            self._sink.write(data)
            if is_last:
                self._sink.end()
        except Exception as error:  # a sink is a service's code: whatever it raises, the rest passes by
            self._sink.discard()
            self._sink = Skip()
            self._fail(error)
        if is_last:
            taker, self._taker, self._sink = self._taker, None, None
            match taker:
                case Operation():
                    self._performer.received(taker)
                case Invocation():
                    taker.complete()

    def _fail(self, error: Exception) -> None:
        match self._taker:
            case Operation() as operation:
                operation.failure = self._performer.status_of(operation, error)
            case Invocation() as invocation:
                invocation.failure = error
