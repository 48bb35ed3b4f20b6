"""Who waits for which publication: those that end in one turn of the event loop are committed together.

At `process` they are committed in the loop, which takes microseconds; what has to be compared, and everything at
`power`, goes to the committer's thread. Everything here is used from one event loop at a time.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from services.archive.committer import Committer, Durability, Record, RecordLater, to_record
from services.archive.data_directory import DataDirectory
from services.archive.disk import Disk
from services.archive.index.entry import Result
from services.archive.publish import Outcome, Publication, Publisher
from services.archive.volume import Volume

_COMMITTED_AT_ONCE = 16  # instances whose commit the event loop waits for: one or two milliseconds


class Statistics(Struct):
    """What an archive has done since it was opened; plain counts, except `bytes_stored`."""

    instances_stored: int = 0
    bytes_stored: int = 0
    replaced: int = 0
    duplicates_equal: int = 0
    duplicates_different: int = 0
    rejected: int = 0
    refused: int = 0


class Commits:
    """The publications under way.

    Args:
        directory: where to.
        volume: the file system it lies on; while it is stalled nothing is committed in the loop.
        disk: the system calls.
        publisher: puts files into their places.
        durability: what is reached before `publish` returns.
        statistics: counted up.
        record: see `Committer`.
        records_inline: `record` takes microseconds at `process`.
        record_later: does what `record` does, at `process` and for the loop's thread; finished in the end.
    """

    def __init__(
        self,
        directory: DataDirectory,
        volume: Volume,
        disk: Disk,
        publisher: Publisher,
        durability: Durability,
        statistics: Statistics,
        *,
        record: Record | None,
        records_inline: bool,
        record_later: RecordLater | None,
    ) -> None:
        self._committer = Committer(directory, volume, disk, publisher, durability, self._deliver, record)
        self._volume = volume
        self._statistics = statistics
        self._here = durability is Durability.PROCESS and (records_inline or record_later is not None)
        self._record_later = record_later
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[Publication, asyncio.Future[None]] = {}
        self._gathered: list[Publication] = []

    async def publish(self, publication: Publication, *, alone: bool) -> None:
        """Publish and record; afterwards it has an outcome or an error.

        Args:
            publication: checked, and nothing writes to its file any more.
            alone: nobody else is about to finish, so that there is nothing to wait for.
        """
        here = self._here and not self._volume.stalled
        if here and alone and not self._gathered and self._record_later is None:
            if not self._commit_here((publication,)):
                return
            here = False  # it has to be compared
        self._loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting[publication] = done
        if here:
            self._gathered.append(publication)
            if len(self._gathered) == 1:
                self._loop.call_soon(self._commit_gathered)
        else:
            self._committer.submit(publication)
        await done

    def close(self) -> None:
        """Finish what is under way. Blocks."""
        self._commit_gathered()
        if self._record_later is not None:
            self._record_later.finish()
        self._committer.close()

    def _commit_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        while gathered:
            batch, gathered = gathered[:_COMMITTED_AT_ONCE], gathered[_COMMITTED_AT_ONCE:]
            for publication in batch if self._volume.stalled else self._commit_here(batch):
                self._committer.submit(publication)

    def _commit_here(self, batch: Sequence[Publication]) -> Sequence[Publication]:
        """Commit in this thread; returns those that a thread has to compare with what is stored."""
        started = self._volume.clock()
        published, left = self._committer.try_publish(batch)
        if self._record_later is not None:
            self._volume.took(started)
            self._conclude_later(published)
            return left
        self._committer.conclude(published)
        self._volume.took(started)
        self._release(published)
        return left

    def _conclude_later(self, batch: Sequence[Publication]) -> None:
        stored = to_record(batch)

        def settle(outcome: Sequence[Result] | Exception) -> None:
            self._committer.settle(batch, stored, outcome)
            self._release(batch)

        if stored and self._record_later is not None:
            self._record_later.submit(stored, settle)
        else:
            settle(())

    def _count(self, publication: Publication) -> None:
        statistics = self._statistics
        match publication.outcome if publication.error is None else None:
            case Outcome.STORED:
                statistics.instances_stored += 1
                statistics.bytes_stored += publication.size
            case Outcome.REPLACED:
                statistics.replaced += 1
                statistics.bytes_stored += publication.size
            case Outcome.DUPLICATE_EQUAL:
                statistics.duplicates_equal += 1
            case Outcome.DUPLICATE_DIFFERENT:
                statistics.duplicates_different += 1
            case Outcome.REJECTED:
                statistics.rejected += 1
            case None:
                statistics.refused += 1

    def _deliver(self, batch: Sequence[Publication]) -> None:
        """Release in the loop's thread; a loop that has ended waits for nothing."""
        if self._loop is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._release, batch)

    def _release(self, batch: Sequence[Publication]) -> None:
        for publication in batch:
            self._count(publication)
            done = self._waiting.pop(publication, None)
            if done is not None:
                resolve(done)


def resolve(done: asyncio.Future[None]) -> None:
    """End a wait, unless nobody waits any more."""
    if not done.done():
        done.set_result(None)
