"""Text from the wire, made safe to show on a line of a log or a terminal.

A line break in an AE title would forge a log line, an escape sequence would drive the terminal.
"""

import re

# C0 and C1 controls, line and paragraph separators, bidirectional controls, and surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with each control character written as its escape, such as `\\n` or `\\x1b`."""
    return _UNPRINTABLE.sub(_escape, text)


def shorten(text: str, maximum: int = 80) -> str:
    """`text` cut to `maximum` characters, with an ellipsis where something was cut."""
    return text if len(text) <= maximum else text[: maximum - 1] + "…"


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
