"""Conditions of a query as SQL (PS3.4 C.2.2.2): which columns they are about, and what is said of them.

A condition is taken apart twice: its `Shape`, which is all that a statement depends on, and its values, which are only
ever bound. Statements are made of shapes and kept, so that a query whose like was asked before costs no compiling.

What is said in SQL never leaves out a match. It may let through more: `LIKE` knows no case in SQLite, several values
in one are let through whole, and what a database cannot say at all is left out. The caller matches again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Table, Text, and_, false, func, literal_column, or_, select, union_all

from services.archive.index.places import NUMBERS, OF_STUDY, PLACES, Kind, tag_text
from services.archive.index_attributes import SEQUENCE_TAGS
from services.conditions import (
    ESCAPE,
    Always,
    AnyOf,
    Between,
    Condition,
    Described,
    Equals,
    Form,
    Like,
    Never,
    OneOf,
)

MAXIMUM_LIST = 500
"""Values of one list in one statement; a longer list makes several."""

MAXIMUM_ALTERNATIVES = 16
"""Patterns of one key that are said in SQL; a key with more of them is left to the caller."""

LIKE_ESCAPE = "!"
"""Not a backslash, which dialects write in their own ways."""

_SEVERAL_VALUES = "%\\%"
_DATE_LENGTH = 8
_LAST_CHARACTER, _SURROGATES = 0x10FFFF, (0xD800, 0xE000)

Shape: TypeAlias = tuple[Any, ...]
"""What is said, without the values: hashable, and of few kinds. `()` says nothing."""

Said: TypeAlias = tuple[Shape, list[str]]
"""A shape, and its values in the order in which its expression binds them."""

Bind: TypeAlias = Callable[[], ColumnElement[str]]
"""The next value's place in a statement."""


_NOTHING: Said = ((), [])
_NEVER: Said = (("never",), [])


# -- taking a condition apart


def say(tag: int, described: Described) -> Said:
    """What SQL says of an attribute: a shape and its values; the shape `()` where it says nothing."""
    place = PLACES[tag]
    if tag & ~OF_STUDY in SEQUENCE_TAGS or place.kind in NUMBERS:
        return _NOTHING
    if described.condition == Equals(""):
        return ("empty", tag), []
    if not _fits(place.kind, described.form):
        return _NOTHING
    return _say(tag, place.kind, described.form, described.condition)


def _fits(kind: Kind, form: Form) -> bool:
    """Whether what is kept has the form that a condition is about. Names and times in `attributes` are as they came."""
    match form:
        case Form.NAME:
            return kind is Kind.NAME
        case Form.DATE:
            return kind in (Kind.DATE, Kind.JSON)
        case Form.TIME:
            return kind is Kind.TIME
    return kind in (Kind.TEXT, Kind.LIST, Kind.JSON)


def _say(tag: int, kind: Kind, form: Form, condition: Condition) -> Said:
    match condition:
        case Always():
            return _NOTHING
        case Never():
            return _NEVER
        case Equals(value):
            return _one_of(tag, kind, form, (value,))
        case OneOf(values):
            return _one_of(tag, kind, form, values)
        case Like(pattern):
            return _like(tag, kind, pattern) if _can_be_kept(pattern) else _NEVER
        case Between(low, high):
            name = "around" if kind is Kind.JSON else "between"
            return (name, tag, low is not None, high is not None), [
                each for each in (low, high) if each is not None
            ]
        case AnyOf(conditions):
            return _any_of(tag, kind, form, conditions)


def _one_of(tag: int, kind: Kind, form: Form, values: Sequence[str]) -> Said:
    kept = [value for value in dict.fromkeys(values) if _can_be_kept(value)]
    if not kept:
        return _NEVER
    if kind is Kind.LIST:
        if len(kept) > MAXIMUM_ALTERNATIVES:
            return _NOTHING
        patterns = [f"%\\{_escaped(value)}\\%" for value in kept]
        return ("or", (("like", tag),) * len(kept)), patterns
    if kind is Kind.JSON and form is not Form.TEXT:
        return ("or", (("around", tag, True, True),) * len(kept)), [each for each in kept for _ in range(2)]
    if len(kept) == 1:
        return ("equals", tag), kept
    size = 1 << (len(kept) - 1).bit_length()  # few sizes, so that there are few statements
    return ("among", tag, size), kept + kept[-1:] * (size - len(kept))


def _like(tag: int, kind: Kind, pattern: str) -> Said:
    prefix, rest = _split(pattern)
    if kind is Kind.LIST:
        return ("like", tag), [f"%\\{_escaped(prefix)}{rest}\\%"]
    if kind is Kind.JSON or not prefix:
        return ("like", tag), [_escaped(prefix) + rest]
    end = _behind(prefix)
    values = [prefix] if end is None else [prefix, end]
    if rest != "%":
        values.append(_escaped(prefix) + rest)
    return ("prefix", tag, end is not None, rest != "%"), values


def _any_of(tag: int, kind: Kind, form: Form, conditions: Sequence[Condition]) -> Said:
    if len(conditions) > MAXIMUM_ALTERNATIVES:
        return _NOTHING
    said = [_say(tag, kind, form, each) for each in conditions]
    if any(not shape for shape, _ in said):
        return _NOTHING
    return ("or", tuple(shape for shape, _ in said)), [value for _, values in said for value in values]


def _can_be_kept(value: str) -> bool:
    """Whether a stored text may have it: there is no NUL in any, and nothing that is no character."""
    if value.isascii():
        return "\0" not in value
    return "\0" not in value and not any(_SURROGATES[0] <= ord(each) < _SURROGATES[1] for each in value)


def _split(pattern: str) -> tuple[str, str]:
    """The characters before the first wild card, and the rest with `LIKE_ESCAPE`."""
    prefix: list[str] = []
    rest: list[str] = []
    characters = iter(pattern)
    for each in characters:
        is_literal = each == ESCAPE
        if is_literal:
            each = next(characters, "")
        if is_literal or each not in "%_":
            (rest if rest else prefix).append(_escaped(each) if rest else each)
        else:
            rest.append(each)
    return "".join(prefix), "".join(rest)


def _escaped(text: str) -> str:
    for each in (LIKE_ESCAPE, "%", "_"):
        text = text.replace(each, LIKE_ESCAPE + each)
    return text


def _behind(prefix: str) -> str | None:
    """The first text, by character, behind all that begin with a prefix; None where there is none."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1]) + 1
        if code <= _LAST_CHARACTER:
            return prefix[: end - 1] + chr(_SURROGATES[1] if code == _SURROGATES[0] else code)
    return None


def in_parts(conditions: Mapping[int, Described]) -> Iterator[Mapping[int, Described]]:
    """The same question as several ones without long lists; no row is an answer to two of them."""
    long = {
        tag: tuple(dict.fromkeys(described.condition.values))
        for tag, described in conditions.items()
        if isinstance(described.condition, OneOf)
        and len(described.condition.values) > MAXIMUM_LIST
        and PLACES[tag].kind is not Kind.LIST
    }
    if not long:
        yield conditions
        return
    slices = (
        [(tag, values[at : at + MAXIMUM_LIST]) for at in range(0, len(values), MAXIMUM_LIST)]
        for tag, values in long.items()
    )
    for chosen in product(*slices):
        yield {**conditions, **{tag: Described(OneOf(values), exact=False) for tag, values in chosen}}


# -- putting an expression together


def expression(shape: Shape, bind: Bind, *, is_sqlite: bool) -> ColumnElement[bool]:
    """What a shape says.

    Args:
        shape: as `say` made it, not `()`.
        bind: called for each value, in the order of `Said`.
        is_sqlite: how values in `attributes` are reached.
    """
    if shape == ("never",):
        return false()
    if is_ranged(shape) and (shape[0] == "or" or _is_name(shape)):
        return _found_by_itself(shape, bind)
    if shape[0] == "or":
        return or_(*(expression(each, bind, is_sqlite=is_sqlite) for each in shape[1]))
    place = PLACES[shape[1]]
    values = [bind() for _ in range(_count(shape))]
    if place.kind is Kind.NAME and shape[0] != "empty":
        return or_(*(_compared(shape, place.table.c[name], values) for name in place.columns))
    if place.kind is Kind.JSON:
        text = _attribute(place.table, shape[1], is_sqlite=is_sqlite)
        if shape[0] == "empty":
            return text == ""
        return or_(_compared(shape, text, values), text.like(_SEVERAL_VALUES, escape=LIKE_ESCAPE))
    return _compared(shape, place.table.c[place.columns[0]], values)


def _found_by_itself(shape: Shape, bind: Bind) -> ColumnElement[bool]:
    """What several lookups find, in any component group of a name: each is a statement within the statement.

    A planner that sees alternatives takes a group that nearly all names lack for one that finds nearly all rows, and
    would rather look at every row once.
    """
    leaves = shape[1] if shape[0] == "or" else (shape,)
    place = PLACES[leaves[0][1]]
    table = place.table.alias()
    found = []
    for leaf in leaves:
        values = [bind() for _ in range(_count(leaf))]
        found += [select(table.c.id).where(_compared(leaf, table.c[name], values)) for name in place.columns]
    return place.table.c.id.in_(union_all(*found))


def _attribute(table: Table, tag: int, *, is_sqlite: bool) -> ColumnElement[str]:
    """The text of a value in `attributes`, empty where there is none. A tag is eight digits: no text of others."""
    found: ColumnElement[str]
    if is_sqlite:
        found = func.json_extract(table.c.attributes, literal_column(f"'$.\"{tag_text(tag)}\"'"), type_=Text)
    else:
        found = table.c.attributes.op("->>", return_type=Text())(literal_column(f"'{tag_text(tag)}'"))
    return func.coalesce(found, "", type_=Text)


def _count(shape: Shape) -> int:
    """How many values a shape takes."""
    match shape:
        case ("empty", _):
            return 0
        case ("among", _, size):
            return int(size)
        case ("between" | "around", _, has_low, has_high):
            return int(has_low) + int(has_high)
        case ("prefix", _, ends, more):
            return 1 + int(ends) + int(more)
    return 1


def _compared(
    shape: Shape, text: ColumnElement[str], values: list[ColumnElement[str]]
) -> ColumnElement[bool]:
    match shape:
        case ("empty", _):
            return text == ""
        case ("equals", _):
            return text == values[0]
        case ("among", *_):
            return text.in_(values)
        case ("like", _):
            return text.like(values[0], escape=LIKE_ESCAPE)
        case ("prefix", _, ends, more):
            parts = [text >= values[0]]
            if ends:
                parts.append(text < values[1])
            if more:
                parts.append(text.like(values[-1], escape=LIKE_ESCAPE))
            return and_(*parts)
        case ("between", _, has_low, has_high):
            parts = [text >= values[0] if has_low else text > ""]
            if has_high:
                parts.append(text <= values[-1])
            return and_(*parts)
        case (
            "around",
            _,
            has_low,
            has_high,
        ):  # dates as they came: of another length, they are written otherwise
            parts = [text != ""]
            if has_low:
                parts.append(text >= values[0])
            if has_high:
                parts.append(text <= values[-1])
            return or_(and_(*parts), and_(func.length(text) != _DATE_LENGTH, text != ""))
    raise AssertionError(f"no shape: {shape}")


# -- how rows are reached


def is_looked_up(shape: Shape) -> bool:
    """Whether an index of a column finds the rows that have one of a few values."""
    return shape[0] in ("equals", "among") and PLACES[shape[1]].is_indexed and not _is_name(shape)


def is_ranged(shape: Shape) -> bool:
    """Whether indexes of columns find the rows, in another order than that of their ids."""
    if shape[0] == "or":
        return all(each[0] != "or" and (is_ranged(each) or is_looked_up(each)) for each in shape[1])
    return (
        shape[0] in ("prefix", "between") or (shape[0] in ("equals", "among") and _is_name(shape))
    ) and PLACES[shape[1]].is_indexed


def _is_name(shape: Shape) -> bool:
    return PLACES[shape[1]].kind is Kind.NAME
