"""Blanks the values of a data set that streams by, in place (PS3.5 7; PS3.15 E.1 goes further).

Tags, VRs, lengths and delimiters stand; values do not, but for the few that identify nobody. The walk follows
Implicit and Explicit VR, both byte orders, sequences and encapsulated pixel data. Where the bytes cannot be followed,
or are deflated, everything from there on is blanked. Knows no PDUs.
"""

import struct
from collections.abc import Iterable
from enum import Enum, auto

from msgspec import Struct
from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]

KEPT = frozenset(
    {
        0x00080005,  # Specific Character Set
        0x00080016,  # SOP Class UID
        0x00080052,  # Query/Retrieve Level
        0x00080056,  # Instance Availability
        0x00080060,  # Modality
        0x00080061,  # Modalities in Study
        0x00080062,  # SOP Classes in Study
        0x00081150,  # Referenced SOP Class UID
        0x00280002,  # Samples per Pixel
        0x00280004,  # Photometric Interpretation
        0x00280006,  # Planar Configuration
        0x00280008,  # Number of Frames
        0x00280010,  # Rows
        0x00280011,  # Columns
        0x00280100,  # Bits Allocated
        0x00280101,  # Bits Stored
        0x00280102,  # High Bit
        0x00280103,  # Pixel Representation
        0x00282110,  # Lossy Image Compression
    }
)
"""Attributes whose values stay, at every depth."""

LONGEST_KEPT = 256
"""Bytes. A longer value is none of those meant: bytes in another VR than was negotiated look like that."""

_UNDEFINED = 0xFFFFFFFF
_LONGEST_VALUE = 0x20000000  # of Implicit VR: four letters of text read as a length exceed it
_DEEPEST = 128
_PIXEL_DATA = 0x7FE00010
_DELIMITERS, _ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE, 0xE000, 0xE00D, 0xE0DD

_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})

_SHORT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)  # length of 16 bits (PS3.5 Table 7.1-2)
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # of 32 (Table 7.1-1)
_FILL = (
    dict.fromkeys(b"AE AS CS DA DT LO LT PN SH ST TM UC UR UT".split(), b"X")
    | dict.fromkeys(b"DS IS".split(), b"0")
    | {b"UI": b"1"}
)
"""What values are blanked with; others, numbers and bytes, with zeros."""

_GROUPS = {tag >> 16 for tag in DicomDictionary if tag >> 16 > 6} | {
    first + number for first in (0x5000, 0x6000) for number in range(0, 0x20, 2)
}


class Span(Struct, frozen=True):
    """Bytes start to end of `data`, to be changed where they are."""

    data: bytearray
    start: int
    end: int


def blank(spans: Iterable[Span], fill: bytes = b"\0") -> None:
    """Overwrite bytes with one byte; a span that is empty, or ends before it starts, has none."""
    for span in spans:
        if span.end > span.start:
            span.data[span.start : span.end] = fill * (span.end - span.start)


class _Kind(Enum):
    DATA_SET = auto()  # or an item: elements
    SEQUENCE = auto()  # items
    FRAGMENTS = auto()  # of encapsulated pixel data


class _Frame:
    """A part of the data set that is open; `limit` is where it, or what holds it, must have ended."""

    __slots__ = ("implicit", "is_defined", "kind", "last_tag", "limit", "order")

    def __init__(self, kind: _Kind, limit: int | None, is_defined: bool, implicit: bool, order: str) -> None:
        self.kind = kind
        self.limit = limit
        self.is_defined = is_defined
        self.implicit = implicit
        self.order = order
        self.last_tag = 0


class _Unreadable(Exception):
    """This cannot be the data set it should be."""


class DataSetRedactor:
    """Redacts one data set, fed in pieces of any size.

    Args:
        transfer_syntax: UID; None where it is not known, which blanks everything.
    """

    def __init__(self, transfer_syntax: str | None) -> None:
        self._lost = transfer_syntax is None or transfer_syntax in _DEFLATED
        order = ">" if transfer_syntax == _BIG_ENDIAN else "<"
        self._frames = [_Frame(_Kind.DATA_SET, None, False, transfer_syntax == _IMPLICIT, order)]
        self._position = 0  # in the data set, after what was taken
        self._header = b""
        self._header_length = 8
        self._header_spans: list[Span] = []
        self._remaining = 0  # bytes of the value at hand
        self._fill: bytes | None = None  # None: the value stays

    @property
    def is_waiting(self) -> bool:
        """True where the last piece ended inside a header: it stands as it came, and may still be blanked."""
        return bool(self._header)

    def redact(self, span: Span) -> None:
        """Blank the next piece of the data set, in place."""
        data, start, end = span.data, span.start, span.end
        while start < end:
            if self._lost:
                blank([Span(data, start, end)])
                return
            if self._remaining:
                stop = min(end, start + self._remaining)
                if self._fill is not None:
                    blank([Span(data, start, stop)], self._fill)
                self._remaining -= stop - start
                self._position += stop - start
            else:
                stop = min(end, start + self._header_length - len(self._header))
                self._take_header(Span(data, start, stop))
            start = stop

    def give_up(self) -> None:
        """Nothing more comes, or cannot be waited for: blank the header that is not complete."""
        if self._header:
            self._lose()

    def _lose(self) -> None:
        blank(self._header_spans)
        self._header, self._header_spans = b"", []
        self._lost = True

    def _take_header(self, span: Span) -> None:
        self._header += span.data[span.start : span.end]
        self._header_spans.append(span)
        if len(self._header) < self._header_length:
            return
        try:
            if not self._read_header(self._header):
                self._header_length = 12
                return
        except _Unreadable:
            self._lose()
        self._header, self._header_spans, self._header_length = b"", [], 8

    def _read_header(self, header: bytes) -> bool:
        """Go where a header leads; False where it is longer than that."""
        if len(header) == 8:
            self._close_what_ended()
        frame = self._frames[-1]
        group, element, length = struct.unpack_from(frame.order + "HHI", header)
        if group == _DELIMITERS or frame.kind is not _Kind.DATA_SET:
            self._position += 8
            self._delimiter(frame, group, element, length)
            return True
        tag = group << 16 | element
        if tag <= frame.last_tag or not (group in _GROUPS or (group & 1 and 8 < group < 0xFFFF)):
            raise _Unreadable
        vr = _vr_of(tag) if frame.implicit else header[4:6]
        if not frame.implicit:
            if vr in _LONG_VRS and len(header) == 8:
                return False
            if vr not in _LONG_VRS and vr not in _SHORT_VRS:
                raise _Unreadable
            code, where = ("I", 8) if vr in _LONG_VRS else ("H", 6)
            (length,) = struct.unpack_from(frame.order + code, header, where)
        frame.last_tag = tag
        self._position += len(header)
        self._element(frame, tag, vr, length)
        return True

    def _close_what_ended(self) -> None:
        while self._frames[-1].is_defined and self._position == self._frames[-1].limit:
            self._frames.pop()

    def _element(self, frame: _Frame, tag: int, vr: bytes, length: int) -> None:
        if length == _UNDEFINED:
            if tag == _PIXEL_DATA and vr != b"SQ":
                self._open(_Kind.FRAGMENTS, length, frame.implicit, frame.order)
            elif vr == b"UN":  # in Implicit VR Little Endian, whatever is around it (PS3.5 6.2.2)
                self._open(_Kind.SEQUENCE, length, True, "<")
            elif vr == b"SQ" or frame.implicit:
                self._open(_Kind.SEQUENCE, length, frame.implicit, frame.order)
            else:
                raise _Unreadable
        elif frame.implicit and length > _LONGEST_VALUE:
            raise _Unreadable
        elif vr == b"SQ":
            self._open(_Kind.SEQUENCE, length, frame.implicit, frame.order)
        else:
            stays = length <= LONGEST_KEPT and (tag in KEPT or (not tag & 0xFFFF and length == 4))
            self._value(length, None if stays else _FILL.get(vr, b"\0"))

    def _delimiter(self, frame: _Frame, group: int, element: int, length: int) -> None:
        """What stands between elements: of an item, a sequence or fragments (PS3.5 7.5, A.4)."""
        if group != _DELIMITERS:
            raise _Unreadable
        is_item = frame.kind is _Kind.DATA_SET
        if element == (_ITEM_END if is_item else _SEQUENCE_END):
            if frame.is_defined or len(self._frames) == 1:
                raise _Unreadable
            self._frames.pop()
        elif element != _ITEM or is_item:
            raise _Unreadable
        elif frame.kind is _Kind.SEQUENCE:
            self._open(_Kind.DATA_SET, length, frame.implicit, frame.order)
        elif length == _UNDEFINED:
            raise _Unreadable
        else:
            self._value(length, b"\0")

    def _open(self, kind: _Kind, length: int, implicit: bool, order: str) -> None:
        limit = self._frames[-1].limit
        is_defined = length != _UNDEFINED
        if is_defined:
            limit = self._end_of(length)
        if len(self._frames) > _DEEPEST:
            raise _Unreadable
        self._frames.append(_Frame(kind, limit, is_defined, implicit, order))

    def _value(self, length: int, fill: bytes | None) -> None:
        self._end_of(length)
        self._remaining, self._fill = length, fill

    def _end_of(self, length: int) -> int:
        end = self._position + length
        limit = self._frames[-1].limit
        if limit is not None and end > limit:
            raise _Unreadable
        return end


def _vr_of(tag: int) -> bytes:
    """The VR that Implicit VR leaves to the dictionary; nothing for what is not in it."""
    entry = DicomDictionary.get(tag)
    return entry[0].encode() if entry is not None else b""
