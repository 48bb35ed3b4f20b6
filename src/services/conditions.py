"""Conditions on one value that an index can translate: the part of a key that needs no Python.

A condition never leaves out a match. Where it lets through more than the key does, `Described.exact` is False
and the rest is filtered by the matcher itself. This file imports nothing of ours: an index may know it.
"""

from enum import Enum
from typing import TypeAlias

from msgspec import Struct

ESCAPE = "\\"
"""Before a `%`, a `_` or itself in a `Like`, it stands for the character (never part of a single DICOM value)."""


class Form(Enum):
    """What a condition is compared with."""

    TEXT = "text"  # the decoded value without its padding
    NAME = "name"  # each component group as `normal_forms.name_groups` has it: at least one fulfils the condition
    DATE = "date"  # `normal_forms.date` of it
    TIME = "time"  # `normal_forms.time` of it


class Always(Struct, frozen=True, tag=True):
    """Every value, the empty one too."""


class Never(Struct, frozen=True, tag=True):
    """No value."""


class Equals(Struct, frozen=True, tag=True):
    """This value, by every character."""

    value: str


class OneOf(Struct, frozen=True, tag=True):
    """One of these values."""

    values: tuple[str, ...]


class Like(Struct, frozen=True, tag=True):
    """A pattern of SQL's LIKE, with regard to case, with `ESCAPE`; at most four `%`, so that it stays cheap."""

    pattern: str


class Between(Struct, frozen=True, tag=True):
    """From `low` to `high`, both included, by character (collation "C"); None is open. Never the empty value."""

    low: str | None
    high: str | None


class AnyOf(Struct, frozen=True, tag=True):
    """At least one of these."""

    conditions: tuple["Condition", ...]


Condition: TypeAlias = Always | Never | Equals | OneOf | Like | Between | AnyOf


class Described(Struct, frozen=True):
    """A key as an index sees it.

    Attributes:
        condition: what each match fulfils. Of an attribute with several values, at least one value does.
        exact: whether what fulfils it is a match; otherwise ask the matcher too.
        form: of the column it is for.
    """

    condition: Condition
    exact: bool = True
    form: Form = Form.TEXT


def any_of(conditions: list[Condition]) -> Condition:
    """The simplest condition for at least one of several."""
    if any(isinstance(each, Always) for each in conditions):
        return Always()
    kept = [each for each in dict.fromkeys(conditions) if not isinstance(each, Never)]
    if not kept:
        return Never()
    if len(kept) == 1:
        return kept[0]
    if all(isinstance(each, Equals) for each in kept):
        return OneOf(tuple(each.value for each in kept if isinstance(each, Equals)))
    return AnyOf(tuple(kept))


def escaped(text: str) -> str:
    """A text that stands for itself in a `Like`."""
    return text.replace(ESCAPE, ESCAPE * 2).replace("%", ESCAPE + "%").replace("_", ESCAPE + "_")
