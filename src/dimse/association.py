"""One association as DIMSE sees it: the user of the Upper Layer service (PS3.7 7.5, PS3.8 7).

It takes the indications; the `Receiver` turns fragments into messages and hands requests to the `Performer`, responses
to the `Invoker`: two tables by Message ID, one for each direction, so that a C-CANCEL finds its operation and
every response finds who waits for it.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import TypeAlias

from dimse import status
from dimse.errors import DimseError
from dimse.invocation import Invocation, Reply
from dimse.invoker import Invoker, MakeRequest
from dimse.listener import AssociationListener
from dimse.messages import Message
from dimse.operation import Operation
from dimse.outbox import HalfSent, Outbox
from dimse.performer import UNLIMITED_WINDOW, Performer
from dimse.receiver import Receiver
from dimse.service import Authorize, ServiceRegistry
from dul.enums import Role, State
from dul.errors import (
    AssociationAborted,
    AssociationEnded,
    AssociationRejected,
    AssociationReleased,
    ConnectionLost,
    InvalidPDU,
    LocalProtocolError,
    NetworkError,
)
from dul.negotiated import Negotiated, PresentationContext, as_acceptor, as_requestor
from dul.pdus import AAssociateAC, AAssociateRJ, AAssociateRQ
from dul.primitives import (
    AbortIndication,
    AssociateConfirmation,
    AssociateIndication,
    Indication,
    PAbortIndication,
    PDataIndication,
    ReleaseConfirmation,
    ReleaseIndication,
)
from dul.provider import ServiceProvider
from dul.reasons import AbortReason

Accept: TypeAlias = Callable[[AAssociateRQ, "Association"], AAssociateAC | AAssociateRJ]
"""An acceptor's decision on an A-ASSOCIATE-RQ."""

_numbers = itertools.count(1)

_NOTHING_NEGOTIATED = Negotiated({}, 0, 1, 1, "", "", None, None, None, None, {}, ())


class Association:
    """The service user of one Upper Layer association, requestor or acceptor.

    Args:
        provider: the Upper Layer service provider it uses.
        services: what the peer may invoke on us.
        accept: the acceptor's decision; None for a requestor.
        request: the requestor's A-ASSOCIATE-RQ; None for an acceptor.
        authorize: judged before each operation the peer invokes.
        listener: told what happens.
        maximum_command_length: bytes of one command set.

    Attributes:
        number: counts the associations of this process from 1; logs name an association by it.
        negotiated: what was agreed; empty until then.
        ended: why it is over; None until then.
    """

    def __init__(
        self,
        provider: ServiceProvider,
        services: ServiceRegistry,
        *,
        accept: Accept | None = None,
        request: AAssociateRQ | None = None,
        authorize: Authorize | None = None,
        listener: AssociationListener | None = None,
        maximum_command_length: int = 65536,
    ) -> None:
        self.provider = provider
        self.listener = listener or AssociationListener()
        self.number = next(_numbers)
        self.negotiated: Negotiated = _NOTHING_NEGOTIATED
        self.ended: AssociationEnded | AssociationRejected | None = None
        self._accept = accept
        self._request = request
        self._maximum_command_length = maximum_command_length
        self._performer = Performer(self, services, authorize)
        self._invoker = Invoker(self)
        self._receiver = Receiver(self, self._performer, self._invoker)
        self._outbox = Outbox(provider)
        self._pausing: set[object] = set()
        self._release_deadline: asyncio.TimerHandle | None = None
        self._was_established = False
        self._confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_established(self) -> bool:
        """True from acceptance until release, abort or loss."""
        return self._was_established and self.ended is None

    @property
    def busy(self) -> bool:
        """True while the peer waits for a response of ours (see `dul.provider.ServiceUser`)."""
        return bool(self._performer.operations) and not self._receiver.takes_data_set

    @property
    def odd_fragments(self) -> int:
        """How many fragments of odd length were tolerated."""
        return self._receiver.odd_fragments

    def tolerate_odd_fragments(self) -> None:
        """Take fragments of odd length, which PS3.8 E.1 does not allow, instead of aborting."""
        self._receiver.tolerates_odd_fragments = True

    @property
    def can_send(self) -> bool:
        """True where Table 9-10 lets a message be sent: in Sta6, and in Sta8 until the release is answered."""
        return self.ended is None and self.provider.state in (State.Sta6, State.Sta8)

    @property
    def operations(self) -> Iterable[Operation]:
        """The operations the peer invoked that have had no final response yet."""
        return self._performer.operations.values()

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> PresentationContext:
        """An accepted context on which we are SCU of a SOP class.

        Raises:
            DimseError: 0122H, none was accepted (with that transfer syntax, where one is given).
        """
        for context in self.negotiated.contexts.values():
            if context.abstract_syntax != abstract_syntax or not context.as_scu:
                continue
            if transfer_syntax in (None, context.transfer_syntax):
                return context
        wanted = abstract_syntax if transfer_syntax is None else f"{abstract_syntax} in {transfer_syntax}"
        raise DimseError(status.SOP_CLASS_NOT_SUPPORTED, f"the peer accepted no context for {wanted}")

    # -- primitives of the Upper Layer (PS3.8 7)

    def indicate(self, primitive: Indication) -> None:
        """Take an indication or a confirmation."""
        match primitive:
            case PDataIndication(pdvs):
                for pdv in pdvs:
                    if self.ended is None:
                        self._receiver.receive(pdv)
                if self._performer.has_queue:  # and now that the whole PDU has proved good
                    self._performer.perform_next()
            case AssociateIndication(pdu):
                self._answer(pdu)
            case AssociateConfirmation(pdu):
                self._confirm(pdu)
            case ReleaseIndication(collision):
                self._peer_releases(collision)
            case ReleaseConfirmation():
                self._confirm_release()
            case AbortIndication(reason):
                self._end(AssociationAborted(f"the peer aborted: {reason}", reason))
            case PAbortIndication(None, cause):
                self._end(ConnectionLost(cause))
            case PAbortIndication(reason, cause):
                self._end(AssociationAborted(cause, reason or AbortReason.NOT_SPECIFIED))

    def opened(self) -> None:
        """The transport connection is open."""
        self.listener.connected(self)

    def timed_out(self, cause: str) -> None:
        """A timer of the Upper Layer's adapter expired: a local abort (Evt15)."""
        self.abort(cause)

    def closed(self) -> None:
        """The transport connection is gone."""
        self._end(ConnectionLost("the transport connection closed"))
        self.listener.closed(self)

    # -- establishing

    def _answer(self, request: AAssociateRQ) -> None:
        assert self._accept is not None, "a requestor has no A-ASSOCIATE indication"
        answer = self._accept(request, self)
        if isinstance(answer, AAssociateRJ):
            self.provider.associate_reject(answer)
            self._end(AssociationRejected(answer.result, answer.reason))
            return
        self._establish(as_acceptor(request, answer))
        self.provider.associate_accept(answer)
        self.listener.established(self)

    def _confirm(self, answer: AAssociateAC | AAssociateRJ) -> None:
        assert self._request is not None, "an acceptor has no A-ASSOCIATE confirmation"
        if isinstance(answer, AAssociateRJ):
            self._end(AssociationRejected(answer.result, answer.reason))
            return
        try:
            self._establish(as_requestor(self._request, answer))
        except InvalidPDU as error:
            self.provider.invalid_pdu(error)
            return
        self.listener.established(self)
        if not self._confirmed.done():
            self._confirmed.set_result(None)

    def _establish(self, negotiated: Negotiated) -> None:
        self.negotiated = negotiated
        self._was_established = True
        self._receiver.establish(negotiated.contexts, self._maximum_command_length)
        self._outbox.maximum_length = negotiated.maximum_length
        self._performer.window = negotiated.performed or UNLIMITED_WINDOW
        self._invoker.set_window(negotiated.invoked)

    async def wait_established(self) -> None:
        """Wait for the acceptor's answer, at most `timers.association` seconds; cancelled, the association is aborted.

        Raises:
            AssociationRejected: the peer refused.
            AssociationEnded: it aborted, the connection was lost, or no answer came.
        """
        seconds = self.provider.timers.association
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._confirmed)
        except TimeoutError:
            self.abort(f"no answer to the A-ASSOCIATE-RQ within {seconds:g} s")
        except asyncio.CancelledError:
            self.abort("cancelled while waiting for the A-ASSOCIATE-AC")
            raise
        if self.ended is not None:
            raise self.ended

    # -- operations we invoke

    async def invoke(
        self,
        request: MakeRequest,
        context: PresentationContext,
        data_set: bytes | Iterable[bytes] | None = None,
        *,
        timeout: float = 60.0,
    ) -> Reply:
        """Invoke an operation that has one response (PS3.7 7.5). Waits while the negotiated window is full.

        Args:
            request: given the Message ID, makes the command.
            context: where to send it.
            data_set: encoded in the context's transfer syntax; an iterable is read as it is sent.
            timeout: seconds to wait for the response once all is sent.

        Returns:
            The response, and its data set where it has one.

        Raises:
            AssociationEnded: the association is over, or ended meanwhile.
            TimeoutError: no response came; the association stays, and a late response is dropped. Cancelling leaves
                it in the same state, unless it comes between two PDUs of the request: that aborts.
        """
        return await self._invoker.invoke(request, context, data_set, timeout)

    def invoke_many(
        self,
        request: MakeRequest,
        context: PresentationContext,
        data_set: bytes | None = None,
        *,
        timeout: float = 60.0,
        cancel_timeout: float | None = None,
    ) -> AsyncGenerator[Reply, None]:
        """Invoke an operation with pending responses; yields each as it comes, the final one last.

        Closing the generator early sends a C-CANCEL-RQ and drops what still comes. Arguments and errors as for
        `invoke`; `timeout` is for each response. With `cancel_timeout`, closing then waits so many seconds for the
        final response, and aborts where it does not come.
        """
        return self._invoker.invoke_many(request, context, data_set, timeout, cancel_timeout)

    async def send(
        self, context: PresentationContext, message: Message, data_set: bytes | Iterable[bytes] | None = None
    ) -> None:
        """Send one message on a context; a failure in its middle aborts the association.

        Raises:
            AssociationEnded: the association is over.
            LocalProtocolError: it is being released, and nothing can be sent any more.
            ValueError: the message cannot be encoded; nothing was sent.
        """
        if self.ended is not None:
            raise self.ended
        try:
            await self._outbox.send(context.id, message, data_set)
        except HalfSent as error:
            if self.ended is None or not isinstance(error.cause, NetworkError):
                self.abort(f"a message was sent in part: {error.cause!r}")
                raise error.cause from None
            raise self.ended from None
        except NetworkError:
            if self.ended is not None:
                raise self.ended from None
            raise

    def forget(self, invocation: Invocation) -> None:
        """An invocation nobody waits for has had its final response."""
        self._invoker.forget(invocation)

    def pass_over(self, operation: Operation) -> None:
        """An operation the peer invoked has ended, perhaps before all of its data set had come."""
        self._receiver.pass_over(operation)

    # -- flow control: several may ask for a pause, and reading goes on when the last no longer does

    def pause_reading(self, who: object) -> None:
        """Take nothing from the peer until `who` asks to resume."""
        self._pausing.add(who)
        self.provider.pause_reading()

    def resume_reading(self, who: object) -> None:
        """Undo a pause; harmless without one."""
        if who in self._pausing:
            self._pausing.discard(who)
            if not self._pausing:
                self.provider.resume_reading()

    # -- leaving

    async def release(self) -> None:
        """Release the association in order (PS3.8 7.2); as its requestor only (PS3.7 A.5).

        Waits at most `timers.release` seconds for the operations the peer invoked on us, which could not be answered
        afterwards, for the peer's answer, and for the end of the connection; does nothing where the association is
        over already.

        Raises:
            AssociationEnded: it was aborted or lost instead.
        """
        if self.ended is not None:
            return
        if self.provider.machine.role is Role.ACCEPTOR:
            raise LocalProtocolError(
                "only the requestor of an association may release it (PS3.7 A.5): abort it"
            )
        seconds = self.provider.timers.release
        try:
            async with asyncio.timeout(seconds):
                await self._performer.wait()
                if self.ended is None and self.provider.state is not State.Sta8:  # there the peer asked first
                    self.provider.release_request()
                await self.provider.wait_closed()
        except TimeoutError:
            self.abort(f"the association could not be released within {seconds:g} s")
        if self.ended is not None and not isinstance(self.ended, AssociationReleased):
            raise self.ended

    def abort(self, cause: str = "aborted here") -> None:
        """Abort the association (PS3.8 7.3); does nothing where it is over already."""
        if self.ended is None:
            self._end(AssociationAborted(cause))
            self.provider.abort()

    async def wait_closed(self) -> None:
        """Wait until the transport connection is closed and every operation has ended."""
        await self.provider.wait_closed()
        await self._performer.wait()

    def operations_ended(self) -> None:
        """No operation of the peer's is left: a release that waited for that is answered."""
        if self._release_deadline is not None:
            self._agree_to_release()

    def _peer_releases(self, collision: bool) -> None:
        """Answer now, or when the operations in progress have had their responses (AR-7, AR-4).

        The peer sends nothing more: what it has begun stays incomplete, what we asked stays unanswered.
        """
        self._receiver.break_off()
        self._performer.cancel_all()
        self._invoker.end(AssociationReleased("the peer released the association before it responded"))
        if collision or self._performer.is_idle:  # after a collision no response can be sent (Evt9)
            self._agree_to_release()
            return
        seconds = self.provider.timers.release
        self._release_deadline = asyncio.get_running_loop().call_later(seconds, self._agree_to_release)

    def _agree_to_release(self) -> None:
        if self._release_deadline is not None:
            self._release_deadline.cancel()
            self._release_deadline = None
        if self.provider.state in (State.Sta8, State.Sta9, State.Sta12):
            self.provider.release_response()
        if self.provider.state is State.Sta13:
            self._end(AssociationReleased("the peer released the association"))

    def _confirm_release(self) -> None:
        """Confirmed; after a collision the acceptor still owes its own response (AR-10, Sta12)."""
        if self.provider.state is State.Sta12:
            self._agree_to_release()
        else:
            self._end(AssociationReleased("the association was released"))

    def _end(self, cause: AssociationEnded | AssociationRejected) -> None:
        """Everything that waits for the association ends with it."""
        if self.ended is not None:
            return
        self.ended = cause
        if self._release_deadline is not None:
            self._release_deadline.cancel()
        self._receiver.break_off()
        self._performer.end()
        self._invoker.end(cause)
        if not self._confirmed.done():
            self._confirmed.set_result(None)
        self.listener.ended(self, cause)
