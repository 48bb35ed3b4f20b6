"""Makes every row of the index anew from the files.

All of it is one transaction: until it is committed the old rows stand, and a crash leaves them. The time at which an
instance was stored is not in its file; that of the reindexing takes its place.
"""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from services.archive.data_directory import DataDirectory
from services.archive.errors import ArchiveError, NotRecordable
from services.archive.identity import adopt
from services.archive.index.damage import find_damage, move_aside
from services.archive.index.entry import Recorded
from services.archive.index.writer import Connects, IndexWriter
from services.archive.maintenance.one_transaction import OneTransaction
from services.archive.maintenance.walk import OnProblem, Problem, Reader, files_of, study_uids
from services.archive.recovery import journalled, recover
from services.archive.rescan import Rescanned


class NothingToIndex(ArchiveError):
    """The data directory has no instance, while the index has some."""


class Reindexed(Struct, frozen=True):
    """What a reindexing made.

    Attributes:
        studies: directories that were looked into.
        instances: rows made.
        problems: files that have no row, since they are damaged, held twice, or say what the database does not take;
            and names that stay in the journal for such a reason.
    """

    studies: int
    instances: int
    problems: int


class SetAside(Struct, frozen=True):
    """A damaged index that made room for a new one.

    Attributes:
        file: where it was.
        kept: where it is.
        damage: what SQLite says of it.
    """

    file: Path
    kept: Path
    damage: str

    def __str__(self) -> str:
        return f"{self.file} was damaged ({self.damage}); it is kept as {self.kept}"


def set_damaged_aside(file: Path | None) -> SetAside | None:
    """Move an embedded index away if SQLite finds it damaged, so that a new one can be made. Blocks.

    Args:
        file: which nobody has open; None for an index in PostgreSQL, which is never moved.

    Raises:
        OSError: it cannot be renamed.
    """
    damage = "" if file is None else find_damage(file)
    return SetAside(file, move_aside(file), damage) if file is not None and damage else None


def reindex(
    directory: DataDirectory,
    database: Connects,
    *,
    on_problem: OnProblem,
    advance: Callable[[int], None] = lambda studies: None,
    allow_empty: bool = False,
    identity: str = "",
) -> Reindexed:
    """Replace all rows of the index by what the files say, and clear the journal. Blocks for long.

    Args:
        directory: open, so that no server uses it; opened with `keep_published`.
        database: of the index, with the tables of this version.
        on_problem: told of each file or journal entry that gets no row, and of each name that is not the archive's.
        advance: told of each further study; their number is that of `study_uids(directory.path)`.
        allow_empty: leave the index empty when there is no instance in the data directory.
        identity: of the directory, which the index has then; empty for one that needs none (`archive.identity`).

    Raises:
        NothingToIndex: there is none, and it was not allowed.
        DataDirectoryError: the journal could not be cleared; the index stands.
        Exception: the driver's; the index is as it was.
    """
    indexed = problems = 0
    studies = study_uids(directory.path)
    # What may never have been acknowledged comes last: where a UID is held twice, the other one is to have the row.
    last = journalled(directory)

    def problem(found: Problem) -> None:
        nonlocal problems
        problems += 1
        on_problem(found)

    def paths(uid: str) -> list[str]:
        found = [path for path in files_of(directory.path, uid, problem) if path not in last]
        advance(1)
        return found

    with OneTransaction(database) as transaction, Reader(directory.path) as reader:
        had_rows = transaction.cursor.execute("SELECT 1 FROM instances LIMIT 1").fetchone() is not None
        transaction.empty()
        adopt(transaction.cursor, identity, directory.path, is_sqlite=transaction.is_sqlite)
        for portion in reader.read(path for uid in studies for path in paths(uid)):
            indexed += _record(transaction, portion, problem)
        if had_rows and not indexed and not last and not allow_empty:
            raise NothingToIndex(
                f"{directory.path} holds no instance, but the index has rows: is this the right data directory, and "
                "is its volume mounted? Nothing was changed"
            )
        transaction.commit()
    writer = IndexWriter(database)
    try:
        recovered = recover(directory, writer.record)
    finally:
        writer.close()
    for left in recovered.unreadable:
        name, _, why = left.partition(": ")
        problem(Problem(name, why))
    return Reindexed(len(studies), indexed + recovered.published - recovered.elsewhere, problems)


def _record(transaction: OneTransaction, portion: list[Rescanned | Problem], on_problem: OnProblem) -> int:
    """Make the rows of some files; says how many."""
    instances = []
    for each in portion:
        if isinstance(each, Problem):
            on_problem(each)
        else:
            instances.append(each)
    results = transaction.writer.record(instances) if instances else []
    for instance, result in zip(instances, results, strict=True):
        if isinstance(result, NotRecordable):
            on_problem(Problem(instance.path, str(result)))
        elif result is Recorded.ELSEWHERE:
            on_problem(Problem(instance.path, "its SOP Instance UID is held under another study or series"))
    return sum(result is Recorded.NEW for result in results)
