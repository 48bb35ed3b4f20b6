"""Files and index are held against each other; what a server is about to record is no finding."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from archive_samples import data_set, store_one
from services.archive.index.database import Database
from services.archive.index.schema import instances, patients, series, studies
from services.archive.index.writer import IndexWriter
from services.archive.maintenance.verify import Finding, Kind, Verification
from services.archive.rescan import rescan

FIRST, SECOND, THIRD = "1.3.1/1.3.1.4/1.9.1.dcm", "1.3.1/1.3.1.4/1.9.2.dcm", "1.3.2/1.3.2.4/1.9.3.dcm"


@pytest.fixture
def root(tmp_path: Path, database: Database) -> Path:
    """A data directory with three instances in two studies, and their rows."""
    root = tmp_path / "data"
    writer = IndexWriter(database)
    for uid, study in (("1.9.1", "1.3.1"), ("1.9.2", "1.3.1"), ("1.9.3", "1.3.2")):
        store_one(root, data_set(uid, study=study, series=f"{study}.4"), uid, record=writer.record)
    writer.close()
    return root


def found(root: Path, database: Database, **options: Any) -> list[Finding]:
    return list(Verification(root, database.engine, **({"patience": 0} | options)).findings())


def kinds(root: Path, database: Database, **options: Any) -> list[tuple[Kind, str]]:
    return [(finding.kind, finding.path) for finding in found(root, database, **options)]


def execute(database: Database, statement: Any) -> None:
    with database.engine.begin() as connection:
        connection.execute(statement)


@pytest.mark.parametrize("deep", [False, True])
def test_an_archive_that_agrees(root: Path, database: Database, deep: bool) -> None:
    steps: list[int] = []
    verification = Verification(root, database.engine, deep=deep, advance=steps.append)
    assert list(verification.findings()) == []
    assert (verification.files, sum(steps)) == (3, 2)


def test_a_file_without_a_row(root: Path, database: Database) -> None:
    store_one(root, data_set("1.9.0", study="1.2.9", series="1.2.9.4"), "1.9.0")
    execute(database, delete(instances).where(instances.c.sop_instance_uid == "1.9.2"))
    assert kinds(root, database)[:2] == [(Kind.NO_ROW, "1.2.9/1.2.9.4/1.9.0.dcm"), (Kind.NO_ROW, SECOND)]


def test_a_row_without_a_file(root: Path, database: Database) -> None:
    (root / FIRST).unlink()
    os.rename(root / "1.3.2", root / ".gone")
    assert kinds(root, database) == [(Kind.NO_FILE, FIRST), (Kind.NO_FILE, THIRD)]


def test_a_file_of_another_size(root: Path, database: Database) -> None:
    with (root / SECOND).open("ab") as file:
        file.write(b"\0\0")
    assert kinds(root, database) == [(Kind.SIZE, SECOND)]
    size = (root / SECOND).stat().st_size
    assert found(root, database)[0].text == f"the file has {size} bytes, by its row {size - 2}"


def test_only_a_deep_look_sees_what_is_inside(root: Path, database: Database) -> None:
    damaged = bytearray((root / FIRST).read_bytes())
    damaged[128:132] = b"DICN"
    (root / FIRST).write_bytes(damaged)
    execute(
        database, update(instances).where(instances.c.sop_instance_uid == "1.9.2").values(instance_number="7")
    )
    execute(
        database,
        update(instances)
        .where(instances.c.sop_instance_uid == "1.9.3")
        .values(attributes={"00080018": "1.9.4"}),
    )
    assert kinds(root, database) == []
    assert kinds(root, database, deep=True) == [
        (Kind.DAMAGED, FIRST),
        (Kind.DIFFERENT, SECOND),
        (Kind.DIFFERENT, THIRD),
    ]
    texts = [finding.text for finding in found(root, database, deep=True)[1:]]
    assert texts == ["its row has another Instance Number", "its row has another attribute"]


def test_a_data_set_that_was_cut_off(root: Path, database: Database) -> None:
    cut = (root / FIRST).read_bytes()[:-2]
    (root / FIRST).write_bytes(cut)
    size = rescan(root / FIRST).size
    execute(database, update(instances).where(instances.c.sop_instance_uid == "1.9.1").values(size=size))
    assert kinds(root, database) == []
    assert (Kind.DAMAGED, FIRST) in kinds(root, database, deep=True)


@pytest.mark.parametrize(
    ("table", "column", "path"),
    [
        (series, "number_of_instances", "series 1.3.2.4"),
        (studies, "number_of_series", "study 1.3.2"),
        (patients, "number_of_studies", "patient "),
    ],
)
def test_a_count_that_is_not_true(root: Path, database: Database, table: Any, column: str, path: str) -> None:
    only = {
        series: series.c.series_instance_uid == "1.3.2.4",
        studies: studies.c.study_instance_uid == "1.3.2",
        patients: patients.c.patient_key == "\\1.3.2",
    }
    execute(database, update(table).where(only[table]).values({column: 9}))
    assert (Kind.COUNTS, path) in kinds(root, database)


def test_names_that_are_not_the_archives(root: Path, database: Database) -> None:
    (root / "1.3.1/1.3.1.4/notes.txt").touch()
    (root / "1.3.1/readme").mkdir()
    (root / "lost+found").mkdir()
    assert kinds(root, database) == [
        (Kind.STRANGE, "1.3.1/1.3.1.4/notes.txt"),
        (Kind.STRANGE, "1.3.1/readme"),
    ]


def test_what_a_server_is_about_to_record_is_waited_for(root: Path, database: Database) -> None:
    stored = root / store_one(root, data_set("1.9.9", study="1.3.1", series="1.3.1.4"), "1.9.9").path
    looked = threading.Event()

    class Watched(Verification):
        def _look_again(self, path: str) -> Finding | None:
            looked.set()
            return super()._look_again(path)

    def record() -> None:
        assert looked.wait(10)
        writer = IndexWriter(database)
        writer.record([rescan(stored)])
        writer.close()

    server = threading.Thread(target=record)
    server.start()
    os.utime(stored)
    assert list(Watched(root, database.engine, patience=1.0).findings()) == []
    server.join()
