"""How a command ends: with its page, and the exit code that is asked for."""

from pathlib import Path

import pytest
import typer

from services.cli.trace_output import Output
from services.trace.association import AssociationTrace
from services.trace.following import Followed
from trace_samples import ECHO_RQ, R, wire


def wrong() -> Followed:
    """A requestor that begins with data."""
    trace = AssociationTrace("one", 0.0)
    return Followed(1, trace, trace.feed(R, wire(ECHO_RQ), 0.0), True)


def ended(output: Output, **options: int) -> int:
    with pytest.raises(typer.Exit) as exit_:
        output.end([], "title", **options)
    return exit_.value.exit_code


@pytest.mark.parametrize(
    ("strict", "code", "expected"), [(True, 0, 1), (False, 0, 0), (False, 130, 130), (True, 130, 1)]
)
def test_the_exit_code(capsys: pytest.CaptureFixture[str], strict: bool, code: int, expected: int) -> None:
    output = Output("text", 0, None, strict)
    output.show(wrong())
    output.show(None)
    assert output.problem_count > 0
    assert ended(output, code=code) == expected
    assert ("problem" in capsys.readouterr().err) is strict


def test_strict_and_nothing_wrong() -> None:
    assert ended(Output("json", 0, None, True)) == 0


def test_whether_traces_are_held(tmp_path: Path) -> None:
    assert Output("text", 0, tmp_path / "page.html", False).keeps
    assert not Output("text", 0, None, False).keeps


def test_a_page_without_a_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as exit_:
        Output("text", 0, tmp_path / "absent" / "page.html", False)
    assert exit_.value.exit_code == 2
    assert f"there is no directory {tmp_path / 'absent'}" in capsys.readouterr().err


def test_a_page_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.html").mkdir()
    output = Output("text", 0, tmp_path / "page.html", False)
    assert ended(output) == 1
    assert "cannot be written: Is a directory" in capsys.readouterr().err


def test_what_is_not_in_the_page_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(Output("text", 0, tmp_path / "page.html", False), not_kept=7) == 0
    assert "7 more are not in it" in capsys.readouterr().err


def test_each_format(capsys: pytest.CaptureFixture[str]) -> None:
    Output("json", 0, None, False).show(wrong())
    assert capsys.readouterr().out.startswith('{"connection":1,')
    Output("text", 0, None, False).show(wrong())
    assert capsys.readouterr().out.startswith("Connection 1: one")
