"""An association that the tester accepts: what the SCU asked, what was agreed, and everything wrong with what it sends.

Wraps an accepted stream in the tester's `Connection` and looks at every PDU and message as it is read, before a
script sees what it means.
"""

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct

from dimse.enums import RESPONSE_BIT, CommandField
from dul.pdus import AAssociateRQ, MaximumLengthSubItem, PDataTF
from services.conformance import scu_rules
from services.conformance.associate_bytes import RawAssociate, split
from services.conformance.building import abort
from services.conformance.connection import SILENCE, Connection, Event
from services.conformance.conversation import Conversation
from services.conformance.scu_rules import Agreed, Problem
from services.conformance.target import Target
from services.conformance.verdict import Finding, Verdict
from services.trace.reading import ReadMessage, ReadPDU, command_elements

_MOST_FINDINGS = 50
_MOST_DEEDS = 200
_LONGEST_COMMAND = 1 << 16

FRAGMENT = Event("fragment")
"""A P-DATA-TF with part of a data set; only where a script asked for it."""


class Asked(Struct, frozen=True):
    """A request the SCU made.

    Attributes:
        context_id: of its presentation context.
        field: its Command Field.
        message_id: its Message ID.
        sop_class, sop_instance: without padding; empty where it has none.
        data_set: the first bytes of its data set; None where it has none.
    """

    context_id: int
    field: int
    message_id: int
    sop_class: bytes
    sop_instance: bytes
    data_set: bytes | None

    @property
    def label(self) -> str:
        """Its name: "C-ECHO-RQ"."""
        return scu_rules.label(self.field)


class AcceptedConnection(Connection):
    """A connection an SCU opened.

    Attributes:
        on_pdu, on_message: told of everything that is read, in order, before it becomes an event.
        shows_fragments: a P-DATA-TF that brings part of a data set becomes an event too.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.on_pdu: Callable[[ReadPDU], None] = lambda read: None
        self.on_message: Callable[[ReadMessage], None] = lambda message: None
        self.shows_fragments = False

    def _events_of(self, read: ReadPDU) -> list[Event]:
        self.on_pdu(read)
        events = super()._events_of(read)
        for event in events:
            if event.message is not None:
                self.on_message(event.message)
        if self.shows_fragments and not events and isinstance(read.pdu, PDataTF):
            return [FRAGMENT] if any(not pdv.is_command for pdv in read.pdu.pdvs) else []
        return events


class Association(Conversation):
    """A conversation with an SCU that called: what the steps of a script work on.

    Attributes:
        rq: the bytes and items of its A-ASSOCIATE-RQ; empty before it came.
        request: the same, decoded; None before it came, or where it cannot be.
        agreed: what was negotiated.
        outstanding: requests that have no final response yet, by Message ID.
        asked: the request a script works on.
        did: what the SCU did, in order, in the words of `connection.Event`.
        idle: how long the SCU may take until it does something unasked, in seconds.
        late: by how much late answers are late, in seconds.
        patience: how long to stay silent where no answer ever comes, in seconds.
        asks: see `Script.asks`.
        is_thorough: what receivers have to live with is noted too, not only what fails.
    """

    connection: AcceptedConnection

    def __init__(
        self,
        target: Target,
        connection: AcceptedConnection,
        *,
        idle: float = 60.0,
        late: float = 2.0,
        patience: float = 60.0,
    ) -> None:
        super().__init__(target)
        self.connections.append(connection)
        self.idle = idle
        self.late = late
        self.patience = patience
        self.asks: frozenset[str] = frozenset()
        self.is_thorough = True
        self.rq = RawAssociate(b"", ())
        self.request: AAssociateRQ | None = None
        self.agreed = Agreed()
        self.outstanding: dict[int, Asked] = {}
        self.asked: Asked | None = None
        self.did: list[str] = []
        self._held: Event | None = None
        self._command = bytearray()
        self._command_is_whole = True
        self._context_id = 0
        self._answered_early: set[int] = set()
        connection.on_pdu = self._saw_pdu
        connection.on_message = self._saw_message

    # -- what the SCU does

    async def next(self, within: float, *, fragments: bool = False) -> Event:
        """The next thing the SCU does, or silence; parts of data sets only where they are wanted."""
        if self._held is not None:
            event, self._held = self._held, None
            return event
        deadline = time.monotonic() + within
        while True:
            event = await self.connection.receive(max(0.0, deadline - time.monotonic()))
            if event is FRAGMENT and not fragments:
                continue
            request = self.request_of(event)
            if request is None or request.message_id not in self._answered_early:
                break
            self._answered_early.discard(request.message_id)
        if event not in (FRAGMENT, SILENCE) and len(self.did) < _MOST_DEEDS and self.did[-1:] != [event.text]:
            self.did.append(event.text)
        return event

    def hold(self, event: Event) -> None:
        """Have `next` return an event that was taken, once more."""
        self._held = event

    def request_of(self, event: Event) -> Asked | None:
        """The request that an event is; None where it is anything else, a C-CANCEL-RQ among it."""
        if event.message is None:
            return None
        asked = _asked(event.message)
        if asked is None or asked.field & RESPONSE_BIT or asked.field == CommandField.C_CANCEL_RQ:
            return None
        return asked

    def begun(self) -> Asked | None:
        """The request whose command set came last; its data set may still be on its way."""
        return _asked(ReadMessage(self._context_id, bytes(self._command), None, "", None, 0, 1))

    def _follow_commands(self, pdu: PDataTF) -> None:
        for pdv in pdu.pdvs:
            if not pdv.is_command:
                continue
            if self._command_is_whole:
                self._command.clear()
            self._context_id = pdv.presentation_context_id
            self._command += pdv.data[: max(0, _LONGEST_COMMAND - len(self._command))]
            self._command_is_whole = pdv.is_last

    def _saw_pdu(self, read: ReadPDU) -> None:
        if isinstance(read.pdu, AAssociateRQ) and self.request is None:
            self.request = read.pdu
            self.rq = RawAssociate(read.raw, tuple(split(read.raw[74:])))
            self.agreed.peer_maximum = next(
                (
                    item.maximum_length_received
                    for item in read.pdu.user_data
                    if isinstance(item, MaximumLengthSubItem)
                ),
                0,
            )
            self.blame(*scu_rules.in_request(self.rq))
        elif isinstance(read.pdu, PDataTF):
            self._follow_commands(read.pdu)
            self.blame(*scu_rules.in_p_data(read.raw, read.pdu, self.agreed))
        elif read.pdu is not None:
            self.blame(*scu_rules.in_short_pdu(read.raw))

    def _saw_message(self, message: ReadMessage) -> None:
        self.blame(*scu_rules.in_message(message, self.agreed))
        asked = _asked(message)
        if asked is None or asked.field & RESPONSE_BIT or asked.field == CommandField.C_CANCEL_RQ:
            return
        if asked.message_id in self._answered_early:
            return
        self.blame(*scu_rules.in_order(asked.message_id, self.outstanding, self.agreed.window))
        self.outstanding[asked.message_id] = asked

    def answered(self, message_id: int) -> None:
        """Note that a request got its final response."""
        self.outstanding.pop(message_id, None)

    def answered_early(self, message_id: int) -> None:
        """Note that a request got its final response before all of its data set was looked at."""
        self._answered_early.add(message_id)
        self.answered(message_id)

    # -- what comes of it

    def blame(self, *problems: Problem) -> None:
        """Note what is wrong with something the SCU sent; the same thing is noted once."""
        for problem in problems:
            verdict = Verdict.FAIL if problem.fails else Verdict.TOLERATED
            if not (problem.fails or self.is_thorough):
                continue
            known = any(finding.expected == problem.rule for finding in self.findings)
            if not known and len(self.findings) < _MOST_FINDINGS:
                self.findings.append(Finding(verdict, problem.rule, problem.got, problem.clause))

    async def end(self) -> None:
        """End the association where it has not ended: an A-ABORT, so that the SCU need not wait, and the close."""
        if not self.connection.is_over:
            await self.connection.send(abort(0, 0), timeout=1.0)
        await self.close()


def _asked(message: ReadMessage) -> Asked | None:
    elements = command_elements(message.command)
    field = int.from_bytes(elements.get(0x0100, b""), "little")
    if not field:
        return None

    def name(*numbers: int) -> bytes:
        return next((elements[n].rstrip(b"\0 ") for n in numbers if n in elements), b"")

    return Asked(
        message.context_id,
        field,
        int.from_bytes(elements.get(0x0110, b""), "little"),
        name(0x0002, 0x0003),
        name(0x1000, 0x1001),
        message.data_set,
    )
