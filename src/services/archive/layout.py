"""How a data set is laid out: element headers at the top level, segment by segment, to compare another one with.

A layout keeps the headers of a segment as one number; a segment of another data set with equal headers at the same
places has the same structure (PS3.5 7.1), whatever its values are. A sequence is part of a segment as it stands,
values and all: it recurs to the last byte or is walked. An element whose length is known to vary ends a segment.
"""

import struct
from array import array
from bisect import bisect_left, bisect_right

from services.archive.frames import Buffer, Frame, header_at
from services.archive.index_attributes import INDEX_TAGS, UNIQUE_TAGS, VALUE_TAGS
from services.archive.kept_values import KeptValues

MAXIMUM_BYTES = 16384
"""Of one data set, as far as it is compared."""

MAXIMUM_SEGMENTS = 128

_SEGMENT_ELEMENTS = 128
_LONGEST_VALUE = 256  # bytes; a longer one is compared at no gain
_LONGEST_SEQUENCE = 2048  # bytes

_PLAIN = 0

Piece = tuple[int, bytes, int, int, bytes | None]
"""An element: tag; its bytes; how many of them are compared, or `_PLAIN` for the header of a plain one; how
many elements it is; what is kept of it if it is not plain."""


class Segment:
    """Some elements in a row, as they stood in the data set that was learned.

    Args:
        pieces: the elements, at least one.
        head: of a single element whose length varies, the bytes before that length; else empty.
    """

    __slots__ = (
        "_constants",
        "_tags",
        "_unique",
        "_values",
        "continues",
        "counts",
        "expected",
        "head",
        "length",
        "mask",
        "plain",
        "starts",
        "wanted",
    )

    def __init__(self, pieces: list[Piece], head: bytes) -> None:
        self.head = head
        self.continues = False  # the next segment follows without a gap
        self.starts = array("L")  # bytes from the first
        self.counts = array("L", [0])  # elements before each piece, and in all
        self.plain = bytes(compared == _PLAIN for _, _, compared, _, _ in pieces)
        self.wanted: list[tuple[int, slice, int, bytes | None]] = []
        mask = bytearray()
        for number, (tag, raw, compared, count, constant) in enumerate(pieces):
            start = len(mask)
            self.starts.append(start)
            self.counts.append(self.counts[-1] + count)
            header = compared or 8
            mask += b"\xff" * header + bytes(len(raw) - header)
            if constant is not None or (compared == _PLAIN and tag in VALUE_TAGS):
                self.wanted.append((number, slice(start + 8, len(mask)), tag, constant))
        self._read_at_once()
        self.length = len(mask)
        self.mask = int.from_bytes(mask, "little")
        self.expected = int.from_bytes(b"".join(piece[1] for piece in pieces), "little") & self.mask

    def difference(self, raw: bytes, start: int) -> int:
        """Where the first byte differs that is compared; `raw` begins at byte `start` of the segment.

        Returns:
            the byte, counted from the start of the segment; -1 where all are the same.
        """
        found = int.from_bytes(raw, "little")
        if start:
            difference = (found & (self.mask >> 8 * start)) ^ (self.expected >> 8 * start)
        else:
            difference = (found & self.mask) ^ self.expected
        if not difference:
            return -1
        return start + (((difference & -difference).bit_length() - 1) >> 3)

    def keep(self, kept: KeptValues, raw: bytes, first: int, until: int) -> None:
        """Keep the wanted values of the elements from `first` to before `until`; `raw` starts at `first`."""
        values = kept.values
        if not first and until == len(self.starts):
            values.update(zip(self._tags, self._values.unpack_from(raw), strict=True))
            values.update(self._constants)
            for where, tag in self._unique:
                kept.keep(tag, raw[where])
            return
        skipped = self.starts[first]
        for number, where, tag, constant in self.wanted:
            if number >= until:
                return
            if number < first:
                continue
            if constant is not None:
                values[tag] = constant
                continue
            value = raw[where.start - skipped : where.stop - skipped] if skipped else raw[where]
            if tag in UNIQUE_TAGS:
                kept.keep(tag, value)
            else:
                values[tag] = value

    def _read_at_once(self) -> None:
        """Have the values of a segment that is as it was read by one call: that is what nearly all are."""
        plan, end = ["<"], 0
        self._tags: list[int] = []
        self._constants: dict[int, bytes] = {}
        self._unique: list[tuple[slice, int]] = []
        for _, where, tag, constant in self.wanted:
            if constant is not None:
                self._constants[tag] = constant
            elif tag in UNIQUE_TAGS:
                self._unique.append((where, tag))
            else:
                plan.append(f"{where.start - end}x{where.stop - where.start}s")
                end = where.stop
                self._tags.append(tag)
        self._values = struct.Struct("".join(plan))


class Layout:
    """What is known of a data set: elements at its top level, in ascending order of their tags."""

    def __init__(self, loose: frozenset[int]) -> None:
        self.segments: list[Segment] = []
        self.implicit = False
        self._loose = loose
        self._tags = array("L")
        self._firsts = array("L")  # where in `_tags` each segment begins
        self._row: list[Piece] = []
        self._row_start = 0  # in bytes from the start of the data set, as the next three
        self._row_end = 0
        self._segment_end = -1
        self._end = 0  # of what was seen
        self._elements = 0
        self._bytes = 0
        self._open = True

    def find(self, tag: int) -> tuple[int, int] | None:
        """The number of the segment an element is in, and its number there."""
        tags = self._tags
        index = bisect_left(tags, tag)
        if index == len(tags) or tags[index] != tag:
            return None
        segment = bisect_right(self._firsts, index) - 1
        return segment, index - self._firsts[segment]

    def learn(
        self, frame: Frame, kept: KeptValues, buffer: Buffer, base: int, start: int, end: int, elements: int
    ) -> None:
        """Add what the scanner has passed: a run, and the one element between it and the last run.

        Ends for good at the first tag out of order, and when enough is known.

        Args:
            frame: the data set.
            kept: what was kept so far.
            buffer: what is there of the data set.
            base: where in the data set the buffer starts.
            start: of the run, in the buffer.
            end: of the run.
            elements: how many there are before the run, those in sequences included.
        """
        if not self._open:
            return
        self.implicit = frame.implicit
        between = self._end - base
        if 0 <= between < start and start - between <= _LONGEST_SEQUENCE:
            self._learn_one(frame, kept, buffer[between:start], self._end, elements - self._elements)
        position = start
        while position < end:
            tag, length = header_at(frame, buffer, position)
            following = position + 8 + length
            if length <= _LONGEST_VALUE:
                raw = bytes(buffer[position:following])
                self._add((tag, raw, _PLAIN, 1, None), base + position, 4 if frame.implicit else 6)
            position = following
            elements += 1
        self._end = base + end
        self._elements = elements

    def complete(self) -> None:
        """Nothing more is to be learned."""
        self._flush(b"")
        self._open = False

    def _learn_one(self, frame: Frame, kept: KeptValues, element: Buffer, start: int, count: int) -> None:
        """Learn an element that is not plain."""
        tag, _ = header_at(frame, element, 0)
        raw = bytes(element)
        if tag in INDEX_TAGS:
            constant = kept.values.get(tag)
            if constant is not None and tag not in UNIQUE_TAGS:
                self._add((tag, raw, len(raw), count, constant), start, 0)
            return
        has_long_header = not frame.implicit and count == 1 and raw[4:6] != b"SQ"
        if has_long_header and raw[4:6] in (b"OB", b"OW", b"UN", b"UT") and raw[8:12] != b"\xff" * 4:
            self._add((tag, raw, 12, 1, None), start, 0)
        else:
            self._add((tag, raw, len(raw), count, None), start, 0)

    def _add(self, piece: Piece, start: int, head: int) -> None:
        tag, raw = piece[:2]
        last = self._row[-1][0] if self._row else self._tags[-1] if self._tags else -1
        if tag <= last or self._bytes + len(raw) > MAXIMUM_BYTES or len(self.segments) >= MAXIMUM_SEGMENTS:
            self._open = False
        if not self._open or (tag in self._loose and not head):
            return
        if start != self._row_end or len(self._row) == _SEGMENT_ELEMENTS or tag in self._loose:
            self._flush(b"")
        if not self._row:
            self._row_start = start
        self._row.append(piece)
        self._row_end = start + len(raw)
        self._bytes += len(raw)
        if tag in self._loose:
            self._flush(raw[:head])

    def _flush(self, head: bytes) -> None:
        if not self._row:
            return
        if self._row_start == self._segment_end:
            self.segments[-1].continues = True
        self._segment_end = self._row_end
        self._firsts.append(len(self._tags))
        self._tags.extend(piece[0] for piece in self._row)
        self.segments.append(Segment(self._row, head))
        self._row = []
