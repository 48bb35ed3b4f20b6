"""dicom-server reindex and verify, as they are typed."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from archive_samples import data_set, store_one
from services.archive.data_directory import DataDirectory
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
