"""dicom-server import, as it is typed."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from archive_samples import data_set, instances, store_one
from services.archive.data_directory import DataDirectory
from services.cli.maintenance_import import import_
from services.cli.maintenance_index import verify

app = typer.Typer()
app.command("import")(import_)
app.command("verify")(verify)


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two instances, as another archive had stored them, and a text."""
    folder = tmp_path / "folder"
    for uid in ("1.9.1", "1.9.2"):
        store_one(folder, data_set(uid), uid)
    (folder / ".lock").unlink()
    (folder / "readme.txt").write_text("no DICOM file")
    return folder


@pytest.mark.parametrize("option", ["", "--link", "--move"])
def test_a_folder_is_taken_in_and_indexed(tmp_path: Path, folder: Path, option: str) -> None:
    data = str(tmp_path / "data")
    done = invoke("import", str(folder), "--data-dir", data, *option.split())
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "2 taken in, 0 there already, 0 held otherwise, 1 skipped, 0 failed\n"
    assert invoke("verify", "--data-dir", data, "--deep").exit_code == 0
    assert len(instances(folder)) == (0 if option == "--move" else 2)
    again = invoke("import", str(folder), "--data-dir", data, "--verbose")
    assert again.exit_code == 0
    assert "2 taken in" not in again.stdout
    assert f"skipped  {folder}/readme.txt: no DICOM file\n" in again.stdout


def test_what_is_held_otherwise_or_damaged_is_listed(tmp_path: Path, folder: Path) -> None:
    data = str(tmp_path / "data")
    invoke("import", str(folder), "--data-dir", data)
    first, second = (folder / name for name in instances(folder) if name.endswith(".dcm"))
    first.write_bytes(first.read_bytes()[:-1] + b"\x07")
    second.write_bytes(second.read_bytes()[:-1])
    done = invoke("import", str(folder), "--data-dir", data)
    assert done.exit_code == 1
    assert f"held otherwise  {first}: another instance is stored" in done.stdout
    assert f"failed  {second}: the data set ends" in done.stdout


def test_while_the_server_runs_dicom_send_is_the_way(tmp_path: Path, folder: Path) -> None:
    server = DataDirectory.open(tmp_path / "data")
    done = invoke("import", str(folder), "--data-dir", str(tmp_path / "data"))
    server.close()
    assert done.exit_code == 1
    assert "is used by another server" in done.stderr
    assert "dicom-send" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nowhere"], 2, "nowhere: there is no such folder"),
        ([".", "--link", "--move"], 2, "give one of them"),
    ],
)
def test_a_command_line_that_makes_no_sense(arguments: list[str], code: int, text: str) -> None:
    done = invoke("import", *arguments)
    assert done.exit_code == code
    assert text in done.stderr


def test_an_archive_is_not_imported_into_itself(tmp_path: Path, folder: Path) -> None:
    done = invoke("import", str(tmp_path), "--data-dir", str(folder))
    assert done.exit_code == 1
    assert "lie in one another" in done.stderr


def test_images_that_an_empty_index_does_not_know_are_told(tmp_path: Path, folder: Path) -> None:
    """Afterwards it is not empty any more, and no server would say so."""
    store_one(tmp_path / "data", data_set("1.9.7"), "1.9.7")
    done = invoke("import", str(folder), "--data-dir", str(tmp_path / "data"))
    assert done.exit_code == 0
    assert done.stderr == "the index knew none of the images that are there: run dicom-server reindex\n"
