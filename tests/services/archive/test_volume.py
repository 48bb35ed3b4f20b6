"""A volume that is slow, full or not to be trusted."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_samples import disk_with, failing
from services.archive.disk import Disk
from services.archive.errors import OutOfStorage, StorageError
from services.archive.volume import CALM, SLOW_WRITE, Volume


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Setting:
    """A volume whose time, free space and probe are ours."""

    def __init__(self, path: Path, **calls: Callable[..., Any]) -> None:
        self.clock = Clock()
        self.fd = os.open(path, os.O_RDONLY)
        self.probe: Callable[[], None] = lambda: None
        disk = disk_with(**calls) if calls else Disk()
        self.volume = Volume(
            "/data", self.fd, disk, reserve=1000, probe=lambda: self.probe(), clock=self.clock
        )

    def slow_write(self) -> None:
        self.clock.now += SLOW_WRITE * 2

    def flush(self) -> None:
        done = threading.Event()
        self.volume.submit(done.set)
        assert done.wait(10)


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    made = Setting(tmp_path)
    yield made
    made.volume.close()
    os.close(made.fd)


def space(free: int, inodes: int = 10, total_inodes: int = 100) -> os.statvfs_result:
    return os.statvfs_result((1, 1, free, free, free, total_inodes, inodes, inodes, 0, 255))


def test_a_quick_write_changes_nothing(setting: Setting) -> None:
    setting.volume.took(setting.clock.now - SLOW_WRITE)
    assert not setting.volume.stalled


def test_a_slow_write_stalls_the_volume_once(setting: Setting) -> None:
    setting.volume.took(setting.clock.now - 1)
    setting.volume.took(setting.clock.now - 1)
    assert setting.volume.stalled
    assert setting.volume.stalls == 1


def test_quick_writes_in_the_thread_end_the_stall_after_a_while(setting: Setting) -> None:
    volume = setting.volume
    volume.took(setting.clock.now - 1)
    for _ in range(20):
        volume.submit(lambda: None, 100)
    setting.flush()
    assert volume.stalled, "not yet calm"
    setting.clock.now += CALM
    volume.submit(lambda: None, 100)
    setting.flush()
    assert not volume.stalled


def test_a_slow_write_in_the_thread_begins_the_count_again(setting: Setting) -> None:
    volume = setting.volume
    volume.took(setting.clock.now - 1)
    for _ in range(7):
        volume.submit(lambda: None, 100)
    volume.submit(setting.slow_write, 100)
    setting.flush()
    setting.clock.now += CALM
    volume.submit(lambda: None, 100)
    setting.flush()
    assert volume.stalled


def test_the_thread_keeps_the_order_and_counts_what_waits(setting: Setting) -> None:
    volume, gate, order = setting.volume, threading.Event(), list[int]()
    volume.submit(lambda: bool(gate.wait(10)) and None, 5)
    for number in range(5):
        volume.submit(lambda number=number: order.append(number), 10)
    assert volume.queued == 55
    assert not volume.crowded
    gate.set()
    setting.flush()
    assert order == [0, 1, 2, 3, 4]
    assert volume.queued == 0


def test_close_does_what_was_submitted(tmp_path: Path) -> None:
    setting, done = Setting(tmp_path), list[int]()
    for number in range(100):
        setting.volume.submit(lambda number=number: done.append(number))
    setting.volume.close()
    assert done == list(range(100))
    os.close(setting.fd)


def test_the_reserve_is_kept_and_looked_at_once_a_second(tmp_path: Path) -> None:
    answers = [space(1000), space(999), space(2000)]
    setting = Setting(tmp_path, statvfs=lambda _fd: answers.pop(0))
    setting.volume.admit()
    setting.volume.admit()
    assert len(answers) == 2
    setting.clock.now += 1
    for _ in range(2):
        with pytest.raises(OutOfStorage, match="/data has 999 bytes free and keeps a reserve of 1000"):
            setting.volume.admit()
    setting.clock.now += 1
    setting.volume.admit()
    os.close(setting.fd)


def test_no_inode_is_no_room(tmp_path: Path) -> None:
    setting = Setting(tmp_path, statvfs=lambda _fd: space(10_000, inodes=0))
    with pytest.raises(OutOfStorage):
        setting.volume.admit()
    os.close(setting.fd)


def test_a_file_system_without_fixed_inodes_has_room(tmp_path: Path) -> None:
    setting = Setting(tmp_path, statvfs=lambda _fd: space(10_000, inodes=0, total_inodes=0))
    setting.volume.admit()
    os.close(setting.fd)


def test_a_stalled_volume_is_not_asked_for_its_space(tmp_path: Path) -> None:
    answers = [space(5000)]
    setting = Setting(tmp_path, statvfs=lambda _fd: answers.pop(0))
    setting.volume.admit()
    setting.volume.took(setting.clock.now - 1)
    setting.clock.now += 60
    setting.volume.admit()
    assert not answers
    os.close(setting.fd)


def test_a_disk_that_does_not_answer_takes_nothing(tmp_path: Path) -> None:
    setting = Setting(tmp_path, statvfs=failing(errno.ESTALE))
    with pytest.raises(StorageError, match="could not ask /data for its free space"):
        setting.volume.admit()
    os.close(setting.fd)


def test_a_suspect_volume_takes_nothing_until_a_probe_succeeds(setting: Setting) -> None:
    volume, probes = setting.volume, list[str]()

    def probe() -> None:
        probes.append("")
        if len(probes) == 1:
            raise OSError(errno.EIO, "Input/output error")

    setting.probe = probe
    volume.mark_suspect("could not sync 1.2: Input/output error")
    for _ in range(3):
        with pytest.raises(StorageError, match=r"takes nothing new since a sync failed .could not sync 1\.2"):
            volume.admit()
    setting.flush()
    assert probes == [], "too early"

    for expected in (1, 2):
        setting.clock.now += 5
        for _ in range(3):
            with pytest.raises(StorageError):
                volume.admit()
        setting.flush()
        assert len(probes) == expected
        assert bool(volume.suspect) == (expected == 1)
    volume.admit()
