"""The beginning of a data set that the next ones repeat, but for a few values (PS3.5 7.1).

The instances of a series often have the same elements with the same lengths, and differ in a dozen values. Where all
bytes of a data set up to its pixels are those of one that was walked, but for values of plain elements, its structure
is the same: only these values are read anew. Comparing is all that is done here; whatever differs elsewhere is for the
scanner to walk.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise

from services.archive.frames import (
    LONGEST_HEADER,
    UNDEFINED,
    Buffer,
    Frame,
    Nature,
    element_header,
    header_at,
)
from services.archive.index_attributes import INDEX_TAGS, VALUE_CAP, VALUE_TAGS
from services.archive.kept_values import KeptValues

LONGEST = 16384
"""Bytes that are compared at the most."""

MOST_VARYING = 48
"""Values that may differ; where more do, walking is as quick."""

Place = tuple[int, int, int]
"""Where the value of a plain element begins and ends, in bytes from the start of the data set, and its tag."""


class Template:
    """The beginning of one data set.

    Args:
        data: its first bytes, up to the header of an element, or behind that of the last one.
        places: of the plain elements at the top level in these bytes, in their order.
        values: what the scanner has kept of these bytes.
        following: where the next header begins.
        elements: how many there are before `following`.
        implicit: they are in Implicit VR.
        mismatched: the transfer syntax says otherwise.
        last_tag: of the last of them.
    """

    __slots__ = (
        "_fixed",
        "_places",
        "_values",
        "_varying",
        "_wanted",
        "data",
        "elements",
        "following",
        "implicit",
        "last_tag",
        "mismatched",
    )

    def __init__(
        self,
        data: bytes,
        places: Sequence[Place],
        values: Mapping[int, bytes],
        *,
        following: int,
        elements: int,
        implicit: bool,
        mismatched: bool,
        last_tag: int,
    ) -> None:
        self.data = data
        self.following = following
        self.elements = elements
        self.implicit = implicit
        self.mismatched = mismatched
        self.last_tag = last_tag
        self._places = [place for place in places if place[1] <= len(data)]
        self._values = dict(values)
        self._varying: set[int] = set()  # numbers of places
        self._divide()

    def read(self, buffer: Buffer) -> dict[int, bytes] | None:
        """What the scanner would keep of a data set that begins like this one.

        Args:
            buffer: its first bytes.

        Returns:
            values by tag; None where it does not begin so, or fewer bytes are there.
        """
        if len(buffer) < len(self.data):
            return None
        data = bytes(buffer[: len(self.data)])
        for start, stop, expected in self._fixed:
            if data[start:stop] != expected:
                return self.read(buffer) if self._learn(data, start, stop) else None
        values = self._values.copy()
        for start, stop, tag in self._wanted:
            values[tag] = data[start:stop]
        return values

    def _learn(self, data: bytes, start: int, stop: int) -> bool:
        """Note that a value varies, unless it is something else that differs between two places."""
        at = _first_difference(data, self.data, start, stop)
        number = bisect_right(self._places, at, key=lambda place: place[0]) - 1
        if number < 0 or at >= self._places[number][1] or len(self._varying) >= MOST_VARYING:
            return False
        self._varying.add(number)
        self._divide()
        return True

    def _divide(self) -> None:
        """Into what must be as it was, and the values that may vary."""
        varying = [self._places[number] for number in sorted(self._varying)]
        ends = [0, *(stop for _, stop, _ in varying)]
        starts = [*(start for start, _, _ in varying), len(self.data)]
        self._fixed = [
            (start, stop, self.data[start:stop])
            for start, stop in zip(ends, starts, strict=True)
            if start < stop
        ]
        self._wanted = [
            (start, stop, tag)
            for start, stop, tag in varying
            if tag in VALUE_TAGS and stop - start <= VALUE_CAP
        ]


class TemplateBuilder:
    """Takes down what the scanner passes of one data set, to make a template of its beginning.

    The beginning ends before the first run with a tag that is not greater than the one before it: of an attribute met
    twice the last value stands, and a template would read the first one anew.
    """

    def __init__(self) -> None:
        self._data = b""
        self._places: list[Place] = []
        self._values: dict[int, bytes] = {}
        self._elements = 0
        self._end = 0
        self._seen = 0  # bytes
        self._last_tag = -1
        self._is_open = True

    def passed(
        self, frame: Frame, kept: KeptValues, buffer: Buffer, base: int, start: int, end: int, elements: int
    ) -> None:
        """A run of plain elements at the top level; the arguments are those of `layouts.Layout.learn`."""
        if base or end > LONGEST:
            self._is_open = False
        if not self._is_open:
            return
        places: list[Place] = []
        tags = [self._last_tag]
        if self._seen < start:  # the one element between this run and the last
            tags.append(header_at(frame, buffer, self._seen)[0])
        position = start
        while position < end:
            tag, length = header_at(frame, buffer, position)
            following = position + 8 + length
            places.append((position + 8, following, tag))
            tags.append(tag)
            position = following
        self._seen, self._last_tag = end, tags[-1]
        self._is_open = all(before < tag for before, tag in pairwise(tags))
        if not self._is_open or not places:
            return
        if not self._data:
            self._data = bytes(buffer[: LONGEST + LONGEST_HEADER])
        self._places += places
        self._end, self._elements, self._values = end, elements + len(places), dict(kept.values)

    def build(self, frame: Frame, *, mismatched: bool, size: int, elements: int) -> Template | None:
        """The template; None where too little is known.

        Args:
            frame: the data set.
            mismatched: see `Template`.
            size: of the data set, in bytes.
            elements: of all of it, those in sequences included.
        """
        if not self._places:
            return None
        content = following = self._end
        count, last_tag = self._elements, self._places[-1][2]
        if count + 1 == elements and len(self._data) >= self._end + LONGEST_HEADER:
            tag, _ = header_at(frame, self._data, self._end)
            header = element_header(frame, tag, self._data, self._end)
            # Pixels are what mostly comes last: then there is nothing left to scan.
            if (
                header is not None
                and header[2] is Nature.PLAIN
                and header[1] != UNDEFINED  # else its fragments have to be followed
                and tag not in INDEX_TAGS
                and header[0] + header[1] == size
            ):
                content, following, count, last_tag = header[0], size, elements, tag
        return Template(
            self._data[:content],
            self._places,
            self._values,
            following=following,
            elements=count,
            implicit=frame.implicit,
            mismatched=mismatched,
            last_tag=last_tag,
        )


def _first_difference(one: bytes, other: bytes, start: int, stop: int) -> int:
    """Where two that differ between `start` and `stop` do so first."""
    while stop - start > 1:
        middle = (start + stop) // 2
        if one[start:middle] == other[start:middle]:
            start = middle
        else:
            stop = middle
    return start
