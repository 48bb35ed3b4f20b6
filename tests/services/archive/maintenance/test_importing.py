"""A folder of files comes into the archive as if it had been sent."""

import asyncio
import errno
import os
from pathlib import Path
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
    open_archive,
    stored_data_set,
    without_hard_links,
)
from services.archive.archive import Archive
from services.archive.errors import OutOfStorage
from services.archive.index.database import Database
from services.archive.index.entry import Recorded
from services.archive.index.writer import IndexWriter
from services.archive.maintenance import importing
from services.archive.maintenance.importing import How, ImportRefused, Kind, Result, files_in, import_files
from services.archive.maintenance.verify import Verification
from services.archive.part10 import file_header
from services.sop_classes import MEDIA_STORAGE_DIRECTORY

STUDY = "1.2.3/1.2.3.4"


def part10(instance: str, content: bytes | None = None, *, sop_class: str = CT_IMAGE_STORAGE) -> bytes:
    header = file_header(
        sop_class,
        instance,
        EXPLICIT_LE,
        implementation_class_uid="1.2.826.0.2",
        implementation_version_name="OTHER",
    )
    return header + (data_set(instance) if content is None else content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two instances, a DICOMDIR, a text and a damaged file."""
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "a").write_bytes(part10("1.9.1"))
    (folder / "inner" / "b.dcm").write_bytes(part10("1.9.2"))
    (folder / "inner" / "cut.dcm").write_bytes(part10("1.9.3")[:-4])
    (folder / "DICOMDIR").write_bytes(part10("1.9.4", b"", sop_class=MEDIA_STORAGE_DIRECTORY))
    (folder / "readme.txt").write_text("no DICOM file")
    return folder


def take(root: Path, folder: Path, *, how: How = How.COPY, **options: Any) -> dict[str, Result]:
    """Import a folder; what became of each file by its name."""
    results: list[Result] = []

    async def main() -> None:
        archive = open_archive(root, **options)
        try:
            files = files_in(folder, root, pytest.fail)
            await import_files(archive, files, how=how, on_result=results.append)
        finally:
            archive.close()

    asyncio.run(main())
    return {result.file.name: result for result in results}


def kinds(results: dict[str, Result]) -> dict[str, Kind]:
    return {name: result.kind for name, result in results.items()}


FIRST_TIME = {
    "a": Kind.STORED,
    "b.dcm": Kind.STORED,
    "cut.dcm": Kind.FAILED,
    "DICOMDIR": Kind.SKIPPED,
    "readme.txt": Kind.SKIPPED,
}


@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("durability", ["process", "power"])
def test_each_file_is_dealt_with(
    tmp_path: Path, folder: Path, database: Database, how: How, durability: str
) -> None:
    root = tmp_path / "data"
    writer = IndexWriter(database)
    results = take(root, folder, how=how, durability=durability, record=writer.record)
    writer.close()
    assert kinds(results) == FIRST_TIME
    assert "ends" in results["cut.dcm"].text
    assert instances(root) == [f"{STUDY}/1.9.1.dcm", f"{STUDY}/1.9.2.dcm"]
    assert stored_data_set(root / STUDY / "1.9.1.dcm") == data_set("1.9.1")
    assert leftovers(root) == []
    assert list(Verification(root, database.engine, deep=True).findings()) == []
    left = sorted(file.name for file in folder.rglob("*") if file.is_file())
    moved = {"a", "b.dcm"} if how is How.MOVE else set()
    assert left == sorted(FIRST_TIME.keys() - moved)


def test_a_second_time_nothing_is_stored_again(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "data"
    take(root, folder)
    before = (root / STUDY / "1.9.1.dcm").stat().st_ino
    writes = disk_with(write=failing(errno.EIO), writev=failing(errno.EIO))
    assert kinds(take(root, folder, disk=writes)) == FIRST_TIME | {"a": Kind.THERE, "b.dcm": Kind.THERE}
    assert (root / STUDY / "1.9.1.dcm").stat().st_ino == before


def test_another_instance_of_the_same_uid_stays_outside(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "data"
    take(root, folder)
    (folder / "a").write_bytes(part10("1.9.1", data_set("1.9.1", pixels=b"\5\6" * 64)))
    for how in (How.LINK, How.MOVE, How.COPY):
        assert take(root, folder, how=how)["a"].kind is Kind.DIFFERENT
    assert stored_data_set(root / STUDY / "1.9.1.dcm") == data_set("1.9.1")
    assert (folder / "a").exists()


def test_an_instance_the_index_holds_elsewhere_stays_outside(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "data"
    results = take(root, folder, how=How.LINK, record=lambda batch: [Recorded.ELSEWHERE] * len(batch))
    assert results["a"].kind is Kind.DIFFERENT
    assert instances(root) == leftovers(root) == []
    assert (folder / "a").exists()


def test_a_linked_file_is_the_same_file(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "data"
    take(root, folder, how=How.LINK)
    assert (root / STUDY / "1.9.1.dcm").samefile(folder / "a")


def test_what_cannot_be_linked_is_copied(tmp_path: Path, folder: Path) -> None:
    root = tmp_path / "data"
    assert take(root, folder, how=How.LINK, disk=without_hard_links())["a"].kind is Kind.STORED
    assert not (root / STUDY / "1.9.1.dcm").samefile(folder / "a")


def test_a_file_that_is_something_else_as_well_is_not_taken_as_it_is(tmp_path: Path, folder: Path) -> None:
    whole = part10("1.9.1")
    (folder / "a").write_bytes(b"MZ" + whole[2:])
    root = tmp_path / "data"
    assert take(root, folder, how=How.LINK)["a"].kind is Kind.STORED
    assert (root / STUDY / "1.9.1.dcm").read_bytes()[:128] == bytes(128)


def test_a_full_disk_ends_it(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(OutOfStorage):
        take(tmp_path / "data", folder, disk=disk_with(writev=failing(errno.ENOSPC)))
    assert leftovers(tmp_path / "data") == []


def test_an_archive_is_not_imported_into_itself(tmp_path: Path) -> None:
    for folder, root in ((tmp_path, tmp_path / "data"), (tmp_path / "data" / "in", tmp_path / "data")):
        with pytest.raises(ImportRefused, match="lie in one another"):
            next(files_in(folder, root, pytest.fail))


def test_pipes_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    assert list(files_in(folder, tmp_path / "data", pytest.fail)) == []


def test_a_disk_that_hangs_fails_the_file(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_STALLED", 0.01)
    receive = Archive.receive

    def paused(self: Archive, *arguments: Any, pause: Any, **options: Any) -> Any:
        pause()
        return receive(self, *arguments, pause=pause, **options)

    monkeypatch.setattr(Archive, "receive", paused)
    results = take(tmp_path / "data", folder)
    assert results["a"] == Result(
        folder / "a", Kind.FAILED, "the disk of the archive has taken nothing for 0.01 s"
    )
    assert leftovers(tmp_path / "data") == []
