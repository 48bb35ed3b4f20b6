"""`dicom-send` as it is typed: against SCPs of ours, storescp, Orthanc, and nobody."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from archive_samples import data_set
from certificates import self_signed, server_context
from dimse import status
from dimse.association import Association
from dul.enums import RejectResult
from dul.errors import AssociationEnded
from dul.pdus import AAssociateRJ, AAssociateRQ
from dul.reasons import RejectReason
from peers import free_port, orthanc, pynetdicom_scp, storescp
from real_files import real_file
from scps import Kept, in_a_thread, small_files, storing_scp, write_file
from services import SCP, ReceivedInstance, Storage, read_instance
from services.cli.send import app

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
PROGRAM = [sys.executable, "-c", "from services.cli.send import app; app()"]


def send(port: int, *arguments: str | Path, called: str = "SCP", scheme: str = "pacs") -> Any:
    line = [f"{scheme}://localhost:{port}", "--aet", "TEST_SCU", "--called-ae", called]
    return CliRunner().invoke(app, [*line, *(str(argument) for argument in arguments)])


def study(folder: Path) -> Path:
    """Two files, one more in a folder inside, and what is to be skipped."""
    small_files(folder, 2)
    (folder / "inner").mkdir()
    write_file(folder / "inner" / "b.dcm", data_set("1.2.9"), "1.2.9")
    (folder / "notes.txt").write_text("not an image")
    write_file(folder / "DICOMDIR", b"", "1.2.8", MEDIA_STORAGE_DIRECTORY)
    return folder


# -- what is sent


def test_the_line_of_the_usage_contract(tmp_path: Path) -> None:
    kept, paths = Kept(), small_files(tmp_path, 3)
    with in_a_thread(storing_scp(kept)) as port:
        result = send(port, *paths)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"sent 3 of 3 files to SCP at localhost:{port}: 0.0 MB in ")
    assert result.stderr == ""
    assert kept.uids == ["1.2.3.4.0", "1.2.3.4.1", "1.2.3.4.2"]


def test_a_folder_s_own_files(tmp_path: Path) -> None:
    kept = Kept()
    with in_a_thread(storing_scp(kept)) as port:
        result = send(port, study(tmp_path))
    assert result.exit_code == 0, result.output
    assert kept.uids == ["1.2.3.4.0", "1.2.3.4.1"]
    assert result.stderr.splitlines() == [
        f"skipped: {tmp_path}/DICOMDIR: a DICOMDIR, which lists files and is none to send",
        f"skipped: {tmp_path}/notes.txt: not a DICOM file",
    ]


def test_a_folder_with_those_inside(tmp_path: Path) -> None:
    kept = Kept()
    os.mkfifo(tmp_path / "pipe")  # which nobody may wait for
    with in_a_thread(storing_scp(kept)) as port:
        result = send(port, "-r", study(tmp_path))
    assert result.exit_code == 0, result.output
    assert kept.uids == ["1.2.3.4.0", "1.2.3.4.1", "1.2.9"]


def test_verbose_names_each_file(tmp_path: Path) -> None:
    paths = small_files(tmp_path, 2)
    with in_a_thread(storing_scp(Kept())) as port:
        result = send(port, "-v", *paths)
    assert [line.partition(" in ")[0] for line in result.stderr.splitlines()] == [
        f"sent: {path}: 222 bytes" for path in paths
    ]


def test_in_parallel_with_a_window(tmp_path: Path) -> None:
    kept, paths = Kept(), small_files(tmp_path, 40)
    with in_a_thread(storing_scp(kept)) as port:
        result = send(port, *paths, "--parallel", "3", "--window", "4", "--priority", "high")
    assert result.exit_code == 0, result.output
    assert sorted(kept.uids) == sorted(f"1.2.3.4.{number}" for number in range(40))
    assert result.stdout.endswith("3 associations\n")


def test_json(tmp_path: Path) -> None:
    paths = small_files(tmp_path, 2)
    with in_a_thread(storing_scp(Kept(status.CANNOT_UNDERSTAND))) as port:
        result = send(port, *paths, "--format", "json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert (answer["sent"], answer["failed"]) == (1, 1)
    assert answer["failures"][0]["status"] == "C000"


def test_what_is_announced(tmp_path: Path) -> None:
    (path,) = small_files(tmp_path, 1)
    with pynetdicom_scp() as peer:
        result = send(peer.port, path, "--max-pdu-size", "16384", "--window", "5", called=peer.ae_title)
    assert result.exit_code == 0, result.output
    (request,) = peer.requests
    assert (request.calling_ae_title, request.maximum_length_received) == ("TEST_SCU", 16384)
    (window,) = [i for i in request.user_information if hasattr(i, "maximum_number_operations_invoked")]
    assert window.maximum_number_operations_invoked == 5


def test_over_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    kept, (path,) = Kept(), small_files(tmp_path / "images", 1)
    with in_a_thread(storing_scp(kept), server_context(certificate, key)) as port:
        trusted = send(port, path, "--tls-ca", certificate, scheme="dicoms")
        unknown = send(port, path, "--retry", "5", scheme="dicoms")
    assert trusted.exit_code == 0, trusted.output
    assert kept.uids == ["1.2.3.4.0"]
    assert unknown.exit_code == 1
    assert "hint: the certificate is not trusted" in unknown.stderr


@pytest.mark.peer("storescp")
def test_storescp_keeps_the_bytes_that_were_sent(tmp_path: Path) -> None:
    names = ("CT_small.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "SC_rgb_rle.dcm", "liver.dcm")
    sources = [real_file(name) for name in names]
    with storescp(tmp_path / "received") as peer:
        result = send(peer.port, *sources, called=peer.ae_title)
        assert result.exit_code == 0, result.output
        received = {read_instance(path).sop_instance_uid: path for path in peer.files()}
    for source in sources:
        sent = read_instance(source)
        kept = read_instance(received[sent.sop_instance_uid])
        assert kept.transfer_syntax_uid == sent.transfer_syntax_uid
        assert (
            Path(kept.path).read_bytes()[kept.data_set_offset :]
            == source.read_bytes()[sent.data_set_offset :]
        )


@pytest.mark.peer("storescp")
def test_storescp_that_takes_only_implicit_vr_gets_it(tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "--implicit") as peer:
        paths = [real_file("CT_small.dcm"), real_file("JPEG2000.dcm")]
        result = send(peer.port, *paths, called=peer.ae_title)
        assert len(peer.files()) == 1
    assert result.exit_code == 1
    assert result.stderr == (
        f"failed: {paths[1]}: the peer accepted no presentation context for "
        "Secondary Capture Image Storage in JPEG 2000 Image Compression\n"
    )


@pytest.mark.peer("Orthanc")
def test_orthanc_keeps_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("CT_small.dcm", "MR_small.dcm", "liver.dcm"):
        shutil.copy(real_file(name), folder)
    with orthanc(tmp_path / "orthanc") as peer:
        result = send(peer.port, folder, "--verify", "--parallel", "2", called=peer.ae_title)
        assert result.exit_code == 0, result.output
        assert len(peer.rest("GET", "/instances")) == 3


# -- what fails


def test_a_failure_status_is_a_failure(tmp_path: Path) -> None:
    paths = small_files(tmp_path, 3)
    kept = Kept(status.CANNOT_UNDERSTAND, status.COERCION_OF_DATA_ELEMENTS)
    with in_a_thread(storing_scp(kept)) as port:
        result = send(port, *paths)
    assert result.exit_code == 1
    assert result.stdout.startswith("sent 2 of 3 files to ")
    assert result.stderr.splitlines() == [
        f"failed: {paths[0]}: Failure: cannot understand, or unable to process (C000H)",
        f"warning: {paths[1]}: Warning: data elements coerced, or sub-operations complete with failures (B000H)",
    ]


def test_a_warning_alone_is_a_success(tmp_path: Path) -> None:
    with in_a_thread(storing_scp(Kept(status.COERCION_OF_DATA_ELEMENTS))) as port:
        assert send(port, *small_files(tmp_path, 1)).exit_code == 0


def test_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.sending.retry_delay", lambda tries: 0.001)
    paths = small_files(tmp_path, 2)
    with in_a_thread(storing_scp(Kept(0, status.OUT_OF_RESOURCES))) as port:
        result = send(port, *paths, "--retry", "1")
    assert result.exit_code == 0, result.output
    assert result.stderr == f"SCP at localhost:{port}: 1 file to send again in 0.001 s\n"


def test_a_file_with_a_broken_header_fails_and_the_rest_goes_out(tmp_path: Path) -> None:
    kept, paths = Kept(), small_files(tmp_path, 2)
    paths[0].write_bytes(bytes(128) + b"DICM")
    with in_a_thread(storing_scp(kept)) as port:
        result = send(port, *paths)
    assert result.exit_code == 1
    assert result.stderr == (
        f"failed: {paths[0]}: the File Meta Information has no Media Storage SOP Class UID (0002,0002)\n"
    )
    assert kept.uids == ["1.2.3.4.1"]


def test_a_rejection_is_said_once_for_all_files(tmp_path: Path) -> None:
    class Rejecting(SCP):
        def judge(self, request: AAssociateRQ, association: Association) -> AAssociateRJ:
            return AAssociateRJ(RejectResult.PERMANENT, RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED)

    with in_a_thread(Rejecting("SCP", [Storage(Kept())])) as port:
        result = send(port, *small_files(tmp_path, 5))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"SCP at localhost:{port}: 5 files could not be sent: association rejected permanently: "
        "calling AE title not recognized (source 1, reason 3)",
        "hint: the peer does not know our AE title: register it there, or say another one with --aet",
    ]


def test_verify_sends_nothing_where_nobody_answers(tmp_path: Path) -> None:
    (path,) = small_files(tmp_path, 1)
    result = send(free_port(), path, "--verify")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "; nothing was sent" in result.stderr
    assert "hint: nothing listens there" in result.stderr
    kept = Kept()
    with in_a_thread(SCP("SCP", [Storage(kept)])) as port:  # which performs no verification
        result = send(port, path, "--verify")
    assert result.exit_code == 1
    assert kept.uids == []


def test_verify_where_somebody_answers(tmp_path: Path) -> None:
    kept = Kept()
    with in_a_thread(storing_scp(kept)) as port:
        result = send(port, *small_files(tmp_path, 1), "--verify")
    assert result.exit_code == 0, result.output
    assert kept.uids == ["1.2.3.4.0"]


# -- a dry run


def test_a_dry_run_needs_no_peer(tmp_path: Path) -> None:
    result = send(free_port(), "-r", study(tmp_path), "--dry-run")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"{tmp_path}/000.dcm: CT Image Storage, Explicit VR Little Endian, 222 bytes"
    assert any(line.startswith("3 files, 0.0 MB, would go to SCP at localhost:") for line in lines)
    assert f"skipped: {tmp_path}/notes.txt: not a DICOM file" in result.stderr


def test_a_dry_run_as_json(tmp_path: Path) -> None:
    result = send(1, *small_files(tmp_path, 2), "--dry-run", "--format", "json")
    assert len(json.loads(result.stdout)["files"]) == 2


# -- a command line that makes no sense


def test_paths_that_do_not_exist_are_all_named(tmp_path: Path) -> None:
    (path,) = small_files(tmp_path, 1)
    kept = Kept()
    with in_a_thread(storing_scp(kept)) as port:
        result = send(port, path, tmp_path / "*.DCM", tmp_path / "b.dcm")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"error: {tmp_path}/*.DCM: there is no such file or folder",
        f"error: {tmp_path}/b.dcm: there is no such file or folder",
    ]
    assert kept.uids == []


def test_no_dicom_file_at_all(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    result = send(1, tmp_path)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "error: no DICOM file to send among 1 looked at; --recursive looks into the folders inside a folder as well"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("localhost",),
        ("ftp://localhost", "."),
        ("localhost", ".", "--parallel", "0"),
        ("localhost", ".", "--retry", "-1"),
        ("localhost", ".", "--window", "0"),
        ("localhost", ".", "--max-pdu-size", "100"),
        ("localhost", ".", "--priority", "urgent"),
        ("localhost", ".", "--format", "xml"),
        ("localhost", ".", "--aet", "SEVENTEEN_LETTERS"),
        ("localhost", ".", "--tls-insecure"),
    ],
)
def test_usage_errors(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, list(arguments)).exit_code == 2


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom services.cli.send import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'pydicom', 'msgspec', 'uvloop', 'asyncio', 'dul', 'dimse'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_sending_as_it_is_needs_no_pydicom(tmp_path: Path) -> None:
    (path,) = small_files(tmp_path, 1)
    program = (
        "import sys\nfrom services.cli.send import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end\n"
        "assert 'pydicom' not in sys.modules"
    )
    with in_a_thread(storing_scp(Kept())) as port:
        line = [f"localhost:{port}", "--called-ae", "SCP", str(path)]
        subprocess.run([sys.executable, "-c", program, *line], check=True, capture_output=True, timeout=30)


# -- Ctrl+C


def test_an_interrupt_aborts_and_says_what_was_not_sent(tmp_path: Path) -> None:
    """In a process of its own: it answers for the first file, and hangs at the second until the signal has come."""
    ends: list[AssociationEnded] = []
    reached = tmp_path / "reached"

    async def hang_at_the_second(instance: ReceivedInstance) -> None:
        if instance.sop_instance_uid == "1.2.3.4.1":
            reached.touch()
            await asyncio.sleep(20)

    scp = storing_scp(hang_at_the_second)
    scp.ended = lambda association, cause: ends.append(cause)  # type: ignore[method-assign,assignment,arg-type]
    paths = small_files(tmp_path / "images", 4)
    with in_a_thread(scp) as port:
        line = [*PROGRAM, f"localhost:{port}", "--called-ae", "SCP", *map(str, paths)]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + 15
            while not reached.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=15)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 130, err
    assert out.startswith("sent 1 of 4 files to ")
    assert err.splitlines() == [
        "interrupted: 3 files not sent, or sent and not answered for:",
        *(f"  {path}" for path in paths[1:]),
    ]
    assert [str(end).partition(":")[0] for end in ends] == ["the peer aborted"]
