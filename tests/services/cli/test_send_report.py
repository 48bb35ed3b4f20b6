import json
from pathlib import Path
from typing import Any

import pytest

from dul.errors import AssociationRejected
from dul.reasons import RejectReason
from scps import small_files
from services import read_instance
from services.cli.send_report import Report
from services.send import InstanceFile
from services.sending import Destination, Outcome

DESTINATION = Destination(host="pacs", port=104, called_ae="MY_PACS", calling_ae="SCU")


@pytest.fixture
def files(tmp_path: Path) -> list[InstanceFile]:
    return [read_instance(path) for path in small_files(tmp_path, 30)]


def outcome(
    file: InstanceFile, status: int | None, reason: str = "a reason", *, was_tried: bool = True
) -> Outcome:
    return Outcome(file, status, reason, was_tried, 1, 0.0123)


def report(format: Any = "text", verbose: bool = False) -> Report:
    made = Report(DESTINATION, format, verbose)
    made.begin()
    return made


def test_the_summary_counts_by_what_happened(
    files: list[InstanceFile], capsys: pytest.CaptureFixture[str]
) -> None:
    made = report()
    made.skip("a.txt", "not a DICOM file")
    made.unreadable("b.dcm", "Permission denied")
    made.conclude(outcome(files[0], 0))
    made.conclude(outcome(files[1], 0xB000, "Warning: data elements coerced (B000H)"))
    made.conclude(outcome(files[2], 0xA700, "Failure: refused: out of resources (A700H): disk 1"))
    made.conclude(outcome(files[3], 0xA700, "Failure: refused: out of resources (A700H): disk 2"))
    made.conclude(outcome(files[4], None, "no association", was_tried=False))
    made.end(2, [])
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("sent 2 of 6 files to MY_PACS at pacs:104: 0.0 MB in ")
    assert lines[0].endswith(" MB/s, 2 associations")
    assert lines[1:] == [
        "  1 with Warning: data elements coerced (B000H)",
        "  2 failed: Failure: refused: out of resources (A700H)",
        "  1 failed: Permission denied",
        "  1 failed: no association",
        "  1 skipped",
    ]
    assert err.splitlines() == [
        "skipped: a.txt: not a DICOM file",
        "failed: b.dcm: Permission denied",
        f"warning: {files[1].path}: Warning: data elements coerced (B000H)",
        f"failed: {files[2].path}: Failure: refused: out of resources (A700H): disk 1",
        f"failed: {files[3].path}: Failure: refused: out of resources (A700H): disk 2",
    ]  # a file that was never tried has no line of its own
    assert len(made.failures) == 4


def test_verbose_has_a_line_for_each_file(
    files: list[InstanceFile], capsys: pytest.CaptureFixture[str]
) -> None:
    report(verbose=True).conclude(outcome(files[0], 0))
    assert capsys.readouterr().err == f"sent: {files[0].path}: {files[0].data_set_length} bytes in 12.3 ms\n"
    report().conclude(outcome(files[0], 0))
    assert capsys.readouterr().err == ""


def test_an_interruption_names_what_is_left(
    files: list[InstanceFile], capsys: pytest.CaptureFixture[str]
) -> None:
    made = report()
    made.conclude(outcome(files[0], 0))
    made.end(1, files[1:])
    out, err = capsys.readouterr()
    assert out.startswith("sent 1 of 30 files to ")
    lines = err.splitlines()
    assert lines[0] == "interrupted: 29 files not sent, or sent and not answered for:"
    assert lines[1:21] == [f"  {file.path}" for file in files[1:21]]
    assert lines[21:] == ["  and 9 more"]


def test_the_summary_as_json(files: list[InstanceFile], capsys: pytest.CaptureFixture[str]) -> None:
    made = report("json")
    made.skip("a.txt", "not a DICOM file")
    made.conclude(outcome(files[0], 0))
    made.conclude(outcome(files[1], 0xB000))
    made.conclude(outcome(files[2], 0x0110, "Failure"))
    made.conclude(outcome(files[3], None, "lost"))
    made.end(1, files[4:5])
    answer = json.loads(capsys.readouterr().out)
    assert answer.pop("seconds") >= 0
    assert answer.pop("megabytesPerSecond") >= 0
    assert answer == {
        "host": "pacs",
        "port": 104,
        "calledAE": "MY_PACS",
        "callingAE": "SCU",
        "sent": 2,
        "warnings": 1,
        "failed": 2,
        "notSent": 1,
        "bytes": files[0].data_set_length + files[1].data_set_length,
        "associations": 1,
        "failures": [
            {"file": files[2].path, "status": "0110", "reason": "Failure"},
            {"file": files[3].path, "status": None, "reason": "lost"},
        ],
        "skipped": [{"file": "a.txt", "reason": "not a DICOM file"}],
        "unfinished": [files[4].path],
    }


def test_notes_and_failures_come_with_hints(capsys: pytest.CaptureFixture[str]) -> None:
    error = AssociationRejected(2, RejectReason.TEMPORARY_CONGESTION)
    report().note("something happened", error)
    report().fail("nothing was sent", error)
    report().note("nothing more")
    assert capsys.readouterr().err.splitlines() == [
        "MY_PACS at pacs:104: something happened",
        "hint: the peer is busy: try again later",
        "error: MY_PACS at pacs:104: nothing was sent",
        "hint: the peer is busy: try again later",
        "MY_PACS at pacs:104: nothing more",
    ]


def test_what_would_drive_a_terminal_is_made_visible(
    files: list[InstanceFile], capsys: pytest.CaptureFixture[str]
) -> None:
    made = report()
    made.skip("a\x1b[2J\n.dcm", "not a DICOM file")
    made.conclude(outcome(files[0], None, "no\nno"))
    made.end(0, [])
    out, err = capsys.readouterr()
    assert "a\\x1b[2J\\n.dcm" in err
    assert "  1 failed: no\\nno" in out


def test_a_plan(files: list[InstanceFile], capsys: pytest.CaptureFixture[str]) -> None:
    report().print_plan(files[:2])
    assert capsys.readouterr().out.splitlines() == [
        f"{files[0].path}: CT Image Storage, Explicit VR Little Endian, {files[0].data_set_length} bytes",
        f"{files[1].path}: CT Image Storage, Explicit VR Little Endian, {files[1].data_set_length} bytes",
        "2 files, 0.0 MB, would go to MY_PACS at pacs:104 on 1 association:",
        "  association 1, 2 contexts:",
        "    CT Image Storage in Explicit VR Little Endian",
        "    CT Image Storage in Implicit VR Little Endian",
    ]


def test_a_plan_as_json(files: list[InstanceFile], capsys: pytest.CaptureFixture[str]) -> None:
    report("json").print_plan(files[:1])
    answer = json.loads(capsys.readouterr().out)
    assert answer["files"][0]["sopInstance"] == "1.2.3.4.0"
    assert answer["bytes"] == files[0].data_set_length
    assert answer["associations"] == [
        [
            {"sopClass": files[0].sop_class_uid, "transferSyntaxes": ["1.2.840.10008.1.2.1"]},
            {"sopClass": files[0].sop_class_uid, "transferSyntaxes": ["1.2.840.10008.1.2"]},
        ]
    ]
