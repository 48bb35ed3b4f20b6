"""`dicom-conformance` as it is typed."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from peers import free_port
from scps import in_a_thread
from services import SCP, Verification
from services.cli.conformance import app
from services.conformance.cases import CASES, select


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def play(*options: str, called: str = "MY_PACS") -> Any:
    with in_a_thread(SCP("MY_PACS", [Verification()])) as port:
        return invoke("run", f"pacs://localhost:{port}", "--called-ae", called, *options)


def test_a_peer_without_failures() -> None:
    result = play("--case", "ul-6", "--case", "ul-17")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("peer      pacs://localhost:")
    assert lines[3] == "offers    verification"
    count = len(select([], ["ul-6", "ul-17"]))
    assert lines[-1].startswith(f"none of {count} cases failed, in ")
    assert result.stderr == ""


def test_a_peer_with_a_failure(tmp_path: Path) -> None:
    html, junit, data = (tmp_path / name for name in ("report.html", "report.xml", "report.json"))
    outputs = ("--html", str(html), "--junit", str(junit), "--json", str(data))
    result = play("--case", "ul-1", "--artim", "0.1", *outputs)  # its timer is at 30 s
    assert result.exit_code == 1, result.output
    assert "FAIL         ul-1" in result.stdout
    assert "1 of 1 cases failed" in result.stdout
    assert html.read_text().lstrip().lower().startswith("<!doctype html>")
    assert ET.parse(junit).getroot().find("testsuite/testcase/failure") is not None
    assert json.loads(data.read_bytes())["summary"]["fail"] == 1
    for path in (html, junit, data):
        assert f"written: {path}" in result.stdout


def test_what_the_peer_does_not_offer_is_no_failure() -> None:
    result = play("--suite", "storage")
    assert result.exit_code == 0, result.output
    assert "--allow-write" in result.stdout
    assert "FAIL " not in result.stdout


def test_a_wrong_title_is_told() -> None:
    result = play("--case", "ul-6", called="WRONG")
    assert result.exit_code == 2
    assert "does not answer to the AE title 'WRONG': name its own with --called-ae" in result.stderr
    assert result.stdout == ""


def test_a_peer_that_is_not_there() -> None:
    port = free_port()
    result = invoke("run", f"localhost:{port}", "--called-ae", "X")
    assert result.exit_code == 2
    assert f"localhost:{port}: Connection refused" in result.stderr
    assert "hint: nothing listens there" in result.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--suite", "ul,nothing"), "--suite nothing: there is ul, negotiation"),
        (("--case", "ul-9999"), "no case has the id ul-9999"),
        (("--html", "/nowhere/at/all.html"), "there is no directory /nowhere/at"),
        (("--called-ae", "TOO LONG FOR A TITLE"), "1 to 16"),
        (("--tls-insecure",), "plain TCP"),
        (("--artim", "0"), "0.1"),
    ],
)
def test_a_command_line_that_makes_no_sense(options: tuple[str, ...], text: str) -> None:
    result = invoke("run", "localhost:1", "--called-ae", "X", *options)
    assert result.exit_code == 2
    assert text in result.stderr


def test_the_called_title_is_asked_for() -> None:
    result = invoke("run", "localhost:1")
    assert result.exit_code == 2
    assert "--called-ae" in result.stderr


def test_all_cases_are_listed() -> None:
    result = invoke("list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == [case.id for case in CASES]
    only = invoke("list", "--suite", "pdata,ul").stdout.splitlines()
    assert {line.split("-")[0] for line in only} == {"pdata", "ul"}


def test_cases_are_explained() -> None:
    first, second = CASES[1], CASES[0]
    result = invoke("explain", first.id, second.id)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{first.id}: {first.title}\nclause: {first.clause}\n")
    assert f"\n\n{second.id}: {second.title}\n" in result.stdout
    assert invoke("explain", "nothing-1").exit_code == 2


def test_help_names_every_command() -> None:
    text = invoke("--help").stdout
    assert all(command in text for command in ("run", "list", "explain", "serve"))
    assert "Exit code 0" in invoke("run", "--help").stdout
