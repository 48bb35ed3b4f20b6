"""Command sets, element by element (PS3.7 6.3.1, Annex E)."""

import struct
from collections.abc import Mapping

from dimse.enums import NO_DATA_SET, CommandField
from dimse.messages import MESSAGES, elements_of
from dimse.status import describe
from services.printable import printable, shorten
from services.trace.cursor import Cursor, shown
from services.trace.fields import Field
from services.trace.names import PRIORITIES, keyword_of, title_problem, uid_name, uid_problem, vr_of
from services.trace.reading import command_elements
from services.trace.texts import text_of_command_element
from services.trace.values import tags_of, value_text

_HEADER = 8  # tag and value length
_COMMAND_FIELD, _DATA_SET_TYPE = 0x0100, 0x0800
_PRIORITY, _STATUS = 0x0700, 0x0900
_LONGEST_COMMENT = 64

_MANDATORY = {
    int(message.command_field): [
        element.tag for element in elements_of(message).values() if element.usage == "M"
    ]
    for message in MESSAGES
}
_CLAUSES = {
    0x0001: "9.3.1", 0x0010: "9.3.3", 0x0020: "9.3.2", 0x0021: "9.3.4", 0x0030: "9.3.5", 0x0FFF: "9.3.2.3",
    0x0100: "10.3.1", 0x0110: "10.3.2", 0x0120: "10.3.3", 0x0130: "10.3.4", 0x0140: "10.3.5", 0x0150: "10.3.6",
}  # fmt: skip
"""Where each message is defined (PS3.7), by the Command Field of the request."""


def dissect_command(data: bytes, offset: int = 0) -> tuple[Field, ...]:
    """Take a command set apart.

    Args:
        data: the command set.
        offset: what to add to the offset of each field.

    Returns:
        one field to an element; they cover `data` without a gap.
    """
    cursor = Cursor(data, 0, len(data), base=offset)
    take_command(cursor)
    return tuple(cursor.fields)


def take_command(cursor: Cursor) -> None:
    """Take apart all that is left as a command set."""
    start, earlier = cursor.position, -1
    elements = command_elements(cursor.peek(cursor.left))
    while cursor.left >= _HEADER and not cursor.is_spent:
        group, number, length = struct.unpack("<HHI", cursor.peek(_HEADER))
        problem = ""
        if length + _HEADER > cursor.left:
            problem = f"value length {length} goes beyond the command set (PS3.7 6.3.1)"
        elif group:
            problem = f"group {group:04X}H in a command set (PS3.7 6.3.1)"
        elif number <= earlier:
            problem = "elements are not in ascending order, or one is there twice (PS3.7 6.3.1)"
        elif length & 1:
            problem = f"value length {length}: it is even (PS3.5 7.1.1)"
        earlier = earlier if group else number
        _element(cursor, group << 16 | number, length, start, problem)
    is_whole = not cursor.is_spent
    cursor.rest("bytes that are no element (PS3.7 6.3.1)")
    if is_whole:
        cursor.mend(_missing(elements))


def _element(cursor: Cursor, tag: int, length: int, start: int, problem: str) -> None:
    keyword = "" if tag >> 16 else keyword_of(tag)
    vr = vr_of(tag) if keyword else ""
    written = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    inside = cursor.inside(_HEADER + length)
    inside.take(4, "Tag", written, meaning=f"{keyword}, VR {vr}" if keyword else "")
    inside.take(4, "Value-length", str(length))
    value = inside.peek(length)
    text, meaning = _value(tag, vr, value)
    wrong = _wrong_value(tag, vr, value)
    if tag == 0:
        wrong = _wrong_group_length(value, cursor.end - start - _HEADER - 4)
    if not keyword and not problem:
        problem = "no element of a command set (PS3.7 E.1)"
    if value:
        inside.take(length, "Value", text, meaning=meaning, problem=wrong)
    elif wrong and not problem:
        problem = wrong
    cursor.group(
        f"{written} {keyword or 'unknown element'}",
        inside,
        value=text,
        meaning=meaning,
        problem=problem,
        text=text_of_command_element(tag),
    )


def _wrong_group_length(value: bytes, there: int) -> str:
    if len(value) != 4:
        return "a group length of other than 4 bytes (PS3.7 6.3.1)"
    stated = int.from_bytes(value, "little")
    return "" if stated == there else f"group length {stated}, and {there} bytes follow (PS3.7 6.3.1)"


def _wrong_value(tag: int, vr: str, value: bytes) -> str:
    if not value:
        return ""
    match vr:
        case "UI":
            return uid_problem(value, padded=True)
        case "US" if len(value) != 2:
            return f"{len(value)} bytes where a number has 2 (PS3.5 6.2)"
        case "AT" if len(value) % 4:
            return f"{len(value)} bytes where each tag has 4 (PS3.5 6.2)"
        case "AE":
            longer = f"AE title of {len(value)} characters: it may have 16 (PS3.5 6.2)"
            return longer if len(value) > 16 else title_problem(value)
        case "LO" if len(value) > _LONGEST_COMMENT:
            return f"{len(value)} characters: it may have {_LONGEST_COMMENT} (PS3.5 6.2)"
    if tag == _PRIORITY and int.from_bytes(value, "little") not in PRIORITIES:
        return "reserved value: it is 0, 1 or 2 (PS3.7 E.1)"
    return ""


def _missing(elements: Mapping[int, bytes]) -> str:
    """What the command set as a whole lacks."""
    found = []
    if 0 not in elements:
        found.append("no Command Group Length (0000,0000) (PS3.7 6.3.1)")
    if _COMMAND_FIELD not in elements:
        return "; ".join(
            [*found, "no Command Field (0000,0100): nothing says which message it is (PS3.7 E.1)"]
        )
    field = int.from_bytes(elements[_COMMAND_FIELD], "little")
    mandatory = _MANDATORY.get(field)
    if mandatory is None:
        return "; ".join([*found, f"Command Field {field:04X}H is none of PS3.7 E.1"])
    clause = _CLAUSES[field & 0x7FFF]
    absent = [keyword_of(tag) for tag in mandatory if tag not in elements]
    empty = [keyword_of(tag) for tag in mandatory if tag in elements and not elements[tag]]
    if absent:
        found.append(f"missing: {', '.join(absent)} (PS3.7 {clause})")
    if empty:
        found.append(f"without a value: {', '.join(empty)} (PS3.7 {clause})")
    return "; ".join(found)


def _value(tag: int, vr: str, value: bytes) -> tuple[str, str]:
    """An element's value for a person, and what it stands for."""
    match vr:
        case "UI":
            uid = printable(value.rstrip(b"\0 ").decode("latin-1"))
            return shorten(uid, 128), uid_name(uid)
        case "UL" if len(value) == 4:
            return str(int.from_bytes(value, "little")), "bytes that follow" if tag == 0 else ""
        case "US" if len(value) == 2:
            return _number(tag, int.from_bytes(value, "little"))
        case "AT":
            return shorten(" ".join(tags_of(value[:128])), 128), ""
        case "AE" | "LO":
            return f"'{shorten(printable(value[:256].decode('latin-1')))}'", ""
    return value_text(value, vr, "<") if vr else shown(value), ""


def _number(tag: int, value: int) -> tuple[str, str]:
    match tag:
        case 0x0100:
            return f"{value:04X}H", command_name(value)
        case 0x0700:
            return f"{value:04X}H", PRIORITIES.get(value, "reserved")
        case 0x0800:
            return f"{value:04X}H", "no data set" if value == NO_DATA_SET else "a data set follows"
        case 0x0900:
            return f"{value:04X}H", describe(value)
    return str(value), ""


def command_name(field: int) -> str:
    """The message that a Command Field stands for; "unknown" for none."""
    try:
        return CommandField(field).label
    except ValueError:
        return "unknown"


def has_data_set(elements: Mapping[int, bytes]) -> bool:
    """Whether a data set follows a command set of these elements (PS3.7 E.1)."""
    value = elements.get(_DATA_SET_TYPE, b"")
    return len(value) == 2 and int.from_bytes(value, "little") != NO_DATA_SET


def command_summary(data: bytes) -> str:
    """A whole command set in a few words: "C-STORE-RSP, answers Message ID 3, status 0000H"."""
    elements = command_elements(data)
    if _COMMAND_FIELD not in elements:
        return "the end of a command set"
    parts = [command_name(int.from_bytes(elements[_COMMAND_FIELD], "little"))]
    for number, name in ((0x0110, "Message ID"), (0x0120, "answers Message ID")):
        if len(elements.get(number, b"")) == 2:
            parts.append(f"{name} {int.from_bytes(elements[number], 'little')}")
    if len(elements.get(_STATUS, b"")) == 2:
        parts.append(f"status {int.from_bytes(elements[_STATUS], 'little'):04X}H")
    return ", ".join(parts)
