"""Makes publications durable in batches, and only then lets their results go.

`process`: what is published survives the death of this process; nothing is synced. `power`: every file is
synced before it gets its place, and each distinct directory once afterwards, so that what was acknowledged
survives the loss of power. While one batch is being committed the next one gathers, so that batches are as
large as the load and nothing waits for a timer. No asyncio here.

An error of a sync is final (the kernel may have dropped the pages and forgotten about it): that instance
fails, and the volume takes nothing new until it has proved itself.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import Protocol, TypeAlias, TypeVar

from services.archive.data_directory import DataDirectory
from services.archive.disk import Disk
from services.archive.errors import (
    ArchiveError,
    NotIndexed,
    NotRecordable,
    OutOfStorage,
    StorageError,
    cause_of,
    storage_error,
)
from services.archive.index.entry import Indexable, Recorded, Result
from services.archive.publish import Outcome, Publication, Publisher
from services.archive.volume import Volume

LARGEST_BATCH = 64

_SYNC_THREADS = 4
_KNOWN_DIRECTORIES = 4096

_STORED = (Outcome.STORED, Outcome.REPLACED, Outcome.DUPLICATE_EQUAL)

_Item = TypeVar("_Item")

Record: TypeAlias = Callable[[Sequence[Indexable]], Sequence[Result]]
"""Has published instances recorded; see `Committer`."""


class RecordLater(Protocol):
    """Does the same for the event loop, which does not wait."""

    def submit(
        self, batch: Sequence[Indexable], done: Callable[[Sequence[Result] | Exception], None]
    ) -> None:
        """Have a batch recorded; `done` is told once what became of each, or why nobody knows."""
        ...

    def finish(self) -> None:
        """Wait for what is under way; nothing more will be submitted. Blocks."""
        ...


class Durability(StrEnum):
    """What an acknowledged instance survives."""

    PROCESS = "process"
    POWER = "power"


class Committer:
    """Commits publications, either where it is called or in a thread of its own.

    Args:
        directory: where to.
        volume: the file system it lies on.
        disk: the system calls.
        publisher: puts files into their places.
        durability: what is reached before a result is released.
        deliver: takes each batch when its results stand; called in the committer's thread.
        record: told of what a batch stored once that is as durable as it gets, before any journal entry goes and
            any result is released; says what became of each. Here an index commits; what it raises fails the batch
            and leaves the journal entries. Called by one thread at a time.
    """

    def __init__(
        self,
        directory: DataDirectory,
        volume: Volume,
        disk: Disk,
        publisher: Publisher,
        durability: Durability,
        deliver: Callable[[Sequence[Publication]], None],
        record: Record | None = None,
    ) -> None:
        self.durability = durability
        self._directory = directory
        self._volume = volume
        self._disk = disk
        self._publisher = publisher
        self._deliver = deliver
        self._record = record
        # The loop's thread commits at `process`, and ours what it compares.
        self._recording = threading.Lock()
        self._queue: SimpleQueue[Publication | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._syncers: ThreadPoolExecutor | None = None
        self._synced: OrderedDict[str, None] = OrderedDict()  # directories whose parents have been synced

    def try_publish(self, batch: Sequence[Publication]) -> tuple[list[Publication], list[Publication]]:
        """Publish at `process`, here and now, what takes microseconds.

        Returns:
            those that are published or have failed: `conclude` them; and those for which there is something to compare
            with: `submit` them.
        """
        published, left = [], []
        for publication in batch:
            try:
                if not self._publisher.try_publish(publication):
                    left.append(publication)
                    continue
            except (OSError, ArchiveError) as error:
                publication.error = _error_of(publication, error)
            published.append(publication)
        return published, left

    def conclude(self, batch: Sequence[Publication]) -> None:
        """Have a batch recorded that is published; then its results stand. Never raises."""
        stored = to_record(batch)
        if self._record is None or not stored:
            self.settle(batch, stored, ())
            return
        try:
            with self._recording:
                results = self._record(stored)
        except Exception as error:
            self.settle(batch, stored, error)
        else:
            self.settle(batch, stored, results)

    def settle(
        self,
        batch: Sequence[Publication],
        stored: Sequence[Publication],
        outcome: Sequence[Result] | Exception,
    ) -> None:
        """Give a batch its results. Never raises.

        Args:
            batch: published, as durable as it gets.
            stored: those of it that were told to the index.
            outcome: what became of each of these; empty where there is no index; or why nobody knows.
        """
        if isinstance(outcome, Exception):
            # Whether it was recorded is unknown: the journal entries stay for the next start.
            for publication in stored:
                publication.error = NotIndexed(
                    f"the index could not take the instance: {cause_of(outcome)} ({publication.path})"
                )
                publication.error.__cause__ = outcome
                self._publisher.close(publication)
        else:
            for publication, result in zip(stored, outcome, strict=False):
                if result is Recorded.ELSEWHERE:
                    self._publisher.withdraw(publication)
                elif isinstance(result, NotRecordable):
                    self._publisher.withdraw(publication)
                    publication.error = result
        for publication in batch:
            if publication.fd >= 0:
                self._publisher.release(publication)

    def submit(self, publication: Publication) -> None:
        """Commit in the thread; `deliver` gets it in a batch."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
            self._thread.start()
        self._queue.put(publication)

    def close(self) -> None:
        """Commit everything submitted, deliver it, and end the threads."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        if self._syncers is not None:
            self._syncers.shutdown()
            self._syncers = None

    def commit(self, batch: Sequence[Publication]) -> None:
        """Commit a batch at this durability; afterwards each has an outcome or an error. Never raises."""
        if self.durability is Durability.POWER:
            self._each(self._sync_file, batch)
        for publication in batch:
            if publication.error is None:
                self._publish(publication)
        if self.durability is Durability.POWER:
            self._sync_duplicates(batch)
            self._sync_directories(batch)
        self.conclude(batch)

    def _run(self) -> None:
        while batch := self._take():
            try:
                self.commit(batch)
            except Exception as error:
                for publication in batch:
                    publication.error = publication.error or StorageError(f"the commit failed: {error!r}")
                    publication.error.__cause__ = error
            self._deliver(batch)

    def _take(self) -> list[Publication]:
        """What has arrived, at least one; empty when there will be no more."""
        first = self._queue.get()
        if first is None:
            return []
        batch = [first]
        while len(batch) < LARGEST_BATCH:
            try:
                following = self._queue.get_nowait()
            except Empty:
                break
            if following is None:
                self._queue.put(None)
                break
            batch.append(following)
        return batch

    def _each(self, work: Callable[[_Item], None], items: Sequence[_Item]) -> None:
        """Do something with each item, a few at a time."""
        if len(items) == 1:
            work(items[0])
            return
        if self._syncers is None:
            self._syncers = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="sync")
        for _ in self._syncers.map(work, items):
            pass

    def _publish(self, publication: Publication) -> None:
        try:
            self._publisher.publish(publication)
        except (OSError, ArchiveError) as error:
            publication.error = _error_of(publication, error)

    def _sync_file(self, publication: Publication) -> None:
        try:
            self._disk.fdatasync(publication.fd)
        except OSError as error:
            publication.error = self._sync_failed(error, f"sync {publication.path}")

    def _sync_duplicates(self, batch: Sequence[Publication]) -> None:
        """Whoever stored the equal one may have synced nothing, and the answer is a promise all the same."""
        for publication in batch:
            if publication.error is not None or publication.outcome is not Outcome.DUPLICATE_EQUAL:
                continue
            try:
                self._sync_path(publication.path, os.O_RDONLY, self._disk.fdatasync)
            except OSError as error:
                publication.error = self._sync_failed(error, f"sync {publication.path}")

    def _sync_directories(self, batch: Sequence[Publication]) -> None:
        """Sync each distinct directory once, and the parents of those not met before.

        Parents are synced even if they were there already: who made them may have been stopped before
        syncing.
        """
        kept = (Outcome.DUPLICATE_DIFFERENT, Outcome.REJECTED)
        changed = [p for p in batch if p.error is None and p.outcome not in kept]
        if not changed:
            return
        for publication in changed:
            if publication.made_directory:
                self._synced.pop(publication.directory, None)
        directories = {publication.directory for publication in changed}
        new = {directory for directory in directories if directory not in self._synced}
        parents = {directory.rpartition("/")[0] for directory in new}
        failed = self._sync_all([*directories, *parents, *(["."] if new else [])])
        for publication in changed:
            directory = publication.directory
            for place in (directory, directory.rpartition("/")[0], "."):
                if place in failed:
                    publication.error = publication.error or failed[place]
        self._remember(directories, bool(failed))

    def _remember(self, directories: Iterable[str], failed: bool) -> None:
        for directory in directories:
            self._synced.pop(directory, None)
            if not failed:
                self._synced[directory] = None
        while len(self._synced) > _KNOWN_DIRECTORIES:
            self._synced.popitem(last=False)

    def _sync_all(self, directories: Sequence[str]) -> dict[str, ArchiveError]:
        """Sync directories, and say which failed."""
        failed: dict[str, ArchiveError] = {}

        def sync(directory: str) -> None:
            try:
                self._sync_path(directory, os.O_RDONLY | os.O_DIRECTORY, self._disk.fsync)
            except OSError as error:
                failed[directory] = self._sync_failed(error, f"sync the directory {directory}")

        self._each(sync, directories)
        return failed

    def _sync_path(self, path: str, flags: int, sync: Callable[[int], None]) -> None:
        fd = self._disk.open(path, flags | os.O_CLOEXEC, dir_fd=self._directory.root_fd)
        try:
            sync(fd)
        finally:
            self._disk.close(fd)

    def _sync_failed(self, error: OSError, doing: str) -> ArchiveError:
        failure = storage_error(error, doing)
        if isinstance(failure, OutOfStorage):
            return failure
        self._volume.mark_suspect(str(failure))
        return StorageError(
            f"{failure}; {self._directory.path} takes nothing new until a probe succeeds "
            "or the server is restarted"
        )


def to_record(batch: Sequence[Publication]) -> list[Publication]:
    """Those of a published batch that the index has to know."""
    return [p for p in batch if p.error is None and p.outcome in _STORED]


def _error_of(publication: Publication, error: OSError | ArchiveError) -> ArchiveError:
    return storage_error(error, f"publish {publication.path}") if isinstance(error, OSError) else error
