"""Capture files: both formats in both byte orders, fed whole or in pieces, damaged or cut."""

import io
import os
import struct
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packet_samples import (
    CLIENT,
    SERVER,
    block,
    enhanced,
    ethernet,
    interface,
    ipv4,
    option,
    pcap,
    section,
    tcp,
)
from services.trace.capture import LONGEST_PACKET, CaptureError, CaptureReader, read_capture
from services.trace.packets import Packet


def frame(payload: bytes) -> bytes:
    return ipv4(tcp(CLIENT[1], SERVER[1], payload))


def read(data: bytes) -> tuple[list[Packet], list[str]]:
    said: list[str] = []
    return list(read_capture(io.BytesIO(data), said.append)), said


def told(data: bytes) -> list[tuple[float, bytes]]:
    packets, said = read(data)
    assert said == []
    return [(packet.at, packet.data) for packet in packets]


BOTH_ORDERS = pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])

# -- pcap


@BOTH_ORDERS
@pytest.mark.parametrize(("magic", "fraction"), [(0xA1B2C3D4, 500_000), (0xA1B23C4D, 500_000_000)])
def test_pcap_in_microseconds_and_nanoseconds(order: str, magic: int, fraction: int) -> None:
    data = pcap(101, frame(b"one"), frame(b"two"), order=order, magic=magic, fraction=fraction)
    assert told(data) == [(1000.5, b"one"), (1001.5, b"two")]


def test_bits_above_the_link_type_are_no_part_of_it() -> None:
    assert told(pcap(0x10000001, ethernet(frame(b"one")))) == [(1000.5, b"one")]


def test_a_capture_without_packets() -> None:
    assert told(pcap(101)) == []


# -- pcapng


@BOTH_ORDERS
def test_pcapng(order: str) -> None:
    data = section(order) + interface(101, order) + enhanced(frame(b"one"), 1_500_000, order)
    assert told(data) == [(1.5, b"one")]


@pytest.mark.parametrize(("resolution", "ticks"), [(9, 1_500_000_000), (0, 1), (0x81, 3), (6, 1_500_000)])
def test_times_have_the_resolution_of_their_interface(resolution: int, ticks: int) -> None:
    options = option(2, b"name") + option(9, bytes([resolution])) + option(0, b"") + option(9, b"\x03")
    data = section() + interface(101, options=options) + enhanced(frame(b"one"), ticks)
    assert told(data) == [(1.0 if resolution == 0 else 1.5, b"one")]


def test_times_may_be_offset() -> None:
    options = option(14, struct.pack("<q", 1_700_000_000))
    data = section() + interface(101, options=options) + enhanced(frame(b"one"), 500_000)
    assert told(data) == [(1_700_000_000.5, b"one")]


def test_each_packet_is_of_its_interface() -> None:
    data = section() + interface(101) + interface(1, options=option(9, b"\x00"))
    data += enhanced(ethernet(frame(b"one")), 7, number=1) + enhanced(frame(b"two"), 8_000_000)
    assert told(data) == [(7.0, b"one"), (8.0, b"two")]


def test_several_sections_in_different_byte_orders() -> None:
    data = section() + interface(101) + enhanced(frame(b"one"), 1_000_000)
    data += section(">") + interface(1, ">") + enhanced(ethernet(frame(b"two")), 2_000_000, ">")
    assert told(data) == [(1.0, b"one"), (2.0, b"two")]


def test_a_simple_packet_has_the_time_of_the_one_before_it() -> None:
    whole = frame(b"twotwo")
    cut = whole[:-3]
    data = section() + interface(101, snap=len(cut)) + enhanced(frame(b"one"), 1_000_000)
    data += block(3, struct.pack("<I", len(whole)) + cut)
    packets, said = read(data)
    assert [(packet.at, packet.data, packet.length) for packet in packets][1] == (1.0, b"two", 6)
    assert "cut short" in said[0]


def test_the_obsolete_packet_block() -> None:
    one = frame(b"one")
    body = struct.pack("<HHIIII", 0, 0, 0, 1_500_000, len(one), len(one)) + one
    assert told(section() + interface(101) + block(2, body)) == [(1.5, b"one")]


def test_other_blocks_are_skipped_however_long() -> None:
    data = section() + interface(101) + block(0x0BAD, bytes(3 << 20)) + enhanced(frame(b"one"), 1_000_000)
    assert told(data) == [(1.0, b"one")]


# -- pieces


SAMPLES = [
    pcap(101, frame(b"one"), frame(b""), frame(b"three" * 100)),
    section()
    + interface(101)
    + block(5, b"statistics")
    + enhanced(frame(b"one"), 1)
    + enhanced(frame(b"two"), 2),
]


@pytest.mark.parametrize("data", SAMPLES, ids=["pcap", "pcapng"])
@pytest.mark.parametrize("size", [1, 2, 7, 23, 64])
def test_it_may_come_in_pieces_of_any_size(data: bytes, size: int) -> None:
    reader = CaptureReader()
    packets = [packet for at in range(0, len(data), size) for packet in reader.feed(data[at : at + size])]
    assert packets == read(data)[0] != []


def test_a_file_that_grows_is_read_on() -> None:
    data = SAMPLES[0]
    reader = CaptureReader()
    assert len(reader.feed(data[: len(data) - 10])) == 2
    assert len(reader.feed(data[len(data) - 10 :])) == 1


def test_a_pipe_is_read_as_it_comes() -> None:
    reading, writing = os.pipe()
    first_seen = threading.Event()

    def write() -> None:
        with open(writing, "wb", buffering=0) as pipe:
            pipe.write(pcap(101, frame(b"one")))
            assert first_seen.wait(10)
            pipe.write(pcap(101, frame(b"two"))[24:])

    thread = threading.Thread(target=write)
    thread.start()
    with open(reading, "rb") as pipe:
        seen = []
        for packet in read_capture(pipe):
            seen.append(packet.data)
            first_seen.set()
    thread.join(10)
    assert seen == [b"one", b"two"]


# -- what cannot be used


def test_links_that_are_not_read_are_reported_once() -> None:
    packets, said = read(pcap(127, b"radio", b"radio"))
    assert packets == []
    assert said == [
        "packet 1 has link type 127, which is not read; capture on Ethernet, loopback, or the interface named any"
    ]


def test_fragments_are_reported_and_the_rest_is_read() -> None:
    packets, said = read(pcap(101, ipv4(b"x" * 40, fragment=0x2000), frame(b"one"), ipv4(b"", fragment=3)))
    assert [packet.data for packet in packets] == [b"one"]
    assert said == ["packet 1 is an IPv4 fragment, and fragments are not put together, and is left out"]


def test_packets_cut_short_are_reported() -> None:
    packets, said = read(pcap(101, frame(b"payload"), frame(b"payload"), snap=43))
    assert [(packet.data, packet.length) for packet in packets] == [(b"pay", 7)] * 2
    assert len(said) == 1
    assert "snap length 0" in said[0]
    packets, said = read(pcap(101, frame(b"payload"), snap=30))
    assert (packets, len(said)) == ([], 1)
    assert "ends inside its headers" in said[0]


def test_a_capture_that_ends_inside_a_packet_says_so() -> None:
    packets, said = read(SAMPLES[0][:-1])
    assert len(packets) == 2
    assert "ends inside a packet" in said[0]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "ends after 0 bytes"),
        (b"\xd4\xc3", "ends after 2 bytes"),
        (pcap(101)[:10], "inside the file header"),
        (b"GET / HTTP/1.0", "begins with 47 45 54 20"),
        (b"\x1f\x8b\x08\x00", "unpack it first"),
        (
            pcap(101) + struct.pack("<IIII", 0, 0, LONGEST_PACKET + 1, 0),
            "damaged at byte 24: a packet of 1048577",
        ),
        (block(0x0A0D0D0A, b"\x00" * 16), "a section begins with 00 00 00 00"),
        (section() + struct.pack("<III", 6, 8, 8), "a block of 8 bytes"),
        (section() + struct.pack("<III", 6, 1 << 30, 0), "a block of 1073741824 bytes"),
        (section() + enhanced(b"", 0), "of type 6"),  # no interface
        (section() + interface(101) + block(6, bytes(3)), "of type 6"),
        (section() + interface(101) + block(6, struct.pack("<5I", 0, 0, 0, 9, 9)), "of type 6"),
        (section() + block(3, struct.pack("<I", 4) + bytes(4)), "of type 3"),
        (section() + interface(1)[:-4] + b"\xff\xff\xff\xff", "two lengths"),
    ],
)
def test_what_is_no_capture_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(CaptureError, match=what):
        read(data)


def test_what_came_before_the_damage_is_handed_over() -> None:
    packets = read_capture(io.BytesIO(pcap(101, frame(b"one")) + b"\xff" * 16))
    assert next(packets).data == b"one"
    with pytest.raises(CaptureError, match="damaged at byte 83"):
        next(packets)


@given(
    start=st.sampled_from([b"", pcap(1), pcap(101, order=">"), section() + interface(101), section(">")]),
    rest=st.binary(max_size=200),
)
def test_any_bytes_are_read_or_refused(start: bytes, rest: bytes) -> None:
    with suppress(CaptureError):
        read(start + rest)
