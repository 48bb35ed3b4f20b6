"""C-GET with requestors nobody here wrote, over every real file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import CTImageStorage, StudyRootQueryRetrieveInformationModelGet

from corpus import UNFIT, Sample, corpus
from holdings import FolderHoldings
from peers import HOST, run_peer
from scps import in_a_thread, small_files
from services.part10 import read_file_meta
from services.retrieve.get import Get
from services.scp import SCP
from services.send import CONVERTIBLE
from services.sop_classes import StorageContexts
from services.storage import Storage

UIDS = [f"1.2.3.4.{number}" for number in range(5)]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sample]]:
    with corpus(tmp_path_factory.mktemp("corpus") / "files") as files:
        yield files


def archive(folder: Path) -> SCP:
    """What is retrieved from; it takes storage contexts, so that the requestor can be their SCP."""

    async def refuse(instance: Any) -> int:
        return 0xA700

    return SCP("ARCHIVE", [Get(FolderHoldings(folder)), Storage(refuse, StorageContexts())])


def by_uid(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Transfer syntax and encoded data set of every file, by the SOP Instance UID of its File Meta Information."""
    found = {}
    for path in folder.iterdir():
        with path.open("rb") as file:
            meta = read_file_meta(file)
            file.seek(meta.data_set_offset)
            found[meta.sop_instance_uid] = meta.transfer_syntax_uid, file.read()
    return found


@pytest.mark.peer("getscu")
@pytest.mark.parametrize("option", ["+x=", "+xs"])
def test_getscu_gets_what_is_stored(tmp_path: Path, samples: list[Sample], option: str) -> None:
    """DCMTK proposes one compressed transfer syntax at a time, beside the uncompressed ones."""
    folder = samples[0].path.parent
    got = tmp_path / "got"
    got.mkdir()
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2.3")
    with in_a_thread(archive(folder)) as port:
        done = run_peer("getscu", "-aec", "ARCHIVE", "+B", option, "-od", got, *keys, HOST, port)
    assert "Final status" in done.output or done.ok, done
    stored = {sample.meta_instance: sample for sample in samples if sample.name not in UNFIT}
    came = {uid: found for uid, found in by_uid(got).items() if uid in stored}
    same_syntax = [uid for uid, (syntax, _) in came.items() if syntax == stored[uid].transfer_syntax]
    assert len(same_syntax) >= 4
    for uid in same_syntax:
        assert came[uid][1] == stored[uid].padded, stored[uid].name
    for uid, (syntax, _) in came.items():
        assert syntax == stored[uid].transfer_syntax or {syntax, stored[uid].transfer_syntax} <= CONVERTIBLE


@pytest.mark.parametrize(
    ("answers", "final", "counts", "failed"),
    [
        ((0, 0, 0, 0, 0), 0x0000, (5, 0, 0), []),
        ((0, 0xA700, 0, 0xC001, 0), 0xB000, (3, 2, 0), [UIDS[1], UIDS[3]]),
        ((0xB000, 0, 0, 0, 0xB007), 0xB000, (3, 0, 2), []),
        ((0xA700,) * 5, 0xA702, (0, 5, 0), UIDS),
    ],
)
def test_pynetdicom_fails_and_warns(
    tmp_path: Path, answers: tuple[int, ...], final: int, counts: tuple[int, int, int], failed: list[str]
) -> None:
    remaining = iter(answers)
    responses = ask_as_pynetdicom(tmp_path, lambda event: next(remaining))
    status, identifier = responses[-1]
    assert status.Status == final
    assert (
        status.NumberOfCompletedSuboperations,
        status.NumberOfFailedSuboperations,
        status.NumberOfWarningSuboperations,
    ) == counts
    listed = identifier.FailedSOPInstanceUIDList if identifier is not None else []
    assert [str(uid) for uid in ([listed] if isinstance(listed, str) else listed or ()) if uid] == failed


def test_pynetdicom_aborts(tmp_path: Path) -> None:
    seen = []

    def abort(event: Any) -> int:
        seen.append(event.request.AffectedSOPInstanceUID)
        if len(seen) == 2:
            event.assoc.abort()
        return 0

    ask_as_pynetdicom(tmp_path, abort)
    assert len(seen) in (2, 3)


def ask_as_pynetdicom(folder: Path, answer: Any) -> list[tuple[Dataset, Dataset | None]]:
    """A C-GET for five small images, each sub-operation answered by a handler; every response."""
    small_files(folder, 5)
    ae = AE("GETSCU")
    ae.dimse_timeout = 2
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(CTImageStorage)
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", "1.2.3"
    with in_a_thread(archive(folder)) as port:
        association = ae.associate(
            HOST,
            port,
            ae_title="ARCHIVE",
            ext_neg=[build_role(CTImageStorage, scp_role=True)],
            evt_handlers=[(evt.EVT_C_STORE, answer)],
        )
        assert association.is_established
        responses = list(association.send_c_get(query, StudyRootQueryRetrieveInformationModelGet))
        if association.is_established:
            association.release()
    return responses
