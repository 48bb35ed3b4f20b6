"""Walks over bytes and makes fields of them, so that every byte becomes part of exactly one leaf."""

from msgspec.structs import replace

from services.trace.fields import Field
from services.trace.texts import text_of

SHOWN = 32
"""Bytes of an opaque value that are shown."""


class Cursor:
    """A position in `raw`, which never goes beyond `end`.

    Args:
        raw: all bytes of the PDU.
        position: of the first byte to take.
        end: after the last byte that may be taken.

    Attributes:
        fields: what was made so far.
    """

    def __init__(self, raw: bytes, position: int, end: int) -> None:
        self.raw = raw
        self.position = position
        self.end = min(end, len(raw))
        self.fields: list[Field] = []

    @property
    def left(self) -> int:
        """Bytes that are not taken yet."""
        return max(0, self.end - self.position)

    def peek(self, length: int, skip: int = 0) -> bytes:
        """The next bytes, as far as they are there, without taking them."""
        return self.raw[self.position + skip : min(self.position + skip + length, self.end)]

    def number(self, length: int, skip: int = 0) -> int:
        """The next bytes as an unsigned big-endian number, without taking them."""
        return int.from_bytes(self.peek(length, skip))

    def take(
        self,
        length: int,
        name: str,
        value: str = "",
        *,
        meaning: str = "",
        problem: str = "",
        clause: str = "",
        explanation: str = "",
    ) -> bytes:
        """Make the next bytes a leaf, fewer where fewer are left, and return them.

        A name that `texts.FIELDS` explains needs neither clause nor explanation.
        """
        length = max(0, min(length, self.left))
        data = self.raw[self.position : self.position + length]
        text = text_of(name)
        self.fields.append(
            Field(
                offset=self.position,
                length=length,
                name=name,
                value=value or shown(data),
                meaning=meaning,
                clause=clause or text.clause,
                explanation=explanation or text.explanation,
                problem=problem,
            )
        )
        self.position += length
        return data

    def group(
        self,
        name: str,
        inside: "Cursor",
        *,
        value: str = "",
        meaning: str = "",
        problem: str = "",
        clause: str = "",
        explanation: str = "",
    ) -> None:
        """Make everything between here and where `inside` ends a group of its fields."""
        inside.rest()
        text = text_of(name)
        self.fields.append(
            Field(
                offset=self.position,
                length=inside.position - self.position,
                name=name,
                value=value,
                meaning=meaning,
                clause=clause or text.clause,
                explanation=explanation or text.explanation,
                problem=problem,
                children=tuple(inside.fields),
            )
        )
        self.position = inside.position

    def inside(self, length: int) -> "Cursor":
        """A cursor over the next `length` bytes, or what is left of them."""
        return Cursor(self.raw, self.position, min(self.position + max(0, length), self.end))

    def reserved(self, length: int = 1) -> None:
        """Take reserved bytes."""
        if length and self.left:
            self.take(length, "Reserved")

    def rest(self, problem: str = "bytes that belong to no field") -> None:
        """Make what is left one leaf, which should not be there."""
        if self.left:
            self.take(self.left, "Surplus bytes", problem=problem)

    def mend(self, problem: str) -> None:
        """Say what is wrong with the field made last."""
        if problem and self.fields:
            last = self.fields[-1]
            text = f"{last.problem}; {problem}" if last.problem else problem
            self.fields[-1] = replace(last, problem=text)


def shown(data: bytes) -> str:
    """Bytes for a person: in hexadecimal, and no more of them than anybody reads."""
    head = data[:SHOWN].hex(" ").upper()
    return f"{head} … ({len(data)} bytes)" if len(data) > SHOWN else head
