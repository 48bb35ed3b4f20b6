"""The report for a terminal."""

from runs import HOSTILE, a_run
from services.conformance.report_text import (
    explain_lines,
    list_lines,
    peer_lines,
    report_lines,
    summary_lines,
    verdict_line,
)
from services.conformance.target import Offer


def test_the_peer_is_named() -> None:
    lines = list(peer_lines(a_run()))
    assert lines[0] == "peer      pacs://localhost:104, called 'ANY'"
    assert lines[2] == "takes     P-DATA-TF of 16384 bytes"
    assert lines[3] == "offers    storage, verification"


def test_a_peer_that_says_nothing_of_itself() -> None:
    run = a_run()
    run.offer = Offer(maximum_length=0)
    assert list(peer_lines(run))[1:] == [
        "says      no version name, no Implementation Class UID",
        "takes     P-DATA-TF of no limit",
        "offers    none of the services tested",
    ]


def test_the_summary_counts_each_verdict() -> None:
    lines = [line.split() for line in summary_lines(a_run())]
    assert lines[1:] == [
        ["ul", "1", "0", "1", "0", "0"],
        ["dimse", "0", "1", "0", "0", "0"],
        ["storage", "0", "0", "0", "1", "1"],
        ["all", "1", "1", "1", "1", "1"],
    ]


def test_what_tells_something_is_told_worst_first() -> None:
    lines = list(report_lines(a_run()))
    heads = [line.split()[:2] for line in lines if line.split(" ")[0].isupper()]
    assert heads == [["FAIL", "ul-2a"], ["INCONCLUSIVE", "storage-5"], ["TOLERATED", "dimse-3"]]
    assert any("[PS3.8 9.2: Evt19 in Sta6, AA-8]" in line for line in lines)
    assert any("expected abort 2/1, got abort 2/2" in line for line in lines)
    assert lines[-2].endswith("--allow-write.")
    assert lines[-1] == verdict_line(a_run()) == "1 of 4 cases failed, in 1.5 s"


def test_verbose_tells_every_case() -> None:
    text = "\n".join(report_lines(a_run(), verbose=True))
    assert all(result.case.title in text for result in a_run().results)


def test_nothing_from_the_wire_reaches_the_terminal_as_it_is() -> None:
    text = "\n".join(report_lines(a_run(), verbose=True))
    assert HOSTILE not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31m" in text


def test_a_list_marks_what_a_case_needs() -> None:
    lines = list(list_lines(result.case for result in a_run().results))
    assert lines[0].split() == ["ul-1", "It", "passes"]
    assert lines[3].endswith("(needs storage, writes)")
    assert lines[4].endswith("(waits)")


def test_a_case_is_explained_step_by_step() -> None:
    lines = list(explain_lines(a_run().results[1].case))
    assert lines[:3] == ["ul-2a: It fails", "clause: PS3.8 9.2: Evt19 in Sta6, AA-8", "The tester"]
    assert "  4. sends a byte" in lines
    assert "  5. expects abort 2/1 (tolerated: abort 2/*)" in lines
    assert "     because the type is unknown" in lines
    assert lines[-1] == "note: Graded so because."
    stored = "\n".join(explain_lines(a_run().results[3].case))
    assert "needs: storage" in stored
    assert "only with --allow-write" in stored
    assert "timer of the peer" in "\n".join(explain_lines(a_run().results[4].case))
