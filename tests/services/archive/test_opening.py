"""A data directory with its index: locked first, brought together, closed in order."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from archive_samples import data_set, instances, store, store_one
from services.archive import opening
from services.archive.committer import Record
from services.archive.data_directory import DataDirectory, Repair
from services.archive.errors import DataDirectoryError, IndexDamaged, IndexUnavailable
from services.archive.identity import OfAnotherDirectory
from services.archive.opening import Opened, open_with_index
from services.archive.publish import Outcome

OPTIONS = {
    "implementation_class_uid": "1.2.826.0.1",
    "implementation_version_name": "TEST",
    "free_space_reserve": 0,
}


def opened(path: Path, url: str | None = "", durability: str = "process") -> Opened:
    return open_with_index(path, url, durability=durability, **OPTIONS)


@pytest.mark.parametrize("durability", ["process", "power"])
def test_what_is_stored_has_its_row(tmp_path: Path, database_url: str, durability: str) -> None:
    room = opened(tmp_path / "data", database_url, durability)
    assert room.index is not None

    async def main() -> list[Outcome]:
        return [
            (await store(room.archive, data_set(uid), uid)).outcome for uid in ("1.9.1", "1.9.2", "1.9.1")
        ]

    assert asyncio.run(main()) == [Outcome.STORED, Outcome.STORED, Outcome.DUPLICATE_EQUAL]
    assert room.index.counts() == {"patients": 1, "studies": 1, "series": 1, "instances": 2}
    room.close()


def test_an_instance_of_another_study_is_refused_and_leaves_nothing(
    tmp_path: Path, database_url: str
) -> None:
    room = opened(tmp_path / "data", database_url)
    assert room.index is not None

    async def main() -> list[Outcome]:
        first = await store(room.archive, data_set("1.9.1"), "1.9.1")
        second = await store(room.archive, data_set("1.9.1", study="1.2.99"), "1.9.1")
        return [first.outcome, second.outcome]

    assert asyncio.run(main()) == [Outcome.STORED, Outcome.DUPLICATE_DIFFERENT]
    assert instances(tmp_path / "data") == ["1.2.3/1.2.3.4/1.9.1.dcm"]
    assert room.index.counts()["studies"] == 1
    room.close()


def test_a_replaced_instance_has_its_new_row(tmp_path: Path) -> None:
    room = open_with_index(tmp_path / "data", "", durability="process", duplicates="replace", **OPTIONS)
    assert room.index is not None

    async def main() -> list[Outcome]:
        first = await store(room.archive, data_set("1.9.1"), "1.9.1")
        second = await store(room.archive, data_set("1.9.1", pixels=b"\3\4" * 99), "1.9.1")
        return [first.outcome, second.outcome]

    assert asyncio.run(main()) == [Outcome.STORED, Outcome.REPLACED]
    with room.index.database.engine.connect() as connection:
        sizes = [row[0] for row in connection.execute(text("SELECT size FROM instances"))]
    assert sizes == [len(data_set("1.9.1", pixels=b"\3\4" * 99))]
    room.close()


def test_without_an_index_there_is_no_database(tmp_path: Path) -> None:
    room = opened(tmp_path / "data", None)
    assert room.index is None
    room.close()
    assert not (tmp_path / "data" / "index.db").exists()


def test_a_second_server_learns_of_the_first(tmp_path: Path) -> None:
    room = opened(tmp_path / "data")
    with pytest.raises(DataDirectoryError, match="is used by"):
        opened(tmp_path / "data")
    room.close()
    opened(tmp_path / "data").close()


def test_an_index_that_cannot_be_used_lets_the_directory_go(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable):
        opened(tmp_path / "data", "postgresql://nobody@127.0.0.1:1/nothing")
    opened(tmp_path / "data").close()  # it is not taken any more


def test_images_without_an_index_are_seen(tmp_path: Path) -> None:
    path = "1.2.3/1.2.3.4/1.9.1.dcm"
    store_one(tmp_path, data_set("1.9.1"), "1.9.1")  # without an index
    for _ in range(2):
        room = opened(tmp_path)
        assert room.archive.repair.unindexed == path
        room.close()
    room = opened(tmp_path)
    asyncio.run(store(room.archive, data_set("1.9.2"), "1.9.2"))
    room.close()
    room = opened(tmp_path)
    assert room.archive.repair.unindexed == "", "an index that has something is not doubted"
    room.close()


def test_an_archive_that_never_had_an_image_has_lost_none(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "data" / "1.2.3" / "1.2.3.4").mkdir(parents=True)
    (tmp_path / "data" / "lost+found").mkdir()
    (tmp_path / "data" / "1.2.3" / "notes.txt").touch()
    room = opened(tmp_path / "data", database_url)
    assert room.archive.repair.unindexed == ""
    room.close()


def test_the_first_images_of_a_server_that_was_killed_are_no_loss(tmp_path: Path) -> None:
    """They are published and in the journal, and not in the index yet."""
    store_one(tmp_path, data_set("1.9.1"), "1.9.1")
    os.link(tmp_path / "1.2.3/1.2.3.4/1.9.1.dcm", tmp_path / ".incoming" / "1-1")
    room = opened(tmp_path)
    assert room.archive.repair == Repair(published=1)
    room.close()


def test_nothing_is_looked_for_where_the_index_has_an_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = opened(tmp_path)
    asyncio.run(store(room.archive, data_set("1.9.1"), "1.9.1"))
    room.close()
    monkeypatch.setattr(opening, "_any_file", lambda *_, **__: pytest.fail("looked for files"))
    opened(tmp_path).close()


def test_damage_that_is_met_while_repairing_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recover(directory: DataDirectory, record: Record) -> Repair:
        connection = sqlite3.connect(tmp_path / "none.db")
        try:
            connection.execute("SELECT 1 FROM t")
        except sqlite3.Error as error:
            raise DataDirectoryError("could not be recorded") from error
        finally:
            connection.close()
        raise AssertionError

    (tmp_path / "none.db").write_bytes(b"no database" * 1000)
    monkeypatch.setattr(opening, "recover", recover)
    with pytest.raises(IndexDamaged, match=f"dicom-server reindex --data-dir {tmp_path}/data"):
        opened(tmp_path / "data")
    monkeypatch.undo()
    opened(tmp_path / "data").close()


def test_an_index_of_another_directory_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    opened(tmp_path / "a", url).close()
    with pytest.raises(OfAnotherDirectory, match=f"of the data directory {tmp_path}/a "):
        opened(tmp_path / "b", url)
    opened(tmp_path / "a", url).close()
    opened(tmp_path / "b").close()  # it is not taken any more
