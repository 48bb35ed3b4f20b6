"""The Upper Layer state machine (PS3.8 9.2): events in, effects out.

`UpperLayer` looks up Table 9-10 (`dul.table`), runs the action found there (`dul.actions`) and collects the
effects it asks for. It knows nothing of sockets, clocks, loops, bytes or logs: an adapter tells it what
happened with `handle_*`, then performs `take_effects()` in order.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from dul.actions import DT_1, DT_2
from dul.effects import CloseTransport, Effect, Indicate, OpenTransport, SendPDU, StartARTIM, StopARTIM
from dul.enums import Event, RejectResult, Role, State
from dul.errors import LocalProtocolError, RemoteProtocolError
from dul.pdus import (
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AnyPDU,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
)
from dul.primitives import Indication
from dul.reasons import AbortReason, RejectReason
from dul.table import TABLE


class Transition(Struct, frozen=True, gc=False):
    """One step of the machine, for an observer: `state` + `event` -> `action_name` -> `next_state`."""

    state: State
    event: Event
    action_name: str
    next_state: State


_EVENT_OF_PDU: dict[type, Event] = {
    AAssociateAC: Event.Evt3,
    AAssociateRJ: Event.Evt4,
    AAssociateRQ: Event.Evt6,
    PDataTF: Event.Evt10,
    AReleaseRQ: Event.Evt12,
    AReleaseRP: Event.Evt13,
    AAbort: Event.Evt16,
}

_LOCAL_PRIMITIVE = {
    Event.Evt1: "A-ASSOCIATE request",
    Event.Evt7: "A-ASSOCIATE response (accept)",
    Event.Evt8: "A-ASSOCIATE response (reject)",
    Event.Evt9: "P-DATA request",
    Event.Evt11: "A-RELEASE request",
    Event.Evt14: "A-RELEASE response",
}
"""Where the table has a blank these are a caller's mistake, or a race lost. A-ABORT never is."""

(_DATA_TRANSFER,) = (
    s for s in State if (TABLE[Event.Evt9 - 1][s - 1], TABLE[Event.Evt10 - 1][s - 1]) == (DT_1, DT_2)
)
"""The state in which Table 9-10 sends and indicates P-DATA and does nothing else: Sta6, Data Transfer."""

_OPEN_TRANSPORT = OpenTransport()
_CLOSE_TRANSPORT = CloseTransport()
_START_ARTIM = StartARTIM()
_STOP_ARTIM = StopARTIM()


class UpperLayer:
    """The state machine of one association (PS3.8 9.2).

    Args:
        role: whether we requested the association or accept it; decides a release collision (AR-8).
        observe: called with a `Transition` after every action; costs nothing when None.
        refuse: whether the service provider can accept a request (AE-6), asked after the protocol version was
            checked: returns the A-ASSOCIATE-RJ to send, or None to let the user decide.

    A service primitive that the state does not allow raises LocalProtocolError and changes nothing, except
    A-ABORT, which is then silently ignored. Any other event in a blank cell is silently ignored: every close
    we start is followed by Evt17 in Sta1.
    """

    __slots__ = ("_effects", "_observe", "_refuse", "artim_running", "request", "role", "state")

    request: AAssociateRQ
    """The A-ASSOCIATE-RQ that AE-1 keeps for AE-2; unset on the acceptor's side."""

    def __init__(
        self,
        role: Role,
        *,
        observe: Callable[[Transition], None] | None = None,
        refuse: Callable[[AAssociateRQ], AAssociateRJ | None] | None = None,
    ) -> None:
        self.role = role
        self.state = State.Sta1
        self.artim_running = False
        self._observe = observe
        self._refuse = refuse
        self._effects: list[Effect] = []

    @property
    def only_passes_data(self) -> bool:
        """True where Evt9 comes to nothing but `SendPDU` (DT-1), and Evt10 to nothing but `Indicate` (DT-2).

        An adapter may then do that itself: the state stays, no effect waits that has to come before it, and
        nobody observes the transition.
        """
        return self.state is _DATA_TRANSFER and not self._effects and self._observe is None

    # Service primitives of the local user (PS3.8 7)

    def handle_associate_request(self, rq: AAssociateRQ) -> None:
        """Evt1: open the transport, then send `rq`."""
        self._step(Event.Evt1, rq)

    def handle_associate_accept(self, ac: AAssociateAC) -> None:
        """Evt7: accept the indicated association with `ac`."""
        self._step(Event.Evt7, ac)

    def handle_associate_reject(self, rj: AAssociateRJ) -> None:
        """Evt8: reject the indicated association with `rj`."""
        self._step(Event.Evt8, rj)

    def handle_p_data_request(self, pdata: PDataTF) -> None:
        """Evt9: send `pdata`."""
        self._step(Event.Evt9, pdata)

    def handle_release_request(self) -> None:
        """Evt11: ask the peer to release. For the association's requestor only (PS3.7 A.5)."""
        self._step(Event.Evt11)

    def handle_release_response(self) -> None:
        """Evt14: agree to the release that was indicated."""
        self._step(Event.Evt14)

    def handle_abort_request(self) -> None:
        """Evt15: abort, for the user or a time-out of its own; does nothing in Sta1, Sta2 and Sta13."""
        self._step(Event.Evt15)

    # Transport service and timer (PS3.8 9.1)

    def handle_transport_connected(self) -> None:
        """Evt2: the transport we asked for is open."""
        self._step(Event.Evt2)

    def handle_transport_accepted(self) -> None:
        """Evt5: a peer opened a transport connection to us."""
        self._step(Event.Evt5)

    def handle_transport_closed(self) -> None:
        """Evt17: the transport is closed, or could not be opened."""
        self._step(Event.Evt17)

    def handle_artim_expired(self) -> None:
        """Evt18: the ARTIM timer that StartARTIM started has expired."""
        self._step(Event.Evt18)

    # What the peer sent (PS3.8 9.3)

    def handle_pdu(self, pdu: AnyPDU) -> None:
        """Evt3, 4, 6, 10, 12, 13 or 16, by the type of `pdu`."""
        self._step(_EVENT_OF_PDU[type(pdu)], pdu)

    def handle_invalid_pdu(self, error: RemoteProtocolError) -> None:
        """Evt19: the peer sent what no decoder takes; outside Sta2 and Sta13 `error` says how we abort."""
        self._step(Event.Evt19, error)

    def take_effects(self) -> list[Effect]:
        """What is to be done now, in order; the machine forgets it."""
        effects = self._effects
        self._effects = []
        return effects

    def _step(self, event: Event, argument: Any = None) -> None:
        state = self.state
        action = TABLE[event - 1][state - 1]
        if action is None:
            if event in _LOCAL_PRIMITIVE:
                raise LocalProtocolError(_not_allowed(event, state))
            return
        self.state = action(self, argument)
        if self._observe is not None:
            self._observe(Transition(state, event, action.__name__.replace("_", "-"), self.state))

    # The verbs of the actions (PS3.8 9.2.2): only `dul.actions` calls them

    def open_transport(self) -> None:
        self._effects.append(_OPEN_TRANSPORT)

    def close_transport(self) -> None:
        self._effects.append(_CLOSE_TRANSPORT)

    def send(self, pdu: AnyPDU) -> None:
        self._effects.append(SendPDU(pdu))

    def indicate(self, primitive: Indication) -> None:
        self._effects.append(Indicate(primitive))

    def start_artim(self) -> None:
        self.artim_running = True
        self._effects.append(_START_ARTIM)

    def stop_artim(self) -> None:
        self.artim_running = False
        self._effects.append(_STOP_ARTIM)

    def rejection_of(self, rq: AAssociateRQ) -> AAssociateRJ | None:
        """How the service provider rejects `rq`; None where it is acceptable to it (AE-6)."""
        if not rq.protocol_version & 1:  # bit 0 stands for version 1, the other bits are not tested (9.3.2)
            return AAssociateRJ(RejectResult.PERMANENT, RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED)
        return None if self._refuse is None else self._refuse(rq)

    def fault_in(self, received: AnyPDU | RemoteProtocolError) -> RemoteProtocolError:
        """What is wrong with something AA-8 answers: a PDU that came at the wrong time, or an invalid one."""
        if isinstance(received, RemoteProtocolError):
            return received
        name = received.pdu_type.name.replace("_", "-")
        return RemoteProtocolError(f"{name} PDU unexpected in {self.state.name}", AbortReason.UNEXPECTED_PDU)


def _not_allowed(event: Event, state: State) -> str:
    allowed = ", ".join(s.name for s in State if TABLE[event - 1][s - 1] is not None)
    return f"{_LOCAL_PRIMITIVE[event]} is not allowed in {state.name}, only in {allowed} (PS3.8 Table 9-10)"
