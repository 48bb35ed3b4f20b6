"""The face of the archive: what is stored, refused, counted."""

import asyncio
import errno
import io
import os
import resource
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from archive_samples import (
    CT_IMAGE_STORAGE,
    EXPLICIT_LE,
    INSTANCE,
    MR_IMAGE_STORAGE,
    PATH,
    SERIES,
    STUDY,
    data_set,
    disk_with,
    element,
    failing,
    instances,
    leftovers,
    nothing,
    open_archive,
    run,
    store,
    store_one,
    stored_data_set,
)
from services.archive.archive import Archive
from services.archive.data_directory import Repair
from services.archive.errors import (
    ArchiveError,
    InstanceTooLarge,
    InvalidUID,
    MissingUID,
    OutOfStorage,
    StorageError,
    UIDMismatch,
)
from services.archive.incoming import IncomingInstance
from services.archive.invalid_data_set import InvalidDataSet, TruncatedDataSet
from services.archive.publish import Outcome, Stored

DEFLATED = "1.2.840.10008.1.2.1.99"
LEVELS = pytest.mark.parametrize("durability", ["process", "power"])


def receive(archive: Archive, instance: str = INSTANCE, **options: Any) -> IncomingInstance:
    settings = {"source_ae_title": "SENDER", "pause": nothing, "resume": nothing} | options
    return archive.receive(CT_IMAGE_STORAGE, instance, EXPLICIT_LE, **settings)


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


@LEVELS
def test_an_instance_is_stored_as_it_came(tmp_path: Path, durability: str) -> None:
    stored = store_one(tmp_path, data_set(), durability=durability)
    assert stored == Stored(
        path=PATH,
        outcome=Outcome.STORED,
        study_instance_uid=STUDY,
        series_instance_uid=SERIES,
        sop_instance_uid=INSTANCE,
        sop_class_uid=CT_IMAGE_STORAGE,
        transfer_syntax_uid=EXPLICIT_LE,
        size=len(data_set()),
    )
    assert instances(tmp_path) == [PATH]
    assert leftovers(tmp_path) == []
    assert stored_data_set(tmp_path / PATH) == data_set()
    read = pydicom.dcmread(tmp_path / PATH)
    assert read.file_meta.ImplementationVersionName == "TEST"
    assert read.file_meta.SourceApplicationEntityTitle == "SENDER"
    assert read.SOPInstanceUID == INSTANCE


@LEVELS
def test_many_at_once(tmp_path: Path, durability: str) -> None:
    async def work(archive: Archive) -> list[Stored]:
        return await asyncio.gather(
            *(store(archive, data_set(f"1.9.{n}", series=f"1.2.{n % 3}"), f"1.9.{n}") for n in range(100))
        )

    stored = run(tmp_path, work, durability=durability)
    assert sorted(one.path for one in stored) == instances(tmp_path)
    assert len(set(instances(tmp_path))) == 100
    assert leftovers(tmp_path) == []


@LEVELS
def test_the_same_instance_many_times_at_once_is_stored_once(tmp_path: Path, durability: str) -> None:
    async def work(archive: Archive) -> list[Stored]:
        stored = await asyncio.gather(*(store(archive, data_set()) for _ in range(10)))
        assert archive.statistics.instances_stored == 1
        assert archive.statistics.duplicates_equal == 9
        return list(stored)

    outcomes = [one.outcome for one in run(tmp_path, work, durability=durability)]
    assert sorted(outcomes) == [Outcome.DUPLICATE_EQUAL] * 9 + [Outcome.STORED]
    assert leftovers(tmp_path) == []


@LEVELS
@pytest.mark.parametrize(
    ("policy", "outcome", "counter"),
    [
        ("keep", Outcome.DUPLICATE_DIFFERENT, "duplicates_different"),
        ("replace", Outcome.REPLACED, "replaced"),
        ("reject", Outcome.REJECTED, "rejected"),
    ],
)
def test_another_content_under_the_same_uid(
    tmp_path: Path, durability: str, policy: str, outcome: Outcome, counter: str
) -> None:
    other = data_set(pixels=b"ab" * 64)

    async def work(archive: Archive) -> Outcome:
        await store(archive, data_set())
        second = await store(archive, other)
        assert getattr(archive.statistics, counter) == 1
        assert archive.statistics.instances_stored == 1
        return second.outcome

    assert run(tmp_path, work, durability=durability, duplicates=policy) is outcome
    assert stored_data_set(tmp_path / PATH) == (other if policy == "replace" else data_set())


REFUSED: list[tuple[bytes, type[Exception], str]] = [
    (
        data_set("1.2.3.99"),
        UIDMismatch,
        "SOP Instance UID differs from the command's: the data set has '1.2.3.99'",
    ),
    (data_set(sop_class=MR_IMAGE_STORAGE), UIDMismatch, "SOP Class UID differs from the command's"),
    (data_set(study=None), MissingUID, "no Study Instance UID"),
    (data_set(study=""), MissingUID, "no Study Instance UID"),
    (data_set(series=None), MissingUID, "no Series Instance UID"),
    (data_set(None), MissingUID, "no SOP Instance UID"),
    (data_set(sop_class=None), MissingUID, "no SOP Class UID"),
    (b"", MissingUID, "no SOP Class UID"),
    (data_set(study=".."), InvalidUID, r"Study Instance UID '\.\.' is no UID"),
    (data_set()[:-3], TruncatedDataSet, "3 bytes before the end"),
    (b"\2\0\0\0UL\4\0\0\0\0\0" + data_set(), InvalidDataSet, "0002"),
]


@LEVELS
@pytest.mark.parametrize(("data", "error", "says"), REFUSED)
def test_what_is_refused_leaves_nothing(
    tmp_path: Path, durability: str, data: bytes, error: type[Exception], says: str
) -> None:
    async def work(archive: Archive) -> None:
        with pytest.raises(error, match=says):
            await store(archive, data, piece=40)
        assert archive.statistics.refused == 1
        assert (await store(archive, data_set("1.5"), "1.5")).outcome is Outcome.STORED

    run(tmp_path, work, durability=durability)
    assert instances(tmp_path) == [f"{STUDY}/{SERIES}/1.5.dcm"]
    assert leftovers(tmp_path) == []


HOSTILE = [
    "..",
    "/etc/x",
    "1" * 65,
    "",
    "1..2",
    "../../../1",
    "1.2/../../..",
    "1\0.2",
    "/",
    ".",
    "~root",
    "1.2\\3",
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("place", ["announced", "instance", "study", "series"])
def test_no_uid_leads_outside_the_data_directory(tmp_path: Path, hostile: str, place: str) -> None:
    async def work(archive: Archive) -> None:
        announced = hostile if place == "announced" else INSTANCE
        uids = {place: hostile} if place != "announced" else {"instance": hostile}
        with pytest.raises((InvalidUID, MissingUID, UIDMismatch)):
            await store(archive, data_set(**uids), announced)

    root = tmp_path / "deep" / "data"
    run(root, work)
    everything = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert everything == {"deep", "deep/data", "deep/data/.incoming", "deep/data/.lock"}


def test_an_odd_but_harmless_uid_is_stored(tmp_path: Path) -> None:
    assert store_one(tmp_path, data_set("1.02"), "1.02").path.endswith("/1.02.dcm")


@pytest.mark.parametrize("uids", [("..", INSTANCE, EXPLICIT_LE), ("1.2", INSTANCE, "x"), ("1.2", "a", "1.2")])
def test_announced_uids_are_checked_before_anything_is_written(
    tmp_path: Path, uids: tuple[str, str, str]
) -> None:
    async def work(archive: Archive) -> None:
        with pytest.raises(InvalidUID):
            archive.receive(*uids, source_ae_title="", pause=nothing, resume=nothing)
        assert archive.statistics.refused == 1

    run(tmp_path, work)


def test_truncated_data_is_taken_when_that_is_tolerated(tmp_path: Path) -> None:
    cut = data_set()[:-3]
    with pytest.raises(TruncatedDataSet):
        store_one(tmp_path, cut)
    stored = store_one(tmp_path, cut, tolerate=frozenset({"truncated-data"}))
    assert stored.tolerated == {"truncated-data"}
    assert stored_data_set(tmp_path / PATH) == cut


def test_implicit_vr_under_an_explicit_transfer_syntax(tmp_path: Path) -> None:
    implicit = io.BytesIO()
    read = pydicom.dcmread(tmp_path / "explicit" / store_one(tmp_path / "explicit", data_set()).path)
    pydicom.dcmwrite(
        implicit, pydicom.Dataset(read), implicit_vr=True, little_endian=True, enforce_file_format=False
    )
    data, root = implicit.getvalue(), tmp_path / "implicit"
    with pytest.raises(InvalidDataSet, match="not encoded as transfer syntax"):
        store_one(root, data)
    stored = store_one(root, data, tolerate=frozenset({"mismatched-vr"}))
    assert stored.tolerated == {"mismatched-vr"}
    assert stored_data_set(root / PATH) == data


def test_a_deflated_data_set_is_scanned_from_its_file(tmp_path: Path) -> None:
    data = deflated(data_set())

    async def work(archive: Archive) -> None:
        assert (await store(archive, data, transfer_syntax=DEFLATED)).outcome is Outcome.STORED
        for bad, error in (
            (deflated(data_set(study=None)), MissingUID),
            (b"no deflate", InvalidDataSet),
            (b"", MissingUID),
        ):
            with pytest.raises(error):
                await store(archive, bad, transfer_syntax=DEFLATED)

    run(tmp_path, work)
    assert stored_data_set(tmp_path / PATH) == data
    assert leftovers(tmp_path) == []


def test_a_file_that_cannot_be_read_again_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.archive.archive.scan_deflated", failing(errno.EIO))

    async def work(archive: Archive) -> None:
        with pytest.raises(StorageError, match=r"could not read instance .* again"):
            await store(archive, deflated(data_set()), transfer_syntax=DEFLATED)

    run(tmp_path, work)
    assert leftovers(tmp_path) == []


def test_an_instance_over_the_limit(tmp_path: Path) -> None:
    async def work(archive: Archive) -> None:
        with pytest.raises(InstanceTooLarge):
            await store(archive, data_set(pixels=bytes(2000)), piece=100)
        await store(archive, data_set())

    run(tmp_path, work, max_instance_bytes=1000)
    assert leftovers(tmp_path) == []


def test_a_failed_instance_cannot_be_committed(tmp_path: Path) -> None:
    async def work(archive: Archive) -> None:
        incoming = receive(archive)
        with pytest.raises(InvalidDataSet):
            incoming.write(memoryview(b"\2\0\0\0UL\4\0" + bytes(100)))
        with pytest.raises(InvalidDataSet):
            await archive.commit(incoming)
        assert archive.statistics.refused == 1

    run(tmp_path, work)


def test_a_second_commit_is_an_error_of_the_caller(tmp_path: Path) -> None:
    async def work(archive: Archive) -> None:
        incoming = receive(archive)
        incoming.write(memoryview(data_set()))
        await archive.commit(incoming)
        with pytest.raises(ValueError, match="committed already"):
            await archive.commit(incoming)

    run(tmp_path, work)
    assert instances(tmp_path) == [PATH]


def test_the_reserve_refuses_early_and_in_words(tmp_path: Path) -> None:
    async def work(archive: Archive) -> None:
        with pytest.raises(OutOfStorage, match=f"{tmp_path} has .* bytes free and keeps a reserve"):
            receive(archive)

    run(tmp_path, work, free_space_reserve=1 << 60)


@LEVELS
@pytest.mark.parametrize("call", ["writev", "link", "mkdir"])
def test_a_full_disk_refuses_and_takes_the_next_once_there_is_room(
    tmp_path: Path, durability: str, call: str
) -> None:
    full: list[bool] = []
    real: Callable[..., Any] = getattr(os, call)

    def perhaps(*arguments: Any, **options: Any) -> Any:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **options)

    async def work(archive: Archive) -> None:
        full.append(True)
        with pytest.raises(OutOfStorage, match="No space left"):
            await store(archive, data_set())
        assert leftovers(tmp_path) == instances(tmp_path) == []
        full.clear()
        await store(archive, data_set())

    run(tmp_path, work, durability=durability, disk=disk_with(**{call: perhaps}))
    assert instances(tmp_path) == [PATH]


def test_repair_is_reported(tmp_path: Path) -> None:
    (tmp_path / ".incoming").mkdir()
    (tmp_path / ".incoming" / "left").write_bytes(b"half")
    archive = open_archive(tmp_path)
    assert archive.repair == Repair(published=0, unfinished=1)
    archive.close()


@pytest.mark.parametrize("option", [{"durability": "memory"}, {"duplicates": "ask"}])
def test_unknown_words_are_refused_before_anything_is_locked(tmp_path: Path, option: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        open_archive(tmp_path, **option)
    open_archive(tmp_path).close()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    async def work(archive: Archive) -> None:
        await store(archive, data_set())
        before = len(os.listdir("/proc/self/fd"))
        rounds = 20
        for number in range(rounds):
            await store(archive, data_set(f"1.9.{number}"), f"1.9.{number}")
            await store(archive, data_set())
            with pytest.raises(ArchiveError):
                await store(archive, data_set(study=None))
            receive(archive).discard()
        # What is left open is so in each round; while the disk is slow its thread closes the last ones a little later.
        assert len(os.listdir("/proc/self/fd")) - before < rounds // 2

    run(tmp_path, work)


def test_memory_stays_flat_while_a_large_instance_streams_by(tmp_path: Path) -> None:
    total, piece = 300 << 20, memoryview(bytes(1 << 17))
    head = data_set(pixels=b"")[:-4] + (total).to_bytes(4, "little")
    page = resource.getpagesize()

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    async def work(archive: Archive) -> Stored:
        may_send = asyncio.Event()
        may_send.set()
        incoming = receive(archive, pause=may_send.clear, resume=may_send.set)
        incoming.write(memoryview(head))
        before, most = resident(), 0
        for number in range(total // len(piece)):
            await may_send.wait()  # as every sender does while the disk is slow
            incoming.write(piece)
            if number % 64 == 0:
                most = max(most, resident())
                await asyncio.sleep(0)
        stored = await archive.commit(incoming)
        assert max(most, resident()) - before < 32 << 20
        return stored

    stored = run(tmp_path, work)
    assert stored.size == len(head) + total
    assert (tmp_path / stored.path).stat().st_size > total
    (tmp_path / stored.path).unlink()


def test_an_unknown_element_does_not_matter(tmp_path: Path) -> None:
    data = element(0x00080005, b"CS", b"ISO_IR 100") + data_set() + element(0x7FE10011, b"UN", b"private!")
    store_one(tmp_path, data)
    assert stored_data_set(tmp_path / PATH) == data
