"""Every row is made anew from the files, or none is."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from archive_samples import data_set, leftovers, store_one
from services.archive.data_directory import DataDirectory
from services.archive.index.database import Database
from services.archive.index.entry import Entry, Result
from services.archive.index.schema import LEVELS, instances, series
from services.archive.index.writer import IndexWriter
from services.archive.maintenance import reindex as module
from services.archive.maintenance.reindex import NothingToIndex, Reindexed, reindex, set_damaged_aside
from services.archive.maintenance.verify import Verification
from services.archive.maintenance.walk import Problem


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data directory with three instances in two studies."""
    root = tmp_path / "data"
    for uid, study in (("1.9.1", "1.3.1"), ("1.9.2", "1.3.1"), ("1.9.3", "1.3.2")):
        store_one(root, data_set(uid, study=study, series=f"{study}.4"), uid)
    return root


@pytest.fixture
def directory(root: Path) -> Iterator[DataDirectory]:
    opened = DataDirectory.open(root, keep_published=True)
    yield opened
    opened.close()


def counts(database: Database) -> list[int]:
    """Rows of patients, studies, series, instances."""
    with database.engine.connect() as connection:
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in LEVELS]


def wrong(root: Path, database: Database) -> list[Any]:
    return list(Verification(root, database.engine, deep=True, patience=0).findings())


def test_an_empty_index_is_filled(directory: DataDirectory, database: Database) -> None:
    problems: list[Problem] = []
    advanced: list[int] = []
    done = reindex(directory, database, on_problem=problems.append, advance=advanced.append)
    assert done == Reindexed(studies=2, instances=3, problems=0)
    assert counts(database) == [2, 2, 2, 3]
    assert problems == []
    assert sum(advanced) == 2
    assert wrong(directory.path, database) == []


def test_rows_without_files_go_and_counts_become_true(directory: DataDirectory, database: Database) -> None:
    reindex(directory, database, on_problem=pytest.fail)
    (directory.path / "1.3.2/1.3.2.4/1.9.3.dcm").unlink()
    with database.engine.begin() as connection:
        connection.execute(series.update().values(number_of_instances=77))
    assert reindex(directory, database, on_problem=pytest.fail).instances == 2
    assert counts(database) == [1, 1, 1, 2]
    assert wrong(directory.path, database) == []


def test_what_is_damaged_or_strange_is_named_and_the_rest_indexed(
    directory: DataDirectory, database: Database
) -> None:
    root = directory.path
    (root / "1.3.1/1.3.1.4/1.9.1.dcm").write_bytes(b"damaged")
    (root / "1.3.1/1.3.1.4/notes.txt").touch()
    (root / "1.3.1/readme").mkdir()
    (root / "1.3.2/1.3.2.4/1.9.3.dcm").rename(root / "1.3.2/1.3.2.4/1.9.4.dcm")
    (root / "1.3.3/1.3.3.4").mkdir(parents=True)
    os.link(root / "1.3.1/1.3.1.4/1.9.2.dcm", root / "1.3.3/1.3.3.4/1.9.2.dcm")
    problems: list[Problem] = []
    done = reindex(directory, database, on_problem=problems.append)
    assert (done.instances, done.problems) == (1, 5)
    texts = {problem.path: problem.text for problem in problems}
    assert texts["1.3.1/1.3.1.4/1.9.1.dcm"].startswith("no DICM")
    assert (
        texts["1.3.1/1.3.1.4/notes.txt"] == texts["1.3.1/readme"] == "a name that the archive does not give"
    )
    assert texts["1.3.2/1.3.2.4/1.9.4.dcm"] == "by its UIDs it belongs at 1.3.2/1.3.2.4/1.9.3.dcm"
    assert texts["1.3.3/1.3.3.4/1.9.2.dcm"] == "by its UIDs it belongs at 1.3.1/1.3.1.4/1.9.2.dcm"


def test_a_crash_in_the_middle_leaves_the_old_rows(
    directory: DataDirectory, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reindex(directory, database, on_problem=pytest.fail)
    with database.engine.connect() as connection:
        before = connection.execute(select(instances).order_by(instances.c.id)).all()

    class Crash(Exception):
        pass

    def crash(*_: Any) -> int:
        raise Crash

    monkeypatch.setattr(module, "_record", crash)
    with pytest.raises(Crash):
        reindex(directory, database, on_problem=pytest.fail)
    with database.engine.connect() as connection:
        assert connection.execute(select(instances).order_by(instances.c.id)).all() == before


def test_a_wrong_directory_does_not_empty_the_index(
    tmp_path: Path, directory: DataDirectory, database: Database
) -> None:
    reindex(directory, database, on_problem=pytest.fail)
    other = DataDirectory.open(tmp_path / "other", keep_published=True)
    with pytest.raises(NothingToIndex, match="is this the right data directory"):
        reindex(other, database, on_problem=pytest.fail)
    assert counts(database) == [2, 2, 2, 3]
    assert reindex(other, database, on_problem=pytest.fail, allow_empty=True).instances == 0
    assert counts(database) == [0, 0, 0, 0]
    other.close()


def test_of_two_with_one_uid_the_acknowledged_one_has_the_row(root: Path, database: Database) -> None:
    # 1.9.3 came a second time, in a study that is sorted before the first one, and its server died before the answer.
    store_one(root, data_set("1.9.3", study="1.3.0", series="1.3.0.4"), "1.9.3")
    os.link(root / "1.3.0/1.3.0.4/1.9.3.dcm", root / ".incoming" / "1-1")
    directory = DataDirectory.open(root, keep_published=True)
    assert reindex(directory, database, on_problem=pytest.fail).instances == 3
    directory.close()
    assert leftovers(root) == []
    assert wrong(root, database) == []
    with database.engine.connect() as connection:
        held = (
            select(series.c.series_instance_uid)
            .join(instances)
            .where(instances.c.sop_instance_uid == "1.9.3")
        )
        assert connection.execute(held).scalar_one() == "1.3.2.4"
    assert not (root / "1.3.0/1.3.0.4/1.9.3.dcm").exists()


def test_what_the_index_refuses_is_named_and_the_rest_indexed(
    root: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_all = IndexWriter._record_all

    def refuse(writer: IndexWriter, entries: Sequence[Entry]) -> list[Result]:
        if {"1.9.1", "1.9.3"} & {entry.sop_instance_uid for entry in entries}:
            raise ValueError("a name that no log is to have")
        return record_all(writer, entries)

    monkeypatch.setattr(IndexWriter, "_record_all", refuse)
    os.link(root / "1.3.2/1.3.2.4/1.9.3.dcm", root / ".incoming" / "1-1")
    directory = DataDirectory.open(root, keep_published=True)
    problems: list[Problem] = []
    done = reindex(directory, database, on_problem=problems.append)
    directory.close()
    why = "the index does not take what its data set says: ValueError"
    assert problems == [
        Problem("1.3.1/1.3.1.4/1.9.1.dcm", why),
        Problem(".incoming/1-1", f"1.3.2/1.3.2.4/1.9.3.dcm: {why}"),
    ]
    assert (done.instances, done.problems) == (1, 2)
    assert leftovers(root) == ["1-1"]


def test_the_server_goes_on_behind_it(root: Path, database: Database) -> None:
    """Rows that come later get ids of their own."""
    directory = DataDirectory.open(root, keep_published=True)
    reindex(directory, database, on_problem=pytest.fail)
    directory.close()
    writer = IndexWriter(database)
    store_one(root, data_set("1.9.5", study="1.3.1", series="1.3.1.9"), "1.9.5", record=writer.record)
    writer.close()
    assert counts(database) == [2, 2, 3, 4]
    assert wrong(root, database) == []
    with database.engine.connect() as connection:
        assert connection.execute(select(func.sum(series.c.number_of_instances))).scalar_one() == 4


def test_only_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "index.db"
    assert set_damaged_aside(None) is None, "PostgreSQL"
    assert set_damaged_aside(file) is None, "there is none"
    Database.open("", tmp_path, durability="process").close()
    assert set_damaged_aside(file) is None
    file.write_bytes(b"no database" * 1000)
    aside = set_damaged_aside(file)
    assert aside is not None
    assert str(aside) == f"{file} was damaged (file is not a database); it is kept as {aside.kept}"
    assert list(tmp_path.iterdir()) == [aside.kept]
