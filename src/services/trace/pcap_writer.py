"""Connections to a pcap file that Wireshark opens: what was sent is real, the IP and TCP headers are made up.

Nothing is lost, late or sent twice in them, sequence numbers start from one known value, and each piece is
acknowledged at once. No file here: bytes are handed to whoever writes them.
"""

import ipaddress
import struct
from collections.abc import Callable
from typing import TypeAlias

from services.trace.fields import Side
from services.trace.packets import ACK, FIN, PSH, RST, SYN, Endpoint

_RAW_IP = 101
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, _RAW_IP)
"""How a file begins: classic pcap, times in microseconds, packets that start with their IP header."""

LONGEST_SEGMENT = 65_495
"""Bytes of payload in one made-up segment: what an IPv4 packet has room for (RFC 791 3.1)."""

_TCP_HEADER = 20
_SYN_OPTIONS = struct.pack(
    ">BBHBBBB", 2, 4, LONGEST_SEGMENT, 1, 3, 3, 14
)  # MSS, NOP, the largest window scale
_FIRST_SEQUENCE = 1
_UNKNOWN = {Side.REQUESTOR: "192.0.2.1", Side.ACCEPTOR: "192.0.2.2"}  # for documentation only (RFC 5737)

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class PcapConnection:
    """Writes one connection.

    Args:
        write: takes the bytes that come next in the file; `PCAP_HEADER` comes before all of them.
        requestor, acceptor: addresses and ports of both ends. An address that is none of IP, such as a host name,
            is replaced by one that belongs to nobody.
    """

    def __init__(self, write: Callable[[bytes], object], requestor: Endpoint, acceptor: Endpoint) -> None:
        self._write = write
        ends = _addresses(requestor[0], acceptor[0])
        self._ports = {Side.REQUESTOR: requestor[1], Side.ACCEPTOR: acceptor[1]}
        self._sequence = dict.fromkeys(Side, _FIRST_SEQUENCE)
        self._headers = {side: _IPHeader(ends[side], ends[side.peer]) for side in Side}

    def opened(self, at: float) -> None:
        """The requestor opens the connection. Call it first.

        Args:
            at: seconds since 1970, here as everywhere below.
        """
        requestor, acceptor = Side.REQUESTOR, Side.ACCEPTOR
        self._segment(requestor, SYN, at, options=_SYN_OPTIONS)
        self._sequence[requestor] += 1
        self._segment(acceptor, SYN | ACK, at, options=_SYN_OPTIONS)
        self._sequence[acceptor] += 1
        self._segment(requestor, ACK, at)

    def data(self, sender: Side, data: bytes, at: float) -> None:
        """One side sends bytes, the other one acknowledges them."""
        for start in range(0, len(data), LONGEST_SEGMENT):
            piece = data[start : start + LONGEST_SEGMENT]
            self._segment(sender, PSH | ACK, at, piece)
            self._sequence[sender] = (self._sequence[sender] + len(piece)) % (1 << 32)
        self._segment(sender.peer, ACK, at)

    def closed(self, by: Side | None, at: float, reset: bool = False) -> None:
        """The connection ends.

        Args:
            by: who closes it first, or resets it; None where nobody has, and the file says nothing of an end.
            at: seconds since 1970.
            reset: by an RST, instead of by a FIN of each side.
        """
        if by is None:
            return
        if reset:
            self._segment(by, RST | ACK, at)
            return
        for side in by, by.peer:
            self._segment(side, FIN | ACK, at)
            self._sequence[side] = (self._sequence[side] + 1) % (1 << 32)
        self._segment(by, ACK, at)

    def _segment(
        self, sender: Side, flags: int, at: float, payload: bytes = b"", *, options: bytes = b""
    ) -> None:
        acknowledged = self._sequence[sender.peer] if flags & ACK else 0
        tcp = struct.pack(
            ">HHIIBBHHH",
            self._ports[sender],
            self._ports[sender.peer],
            self._sequence[sender],
            acknowledged,
            (_TCP_HEADER + len(options)) // 4 << 4,
            flags,
            0xFFFF,
            0,
            0,
        )
        header = self._headers[sender]
        length = len(tcp) + len(options) + len(payload)
        checksum = _checksum(header.pseudo + length.to_bytes(4, "big") + tcp + options, payload)
        ip = header.of(length)
        whole = len(ip) + length
        microseconds = min(max(0, round(at * 1e6)), (1 << 32) * 10**6 - 1)
        record = struct.pack("<IIII", *divmod(microseconds, 10**6), whole, whole)
        self._write(b"".join((record, ip, tcp[:16], checksum, tcp[18:], options)))
        if payload:
            self._write(payload)  # by itself, which saves a copy


class _IPHeader:
    """The IP header of everything one side sends, less the length."""

    def __init__(self, source: _Address, destination: _Address) -> None:
        self._addresses = source.packed + destination.packed
        self._is_ipv4 = source.version == 4
        # The pseudo header that TCP's checksum covers, less its length of 32 bits; where in it the zeros and the
        # protocol stand makes no difference to a sum.
        self.pseudo = self._addresses + b"\0\0\0\x06"

    def of(self, length: int) -> bytes:
        """The header of a packet with a TCP segment of `length` bytes."""
        if not self._is_ipv4:
            return struct.pack(">IHBB", 6 << 28, length, 6, 64) + self._addresses
        # Version and header length, do not fragment, a time to live of 64, TCP.
        start = struct.pack(">BBHHHBB", 0x45, 0, 20 + length, 0, 0x4000, 64, 6)
        return start + _checksum(start + self._addresses) + self._addresses


def _checksum(head: bytes, rest: bytes = b"") -> bytes:
    """The complement of the ones' complement sum of 16-bit words (RFC 1071); `head` has an even length.

    The sum is the remainder of division by 2**16 - 1, and Python divides a long integer faster than it adds words.
    """
    if len(rest) & 1:
        rest += b"\0"
    total = (int.from_bytes(head, "big") + int.from_bytes(rest, "big")) % 0xFFFF
    return (0xFFFF - total if total else 0).to_bytes(2, "big")


def _addresses(requestor: str, acceptor: str) -> dict[Side, _Address]:
    """Addresses of one IP version for both ends."""
    given = {Side.REQUESTOR: requestor, Side.ACCEPTOR: acceptor}
    ends = {side: _address(text) or ipaddress.ip_address(_UNKNOWN[side]) for side, text in given.items()}
    if len({end.version for end in ends.values()}) == 1:
        return ends
    return {
        side: ipaddress.ip_address(f"::ffff:{end}") if end.version == 4 else end for side, end in ends.items()
    }


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])  # what follows names an interface
    except ValueError:
        return None
