"""Frames of a capture to TCP segments: the headers of links, of IP and of TCP (RFC 791, 8200, 9293).

Every function here reads what anybody may have sent: where the bytes end too early struct.error or IndexError is
raised, and nothing else.
"""

import ipaddress
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from msgspec import Struct

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
"""The flags of a TCP segment that mean something here."""

Endpoint: TypeAlias = tuple[str, int]
"""An IP address, as text, and a TCP port."""


class Packet(Struct, frozen=True, gc=False):
    """One TCP segment.

    Attributes:
        at: when it was captured, in seconds since 1970.
        source, destination: who sent it to whom.
        sequence, acknowledgment: of its header.
        flags: `SYN` and the others, ORed.
        data: of its payload, what the capture has.
        length: of its payload on the wire; more than there is in `data` where the capture cut the packet short.
    """

    at: float
    source: Endpoint
    destination: Endpoint
    sequence: int
    acknowledgment: int
    flags: int
    data: bytes
    length: int


class NotRead(Exception):
    """A packet that may carry TCP and is not read; the text says what it is."""


_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
_TCP = 6
_IPV6_OPTIONS = frozenset({0, 43, 60, 135, 139, 140})  # extension headers of one shape
_IPV6_FRAGMENT, _IPV6_AUTHENTICATION = 44, 51
_MOST_HEADERS = 16

_unpack_tcp = struct.Struct(">HHIIBB").unpack_from
_unpack_16 = struct.Struct(">H").unpack_from


def _after_ethernet_type(data: bytes, kind_at: int, start: int) -> int | None:
    (kind,) = _unpack_16(data, kind_at)
    for _ in range(_MOST_HEADERS):
        if kind not in _VLAN_TAGS:
            break
        (kind,) = _unpack_16(data, start + 2)
        start += 4
    return start if kind in (_IPV4, _IPV6) else None


LINK_TYPES: dict[int, Callable[[bytes], int | None]] = {
    0: lambda data: 4,  # BSD loopback: an address family in the order of whoever captured
    108: lambda data: 4,  # OpenBSD loopback
    1: lambda data: _after_ethernet_type(data, 12, 14),
    101: lambda data: 0,  # raw IP
    228: lambda data: 0,  # raw IPv4
    229: lambda data: 0,  # raw IPv6
    113: lambda data: _after_ethernet_type(data, 14, 16),  # Linux cooked, version 1
    276: lambda data: _after_ethernet_type(data, 0, 20),  # and 2
}
"""By link type: where in a frame the IP header starts, or None where it carries something else."""


@lru_cache(1024)
def _text(address: bytes) -> str:
    return str(ipaddress.ip_address(address))


def tcp_segment(link: int, at: float, data: bytes, original: int) -> Packet | None:
    """The TCP segment of a frame that had `original` bytes; None where there is none in it."""
    start = LINK_TYPES[link](data)
    if start is None:
        return None
    version = data[start] >> 4
    if version == 4:
        return _ipv4(at, data, start, original)
    return _ipv6(at, data, start, original) if version == 6 else None


def _ipv4(at: float, data: bytes, start: int, original: int) -> Packet | None:
    total, fragment = struct.unpack_from(">2xH2xH", data, start)
    addresses = data[start + 12 : start + 20]
    if data[start + 9] != _TCP:
        return None
    if fragment & 0x3FFF:
        raise NotRead("an IPv4 fragment, and fragments are not put together")
    # No total length: the network card was to fill it in, when it cuts the segment.
    end = start + total if total else original
    header = 4 * (data[start] & 15)
    if header < 20 or len(addresses) < 8:
        raise IndexError
    return _tcp(at, data, start + header, min(end, original), addresses)


def _ipv6(at: float, data: bytes, start: int, original: int) -> Packet | None:
    (length,) = _unpack_16(data, start + 4)
    end = start + 40 + length if length else original
    addresses = data[start + 8 : start + 40]
    kind = data[start + 6]
    position = start + 40
    for _ in range(_MOST_HEADERS):
        if kind == _TCP:
            return _tcp(at, data, position, min(end, original), addresses)
        if kind == _IPV6_FRAGMENT and _unpack_16(data, position + 2)[0] & 0xFFF9:
            raise NotRead("an IPv6 fragment, and fragments are not put together")
        if kind == _IPV6_FRAGMENT:
            size = 8
        elif kind == _IPV6_AUTHENTICATION:
            size = 4 * (data[position + 1] + 2)
        elif kind in _IPV6_OPTIONS:
            size = 8 * (data[position + 1] + 1)
        else:
            return None
        kind = data[position]
        position += size
    return None


def _tcp(at: float, data: bytes, start: int, end: int, addresses: bytes) -> Packet:
    """The segment at `start`, which with its payload ends at `end` in the whole frame."""
    from_port, to_port, sequence, acknowledgment, offset, flags = _unpack_tcp(data, start)
    payload = start + 4 * (offset >> 4)
    if payload < start + 20 or payload > end:
        raise IndexError
    half = len(addresses) // 2
    return Packet(
        at,
        (_text(addresses[:half]), from_port),
        (_text(addresses[half:]), to_port),
        sequence,
        acknowledgment,
        flags,
        data[payload:end],
        end - payload,
    )
