"""Holds files and index against each other, while the server runs or not.

Study by study, so that memory stays flat. A server that stores meanwhile publishes first and records then; so the rows
are read before the files, what looks wrong is looked at again, and once more after a while where its file is new.
Nothing is changed here, except by `repair`.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.json import decode
from sqlalchemy import Connection, Engine, func, or_, select
from sqlalchemy.sql import Select

from services.archive.index.entry import Entry
from services.archive.index.schema import instances, patients, series, studies
from services.archive.maintenance.walk import Problem, Reader, files_of, study_uids
from services.archive.paths import instance_path, uids_of_path
from services.archive.rescan import Rescanned

PATIENCE = 5.0
"""Seconds. A publication takes less from its first name to its row."""


class Kind(Enum):
    """What can be wrong.

    Attributes:
        NO_ROW: a file that no row knows; it cannot be found or retrieved.
        NO_FILE: a row whose file is not there.
        SIZE: the file is longer or shorter than its row says.
        DAMAGED: the file cannot be read as what it is; seen by a deep verification only.
        DIFFERENT: the data set says something else than its row; likewise.
        COUNTS: a maintained count is not true.
        STRANGE: a name that the archive did not make, or that cannot be read.
    """

    NO_ROW = "file-without-row"
    NO_FILE = "row-without-file"
    SIZE = "size"
    DAMAGED = "damaged"
    DIFFERENT = "different"
    COUNTS = "counts"
    STRANGE = "strange"


class Finding(Struct, frozen=True):
    """One thing that is wrong.

    Attributes:
        path: of the file, relative to the data directory; of a count what it belongs to.
    """

    kind: Kind
    path: str
    text: str


_Row: TypeAlias = tuple[str, str, str, str, int, int, Any]
"""SOP Instance, SOP Class and Transfer Syntax UID, Instance Number, offset, size, attributes: as `Entry.instance`."""

_Rows: TypeAlias = dict[str, _Row]
"""By path."""


class Verification:
    """One pass over an archive.

    Args:
        root: the data directory.
        engine: of the index.
        deep: scan every data set, and hold it against its row.
        patience: seconds for which a file may be new and not in the index yet.
        advance: told of each further study.

    Attributes:
        files: how many files were looked at.
    """

    def __init__(
        self,
        root: Path,
        engine: Engine,
        *,
        deep: bool = False,
        patience: float = PATIENCE,
        advance: Callable[[int], None] = lambda studies: None,
    ) -> None:
        self.files = 0
        self._root = root
        self._engine = engine
        self._deep = deep
        self._patience = patience
        self._advance = advance

    def findings(self) -> Iterator[Finding]:
        """Everything that is wrong, as it is found.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the index cannot be read.
        """
        with Reader(self._root) as reader:
            for study, _ in groupby(merge(_studies_of(self._engine), study_uids(self._root))):
                yield from self._study(study, reader)
                self._advance(1)
        yield from self._counts()

    def _study(self, study: str, reader: Reader) -> Iterator[Finding]:
        strange: list[Problem] = []
        rows = self._rows(study)
        files = {path: _status(self._root, path) for path in files_of(self._root, study, strange.append)}
        self.files += len(files)
        yield from (Finding(Kind.STRANGE, problem.path, problem.text) for problem in strange)
        wrong = [
            path for path in files.keys() | rows.keys() if _compare(path, files.get(path), rows.get(path))
        ]
        for path in sorted(wrong):
            finding = self._look_again(path)
            if finding is not None:
                yield finding
        if self._deep:
            whole = sorted(files.keys() & rows.keys() - set(wrong))
            for portion in reader.read(whole):
                yield from self._data_sets(portion, rows)

    def _rows(self, study: str) -> _Rows:
        statement = _ROWS.where(studies.c.study_instance_uid == study)
        with self._engine.connect() as connection:
            return dict(_by_path(connection, statement))

    def _row(self, path: str) -> _Row | None:
        _, _, instance = uids_of_path(path) or ("", "", "")
        with self._engine.connect() as connection:
            return dict(_by_path(connection, _ROWS.where(instances.c.sop_instance_uid == instance))).get(path)

    def _look_again(self, path: str) -> Finding | None:
        """What is wrong with a file or row, if it still is; waits while the file is new."""
        row = self._row(path)
        status = _status(self._root, path)
        finding = _compare(path, status, row)
        if finding is None or status is None:
            return finding
        age = time.time() - status.st_ctime
        if 0 <= age < self._patience:
            time.sleep(self._patience - age)
            row = self._row(path)
            finding = _compare(path, _status(self._root, path), row)
        return finding

    def _data_sets(self, portion: Sequence[Rescanned | Problem], rows: _Rows) -> Iterator[Finding]:
        for found in portion:
            if isinstance(found, Problem):
                if _status(self._root, found.path) is not None:  # it may have been removed
                    yield Finding(Kind.DAMAGED, found.path, found.text)
            elif found.truncated:
                yield Finding(Kind.DAMAGED, found.path, "the data set ends inside an element")
            elif difference := _difference(found, rows[found.path]):
                row = self._row(found.path)  # it may have been replaced since
                if row is not None and _difference(found, row):
                    yield Finding(Kind.DIFFERENT, found.path, f"its row has another {difference}")

    def _counts(self) -> Iterator[Finding]:
        """Counts that are not what counting says; each statement sees one state of the index."""
        with self._engine.connect() as connection:
            for name, statement in _COUNTS:
                for uid, *_ in connection.execute(statement):
                    yield Finding(
                        Kind.COUNTS, f"{name} {uid}", "the number of what belongs to it is not true"
                    )


def _studies_of(engine: Engine) -> Iterator[str]:
    """The Study Instance UIDs of the index, sorted, in pages: no transaction is held."""
    last = ""
    while True:
        statement = (
            select(studies.c.study_instance_uid)
            .where(studies.c.study_instance_uid > last)
            .order_by(studies.c.study_instance_uid)
            .limit(500)
        )
        with engine.connect() as connection:
            page = connection.execute(statement).scalars().all()
        if not page:
            return
        yield from page
        last = page[-1]


_ROWS = (
    select(
        studies.c.study_instance_uid,
        series.c.series_instance_uid,
        instances.c.sop_instance_uid,
        instances.c.sop_class_uid,
        instances.c.transfer_syntax_uid,
        instances.c.instance_number,
        instances.c.data_set_offset,
        instances.c.size,
        instances.c.attributes,
    )
    .join_from(instances, series)
    .join(studies)
)


def _by_path(connection: Connection, statement: Select[Any]) -> Iterator[tuple[str, _Row]]:
    for study, of_series, *row in connection.execute(statement):
        yield instance_path(study, of_series, row[0]), tuple(row)


def _status(root: Path, path: str) -> os.stat_result | None:
    try:
        return os.lstat(root / path)
    except FileNotFoundError:
        return None


def _compare(path: str, status: os.stat_result | None, row: _Row | None) -> Finding | None:
    if status is None:
        return (
            None
            if row is None
            else Finding(Kind.NO_FILE, path, "its row is in the index, the file is not there")
        )
    if row is None:
        return Finding(Kind.NO_ROW, path, "the file is there, but not in the index")
    expected = row[4] + row[5]
    if status.st_size != expected:
        return Finding(Kind.SIZE, path, f"the file has {status.st_size} bytes, by its row {expected}")
    return None


_NAMES = (
    "SOP Instance UID",
    "SOP Class UID",
    "transfer syntax",
    "Instance Number",
    "offset of the data set",
    "size",
    "attribute",
)


def _difference(found: Rescanned, row: _Row) -> str:
    """The name of the first column in which a row differs from what its file says; empty for none."""
    expected = Entry.of(found).instance()
    for name, of_file, of_row in zip(_NAMES[:-1], expected[:-1], row[:-1], strict=True):
        if of_file != of_row:
            return name
    return _NAMES[-1] if decode(expected[-1]) != row[-1] else ""


def _untrue() -> Iterator[tuple[str, Select[Any]]]:
    """For each level a statement that gives the keys of rows with a count that is not true."""
    of_series = select(func.count()).where(instances.c.series == series.c.id).scalar_subquery()
    yield (
        "series",
        select(series.c.series_instance_uid).where(series.c.number_of_instances != of_series),
    )
    children = series.alias()
    number = select(func.count()).where(children.c.study == studies.c.id).scalar_subquery()
    yield "study", select(studies.c.study_instance_uid).where(studies.c.number_of_series != number)
    of_patient = studies.alias()
    belongs = of_patient.c.patient == patients.c.id
    yield (
        "patient",
        select(patients.c.patient_id).where(
            or_(
                patients.c.number_of_studies != select(func.count()).where(belongs).scalar_subquery(),
                patients.c.number_of_series != _sum(of_patient.c.number_of_series, belongs),
            )
        ),
    )


def _sum(column: Any, belongs: Any) -> Any:
    return select(func.coalesce(func.sum(column), 0)).where(belongs).scalar_subquery()


_COUNTS: Sequence[tuple[str, Select[Any]]] = tuple(_untrue())

Summary: TypeAlias = Mapping[Kind, int]
"""How many findings of each kind."""
