"""What happened inside one end of an association, told from what is seen of it on the wire (PS3.8 9.2).

An `End` runs the state machine of `dul.machine` for one side. What that side received is seen as it is. What made
it send something (a primitive of its user, an action that answers what it received, its timer) is not, and is
inferred: the PDU and the state leave one event of Table 9-10, or none, and then the PDU is a violation.

Segments are under way for a time, so that the order in which both directions are seen need not be the order of
either end: an answer seen after an A-ABORT may have been sent before that came. An `End` therefore remembers
which received events moved its machine since the last PDU that shows what it knew. Where a PDU has no cell in the
present state and has one in a state before some of these, the machine goes back there, sends it, and takes what it
received again: that is the order in which that end saw things. Only what no order explains is a violation.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dul.effects import SendPDU
from dul.enums import Event, State
from dul.errors import RemoteProtocolError
from dul.machine import Transition, UpperLayer
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
from dul.table import TABLE
from services.trace.fields import Side

_UNSEEN_REQUEST = AAssociateRQ("", "", ())
"""Stands for an A-ASSOCIATE-RQ until it is seen; a machine does not look into what it sends."""

_PRIMITIVES: dict[type, tuple[Event, str]] = {
    AAssociateAC: (Event.Evt7, "A-ASSOCIATE response, accept"),
    AAssociateRJ: (Event.Evt8, "A-ASSOCIATE response, reject"),
    PDataTF: (Event.Evt9, "P-DATA request"),
    AReleaseRQ: (Event.Evt11, "A-RELEASE request"),
    AReleaseRP: (Event.Evt14, "A-RELEASE response"),
}

_ARTIM_RUNS = (State.Sta2, State.Sta13)
"""What starts ARTIM leads to these states, and nothing else does (PS3.8 9.2.2)."""


# Where requestor and acceptor stand before the first PDU of a trace that begins in the middle, by its type.
_MIDWAY = {
    2: (State.Sta5, State.Sta3),
    3: (State.Sta5, State.Sta3),
    4: (State.Sta6, State.Sta6),
    5: (State.Sta6, State.Sta6),
    7: (State.Sta6, State.Sta6),
}


class Step(Struct, frozen=True):
    """One transition of one end."""

    side: Side
    transition: Transition


class Findings(Struct):
    """What one PDU or event led to: steps of the machines, what is forbidden about it, what is good to know."""

    steps: list[Step] = []
    problems: list[str] = []
    notes: list[str] = []


class _Received(Struct, frozen=True):
    """Something received that moved the machine: the state before, what it was, and how to take it again."""

    before: State
    what: str
    take: Callable[[], None]


class _Owed(Struct, frozen=True):
    """An A-ABORT that an action sends, and that has not been seen yet."""

    abort: AAbort
    action: str
    cause: str


class End:
    """One end of a traced association.

    Args:
        side: which.
        findings: where what is found goes; the caller replaces it for each PDU.
    """

    def __init__(self, side: Side, findings: Findings) -> None:
        self.side = side
        self.findings = findings
        self._rejection: AAssociateRJ | None = None
        self._machine = UpperLayer(side.role, observe=self._observe, refuse=lambda _: self._rejection)
        self._received: list[_Received] = []
        self._owed: list[_Owed] = []
        self._request_unseen = False

    @property
    def state(self) -> State:
        """Where its machine stands."""
        return self._machine.state

    @property
    def owes_abort(self) -> bool:
        """True while an action has sent an A-ABORT that was not seen."""
        return bool(self._owed)

    def assume(self, state: State) -> None:
        """Begin in `state`: the trace starts when the association is under way."""
        self._machine.state = state

    # -- the transport connection

    def opened(self) -> None:
        """The connection was opened: Evt1 made the requestor do so, Evt5 tells the acceptor.

        Evt2 waits for the A-ASSOCIATE-RQ, since AE-2 sends it.
        """
        if self.side is Side.REQUESTOR:
            self._machine.handle_associate_request(_UNSEEN_REQUEST)
        else:
            self._machine.handle_transport_accepted()
        self._machine.take_effects()

    def closed_by_itself(self, *, reset: bool) -> None:
        """This end closed the connection first, before the other end did, or by a reset."""
        state = self.state
        for owed in self._owed[:1]:
            self._problem(
                f"the {self._name} closed the connection without the A-ABORT that {owed.action} sends for "
                f"{owed.cause} (PS3.8 9.2.2, Table 9-9)"
            )
        self._owed.clear()
        if state is State.Sta4:
            self._machine.handle_abort_request()
        elif state is State.Sta2:
            self._note(f"the {self._name} closed before any A-ASSOCIATE-RQ: so does ARTIM's expiry (Evt18)")
            self._machine.handle_artim_expired()
        elif state is State.Sta13 and reset:
            self._note(
                f"the {self._name} did not wait for the other end to close: as if ARTIM had expired (Evt18)"
            )
            self._machine.handle_artim_expired()
        elif state is State.Sta13:
            # After its last PDU an end may close the direction in which it sends, and wait all the same.
            self._note(
                f"the {self._name} ended its own direction first; ARTIM may have expired there too (Evt18)"
            )
            self._machine.handle_transport_closed()
        elif state is not State.Sta1:
            self._problem(
                f"the {self._name} closed the connection in {state.name}, without a release or an abort: no action "
                "closes it there, and the other end sees an A-P-ABORT (PS3.8 7.4, Table 9-10)"
            )
            self._machine.handle_transport_closed()
        self._machine.take_effects()
        self._received.clear()

    def closed_by_peer(self) -> None:
        """The other end, or the network, closed the connection: Evt17."""
        self._take("the closing of the connection", self._machine.handle_transport_closed)

    # -- what it received

    def received(self, name: str, pdu: AnyPDU | None, error: RemoteProtocolError | None) -> None:
        """It received a PDU, or bytes that are none (Evt19).

        Args:
            name: of the PDU.
            pdu: None where it cannot be decoded.
            error: why it cannot.
        """
        if self.side is Side.REQUESTOR and self.state is State.Sta4:
            self._connect()
            self._request_unseen = True
        if pdu is None:
            fault = error or RemoteProtocolError("cannot be decoded")
            self._take(name, lambda: self._machine.handle_invalid_pdu(fault))
            return
        if isinstance(pdu, AAssociateRQ):
            # Whether its provider refuses it is told by its answer alone, the protocol version included.
            pdu = replace(pdu, protocol_version=1)
        self._take(name, lambda: self._machine.handle_pdu(pdu))

    def _take(self, what: str, take: Callable[[], None]) -> None:
        before = self.state
        take()
        for effect in self._machine.take_effects():
            if isinstance(effect, SendPDU) and isinstance(effect.pdu, AAbort):
                action = self.findings.steps[-1].transition.action_name
                self._owed.append(_Owed(effect.pdu, action, f"{what} in {before.name}"))
        if self.state is not before:
            self._received.append(_Received(before, what, take))

    # -- what it sent

    def sent(self, name: str, pdu: AnyPDU, *, explained: bool = False) -> None:
        """It sent a PDU; infer why.

        Args:
            name: of the PDU.
            pdu: as decoded.
            explained: what the other end sent last was not as it must be, which explains an A-ABORT.
        """
        if isinstance(pdu, AAssociateRQ):
            self._sent_request(pdu)
            return
        first = self.side is Side.REQUESTOR and self.state is State.Sta4
        if first:
            self._problem(
                f"{name} is the first PDU of the requestor, which begins with an A-ASSOCIATE-RQ "
                "(AE-2; PS3.8 9.2.2, Table 9-6)"
            )
            self._connect()
        if isinstance(pdu, AAbort):
            self._sent_abort(pdu, explained)
        elif isinstance(pdu, AAssociateRJ) and pdu.reason.source in (2, 3):
            self._sent_rejection(pdu)
        else:
            event, primitive = _PRIMITIVES[type(pdu)]
            if not self._perform(event, lambda: self._issue(pdu)) and not first:
                self._problem(self._no_cell(name, f"{event.name} ({primitive})"))

    def sent_undecodable(self, pdu_type: int) -> None:
        """It sent a PDU of a known type that cannot be decoded: do what it must have meant, where that is allowed."""
        if self.side is Side.REQUESTOR and self.state is State.Sta4:
            self._connect()
            return
        for kind, (event, _) in _PRIMITIVES.items():
            if kind.pdu_type == pdu_type and self._has_cell(event, self.state):  # type: ignore[attr-defined]
                self._issue_kind(event, None)
                self._machine.take_effects()

    def _sent_request(self, rq: AAssociateRQ) -> None:
        if self.side is Side.ACCEPTOR:
            self._problem(
                "A-ASSOCIATE-RQ by the end that accepted the connection: who opens it requests the association "
                "(PS3.8 9.1.1, Table 9-10)"
            )
        elif self._request_unseen:
            self._request_unseen = False
            self._note("sent before what the acceptor sent reached the requestor")
        elif self.state is State.Sta4:
            self._machine.request = rq
            self._connect()
        else:
            self._problem(
                f"a second A-ASSOCIATE-RQ, in {self.state.name}: AE-2 sends one, in Sta4, and a connection carries "
                "one association (PS3.8 9.1.1, Table 9-10)"
            )

    def _connect(self) -> None:
        self._machine.handle_transport_connected()
        self._machine.take_effects()

    def _sent_rejection(self, rj: AAssociateRJ) -> None:
        """Source 2 or 3: the provider refused in AE-6, which was taken for an acceptance until now."""
        for position, received in enumerate(self._received):
            if received.before is State.Sta2:
                self._rejection = rj
                self._go_back(position, None)
                return
        self._problem(self._no_cell(f"A-ASSOCIATE-RJ of source {rj.reason.source}", "AE-6, which sends it,"))

    def _sent_abort(self, abort: AAbort, explained: bool) -> None:
        if self._owed:
            self._judge_abort(abort, self._owed[0])
            self._owed.clear()
            self._received.clear()
            return
        by_provider = abort.reason.by_service_provider
        if not by_provider and self._perform(Event.Evt15, self._machine.handle_abort_request):
            return
        # Evt19 is what is left of a provider's abort, and of any in Sta2, where the user has none (AA-1).
        fault = RemoteProtocolError("what this end holds invalid", abort.reason)
        if not self._perform(
            Event.Evt19, lambda: self._machine.handle_invalid_pdu(fault), not_in=State.Sta13
        ):
            self._problem(self._no_cell("A-ABORT", "Evt15 (A-ABORT request)"))
            return
        self._owed.clear()
        if not explained:
            who = "service provider" if by_provider else "end"
            self._note(
                f"the {self._name}'s {who} aborted and nothing that is seen explains it: taken for Evt19, something "
                "it holds invalid"
            )

    def _judge_abort(self, abort: AAbort, owed: _Owed) -> None:
        due, seen = owed.abort.reason, abort.reason
        if owed.action != "AA-7" and seen.source != due.source:
            self._problem(
                f"A-ABORT of source {seen.source}: {owed.action}, for {owed.cause}, sends it with source "
                f"{due.source} (PS3.8 9.2.2, Table 9-9)"
            )
        elif seen != due and seen.by_service_provider:
            self._note(
                f"for {owed.cause} reason {due.reason} would say more than {seen.reason}; the standard leaves it open"
            )
        self._note(f"sent by {owed.action}, for {owed.cause}")

    # -- primitives

    def _issue(self, pdu: AnyPDU) -> None:
        self._issue_kind(_PRIMITIVES[type(pdu)][0], pdu)

    def _issue_kind(self, event: Event, pdu: Any) -> None:
        machine = self._machine
        match event:
            case Event.Evt7:
                machine.handle_associate_accept(pdu)
            case Event.Evt8:
                machine.handle_associate_reject(pdu)
            case Event.Evt9:
                machine.handle_p_data_request(pdu)
            case Event.Evt11:
                machine.handle_release_request()
            case _:
                machine.handle_release_response()

    def _perform(self, event: Event, primitive: Callable[[], None], not_in: State | None = None) -> bool:
        """Have the primitive issued where the table has a cell for it; False where no order of events has one."""
        states = [*(received.before for received in self._received), self.state]
        fit = [i for i, state in enumerate(states) if state is not not_in and self._has_cell(event, state)]
        if not fit:
            return False
        if fit[-1] == len(self._received):
            primitive()
            self._machine.take_effects()
        else:
            self._go_back(fit[-1], primitive)
        del self._received[: fit[0]]  # it had received those, or it could not have sent this
        return True

    def _go_back(self, position: int, primitive: Callable[[], None] | None) -> None:
        again = self._received[position:]
        del self._received[position:]
        self._owed.clear()
        self._machine.state = again[0].before
        self._machine.artim_running = self.state in _ARTIM_RUNS
        if primitive is not None:
            primitive()
            self._machine.take_effects()
            missed = ", ".join(dict.fromkeys(received.what for received in again))
            self._note(f"the {self._name} sent it in {again[0].before.name}, before {missed} reached it")
        for received in again:
            self._take(received.what, received.take)

    # -- words

    def _has_cell(self, event: Event, state: State) -> bool:
        return TABLE[event - 1][state - 1] is not None

    def _no_cell(self, name: str, event: str) -> str:
        text = f"{name} by the {self._name} in {self.state.name}: Table 9-10 has no cell for {event} there"
        for owed in self._owed[:1]:
            text += f", an A-ABORT was due ({owed.action}, for {owed.cause})"
        return f"{text} (PS3.8 9.2.3)"

    @property
    def _name(self) -> str:
        return self.side.value

    def _observe(self, transition: Transition) -> None:
        self.findings.steps.append(Step(self.side, transition))

    def _problem(self, text: str) -> None:
        self.findings.problems.append(text)

    def _note(self, text: str) -> None:
        self.findings.notes.append(text)


def assume(ends: dict[Side, End], sender: Side, pdu_type: int) -> None:
    """Let both ends begin where the first PDU of a trace shows them to be, when what came before was not seen.

    Args:
        ends: both, at the very beginning.
        sender: of that PDU.
        pdu_type: its first byte.
    """
    states = _MIDWAY.get(pdu_type)
    if pdu_type == 6:  # an A-RELEASE-RP answers an A-RELEASE-RQ that was not seen
        states = (State.Sta8, State.Sta7) if sender is Side.REQUESTOR else (State.Sta7, State.Sta8)
    for side, state in zip(Side, states or (None, None), strict=True):
        if state is None:  # an A-ASSOCIATE-RQ, or no PDU: the connection was opened just before
            ends[side].opened()
        else:
            ends[side].assume(state)
