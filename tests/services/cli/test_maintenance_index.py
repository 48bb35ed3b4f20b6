"""dicom-server reindex and verify, as they are typed."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from archive_samples import data_set, store_one
from services.archive.data_directory import DataDirectory
from services.archive.index.index import Index
from services.archive.maintenance import reindex as reindexing
from services.cli.maintenance_index import reindex, verify

app = typer.Typer()
app.command("reindex")(reindex)
app.command("verify")(verify)

PATH = "1.2.3/1.2.3.4/1.9.1.dcm"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data directory with two instances, and an index that knows both."""
    root = tmp_path / "data"
    for uid in ("1.9.1", "1.9.2"):
        store_one(root, data_set(uid), uid)
    assert invoke("reindex", "--data-dir", str(root)).exit_code == 0
    return root


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_reindex_says_what_it_made(root: Path) -> None:
    done = invoke("reindex", "--data-dir", str(root))
    assert (done.exit_code, done.stdout) == (
        0,
        "2 instances in 1 studies indexed, 0 files or names left out\n",
    )
    assert done.stderr == ""


def test_reindex_lists_what_is_damaged(root: Path) -> None:
    (root / PATH).write_bytes(b"damaged")
    done = invoke("reindex", "--data-dir", str(root))
    assert done.exit_code == 1
    assert done.stdout.startswith(f"{PATH}: no DICM")
    assert "1 instances in 1 studies indexed, 1 files or names left out" in done.stdout


def garbled(good: bytes, first: int, last: int) -> bytes:
    """A database with pages that hold something else, counted from 1."""
    return good[: (first - 1) * 4096] + b"\xee" * (last - first + 1) * 4096 + good[last * 4096 :]


DAMAGES: dict[str, Callable[[bytes, int], bytes]] = {
    "no database": lambda good, table: b"\x9c\x02\xfe" * 4000,
    "zeros": lambda good, table: bytes(len(good)),
    "header": lambda good, table: b"?" * 16 + good[16:],
    "truncated": lambda good, table: good[:5000],
    "half": lambda good, table: good[: len(good) // 8192 * 4096],
    "text": lambda good, table: b"this was index.db\n" * 500,
    "first pages": lambda good, table: good[:100] + garbled(good, 1, 3)[100:],
    "pages": lambda good, table: garbled(good, 2, 4),
    "a table": lambda good, table: garbled(good, table, table),
}


@pytest.fixture(params=DAMAGES)
def damaged(request: pytest.FixtureRequest, root: Path) -> bytes:
    """What stands in index.db instead of the index."""
    with closing(sqlite3.connect(root / "index.db")) as connection:
        [table] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'instances'").fetchone()
    contents = DAMAGES[request.param]((root / "index.db").read_bytes(), table)
    (root / "index.db").write_bytes(contents)
    return contents


def test_a_damaged_index_makes_room_for_a_new_one(root: Path, damaged: bytes) -> None:
    done = invoke("reindex", "--data-dir", str(root))
    assert (done.exit_code, done.stderr) == (0, "")
    (kept,) = root.glob("index.db.damaged-*")
    said, made = done.stdout.splitlines()
    assert said.startswith(f"{root}/index.db was damaged (")
    assert said.endswith(f"); it is kept as {kept}")
    assert made == "2 instances in 1 studies indexed, 0 files or names left out"
    assert kept.read_bytes() == damaged
    assert invoke("verify", "--data-dir", str(root), "--deep").stdout == "2 files verified: all agree\n"
    assert invoke("reindex", "--data-dir", str(root)).stdout == f"{made}\n"
    assert len(list(root.glob("index.db*"))) == 2, "a whole one stays"


@pytest.mark.parametrize("command", [["verify"], ["verify", "--repair"]])
def test_what_a_damaged_index_wants_is_said_in_a_line(root: Path, command: list[str], damaged: bytes) -> None:
    done = invoke(*command, "--data-dir", str(root))
    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: the index in {root}/index.db is damaged: ")
    assert line.endswith(
        f"stop the server, then make the index anew from the files: dicom-server reindex --data-dir {root}"
    )
    assert not list(root.glob("index.db.damaged-*"))


def test_a_damaged_index_stays_while_a_server_runs(root: Path) -> None:
    (root / "index.db").write_bytes(b"no database" * 1000)
    server = DataDirectory.open(root)
    done = invoke("reindex", "--data-dir", str(root))
    server.close()
    assert done.exit_code == 1
    assert [each.name for each in root.glob("index.db*")] == ["index.db"]


def test_a_damaged_index_elsewhere_is_named_in_the_command(root: Path, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database" * 1000)
    options = ["--data-dir", str(root), "--database-url", f"sqlite:///{tmp_path}/x.db"]
    done = invoke("verify", *options)
    assert done.stderr.endswith(f": dicom-server reindex {' '.join(options)}\n")
    assert invoke("reindex", *options).exit_code == 0
    assert len(list(tmp_path.glob("x.db.damaged-*"))) == 1
    assert invoke("verify", *options).exit_code == 0


def test_a_reindex_that_fails_leaves_a_new_index_beside_the_damaged_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    (root / "index.db").write_bytes(b"no database" * 1000)
    monkeypatch.setattr(reindexing, "reindex", interrupted)
    done = invoke("reindex", "--data-dir", str(root))
    assert done.exit_code == 130
    assert done.stderr == "interrupted: the new index is empty; say it again\n"
    monkeypatch.undo()
    done = invoke("reindex", "--data-dir", str(root))
    assert done.stdout == "2 instances in 1 studies indexed, 0 files or names left out\n"


def test_after_the_loss_of_an_index_verify_names_the_ways_out(root: Path) -> None:
    (root / "index.db").write_bytes(b"")
    done = invoke("verify", "--data-dir", str(root))
    assert done.exit_code == 1
    assert f"the database {root}/index.db holds no index" in done.stderr
    assert "dicom-server reindex makes it anew" in done.stderr
    assert "--database-url" in done.stderr
    Index.open("", root, durability="process").close()  # as a server makes an empty one
    done = invoke("verify", "--data-dir", str(root))
    assert done.stdout.endswith("2 files verified: 2 file-without-row\n")
    assert done.stderr.startswith("no file has a row: dicom-server reindex makes them all")


@pytest.mark.parametrize("command", [["reindex"], ["verify", "--repair"]])
def test_while_a_server_runs_nothing_is_changed(root: Path, command: list[str]) -> None:
    server = DataDirectory.open(root)
    done = invoke(*command, "--data-dir", str(root))
    server.close()
    assert done.exit_code == 1
    assert f"error: the data directory {root} is used by another server" in done.stderr


def test_reindex_does_not_empty_the_index_by_mistake(root: Path) -> None:
    (root / "1.2.3").rename(root.parent / "away")
    done = invoke("reindex", "--data-dir", str(root))
    assert done.exit_code == 1
    assert "is this the right data directory" in done.stderr
    assert invoke("reindex", "--data-dir", str(root), "--allow-empty").exit_code == 0


def test_verify_agrees_while_a_server_runs(root: Path) -> None:
    server = DataDirectory.open(root)
    done = invoke("verify", "--data-dir", str(root), "--deep")
    server.close()
    assert (done.exit_code, done.stdout) == (0, "2 files verified: all agree\n")


def test_verify_lists_what_does_not_agree(root: Path) -> None:
    (root / PATH).unlink()
    done = invoke("verify", "--data-dir", str(root))
    assert done.exit_code == 1
    assert done.stdout == (
        f"row-without-file  {PATH}: its row is in the index, the file is not there\n"
        "1 files verified: 1 row-without-file\n"
    )
    answer = json.loads(invoke("verify", "--data-dir", str(root), "--format", "json").stdout)
    assert answer == {
        "files": 1,
        "repaired": 0,
        "counts": {"row-without-file": 1},
        "findings": [
            {
                "kind": "row-without-file",
                "path": PATH,
                "text": "its row is in the index, the file is not there",
            }
        ],
    }


def test_verify_repairs_what_it_may(root: Path) -> None:
    store_one(root, data_set("1.9.3"), "1.9.3")
    (root / PATH).unlink()
    done = invoke("verify", "--data-dir", str(root), "--repair")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1] == "2 files verified, 1 repaired: 1 row-without-file"
    assert (
        invoke("verify", "--data-dir", str(root)).stdout.splitlines()[-1]
        == "2 files verified: 1 row-without-file"
    )


@pytest.mark.parametrize("command", ["reindex", "verify"])
def test_a_data_directory_that_is_not_there(tmp_path: Path, command: str) -> None:
    done = invoke(command, "--data-dir", str(tmp_path / "no"))
    assert done.exit_code == 1
    assert f"{tmp_path}/no: there is no such data directory" in done.stderr


@pytest.mark.parametrize("command", ["reindex", "verify"])
def test_without_an_index_there_is_nothing_to_do(tmp_path: Path, command: str) -> None:
    (tmp_path / "c").write_text('{"database": "none"}')
    done = invoke(command, "--config", str(tmp_path / "c"))
    assert done.exit_code == 2
    assert "there is no index" in done.stderr


def test_verify_makes_no_index(tmp_path: Path) -> None:
    done = invoke("verify", "--data-dir", str(tmp_path))
    assert done.exit_code == 1
    assert f"{tmp_path}/index.db: there is no index there" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_reindex_makes_the_index_of_another_directory_that_of_this_one(root: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    other = tmp_path / "other"
    store_one(other, data_set("1.9.7"), "1.9.7")
    assert invoke("reindex", "--data-dir", str(root), "--database-url", url).exit_code == 0
    done = invoke("verify", "--repair", "--data-dir", str(other), "--database-url", url)
    assert done.exit_code == 1
    assert f"is that of the data directory {root} (identity" in done.stderr
    assert invoke("reindex", "--data-dir", str(other), "--database-url", url).exit_code == 0
    done = invoke("verify", "--repair", "--data-dir", str(other), "--database-url", url)
    assert done.stdout == "1 files verified, 0 repaired: all agree\n"
