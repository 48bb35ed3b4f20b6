"""The data directory is made, locked, and repaired at start."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from archive_samples import data_set, disk_with, failing, leftovers, store_one, without_hard_links
from services.archive.data_directory import CLAIM, REPLACING, DataDirectory, Repair
from services.archive.errors import DataDirectoryError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_makes_what_is_absent_for_its_user_only(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    DataDirectory.open(root).close()
    assert mode(root) == mode(root / ".incoming") == mode(tmp_path / "a") == 0o700
    assert mode(root / ".lock") == 0o600


def test_leaves_the_mode_of_an_existing_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    DataDirectory.open(tmp_path).close()
    assert mode(tmp_path) == 0o750


def test_a_second_server_is_refused_by_name(tmp_path: Path) -> None:
    holder = DataDirectory.open(tmp_path)
    with pytest.raises(
        DataDirectoryError, match=f"{tmp_path} is used by another server, process {os.getpid()}"
    ):
        DataDirectory.open(tmp_path)
    holder.close()
    DataDirectory.open(tmp_path).close()


def test_a_lock_that_outlives_the_server_says_how_to_find_who_has_it(tmp_path: Path) -> None:
    holder = DataDirectory.open(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    (tmp_path / ".lock").write_bytes(ended.stdout)
    with pytest.raises(DataDirectoryError, match=rf"that has ended .*`fuser {tmp_path}/\.lock` says which"):
        DataDirectory.open(tmp_path)
    holder.close()


def test_the_lock_of_a_dead_server_is_free(tmp_path: Path) -> None:
    code = (
        "import os, sys; from services.archive.data_directory import DataDirectory;"
        "DataDirectory.open(sys.argv[1]); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    pid = int((tmp_path / ".lock").read_text())
    assert pid != os.getpid()
    DataDirectory.open(tmp_path).close()
    assert int((tmp_path / ".lock").read_text()) == os.getpid()


def test_a_refused_open_leaks_no_descriptor(tmp_path: Path) -> None:
    holder = DataDirectory.open(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(DataDirectoryError):
            DataDirectory.open(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    holder.close()


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, file / "below"):
        with pytest.raises(DataDirectoryError, match=f"the data directory {place} cannot be used"):
            DataDirectory.open(place)


def test_temporaries_are_private_whatever_the_umask(tmp_path: Path) -> None:
    directory = DataDirectory.open(tmp_path)
    old = os.umask(0)
    try:
        fd, name = directory.new_temporary()
        second, _ = directory.new_temporary()
    finally:
        os.umask(old)
    assert mode(tmp_path / ".incoming" / name) == 0o600
    os.close(fd)
    os.close(second)
    assert len(leftovers(tmp_path)) == 2
    directory.close()


def test_repair_empties_incoming_and_says_what_was_there(tmp_path: Path) -> None:
    stored = tmp_path / store_one(tmp_path, data_set()).path
    incoming = tmp_path / ".incoming"
    os.link(stored, incoming / "1-1")
    (incoming / "1-2").write_bytes(b"half")
    os.link(incoming / "1-2", incoming / f"1-2{REPLACING}")
    (incoming / "1-3").touch()
    (incoming / f"aa{CLAIM}").write_text(str(stored.relative_to(tmp_path)))
    (incoming / f"bb{CLAIM}").write_text("1/2/3.dcm")
    (incoming / f"cc{CLAIM}").write_bytes(b"a\0b")
    (incoming / f"dd{CLAIM}").touch()
    whole = stored.read_bytes()

    directory = DataDirectory.open(tmp_path)

    assert directory.repair == Repair(published=2, unfinished=2)
    assert leftovers(tmp_path) == []
    assert stored.read_bytes() == whole
    directory.close()


def test_hard_links_are_looked_for_once_at_start(tmp_path: Path) -> None:
    with_links = DataDirectory.open(tmp_path)
    assert with_links.hard_links
    with_links.close()
    without = DataDirectory.open(tmp_path, disk=without_hard_links())
    assert not without.hard_links
    assert leftovers(tmp_path) == []
    without.close()


def test_a_full_disk_is_no_reason_not_to_start(tmp_path: Path) -> None:
    directory = DataDirectory.open(tmp_path, disk=disk_with(open=failing(errno.ENOSPC)))
    assert directory.hard_links
    directory.close()


def test_a_read_only_disk_is(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="Read-only"):
        DataDirectory.open(tmp_path, disk=disk_with(open=failing(errno.EROFS)))
    DataDirectory.open(tmp_path).close()  # and the lock was let go


def test_the_probe_leaves_nothing(tmp_path: Path) -> None:
    directory = DataDirectory.open(tmp_path)
    directory.probe()
    assert leftovers(tmp_path) == []
    directory.close()
    broken = DataDirectory.open(tmp_path, disk=disk_with(fsync=failing()))
    with pytest.raises(OSError, match="Input/output"):
        broken.probe()
    assert leftovers(tmp_path) == []
    broken.close()
