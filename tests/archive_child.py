"""A process that stores instances until it dies: the other half of the fault tests of the archive.

    python archive_child.py crash < scenarios.json     each scenario in a forked process of its own
    python archive_child.py writers DIRECTORY DURABILITY    eight writers, until killed
    python archive_child.py once DIRECTORY DURABILITY       one instance, for strace

Every acknowledged SOP Instance UID is written to a descriptor at once: the ledger.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archive_samples import data_set, disk_with, failing, open_archive, store
from services.archive.archive import Archive
from services.archive.index.entry import Recorded

CRASHED = 77
STEPS = ("open", "writev", "write", "close", "link", "rename", "unlink", "mkdir", "fdatasync", "fsync")


def content(instance: str) -> bytes:
    """The data set of an instance, told by its UID alone; some take several writes."""
    number = int(instance.rpartition(".")[2])
    pixels = bytes([number % 251]) * (number % 7 * 20_000 + 10)
    return data_set(instance, study=f"1.3.{number % 4}", series=f"1.2.{number % 5}", pixels=pixels)


class FailPoint:
    """Ends the process before or after the n-th call of one step, as kill -9 would."""

    def __init__(self, step: str, when: str, call: int) -> None:
        self.step, self.when, self.left = step, when, call
        self.armed = False

    def hit(self, step: str, when: str) -> None:
        if self.armed and (step, when) == (self.step, self.when):
            self.left -= 1
            if self.left == 0:
                os._exit(CRASHED)

    def around(self, step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.hit(step, "before")
            result = call(*arguments, **options)
            self.hit(step, "after")
            return result

        return wrapped


def record(point: FailPoint) -> Callable[[Any], list[Recorded]]:
    """The place of the index commit, as one more step."""
    return point.around("record", lambda batch: [Recorded.NEW] * len(batch))


async def acknowledge(archive: Archive, instance: str, data: bytes, ledger: int) -> None:
    await store(archive, data, instance, piece=25_000)
    os.write(ledger, f"{instance}\n".encode())


def crash(scenario: dict[str, Any]) -> None:
    """Store one instance in peace, and others with the fail point armed."""
    point = FailPoint(scenario["step"], scenario["when"], scenario["call"])
    calls = {step: getattr(os, step) for step in STEPS}
    if not scenario["hard_links"]:
        calls["link"] = failing(1)
    disk = disk_with(**{step: point.around(step, call) for step, call in calls.items()})
    root = Path(scenario["directory"])
    ledger = os.open(root.with_suffix(".ledger"), os.O_WRONLY | os.O_CREAT, 0o600)

    async def main() -> None:
        archive = open_archive(
            root,
            disk=disk,
            durability=scenario["durability"],
            duplicates=scenario["duplicates"],
            record=record(point),
        )
        await acknowledge(archive, "1.9.6", content("1.9.6"), ledger)
        point.armed = True
        second = "1.9.6" if scenario["duplicates"] == "replace" else "1.9.4"
        await acknowledge(archive, second, content(second), ledger)
        archive.close()

    asyncio.run(main())


def crash_all() -> None:
    """Each scenario in a process of its own; prints how each ended."""
    ends = []
    for scenario in json.load(sys.stdin):
        child = os.fork()
        if not child:
            crash(scenario)
            os._exit(0)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps(ends))


async def write_for_ever(root: Path, durability: str) -> None:
    """Eight writers; every tenth instance is sent twice."""
    archive = open_archive(root, durability=durability)
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


async def write_once(root: Path, durability: str) -> None:
    archive = open_archive(root, durability=durability)
    os.write(1, b"OPENED\n")
    await acknowledge(archive, "1.9.6", content("1.9.6"), 1)
    archive.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["crash"]:
            crash_all()
        case ["writers", directory, level]:
            asyncio.run(write_for_ever(Path(directory), level))
        case ["once", directory, level]:
            asyncio.run(write_once(Path(directory), level))
