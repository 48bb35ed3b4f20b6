"""Text and bytes by Specific Character Set (PS3.5 6.1; PS3.4 C.4.1.1.3.2).

ASCII costs nothing; the rest is done by pydicom's codecs, which know the code extensions. What it encodes is decoded
again and compared: a text is never sent as another one in silence.
"""

import re
import warnings
from functools import lru_cache

from pydicom.charset import (
    convert_encodings,
    decode_bytes,
    encode_string,
    python_encoding,
)

UTF_8 = "ISO_IR 192"
DEFAULT: tuple[str, ...] = ("",)

_CHARACTER_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_DELIMITERS = {ord(each) for each in "\\^=\r\n\t\f"}
"""Behind each of them a character set that was switched to is back at the first one (PS3.5 6.1.2.5.3)."""

_G0_ESCAPES = re.compile(rb"\x1b(\(.|\$[@AB]|\$\(.)")
_TO_ASCII = b"\x1b(B"

_DEFAULTS = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})


def character_sets_of(value: str) -> tuple[str, ...]:
    """The values of Specific Character Set (0008,0005); `DEFAULT` for none.

    Spellings that are wrong and plain (`ISO-IR 100`) are put right.
    """
    if not value.strip(" \0"):
        return DEFAULT
    return tuple(_right(each.strip(" \0")) for each in value.split("\\"))


def is_known(character_sets: tuple[str, ...]) -> bool:
    """Whether each of them is one that we can decode."""
    return all(each in python_encoding for each in character_sets)


def decode(value: bytes, character_sets: tuple[str, ...]) -> str:
    """The text of a value, with its padding; what the character set does not have becomes U+FFFD."""
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    if not is_known(character_sets):
        return value.decode("utf-8", "replace")
    if character_sets == DEFAULT:
        return value.decode("ascii", "replace")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of bytes that the character set does not have
        try:
            return decode_bytes(value, convert_encodings(list(character_sets)), _DELIMITERS)
        except (LookupError, UnicodeError, ValueError):
            return value.decode("utf-8", "replace")


def takes_character_sets(vr: str) -> bool:
    """Whether values of a VR are in the Specific Character Set; those of all others are ASCII (PS3.5 6.1.2.2)."""
    return vr in _CHARACTER_VRS


def choose(texts: list[str], wanted: tuple[str, ...], *, utf_8_allowed: bool = True) -> tuple[str, ...]:
    """The character sets for some texts.

    Args:
        texts: what has to be said, some of it not ASCII.
        wanted: those of the request.
        utf_8_allowed: whether the peer may be sent UTF-8 that it did not ask for.

    Returns:
        `wanted` where they say all of it; else UTF-8, or `wanted` all the same where that is not allowed.
    """
    if is_known(wanted) and all(_encode(text, wanted) is not None for text in texts):
        return wanted
    if utf_8_allowed or not is_known(wanted):
        return (UTF_8,)
    return wanted


def encode(text: str, character_sets: tuple[str, ...]) -> bytes:
    """A value in its character sets; characters that they do not have become `?`."""
    if text.isascii():
        return text.encode("ascii")
    encoded = _encode(text, character_sets)
    if encoded is not None:
        return encoded
    fitting = (each if each.isascii() or _encode(each, character_sets) is not None else "?" for each in text)
    replaced = "".join(fitting)
    encoded = _encode(replaced, character_sets)
    return replaced.encode("ascii", "replace") if encoded is None else encoded


@lru_cache(maxsize=4096)
def _encode(text: str, character_sets: tuple[str, ...]) -> bytes | None:
    """The bytes, or None where the character sets do not have every character."""
    if character_sets == (UTF_8,):
        return text.encode("utf-8")
    if not is_known(character_sets):
        return None
    try:
        encodings = [_codec(each) for each in character_sets]
        encoded = _with_delimiters(text, encodings)
    except (LookupError, UnicodeError, ValueError):
        return None
    return encoded if decode(encoded, character_sets) == text else None


def _with_delimiters(text: str, encodings: list[str]) -> bytes:
    """Piece by piece between delimiters, each of which puts the first character set back."""
    if len(encodings) == 1:
        return _piece(text, encodings)
    encoded = bytearray()
    start = 0
    for index, character in enumerate(text):
        if ord(character) in _DELIMITERS:
            encoded += _piece(text[start:index], encodings) + character.encode("ascii")
            start = index + 1
    return bytes(encoded + _piece(text[start:], encodings))


def _piece(text: str, encodings: list[str]) -> bytes:
    if text.isascii():
        return text.encode("ascii")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pydicom warns, and replaces, where it cannot encode
        try:
            encoded = encode_string(text, encodings)
        except UserWarning as warning:
            raise ValueError("the character sets do not have every character") from warning
    return _back_in_ascii(encoded)


def _back_in_ascii(encoded: bytes) -> bytes:
    """The bytes with G0 at ASCII at their end: behind them come delimiters and padding (PS3.5 6.1.2.5.3)."""
    switched = _G0_ESCAPES.findall(encoded)
    return encoded + _TO_ASCII if switched and switched[-1].startswith(b"$") else encoded


def _codec(term: str) -> str:
    """pydicom's codec; the default repertoire is ASCII, where it would say Latin-1."""
    return "ascii" if term in _DEFAULTS else python_encoding[term]


def _right(term: str) -> str:
    if term in python_encoding:
        return term
    spelt = term.upper().replace("-", " ").replace("_", " ")
    for known in python_encoding:
        if known and known.replace("_", " ") == spelt:
            return known
    return term
