"""What every item and sub-item is made of: type, length, value; and fields with a 2-byte length (PS3.8 9.3.1).

The pieces from which the decoders are built. Each length is checked against what is left around it, and a text
loses its padding. What the values mean is for the decoders.
"""

from struct import Struct as Layout
from typing import TypeAlias

from dul.errors import InvalidPDU

# 128 contexts, and a few sub-items for each, are all that can be meant; what is more costs time and memory
# before anybody knows who is asking.
_MAXIMUM_ITEMS = 2048
_ITEM_HEADER_LENGTH = 4  # item-type, reserved, item-length

_unpack_item_header = Layout(">BBH").unpack_from

RawItem: TypeAlias = tuple[int, int, bytes]
"""Item-type, second byte (reserved everywhere but in 57H, where it is the version), value."""


def split_items(data: bytes, parent: str) -> list[RawItem]:
    """Cut `data` into items; they must fill it exactly.

    Args:
        data: the items, one after the other.
        parent: what they stand in, for the error.

    Raises:
        InvalidPDU: an item runs over the end, or there are more than anybody needs.
    """
    items = []
    position, end = 0, len(data)
    while position < end:
        value = position + _ITEM_HEADER_LENGTH
        if value > end:
            raise InvalidPDU(f"{parent} ends with {end - position} bytes that are no item")
        item_type, second, length = _unpack_item_header(data, position)
        position = value + length
        if position > end:
            raise InvalidPDU(
                f"item {item_type:02X}H with item-length {length}: the {parent} has {end - value} bytes left"
            )
        items.append((item_type, second, data[value:position]))
        if len(items) > _MAXIMUM_ITEMS:
            raise InvalidPDU(f"{parent} with more than {_MAXIMUM_ITEMS} items: nobody needs as many")
    return items


def field(data: bytes, parent: str) -> tuple[bytes, bytes]:
    """The field that `data` begins with, a 2-byte length and as many bytes; and what comes after it.

    Raises:
        InvalidPDU: it is cut short.
    """
    stop = _field_stop(data, 0, parent)
    return data[2:stop], data[stop:]


def fields(data: bytes, parent: str) -> list[bytes]:
    """Cut `data` into fields with a 2-byte length; they must fill it exactly.

    Raises:
        InvalidPDU: the last one is cut short.
    """
    found = []
    position = 0  # and no slicing of the rest: there can be 32,767
    while position < len(data):
        value = position + 2
        position = _field_stop(data, position, parent)
        found.append(data[value:position])
    return found


def _field_stop(data: bytes, position: int, parent: str) -> int:
    left = len(data) - position
    if left < 2:
        raise InvalidPDU(f"{parent} with {left} bytes where the 2-byte length of a field must be")
    length = int.from_bytes(data[position : position + 2])
    if length > left - 2:
        raise InvalidPDU(f"{parent} with a field of length {length}: it has {left - 2} bytes left")
    return position + 2 + length


def check_end(rest: bytes, parent: str) -> None:
    """Raise InvalidPDU where anything is left after the last field of `parent`."""
    if rest:
        raise InvalidPDU(f"{parent} with {len(rest)} bytes after its last field")


def text(value: bytes) -> str:
    """A UID, or other text, without the padding that some peers add (PS3.8 Annex F)."""
    return value.rstrip(b"\0 ").decode("latin-1")
