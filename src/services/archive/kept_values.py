"""What a scan keeps of a data set: the raw values of the index attributes.

Values arrive whole, or as a span of the stream whose bytes come in several chunks. Nothing over its cap is
kept. This file must not know how a data set is structured.
"""

from services.archive.frames import Buffer, name_of
from services.archive.index_attributes import SEQUENCE_CAP, SEQUENCE_TAGS, UNIQUE_TAGS, VALUE_CAP
from services.archive.invalid_data_set import InvalidDataSet

_OPEN_END = 1 << 62


class KeptValues:
    """The values kept so far, and the one span that is still coming.

    Positions are counted in bytes from the start of the data set.

    Attributes:
        values: by tag; of an attribute met twice the last one.
        pending_until: where the span that is coming ends, beyond every position while that is not known, 0
            without one.
    """

    __slots__ = ("_span", "_span_from", "_span_tag", "pending_until", "values")

    def __init__(self) -> None:
        self.values: dict[int, bytes] = {}
        self.pending_until = 0
        self._span = bytearray()
        self._span_tag = 0
        self._span_from = 0

    def keep(self, tag: int, value: Buffer) -> None:
        """Keep a copy of a value, or nothing when it is over the cap.

        Raises:
            InvalidDataSet: a second value, or one over the cap, for what the instance is filed under.
        """
        if tag in UNIQUE_TAGS and tag in self.values:
            raise InvalidDataSet(f"{name_of(tag)} stands in the data set twice")
        if len(value) > cap_of(tag):
            self.drop(tag)
        else:
            self.values[tag] = bytes(value)

    def drop(self, tag: int) -> None:
        """Forget an earlier value, since the attribute was met again with one that is not kept.

        Raises:
            InvalidDataSet: the instance is filed under this attribute.
        """
        if tag in UNIQUE_TAGS:
            raise InvalidDataSet(
                f"{name_of(tag)} is no UID: it is a sequence, or longer than {VALUE_CAP} bytes"
            )
        self.values.pop(tag, None)

    def begin(self, tag: int, start: int, end: int | None) -> None:
        """Collect the bytes from position `start` to `end`, or to where `complete` will say (None)."""
        self._span = bytearray()
        self._span_tag = tag
        self._span_from = start
        self.pending_until = _OPEN_END if end is None else end

    def extend(self, buffer: Buffer, base: int, until: int) -> None:
        """Take what a buffer, which starts at position `base`, holds of the span before position `until`."""
        if len(self._span) + until - self._span_from > cap_of(self._span_tag):
            self._span = bytearray()
            self.pending_until = 0
            self.drop(self._span_tag)
            return
        self._span += buffer[self._span_from - base : until - base]
        self._span_from = until

    def complete(self, buffer: Buffer, base: int, until: int) -> None:
        """Take the last bytes of the span, which ends at position `until`, and keep it."""
        self.extend(buffer, base, until)
        if self.pending_until:
            self.pending_until = 0
            self.keep(self._span_tag, bytes(self._span))


def cap_of(tag: int) -> int:
    """The longest value of an attribute that is kept, in bytes."""
    return SEQUENCE_CAP if tag in SEQUENCE_TAGS else VALUE_CAP
