"""`python -m benchmarks`: every work on every server in turn, several rounds, medians and ratios.

A server is started on an empty directory of a tmpfs for each measurement and its files are removed after it.
Within a round the servers take turns, so that what the machine does meanwhile falls on all of them alike;
compare figures of one run only.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.contenders import AE_TITLE, CONTENDERS, Contender
from benchmarks.load import LoadError, Work, bounded, measure
from benchmarks.memory import memory_per_association
from benchmarks.report import Results, save, table
from benchmarks.sink import sink

KIB, MB = 1 << 10, 1_000_000
WORKS = (
    Work("C-ECHO", "echo"),
    Work("associate + echo + release, 1 context", "associate", contexts=1),
    Work("associate + echo + release, 64 contexts", "associate", contexts=64),
    Work("C-STORE 8 KiB x1", "store", size=8 * KIB),
    Work("C-STORE 8 KiB x4", "store", size=8 * KIB, associations=4),
    Work("C-STORE 8 KiB x8", "store", size=8 * KIB, associations=8),
    Work("C-STORE 512 KiB x1", "store", size=512 * KIB),
    Work("C-STORE 512 KiB x4", "store", size=512 * KIB, associations=4),
    Work("C-STORE 512 KiB x8", "store", size=512 * KIB, associations=8),
    Work("C-STORE 200 MB x1", "store", size=200 * MB),
    Work("memory per idle association, 64 contexts", "memory", contexts=64, associations=50),
)
QUICK = ("C-ECHO", "64 contexts", "8 KiB x1", "8 KiB x8", "512 KiB x1", "512 KiB x4")
SINK = "sink"
_FASTEST = 1_800_000_000  # bytes a second that any server here stores


def main() -> None:
    options = _parser().parse_args()
    wanted = options.only or (QUICK if options.quick else ("",))
    works = [work for work in WORKS if any(part in work.name for part in wanted)]
    contenders = [
        c for c in CONTENDERS if c.is_there() and (not options.servers or c.name in options.servers)
    ]
    rounds = options.rounds or 3
    seconds = options.seconds or (0.4 if options.quick else 2.0)
    results = Results(contenders, rounds, seconds)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dicom-bench-", dir=options.directory) as directory:
        for work in works:
            for turn in range(rounds):
                _one_round(work, turn, contenders, Path(directory), seconds, options.budget * MB, results)
            print(results.line(work), flush=True)
    print(f"\n{table(results)}\n{time.monotonic() - begun:.0f} s in all")
    if options.save:
        save(results, options.save)


def _one_round(
    work: Work,
    turn: int,
    contenders: list[Contender],
    directory: Path,
    seconds: float,
    budget: int,
    results: Results,
) -> None:
    limited = bounded(work, budget)
    with _on_one_core() if work.on_one_core else nullcontext():
        if work.kind != "memory":
            with sink(work) as port:
                results.add(work, SINK, measure(limited, port, AE_TITLE, seconds))
        for contender in contenders[turn % len(contenders) :] + contenders[: turn % len(contenders)]:
            try:
                if work.kind == "store":
                    _warm_up(directory, min(budget, int(seconds * _FASTEST)))
                results.add(work, contender.name, _measure(limited, contender, directory, seconds))
            except (LoadError, AssertionError) as error:
                results.fail(work, contender.name, str(error))


@contextmanager
def _on_one_core() -> Iterator[None]:
    """Keep us, and what we start, on the last of our cores."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _warm_up(directory: Path, size: int) -> None:
    """Write and remove as much as a measurement may: memory a virtual machine touches first is four times slower."""
    file = directory / "warm-up"
    piece = bytes(1 << 20)
    try:
        with file.open("wb", buffering=0) as opened:
            for _ in range(size >> 20):
                opened.write(piece)
    finally:
        file.unlink(missing_ok=True)


def _measure(work: Work, contender: Contender, directory: Path, seconds: float) -> float:
    home = directory / contender.name
    try:
        with contender.start(home) as peer:
            if work.kind == "memory":
                return memory_per_association(work, peer.port, AE_TITLE, peer.process.pid)
            return measure(work, peer.port, AE_TITLE, seconds)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer kinds of work, shorter: about two minutes"
    )
    parser.add_argument("--rounds", type=int, help="rounds of each work (default 3)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (default 2, quick 0.4)")
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="works whose name has TEXT; may be repeated"
    )
    parser.add_argument(
        "--servers", nargs="+", choices=[c.name for c in CONTENDERS], help="these servers only"
    )
    parser.add_argument(
        "--directory", default="/dev/shm", help="where the files go, best a tmpfs (default /dev/shm)"
    )
    parser.add_argument("--budget", type=int, default=3000, metavar="MB", help="most a measurement may store")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write results.json and RESULTS.md there")
    return parser


if __name__ == "__main__":
    if not hasattr(os, "fork"):
        sys.exit("the load generator forks: run it on Linux")
    main()
