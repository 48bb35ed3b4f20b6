"""The archive after a fault: what was acknowledged is there and whole, and nothing is there in part.

Named fail points end a process before and after every system call of a store; a loop of kill -9 ends it
anywhere; strace shows the order in which `power` reaches the disk.
"""

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from archive_child import CRASHED, content
from archive_samples import (
    INSTANCE,
    PATH,
    data_set,
    disk_with,
    instances,
    leftovers,
    run,
    store,
    stored_data_set,
)
from services.archive.archive import Archive
from services.archive.data_directory import DataDirectory, Repair
from services.archive.errors import ArchiveError
from services.archive.publish import Outcome

TESTS = Path(__file__).parent.parent
CHILD = [sys.executable, str(TESTS / "archive_child.py")]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{TESTS.parent / 'src'}{os.pathsep}{TESTS}"}

# (step, how often it is met): "before" counts attempts, "after" successes. The first `link` of a new series fails.
KEEP = ("open 1", "writev 1", "write 1", "write 2", "link 1", "mkdir 1", "mkdir 2", "link 2", "record 1")
REPLACE = ("writev 1", "link 1", "link 2", "rename 1", "record 1", "unlink 1", "close 1")
CLAIM = ("open 1", "writev 1", "open 2", "write 4", "close 1", "rename 1", "record 1", "unlink 1")
FORGET = ("unlink 1", "close 1")
SYNC = ("fdatasync 1", "open 2", "fsync 1", "fsync 2", "fsync 3", "close 3")
FAILS_ONCE = "link 2"

SCENARIOS: list[dict[str, Any]] = [
    {
        "durability": durability,
        "duplicates": duplicates,
        "hard_links": hard_links,
        "when": when,
        "step": step.split()[0],
        "call": int(step.split()[1]),
    }
    for durability, duplicates, hard_links, steps in (
        ("process", "keep", True, KEEP + FORGET),
        ("power", "keep", True, KEEP + FORGET + SYNC),
        ("process", "replace", True, REPLACE),
        ("power", "replace", True, (*REPLACE, "fdatasync 1", "open 2", "fsync 1")),
        ("process", "keep", False, CLAIM),
        ("power", "keep", False, CLAIM + SYNC),
    )
    for step in dict.fromkeys(steps)
    for when in ("before", "after")
    if (when, step) != ("after", FAILS_ONCE)
]


def label(scenario: dict[str, Any]) -> str:
    links = "" if scenario["hard_links"] else "-no-links"
    return "{durability}-{duplicates}{links}-{when}-{step}-{call}".format(links=links, **scenario)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, int]]:
    """Every scenario, run to its end: its data directory and how the process ended."""
    base = tmp_path_factory.mktemp("crashes")
    scenarios = [scenario | {"directory": str(base / label(scenario))} for scenario in SCENARIOS]
    done = subprocess.run(
        [*CHILD, "crash"],
        input=json.dumps(scenarios),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    ends = json.loads(done.stdout)
    return {
        label(scenario): (Path(scenario["directory"]), end)
        for scenario, end in zip(scenarios, ends, strict=True)
    }


def check(root: Path, acknowledged: set[str]) -> None:
    """The invariants, after the repair of a new start."""
    for ending in ("before repair", "after repair"):
        files = {Path(name).stem: root / name for name in instances(root)}
        damaged = [uid for uid, file in files.items() if stored_data_set(file) != content(uid)]
        assert not damaged, f"damaged {ending}: {damaged}"
        assert acknowledged <= files.keys(), f"lost {ending}: {acknowledged - files.keys()}"
        if ending == "before repair":
            DataDirectory.open(root).close()
    assert leftovers(root) == []


@pytest.mark.parametrize("scenario", SCENARIOS, ids=label)
def test_a_crash_at_a_fail_point(crashed: dict[str, tuple[Path, int]], scenario: dict[str, Any]) -> None:
    root, end = crashed[label(scenario)]
    assert end == CRASHED, "the fail point was never reached"
    acknowledged = root.with_suffix(".ledger").read_text().split()
    assert "1.9.6" in acknowledged
    check(root, set(acknowledged))
    # and the next server goes on: an instance that was not acknowledged is sent again
    second = "1.9.6" if scenario["duplicates"] == "replace" else "1.9.4"

    async def again(archive: Archive) -> Outcome:
        return (await store(archive, content(second), second)).outcome

    assert run(root, again, durability=scenario["durability"]) in (Outcome.STORED, Outcome.DUPLICATE_EQUAL)
    check(root, {"1.9.6", second})


ERROR_STEPS = ["open", "writev", "write", "link", "mkdir", "fdatasync", "fsync"]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EMFILE])
@pytest.mark.parametrize("step", ERROR_STEPS)
@pytest.mark.parametrize("durability", ["process", "power"])
def test_an_error_at_a_step(tmp_path: Path, durability: str, step: str, number: int) -> None:
    real, armed = getattr(os, step), list[bool]()

    def perhaps(*arguments: Any, **options: Any) -> Any:
        if armed:
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    async def work(archive: Archive) -> None:
        await store(archive, content("1.9.6"), "1.9.6", piece=50_000)
        armed.append(True)
        if durability == "process" and step in ("fdatasync", "fsync"):
            await store(archive, content("1.9.4"), "1.9.4", piece=50_000)  # nothing is synced
        else:
            with pytest.raises(ArchiveError, match=re.escape(os.strerror(number))):
                await store(archive, content("1.9.4"), "1.9.4", piece=50_000)
        assert leftovers(tmp_path) == []

    run(tmp_path, work, durability=durability, disk=disk_with(**{step: perhaps}))
    check(tmp_path, {"1.9.6"})


@pytest.mark.parametrize("durability", ["process", "power"])
def test_errors_while_cleaning_up_do_not_hurt_what_is_stored(tmp_path: Path, durability: str) -> None:
    armed: list[bool] = []

    def unlink(name: str, **options: Any) -> None:
        if armed:
            raise OSError(errno.EIO, "Input/output error")
        os.unlink(name, **options)

    async def work(archive: Archive) -> None:
        armed.append(True)
        assert (await store(archive, data_set(), INSTANCE)).outcome is Outcome.STORED

    run(tmp_path, work, durability=durability, disk=disk_with(unlink=unlink))
    assert len(leftovers(tmp_path)) == 1
    directory = DataDirectory.open(tmp_path)
    assert directory.repair == Repair(published=1, unfinished=0)
    directory.close()
    assert instances(tmp_path) == [PATH]
    assert leftovers(tmp_path) == []


def test_killed_anywhere_the_ledger_holds(tmp_path: Path) -> None:
    chance = random.Random(20261123)
    acknowledged: set[str] = set()
    for round_ in range(10):
        durability = "power" if round_ % 2 else "process"
        child = subprocess.Popen(
            [*CHILD, "writers", str(tmp_path), durability], env=ENVIRONMENT, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        first = child.stdout.readline()
        rest = _read_for(child, chance.uniform(0.0, 0.15))
        lines = (first + rest).split(b"\n")[:-1]
        assert lines, "nothing was acknowledged"
        acknowledged.update(line.decode() for line in lines)
        check(tmp_path, acknowledged)


def _read_for(child: "subprocess.Popen[bytes]", seconds: float) -> bytes:
    """What the child says until it is killed, after so many seconds."""
    assert child.stdout is not None
    killer = subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -9 {child.pid}"])
    rest = child.stdout.read()
    child.wait()
    killer.wait()
    assert child.returncode == -signal.SIGKILL
    child.stdout.close()
    return rest


def test_power_reaches_the_disk_in_order(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        if os.environ.get("CI") == "true":
            pytest.fail("strace is not installed")
        pytest.skip("strace is not installed")
    root, log = tmp_path / "data", tmp_path / "log"
    traced = "trace=fdatasync,fsync,linkat,unlinkat,write"
    subprocess.run(
        [strace, "-f", "-y", "-s", "40", "-e", traced, "-o", str(log), *CHILD, "once", str(root), "power"],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    _, _, after_opening = log.read_text().partition("OPENED")
    steps = re.findall(
        r"(fdatasync|fsync|linkat|unlinkat|write)\((?:\d+|AT_FDCWD)<([^>]*)>(.*)", after_opening
    )
    order = [name for step in steps if (name := _named(root, *step))]
    assert order[:3] == ["sync file", "link", "link"], "the first one finds no directory"
    assert sorted(order[3:6]) == ["sync data directory", "sync series", "sync study"]
    assert order[6:8] == ["forget temporary", "acknowledge"]


def _named(root: Path, call: str, path: str, rest: str) -> str:
    """What a traced call means for the store, or nothing."""
    place = os.path.relpath(path, root)
    match call:
        case "fdatasync" if place.startswith(".incoming/"):
            return "sync file"
        case "linkat" if place == ".incoming":
            return "link"
        case "unlinkat" if place == ".incoming":
            return "forget temporary"
        case "fsync":
            return {".": "sync data directory", "1.3.2": "sync study", "1.3.2/1.2.1": "sync series"}.get(
                place, ""
            )
        case "write" if "1.9.6" in rest and "pipe" in path:
            return "acknowledge"
        case _:
            return ""
