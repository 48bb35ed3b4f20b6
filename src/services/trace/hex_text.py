"""Bytes written down by people and programs: hexadecimal text with comments, offsets and characters beside it.

Reads the `.hex` files of this project, what `xxd`, `hexdump -C`, `od -A x -t x1z` and Wireshark's "as hex dump" print,
and lists of numbers as in a program's source.
"""

import re
from collections.abc import Callable

from services.printable import printable, shorten

_COMMENT = re.compile(r"#|//|;")
_OFFSET_WITH_COLON = re.compile(r"\s*(?:0x)?([0-9A-Fa-f]{4,16}):(?=\s|$)")
_OFFSET = re.compile(r"\s*([0-9A-Fa-f]{4,16})(?=\s|$)")
_BETWEEN = re.compile(r"0[xX]|\\x|[\s,:{}\[\]()'\"]")
_HEX = re.compile(r"[0-9A-Fa-f]*")


class NoHexText(ValueError):
    """A text that is no hexadecimal one; the message names the line and what stands there."""


def bytes_of(content: bytes) -> bytes:
    """The bytes that a file stands for: those written down in it, or, where it is no text, its own.

    Args:
        content: of the file. A PDU is never taken for text: its second byte is 00H or at least no hexadecimal digit.

    Raises:
        NoHexText: it is text, and no hexadecimal one.
    """
    if b"\0" in content:
        return content
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content
    if any(character < " " and character not in "\t\r\n\f" for character in text):
        return content
    return parse_hex(text)


def parse_hex(text: str) -> bytes:
    """The bytes that a text writes down.

    Raises:
        NoHexText: it does not.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return _read(lines, _dump_line) if _has_offsets(lines) else _read(lines, _plain_line)


def _has_offsets(lines: list[tuple[int, str]]) -> bool:
    """Whether each line begins with how many bytes came before it."""
    count = 0
    for _, line in lines:
        match = _OFFSET_WITH_COLON.match(line) or _OFFSET.match(line)
        if match is None:
            if _COMMENT.match(line.lstrip()) and not count:
                continue
            return False
        if int(match[1], 16) != count:
            return False
        digits = _BETWEEN.sub("", _dump_line(line))
        if not _HEX.fullmatch(digits):
            return False
        count += len(digits) // 2
    return count > 0


def _read(lines: list[tuple[int, str]], bytes_in: Callable[[str], str]) -> bytes:
    found = bytearray()
    digits = ""
    for number, line in lines:
        digits += _BETWEEN.sub("", bytes_in(line))
        if not _HEX.fullmatch(digits):
            what = shorten(printable(line.strip()), 40)
            raise NoHexText(f"line {number} is no hexadecimal text: {what}")
        whole = len(digits) - len(digits) % 2
        found += bytes.fromhex(digits[:whole])
        digits = digits[whole:]
    if digits:
        raise NoHexText(f"an odd number of hexadecimal digits: the last one, {digits}, stands alone")
    return bytes(found)


def _dump_line(line: str) -> str:
    """The bytes of a line of a dump, without its offset and without the characters at its end."""
    with_colon = _OFFSET_WITH_COLON.match(line)
    match = with_colon or _OFFSET.match(line)
    if match is None:
        return ""
    rest = line[match.end() :].strip()
    # xxd sets two spaces before the characters, Wireshark three, and two in the middle of the bytes; hexdump -C and
    # od put them between marks.
    if with_colon:
        return re.split(r"\s{2,}", rest)[0]
    return re.split(r"\s{3,}", re.split(r"[|>]", rest)[0].rstrip())[0]


def _plain_line(line: str) -> str:
    return _COMMENT.split(line)[0]
