"""The identifier of a C-FIND request: read, judged and made a `Query` (PS3.4 C.4.1.1.3, C.4.1.2, C.4.1.3)."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct
from pydicom.dataset import Dataset

from services import character_sets
from services.conditions import Described
from services.query.dates import Combined, Dates, InvalidKey, Times, combine
from services.query.identifiers import Element, UnreadableIdentifier, elements_of, read_identifier
from services.query.keys import (
    DATE_TIME_PAIRS,
    INSTANCE_AVAILABILITY,
    QUERY_RETRIEVE_LEVEL,
    RETRIEVE_AE_TITLE,
    SPECIFIC_CHARACTER_SET,
    UNIQUE_KEYS,
    Level,
    Model,
    hex_tag,
    keys_at,
    tag_name,
    vr_of,
)
from services.query.matching import (
    UNIVERSAL,
    ItemKeys,
    Literals,
    Matcher,
    Stored,
    Universal,
    Values,
    matcher,
)
from services.query.options import Options
from services.query.wildcards import has_wildcards

IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS = 0xA900
UNABLE_TO_PROCESS = 0xC000

MAXIMUM_DEPTH = 8
"""Sequences within sequences of a request; real ones have two."""

_ABOUT_THE_ANSWER = {RETRIEVE_AE_TITLE: "AE", INSTANCE_AVAILABILITY: "CS"}
"""Keys that no level has: the same for all that we keep."""

Record: TypeAlias = Mapping[str, Stored]
"""What an index knows of one match, by tag (`0020000D`), of all the levels asked for."""


class QueryError(Exception):
    """An identifier that cannot be answered.

    Attributes:
        status: A900H, or C000H for one that cannot be read.
        comment: for a person, at most 64 characters (PS3.7 C.4.2.1, Error Comment).
        offending: tags for Offending Element (0000,0901).
    """

    def __init__(self, status: int, comment: str, offending: tuple[int, ...] = ()) -> None:
        super().__init__(comment)
        self.status = status
        self.comment = comment[:64]
        self.offending = offending


class Key(Struct, frozen=True):
    """An attribute that is asked for.

    Attributes:
        tag: of the attribute.
        name: the tag as records are keyed by: `0020000D`.
        vr: as PS3.6 has it.
        level: where it belongs; None for what is the same for all that we keep.
        matcher: what is asked of it; None for a sequence.
        items: what is asked of a sequence.
    """

    tag: int
    name: str
    vr: str
    level: Level | None
    matcher: Matcher | None
    items: ItemKeys | None = None

    @property
    def is_universal(self) -> bool:
        """Whether everything matches."""
        return self.items.is_universal if self.items is not None else isinstance(self.matcher, Universal)

    def describe(self) -> Described:
        """As an index sees it."""
        return (self.items or self.matcher or UNIVERSAL).describe()

    def matches(self, stored: Stored) -> bool:
        """Whether a stored value is one that is asked for."""
        if self.items is not None:
            return self.items.matches(stored)
        return isinstance(stored, str) and (self.matcher is None or self.matcher.matches(stored))


class CombinedKey(Struct, frozen=True):
    """A date and a time that are matched as one (combined date-time matching): their own keys are universal."""

    date: Key
    time: Key
    range: Combined


class Query(Struct, frozen=True):
    """What a C-FIND asks for.

    Attributes:
        model, level: the information model and the level of the answers.
        keys: those supported, with ascending tags.
        unsupported: tags that were asked for and that we do not have: responses are FF01H.
        character_sets: of the request.
        combined: dates and times that are matched as one.
    """

    model: Model
    level: Level
    keys: tuple[Key, ...]
    unsupported: tuple[int, ...] = ()
    character_sets: tuple[str, ...] = character_sets.DEFAULT
    combined: tuple[CombinedKey, ...] = ()

    def matches(self, record: Record) -> bool:
        """Whether a record fulfils every key; what the record does not have is empty."""
        return fulfils(record, self.asking(), self.combined)

    def asking(self) -> tuple[Key, ...]:
        """The keys that not everything fulfils."""
        return tuple(key for key in self.keys if not key.is_universal)

    def conditions(self) -> dict[int, Described]:
        """What an index can translate, by tag; keys that everything fulfils are left out."""
        described = {key.tag: key.describe() for key in self.keys if key.level and not key.is_universal}
        described |= {each.date.tag: each.range.describe_date() for each in self.combined}
        return described


def fulfils(record: Record, keys: Sequence[Key], combined: Sequence[CombinedKey]) -> bool:
    """Whether a record fulfils every one of some keys; what it does not have is empty."""
    for key in keys:
        if not key.matches(record.get(key.name, "")):
            return False
    return all(
        each.range.matches(_text(record, each.date.name), _text(record, each.time.name)) for each in combined
    )


def read_query(
    data: bytes | bytearray | memoryview,
    transfer_syntax: str,
    model: Model,
    options: Options = Options(),  # noqa: B008 frozen
) -> Query:
    """Read the identifier of a C-FIND request as it came.

    Raises:
        QueryError: it cannot be read, or cannot be answered.
    """
    try:
        elements = read_identifier(bytes(data), transfer_syntax)
    except UnreadableIdentifier as error:
        raise QueryError(UNABLE_TO_PROCESS, f"the identifier cannot be read: {error}") from error
    return _query(elements, model, options)


def query_of(ds: Dataset, model: Model, options: Options = Options()) -> Query:  # noqa: B008 frozen
    """The same for a data set.

    Raises:
        QueryError: it cannot be answered.
    """
    return _query(elements_of(ds), model, options)


def _query(elements: Sequence[Element], model: Model, options: Options) -> Query:
    by_tag = {element.tag: element for element in elements}
    level = _level(by_tag, model)
    known = keys_at(model, level)
    keys: dict[int, Key] = {}
    unsupported: list[int] = []
    for tag, element in sorted(by_tag.items()):
        if _is_no_key(tag):
            continue
        if tag in _ABOUT_THE_ANSWER:
            keys[tag] = _key(element, _ABOUT_THE_ANSWER[tag], None, options)
        elif tag in known:
            keys[tag] = _key(element, known[tag].vr, model.level_of(known[tag]), options)
        else:
            unsupported.append(tag)
    if not options.relational:
        _check_unique_keys(by_tag, keys, model, level)
    combined = _combined(keys) if options.combined_date_time else ()
    for each in combined:
        for key in (each.date, each.time):
            keys[key.tag] = Key(key.tag, key.name, key.vr, key.level, UNIVERSAL)
    declared = by_tag.get(SPECIFIC_CHARACTER_SET)
    sets = character_sets.character_sets_of(declared.text if declared else "")
    return Query(model, level, tuple(keys.values()), tuple(unsupported), sets, combined)


def _level(elements: Mapping[int, Element], model: Model) -> Level:
    element = elements.get(QUERY_RETRIEVE_LEVEL)
    text = element.text.strip(" \0") if element else ""
    names = [level.value for level in model.levels]
    if text not in names:
        what = f"Query/Retrieve Level {text[:16]!r}" if text else "no Query/Retrieve Level"
        raise QueryError(
            IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS,
            f"{what}: it is one of {', '.join(names)}",
            (QUERY_RETRIEVE_LEVEL,),
        )
    return Level(text)


def _is_no_key(tag: int) -> bool:
    """Whether an element says how to read the others, or has no business in a data set (PS3.5 7.1, PS3.4 C.4.1.1.3)."""
    return tag in (SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL) or tag >> 16 < 0x0008 or not tag & 0xFFFF


def _key(element: Element, vr: str, level: Level | None, options: Options) -> Key:
    name = hex_tag(element.tag)
    if vr == "SQ":
        return Key(element.tag, name, vr, level, None, _item_keys(element, options, 1))
    if element.items is not None:
        raise _refused(element.tag, "is no sequence")
    return Key(element.tag, name, vr, level, _matcher(element, vr, options))


def _matcher(element: Element, vr: str, options: Options) -> Matcher:
    try:
        return matcher(vr, element.text, options)
    except InvalidKey as error:
        raise _refused(element.tag, str(error)) from error


def _item_keys(element: Element, options: Options, depth: int) -> ItemKeys:
    """The keys of a sequence's only item; no items, or one without keys, ask for the whole (PS3.4 C.2.2.2.6)."""
    if element.items is None:
        if element.text.strip(" \0"):
            raise _refused(element.tag, "is a sequence")
        return ItemKeys({})
    if len(element.items) > 1:
        raise _refused(element.tag, f"{len(element.items)} items, where a key has one")
    if depth > MAXIMUM_DEPTH:
        raise _refused(element.tag, f"more than {MAXIMUM_DEPTH} sequences in one another")
    keys: dict[str, Matcher | ItemKeys] = {}
    for item in element.items[0] if element.items else ():
        vr = vr_of(item.tag)
        if vr is None or _is_no_key(item.tag):
            continue
        if vr == "SQ":
            keys[hex_tag(item.tag)] = _item_keys(item, options, depth + 1)
        else:
            keys[hex_tag(item.tag)] = _matcher(item, vr, options)
    return ItemKeys(keys)


def _refused(tag: int, why: str) -> QueryError:
    return QueryError(IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS, f"{tag_name(tag)}: {why}", (tag,))


def _check_unique_keys(
    elements: Mapping[int, Element], keys: Mapping[int, Key], model: Model, level: Level
) -> None:
    """Each level above has to be named by a single value (PS3.4 C.4.1.2.1)."""
    offending = tuple(
        UNIQUE_KEYS[above]
        for above in model.above(level)
        if not _is_single(elements.get(UNIQUE_KEYS[above]), keys.get(UNIQUE_KEYS[above]))
    )
    if offending:
        names = " and ".join(tag_name(tag).split()[0] for tag in offending)
        raise QueryError(
            IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS, f"{level.value} needs a single {names}", offending
        )


def _is_single(element: Element | None, key: Key | None) -> bool:
    if element is None or key is None or not isinstance(key.matcher, Literals):
        return False
    return len(key.matcher.values) == 1 and not has_wildcards(key.matcher.values[0])


def _combined(keys: Mapping[int, Key]) -> tuple[CombinedKey, ...]:
    """Every pair of a range of dates and one of times that belong together."""
    found = []
    for date, time in DATE_TIME_PAIRS.items():
        if date not in keys or time not in keys:
            continue
        days, clock = _only(keys[date].matcher), _only(keys[time].matcher)
        if isinstance(days, Dates) and isinstance(clock, Times) and days.is_range and clock.is_range:
            found.append(CombinedKey(keys[date], keys[time], combine(days, clock)))
    return tuple(found)


def _only(matcher: Matcher | None) -> Matcher | None:
    return matcher.matchers[0] if isinstance(matcher, Values) and len(matcher.matchers) == 1 else None


def _text(record: Record, name: str) -> str:
    value = record.get(name, "")
    return value if isinstance(value, str) else ""
