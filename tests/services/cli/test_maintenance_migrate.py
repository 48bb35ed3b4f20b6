"""`dicom-server migrate` on both databases."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from databases import throwaway_postgresql
from services.cli.server import app


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["migrate", *map(str, arguments)])


def test_the_embedded_database(tmp_path: Path) -> None:
    (tmp_path / "index.db").touch()  # a database of SQLite without a table
    pending = invoke("--data-dir", tmp_path, "--check")
    assert pending.exit_code == 1, pending.output
    assert "revision none, this version has 0002" in pending.output
    assert "pending: 0001, 0002" in pending.output
    done = invoke("--data-dir", tmp_path)
    assert done.exit_code == 0, done.output
    assert "migrated: 0001, 0002" in done.output
    again = invoke("--data-dir", tmp_path, "--check")
    assert (again.exit_code, "nothing is pending" in again.output) == (0, True)
    assert "nothing was pending" in invoke("--data-dir", tmp_path).output


def test_a_check_makes_no_index(tmp_path: Path) -> None:
    for options, name in (
        (("--data-dir", tmp_path), "index.db"),
        (("--database-url", f"sqlite:///{tmp_path}/a.db"), "a.db"),
    ):
        checked = invoke(*options, "--check")
        assert checked.exit_code == 1
        assert f"{tmp_path}/{name}: there is no index there" in checked.output
        assert list(tmp_path.iterdir()) == []
    assert invoke("--data-dir", tmp_path).exit_code == 0
    assert (tmp_path / "index.db").exists()


@pytest.mark.peer("postgres")
def test_postgresql_and_its_password() -> None:
    with throwaway_postgresql(empty=True) as url:
        secret = url.replace("dicom@", "dicom:s3cret@")
        done = invoke("--database", "postgres", "--database-url", secret)
        assert done.exit_code == 0, done.output
        assert "migrated: 0001, 0002" in done.output
        assert "s3cret" not in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("--database", "none"), 2, "there is no index"),
        (("--database", "postgres"), 2, "needs databaseURL"),
        (("--database-url", "mysql://me:s3cret@host/x"), 2, "databaseURL"),
        (("--data-dir", "/nowhere/at/all"), 1, "there is no such data directory"),
        (("--database-url", "postgresql://me:s3cret@127.0.0.1:1/x"), 1, "cannot be used"),
    ],
)
def test_what_cannot_be_migrated(arguments: tuple[str, ...], code: int, text: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == code, result.output
    assert text in result.output
    assert "s3cret" not in result.output
