"""What an earlier server left in the journal gets its row, or leaves its place, before the journal is cleared."""

import os
from collections.abc import Sequence
from pathlib import Path
from sqlite3 import OperationalError

import pytest

from archive_samples import (
    PATH,
    data_set,
    instances,
    leftovers,
    open_archive,
    store_one,
    stored_data_set,
    without_hard_links,
)
from services.archive.data_directory import CLAIM, REPLACING, DataDirectory, Repair
from services.archive.errors import DataDirectoryError, NotRecordable, StorageError
from services.archive.index.entry import Indexable, Recorded, Result
from services.archive.recovery import BATCH, journalled, recover


class Index:
    """Takes instances, or does not."""

    def __init__(self, answer: Result | Exception = Recorded.NEW) -> None:
        self.answer = answer
        self.batches: list[list[str]] = []

    def record(self, batch: Sequence[Indexable]) -> list[Result]:
        if isinstance(self.answer, Exception) and not isinstance(self.answer, NotRecordable):
            raise self.answer
        self.batches.append([instance.path for instance in batch])
        return [self.answer] * len(batch)


def published(root: Path, *uids: str) -> Path:
    """Stored instances whose journal entries, 1-1 and so on, are still there; the file of the first one."""
    files = [root / store_one(root, data_set(uid), uid).path for uid in uids or ("1.2.3.4.5",)]
    for number, file in enumerate(files, 1):
        os.link(file, root / ".incoming" / f"1-{number}")
    return files[0]


def recovered(root: Path, index: Index) -> Repair:
    directory = DataDirectory.open(root, keep_published=True)
    try:
        return recover(directory, index.record)
    finally:
        directory.close()


def test_what_is_in_its_place_is_recorded(tmp_path: Path) -> None:
    file = published(tmp_path)
    whole = file.read_bytes()
    index = Index()
    assert recovered(tmp_path, index) == Repair(published=1)
    assert index.batches == [[PATH]]
    assert leftovers(tmp_path) == []
    assert file.read_bytes() == whole
    assert recovered(tmp_path, index) == Repair()


def test_opening_alone_leaves_it_for_the_index(tmp_path: Path) -> None:
    published(tmp_path)
    (tmp_path / ".incoming" / "1-2").write_bytes(b"half")
    directory = DataDirectory.open(tmp_path, keep_published=True)
    assert directory.repair == Repair(unfinished=1)
    assert leftovers(tmp_path) == ["1-1"]
    assert journalled(directory) == {PATH}
    directory.close()


def test_what_the_index_holds_elsewhere_leaves_its_place(tmp_path: Path) -> None:
    published(tmp_path)
    assert recovered(tmp_path, Index(Recorded.ELSEWHERE)) == Repair(published=1, elsewhere=1)
    assert instances(tmp_path) == leftovers(tmp_path) == []


@pytest.mark.parametrize("claimed", [False, True])
def test_without_the_index_everything_stays_and_the_start_fails(tmp_path: Path, claimed: bool) -> None:
    file = published(tmp_path)
    if claimed:
        (tmp_path / ".incoming" / "1-1").unlink()
        (tmp_path / ".incoming" / f"aa{CLAIM}").write_text(PATH)
    before = leftovers(tmp_path)
    with pytest.raises(
        DataDirectoryError,
        match=r"1 instances .* could not be recorded: OperationalError: no database.*start again",
    ):
        recovered(tmp_path, Index(OperationalError("no database\nwith all its values")))
    assert leftovers(tmp_path) == before
    assert file.exists()
    index = Index()
    assert recovered(tmp_path, index).published == 1
    assert index.batches == [[PATH]]


def test_what_the_index_refuses_stays_and_is_named(tmp_path: Path) -> None:
    file = published(tmp_path)
    found = recovered(tmp_path, Index(NotRecordable("it does not take that")))
    assert found == Repair(unreadable=(f".incoming/1-1: {PATH}: it does not take that",))
    assert leftovers(tmp_path) == ["1-1"]
    assert file.exists()


def test_claims_stand_for_their_paths(tmp_path: Path) -> None:
    store_one(tmp_path, data_set(), disk=without_hard_links())
    incoming = tmp_path / ".incoming"
    (incoming / f"aa{CLAIM}").write_text(PATH)
    (incoming / f"bb{CLAIM}").write_text("1/2/3.dcm")
    (incoming / f"cc{CLAIM}").write_text("../../etc/passwd")
    (incoming / f"dd{CLAIM}").touch()
    index = Index()
    assert recovered(tmp_path, index) == Repair(published=1)
    assert index.batches == [[PATH]]
    assert leftovers(tmp_path) == []


def test_a_link_somewhere_else_is_no_publication(tmp_path: Path) -> None:
    file = published(tmp_path)
    (tmp_path / ".incoming" / "1-1").unlink()
    other = tmp_path / "elsewhere.dcm"
    other.write_bytes(file.read_bytes())
    os.link(other, tmp_path / ".incoming" / "1-2")  # the same instance, another file
    third = store_one(tmp_path / "third", data_set("1.2.3.4.9"), "1.2.3.4.9")
    os.link(tmp_path / "third" / third.path, tmp_path / ".incoming" / "1-3")  # and one that is not there
    index = Index()
    assert recovered(tmp_path, index) == Repair(unfinished=2)
    assert index.batches == leftovers(tmp_path) == []
    assert file.exists()


def test_the_name_of_a_replacement_counts_for_nothing(tmp_path: Path) -> None:
    store_one(tmp_path, data_set())
    incoming = tmp_path / ".incoming"
    (incoming / "1-1").write_bytes(b"new")
    os.link(incoming / "1-1", incoming / f"1-1{REPLACING}")
    index = Index()
    assert recovered(tmp_path, index) == Repair(unfinished=1)
    assert index.batches == leftovers(tmp_path) == []


def test_what_cannot_be_read_stays_and_is_named(tmp_path: Path) -> None:
    file = published(tmp_path, "1.2.3.4.5", "1.2.3.4.6")
    file.write_bytes(b"damaged")
    index = Index()
    repair = recovered(tmp_path, index)
    assert (repair.published, len(repair.unreadable)) == (1, 1)
    assert repair.unreadable[0].startswith(".incoming/1-1: no DICM")
    assert index.batches == [["1.2.3/1.2.3.4/1.2.3.4.6.dcm"]]
    assert leftovers(tmp_path) == ["1-1"]
    assert file.exists()


def test_an_empty_leftover_of_the_hard_link_probe_goes(tmp_path: Path) -> None:
    DataDirectory.open(tmp_path).close()
    (tmp_path / ".incoming" / "1-1").touch()
    os.link(tmp_path / ".incoming" / "1-1", tmp_path / ".incoming" / "1-1.link")
    assert recovered(tmp_path, Index()).unreadable == ()
    assert leftovers(tmp_path) == []


def test_many_go_in_batches(tmp_path: Path) -> None:
    published(tmp_path, *(f"1.2.3.4.{number}" for number in range(BATCH + 3)))
    index = Index()
    assert recovered(tmp_path, index).published == BATCH + 3
    assert sorted(map(len, index.batches)) == [3, BATCH]


def test_rows_come_after_their_files_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path)
    order: list[str] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        order.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), tmp_path))
        fsync(fd)

    index = Index()

    def record(batch: Sequence[Indexable]) -> list[Result]:
        order.append("record")
        return index.record(batch)

    directory = DataDirectory.open(tmp_path, keep_published=True)
    monkeypatch.setattr(os, "fsync", noted)
    recover(directory, record)
    directory.close()
    assert order == [PATH, "1.2.3/1.2.3.4", "1.2.3", ".", "record"]


def test_a_replacement_without_hard_links_has_a_journal_entry_too(tmp_path: Path) -> None:
    disk = without_hard_links()
    store_one(tmp_path, data_set(), disk=disk)
    failing_index = Index(RuntimeError("no database"))
    other = data_set(pixels=b"\7" * 128)
    with pytest.raises(StorageError, match="the index could not take the instance"):
        store_one(
            tmp_path, other, disk=disk, duplicates="replace", record=failing_index.record, durability="power"
        )
    assert [name.endswith(CLAIM) for name in leftovers(tmp_path)] == [True]
    index = Index()
    assert recovered(tmp_path, index) == Repair(published=1)
    assert index.batches == [[PATH]]
    assert stored_data_set(tmp_path / PATH) == other


def test_an_archive_recovers_when_it_is_opened_with_an_index(tmp_path: Path) -> None:
    published(tmp_path)
    index = Index()
    archive = open_archive(tmp_path, record=index.record)
    archive.close()
    assert archive.repair == Repair(published=1)
    assert index.batches == [[PATH]]


def test_an_archive_whose_index_is_not_there_lets_the_directory_go(tmp_path: Path) -> None:
    published(tmp_path)
    with pytest.raises(DataDirectoryError, match="could not be recorded"):
        open_archive(tmp_path, record=Index(RuntimeError("no database")).record)
    open_archive(tmp_path, record=Index().record).close()
