"""Captures written by hand: TCP segments in the frames of several links, in pcap and pcapng."""

import ipaddress
import struct

from services.trace.packets import ACK

CLIENT, SERVER = ("192.0.2.7", 51234), ("192.0.2.1", 104)
CLIENT6, SERVER6 = ("2001:db8::7", 51234), ("2001:db8::1", 104)


def tcp(
    source: int,
    destination: int,
    payload: bytes,
    *,
    sequence: int = 7,
    flags: int = ACK,
    options: bytes = b"",
) -> bytes:
    """A TCP segment; its checksum is wrong, as in captures of what a network card finishes."""
    offset = (20 + len(options)) // 4 << 4
    header = struct.pack(">HHIIBBHHH", source, destination, sequence, 9, offset, flags, 1000, 0xBEEF, 0)
    return header + options + payload


def ipv4(
    segment: bytes, *, fragment: int = 0, protocol: int = 6, options: bytes = b"", total: int | None = None
) -> bytes:
    length = 20 + len(options) + len(segment) if total is None else total
    first = 0x45 + len(options) // 4
    start = struct.pack(">BBHHHBBH", first, 0, length, 1, fragment, 64, protocol, 0)
    addresses = ipaddress.ip_address(CLIENT[0]).packed + ipaddress.ip_address(SERVER[0]).packed
    return start + addresses + options + segment


def ipv6(segment: bytes, *, extensions: bytes = b"", first: int = 6, length: int | None = None) -> bytes:
    payload = len(extensions) + len(segment) if length is None else length
    start = struct.pack(">IHBB", 6 << 28, payload, first, 64)
    addresses = ipaddress.ip_address(CLIENT6[0]).packed + ipaddress.ip_address(SERVER6[0]).packed
    return start + addresses + extensions + segment


def ethernet(packet: bytes, kind: int = 0x0800, tags: bytes = b"") -> bytes:
    return bytes(12) + tags + struct.pack(">H", kind) + packet


def pcap(
    link: int,
    *frames: bytes,
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    fraction: int = 500_000,
    snap: int = 262144,
) -> bytes:
    """A classic capture: the first frame at 1000 s and a fraction, each further one a second later."""
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link)
    for number, frame in enumerate(frames):
        cut = frame[:snap]
        data += struct.pack(order + "IIII", 1000 + number, fraction, len(cut), len(frame)) + cut
    return data


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """One block of pcapng."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int, order: str = "<", *, snap: int = 0, options: bytes = b"") -> bytes:
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def enhanced(
    frame: bytes, ticks: int, order: str = "<", number: int = 0, original: int | None = None
) -> bytes:
    header = struct.pack(
        order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), original or len(frame)
    )
    return block(6, header + frame, order)
