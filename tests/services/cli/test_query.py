from typing import Any

import pytest
from typer.testing import CliRunner

from peers import free_port
from services.cli.query import app


def query(*options: str) -> Any:
    peer = f"pacs://localhost:{free_port()}"
    return CliRunner().invoke(app, [peer, "--aet", "TEST_SCU", "--called-ae", "MY_PACS", *options])


def test_where_nothing_listens() -> None:
    result = query("--patient", "DOE^JOHN")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "hint: nothing listens there" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-k", "PatientNme=A"), "did you mean PatientName?"),
        (("--level", "patient", "--model", "study"), "say --model patient"),
        (("--tls-insecure",), "is plain TCP"),
    ],
)
def test_a_command_line_that_makes_no_sense(options: tuple[str, ...], message: str) -> None:
    result = query(*options)
    assert result.exit_code == 2
    assert message in result.stderr
