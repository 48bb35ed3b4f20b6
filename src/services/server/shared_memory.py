"""What the processes of one server know of each other: memory that all of them see.

The supervisor makes it, and each worker is handed its descriptor. A process that dies loses nothing of what stands
here, so that the supervisor can count what it did, and give back what it held.
"""

import fcntl
import mmap
import os
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

from services.server.config import Config
from services.server.statistics import NUMBERS, Statistics

_KEY = 16
"""Bytes of a key: an AE title as it is, anything else as a hash."""

_NUMBERS = 1 + NUMBERS
"""Of each worker: its ended connections, and its statistics."""

_NUMBER = 8


class Places:
    """As many places as something may be taken at one time, each free or somebody's.

    Args:
        memory: shared; a byte for each place begins at `start`.
        start: in bytes.
        count: of the places.
        lock: held while one is taken.
        owner: who takes here, 1 to 255.
    """

    def __init__(self, memory: mmap.mmap, start: int, count: int, lock: "Lock", owner: int) -> None:
        self._memory = memory
        self._start, self._stop = start, start + count
        self._lock = lock
        self._owner = owner

    def take(self) -> int | None:
        """Take a place; None where all are taken."""
        with self._lock.held():
            return self._take()

    def give_back(self, place: int) -> None:
        """Somebody may have the place now."""
        self._memory[self._start + place] = 0

    def taken_by(self, owner: int) -> list[int]:
        """The places that one owner has."""
        column = self._memory[self._start : self._stop]
        return [place for place, who in enumerate(column) if who == owner]

    def give_back_all_of(self, owner: int) -> None:
        """Free what a process that has ended had."""
        for place in self.taken_by(owner):
            self.give_back(place)

    def _take(self) -> int | None:
        at = self._memory.find(b"\0", self._start, self._stop)
        if at < 0:
            return None
        self._memory[at] = self._owner
        return at - self._start


class OpenAssociations(Places):
    """The associations that are open in all processes: how many, and how many of one caller or one address.

    Behind the owners of the places stand two more columns: who calls, and from where.
    """

    def __init__(self, memory: mmap.mmap, start: int, count: int, lock: "Lock", owner: int) -> None:
        super().__init__(memory, start, count, lock, owner)
        self._callers = self._stop
        self._addresses = self._callers + count * _KEY
        self._count = count

    @staticmethod
    def size(count: int) -> int:
        """Bytes of memory that so many associations need."""
        return count * (1 + _KEY + _KEY)

    def admit(
        self, caller: str, address: str, *, per_caller: int | None = None, per_address: int | None = None
    ) -> int | None:
        """Take a place for an association, unless one of the limits is reached.

        Args:
            caller: its calling AE title, without padding.
            address: of its peer, without a port.
            per_caller: most associations of one calling AE title; None is off.
            per_address: most associations from one address; None is off.
        """
        by_caller, by_address = _caller_key(caller), _address_key(address)
        with self._lock.held():
            if per_caller is not None and self._count_of(by_caller, self._callers, per_caller) >= per_caller:
                return None
            if (
                per_address is not None
                and self._count_of(by_address, self._addresses, per_address) >= per_address
            ):
                return None
            place = self._take()
            if place is not None:
                self._write(place, by_caller, by_address)
            return place

    def give_back(self, place: int) -> None:
        self._write(place, bytes(_KEY), bytes(_KEY))
        super().give_back(place)

    def _write(self, place: int, by_caller: bytes, by_address: bytes) -> None:
        for column, key in ((self._callers, by_caller), (self._addresses, by_address)):
            at = column + place * _KEY
            self._memory[at : at + _KEY] = key

    def _count_of(self, key: bytes, column: int, enough: int) -> int:
        """How often a key stands in a column; no further than `enough`."""
        found, at, stop = 0, column - 1, column + self._count * _KEY
        while found < enough and (at := self._memory.find(key, at + 1, stop)) >= 0:
            found += (at - column) % _KEY == 0  # two neighbours may look like a third
        return found


class Lock:
    """Held by one process at a time; the kernel lets go of it for a process that dies.

    Args:
        fd: of a file that all of them have opened; None where there is one process only.
    """

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for it, for as long as another process needs for a few instructions."""
        if self._fd is None:
            yield
            return
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)


class WorkerNumbers:
    """What one worker counts.

    Args:
        cells: of shared memory.
    """

    def __init__(self, cells: "memoryview[int]") -> None:
        self._cells = cells

    @property
    def ended(self) -> int:
        """Of the connections it was given, how many are closed."""
        return self._cells[0]

    @ended.setter
    def ended(self, count: int) -> None:
        self._cells[0] = count

    @property
    def statistics(self) -> Statistics:
        """As they were written last."""
        return Statistics.of_numbers(self._cells[1:])

    @statistics.setter
    def statistics(self, statistics: Statistics) -> None:
        self._cells[1:] = array("q", statistics.numbers())

    def clear(self) -> None:
        """Begin with zeros again."""
        self._cells[:] = array("q", bytes(self._cells.nbytes))


class SharedMemory:
    """The memory itself, as one process sees it.

    Args:
        config: how many workers, associations and C-MOVEs there may be; the same for all that share it.
        fd: of the file behind it (`make_file`); None where there is one process only.
        owner: who looks: a worker, 1 to the last; 0 is the supervisor.

    Attributes:
        associations: the open ones.
        moves: C-MOVEs under way.
    """

    def __init__(self, config: Config, fd: int | None = None, *, owner: int = 1) -> None:
        of_numbers = config.workers * _NUMBERS * _NUMBER
        most = config.max_concurrent_connections
        moves_at = of_numbers + OpenAssociations.size(most)
        size = moves_at + config.retrieve.moves
        if fd is not None and os.fstat(fd).st_size < size:
            os.truncate(fd, size)
        self._memory = mmap.mmap(-1 if fd is None else fd, size)
        self._view = memoryview(self._memory)[:of_numbers].cast("q")
        lock = Lock(fd)
        self.associations = OpenAssociations(self._memory, of_numbers, most, lock, owner)
        self.moves = Places(self._memory, moves_at, config.retrieve.moves, lock, owner)

    def numbers_of(self, worker: int) -> "WorkerNumbers":
        """What a worker, 1 to the last, has counted; it alone writes there."""
        return WorkerNumbers(self._view[(worker - 1) * _NUMBERS : worker * _NUMBERS])

    def has_ended(self, worker: int) -> None:
        """Free what a worker held, and begin its numbers anew."""
        self.numbers_of(worker).clear()
        self.associations.give_back_all_of(worker)
        self.moves.give_back_all_of(worker)


def make_file() -> int:
    """A file without a name, for `SharedMemory`; the descriptor is the caller's to close.

    Raises:
        OSError: it cannot be made.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create("dicom-server")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _caller_key(caller: str) -> bytes:
    key = caller.encode("utf-8", "surrogateescape").ljust(_KEY)
    return key if len(key) == _KEY else blake2b(key, digest_size=_KEY).digest()


def _address_key(address: str) -> bytes:
    return blake2b(address.encode("utf-8", "surrogateescape"), digest_size=_KEY).digest()
