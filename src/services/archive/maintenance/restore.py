"""Takes an archive back to what a backup holds.

The whole file is checked before anything changes. Files come first, each whole and synced before it has its name; then
all rows, in one transaction. A restore that was interrupted is begun again.
"""

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import msgspec
from msgspec import Struct
from sqlalchemy import Table, bindparam, insert
from sqlalchemy.engine import Dialect

from services.archive.data_directory import DataDirectory
from services.archive.identity import adopt
from services.archive.index.migrate import ROWS_ALIKE
from services.archive.index.schema import LEVELS
from services.archive.index.statements import Statement
from services.archive.index.writer import Connects
from services.archive.maintenance.backup import dialect_of
from services.archive.maintenance.backup_format import (
    CONFIGURATION,
    FILES,
    FORMAT,
    MANIFEST,
    BackupError,
    FilesDigest,
    Hashed,
    Manifest,
    TableDump,
    forget_members,
)
from services.archive.maintenance.one_transaction import OneTransaction
from services.archive.maintenance.walk import study_uids
from services.archive.paths import uids_of_path
from services.printable import printable

_ROWS_AT_ONCE = 1000
_LONGEST_MEMBER = 64 << 20  # bytes of what is read whole: manifest and configuration
_COPIED_AT_ONCE = 1 << 20


class Checked(Struct, frozen=True):
    """A backup that is whole.

    Attributes:
        configuration: as it was written, in JSON, or empty without one.
    """

    path: Path
    manifest: Manifest
    configuration: bytes


class Restored(Struct, frozen=True):
    """What a restore did.

    Attributes:
        instances: rows of instances.
        files: put into their places.
        kept: files that were there already, as the backup has them.
    """

    instances: int
    files: int
    kept: int


def check(path: Path, advance: Callable[[int], None] = lambda count: None) -> Checked:
    """Read a backup from end to end, and hold it against its manifest.

    Args:
        advance: told of the bytes that were read.

    Raises:
        BackupError: it is none, is damaged, or was written by a later version.
        OSError: it cannot be read.
    """
    digests: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    files = FilesDigest()
    with _readable(path), tarfile.open(path, mode="r:") as tar:
        for member, file in _members(tar):
            hashed = Hashed(file, advance)
            if member.name.startswith(FILES):
                hashed.drain()
                files.add(_stored_path(path, member), member.size, hashed.digest())
                continue
            if member.name in (MANIFEST, CONFIGURATION):
                contents[member.name] = hashed.read(_LONGEST_MEMBER)
            digests[member.name] = hashed.drain()
    manifest = _manifest(path, contents.get(MANIFEST))
    expected = {table.member: table.sha256 for table in manifest.tables}
    if manifest.configuration:
        expected[CONFIGURATION] = manifest.configuration
    digests.pop(MANIFEST, None)
    for name in sorted(expected.keys() | digests.keys()):
        if expected.get(name) != digests.get(name):
            raise BackupError(f"{path} is damaged: {name} is not what the manifest says; use another backup")
    if (files.files, files.bytes, files.hexdigest()) != (
        manifest.files,
        manifest.bytes,
        manifest.files_digest,
    ):
        raise BackupError(f"{path} is damaged: its files are not what the manifest says; use another backup")
    return Checked(path, manifest, contents.get(CONFIGURATION, b""))


def restore(
    backup: Checked,
    directory: DataDirectory,
    database: Connects,
    *,
    schema: str,
    identity: str = "",
    force: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> Restored:
    """Put files and rows of a backup into their places. Blocks for long.

    Args:
        backup: from `check`.
        directory: open, so that no server uses it.
        database: of its index, with the tables of this version.
        schema: the revision of those tables.
        identity: of the directory, which the index has then; empty for one that needs none (`archive.identity`).
        force: the index may have rows, which go, and files that differ from those of the backup, which are replaced.
            Other files stay.
        advance: told of each further row of an instance, and each further file.

    Raises:
        BackupError: there is something already, and `force` does not say to replace it; or the backup is of another
            revision of the tables.
        OSError: a file cannot be written.
        Exception: the driver's; the rows are as they were.
    """
    if backup.manifest.schema != schema and not {backup.manifest.schema, schema} <= ROWS_ALIKE:
        raise BackupError(
            f"{backup.path} has tables of revision {printable(backup.manifest.schema)}, the index here has {schema}: "
            "restore it with the version that wrote it, and start this one, which brings the index to its own revision"
        )
    if [table.name for table in backup.manifest.tables] != [table.name for table in LEVELS]:
        raise BackupError(f"{backup.path} does not hold the tables of an index")
    if not force:
        _refuse_occupied(backup, directory, database)
    with _readable(backup.path):
        return _restore(backup, directory, database, identity, force, advance)


def _restore(
    backup: Checked,
    directory: DataDirectory,
    database: Connects,
    identity: str,
    force: bool,
    advance: Callable[[int], None],
) -> Restored:
    files = _Files(directory, backup.path, force)
    if backup.manifest.files:
        with tarfile.open(backup.path, mode="r:") as tar:
            for member, file in _members(tar):
                if member.name.startswith(FILES):
                    files.put(_stored_path(backup.path, member), file)
                    advance(1)
        files.sync_directories()
    with OneTransaction(database) as transaction:
        transaction.empty()
        adopt(transaction.cursor, identity, directory.path, is_sqlite=transaction.is_sqlite)
        rows = _load_tables(backup, transaction, advance)
        transaction.commit()
    return Restored(rows, files.put_there, files.kept)


@contextmanager
def _readable(backup: Path) -> Iterator[None]:
    """What makes a backup unreadable becomes a `BackupError`."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, msgspec.MsgspecError) as error:
        raise BackupError(f"{backup} cannot be read as a backup: {printable(str(error))}") from error


def _refuse_occupied(backup: Checked, directory: DataDirectory, database: Connects) -> None:
    with closing(database.connect_writer()) as connection:
        occupied = connection.cursor().execute("SELECT 1 FROM patients LIMIT 1").fetchone() is not None
    if occupied or (backup.manifest.with_files and study_uids(directory.path)):
        raise BackupError(
            f"{'the index of ' if occupied else ''}{directory.path} is not empty: restore into an empty one, or force "
            "it, which replaces what is there"
        )


# -- members of the tar


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """The members, one after the other, each with what it holds."""
    while (member := tar.next()) is not None:
        forget_members(tar)
        file = tar.extractfile(member) if member.isreg() else None
        if file is None:
            raise BackupError(f"{printable(member.name)} is no file: no backup has such a member")
        yield member, cast(BinaryIO, file)


def _stored_path(backup: Path, member: tarfile.TarInfo) -> str:
    """The path of a stored file in the data directory; nothing else from the backup becomes a path."""
    path = member.name.removeprefix(FILES)
    if uids_of_path(path) is None:
        raise BackupError(
            f"{backup} holds {printable(member.name)}, which is no name of the archive: not restored"
        )
    return path


def _manifest(path: Path, content: bytes | None) -> Manifest:
    if content is None:
        raise BackupError(f"{path} has no {MANIFEST}: no backup, or one that was cut off")
    try:
        version = msgspec.json.decode(content, type=_Version).format
        if version > FORMAT:
            raise BackupError(
                f"{path} is a backup of format {version}, written by a later version; this one reads {FORMAT}"
            )
        return msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BackupError(f"{path} has a {MANIFEST} that cannot be read: {printable(str(error))}") from error


class _Version(Struct, frozen=True):
    format: int


# -- rows


def _load_tables(backup: Checked, transaction: OneTransaction, advance: Callable[[int], None]) -> int:
    """Insert all rows, from the top down; says how many instances there are."""
    dumps = {dump.member: dump for dump in backup.manifest.tables}
    tables = {table.name: table for table in LEVELS}
    dialect = dialect_of(is_sqlite=transaction.is_sqlite)
    rows = 0
    with tarfile.open(backup.path, mode="r:") as tar:
        for member, file in _members(tar):
            dump = dumps.get(member.name)
            if dump is not None and dump.name in tables:
                table = tables[dump.name]
                counted = advance if table is LEVELS[-1] else _nothing
                rows = _load(backup.path, dump, file, table, transaction.cursor, dialect, counted)
    if not transaction.is_sqlite:
        for table in LEVELS:  # rows that come later get higher numbers
            transaction.cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), max(id)) FROM {table.name}"
            )
    return rows


def _load(
    path: Path,
    dump: TableDump,
    file: IO[bytes],
    table: Table,
    cursor: Any,
    dialect: Dialect,
    advance: Callable[[int], None],
) -> int:
    if missing := set(dump.columns) - set(table.columns.keys()):
        raise BackupError(
            f"{path}: the table {table.name} has no column {printable(', '.join(sorted(missing)))}"
        )
    statement = Statement(insert(table).values({name: bindparam(name) for name in dump.columns}), dialect)
    order = [dump.columns.index(name) for name in statement.order]
    decode = msgspec.json.Decoder(list[Any]).decode
    count = 0
    with gzip.GzipFile(fileobj=file, mode="rb") as lines:
        while portion := list(islice(lines, _ROWS_AT_ONCE)):
            rows = [decode(line) for line in portion]
            for number, row in enumerate(rows, count + 1):
                if len(row) != len(dump.columns):
                    raise BackupError(
                        f"{path} is damaged: line {number} of {printable(dump.member)} has {len(row)} values, not "
                        f"{len(dump.columns)}; use another backup"
                    )
            cursor.executemany(statement.sql, [tuple(row[at] for at in order) for row in rows])
            count += len(rows)
            advance(len(rows))
    if count != dump.rows:
        raise BackupError(
            f"{path} is damaged: {dump.rows} rows of {table.name} are announced, {count} are there"
        )
    return count


def _nothing(_count: int) -> None:
    pass


# -- files


class _Files:
    """Puts files into a data directory that nobody else changes.

    Attributes:
        put_there: how many were.
        kept: how many were there already, with the same bytes.
    """

    def __init__(self, directory: DataDirectory, backup: Path, force: bool) -> None:
        self.put_there = 0
        self.kept = 0
        self._directory = directory
        self._backup = backup
        self._force = force
        self._changed: set[str] = set()

    def put(self, path: str, file: IO[bytes]) -> None:
        """Write a file, sync it, and give it its name."""
        root = self._directory.root_fd
        fd, name = self._directory.new_temporary()
        try:
            with open(fd, "w+b") as temporary:
                shutil.copyfileobj(file, temporary, _COPIED_AT_ONCE)
                temporary.flush()
                os.fsync(fd)
                if self._is_there(path, temporary):
                    self.kept += 1
                    os.unlink(name, dir_fd=self._directory.incoming_fd)
                    return
            self._make_directories(path)
            os.rename(name, path, src_dir_fd=self._directory.incoming_fd, dst_dir_fd=root)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=self._directory.incoming_fd)
            raise
        self._changed.add(path.rpartition("/")[0])
        self.put_there += 1

    def sync_directories(self) -> None:
        """See that the names survive the loss of power."""
        parents = {series.partition("/")[0] for series in self._changed}
        for directory in (*sorted(self._changed), *sorted(parents), "."):
            fd = os.open(
                directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._directory.root_fd
            )
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _is_there(self, path: str, file: IO[bytes]) -> bool:
        """Whether the same file has the name already."""
        try:
            there = open(self._directory.path / path, "rb")  # noqa: SIM115
        except FileNotFoundError:
            return False
        with there:
            file.seek(0)
            if _same(there, file):
                return True
        if not self._force:
            raise BackupError(f"{path} is there and differs from the one in {self._backup}")
        return False

    def _make_directories(self, path: str) -> None:
        series = path.rpartition("/")[0]
        for directory in (series.partition("/")[0], series):
            with suppress(FileExistsError):
                os.mkdir(directory, 0o700, dir_fd=self._directory.root_fd)


def _same(first: IO[bytes], second: IO[bytes]) -> bool:
    while True:
        one, other = first.read(_COPIED_AT_ONCE), second.read(_COPIED_AT_ONCE)
        if one != other:
            return False
        if not one:
            return True
