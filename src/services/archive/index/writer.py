"""Writes what was published into the index, a batch in a transaction.

Told of the same instances again it changes nothing, so whoever does not know whether a batch was recorded records it
again. Patients, studies and series that are known are remembered: most instances cost one insertion and the counts
above it. Everything is done in one order in every transaction, from the top down and by unique key, so that writers
never wait for each other in a circle.
"""

import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Protocol

from msgspec import Struct

from services.archive.errors import NotRecordable, cause_of
from services.archive.index.entry import Entry, Indexable, Recorded, Result
from services.archive.index.statements import INSTANCE_COLUMNS, Statement, Statements, list_item, list_pattern

_REMEMBERED = 4096
"""Series whose rows are known by heart; beyond that all are forgotten."""

_TRIES = 8
_PAUSE = 0.01
"""Seconds after the first try that another writer crossed, at most; as many more after each further one."""

_CROSSED = ("40P01", "40001")
"""SQLSTATE of a deadlock and of a serialization failure: rolled back, and worth another try."""

_REFUSALS = frozenset({"DataError", "IntegrityError"})
"""Classes of the DB-API (PEP 249) for what lies in what was said. ProgrammingError is none of them: it is
raised for tables that are missing, too, and for permissions that were taken away."""

_LIMIT_EXCEEDED = "54"
"""Class of the SQLSTATEs for what is longer or deeper than PostgreSQL takes: an OperationalError, but no lack of
resources, so that it would come again at every try."""


class Connection(Protocol):
    """A DB-API connection in autocommit."""

    def cursor(self) -> Any: ...
    def close(self) -> None: ...


class Connects(Protocol):
    """What the writer needs of `index.database.Database`."""

    @property
    def is_sqlite(self) -> bool: ...
    def connect_writer(self) -> Connection: ...


class _Study(Struct):
    """A row of `studies` that is known."""

    id: int
    patient: int
    modalities: set[str]
    sop_classes: set[str]


class _Series(Struct):
    """A row of `series` that is known."""

    id: int
    study: _Study


class _RowsForNothing(Exception):
    """Another writer was quicker, and rows were made that would hold nothing: it has committed, and can be seen."""


class IndexWriter:
    """Records instances. To be used by one thread at a time.

    Args:
        database: where to; asked for another connection when one is lost.
    """

    def __init__(self, database: Connects) -> None:
        self._database = database
        self._say = Statements(is_sqlite=database.is_sqlite)
        self._connection: Connection | None = None
        self._cursor: Any = None
        self._series: dict[tuple[str, str], _Series] = {}
        self._studies: dict[str, _Study] = {}

    def connect(self) -> None:
        """Connect now, so that the first batch does not have to wait for that.

        Raises:
            Exception: the driver's.
        """
        if self._connection is None:
            self._connection = self._database.connect_writer()
            self._cursor = self._connection.cursor()

    def record(self, batch: Sequence[Indexable]) -> list[Result]:
        """Make rows for instances, or see that they are there; all of them or none.

        Where the database refuses a batch for what one of its instances says, each is recorded by itself.

        Args:
            batch: published instances; of several with one SOP Instance UID in different series the first counts.

        Returns:
            what became of each, in the order of the batch. It is as durable as the database is told to be.

        Raises:
            Exception: the driver's; whether the batch is recorded is unknown then.
        """
        entries = [Entry.of(source) for source in batch]
        try:
            return self._record(entries)
        except Exception as error:
            if not _is_refusal(error):
                raise
        # Rows that were known may have gone, so that one that is alone has a second try, too.
        return [self._record_alone(entry) for entry in entries]

    def close(self) -> None:
        """Close the connection; the next batch opens another."""
        connection, self._connection = self._connection, None
        self._forget()
        if connection is not None:
            connection.close()

    def _record_alone(self, entry: Entry) -> Result:
        try:
            return self._record([entry])[0]
        except Exception as error:
            if not _is_refusal(error):
                raise
            return NotRecordable(f"the index does not take what its data set says: {cause_of(error)}")

    def _record(self, entries: Sequence[Entry]) -> list[Result]:
        """Record in one transaction, and again where another writer was in the way or the connection was lost."""
        was_lost = False
        for attempt in range(1, _TRIES):
            try:
                return self._transaction(entries)
            except Exception as error:
                if _has_crossed(error):
                    time.sleep(random.uniform(0, _PAUSE * attempt))
                elif was_lost or self._connection is not None or self._database.is_sqlite:
                    raise
                else:
                    was_lost = True
        return self._transaction(entries)

    def _transaction(self, entries: Sequence[Entry]) -> list[Result]:
        self.connect()
        execute = self._cursor.execute
        try:
            execute(self._say.begin)
            results = self._record_all(entries)
            execute("COMMIT")
        except BaseException:
            self._forget()  # rows that are remembered may have been rolled back
            self._roll_back()
            raise
        if len(self._series) > _REMEMBERED:
            self._forget()
        return results

    def _roll_back(self) -> None:
        try:
            self._cursor.execute("ROLLBACK")
        except Exception:
            # The connection is of no use any more, and the database has rolled back by itself.
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _forget(self) -> None:
        self._series.clear()
        self._studies.clear()

    # -- inside a transaction

    def _record_all(self, entries: Sequence[Entry]) -> list[Result]:
        if len(entries) == 1:
            entry = entries[0]
            known = self._series.get((entry.study_instance_uid, entry.series_instance_uid))
            if known is not None:
                return [self._record_one(entry, known)]
        results = self._elsewhere(entries)
        more = _Counts()
        made = self._make_series([entry for i, entry in enumerate(entries) if i not in results], more)
        for index in _by_uid(entries):
            if index not in results:
                entry = entries[index]
                series = self._series[entry.study_instance_uid, entry.series_instance_uid]
                results[index] = self._insert(entry, series)
                if results[index] is Recorded.NEW:
                    more.add_instance(series)
                    made.discard(series.id)
        if made:
            raise _RowsForNothing
        for index, entry in enumerate(entries):
            if results[index] is Recorded.NEW:
                more.add_sop_class(self._studies[entry.study_instance_uid], entry.source.sop_class_uid)
        self._count(more)
        return [results[index] for index in range(len(entries))]

    def _elsewhere(self, entries: Sequence[Entry]) -> dict[int, Recorded]:
        """The instances that are held, or claimed by an earlier one of the batch, under other UIDs."""
        found = {}
        claimed: dict[str, tuple[str, str]] = {}
        for index in _by_uid(entries):
            entry = entries[index]
            place = entry.study_instance_uid, entry.series_instance_uid
            if claimed.setdefault(entry.sop_instance_uid, place) != place:
                found[index] = Recorded.ELSEWHERE
            elif place not in self._series:
                held = self._one(self._say.find_place, (entry.sop_instance_uid,))
                if held is not None and held != place:
                    found[index] = Recorded.ELSEWHERE
        return found

    def _record_one(self, entry: Entry, series: _Series) -> Recorded:
        """The way of nearly all: one instance of a series that is known."""
        result = self._insert(entry, series)
        if result is Recorded.NEW:
            study = series.study
            if entry.source.sop_class_uid not in study.sop_classes:
                study.sop_classes.add(entry.source.sop_class_uid)
                self._add(self._say.add_sop_class, study.id, entry.source.sop_class_uid)
            self._cursor.execute(self._say.count_series.sql, (1, series.id))
        return result

    def _insert(self, entry: Entry, series: _Series) -> Recorded:
        values = entry.instance()
        cursor = self._cursor
        cursor.execute(
            self._say.insert_instance.sql,
            (series.id, *values[:-1], time.time_ns() // 1000, values[-1]),
        )
        if cursor.rowcount == 1:
            return Recorded.NEW
        held = self._one(self._say.find_instance, (entry.sop_instance_uid,))
        if held is None or held[0] != series.id:
            return Recorded.ELSEWHERE
        cursor.execute(self._say.update_instance.sql, (*values[1:], entry.sop_instance_uid))
        return Recorded.KNOWN

    def _make_series(self, entries: Sequence[Entry], more: "_Counts") -> set[int]:
        """See that the rows above the instances are there and known; the ids of the series that were not."""
        unknown: dict[tuple[str, str], Entry] = {}
        for entry in entries:
            key = entry.study_instance_uid, entry.series_instance_uid
            if key not in self._series:
                unknown.setdefault(key, entry)
        if not unknown:
            return set()
        self._make_studies({study: entry for (study, _), entry in reversed(unknown.items())}, more)
        made = set()
        for key, entry in sorted(unknown.items(), key=itemgetter(0)):
            study = self._studies[key[0]]
            row = {"study": study.id, **entry.series()}
            row_id, is_new = self._upsert(self._say.insert_series, self._say.find_series, row)
            self._series[key] = _Series(row_id, study)
            if is_new:
                made.add(row_id)
                more.add_series(study)
            if row["modality"]:
                more.add_modality(study, row["modality"])
        return made

    def _make_studies(self, first: dict[str, Entry], more: "_Counts") -> None:
        """See that studies are there and known. What was stored of a study first says whose it is."""
        missing = {uid: entry for uid, entry in first.items() if not self._find_study(uid)}
        patients = {uid: entry.patient() for uid, entry in missing.items()}
        ids = {
            key: self._upsert(self._say.insert_patient, self._say.find_patient, row)[0]
            for key, row in sorted({row["patient_key"]: row for row in patients.values()}.items())
        }
        insert = self._say.insert_study
        for uid, entry in sorted(missing.items()):
            patient = ids[patients[uid]["patient_key"]]
            self._cursor.execute(insert.sql, insert.parameters({"patient": patient, **entry.study()}))
            if self._cursor.rowcount != 1:
                raise _RowsForNothing
            more.patients[patient][0] += 1
            self._find_study(uid)

    def _find_study(self, uid: str) -> bool:
        """Know a study where it is there."""
        if uid not in self._studies:
            row = self._one(self._say.find_study, (uid,))
            if row is None:
                return False
            self._studies[uid] = _Study(row[0], row[1], _listed(row[2]), _listed(row[3]))
        return True

    def _upsert(self, insert: Statement, find: Statement, values: dict[str, Any]) -> tuple[int, bool]:
        """The id of a row, and whether it was made just now."""
        self._cursor.execute(insert.sql, insert.parameters(values))
        is_new = self._cursor.rowcount == 1
        row = self._one(find, find.parameters(values))
        assert row is not None, "neither inserted nor there"
        return row[0], is_new

    def _add(self, statement: Statement, study: int, value: str) -> None:
        values = {"key": study, "value": list_item(value), "pattern": list_pattern(value)}
        self._cursor.execute(statement.sql, statement.parameters(values))

    def _count(self, more: "_Counts") -> None:
        """Change the rows that other writers change too, from the top down: no two wait for each other."""
        execute, say = self._cursor.execute, self._say
        for row_id, counts in sorted(more.patients.items()):
            execute(say.count_patient.sql, (*counts, row_id))
        for row_id in sorted({*more.modalities, *more.sop_classes, *more.studies}):
            for modality in more.modalities[row_id]:
                self._add(say.add_modality, row_id, modality)
            for sop_class in more.sop_classes[row_id]:
                self._add(say.add_sop_class, row_id, sop_class)
            if row_id in more.studies:
                execute(say.count_study.sql, (more.studies[row_id], row_id))
        for row_id, count in sorted(more.series.items()):
            execute(say.count_series.sql, (count, row_id))

    def _one(self, statement: Statement, parameters: tuple[Any, ...]) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._cursor.execute(statement.sql, parameters).fetchone()
        return row


class _Counts:
    """What a transaction adds to the counts, by row: studies and series of a patient, series of a study, instances of
    a series; and to the lists of studies."""

    def __init__(self) -> None:
        self.patients: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self.studies: dict[int, int] = defaultdict(int)
        self.series: dict[int, int] = defaultdict(int)
        self.modalities: dict[int, list[str]] = defaultdict(list)
        self.sop_classes: dict[int, list[str]] = defaultdict(list)

    def add_modality(self, study: _Study, value: str) -> None:
        if value not in study.modalities:
            study.modalities.add(value)
            self.modalities[study.id].append(value)

    def add_sop_class(self, study: _Study, value: str) -> None:
        if value not in study.sop_classes:
            study.sop_classes.add(value)
            self.sop_classes[study.id].append(value)

    def add_series(self, study: _Study) -> None:
        self.patients[study.patient][1] += 1
        self.studies[study.id] += 1

    def add_instance(self, series: _Series) -> None:
        self.series[series.id] += 1


def _has_crossed(error: Exception) -> bool:
    """Whether another writer was in the way, so that everything was rolled back."""
    return isinstance(error, _RowsForNothing) or getattr(error, "sqlstate", None) in _CROSSED


def _is_refusal(error: Exception) -> bool:
    """Whether the database, or what prepares its rows, does not take what an instance says."""
    if isinstance(error, (ValueError, OverflowError)):
        return True
    if (getattr(error, "sqlstate", None) or "").startswith(_LIMIT_EXCEEDED):
        return True
    return any(kind.__name__ in _REFUSALS for kind in type(error).__mro__)


def _by_uid(entries: Sequence[Entry]) -> Iterable[int]:
    """Positions in the order of the SOP Instance UIDs, of one UID the first first."""
    return sorted(range(len(entries)), key=lambda index: (entries[index].sop_instance_uid, index))


def _listed(values: str) -> set[str]:
    return set(values.split("\\")) - {""}


assert INSTANCE_COLUMNS[0] == "sop_instance_uid", "update_instance takes the others, and that as its key"
