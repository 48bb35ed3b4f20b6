"""Opens a data directory with its index: locked, brought together, and ready to take instances."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from services.archive.archive import Archive
from services.archive.data_directory import DataDirectory
from services.archive.disk import Disk
from services.archive.identity import check_identity
from services.archive.index.damage import is_damage
from services.archive.index.index import Index
from services.archive.paths import uids_of_path
from services.archive.recovery import journalled, recover
from services.archive.uids import valid_uid


class Opened(Struct, frozen=True):
    """An archive, and its index where it has one."""

    archive: Archive
    index: Index | None

    def close(self) -> None:
        """Finish what is being committed, and let both go. Blocks."""
        self.archive.close()
        if self.index is not None:
            self.index.close()


def open_with_index(path: Path, database_url: str | None, *, durability: str, **options: Any) -> Opened:
    """Open an archive and its index, and record what an earlier server had published and perhaps not recorded. Blocks.

    Args:
        path: the data directory; made if it is absent.
        database_url: where the index is; empty for `index.db` in the data directory, None for no index.
        durability: of both.
        options: further arguments of `Archive.open`.

    Raises:
        ArchiveError: another server uses the directory, it cannot be used, or the index cannot.
    """
    directory, index = bring_together(path, database_url, durability=durability, disk=options.get("disk"))
    try:
        if index is None:
            return Opened(Archive.open(directory, durability=durability, **options), None)
        archive = Archive.open(
            directory,
            durability=durability,
            record=index.writer.record,
            records_inline=index.database.is_sqlite,
            **options,
        )
        return Opened(archive, index)
    except BaseException:
        if index is not None:
            index.close()
        directory.close()
        raise


def bring_together(
    path: Path, database_url: str | None, *, durability: str, disk: Disk | None = None
) -> tuple[DataDirectory, Index | None]:
    """Lock a data directory, open its index, and repair both; the arguments are those of `open_with_index`. Blocks.

    The lock on the data directory comes first, so that a second server learns of the first and not of a busy database;
    the index second, since only it knows which of the instances in the journal were acknowledged.

    Raises:
        ArchiveError: as `open_with_index`.
    """
    directory = DataDirectory.open(path, disk=disk, keep_published=database_url is not None)
    index = None
    try:
        if database_url is not None:
            index = Index.open(database_url, directory.path, durability=durability)
            check_identity(directory, index.database)
            _repair(directory, index)
    except BaseException as error:
        if index is not None:
            index.close()
        directory.close()
        if index is not None and isinstance(error, Exception) and is_damage(error):
            raise index.database.failure("cannot be used", error) from error
        raise
    return directory, index


def _repair(directory: DataDirectory, index: Index) -> None:
    """Record what is in the journal, and look for images that an empty index has lost."""
    index.writer.connect()
    # What a first server, killed over its first images, had not recorded yet is in the journal: that is no loss.
    lost = _any_file(directory.path, besides=journalled(directory)) if index.is_empty() else ""
    directory.repair = replace(recover(directory, index.writer.record), unindexed=lost)


def _any_file(root: Path, *, besides: Collection[str]) -> str:
    """The path of the first instance that is come upon, relative to the data directory; empty for none.

    Nothing is sorted, and nothing read beyond that file: the directory may hold millions.
    """
    for study in _directories(root):
        for series in _directories(root / study):
            for name in _names(root / study / series):
                path = f"{study}/{series}/{name}"
                if path not in besides and uids_of_path(path) is not None:
                    return path
    return ""


def _directories(place: Path) -> Iterator[str]:
    return (name for name in _names(place) if valid_uid(name) and (place / name).is_dir())


def _names(place: Path) -> Iterator[str]:
    """The names in a directory, as they come; none where it cannot be read."""
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                yield entry.name
    except OSError:
        return
