"""Sending one file: what it needs, and how it goes out."""

import asyncio
import os
import random
import threading
import time
from pathlib import Path

import pydicom
import pytest

from archive_samples import CT_IMAGE_STORAGE, EXPLICIT_LE, MR_IMAGE_STORAGE, data_set
from dimse import status
from dimse.errors import DimseError
from dul.errors import AssociationAborted
from dul.negotiation import MAXIMUM_CONTEXTS, ProposedContext, SupportedContext
from loops import LoopFactory, run
from peers import storescp
from real_files import real_file, real_files
from scps import Kept, small_files, write_file
from services import SCP, Storage, associate, contexts_for, read_instance, send_file
from services.conversions import Room
from services.instance_file import CALM, CHUNK, SLOW_READ, Disk
from services.send import CONVERTIBLE, InvalidFileMeta, NotDicom, contexts_of, plan, prepare
from services.sop_classes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    storage_sop_classes,
)

HOST = "127.0.0.1"
CT = real_file("CT_small.dcm")
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


async def send(port: int, *paths: Path, called_ae: str = "SCP", **options: object) -> list[int]:
    files = [read_instance(path) for path in paths]
    async with associate(
        HOST,
        port,
        called_ae=called_ae,
        calling_ae="SCU",
        contexts=contexts_for(files),
        **options,  # type: ignore[arg-type]
    ) as association:
        return [(await send_file(association, file)).status for file in files]


async def send_to(handler: object, *paths: Path, syntaxes: tuple[str, ...] | None = None) -> list[int]:
    """To an SCP of ours that takes only some transfer syntaxes."""
    contexts = None
    if syntaxes is not None:
        contexts = {uid: SupportedContext(frozenset(syntaxes)) for uid in storage_sop_classes()}
    async with SCP("SCP", [Storage(handler, contexts)]).listen(port=0) as port:  # type: ignore[arg-type]
        return await send(port, *paths)


# -- reading


def test_what_a_file_says_of_itself() -> None:
    file = read_instance(CT)
    dataset = pydicom.dcmread(CT)
    assert file.path == str(CT)
    assert file.needs == (CT_IMAGE_STORAGE, EXPLICIT_LE)
    assert file.sop_instance_uid == dataset.SOPInstanceUID
    assert file.size == CT.stat().st_size
    assert CT.read_bytes()[file.data_set_offset :][:4] == b"\x08\x00\x05\x00"
    assert file.data_set_length == file.size - file.data_set_offset


def test_the_real_files_are_all_read_but_those_with_nothing_to_say() -> None:
    unusable = {"empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm"}
    for path in real_files():
        if path.name in unusable:
            with pytest.raises(InvalidFileMeta, match=f"{path.name}: the File Meta Information has no "):
                read_instance(path)
        else:
            assert read_instance(path).path == str(path)


def test_no_dicom_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("nothing")
    with pytest.raises(NotDicom, match=r"a\.txt: no DICM behind the first 128 bytes") as caught:
        read_instance(path)
    assert not isinstance(caught.value, InvalidFileMeta)
    with pytest.raises(FileNotFoundError):
        read_instance(tmp_path / "missing")


@pytest.mark.parametrize("uid", ["1.2.3 4", "1" * 65, "../../1", "1.2.\x1b[2J"])
def test_what_is_no_uid_is_refused(tmp_path: Path, uid: str) -> None:
    path = tmp_path / "a.dcm"
    write_file(path, data_set(), "1.2.3.4.5", sop_class=uid)
    with pytest.raises(
        InvalidFileMeta, match=r"the Media Storage SOP Class UID \(0002,0002\) is no UID: '"
    ) as caught:
        read_instance(path)
    assert "\x1b" not in str(caught.value)


# -- planning


def test_an_uncompressed_file_needs_its_own_syntax_and_a_fallback() -> None:
    assert contexts_of([(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)]) == [
        ProposedContext(CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN,)),
        ProposedContext(CT_IMAGE_STORAGE, (IMPLICIT_VR_LITTLE_ENDIAN,)),
    ]
    assert contexts_of([(CT_IMAGE_STORAGE, EXPLICIT_VR_BIG_ENDIAN)]) == [
        ProposedContext(CT_IMAGE_STORAGE, (EXPLICIT_VR_BIG_ENDIAN,)),
        ProposedContext(CT_IMAGE_STORAGE, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)),
    ]


def test_a_compressed_file_needs_its_own_syntax_and_nothing_else() -> None:
    assert contexts_of([(CT_IMAGE_STORAGE, JPEG_BASELINE)]) == [
        ProposedContext(CT_IMAGE_STORAGE, (JPEG_BASELINE,))
    ]


def test_nothing_is_proposed_twice() -> None:
    needs = [(CT_IMAGE_STORAGE, syntax) for syntax in sorted(CONVERTIBLE)]
    assert contexts_of(needs) == [ProposedContext(CT_IMAGE_STORAGE, (syntax,)) for _, syntax in needs]


def test_files_of_one_kind_need_one_context(tmp_path: Path) -> None:
    files = [read_instance(path) for path in small_files(tmp_path, 5)]
    assert contexts_for(files) == contexts_for(files[:1])


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_covers_every_need_once_within_128_contexts(seed: int) -> None:
    randomly = random.Random(seed)
    syntaxes = [*sorted(CONVERTIBLE), *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 57, 70, 90))]
    needs = [(f"1.2.3.{randomly.randrange(90)}", randomly.choice(syntaxes)) for _ in range(700)]
    associations = plan(needs)
    assert sorted(need for association in associations for need in association) == sorted(set(needs))
    assert all(len(contexts_of(association)) <= MAXIMUM_CONTEXTS for association in associations)
    assert len(associations) > 1
    # All but the last are full: another need would have cost two contexts at most.
    assert all(len(contexts_of(association)) >= MAXIMUM_CONTEXTS - 1 for association in associations[:-1])


def test_nothing_to_send_needs_no_association() -> None:
    assert plan([]) == []


# -- sending


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "SC_rgb_rle.dcm", "MR_small_implicit.dcm"],
)
def test_a_file_goes_out_as_it_is(loop_factory: LoopFactory, name: str) -> None:
    kept, path = Kept(), real_file(name)
    assert run(send_to(kept, path), loop_factory) == [status.SUCCESS]
    file = read_instance(path)
    assert kept.instances == [
        (file.sop_instance_uid, file.transfer_syntax_uid, path.read_bytes()[file.data_set_offset :])
    ]


@pytest.mark.parametrize("length", [CHUNK - 1000, 3 * CHUNK + 1], ids=["read at once", "read in pieces"])
def test_a_large_file_goes_out_whole(loop_factory: LoopFactory, tmp_path: Path, length: int) -> None:
    kept, data = Kept(), data_set(pixels=os.urandom(length))
    write_file(tmp_path / "a.dcm", data, "1.2.3.4.5")
    assert run(send_to(kept, tmp_path / "a.dcm"), loop_factory) == [status.SUCCESS]
    assert kept.instances == [("1.2.3.4.5", EXPLICIT_LE, data)]


@pytest.mark.parametrize(
    "accepted", [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN], ids=["explicit", "implicit"]
)
@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm"])
def test_an_uncompressed_file_is_converted_where_it_has_to_be(
    loop_factory: LoopFactory, tmp_path: Path, name: str, accepted: str
) -> None:
    kept = Kept()
    assert run(send_to(kept, real_file(name), syntaxes=(accepted,)), loop_factory) == [status.SUCCESS]
    ((_, syntax, data),) = kept.instances
    assert syntax == accepted
    write_file(tmp_path / "received.dcm", data, "1.2.3", MR_IMAGE_STORAGE, syntax)
    received, original = (
        pydicom.dcmread(tmp_path / "received.dcm"),
        pydicom.dcmread(real_file("MR_small.dcm")),
    )
    assert received.PixelData == original.PixelData
    assert received.PatientName == original.PatientName


def test_a_deflated_file_is_inflated_where_it_has_to_be(loop_factory: LoopFactory) -> None:
    async def test() -> list[int]:
        async with SCP("SCP", [Storage(kept)]).listen(port=0) as port:  # takes no deflated data sets
            return await send(port, path)

    kept, path = Kept(), real_file("image_dfl.dcm")
    assert run(test(), loop_factory) == [status.SUCCESS]
    assert kept.instances[0][1] == EXPLICIT_LE


@pytest.mark.peer("storescp")
def test_storescp_that_takes_only_implicit_vr_gets_it(loop_factory: LoopFactory, tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "--implicit") as peer:
        paths = [real_file("MR_small_bigendian.dcm"), CT]
        assert run(send(peer.port, *paths, called_ae=peer.ae_title), loop_factory) == [0, 0]
        received = [pydicom.dcmread(path) for path in peer.files()]
    assert {dataset.file_meta.TransferSyntaxUID for dataset in received} == {IMPLICIT_VR_LITTLE_ENDIAN}
    pixels = {dataset.Modality: dataset.PixelData for dataset in received}
    assert pixels["MR"] == pydicom.dcmread(real_file("MR_small.dcm")).PixelData
    assert pixels["CT"] == pydicom.dcmread(CT).PixelData


def test_a_compressed_file_is_not_converted(loop_factory: LoopFactory, tmp_path: Path) -> None:
    write_file(tmp_path / "a.dcm", data_set(), "1.2.3.4.5", transfer_syntax=JPEG_BASELINE)
    with pytest.raises(
        DimseError,
        match=r"accepted no presentation context for CT Image Storage in JPEG Baseline \(Process 1\)",
    ):
        run(send_to(Kept(), tmp_path / "a.dcm", syntaxes=(EXPLICIT_LE,)), loop_factory)


def test_what_cannot_be_converted_says_so(loop_factory: LoopFactory, tmp_path: Path) -> None:
    write_file(tmp_path / "a.dcm", b"\x08\x00\x16\x00XX\x04\x00abcd" * 3, "1.2.3.4.5")
    with pytest.raises(ValueError, match=r"a\.dcm: cannot be converted to Implicit VR Little Endian: "):
        run(send_to(Kept(), tmp_path / "a.dcm", syntaxes=(IMPLICIT_VR_LITTLE_ENDIAN,)), loop_factory)


def test_a_data_set_of_odd_length_is_not_sent(loop_factory: LoopFactory, tmp_path: Path) -> None:
    write_file(tmp_path / "a.dcm", data_set()[:-1], "1.2.3.4.5")
    with pytest.raises(ValueError, match=r"its data set of 221 bytes is cut off or damaged"):
        run(send_to(Kept(), tmp_path / "a.dcm"), loop_factory)


@pytest.mark.parametrize("chunk", [CHUNK, 1000], ids=["read at once", "read in pieces"])
def test_a_deflated_one_gets_the_padding_it_lacks(
    loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    for module in ("send", "instance_file"):
        monkeypatch.setattr(f"services.{module}.CHUNK", chunk)
    kept, path = Kept(), real_file("image_dfl.dcm")
    file = read_instance(path)
    assert file.data_set_length % 2 == 1
    assert run(send_to(kept, path, syntaxes=(file.transfer_syntax_uid,)), loop_factory) == [status.SUCCESS]
    assert kept.instances[0][2] == path.read_bytes()[file.data_set_offset :] + b"\0"


def test_a_failure_status_is_returned(loop_factory: LoopFactory) -> None:
    kept = Kept(status.OUT_OF_RESOURCES, status.COERCION_OF_DATA_ELEMENTS)
    assert run(send_to(kept, CT, CT), loop_factory) == [
        status.OUT_OF_RESOURCES,
        status.COERCION_OF_DATA_ELEMENTS,
    ]


def test_a_file_that_vanished_costs_no_association(loop_factory: LoopFactory, tmp_path: Path) -> None:
    async def test() -> None:
        async with SCP("SCP", [Storage(Kept())]).listen(port=0) as port:
            gone, there = (read_instance(path) for path in small_files(tmp_path, 2))
            Path(gone.path).unlink()
            async with associate(
                HOST, port, called_ae="SCP", calling_ae="SCU", contexts=contexts_for([there])
            ) as association:
                with pytest.raises(FileNotFoundError):
                    await send_file(association, gone)
                assert (await send_file(association, there)).status == status.SUCCESS

    run(test(), loop_factory)


def test_a_long_file_that_becomes_shorter_on_the_way_aborts(
    loop_factory: LoopFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.dcm"
    write_file(path, data_set(pixels=bytes(3 * CHUNK)), "1.2.3.4.5")
    pread = os.pread

    def cutting(fd: int, size: int, offset: int) -> bytes:
        if offset > CHUNK:
            os.truncate(path, CHUNK)
        return pread(fd, size, offset)

    async def test() -> None:
        file = read_instance(path)
        async with SCP("SCP", [Storage(Kept())]).listen(port=0) as port:
            with pytest.raises(OSError, match=r"it has become shorter.*a\.dcm"):
                async with associate(
                    HOST, port, called_ae="SCP", calling_ae="SCU", contexts=contexts_for([file])
                ) as association:
                    monkeypatch.setattr("services.instance_file.os.pread", cutting)
                    await send_file(association, file)
            assert isinstance(association.ended, AssociationAborted)

    run(test(), loop_factory)


IMPLICIT_LE = "1.2.840.10008.1.2"
CHANGES = {
    "shorter": lambda path: os.truncate(path, path.stat().st_size - 40),
    "longer": lambda path: path.write_bytes(path.read_bytes() + bytes(2)),
    "another transfer syntax": lambda path: write_file(path, data_set(), "1.2.3.4.5", IMPLICIT_LE),
    "another SOP class": lambda path: path.write_bytes(
        path.read_bytes().replace(CT_IMAGE_STORAGE.encode(), MR_IMAGE_STORAGE.encode())
    ),
    "no DICOM file": lambda path: path.write_bytes(b"x" * path.stat().st_size),
}


@pytest.mark.parametrize("pixels", [128, 2 * CHUNK])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_another_one_now_is_not_sent(
    loop_factory: LoopFactory, tmp_path: Path, change: str, pixels: int
) -> None:
    path = tmp_path / "a.dcm"
    write_file(path, data_set(pixels=bytes(pixels)), "1.2.3.4.5")
    kept = Kept()

    async def test() -> None:
        file = read_instance(path)
        CHANGES[change](path)
        contexts = contexts_for([file])
        async with (
            SCP("SCP", [Storage(kept)]).listen(port=0) as port,
            associate(HOST, port, called_ae="SCP", calling_ae="SCU", contexts=contexts) as association,
        ):
            with pytest.raises((ValueError, NotDicom), match=r"a\.dcm"):
                await send_file(association, file)
            assert association.ended is None, "nothing of it was sent"

    run(test(), loop_factory)
    assert kept.instances == []


def test_a_cancelled_conversion_keeps_its_room_until_its_thread_has_ended(
    loop_factory: LoopFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [file] = map(read_instance, small_files(tmp_path, 1))
    room, begun, gate = Room(file.data_set_length, patience=0.05), threading.Event(), threading.Event()

    def converted(*_: object) -> bytes:
        begun.set()
        assert gate.wait(10)
        raise ValueError("nobody wants to know")

    monkeypatch.setattr("services.send._ROOM", room)
    monkeypatch.setattr("services.send._converted", converted)

    async def test() -> None:
        contexts = [ProposedContext(file.sop_class_uid, (IMPLICIT_LE,))]
        async with (
            SCP("SCP", [Storage(Kept())]).listen(port=0) as port,
            associate(HOST, port, called_ae="SCP", calling_ae="SCU", contexts=contexts) as association,
        ):
            preparing = asyncio.create_task(prepare(association, file))
            await asyncio.to_thread(begun.wait, 10)
            preparing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await preparing
            with pytest.raises(OSError, match="no room"):
                await room.take(1)
            gate.set()
            for _ in range(500):
                try:
                    await room.take(1)
                    break
                except OSError:
                    continue
            else:
                raise AssertionError("the room was never given back")

    run(test(), loop_factory)


def test_while_the_disk_is_slow_it_is_read_in_a_thread(
    loop_factory: LoopFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.send.disk", Disk())
    fstat, readers = os.fstat, list[int]()
    slow = [True, True, False, False]

    def noting(fd: int) -> os.stat_result:
        readers.append(threading.get_ident())
        if slow.pop(0):
            time.sleep(2 * SLOW_READ)
        return fstat(fd)

    async def test() -> None:
        files = list(map(read_instance, small_files(tmp_path, 4)))
        async with (
            SCP("SCP", [Storage(Kept())]).listen(port=0) as port,
            associate(
                HOST, port, called_ae="SCP", calling_ae="SCU", contexts=contexts_for(files)
            ) as association,
        ):
            monkeypatch.setattr("services.instance_file.os.fstat", noting)
            for number, file in enumerate(files):
                if number == 3:
                    await asyncio.sleep(1.5 * CALM)
                await prepare(association, file)
            monkeypatch.undo()

    run(test(), loop_factory)
    here = threading.get_ident()
    assert [reader == here for reader in readers] == [True, False, False, True]


def test_a_file_meta_in_no_usual_order_is_sent_as_it_is(loop_factory: LoopFactory, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_file(path, data_set(), "1.2.3.4.5")
    whole = path.read_bytes()
    meta = whole[144 + 14 : len(whole) - len(data_set())]  # without group length and version
    path.write_bytes(bytes(128) + b"DICM" + meta + data_set())
    kept = Kept()

    async def test() -> None:
        file = read_instance(path)
        async with (
            SCP("SCP", [Storage(kept)]).listen(port=0) as port,
            associate(
                HOST, port, called_ae="SCP", calling_ae="SCU", contexts=contexts_for([file])
            ) as association,
        ):
            assert (await send_file(association, file)).status == status.SUCCESS

    run(test(), loop_factory)
    assert kept.instances == [("1.2.3.4.5", EXPLICIT_LE, data_set())]


def test_a_path_is_read_on_the_way(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        async with (
            SCP("SCP", [Storage(Kept())]).listen(port=0) as port,
            associate(
                HOST, port, called_ae="SCP", calling_ae="SCU", contexts=contexts_for([read_instance(CT)])
            ) as association,
        ):
            assert (await send_file(association, CT)).status == status.SUCCESS
            assert (await send_file(association, str(CT))).status == status.SUCCESS

    run(test(), loop_factory)
