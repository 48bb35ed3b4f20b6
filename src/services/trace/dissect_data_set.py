"""Data sets, element by element, as far as anybody wants to read (PS3.5 7).

For the uncompressed transfer syntaxes and for those that encapsulate pixel data; a deflated data set is one field.
Bounded in depth and number. What cannot be an element ends it: nothing tells where the next one would begin. A data
set may be there in part, so that nothing is held against one that ends early.
"""

import struct
from typing import NamedTuple

from services.printable import printable
from services.trace.cursor import Cursor
from services.trace.fields import Field
from services.trace.names import VRS, keyword_of, uid_name, vr_of
from services.trace.texts import text_of
from services.trace.values import DEFAULT_REPERTOIRE, encodings_of, value_text

DEEPEST = 64
"""Sequences in sequences that are followed."""

MOST_ELEMENTS = 4096
"""Elements and items that are shown one by one, those in sequences included."""

DATA_SET_SHOWN = 1 << 16
"""Bytes of a data set that are taken apart, where nothing else is asked for."""

_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
_LONG_VRS = frozenset(
    ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]
)  # with a length of 32 bits (PS3.5 Table 7.1-1)
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET, _PIXEL_DATA = 0x00080005, 0x7FE00010
_NOT_IN_DATA_SETS = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 0xFFFF})


class _Encoding(NamedTuple):
    implicit: bool
    order: str


class _Header(NamedTuple):
    """What an element, item or delimiter begins with; without VR where it has none."""

    tag: int
    vr: str
    length: int
    size: int

    @property
    def is_undefined(self) -> bool:
        return self.length == _UNDEFINED


_UN_ENCODING = _Encoding(True, "<")  # of what is in a UN of undefined length (PS3.5 6.2.2)


def dissect_data_set(
    data: bytes, transfer_syntax: str, offset: int = 0, limit: int = DATA_SET_SHOWN
) -> tuple[Field, ...]:
    """Take a data set apart.

    Args:
        data: it, or its first bytes.
        transfer_syntax: its UID.
        offset: what to add to the offset of each field.
        limit: what begins after so many bytes is shown as one field.

    Returns:
        one field to an element, those in sequences below them; they cover `data` without a gap.
    """
    cursor = Cursor(data, 0, len(data), base=offset)
    take_data_set(cursor, transfer_syntax, limit)
    return tuple(cursor.fields)


def take_data_set(cursor: Cursor, transfer_syntax: str, limit: int) -> None:
    """Take apart all that is left as a data set; arguments as of `dissect_data_set`."""
    if transfer_syntax in _DEFLATED:
        cursor.take_rest("Deflated data set")
        return
    encoding = _Encoding(transfer_syntax == _IMPLICIT, ">" if transfer_syntax == _BIG_ENDIAN else "<")
    _Walk(cursor.position + limit, cursor.end).elements(cursor, encoding, DEFAULT_REPERTOIRE, 0)
    cursor.take_rest("Not followed", problem="a delimiter where nothing is open (PS3.5 7.5)")


class _Walk:
    """A way through one data set.

    Args:
        limit: where the last element that is shown may begin.
        end: of what is there of the data set.
    """

    def __init__(self, limit: int, end: int) -> None:
        self._limit = limit
        self._end = end
        self._left = MOST_ELEMENTS

    def elements(self, cursor: Cursor, encoding: _Encoding, charset: tuple[str, ...], depth: int) -> None:
        """Take elements until there are no more, or a delimiter comes."""
        earlier = -1
        while cursor.left:
            header = _header(cursor, encoding)
            if header is None:
                self._take_stump(cursor)
                return
            if header.tag in (_ITEM_END, _SEQUENCE_END):
                return
            if not self._goes_on(cursor):
                return
            wrong = _unreadable(header)
            if wrong:
                cursor.take_rest("Not followed", problem=wrong)
                return
            problem = self._wrong_element(cursor, header, earlier)
            earlier = header.tag
            if header.tag == _CHARACTER_SET:
                charset = encodings_of(cursor.peek(header.length, header.size))
            self._element(cursor, header, encoding, charset, depth, problem)

    def _goes_on(self, cursor: Cursor) -> bool:
        """Whether what comes next is still shown; takes all of it as one where not."""
        if cursor.position >= self._limit or self._left <= 0 or cursor.is_spent:
            cursor.take_rest("Not shown", f"{cursor.left} bytes")
            return False
        self._left -= 1
        return True

    def _take_stump(self, cursor: Cursor) -> None:
        """Take what is too short for a header: the data set goes on elsewhere, or an item has a wrong length."""
        if cursor.end == self._end:
            cursor.take_rest("Cut off")
        else:
            cursor.take_rest("Not followed", problem="bytes that are no element (PS3.5 7.1)")

    def _wrong_element(self, cursor: Cursor, header: _Header, earlier: int) -> str:
        if header.tag <= earlier:
            return "elements are not in ascending order, or one is there twice (PS3.5 7.1)"
        if header.tag >> 16 in _NOT_IN_DATA_SETS:
            return f"group {header.tag >> 16:04X}H in a data set (PS3.5 7.1)"
        if header.is_undefined:
            return ""
        if header.length & 1:
            return f"value length {header.length}: it is even (PS3.5 7.1.1)"
        if header.size + header.length > cursor.left and cursor.end < self._end:
            return f"value length {header.length} goes beyond the item around it (PS3.5 7.5)"
        return ""

    def _element(
        self,
        cursor: Cursor,
        header: _Header,
        encoding: _Encoding,
        charset: tuple[str, ...],
        depth: int,
        problem: str,
    ) -> None:
        tag, vr = header.tag, header.vr
        inside = cursor.inside(cursor.left if header.is_undefined else header.size + header.length)
        _take_header(inside, header, encoding)
        value = meaning = ""
        if vr == "SQ" or (header.is_undefined and vr == "UN"):
            within = encoding if vr == "SQ" else _UN_ENCODING
            self._items(inside, within, charset, depth, is_open=header.is_undefined)
            count = sum(field.name == "Item" for field in inside.fields)
            value = f"{count} item{'s' * (count != 1)}"
        elif header.is_undefined:
            self._fragments(inside, encoding)
            value = "encapsulated"
            if encoding.implicit:
                problem = problem or "encapsulated pixel data in implicit VR (PS3.5 A.4)"
        else:
            value = value_text(inside.peek(inside.left), vr, encoding.order, charset) if inside.left else ""
            meaning = uid_name(value) if vr == "UI" else ""
            inside.take_rest("Value", value)
        if header.is_undefined:
            inside.end = inside.position  # where its delimiter was, or whatever else ended it
        keyword = keyword_of(tag) or ("private" if tag >> 16 & 1 else "unknown")
        name = f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword}"
        cursor.group(
            name, inside, value=value, meaning=meaning, problem=problem, text=text_of("Data element")
        )

    def _items(
        self, inside: Cursor, encoding: _Encoding, charset: tuple[str, ...], depth: int, *, is_open: bool
    ) -> None:
        """Take the items of a sequence (PS3.5 7.5)."""
        while inside.left:
            header = _header(inside, encoding)
            if header is None:
                self._take_stump(inside)
                return
            if header.tag == _SEQUENCE_END:
                wrong = "" if is_open else "a delimiter in a sequence of defined length (PS3.5 7.5.2)"
                _take_delimiter(inside, header, encoding, "Sequence Delimitation Item", wrong)
                if is_open:
                    return
            elif header.tag != _ITEM:
                inside.take_rest("Not followed", problem="no item where one must be (PS3.5 7.5)")
                return
            elif depth >= DEEPEST:
                inside.take_rest("Not shown", f"{inside.left} bytes")
                return
            elif self._goes_on(inside):
                self._item(inside, header, encoding, charset, depth + 1)
            else:
                return

    def _item(
        self, inside: Cursor, header: _Header, encoding: _Encoding, charset: tuple[str, ...], depth: int
    ) -> None:
        is_open = header.is_undefined
        item = inside.inside(inside.left if is_open else header.size + header.length)
        problem = ""
        if not is_open and header.size + header.length > inside.left and inside.end < self._end:
            problem = f"item length {header.length} goes beyond the sequence (PS3.5 7.5)"
        _take_header(item, header, encoding)
        self.elements(item, encoding, charset, depth)
        following = _header(item, encoding) if item.left else None
        if following is not None and following.tag == _ITEM_END:
            wrong = "" if is_open else "a delimiter in an item of defined length (PS3.5 7.5.2)"
            _take_delimiter(item, following, encoding, "Item Delimitation Item", wrong)
        elif following is not None and is_open:
            problem = "the sequence ends, and the item has not ended (PS3.5 7.5.2)"
        if is_open:
            item.end = item.position
        else:
            item.rest("bytes that belong to no element of the item (PS3.5 7.5)")
        inside.group("Item", item, problem=problem)

    def _fragments(self, inside: Cursor, encoding: _Encoding) -> None:
        """Take encapsulated pixel data: an offset table, then fragments (PS3.5 A.4)."""
        name = "Basic Offset Table"
        while inside.left:
            header = _header(inside, encoding)
            if header is None:
                self._take_stump(inside)
                return
            if header.tag == _SEQUENCE_END:
                _take_delimiter(inside, header, encoding, "Sequence Delimitation Item")
                return
            if header.tag != _ITEM or header.is_undefined:
                inside.take_rest("Not followed", problem="no fragment where one must be (PS3.5 A.4)")
                return
            if not self._goes_on(inside):
                return
            item = inside.inside(header.size + header.length)
            _take_header(item, header, encoding)
            item.take_rest("Value")
            odd = f"value length {header.length}: it is even (PS3.5 A.4)" if header.length & 1 else ""
            inside.group(name, item, value=f"{header.length} bytes", problem=odd)
            name = "Pixel data fragment"


def _header(cursor: Cursor, encoding: _Encoding) -> _Header | None:
    """What the next element begins with; None where too little is left."""
    head = cursor.peek(12)
    if len(head) < 8:
        return None
    group, element = struct.unpack_from(encoding.order + "HH", head)
    tag = group << 16 | element
    if group == 0xFFFE or encoding.implicit:
        (length,) = struct.unpack_from(encoding.order + "I", head, 4)
        return _Header(tag, "" if group == 0xFFFE else vr_of(tag), length, 8)
    vr = head[4:6].decode("latin-1")
    if vr not in _LONG_VRS:
        return _Header(tag, vr, struct.unpack_from(encoding.order + "H", head, 6)[0], 8)
    if len(head) < 12:
        return None
    return _Header(tag, vr, struct.unpack_from(encoding.order + "I", head, 8)[0], 12)


def _unreadable(header: _Header) -> str:
    """Why nothing can be read from here on; empty where it can."""
    if header.tag >> 16 == 0xFFFE:
        return "an item where no sequence is open (PS3.5 7.5)"
    if header.vr not in VRS:
        return f"VR '{printable(header.vr)}' is none of PS3.5 6.2: perhaps another transfer syntax was used"
    if header.is_undefined and header.vr not in ("SQ", "UN") and header.tag != _PIXEL_DATA:
        return f"VR {header.vr} with undefined length (PS3.5 7.1.2, 7.1.3)"
    return ""


def _take_header(inside: Cursor, header: _Header, encoding: _Encoding) -> None:
    tag = header.tag
    inside.take(4, "Tag", f"({tag >> 16:04X},{tag & 0xFFFF:04X})", meaning=keyword_of(tag))
    if header.vr and not encoding.implicit:
        inside.take(2, "VR", header.vr, meaning=VRS.get(header.vr, ""))
    if header.size == 12:
        inside.reserved(2)
    size = 2 if header.vr and not encoding.implicit and header.size == 8 else 4
    inside.take(size, "Value-length", "undefined" if header.is_undefined else str(header.length))


def _take_delimiter(
    cursor: Cursor, header: _Header, encoding: _Encoding, name: str, problem: str = ""
) -> None:
    inside = cursor.inside(header.size)
    _take_header(inside, header, encoding)
    if header.length and not problem:
        problem = f"length {header.length} of a delimiter: it is 0 (PS3.5 7.5.2)"
    cursor.group(name, inside, problem=problem)
