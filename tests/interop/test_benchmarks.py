"""The benchmarks run from beginning to end, with counts that are no measurement."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
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
    """One short round of each; the rows by work, the targets that were judged under "targets"."""
    shortly = ("--rounds", "1", "--seconds", "0.05", "--budget", "4", "--disk", directory)
    run_module("benchmarks", *shortly, "--directory", directory, "--save", directory, *arguments)
    results = json.loads((directory / "results.json").read_text())
    assert results["rows"][0]["work"] in (directory / "RESULTS.md").read_text()
    assert (directory / "results.svg").read_text().startswith("<svg")
    judged = [each for each in results["targets"] if each["verdict"] != "not measured"]
    return {row["work"]: row for row in results["rows"]} | {"targets": judged}


def rounds_of(row: dict[str, Any]) -> dict[str, int]:
    """How many figures each has, all of them more than nothing."""
    servers = row["servers"]
    assert all(each["median"] > 0 for each in servers.values())
    return {name: len(each["rounds"]) for name, each in servers.items()}


def test_every_kind_of_load_gives_a_figure(tmp_path: Path) -> None:
    only = ("C-ECHO", "associate", "8 KiB x1", "C-STORE 512 KiB x1")
    arguments = [word for work in only for word in ("--only", work)]
    results = run_benchmarks(tmp_path, "--servers", "pynetdicom", *arguments)
    assert results.pop("targets") == []  # each of them is about a figure of ours
    figures = {work: rounds_of(row) for work, row in results.items() if row["servers"].get("pynetdicom")}
    both = {"pynetdicom": 1, "sink": 1}
    assert figures == {
        "C-STORE 512 KiB x1": both,
        "C-STORE 8 KiB x1": both,
        "C-ECHO": both,
        "associate + echo + release, 64 contexts": both,
    }


def test_our_server_alone_is_held_against_bounds_and_itself(tmp_path: Path) -> None:
    only = ("50 associations", "p99", "TLS")
    results = run_benchmarks(tmp_path, *(word for work in only for word in ("--only", work)))
    targets = {each["work"]: each for each in results.pop("targets")}
    assert {work: rounds_of(row) for work, row in results.items()} == {
        "memory per idle association, 64 contexts, TLS": {"ours": 1},
        "50 associations storing 8 KiB, 950 more open": {"ours": 1},
        "50 associations storing 8 KiB": {"ours": 1},
        "p99 of C-ECHO beside 512 KiB x4": {"ours": 1, "sink": 1},
        "p99 of C-ECHO beside 512 KiB x4, power": {"ours": 1, "sink": 1},
    }
    assert targets.pop("memory per idle association, 64 contexts, TLS")["verdict"] == "reported"
    crowd = targets.pop("50 associations storing 8 KiB, 950 more open")
    assert (crowd["against"], crowd["at_least"], crowd["unit"]) == ("50 associations storing 8 KiB", 0.9, "x")
    assert crowd["value"] == pytest.approx(crowd["ours"] / crowd["peer"])
    assert {(each["unit"], each["at_least"], each["peer"]) for each in targets.values()} == {("ms", 10, None)}
    assert len(targets) == 2


@pytest.mark.peer("storescp", "dcmsend", "storescu")
def test_commands_are_measured(tmp_path: Path) -> None:
    results = run_benchmarks(tmp_path, "--rows", "send,window,help", "--files", "3")
    targets = [(each["work"], each["against"], each["unit"]) for each in results.pop("targets")]
    assert {work: rounds_of(row) for work, row in results.items()} == {
        "512 KiB files to storescp": {"ours": 1, "dcmsend": 1, "storescu": 1},
        "dicom-send --window 8, 64 KiB, round trip 20 ms": {"ours": 1},
        "dicom-send, 64 KiB, round trip 20 ms": {"ours": 1},
        "dicom-echo --help": {"ours": 1},
    }
    assert targets == [
        ("dicom-send, 512 KiB files to storescp", "dcmsend", "x"),
        ("dicom-send, 512 KiB files to storescp", "storescu", "x"),
        ("dicom-send --window 8, 64 KiB, round trip 20 ms", "dicom-send, 64 KiB, round trip 20 ms", "x"),
        ("dicom-echo --help", "", "s"),
    ]


@pytest.mark.peer("Orthanc", "dcmqrscp", "storescp")
def test_archives_that_hold_the_same_are_asked_and_retrieved_from(tmp_path: Path) -> None:
    few = ("--studies", "3", "--matches", "7", "--images", "5")
    results = run_benchmarks(tmp_path, "--rows", "find,get,move", *few)
    targets = results.pop("targets")
    assert {work: (row["unit"], set(rounds_of(row))) for work, row in results.items()} == {
        "C-GET 512 KiB x1": ("images/s", {"ours", "dcmqrscp", "Orthanc", "sink"}),
        "C-MOVE 512 KiB x1": ("images/s", {"ours", "Orthanc", "sink"}),
        "C-FIND, streamed matches": ("matches/s", {"ours", "dcmqrscp", "Orthanc", "sink"}),
        "C-FIND, one match": ("/s", {"ours", "dcmqrscp", "Orthanc", "sink"}),
    }
    assert [(each["work"], each["against"]) for each in targets] == [
        ("C-GET 512 KiB x1", "dcmqrscp"),
        ("C-GET 512 KiB x1", "Orthanc"),
        ("C-MOVE 512 KiB to storescp", "Orthanc"),
        ("C-MOVE 512 KiB to storescp", "C-GET 512 KiB x1"),
        ("C-FIND, streamed matches", "Orthanc"),
        ("C-FIND, streamed matches", "dcmqrscp"),
        ("C-FIND, one match", "Orthanc"),
    ]


LESS_THAN_IS_ASKED_FOR = """
import sys
from pathlib import Path
from benchmarks.archive_sink import archive_sink
from benchmarks.archives import Archives
from benchmarks.destination import destination
from benchmarks.holdings import Holdings
from benchmarks.load import LoadError
from benchmarks.works import WORKS

less = Holdings(studies=3, matches=6, images=4, size=8192)
with destination(Path(sys.argv[1])) as to:
    archives = Archives(Holdings(studies=3, matches=7, images=5, size=8192), to)
    for work in WORKS:
        if work.is_of_archive:
            with archive_sink(work, less, to.port) as port:
                try:
                    archives.measure_at(work, port, 0.05)
                    print(f"{work.name}: a figure")
                except LoadError as error:
                    print(f"{work.name}: {error}")
    for size in (8192, 8193):
        try:
            to.check(Holdings(images=4, size=size))
            print("all came")
        except LoadError as error:
            print("not all of its bytes")
"""


@pytest.mark.peer("storescp")
def test_what_is_missing_leaves_no_figure(tmp_path: Path) -> None:
    told = run_python("-c", LESS_THAN_IS_ASKED_FOR, str(tmp_path / "destination")).splitlines()
    assert told == [
        "C-GET 512 KiB x1: error: completed, failed and warning: [4, 0, 0], and not 5, 0, 0",
        "C-MOVE 512 KiB x1: error: completed, failed and warning: [4, 0, 0], and not 5, 0, 0",
        "C-FIND, streamed matches: error: 6 matches, 6 different ones, and not 7",
        "C-FIND, one match: a figure",
        "all came",
        "not all of its bytes",
    ]


# -- judging


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.mark.parametrize(
    ("ours", "peer", "verdict", "value", "lowest", "highest"),
    [
        ([10, 30, 20], [10, 10, 40], "pass", 2.0, 0.5, 3.0),
        ([10, 30, 20], [11, 10, 40], "SHORT", 20 / 11, 0.5, 3.0),
        ([10], [], "not measured", None, None, None),
        ([], [10], "not measured", None, None, None),
    ],
)
def test_a_ratio_is_that_of_the_medians(
    module: Callable[[str], ModuleType],
    ours: list[float],
    peer: list[float],
    verdict: str,
    value: float | None,
    lowest: float | None,
    highest: float | None,
) -> None:
    judged = module("targets").Target("C-ECHO", 2, 3, "Orthanc").judge(ours, peer)
    assert (judged.verdict, judged.value, judged.lowest, judged.highest) == (verdict, value, lowest, highest)


@pytest.mark.parametrize(
    ("at_least", "ours", "verdict"),
    [(0.25, [0.1, 0.3, 0.25], "pass"), (0.24, [0.1, 0.3, 0.25], "SHORT"), (None, [9], "reported")],
)
def test_a_bound_is_not_to_be_exceeded(
    module: Callable[[str], ModuleType], at_least: float | None, ours: list[float], verdict: str
) -> None:
    target = module("targets").Target("dicom-echo --help", at_least)
    judged = target.judge(ours, [])
    assert (judged.verdict, judged.text) == (verdict, f"{judged.value:.2f} s")
    assert target.bound(at_least) == ("" if at_least is None else f"{at_least} s or less")
    assert target.judge([], []).verdict == "not measured"


def test_each_target_is_about_figures_that_are_taken(module: Callable[[str], ModuleType]) -> None:
    works = {work.name: work for work in module("works").WORKS}
    for target in module("targets").TARGETS:
        work, beside = works[target.work], works[target.beside or target.work]
        assert target.server in work.servers
        assert not target.against or target.against in beside.servers
        assert not target.beside or work.beside == beside.beside != "", "not measured in turn"
        assert bool(target.against) != (target.unit != "x")


def test_percentiles_are_values_that_were_measured(module: Callable[[str], ModuleType]) -> None:
    percentile = module("load").percentile
    assert percentile(range(1, 1001), 99) == 990
    assert percentile([3, 1, 2], 99) == 3
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([7], 1) == 7


def test_the_readme_has_one_line_for_each_work(module: Callable[[str], ModuleType]) -> None:
    report, target = module("report"), module("targets").Target
    table = report.compact_table(
        [
            target("C-ECHO", 0.6, 1, "storescp").judge([50], [100]),
            target("C-ECHO", 1, None, "Orthanc").judge([50], [25]),
            target("C-FIND, one match", 2, 4, "Orthanc").judge([], []),
            target("dicom-echo --help", 0.25, 0.15).judge([0.2], []),
        ]
    )
    assert table.splitlines()[2:] == [
        "| C-ECHO | storescp / Orthanc | 0.6 x / 1 x | 1 x / – | 0.50 x / 2.00 x | SHORT / pass |",
        "| C-FIND, one match | Orthanc | 2 x | 4 x |  | not measured |",
        "| dicom-echo --help |  | 0.25 s or less | 0.15 s or less | 0.20 s | pass |",
    ]
    marked = f"above\n{report.BEGIN}\nold\n{report.END}\nbelow"
    written = report.with_table(marked, "new")
    assert written == f"above\n{report.BEGIN}\nnew\n{report.END}\nbelow"
    assert report.with_table(written, "new") == written
    assert report.with_table("no place for it", "new") == "no place for it"


# -- the distant peer

BOTH_WAYS_THROUGH_THE_PROXY = """
import random, socket, threading, time
from benchmarks.proxy import delaying

DELAY = 0.05
content = random.Random(1).randbytes(3_000_001)

def receive(sock):
    parts = []
    while part := sock.recv(100_000):
        parts.append(part)
    return b"".join(parts)

def send(sock, data):
    for at in range(0, len(data), 77_777):
        sock.sendall(data[at : at + 77_777])
    sock.shutdown(socket.SHUT_WR)

with socket.create_server(("127.0.0.1", 0)) as listener, delaying(listener.getsockname()[1], DELAY) as port:
    near = socket.create_connection(("127.0.0.1", port))
    far, _ = listener.accept()
    for sock in (near, far):
        sock.settimeout(20)
    for source, to in ((near, far), (far, near)):
        begun = time.monotonic()
        threading.Thread(target=send, args=(source, content), daemon=True).start()
        first = to.recv(1)
        print("late" if time.monotonic() - begun >= DELAY else "early", first + receive(to) == content)
"""


def test_the_proxy_delays_and_changes_nothing() -> None:
    assert run_python("-c", BOTH_WAYS_THROUGH_THE_PROXY).splitlines() == ["late True", "late True"]


# -- an index that grows


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgres"))])
def test_growth_is_told_for_each_question(kind: str, tmp_path: Path) -> None:
    arguments = ("--sizes", "50", "1500", "--repetitions", "5", "--directory", tmp_path, "--databases", kind)
    told = run_module("benchmarks.growth", "--parts", "questions", *arguments, "--save", tmp_path)
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
