"""Segments to bytes: in any order, twice, overlapping, missing; and which connections carry DICOM."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packet_samples import CLIENT, SERVER
from services.trace.fields import Side
from services.trace.packets import ACK, FIN, RST, SYN, Endpoint, Packet
from services.trace.tcp import (
    LONGEST_WAIT,
    Closed,
    ConnectionEvent,
    Data,
    Gap,
    Opened,
    Reassembler,
    begins_association,
)

RQ = b"\x01\x00" + (200).to_bytes(4, "big") + bytes(range(200))
AC = b"\x02\x00" + (100).to_bytes(4, "big") + bytes(range(100))
REQUESTOR, ACCEPTOR = Side.REQUESTOR, Side.ACCEPTOR


class Wire:
    """Segments of one connection, each a second after the one before."""

    def __init__(self, client: Endpoint = CLIENT, server: Endpoint = SERVER, first: int = 5000) -> None:
        self.ends = {REQUESTOR: client, ACCEPTOR: server}
        self.first = {REQUESTOR: first, ACCEPTOR: first + 70_000}
        self.sent = {REQUESTOR: 0, ACCEPTOR: 0}
        self.now = 100.0

    def at(
        self, sender: Side, offset: int, data: bytes = b"", flags: int = ACK, length: int | None = None
    ) -> Packet:
        """A segment of bytes that begin `offset` bytes after the first; the SYN stands before that."""
        self.now += 1
        sequence = (self.first[sender] + 1 + offset) % (1 << 32)
        ends = self.ends[sender], self.ends[sender.peer]
        return Packet(self.now, *ends, sequence, 0, flags, data, len(data) if length is None else length)

    def send(self, sender: Side, data: bytes, flags: int = ACK) -> Packet:
        packet = self.at(sender, self.sent[sender], data, flags)
        self.sent[sender] += len(data)
        return packet

    def syn(self) -> list[Packet]:
        return [
            self.at(REQUESTOR, -1, flags=SYN),
            self.at(ACCEPTOR, -1, flags=SYN | ACK),
            self.at(REQUESTOR, 0),
        ]

    def fins(self, first: Side) -> list[Packet]:
        return [self.at(side, self.sent[side], flags=FIN | ACK) for side in (first, first.peer)]


def run(packets: list[Packet], ports: tuple[int, ...] = (), *, finish: bool = True) -> list[ConnectionEvent]:
    reassembler = Reassembler(ports)
    found = [event for packet in packets for event in reassembler.feed(packet)]
    return found + reassembler.finish() if finish else found


def sent_by(side: Side, events: list[ConnectionEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Data) and event.sender is side)


def names(events: list[ConnectionEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def gaps(events: list[ConnectionEvent]) -> list[int]:
    return [event.missing for event in events if isinstance(event, Gap)]


# -- a connection as it should be


def test_a_whole_connection() -> None:
    wire = Wire()
    packets = [*wire.syn(), wire.send(REQUESTOR, RQ), wire.send(ACCEPTOR, AC), *wire.fins(ACCEPTOR)]
    events = run(packets)
    assert names(events) == ["Opened", "Data", "Data", "Closed"]
    opened, request, answer, closed = events
    assert (opened.at, request.at, answer.at) == (101.0, 104.0, 105.0)
    assert (opened.connection.requestor, opened.connection.acceptor) == (CLIENT, SERVER)
    assert opened.connection.from_start
    assert (request.sender, request.data) == (REQUESTOR, RQ)
    assert (answer.sender, answer.data) == (ACCEPTOR, AC)
    assert (closed.by, closed.at, closed.reset) == (ACCEPTOR, 107.0, False)


def test_who_opened_the_connection_is_the_requestor_whatever_the_addresses() -> None:
    wire = Wire(client=SERVER, server=CLIENT)
    opened = run([*wire.syn(), wire.send(REQUESTOR, RQ)])[0]
    assert opened.connection.requestor == SERVER


def test_bytes_are_handed_over_as_soon_as_they_are_in_order() -> None:
    wire = Wire()
    reassembler = Reassembler()
    for packet in [*wire.syn(), wire.send(REQUESTOR, RQ[:5])]:
        assert reassembler.feed(packet) == []
    assert names(reassembler.feed(wire.send(REQUESTOR, RQ[5:]))) == ["Opened", "Data", "Data"]
    assert names(reassembler.feed(wire.send(REQUESTOR, b"x"))) == ["Data"]


def test_an_end_of_sending_is_no_end_of_the_connection() -> None:
    wire = Wire()
    packets = [*wire.syn(), wire.send(REQUESTOR, RQ)]
    packets += [wire.at(REQUESTOR, len(RQ), flags=FIN | ACK), wire.send(ACCEPTOR, AC)]
    packets += [wire.at(ACCEPTOR, len(AC), flags=FIN | ACK), wire.at(REQUESTOR, len(RQ) + 1)]
    events = run(packets)
    assert names(events) == ["Opened", "Data", "Data", "Closed"]
    assert events[-1].by is REQUESTOR


@pytest.mark.parametrize("side", Side)
def test_a_reset_is_of_who_sent_it(side: Side) -> None:
    wire = Wire()
    packets = [*wire.syn(), wire.send(REQUESTOR, RQ), wire.at(side, wire.sent[side], flags=RST | ACK)]
    closed = run(packets)[-1]
    assert isinstance(closed, Closed)
    assert (closed.by, closed.reset) == (side, True)


def test_a_capture_may_end_before_the_connection() -> None:
    wire = Wire()
    assert names(run([*wire.syn(), wire.send(REQUESTOR, RQ)])) == ["Opened", "Data"]


# -- segments as captures have them


def test_segments_out_of_order_are_put_in_order() -> None:
    wire = Wire()
    first, second, third = (wire.at(REQUESTOR, at, RQ[at : at + 80]) for at in (0, 80, 160))
    events = run([*wire.syn(), third, first, second], finish=False)
    assert sent_by(REQUESTOR, events) == RQ
    assert gaps(events) == []


def test_what_is_sent_again_counts_once() -> None:
    wire = Wire()
    packets = [
        *wire.syn(),
        wire.at(REQUESTOR, -1, flags=SYN),
        wire.at(REQUESTOR, 0, RQ),
        wire.at(REQUESTOR, 0, RQ),
    ]
    packets += [wire.at(REQUESTOR, len(RQ) - 1, RQ[-1:]), wire.at(REQUESTOR, len(RQ), b"next")]
    assert sent_by(REQUESTOR, run(packets)) == RQ + b"next"


def test_segments_that_overlap_are_cut() -> None:
    wire = Wire()
    pieces = [(0, 50), (100, 206), (30, 120), (0, 206)]
    packets = [wire.at(REQUESTOR, start, RQ[start:end]) for start, end in pieces]
    assert sent_by(REQUESTOR, run([*wire.syn(), *packets], finish=False)) == RQ


@pytest.mark.parametrize("first", [(1 << 32) - 1, (1 << 32) - 2, (1 << 32) - 100, (1 << 31) - 50])
def test_sequence_numbers_wrap_around(first: int) -> None:
    wire = Wire(first=first)
    packets = [wire.at(REQUESTOR, start, RQ[start : start + 20]) for start in range(0, len(RQ), 20)]
    packets[3:6] = reversed(packets[3:6])
    wire.sent[REQUESTOR] = len(RQ)
    events = run([*wire.syn(), *packets, *wire.fins(REQUESTOR)])
    assert sent_by(REQUESTOR, events) == RQ
    assert isinstance(events[-1], Closed)


@given(
    cuts=st.lists(st.integers(0, len(RQ)), max_size=8),
    again=st.lists(st.tuples(st.integers(0, len(RQ)), st.integers(1, 60)), max_size=4),
    seed=st.integers(0, 1000),
    first=st.sampled_from([0, 5000, (1 << 32) - 60]),
)
def test_any_order_and_any_overlap_give_the_same_bytes(
    cuts: list[int], again: list[tuple[int, int]], seed: int, first: int
) -> None:
    wire = Wire(first=first)
    edges = [0, *sorted(cuts), len(RQ)]
    pieces = [*itertools.pairwise(edges), *((start, start + size) for start, size in again)]
    random.Random(seed).shuffle(pieces)
    packets = [*wire.syn(), *(wire.at(REQUESTOR, start, RQ[start:end]) for start, end in pieces)]
    timeless = [
        Packet(1.0, p.source, p.destination, p.sequence, 0, p.flags, p.data, p.length) for p in packets
    ]
    events = run(timeless, finish=False)
    assert sent_by(REQUESTOR, events) == RQ
    assert gaps(events) == []


def test_a_sequence_number_nobody_could_mean_is_passed_over() -> None:
    wire = Wire()
    packets = [*wire.syn(), wire.send(REQUESTOR, RQ), wire.at(REQUESTOR, (1 << 30) + 300, b"far")]
    events = run(packets)
    assert sent_by(REQUESTOR, events) == RQ
    assert gaps(events) == []


# -- what is missing


def with_hole(wire: Wire) -> list[Packet]:
    """A request whose bytes 50 to 80 nobody captured."""
    return [*wire.syn(), wire.at(REQUESTOR, 0, RQ[:50]), wire.at(REQUESTOR, 80, RQ[80:])]


def test_what_never_comes_is_a_gap_at_the_end() -> None:
    events = run(with_hole(Wire()))
    assert names(events) == ["Opened", "Data", "Gap", "Data"]
    assert (events[2].missing, events[2].sender) == (30, REQUESTOR)
    assert sent_by(REQUESTOR, events) == RQ[:50] + RQ[80:]


def test_a_hole_is_waited_for_so_long_and_no_longer() -> None:
    wire = Wire()
    packets = with_hole(wire)
    wire.now += LONGEST_WAIT
    later = wire.at(REQUESTOR, len(RQ), b"later")
    events = run([*packets, later], finish=False)
    assert gaps(events) == [30]
    assert sent_by(REQUESTOR, events) == RQ[:50] + RQ[80:] + b"later"
    late = wire.at(REQUESTOR, 50, RQ[50:80])
    assert run([*packets, later, late], finish=False) == events


def test_a_hole_is_waited_for_until_too_much_stands_behind_it() -> None:
    wire = Wire()
    size = 1 << 16
    chunks = [wire.at(REQUESTOR, 80 + size * n, bytes(size)) for n in range(130)]
    packets = [Packet(1.0, p.source, p.destination, p.sequence, 0, p.flags, p.data, p.length) for p in chunks]
    events = run([*wire.syn(), wire.at(REQUESTOR, 0, RQ[:50]), *packets], finish=False)
    assert gaps(events) == [30]
    assert len(sent_by(REQUESTOR, events)) == 50 + 130 * size


def test_the_end_shows_what_is_missing_before_it() -> None:
    wire = Wire()
    packets = [*wire.syn(), wire.at(REQUESTOR, 0, RQ[:50])]
    wire.sent[REQUESTOR] = len(RQ)
    events = run([*packets, *wire.fins(REQUESTOR)])
    assert names(events) == ["Opened", "Data", "Gap", "Closed"]
    assert gaps(events) == [len(RQ) - 50]


def test_a_reset_ends_the_waiting() -> None:
    wire = Wire()
    events = run([*with_hole(wire), wire.at(ACCEPTOR, 0, flags=RST)], finish=False)
    assert names(events) == ["Opened", "Data", "Gap", "Data", "Closed"]


def test_a_packet_cut_short_is_a_gap_at_once() -> None:
    wire = Wire()
    packets = [
        *wire.syn(),
        wire.at(REQUESTOR, 0, RQ[:50], length=len(RQ)),
        wire.at(REQUESTOR, len(RQ), b"next"),
    ]
    events = run(packets, finish=False)
    assert names(events) == ["Opened", "Data", "Gap", "Data"]
    assert gaps(events) == [len(RQ) - 50]


def test_a_packet_cut_short_and_sent_again_beyond_what_is_there() -> None:
    wire = Wire()
    packets = [*wire.syn(), wire.at(REQUESTOR, 0, RQ[:100]), wire.at(REQUESTOR, 0, RQ[:10], length=len(RQ))]
    events = run(packets, finish=False)
    assert gaps(events) == [len(RQ) - 100]


# -- captures that begin later


def test_without_syn_who_asks_for_an_association_is_the_requestor() -> None:
    wire = Wire(client=SERVER, server=CLIENT)
    events = run([wire.send(REQUESTOR, RQ), wire.send(ACCEPTOR, AC), *wire.fins(REQUESTOR)])
    assert names(events) == ["Opened", "Data", "Data", "Closed"]
    assert (events[0].connection.requestor, events[0].connection.from_start) == (SERVER, False)
    assert events[0].at == events[1].at


def test_the_answer_to_a_syn_tells_who_sent_it() -> None:
    wire = Wire()
    _, answer, ack = wire.syn()
    opened = run([answer, ack, wire.send(REQUESTOR, RQ)])[0]
    assert (opened.connection.requestor, opened.connection.from_start) == (CLIENT, True)


def test_with_ports_given_the_caller_of_one_is_the_requestor() -> None:
    wire = Wire()
    events = run([wire.send(ACCEPTOR, b"in the middle"), wire.send(REQUESTOR, b"of something")], (104,))
    assert names(events) == ["Opened", "Data", "Data"]
    assert events[0].connection.requestor == CLIENT
    assert not events[0].connection.from_start
    assert sent_by(ACCEPTOR, events) == b"in the middle"


# -- DICOM or not


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (RQ[:6], True),
        (b"\x01\x00\x00\x00\x00\x44", True),
        (b"\x01\x00\x00\x00\x00\x43", False),
        (b"\x01\x00\x00\x10\x00\x00", True),
        (b"\x01\x00\x00\x10\x00\x01", False),
        (b"\x01\x01\x00\x00\x00\xc8", False),
        (b"\x02\x00\x00\x00\x00\xc8", False),
    ],
)
def test_how_an_association_begins(data: bytes, answer: bool) -> None:
    assert begins_association(data) is answer


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", AC, b"\x01\x00\xff\xff\xff\xff"]
)
def test_connections_of_others_are_passed_over(first: bytes) -> None:
    wire = Wire()
    packets = [*wire.syn(), wire.send(REQUESTOR, first), wire.send(REQUESTOR, RQ), wire.send(ACCEPTOR, AC)]
    assert run([*packets, *wire.fins(REQUESTOR)]) == []


def test_a_request_in_single_bytes_is_one() -> None:
    wire = Wire()
    events = run([*wire.syn(), *(wire.send(REQUESTOR, bytes([byte])) for byte in RQ)])
    assert sent_by(REQUESTOR, events) == RQ


def test_an_answer_that_was_captured_first_is_kept() -> None:
    wire = Wire()
    answer, request = wire.send(ACCEPTOR, AC), wire.send(REQUESTOR, RQ)
    events = run([*wire.syn(), answer, request], finish=False)
    assert (sent_by(REQUESTOR, events), sent_by(ACCEPTOR, events)) == (RQ, AC)


def test_a_server_that_speaks_first_and_much_is_none_of_ours() -> None:
    wire = Wire()
    packets = [*wire.syn(), *(wire.send(ACCEPTOR, bytes(9000)) for _ in range(9)), wire.send(REQUESTOR, RQ)]
    assert run(packets) == []


def test_with_ports_given_everything_on_them_is_taken_and_nothing_else() -> None:
    wire = Wire()
    packets = [*wire.syn(), wire.send(REQUESTOR, b"no DICOM"), *wire.fins(REQUESTOR)]
    assert names(run(packets, (104,))) == ["Opened", "Data", "Closed"]
    assert run([*wire.syn(), wire.send(REQUESTOR, RQ)], (11112,)) == []


def test_a_connection_refused_is_seen_on_its_port() -> None:
    wire = Wire()
    events = run([wire.at(REQUESTOR, -1, flags=SYN), wire.at(ACCEPTOR, 0, flags=RST | ACK)], (104,))
    assert names(events) == ["Opened", "Closed"]
    assert (events[1].by, events[1].reset) == (ACCEPTOR, True)


# -- several connections


def test_connections_are_told_apart_and_numbered() -> None:
    one, two = Wire(), Wire(client=("192.0.2.8", 51234))
    packets = [*one.syn(), *two.syn(), two.send(REQUESTOR, RQ), one.send(REQUESTOR, RQ + b"one")]
    first, second = (event for event in run(packets) if isinstance(event, Opened))
    assert (first.connection.number, first.connection.requestor[0]) == (1, "192.0.2.8")
    assert (second.connection.number, second.connection.requestor[0]) == (2, "192.0.2.7")


@pytest.mark.parametrize("closed", [True, False])
def test_the_same_ports_used_again_are_another_connection(closed: bool) -> None:
    one, two = Wire(), Wire(first=900_000)
    packets = [*one.syn(), one.send(REQUESTOR, RQ), *(one.fins(REQUESTOR) if closed else [])]
    packets += [one.at(ACCEPTOR, 1)] if closed else []
    events = run([*packets, *two.syn(), two.send(REQUESTOR, RQ)])
    assert names(events) == ["Opened", "Data", "Closed", "Opened", "Data"]
    assert events[2].by is (REQUESTOR if closed else None)
    assert events[3].connection.number == 2


def test_there_is_a_bound_on_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.trace.tcp._MOST_CONNECTIONS", 3)
    first = Wire(client=("192.0.2.9", 1))
    packets = [*first.syn(), first.send(REQUESTOR, RQ)]
    for number in range(5):
        packets += Wire(client=("192.0.2.9", 2 + number)).syn()
    events = run(packets)
    assert names(events) == ["Opened", "Data", "Closed"]
    assert events[-1].by is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([(CLIENT, SERVER), (SERVER, CLIENT), (CLIENT, CLIENT)]),
            st.integers(0, 300) | st.sampled_from([(1 << 32) - 5, 1 << 31]),
            st.sampled_from([0, SYN, SYN | ACK, ACK, FIN | ACK, RST, SYN | FIN | RST]),
            st.sampled_from([b"", RQ, b"\x01", b"x" * 40]),
            st.integers(0, 10),
        ),
        max_size=25,
    ),
    st.sampled_from([(), (104,)]),
)
def test_any_segments_are_survived(segments: list[tuple], ports: tuple[int, ...]) -> None:
    packets = [
        Packet(float(at), *ends, sequence, 0, flags, data, len(data) + cut)
        for at, (ends, sequence, flags, data, cut) in enumerate(segments)
    ]
    over: set[int] = set()
    for event in run(packets, ports):
        number = event.connection.number
        assert number not in over
        if isinstance(event, Closed):
            over.add(number)
