"""Remembers how the data sets of one kind are laid out, so that the next one is compared instead of walked.

The instances of a series have nearly the same element headers at nearly the same places (`archive.layout`). Where
anything differs, the scanner goes on by itself.

This file must not know what is a data set: it takes the scanner's word for what it learns, and hands every
difference back to the scanner.
"""

from bisect import bisect_right
from collections.abc import Callable

from services.archive.frames import Buffer, Frame, header_at
from services.archive.index_attributes import VALUE_TAGS
from services.archive.kept_values import KeptValues
from services.archive.layout import Layout, Segment
from services.archive.templates import Template, TemplateBuilder

MAXIMUM_LAYOUTS = 64
"""Kinds of data sets remembered at a time. A layout takes less than 150 KiB, most of them 20."""

_SHORTEST_RUN = 64  # bytes; walking is as fast below
_MOST_LOOSE = 64

_CREDIT = 24  # elements; what the first differences may cost before anything matched
_PRICE = 8  # elements that must match for each difference, or walking would have been faster
_PATIENCE = 4  # data sets in a row that do not match
_RELEARN = 2  # data sets in a row that do not begin like the template
_PAUSE = 256  # data sets that are walked before another one is learned

Run = Callable[[Buffer, int, int], int]
"""Passes plain elements from a position on, not beyond another; returns where it stopped."""


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
