"""Opens a data directory with its index: locked, brought together, and ready to take instances."""

from pathlib import Path
from typing import Any

from msgspec import Struct

from services.archive.archive import Archive
from services.archive.data_directory import DataDirectory
from services.archive.disk import Disk
from services.archive.index.index import Index
from services.archive.recovery import recover


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
            index.writer.connect()
            directory.repair = recover(directory, index.writer.record)
    except BaseException:
        if index is not None:
            index.close()
        directory.close()
        raise
    return directory, index
