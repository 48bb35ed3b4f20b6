"""Values of data elements for a person, by their VR (PS3.5 6.2).

Any bytes: what cannot be read by its VR is shown as bytes. No more is decoded than anybody reads.
"""

import struct
import warnings
from collections.abc import Sequence

from services.printable import printable, shorten
from services.trace.cursor import shown

DEFAULT_REPERTOIRE = ("iso8859",)
"""Encodings where no Specific Character Set is given; what is not ISO 646 has no business there."""

_READ = 512  # bytes of a text
_NUMBERS_READ = 16

_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_IN_CHARACTER_SET = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_TEXTS = _IN_CHARACTER_SET | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}


def value_text(data: bytes, vr: str, order: str, encodings: Sequence[str] = DEFAULT_REPERTOIRE) -> str:
    """A value for a person.

    Args:
        data: its bytes.
        vr: two letters.
        order: "<" for little endian, ">" for big endian.
        encodings: of texts, as `encodings_of` returns them.
    """
    if vr in _TEXTS:
        return _text(data, vr, encodings)
    if vr == "AT":
        return " ".join(tags_of(data[: 4 * _NUMBERS_READ], order)) or shown(data)
    code = _NUMBERS.get(vr)
    if code is None or not data or len(data) % struct.calcsize(code):
        return shown(data)
    size = struct.calcsize(code)
    count = len(data) // size
    numbers = struct.unpack_from(f"{order}{min(count, _NUMBERS_READ)}{code}", data)
    text = "\\".join(f"{number:g}" if isinstance(number, float) else str(number) for number in numbers)
    return f"{text}\\… ({count} values)" if count > _NUMBERS_READ else text


def tags_of(data: bytes, order: str = "<") -> list[str]:
    """The tags that a value of VR AT holds; bytes that are no whole one are left out."""
    whole = data[: len(data) - len(data) % 4]
    return [f"({group:04X},{number:04X})" for group, number in struct.iter_unpack(f"{order}HH", whole)]


def encodings_of(value: bytes) -> tuple[str, ...]:
    """What a Specific Character Set (0008,0005) stands for, as pydicom names encodings; unknown ones are left out."""
    from pydicom.charset import python_encoding

    terms = [term.strip() for term in value[:_READ].decode("latin-1").rstrip(" \0").split("\\")]
    found = tuple(python_encoding[term] for term in terms if term in python_encoding)
    return found or DEFAULT_REPERTOIRE


def _text(data: bytes, vr: str, encodings: Sequence[str]) -> str:
    start = data[:_READ]
    if len(data) <= _READ:
        start = start.rstrip(b"\0 ")
    text = _decoded(start, encodings) if vr in _IN_CHARACTER_SET else start.decode("latin-1")
    return shorten(printable(text))


def _decoded(data: bytes, encodings: Sequence[str]) -> str:
    if b"\x1b" not in data:
        return data.decode(encodings[0], "replace")
    from pydicom.charset import decode_bytes
    from pydicom.valuerep import TEXT_VR_DELIMS

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escape sequences that name nothing: any bytes are shown
            return decode_bytes(data, list(encodings), TEXT_VR_DELIMS)
    except (LookupError, ValueError):
        return data.decode("latin-1")
