"""Wild card matching: `*` for any characters, `?` for exactly one (PS3.4 C.2.2.2.4).

Patterns come from the wire: matching takes time in proportion to pattern and text at most, whatever the pattern.
"""

import re
from collections.abc import Callable

from services.conditions import Equals, Like, escaped

_STARS = 4
"""As many `%` go into a condition; a database may take exponential time for more."""


class Pattern:
    """A value with wild cards.

    Args:
        text: as it stands in the key.
        transform: applied to what lies between the wild cards, and to nothing else: folding a character that
            looks like an asterisk must not make a wild card of it.
    """

    __slots__ = ("_middle", "pieces")

    def __init__(self, text: str, transform: Callable[[str], str] = str) -> None:
        self.pieces: tuple[tuple[str | None, ...], ...] = tuple(
            _piece(part, transform) for part in text.split("*")
        )
        """Between the stars: characters, None where any one may stand."""
        self._middle = tuple(_search(piece) for piece in self.pieces[1:-1])

    def matches(self, text: str) -> bool:
        """Whether the whole text is one that the pattern stands for."""
        first, last = self.pieces[0], self.pieces[-1]
        if len(self.pieces) == 1:
            return len(text) == len(first) and _fits(first, text, 0)
        end = len(text) - len(last)
        if len(first) > end or not _fits(first, text, 0) or not _fits(last, text, end):
            return False
        position = len(first)
        for search in self._middle:
            found = search(text, position, end)  # the leftmost place is as good as any other
            if found is None:
                return False
            position = found.end()
        return True

    def condition(self) -> tuple[Equals | Like, bool]:
        """The pattern for an index, and whether that says all of it."""
        if len(self.pieces) == 1 and None not in self.pieces[0]:
            return Equals("".join(filter(None, self.pieces[0]))), True
        pieces = ["".join("_" if each is None else escaped(each) for each in piece) for piece in self.pieces]
        if len(pieces) - 1 <= _STARS:
            return Like("%".join(pieces)), True
        return Like("%".join((pieces[0], pieces[-1]))), False


def has_wildcards(text: str) -> bool:
    """Whether `*` or `?` is in it."""
    return "*" in text or "?" in text


def _piece(part: str, transform: Callable[[str], str]) -> tuple[str | None, ...]:
    piece: list[str | None] = []
    for index, literal in enumerate(part.split("?")):
        if index:
            piece.append(None)
        piece.extend(transform(literal))
    return tuple(piece)


def _fits(piece: tuple[str | None, ...], text: str, at: int) -> bool:
    return all(each is None or each == text[at + index] for index, each in enumerate(piece))


def _search(piece: tuple[str | None, ...]) -> Callable[[str, int, int], re.Match[str] | None]:
    """Without a repetition in it, an expression takes time in proportion to piece and text at most."""
    expression = "".join("." if each is None else re.escape(each) for each in piece)
    return re.compile(expression, re.DOTALL).search
