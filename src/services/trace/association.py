"""One association as it is seen from outside: its PDUs explained, both state machines, what is forbidden about it.

Bytes come in as they were seen, in any pieces; entries come out. Nothing that is fed raises, and how the bytes were
cut makes no difference to the entries but their times. Knows nothing of where the bytes come from.
"""

from msgspec import Struct
from msgspec.structs import replace

from dul.enums import State
from dul.errors import UnrecognizedPDU
from dul.framing import HEADER_LENGTH
from dul.pdus import AAssociateAC, AAssociateRJ, AAssociateRQ, AnyPDU, AReleaseRQ, PDataTF
from services.trace.agreement import Agreement, agreement, faults_of_answer
from services.trace.direction import UNREADABLE_SHOWN, Direction, is_pdu
from services.trace.dissect import Context, dissect
from services.trace.fields import Dissection, Side
from services.trace.inference import End, Findings, Step, assume
from services.trace.keeping import Keeper
from services.trace.operations import Operations
from services.trace.reading import LONGEST_PDU, ReadMessage, ReadPDU
from services.trace.texts import PDU_NAMES

PROBLEMS_KEPT = 10_000
"""How many problems `AssociationTrace.problems` holds at most."""


class TracedPDU(Struct, frozen=True):
    """A PDU, or bytes that are none, and what came of it.

    Attributes:
        number: 1 for the first of the association, both directions counted together.
        at: seconds since the connection opened, of the piece that completed it.
        sender: who sent it.
        dissection: its bytes.
        steps: transitions of both ends that go with it, in their order.
        messages: the DIMSE messages that it completed.
        problems: what the standard forbids about it, each with its clause: in its bytes, in the state of its sender,
            in what was negotiated, in the order of messages.
        notes: what helps to understand it and breaks nothing.
    """

    number: int
    at: float
    sender: Side
    dissection: Dissection
    steps: tuple[Step, ...]
    messages: tuple[ReadMessage, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


class TracedEvent(Struct, frozen=True):
    """What happened to the connection.

    Attributes:
        at: seconds since the connection opened.
        side: who did it; None where that is not known, or both did.
        what: "connection opened", "connection closed", …
        steps, problems, notes: as of a `TracedPDU`.
    """

    at: float
    side: Side | None
    what: str
    steps: tuple[Step, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Entry = TracedPDU | TracedEvent


class AssociationTrace:
    """Follows one association.

    Args:
        name: of the connection, for a person: "127.0.0.1:40312 -> 127.0.0.1:11112".
        started: when the connection opened, in seconds since 1970; None where that is not known.
        keep: hold the entries in `entries`; without it they are only returned, for who follows for long.
        keeper: limits what is held, together with the other traces that have it; None for one of its own.
        midway: the first bytes were sent when the association was under way already: states are taken for what the
            first PDU says of them, and what depends on negotiation is not judged.
        one_direction: only what one side sent is known: neither states nor what needs the other side is judged.

    Attributes:
        entries: all so far, with long P-DATA-TF cut and, of long traces, the later ones without their bytes
            (`services.trace.keeping`): a note says so.
        contexts: the accepted presentation contexts by id, once an A-ASSOCIATE-AC was seen.
        request: the A-ASSOCIATE-RQ; None before it, or where it cannot be decoded.
        answer: the A-ASSOCIATE-AC or A-ASSOCIATE-RJ.
        problems: those of all entries, `PROBLEMS_KEPT` at most.
        problem_count: how many there were.
        is_closed: the connection is over.
    """

    def __init__(
        self,
        name: str = "",
        started: float | None = None,
        *,
        keep: bool = True,
        keeper: Keeper | None = None,
        midway: bool = False,
        one_direction: bool = False,
    ) -> None:
        self.name = name
        self.started = started
        self.entries: list[Entry] = []
        self.contexts: dict[int, Context] = {}
        self.request: AAssociateRQ | None = None
        self.answer: AAssociateAC | AAssociateRJ | None = None
        self.problems: list[str] = []
        self.problem_count = 0
        self.is_closed = False
        self._keeper = (keeper or Keeper()) if keep else None
        self._midway = midway
        self._one_direction = one_direction
        self._opened = False
        self._findings = Findings()
        self._ends = {side: End(side, self._findings) for side in Side}
        self._directions = {side: Direction(side) for side in Side}
        self._agreement: Agreement | None = None
        self._operations = Operations()
        self._count = 0
        self._request_index: int | None = None

    def state(self, side: Side) -> State:
        """Where the machine of one side stands."""
        return self._ends[side].state

    # -- what is seen

    def opened(self, at: float = 0.0) -> list[Entry]:
        """The connection was opened; bytes that come before this was told open it too.

        Returns:
            The entries this made; so does everything below.
        """
        if self._opened:
            return []
        self._opened = True
        self._begin()
        if self._one_direction:
            return []
        if self._midway:
            return self._add([self._event(at, None, "the trace begins when the connection is open already")])
        for side in Side:
            self._ends[side].opened()
        return self._add([self._event(at, Side.REQUESTOR, "connection opened")])

    def feed(self, sender: Side, data: bytes, at: float) -> list[Entry]:
        """Bytes were seen.

        Args:
            sender: who sent them.
            data: any of them.
            at: when, in seconds since the connection opened.
        """
        if not data:
            return []
        found = self.opened(at)
        direction = self._directions[sender]
        found += self._add(self._flush(self._directions[sender.peer], at))
        if direction.lost or direction.unfollowed:
            direction.hold(data)
        else:
            for read in direction.pdus.feed(data):
                if is_pdu(read.raw):
                    found += self._add([self._pdu(sender, read, at)])
                else:
                    direction.lost = True
                    direction.error = read.error
                    direction.hold(read.raw)
        if direction.lost and not direction.shown and len(direction.held) == UNREADABLE_SHOWN:
            found += self._add([self._unreadable(direction, at)])
        return found

    def missing(self, sender: Side, count: int, at: float) -> list[Entry]:
        """Bytes were sent and not seen, as where a capture has lost packets.

        Inside a PDU they are taken for zeros, and a note says so; where they may hold the header of one, what that
        side sends from then on is only counted.
        """
        found = self.opened(at)
        direction = self._directions[sender]
        found += self._add(self._flush(self._directions[sender.peer], at))
        self._begin()
        what = f"{count} bytes that were not captured"
        pending = direction.pdus.incomplete
        length = int.from_bytes(pending[2:HEADER_LENGTH], "big") if len(pending) >= HEADER_LENGTH else 0
        if direction.lost or direction.unfollowed:
            direction.hold(b"")
            direction.surplus += count
            return found
        if len(pending) + count <= HEADER_LENGTH + length <= HEADER_LENGTH + LONGEST_PDU:
            self._findings.notes.append("they belong to the PDU that has begun, and are shown as zeros")
            found += self._add([self._event(at, sender, what)])
            return found + self.feed(sender, bytes(count), at)
        direction.unfollowed = True
        direction.shown = True
        self._findings.notes.append(
            f"what the {sender.value} sends from here on cannot be read, and is only counted"
        )
        return found + self._add([self._event(at, sender, what)])

    def closed(self, by: Side | None, at: float, reset: bool = False) -> list[Entry]:
        """The connection was closed.

        Args:
            by: who closed first; None where that is not known, or the network did.
            at: when, in seconds since the connection opened.
            reset: by a TCP reset.
        """
        if self.is_closed:
            return []
        found = self.opened(at)
        for direction in self._directions.values():
            found += self._add(self._flush(direction, at))
            found += self._add(self._left_over(direction, at))
        self.is_closed = True
        self._begin()
        unfollowed = any(direction.unfollowed for direction in self._directions.values())
        for side in (by, by.peer) if by is not None else tuple(Side):
            end = self._ends[side]
            if side is by and not unfollowed:
                end.closed_by_itself(reset=reset)
            else:
                end.closed_by_peer()
        found += self._add([self._event(at, by, "connection reset" if reset else "connection closed")])
        return found

    def ended(self, at: float) -> list[Entry]:
        """Nothing more will be seen, though the connection was not closed: the end of a file or of a capture."""
        found: list[Entry] = []
        for direction in self._directions.values() if not self.is_closed else ():
            found += self._add(self._flush(direction, at))
            found += self._add(self._left_over(direction, at, whole=False))
        return found

    # -- entries

    def _begin(self) -> None:
        self._findings = Findings()
        for end in self._ends.values():
            end.findings = self._findings

    def _event(self, at: float, side: Side | None, what: str) -> TracedEvent:
        found = self._findings
        return TracedEvent(at, side, what, tuple(found.steps), tuple(found.problems), tuple(found.notes))

    def _pdu(self, sender: Side, read: ReadPDU, at: float) -> TracedPDU:
        self._begin()
        self._count += 1
        if self._count == 1 and self._midway and not self._one_direction:
            assume(self._ends, sender, read.raw[0])
        contexts = self.contexts if self._agreement is not None else None
        dissection = dissect(read, contexts, due=self._directions[sender].messages.due)
        problems = list(dissection.problems)
        if read.pdu is None and not problems:
            problems.append(dissection.error or str(read.error))
        direction = self._directions[sender]
        # What depends on the machines first, since that is what a reader asks first of a PDU.
        outstanding = self._operations.outstanding(sender)
        self._move(sender, dissection.name, read)
        problems += self._findings.problems
        messages: list[ReadMessage] = []
        if read.pdu is not None:
            messages = self._look_into(sender, read, read.pdu, outstanding, problems)
        direction.last_was_faulty = bool(problems)
        return TracedPDU(
            self._count,
            at,
            sender,
            dissection,
            tuple(self._findings.steps),
            tuple(messages),
            tuple(problems),
            tuple(self._findings.notes),
        )

    def _move(self, sender: Side, name: str, read: ReadPDU) -> None:
        here, there = self._ends[sender], self._ends[sender.peer]
        if self._one_direction or any(direction.unfollowed for direction in self._directions.values()):
            return
        if read.pdu is None:
            here.sent_undecodable(read.raw[0])
        else:
            here.sent(name, read.pdu, explained=self._directions[sender.peer].last_was_faulty)
        before = len(self._findings.steps)
        there.received(name, read.pdu, read.error)
        if there.state is State.Sta1 and len(self._findings.steps) == before:
            self._findings.notes.append(
                f"the {sender.peer.value} stands in Sta1 and does not look at it any more"
            )

    # -- what is known of the association

    def _look_into(
        self, sender: Side, read: ReadPDU, pdu: AnyPDU, outstanding: list[str], problems: list[str]
    ) -> list[ReadMessage]:
        match pdu:
            case AAssociateRQ():
                if self.request is None and sender is Side.REQUESTOR:
                    self.request = pdu
            case AAssociateAC():
                problems += self._answered(sender, pdu)
            case AAssociateRJ():
                if self.answer is None and sender is Side.ACCEPTOR:
                    self.answer = pdu
            case PDataTF():
                return self._data(sender, read, pdu, problems)
            case AReleaseRQ():
                problems += self._released(sender, outstanding)
        return []

    def _answered(self, sender: Side, ac: AAssociateAC) -> list[str]:
        if self.answer is not None or sender is not Side.ACCEPTOR:
            return []
        self.answer = ac
        self._agreement = agreement(self.request, ac)
        self.contexts.update(self._agreement.contexts)
        self._operations.agreement = self._agreement
        return faults_of_answer(self.request, ac) if self.request is not None else []

    def _released(self, sender: Side, outstanding: list[str]) -> list[str]:
        problems = []
        if sender is Side.ACCEPTOR:
            problems.append(
                "A-RELEASE-RQ by the acceptor: only the requestor of an association releases it (PS3.7 A.5)"
            )
        if outstanding:
            problems.append(
                f"A-RELEASE-RQ before {', '.join(outstanding[:8])} was answered in full (PS3.7 A.5)"
            )
        if self._directions[sender].messages.in_message:
            problems.append("A-RELEASE-RQ inside a message, whose last fragment is missing (PS3.8 E.1)")
        return problems

    def _data(self, sender: Side, read: ReadPDU, pdu: PDataTF, problems: list[str]) -> list[ReadMessage]:
        agreed = self._agreement
        if agreed is not None:
            problems += agreed.faults_of_data(pdu, len(read.raw) - HEADER_LENGTH, sender.peer)
        messages = self._directions[sender].messages.feed(pdu)
        for message in messages:
            if self._one_direction:
                continue
            begun = self._directions[sender.peer].messages.begun
            wrong, notes = self._operations.message(sender, message, begun)
            problems += wrong
            self._findings.notes += notes
        return messages

    # -- what is no PDU

    def _flush(self, direction: Direction, at: float) -> list[Entry]:
        """What is held of bytes that cannot be read: who sent them has stopped for now."""
        found: list[Entry] = []
        if direction.lost and not direction.shown:
            found.append(self._unreadable(direction, at))
        if direction.surplus:
            self._begin()
            what = f"{direction.surplus} bytes more that cannot be read"
            direction.surplus = 0
            found.append(self._event(at, direction.sender, what))
        return found

    def _unreadable(self, direction: Direction, at: float) -> Entry:
        raw = bytes(direction.held)
        direction.held.clear()
        direction.shown = True
        return self._pdu(
            direction.sender, ReadPDU(raw, None, direction.error or UnrecognizedPDU("no PDU")), at
        )

    def _left_over(self, direction: Direction, at: float, *, whole: bool = True) -> list[Entry]:
        pending = direction.pdus.incomplete
        if not pending:
            return []
        self._begin()
        name = PDU_NAMES.get(pending[0], "PDU")
        what = f"{len(pending)} bytes of {name} left over"
        due = "of unknown length: its header is incomplete"
        if len(pending) >= HEADER_LENGTH:
            due = f"of {HEADER_LENGTH + int.from_bytes(pending[2:HEADER_LENGTH], 'big')} bytes"
        text = f"{'the connection' if whole else 'what was seen'} ended inside {name} {due}"
        # Of a connection that is over, or of which more was to come, nobody was to read it.
        is_over = any(end.state in (State.Sta1, State.Sta13) for end in self._ends.values())
        if whole and not is_over:
            self._findings.problems.append(f"{text} (PS3.8 9.3.1)")
        else:
            self._findings.notes.append(text)
        return [self._event(at, direction.sender, what)]

    def _add(self, found: list[Entry]) -> list[Entry]:
        for entry in found:
            self.problem_count += len(entry.problems)
            self.problems += entry.problems[: max(0, PROBLEMS_KEPT - len(self.problems))]
            if self._keeper is None:
                continue
            if isinstance(entry, TracedPDU):
                self._move_refusal(entry)
                entry = self._cut(self._keeper, entry)
            self.entries.append(entry)
        return found

    def _cut(self, keeper: Keeper, entry: TracedPDU) -> TracedPDU:
        dissection, messages, note = keeper.keep(entry.dissection, entry.messages)
        if not note:
            return entry
        return replace(entry, dissection=dissection, messages=messages, notes=(*entry.notes, note))

    def _move_refusal(self, entry: TracedPDU) -> None:
        """AE-6 belongs to the PDU that tells how it ended: the request, or the rejection by the provider."""
        if isinstance(entry.dissection.pdu, AAssociateRQ) and self._request_index is None:
            self._request_index = len(self.entries)
        elif isinstance(entry.dissection.pdu, AAssociateRJ) and self._request_index is not None:
            if all(step.transition.action_name != "AE-6" for step in entry.steps):
                return
            request = self.entries[self._request_index]
            steps = tuple(step for step in request.steps if step.transition.action_name != "AE-6")
            self.entries[self._request_index] = replace(request, steps=steps)
