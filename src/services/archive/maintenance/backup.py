"""Writes a backup while the server runs.

The rows come from one transaction that sees one state of the index: SQLite with its write-ahead log and
PostgreSQL at REPEATABLE READ let others write meanwhile. Files are copied after it, by the rows' paths: a stored file
does not change, unless duplicates replace it. The backup has its name only once it is whole and synced.
"""

import gzip
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, Any

import msgspec
from msgspec import Struct
from sqlalchemy import Table, Text, bindparam, cast, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import Select

from services.archive.index.schema import ATTRIBUTES, LEVELS, instances, series, studies
from services.archive.index.statements import Statement
from services.archive.index.writer import Connects
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
    table_member,
)
from services.archive.paths import instance_path

_PAGE = 2000  # rows
_LISTED = 1000  # missing files that are named in the manifest; more are counted by a verification


class BackedUp(Struct, frozen=True):
    """What a backup holds.

    Attributes:
        instances: rows of instances.
        files: that were taken along.
        missing: files that a row had promised, and that could not be read; at most the first 1000.
        reasons: why each of `missing` could not.
        size: of the backup, in bytes.
    """

    instances: int
    files: int
    missing: tuple[str, ...]
    reasons: tuple[str, ...]
    size: int


def backup(
    root: Path,
    database: Connects,
    target: Path,
    *,
    schema: str,
    configuration: Mapping[str, Any] | None = None,
    with_files: bool = False,
    advance: Callable[[int], None] = lambda instances: None,
) -> BackedUp:
    """Write a backup. Blocks for long.

    Args:
        root: the data directory.
        database: of its index.
        target: takes the place of an earlier backup of this name only when it is whole; mode 0600.
        schema: the revision of the tables, `migrate.current`.
        configuration: what the server was told; kept without the password of the database.
        with_files: take the files along.
        advance: told of each further instance whose row, or with files whose file, is in the backup.

    Raises:
        BackupError: it cannot be written.
        Exception: the driver's.
    """
    folder = target.absolute().parent
    try:
        with NamedTemporaryFile(dir=folder, prefix=f".{target.name}.", delete=False) as file:
            try:
                done = _write(file, root, database, schema, configuration, with_files, advance)
                file.flush()
                os.fsync(file.fileno())
                os.rename(file.name, target)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(file.name)
                raise
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise BackupError(f"cannot write the backup {target}: {error.strerror or error}") from error
    return done


def without_password(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration whose `databaseURL` tells no password; the server asks the environment or ~/.pgpass for it."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    url = configuration.get("databaseURL")
    if not url:
        return dict(configuration)
    try:
        # `set` would take None for "leave it".
        parsed = make_url(url)._replace(password=None)
        bare = parsed.difference_update_query(("password", "sslpassword")).render_as_string()
    except (ArgumentError, TypeError, ValueError):
        bare = ""  # nobody can tell a password from the rest
    return {**configuration, "databaseURL": bare}


def _write(
    file: IO[bytes],
    root: Path,
    database: Connects,
    schema: str,
    configuration: Mapping[str, Any] | None,
    with_files: bool,
    advance: Callable[[int], None],
) -> BackedUp:
    digest, missing = FilesDigest(), dict[str, str]()
    with (
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
        TemporaryFile(dir=root) as paths,
    ):
        tables = _write_tables(tar, root, database, paths if with_files else None, advance)
        told = b"" if configuration is None else msgspec.json.encode(without_password(configuration))
        if told:
            _add(tar, CONFIGURATION, msgspec.json.format(told))
        if with_files:
            paths.seek(0)
            for line in paths:
                path = line.decode().rstrip("\n")
                try:
                    _add_file(tar, file, root, path, digest)
                except _Unreadable as error:
                    if len(missing) < _LISTED:
                        missing[path] = str(error)
                advance(1)
        manifest = Manifest(
            format=FORMAT,
            schema=schema,
            created=time.time(),
            tables=tables,
            configuration=sha256(msgspec.json.format(told)).hexdigest() if told else "",
            with_files=with_files,
            files=digest.files,
            bytes=digest.bytes,
            files_digest=digest.hexdigest(),
            missing=tuple(missing),
        )
        _add(tar, MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return BackedUp(tables[-1].rows, digest.files, tuple(missing), tuple(missing.values()), file.tell())


def _write_tables(
    tar: tarfile.TarFile,
    root: Path,
    database: Connects,
    paths: IO[bytes] | None,
    advance: Callable[[int], None],
) -> tuple[TableDump, ...]:
    """Write all tables as they are at one time, and the paths of all files, a line each."""
    dialect = dialect_of(is_sqlite=database.is_sqlite)
    dumps = []
    with closing(database.connect_writer()) as connection:
        cursor = connection.cursor()
        # The snapshot of SQLite is taken by the first statement that reads, and kept to the end.
        cursor.execute("BEGIN" if database.is_sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for table in LEVELS:
            count = advance if table is instances and paths is None else _nothing
            with TemporaryFile(dir=root) as spool:
                rows = _dump(cursor, table, dialect, spool, count)
                digest = _add_spooled(tar, table_member(table.name), spool)
            columns = tuple(str(column.name) for column in table.columns)
            dumps.append(TableDump(str(table.name), table_member(table.name), columns, rows, digest))
        if paths is not None:
            _list_paths(cursor, dialect, paths)
        cursor.execute("COMMIT")
    return tuple(dumps)


def _dump(
    cursor: Any, table: Table, dialect: Dialect, file: IO[bytes], advance: Callable[[int], None]
) -> int:
    """Write the rows of a table, compressed; says how many."""
    # The attributes come as their text: nothing here has to understand them.
    columns = [cast(column, Text) if column.type is ATTRIBUTES else column for column in table.columns]
    count = 0
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:
        for page in _pages(cursor, select(*columns), table, dialect):
            packed.write(msgspec.json.Encoder().encode_lines(page))
            count += len(page)
            advance(len(page))
    return count


def _list_paths(cursor: Any, dialect: Dialect, file: IO[bytes]) -> None:
    statement = (
        select(
            instances.c.id,
            studies.c.study_instance_uid,
            series.c.series_instance_uid,
            instances.c.sop_instance_uid,
        )
        .join_from(instances, series)
        .join(studies)
    )
    for page in _pages(cursor, statement, instances, dialect):
        file.writelines(f"{instance_path(*uids)}\n".encode() for _, *uids in page)


def _pages(
    cursor: Any, statement: Select[Any], table: Table, dialect: Dialect
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a statement whose first column is the `id` of a table, a page at a time."""
    page_of = Statement(statement.where(table.c.id > bindparam("last")).order_by(table.c.id), dialect)
    sql = f"{page_of.sql} LIMIT {_PAGE}"
    last = -1
    while page := cursor.execute(sql, page_of.parameters({"last": last})).fetchall():
        yield page
        last = page[-1][0]


def dialect_of(*, is_sqlite: bool) -> Dialect:
    """How a database is spoken to on its driver's cursor."""
    if is_sqlite:
        return sqlite.dialect(paramstyle="qmark")
    return psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]


# -- members of the tar


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_member(name, len(content)), BytesIO(content))
    forget_members(tar)


def _add_spooled(tar: tarfile.TarFile, name: str, file: IO[bytes]) -> str:
    """Add a file that was written just now; its SHA-256."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    hashed = Hashed(file)
    tar.addfile(_member(name, size), hashed)
    forget_members(tar)
    return hashed.digest().hex()


def _add_file(tar: tarfile.TarFile, target: IO[bytes], root: Path, path: str, digest: FilesDigest) -> None:
    """Add a stored file.

    Raises:
        _Unreadable: it cannot be read to its end; the tar is as it was before.
    """
    before = target.tell()
    try:
        with _opened(root / path) as file:
            size = os.fstat(file.fileno()).st_size
            hashed = Hashed(_Source(file))
            tar.addfile(_member(FILES + path, size), hashed)
    except _Unreadable:
        # The header and a part of the file may have gone out: what follows takes their place.
        target.seek(before)
        target.truncate()
        tar.offset = before
        raise
    finally:
        forget_members(tar)
    digest.add(path, size, hashed.digest())


class _Unreadable(Exception):
    """A stored file cannot be read: unlike what the tar's own file raises, no reason to give up the backup."""


def _opened(path: Path) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise _Unreadable(error.strerror or str(error)) from error


class _Source:
    """A stored file whose failures are told from those of the backup that it goes into.

    Args:
        file: open for reading.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes; a tar asks for no more than its header promises."""
        try:
            data = self._file.read(size)
        except OSError as error:
            raise _Unreadable(error.strerror or str(error)) from error
        if len(data) < size:
            raise _Unreadable("it has become shorter")
        return data


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o600
    member.mtime = int(time.time())
    return member


def _nothing(_count: int) -> None:
    pass
