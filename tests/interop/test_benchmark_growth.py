"""The parts of `make bench-growth` that load a server, with counts that are no measurement.

Those that ask the index are in `test_benchmarks`.
"""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import ModuleType

import pytest
from pydicom import Dataset
from pydicom.filereader import read_dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def run_growth(directory: Path, *arguments: str) -> str:
    argv = [sys.executable, "-m", "benchmarks.growth", "--directory", str(directory), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "quiet in a pipe"
    return done.stdout


def data_set_of(message: bytes) -> Dataset:
    """The data set of a C-STORE-RQ that is two P-DATA-TFs of one PDV each."""
    second = 6 + int.from_bytes(message[2:6], "big")
    return read_dataset(BytesIO(message[second + 12 :]), is_implicit_VR=False, is_little_endian=True)


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgres"))])
def test_storing_into_a_large_index_is_told_beside_an_empty_one(kind: str, tmp_path: Path) -> None:
    shortly = ("--sizes", "30", "300", "--rounds", "1", "--seconds", "0.05", "--databases", kind)
    told = run_growth(tmp_path, "--parts", "storing", *shortly, "--save", str(tmp_path))
    (line,) = (line for line in told.splitlines() if line.startswith(f"| {kind} |"))
    assert "into one of 300" in told
    assert len(re.findall(r"[\d,.]+/s \([\d,.]+ to [\d,.]+\)", line)) == 2
    assert line.endswith(("at least 0.8 | pass |", "at least 0.8 | SHORT |"))
    assert told in (tmp_path / "GROWTH.md").read_text() + "\n"
    left = [each.name for each in tmp_path.iterdir() if each.is_dir()]
    assert left == []


def test_associations_are_told_beside_one(tmp_path: Path) -> None:
    shortly = (
        "--servers",
        "ours",
        "--associations",
        "1",
        "3",
        "--association-rounds",
        "1",
        "--seconds",
        "0.05",
    )
    told = run_growth(tmp_path, "--parts", "concurrency", *shortly)
    for work in ("C-STORE 8 KiB", "C-STORE 512 KiB", "C-ECHO"):
        (line,) = (line for line in told.splitlines() if line.startswith(f"| {work} | ours |"))
        one, three = line.split("|")[3:5]
        rate, more = (float(cell.partition("/s")[0].replace(",", "")) for cell in (one, three))
        assert rate > 0
        assert float(three.partition("/s, ")[2].rstrip("x ")) == pytest.approx(
            more / rate, rel=0.05, abs=0.01
        )


@pytest.mark.parametrize(
    ("empty", "large", "verdict"),
    [([10, 30, 20], [16, 90, 1], "pass"), ([10, 30, 20], [15.9, 90, 1], "SHORT")],
)
def test_the_medians_are_judged(
    module: Callable[[str], ModuleType], empty: list[float], large: list[float], verdict: str
) -> None:
    storing = module("growth_storing")
    line = storing.line_of("sqlite", storing.Stored(empty, large))
    assert line.endswith(f" | 0.80, at least 0.8 | {verdict} |")


def test_a_failure_is_told_and_leaves_no_figure(module: Callable[[str], ModuleType]) -> None:
    rates = module("growth_concurrency").Rates((1, 10))
    rates.add("C-ECHO", "ours", 1, 100.0)
    rates.add("C-ECHO", "ours", 1, 300.0)
    rates.add("C-ECHO", "ours", 10, 500.0)
    rates.add("C-ECHO", "Orthanc", 1, 50.0)
    rates.add("C-ECHO", "Orthanc", 10, 50.0)
    rates.failures["C-ECHO", "Orthanc", 10] = "LoadError: no\nanswer"
    assert rates.lines() == [
        "| C-ECHO | ours | 200/s | 500/s, 2.50x |",
        "| C-ECHO | Orthanc | 50/s | failed |",
    ]
    assert rates.told_failures() == ["C-ECHO, Orthanc, 10 associations: failed: LoadError: no answer"]


def test_what_is_stored_is_new_and_falls_among_what_is_held(module: Callable[[str], ModuleType]) -> None:
    storing = module("growth_storing")
    instances = storing.NewInstances(0, first=400)
    seen: dict[str, tuple[str, str]] = {}
    for number in range(600):
        if number:
            instances.next()
        ds = data_set_of(bytes(instances.buffer))
        assert ds.SOPInstanceUID.encode() in bytes(instances.buffer[:400]), "as the command says"
        seen[ds.SOPInstanceUID] = (ds.StudyInstanceUID, ds.SeriesInstanceUID)
    assert len(seen) == 600
    assert all(re.fullmatch(r"2\.25\.[1-9]\d+", uid) for uid in seen)
    assert len(set(seen.values())) == 3
    assert {uid[5] for uid in seen} == {"1", "2", "3"}, "as 128 bits begin"
    assert len({uid[5:8] for uid in seen}) > 150
