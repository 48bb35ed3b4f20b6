"""Frames to TCP segments: every link that is read, IPv4 and IPv6, and bytes that end too early."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packet_samples import CLIENT, CLIENT6, SERVER, SERVER6, ethernet, ipv4, ipv6, tcp
from services.trace.packets import ACK, LINK_TYPES, NotRead, Packet, tcp_segment

SEGMENT = tcp(CLIENT[1], SERVER[1], b"payload", options=b"\x01\x01\x01\x00")


def read(link: int, frame: bytes, original: int | None = None) -> Packet | None:
    return tcp_segment(link, 1.5, frame, original or len(frame))


VLAN = struct.pack(">HH", 0x8100, 42)
OUTER_VLAN = struct.pack(">HH", 0x88A8, 7)
FRAMES = {
    "Ethernet": (1, ethernet(ipv4(SEGMENT))),
    "Ethernet with its padding": (1, ethernet(ipv4(SEGMENT)) + bytes(10)),
    "a VLAN": (1, ethernet(ipv4(SEGMENT), tags=VLAN)),
    "a VLAN in a VLAN": (1, ethernet(ipv4(SEGMENT), tags=OUTER_VLAN + VLAN)),
    "raw IP": (101, ipv4(SEGMENT)),
    "raw IPv4": (228, ipv4(SEGMENT)),
    "Linux cooked": (113, bytes(14) + struct.pack(">H", 0x0800) + ipv4(SEGMENT)),
    "Linux cooked, version 2": (276, struct.pack(">H", 0x0800) + bytes(18) + ipv4(SEGMENT)),
    "BSD loopback": (0, struct.pack("<I", 2) + ipv4(SEGMENT)),
    "BSD loopback of a big endian machine": (0, struct.pack(">I", 2) + ipv4(SEGMENT)),
    "OpenBSD loopback": (108, struct.pack(">I", 2) + ipv4(SEGMENT)),
    "IP options": (101, ipv4(SEGMENT, options=bytes(8))),
    "no total length": (101, ipv4(SEGMENT, total=0)),
}


@pytest.mark.parametrize(("link", "frame"), FRAMES.values(), ids=FRAMES)
def test_a_segment_over_ipv4(link: int, frame: bytes) -> None:
    assert read(link, frame) == Packet(1.5, CLIENT, SERVER, 7, 9, ACK, b"payload", 7)


def test_every_link_that_is_read_is_tested() -> None:
    assert {link for link, _ in FRAMES.values()} | {229} == set(LINK_TYPES)


HOP_BY_HOP = bytes([60, 0]) + bytes(6)
DESTINATION = bytes([6, 1]) + bytes(14)
AUTHENTICATION = bytes([6, 4]) + bytes(22)
WHOLE_FRAGMENT = bytes([6, 0]) + bytes(6)
FRAMES6 = {
    "raw IPv6": (229, ipv6(SEGMENT)),
    "raw IP": (101, ipv6(SEGMENT)),
    "Ethernet": (1, ethernet(ipv6(SEGMENT), 0x86DD)),
    "extension headers": (101, ipv6(SEGMENT, extensions=HOP_BY_HOP + DESTINATION, first=0)),
    "authentication": (101, ipv6(SEGMENT, extensions=AUTHENTICATION, first=51)),
    "a fragment that is the whole": (101, ipv6(SEGMENT, extensions=WHOLE_FRAGMENT, first=44)),
    "no length": (101, ipv6(SEGMENT, length=0)),
}


@pytest.mark.parametrize(("link", "frame"), FRAMES6.values(), ids=FRAMES6)
def test_a_segment_over_ipv6(link: int, frame: bytes) -> None:
    assert read(link, frame) == Packet(1.5, CLIENT6, SERVER6, 7, 9, ACK, b"payload", 7)


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        (1, ethernet(b"\x00\x01\x08\x00", 0x0806)),  # ARP
        (1, ethernet(ipv4(SEGMENT), tags=VLAN * 20)),
        (101, ipv4(SEGMENT, protocol=17)),
        (101, ipv6(SEGMENT, first=17)),
        (101, ipv6(SEGMENT, extensions=(bytes([0, 0]) + bytes(6)) * 20, first=0)),
        (101, b"\x50" + bytes(60)),  # no version of IP
    ],
)
def test_what_is_no_tcp_is_passed_over(link: int, frame: bytes) -> None:
    assert read(link, frame) is None


@pytest.mark.parametrize("fragment", [0x2000, 0x0010])
def test_fragments_are_named_and_not_read(fragment: int) -> None:
    with pytest.raises(NotRead, match="IPv4 fragment"):
        read(101, ipv4(SEGMENT, fragment=fragment))
    header = bytes([6, 0]) + struct.pack(">H", 1 if fragment & 0x2000 else 8) + bytes(4)
    with pytest.raises(NotRead, match="IPv6 fragment"):
        read(101, ipv6(SEGMENT, extensions=header, first=44))


def test_a_packet_cut_when_it_was_captured_tells_its_length() -> None:
    packet = read(101, ipv4(SEGMENT)[:-4], len(ipv4(SEGMENT)))
    assert packet is not None
    assert (packet.data, packet.length) == (b"pay", 7)


@pytest.mark.parametrize("size", [0, 1, 5, 19, 30, 43])
def test_headers_that_end_too_early_raise(size: int) -> None:
    with pytest.raises((struct.error, IndexError)):
        read(101, ipv4(SEGMENT)[:size])


@given(
    link=st.sampled_from(sorted(LINK_TYPES)),
    start=st.sampled_from([b"", b"\x45", b"\x60"]),
    rest=st.binary(max_size=120),
)
def test_any_bytes_are_read_or_refused(link: int, start: bytes, rest: bytes) -> None:
    try:
        packet = read(link, start + rest)
    except (struct.error, IndexError, NotRead):
        return
    assert packet is None or len(packet.data) <= packet.length <= len(start + rest)
