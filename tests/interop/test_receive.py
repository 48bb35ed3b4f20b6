"""Real images from toolkits nobody here wrote, each kept as the bytes that were on the wire."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE

from dimse import status
from peers import Outcome, dciodvfy, dcmdump, dcmsend, gdcmscu, storescu
from real_files import real_file, real_files
from servers import RunningServer, running_server
from services import associate, read_instance, store
from services.send import NotDicom, contexts_for
from services.sop_classes import storage_sop_classes, storage_transfer_syntaxes
from wire import RecordingProxy, SentInstance, recording_proxy

AE_TITLE = "SERVER"


def sendable() -> list[Path]:
    """The real files that are instances of storage SOP classes in a transfer syntax the server accepts."""
    found: dict[str, Path] = {}
    for path in real_files():
        try:
            file = read_instance(path)
        except NotDicom:
            continue
        if (
            file.sop_class_uid in storage_sop_classes()
            and file.transfer_syntax_uid in storage_transfer_syntaxes()
        ):
            found.setdefault(file.sop_instance_uid, path)
    return list(found.values())


FILES = sendable()

MISSING_UID = MISMATCH = 0xA900
DAMAGED = 0xC000
REFUSED = {
    "JPEGLSNearLossless_08.dcm": MISSING_UID,
    "JPEGLSNearLossless_16.dcm": MISSING_UID,
    "SC_rgb_jls_lossy_line.dcm": MISSING_UID,
    "SC_rgb_jls_lossy_sample.dcm": MISSING_UID,
    "SC_rgb_jpeg.dcm": DAMAGED,  # Implicit VR in a JPEG transfer syntax
    "UN_sequence.dcm": MISSING_UID,
    "badVR.dcm": MISSING_UID,
    "bad_sequence.dcm": MISSING_UID,
    "chrJapMulti.dcm": MISSING_UID,
    "chrSQEncoding.dcm": MISSING_UID,
    "no_meta_group_length.dcm": MISSING_UID,
    "priv_SQ.dcm": MISSING_UID,
    "rtplan.dcm": MISMATCH,
}
"""What the server answers with a failure, and why."""


def by_storescu(port: int, files: list[Path]) -> list[Outcome]:
    return [storescu(port, file, called=AE_TITLE) for file in files]


def by_dcmsend(port: int, files: list[Path]) -> list[Outcome]:
    return [dcmsend(port, *files, called=AE_TITLE, options=("--no-halt", "--decompress-never"))]


def by_gdcmscu(port: int, files: list[Path]) -> list[Outcome]:
    return [gdcmscu(port, file, mode="--store", called=AE_TITLE) for file in files[:20]]


def by_pynetdicom(port: int, files: list[Path]) -> list[Outcome]:
    for file in files:
        dataset = pydicom.dcmread(file)
        ae = AE("PYNETDICOM")
        ae.add_requested_context(
            dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.TransferSyntaxUID
        )
        association = ae.associate("127.0.0.1", port, ae_title=AE_TITLE)
        assert association.is_established, file
        # Some of the files are damaged on purpose, and pynetdicom encodes them anew.
        with suppress(ValueError, AttributeError, TypeError):
            association.send_c_store(dataset)
        association.release()
    return []


def by_dicom_send(port: int, files: list[Path]) -> list[Outcome]:
    program = [sys.executable, "-c", "from services.cli.send import app; app()"]
    subprocess.run(
        [*program, f"pacs://localhost:{port}", "--called-ae", AE_TITLE, *map(str, files)],
        capture_output=True,
        timeout=90,
    )
    return []


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of files that are damaged on purpose
@pytest.mark.peer("storescu", "dcmsend", "gdcmscu", "dcmdump")
@pytest.mark.parametrize(
    ("sender", "at_least"),
    [(by_storescu, 60), (by_dcmsend, 60), (by_gdcmscu, 10), (by_pynetdicom, 60), (by_dicom_send, 100)],
    ids=["storescu", "dcmsend", "gdcmscu", "pynetdicom", "dicom-send"],
)
def test_what_is_kept_is_what_was_on_the_wire(
    tmp_path: Path, sender: Callable[[int, list[Path]], list[Outcome]], at_least: int
) -> None:
    with running_server(tmp_path, "--durability", "process") as server, recording_proxy(server.port) as proxy:
        outcomes = sender(proxy.port, FILES)
        kept = assert_kept_as_sent(server, proxy)
        assert kept >= at_least, outcomes


def assert_kept_as_sent(server: RunningServer, proxy: RecordingProxy) -> int:
    sent: dict[str, list[SentInstance]] = {}
    for connection in proxy.connections:
        for one in connection.instances():
            sent.setdefault(one.sop_instance_uid, []).append(one)
    stored = server.stored()
    for path in stored:
        instance = read_instance(path)
        # Several files share a UID: the first that was accepted is kept.
        data_set = path.read_bytes()[instance.data_set_offset :]
        [was, *_] = [one for one in sent[instance.sop_instance_uid] if one.data_set == data_set]
        assert (instance.sop_class_uid, instance.transfer_syntax_uid) == (
            was.sop_class_uid,
            was.transfer_syntax,
        )
        assert pydicom.dcmread(path).SOPInstanceUID == was.sop_instance_uid
    outcome = dcmdump(stored[0], *map(str, stored[1:])) if len(stored) > 1 else dcmdump(stored[0])
    assert outcome.ok, outcome
    counts = server.ask("stats")["operations"]["C-STORE"]
    assert counts["success"] == len(stored)
    assert server.left_in_incoming() == []
    return len(stored)


def test_a_raw_sender_finds_its_source_files_byte_for_byte(tmp_path: Path) -> None:
    async def send(port: int) -> dict[str, int]:
        answers: dict[str, int] = {}
        files = [read_instance(path) for path in FILES]
        for part in (files[start : start + 40] for start in range(0, len(files), 40)):
            async with associate(
                "127.0.0.1", port, called_ae=AE_TITLE, calling_ae="RAW", contexts=contexts_for(part)
            ) as peer:
                for file in part:
                    response = await store(
                        peer,
                        sop_class_uid=file.sop_class_uid,
                        sop_instance_uid=file.sop_instance_uid,
                        data_set=Path(file.path).read_bytes()[file.data_set_offset :],
                        transfer_syntax_uid=file.transfer_syntax_uid,
                    )
                    answers[file.sop_instance_uid] = response.status
        return answers

    with running_server(tmp_path) as server:
        answers = asyncio.run(send(server.port))
        stored = {path.stem: path for path in server.stored()}
        for path in FILES:
            file = read_instance(path)
            if answers[file.sop_instance_uid] != status.SUCCESS:
                continue
            kept = stored[file.sop_instance_uid]
            offset = read_instance(kept).data_set_offset
            assert kept.read_bytes()[offset:] == path.read_bytes()[file.data_set_offset :], path
        refused = {
            p.name: answers[read_instance(p).sop_instance_uid]
            for p in FILES
            if answers[read_instance(p).sop_instance_uid]
        }
        assert refused == REFUSED


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm"])
def test_dciodvfy_has_no_new_complaint(tmp_path: Path, name: str) -> None:
    source = real_file(name)
    with running_server(tmp_path) as server:
        by_dicom_send(server.port, [source])
        [stored] = server.stored()
        assert set(dciodvfy(stored)) <= set(dciodvfy(source))
