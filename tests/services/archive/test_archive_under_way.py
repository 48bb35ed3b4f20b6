"""The archive while something else happens: a disk that stalls or fails, a cancelled commit, a close."""

import asyncio
import errno
import os
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from archive_samples import (
    CT_IMAGE_STORAGE,
    EXPLICIT_LE,
    INSTANCE,
    PATH,
    data_set,
    disk_with,
    instances,
    leftovers,
    nothing,
    open_archive,
    run,
    store,
    stored_data_set,
)
from services.archive.archive import Archive
from services.archive.errors import (
    StorageError,
)
from services.archive.fallback import scan_deflated
from services.archive.incoming import IncomingInstance
from services.archive.publish import Outcome
from services.archive.scanner import HeaderScanner
from services.archive.volume import Volume

DEFLATED = "1.2.840.10008.1.2.1.99"
LEVELS = pytest.mark.parametrize("durability", ["process", "power"])


def receive(archive: Archive, instance: str = INSTANCE, **options: Any) -> IncomingInstance:
    settings = {"source_ae_title": "SENDER", "pause": nothing, "resume": nothing} | options
    return archive.receive(CT_IMAGE_STORAGE, instance, EXPLICIT_LE, **settings)


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def test_a_failed_sync_makes_the_archive_refuse_until_a_probe_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.archive.volume._PROBE_INTERVAL", 0.0)
    broken, probed = [True], threading.Event()

    def fdatasync(fd: int) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(fd)

    def probe_and_tell(self: Volume) -> None:
        try_probe(self)
        probed.set()

    try_probe = Volume._try_probe
    monkeypatch.setattr(Volume, "_try_probe", probe_and_tell)

    async def work(archive: Archive) -> None:
        with pytest.raises(StorageError, match="takes nothing new until a probe succeeds"):
            await store(archive, data_set())
        assert "Input/output error" in archive.suspect
        broken.clear()
        with pytest.raises(StorageError, match="check the disk"):
            await store(archive, data_set())
        await asyncio.to_thread(probed.wait, 10)
        assert (await store(archive, data_set())).outcome is Outcome.STORED

    run(tmp_path, work, durability="power", disk=disk_with(fdatasync=fdatasync))


@LEVELS
def test_a_stalled_disk_stops_nobody_else(tmp_path: Path, durability: str) -> None:
    """Once it has been slow, not even a write that never ends holds the loop."""
    gate, slow = threading.Event(), [True]

    def write(fd: int, chunk: bytes) -> int:
        if threading.current_thread() is threading.main_thread():
            time.sleep(0.01 if slow else 0)
            slow.clear()
        else:
            assert gate.wait(20)
        return os.write(fd, chunk)

    asked: list[str] = []
    data = data_set(pixels=bytes(4 << 20))

    async def work(stalling: Archive) -> None:
        other = open_archive(tmp_path / "other")
        sending = asyncio.create_task(
            store(
                stalling,
                data,
                pause=lambda: asked.append("pause"),
                resume=lambda: asked.append("resume"),
            )
        )
        await asyncio.sleep(0)
        assert stalling.stalled
        assert asked == ["pause"]
        assert (await store(other, data_set())).outcome is Outcome.STORED
        assert not sending.done()
        gate.set()
        assert (await sending).outcome is Outcome.STORED
        assert asked == ["pause", "resume"]
        other.close()

    run(tmp_path / "stalling", work, durability=durability, disk=disk_with(write=write))
    assert stored_data_set(tmp_path / "stalling" / PATH) == data


def test_cancelled_while_its_writes_wait_it_leaves_nothing(tmp_path: Path) -> None:
    gate, slow = threading.Event(), [True]

    def write(fd: int, chunk: bytes) -> int:
        if threading.current_thread() is threading.main_thread():
            time.sleep(0.01 if slow else 0)
            slow.clear()
        else:
            assert gate.wait(20)
        return os.write(fd, chunk)

    async def work(archive: Archive) -> None:
        sending = asyncio.create_task(store(archive, data_set(pixels=bytes(1 << 20))))
        await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        gate.set()

    run(tmp_path, work, disk=disk_with(write=write))
    assert instances(tmp_path) == leftovers(tmp_path) == []


def test_cancelled_while_it_is_published_it_is_whole_or_absent(tmp_path: Path) -> None:
    reached, go = threading.Event(), threading.Event()

    def fdatasync(fd: int) -> None:
        reached.set()
        assert go.wait(20)
        os.fdatasync(fd)

    async def work(archive: Archive) -> None:
        sending = asyncio.create_task(store(archive, data_set()))
        await asyncio.to_thread(reached.wait, 20)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        go.set()
        assert (await store(archive, data_set("1.5"), "1.5")).outcome is Outcome.STORED
        assert archive.statistics.instances_stored == 2

    run(tmp_path, work, durability="power", disk=disk_with(fdatasync=fdatasync))
    assert stored_data_set(tmp_path / PATH) == data_set()
    assert leftovers(tmp_path) == []


def test_close_discards_what_is_being_received(tmp_path: Path) -> None:
    async def work(archive: Archive) -> None:
        incoming = receive(archive)
        incoming.write(memoryview(data_set()))
        archive.close()
        assert leftovers(tmp_path) == []
        with pytest.raises(ValueError, match="discarded"):
            await archive.commit(incoming)
        with pytest.raises(StorageError, match="closed"):
            receive(archive)
        archive.close()

    run(tmp_path, work)
    assert instances(tmp_path) == []


def test_discarded_while_it_is_scanned_again_it_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go = threading.Event(), threading.Event()

    def scan_slowly(*arguments: Any, **options: Any) -> HeaderScanner:
        scanner = scan_deflated(*arguments, **options)
        reached.set()
        assert go.wait(20)
        return scanner

    monkeypatch.setattr("services.archive.archive.scan_deflated", scan_slowly)

    async def work(archive: Archive) -> None:
        sending = asyncio.create_task(store(archive, deflated(data_set()), transfer_syntax=DEFLATED))
        await asyncio.to_thread(reached.wait, 20)
        archive.close()
        go.set()
        with pytest.raises(ValueError, match="discarded"):
            await sending

    run(tmp_path, work)
    assert instances(tmp_path) == leftovers(tmp_path) == []


def test_close_finishes_what_is_being_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A write that waited for the processor would leave the next instances with the thread, not yet committed.
    monkeypatch.setattr("services.archive.volume.SLOW_WRITE", 60.0)

    async def work(archive: Archive) -> None:
        sending = [asyncio.create_task(store(archive, data_set(f"1.9.{n}"), f"1.9.{n}")) for n in range(20)]
        await asyncio.sleep(0)
        archive.close()
        assert len(instances(tmp_path)) == 20
        await asyncio.gather(*sending)

    run(tmp_path, work, durability="power")


def test_an_archive_serves_one_loop_after_the_other(tmp_path: Path) -> None:
    archive = open_archive(tmp_path, durability="power")
    for number in (1, 2):
        asyncio.run(store(archive, data_set(f"1.{number}"), f"1.{number}"))
    archive.close()
    assert len(instances(tmp_path)) == 2
