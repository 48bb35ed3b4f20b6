"""The statements of the reader, made of the shape of a question, and what their rows become."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.json import Decoder
from sqlalchemy import BigInteger, ColumnElement, Select, Table, Text, bindparam, cast, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.selectable import FromClause

from services.archive.index.conditions_sql import Shape, expression, is_looked_up, is_ranged
from services.archive.index.places import PLACES, Kind, column_of, tag_text
from services.archive.index.schema import LEVELS, instances, series, studies
from services.archive.paths import instance_path

PAGE = 500
"""Rows of one page."""

_KEPT = 512
"""Plans; the shapes come from the wire, so that there may be any number of them."""

_AFTER = "after"

Row: TypeAlias = tuple[Any, ...]
Record: TypeAlias = dict[str, Any]

_decode = Decoder(Record).decode

_UNIQUE_WITHIN = {0x0020000D: studies, 0x0020000E: series}


class Question(Struct, frozen=True):
    """All that a statement depends on.

    Attributes:
        level: of `LEVELS`, from the top down.
        shapes: of the conditions; all of them hold.
        tags: what is to be known of each row, ascending.
    """

    level: int
    shapes: tuple[Shape, ...]
    tags: tuple[int, ...] = ()


class Statement:
    """One SQL text and its parameters.

    Attributes:
        sql: in the dialect and the parameter style of the driver.
    """

    __slots__ = ("_fixed", "_order", "sql")

    def __init__(self, executable: Executable, dialect: Dialect) -> None:
        compiled = executable.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.sql = str(compiled)
        names = tuple(compiled.positiontup or ())
        self._fixed = {name: value for name, value in compiled.params.items() if not _is_ours(name)}
        self._order = tuple(self._place(name) for name in names)

    def parameters(self, values: Sequence[str | int], after: int) -> tuple[Any, ...]:
        """What to execute it with: the values of the question, and the last id of the page before."""
        fixed = self._fixed
        return tuple(
            values[place] if place.__class__ is int else after if place == _AFTER else fixed[place]
            for place in self._order
        )

    @staticmethod
    def _place(name: str) -> int | str:
        return int(name.removeprefix("value_")) if name.startswith("value_") else name


def _is_ours(name: str) -> bool:
    return name == _AFTER or name.startswith("value_")


class SearchPlan(Struct, frozen=True):
    """How a question is answered.

    Attributes:
        first, following: the statements of the first page and of each further one.
        records: makes rows records.
    """

    first: Statement
    following: Statement
    records: Callable[[list[Row]], list[Record]]


class StoredInstance(Struct, frozen=True, gc=False):
    """An instance that can be retrieved.

    Attributes:
        path: of its file, relative to the data directory.
        data_set_offset: where the data set begins in the file, in bytes.
        size: of the data set, in bytes.
    """

    path: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    size: int

    @classmethod
    def of(cls, row: Row) -> "StoredInstance":
        """Out of Study, Series, SOP Instance and SOP Class UID, transfer syntax, offset and size."""
        study, series_uid, instance, sop_class, syntax, offset, size = row
        return cls(instance_path(study, series_uid, instance), sop_class, instance, syntax, offset, size)


class Plans:
    """Makes plans, and keeps those that were used last.

    Args:
        is_sqlite: SQLite, otherwise PostgreSQL.
    """

    def __init__(self, *, is_sqlite: bool) -> None:
        self._is_sqlite = is_sqlite
        self._dialect: Dialect = (
            sqlite.dialect(paramstyle="qmark") if is_sqlite else psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call] # its own style, a mapping, is slower
        )
        self._searches: OrderedDict[Question, SearchPlan] = OrderedDict()
        self._others: OrderedDict[tuple[str, Question], Statement] = OrderedDict()
        self.instances_of_series = self._compile(
            select(instances.c.id, *_INSTANCE)
            .where(instances.c.series == bindparam("value_0", type_=BigInteger), instances.c.id > _after())
            .order_by(instances.c.id)
            .limit(bindparam("value_1", type_=BigInteger))
        )
        """Value 0 is the id of the series, value 1 how many rows at most."""

    def search(self, question: Question) -> SearchPlan:
        """For records."""
        plan = self._searches.get(question)
        if plan is None:
            plan = self._search(question)
            self._searches[question] = plan
            if len(self._searches) > _KEPT:
                self._searches.popitem(last=False)
        else:
            self._searches.move_to_end(question)
        return plan

    def needs(self, question: Question) -> Statement:
        """SOP class, transfer syntax, and how many instances have both."""
        keys = (instances.c.sop_class_uid, instances.c.transfer_syntax_uid)
        return self._other(
            "needs",
            question,
            lambda: (
                select(*keys, func.count())
                .select_from(_joined(3, question.shapes))
                .where(*self._conditions(question.shapes))
                .group_by(*keys)
            ),
        )

    def series(self, question: Question) -> Statement:
        """Id, Study and Series Instance UID of series, a page of them behind an id."""
        wanted = (series.c.id, studies.c.study_instance_uid, series.c.series_instance_uid)
        return self._other(
            "series",
            question,
            lambda: (
                select(*wanted)
                .select_from(_joined(2, question.shapes, studies))
                .where(*self._conditions(question.shapes), series.c.id > _after())
                .order_by(series.c.id)
                .limit(PAGE)
            ),
        )

    def instances(self, question: Question) -> Statement:
        """The rows of `StoredInstance.of`, without pages: for instances that are named."""
        wanted = (studies.c.study_instance_uid, series.c.series_instance_uid, *_INSTANCE)
        return self._other(
            "instances",
            question,
            lambda: (
                select(*wanted)
                .select_from(_joined(3, question.shapes, studies))
                .where(*self._conditions(question.shapes))
                .order_by(instances.c.id)
            ),
        )

    def _other(self, name: str, question: Question, make: Callable[[], Select[Any]]) -> Statement:
        key = name, question
        statement = self._others.get(key)
        if statement is None:
            statement = self._compile(make())
            self._others[key] = statement
            if len(self._others) > _KEPT:
                self._others.popitem(last=False)
        return statement

    def _compile(self, executable: Executable) -> Statement:
        return Statement(executable, self._dialect)

    def _conditions(self, shapes: tuple[Shape, ...]) -> list[ColumnElement[bool]]:
        numbers = iter(range(1 << 20))
        return [
            expression(
                shape, lambda: bindparam(f"value_{next(numbers)}", type_=Text), is_sqlite=self._is_sqlite
            )
            for shape in shapes
        ]

    def _search(self, question: Question) -> SearchPlan:
        table = LEVELS[question.level]
        columns, records = _projection(question)
        statement = (
            select(table.c.id, *columns)
            .select_from(
                _joined(question.level, question.shapes, *(PLACES[tag].table for tag in question.tags))
            )
            .order_by(table.c.id)
        )
        return SearchPlan(
            self._compile(self._page(statement, question, first=True)),
            self._compile(self._page(statement, question, first=False)),
            records,
        )

    def _page(self, statement: Select[Any], question: Question, *, first: bool) -> Select[Any]:
        """One page. Where rows are found in another order than that of their ids, ids are found and sorted alone:
        neither database shall walk through all ids instead to save itself the sorting."""
        row_id = LEVELS[question.level].c.id
        conditions = self._conditions(question.shapes)
        if _finds_in_order(question):
            if not first:
                conditions.append(row_id > _after())
            return statement.where(*conditions).limit(PAGE)
        if not first:
            conditions.append(row_id + 0 > _after())
        found = (
            select(row_id)
            .select_from(_joined(question.level, question.shapes))
            .where(*conditions)
            .order_by(row_id + 0)
            .limit(PAGE)
        )
        return statement.where(row_id.in_(found))


_INSTANCE = (
    instances.c.sop_instance_uid,
    instances.c.sop_class_uid,
    instances.c.transfer_syntax_uid,
    instances.c.data_set_offset,
    instances.c.size,
)


def _after() -> ColumnElement[int]:
    return bindparam(_AFTER, type_=BigInteger)


def _joined(level: int, shapes: Sequence[Shape], *others: Table) -> FromClause:
    """A level and those above it, as far up as anything is wanted."""
    tables = {table for shape in shapes for table in _tables_of(shape)} | set(others)
    top = min([level, *(LEVELS.index(table) for table in tables)])
    joined: FromClause = LEVELS[level]
    for above in range(level - 1, top - 1, -1):
        joined = joined.join(LEVELS[above])
    return joined


def _tables_of(shape: Shape) -> set[Table]:
    match shape:
        case ("never",):
            return set()
        case ("or", alternatives):
            return {table for each in alternatives for table in _tables_of(each)}
    return {PLACES[shape[1]].table}


def _finds_in_order(question: Question) -> bool:
    """Whether rows come in the order of their ids by themselves: nothing is looked up, something of the level itself
    is, or everything above is down to one row."""
    table = LEVELS[question.level]
    looked_up = [shape for shape in question.shapes if is_looked_up(shape)]
    if any(shape[0] == "equals" and PLACES[shape[1]].table is table for shape in looked_up):
        return True
    if not looked_up and not any(is_ranged(shape) for shape in question.shapes):
        return True
    single = {shape[1] for shape in looked_up if shape[0] == "equals"}
    above = [tag for tag, of in _UNIQUE_WITHIN.items() if LEVELS.index(of) < question.level]
    return bool(above) and single.issuperset(above)


# -- rows and records


def _projection(question: Question) -> tuple[list[ColumnElement[Any]], Callable[[list[Row]], list[Record]]]:
    """The columns that hold some attributes, and what makes records of their rows, whose first column is an id."""
    columns: list[ColumnElement[Any]] = []
    plain: list[tuple[int, str]] = []
    counts: list[tuple[int, str]] = []
    lists: list[tuple[int, str]] = []
    wanting: set[Table] = set()
    targets = {Kind.TEXT: plain, Kind.COUNT: counts, Kind.SUM: counts, Kind.LIST: lists}
    for tag in question.tags:
        place = PLACES[tag]
        if place.kind in targets:
            columns.append(column_of(place))
            targets[place.kind].append((len(columns), tag_text(tag)))
        else:
            wanting.add(place.table)
    kept: list[int] = []
    for table in LEVELS[question.level :: -1]:
        if table in wanting:
            columns.append(cast(table.c.attributes, Text))
            kept.append(len(columns))
    own = kept.pop(0) if LEVELS[question.level] in wanting else None

    def records(rows: list[Row]) -> list[Record]:
        known: dict[str, Record] = {}
        made = []
        for row in rows:
            record: Record = {} if own is None else _decode(row[own])
            for at in kept:
                text = row[at]
                above = known.get(text)
                if above is None:
                    above = known[text] = _decode(text)
                record |= above
            for at, name in plain:
                record[name] = row[at]
            for at, name in counts:
                record[name] = str(row[at])
            for at, name in lists:
                record[name] = row[at].strip("\\")
            made.append(record)
        return made

    return columns, records
