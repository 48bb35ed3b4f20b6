"""What is written reads back as it was, and tshark finds nothing wrong with it."""

import io
import ipaddress
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dul.encode import encode_pdu
from dul.negotiation import answer
from dul.pdus import AReleaseRP, AReleaseRQ
from peers import run_peer
from services.trace.capture import read_capture
from services.trace.fields import Side
from services.trace.packets import ACK, PSH, Packet
from services.trace.pcap_writer import LONGEST_SEGMENT, PCAP_HEADER, PcapConnection
from services.trace.tcp import Closed, ConnectionEvent, Data, Gap, Opened, Reassembler
from ul_peers import POLICY, p_data, request
from wire import tshark_problems

REQUESTOR, ACCEPTOR = Side.REQUESTOR, Side.ACCEPTOR
CLIENT, SERVER = ("192.0.2.7", 51234), ("192.0.2.1", 104)

Sent: TypeAlias = tuple[Side, bytes, float]


def written(
    sent: list[Sent],
    *,
    client: tuple[str, int] = CLIENT,
    server: tuple[str, int] = SERVER,
    by: Side | None = REQUESTOR,
    reset: bool = False,
) -> bytes:
    pieces = [PCAP_HEADER]
    connection = PcapConnection(pieces.append, client, server)
    connection.opened(1000.0)
    for side, data, at in sent:
        connection.data(side, data, at)
    connection.closed(by, 2000.0, reset)
    return b"".join(pieces)


def packets_of(data: bytes) -> list[Packet]:
    return list(read_capture(io.BytesIO(data), pytest.fail))


def read(data: bytes) -> list[ConnectionEvent]:
    reassembler = Reassembler((SERVER[1],))
    found = [event for packet in packets_of(data) for event in reassembler.feed(packet)]
    return found + reassembler.finish()


def sent_by(side: Side, sent: list[Sent]) -> bytes:
    return b"".join(data for sender, data, _ in sent if sender is side)


def read_by(side: Side, events: list[ConnectionEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Data) and event.sender is side)


SIZES = st.sampled_from([0, 1, 2, 99, LONGEST_SEGMENT - 1, LONGEST_SEGMENT, LONGEST_SEGMENT + 1, 140_000])
PIECES = st.builds(lambda size, fill: bytes([fill]) * size, SIZES, st.integers(0, 255)) | st.binary(
    max_size=9
)
ADDRESSES = st.sampled_from(["192.0.2.7", "2001:db8::7", "fe80::1%eth0", "peer.example", ""])


@given(
    sent=st.lists(st.tuples(st.sampled_from(Side), PIECES, st.integers(1000, 2000).map(float)), max_size=6),
    client=ADDRESSES,
    server=ADDRESSES,
    by=st.sampled_from([None, *Side]),
    reset=st.booleans(),
)
def test_what_is_written_reads_back(
    sent: list[Sent], client: str, server: str, by: Side | None, reset: bool
) -> None:
    events = read(written(sent, client=(client, 51234), server=(server, 104), by=by, reset=reset))
    opened, *pieces = events
    assert isinstance(opened, Opened)
    assert (opened.at, opened.connection.from_start) == (1000.0, True)
    assert (opened.connection.requestor[1], opened.connection.acceptor[1]) == (51234, 104)
    if by is not None:
        closed = pieces.pop()
        assert isinstance(closed, Closed)
        assert (closed.by, closed.at, closed.reset) == (by, 2000.0, reset)
    assert not [event for event in pieces if isinstance(event, Gap | Closed)]
    for side in Side:
        assert read_by(side, pieces) == sent_by(side, sent)
    whole = [event for event in pieces if isinstance(event, Data)]
    assert [event.at for event in whole if len(event.data) < LONGEST_SEGMENT] == [
        at for _, data, at in sent if len(data) % LONGEST_SEGMENT
    ]


def test_addresses_and_times_are_kept() -> None:
    (*_, packet, _, _, _, _) = packets_of(written([(ACCEPTOR, b"x", 1234.567891)]))
    assert packet == Packet(1234.567891, SERVER, CLIENT, 2, 2, PSH | ACK, b"x", 1)


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        ("2001:db8::7", "2001:db8::1", ("2001:db8::7", "2001:db8::1")),
        ("192.0.2.7", "2001:db8::1", ("::ffff:192.0.2.7", "2001:db8::1")),
        ("fe80::1%eth0", "fe80::2", ("fe80::1", "fe80::2")),
        ("peer.example", "192.0.2.1", ("192.0.2.1", "192.0.2.1")),
    ],
)
def test_both_ends_have_addresses_of_one_version(client: str, server: str, expected: tuple[str, str]) -> None:
    first = packets_of(written([], client=(client, 1), server=(server, 104)))[0]
    ends = ipaddress.ip_address(first.source[0]), ipaddress.ip_address(first.destination[0])
    assert ends == tuple(ipaddress.ip_address(address) for address in expected)


def test_what_is_sent_is_acknowledged_by_the_other_side() -> None:
    packets = packets_of(written([(REQUESTOR, bytes(100_000), 1001.0), (ACCEPTOR, b"ok", 1002.0)]))
    data = [packet for packet in packets if packet.at == 1001.0]
    assert [packet.length for packet in data] == [LONGEST_SEGMENT, 100_000 - LONGEST_SEGMENT, 0]
    assert data[-1].source == SERVER
    assert data[-1].acknowledgment == data[-2].sequence + data[-2].length


def test_times_no_pcap_can_hold_are_the_nearest_it_can() -> None:
    assert packets_of(written([(REQUESTOR, b"x", -5.0)]))[3].at == 0
    assert packets_of(written([(REQUESTOR, b"x", 1e18)]))[3].at == pytest.approx(2**32, abs=1)


@pytest.mark.peer("tshark")
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_tshark_reads_it_and_has_nothing_to_say(tmp_path: Path, host: str) -> None:
    sent: list[Sent] = [(REQUESTOR, encode_pdu(request()), 1001.0)]
    sent += [(ACCEPTOR, encode_pdu(answer(request(), POLICY)), 1001.5)]
    sent += [(side, p_data(bytes(200_000 + 2 * number)), 1002.0 + number) for number, side in enumerate(Side)]
    sent += [(REQUESTOR, encode_pdu(AReleaseRQ()), 1004.0), (ACCEPTOR, encode_pdu(AReleaseRP()), 1005.0)]
    file = tmp_path / "written.pcap"
    file.write_bytes(written(sent, client=(host, 51234), server=(host, 104)))
    assert tshark_problems(file, 104) == []
    checks = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-r", str(file))
    complaints = "tcp.analysis.flags || _ws.malformed || tcp.checksum.status != 1"
    complaints += " || ip.checksum.status != 1" if ":" not in host else ""
    outcome = run_peer("tshark", *checks, "-Y", complaints)
    assert [line for line in outcome.output.splitlines() if "Running as user" not in line] == []
    kinds = run_peer(
        "tshark",
        "-r",
        str(file),
        "-d",
        "tcp.port==104,dicom",
        "-Y",
        "dicom",
        "-T",
        "fields",
        "-e",
        "dicom.pdu.type",
    )
    assert kinds.output.split()[-5:] == ["0x02", "0x04", "0x04", "0x05", "0x06"]
