"""Walks over bytes and makes fields of them, so that every byte becomes part of exactly one leaf."""

from msgspec.structs import replace

from services.trace.fields import Field
from services.trace.texts import Text, text_of

SHOWN = 32
"""Bytes of an opaque value that are shown."""

MOST_FIELDS = 40_000
"""Fields made of one PDU; the largest request anybody means, 128 contexts of 40 transfer syntaxes, has fewer."""


class _Budget:
    """How many fields may still be made, by all cursors over the same bytes together."""

    def __init__(self, left: int) -> None:
        self.left = left


class Cursor:
    """A position in bytes, which never goes beyond `end`.

    Args:
        raw: the bytes.
        position: index of the first byte to take.
        end: index after the last byte that may be taken.
        base: what the offset of a field has beyond the index of its first byte.
        kind: type of the PDU or item whose bytes these are, by which names are explained; 0 for none.
        budget: shared with the cursor this one was made from.

    Attributes:
        fields: what was made so far.
    """

    def __init__(
        self,
        raw: bytes,
        position: int,
        end: int,
        *,
        base: int = 0,
        kind: int = 0,
        budget: _Budget | None = None,
    ) -> None:
        self.raw = raw
        self.position = position
        self.end = min(end, len(raw))
        self.base = base
        self.kind = kind
        self.fields: list[Field] = []
        self._budget = budget or _Budget(MOST_FIELDS)

    @property
    def left(self) -> int:
        """Bytes that are not taken yet."""
        return max(0, self.end - self.position)

    @property
    def is_spent(self) -> bool:
        """As many fields were made as anybody reads: what is left has to become one."""
        return self._budget.left <= 0

    def peek(self, length: int, skip: int = 0) -> bytes:
        """The next bytes, as far as they are there, without taking them."""
        return self.raw[self.position + skip : min(self.position + skip + length, self.end)]

    def number(self, length: int, skip: int = 0) -> int:
        """The next bytes as an unsigned big-endian number, without taking them."""
        return int.from_bytes(self.peek(length, skip))

    def take(self, length: int, name: str, value: str = "", *, meaning: str = "", problem: str = "") -> bytes:
        """Make the next bytes a leaf, fewer where fewer are left, and return them.

        Where there should be some and none are left, no field is made: it is not there.
        """
        if length and not self.left:
            return b""
        length = max(0, min(length, self.left))
        data = self.raw[self.position : self.position + length]
        clause, explanation = text_of(name, self.kind)
        self.fields.append(
            Field(
                offset=self.base + self.position,
                length=length,
                name=name,
                value=value or shown(data),
                meaning=meaning,
                clause=clause,
                explanation=explanation,
                problem=problem,
            )
        )
        self._budget.left -= 1
        self.position += length
        return data

    def take_rest(self, name: str, value: str = "", *, problem: str = "") -> None:
        """Make all that is left a leaf; none where nothing is left."""
        if self.left:
            self.take(self.left, name, value, problem=problem)

    def group(
        self,
        name: str,
        inside: "Cursor",
        *,
        value: str = "",
        meaning: str = "",
        problem: str = "",
        text: Text | None = None,
    ) -> None:
        """Make everything between here and where `inside` ends a group of its fields.

        Args:
            text: explains it, where its name does not.
        """
        inside.rest()
        clause, explanation = text or text_of(name, inside.kind)
        self.fields.append(
            Field(
                offset=self.base + self.position,
                length=inside.position - self.position,
                name=name,
                value=value,
                meaning=meaning,
                clause=clause,
                explanation=explanation,
                problem=problem,
                children=tuple(inside.fields),
            )
        )
        self._budget.left -= 1
        self.position = inside.position

    def inside(self, length: int, kind: int = 0) -> "Cursor":
        """A cursor over the next `length` bytes, or what is left of them.

        Args:
            kind: type of the item they are; that of this cursor where it is 0.
        """
        end = min(self.position + max(0, length), self.end)
        return Cursor(
            self.raw, self.position, end, base=self.base, kind=kind or self.kind, budget=self._budget
        )

    def reserved(self, length: int = 1) -> None:
        """Take reserved bytes."""
        self.take(length, "Reserved")

    def rest(self, problem: str = "bytes that belong to no field (PS3.8 9.3.1)", value: str = "") -> None:
        """Make what is left one leaf, which should not be there; unless it is there because nobody reads as far."""
        if self.is_spent:
            self.take_rest("Not shown", f"{self.left} bytes")
        else:
            self.take_rest("Surplus bytes", value, problem=problem)

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


def hidden(data: bytes) -> str:
    """What is shown instead of bytes that prove who somebody is."""
    return f"<{len(data)} bytes, not shown>"
