"""Identifiers as bytes: read by pydicom, written by hand (PS3.5 7.1; PS3.4 C.4.1.1.3).

An answer is a few short values with the same tags as the answer before: their headers are made once, and a value
costs little more than its own bytes. Sequences go to pydicom. Everything is put together as text of one character a
byte (Latin-1) and becomes bytes at the end, which is faster than joining bytes.
"""

import struct
import warnings
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from io import BytesIO
from typing import Any

from msgspec import Struct
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filereader import data_element_generator
from pydicom.filewriter import write_data_element
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from services import character_sets
from services.query.keys import SPECIFIC_CHARACTER_SET, vr_of
from services.query.matching import Stored

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

_BINARY = {
    "US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "UV": "Q", "SV": "q",
}  # fmt: skip
_LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs whose length has 32 bits in Explicit VR (PS3.5 7.1.2)."""

_MAXIMUM_SHORT = 0xFFFE
_TABLE = 1024
_MAXIMUM_DEPTH = 32
_MEMORABLE = 128  # bytes of a value
_FEW_KEYS, _FEW_SETS = 256, 8  # beyond them a writer is not kept: what is remembered stays small


class UnreadableIdentifier(ValueError):
    """Bytes that are no data set in their transfer syntax; the text says why."""


class Element(Struct, frozen=True):
    """An element of a request.

    Attributes:
        tag: of the attribute.
        text: the decoded value, a backslash between several; "" for a sequence.
        items: of a sequence; None for everything else.
    """

    tag: int
    text: str
    items: tuple[tuple["Element", ...], ...] | None = None


# -- reading


def read_identifier(data: bytes, transfer_syntax: str) -> tuple[Element, ...]:
    """The elements of a request's identifier, in the order they came.

    Raises:
        UnreadableIdentifier: it ends inside an element, or is no data set at all.
    """
    implicit = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
    little = transfer_syntax != EXPLICIT_VR_BIG_ENDIAN
    file = BytesIO(data)
    found: list[RawDataElement | DataElement] = []
    end = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of odd values: they are judged here
        try:
            for element in data_element_generator(file, implicit, little):
                if isinstance(element, RawDataElement) and element.length != 0xFFFFFFFF:
                    end = element.value_tell + element.length
                    if end > len(data):
                        raise UnreadableIdentifier(
                            f"it ends inside ({element.tag >> 16:04X},{element.tag & 0xFFFF:04X})"
                        )
                else:
                    end = file.tell()
                found.append(element)
            if end != len(data):
                raise UnreadableIdentifier(f"{len(data) - end} bytes at its end are no element")
            return _elements(found, character_sets.DEFAULT, little, 0)
        except UnreadableIdentifier:
            raise
        except (Exception, RecursionError) as error:  # whatever pydicom raises for what it cannot read
            raise UnreadableIdentifier(f"{type(error).__name__}") from error


def elements_of(ds: Dataset) -> tuple[Element, ...]:
    """The elements of a data set, as if they had come in a request."""
    return _elements(list(ds.values()), character_sets.DEFAULT, ds.original_encoding[1] is not False, 0)


def _elements(
    elements: Sequence[RawDataElement | DataElement], inherited: tuple[str, ...], little: bool, depth: int
) -> tuple[Element, ...]:
    if depth > _MAXIMUM_DEPTH:
        raise UnreadableIdentifier("too many sequences in one another")
    sets = inherited
    for element in elements:
        if element.tag == SPECIFIC_CHARACTER_SET:
            sets = character_sets.character_sets_of(_value_text(element, "CS", inherited, little))
    return tuple(_element(element, sets, little, depth) for element in elements)


def _element(
    element: RawDataElement | DataElement, sets: tuple[str, ...], little: bool, depth: int
) -> Element:
    value = element.value
    if isinstance(element, RawDataElement) and type(value) is bytes and len(value) <= _MEMORABLE:
        known = _plain_element(int(element.tag), element.VR, value, sets, little)
        if known is not None:
            return known
    tag = int(element.tag)
    vr = vr_of(tag) or element.VR or "UN"
    if vr == "SQ" or element.VR == "SQ":
        items = _items_of(element)
        if items is not None:
            return Element(
                tag, "", tuple(_elements(list(item.values()), sets, little, depth + 1) for item in items)
            )
    return Element(tag, _value_text(element, vr, sets, little))


@lru_cache(1024)  # the keys of a query are mostly those of the one before, and most are empty
def _plain_element(
    tag: int, written_vr: str | None, value: bytes, sets: tuple[str, ...], little: bool
) -> Element | None:
    """An element that is no sequence; None for one."""
    vr = vr_of(tag) or written_vr or "UN"
    if vr == "SQ" or written_vr == "SQ":
        return None
    return Element(tag, _decoded(value, vr, sets, little))


def _items_of(element: RawDataElement | DataElement) -> "list[Dataset] | None":
    if isinstance(element, RawDataElement):
        if not element.value:
            return []
        known = element._replace(VR="SQ")
        value = DataElement(element.tag, "SQ", convert_raw_data_element(known).value).value
    else:
        value = element.value
    return list(value) if isinstance(value, Items) else None


def _value_text(element: RawDataElement | DataElement, vr: str, sets: tuple[str, ...], little: bool) -> str:
    value: Any = element.value
    if value is None:
        return ""
    if isinstance(value, bytes):
        return _decoded(value, vr, sets, little)
    if isinstance(value, list | tuple) or hasattr(value, "append"):
        return "\\".join(str(each) for each in value)
    return str(value)


def _decoded(value: bytes, vr: str, sets: tuple[str, ...], little: bool) -> str:
    code = _BINARY.get(vr)
    if code is not None:
        size = struct.calcsize(f"<{code}")
        numbers = struct.unpack(
            f"{'<' if little else '>'}{len(value) // size}{code}", value[: len(value) // size * size]
        )
        return "\\".join(str(number) for number in numbers)
    if character_sets.takes_character_sets(vr):
        return character_sets.decode(value, sets)
    return value.decode("latin-1")


# -- writing


def writer_of(
    keys: tuple[tuple[int, str], ...],
    transfer_syntax: str,
    wanted: tuple[str, ...] = character_sets.DEFAULT,
    *,
    utf_8_allowed: bool = True,
) -> "IdentifierWriter":
    """An `IdentifierWriter` with these arguments, perhaps one that was made before."""
    if len(keys) > _FEW_KEYS or len(wanted) > _FEW_SETS:
        return IdentifierWriter(keys, transfer_syntax, wanted, utf_8_allowed=utf_8_allowed)
    return _remembered_writer(keys, transfer_syntax, wanted, utf_8_allowed)


@lru_cache(64)
def _remembered_writer(
    keys: tuple[tuple[int, str], ...], transfer_syntax: str, wanted: tuple[str, ...], utf_8_allowed: bool
) -> "IdentifierWriter":
    return IdentifierWriter(keys, transfer_syntax, wanted, utf_8_allowed=utf_8_allowed)


class IdentifierWriter:
    """Writes the answers of one query.

    Args:
        keys: tags and VRs of the values, in ascending order, (0008,0005) not among them.
        transfer_syntax: one of the three uncompressed ones.
        wanted: the character sets of the request.
        utf_8_allowed: whether an answer may be in UTF-8 that was not asked for.
    """

    def __init__(
        self,
        keys: Sequence[tuple[int, str]],
        transfer_syntax: str,
        wanted: tuple[str, ...] = character_sets.DEFAULT,
        *,
        utf_8_allowed: bool = True,
    ) -> None:
        self._implicit = transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN
        self._little = transfer_syntax != EXPLICIT_VR_BIG_ENDIAN
        self._wanted = wanted
        self._utf_8_allowed = utf_8_allowed
        self._keys = tuple(keys)
        self._headers = tuple(self._header(tag, vr) for tag, vr in keys)
        self._pads = tuple(_pad(vr) for _, vr in keys)
        self._lengths = tuple(_length_table(self._length_code(vr)) for _, vr in keys)
        self._ready = tuple(zip(self._headers, self._lengths, self._pads, strict=True))
        self._special = tuple(index for index, (_, vr) in enumerate(keys) if vr == "SQ" or vr in _BINARY)
        self._text = tuple(
            index for index, (_, vr) in enumerate(keys) if character_sets.takes_character_sets(vr)
        )

    def write(self, values: Sequence[Stored]) -> bytes:
        """An identifier.

        Args:
            values: decoded, one for each key, a backslash between several; items for a sequence.
        """
        if not self._special:
            try:
                if "".join(values).isascii():  # type: ignore[arg-type]
                    return self._join(values).encode("latin-1")  # type: ignore[arg-type]
            except IndexError:
                pass  # a value longer than the tables: the slow way
        return self._write_slowly(values)

    def _join(self, values: Sequence[str]) -> str:
        return "".join(
            [
                header + lengths[len(value)] + (value + pad if len(value) & 1 else value)
                for (header, lengths, pad), value in zip(self._ready, values, strict=True)
            ]
        )

    def _write_slowly(self, values: Sequence[Stored]) -> bytes:
        texts = [text for index in self._text for text in _texts_in(values[index])]
        texts += [text for index in self._special for text in _texts_in(values[index])]
        foreign = [text for text in texts if not text.isascii()]
        sets = character_sets.DEFAULT
        parts: list[bytes] = []
        if foreign:
            sets = character_sets.choose(foreign, self._wanted, utf_8_allowed=self._utf_8_allowed)
            parts.append(self._element(SPECIFIC_CHARACTER_SET, "CS", "\\".join(sets).encode("ascii")))
        for (tag, vr), value in zip(self._keys, values, strict=True):
            if vr == "SQ":
                parts.append(self._sequence(tag, value, sets))
            else:
                parts.append(
                    self._element(tag, vr, self._encoded(vr, value if isinstance(value, str) else "", sets))
                )
        return b"".join(parts)

    def _encoded(self, vr: str, value: str, sets: tuple[str, ...]) -> bytes:
        code = _BINARY.get(vr)
        if code is not None:
            return _packed(value, vr, "<" if self._little else ">")
        if character_sets.takes_character_sets(vr):
            return character_sets.encode(value, sets)
        return value.encode("ascii", "replace")

    def _element(self, tag: int, vr: str, value: bytes) -> bytes:
        if not self._implicit and vr not in _LONG and len(value) > _MAXIMUM_SHORT:
            value = value[:_MAXIMUM_SHORT]  # cannot be said; the index keeps no value as long
        value = _padded(value, vr)
        return (self._header(tag, vr) + _length(self._length_code(vr), len(value))).encode("latin-1") + value

    def _header(self, tag: int, vr: str) -> str:
        packed = struct.pack("<HH" if self._little else ">HH", tag >> 16, tag & 0xFFFF).decode("latin-1")
        if self._implicit:
            return packed
        return packed + vr + ("\0\0" if vr in _LONG else "")

    def _length_code(self, vr: str) -> str:
        return ("<" if self._little else ">") + ("L" if self._implicit or vr in _LONG else "H")

    def _sequence(self, tag: int, value: Stored, sets: tuple[str, ...]) -> bytes:
        """A sequence as pydicom writes it, of values that are encoded here."""
        buffer = BytesIO()
        file = DicomIO(buffer)
        file.is_implicit_VR = self._implicit
        file.is_little_endian = self._little
        write_data_element(file, DataElement(tag, "SQ", self._items(value, sets)))
        return buffer.getvalue()

    def _items(self, value: Stored, sets: tuple[str, ...]) -> Items:
        return Items([] if isinstance(value, str) else [self._item(item, sets) for item in value])

    def _item(self, item: Mapping[str, Stored], sets: tuple[str, ...]) -> Dataset:
        ds = Dataset()
        for name, value in sorted(item.items()):
            tag = int(name, 16)
            vr = vr_of(tag)
            if vr == "SQ":
                ds[tag] = DataElement(tag, vr, self._items(value, sets))
            elif vr is not None and isinstance(value, str):
                encoded = _padded(self._encoded(vr, value, sets), vr)
                ds[tag] = RawDataElement(Tag(tag), vr, len(encoded), encoded, 0, self._implicit, self._little)
        return ds


def _length(code: str, length: int) -> str:
    return struct.pack(code, length).decode("latin-1")


@cache
def _length_table(code: str) -> tuple[str, ...]:
    """By the length of a value: that of its padded form, ready to be written. Four of them at most."""
    return tuple(_length(code, length + (length & 1)) for length in range(_TABLE))


def _texts_in(value: Stored) -> list[str]:
    """Every text in a value, down to the last item."""
    if isinstance(value, str):
        return [value]
    return [text for item in value for each in item.values() for text in _texts_in(each)]


def _packed(value: str, vr: str, order: str) -> bytes:
    """Numbers as bytes; what is none, or does not fit, is left out."""
    code = _BINARY[vr]
    packed = b""
    for part in value.split("\\"):
        try:
            packed += struct.pack(order + code, float(part) if code in "fd" else int(part))
        except (ValueError, OverflowError, struct.error):
            continue
    return packed


def _padded(value: bytes, vr: str) -> bytes:
    """An even number of bytes (PS3.5 6.2)."""
    return value + _pad(vr).encode("ascii") if len(value) & 1 else value


def _pad(vr: str) -> str:
    return "\0" if vr in ("UI", "UN") or vr.startswith("O") else " "
