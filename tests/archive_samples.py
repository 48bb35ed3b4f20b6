"""Data sets and short cuts for the tests of the archive."""

import asyncio
import errno
import os
import struct
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from services.archive.archive import Archive
from services.archive.disk import Disk
from services.archive.part10 import read_file_header
from services.archive.publish import Stored

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
STUDY, SERIES, INSTANCE = "1.2.3", "1.2.3.4", "1.2.3.4.5"
PATH = f"{STUDY}/{SERIES}/{INSTANCE}.dcm"

T = TypeVar("T")


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """One element in Explicit VR Little Endian."""
    value += b"\0" * (len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in (b"OW", b"OB", b"UN"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def data_set(
    instance: str | None = INSTANCE,
    *,
    study: str | None = STUDY,
    series: str | None = SERIES,
    sop_class: str | None = CT_IMAGE_STORAGE,
    pixels: bytes = b"\1\2" * 64,
) -> bytes:
    """A small image; a UID that is None is left out."""
    uids = ((0x00080016, sop_class), (0x00080018, instance), (0x0020000D, study), (0x0020000E, series))
    encoded = [element(tag, b"UI", uid.encode()) for tag, uid in uids if uid is not None]
    return b"".join(encoded) + element(0x7FE00010, b"OW", pixels)


def open_archive(path: Path, **options: Any) -> Archive:
    """An archive without a reserve, so that a nearly full machine runs the tests too."""
    settings: dict[str, Any] = {
        "implementation_class_uid": "1.2.826.0.1",
        "implementation_version_name": "TEST",
        "durability": "process",
        "free_space_reserve": 0,
    }
    return Archive.open(path, **(settings | options))


def nothing() -> None:
    """A pause or resume nobody looks at."""


async def store(
    archive: Archive,
    data: bytes,
    instance: str = INSTANCE,
    *,
    sop_class: str = CT_IMAGE_STORAGE,
    transfer_syntax: str = EXPLICIT_LE,
    piece: int = 1 << 17,
    pause: Callable[[], None] = nothing,
    resume: Callable[[], None] = nothing,
    tolerate: frozenset[str] = frozenset(),
) -> Stored:
    """Send a data set in pieces and commit it."""
    incoming = archive.receive(
        sop_class,
        instance,
        transfer_syntax,
        source_ae_title="SENDER",
        pause=pause,
        resume=resume,
        tolerate=tolerate,
    )
    view = memoryview(data)
    for start in range(0, len(data), piece):
        incoming.write(view[start : start + piece])
    return await archive.commit(incoming)


def run(path: Path, work: Callable[[Archive], Coroutine[Any, Any, T]], **options: Any) -> T:
    """Open an archive, do something with it on a loop, close it."""

    async def main() -> T:
        archive = open_archive(path, **options)
        try:
            return await work(archive)
        finally:
            archive.close()

    return asyncio.run(main())


def store_one(
    path: Path,
    data: bytes,
    instance: str = INSTANCE,
    *,
    tolerate: frozenset[str] = frozenset(),
    **options: Any,
) -> Stored:
    """Open an archive, store one instance, close it."""
    return run(path, lambda archive: store(archive, data, instance, tolerate=tolerate), **options)


def stored_data_set(file: Path) -> bytes:
    """What stands behind the File Meta Information."""
    with file.open("rb") as opened:
        offset = read_file_header(opened).data_set_offset
    return file.read_bytes()[offset:]


def instances(root: Path) -> list[str]:
    """Every file below a data directory that is published, relative to it."""
    return sorted(
        str(file.relative_to(root)) for file in root.glob("*/**/*") if file.is_file() and visible(file)
    )


def visible(file: Path) -> bool:
    """Not in `.incoming`."""
    return ".incoming" not in file.parts


def leftovers(root: Path) -> list[str]:
    """Names in `.incoming`."""
    return sorted(os.listdir(root / ".incoming"))


def failing(error: int = errno.EIO) -> Callable[..., Any]:
    """A system call that always fails."""

    def fail(*_arguments: Any, **_options: Any) -> Any:
        raise OSError(error, os.strerror(error))

    return fail


def disk_with(**calls: Callable[..., Any]) -> Disk:
    """The operating system's calls, with some of them replaced."""
    return replace(Disk(), **calls)


def without_hard_links() -> Disk:
    """A file system that has none."""
    return disk_with(link=failing(errno.EPERM))
