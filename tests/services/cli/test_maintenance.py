"""What the maintenance commands share."""

import sqlite3
from pathlib import Path

import pytest
import typer
from sqlalchemy.exc import OperationalError

from services.archive.errors import StorageError
from services.cli.maintenance import existing, failures, settings


def test_options_win_over_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c").write_text('{"dataDirectory": "/a", "databaseURL": "sqlite:////b"}')
    chosen = settings(tmp_path / "c", None, None)
    assert (chosen.data_directory, chosen.database_url) == (Path("/a"), "sqlite:////b")
    chosen = settings(tmp_path / "c", Path("/d"), "sqlite:////e")
    assert (chosen.data_directory, chosen.database_url) == (Path("/d"), "sqlite:////e")
    assert settings(None, None, None).data_directory == Path("data")


def test_a_wrong_configuration_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        settings(None, None, "mysql://nowhere")
    assert ended.value.exit_code == 2
    assert "databaseURL" in capsys.readouterr().err
    with pytest.raises(typer.Exit):
        existing(settings(None, tmp_path / "no", None))


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (StorageError("it is full"), 1, "error: it is full"),
        (OSError(28, "No space left", "/a"), 1, "error: could not count: /a: No space left"),
        (sqlite3.OperationalError("locked"), 1, "error: could not count: the database says: locked"),
        (
            OperationalError("SELECT", {}, Exception("gone")),
            1,
            "error: could not count: the database says: gone\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted: nothing is lost"),
    ],
)
def test_failures_become_lines_and_exit_codes(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, text: str
) -> None:
    with pytest.raises(typer.Exit) as ended, failures("count", "nothing is lost"):
        raise error
    assert ended.value.exit_code == code
    assert text in capsys.readouterr().err
