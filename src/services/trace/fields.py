"""What a dissected PDU is made of: fields, each with its bytes, its name, its meaning and its clause."""

from collections.abc import Iterator
from enum import Enum

from msgspec import Struct

from dul.enums import Role
from dul.pdus import AnyPDU


class Side(Enum):
    """Who of the two sent something: the one that requested the association, or the one that accepts it."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"

    @property
    def peer(self) -> "Side":
        """The other side."""
        return Side.ACCEPTOR if self is Side.REQUESTOR else Side.REQUESTOR

    @property
    def role(self) -> Role:
        """The same, as the state machine calls it."""
        return Role.REQUESTOR if self is Side.REQUESTOR else Role.ACCEPTOR


class Field(Struct, frozen=True, kw_only=True):
    """One field of a PDU, or a group of them.

    Attributes:
        offset: of its first byte, counted from the first byte of the PDU.
        length: in bytes; 0 for a field that is there and empty.
        name: the standard's, as "Item-length".
        value: what stands there, for a person: "01H", "16384", "1.2.840.10008.1.1".
        meaning: what that value stands for: "A-ASSOCIATE-RQ", "Verification SOP Class"; empty where it says
            nothing more than the value.
        clause: where the standard defines the field: "PS3.8 9.3.2".
        explanation: one or two sentences for a person who learns.
        problem: what the standard forbids about it, empty where nothing; the clause broken is in the text.
        children: the fields it is made of, in order. They cover its bytes without a gap; a field without children
            is a leaf.
    """

    offset: int
    length: int
    name: str
    value: str = ""
    meaning: str = ""
    clause: str = ""
    explanation: str = ""
    problem: str = ""
    children: tuple["Field", ...] = ()

    @property
    def end(self) -> int:
        """Offset after the last byte."""
        return self.offset + self.length

    def walk(self, depth: int = 0) -> Iterator[tuple[int, "Field"]]:
        """This field and all below it, each with its depth, in the order of their bytes."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


class Dissection(Struct, frozen=True, kw_only=True):
    """One PDU, or bytes that are none, taken apart.

    Attributes:
        raw: all its bytes, header included; what was there of it, where it is incomplete.
        name: "A-ASSOCIATE-RQ", or what stands for it where the type is none of the seven.
        summary: the PDU in one line, without its name: "STORESCU -> ANY-SCP, 3 contexts, maximum length 16384".
        fields: what it is made of; together they cover every byte of `raw` exactly once.
        pdu: as `dul.decode` reads it; None where that refuses it.
        error: why it does; empty where it does not.
    """

    raw: bytes
    name: str
    summary: str
    fields: tuple[Field, ...]
    pdu: AnyPDU | None = None
    error: str = ""

    def walk(self) -> Iterator[tuple[int, Field]]:
        """Every field with its depth, in the order of the bytes."""
        for field in self.fields:
            yield from field.walk()

    @property
    def problems(self) -> list[str]:
        """Everything the standard forbids about it, in the order of the bytes."""
        return [field.problem for _, field in self.walk() if field.problem]
