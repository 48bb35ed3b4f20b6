"""Command sets as bytes: group 0000 in Implicit VR Little Endian (PS3.7 6.3.1).

Encoding is by the book: group length right, elements ascending, every mandatory element there, even lengths.
Decoding takes what can still be answered. The group length is not looked at, elements that the message does
not have (retired ones among them) are skipped, padding is dropped, an empty element is a missing one, a
Priority missing or reserved is medium. What makes the bytes ambiguous is refused: elements out of order,
repeated, running past the end, or of another group. Knows nothing of fragments, contexts or data sets.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from dimse.enums import NO_DATA_SET, CommandField, Priority
from dimse.errors import InvalidCommandSet
from dimse.messages import MESSAGES, CCancelRQ, Element, Message, RefusalRSP, Request, Response, elements_of
from dimse.status import MISTYPED_ARGUMENT, UNRECOGNIZED_OPERATION

_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_COMMAND_DATA_SET_TYPE = 0x0800

_ELEMENT_HEADER = struct.Struct("<HHL")
_ELEMENT_HEADER_LENGTH = 8
_GROUP_LENGTH = struct.Struct("<HHLL")
_US_ELEMENT = struct.Struct("<HHLH")
_TAG = struct.Struct("<HH")

_PRIORITIES = {bytes((p.value, 0)): p for p in Priority}


# -- encoding


class _Writer(NamedTuple):
    """One element of a message, as `encode_command_set` walks them."""

    field: str
    element: Element
    write: Callable[[int, Any], bytes]


def encode_command_set(message: Message) -> bytes:
    """The command set of a message, group length included.

    Args:
        message: fields that are None or empty are left out.

    Raises:
        ValueError: a mandatory field is missing, or a value cannot be encoded: a number outside
            0000H to FFFFH, a tag outside 32 bits, text that is not Latin-1.
    """
    elements = []
    for field, element, write in _WRITERS[type(message)]:
        value = getattr(message, field)
        if not value and value != 0:
            if element.usage == "M":
                raise ValueError(f"{_label(message)} must have {field} (0000,{element.tag:04X}) and has none")
            continue
        try:
            elements.append(write(element.tag, value))
        except (struct.error, UnicodeEncodeError) as error:
            raise ValueError(
                f"{_label(message)}: {field} = {value!r} is no value of VR {element.vr}: {error}"
            ) from error
    body = b"".join(elements)
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def _label(message: Message) -> str:
    field = message.command_field
    return field.label if isinstance(field, CommandField) else f"message {field:04X}H"


def _write_number(tag: int, value: int) -> bytes:
    return _US_ELEMENT.pack(0, tag, 2, value)


def _write_uid(tag: int, value: str) -> bytes:
    data = value.encode("latin-1")
    if len(data) & 1:
        data += b"\0"
    return _ELEMENT_HEADER.pack(0, tag, len(data)) + data


def _write_text(tag: int, value: str) -> bytes:
    data = value.encode("latin-1")
    if len(data) & 1:
        data += b" "
    return _ELEMENT_HEADER.pack(0, tag, len(data)) + data


def _write_tags(tag: int, value: tuple[int, ...]) -> bytes:
    data = b"".join([_TAG.pack(each >> 16, each & 0xFFFF) for each in value])
    return _ELEMENT_HEADER.pack(0, tag, len(data)) + data


_WRITE: dict[str, Callable[[int, Any], bytes]] = {
    "US": _write_number,
    "UI": _write_uid,
    "AE": _write_text,
    "LO": _write_text,
    "AT": _write_tags,
}


def _writers(message_class: type[Message]) -> tuple[_Writer, ...]:
    elements = elements_of(message_class)
    if message_class is not RefusalRSP:
        elements["command_field"] = Element(_COMMAND_FIELD, "US", "M")
    ascending = sorted(elements.items(), key=lambda item: item[1].tag)
    return tuple(_Writer(field, element, _WRITE[element.vr]) for field, element in ascending)


_WRITERS: dict[type[Message], tuple[_Writer, ...]] = {
    message_class: _writers(message_class) for message_class in (*MESSAGES, RefusalRSP)
}


# -- decoding


class _Reader(NamedTuple):
    """One element of a message, as `decode_command_set` looks for it."""

    field: str
    read: Callable[[bytes], Any]


class _Plan(NamedTuple):
    """How to read the messages of one Command Field."""

    message_class: type[Request] | type[Response] | type[CCancelRQ]
    readers: dict[int, _Reader]
    missing: dict[str, Any]  # the value of each field whose element is not there
    essential: tuple[str, ...]


def decode_command_set(data: bytes | bytearray | memoryview) -> Message:
    """The message whose command set this is.

    Args:
        data: one whole command set.

    Returns:
        A `Request`, a `Response` or a `CCancelRQ`. What is missing or empty in it is None.

    Raises:
        InvalidCommandSet: it cannot be read, or names no message. Where it is a request whose Message ID
            could be read, its `refusal` answers it.
    """
    values = _split(bytes(data))
    command_field = _essential_number(values, _COMMAND_FIELD)
    has_data_set = _essential_number(values, _COMMAND_DATA_SET_TYPE) != NO_DATA_SET
    plan = _PLANS.get(command_field)
    if plan is None:
        raise InvalidCommandSet(
            f"Command Field {command_field:04X}H is no operation",
            message_id=_number_or_none(values, _MESSAGE_ID),
            command_field=command_field,
            has_data_set=has_data_set,
            status=UNRECOGNIZED_OPERATION,
        )
    reader_of = plan.readers.get
    fields = plan.missing.copy()
    try:
        for tag, value in values.items():
            if (reader := reader_of(tag)) is not None:
                fields[reader[0]] = reader[1](value)
    except ValueError as error:
        raise InvalidCommandSet(
            f"(0000,{tag:04X}) {plan.readers[tag].field}: {error}",
            message_id=_number_or_none(values, _MESSAGE_ID),
            command_field=command_field,
            has_data_set=has_data_set,
            status=MISTYPED_ARGUMENT,
        ) from None
    for field in plan.essential:
        if fields[field] is None:
            raise InvalidCommandSet(f"{CommandField(command_field).label} without {field}")
    if has_data_set and plan.message_class is CCancelRQ:
        raise InvalidCommandSet("C-CANCEL-RQ with a data set (PS3.7 9.3.2.3)")
    return plan.message_class(**fields)


def _split(data: bytes) -> dict[int, bytes]:
    """Values by element number."""
    values: dict[int, bytes] = {}
    end = len(data)
    start = 0
    previous = -1
    unpack = _ELEMENT_HEADER.unpack_from
    while end - start >= _ELEMENT_HEADER_LENGTH:
        group, number, length = unpack(data, start)
        start += _ELEMENT_HEADER_LENGTH
        if group:
            raise InvalidCommandSet(f"({group:04X},{number:04X}) in a command set, which is group 0000 only")
        if number <= previous:
            raise InvalidCommandSet(f"(0000,{number:04X}) after (0000,{previous:04X}): not ascending")
        if length > end - start:
            raise InvalidCommandSet(
                f"(0000,{number:04X}) of {length} bytes where {end - start} are left: truncated, "
                "or not Implicit VR Little Endian"
            )
        values[number] = data[start : start + length]
        start += length
        previous = number
    if start != end:
        raise InvalidCommandSet(f"{end - start} bytes after the last element, too few for another")
    return values


def _essential_number(values: dict[int, bytes], tag: int) -> int:
    """The number without which nothing can be said of the rest."""
    number = _number_or_none(values, tag)
    if number is None:
        raise InvalidCommandSet(f"(0000,{tag:04X}) is missing or no number of 2 bytes")
    return number


def _number_or_none(values: dict[int, bytes], tag: int) -> int | None:
    value = values.get(tag, b"")
    return value[0] | value[1] << 8 if len(value) == 2 else None


def _read_number(value: bytes) -> int | None:
    if len(value) == 2:
        return value[0] | value[1] << 8
    if value:
        raise ValueError(f"{len(value)} bytes where a number has 2")
    return None


def _read_priority(value: bytes) -> Priority:
    return _PRIORITIES.get(value, Priority.MEDIUM)


def _read_uid(value: bytes) -> str | None:
    return value.rstrip(b"\0 ").decode("latin-1") or None


def _read_text(value: bytes) -> str | None:
    return value.rstrip(b"\0 ").lstrip(b" ").decode("latin-1") or None


def _read_tags(value: bytes) -> tuple[int, ...] | None:
    if len(value) % 4:
        raise ValueError(f"{len(value)} bytes where each tag has 4")
    return tuple([group << 16 | number for group, number in _TAG.iter_unpack(value)]) or None


_READ: dict[str, Callable[[bytes], Any]] = {
    "US": _read_number,
    "UI": _read_uid,
    "AE": _read_text,
    "LO": _read_text,
    "AT": _read_tags,
}


def _plan(message_class: type[Request] | type[Response] | type[CCancelRQ]) -> _Plan:
    readers = {
        element.tag: _Reader(field, _read_priority if field == "priority" else _READ[element.vr])
        for field, element in elements_of(message_class).items()
    }
    essential: tuple[str, ...] = ("message_id_being_responded_to",)
    if issubclass(message_class, Request):
        essential = ("message_id",)
    elif issubclass(message_class, Response):
        essential = ("message_id_being_responded_to", "status")
    missing = {reader.field: reader.read(b"") for reader in readers.values()}
    return _Plan(message_class, readers, missing, essential)


_PLANS: dict[int, _Plan] = {message_class.command_field: _plan(message_class) for message_class in MESSAGES}
