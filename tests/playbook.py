"""Scripts for the state machine: what happens, what it answers, where it stands then.

A playbook is a list of `(event, effects, state)`. It is played and compared as a whole, so that a failure
shows the whole story as a diff. `Wire` joins two machines without sockets.
"""

import difflib
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from dul.effects import CloseTransport, Effect, Indicate, OpenTransport, SendPDU, StartARTIM, StopARTIM
from dul.enums import Role, State
from dul.machine import UpperLayer
from dul.pdus import PDV, AAssociateAC, AAssociateRQ, AnyPDU, PDataTF
from dul.primitives import Indication

Happening: TypeAlias = Callable[[UpperLayer], None]
Step: TypeAlias = tuple[Happening, Sequence[Effect], State]

RQ = AAssociateRQ("CALLED".ljust(16), "CALLING".ljust(16), ())
AC = AAssociateAC("CALLED".ljust(16), "CALLING".ljust(16), ())
PDATA = PDataTF((PDV(1, 3, b"command"),))


def receive(pdu: AnyPDU) -> Happening:
    """The peer sends `pdu`."""
    return lambda ul: ul.handle_pdu(pdu)


def play(ul: UpperLayer, steps: Sequence[Step]) -> None:
    """Play `steps` on `ul`; fails with a diff of expected and actual story."""
    played = []
    for number, (happening, _, _) in enumerate(steps, 1):
        happening(ul)
        played.append((number, ul.take_effects(), ul.state))
    expected = [(number, list(effects), state) for number, (_, effects, state) in enumerate(steps, 1)]
    if played != expected:
        raise AssertionError("\n" + "\n".join(difflib.ndiff(_story(expected), _story(played))))


def _story(steps: Sequence[tuple[int, Sequence[Effect], State]]) -> list[str]:
    return [
        line
        for number, effects, state in steps
        for line in (f"step {number} -> {state.name}", *(f"    {effect!r}" for effect in effects))
    ]


CLOSED = "transport closed"
CONNECTED = "transport connected"
ACCEPTED = "transport accepted"


class End:
    """One end of a `Wire`: a machine, what it told its user, and what is under way to it."""

    def __init__(self, role: Role) -> None:
        self.ul = UpperLayer(role)
        self.heard: list[Indication] = []
        self.artim = False
        self.inbox: deque[AnyPDU | str] = deque()
        self.open = False
        self.peer: End

    def perform(self) -> None:
        """Carry out the effects, as an adapter does."""
        for effect in self.ul.take_effects():
            match effect:
                case OpenTransport():
                    self.inbox.append(CONNECTED)
                    self.peer.inbox.append(ACCEPTED)
                case SendPDU(pdu):
                    assert self.open
                    self.peer.inbox.append(pdu)
                case Indicate(primitive):
                    self.heard.append(primitive)
                case StartARTIM():
                    self.artim = True
                case StopARTIM():
                    self.artim = False
                case CloseTransport():
                    self.inbox.append(CLOSED)
                    self.peer.inbox.append(CLOSED)

    def deliver(self) -> None:
        """Let the next thing under way arrive."""
        match self.inbox.popleft():
            case "transport connected":
                self.open = True
                self.ul.handle_transport_connected()
            case "transport accepted":
                self.open = True
                self.ul.handle_transport_accepted()
            case "transport closed":
                self.open = False
                self.ul.handle_transport_closed()
            case str() as unknown:
                raise AssertionError(unknown)
            case pdu if self.open:
                self.ul.handle_pdu(pdu)
        self.perform()

    def does(self, happening: Happening) -> None:
        """The user of this end, or its transport or timer, does something."""
        happening(self.ul)
        self.perform()


class Wire:
    """Two machines and an orderly, lossless wire between them; nothing arrives before `settle`."""

    def __init__(self) -> None:
        self.requestor, self.acceptor = End(Role.REQUESTOR), End(Role.ACCEPTOR)
        self.requestor.peer, self.acceptor.peer = self.acceptor, self.requestor

    def settle(self) -> None:
        """Deliver, in turns, until nothing is under way."""
        ends = (self.requestor, self.acceptor)
        while any(end.inbox for end in ends):
            for end in ends:
                if end.inbox:
                    end.deliver()

    @property
    def states(self) -> tuple[State, State]:
        return self.requestor.ul.state, self.acceptor.ul.state
