"""Takes files that lie somewhere else into an archive, the way instances come from the network.

What was taken before is found by its place and its bytes and skipped, so that an import that was interrupted is begun
again where it ended. Several files are under way at once, and are committed together.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from services.archive.archive import Archive
from services.archive.errors import ArchiveError, OutOfStorage, StorageError
from services.archive.layouts import LayoutMemory
from services.archive.publish import Outcome
from services.archive.rescan import Rescanned, rescan

_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"  # the SOP class of a DICOMDIR
_UNDER_WAY = 16  # files
_STALLED = 300.0  # seconds
_READ_AT_ONCE = 1 << 20  # bytes
_PREAMBLE_LENGTH = 128


class How(StrEnum):
    """How a file comes into the archive.

    Attributes:
        COPY: the original stays as it is.
        LINK: the original gets a second name, where both lie in one file system; else it is copied.
        MOVE: copied, and the original is removed once it is stored.
    """

    COPY = "copy"
    LINK = "link"
    MOVE = "move"


class Kind(StrEnum):
    """What became of a file.

    Attributes:
        STORED: it is in the archive now.
        THERE: it was there already, the same.
        DIFFERENT: another instance has its UID, and stays.
        SKIPPED: no DICOM file, or a DICOMDIR.
        FAILED: it is damaged, or could not be read or stored.
    """

    STORED = "stored"
    THERE = "there"
    DIFFERENT = "different"
    SKIPPED = "skipped"
    FAILED = "failed"


class Result(Struct, frozen=True):
    """What became of one file, and why where that needs a word."""

    file: Path
    kind: Kind
    text: str = ""


class ImportRefused(ArchiveError):
    """Files that cannot be imported as a whole."""


def files_in(folder: Path, data_directory: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Every regular file of a folder and the folders in it, sorted.

    Args:
        data_directory: of the archive that they are meant for.
        on_error: told of each folder that cannot be read.

    Raises:
        ImportRefused: one of the two lies in the other.
    """
    source, archive = folder.resolve(), data_directory.resolve()
    if source.is_relative_to(archive) or archive.is_relative_to(source):
        raise ImportRefused(
            f"{folder} and the data directory {data_directory} lie in one another: to make the index of files that are "
            "in the archive, reindex"
        )
    for directory, folders, names in os.walk(folder, onerror=on_error):
        folders.sort()
        for name in sorted(names):
            path = Path(directory, name)
            if os.path.isfile(path):  # a pipe would never end
                yield path


async def import_files(
    archive: Archive,
    files: Iterable[Path],
    *,
    how: How = How.COPY,
    on_result: Callable[[Result], None],
) -> None:
    """Take files into an archive.

    Args:
        archive: open.
        files: any files.
        on_result: told what became of each, in no particular order.

    Raises:
        OutOfStorage: the volume is full; what was under way is concluded first.
    """
    importer = _Importer(archive, how)
    rest = iter(files)
    full: list[OutOfStorage] = []

    async def lane() -> None:
        for file in rest:
            if full:
                return
            try:
                result = await importer.take(file)
            except OutOfStorage as error:
                full.append(error)
                return
            on_result(result)

    async with asyncio.TaskGroup() as group:
        for _ in range(_UNDER_WAY):
            group.create_task(lane())
    if full:
        raise full[0]


class _Importer:
    """Takes one file after another."""

    def __init__(self, archive: Archive, how: How) -> None:
        self._archive = archive
        self._how = how
        self._layouts = LayoutMemory()

    async def take(self, file: Path) -> Result:
        """Take a file.

        Raises:
            OutOfStorage: there is no room.
        """
        try:
            result = await self._take(file)
            if self._how is How.MOVE and result.kind in (Kind.STORED, Kind.THERE):
                os.unlink(file)
        except OutOfStorage:
            raise
        except ArchiveError as error:
            return Result(file, Kind.FAILED, str(error))
        except OSError as error:
            return Result(file, Kind.FAILED, error.strerror or str(error))
        return result

    async def _take(self, file: Path) -> Result:
        with file.open("rb") as opened:
            head = opened.read(132)
            if head[_PREAMBLE_LENGTH:] != b"DICM":
                return Result(file, Kind.SKIPPED, "no DICOM file")
            instance = self._rescan(file)
            if instance is None:
                return Result(file, Kind.SKIPPED, "a DICOMDIR, which lists files")
            # Before an original goes, the stored one is made durable and recorded again.
            if self._how is not How.MOVE and self._is_there(instance, opened):
                return Result(file, Kind.THERE)
            # A file that is something else as well is not taken as it is.
            plain = not (any(head[:_PREAMBLE_LENGTH]) or instance.truncated or instance.mismatched)
            if self._how is How.LINK and plain:
                try:
                    stored = await self._archive.adopt(file, instance)
                except OSError:
                    stored = None
                if stored is not None:
                    return _result(file, stored.outcome)
            return _result(file, await self._copy(instance, opened))

    def _rescan(self, file: Path) -> Rescanned | None:
        """What a file holds; None for a DICOMDIR."""
        from services.archive.part10 import read_file_header

        with file.open("rb") as opened:
            if read_file_header(opened).sop_class_uid == _MEDIA_STORAGE_DIRECTORY:
                return None
        return rescan(file.resolve(), layouts=self._layouts)

    def _is_there(self, instance: Rescanned, opened: BinaryIO) -> bool:
        """Whether the archive has the same data set in the same transfer syntax."""
        place = self._archive.path / instance.path
        try:
            there = rescan(place, layouts=self._layouts)
            stored = place.open("rb")
        except (ArchiveError, OSError):
            return False
        with stored:
            if (there.size, there.transfer_syntax_uid) != (instance.size, instance.transfer_syntax_uid):
                return False
            opened.seek(instance.data_set_offset)
            stored.seek(there.data_set_offset)
            return _same(opened, stored)

    async def _copy(self, instance: Rescanned, opened: BinaryIO) -> Outcome:
        may_go_on = asyncio.Event()
        may_go_on.set()
        incoming = self._archive.receive(
            instance.sop_class_uid,
            instance.sop_instance_uid,
            instance.transfer_syntax_uid,
            source_ae_title="",
            pause=may_go_on.clear,
            resume=may_go_on.set,
        )
        try:
            opened.seek(instance.data_set_offset)
            while chunk := opened.read(_READ_AT_ONCE):
                await _disk(may_go_on)
                incoming.write(memoryview(chunk))
        except BaseException:
            incoming.discard()
            raise
        return (await self._archive.commit(incoming)).outcome


async def _disk(may_go_on: asyncio.Event) -> None:
    """Wait until the disk takes more."""
    try:
        async with asyncio.timeout(_STALLED):
            await may_go_on.wait()
    except TimeoutError as error:
        raise StorageError(f"the disk of the archive has taken nothing for {_STALLED:g} s") from error


def _result(file: Path, outcome: Outcome) -> Result:
    match outcome:
        case Outcome.STORED:
            return Result(file, Kind.STORED)
        case Outcome.REPLACED:
            return Result(file, Kind.STORED, "another one had its UID, and was replaced")
        case Outcome.DUPLICATE_EQUAL:
            return Result(file, Kind.THERE)
        case Outcome.DUPLICATE_DIFFERENT | Outcome.REJECTED:
            return Result(file, Kind.DIFFERENT, "another instance is stored under its SOP Instance UID")


def _same(first: BinaryIO, second: BinaryIO) -> bool:
    while True:
        one, other = first.read(_READ_AT_ONCE), second.read(_READ_AT_ONCE)
        if one != other:
            return False
        if not one:
            return True
