"""A disk that is full, and a disk that stalls, under the whole server (PS3.4 B.2.3)."""

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from dimse import status
from servers import running_server
from services import (
    SCP,
    Verification,
    associate,
    contexts_for,
    echo,
    read_instance,
    send_file,
    verification_context,
)
from services.archive.archive import Archive
from services.archive.disk import Disk
from services.server.archive_store import ArchiveStore
from services.sop_classes import StorageContexts
from services.storage import ArchiveStorage

CT = Path(str(get_testdata_file("CT_small.dcm")))
MR = Path(str(get_testdata_file("MR_small.dcm")))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    directory = tmp_path / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", directory], check=True)
    yield directory
    subprocess.run(["umount", directory], check=True)


@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_full_disk_is_answered_with_a700_and_survived(
    small_disk: Path, tmp_path: Path, durability: str
) -> None:
    large = tmp_path / "large.dcm"
    dataset = pydicom.dcmread(CT)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    dataset.PixelData = bytes(6 << 20)
    dataset.save_as(large)

    async def scenario(port: int) -> list[int]:
        files = [read_instance(path) for path in (CT, large, MR)]
        async with associate(
            "127.0.0.1", port, called_ae="SERVER", calling_ae="TESTER", contexts=contexts_for(files)
        ) as peer:
            return [(await send_file(peer, file)).status for file in files]

    configuration = tmp_path / "server.toml"
    configuration.write_text(f'durability = "{durability}"\n[limits]\nminFreeSpace = 0\n')
    with running_server(small_disk, "--config", str(configuration)) as server:
        assert asyncio.run(scenario(server.port)) == [status.SUCCESS, status.OUT_OF_RESOURCES, status.SUCCESS]
        assert len(server.stored()) == 2
        assert server.left_in_incoming() == []


class Stall:
    """Makes the first write slow, and those that follow wait until they are let go."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.waiting = threading.Event()
        self._writes = 0

    def write(self, fd: int, data: memoryview | bytes) -> int:
        self._stall()
        return os.write(fd, data)

    def writev(self, fd: int, buffers: Sequence[memoryview | bytes]) -> int:
        self._stall()
        return os.writev(fd, buffers)

    def _stall(self) -> None:
        self._writes += 1
        if self._writes == 1:
            time.sleep(0.05)
            return
        self.waiting.set()
        assert self.released.wait(30)


def test_a_stalled_disk_does_not_stall_other_associations(tmp_path: Path) -> None:
    stall = Stall()
    archive = Archive.open(
        tmp_path / "data",
        implementation_class_uid="1.2.3",
        implementation_version_name="TEST",
        durability="process",
        free_space_reserve=0,
        disk=Disk(write=stall.write, writev=stall.writev),
    )
    store = ArchiveStore(archive, lambda calling_ae: frozenset(), lambda association, switch: None)
    scp = SCP("SERVER", [Verification(), ArchiveStorage(store, StorageContexts())])
    file = read_instance(CT)

    async def storing(port: int) -> int:
        async with associate(
            "127.0.0.1",
            port,
            called_ae="SERVER",
            calling_ae="STORING",
            contexts=contexts_for([file]),
            maximum_length=4096,
        ) as peer:
            return (await send_file(peer, file)).status

    async def scenario() -> None:
        async with scp.listen("127.0.0.1", 0) as port:
            stores = [asyncio.ensure_future(storing(port)) for _ in range(2)]
            await asyncio.to_thread(stall.waiting.wait, 10)
            async with associate(
                "127.0.0.1", port, called_ae="SERVER", calling_ae="ECHOING", contexts=[verification_context()]
            ) as peer:
                for _ in range(20):
                    await echo(peer, timeout=5)
            assert not all(task.done() for task in stores)
            stall.released.set()
            assert await asyncio.gather(*stores) == [status.SUCCESS, status.SUCCESS]

    try:
        asyncio.run(scenario())
    finally:
        stall.released.set()
        archive.close()
