"""What `dicom-retrieve` and `dicom-move` tell."""

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from dimse.errors import DimseError
from dul.errors import ConnectionLost
from services.cli import retrieve_report
from services.cli.retrieve_inventory import Listed
from services.cli.retrieve_job import Missing
from services.cli.retrieve_methods import Source
from services.cli.retrieve_report import NAMED, RetrieveReport, count, progress_bar
from services.retrieve.folder import Identity

SOURCE = Source(host="pacs", port=104, called_ae="PACS", calling_ae="SCU")


def end(
    missing: list[Missing], format: Any = "text", destination: str = "", *, interrupted: bool = False
) -> None:
    report = RetrieveReport(SOURCE, "out", destination, format, False)
    folder: Any = SimpleNamespace(kept=3, size=2_000_000, repeated=1, refused={}, failure=None)
    job: Any = SimpleNamespace(
        missing=missing, already=4, warnings=0, associations=2, is_listed=True, left=7 if interrupted else 0
    )
    report.end(job, folder, interrupted=interrupted)


def test_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    end([Missing("1.2", "lost"), Missing("1.3", "lost"), Missing("1.4", "broken")])
    told = capsys.readouterr()
    first, *rest = told.out.splitlines()
    assert first.startswith("retrieved 3 instances from PACS at pacs:104 into out: 2.0 MB in ")
    assert rest == ["  5 there already", "  2 missing: lost", "  1 missing: broken"]
    assert told.err.splitlines() == ["missing: 1.2: lost", "missing: 1.3: lost", "missing: 1.4: broken"]


def test_a_long_list_ends(capsys: pytest.CaptureFixture[str]) -> None:
    end([Missing(f"1.{n}", "lost") for n in range(NAMED + 5)])
    assert capsys.readouterr().err.splitlines()[-1] == "and 5 more missing; --format json names all"


def test_json_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    missing = [Missing(f"1.{n}", "lost", Listed("1", "2", f"1.{n}")) for n in range(NAMED + 5)]
    end(missing, "json", "SCU", interrupted=True)
    told = capsys.readouterr()
    summary = json.loads(told.out)
    assert len(summary["missing"]) == NAMED + 5
    assert (summary["method"], summary["interrupted"], summary["left"]) == ("move", True, 7)
    assert "interrupted; 7 instances left: run the same again" in told.err


def test_hints(capsys: pytest.CaptureFixture[str]) -> None:
    end([Missing("1.2", "lost", error=ConnectionLost("gone"))])
    assert "hint: the peer closed the connection" in capsys.readouterr().err
    end([Missing("1.2", "unknown", status=0xA801)], destination="SCU")
    assert "hint: PACS does not know SCU" in capsys.readouterr().err
    for destination, text in (("", "C-GET at all"), ("SCU", "C-MOVE at all")):
        RetrieveReport(SOURCE, "out", destination, "text", False).fail("no", DimseError(0x0122))
        assert text in capsys.readouterr().err


def test_what_happens_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (False, True):
        report = RetrieveReport(SOURCE, "out", "", "text", verbose)
        report.kept(Identity("1", "2", "3", "1.2.3"), 10)
        assert capsys.readouterr().err == ("received: 1.2.3: 10 bytes\n" if verbose else "")
    report.refused("\x1b", "no")
    report.refused("", "no")
    assert capsys.readouterr().err == "refused: \\x1b: no\nrefused: an instance without UID: no\n"


def test_a_bar_on_a_terminal_and_nothing_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, quiet, shows in (
        (Terminal(), False, True),
        (Terminal(), True, False),
        (io.StringIO(), False, False),
    ):
        monkeypatch.setattr(retrieve_report.sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        with progress_bar("retrieving", quiet=quiet) as bar:
            bar.total(7)
            bar.advance()
            bar.done(3)
        assert ("retrieving" in stream.getvalue()) is shows
        assert ("3/7" in stream.getvalue()) is shows


def test_numbers_and_nouns() -> None:
    assert (count(1, "instance"), count(2, "instance")) == ("1 instance", "2 instances")
