"""Reads the data sets a peer sends: identifiers that come back, instances that are retrieved (PS3.5 7).

By hand, and strictly: what a peer writes wrongly is to be found, so nothing is guessed. Depth and size are bounded.
"""

import struct
import warnings
from collections.abc import Iterator, Mapping

from msgspec import Struct

from services.conformance.building import IMPLICIT
from services.conformance.data_sets import SPECIFIC_CHARACTER_SET, UNDEFINED, VRS, Encoding, encoding_of

DEEPEST = 16
"""Sequences inside one another that are followed."""

MOST_ELEMENTS = 20_000
"""Elements and items of one data set that are read."""

_LONG_VRS = frozenset(
    {b"OB", b"OW", b"OF", b"OL", b"OD", b"OV", b"SQ", b"UN", b"UC", b"UR", b"UT", b"SV", b"UV"}
)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


class DataSetError(ValueError):
    """The bytes are no data set of their transfer syntax; the message says where and why."""


class ReadElement(Struct, frozen=True):
    """An element as it was read.

    Attributes:
        value: its bytes; the fragments joined, where it is encapsulated; empty for a sequence.
        items: of a sequence; None for anything else.
    """

    value: bytes = b""
    items: "tuple[ReadDataSet, ...] | None" = None


class ReadDataSet(Struct, frozen=True):
    """A data set as it was read; `elements` by tag, in the order they came."""

    elements: Mapping[int, ReadElement]

    def __contains__(self, tag: int) -> bool:
        return tag in self.elements

    def __iter__(self) -> Iterator[int]:
        return iter(self.elements)

    def text(self, tag: int) -> bytes:
        """The value of an attribute without padding; empty where it is empty, missing or a sequence."""
        found = self.elements.get(tag)
        return b"" if found is None else found.value.strip(b" \0")

    def texts(self, tag: int) -> tuple[bytes, ...]:
        """The values of an attribute of several, each without padding; none where it is empty or missing."""
        whole = self.text(tag)
        return tuple(value.strip(b" \0") for value in whole.split(b"\\")) if whole else ()

    def items(self, tag: int) -> "tuple[ReadDataSet, ...]":
        """The items of a sequence; none where it is missing or no sequence."""
        found = self.elements.get(tag)
        return () if found is None or found.items is None else found.items


def read_data_set(data: bytes, syntax: bytes = IMPLICIT) -> ReadDataSet:
    """Read a data set.

    Raises:
        DataSetError: it is none, its elements are not in ascending order, or it is beyond the limits.
    """
    return _Reader(data, encoding_of(syntax)).data_set(0, len(data), 0)[0]


class _Reader:
    def __init__(self, data: bytes, encoding: Encoding) -> None:
        self._data = data
        self._encoding = encoding
        self._count = 0

    def data_set(self, start: int, end: int | None, depth: int) -> tuple[ReadDataSet, int]:
        """Elements up to `end`, or to a delimiter where it is None; returns where what follows begins."""
        if depth > DEEPEST:
            raise DataSetError(f"more than {DEEPEST} sequences inside one another")
        elements: dict[int, ReadElement] = {}
        last = -1
        while end is None or start < end:
            tag, vr, length, content = self._header(start)
            if tag == _ITEM_END and end is None:
                return ReadDataSet(elements), content
            if tag <= last:
                raise DataSetError(
                    f"{name(tag)} at byte {start} does not follow in ascending order (PS3.5 7.1)"
                )
            last = tag
            elements[tag], start = self._element(tag, vr, length, content, depth)
        if end is not None and start > end:
            raise DataSetError(f"{name(last)} reaches beyond the item or data set it stands in")
        return ReadDataSet(elements), start

    def _element(self, tag: int, vr: bytes, length: int, content: int, depth: int) -> tuple[ReadElement, int]:
        is_sequence = vr == b"SQ" or (not vr and VRS.get(tag) == "SQ")
        if length == UNDEFINED and vr in (b"OB", b"OW"):
            return self._fragments(content)
        if is_sequence or length == UNDEFINED:
            items, after = self._items(content, None if length == UNDEFINED else content + length, depth)
            return ReadElement(items=items), after
        if content + length > len(self._data):
            raise DataSetError(f"{name(tag)} of {length} bytes reaches beyond the end")
        if length % 2:
            raise DataSetError(f"{name(tag)} has an odd length, {length} (PS3.5 7.1.1)")
        return ReadElement(self._data[content : content + length]), content + length

    def _items(self, start: int, end: int | None, depth: int) -> tuple[tuple[ReadDataSet, ...], int]:
        items: list[ReadDataSet] = []
        while end is None or start < end:
            tag, length, content = self._bare(start)
            if tag == _SEQUENCE_END and end is None:
                return tuple(items), content
            if tag != _ITEM:
                raise DataSetError(f"{name(tag)} at byte {start} where an item is due (PS3.5 7.5)")
            item_end = None if length == UNDEFINED else content + length
            item, start = self.data_set(content, item_end, depth + 1)
            items.append(item)
        return tuple(items), start

    def _fragments(self, start: int) -> tuple[ReadElement, int]:
        pieces: list[bytes] = []
        while True:
            tag, length, content = self._bare(start)
            if tag == _SEQUENCE_END:
                return ReadElement(b"".join(pieces)), content
            if tag != _ITEM or content + length > len(self._data):
                raise DataSetError(f"{name(tag)} at byte {start} where a fragment is due (PS3.5 A.4)")
            pieces.append(self._data[content : content + length])
            start = content + length

    def _header(self, start: int) -> tuple[int, bytes, int, int]:
        tag, length, content = self._bare(start)
        if self._encoding.implicit or tag >> 16 == 0xFFFE:
            return tag, b"", length, content
        vr = self._data[start + 4 : start + 6]
        if not (vr.isalpha() and vr.isupper()):
            raise DataSetError(f"{name(tag)} at byte {start} has no VR (PS3.5 7.1.2)")
        if vr in _LONG_VRS:
            return tag, vr, self._number("I", start + 8), start + 12
        return tag, vr, self._number("H", start + 6), content

    def _bare(self, start: int) -> tuple[int, int, int]:
        self._count += 1
        if self._count > MOST_ELEMENTS:
            raise DataSetError(f"more than {MOST_ELEMENTS} elements")
        group, element, length = (
            self._number("H", start),
            self._number("H", start + 2),
            self._number("I", start + 4),
        )
        return group << 16 | element, length, start + 8

    def _number(self, code: str, start: int) -> int:
        layout = self._encoding.order + code
        if start + struct.calcsize(layout) > len(self._data):
            raise DataSetError(f"it ends after {len(self._data)} bytes, inside the header of an element")
        number: int = struct.unpack_from(layout, self._data, start)[0]
        return number


def name(tag: int) -> str:
    """A tag as people write it: (0010,0020)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def decoded(data_set: ReadDataSet, tag: int) -> str:
    """The text of an attribute, read in the character set that its data set declares (PS3.5 6.1.2).

    Raises:
        DataSetError: it declares none that is known, or the bytes are none of it.
    """
    from pydicom.charset import convert_encodings, decode_bytes
    from pydicom.valuerep import PN_DELIMS

    declared = [term.decode("latin-1") for term in data_set.texts(SPECIFIC_CHARACTER_SET)]
    raw = data_set.text(tag)
    if not declared and not raw.isascii():
        raise DataSetError(f"{name(tag)} has bytes outside ASCII, and no Specific Character Set is declared")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what it would replace or guess, it warns of
            return decode_bytes(raw, convert_encodings(declared or [""]), PN_DELIMS)
    except (LookupError, UserWarning, ValueError) as error:
        raise DataSetError(f"{name(tag)} is not in the character set declared: {error}") from error
