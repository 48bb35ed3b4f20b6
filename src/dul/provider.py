"""The Upper Layer service provider, less its transport (PS3.8 7, 9.2).

Joins the state machine to its user: requests and responses become events, effects become calls. The two
adapters, `dul.transport` and `dul.streams`, add the socket and the clock. No asyncio here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, TypeAlias

from msgspec import Struct

from dul.decode import decode_pdu
from dul.effects import CloseTransport, Indicate, OpenTransport, SendPDU, StartARTIM, StopARTIM
from dul.encode import encode_pdu
from dul.enums import Role, State
from dul.errors import RemoteProtocolError
from dul.framing import HEADER_LENGTH, PDULimits
from dul.machine import UpperLayer
from dul.observation import ConnectionClosed, Discarded, Observer, PDUReceived, PDUSent
from dul.pdus import AAssociateAC, AAssociateRJ, AnyPDU, PDataTF
from dul.primitives import Indication, PDataIndication
from dul.timers import Timers


class ServiceUser(Protocol):
    """Who uses the Upper Layer service: takes the indications and confirmations (PS3.8 7).

    A `RemoteProtocolError` raised while taking a P-DATA indication says that its fragments make no message:
    it is treated as an invalid PDU (Evt19). No other exception may escape.
    """

    def opened(self) -> None:
        """The transport connection is open. Always the first call."""

    def indicate(self, primitive: Indication) -> None:
        """Take one primitive. Called from inside the transport's callback: be quick, and do not block."""

    @property
    def busy(self) -> bool:
        """True while the peer waits for us, so that its silence is no idleness."""

    def timed_out(self, cause: str) -> None:
        """A timer other than ARTIM expired: abort the association (Evt15), saying why to whoever should know."""

    def closed(self) -> None:
        """The transport connection is gone. Always the last call, however the association ended."""


class Transport(Protocol):
    """What is needed of a transport connection; asyncio's transports have it."""

    def write(self, data: bytes) -> None: ...
    def can_write_eof(self) -> bool: ...
    def write_eof(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def is_closing(self) -> bool: ...


class Timer(Protocol):
    """A call that is due later and can be taken back."""

    def cancel(self) -> None: ...


class Loop(Protocol):
    """What is needed of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer: ...


class ProviderOptions(Struct, frozen=True, kw_only=True):
    """What every association of a listener or a requestor has in common.

    Attributes:
        limits: longest PDUs taken from the peer, in bytes.
        timers: waits, in seconds.
        forgive: judged on each PDU that cannot be accepted; returns what to take instead, or None.
        observe: asked once for each association, when it begins: whom to tell each PDU and each transition of it,
            or None. No observer costs nothing, and what one raises would break the association.
    """

    limits: PDULimits = PDULimits()
    timers: Timers = Timers()
    forgive: "Callable[[ServiceProvider, RemoteProtocolError], AnyPDU | None] | None" = None
    observe: "Callable[[ServiceProvider], Observer | None] | None" = None


UserFactory: TypeAlias = Callable[["ServiceProvider"], ServiceUser]
"""Makes the user of a new association; called when its transport connection opens."""


class ServiceProvider(ABC):
    """One association as its user sees it: the service primitives, and flow control both ways.

    An adapter sets `_loop` before anything else and `_transport` once there is one, reads PDUs and hands them to
    `_receive`, and says when the connection opens and closes.

    Attributes:
        peer: the other side's address, as text: "192.0.2.7:51234", "[2001:db8::7]:51234".
        local: our own.
        pdus_received, bytes_received, pdus_sent, bytes_sent: what went over the wire, PDU headers included.
        longest_received: of a P-DATA-TF, in bytes after its header.
    """

    _loop: Loop

    def __init__(self, role: Role, make_user: UserFactory, options: ProviderOptions) -> None:
        self.peer = self.local = "not connected"
        self._observe = options.observe(self) if options.observe is not None else None
        self.machine = UpperLayer(role, observe=self._observe)
        self.limits = options.limits
        self.timers = options.timers
        self.pdus_received = self.bytes_received = 0
        self.longest_received = 0
        self.pdus_sent = self.bytes_sent = 0
        self._forgive = options.forgive
        self._performing = False
        self._half_closed = False
        self._closing = False
        self._transport: Transport | None = None
        self._artim: Timer | None = None
        self._flushing: Timer | None = None
        self.user = make_user(self)

    @property
    def state(self) -> State:
        """Where the association stands (PS3.8 9.2.1)."""
        return self.machine.state

    # -- requests and responses of the user (PS3.8 7); each raises LocalProtocolError in a state that has no cell for it

    def associate_accept(self, pdu: AAssociateAC) -> None:
        """A-ASSOCIATE response, accept (Evt7)."""
        self.machine.handle_associate_accept(pdu)
        self._perform()

    def associate_reject(self, pdu: AAssociateRJ) -> None:
        """A-ASSOCIATE response, reject (Evt8)."""
        self.machine.handle_associate_reject(pdu)
        self._perform()

    def p_data(self, pdu: PDataTF) -> None:
        """P-DATA request (Evt9). Follow it with `await drain()` before building the next one."""
        if self.machine.only_passes_data:  # DT-1
            self._send(pdu)
            return
        self.machine.handle_p_data_request(pdu)
        self._perform()

    def release_request(self) -> None:
        """A-RELEASE request (Evt11): only the requestor of the association may (PS3.7 A.5)."""
        self.machine.handle_release_request()
        self._perform()

    def release_response(self) -> None:
        """A-RELEASE response (Evt14)."""
        self.machine.handle_release_response()
        self._perform()

    def abort(self) -> None:
        """A-ABORT request (Evt15). Never raises; where Table 9-10 has no cell the transport is closed instead."""
        if self.machine.state in (State.Sta2, State.Sta13):
            self._close_transport(now=self.machine.state is State.Sta13)
            return
        self.machine.handle_abort_request()
        self._perform()

    def invalid_pdu(self, error: RemoteProtocolError) -> None:
        """What the last PDU said cannot be (Evt19): found by the user, answered by the provider."""
        self.machine.handle_invalid_pdu(error)
        self._perform()

    # -- flow control

    @property
    @abstractmethod
    def writing_paused(self) -> bool:
        """True while more is waiting to be sent than the high-water mark allows."""

    @abstractmethod
    async def drain(self) -> None:
        """Wait until the peer has taken enough of what was sent; raises AssociationEnded where it never will."""

    @abstractmethod
    def pause_reading(self) -> None:
        """Take no further PDU from the peer. TCP then holds the peer back; a pause has the `pdu` timer as deadline."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Go on taking PDUs, with those that had already arrived first."""

    @abstractmethod
    async def wait_closed(self) -> None:
        """Wait until the transport connection is closed."""

    # -- effects on the transport connection and the ARTIM timer

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._half_closed:
            self._transport.write(data)

    def _half_close(self) -> None:
        """Say that nothing more will be sent; TLS has no such thing: flush and close. The peer's close must be seen."""
        self.resume_reading()
        self._closing = True
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _close_transport(self, *, now: bool = False) -> None:
        """Close it once what was sent has been taken, which has a deadline; `now`, without waiting for that."""
        if self._transport is None:
            return
        self._closing = True
        if now:
            self._transport.abort()
            return
        self._transport.close()
        self._flushing = self._flushing or self._loop.call_later(self.timers.write, self._transport.abort)

    def _start_artim(self, seconds: float) -> None:
        self._stop_artim()
        self._artim = self._loop.call_later(seconds, self._artim_expired)

    def _stop_artim(self) -> None:
        if self._artim is not None:
            self._artim.cancel()
            self._artim = None

    # -- what an adapter calls

    def _connected(self) -> None:
        self.user.opened()
        if self.machine.role is Role.REQUESTOR:
            self.machine.handle_transport_connected()
        else:
            self.machine.handle_transport_accepted()
        self._perform()

    def _transport_closed(self, *, broken: bool = False) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
        by_peer = not self._closing
        self.machine.handle_transport_closed()
        self._perform()
        if self._observe is not None and self._transport is not None:
            self._observe(ConnectionClosed(by_peer, broken))

    def _artim_expired(self) -> None:
        self.machine.handle_artim_expired()
        self._perform(closing_now=True)

    def _receive(self, pdu_type: int, raw: memoryview) -> None:
        """Take one whole PDU, header included; what it carries is used up when this returns."""
        self.pdus_received += 1
        self.bytes_received += len(raw)
        with raw[HEADER_LENGTH:] as body:
            try:
                pdu = decode_pdu(pdu_type, body)
            except RemoteProtocolError as error:
                forgiven = self._forgive(self, error) if self._forgive is not None else None
                if forgiven is None:
                    self._invalid(error, raw)
                    return
                pdu = forgiven
            if self._observe is not None:
                self._observe(PDUReceived(bytes(raw)))
            if isinstance(pdu, PDataTF):
                self._receive_p_data(pdu)
                if len(body) > self.longest_received:
                    self.longest_received = len(body)
                # The memory will hold another patient's bytes: a view kept by mistake must raise, not read them.
                for pdv in pdu.pdvs:
                    pdv.data.release()  # type: ignore[union-attr]
                return
            self.machine.handle_pdu(pdu)
            self._perform()

    def _receive_p_data(self, pdu: PDataTF) -> None:
        if self._performing or not self.machine.only_passes_data:
            self.machine.handle_pdu(pdu)
        else:  # DT-2
            self._performing = True
            try:
                self.user.indicate(PDataIndication(pdu.pdvs))
            except RemoteProtocolError as error:
                self.machine.handle_invalid_pdu(error)
            finally:
                self._performing = False
            if self.machine.only_passes_data:
                return
        self._perform()

    def _invalid(self, error: RemoteProtocolError, raw: bytes | memoryview) -> None:
        if self._observe is not None:
            self._observe(PDUReceived(bytes(raw)))
        self.invalid_pdu(error)

    def _discard(self, raw: memoryview) -> None:
        if self._observe is not None:
            self._observe(Discarded(bytes(raw)))

    def _perform(self, *, closing_now: bool = False) -> None:
        """Perform effects until there are none; a primitive issued meanwhile joins the same run."""
        if self._performing:
            return
        self._performing = True
        try:
            while effects := self.machine.take_effects():
                for effect in effects:
                    self._perform_one(effect, closing_now)
        finally:
            self._performing = False
        if self.machine.state is State.Sta13 and not self._half_closed:
            self._half_closed = True
            self._half_close()

    def _perform_one(self, effect: object, closing_now: bool) -> None:
        match effect:
            case Indicate(primitive):
                self._indicate(primitive)
            case SendPDU(pdu):
                self._send(pdu)
            case StartARTIM():
                in_sta2 = self.machine.state is State.Sta2
                self._start_artim(self.timers.artim if in_sta2 else self.timers.artim_close)
            case StopARTIM():
                self._stop_artim()
            case CloseTransport():
                self._close_transport(now=closing_now)
            case OpenTransport():
                pass  # AE-1: whoever requests the association opens it; nothing can be done here before it has

    def _send(self, pdu: AnyPDU) -> None:
        data = encode_pdu(pdu)
        self.pdus_sent += 1
        self.bytes_sent += len(data)
        # In Sta13 the connection is half-closed, and an A-ABORT that AA-7 asks for stays unsent.
        if self._observe is not None and not self._half_closed:
            self._observe(PDUSent(data))
        self._write(data)

    def _indicate(self, primitive: Indication) -> None:
        if not isinstance(primitive, PDataIndication):
            self.user.indicate(primitive)
            return
        try:
            self.user.indicate(primitive)
        except RemoteProtocolError as error:
            self.machine.handle_invalid_pdu(error)
