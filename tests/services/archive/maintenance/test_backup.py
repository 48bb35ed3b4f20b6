"""A backup is one state of the index, whole or not there, and tells no password."""

import json
import stat
import tarfile
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from archive_samples import data_set, store_one
from services.archive.index.database import Database
from services.archive.index.writer import IndexWriter
from services.archive.maintenance import backup as module
from services.archive.maintenance.backup import BackedUp, backup, without_password
from services.archive.maintenance.backup_format import BackupError
from services.archive.maintenance.restore import check


@pytest.fixture
def root(tmp_path: Path, database: Database) -> Path:
    root = tmp_path / "data"
    writer = IndexWriter(database)
    for uid in ("1.9.1", "1.9.2"):
        store_one(root, data_set(uid), uid, record=writer.record)
    writer.close()
    return root


def names(file: Path) -> list[str]:
    with tarfile.open(file) as tar:
        return tar.getnames()


def make(root: Path, database: Database, **options: Any) -> tuple[Path, BackedUp]:
    target = root.parent / "a.backup"
    return target, backup(root, database, target, schema="0001", **options)


TABLES = [f"index/{table}.jsonl.gz" for table in ("patients", "studies", "series", "instances")]


def test_rows_alone(root: Path, database: Database) -> None:
    steps: list[int] = []
    target, done = make(root, database, advance=steps.append)
    assert names(target) == [*TABLES, "manifest.json"]
    assert (done.instances, done.files, done.missing, done.size) == (2, 0, (), target.stat().st_size)
    assert sum(steps) == 2
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert sorted(path.name for path in root.parent.iterdir() if path.name.startswith(".a")) == []


def test_with_files_and_configuration(root: Path, database: Database) -> None:
    steps: list[int] = []
    url = "postgresql://pacs:secret@localhost/pacs"
    target, done = make(
        root, database, with_files=True, configuration={"databaseURL": url, "port": 104}, advance=steps.append
    )
    files = [f"files/1.2.3/1.2.3.4/1.9.{number}.dcm" for number in (1, 2)]
    assert names(target) == [*TABLES, "configuration.json", *files, "manifest.json"]
    assert (done.files, sum(steps)) == (2, 2)
    with tarfile.open(target) as tar:
        member = tar.extractfile("configuration.json")
        assert member is not None
        assert json.load(member) == {"databaseURL": "postgresql://pacs@localhost/pacs", "port": 104}
    assert b"secret" not in target.read_bytes()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", ""),
        ("sqlite:////var/lib/index.db", "sqlite:////var/lib/index.db"),
        ("postgresql://pacs:s%40cret@host:5433/pacs", "postgresql://pacs@host:5433/pacs"),
        ("postgresql://host/pacs?user=pacs&password=secret", "postgresql://host/pacs?user=pacs"),
        ("what is secret here", ""),
    ],
)
def test_no_password_is_told(url: str, told: str) -> None:
    assert without_password({"databaseURL": url, "port": 1}) == {"databaseURL": told, "port": 1}
    assert without_password({"port": 1}) == {"port": 1}


def test_what_is_stored_meanwhile_is_in_it_whole_or_not_at_all(
    root: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance in a new study that is recorded between two tables: no table has a row of it."""
    dump, stored = module._dump, []

    def dump_and_store(cursor: Any, table: Any, *rest: Any) -> int:
        count = dump(cursor, table, *rest)
        if table.name == "patients":
            writer = IndexWriter(database)
            content = data_set("1.9.3", study="1.2.9", series="1.2.9.4")
            stored.append(store_one(root, content, "1.9.3", record=writer.record))
            writer.close()
        return count

    monkeypatch.setattr(module, "_dump", dump_and_store)
    target, done = make(root, database, with_files=True)
    assert len(stored) == 1
    assert (done.instances, done.files) == (2, 2)
    with tarfile.open(target) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert [table["rows"] for table in manifest["tables"]] == [1, 1, 1, 2]


def test_files_that_are_missing_are_named(root: Path, database: Database) -> None:
    (root / "1.2.3/1.2.3.4/1.9.1.dcm").unlink()
    _, done = make(root, database, with_files=True)
    assert (done.instances, done.files, done.missing) == (2, 1, ("1.2.3/1.2.3.4/1.9.1.dcm",))


class Failing(FileIO):
    """A file whose disk fails, or that has become shorter since its size was read."""

    error: OSError | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.error is not None:
            raise self.error
        return super().read(10) or b""


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(5, "Input/output error"), "Input/output error"), (None, "it has become shorter")],
)
def test_a_file_that_cannot_be_read_costs_itself_alone(
    root: Path,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError | None,
    reason: str,
) -> None:
    bad = "1.2.3/1.2.3.4/1.9.1.dcm"
    monkeypatch.setattr(Failing, "error", error)
    monkeypatch.setattr(
        module,
        "open",
        lambda path, mode: (Failing if path == root / bad else open)(path, mode),
        raising=False,
    )
    target, done = make(root, database, with_files=True)
    assert (done.instances, done.files, done.missing) == (2, 1, (bad,))
    assert reason in done.reasons[0]
    assert names(target) == [*TABLES, "files/1.2.3/1.2.3.4/1.9.2.dcm", "manifest.json"]
    assert check(target).manifest.missing == (bad,)


def test_a_backup_that_fails_leaves_the_one_before(
    root: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, _ = make(root, database)
    before = target.read_bytes()
    monkeypatch.setattr(
        module, "_dump", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(BackupError, match=f"cannot write the backup {target}: No space left"):
        make(root, database)
    assert target.read_bytes() == before
    assert [path.name for path in root.parent.iterdir() if path.name.startswith(".a")] == []


def test_a_place_that_cannot_be_written_is_named(root: Path, database: Database) -> None:
    with pytest.raises(BackupError, match=r"cannot write the backup .*nowhere"):
        backup(root, database, root / "nowhere" / "a", schema="0001")
