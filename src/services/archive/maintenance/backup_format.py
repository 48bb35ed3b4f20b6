"""What a backup file is: a tar of tables, configuration, files by option, and a manifest that says so.

    index/<table>.jsonl.gz    a row a line, as a JSON array in the order of the manifest's columns
    configuration.json        as given, without the password of the database
    files/<path>              what is stored, as it lies in the data directory
    manifest.json             last: `Manifest`

The rows are written by us rather than by the tools of a database: both databases give the same file, either can be
restored from it, and no program has to be there besides this one. This file must not know how rows are read or written.
"""

import hashlib
import tarfile
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from services.archive.errors import ArchiveError

FORMAT = 1
"""Of the file. One that is higher was written by a later version, and is refused."""

MANIFEST = "manifest.json"
CONFIGURATION = "configuration.json"
FILES = "files/"


class BackupError(ArchiveError):
    """A backup that cannot be made, or a file that is none, or damaged, or does not fit here."""


class TableDump(Struct, frozen=True):
    """The rows of one table.

    Attributes:
        member: in the tar.
        sha256: of the member as it stands there, in hexadecimal digits.
    """

    name: str
    member: str
    columns: tuple[str, ...]
    rows: int
    sha256: str


class Manifest(Struct, frozen=True):
    """What a backup holds.

    Attributes:
        format: see `FORMAT`.
        schema: the revision of the tables.
        created: in seconds since 1970.
        tables: from the top down.
        configuration: SHA-256 of the configuration, or empty without one.
        with_files: files were to be taken along.
        files: how many are.
        bytes: how long all of them are.
        files_digest: SHA-256 over path, NUL and SHA-256 of each file, in their order.
        missing: files that a row had promised, and that could not be read.
    """

    format: int
    schema: str
    created: float
    tables: tuple[TableDump, ...]
    configuration: str = ""
    with_files: bool = False
    files: int = 0
    bytes: int = 0
    files_digest: str = ""
    missing: tuple[str, ...] = ()


def table_member(name: str) -> str:
    """The name of a table's member."""
    return f"index/{name}.jsonl.gz"


def forget_members(tar: tarfile.TarFile) -> None:
    """A tar would keep every name that went by."""
    tar.members.clear()  # type: ignore[attr-defined]


class Readable(Protocol):
    """What bytes come from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


class Hashed:
    """A file that is read and hashed on the way.

    Args:
        file: open for reading.
        advance: told of the bytes that were read.
    """

    def __init__(self, file: Readable, advance: Callable[[int], None] = lambda count: None) -> None:
        self._file = file
        self._advance = advance
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        data = self._file.read(size)
        self._hash.update(data)
        self._advance(len(data))
        return data

    def digest(self) -> bytes:
        """SHA-256 of what was read so far."""
        return self._hash.digest()

    def drain(self) -> str:
        """Read to the end; the SHA-256 of everything in hexadecimal digits."""
        while self.read(1 << 20):
            pass
        return self._hash.hexdigest()


class FilesDigest:
    """`Manifest.files_digest` as it grows."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.files = 0
        self.bytes = 0

    def add(self, path: str, size: int, digest: bytes) -> None:
        """Add a file, by its path in the data directory."""
        self._hash.update(path.encode() + b"\0" + digest)
        self.files += 1
        self.bytes += size

    def hexdigest(self) -> str:
        """Of the files so far."""
        return self._hash.hexdigest()
