"""Brings files and index together again at start, from the journal alone.

An instance is published before it is recorded, and its name in `.incoming` goes after both. So whatever has a name
there and is in its place may lack its row: it is told to the index once more, which changes nothing where the row
is there. An instance whose UID the index holds elsewhere was never acknowledged and leaves its place again. Only then
does the name in `.incoming` go, and when the index cannot be asked, all names stay. What the index does not take for
what its data set says stays in both places and is named at every start, which it does not prevent: a later version, or
another database, may take it. Everything here blocks.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

from msgspec import Struct

from services.archive.committer import Record
from services.archive.data_directory import CLAIM, DataDirectory, Repair, prefix_of
from services.archive.errors import ArchiveError, DataDirectoryError, NotRecordable, cause_of
from services.archive.index.entry import Recorded
from services.archive.rescan import Rescanned, rescan

BATCH = 64
"""Instances recorded in one transaction."""


class _Results(Struct):
    """What became of some instances: how many were taken back, and why the index refused those under some names."""

    taken_back: int = 0
    refused: dict[str, str] = {}


class _Found(Struct, frozen=True):
    """A journal entry whose instance is in its place."""

    name: str
    instance: Rescanned


def recover_process(directory: DataDirectory, process: int, record: Record | None) -> Repair:
    """Do for one process of this server, which has ended, what is done for an earlier server at start.

    Args:
        directory: in use by others.
        process: its id.
        record: as in `recover`; None where there is no index.

    Raises:
        DataDirectoryError: as `recover`.
        OSError: the directory cannot be read or changed.
    """
    prefix = prefix_of(process)
    found = directory.clear_journal(prefix, keep_published=record is not None)
    return found if record is None else recover(directory, record, prefix=prefix, found=found)


def recover(
    directory: DataDirectory, record: Record, *, prefix: str = "", found: Repair | None = None
) -> Repair:
    """Record what an earlier server had published but perhaps not recorded, and clear the journal.

    Args:
        directory: opened with `keep_published`, and not in use yet.
        record: tells the index of instances, all or none; what it raises means that it could not.
        prefix: of the names that nobody uses any more; all by default.
        found: what was cleared before; by default what was when the directory was opened.

    Returns:
        what was found, with what `directory` found when it was opened.

    Raises:
        DataDirectoryError: the index did not take the instances, or they could not be synced; the journal is as it
            was, for the next start.
    """
    unfinished = (found or directory.repair).unfinished
    unreadable, published, elsewhere = list[str](), 0, 0
    names = iter(directory.journal(prefix))
    while batch := list(islice(names, BATCH)):
        in_place = []
        for name in batch:
            try:
                instance = _published(directory, name)
            except (ArchiveError, OSError) as error:
                unreadable.append(f".incoming/{name}: {error}")
                continue
            if instance is not None:
                in_place.append(_Found(name, instance))
                continue
            _forget(directory, name)
            unfinished += not name.endswith(CLAIM)
        results = _record(directory, in_place, record)
        unreadable += [f".incoming/{name}: {why}" for name, why in results.refused.items()]
        published += len(in_place) - len(results.refused)
        elsewhere += results.taken_back
    return Repair(published, unfinished, elsewhere, tuple(unreadable))


def journalled(directory: DataDirectory) -> frozenset[str]:
    """The paths of instances in their places that have a journal entry still; damaged ones are left out."""
    paths = set()
    for name in directory.journal():
        with suppress(ArchiveError, OSError):
            instance = _published(directory, name)
            if instance is not None:
                paths.add(instance.path)
    return frozenset(paths)


def _published(directory: DataDirectory, name: str) -> Rescanned | None:
    """The instance of a journal entry; None where it is not in its place.

    Raises:
        ArchiveError: it is in its place, perhaps, but what it is cannot be read from it.
        OSError: likewise.
    """
    if name.endswith(CLAIM):
        path = directory.claimed(name)
        if not path or not _exists(directory, path):
            return None
        return rescan(path, dir_fd=directory.root_fd, place=path)
    status = os.stat(name, dir_fd=directory.incoming_fd)
    if status.st_nlink == 1 or not status.st_size:
        return None
    instance = rescan(name, dir_fd=directory.incoming_fd)
    try:
        # Another link may be anywhere, and in the place may be another file.
        place = os.stat(instance.path, dir_fd=directory.root_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return instance if os.path.samestat(status, place) else None


def _exists(directory: DataDirectory, path: str) -> bool:
    try:
        os.stat(path, dir_fd=directory.root_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _record(directory: DataDirectory, found: Sequence[_Found], record: Record) -> _Results:
    """Make instances durable, record them, and remove their journal entries but those that the index refuses."""
    done = _Results()
    if not found:
        return done
    instances = [each.instance for each in found]
    try:
        for path in _to_sync(instances):
            _sync(directory, path)
        results = record(instances)
    except Exception as error:
        raise DataDirectoryError(
            f"{len(found)} instances that an earlier server left in {directory.path} could not be recorded: "
            f"{cause_of(error)}; "
            "they wait in .incoming: see that the database of the index can be used, and start again"
        ) from error
    for each, result in zip(found, results, strict=True):
        if isinstance(result, NotRecordable):
            done.refused[each.name] = f"{each.instance.path}: {result}"
            continue
        if result is Recorded.ELSEWHERE:
            os.unlink(each.instance.path, dir_fd=directory.root_fd)
            done.taken_back += 1
        _forget(directory, each.name)
    return done


def _to_sync(instances: Sequence[Rescanned]) -> Iterator[str]:
    """Files, then each of their directories once: no row may outlive the loss of power and its file not."""
    directories: dict[str, None] = {}
    for instance in instances:
        yield instance.path
        series = instance.path.rpartition("/")[0]
        directories[series] = directories[series.rpartition("/")[0]] = None
    yield from directories
    yield "."


def _sync(directory: DataDirectory, path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory.root_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _forget(directory: DataDirectory, name: str) -> None:
    os.unlink(name, dir_fd=directory.incoming_fd)
