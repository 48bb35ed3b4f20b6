"""What counts as a UID here (PS3.5 9.1)."""

import re

MAXIMUM_LENGTH = 64

_COMPONENTS = re.compile(r"[0-9]+(?:\.[0-9]+)*").fullmatch


def valid_uid(text: str) -> bool:
    """Whether a text is a UID that may name files and index rows.

    1 to 64 of `0-9` and `.`, no component empty. A leading zero in a component is against PS3.5 9.1 but common
    and harmless; it is accepted.
    """
    return len(text) <= MAXIMUM_LENGTH and _COMPONENTS(text) is not None
