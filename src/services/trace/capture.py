"""Capture files to TCP segments: pcap and pcapng, of Ethernet, Linux cooked, loopback and raw IP links.

Incremental: bytes are fed as they come, from a file that still grows or from a pipe, and nothing is sought. No
length that a file declares makes memory be taken before it was judged. Frames that carry no TCP are passed over;
what might be missed is reported. Knows nothing of DICOM; `services.trace.tcp` puts the segments together.
"""

# Read by hand, since what could do it does not fit: dpkt had its last release in 2022, scapy is under the GPL, and
# bindings of libpcap want the library, a compiler, and a file that has ended.

import ipaddress
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import BinaryIO, TypeAlias

from msgspec import Struct

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
"""The flags of a TCP segment that mean something here."""

LONGEST_PACKET = 1 << 20
"""In bytes. Four times what libpcap captures of a packet at most; a longer one says that the file is damaged."""

_LONGEST_BLOCK = LONGEST_PACKET + (64 << 10)  # pcapng: a packet with its options
_READ_SIZE = 1 << 16

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


class CaptureError(Exception):
    """Bytes that are no capture, or that stop being one; the message says where and what to do."""


Report: TypeAlias = Callable[[str], None]
"""Told, once for each kind, what of a capture could not be used."""


def read_capture(file: BinaryIO, report: Report | None = None) -> Iterator[Packet]:
    """The TCP segments of a whole capture, in the order of the file.

    Args:
        file: open for reading, a pipe included; each read takes what is there.
        report: told what could not be used.

    Raises:
        CaptureError: it is no capture, or damaged at some byte; what came before it was handed over.
    """
    reader = CaptureReader(report)
    read = getattr(file, "read1", file.read)
    while data := read(_READ_SIZE):
        yield from reader.feed(data)
    reader.finish()


class _Interface(Struct, frozen=True):
    """What pcapng says of an interface, or pcap of the whole file: times are `ticks` a second after `offset`."""

    link: int
    snap_length: int
    ticks: int
    offset: int = 0


class CaptureReader:
    """Reads a capture that is fed to it piece by piece.

    Args:
        report: told, once for each kind, what could not be used.
    """

    def __init__(self, report: Report | None = None) -> None:
        self._report = report
        self._reported: set[str] = set()
        self._pending = bytearray()
        self._position = 0  # in the file, of the first pending byte
        self._skip = 0  # bytes of a block that nobody wants
        self._number = 0  # of the packet at hand, from 1
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._last_time = 0.0
        self._take: Callable[[list[Packet]], bool] = self._take_file_header

    def feed(self, data: bytes) -> list[Packet]:
        """Take what came next; return the TCP segments it completed.

        Raises:
            CaptureError: this is no capture, or a damaged one. The reader is of no further use.
        """
        self._pending += data
        found: list[Packet] = []
        while self._pass_over() and self._take(found):
            pass
        return found

    def finish(self) -> None:
        """Say that the capture has ended; where it ends inside a packet, that is reported.

        Raises:
            CaptureError: it ended before anything told what it is.
        """
        if self._take == self._take_file_header:
            raise CaptureError(
                f"no capture: it ends after {len(self._pending)} bytes, inside the file header"
            )
        if self._pending or self._skip:
            self._tell(
                "ends", f"the capture ends inside a packet, {len(self._pending)} bytes after its start"
            )

    # -- pieces of the file; each takes one from what is pending, or returns False to wait for more

    def _pass_over(self) -> bool:
        passed = min(self._skip, len(self._pending))
        self._skip -= passed
        self._use_up(passed)
        return self._skip == 0

    def _use_up(self, count: int) -> None:
        del self._pending[:count]
        self._position += count

    def _damaged(self, what: str) -> CaptureError:
        return CaptureError(
            f"the capture is damaged at byte {self._position}: {what}; what came before could be read"
        )

    def _take_file_header(self, found: list[Packet]) -> bool:
        if len(self._pending) < 4:
            return False
        magic = bytes(self._pending[:4])
        if magic == b"\x0a\x0d\x0d\x0a":
            self._take = self._take_block
            return True
        for order in "<", ">":
            ticks = {0xA1B2C3D4: 10**6, 0xA1B23C4D: 10**9}.get(struct.unpack(order + "I", magic)[0])
            if ticks is not None:
                return self._take_pcap_header(order, ticks)
        advice = (
            "unpack it first: it is compressed with gzip"
            if magic[:2] == b"\x1f\x8b"
            else ("give a file that tcpdump, dumpcap or Wireshark wrote as pcap or pcapng")
        )
        raise CaptureError(f"no capture: it begins with {magic.hex(' ')}; {advice}")

    def _take_pcap_header(self, order: str, ticks: int) -> bool:
        if len(self._pending) < 24:
            return False
        snap_length, link = struct.unpack_from(order + "II", self._pending, 16)
        self._order = order
        # The upper bits of the link type tell of frame check sequences.
        self._interfaces = [_Interface(link & 0xFFFF, snap_length, ticks)]
        self._use_up(24)
        self._take = self._take_record
        return True

    def _take_record(self, found: list[Packet]) -> bool:
        if len(self._pending) < 16:
            return False
        seconds, fraction, captured, original = struct.unpack_from(self._order + "IIII", self._pending)
        if captured > LONGEST_PACKET:
            raise self._damaged(f"a packet of {captured} bytes")
        if len(self._pending) < 16 + captured:
            return False
        interface = self._interfaces[0]
        data = bytes(self._pending[16 : 16 + captured])
        self._use_up(16 + captured)
        self._frame(interface.link, seconds + fraction / interface.ticks, data, original, found)
        return True

    def _take_block(self, found: list[Packet]) -> bool:
        """One block of a pcapng file."""
        if len(self._pending) < 12:
            return False
        if self._pending[:4] == b"\x0a\x0d\x0d\x0a":
            self._begin_section()
        kind, length = struct.unpack_from(self._order + "II", self._pending)
        if length < 12 or length % 4:
            raise self._damaged(f"a block of {length} bytes")
        if kind not in (1, 2, 3, 6):
            self._skip = length
            return True
        if length > _LONGEST_BLOCK:
            raise self._damaged(f"a block of {length} bytes")
        if len(self._pending) < length:
            return False
        if struct.unpack_from(self._order + "I", self._pending, length - 4)[0] != length:
            raise self._damaged("a block gives two lengths that differ")
        body = bytes(self._pending[8 : length - 4])
        self._use_up(length)
        try:
            self._read_block(kind, body, found)
        except (struct.error, IndexError):
            raise self._damaged(f"what is in the block before it, of type {kind}, cannot be") from None
        return True

    def _begin_section(self) -> None:
        magic = bytes(self._pending[8:12])
        if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
            raise self._damaged(f"a section begins with {magic.hex(' ')}")
        self._order = "<" if magic[0] == 0x4D else ">"
        self._interfaces = []

    def _read_block(self, kind: int, body: bytes, found: list[Packet]) -> None:
        order = self._order
        if kind == 1:
            self._add_interface(body)
            return
        if kind == 3:  # Simple Packet Block: of the first interface, and without a time
            (original,) = struct.unpack_from(order + "I", body)
            interface = self._interfaces[0]
            captured = min(original, interface.snap_length or original, len(body) - 4)
            self._frame(interface.link, self._last_time, body[4 : 4 + captured], original, found)
            return
        if kind == 6:  # Enhanced Packet Block
            number, high, low, captured, original = struct.unpack_from(order + "IIIII", body)
        else:  # Packet Block, which it replaced
            number, _, high, low, captured, original = struct.unpack_from(order + "HHIIII", body)
        if captured > len(body) - 20:
            raise IndexError
        interface = self._interfaces[number]
        at = interface.offset + (high << 32 | low) / interface.ticks
        self._frame(interface.link, at, body[20 : 20 + captured], original, found)

    def _add_interface(self, body: bytes) -> None:
        link, _, snap_length = struct.unpack_from(self._order + "HHI", body)
        ticks, offset = 10**6, 0
        start = 8
        while start + 4 <= len(body):
            code, length = struct.unpack_from(self._order + "HH", body, start)
            if code == 0:
                break
            value = body[start + 4 : start + 4 + length]
            if code == 9 and value:  # if_tsresol
                ticks = 1 << (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == 14 and len(value) == 8:  # if_tsoffset
                (offset,) = struct.unpack(self._order + "q", value)
            start += 4 + (length + 3 & ~3)
        if len(self._interfaces) == _MOST_INTERFACES:
            raise IndexError
        self._interfaces.append(_Interface(link, snap_length, ticks, offset))

    # -- frames

    def _frame(self, link: int, at: float, data: bytes, original: int, found: list[Packet]) -> None:
        self._number += 1
        self._last_time = at
        if link not in _NETWORK_LAYERS:
            self._tell(
                f"link {link}",
                f"packet {self._number} has link type {link}, which is not read; capture on Ethernet, "
                "loopback, or the interface named any",
            )
            return
        try:
            packet = _segment(link, at, data, max(original, len(data)))
        except (struct.error, IndexError):
            self._tell("cut", f"packet {self._number} ends inside its headers and is left out")
        except _NotRead as error:
            self._tell(str(error), f"packet {self._number} is {error}, and is left out")
        else:
            if packet is not None:
                found.append(packet)
                if packet.length > len(packet.data):
                    self._tell(
                        "snap length",
                        f"packet {self._number} was cut short when it was captured, and bytes are missing; "
                        "capture with snap length 0",
                    )

    def _tell(self, kind: str, text: str) -> None:
        if self._report is not None and kind not in self._reported:
            self._reported.add(kind)
            self._report(text)


_MOST_INTERFACES = 4096

# -- protocol headers; each raises struct.error or IndexError where the bytes end too early


class _NotRead(Exception):
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


_NETWORK_LAYERS: dict[int, Callable[[bytes], int | None]] = {
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


def _segment(link: int, at: float, data: bytes, original: int) -> Packet | None:
    """The TCP segment of a frame that had `original` bytes; None where there is none in it."""
    start = _NETWORK_LAYERS[link](data)
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
        raise _NotRead("an IPv4 fragment, and fragments are not put together")
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
            raise _NotRead("an IPv6 fragment, and fragments are not put together")
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
