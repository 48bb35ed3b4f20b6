"""Byte orders, and the open parts of a data set in which a scan stands (PS3.5 7.1, 7.5, A.4).

How the parts follow each other is the scanner's business, not known here.
"""

from enum import Enum, IntEnum, auto
from struct import Struct
from typing import Final

from services.archive.index_attributes import KNOWN_SEQUENCES, is_vr

SHORT_VRS = (
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT",
    "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US",
)  # fmt: skip
"""VRs with a 16-bit length (PS3.5 Table 7.1-2)."""

LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
"""VRs with two reserved bytes and a 32-bit length (PS3.5 Table 7.1-1)."""


class ByteOrder:
    """How headers are unpacked in one byte order. VRs are met as the number their two letters make in it."""

    def __init__(self, prefix: str) -> None:
        number = Struct(prefix + "H").unpack
        self.explicit: Final = Struct(prefix + "HHHH").unpack_from  # group, element, VR, 16-bit length
        self.implicit: Final = Struct(prefix + "HHI").unpack_from  # group, element, length; of Items as well
        self.length: Final = Struct(prefix + "I").unpack_from
        self.short_vrs: Final = frozenset(number(vr.encode())[0] for vr in SHORT_VRS)
        self.long_vrs: Final = frozenset(number(vr.encode())[0] for vr in LONG_VRS)
        self.sq: Final[int] = number(b"SQ")[0]
        self.un: Final[int] = number(b"UN")[0]
        self.item_tag: Final = Struct(prefix + "HH").pack(0xFFFE, 0xE000)


Buffer = bytes | memoryview

UNDEFINED = 0xFFFFFFFF
"""The length of what ends at a delimiter (PS3.5 7.1.3)."""

LONGEST_HEADER = 12
"""Bytes that tell what any element is."""

LITTLE_ENDIAN = ByteOrder("<")
BIG_ENDIAN = ByteOrder(">")


class Kind(IntEnum):
    """What an open part of a data set consists of."""

    DATA_SET = 0  # elements: the data set itself, or an item of a sequence
    SEQUENCE = 1  # items
    FRAGMENTS = 2  # the fragments of an encapsulated pixel value


class Frame:
    """A part of a data set that is open.

    Args:
        kind: what it consists of.
        tag: of the element, or of the sequence the item belongs to.
        order: its byte order.
        implicit: its elements, or those of its items, are in Implicit VR.
        sniff: whether that has still to be seen from the first element (of each item).
        end: where it must have ended, in bytes from the start of the data set.
        defined: it has a length and ends at `end`; otherwise a delimiter must come before.
    """

    __slots__ = ("defined", "end", "implicit", "kind", "order", "sniff", "tag")

    def __init__(
        self, kind: Kind, tag: int, order: ByteOrder, *, implicit: bool, sniff: bool, end: int, defined: bool
    ) -> None:
        self.kind = kind
        self.tag = tag
        self.order = order
        self.implicit = implicit
        self.sniff = sniff
        self.end = end
        self.defined = defined

    def __str__(self) -> str:
        if not self.tag:
            return "the data set"
        what = {
            Kind.DATA_SET: "an item of ",
            Kind.SEQUENCE: "the sequence ",
            Kind.FRAGMENTS: "the fragments of ",
        }
        return what[self.kind] + name_of(self.tag)


class Nature(Enum):
    """What the header of an element says of its value."""

    PLAIN = auto()
    UNKNOWN = auto()  # VR UN
    SEQUENCE = auto()


def element_header(frame: Frame, tag: int, buffer: Buffer, position: int) -> tuple[int, int, Nature] | None:
    """Read the header of an element, of which at least 8 bytes are in the buffer.

    A VR that nobody knows is taken for one with a 16-bit length. Bytes that cannot be a VR mean an element in
    Implicit VR, as some writers put them between explicit ones. Implicit VR does not say what is a sequence:
    the dictionary does, and the value must start with an Item.

    Returns:
        where the value starts, its length (which may be `UNDEFINED`) and what it is; None when more of the
        header must come first.
    """
    order = frame.order
    if not frame.implicit:
        _, _, vr, short_length = order.explicit(buffer, position)
        if vr in order.long_vrs:
            content = position + LONGEST_HEADER
            if content > len(buffer):
                return None
            (length,) = order.length(buffer, position + 8)
            nature = Nature.SEQUENCE if vr == order.sq else Nature.PLAIN
            return content, length, Nature.UNKNOWN if vr == order.un else nature
        if vr in order.short_vrs or is_vr(bytes(buffer[position + 4 : position + 6])):
            return position + 8, short_length, Nature.PLAIN
    content = position + 8
    _, _, length = order.implicit(buffer, position)
    if length == UNDEFINED:
        return content, length, Nature.SEQUENCE
    if tag not in KNOWN_SEQUENCES or length < 8:
        return content, length, Nature.PLAIN
    if content + 4 > len(buffer):
        return None
    is_sequence = buffer[content : content + 4] == order.item_tag
    return content, length, Nature.SEQUENCE if is_sequence else Nature.PLAIN


def name_of(tag: int) -> str:
    """A tag as the standard writes it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def header_at(frame: Frame, buffer: Buffer, position: int) -> tuple[int, int]:
    """Tag and length in a header, read as that of a plain element."""
    if frame.implicit:
        group, element, length = frame.order.implicit(buffer, position)
    else:
        group, element, _, length = frame.order.explicit(buffer, position)
    return group << 16 | element, length
