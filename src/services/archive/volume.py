"""The disk under a data directory: is it quick, has it room, can it be trusted?

Writes into the page cache are quicker than handing them to a thread, so they are made where the data arrives,
and timed. After a slow one the writes of this volume go to a thread, in order, until they are quick again:
whoever waits for a stalled disk, it is not the others. An error of a sync makes the volume suspect, because
the kernel may have dropped what it could not write: it takes nothing new until a write and sync of its own
succeeds. No asyncio here.
"""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from services.archive.disk import Disk
from services.archive.errors import OutOfStorage, StorageError

SLOW_WRITE = 0.005
"""Seconds. A write that takes longer sends the next ones to the thread."""

CALM = 0.25
"""Seconds without a slow write before writes are made inline again."""

_QUICK_WRITES = 8  # ... and as many quick ones in a row
_QUEUE_LIMIT = 64 << 20  # bytes waiting for the thread, of all instances; above it every writer is paused
_SPACE_INTERVAL = 1.0  # seconds between two looks at the free space
_PROBE_INTERVAL = 5.0  # seconds between two probes of a suspect volume


class Volume:
    """One file system that is written to.

    Args:
        name: how a person knows it, for error texts.
        fd: any descriptor on it.
        disk: the system calls.
        reserve: bytes that stay free; nothing new is taken below.
        probe: writes and syncs something on the volume, raises OSError when that fails; called in the thread.
        clock: seconds, monotonic.

    Attributes:
        stalled: writes go to the thread now.
        stalls: how often that began.
        suspect: why the volume is not trusted, or empty.
        queued: bytes waiting for the thread.
    """

    def __init__(
        self,
        name: str,
        fd: int,
        disk: Disk,
        *,
        reserve: int,
        probe: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stalled = False
        self.stalls = 0
        self.suspect = ""
        self.queued = 0
        self.clock = clock
        self.lock = threading.Lock()
        self._name = name
        self._fd = fd
        self._disk = disk
        self._reserve = reserve
        self._probe = probe
        self._jobs: SimpleQueue[tuple[Callable[[], None], int] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._quick = 0
        self._last_slow = 0.0
        self._space_checked = float("-inf")
        self._free = 0
        self._probed = float("-inf")

    @property
    def crowded(self) -> bool:
        """More bytes wait for the thread than should."""
        return self.queued > _QUEUE_LIMIT

    def took(self, started: float) -> None:
        """Judge an inline write by the clock before it."""
        now = self.clock()
        if now - started > SLOW_WRITE:
            with self.lock:
                self._slow(now)

    def submit(self, job: Callable[[], None], size: int = 0) -> None:
        """Have the thread do something after all that was submitted before. Call it from one thread only.

        Args:
            job: must not raise.
            size: bytes it writes; 0 for anything but a write.
        """
        with self.lock:
            self.queued += size
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"writer {self._name}", daemon=True)
            self._thread.start()
        self._jobs.put((job, size))

    def mark_suspect(self, why: str) -> None:
        """Take nothing new from now on; `why` is a sentence for a person."""
        self.suspect = why
        self._probed = self.clock()

    def admit(self) -> None:
        """Say whether a new instance may begin. Cheap: looks at the disk at most once a second.

        Raises:
            StorageError: the volume is suspect. Every few seconds one such refusal starts a probe.
            OutOfStorage: less than the reserve is free, or no inode is.
        """
        if self.suspect:
            self._probe_if_due()
            raise StorageError(
                f"{self._name} takes nothing new since a sync failed ({self.suspect}); "
                "it does again after a successful probe or a restart: check the disk"
            )
        now = self.clock()
        if now - self._space_checked >= _SPACE_INTERVAL and not self.stalled:
            self._space_checked = now
            self._free = self._usable()
        if self._free < self._reserve:
            raise OutOfStorage(
                f"{self._name} has {self._free} bytes free and keeps a reserve of {self._reserve}: make room"
            )

    def close(self) -> None:
        """Wait for everything submitted, and end the thread."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _usable(self) -> int:
        try:
            state = self._disk.statvfs(self._fd)
        except OSError as error:
            raise StorageError(f"could not ask {self._name} for its free space: {error.strerror}") from error
        no_inode = state.f_files > 0 and state.f_favail == 0  # a file system without fixed inodes says 0 of 0
        return -1 if no_inode else state.f_bavail * state.f_frsize

    def _slow(self, now: float) -> None:
        self._last_slow = now
        self._quick = 0
        if not self.stalled:
            self.stalls += 1
            self.stalled = True

    def _run(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, size = entry
            started = self.clock()
            job()
            now = self.clock()
            with self.lock:
                self.queued -= size
                if now - started > SLOW_WRITE:
                    self._slow(now)
                elif size:
                    self._quick += 1
                    if self._quick >= _QUICK_WRITES and now - self._last_slow >= CALM and not self.queued:
                        self.stalled = False

    def _probe_if_due(self) -> None:
        now = self.clock()
        if now - self._probed >= _PROBE_INTERVAL:
            self._probed = now
            self.submit(self._try_probe)

    def _try_probe(self) -> None:
        try:
            self._probe()
        except OSError as error:
            self.suspect = f"{self.suspect.partition('; ')[0]}; the last probe failed too: {error.strerror}"
        else:
            self.suspect = ""
