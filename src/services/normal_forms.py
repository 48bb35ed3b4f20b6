"""The forms in which values are compared: folded names, dates and times of one length (PS3.5 6.2; PS3.4 C.2.2.2).

An index that keeps these forms in its columns can compare them as plain strings, byte by byte.
"""

import re
import unicodedata
from datetime import date as calendar_date

_SOUND_MARKS = "\u3099\u309a"
"""The marks that make another sound of a kana: no accents."""

_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)|(\d{4})\.(\d\d)\.(\d\d)", re.ASCII)
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)


def fold(text: str) -> str:
    """A text without case and accents."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    kept = (each for each in decomposed if not unicodedata.combining(each) or each in _SOUND_MARKS)
    return unicodedata.normalize("NFKC", "".join(kept))


def name(text: str) -> str:
    """A person name folded, without the delimiters that may be left out (PS3.5 6.2.1.1): `Doe^J^^^=` is `doe^j`."""
    return "=".join(name_groups(text)).rstrip("=")


def name_groups(text: str) -> list[str]:
    """The component groups of a person name, each as `name` has it: split first, since folding can make a `=`."""
    return [fold(group.strip(" \0").rstrip("^ ")) for group in text.split("=")]


def date(text: str) -> str:
    """A DA value as YYYYMMDD, also when it stands as YYYY.MM.DD; "" for what is no date."""
    found = _DATE.fullmatch(text.strip(" \0"))
    if found is None:
        return ""
    year, month, day = (part for part in found.groups() if part is not None)
    try:
        calendar_date(int(year), int(month), int(day))
    except ValueError:
        return ""
    return year + month + day


def time(text: str) -> str:
    """A TM value as HHMMSS.FFFFFF, what is left out counting as 0, also when it has colons; "" for what is none."""
    bounds = time_bounds(text)
    return bounds[0] if bounds else ""


def time_bounds(text: str) -> tuple[str, str] | None:
    """The first and the last moment that a TM value stands for: `10` is the whole hour. None for what is no time."""
    found = _TIME.fullmatch(text.strip(" \0"))
    if found is None:
        return None
    hour, minute, second, fraction = found.groups(default="")
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    low = f"{hour}{minute or '00'}{second or '00'}.{fraction:0<6}"
    high = f"{hour}{minute or '59'}{second or '59'}.{fraction:9<6}"
    return low, high
