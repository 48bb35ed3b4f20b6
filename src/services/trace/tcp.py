"""TCP segments to the bytes of connections, for those connections that carry DICOM (RFC 9293 3.4, 3.6, 3.10).

Segments come as a capture has them: out of order, twice, overlapping, with the first or any other missing. What is
missing is waited for as long as it may still come, then told as a gap. Knows nothing of files or of PDUs, beyond how
an A-ASSOCIATE-RQ begins.
"""

import heapq
from collections.abc import Collection
from typing import TypeAlias

from msgspec import Struct

from dul.framing import HEADER_LENGTH
from services.trace.fields import Side
from services.trace.packets import ACK, FIN, RST, SYN, Endpoint, Packet

LONGEST_WAIT = 10.0
"""Seconds, by the capture's clock, after which a missing segment is no longer waited for."""

_MOST_WAITING = 8 << 20  # bytes behind a hole, in one direction
_MOST_WAITING_IN_ALL = 64 << 20
_MOST_CONNECTIONS = 20_000
_MOST_UNDECIDED = 1 << 16  # bytes before the first of whoever opened the connection
_FARTHEST = 1 << 30  # the largest window that TCP can have (RFC 7323 2.3)
_LONGEST_REQUEST = 1 << 20


class Connection(Struct, frozen=True):
    """One TCP connection.

    Attributes:
        number: from 1, in the order they were recognised.
        requestor: who opened it, or, where the capture has not seen that, who asked for an association.
        acceptor: the other one.
        from_start: False where the capture began later than the connection.
    """

    number: int
    requestor: Endpoint
    acceptor: Endpoint
    from_start: bool


class Opened(Struct, frozen=True):
    """A connection that carries DICOM. Times are in seconds since 1970."""

    connection: Connection
    at: float


class Data(Struct, frozen=True):
    """Bytes, in their order, at the moment everything before them had been seen too."""

    connection: Connection
    sender: Side
    at: float
    data: bytes


class Gap(Struct, frozen=True):
    """Bytes that the capture has not got; what follows comes after them."""

    connection: Connection
    sender: Side
    at: float
    missing: int


class Closed(Struct, frozen=True):
    """The connection is over.

    Attributes:
        by: who closed it first; of a reset, who sent it; None where another connection has taken its place.
        reset: by an RST, instead of by a FIN from each side.
    """

    connection: Connection
    by: Side | None
    at: float
    reset: bool


ConnectionEvent: TypeAlias = Opened | Data | Gap | Closed


def begins_association(data: bytes) -> bool:
    """Whether bytes begin as an A-ASSOCIATE-RQ does (PS3.8 9.3.2): its type, and a length that can be.

    Args:
        data: at least six bytes.
    """
    length = int.from_bytes(data[2:HEADER_LENGTH], "big")
    return data[:2] == b"\x01\x00" and 68 <= length <= _LONGEST_REQUEST


class _Direction:
    """What one end sent: the segments that wait for one before them, and how far the bytes are known."""

    __slots__ = ("_arrivals", "fin", "next", "sequence", "since", "waiting", "waiting_bytes")

    def __init__(self) -> None:
        self.sequence: int | None = None  # the sequence number, modulo 2**32, of the byte at `next`
        self.next = 0  # bytes passed on, missing ones included
        self.fin: int | None = None  # how many bytes there are in all, once that is known
        # (offset, arrival, data, length): length counts what the capture cut off
        self.waiting: list[tuple[int, int, bytes, int]] = []
        self.waiting_bytes = 0
        self.since = 0.0  # when the first of them came
        self._arrivals = 0

    def add(self, at: float, sequence: int, data: bytes, length: int) -> None:
        """Take a segment; a sequence number nobody could mean is passed over."""
        if self.sequence is None:
            self.sequence = sequence  # the capture began later: whatever comes first is the beginning
        distance = (sequence - self.sequence + (1 << 31)) % (1 << 32) - (1 << 31)
        if abs(distance) > _FARTHEST or distance + length <= 0:
            return
        if not self.waiting:
            self.since = at
        self._arrivals += 1
        heapq.heappush(self.waiting, (self.next + distance, self._arrivals, data, length))
        self.waiting_bytes += len(data) + 1

    def end_at(self, at: float, sequence: int) -> None:
        """A FIN stands at this sequence number."""
        if self.sequence is None:
            self.sequence = sequence
        distance = (sequence - self.sequence + (1 << 31)) % (1 << 32) - (1 << 31)
        if 0 <= distance <= _FARTHEST and self.fin is None:
            self.fin = self.next + distance
            if not self.waiting:
                self.since = at

    def take(self, *, with_gaps: bool) -> list[bytes | int]:
        """What is in order now: bytes, and how many are missing where a hole is given up or was cut off."""
        found: list[bytes | int] = []
        while self.waiting:
            offset, _, data, length = self.waiting[0]
            if offset > self.next:
                if not with_gaps:
                    break
                found.append(offset - self.next)
                self._advance(offset - self.next)
            heapq.heappop(self.waiting)
            self.waiting_bytes -= len(data) + 1
            known = self.next - offset
            if known >= length:
                continue
            if fresh := data[known:]:
                found.append(fresh)
            if cut := length - max(len(data), known):
                found.append(cut)
            self._advance(length - known)
        if with_gaps and self.fin is not None and self.fin > self.next:
            found.append(self.fin - self.next)
            self._advance(self.fin - self.next)
        return found

    def _advance(self, count: int) -> None:
        assert self.sequence is not None
        self.next += count
        self.sequence = (self.sequence + count) % (1 << 32)

    @property
    def is_over(self) -> bool:
        return self.fin is not None and self.next >= self.fin

    @property
    def has_hole(self) -> bool:
        return bool(self.waiting) or (self.fin is not None and self.next < self.fin)


class _Tracked:
    """One connection while it is followed."""

    __slots__ = (
        "connection",
        "directions",
        "first_to_close",
        "held",
        "held_bytes",
        "initial",
        "opener",
        "over",
        "started",
    )

    def __init__(self, at: float) -> None:
        self.started = at
        self.opener: Endpoint | None = None
        self.initial: int | None = None  # the sequence number of the SYN
        self.first_to_close: Endpoint | None = None
        self.connection: Connection | None = None  # once it is known to carry DICOM
        self.over = False  # closed, or no DICOM: what still comes means nothing
        self.directions: dict[Endpoint, _Direction] = {}
        # Bytes and gaps before it is decided what this is.
        self.held: list[tuple[Endpoint, float, bytes | int]] = []
        self.held_bytes = 0

    def forget(self) -> None:
        self.over = True
        self.held.clear()
        self.directions.clear()


_Key: TypeAlias = tuple[Endpoint, Endpoint]


class Reassembler:
    """Puts TCP segments together to connections that carry DICOM.

    Args:
        ports: every connection from or to one of these TCP ports is taken for DICOM, and no other. Where there are
            none, those whose opener begins with an A-ASSOCIATE-RQ.
    """

    def __init__(self, ports: Collection[int] = ()) -> None:
        self._ports = frozenset(ports)
        self._tracked: dict[_Key, _Tracked] = {}
        self._waiting_bytes = 0
        self._recognised = 0
        self._last_time = 0.0

    def feed(self, packet: Packet) -> list[ConnectionEvent]:
        """Take the next segment of the capture; return what became known by it, in order."""
        source, destination = packet.source, packet.destination
        if self._ports and not self._ports & {source[1], destination[1]}:
            return []
        self._last_time = packet.at
        key = (source, destination) if source < destination else (destination, source)
        found: list[ConnectionEvent] = []
        tracked = self._tracked.get(key)
        if packet.flags & SYN:
            tracked = self._take_syn(key, tracked, packet, found)
        elif tracked is None:
            if not packet.length or packet.flags & RST:
                return found
            tracked = self._track(key, packet.at, found)
        if tracked.over:
            return found
        self._take_segment(tracked, packet, found)
        return found

    def finish(self) -> list[ConnectionEvent]:
        """Say that the capture has ended: what waited for a missing segment is returned, behind its gap.

        A connection that was not closed stays without its `Closed`.
        """
        found: list[ConnectionEvent] = []
        for tracked in self._tracked.values():
            self._give_up_waiting(tracked, self._last_time, found)
            self._look_for_the_end(tracked, self._last_time, found)
        self._tracked.clear()
        return found

    # -- connections

    def _track(self, key: _Key, at: float, found: list[ConnectionEvent]) -> _Tracked:
        if len(self._tracked) >= _MOST_CONNECTIONS:
            self._drop_oldest(found)
        tracked = self._tracked[key] = _Tracked(at)
        tracked.directions = {end: _Direction() for end in key}
        return tracked

    def _drop_oldest(self, found: list[ConnectionEvent]) -> None:
        """Make room: of the first hundred, one that is over where there is one."""
        oldest = [key for key, _ in zip(self._tracked, range(100), strict=False)]
        chosen = next((key for key in oldest if self._tracked[key].over), oldest[0])
        self._end(self._tracked.pop(chosen), None, self._last_time, False, found)

    def _take_syn(
        self, key: _Key, tracked: _Tracked | None, packet: Packet, found: list[ConnectionEvent]
    ) -> _Tracked:
        """A SYN opens a connection; one with ACK answers it, and tells as much where the first was missed."""
        answers = bool(packet.flags & ACK)
        if tracked is not None:
            if answers and tracked.opener != packet.source and not tracked.over:
                direction = tracked.directions[packet.source]
                if direction.sequence is None:
                    direction.sequence = (packet.sequence + 1) % (1 << 32)
                return tracked
            if not answers and tracked.opener == packet.source and tracked.initial == packet.sequence:
                return tracked  # sent again
            if answers:
                return tracked
            self._end(tracked, None, packet.at, False, found)
            del self._tracked[key]
        tracked = self._track(key, packet.at, found)
        tracked.opener = packet.destination if answers else packet.source
        tracked.initial = None if answers else packet.sequence
        tracked.directions[packet.source].sequence = (packet.sequence + 1) % (1 << 32)
        if self._ports:
            self._recognise(tracked, packet.at, found)
        return tracked

    def _take_segment(self, tracked: _Tracked, packet: Packet, found: list[ConnectionEvent]) -> None:
        direction = tracked.directions[packet.source]
        sequence = (packet.sequence + 1) % (1 << 32) if packet.flags & SYN else packet.sequence
        before = direction.waiting_bytes
        if packet.length:
            direction.add(packet.at, sequence, packet.data, packet.length)
        if packet.flags & FIN:
            direction.end_at(packet.at, (sequence + packet.length) % (1 << 32))
        self._waiting_bytes += direction.waiting_bytes - before
        self._pass_on(tracked, packet.source, packet.at, self._is_enough(direction, packet.at), found)
        if tracked.over:
            return
        if packet.flags & RST:
            self._give_up_waiting(tracked, packet.at, found)
            self._end(tracked, packet.source, packet.at, True, found)
        else:
            self._look_for_the_end(tracked, packet.at, found)

    def _is_enough(self, direction: _Direction, at: float) -> bool:
        """Whether what is missing has been waited for long enough."""
        return direction.has_hole and (
            at - direction.since > LONGEST_WAIT
            or direction.waiting_bytes > _MOST_WAITING
            or self._waiting_bytes > _MOST_WAITING_IN_ALL
        )

    def _give_up_waiting(self, tracked: _Tracked, at: float, found: list[ConnectionEvent]) -> None:
        for end in tuple(tracked.directions):
            self._pass_on(tracked, end, at, True, found)

    def _look_for_the_end(self, tracked: _Tracked, at: float, found: list[ConnectionEvent]) -> None:
        ended = [end for end, direction in tracked.directions.items() if direction.is_over]
        if ended and tracked.first_to_close is None:
            tracked.first_to_close = ended[0]
        if len(ended) == 2:
            self._end(tracked, tracked.first_to_close, at, False, found)

    def _end(
        self, tracked: _Tracked, by: Endpoint | None, at: float, reset: bool, found: list[ConnectionEvent]
    ) -> None:
        if tracked.over:
            return
        self._give_up_waiting(tracked, at, found)
        if tracked.connection is not None:
            side = _side(tracked.connection, by) if by is not None else None
            found.append(Closed(tracked.connection, side, at, reset))
        tracked.forget()

    # -- bytes

    def _pass_on(
        self, tracked: _Tracked, end: Endpoint, at: float, with_gaps: bool, found: list[ConnectionEvent]
    ) -> None:
        if tracked.over:
            return
        direction = tracked.directions[end]
        before = direction.waiting_bytes
        taken = direction.take(with_gaps=with_gaps)
        self._waiting_bytes += direction.waiting_bytes - before
        if taken:
            direction.since = at
        for piece in taken:
            if tracked.connection is None:
                self._hold(tracked, end, at, piece, found)
                if tracked.over:
                    return
            else:
                found.append(_told(tracked.connection, end, at, piece))

    def _hold(
        self, tracked: _Tracked, end: Endpoint, at: float, piece: bytes | int, found: list[ConnectionEvent]
    ) -> None:
        """Keep what came until the first bytes of the opener tell what this connection is."""
        tracked.held.append((end, at, piece))
        tracked.held_bytes += len(piece) + 64 if isinstance(piece, bytes) else 64
        if self._ports:
            tracked.opener = self._likely_opener(tracked, end)
            self._recognise(tracked, at, found)
            return
        for opener in (tracked.opener,) if tracked.opener is not None else tuple(tracked.directions):
            pieces = [held for sender, _, held in tracked.held if sender == opener]
            if pieces and isinstance(pieces[0], int):
                continue
            first = b"".join(held for held in pieces if isinstance(held, bytes))
            if len(first) >= HEADER_LENGTH and begins_association(first):
                from_start = tracked.opener is not None
                tracked.opener = opener
                self._recognise(tracked, at, found, from_start=from_start)
                return
        if self._is_something_else(tracked):
            self._waiting_bytes -= sum(direction.waiting_bytes for direction in tracked.directions.values())
            tracked.forget()

    def _is_something_else(self, tracked: _Tracked) -> bool:
        """Whether nothing that still comes can make DICOM of it."""
        senders = {tracked.opener} if tracked.opener is not None else set(tracked.directions)
        told: set[Endpoint | None] = set()
        for sender in senders:
            first = b"".join(b for end, _, b in tracked.held if end == sender and isinstance(b, bytes))
            if len(first) >= HEADER_LENGTH or not b"\x01\x00".startswith(first[:2]):
                told.add(sender)
        return told == senders or tracked.held_bytes > _MOST_UNDECIDED

    def _likely_opener(self, tracked: _Tracked, end: Endpoint) -> Endpoint:
        """By ports alone: who calls one of ours, or else who speaks first."""
        others = [each for each in tracked.directions if each[1] not in self._ports]
        return others[0] if len(others) == 1 else end

    def _recognise(
        self, tracked: _Tracked, at: float, found: list[ConnectionEvent], *, from_start: bool | None = None
    ) -> None:
        opener = tracked.opener
        assert opener is not None
        (acceptor,) = [end for end in tracked.directions if end != opener] or [opener]
        whole = from_start if from_start is not None else not tracked.held
        self._recognised += 1
        tracked.connection = Connection(self._recognised, opener, acceptor, whole)
        found.append(Opened(tracked.connection, tracked.started))
        found += [_told(tracked.connection, end, when, piece) for end, when, piece in tracked.held]
        tracked.held.clear()


def _side(connection: Connection, end: Endpoint) -> Side:
    return Side.REQUESTOR if end == connection.requestor else Side.ACCEPTOR


def _told(connection: Connection, end: Endpoint, at: float, piece: bytes | int) -> Data | Gap:
    side = _side(connection, end)
    return Gap(connection, side, at, piece) if isinstance(piece, int) else Data(connection, side, at, piece)
