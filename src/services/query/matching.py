"""Attribute matching: what a key says, and whether a stored value is what it asks for (PS3.4 C.2.2.2).

`matcher` reads a key; what it returns has `matches(stored)` for decoded values, and `describe()` for an index. Stored
values are text, a backslash between several of them: one that matches is enough (PS3.4 C.2.2.3). An empty stored
value is matched by universal matching and by empty value matching, and by nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Protocol, TypeAlias

from msgspec import Struct

from services.conditions import Always, Described, Equals, any_of
from services.query.dates import InvalidKey, dates, moments, times
from services.query.options import Options
from services.query.person_names import fuzzy_name, name
from services.query.wildcards import Pattern, has_wildcards

Stored: TypeAlias = "str | Sequence[Mapping[str, Stored]]"
"""A value as an index keeps it: text, or the items of a sequence by tag (`00400007`)."""

WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
TEXT_VRS = frozenset({"LT", "ST", "UT"})
"""One value each, in which a backslash is a character and leading spaces count (PS3.5 6.2)."""
NUMBER_VRS = frozenset({"DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})

LONGEST_PATTERN = 1024
"""Characters of a key with wild cards: no value that can be stored in a LO or PN is as long."""

MOST_VALUES = 100
"""Values of a key that are more than compared by every character: each one is tried on each record."""

_EMPTY_VALUE = '""'
_PADDING = " \0"


class Matcher(Protocol):
    """A key with a value."""

    def matches(self, stored: str) -> bool:
        """Whether a stored value, or one of several, is one that the key asks for."""

    def describe(self) -> Described:
        """The key as a condition that an index can translate."""


class Universal(Struct, frozen=True):
    """An empty key, or `*`: everything matches, what is empty too (PS3.4 C.2.2.2.3)."""

    def matches(self, stored: str) -> bool:
        return True

    def describe(self) -> Described:
        return Described(Always())


class Empty(Struct, frozen=True):
    """Two quotation marks, where that was negotiated: what has no value (PS3.4 C.2.2.2.7)."""

    def matches(self, stored: str) -> bool:
        return not stored.strip(_PADDING)

    def describe(self) -> Described:
        return Described(Equals(""))


class Literals(Struct, frozen=True):
    """Values that match by every character: one (PS3.4 C.2.2.2.1), or a list of UIDs (PS3.4 C.2.2.2.2).

    Attributes:
        values: in the order they came.
        among: the same, to look in.
    """

    values: tuple[str, ...]
    among: frozenset[str]

    def matches(self, stored: str) -> bool:
        if "\\" not in stored:
            return stored.strip(_PADDING) in self.among
        return any(value.strip(_PADDING) in self.among for value in stored.split("\\"))

    def describe(self) -> Described:
        return Described(any_of([Equals(value) for value in self.values]))


class Exactly(Struct, frozen=True):
    """A single value by every character, beside others with wild cards."""

    value: str

    def matches(self, stored: str) -> bool:
        return stored == self.value

    def describe(self) -> Described:
        return Described(Equals(self.value))


class Number(Struct, frozen=True):
    """A number, however it is written: 1 is 01 and 1.0."""

    value: Decimal

    def matches(self, stored: str) -> bool:
        return _number(stored) == self.value

    def describe(self) -> Described:
        return Described(Always(), exact=False)


class Wildcard(Struct, frozen=True):
    """A value with `*` or `?` (PS3.4 C.2.2.2.4)."""

    pattern: Pattern

    def matches(self, stored: str) -> bool:
        return self.pattern.matches(stored)

    def describe(self) -> Described:
        condition, exact = self.pattern.condition()
        return Described(condition, exact)


class Values(Struct, frozen=True):
    """A key over attributes that may have several values, with one matcher for each of its own.

    A key with several values matches what one of them does, whatever its VR.
    """

    matchers: tuple[Matcher, ...]

    def matches(self, stored: str) -> bool:
        values = [value.strip(_PADDING) for value in stored.split("\\")]
        return any(matcher.matches(value) for matcher in self.matchers for value in values)

    def describe(self) -> Described:
        described = [matcher.describe() for matcher in self.matchers]
        return Described(
            any_of([each.condition for each in described]),
            all(each.exact for each in described),
            described[0].form,
        )


class Text(Struct, frozen=True):
    """A key over an attribute of one long text."""

    matcher: Matcher

    def matches(self, stored: str) -> bool:
        return self.matcher.matches(stored.rstrip(_PADDING))

    def describe(self) -> Described:
        return self.matcher.describe()


UNIVERSAL = Universal()
_EMPTY = Empty()
_NOT_NEGOTIATED = Options()


def matcher(vr: str, value: str, options: Options = _NOT_NEGOTIATED) -> Matcher:
    """What a key's value asks for.

    Args:
        vr: of the attribute, not SQ.
        value: decoded, with or without padding, a backslash between several values.
        options: what was negotiated.

    Raises:
        InvalidKey: a date, time, or date-time, or a range of them, that is none; too long a pattern; too many values.
    """
    value = value.rstrip(_PADDING) if vr in TEXT_VRS else value.strip(_PADDING)
    if not value or (vr in WILDCARD_VRS and not value.strip("*")):
        return UNIVERSAL
    if options.universal_star and value == "*":
        return UNIVERSAL
    if options.empty_values and value == _EMPTY_VALUE:
        return _EMPTY
    if len(value) > LONGEST_PATTERN and vr in WILDCARD_VRS and has_wildcards(value):
        raise InvalidKey(f"over {LONGEST_PATTERN} characters with wild cards")
    if vr in TEXT_VRS:
        return Text(_literal(value))
    make = _maker(vr, options)
    parts = [part for part in (each.strip(_PADDING) for each in value.split("\\")) if part]
    if not parts:
        return UNIVERSAL
    matchers = tuple(make(part) for part in parts)
    if all(isinstance(each, Exactly) for each in matchers):
        return Literals(tuple(parts), frozenset(parts))
    if len(matchers) > MOST_VALUES:
        raise InvalidKey(f"{len(matchers)} values, over {MOST_VALUES}")
    return Values(matchers)


def match_items(
    keys: Mapping[str, "Matcher | ItemKeys"], items: Sequence[Mapping[str, Stored]]
) -> list[Mapping[str, Stored]]:
    """The items of a sequence that match all the keys of an item (PS3.4 C.2.2.2.6)."""
    return [item for item in items if all(_in_item(tag, key, item) for tag, key in keys.items())]


class ItemKeys(Struct, frozen=True):
    """Sequence matching: the keys of the one item of a sequence.

    Attributes:
        keys: by tag (`00400007`).
    """

    keys: Mapping[str, "Matcher | ItemKeys"]

    def matches(self, stored: Stored) -> bool:
        """Whether at least one item matches; without a key that asks for something, everything does."""
        if self.is_universal:
            return True
        return not isinstance(stored, str) and bool(match_items(self.keys, stored))

    @property
    def is_universal(self) -> bool:
        """Whether no key in it asks for anything."""
        return all(
            key.is_universal if isinstance(key, ItemKeys) else isinstance(key, Universal)
            for key in self.keys.values()
        )

    def describe(self) -> Described:
        return Described(Always(), exact=self.is_universal)


def _in_item(tag: str, key: "Matcher | ItemKeys", item: Mapping[str, Stored]) -> bool:
    stored = item.get(tag, "")
    if isinstance(key, ItemKeys):
        return key.matches(stored)
    return isinstance(stored, str) and key.matches(stored)


def _maker(vr: str, options: Options) -> Callable[[str], Matcher]:
    match vr:
        case "PN":
            return fuzzy_name if options.fuzzy else name
        case "DA":
            return dates
        case "TM":
            return times
        case "DT":
            return moments
    if vr in NUMBER_VRS:
        return _as_number
    return _literal if vr in WILDCARD_VRS else Exactly


def _literal(value: str) -> Matcher:
    return Wildcard(Pattern(value)) if has_wildcards(value) else Exactly(value)


def _as_number(value: str) -> Matcher:
    number = _number(value)
    return Exactly(value) if number is None else Number(number)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip(_PADDING))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
