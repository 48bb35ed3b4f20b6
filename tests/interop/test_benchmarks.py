"""The benchmarks run from beginning to end, with counts that are no measurement."""

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import func, select

from services.archive.index.database import Database
from services.archive.index.entry import Entry, Indexable
from services.archive.index.migrate import upgrade
from services.archive.index.schema import LEVELS, instances, patients, series, studies
from services.archive.index.writer import IndexWriter

ROOT = Path(__file__).parents[2]


def run_module(module: str, *arguments: str | Path) -> str:
    return run_python("-m", module, *map(str, arguments))


def run_python(*arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    argv = [sys.executable, *arguments]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_benchmarks(directory: Path, *arguments: str) -> dict[str, Any]:
    """One short round of each; the rows by work, the targets under "targets"."""
    shortly = ("--rounds", "1", "--seconds", "0.05", "--budget", "4")
    run_module("benchmarks", *shortly, "--directory", directory, "--save", directory, *arguments)
    results = json.loads((directory / "results.json").read_text())
    assert results["rows"][0]["work"] in (directory / "RESULTS.md").read_text()
    return {row["work"]: row for row in results["rows"]} | {"targets": results["targets"]}


def test_every_kind_of_work_gives_a_figure(tmp_path: Path) -> None:
    only = ("C-ECHO", "64 contexts", "8 KiB x4", "C-STORE 512 KiB x1")
    results = run_benchmarks(
        tmp_path, "--servers", "pynetdicom", *(word for work in only for word in ("--only", work))
    )
    del results["targets"]
    assert list(results) == [
        "C-ECHO",
        "associate + echo + release, 64 contexts",
        "C-STORE 8 KiB x4",
        "C-STORE 512 KiB x1",
        "memory per idle association, 64 contexts",
    ]
    for row in results.values():
        assert row["figures"]["pynetdicom"][0] > 0
        assert len(row["figures"]["sink"]) == (0 if row["unit"] == "KiB" else 1)


@pytest.mark.peer("Orthanc", "dcmqrscp")
def test_archives_that_hold_the_same_are_asked_and_retrieved_from(tmp_path: Path) -> None:
    few = ("--studies", "3", "--matches", "7", "--images", "5")
    results = run_benchmarks(tmp_path, "--rows", "find,get,move", *few)
    targets = results.pop("targets")
    assert {work: row["unit"] for work, row in results.items()} == {
        "C-FIND, one match": "/s",
        "C-FIND, one match by Patient ID": "/s",
        "C-FIND, no match": "/s",
        "C-FIND, streamed matches": "matches/s",
        "C-GET 512 KiB x1": "images/s",
        "C-MOVE 512 KiB x1": "images/s",
    }
    for row in results.values():
        assert {name: len(figures) for name, figures in row["figures"].items() if figures} == {
            "ours": 1,
            "Orthanc": 1,
            "dcmqrscp": 1,
            "sink": 1,
        }
    judged = {each["work"] for each in targets if each["verdict"] != "not measured"}
    assert judged == {
        "C-FIND, one match",
        "C-FIND, streamed matches",
        "C-GET 512 KiB x1",
        "C-MOVE 512 KiB x1",
    }


LESS_THAN_IS_ASKED_FOR = """
from benchmarks.__main__ import WORKS
from benchmarks.archive_sink import archive_sink
from benchmarks.archives import Archives
from benchmarks.destination import destination
from benchmarks.holdings import Holdings
from benchmarks.load import LoadError

less = Holdings(studies=3, matches=6, images=4, size=8192)
with destination(Holdings(images=5)) as to:
    archives = Archives(Holdings(studies=3, matches=7, images=5, size=8192), to)
    for work in WORKS:
        if work.is_of_archive:
            with archive_sink(work, less, to.port) as port:
                try:
                    archives.measure_at(work, port, 0.05)
                    print(f"{work.name}: a figure")
                except LoadError as error:
                    print(f"{work.name}: {error}")
"""


def test_what_is_missing_leaves_no_figure() -> None:
    told = run_python("-c", LESS_THAN_IS_ASKED_FOR).splitlines()
    assert told == [
        "C-FIND, one match: a figure",
        "C-FIND, one match by Patient ID: a figure",
        "C-FIND, no match: a figure",
        "C-FIND, streamed matches: error: 6 matches, 6 different ones, and not 7",
        "C-GET 512 KiB x1: error: completed, failed and warning: [4, 0, 0], and not 5, 0, 0",
        "C-MOVE 512 KiB x1: error: completed, failed and warning: [4, 0, 0], and not 5, 0, 0",
    ]


def test_storing_with_an_index_stands_beside_storing_without(tmp_path: Path) -> None:
    servers = ("--servers", "ours", "ours without index")
    results = run_benchmarks(tmp_path, *servers, "--only", "C-STORE 512 KiB x1")
    assert results["C-STORE 512 KiB x1"]["figures"].keys() == {"ours", "ours without index", "sink"}
    (judged,) = (each for each in results["targets"] if each["verdict"] != "not measured")
    assert judged["target"] == "at least 0.85 x ours without index"


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgres"))])
def test_growth_is_told_for_each_question(kind: str, tmp_path: Path) -> None:
    arguments = ("--sizes", "50", "1500", "--repetitions", "5", "--directory", tmp_path, "--databases", kind)
    told = run_module("benchmarks.growth", *arguments, "--save", tmp_path)
    for question in ("instance by its UIDs", "study by its UID", "studies of one patient"):
        (line,) = (line for line in told.splitlines() if line.startswith(f"| {kind}, {question} |"))
        assert line.count("µs") == 2
        assert line.endswith(("| pass |", "| SHORT |"))
    assert told in (tmp_path / "GROWTH.md").read_text() + "\n"


def load_fill_index(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`scripts/fill_index.py`, as a module."""
    spec = importlib.util.spec_from_file_location("fill_index", ROOT / "scripts" / "fill_index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "fill_index", module)
    spec.loader.exec_module(module)
    return module


def everything(database: Database) -> list[str]:
    """Every row with those above it, without what numbers rows and when they were made."""
    columns = [
        column.label(f"{column.table.name}.{column.name}")
        for table in LEVELS
        for column in table.columns
        if column.name not in ("id", "patient", "study", "series", "stored_at")
    ]
    statement = select(*columns).select_from(instances.join(series).join(studies).join(patients))
    with database.engine.connect() as connection:
        rows = connection.execute(statement).mappings().all()
    return sorted(json.dumps(dict(row), sort_keys=True) for row in rows)


def test_synthetic_instances_fill_the_rows_that_the_writer_would(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_index = load_fill_index(monkeypatch)
    sources: list[Indexable] = []

    class Seen:
        @staticmethod
        def of(source: Indexable) -> Entry:
            sources.append(source)
            return Entry.of(source)

    monkeypatch.setattr(fill_index, "Entry", Seen)
    told: list[int] = []
    fill_index.fill(database, 1207, told.append)
    assert len(sources) == told[-1] == 1207

    written = tmp_path / "written"
    written.mkdir()
    with closing(Database.open("", written, durability="process")) as beside:
        upgrade(beside)
        with closing(IndexWriter(beside)) as writer:
            for start in range(0, len(sources), 100):
                writer.record(sources[start : start + 100])
        assert everything(database) == everything(beside)

    with pytest.raises(ValueError, match="not empty"):
        fill_index.fill(database, 1)


def test_what_is_stored_behind_synthetic_instances_has_ids_of_its_own(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_index = load_fill_index(monkeypatch)
    fill_index.fill(database, 40)
    path = "1.2/1.3/1.4.dcm"
    values = {0x0020000D: b"1.2", 0x0020000E: b"1.3", 0x00080018: b"1.4", 0x00100020: b"SOMEBODY"}
    with closing(IndexWriter(database)) as writer:
        writer.record([fill_index.Synthetic(path, "1.2.840.10008.5.1.4.1.1.2", values, 1000)])
    with database.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(instances)).scalar_one() == 41
        assert connection.execute(select(func.count()).select_from(patients)).scalar_one() == 2
