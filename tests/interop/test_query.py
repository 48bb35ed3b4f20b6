"""`dicom-query` against peers nobody here wrote, over real images."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from peers import Peer, dcmqrscp, orthanc, pynetdicom_scp, storescu
from real_files import real_file

FILES = [
    real_file(name) for name in ("CT_small.dcm", "MR_small.dcm", "chrH31.dcm", "chrX1.dcm", "chrFren.dcm")
]


def program(port: int, called: str, *arguments: str) -> list[str]:
    start = [sys.executable, "-c", "from services.cli.query import app; app()"]
    return [*start, f"pacs://localhost:{port}", "--aet", "TEST_SCU", "--called-ae", called, *arguments]


def query(port: int, called: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(program(port, called, *arguments), capture_output=True, text=True, timeout=60)


# -- DCMTK and Orthanc, with the same images

PEERS = [
    pytest.param("dcmqrscp", marks=pytest.mark.peer("dcmqrscp")),
    pytest.param("orthanc", marks=pytest.mark.peer("Orthanc")),
]


@pytest.fixture(scope="module", params=PEERS)
def holding(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    directory = tmp_path_factory.mktemp("peer") / "data"
    if request.param == "dcmqrscp":
        start = dcmqrscp(directory, ae_title="PEER")
    else:
        start = orthanc(directory, ae_title="PEER", DicomAlwaysAllowFind=True)
    with start as peer:
        sent = storescu(peer.port, *FILES, called="PEER")
        assert sent.ok, sent
        yield peer


def test_what_is_in_the_files_is_found(holding: Peer) -> None:
    image = pydicom.dcmread(real_file("CT_small.dcm"))
    result = query(holding.port, "PEER", "--study-uid", image.StudyInstanceUID, "--format", "json")
    assert result.returncode == 0, result.stderr
    (match,) = json.loads(result.stdout)
    answer = Dataset.from_json(match)
    assert answer.PatientName == image.PatientName
    assert answer.PatientID == image.PatientID
    assert answer.StudyDate == image.StudyDate


def test_names_of_several_character_sets(holding: Peer) -> None:
    result = query(holding.port, "PEER", "--format", "csv")
    assert result.returncode == 0, result.stderr
    names = {row["PatientName"].rstrip("=") for row in csv.DictReader(io.StringIO(result.stdout))}
    assert len(names) == len(FILES)
    assert "Buc^Jérôme" in names
    if holding.name == "dcmqrscp":  # Orthanc drops what ISO 2022 switches to
        assert any("山田" in name for name in names), names


def test_series_and_images_below_their_study(holding: Peer) -> None:
    image = pydicom.dcmread(real_file("MR_small.dcm"))
    above = ("--study-uid", image.StudyInstanceUID)
    series = query(holding.port, "PEER", *above, "--level", "series", "-f", "json")
    (answer,) = map(Dataset.from_json, json.loads(series.stdout))
    assert (answer.SeriesInstanceUID, answer.Modality) == (image.SeriesInstanceUID, "MR")
    below = (*above, "--series-uid", image.SeriesInstanceUID, "--level", "instance")
    images = query(holding.port, "PEER", *below, "-f", "json")
    (answer,) = map(Dataset.from_json, json.loads(images.stdout))
    assert answer.SOPInstanceUID == image.SOPInstanceUID


def test_patients_and_wildcards(holding: Peer) -> None:
    result = query(holding.port, "PEER", "--level", "patient", "--patient", "CompressedSamples*")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["Patient", "ID"]
    assert sorted(line.split()[0] for line in lines[1:]) == ["CompressedSamples^CT1", "CompressedSamples^MR1"]


def test_nothing_found(holding: Peer) -> None:
    result = query(holding.port, "PEER", "--patient", "NOBODY^HERE", "--format", "json")
    assert (result.returncode, json.loads(result.stdout)) == (0, [])
    assert result.stderr == "nothing found for PatientName=NOBODY^HERE\n"


@pytest.mark.peer("Orthanc")
def test_an_abort_by_a_peer_that_does_not_know_us(tmp_path: Path) -> None:
    with orthanc(tmp_path / "data", ae_title="PEER", rest=False) as peer:
        result = query(peer.port, "PEER")
    assert result.returncode == 1
    assert "some peers abort a query from an AE title that they do not know" in result.stderr


# -- pynetdicom, with scripted answers


class Endless:
    """Matches until the peer cancels; `cancelled` tells that it did."""

    def __init__(self, pause: float = 0.0) -> None:
        self.cancelled = threading.Event()
        self.count = 0
        self._pause = pause

    def __call__(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        while not event.is_cancelled:
            self.count += 1
            answer = Dataset()
            answer.PatientName = f"NO^{self.count}"
            answer.StudyInstanceUID = f"1.2.{self.count}"
            yield 0xFF00, answer
            time.sleep(self._pause)
        self.cancelled.set()
        yield 0xFE00, None


def add_find(ae: Any) -> None:
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)


def scp(handler: Callable[[Any], Any]) -> Any:
    return pynetdicom_scp((evt.EVT_C_FIND, handler), ae_title="PEER", configure=add_find)


def test_a_limit_cancels() -> None:
    endless = Endless(0.01)
    with scp(endless) as peer:
        result = query(peer.port, "PEER", "--limit", "3", "--format", "compact")
        assert endless.cancelled.wait(10)
    assert result.returncode == 0
    assert [line.split("|")[0] for line in result.stdout.splitlines()] == ["NO^1", "NO^2", "NO^3"]
    assert result.stderr == "stopped after 3 matches, as --limit says; there may be more\n"


def test_ctrl_c_cancels_and_prints_what_came() -> None:
    endless = Endless(0.02)
    with scp(endless) as peer:
        command = program(peer.port, "PEER", "--format", "json", "--verbose")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline() + process.stdout.readline()
        os.kill(process.pid, signal.SIGINT)
        rest, told = process.stdout.read(), process.stderr.read()
        process.wait(20)
        process.stdout.close()
        process.stderr.close()
        assert endless.cancelled.wait(10)
    assert process.returncode == 130, told
    matches = json.loads(first + rest)
    assert matches[0]["00100010"]["Value"] == [{"Alphabetic": "NO^1"}]
    assert f"interrupted after {len(matches)} match" in told


def test_a_closed_pipe_cancels() -> None:
    endless = Endless(0.01)
    with scp(endless) as peer:
        command = program(peer.port, "PEER", "--format", "compact")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("NO^1|")
        process.stdout.close()
        assert endless.cancelled.wait(10)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()


def test_a_failure_with_its_comment() -> None:
    def refuse(event: Any) -> Iterator[tuple[Any, Dataset | None]]:
        failure = Dataset()
        failure.Status = 0xA900
        failure.ErrorComment = "no \x1b[31msuch key"
        failure.OffendingElement = [0x00100010]
        yield failure, None

    with scp(refuse) as peer:
        result = query(peer.port, "PEER")
    assert result.returncode == 1
    assert "no \\x1b[31msuch key" in result.stderr
    assert "offending element: (0010,0010) PatientName" in result.stderr


def test_keys_that_are_not_supported() -> None:
    def answers(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        answer = Dataset()
        answer.PatientID = "1|2"
        yield 0xFF01, answer
        yield 0xFF01, answer

    with scp(answers) as peer:
        result = query(peer.port, "PEER", "--format", "compact")
    assert result.returncode == 0
    assert result.stdout.splitlines()[0].startswith("|1\\|2|")
    assert result.stderr.count("does not support each key") == 1


def test_silence_and_an_abort_after_a_match() -> None:
    over = threading.Event()

    def silent(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        over.wait(20)
        yield 0x0000, None

    def aborts(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        answer = Dataset()
        answer.PatientID = "1"
        yield 0xFF00, answer
        event.assoc.abort()

    with scp(silent) as peer:
        result = query(peer.port, "PEER", "--timeout", "2")
        over.set()
    assert (result.returncode, result.stdout) == (1, "")
    assert "no answer to the C-FIND within 2 s" in result.stderr
    with scp(aborts) as peer:
        result = query(peer.port, "PEER", "--format", "compact")
    assert result.returncode == 1
    assert result.stdout.splitlines()[0].startswith("|1|")
    assert "the list is not complete: 1 match before the error" in result.stderr


def test_text_that_is_not_ascii_goes_out_as_utf_8() -> None:
    asked: list[Dataset] = []

    def keep(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        asked.append(event.identifier)
        yield 0x0000, None

    with scp(keep) as peer:
        query(peer.port, "PEER", "--patient", "Müller^*")
        query(peer.port, "PEER", "--patient", "MUELLER^*", "--modality", "CT")
    assert asked[0].SpecificCharacterSet == "ISO_IR 192"
    assert asked[0].PatientName == "Müller^*"
    assert "SpecificCharacterSet" not in asked[1]
    assert asked[1].ModalitiesInStudy == "CT"


def test_what_was_asked_for_and_not_agreed_to_is_told() -> None:
    with scp(lambda event: iter([(0x0000, None)])) as peer:
        result = query(peer.port, "PEER", "--fuzzy", "--relational")
        items = peer.requests[0].user_information
    assert "does not agree to fuzzy matching" in result.stderr
    assert "does not agree to relational queries" in result.stderr
    offered = [
        each.service_class_application_information
        for each in items
        if hasattr(each, "service_class_application_information")
    ]
    assert offered == [b"\x01\x00\x01"]
