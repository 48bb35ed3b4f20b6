"""Capture files to TCP segments: pcap and pcapng, of Ethernet, Linux cooked, loopback and raw IP links.

Incremental: bytes are fed as they come, from a file that still grows or from a pipe, and nothing is sought. No
length that a file declares makes memory be taken before it was judged. Frames that carry no TCP are passed over;
what might be missed is reported. Knows nothing of DICOM; `services.trace.tcp` puts the segments together.
"""

# Read by hand, since what could do it does not fit: dpkt had its last release in 2022, scapy is under the GPL, and
# bindings of libpcap want the library, a compiler, and a file that has ended.

import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeAlias

from msgspec import Struct

from services.trace.packets import LINK_TYPES, NotRead, Packet, tcp_segment

LONGEST_PACKET = 1 << 20
"""In bytes. Four times what libpcap captures of a packet at most; a longer one says that the file is damaged."""

_LONGEST_BLOCK = LONGEST_PACKET + (64 << 10)  # pcapng: a packet with its options
_READ_SIZE = 1 << 16


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
        self._error: CaptureError | None = None
        self._skip = 0  # bytes of a block that nobody wants
        self._number = 0  # of the packet at hand, from 1
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._last_time = 0.0
        self._take: Callable[[list[Packet]], bool] = self._take_file_header

    def feed(self, data: bytes) -> list[Packet]:
        """Take what came next; return the TCP segments it completed.

        Raises:
            CaptureError: this is no capture, or a damaged one; what came before was returned. The reader is of no
                further use.
        """
        if self._error is not None:
            raise self._error
        self._pending += data
        found: list[Packet] = []
        try:
            while self._pass_over() and self._take(found):
                pass
        except CaptureError as error:
            self._error = error
            if not found:
                raise
        return found

    def finish(self) -> None:
        """Say that the capture has ended; where it ends inside a packet, that is reported.

        Raises:
            CaptureError: it ended before anything told what it is, or was damaged.
        """
        if self._error is not None:
            raise self._error
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
        if link not in LINK_TYPES:
            self._tell(
                f"link {link}",
                f"packet {self._number} has link type {link}, which is not read; capture on Ethernet, "
                "loopback, or the interface named any",
            )
            return
        try:
            packet = tcp_segment(link, at, data, max(original, len(data)))
        except (struct.error, IndexError):
            self._tell("cut", f"packet {self._number} ends inside its headers and is left out")
        except NotRead as error:
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
