"""What counts as a UID here (PS3.5 9.1)."""

import re
from functools import lru_cache

from services.archive.errors import InvalidUID

MAXIMUM_LENGTH = 64

_COMPONENTS = re.compile(r"[0-9]+(?:\.[0-9]+)*").fullmatch


def valid_uid(text: str) -> bool:
    """Whether a text is a UID that may name files and index rows.

    1 to 64 of `0-9` and `.`, no component empty. A leading zero in a component is against PS3.5 9.1 but
    common and harmless; it is accepted.
    """
    return len(text) <= MAXIMUM_LENGTH and _has_components(text)


@lru_cache(1024)  # most of them name the series, the study and the class of the instance before
def _has_components(text: str) -> bool:
    return _COMPONENTS(text) is not None


def check_uid(name: str, text: str) -> None:
    """Refuse what is no UID.

    Args:
        name: of the attribute, for the error text.
        text: its value, without padding.

    Raises:
        InvalidUID: see `valid_uid`.
    """
    if not valid_uid(text):
        raise InvalidUID(f"{name} {text[:80]!r} is no UID: 1 to 64 digits and dots, no empty component")
