"""The statements of the writer: compiled once from Core, run on the driver's cursor with plain tuples."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Table, bindparam, case, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.base import Executable

from services.archive.index.schema import instances, patients, series, studies

LIST_ESCAPE = "!"
"""Before a `%`, a `_` or itself in the patterns of `Statements.add_modality` and `add_sop_class`."""

INSTANCE_COLUMNS = (
    "sop_instance_uid",
    "sop_class_uid",
    "transfer_syntax_uid",
    "instance_number",
    "data_set_offset",
    "size",
    "attributes",
)
"""What an instance's row says of it, in the order of `Entry.instance`."""


class Statement:
    """One SQL text, and the order in which it takes its parameters.

    Attributes:
        sql: in the dialect and the parameter style of the driver.
        order: names of its parameters.
    """

    __slots__ = ("order", "sql")

    def __init__(self, executable: Executable, dialect: Dialect) -> None:
        compiled = executable.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.sql = str(compiled)
        self.order: tuple[str, ...] = tuple(compiled.positiontup or ())

    def parameters(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """The parameters from their names."""
        return tuple(values[name] for name in self.order)


class Statements:
    """Everything that the writer says to a database.

    Args:
        is_sqlite: SQLite, otherwise PostgreSQL.
    """

    def __init__(self, *, is_sqlite: bool) -> None:
        self._dialect: Dialect = (
            sqlite.dialect(paramstyle="qmark") if is_sqlite else psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call] # its own style, a mapping, is slower
        )
        self.begin = "BEGIN IMMEDIATE" if is_sqlite else "BEGIN"

        self.insert_patient = self._insert(patients, "patient_key", without=_COUNTS)
        self.insert_study = self._insert(
            studies, "study_instance_uid", without=(*_COUNTS, "modalities", "sop_classes")
        )
        self.insert_series = self._insert(series, "study", "series_instance_uid", without=_COUNTS)
        self.insert_instance = self._insert_instance()

        self.find_patient = self._find(patients.c.id, patients.c.patient_key)
        self.find_study = self._compile(
            select(studies.c.id, studies.c.patient, studies.c.modalities, studies.c.sop_classes).where(
                studies.c.study_instance_uid == bindparam("study_instance_uid")
            )
        )
        self.find_series = self._find(series.c.id, series.c.study, series.c.series_instance_uid)
        self.find_instance = self._find(instances.c.series, instances.c.sop_instance_uid)
        self.find_place = self._compile(
            select(studies.c.study_instance_uid, series.c.series_instance_uid)
            .join_from(instances, series)
            .join(studies)
            .where(instances.c.sop_instance_uid == bindparam("sop_instance_uid"))
        )
        self.update_instance = self._compile(
            update(instances)
            .where(instances.c.sop_instance_uid == bindparam("key"))
            .values({name: bindparam(f"new_{name}") for name in INSTANCE_COLUMNS[1:]})
        )
        self.count_patient = self._count(patients, "number_of_studies", "number_of_series")
        self.count_study = self._count(studies, "number_of_series")
        self.count_series = self._count(series, "number_of_instances")
        self.add_modality = self._add_to_list(studies.c.modalities)
        self.add_sop_class = self._add_to_list(studies.c.sop_classes)

    def _compile(self, executable: Executable) -> Statement:
        return Statement(executable, self._dialect)

    def _insert(self, table: Table, *unique: str, without: Sequence[str]) -> Statement:
        """Insert a row where none has its unique key."""
        columns = [column.name for column in table.columns if column.name not in ("id", *without)]
        make = sqlite.insert if self._dialect.name == "sqlite" else postgresql.insert
        statement = make(table).values({name: bindparam(name) for name in columns})
        return self._compile(statement.on_conflict_do_nothing(index_elements=list(unique)))

    def _insert_instance(self) -> Statement:
        statement = self._insert(instances, "sop_instance_uid", without=())
        assert set(statement.order) == {"series", "stored_at", *INSTANCE_COLUMNS}
        return statement

    def _find(self, wanted: Column[Any], *keys: Column[Any]) -> Statement:
        return self._compile(select(wanted).where(*(key == bindparam(key.name) for key in keys)))

    def _count(self, table: Table, *names: str) -> Statement:
        """Add to the counts of a row."""
        columns = [table.c[name] for name in names]
        return self._compile(
            update(table)
            .where(table.c.id == bindparam("key"))
            .values({column: column + bindparam(f"more_{column.name}") for column in columns})
        )

    def _add_to_list(self, column: Column[str]) -> Statement:
        """Put a value behind the others of a list, unless another writer has put it there meanwhile."""
        missing = column.not_like(bindparam("pattern"), escape=LIST_ESCAPE)
        before = case((column == literal_column("''"), literal_column("'\\'")), else_=column)
        return self._compile(
            update(studies)
            .where(studies.c.id == bindparam("key"), missing)
            .values({column: before + bindparam("value")})
        )


_COUNTS = ("number_of_studies", "number_of_series", "number_of_instances")


def list_pattern(value: str) -> str:
    """What a list that has a value is like; the value with its backslash behind is `list_item`."""
    for character in (LIST_ESCAPE, "%", "_"):
        value = value.replace(character, LIST_ESCAPE + character)
    return f"%\\{value}\\%"


def list_item(value: str) -> str:
    """A value as it is put behind the others of a list."""
    return f"{value}\\"
