"""P-DATA-TF and the command sets in it (PS3.8 9.3.5, Annex E; PS3.7 6.3, Annex E)."""

import struct
from collections.abc import Mapping

from dimse.enums import CommandField, Priority
from dimse.messages import MESSAGES, Element, elements_of
from dimse.status import describe
from dul.pdus import PDV, PDataTF
from services.printable import printable, shorten
from services.trace.cursor import Cursor, shown
from services.trace.fields import Field
from services.trace.names import keyword_of, uid_name, uid_problem
from services.trace.reading import command_elements

_MOST_PDVS = 8192
_COMMAND, _LAST = 1, 2
_NO_DATA_SET = 0x0101
_UIDS = frozenset({0x0002, 0x0003, 0x1000, 0x1001})
_REQUIRED = {cls.command_field: cls for cls in MESSAGES if hasattr(cls, "command_field")}


def dissect_p_data(body: Cursor) -> None:
    """Take the PDVs apart; bytes that make none are left."""
    while body.left >= 4 and len(body.fields) < _MOST_PDVS:
        length = body.number(4)
        inside = body.inside(4 + length)
        problem = ""
        if length < 2:
            problem = f"PDV-item-length {length}: context id and control header alone are 2 (PS3.8 9.3.5.1)"
        elif length + 4 > body.left:
            problem = f"PDV-item-length {length} goes beyond the PDU (PS3.8 9.3.5.1)"
        inside.take(4, "PDV-item-length", str(length), problem=problem)
        if not inside.left:
            body.group("PDV", inside)
            continue
        number = inside.number(1)
        even = "" if number & 1 else f"presentation context id {number}: it is odd (PS3.8 9.3.2.2)"
        inside.take(1, "Presentation-context-ID", str(number), problem=even)
        header = inside.number(1)
        inside.take(1, "Message-control-header", f"{header:02X}H", meaning=_header(header))
        _fragment(inside, header, whole=not problem)
        body.group("PDV", inside, meaning=f"context {number}, {_header(header)}")
    body.rest("bytes that are no PDV (PS3.8 9.3.5.1)")


def _header(header: int) -> str:
    kind = "command" if header & _COMMAND else "data"
    return f"{kind}, last fragment" if header & _LAST else f"{kind}, more follow"


def _fragment(inside: Cursor, header: int, *, whole: bool) -> None:
    odd = f"fragment of {inside.left} bytes: its length is even (PS3.8 E.1)" if inside.left & 1 else ""
    if header & _COMMAND and header & _LAST and whole and _begins_a_command(inside):
        command = Cursor(inside.raw, inside.position, inside.end)
        _command(command)
        inside.group("Fragment", command, meaning="a whole command set", problem=odd)
    elif inside.left:
        inside.take(inside.left, "Fragment", problem=odd)


def _begins_a_command(inside: Cursor) -> bool:
    """A command begins with element (0000,0000) or, where that is missing, with another one of group 0000."""
    return inside.peek(2) == b"\0\0" and len(inside.peek(8)) == 8


def dissect_command(data: bytes, offset: int = 0) -> tuple[Field, ...]:
    """Take a command set apart, element by element.

    Args:
        data: the command set.
        offset: what to add to the offset of each field.
    """
    padded = bytes(offset) + data
    cursor = Cursor(padded, offset, len(padded))
    _command(cursor)
    cursor.rest()
    return tuple(cursor.fields)


def _command(cursor: Cursor) -> None:
    start, earlier = cursor.position, -1
    elements = command_elements(cursor.raw[cursor.position : cursor.end])
    while cursor.left >= 8:
        group, number, length = struct.unpack("<HHI", cursor.peek(8))
        inside = cursor.inside(8 + length)
        problem = ""
        if length + 8 > cursor.left:
            problem = f"value length {length} goes beyond the command set (PS3.7 6.3.1)"
        elif group:
            problem = f"group {group:04X}H in a command set (PS3.7 6.3.1)"
        elif number <= earlier:
            problem = "elements are not in ascending order, or one is there twice (PS3.7 6.3.1)"
        elif length & 1:
            problem = f"value length {length}: it is even (PS3.5 7.1.1)"
        tag = group << 16 | number
        inside.take(4, "Tag", f"({group:04X},{number:04X})", meaning=keyword_of(tag))
        inside.take(4, "Value-length", str(length))
        value = inside.peek(inside.left)
        text, meaning = _value(number, value)
        wrong = uid_problem(value) if number in _UIDS and value and not group else ""
        if number == 0 and not group:
            wrong = _group_length(value, cursor, start)
        if inside.left:
            inside.take(inside.left, "Value", text, meaning=meaning, problem=wrong)
        name = f"({group:04X},{number:04X}) {keyword_of(tag) or 'unknown element'}"
        cursor.group(name, inside, value=text, meaning=meaning, problem=problem, clause="PS3.7 Annex E")
        earlier = number if not group else earlier
    cursor.rest("bytes that are no element (PS3.7 6.3.1)")
    missing = _missing(elements)
    if missing and cursor.fields:
        cursor.mend(missing)


def _group_length(value: bytes, cursor: Cursor, start: int) -> str:
    if len(value) != 4:
        return "a group length of other than 4 bytes (PS3.7 6.3.1)"
    stated, there = struct.unpack("<I", value)[0], cursor.end - start - 12
    return "" if stated == there else f"group length {stated}, and {there} bytes follow (PS3.7 6.3.1)"


def _missing(elements: Mapping[int, bytes]) -> str:
    if 0 not in elements:
        return "no Command Group Length (0000,0000) (PS3.7 6.3.1)"
    field = int.from_bytes(elements.get(0x0100, b""), "little")
    message = _REQUIRED.get(field)  # type: ignore[call-overload]
    if message is None:
        return f"Command Field {field:04X}H is none of PS3.7 Annex E"
    required: list[Element] = [e for e in elements_of(message).values() if e.usage == "M"]
    missing = [keyword_of(e.tag) or f"{e.tag:04X}" for e in required if e.tag not in elements]
    return f"missing: {', '.join(missing)} (PS3.7 9.3, 10.3)" if missing else ""


def _value(number: int, value: bytes) -> tuple[str, str]:
    """An element's value for a person, and what it stands for."""
    if number in _UIDS or number == 0x0003:
        uid = printable(value.rstrip(b"\0 ").decode("latin-1"))
        return shorten(uid, 128), uid_name(uid)
    if number == 0 and len(value) == 4:
        return str(struct.unpack("<I", value)[0]), "bytes that follow"
    if len(value) == 2 and number not in (0x0902, 0x1030, 0x0600):
        return _us(number, struct.unpack("<H", value)[0])
    if number in (0x0901, 0x1005):
        tags = [struct.unpack("<HH", value[i : i + 4]) for i in range(0, len(value) - 3, 4)]
        return " ".join(f"({g:04X},{e:04X})" for g, e in tags), ""
    if number in (0x0600, 0x0902, 0x1030):
        return f"'{shorten(printable(value.decode('latin-1')))}'", ""
    return shown(value), ""


def _us(number: int, value: int) -> tuple[str, str]:
    match number:
        case 0x0100:
            return f"{value:04X}H", _command_name(value)
        case 0x0700:
            return f"{value:04X}H", Priority(value).name.lower() if value <= 2 else "reserved"
        case 0x0800:
            return f"{value:04X}H", "no data set" if value == _NO_DATA_SET else "a data set follows"
        case 0x0900:
            return f"{value:04X}H", describe(value)
        case _:
            return str(value), ""


def _command_name(field: int) -> str:
    try:
        return CommandField(field).label
    except ValueError:
        return "unknown"


def p_data_summary(pdu: PDataTF, abstract_syntaxes: Mapping[int, str]) -> str:
    """What a P-DATA-TF carries, in one line."""
    shown_pdvs = [_pdv_summary(pdv, abstract_syntaxes) for pdv in pdu.pdvs[:3]]
    more = len(pdu.pdvs) - 3
    return "; ".join(shown_pdvs) + (f"; and {more} more PDVs" if more > 0 else "")


def _pdv_summary(pdv: PDV, abstract_syntaxes: Mapping[int, str]) -> str:
    uid = abstract_syntaxes.get(pdv.presentation_context_id, "")
    about = f" ({uid_name(uid) or shorten(printable(uid), 64)})" if uid else ""
    where = f"context {pdv.presentation_context_id}{about}, "
    last = ", last" if pdv.is_last else ""
    if not pdv.is_command:
        return f"{where}data{last}, {len(pdv.data)} bytes"
    if not pdv.is_last:
        return f"{where}command, {len(pdv.data)} bytes, more follow"
    return f"{where}command{last}: {command_summary(bytes(pdv.data))}"


def command_summary(data: bytes) -> str:
    """A whole command set in a few words: "C-STORE-RSP, answers Message ID 3, status 0000H"."""
    elements = command_elements(data)
    field = int.from_bytes(elements.get(0x0100, b""), "little")
    if 0x0100 not in elements:
        return "the end of a command set"
    parts = [_command_name(field)]
    for number, name in ((0x0110, "Message ID"), (0x0120, "answers Message ID")):
        if len(elements.get(number, b"")) == 2:
            parts.append(f"{name} {int.from_bytes(elements[number], 'little')}")
    if len(elements.get(0x0900, b"")) == 2:
        code = int.from_bytes(elements[0x0900], "little")
        parts.append(f"status {code:04X}H")
    return ", ".join(parts)
