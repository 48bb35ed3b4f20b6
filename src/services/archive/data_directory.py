"""The data directory: made, locked for one server, and repaired at start.

    <data-dir>/.lock         locked by the server that uses the directory, and holds its process id
    <data-dir>/.incoming/    instances on their way in; a name here is the journal of a publication
    <data-dir>/.identity     tells it from others where the index is not in it (`services.archive.identity`)
    <data-dir>/<study>/...   what is published

Repair looks into `.incoming` only and never walks the archive. What is in its place already may be missing in the
index: `services.archive.recovery` looks after that.
"""

import errno
import fcntl
import os
from itertools import count
from pathlib import Path

from msgspec import Struct

from services.archive.disk import Disk
from services.archive.errors import DataDirectoryError, DataDirectoryInUse
from services.archive.paths import uids_of_path

CLAIM = ".claim"
"""Ending of the name that stands for a publication where there are no hard links."""

REPLACING = ".replacing"
"""Ending of a second name that is about to take the place of a published one."""

_LOCK = ".lock"
_INCOMING = ".incoming"
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})


class Repair(Struct, frozen=True):
    """What was found in `.incoming` at start, and removed there.

    Attributes:
        published: names whose instance was already in its place.
        unfinished: instances that were never acknowledged.
        elsewhere: of those published, how many were taken back, since their SOP Instance UID is held under another
            study or series; they were never acknowledged either.
        unreadable: names that stay, and why: they are in their place, but cannot be read.
        unindexed: a file of the archive, where the index holds no instance at all; there may be many more.
    """

    published: int = 0
    unfinished: int = 0
    elsewhere: int = 0
    unreadable: tuple[str, ...] = ()
    unindexed: str = ""


class DataDirectory:
    """An open data directory; made by `open` or `join`, let go by `close`.

    Attributes:
        path: absolute.
        root_fd: descriptor of the directory; every path of the archive is relative to it.
        incoming_fd: descriptor of `.incoming`.
        hard_links: whether the file system has them; decided once.
        lock_fd: descriptor of the lock, which is held for as long as any process has it.
        repair: what was found at start.
    """

    def __init__(self, path: Path, disk: Disk, root_fd: int, incoming_fd: int, lock_fd: int) -> None:
        self.path = path
        self.root_fd = root_fd
        self.incoming_fd = incoming_fd
        self.hard_links = True
        self.repair = Repair()
        self.lock_fd = lock_fd
        self._disk = disk
        self._names = count(1)
        self._prefix = prefix_of(os.getpid())

    @classmethod
    def open(
        cls, path: str | Path, *, disk: Disk | None = None, keep_published: bool = False
    ) -> "DataDirectory":
        """Make the directory if it is absent, lock it, and repair what an earlier server left behind.

        Args:
            path: made with mode 0700; an existing directory keeps its mode.
            disk: the system calls; those of the operating system by default.
            keep_published: leave journal entries of what may be in its place already: `recovery.recover` records
                it and removes them. Without an index nothing is left to do for them.

        Raises:
            DataDirectoryError: another server uses it, or it cannot be made or written to.
        """
        place = Path(path).absolute()
        opened: list[int] = []
        try:
            _make(place)
            opened.append(os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            opened.append(_lock(place, opened[0]))
            if _make(place / _INCOMING):
                os.fsync(opened[0])
            opened.append(os.open(_INCOMING, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=opened[0]))
            directory = cls(place, disk or Disk(), opened[0], opened[2], opened[1])
            directory.repair = directory.clear_journal("", keep_published=keep_published)
            directory.hard_links = directory._has_hard_links()
        except BaseException as error:
            for fd in opened:
                os.close(fd)
            if isinstance(error, OSError):
                raise DataDirectoryError(
                    f"the data directory {place} cannot be used: {error.strerror}; "
                    "give a directory this user may write to"
                ) from error
            raise
        return directory

    @classmethod
    def join(cls, path: Path, lock_fd: int) -> "DataDirectory":
        """Use a directory that the process which started us has opened.

        Args:
            path: of the directory.
            lock_fd: of its lock, handed down; ours from now on.

        Raises:
            OSError: it cannot be opened.
        """
        root_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            incoming_fd = os.open(_INCOMING, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
        except BaseException:
            os.close(root_fd)
            raise
        directory = cls(path, Disk(), root_fd, incoming_fd, lock_fd)
        directory.hard_links = directory._has_hard_links()
        return directory

    def close(self) -> None:
        """Let the directory go; another server may take it."""
        for fd in (self.incoming_fd, self.lock_fd, self.root_fd):
            os.close(fd)

    def new_temporary(self) -> tuple[int, str]:
        """Create a file in `.incoming`, mode 0600, open for reading and writing.

        Returns:
            its descriptor and its name in `.incoming`.

        Raises:
            OSError: it cannot be made.
        """
        while True:
            name = f"{self._prefix}{next(self._names):x}"
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                return self._disk.open(name, flags, 0o600, dir_fd=self.incoming_fd), name
            except FileExistsError:
                continue  # left by a server that had our process id and could not be removed

    def link_temporary(self, file: Path) -> tuple[int, str]:
        """Give a file a name in `.incoming` as well.

        Returns:
            a descriptor of it, open for reading, and the name.

        Raises:
            OSError: it cannot have one, since it lies in another file system, or links are not allowed.
        """
        while True:
            name = f"{self._prefix}{next(self._names):x}"
            try:
                self._disk.link(file, name, dst_dir_fd=self.incoming_fd, follow_symlinks=False)
                break
            except FileExistsError:
                continue
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            return self._disk.open(name, flags, dir_fd=self.incoming_fd), name
        except OSError:
            self._disk.unlink(name, dir_fd=self.incoming_fd)
            raise

    def probe(self) -> None:
        """Write, sync and remove a small file.

        Raises:
            OSError: one of the three failed.
        """
        fd, name = self.new_temporary()
        try:
            self._disk.write(fd, b"probe")
            self._disk.fsync(fd)
        finally:
            self._disk.close(fd)
            self._disk.unlink(name, dir_fd=self.incoming_fd)

    def clear_journal(self, prefix: str, *, keep_published: bool) -> Repair:
        """Remove what was never acknowledged, and the journal entries of what is in its place.

        Args:
            prefix: of the names; see `prefix_of`. Nobody makes such names any more.
            keep_published: as in `open`.

        Raises:
            OSError: it cannot be read or changed.
        """
        published = unfinished = 0
        # A name that was about to replace another counts as a link of its file: it goes first.
        for name in sorted(self.journal(prefix), key=lambda name: not name.endswith(REPLACING)):
            if self._is_published(name):
                if keep_published:
                    continue
                published += 1
            elif not name.endswith((REPLACING, CLAIM)):
                unfinished += 1
            os.unlink(name, dir_fd=self.incoming_fd)
        return Repair(published, unfinished)

    def journal(self, prefix: str = "") -> list[str]:
        """The names in `.incoming`, or those of them that begin with `prefix`."""
        with os.scandir(self.incoming_fd) as entries:
            return [
                entry.name
                for entry in entries
                if entry.name.startswith(prefix) and entry.is_file(follow_symlinks=False)
            ]

    def claimed(self, name: str) -> str:
        """The path that a claim of the journal stands for, relative to the data directory; empty for none.

        Raises:
            OSError: it cannot be read.
        """
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.incoming_fd)
        try:
            path = os.read(fd, 1024).decode("latin-1")
        finally:
            os.close(fd)
        return path if uids_of_path(path) else ""

    def _is_published(self, name: str) -> bool:
        if name.endswith(REPLACING):
            return False
        if not name.endswith(CLAIM):
            status = os.stat(name, dir_fd=self.incoming_fd)
            return status.st_nlink > 1 and status.st_size > 0
        try:
            path = self.claimed(name)
            os.stat(path, dir_fd=self.root_fd)
        except OSError:
            return False
        return True

    def _has_hard_links(self) -> bool:
        try:
            fd, name = self.new_temporary()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                return True  # a full disk is no reason not to start; nearly every file system has them
            raise
        os.close(fd)
        second = f"{name}.link"
        try:
            self._disk.link(name, second, src_dir_fd=self.incoming_fd, dst_dir_fd=self.incoming_fd)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            return False
        else:
            os.unlink(second, dir_fd=self.incoming_fd)
            return True
        finally:
            os.unlink(name, dir_fd=self.incoming_fd)


def prefix_of(process: int) -> str:
    """What the names of a process's temporary files begin with; claims are under names that any process makes."""
    return f"{process:x}-"


def _make(path: Path) -> bool:
    """Make a directory and what is missing above it, synced into their parents; False if it is there."""
    if path.is_dir():
        return False
    _make(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return True


def _exists(process: str) -> bool:
    """Whether there is a process of a number; true for what is no number, of which nothing is known."""
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True
    return True


def _lock(place: Path, root_fd: int) -> int:
    fd = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=root_fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(fd, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        who = f"another server, process {holder}: stop that one"
        if not _exists(holder):
            who = (
                f"a process of another server that has ended (its number was {holder}): `fuser {place / _LOCK}` says "
                "which; end that one"
            )
        raise DataDirectoryInUse(
            f"the data directory {place} is used by {who}, or give this one another directory"
        ) from error
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # the lock holds without the process id in it
            os.close(fd)
            raise
    return fd
