"""An instance on its way in: written, scanned, bounded, discarded."""

import errno
import os
import resource
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_samples import (
    CT_IMAGE_STORAGE,
    EXPLICIT_LE,
    INSTANCE,
    data_set,
    disk_with,
    failing,
    leftovers,
)
from services.archive.data_directory import DataDirectory
from services.archive.disk import Disk
from services.archive.errors import InstanceTooLarge, OutOfStorage, StorageError
from services.archive.incoming import HIGH_WATER, IncomingInstance
from services.archive.invalid_data_set import InvalidDataSet
from services.archive.scanner import HeaderScanner
from services.archive.volume import Volume

HEADER = b"HEADER-OF-16-BYT"


class Bench:
    """Makes instances on one volume, and remembers what they asked of their sender."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.directory = DataDirectory.open(path)
        self.volume = Volume("disk", self.directory.root_fd, Disk(), reserve=0, probe=self.directory.probe)
        self.asked: list[str] = []
        self.ends: list[Exception | None] = []
        self.posted: list[Callable[[], None]] = []

    def instance(self, *, maximum: int = 1 << 30, **calls: Callable[..., Any]) -> IncomingInstance:
        return IncomingInstance(
            self.directory,
            self.volume,
            disk_with(**calls) if calls else Disk(),
            header=HEADER,
            sop_class_uid=CT_IMAGE_STORAGE,
            sop_instance_uid=INSTANCE,
            transfer_syntax_uid=EXPLICIT_LE,
            maximum=maximum,
            scanner=HeaderScanner(EXPLICIT_LE),
            tolerate=frozenset(),
            pause=lambda: self.asked.append("pause"),
            resume=lambda: self.asked.append("resume"),
            post=self.posted.append,
            ended=lambda _incoming, error: self.ends.append(error),
        )

    def content(self) -> bytes:
        (name,) = leftovers(self.path)
        return (self.path / ".incoming" / name).read_bytes()

    def stall(self) -> None:
        self.volume.took(self.volume.clock() - 1)

    def flush(self) -> None:
        done = threading.Event()
        self.volume.submit(done.set)
        assert done.wait(10)

    def run_posted(self) -> None:
        while self.posted:
            self.posted.pop(0)()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.volume.close()
    made.directory.close()


def feed(incoming: IncomingInstance, data: bytes, size: int) -> None:
    for piece in pieces(data, size):
        incoming.write(piece)


def pieces(data: bytes, size: int) -> Iterator[memoryview]:
    for start in range(0, len(data), size):
        yield memoryview(data)[start : start + size]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_header_and_data_set_are_written_as_they_come(bench: Bench, size: int) -> None:
    incoming, data = bench.instance(), data_set()
    for piece in pieces(data, size):
        incoming.write(piece)
    assert bench.content() == HEADER + data
    assert incoming.size == len(data)
    assert incoming.data_set_offset == len(HEADER)
    assert Path(incoming.temporary_path).read_bytes() == HEADER + data
    incoming.discard()


def test_the_file_is_for_its_owner_and_not_to_be_run(bench: Bench) -> None:
    old = os.umask(0)
    try:
        incoming = bench.instance()
        incoming.write(memoryview(data_set()))
    finally:
        os.umask(old)
    assert stat.S_IMODE(os.stat(incoming.temporary_path).st_mode) == 0o600
    incoming.discard()


def test_an_instance_without_data_makes_no_file(bench: Bench) -> None:
    incoming = bench.instance()
    assert leftovers(bench.path) == []
    incoming.discard()
    assert bench.ends == [None]


def test_short_writes_are_completed(bench: Bench) -> None:
    incoming = bench.instance(
        write=lambda fd, chunk: os.write(fd, bytes(chunk)[:3]),
        writev=lambda fd, buffers: os.write(fd, b"".join(buffers)[:5]),
    )
    for piece in pieces(data_set(), 50):
        incoming.write(piece)
    assert bench.content() == HEADER + data_set()
    incoming.discard()


def test_discard_removes_the_file_and_may_be_repeated(bench: Bench) -> None:
    incoming = bench.instance()
    incoming.write(memoryview(data_set()))
    descriptors = len(os.listdir("/proc/self/fd"))
    incoming.discard()
    incoming.discard()
    assert leftovers(bench.path) == []
    assert len(os.listdir("/proc/self/fd")) == descriptors - 1
    assert bench.ends == [None]
    with pytest.raises(ValueError, match="discarded or committed already"):
        incoming.write(memoryview(b"more"))


def test_discard_never_raises(bench: Bench) -> None:
    incoming = bench.instance(unlink=failing(), close=failing())
    incoming.write(memoryview(data_set()))
    incoming.discard()
    assert bench.ends == [None]


@pytest.mark.parametrize("call", ["open", "writev", "write"])
@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, OutOfStorage), (errno.EDQUOT, OutOfStorage), (errno.EIO, StorageError)],
)
def test_a_failing_disk_ends_the_instance(
    bench: Bench, call: str, number: int, error: type[Exception]
) -> None:
    incoming = bench.instance(**{call: failing(number)})
    if call == "open":
        bench.directory._disk = incoming._disk  # the directory is who opens
    with pytest.raises(error, match=f"could not write instance {INSTANCE}: {os.strerror(number)}"):
        feed(incoming, data_set(), 100)
    assert leftovers(bench.path) == []
    assert [type(end) for end in bench.ends] == [error]
    with pytest.raises(error):
        incoming.write(memoryview(b"more"))
    with pytest.raises(error):
        incoming.check()
    assert len(bench.ends) == 1


def test_a_file_size_limit_is_no_room(bench: Bench) -> None:
    incoming = bench.instance()
    incoming.write(memoryview(data_set(pixels=bytes(1 << 20)))[: 1 << 19])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((1 << 19) + 1000, hard))
    try:
        with pytest.raises(OutOfStorage, match="File too large"):
            incoming.write(memoryview(bytes(1 << 18)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert leftovers(bench.path) == []


def test_the_longest_instance_is_taken_and_one_byte_more_is_not(bench: Bench) -> None:
    data = data_set()
    for maximum in (len(data), len(data) - 1):
        incoming = bench.instance(maximum=maximum)
        if maximum == len(data):
            incoming.write(memoryview(data))
            incoming.discard()
            continue
        with pytest.raises(InstanceTooLarge, match=f"more than {maximum} bytes"):
            feed(incoming, data, 10)
    assert leftovers(bench.path) == []


def test_what_is_no_data_set_ends_it(bench: Bench) -> None:
    incoming = bench.instance()
    with pytest.raises(InvalidDataSet):
        incoming.write(memoryview(b"\2\0\0\0UL\4\0" + bytes(100)))
    assert leftovers(bench.path) == []
    with pytest.raises(InvalidDataSet):
        incoming.check()


def test_the_scan_sees_every_byte(bench: Bench) -> None:
    incoming = bench.instance()
    for piece in pieces(data_set(), 9):
        incoming.write(piece)
    incoming.scanner.finish()
    assert incoming.scanner.uid(0x00080018) == INSTANCE
    incoming.discard()


def test_hand_over_gives_the_file_away(bench: Bench) -> None:
    incoming = bench.instance()
    incoming.write(memoryview(data_set()))
    publication = incoming.hand_over("1/2/3.dcm")
    incoming.discard()
    assert bench.content() == HEADER + data_set()
    assert (publication.path, publication.size) == ("1/2/3.dcm", len(data_set()))
    assert publication.data_set_offset == len(HEADER)
    with pytest.raises(ValueError, match="committed already"):
        incoming.check()
    os.close(publication.fd)


class Gate:
    """A write that waits until it may go on, and only in the volume's thread."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def write(self, fd: int, chunk: bytes) -> int:
        if threading.current_thread() is not threading.main_thread():
            assert self.open.wait(10)
        return os.write(fd, chunk)


def test_a_stalled_volume_is_written_in_its_thread_and_the_sender_paused(bench: Bench) -> None:
    gate, data = Gate(), data_set(pixels=bytes(range(256)) * 4 * 4096)
    incoming = bench.instance(write=gate.write)
    source = pieces(data, 1 << 17)
    incoming.write(next(source))
    bench.stall()
    for piece in source:
        incoming.write(piece)
    assert not incoming.written
    assert bench.asked == ["pause"]
    assert bench.volume.queued > HIGH_WATER
    gate.open.set()
    bench.flush()
    bench.run_posted()
    assert bench.asked == ["pause", "resume"]
    assert incoming.written
    assert bench.content() == HEADER + data
    incoming.discard()
    bench.flush()
    assert leftovers(bench.path) == []


def test_what_waits_is_a_copy(bench: Bench) -> None:
    gate, data = Gate(), bytearray(data_set())
    incoming = bench.instance(write=gate.write)
    bench.stall()
    incoming.write(memoryview(data)[:50])
    incoming.write(memoryview(data)[50:])
    expected = HEADER + bytes(data)
    data[:] = bytes(len(data))
    gate.open.set()
    bench.flush()
    assert bench.content() == expected
    incoming.discard()


def test_what_follows_a_waiting_write_waits_too(bench: Bench) -> None:
    gate, data = Gate(), data_set()
    incoming = bench.instance(write=gate.write)
    incoming.write(memoryview(data)[:20])
    bench.stall()
    incoming.write(memoryview(data)[20:40])
    bench.volume.stalled = False  # quick again, but not for this one
    incoming.write(memoryview(data)[40:])
    gate.open.set()
    bench.flush()
    assert bench.content() == HEADER + data
    incoming.discard()


def test_another_instance_of_a_volume_that_is_quick_again_is_written_at_once(bench: Bench) -> None:
    incoming = bench.instance()
    bench.stall()
    bench.volume.stalled = False
    incoming.write(memoryview(data_set()))
    assert incoming.written
    incoming.discard()


def test_an_error_in_the_thread_is_raised_by_the_next_call(bench: Bench) -> None:
    incoming = bench.instance(write=failing(errno.ENOSPC))
    incoming.write(memoryview(data_set())[:20])
    bench.stall()
    incoming.write(memoryview(data_set())[20:40])
    bench.flush()
    with pytest.raises(OutOfStorage):
        incoming.write(memoryview(data_set())[40:])
    bench.flush()
    assert leftovers(bench.path) == []
    assert [type(end) for end in bench.ends] == [OutOfStorage]


def test_discard_of_a_paused_sender_lets_it_go_on_and_writes_no_more(bench: Bench) -> None:
    gate, written = Gate(), list[int]()

    def write(fd: int, chunk: bytes) -> int:
        count = gate.write(fd, chunk)
        written.append(count)
        return count

    incoming = bench.instance(write=write)
    source = pieces(data_set(pixels=bytes(4 << 20)), 1 << 18)
    incoming.write(next(source))
    bench.stall()
    for piece in source:
        incoming.write(piece)
    incoming.discard()
    assert bench.asked == ["pause", "resume"]
    gate.open.set()
    bench.flush()
    assert len(written) <= 1, "only what was being written already"
    assert bench.posted == []
    assert leftovers(bench.path) == []
    assert bench.volume.queued == 0


def test_a_crowded_volume_pauses_even_short_senders(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.archive.volume._QUEUE_LIMIT", 100)
    gate = Gate()
    first, second = bench.instance(write=gate.write), bench.instance(write=gate.write)
    for incoming in (first, second):
        incoming.write(memoryview(data_set())[:10])
    bench.stall()
    first.write(memoryview(data_set())[10:110])
    second.write(memoryview(data_set())[10:20])
    second.write(memoryview(data_set())[20:30])
    assert bench.asked == ["pause"]
    gate.open.set()
    bench.flush()
    bench.run_posted()
    assert bench.asked == ["pause", "resume"]
    for incoming in (first, second):
        incoming.discard()
    bench.flush()
