"""Our C-MOVE SCP between requestors and destinations that nobody here wrote."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove

import corpus
from corpus import Sample
from finding import identifier
from holdings import FolderHoldings
from peers import HOST, Outcome, free_port, gdcmscu, pynetdicom_scp, run_peer, storescp
from real_files import real_file
from scps import in_a_thread, small_files, write_file
from services import SCP, read_instance
from services.retrieve.destinations import Destinations, MoveDestination
from services.retrieve.move import Move, MoveOptions
from services.sop_classes import IMPLICIT_VR_LITTLE_ENDIAN

AE_TITLE = "ARCHIVE"
ODD_LENGTH = "rtplan_truncated.dcm"
"""A data set that is cut off after an odd number of bytes: no PDV may carry it (PS3.8 E.1)."""

FILES = [real_file(name) for name in ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm")]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sample]]:
    with corpus.corpus(tmp_path_factory.mktemp("corpus") / "files") as files:
        yield files


@contextmanager
def archive(paths: Sequence[Path], destinations: Mapping[str, int], **options: Any) -> Iterator[int]:
    """An SCP of ours that holds files, and knows destinations on loopback by AE title; its port."""
    holdings = FolderHoldings(Path("/nowhere"), page=7)
    holdings.files = [read_instance(path) for path in paths]
    known = {title: MoveDestination(HOST, port, title) for title, port in destinations.items()}
    move = Move(holdings, Destinations(known), AE_TITLE, options=MoveOptions(**({"retries": 0} | options)))
    with in_a_thread(SCP(AE_TITLE, [move])) as port:
        yield port


def uids(paths: Sequence[Path]) -> list[str]:
    return sorted(read_instance(path).sop_instance_uid for path in paths)


def data_sets(paths: Sequence[Path]) -> dict[str, tuple[str, bytes]]:
    """Transfer syntax and data set of files, by SOP Instance UID."""
    return {
        file.sop_instance_uid: (
            file.transfer_syntax_uid,
            Path(file.path).read_bytes()[file.data_set_offset :],
        )
        for file in map(read_instance, paths)
    }


class Told:
    """What pynetdicom makes of a C-MOVE: the final status, its counts, and the list of what failed."""

    def __init__(self, responses: Sequence[tuple[Dataset, Dataset | None]]) -> None:
        self.pending = [status for status, _ in responses[:-1]]
        assert {status.Status for status in self.pending} <= {0xFF00}
        final, data = responses[-1]
        self.status = final.Status
        self.comment = final.get("ErrorComment", "")
        self.counts = (
            final.get("NumberOfCompletedSuboperations"),
            final.get("NumberOfFailedSuboperations"),
            final.get("NumberOfWarningSuboperations"),
        )
        listed = (data or Dataset()).get("FailedSOPInstanceUIDList") or []
        self.failed = [listed] if isinstance(listed, str) else sorted(listed)


def by_pynetdicom(port: int, destination: str) -> Told:
    ae = AE("PYNETDICOM")
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
    association = ae.associate(HOST, port, ae_title=AE_TITLE)
    assert association.is_established
    try:
        return Told(
            list(
                association.send_c_move(
                    identifier("STUDY", StudyInstanceUID="1.2"),
                    destination,
                    StudyRootQueryRetrieveInformationModelMove,
                )
            )
        )
    finally:
        association.release()


def by_movescu(port: int, destination: str, *options: str | Path) -> Outcome:
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2")
    titles = ("-aet", "MOVESCU", "-aec", AE_TITLE, "-aem", destination)
    return run_peer("movescu", "-d", *titles, *options, *keys, HOST, port)


# -- every real file


@pytest.mark.peer("storescp", "movescu")
@pytest.mark.parametrize("options", [{}, {"parallel": 2, "window": 4}], ids=["plain", "parallel"])
def test_storescp_gets_the_bytes_of_every_real_file(
    tmp_path: Path, samples: list[Sample], options: dict[str, int]
) -> None:
    unsent = corpus.PALETTES | {ODD_LENGTH}  # DCMTK takes no palettes
    with (
        storescp(tmp_path / "received") as peer,
        archive([sample.path for sample in samples], {peer.ae_title: peer.port}, **options) as port,
    ):
        done = by_movescu(port, peer.ae_title)
        received = data_sets(peer.files())
    sent = {sample.meta_instance: sample for sample in samples if sample.name not in unsent}
    assert received.keys() == sent.keys()
    differing = [s.name for uid, s in sent.items() if received[uid] != (s.transfer_syntax, s.padded)]
    assert differing == []
    final = done.output.split("Received Final Move Response")[-1]
    assert "DIMSE Status                  : 0xb000" in final, done
    counts = {"Completed": len(sent), "Failed": len(samples) - len(sent), "Warning": 0}
    for name, count in counts.items():
        assert f"{name} Suboperations".ljust(30) + f": {count}\n" in final, done


def test_pynetdicom_moves_every_real_file_to_pynetdicom(samples: list[Sample]) -> None:
    from pynetdicom._globals import ALL_TRANSFER_SYNTAXES

    def configure(ae: Any) -> None:
        ae.add_supported_context("1.2.840.10008.5.1.4.39.1", ALL_TRANSFER_SYNTAXES)

    # pynetdicom has no service for the retired SOP class of these two, and aborts.
    samples = [sample for sample in samples if sample.name not in {"color-pl.dcm", "color-px.dcm"}]
    with (
        pynetdicom_scp(configure=configure) as peer,
        archive([sample.path for sample in samples], {peer.ae_title: peer.port}) as port,
    ):
        told = by_pynetdicom(port, peer.ae_title)
    sent = {sample.meta_instance: sample for sample in samples if sample.name != ODD_LENGTH}
    odd = [sample.meta_instance for sample in samples if sample.name == ODD_LENGTH]
    assert (told.status, told.counts, told.failed) == (0xB000, (len(sent), 1, 0), odd)
    assert {uid: (syntax, data) for uid, syntax, data in peer.stored} == {
        uid: (sample.transfer_syntax, sample.padded) for uid, sample in sent.items()
    }
    assert len(peer.requests) == 1


# -- requestors that are the destination, too


@pytest.mark.peer("movescu")
def test_movescu_gets_what_it_asks_for_itself(tmp_path: Path) -> None:
    paths, listening = small_files(tmp_path / "files", 3), free_port()
    received = tmp_path / "received"
    received.mkdir()
    with archive(paths, {"MOVESCU": listening}) as port:
        done = by_movescu(port, "MOVESCU", "+P", str(listening), "-od", received)
    assert done.ok, done
    assert uids(sorted(received.iterdir())) == uids(paths)


def by_gdcmscu(port: int, listening: int, received: Path) -> Outcome:
    received.mkdir()
    query = ("--studyroot", "--study", "--key", "0020,000d=1.2")
    where = ("--port-scp", str(listening), "--output", received)
    return gdcmscu(port, *query, *where, mode="--move", called=AE_TITLE)


@pytest.mark.peer("gdcmscu")
def test_gdcmscu_gets_what_it_asks_for_itself(tmp_path: Path) -> None:
    # GDCM reads everything on an association in the syntax of its last context, whatever the context it came on. An
    # instance in the other syntax, the file of which is gone, makes that the right one.
    gone, image, listening = tmp_path / "gone.dcm", real_file("CT_small.dcm"), free_port()
    write_file(gone, b"", "1.2.3.4.5", transfer_syntax=IMPLICIT_VR_LITTLE_ENDIAN)
    with archive([gone, image], {"GDCMSCU": listening}) as port:
        gone.unlink()
        done = by_gdcmscu(port, listening, tmp_path / "received")
    (file,) = (tmp_path / "received").iterdir()
    assert dcmread(file).PixelData == dcmread(image).PixelData, done
    assert said(done) == [("65280", "0", "1"), ("45056", "1", "1")], done


@pytest.mark.peer("gdcmscu")
def test_gdcmscu_takes_nothing_compressed_and_is_told_so(tmp_path: Path) -> None:
    image, listening = real_file("MR_small_RLE.dcm"), free_port()
    with archive([image], {"GDCMSCU": listening}) as port:
        done = by_gdcmscu(port, listening, tmp_path / "received")
    assert list((tmp_path / "received").iterdir()) == []
    assert said(done)[-1] == ("42754", "0", "1"), done
    assert "[the peer accepted no presentation context for MR Image Storage" in done.output
    assert f"(0008,0058) ?? (UI) [{uids([image])[0]}]" in done.output, done


def said(done: Outcome) -> list[tuple[str, str, str]]:
    """Status, completed and failed sub-operations of each response that gdcmscu printed, without repetitions."""
    found = re.findall(
        r"\(0000,0900\) \S+ \(US\) (\d+).*?\(0000,1021\) \S+ \(US\) (\d+).*?\(0000,1022\) \S+ \(US\) (\d+)",
        done.output,
        re.DOTALL,
    )
    return list(dict.fromkeys(found))


# -- destinations at fault


ALL, NONE = (0xA702, (0, 3, 0)), (0x0000, (3, 0, 0))


@pytest.mark.peer("storescp")
@pytest.mark.parametrize(
    ("switch", "retries", "expected", "comment"),
    [
        ("--refuse", 1, ALL, "association rejected permanently: no reason given by the service user"),
        ("--reject", 0, NONE, ""),  # those without an Implementation Class UID
        ("--abort-after", 0, ALL, "the peer aborted: aborted by the service user"),
        ("--abort-after", 1, ALL, "the peer aborted: aborted by the service user"),
        ("--abort-during", 0, ALL, "the peer aborted: aborted by the service user"),
        ("--abort-during", 1, ALL, "the peer aborted: aborted by the service user"),
        ("--sleep-during=30", 0, ALL, "no response within 0.5 s"),
        ("--ignore", 0, NONE, ""),
    ],
)
def test_a_fault_of_the_destination(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    switch: str,
    retries: int,
    expected: tuple[int, tuple[int, int, int]],
    comment: str,
) -> None:
    monkeypatch.setattr("services.sending.retry_delay", lambda tries: 0.01)
    with (
        storescp(tmp_path / "received", *switch.split("=")) as peer,
        archive(FILES, {"STORESCP": peer.port}, response_timeout=0.5, retries=retries) as port,
    ):
        told = by_pynetdicom(port, "STORESCP")
        kept = peer.files()
    assert (told.status, told.counts) == expected
    assert told.failed == (uids(FILES) if expected == ALL else [])
    assert told.comment.startswith(comment[:64]) if comment else not told.comment
    if switch in ("--reject", "--ignore"):
        assert len(kept) == (3 if switch == "--reject" else 0)


@pytest.mark.peer("storescp")
def test_a_destination_that_takes_its_time(tmp_path: Path) -> None:
    with (
        storescp(tmp_path / "received", "--sleep-after", "1") as peer,
        archive(FILES[:2], {"STORESCP": peer.port}, response_timeout=10.0) as port,
    ):
        told = by_pynetdicom(port, "STORESCP")
        assert (told.status, told.counts, told.failed) == (0x0000, (2, 0, 0), [])
        assert len(told.pending) >= 2
        assert data_sets(peer.files()) == data_sets(FILES[:2])


def test_a_destination_that_fails_warns_and_aborts_on_chosen_instances(tmp_path: Path) -> None:
    paths = small_files(tmp_path, 8)
    answers = {"1.2.3.4.1": 0xA700, "1.2.3.4.3": 0xB007, "1.2.3.4.4": 0xC123, "1.2.3.4.6": 0x0122}

    def answer(event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid == "1.2.3.4.5":
            event.assoc.abort()
        return answers.get(uid, 0x0000)

    with (
        pynetdicom_scp((evt.EVT_C_STORE, answer)) as peer,
        archive(paths, {"PYNETDICOM": peer.port}, retries=1) as port,
    ):
        told = by_pynetdicom(port, "PYNETDICOM")
    assert (told.status, told.counts) == (0xB000, (3, 4, 1))
    assert told.failed == [f"1.2.3.4.{number}" for number in (1, 4, 5, 6)]
