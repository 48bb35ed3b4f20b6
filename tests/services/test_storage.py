"""Storage on loopback: the stream handler, the decoded one, the SCU, and the encoding of data sets."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pydicom
import pytest
from pydicom import Dataset

from archive_samples import CT_IMAGE_STORAGE, EXPLICIT_LE, data_set
from dimse import status
from dimse.association import Association
from dimse.enums import Priority
from dimse.errors import DimseError
from dimse.messages import CStoreRQ, Response
from dimse.operation import Operation
from dimse.service import DataSetSink
from dul.errors import AssociationAborted, AssociationEnded
from dul.negotiation import ProposedContext
from loops import LoopFactory, run
from peers import dcmdump, dcmsend, pynetdicom_scp, storescu
from real_files import real_file
from services import SCP, ReceivedInstance, Storage, associate, contexts_for, read_instance, send_file, store
from services.data_stream import DataSetIncomplete
from services.sop_classes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UNCOMPRESSED,
    StorageContexts,
)
from services.storage import ArchiveStorage, encode_dataset

HOST = "127.0.0.1"
CT = real_file("CT_small.dcm")

Handler = Callable[[ReceivedInstance], Awaitable[int | None]]


async def with_peer(
    handler: Handler, use: Callable[[Association], Awaitable[object]], storage: object = None
) -> None:
    """Open an association with an SCP that has `handler`, on a CT context in Explicit VR Little Endian."""
    async with AsyncExitStack() as stack:
        scp = SCP("SCP", [cast(Storage, storage) or Storage(handler)])
        port = await stack.enter_async_context(scp.listen(port=0))
        context = ProposedContext(CT_IMAGE_STORAGE, (EXPLICIT_LE,))
        association = await stack.enter_async_context(
            associate(HOST, port, called_ae="SCP", calling_ae="SCU", contexts=[context])
        )
        await use(association)


async def store_one(
    association: Association, data: object, *, instance: str = "1.2.3.4.5", timeout: float = 10.0
) -> Response:
    return await store(
        association,
        sop_class_uid=CT_IMAGE_STORAGE,
        sop_instance_uid=instance,
        data_set=data,  # type: ignore[arg-type]
        transfer_syntax_uid=EXPLICIT_LE,
        timeout=timeout,
    )


# -- the handler that takes a stream


@pytest.mark.parametrize("length", [0, 1 << 10, 3 << 20], ids=str)
def test_a_stream_has_every_byte(loop_factory: LoopFactory, length: int) -> None:
    data = data_set(pixels=bytes(range(256)) * (length // 256))
    chunks: list[bytes] = []

    async def keep(instance: ReceivedInstance) -> None:
        assert (instance.sop_class_uid, instance.sop_instance_uid) == (CT_IMAGE_STORAGE, "1.2.3.4.5")
        assert (instance.transfer_syntax_uid, instance.calling_ae) == (EXPLICIT_LE, "SCU")
        chunks.extend([chunk async for chunk in instance.chunks()])

    async def use(association: Association) -> None:
        assert (await store_one(association, data)).status == status.SUCCESS

    run(with_peer(keep, use), loop_factory)
    assert b"".join(chunks) == data


def test_the_handler_runs_while_the_data_set_still_arrives(loop_factory: LoopFactory) -> None:
    arrived = 0
    arrived_before_the_last_piece = 0

    async def keep(instance: ReceivedInstance) -> None:
        nonlocal arrived
        async for chunk in instance.chunks():
            arrived += len(chunk)

    def pieces() -> Iterator[bytes]:
        nonlocal arrived_before_the_last_piece
        for _ in range(31):
            yield bytes(1 << 20)
        arrived_before_the_last_piece = arrived
        yield bytes(1 << 20)

    async def use(association: Association) -> None:
        assert (await store_one(association, pieces())).status == status.SUCCESS

    run(with_peer(keep, use), loop_factory)
    assert 0 < arrived_before_the_last_piece < arrived == 32 << 20


def test_a_slow_handler_holds_the_sender_back(loop_factory: LoopFactory) -> None:
    go_on = asyncio.Event()
    made = 0

    async def keep(instance: ReceivedInstance) -> None:
        await go_on.wait()
        total = sum([len(chunk) async for chunk in instance.chunks()])
        assert total == 64 << 20

    def pieces() -> Iterator[bytes]:
        nonlocal made
        for _ in range(64):
            made += 1
            yield bytes(1 << 20)

    async def use(association: Association) -> None:
        storing = asyncio.create_task(store_one(association, pieces(), timeout=20))
        for _ in range(20):
            await asyncio.sleep(0.01)
        held_back_at = made
        assert 0 < held_back_at < 32
        go_on.set()
        assert (await storing).status == status.SUCCESS
        assert made == 64

    run(with_peer(keep, use), loop_factory)


def test_what_the_handler_does_not_read_is_passed_over(loop_factory: LoopFactory) -> None:
    async def ignore(instance: ReceivedInstance) -> int:
        return status.COERCION_OF_DATA_ELEMENTS

    async def use(association: Association) -> None:
        for _ in range(2):
            response = await store_one(association, data_set(pixels=bytes(4 << 20)))
            assert response.status == status.COERCION_OF_DATA_ELEMENTS

    run(with_peer(ignore, use), loop_factory)


def test_a_dimse_error_is_the_response(loop_factory: LoopFactory) -> None:
    async def refuse(instance: ReceivedInstance) -> None:
        raise DimseError(status.OUT_OF_RESOURCES, "no room")

    async def use(association: Association) -> None:
        for _ in range(2):
            response = await store_one(association, data_set(pixels=bytes(3 << 20)))
            assert (response.status, response.error_comment) == (status.OUT_OF_RESOURCES, "no room")

    run(with_peer(refuse, use), loop_factory)


def test_any_other_exception_is_a_processing_failure_and_logged(
    loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(instance: ReceivedInstance) -> None:
        raise ZeroDivisionError("a defect")

    async def use(association: Association) -> None:
        assert (await store_one(association, data_set())).status == status.PROCESSING_FAILURE
        assert (await store_one(association, data_set())).status == status.PROCESSING_FAILURE

    with caplog.at_level(logging.ERROR):
        run(with_peer(fail, use), loop_factory)
    assert "a defect" in caplog.text


def test_a_sender_that_breaks_off_leaves_an_incomplete_stream(loop_factory: LoopFactory) -> None:
    seen: list[object] = []

    async def keep(instance: ReceivedInstance) -> None:
        try:
            await instance.read()
        except (DataSetIncomplete, asyncio.CancelledError) as error:
            seen.append(type(error))
            raise
        seen.append("complete")

    def pieces() -> Iterator[bytes]:
        yield bytes(300_000)
        raise OSError("the disk broke")

    async def use(association: Association) -> None:
        with pytest.raises(OSError, match="the disk broke"):
            await store_one(association, pieces())
        assert isinstance(association.ended, AssociationAborted)
        with pytest.raises(AssociationEnded):
            await store_one(association, b"")
        for _ in range(100):
            if seen:
                break
            await asyncio.sleep(0.01)

    run(with_peer(keep, use), loop_factory)
    assert seen in ([DataSetIncomplete], [asyncio.CancelledError])


def test_read_stops_at_its_maximum(loop_factory: LoopFactory) -> None:
    async def keep(instance: ReceivedInstance) -> None:
        await instance.read(maximum=1000)

    async def use(association: Association) -> None:
        small, large = data_set(pixels=b""), data_set(pixels=bytes(2000))
        assert (await store_one(association, small)).status == status.SUCCESS
        response = await store_one(association, large)
        assert (response.status, response.error_comment) == (
            status.OUT_OF_RESOURCES,
            "instance over 1000 bytes",
        )

    run(with_peer(keep, use), loop_factory)


def test_a_c_store_without_a_data_set_is_refused(loop_factory: LoopFactory) -> None:
    async def never(instance: ReceivedInstance) -> None:
        raise AssertionError("there is nothing to handle")

    async def use(association: Association) -> None:
        response, _ = await association.invoke(
            lambda message_id: CStoreRQ(
                message_id=message_id,
                affected_sop_class_uid=CT_IMAGE_STORAGE,
                affected_sop_instance_uid="1.2.3",
                command_data_set_type=0x0101,
            ),
            association.context_for(CT_IMAGE_STORAGE),
        )
        assert response.status == status.CANNOT_UNDERSTAND

    run(with_peer(never, use), loop_factory)


# -- the handler that takes a decoded data set


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "SC_rgb_rle.dcm", "JPEG2000.dcm"])
def test_a_decoded_data_set_is_what_pydicom_reads_from_the_file(
    loop_factory: LoopFactory, tmp_path: Path, name: str
) -> None:
    received: list[Dataset] = []
    path = real_file(name)

    async def keep(instance: ReceivedInstance) -> None:
        received.append(await instance.dataset())

    async def test() -> None:
        file = read_instance(path)
        async with (
            SCP("SCP", [Storage(keep)]).listen(port=0) as port,
            associate(
                HOST, port, called_ae="SCP", calling_ae="SCU", contexts=contexts_for([file])
            ) as association,
        ):
            assert (await send_file(association, file)).status == status.SUCCESS

    run(test(), loop_factory)
    (dataset,) = received
    original = pydicom.dcmread(path)
    assert dataset == original
    assert dataset.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    dataset.save_as(tmp_path / "saved.dcm", enforce_file_format=True)
    assert pydicom.dcmread(tmp_path / "saved.dcm") == original


def test_what_cannot_be_decoded_is_refused(loop_factory: LoopFactory) -> None:
    async def keep(instance: ReceivedInstance) -> None:
        await instance.dataset()

    async def use(association: Association) -> None:
        nested_too_deep = (
            b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        ) * 2000
        response = await store_one(association, nested_too_deep)
        assert response.status == status.CANNOT_UNDERSTAND
        assert response.error_comment == "not a data set in Explicit VR Little Endian"

    run(with_peer(keep, use), loop_factory)


# -- the SCP of the archive


class Memory:
    """An `InstanceStore` that keeps nothing but the length."""

    def __init__(self, code: int, comment: str) -> None:
        self.answer = code, comment
        self.length = 0

    def receive(self, operation: Operation) -> DataSetSink:
        return self

    def write(self, chunk: memoryview) -> None:
        self.length += len(chunk)

    def end(self) -> None:
        pass

    def discard(self) -> None:
        pass

    async def store(self, operation: Operation) -> tuple[int, str]:
        return self.answer


@pytest.mark.parametrize("answer", [(status.SUCCESS, ""), (status.DUPLICATE_SOP_INSTANCE, "held already")])
def test_the_archive_s_answer_is_the_response(loop_factory: LoopFactory, answer: tuple[int, str]) -> None:
    memory = Memory(*answer)
    data = data_set()

    async def use(association: Association) -> None:
        response = await store_one(association, data)
        assert (response.status, response.error_comment or "") == answer

    async def unused(instance: ReceivedInstance) -> None:
        raise AssertionError

    run(with_peer(unused, use, ArchiveStorage(memory, StorageContexts())), loop_factory)
    assert memory.length == len(data)


# -- the SCU


def test_the_command_says_what_was_asked_for(loop_factory: LoopFactory) -> None:
    requests: list[CStoreRQ] = []

    async def keep(instance: ReceivedInstance) -> None:
        assert isinstance(instance.operation.request, CStoreRQ)
        requests.append(instance.operation.request)

    async def use(association: Association) -> None:
        response = await store(
            association,
            sop_class_uid=CT_IMAGE_STORAGE,
            sop_instance_uid="1.2.3",
            data_set=[b"", data_set(), b""],
            transfer_syntax_uid=EXPLICIT_LE,
            priority=Priority.HIGH,
        )
        assert response.affected_sop_instance_uid == "1.2.3"

    run(with_peer(keep, use), loop_factory)
    (request,) = requests
    assert (request.affected_sop_instance_uid, request.priority) == ("1.2.3", Priority.HIGH)


def test_without_a_context_for_the_syntax_nothing_is_sent(loop_factory: LoopFactory) -> None:
    async def never(instance: ReceivedInstance) -> None:
        raise AssertionError

    async def use(association: Association) -> None:
        with pytest.raises(DimseError, match="accepted no context"):
            await store(
                association,
                sop_class_uid=CT_IMAGE_STORAGE,
                sop_instance_uid="1.2.3",
                data_set=b"",
                transfer_syntax_uid=IMPLICIT_VR_LITTLE_ENDIAN,
            )

    run(with_peer(never, use), loop_factory)


def test_pynetdicom_gets_every_byte(loop_factory: LoopFactory) -> None:
    async def test(port: int, called: str) -> None:
        files = [read_instance(path) for path in (CT, real_file("JPEG2000.dcm"))]
        async with associate(
            HOST, port, called_ae=called, calling_ae="SCU", contexts=contexts_for(files)
        ) as association:
            for file in files:
                assert (await send_file(association, file)).status == status.SUCCESS

    with pynetdicom_scp() as peer:
        run(test(peer.port, peer.ae_title), loop_factory)
    file = read_instance(CT)
    assert peer.stored[0] == (file.sop_instance_uid, EXPLICIT_LE, CT.read_bytes()[file.data_set_offset :])
    assert len(peer.stored) == 2


@pytest.mark.peer("storescu", "dcmsend")
@pytest.mark.parametrize("client", [storescu, dcmsend])
def test_clients_of_dcmtk_store(loop_factory: LoopFactory, client: Callable[..., object]) -> None:
    received: list[bytes] = []

    async def keep(instance: ReceivedInstance) -> None:
        received.append(await instance.read())

    async def test() -> None:
        async with SCP("DICOM_SERVER", [Storage(keep)]).listen(port=0) as port:
            outcome = await asyncio.to_thread(client, port, CT)
            assert outcome.ok, outcome  # type: ignore[attr-defined]

    run(test(), loop_factory)
    assert [pydicom.dcmread(CT).PatientName.encode() in data for data in received] == [True]


# -- encoding


@pytest.mark.peer("dcmdump")
@pytest.mark.parametrize("target", UNCOMPRESSED)
@pytest.mark.parametrize(
    "name",
    ["MR_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "CT_small.dcm", "reportsi.dcm"],
)
def test_dcmtk_reads_the_same_from_what_is_encoded(tmp_path: Path, name: str, target: str) -> None:
    path = real_file(name)
    encoded = _as_file(tmp_path, encode_dataset(pydicom.dcmread(path), target), target)
    assert _elements(encoded) == _elements(path)


def _elements(path: Path) -> list[str]:
    """Tags and values as dcmdump prints them: words as numbers, whatever the byte order; less the VRs and lengths,
    which the syntax brings with it, and the retired group lengths, which are not sent."""
    outcome = dcmdump(path, "+L", "+M")
    assert outcome.ok, outcome
    lines = [
        re.sub(r" [A-Za-z?]{2} ", " ", line.split("#")[0], count=1) for line in outcome.output.splitlines()
    ]
    return [
        line.rstrip()
        for line in lines
        if line.lstrip().startswith("(") and ",0000)" not in line and "(0002," not in line
    ]


@pytest.mark.parametrize("name", ["MR_small_bigendian.dcm", "MR_small_implicit.dcm"])
def test_there_and_back_again_is_the_same(tmp_path: Path, name: str) -> None:
    path = real_file(name)
    original = pydicom.dcmread(path)
    source = original.file_meta.TransferSyntaxUID
    target = IMPLICIT_VR_LITTLE_ENDIAN if source == EXPLICIT_VR_BIG_ENDIAN else EXPLICIT_VR_BIG_ENDIAN
    there = pydicom.dcmread(_as_file(tmp_path, encode_dataset(original, target), target))
    assert encode_dataset(there, source) == encode_dataset(original, source)


@pytest.mark.parametrize(("vr", "width"), [("OW", 2), ("OF", 4), ("OL", 4), ("OD", 8), ("OV", 8), ("OB", 1)])
def test_words_are_turned_around_where_the_byte_order_changes(tmp_path: Path, vr: str, width: int) -> None:
    words = bytes(range(16))
    inner = Dataset()
    inner.add_new(0x00091001, vr, words)
    outer = Dataset()
    outer.add_new(0x00081115, "SQ", [inner])
    outer.add_new(0x00091001, vr, words)
    little = pydicom.dcmread(_as_file(tmp_path, encode_dataset(outer, EXPLICIT_LE), EXPLICIT_LE))
    before = encode_dataset(little, EXPLICIT_LE)
    big = encode_dataset(little, EXPLICIT_VR_BIG_ENDIAN)
    turned = b"".join(words[start : start + width][::-1] for start in range(0, 16, width))
    assert big.count(turned) == 2
    assert encode_dataset(little, EXPLICIT_LE) == before  # what was given is left as it was


def test_a_deflated_data_set_is_inflated(tmp_path: Path) -> None:
    original = pydicom.dcmread(real_file("image_dfl.dcm"))
    assert original.file_meta.TransferSyntaxUID == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
    copy = pydicom.dcmread(_as_file(tmp_path, encode_dataset(original, EXPLICIT_LE), EXPLICIT_LE))
    assert copy == original


def _as_file(folder: Path, data: bytes, transfer_syntax: str) -> Path:
    from scps import write_file

    path = folder / "encoded.dcm"
    write_file(path, data, "1.2.3", transfer_syntax=transfer_syntax)
    return path
