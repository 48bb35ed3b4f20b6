"""What the writer makes of instances, on both databases."""

import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, text

from index_samples import CT_IMAGE_STORAGE, Sample, sample
from services.archive.errors import NotRecordable
from services.archive.index.database import Database
from services.archive.index.entry import Indexable, Recorded
from services.archive.index.schema import instances, patients, series, studies
from services.archive.index.writer import IndexWriter

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
NEW, KNOWN, ELSEWHERE = Recorded.NEW, Recorded.KNOWN, Recorded.ELSEWHERE


@pytest.fixture
def writer(database: Database) -> Any:
    made = IndexWriter(database)
    yield made
    made.close()


def rows(database: Database, statement: Any) -> list[tuple[Any, ...]]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(statement)]


def counts_of(database: Database) -> list[tuple[Any, ...]]:
    """Patient ID and its counts; study and its count; series and its count."""
    counted = (
        (patients.c.patient_id, patients.c.number_of_studies, patients.c.number_of_series),
        (studies.c.study_instance_uid, studies.c.number_of_series),
        (series.c.series_instance_uid, series.c.number_of_instances),
    )
    return [row for columns in counted for row in rows(database, select(*columns).order_by(columns[0]))]


def assert_counts_are_true(database: Database) -> None:
    """Every maintained count is what counting says."""
    wrong = []
    for column, counted in (
        (series.c.number_of_instances, select(func.count()).where(instances.c.series == series.c.id)),
        (studies.c.number_of_series, select(func.count()).where(series.c.study == studies.c.id)),
        (patients.c.number_of_studies, select(func.count()).where(studies.c.patient == patients.c.id)),
        (
            patients.c.number_of_series,
            select(func.coalesce(func.sum(studies.c.number_of_series), 0)).where(
                studies.c.patient == patients.c.id
            ),
        ),
    ):
        wrong += rows(database, select(column).where(column != counted.scalar_subquery()))
    assert wrong == []


def test_one_by_one(database: Database, writer: IndexWriter) -> None:
    for number in range(3):
        assert writer.record([sample(f"1.4.{number}", PatientID="P", Modality="CT")]) == [NEW]
    assert writer.record([sample("1.5.1", "1.3.9", PatientID="P", Modality="MR")]) == [NEW]
    assert counts_of(database) == [("P", 1, 2), ("1.2", 2), ("1.3", 3), ("1.3.9", 1)]
    assert rows(database, select(studies.c.modalities, studies.c.sop_classes)) == [
        ("\\CT\\MR\\", f"\\{CT_IMAGE_STORAGE}\\")
    ]


def test_a_batch_over_patients_studies_and_series(database: Database, writer: IndexWriter) -> None:
    batch = [
        sample(
            f"1.4.{patient}.{study}.{number}",
            f"1.3.{patient}.{study}",
            f"1.2.{patient}.{study}",
            PatientID=patient,
        )
        for patient in ("1", "2")
        for study in range(2)
        for number in range(3)
    ]
    assert writer.record(batch) == [NEW] * 12
    assert counts_of(database)[:2] == [("1", 2, 2), ("2", 2, 2)]
    assert_counts_are_true(database)


def test_again_changes_nothing(database: Database, writer: IndexWriter) -> None:
    batch = [sample("1.4", PatientID="P"), sample("1.5", PatientID="P")]
    writer.record(batch)
    before = counts_of(database)
    assert writer.record(batch) == [KNOWN] * 2
    writer.close()
    assert writer.record(batch[:1]) == [KNOWN], "nothing is remembered of them now"
    assert counts_of(database) == before


def test_what_was_told_last_stands(database: Database, writer: IndexWriter) -> None:
    writer.record([sample("1.4", InstanceNumber="1")])
    writer.record([sample("1.4", InstanceNumber="2", sop_class=MR_IMAGE_STORAGE)])
    assert rows(database, select(instances.c.instance_number, instances.c.sop_class_uid)) == [
        ("2", MR_IMAGE_STORAGE)
    ]


@pytest.mark.parametrize("remembered", [True, False])
def test_an_instance_held_elsewhere_changes_nothing(
    database: Database, writer: IndexWriter, remembered: bool
) -> None:
    writer.record([sample("1.4", PatientID="P"), sample("1.6", "1.3.2", PatientID="P")])
    before = counts_of(database)
    if not remembered:
        writer.close()
    elsewhere: list[Indexable] = [
        sample("1.4", "1.3.2", PatientID="P"),
        sample("1.4", "1.3.7", PatientID="P"),
        sample("1.4", "1.3", "1.2.7", PatientID="Q"),
    ]
    assert writer.record(elsewhere) == [ELSEWHERE] * 3
    assert [writer.record([each]) for each in elsewhere] == [[ELSEWHERE]] * 3
    assert counts_of(database) == before, "no study without an instance"


def test_of_one_uid_in_two_series_the_first_counts(database: Database, writer: IndexWriter) -> None:
    batch = [sample("1.4", "1.3.2"), sample("1.4", "1.3.1"), sample("1.4", "1.3.2")]
    assert writer.record(batch) == [NEW, ELSEWHERE, KNOWN]
    assert [row[0] for row in counts_of(database)] == ["", "1.2", "1.3.2"]
    assert_counts_are_true(database)


def test_what_was_stored_of_a_study_first_says_whose_it_is(database: Database, writer: IndexWriter) -> None:
    writer.record([sample("1.4", PatientID="P")])
    writer.close()
    assert writer.record([sample("1.5", "1.3.2", PatientID="Q")]) == [NEW]
    assert counts_of(database)[0] == ("P", 1, 2)
    assert rows(database, select(func.count()).select_from(patients)) == [(1,)]


def test_hostile_values_are_only_values(database: Database, writer: IndexWriter) -> None:
    hostile = "Robert'); DROP TABLE patients;--%_!"
    assert writer.record([sample("1.4", PatientID=hostile, Modality="50%_!'")]) == [NEW]
    assert writer.record(
        [sample("1.5", "1.3.1", Modality="50%_!'"), sample("1.6", "1.3.2", Modality="50xx!'")]
    ) == [
        NEW,
        NEW,
    ]
    assert counts_of(database)[0][0] == hostile
    assert rows(database, select(studies.c.modalities)) == [("\\50%_!'\\50xx!'\\",)]


def test_a_transaction_that_fails_leaves_nothing_behind(database: Database, writer: IndexWriter) -> None:
    writer.record([sample("1.4")])

    class Broken:
        def __getattr__(self, name: str) -> Any:
            if name == "path":
                return "1.2/1.3.5/1.5.dcm"
            raise RuntimeError("damaged")

    with pytest.raises(RuntimeError, match="damaged"):
        writer.record([sample("1.6", "1.3.9"), Broken()])
    assert [row[0] for row in counts_of(database)] == ["", "1.2", "1.3"]
    assert writer.record([sample("1.6", "1.3.9")]) == [NEW], "what was made in vain is not remembered"
    assert_counts_are_true(database)


def refusing(uid: str, **values: Any) -> Sample:
    """An instance whose size no database takes."""
    return replace(sample(uid, **values), size=1 << 70)


def test_what_is_refused_is_refused_alone(database: Database, writer: IndexWriter) -> None:
    first, bad, last = writer.record([sample("1.4"), refusing("1.5"), sample("1.6")])
    assert first is last is NEW
    assert isinstance(bad, NotRecordable)
    assert str(bad).startswith("the index does not take what its data set says: ")
    (alone,) = writer.record([refusing("1.7")])
    assert isinstance(alone, NotRecordable)
    assert counts_of(database) == [("", 1, 1), ("1.2", 1), ("1.3", 2)]
    assert_counts_are_true(database)


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "PatientName", "SeriesDescription", "StudyID"])
def test_a_nul_inside_a_value_is_taken(database: Database, writer: IndexWriter, keyword: str) -> None:
    assert writer.record([sample("1.4", **{keyword: "1.2\0.3"})]) == [NEW]


def test_a_row_that_is_known_may_have_gone(database: Database, writer: IndexWriter) -> None:
    writer.record([sample("1.4")])
    with database.engine.begin() as connection:
        for table in (instances, series, studies, patients):
            connection.execute(table.delete())
    assert writer.record([sample("1.5")]) == [NEW]
    assert_counts_are_true(database)


class Failing(IndexWriter):
    """A database that answers one thing."""

    def __init__(self, database: Database, error: Exception) -> None:
        super().__init__(database)
        self._error = error

    def _record_all(self, entries: Any) -> Any:
        raise self._error


class ProgrammingError(Exception):
    sqlstate = "42P01"


class ProgramLimitExceeded(Exception):
    sqlstate = "54000"


def test_a_value_over_a_limit_is_refused(database: Database) -> None:
    writer = Failing(database, ProgramLimitExceeded("index row size 2800 exceeds maximum 2704"))
    (refused,) = writer.record([sample("1.4")])
    writer.close()
    assert isinstance(refused, NotRecordable)


def test_a_table_that_is_missing_is_no_fault_of_an_instance(database: Database) -> None:
    writer = Failing(database, ProgrammingError("no such relation"))
    with pytest.raises(ProgrammingError):
        writer.record([sample("1.4")])
    writer.close()


class Watched:
    """A database whose connection notes the tables that are updated."""

    def __init__(self, database: Database) -> None:
        self.is_sqlite = database.is_sqlite
        self.updated: list[str] = []
        self._connection = database.connect_writer()
        self._cursor = self._connection.cursor()

    def connect_writer(self) -> "Watched":
        return self

    def cursor(self) -> "Watched":
        return self

    def close(self) -> None:
        self._connection.close()

    @property
    def rowcount(self) -> int:
        count: int = self._cursor.rowcount
        return count

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        if sql.startswith("UPDATE "):
            self.updated.append(sql.split()[1])
        return self._cursor.execute(sql, parameters)


def test_rows_are_changed_from_the_top_down(database: Database, writer: IndexWriter) -> None:
    """Otherwise one writer that has a study's row waits for a patient's, and another the other way round."""
    writer.record([sample(f"1.4.{n}", f"1.3.{n}", f"1.2.{n}", PatientID="P", Modality="CT") for n in (1, 2)])
    watched = Watched(database)
    second = IndexWriter(watched)
    second.record(
        [
            sample(
                f"1.5.{n}",
                f"1.3.{n}{n}",
                f"1.2.{n}",
                PatientID="P",
                Modality="MR",
                sop_class=MR_IMAGE_STORAGE,
            )
            for n in (2, 1)
        ]
    )
    second.close()
    assert watched.updated == ["patients"] + ["studies"] * 6 + ["series"] * 2


class Crossed(Exception):
    sqlstate = "40P01"


class Unlucky(IndexWriter):
    """Another writer is in the way, some times."""

    def __init__(self, database: Database, times: int) -> None:
        super().__init__(database)
        self.left = times

    def _record_all(self, entries: Any) -> Any:
        if self.left:
            self.left -= 1
            raise Crossed("deadlock detected")
        return super()._record_all(entries)


def test_whoever_was_crossed_tries_again(database: Database) -> None:
    writer = Unlucky(database, 5)
    assert writer.record([sample("1.4"), sample("1.5")]) == [NEW, NEW]
    writer.close()
    hopeless = Unlucky(database, 1000)
    with pytest.raises(Crossed):
        hopeless.record([sample("1.6")])
    hopeless.close()
    assert_counts_are_true(database)


def test_more_series_than_are_remembered(database: Database, writer: IndexWriter, monkeypatch: Any) -> None:
    monkeypatch.setattr("services.archive.index.writer._REMEMBERED", 3)
    for number in range(10):
        assert writer.record([sample(f"1.4.{number}", f"1.3.{number}")]) == [NEW]
        assert writer.record([sample(f"1.5.{number}", f"1.3.{number}")]) == [NEW]
    assert_counts_are_true(database)


def test_writers_at_the_same_time(database: Database) -> None:
    """Two of them, with batches in opposite orders, over the same patients, studies and series."""
    failures: list[BaseException] = []
    results: list[Recorded] = []

    def write(numbers: list[int]) -> None:
        writer = IndexWriter(database)
        try:
            for start in range(0, len(numbers), 8):
                batch = [
                    sample(f"1.4.{n}", f"1.3.{n % 5}", f"1.2.{n % 3}", PatientID=f"P{n % 3 % 2}")
                    for n in numbers[start : start + 8]
                ]
                results.extend(writer.record(batch))
        except BaseException as error:
            failures.append(error)
        finally:
            writer.close()

    numbers = list(range(200))
    threads = [threading.Thread(target=write, args=(each,)) for each in (numbers, numbers[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sorted(result.value for result in results) == ["known"] * 200 + ["new"] * 200
    assert_counts_are_true(database)


@pytest.mark.peer("postgres")
def test_a_lost_connection_is_replaced(postgresql_database: Database) -> None:
    writer = IndexWriter(postgresql_database)
    assert writer.record([sample("1.4")]) == [NEW]
    with postgresql_database.engine.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        )
    assert writer.record([sample("1.4"), sample("1.5")]) == [KNOWN, NEW]
    writer.close()
    assert_counts_are_true(postgresql_database)
