"""Remembers how the data sets of one kind are laid out, so that the next one is compared instead of walked.

The instances of a series have nearly the same element headers at nearly the same places. A layout keeps the
headers of plain elements, segment by segment, as one number per segment; a segment of another data set with
equal headers at the same places has the same structure (PS3.5 7.1), whatever its values are. Where a header
differs, that element is passed by the scanner's own loop, and the comparison goes on behind it.

This file must not know what makes an element plain: it takes the scanner's word for what it learns, and
hands every difference back to the scanner.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable

from services.archive.frames import Buffer, ByteOrder, Frame
from services.archive.index_attributes import UNIQUE_TAGS, VALUE_TAGS
from services.archive.kept_values import KeptValues

MAXIMUM_LAYOUTS = 64
"""Kinds of data sets remembered at a time. A layout takes less than 100 KiB, most of them 20."""

MAXIMUM_BYTES = 16384
"""Of one data set, headers and values of the elements that are compared."""

MAXIMUM_SEGMENTS = 128

_SEGMENT_ELEMENTS = 512  # short enough to begin anew in the middle, long enough to be worth a comparison
_LONGEST_VALUE = 256  # bytes; a longer one is compared at no gain
_SHORTEST_RUN = 64  # bytes; the loop is as fast below
_HEADER = b"\xff" * 8

_CREDIT = 24  # elements; what the first differences may cost before anything matched
_PRICE = 8  # elements that must match for each difference, or the loop would have been faster
_PATIENCE = 4  # data sets in a row that do not match
_PAUSE = 32  # data sets that are walked before another one is learned

Run = Callable[[Buffer, int, int], int]
"""Passes plain elements from a position on, not beyond another; returns where it stopped."""


class Segment:
    """Some plain elements in a row.

    Args:
        starts: where their headers stand, in bytes from the first.
        raw: their bytes.
        wanted: number in the row, start, end and tag of the values that are kept.
    """

    __slots__ = ("continues", "expected", "length", "mask", "starts", "wanted")

    def __init__(self, starts: "array[int]", raw: bytes, wanted: list[tuple[int, int, int, int]]) -> None:
        mask = bytearray(len(raw))
        for start in starts:
            mask[start : start + 8] = _HEADER
        self.starts = starts
        self.length = len(raw)
        self.mask = int.from_bytes(mask, "little")
        self.expected = int.from_bytes(raw, "little") & self.mask
        self.wanted = wanted
        self.continues = False  # the next segment followed without a gap

    def difference(self, raw: bytes, start: int) -> int:
        """Where the first header differs that stands at `start` or later; `raw` begins there.

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


class Layout:
    """The plain elements at the top level of a data set, in ascending order of their tags."""

    __slots__ = ("_bytes", "_firsts", "_open", "_tags", "implicit", "order", "segments")

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.order: ByteOrder | None = None
        self.implicit = False
        self._tags = array("L")
        self._firsts = array("L")  # where in `_tags` each segment begins
        self._bytes = 0
        self._open = True

    def learn(self, frame: Frame, buffer: Buffer, position: int, end: int) -> None:
        """Add a run of elements that the scanner has passed, from `position` to `end`.

        Ends for good at the first tag out of order, and when enough is known.
        """
        self.order, self.implicit = frame.order, frame.implicit
        row: list[tuple[int, int, int]] = []
        row_end = -1  # of the segment before
        last = self._tags[-1] if self._tags else -1
        while self._open and position < end:
            tag, length = header_at(frame, buffer, position)
            following = position + 8 + length
            if tag <= last or self._bytes + following - position > MAXIMUM_BYTES:
                self._open = False
                break
            last = tag
            if length <= _LONGEST_VALUE:
                row.append((tag, position, following))
                self._bytes += following - position
            if row and (length > _LONGEST_VALUE or len(row) == _SEGMENT_ELEMENTS):
                row_end = self._add(buffer, row, row_end)
                row = []
            position = following
        if row:
            self._add(buffer, row, row_end)

    def find(self, tag: int) -> tuple[int, int] | None:
        """The number of the segment an element is in, and its number there."""
        tags = self._tags
        index = bisect_left(tags, tag)
        if index == len(tags) or tags[index] != tag:
            return None
        segment = bisect_right(self._firsts, index) - 1
        return segment, index - self._firsts[segment]

    def _add(self, buffer: Buffer, row: list[tuple[int, int, int]], row_end: int) -> int:
        start, end = row[0][1], row[-1][2]
        if len(self.segments) == MAXIMUM_SEGMENTS:
            self._open = False
            return end
        if start == row_end:
            self.segments[-1].continues = True
        self._firsts.append(len(self._tags))
        self._tags.extend(tag for tag, _, _ in row)
        wanted = [
            (number, position + 8 - start, following - start, tag)
            for number, (tag, position, following) in enumerate(row)
            if tag in VALUE_TAGS
        ]
        starts = array("L", (position - start for _, position, _ in row))
        self.segments.append(Segment(starts, bytes(buffer[start:end]), wanted))
        return end


class Recall:
    """What one scan gets from the memory: a layout to compare with, or to learn.

    Made by `LayoutMemory.recall`, for one data set.
    """

    __slots__ = ("_credit", "_layout", "_learning", "_matched", "_slot")

    def __init__(self, slot: "_Slot", layout: Layout, *, learning: bool) -> None:
        self._slot = slot
        self._layout = layout
        self._learning = learning
        self._credit = _CREDIT
        self._matched = 0

    def pass_run(
        self, run: Run, frame: Frame, kept: KeptValues, buffer: Buffer, position: int, stop: int
    ) -> tuple[int, int]:
        """Do what `run(buffer, position, stop)` does for a run at the top level, usually faster.

        Args:
            run: the scanner's loop; keeps and counts what it passes.
            frame: the data set.
            kept: takes the values of what was passed without `run`.
            buffer: what is there of the data set.
            position: of the first header, in the buffer.
            stop: where the run ends at the latest, in the buffer.

        Returns:
            where `run` would have stopped, and how many elements were passed without it.

        Raises:
            InvalidDataSet: what `run` would have raised.
        """
        layout = self._layout
        if self._learning:
            following = run(buffer, position, stop)
            layout.learn(frame, buffer, position, following)
            return following, 0
        matched = self._matched
        if stop - position >= _SHORTEST_RUN and layout.implicit == frame.implicit:
            position = self._compare(run, frame, kept, buffer, position, stop)
        return run(buffer, position, stop), self._matched - matched

    def end(self) -> None:
        """The data set was scanned to its end without an error."""
        slot = self._slot
        if self._learning:
            slot.layout = self._layout
            slot.misses = min(slot.misses, _PATIENCE - 1)
        elif self._credit > 0 and self._matched:
            slot.misses = 0
        else:
            slot.misses += 1

    def _compare(
        self, run: Run, frame: Frame, kept: KeptValues, buffer: Buffer, position: int, stop: int
    ) -> int:
        """Pass known elements, and single ones that are not known, while it pays."""
        while self._credit > 0 and position + 8 <= stop:
            tag, length = header_at(frame, buffer, position)
            found = self._layout.find(tag)
            if found is None:
                self._credit -= _PRICE
            else:
                position = self._follow(*found, frame, kept, buffer, position, stop)
                if position + 8 > stop:
                    break
                _, length = header_at(frame, buffer, position)
            following = run(buffer, position, min(stop, position + 8 + length))
            if following == position:
                break
            position = following
        return position

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
        until_length = 4 if frame.implicit else 6  # bytes of a header
        while True:
            segment = segments[number]
            starts = segment.starts
            start = starts[first]
            end = position + segment.length - start
            if end > stop:
                return position
            raw = bytes(buffer[position:end])
            at = segment.difference(raw, start)
            until = len(starts) if at < 0 else bisect_right(starts, at) - 1
            _keep(kept, segment, raw, first, until)
            self._matched += until - first
            self._credit += until - first
            if at < 0:
                position = end
            else:
                self._credit -= _PRICE
                position += starts[until] - start
                if at - starts[until] < until_length or self._credit <= 0:
                    return position
                tag, length = header_at(frame, buffer, position)
                following = position + 8 + length
                if following > stop:
                    return position
                if tag in VALUE_TAGS:
                    kept.keep(tag, buffer[position + 8 : following])
                self._matched += 1
                position = following
                first = until + 1
                if first < len(starts):
                    continue
            if not segment.continues:
                return position
            number, first = number + 1, 0


class LayoutMemory:
    """The layouts of the kinds of data sets that came last; bounded, whatever comes.

    For use by one thread.
    """

    def __init__(self) -> None:
        self._slots: dict[tuple[str, str], _Slot] = {}
        self._turned_away = 0

    def recall(self, sop_class_uid: str, transfer_syntax_uid: str) -> Recall | None:
        """What helps to scan the next data set of a kind.

        Args:
            sop_class_uid: announced for it; need not be true.
            transfer_syntax_uid: announced for it; need not be true.

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
    __slots__ = ("layout", "misses", "pause")

    def __init__(self) -> None:
        self.layout: Layout | None = None
        self.misses = 0  # in a row
        self.pause = 0  # data sets until one is learned again

    def recall(self) -> Recall | None:
        if self.layout is not None and self.misses < _PATIENCE:
            return Recall(self, self.layout, learning=False)
        if self.pause:
            self.pause -= 1
            return None
        self.pause = _PAUSE
        return Recall(self, Layout(), learning=True)


def header_at(frame: Frame, buffer: Buffer, position: int) -> tuple[int, int]:
    """Tag and length in a header, read as that of a plain element."""
    if frame.implicit:
        group, element, length = frame.order.implicit(buffer, position)
    else:
        group, element, _, length = frame.order.explicit(buffer, position)
    return group << 16 | element, length


def _keep(kept: KeptValues, segment: Segment, raw: bytes, first: int, until: int) -> None:
    """Keep the wanted values of elements `first` to `until`; `raw` starts at the first of them."""
    skipped = segment.starts[first]
    values = kept.values
    for number, start, end, tag in segment.wanted:
        if number >= until:
            return
        if number < first:
            continue
        if tag in UNIQUE_TAGS:
            kept.keep(tag, raw[start - skipped : end - skipped])
        else:
            values[tag] = raw[start - skipped : end - skipped]
