"""`dicom-retrieve` and `dicom-move` against peers nobody here wrote, over real images."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from peers import HOST, Peer, dcmqrscp, free_port, orthanc, pynetdicom_scp, run_peer, storescp
from real_files import real_file
from services.part10 import read_file_meta

FILES = [
    real_file(name)
    for name in (
        "CT_small.dcm",
        "MR_small_implicit.dcm",
        "ExplVR_BigEnd.dcm",
        "chrH31.dcm",
        "JPGLosslessP14SV1_1s_1f_8b.dcm",
        "US1_J2KR.dcm",
        "MR2_J2KI.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "JPEG-lossy.dcm",
    )
]
FOR_DCMQRSCP = FILES[:4]
"""What is not compressed; anything else it accepts, or sends, only by options for a single transfer syntax."""

TITLES = ("--aet", "TEST_SCU", "--called-ae", "PEER")


def run(command: str, port: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    start = [
        sys.executable,
        "-c",
        f"from services.cli.{command} import app; app()",
        f"pacs://localhost:{port}",
    ]
    words = [*start, *TITLES, *(str(argument) for argument in arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def data_sets(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Transfer syntax and data set of every file below a folder, by SOP Instance UID."""
    return dict(_read(path) for path in folder.rglob("*") if path.is_file())


def _read(path: Path) -> tuple[str, tuple[str, bytes]]:
    with path.open("rb") as file:
        meta = read_file_meta(file)
        file.seek(meta.data_set_offset)
        return meta.sop_instance_uid, (meta.transfer_syntax_uid, file.read())


def studies(paths: Sequence[Path]) -> list[str]:
    uids = dict.fromkeys(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID for path in paths)
    return [word for uid in uids for word in ("--study-uid", uid)]


# -- DCMTK and Orthanc, with the same images


@contextmanager
def holding(name: str, folder: Path, destinations: dict[str, int]) -> Iterator[Peer]:
    if name == "dcmqrscp":
        start = dcmqrscp(folder, ae_title="PEER", destinations=destinations)
    else:
        modalities = {title: (title, port) for title, port in destinations.items()}
        start = orthanc(
            folder,
            ae_title="PEER",
            modalities=modalities,
            DicomAlwaysAllowFind=True,
            DicomAlwaysAllowGet=True,
            DicomAlwaysAllowMove=True,
        )
    with start as peer:
        yield peer


PEERS = [
    pytest.param("dcmqrscp", marks=pytest.mark.peer("dcmqrscp", "storescp", "movescu")),
    pytest.param("orthanc", marks=pytest.mark.peer("Orthanc", "storescp", "movescu")),
]


class Held:
    """A peer that holds images.

    Attributes:
        listen, workstation: ports it knows as those of TEST_SCU and WORKSTATION.
        files: what was sent to it.
        images: what it sends to DCMTK's storescp, which keeps each byte; peers write data sets anew.
    """

    def __init__(self, peer: Peer, listen: int, workstation: int, files: list[Path], folder: Path) -> None:
        self.peer = peer
        self.listen = listen
        self.workstation = workstation
        self.files = files
        with storescp(folder, ae_title="WORKSTATION", port=workstation):
            keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k")
            for uid in studies(files)[1::2]:
                moved = run_peer(
                    "movescu",
                    "-aec",
                    "PEER",
                    "-aem",
                    "WORKSTATION",
                    *keys,
                    f"StudyInstanceUID={uid}",
                    HOST,
                    peer.port,
                )
                assert moved.ok, moved
        self.images = data_sets(folder)
        assert len(self.images) == len(files)


@pytest.fixture(scope="module", params=PEERS)
def held(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    folder = tmp_path_factory.mktemp("peer")
    listen, workstation = free_port(), free_port()
    destinations = {"TEST_SCU": listen, "WORKSTATION": workstation}
    with holding(request.param, folder / "data", destinations) as peer:
        files = FOR_DCMQRSCP if request.param == "dcmqrscp" else FILES
        sent = run("send", peer.port, *files)
        assert sent.returncode == 0, sent.stdout + sent.stderr
        yield Held(peer, listen, workstation, files, folder / "moved")


@pytest.mark.parametrize("parallel", [1, 3])
def test_everything_comes_back_byte_for_byte(held: Held, tmp_path: Path, parallel: int) -> None:
    result = run(
        "retrieve", held.peer.port, *studies(held.files), "--output", tmp_path, "--parallel", parallel
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert data_sets(tmp_path) == held.images


def test_only_what_is_missing_comes(held: Held, tmp_path: Path) -> None:
    options = (*studies(held.files), "--output", tmp_path, "--hierarchical", "--format", "json")
    run("retrieve", held.peer.port, *options)
    paths = sorted(tmp_path.rglob("*.dcm"))
    gone, cut = paths[0], paths[1]
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-10])
    result = run("retrieve", held.peer.port, *options)
    assert result.returncode == 0, result.stdout + result.stderr
    told = json.loads(result.stdout)
    assert (told["retrieved"], told["alreadyThere"]) == (2, len(paths) - 2)
    assert data_sets(tmp_path) == held.images


def test_by_move_to_our_listener(held: Held, tmp_path: Path) -> None:
    options = ("--method", "move", "--listen", held.listen, "--output", tmp_path)
    result = run("retrieve", held.peer.port, *studies(held.files), *options)
    assert result.returncode == 0, result.stdout + result.stderr
    assert data_sets(tmp_path) == held.images


def test_a_series_and_an_instance(held: Held, tmp_path: Path) -> None:
    image = pydicom.dcmread(real_file("MR_small_implicit.dcm"))
    above = ("--study-uid", image.StudyInstanceUID, "--series-uid", image.SeriesInstanceUID)
    for folder, keys in (("series", above), ("instance", (*above, "--instance-uid", image.SOPInstanceUID))):
        result = run("retrieve", held.peer.port, *keys, "--output", tmp_path / folder)
        assert result.returncode == 0, result.stdout + result.stderr
        assert image.SOPInstanceUID in data_sets(tmp_path / folder)


def test_what_is_not_there(held: Held, tmp_path: Path) -> None:
    result = run("retrieve", held.peer.port, "--study-uid", "1.2.3.99", "--output", tmp_path)
    assert result.returncode == 1
    assert "missing: study 1.2.3.99" in result.stderr


def test_moved_to_a_workstation(held: Held, tmp_path: Path) -> None:
    with storescp(tmp_path / "moved", ae_title="WORKSTATION", port=held.workstation):
        result = run(
            "move", held.peer.port, "--dest", "WORKSTATION", *studies(held.files), "--format", "json"
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert json.loads(result.stdout)["completed"] == len(held.images)
    assert data_sets(tmp_path / "moved") == held.images


def test_an_unknown_destination(held: Held) -> None:
    result = run("move", held.peer.port, "--dest", "NOBODY", *studies(held.files[:1]))
    assert result.returncode == 1
    if held.peer.name == "dcmqrscp":
        assert "(A801H)" in result.stderr
        assert "hint: PEER does not know NOBODY" in result.stderr
    else:  # C000H
        assert "hint: does PEER know NOBODY?" in result.stderr


# -- pynetdicom, with scripted conduct


def add_services(ae: Any) -> None:
    from pynetdicom import AllStoragePresentationContexts

    for context in (
        StudyRootQueryRetrieveInformationModelFind,
        StudyRootQueryRetrieveInformationModelGet,
        StudyRootQueryRetrieveInformationModelMove,
    ):
        ae.add_supported_context(context)
    for storage in AllStoragePresentationContexts:
        ae.add_supported_context(storage.abstract_syntax, scu_role=True, scp_role=True)


def scripted(get: Callable[[Any], Iterator[Any]], find: Callable[[Any], Iterator[Any]] | None = None) -> Any:
    handlers = [(evt.EVT_C_GET, get), (evt.EVT_C_FIND, find or list_two)]
    return pynetdicom_scp(*handlers, ae_title="PEER", configure=add_services)


def two_images() -> list[Dataset]:
    first, second = pydicom.dcmread(real_file("CT_small.dcm")), pydicom.dcmread(real_file("CT_small.dcm"))
    first.SOPInstanceUID, second.SOPInstanceUID = "1.2.3.1", "1.2.3.2"
    return [first, second]


STUDY = ("--study-uid", str(two_images()[0].StudyInstanceUID))


def list_two(event: Any) -> Iterator[tuple[int, Dataset | None]]:
    """Two images, at whatever level is asked for."""
    for image in two_images():
        answer = Dataset()
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
            if keyword in event.identifier:
                setattr(answer, keyword, getattr(image, keyword))
        yield 0xFF00, answer
    yield 0x0000, None


def test_two_images_of_pynetdicom(tmp_path: Path) -> None:
    def get(event: Any) -> Iterator[Any]:
        yield 2
        for image in two_images():
            yield 0xFF00, image

    with scripted(get) as peer:
        result = run("retrieve", peer.port, *STUDY, "--output", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert sorted(data_sets(tmp_path)) == ["1.2.3.1", "1.2.3.2"]


def test_a_wrong_count_and_a_failure_of_its_own(tmp_path: Path) -> None:
    def get(event: Any) -> Iterator[Any]:
        yield 5
        yield 0xFF00, two_images()[0]
        failed = Dataset()
        failed.FailedSOPInstanceUIDList = ["1.2.3.2", "1.2.3.77"]
        yield 0xB000, failed

    with scripted(get) as peer:
        result = run("retrieve", peer.port, *STUDY, "--output", tmp_path)
    assert result.returncode == 1
    assert "missing: 1.2.3.2: Warning: sub-operations complete with failures (B000H)" in result.stderr
    assert sorted(data_sets(tmp_path)) == ["1.2.3.1"]


def test_an_abort_after_an_image_and_again(tmp_path: Path) -> None:
    asked = []

    def get(event: Any) -> Iterator[Any]:
        asked.append(event.identifier)
        yield 2
        if len(asked) == 1:
            yield 0xFF00, two_images()[0]
            event.assoc.abort()
            return
        yield 0xFF00, two_images()[1]

    with scripted(get) as peer:
        result = run("retrieve", peer.port, *STUDY, "--output", tmp_path, "--retry", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert [identifier.QueryRetrieveLevel for identifier in asked] == ["STUDY", "IMAGE"]
    assert asked[1].SOPInstanceUID == "1.2.3.2"


def test_a_failing_peer_with_odd_text(tmp_path: Path) -> None:
    def get(event: Any) -> Iterator[Any]:
        yield 1
        failure = Dataset()
        failure.Status = 0xA701
        failure.ErrorComment = "not \x1b[31mnow"
        yield failure, None

    with scripted(get) as peer:
        result = run("retrieve", peer.port, *STUDY, "--output", tmp_path, "--format", "json")
    assert result.returncode == 1
    assert "\x1b" not in result.stderr
    assert {missing["what"] for missing in json.loads(result.stdout)["missing"]} == {"1.2.3.1", "1.2.3.2"}


def test_silence_of_a_peer(tmp_path: Path) -> None:
    over = threading.Event()

    def get(event: Any) -> Iterator[Any]:
        yield 1
        over.wait(30)
        yield 0xFF00, two_images()[0]

    with scripted(get) as peer:
        later = threading.Timer(8, over.set)
        later.start()
        result = run("retrieve", peer.port, *STUDY, "--output", tmp_path, "--timeout", "2")
        over.set()
        later.cancel()
    assert result.returncode == 1
    assert "nothing came within 2 s" in result.stderr
