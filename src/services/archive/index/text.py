"""Raw values to Unicode, by Specific Character Set, and the folded forms that matching needs (PS3.5 6.1, PS3.4 C.2).

Almost every value is ASCII, and costs nothing; the rest is left to pydicom, which knows the code extensions.
"""

import unicodedata
from collections.abc import Sequence

_PADDING = " \0"
_DELIMITERS = {ord(each) for each in "\\^=\r\n\t\f"}
"""Behind each of them a character set that was switched to is back at the first one (PS3.5 6.1.2.5.3)."""

_SOUND_MARKS = "\u3099\u309a"
"""The marks that make another sound of a kana: no accents."""


def decode(value: bytes, character_sets: Sequence[str]) -> str:
    """A text value without its padding.

    Args:
        value: as it stood in a data set; one byte string, with backslashes between several values.
        character_sets: of the data set, as `character_sets_of` reads them.

    Returns:
        the text; bytes that the declared character set does not have become U+FFFD.
    """
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii").strip(_PADDING)
    from pydicom.charset import convert_encodings, decode_bytes

    try:
        return decode_bytes(value, convert_encodings(list(character_sets)), _DELIMITERS).strip(_PADDING)
    except (LookupError, UnicodeError, ValueError):
        return value.decode("utf-8", "replace").strip(_PADDING)


def character_sets_of(value: bytes | None) -> tuple[str, ...]:
    """The values of Specific Character Set (0008,0005); `("",)` for the default repertoire."""
    if not value:
        return ("",)
    return tuple(part.strip(_PADDING) for part in value.decode("latin-1").split("\\"))


def fold(text: str) -> str:
    """A text as it is compared without regard to case and to accents (PS3.4 C.2.2.2.1, case-insensitive PN)."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = (c for c in decomposed if not unicodedata.combining(c) or c in _SOUND_MARKS)
    return unicodedata.normalize("NFKC", "".join(kept))
