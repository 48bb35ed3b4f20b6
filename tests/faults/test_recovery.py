"""An archive with an index after a fault: what was acknowledged has its file and its row, and no row is without a file.

Named fail points end a process around the publication, the transaction and the end of the journal entry; a loop of
kill -9 ends it anywhere. The next start repairs from the journal alone.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

import pytest
from sqlalchemy import select

from archive_child import CRASHED, content
from archive_samples import data_set, instances, leftovers, open_archive, store_one, stored_data_set
from services.archive.errors import DataDirectoryError
from services.archive.index import schema
from services.archive.index.database import Database
from services.archive.index.writer import IndexWriter
from services.archive.maintenance.verify import Kind, Verification

TESTS = Path(__file__).parent.parent
CHILD = [sys.executable, str(TESTS / "index_child.py")]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{TESTS.parent / 'src'}{os.pathsep}{TESTS}"}

# (step, how often it is met). The first `link` of a new series fails, since its directory is not there.
STEPS = ("link 1", "begin 1", "insert 1", "commit 1", "unlink 1")
SCENARIOS: list[dict[str, Any]] = [
    {
        "durability": durability,
        "hard_links": hard_links,
        "when": when,
        "step": step.split()[0],
        "call": int(step.split()[1]),
        "second": "1.9.26",  # in the series of 1.9.6
    }
    for durability, hard_links, steps in (
        ("process", True, STEPS),
        ("power", True, STEPS),
        ("process", False, ("rename 1", *STEPS[1:])),
    )
    for step in steps
    for when in ("before", "after")
]


def label(scenario: dict[str, Any]) -> str:
    links = "" if scenario["hard_links"] else "-no-links"
    return "{durability}{links}-{when}-{step}".format(links=links, **scenario)


def url_of(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


def empty(database: Database) -> None:
    with database.engine.begin() as connection:
        for table in reversed(schema.LEVELS):
            connection.execute(table.delete())


def rows(database: Database) -> set[str]:
    """The SOP Instance UIDs of the index."""
    with database.engine.connect() as connection:
        return set(connection.execute(select(schema.instances.c.sop_instance_uid)).scalars())


def restart(root: Path, database: Database) -> None:
    writer = IndexWriter(database)
    try:
        open_archive(root, record=writer.record).close()
    finally:
        writer.close()


def check(root: Path, database: Database, acknowledged: set[str]) -> None:
    """The invariants, before and after the repair of a new start."""
    held = rows(database)
    files = {Path(name).stem: root / name for name in instances(root)}
    assert held <= files.keys(), f"rows without files before repair: {held - files.keys()}"
    assert acknowledged <= held, f"acknowledged without a row before repair: {acknowledged - held}"
    restart(root, database)
    files = {Path(name).stem: root / name for name in instances(root)}
    assert rows(database) == files.keys()
    assert [uid for uid, file in files.items() if stored_data_set(file) != content(uid)] == []
    assert leftovers(root) == []
    assert list(Verification(root, database.engine, deep=True).findings()) == []


@pytest.fixture
def crash(database: Database) -> Iterator[Callable[[dict[str, Any], Path], int]]:
    """Runs a scenario in a directory, and says how its process ended."""
    with subprocess.Popen(
        [*CHILD, "crash"], env=ENVIRONMENT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        asks, answers = child.stdin, child.stdout
        assert asks is not None
        assert answers is not None

        def run(scenario: dict[str, Any], root: Path) -> int:
            asks.write(json.dumps(scenario | {"directory": str(root), "url": url_of(database)}) + "\n")
            asks.flush()
            return int(answers.readline())

        yield run


def test_crashes_at_the_fail_points(
    tmp_path: Path, database: Database, crash: Callable[[dict[str, Any], Path], int]
) -> None:
    for scenario in SCENARIOS:
        root = tmp_path / label(scenario)
        empty(database)
        assert crash(scenario, root) == CRASHED, f"{label(scenario)}: the fail point was never reached"
        acknowledged = set(root.with_suffix(".ledger").read_text().split())
        assert acknowledged == {"1.9.6"}
        is_there = scenario["step"] not in ("link", "rename") or scenario["when"] == "after"
        assert len(instances(root)) == 1 + is_there
        check(root, database, acknowledged)
        assert rows(database) == ({"1.9.6", "1.9.26"} if is_there else {"1.9.6"})


def test_killed_anywhere_the_ledger_holds(tmp_path: Path, database: Database) -> None:
    chance = random.Random(20261123)
    root = tmp_path / "data"
    acknowledged: set[str] = set()
    for round_ in range(4):
        durability = "power" if round_ % 2 else "process"
        child = subprocess.Popen(
            [*CHILD, "writers", str(root), durability, url_of(database)],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        first = child.stdout.readline()
        killer = subprocess.Popen(["sh", "-c", f"sleep {chance.uniform(0.0, 0.15)}; kill -9 {child.pid}"])
        rest = child.stdout.read()
        child.wait()
        killer.wait()
        child.stdout.close()
        assert child.returncode == -signal.SIGKILL
        lines = (first + rest).split(b"\n")[:-1]
        assert lines, "nothing was acknowledged"
        acknowledged.update(line.decode() for line in lines)
        check(root, database, acknowledged)


def test_a_start_without_its_index_loses_nothing(
    tmp_path: Path, database: Database, crash: Callable[[dict[str, Any], Path], int]
) -> None:
    root = tmp_path / "data"
    scenario = SCENARIOS[1]
    assert (scenario["step"], scenario["when"]) == ("link", "after")
    assert crash(scenario, root) == CRASHED

    def unavailable(_batch: Any) -> Any:
        raise OperationalError("connection refused")

    with pytest.raises(
        DataDirectoryError, match="could not be recorded: OperationalError: connection refused"
    ):
        open_archive(root, record=unavailable)
    kinds = [finding.kind for finding in Verification(root, database.engine, patience=0).findings()]
    assert kinds == [Kind.NO_ROW]
    restart(root, database)
    assert list(Verification(root, database.engine).findings()) == []


def test_what_was_never_acknowledged_goes_and_the_other_one_stays(tmp_path: Path, database: Database) -> None:
    """One UID in two studies: the second server died between its file and the answer of the index."""
    writer = IndexWriter(database)
    first = store_one(tmp_path / "data", data_set("1.9.1", study="1.3.1"), "1.9.1", record=writer.record)
    writer.close()
    second = store_one(tmp_path / "data", data_set("1.9.1", study="1.3.0"), "1.9.1")
    os.link(tmp_path / "data" / second.path, tmp_path / "data" / ".incoming" / "1-1")
    restart(tmp_path / "data", database)
    assert instances(tmp_path / "data") == [first.path]
    assert leftovers(tmp_path / "data") == []
    assert list(Verification(tmp_path / "data", database.engine, deep=True).findings()) == []


def test_a_reindexing_that_dies_leaves_the_rows_there_were(tmp_path: Path, database: Database) -> None:
    root = tmp_path / "data"
    writer = IndexWriter(database)
    store_one(root, data_set("1.9.1"), "1.9.1", record=writer.record)
    writer.close()
    store_one(root, data_set("1.9.2"), "1.9.2")
    child = subprocess.run([*CHILD, "reindex", str(root), url_of(database)], env=ENVIRONMENT, check=False)
    assert child.returncode == CRASHED
    assert rows(database) == {"1.9.1"}
