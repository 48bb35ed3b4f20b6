"""Batches, what is synced when, and what an error of a sync means."""

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

import pytest

from archive_samples import (
    CT_IMAGE_STORAGE,
    EXPLICIT_LE,
    data_set,
    disk_with,
    failing,
    instances,
    leftovers,
)
from services.archive.committer import LARGEST_BATCH, Committer, Durability, Record
from services.archive.data_directory import DataDirectory
from services.archive.errors import NotRecordable, OutOfStorage, StorageError
from services.archive.index.entry import Recorded
from services.archive.publish import Duplicates, Outcome, Publication, Publisher
from services.archive.volume import Volume


@dataclass
class Journal:
    """Every call that matters, in order, with the path behind each descriptor."""

    root: Path
    calls: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, name: str, what: str) -> None:
        with self.lock:
            self.calls.append((name, what))

    def name_of(self, fd: int) -> str:
        path = os.readlink(f"/proc/self/fd/{fd}")
        return os.path.relpath(path, self.root)

    def fdatasync(self, fd: int) -> None:
        self.note("fdatasync", self.name_of(fd))
        os.fdatasync(fd)

    def fsync(self, fd: int) -> None:
        self.note("fsync", self.name_of(fd))
        os.fsync(fd)

    def link(self, source: str, target: str, **options: Any) -> None:
        os.link(source, target, **options)
        self.note("link", target)

    def unlink(self, name: str, **options: Any) -> None:
        os.unlink(name, **options)
        self.note("unlink", name)

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def of(self, name: str) -> list[str]:
        return sorted(what for call, what in self.calls if call == name)


class Room:
    """A committer over a directory, with its deliveries collected."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.directory = DataDirectory.open(path)
        self.volume = Volume("disk", self.directory.root_fd, disk_with(), reserve=0, probe=lambda: None)
        self.journal = Journal(path)
        self.delivered: list[list[Publication]] = []
        self.came = threading.Condition()

    def committer(
        self,
        durability: Durability = Durability.POWER,
        record: Record | None = None,
        duplicates: Duplicates = Duplicates.KEEP,
        **calls: Callable[..., Any],
    ) -> Committer:
        names = ("fdatasync", "fsync", "link", "unlink")
        noting = {name: getattr(self.journal, name) for name in names}
        disk = disk_with(**(noting | calls))
        publisher = Publisher(self.directory, disk, duplicates)
        return Committer(self.directory, self.volume, disk, publisher, durability, self.deliver, record)

    def deliver(self, batch: Sequence[Publication]) -> None:
        with self.came:
            self.delivered.append(list(batch))
            self.came.notify_all()

    def wait_for(self, count: int) -> None:
        with self.came:
            assert self.came.wait_for(lambda: sum(map(len, self.delivered)) >= count, 20)

    def publication(self, path: str, data: bytes = b"") -> Publication:
        fd, name = self.directory.new_temporary()
        os.write(fd, b"-" * 16 + (data or data_set()))
        return Publication(
            fd=fd,
            name=name,
            path=path,
            sop_class_uid=CT_IMAGE_STORAGE,
            transfer_syntax_uid=EXPLICIT_LE,
            data_set_offset=16,
            size=len(data or data_set()),
            values={},
        )


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.volume.close()
    made.directory.close()


def test_process_syncs_nothing(room: Room) -> None:
    publication = room.publication("1/2/3.dcm")
    committer = room.committer(Durability.PROCESS)
    assert committer.try_publish([publication]) == ([publication], [])
    committer.conclude([publication])
    assert room.journal.names() == ["link", "unlink"]
    assert publication.outcome is Outcome.STORED
    assert instances(room.path) == ["1/2/3.dcm"]


def test_try_publish_leaves_a_taken_place_to_the_thread(room: Room) -> None:
    committer = room.committer(Durability.PROCESS, duplicates=Duplicates.REJECT)
    first, second = room.publication("1/2/3.dcm"), room.publication("1/2/3.dcm")
    assert committer.try_publish([first]) == ([first], [])
    committer.conclude([first])
    assert committer.try_publish([second]) == ([], [second])
    committer.submit(second)
    room.wait_for(1)
    committer.close()
    assert second.outcome is Outcome.REJECTED
    assert leftovers(room.path) == []


def test_power_syncs_file_then_links_then_syncs_directories_then_forgets(room: Room) -> None:
    recorded: list[str] = []

    def record(batch: Sequence[Publication]) -> list[Recorded]:
        room.journal.note("record", batch[0].path)
        recorded.extend(leftovers(room.path))
        return [Recorded.NEW]

    publication = room.publication("1/2/3.dcm")
    name = publication.name
    room.committer(record=record).commit([publication])
    calls = room.journal.calls
    assert calls[0] == ("fdatasync", f".incoming/{name}")
    assert calls[1] == ("link", "1/2/3.dcm")
    assert sorted(calls[2:5]) == [("fsync", "."), ("fsync", "1"), ("fsync", "1/2")]
    assert calls[5:] == [("record", "1/2/3.dcm"), ("unlink", name)]
    assert recorded == [name], "the journal entry outlives the record"


def test_each_directory_of_a_batch_is_synced_once(room: Room) -> None:
    paths = [f"1/{series}/{n}.dcm" for series in (2, 3) for n in range(5)] + ["9/8/7.dcm"]
    committer = room.committer()
    committer.commit([room.publication(path) for path in paths])
    committer.close()
    assert room.journal.of("fsync") == [".", "1", "1/2", "1/3", "9", "9/8"]
    assert len(room.journal.of("fdatasync")) == len(paths)
    last_data = max(i for i, (call, _) in enumerate(room.journal.calls) if call == "fdatasync")
    first_link = room.journal.names().index("link")
    assert last_data < first_link
    assert instances(room.path) == sorted(paths)


def test_parents_are_synced_once_as_long_as_they_stay(room: Room) -> None:
    committer = room.committer()
    for number in (1, 2):
        committer.commit([room.publication(f"1/2/{number}.dcm")])
    assert room.journal.of("fsync") == [".", "1", "1/2", "1/2"]
    room.journal.calls.clear()
    for number in (1, 2):
        os.unlink(room.path / f"1/2/{number}.dcm")
    os.rmdir(room.path / "1/2")
    committer.commit([room.publication("1/2/3.dcm")])
    assert room.journal.of("fsync") == [".", "1", "1/2"]


def test_parents_somebody_else_made_are_synced_too(room: Room) -> None:
    (room.path / "1/2").mkdir(parents=True)
    room.committer().commit([room.publication("1/2/3.dcm")])
    assert room.journal.of("fsync") == [".", "1", "1/2"]


def test_parents_are_synced_again_after_a_failure(room: Room) -> None:
    failures = [True]

    def fsync(fd: int) -> None:
        if failures and room.journal.name_of(fd) == "1":
            failures.pop()
            raise OSError(errno.EIO, "Input/output error")
        room.journal.fsync(fd)

    committer = room.committer(fsync=fsync)
    first, second = room.publication("1/2/3.dcm"), room.publication("1/2/4.dcm")
    committer.commit([first])
    assert isinstance(first.error, StorageError)
    room.journal.calls.clear()
    committer.commit([second])
    assert second.error is None
    assert room.journal.of("fsync") == [".", "1", "1/2"]
    committer.close()


def test_the_memory_of_synced_parents_is_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.archive.committer._KNOWN_DIRECTORIES", 2)
    committer = room.committer()
    for series in (1, 2, 3):
        committer.commit([room.publication(f"1/{series}/1.dcm")])
    room.journal.calls.clear()
    committer.commit([room.publication("1/3/2.dcm")])
    committer.commit([room.publication("1/1/2.dcm")])
    assert room.journal.of("fsync") == [".", "1", "1/1", "1/3"]
    committer.close()


def test_an_equal_duplicate_is_made_durable_before_it_is_acknowledged(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Publisher, "_is_stored", lambda _self, _publication: True)
    first, second = room.publication("1/2/3.dcm"), room.publication("1/2/3.dcm")
    committer = room.committer(Durability.PROCESS)
    committer.try_publish([first])
    committer.conclude([first])
    room.journal.calls.clear()
    room.committer().commit([second])
    assert second.outcome is Outcome.DUPLICATE_EQUAL
    assert "1/2/3.dcm" in room.journal.of("fdatasync")
    assert room.journal.of("fsync") == [".", "1", "1/2"]


def test_an_error_of_a_file_sync_is_final(room: Room) -> None:
    bad, good = room.publication("1/2/bad.dcm"), room.publication("1/2/good.dcm")
    bad_name = f".incoming/{bad.name}"

    def fdatasync(fd: int) -> None:
        room.journal.note("fdatasync", room.journal.name_of(fd))
        if room.journal.name_of(fd) == bad_name:
            raise OSError(errno.EIO, "Input/output error")

    committer = room.committer(fdatasync=fdatasync)
    committer.commit([bad, good])
    committer.close()
    assert room.journal.of("fdatasync").count(bad_name) == 1, "never tried again"
    assert isinstance(bad.error, StorageError)
    assert f"could not sync 1/2/bad.dcm: Input/output error; {room.path} takes nothing new" in str(bad.error)
    assert good.outcome is Outcome.STORED
    assert instances(room.path) == ["1/2/good.dcm"]
    assert leftovers(room.path) == []
    assert "could not sync 1/2/bad.dcm" in room.volume.suspect


def test_no_room_at_a_sync_does_not_make_the_volume_suspect(room: Room) -> None:
    publication = room.publication("1/2/3.dcm")
    room.committer(fdatasync=failing(errno.ENOSPC)).commit([publication])
    assert isinstance(publication.error, OutOfStorage)
    assert room.volume.suspect == ""
    assert instances(room.path) == leftovers(room.path) == []


def test_an_error_of_a_directory_sync_fails_all_that_lie_there(room: Room) -> None:
    def fsync(fd: int) -> None:
        if room.journal.name_of(fd) == "1/2":
            raise OSError(errno.EIO, "Input/output error")

    committer = room.committer(fsync=fsync)
    batch = [room.publication(path) for path in ("1/2/1.dcm", "1/2/2.dcm", "1/3/3.dcm")]
    committer.commit(batch)
    committer.close()
    assert [type(p.error) for p in batch] == [StorageError, StorageError, type(None)]
    assert "could not sync the directory 1/2" in room.volume.suspect
    assert leftovers(room.path) == []


def test_a_record_that_fails_fails_the_batch_and_keeps_the_journal(room: Room) -> None:
    def record(_batch: Sequence[Publication]) -> list[Recorded]:
        raise OperationalError("database is locked\nDETAIL: the name of a patient")

    publication = room.publication("1/2/3.dcm")
    name = publication.name
    room.committer(record=record).commit([publication])
    assert isinstance(publication.error, StorageError)
    assert str(publication.error) == (
        "the index could not take the instance: OperationalError: database is locked (1/2/3.dcm)"
    )
    assert leftovers(room.path) == [name]
    assert instances(room.path) == ["1/2/3.dcm"]
    room.directory.close()
    room.directory = DataDirectory.open(room.path)
    assert room.directory.repair.published == 1


def test_what_the_index_refuses_leaves_its_place(room: Room) -> None:
    refused = NotRecordable("it does not take that")
    bad, good = room.publication("1/2/bad.dcm"), room.publication("1/2/good.dcm")
    room.committer(record=lambda batch: [refused, Recorded.NEW]).commit([bad, good])
    assert (bad.error, good.error) == (refused, None)
    assert instances(room.path) == ["1/2/good.dcm"]
    assert leftovers(room.path) == []


def test_only_what_was_published_is_recorded(room: Room) -> None:
    recorded: list[str] = []
    bad = room.publication("1/2/bad.dcm")
    os.close(bad.fd)
    bad.fd = os.open("/proc/self/status", os.O_RDONLY)  # cannot be synced

    def record(batch: Sequence[Publication]) -> list[Recorded]:
        recorded.extend(publication.path for publication in batch)
        return [Recorded.NEW] * len(batch)

    committer = room.committer(record=record)
    committer.commit([bad, room.publication("1/2/good.dcm")])
    committer.close()
    assert recorded == ["1/2/good.dcm"]


def test_what_arrives_meanwhile_is_the_next_batch(room: Room) -> None:
    begun, gate, sizes = threading.Event(), threading.Event(), list[int]()

    def record(batch: Sequence[Publication]) -> list[Recorded]:
        sizes.append(len(batch))
        begun.set()
        assert gate.wait(10)
        return [Recorded.NEW] * len(batch)

    committer = room.committer(record=record)
    total = 1 + LARGEST_BATCH + 10
    committer.submit(room.publication("1/2/first.dcm"))
    assert begun.wait(10)
    for number in range(total - 1):
        committer.submit(room.publication(f"1/2/{number}.dcm"))
    gate.set()
    room.wait_for(total)
    committer.close()
    assert sizes == [1, LARGEST_BATCH, 10]
    assert [len(batch) for batch in room.delivered] == sizes
    assert len(instances(room.path)) == total


def test_close_commits_what_was_submitted(room: Room) -> None:
    committer = room.committer()
    for number in range(100):
        committer.submit(room.publication(f"1/2/{number}.dcm"))
    committer.close()
    assert sum(map(len, room.delivered)) == 100
    assert len(instances(room.path)) == 100


def test_an_unexpected_error_still_delivers(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def publish(_self: Publisher, _publication: Publication) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Publisher, "publish", publish)
    committer = room.committer()
    committer.submit(room.publication("1/2/3.dcm"))
    room.wait_for(1)
    committer.close()
    ((publication,),) = room.delivered
    assert isinstance(publication.error, StorageError)
    assert isinstance(publication.error.__cause__, ZeroDivisionError)
    os.close(publication.fd)


@pytest.mark.parametrize("durability", list(Durability))
def test_what_the_index_holds_elsewhere_is_withdrawn(room: Room, durability: Durability) -> None:
    first, second = room.publication("1/2/3.dcm"), room.publication("1/2/4.dcm")
    committer = room.committer(durability=durability, record=lambda batch: [Recorded.NEW, Recorded.ELSEWHERE])
    committer.commit([first, second])
    committer.close()
    assert (first.outcome, second.outcome) == (Outcome.STORED, Outcome.DUPLICATE_DIFFERENT)
    assert second.error is None
    assert instances(room.path) == ["1/2/3.dcm"]
    assert leftovers(room.path) == []


def test_a_file_that_was_there_before_is_not_withdrawn(room: Room) -> None:
    room.committer().commit([room.publication("1/2/3.dcm")])
    again = room.publication("1/2/3.dcm")
    committer = room.committer(record=lambda batch: [Recorded.ELSEWHERE])
    committer.commit([again])
    committer.close()
    assert again.outcome is Outcome.DUPLICATE_DIFFERENT
    assert instances(room.path) == ["1/2/3.dcm"]
