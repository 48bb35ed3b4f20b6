"""Reads the index: what a query asks for, and what is to be retrieved.

Questions come as conditions by tag and leave as records by tag; nobody outside sees a row. Rows come in pages of at
most 500, in the order of their ids, each page by a statement of its own that begins behind the last id of the page
before: between pages nothing is held, and a page is fetched while the one before it is being used.

Statements are compiled once for each shape of a question and run on the driver's cursor, by a few threads with a
connection each. A row that SQLite finds by its unique key is read in the loop: measured, 14 us instead of 56.
"""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from msgspec import Struct

from services.archive.index.conditions_sql import in_parts, say
from services.archive.index.places import PLACES, tag_at
from services.archive.index.read_plans import (
    PAGE,
    Plans,
    Question,
    Record,
    Row,
    SearchPlan,
    Statement,
    StoredInstance,
)
from services.archive.index.readers import Readable, Readers, Work
from services.archive.index.schema import LEVELS
from services.conditions import Described, Equals, OneOf

__all__ = ["PAGE", "IndexReader", "Record", "StoredInstance"]

_LEVELS = {"PATIENT": 0, "STUDY": 1, "SERIES": 2, "IMAGE": 3}
_SERIES = 2
_SOP_INSTANCE_UID = 0x00080018
_LOOKED_UP = (None, 0x0020000D, 0x0020000E, _SOP_INSTANCE_UID)
"""What a row is found by, by level; a Patient ID may be that of many patients."""
_FEW = 8
"""Rows that are looked up in the loop at a time."""


class _Part(Struct, frozen=True):
    """A question without long lists: its shapes and its values."""

    shapes: tuple[Any, ...]
    values: list[str]


class IndexReader:
    """Answers questions about what is stored. All of its methods belong to one event loop.

    Args:
        database: where it stands.
        threads: how many questions are answered at a time; others wait.
        timeout: seconds that one page may take.
    """

    def __init__(self, database: Readable, *, threads: int = 4, timeout: float = 60.0) -> None:
        self._readers = Readers(database, threads=threads, timeout=timeout)
        self._plans = Plans(is_sqlite=database.is_sqlite)

    async def search(
        self, level: str, conditions: Mapping[int, Described], tags: Collection[int]
    ) -> AsyncGenerator[Sequence[Record], None]:
        """Find patients, studies, series or instances.

        Args:
            level: PATIENT, STUDY, SERIES or IMAGE.
            conditions: on attributes of the level and of those above. What is found fulfils at least what SQL can
                say of them: ask the matcher too.
            tags: attributes of the same levels that the records shall have.

        Yields:
            pages of at most 500 records, never an empty one; an attribute without a value may be missing.

        Raises:
            ValueError: there is no such level, or it has no such attribute.
            TimeoutError: a page took too long.
            Exception: the driver's.
        """
        number = _number(level, (*conditions, *tags))
        wanted = tuple(sorted({tag_at(number, tag) for tag in tags}))
        is_lookup = _is_lookup(number, conditions)
        for part in _parts(number, conditions):
            plan = self._plans.search(Question(number, part.shapes, wanted))
            if is_lookup and self._readers.quick:
                read = self._readers.read_now(_page(plan.first, plan.records, part.values, 0))
                if read is not None:
                    if read[1]:
                        yield read[1]
                    continue
            async for page in self._pages(plan, part.values):
                yield page

    async def needs(self, level: str, unique_keys: Mapping[int, Sequence[str]]) -> dict[tuple[str, str], int]:
        """How many instances are selected, by SOP class and transfer syntax.

        Args:
            level: PATIENT, STUDY, SERIES or IMAGE.
            unique_keys: the values of each, of which a selected instance has one; any number of them.

        Raises:
            ValueError, TimeoutError, Exception: as for `search`.
        """
        found: Counter[tuple[str, str]] = Counter()
        for part in _parts(_SERIES, _named(level, unique_keys)):
            statement = self._plans.needs(Question(3, part.shapes))
            parameters = statement.parameters(part.values, 0)
            for sop_class, syntax, count in await self._readers.read(_fetch(statement.sql, parameters)):
                found[sop_class, syntax] += count
        return dict(found)

    async def instances(
        self,
        level: str,
        unique_keys: Mapping[int, Sequence[str]],
        needs: Collection[tuple[str, str]] | None = None,
    ) -> AsyncGenerator[Sequence[StoredInstance], None]:
        """The selected instances, series by series.

        Args:
            level, unique_keys: as for `needs`.
            needs: only instances of these SOP classes and transfer syntaxes.

        Yields:
            pages of at most 500, never an empty one.

        Raises:
            ValueError, TimeoutError, Exception: as for `search`.
        """
        for part in _parts(_SERIES, _named(level, unique_keys)):
            pages = self._named_instances(part) if _SOP_INSTANCE_UID in unique_keys else self._by_series(part)
            async for page in pages:
                wanted = (
                    page
                    if needs is None
                    else [each for each in page if (each.sop_class_uid, each.transfer_syntax_uid) in needs]
                )
                if wanted:
                    yield wanted

    def close(self) -> None:
        """Stop reading; what is under way fails."""
        self._readers.close()

    async def _pages(self, plan: SearchPlan, values: list[str]) -> AsyncIterator[Sequence[Record]]:
        """Page after page, the next one being fetched while one is used."""
        reading = self._readers.start(_page(plan.first, plan.records, values, 0))
        try:
            while True:
                last, page = await self._readers.wait(reading)
                is_last = len(page) < PAGE
                if not is_last:
                    reading = self._readers.start(_page(plan.following, plan.records, values, last))
                if page:
                    yield page
                if is_last:
                    return
        finally:
            reading.abandon()

    async def _named_instances(self, part: _Part) -> AsyncIterator[list[StoredInstance]]:
        statement = self._plans.instances(Question(3, part.shapes))
        parameters = statement.parameters(part.values, 0)
        rows = await self._readers.read(_fetch(statement.sql, parameters))
        yield [StoredInstance.of(row) for row in rows]

    async def _by_series(self, part: _Part) -> AsyncIterator[list[StoredInstance]]:
        statement = self._plans.series(Question(2, part.shapes))
        after = 0
        while True:
            parameters = statement.parameters(part.values, after)
            found = await self._readers.read(_fetch(statement.sql, parameters))
            async for page in self._instances_of(found):
                yield page
            if len(found) < PAGE:
                return
            after = found[-1][0]

    async def _instances_of(self, found: list[Row]) -> AsyncIterator[list[StoredInstance]]:
        """The instances of some series."""
        place: tuple[int, int] | None = (0, 0)
        while place is not None:
            page, place = await self._readers.read(
                _instances_from(self._plans.instances_of_series, found, place)
            )
            yield page


def _number(level: str, tags: Collection[int]) -> int:
    """The number of a level that has attributes.

    Raises:
        ValueError: see `IndexReader.search`.
    """
    number = _LEVELS.get(level)
    if number is None:
        raise ValueError(f"no level {level!r}: it is one of {', '.join(_LEVELS)}")
    for tag in tags:
        place = PLACES.get(tag)
        if place is None or LEVELS.index(place.table) > number:
            raise ValueError(
                f"no attribute ({tag >> 16:04X},{tag & 0xFFFF:04X}) in the index at {level} level"
            )
    return number


def _is_lookup(number: int, conditions: Mapping[int, Described]) -> bool:
    """Whether a few rows are asked for by their unique key: less than a page, and found without looking around."""
    tag = _LOOKED_UP[number]
    key = conditions.get(tag) if tag is not None else None
    match key.condition if key is not None else None:
        case Equals():
            return True
        case OneOf(values):
            return len(values) <= _FEW
    return False


def _named(level: str, unique_keys: Mapping[int, Sequence[str]]) -> dict[int, Described]:
    _number(level, unique_keys)
    return {tag: Described(OneOf(tuple(values))) for tag, values in unique_keys.items()}


def _parts(level: int, conditions: Mapping[int, Described]) -> Iterator[_Part]:
    for part in in_parts({tag_at(level, tag): described for tag, described in conditions.items()}):
        said = [say(tag, described) for tag, described in sorted(part.items(), key=itemgetter(0))]
        shapes = tuple(shape for shape, _ in said if shape)
        yield _Part(shapes, [value for _, values in said for value in values])


# -- in a thread


def _fetch(sql: str, parameters: tuple[Any, ...]) -> Work[list[Row]]:
    def work(cursor: Any) -> list[Row]:
        rows: list[Row] = cursor.execute(sql, parameters).fetchall()
        return rows

    return work


def _page(
    statement: Statement, records: Callable[[list[Row]], list[Record]], values: list[str], after: int
) -> Work[tuple[int, list[Record]]]:
    """The last id of a page, and its records."""

    def work(cursor: Any) -> tuple[int, list[Record]]:
        rows = cursor.execute(statement.sql, statement.parameters(values, after)).fetchall()
        return (rows[-1][0] if rows else after), records(rows)

    return work


def _instances_from(
    statement: Statement, found: list[Row], place: tuple[int, int]
) -> Work[tuple[list[StoredInstance], tuple[int, int] | None]]:
    """A page that begins at a place, and the place behind it: which of the series, and the last id there."""

    def work(cursor: Any) -> tuple[list[StoredInstance], tuple[int, int] | None]:
        page: list[StoredInstance] = []
        index, after = place
        while index < len(found):
            row_id, study, series = found[index]
            room = PAGE - len(page)
            if not room:
                return page, (index, after)
            rows = cursor.execute(statement.sql, statement.parameters((row_id, room), after)).fetchall()
            page += [StoredInstance.of((study, series, *row[1:])) for row in rows]
            if len(rows) < room:
                index, after = index + 1, 0
            else:
                after = rows[-1][0]
        return page, None

    return work
