"""What was backed up comes back the same, in either database, or nothing changes."""

import gzip
import json
import tarfile
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import select

from archive_samples import data_set, instances, leftovers, store_one
from services.archive.data_directory import DataDirectory
from services.archive.index.database import Database
from services.archive.index.migrate import upgrade
from services.archive.index.schema import LEVELS
from services.archive.index.writer import IndexWriter
from services.archive.maintenance.backup import backup
from services.archive.maintenance.backup_format import BackupError
from services.archive.maintenance.restore import Restored, check, restore
from services.archive.maintenance.verify import Verification

Rows = dict[str, list[tuple[Any, ...]]]


def rows(database: Database) -> Rows:
    with database.engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(table.c.id))]
            for table in LEVELS
        }


def empty(database: Database) -> None:
    with database.engine.begin() as connection:
        for table in reversed(LEVELS):
            connection.execute(table.delete())


@pytest.fixture
def root(tmp_path: Path, database: Database) -> Path:
    root = tmp_path / "data"
    writer = IndexWriter(database)
    for uid, study in (("1.9.1", "1.3.1"), ("1.9.2", "1.3.1"), ("1.9.3", "1.3.2")):
        store_one(root, data_set(uid, study=study, series=f"{study}.4"), uid, record=writer.record)
    writer.close()
    return root


@pytest.fixture
def made(root: Path, database: Database) -> Path:
    """A backup with files and a configuration."""
    target = root.parent / "a.backup"
    backup(root, database, target, schema="0001", configuration={"port": 104}, with_files=True)
    return target


def take_back(made: Path, root: Path, database: Database, **options: Any) -> Restored:
    directory = DataDirectory.open(root, keep_published=True)
    try:
        return restore(check(made), directory, database, schema="0001", **options)
    finally:
        directory.close()


def test_everything_comes_back_elsewhere(tmp_path: Path, root: Path, database: Database, made: Path) -> None:
    before, other, steps = rows(database), tmp_path / "other", list[int]()
    empty(database)
    done = take_back(made, other, database, advance=steps.append)
    assert done == Restored(instances=3, files=3, kept=0)
    assert sum(steps) == 6
    assert rows(database) == before
    assert instances(other) == instances(root)
    assert all((other / name).read_bytes() == (root / name).read_bytes() for name in instances(root))
    assert leftovers(other) == []
    assert list(Verification(other, database.engine, deep=True).findings()) == []


def test_rows_that_come_afterwards_get_ids_of_their_own(root: Path, database: Database, made: Path) -> None:
    take_back(made, root, database, force=True)
    writer = IndexWriter(database)
    store_one(root, data_set("1.9.9", study="1.3.9", series="1.3.9.4"), "1.9.9", record=writer.record)
    writer.close()
    assert list(Verification(root, database.engine, deep=True).findings()) == []


def test_what_is_there_already_is_not_touched_without_force(
    root: Path, database: Database, made: Path
) -> None:
    before = rows(database)
    with pytest.raises(BackupError, match=f"the index of {root} is not empty"):
        take_back(made, root, database)
    empty(database)
    with pytest.raises(BackupError, match=f"{root} is not empty"):
        take_back(made, root, database)
    damaged = root / "1.3.1/1.3.1.4/1.9.1.dcm"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"damaged")
    store_one(root, data_set("1.9.8", study="1.3.8"), "1.9.8")
    assert take_back(made, root, database, force=True) == Restored(instances=3, files=1, kept=2)
    assert rows(database) == before
    assert damaged.read_bytes() == whole
    assert len(instances(root)) == 4


def test_a_backup_of_one_database_fits_the_other(tmp_path: Path, database: Database, made: Path) -> None:
    before = rows(database)
    (tmp_path / "other").mkdir()
    other = Database.open("", tmp_path / "other", durability="process")
    upgrade(other)
    take_back(made, tmp_path / "other", other)
    assert rows(other) == before
    other.close()


def rewritten(made: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    """The backup with its members changed."""
    target = made.with_name("changed.backup")
    with tarfile.open(made) as old, tarfile.open(target, "w") as new:
        for member in old.getmembers():
            file = old.extractfile(member)
            assert file is not None
            changed = change(member.name, file.read())
            if changed is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                new.addfile(info, BytesIO(changed[1]))
    return target


def without(name: str) -> Callable[[str, bytes], tuple[str, bytes] | None]:
    return lambda member, content: None if member == name else (member, content)


def with_byte_flipped(name: str) -> Callable[[str, bytes], tuple[str, bytes] | None]:
    return lambda member, content: (
        member,
        content[:-1] + bytes([content[-1] ^ 1]) if member == name else content,
    )


def renamed(name: str, other: str) -> Callable[[str, bytes], tuple[str, bytes] | None]:
    return lambda member, content: (other if member == name else member, content)


def manifest(**changes: Any) -> Callable[[str, bytes], tuple[str, bytes] | None]:
    return lambda member, content: (
        member,
        json.dumps(json.loads(content) | changes).encode() if member == "manifest.json" else content,
    )


FILE = "files/1.3.1/1.3.1.4/1.9.1.dcm"
DAMAGES = [
    (without("manifest.json"), "has no manifest.json"),
    (without("index/series.jsonl.gz"), "index/series.jsonl.gz is not what the manifest says"),
    (without("configuration.json"), "configuration.json is not what the manifest says"),
    (without(FILE), "its files are not what the manifest says"),
    (with_byte_flipped("index/instances.jsonl.gz"), "index/instances.jsonl.gz is not what the manifest says"),
    (with_byte_flipped(FILE), "its files are not what the manifest says"),
    (renamed(FILE, "files/../../etc/passwd"), "which is no name of the archive"),
    (renamed("configuration.json", "/etc/passwd"), "/etc/passwd is not what the manifest says"),
    (manifest(format=2), "a backup of format 2, written by a later version; this one reads 1"),
    (manifest(format="x"), "cannot be read"),
    (manifest(tables=3), "cannot be read"),
]


@pytest.mark.parametrize(("change", "text"), DAMAGES)
def test_a_damaged_backup_is_refused_before_anything_changes(made: Path, change: Any, text: str) -> None:
    with pytest.raises(BackupError, match=text):
        check(rewritten(made, change))


def test_a_row_that_is_too_short_is_named(root: Path, database: Database, made: Path) -> None:
    short = gzip.compress(b"[1]\n")

    def change(member: str, content: bytes) -> tuple[str, bytes]:
        if member == "index/instances.jsonl.gz":
            return member, short
        if member == "manifest.json":
            told = json.loads(content)
            told["tables"][-1] |= {"sha256": sha256(short).hexdigest(), "rows": 1}
            return member, json.dumps(told).encode()
        return member, content

    before = rows(database)
    directory = DataDirectory.open(root, keep_published=True)
    with pytest.raises(BackupError, match=r"line 1 of index/instances.jsonl.gz has 1 values, not \d+"):
        restore(check(rewritten(made, change)), directory, database, schema="0001", force=True)
    directory.close()
    assert rows(database) == before


def test_what_is_no_backup_is_refused(tmp_path: Path, made: Path) -> None:
    (tmp_path / "text").write_text("no backup" * 1000)
    with pytest.raises(BackupError, match="cannot be read as a backup"):
        check(tmp_path / "text")
    cut = tmp_path / "cut"
    cut.write_bytes(made.read_bytes()[:-12_000])
    with pytest.raises(BackupError, match=r"cannot be read|has no manifest|is damaged"):
        check(cut)


def test_a_link_in_a_backup_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a", "w") as tar:
        link = tarfile.TarInfo(FILE)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(BackupError, match="is no file"):
        check(tmp_path / "a")


def test_tables_of_another_revision_are_refused(root: Path, database: Database, made: Path) -> None:
    directory = DataDirectory.open(root, keep_published=True)
    before = rows(database)
    with pytest.raises(BackupError, match="tables of revision 0001, the index here has 9999"):
        restore(check(made), directory, database, schema="9999", force=True)
    directory.close()
    assert rows(database) == before


def test_an_earlier_revision_with_the_same_rows_is_taken(root: Path, database: Database, made: Path) -> None:
    before = rows(database)
    with closing(DataDirectory.open(root, keep_published=True)) as directory:
        restore(check(made), directory, database, schema="0002", force=True)
    assert rows(database) == before


def test_a_manifest_without_the_tables_is_refused(root: Path, database: Database, made: Path) -> None:
    directory = DataDirectory.open(root, keep_published=True)
    checked = check(made)
    checked = structs.replace(checked, manifest=structs.replace(checked.manifest, tables=()))
    with pytest.raises(BackupError, match="does not hold the tables of an index"):
        restore(checked, directory, database, schema="0001", force=True)
    directory.close()


def test_a_restore_that_fails_leaves_the_rows(
    root: Path, database: Database, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(database)
    checked = check(made)
    with tarfile.open(made) as tar:
        assert tar.getnames()[0] == "index/patients.jsonl.gz"
    made.write_bytes(made.read_bytes()[:4000])  # it is lost behind our back
    directory = DataDirectory.open(root, keep_published=True)
    with pytest.raises(BackupError, match="cannot be read as a backup"):
        restore(checked, directory, database, schema="0001", force=True)
    directory.close()
    assert rows(database) == before
