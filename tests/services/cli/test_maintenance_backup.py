"""dicom-server backup and restore, as they are typed."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from archive_samples import data_set, instances, store_one
from services.archive.data_directory import DataDirectory
from services.cli.maintenance_backup import backup, restore
from services.cli.maintenance_index import reindex, verify

app = typer.Typer()
for command in (backup, restore, reindex, verify):
    app.command()(command)


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data directory with two instances, and an index that knows both."""
    root = tmp_path / "data"
    for uid in ("1.9.1", "1.9.2"):
        store_one(root, data_set(uid), uid)
    assert invoke("reindex", "--data-dir", str(root)).exit_code == 0
    return root


def test_there_and_back_while_the_server_runs(tmp_path: Path, root: Path) -> None:
    config, file, other = tmp_path / "config", tmp_path / "a.backup", tmp_path / "other"
    config.write_text(json.dumps({"dataDirectory": str(root), "port": 104}))
    server = DataDirectory.open(root)
    done = invoke("backup", str(file), "--config", str(config), "--files")
    server.close()
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{file}: 2 instances in the index, 2 files, {file.stat().st_size} bytes\n"

    restored = tmp_path / "restored.conf"
    done = invoke("restore", str(file), "--data-dir", str(other), "--write-config", str(restored))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "2 instances in the index, 2 files restored, 0 were there already\n"
    assert json.loads(restored.read_text()) == {"dataDirectory": str(root), "port": 104}
    assert instances(other) == [*instances(root)]
    assert invoke("verify", "--data-dir", str(other), "--deep").stdout == "2 files verified: all agree\n"


def test_a_backup_is_not_replaced_by_accident(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "a.backup"
    file.write_text("precious")
    done = invoke("backup", str(file), "--data-dir", str(root))
    assert (done.exit_code, file.read_text()) == (2, "precious")
    assert "--force replaces it" in done.stderr
    assert invoke("backup", str(file), "--data-dir", str(root), "--force").exit_code == 0


def test_missing_files_are_named(tmp_path: Path, root: Path) -> None:
    (root / "1.2.3/1.2.3.4/1.9.1.dcm").unlink()
    done = invoke("backup", str(tmp_path / "a.backup"), "--data-dir", str(root), "--files")
    assert done.exit_code == 1
    assert "missing: 1.2.3/1.2.3.4/1.9.1.dcm: No such file or directory\n" in done.stderr
    assert "not in the backup; everything else is" in done.stderr


def test_restore_refuses_what_would_be_lost(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "a.backup"
    invoke("backup", str(file), "--data-dir", str(root))
    done = invoke("restore", str(file), "--data-dir", str(root))
    assert done.exit_code == 1
    assert "is not empty" in done.stderr
    assert invoke("restore", str(file), "--data-dir", str(root), "--force").exit_code == 0
    server = DataDirectory.open(root)
    done = invoke("restore", str(file), "--data-dir", str(root), "--force")
    server.close()
    assert done.exit_code == 1
    assert "is used by another server" in done.stderr


def test_restore_refuses_what_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no backup")
    done = invoke("restore", str(tmp_path / "text"), "--data-dir", str(tmp_path / "data"))
    assert done.exit_code == 1
    assert "cannot be read as a backup" in done.stderr
    assert not (tmp_path / "data").exists()
    done = invoke("restore", str(tmp_path / "nothing"))
    assert done.exit_code == 2
    assert "there is no such file" in done.stderr


def test_a_configuration_is_written_only_where_there_is_one(tmp_path: Path, root: Path) -> None:
    file = tmp_path / "a.backup"
    invoke("backup", str(file), "--data-dir", str(root))
    done = invoke(
        "restore", str(file), "--data-dir", str(tmp_path / "b"), "--write-config", str(tmp_path / "c")
    )
    assert done.exit_code == 1
    assert "holds no configuration" in done.stderr


def test_a_backup_makes_no_index(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = invoke("backup", str(tmp_path / "a"), "--data-dir", str(tmp_path / "data"))
    assert done.exit_code == 1
    assert f"{tmp_path}/data/index.db: there is no index there" in done.stderr
    assert list((tmp_path / "data").iterdir()) == []


def test_the_index_of_another_directory_is_restored_into_by_force_only(tmp_path: Path, root: Path) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    file, other = tmp_path / "a.backup", tmp_path / "other"
    assert invoke("backup", str(file), "--data-dir", str(root), "--files").exit_code == 0
    (tmp_path / "empty").mkdir()
    options = ("--database-url", url)
    assert invoke("reindex", "--data-dir", str(tmp_path / "empty"), *options).exit_code == 0
    done = invoke("restore", str(file), "--data-dir", str(other), *options)
    assert done.exit_code == 1
    assert f"is that of the data directory {tmp_path}/empty (identity" in done.stderr
    assert instances(other) == []
    assert invoke("restore", str(file), "--data-dir", str(other), *options, "--force").exit_code == 0
    done = invoke("verify", "--repair", "--data-dir", str(other), *options)
    assert done.stdout == "2 files verified, 0 repaired: all agree\n"
