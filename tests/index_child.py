"""A process that stores into an archive with an index until it dies: the other half of `faults/test_recovery.py`.

    python index_child.py crash                              a scenario a line, each in a forked process of its own
    python index_child.py writers DIRECTORY DURABILITY URL   eight writers, until killed
    python index_child.py reindex DIRECTORY URL              dies when all rows are made, before the commit

Every acknowledged SOP Instance UID is written to a descriptor at once: the ledger.
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

from archive_child import CRASHED, FailPoint, acknowledge, content
from archive_samples import disk_with, failing, open_archive
from services.archive.data_directory import DataDirectory
from services.archive.index.database import Database
from services.archive.index.writer import IndexWriter
from services.archive.maintenance import reindex as reindexing
from services.archive.maintenance.one_transaction import OneTransaction

DISK_STEPS = ("link", "rename", "unlink")


class Watched:
    """A database whose transactions are steps to die at: begin and commit."""

    def __init__(self, database: Database, point: FailPoint) -> None:
        self.is_sqlite = database.is_sqlite
        self._database = database
        self._point = point

    def connect_writer(self) -> "_WatchedConnection":
        return _WatchedConnection(self._database.connect_writer(), self._point)


class _WatchedConnection:
    """A connection and its cursor."""

    def __init__(self, connection: Any, point: FailPoint) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._point = point

    def cursor(self) -> "_WatchedConnection":
        return self

    def close(self) -> None:
        self._connection.close()

    @property
    def rowcount(self) -> int:
        return int(self._cursor.rowcount)

    def execute(self, sql: str, *parameters: Any) -> Any:
        step = sql.split()[0].lower()
        return self._point.around(step, self._cursor.execute)(sql, *parameters)


def crash(scenario: dict[str, Any]) -> None:
    """Store one instance in peace, and another with the fail point armed."""
    point = FailPoint(scenario["step"], scenario["when"], scenario["call"])
    calls = {step: getattr(os, step) for step in DISK_STEPS}
    if not scenario["hard_links"]:
        calls["link"] = failing(1)
    root = Path(scenario["directory"])
    database = Database.open(scenario["url"], root, durability=scenario["durability"])
    writer = IndexWriter(Watched(database, point))
    ledger = os.open(root.with_suffix(".ledger"), os.O_WRONLY | os.O_CREAT, 0o600)

    async def main() -> None:
        archive = open_archive(
            root,
            disk=disk_with(**{step: point.around(step, call) for step, call in calls.items()}),
            durability=scenario["durability"],
            record=writer.record,
        )
        await acknowledge(archive, "1.9.6", content("1.9.6"), ledger)
        point.armed = True
        await acknowledge(archive, scenario["second"], content(scenario["second"]), ledger)
        archive.close()

    asyncio.run(main())


def crash_all() -> None:
    """Run scenarios as they come, each in a process of its own; prints how each ended."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            crash(json.loads(line))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


async def write_for_ever(root: Path, durability: str, url: str) -> None:
    """Eight writers; every tenth instance is sent twice."""
    database = Database.open(url, root, durability=durability)
    archive = open_archive(root, durability=durability, record=IndexWriter(database).record)
    seed = random.randrange(1 << 40)

    async def writer(lane: int) -> None:
        number = 0
        while True:
            number += 1
            instance = f"1.9.{seed}.{lane}.{number}"
            for _ in range(2 if number % 10 == 0 else 1):
                await acknowledge(archive, instance, content(instance), 1)
            await asyncio.sleep(0)

    await asyncio.gather(*(writer(lane) for lane in range(8)))


def reindex_and_die(root: Path, url: str) -> None:
    """Make all rows anew, and die before they are committed."""

    class Dies(OneTransaction):
        def commit(self) -> None:
            assert self.cursor.execute("SELECT count(*) FROM instances").fetchone()[0], (
                "nothing was made anew"
            )
            os._exit(CRASHED)

    reindexing.OneTransaction = Dies  # type: ignore[misc]
    directory = DataDirectory.open(root, keep_published=True)
    database = Database.open(url, root, durability="process")
    reindexing.reindex(directory, database, on_problem=print)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["crash"]:
            crash_all()
        case ["writers", directory, level, place]:
            asyncio.run(write_for_ever(Path(directory), level, place))
        case ["reindex", directory, place]:
            reindex_and_die(Path(directory), place)
