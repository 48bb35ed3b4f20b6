"""Data sets, element by element, as far as anybody wants to read (PS3.5 7).

For the uncompressed transfer syntaxes and for those that encapsulate pixel data; a deflated data set is one field.
Bounded in depth and number; whatever cannot be an element ends it as bytes nobody can read.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from services.printable import printable, shorten
from services.trace.cursor import Cursor, shown
from services.trace.fields import Field
from services.trace.names import keyword_of, uid_name, vr_of

DEEPEST = 64
MOST_ELEMENTS = 4096

_IMPLICIT = "1.2.840.10008.1.2"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_NUMBERS = {
    "US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q",
}  # fmt: skip
_TEXTS = frozenset(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
)


class _Encoding(NamedTuple):
    implicit: bool
    order: str


class _Budget:
    """How many elements may still be shown."""

    def __init__(self, limit: int) -> None:
        self.left = limit


class _Header(NamedTuple):
    tag: int
    vr: str
    length: int
    size: int


def dissect_data_set(
    data: bytes, transfer_syntax: str, offset: int = 0, limit: int = MOST_ELEMENTS
) -> tuple[Field, ...]:
    """Take a data set apart.

    Args:
        data: it, or its first bytes.
        transfer_syntax: its UID.
        offset: what to add to the offset of each field.
        limit: how many elements are shown one by one.

    Returns:
        one field to an element, those in sequences below them; they cover `data` without a gap.
    """
    padded = bytes(offset) + data
    cursor = Cursor(padded, offset, len(padded))
    if transfer_syntax in _DEFLATED:
        cursor.take(cursor.left, "Deflated data set", clause="PS3.5 A.5")
        return tuple(cursor.fields)
    encoding = _Encoding(transfer_syntax == _IMPLICIT, ">" if transfer_syntax == _BIG_ENDIAN else "<")
    _elements(cursor, encoding, _Budget(limit), 0)
    return tuple(cursor.fields)


def _elements(cursor: Cursor, encoding: _Encoding, budget: _Budget, depth: int) -> None:
    """Take elements until there are no more, or one ends an item or sequence of undefined length."""
    while cursor.left:
        header = _header(cursor, encoding)
        if header is None:
            cursor.take(
                cursor.left, "Cut off", explanation="The data set goes on, or ends inside an element."
            )
            return
        if header.tag in (_ITEM_END, _SEQUENCE_END):
            return
        if not budget.left:
            cursor.take(
                cursor.left, "Not shown", f"{cursor.left} bytes", explanation="More than anybody reads."
            )
            return
        budget.left -= 1
        _element(cursor, header, encoding, budget, depth)


def _header(cursor: Cursor, encoding: _Encoding) -> _Header | None:
    head = cursor.peek(12)
    if len(head) < 8:
        return None
    group, element = struct.unpack_from(encoding.order + "HH", head)
    tag = group << 16 | element
    if group == 0xFFFE or encoding.implicit:
        (length,) = struct.unpack_from(encoding.order + "I", head, 4)
        return _Header(tag, "" if group == 0xFFFE else vr_of(tag), length, 8)
    vr = head[4:6]
    if vr in _LONG_VRS:
        if len(head) < 12:
            return None
        return _Header(tag, vr.decode(), struct.unpack_from(encoding.order + "I", head, 8)[0], 12)
    return _Header(tag, vr.decode("latin-1"), struct.unpack_from(encoding.order + "H", head, 6)[0], 8)


def _element(cursor: Cursor, header: _Header, encoding: _Encoding, budget: _Budget, depth: int) -> None:
    tag = header.tag
    undefined = header.length == _UNDEFINED
    inside = cursor.inside(cursor.left if undefined else header.size + header.length)
    _take_header(inside, header, encoding)
    problem = ""
    if not undefined and header.length & 1:
        problem = f"value length {header.length}: it is even (PS3.5 7.1.1)"
    value = ""
    if header.vr == "SQ" or (undefined and header.vr == "UN"):
        _items(inside, encoding if header.vr == "SQ" else _Encoding(True, "<"), budget, depth, undefined)
        value = f"{sum(field.name == 'Item' for field in inside.fields)} items"
    elif undefined:
        _fragments(inside, encoding)
        value = "encapsulated"
    elif inside.left:
        value = _value(inside.peek(inside.left), header.vr, encoding)
        inside.take(inside.left, "Value", value)
    cursor.group(
        f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword_of(tag) or ('private' if tag >> 16 & 1 else 'unknown')}",
        _ended(inside),
        value=value,
        meaning=uid_name(value) if header.vr == "UI" else "",
        problem=problem,
        clause="PS3.5 7.1",
    )


def _ended(inside: Cursor) -> Cursor:
    """The same cursor, which ends where it stands: an element of undefined length ends at its delimiter."""
    inside.end = inside.position
    return inside


def _take_header(inside: Cursor, header: _Header, encoding: _Encoding) -> None:
    tag = header.tag
    inside.take(4, "Tag", f"({tag >> 16:04X},{tag & 0xFFFF:04X})", meaning=keyword_of(tag))
    if header.vr and not encoding.implicit:
        inside.take(2, "VR", printable(header.vr))
        if header.size == 12:
            inside.reserved(2)
    text = "undefined" if header.length == _UNDEFINED else str(header.length)
    inside.take(header.size - (inside.position - inside.fields[0].offset), "Value-length", text)


def _items(inside: Cursor, encoding: _Encoding, budget: _Budget, depth: int, undefined: bool) -> None:
    while inside.left:
        header = _header(inside, encoding)
        if header is None or depth >= DEEPEST or header.tag not in (_ITEM, _SEQUENCE_END):
            inside.take(inside.left, "Not followed", explanation="Cut off, nested too deep, or no item.")
            return
        if header.tag == _SEQUENCE_END:
            _delimiter(inside, header, encoding, "Sequence Delimitation Item")
            if undefined:
                return
            continue
        open_end = header.length == _UNDEFINED
        item = inside.inside(inside.left if open_end else 8 + header.length)
        _take_header(item, header, encoding)
        _elements(item, encoding, budget, depth + 1)
        following = _header(item, encoding)
        if following is not None and following.tag == _ITEM_END:
            _delimiter(item, following, encoding, "Item Delimitation Item")
        if not open_end:
            item.rest("bytes that belong to no element of the item (PS3.5 7.5)")
        inside.group("Item", _ended(item), clause="PS3.5 7.5.1")


def _delimiter(cursor: Cursor, header: _Header, encoding: _Encoding, name: str) -> None:
    inside = cursor.inside(8)
    _take_header(inside, header, encoding)
    cursor.group(name, inside, clause="PS3.5 7.5.2")


def _fragments(inside: Cursor, encoding: _Encoding) -> None:
    """Encapsulated pixel data: an offset table, then fragments (PS3.5 A.4)."""
    while inside.left:
        header = _header(inside, encoding)
        if header is None or header.tag not in (_ITEM, _SEQUENCE_END):
            inside.take(inside.left, "Cut off", explanation="The pixel data goes on.")
            return
        if header.tag == _SEQUENCE_END:
            _delimiter(inside, header, encoding, "Sequence Delimitation Item")
            return
        item = inside.inside(8 + header.length)
        _take_header(item, header, encoding)
        if item.left:
            item.take(item.left, "Value")
        inside.group("Fragment of pixel data", item, clause="PS3.5 A.4")


def _value(data: bytes, vr: str, encoding: _Encoding) -> str:
    if vr in _TEXTS:
        return shorten(printable(data.rstrip(b"\0 ").decode("utf-8", "replace"))) or "<blank>"
    if vr == "AT":
        return " ".join(
            "({:04X},{:04X})".format(*struct.unpack_from(encoding.order + "HH", data, at))
            for at in range(0, min(len(data), 64) - 3, 4)
        )
    code = _NUMBERS.get(vr)
    if code is None:
        return shown(data)
    size = struct.calcsize(code)
    return _joined(
        [
            struct.unpack_from(encoding.order + code, data, at)[0]
            for at in range(0, min(len(data), 128) - size + 1, size)
        ]
    )


def _joined(numbers: Sequence[float]) -> str:
    return "\\".join(f"{number:g}" if isinstance(number, float) else str(number) for number in numbers)
