"""Remembers how the data sets of one kind are laid out, so that the next one is compared instead of walked.

The instances of a series have nearly the same element headers at nearly the same places. A layout keeps the
headers at the top level, segment by segment, as one number per segment; a segment of another data set with
equal headers at the same places has the same structure (PS3.5 7.1), whatever its values are. A sequence is
part of a segment as it stands, values and all: it recurs to the last byte or is walked. An element whose
length is known to vary ends a segment. Where anything differs, the scanner goes on by itself.

This file must not know what is a data set: it takes the scanner's word for what it learns, and hands every
difference back to the scanner.
"""

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable

from services.archive.frames import Buffer, Frame, header_at
from services.archive.index_attributes import INDEX_TAGS, UNIQUE_TAGS, VALUE_TAGS
from services.archive.kept_values import KeptValues
from services.archive.templates import Template, TemplateBuilder

MAXIMUM_LAYOUTS = 64
"""Kinds of data sets remembered at a time. A layout takes less than 150 KiB, most of them 20."""

MAXIMUM_BYTES = 16384
"""Of one data set, as far as it is compared."""

MAXIMUM_SEGMENTS = 128

_SEGMENT_ELEMENTS = 128
_LONGEST_VALUE = 256  # bytes; a longer one is compared at no gain
_LONGEST_SEQUENCE = 2048  # bytes
_SHORTEST_RUN = 64  # bytes; walking is as fast below
_MOST_LOOSE = 64

_CREDIT = 24  # elements; what the first differences may cost before anything matched
_PRICE = 8  # elements that must match for each difference, or walking would have been faster
_PATIENCE = 4  # data sets in a row that do not match
_RELEARN = 2  # data sets in a row that do not begin like the template
_PAUSE = 256  # data sets that are walked before another one is learned

Run = Callable[[Buffer, int, int], int]
"""Passes plain elements from a position on, not beyond another; returns where it stopped."""

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


class Recall:
    """What one scan gets from the memory: a layout to compare with, or to learn.

    Made by `LayoutMemory.recall`, for one data set.
    """

    __slots__ = ("_builder", "_credit", "_layout", "_learning", "_matched", "_slot")

    def __init__(self, slot: "_Slot", layout: Layout, *, learning: bool) -> None:
        self._slot = slot
        self._layout = layout
        self._learning = learning
        self._builder = TemplateBuilder() if learning else None
        self._credit = _CREDIT
        self._matched = 0

    def repeated(self, buffer: Buffer) -> tuple[Template, dict[int, bytes]] | None:
        """The beginning of the data set, where it is that of one before, with the values that are kept of it.

        Args:
            buffer: its first bytes.
        """
        template = self._slot.template
        if template is None or self._learning:
            return None
        values = template.read(buffer)
        if values is None:
            self._slot.repeats_missed += 1
            return None
        self._slot.repeats_missed = 0
        self._matched += template.elements
        return template, values

    def pass_run(
        self,
        run: Run,
        frame: Frame,
        kept: KeptValues,
        buffer: Buffer,
        base: int,
        position: int,
        stop: int,
        elements: int,
    ) -> tuple[int, int]:
        """Do what `run(buffer, position, stop)` does at the top level, and pass what is known behind it.

        To be called for every run at the top level.

        Args:
            run: the scanner's loop; keeps and counts what it passes.
            frame: the data set.
            kept: takes the values of what was passed without `run`.
            buffer: what is there of the data set.
            base: where in the data set the buffer starts.
            position: of the first header, in the buffer.
            stop: where the run ends at the latest, in the buffer.
            elements: how many there were before, those in sequences included.

        Returns:
            where the scanner has to go on, and how many elements were passed without `run`.

        Raises:
            InvalidDataSet: what the scanner would have raised.
        """
        if self._learning:
            following = run(buffer, position, stop)
            self._layout.learn(frame, kept, buffer, base, position, following, elements)
            if self._builder is not None:
                self._builder.passed(frame, kept, buffer, base, position, following, elements)
            return following, 0
        if stop - position < _SHORTEST_RUN or self._layout.implicit != frame.implicit:
            return run(buffer, position, stop), 0
        matched = self._matched
        following = self._compare(run, frame, kept, buffer, position, stop)
        return following, self._matched - matched

    def end(self, frame: Frame, *, mismatched: bool, size: int, elements: int) -> None:
        """The data set was scanned to its end without an error; the arguments are those of `TemplateBuilder.build`."""
        if self._learning:
            if self._builder is not None:
                self._slot.template = self._builder.build(
                    frame, mismatched=mismatched, size=size, elements=elements
                )
            self._layout.complete()
            self._slot.learned(self._layout)
        elif self._credit > 0 and self._matched:
            self._slot.misses = 0
        else:
            self._slot.misses += 1

    def _compare(
        self, run: Run, frame: Frame, kept: KeptValues, buffer: Buffer, position: int, stop: int
    ) -> int:
        """Pass known elements, and single plain ones that are not known, while it pays; then run."""
        while self._credit > 0 and position + 8 <= stop:
            tag, length = header_at(frame, buffer, position)
            found = self._layout.find(tag)
            if found is not None:
                position = self._follow(*found, frame, kept, buffer, position, stop)
                if position + 8 > stop:
                    return position
                _, length = header_at(frame, buffer, position)
            following = run(buffer, position, min(stop, position + 8 + length))
            if following == position:
                return position
            if found is None:
                self._credit -= _PRICE
            position = following
        return run(buffer, position, stop)

    def _follow(
        self,
        number: int,
        first: int,
        frame: Frame,
        kept: KeptValues,
        buffer: Buffer,
        position: int,
        stop: int,
    ) -> int:
        """Pass elements from number `first` of a segment on, as long as they differ in their length only."""
        segments = self._layout.segments
        while True:
            segment = segments[number]
            if segment.head:
                if bytes(buffer[position : position + len(segment.head)]) != segment.head:
                    return position
                position, passed = self._pass_one(frame, kept, buffer, position, stop)
                if not passed or not segment.continues:
                    return position
                number += 1
                continue
            start = segment.starts[first]
            end = position + segment.length - start
            if end > stop:
                return position
            raw = bytes(buffer[position:end])
            at = segment.difference(raw, start)
            until = len(segment.starts) if at < 0 else bisect_right(segment.starts, at) - 1
            segment.keep(kept, raw, first, until)
            count = segment.counts[until] - segment.counts[first]
            self._matched += count
            self._credit += count
            if at < 0:
                position = end
            else:
                position += segment.starts[until] - start
                if not self._is_longer(segment, until, at, frame, buffer, position):
                    return position
                position, passed = self._pass_one(frame, kept, buffer, position, stop)
                if not passed:
                    return position
                first = until + 1
                if first < len(segment.starts):
                    continue
            if not segment.continues:
                return position
            number, first = number + 1, 0

    def _is_longer(
        self, segment: Segment, until: int, at: int, frame: Frame, buffer: Buffer, position: int
    ) -> bool:
        """Whether an element, which differs at byte `at` of its segment, is plain and differs in length."""
        within = at - segment.starts[until]
        if within < 4:
            self._credit -= _PRICE
            return False
        self._slot.note(header_at(frame, buffer, position)[0])
        if segment.plain[until] and within >= (4 if frame.implicit else 6):
            return True
        self._credit -= _PRICE
        return False

    def _pass_one(
        self, frame: Frame, kept: KeptValues, buffer: Buffer, position: int, stop: int
    ) -> tuple[int, bool]:
        """Pass a plain element, unless it is cut or this does not pay any more."""
        self._credit -= _PRICE
        if self._credit <= 0 or position + 8 > stop:
            return position, False
        tag, length = header_at(frame, buffer, position)
        following = position + 8 + length
        if following > stop:
            return position, False
        if tag in VALUE_TAGS:
            kept.keep(tag, buffer[position + 8 : following])
        self._matched += 1
        return following, True


class LayoutMemory:
    """The layouts of the kinds of data sets that came last; bounded, whatever comes.

    For use by one thread, and by scanners with the same limits.
    """

    def __init__(self) -> None:
        self._slots: dict[tuple[str, str], _Slot] = {}
        self._turned_away = 0

    def recall(self, sop_class_uid: str, transfer_syntax_uid: str) -> Recall | None:
        """What helps to scan the next data set of a kind.

        Args:
            sop_class_uid: announced for it; need not be true.
            transfer_syntax_uid: of the scanner.

        Returns:
            for one scan; None when this one is to be scanned without.
        """
        kind = sop_class_uid, transfer_syntax_uid
        slot = self._slots.get(kind)
        if slot is None:
            if len(self._slots) >= MAXIMUM_LAYOUTS:
                self._turned_away += 1
                if self._turned_away % _PAUSE:
                    return None
                del self._slots[next(iter(self._slots))]
            slot = self._slots[kind] = _Slot()
        return slot.recall()


class _Slot:
    """What is remembered of one kind."""

    __slots__ = (
        "_layout",
        "_loose",
        "_news",
        "_pause",
        "_relearn_at",
        "_uses",
        "misses",
        "repeats_missed",
        "template",
    )

    def __init__(self) -> None:
        self.misses = 0  # in a row
        self.template: Template | None = None
        self.repeats_missed = 0  # in a row: data sets that do not begin like the template
        self._relearn_at = _RELEARN
        self._layout: Layout | None = None
        self._loose: set[int] = set()  # tags of what was seen to vary
        self._news = False  # there are such that the layout does not know
        self._pause = 0  # data sets until one is learned again
        self._uses = 0

    def recall(self) -> Recall | None:
        self._uses += 1
        if self._layout is not None and self.misses < _PATIENCE:
            learning = self._news and not self._uses & (self._uses - 1)
            if not self.repeats_missed:
                self._relearn_at = _RELEARN
            elif self.repeats_missed >= self._relearn_at:  # the next series, perhaps; ever more seldom
                self._relearn_at *= 4
                learning = True
            layout = Layout(frozenset(self._loose)) if learning else self._layout
            return Recall(self, layout, learning=learning)
        if self._pause:
            self._pause -= 1
            return None
        self._pause = _PAUSE
        self._loose.clear()
        return Recall(self, Layout(frozenset()), learning=True)

    def learned(self, layout: Layout) -> None:
        self._layout = layout
        self._news = False
        self.misses = min(self.misses, _PATIENCE - 1)

    def note(self, tag: int) -> None:
        if len(self._loose) < _MOST_LOOSE and tag not in self._loose:
            self._loose.add(tag)
            self._news = True
