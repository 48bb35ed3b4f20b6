"""`python -m benchmarks`: every work on every server in turn, several rounds, medians and ratios.

A server is started on an empty directory of a tmpfs for each measurement and its files are removed after it.
Within a round the servers take turns, so that what the machine does meanwhile falls on all of them alike;
compare figures of one run only.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.contenders import AE_TITLE, CONTENDERS, Contender
from benchmarks.forks import adopt_orphans, bury_orphans
from benchmarks.load import LoadError, Work, bounded, measure
from benchmarks.memory import memory_per_association
from benchmarks.report import SINK, Results, report, save
from benchmarks.sink import sink

KIB, MB = 1 << 10, 1_000_000
_MOST_ASSOCIATIONS = 10_000  # one after the other: each keeps a port of the client busy for a while
WORKS = (
    Work("C-ECHO", "echo"),
    Work("associate + echo + release, 1 context", "associate", contexts=1, most=_MOST_ASSOCIATIONS),
    Work("associate + echo + release, 64 contexts", "associate", contexts=64, most=_MOST_ASSOCIATIONS),
    Work("C-STORE 8 KiB x1", "store", size=8 * KIB),
    Work("C-STORE 8 KiB x4", "store", size=8 * KIB, associations=4),
    Work("C-STORE 8 KiB x8", "store", size=8 * KIB, associations=8),
    Work("C-STORE 512 KiB x1", "store", size=512 * KIB),
    Work("C-STORE 512 KiB x4", "store", size=512 * KIB, associations=4),
    Work("C-STORE 512 KiB x8", "store", size=512 * KIB, associations=8),
    Work("C-STORE 200 MB x1", "store", size=200 * MB),
    Work("memory per idle association, 64 contexts", "memory", contexts=64),
)
QUICK = ("C-ECHO", "1 context", "8 KiB x1", "8 KiB x8", "512 KiB x1", "512 KiB x4", "memory")
_FASTEST = 1_800_000_000  # bytes a second that any server here stores


def main() -> int:
    """Run what the command line asks for; 0 where everything that was to be measured was, 1 otherwise."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends with us
    options = _parser().parse_args()
    wanted = options.only or (QUICK if options.quick else ("",))
    works = [work for work in WORKS if any(part in work.name for part in wanted)]
    if not works:
        sys.exit(
            f"no work has {' or '.join(map(repr, wanted))} in its name; there are:\n" + _names_of_works()
        )
    asked = [c for c in CONTENDERS if not options.servers or c.name in options.servers]
    contenders = [c for c in asked if c.is_there()]
    absent = [c for c in asked if not c.is_there()]
    if not contenders:
        sys.exit("none of the servers is installed: " + "; ".join(f"{c.name}: {c.wanted}" for c in absent))
    seconds = options.seconds or (0.4 if options.quick else 2.0)
    pinned = not options.any_core
    adopt_orphans()
    results = Results(contenders, absent, options.rounds, seconds, pinned=pinned)
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="dicom-bench-", dir=options.directory) as directory,
        _progress(len(works) * options.rounds * (len(contenders) + 1)) as (step, say),
    ):
        for work in works:
            for turn in range(options.rounds):
                _one_round(work, turn, contenders, Path(directory), options.budget * MB, results, step)
            say(results.line(work))
    results.finish()
    print(f"{report(results)}\n\n{time.monotonic() - begun:.0f} s in all")
    if options.save:
        save(results, options.save)
    return 1 if results.failures else 0


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Two functions, which say what is measured now and what was measured, on a terminal and nowhere else."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    # Without auto_refresh there is no thread, and nothing a forked worker could inherit halfway.
    with Progress(
        *columns,
        console=console,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=total)
        done = 0

        def step(what: str) -> None:
            nonlocal done
            progress.update(task, completed=done, description=what, refresh=True)
            done += 1

        def say(what: str) -> None:
            if console.is_terminal:
                progress.console.print(what, highlight=False, markup=False)

        yield step, say


def _one_round(
    work: Work,
    turn: int,
    contenders: list[Contender],
    directory: Path,
    budget: int,
    results: Results,
    step: Callable[[str], None],
) -> None:
    limited, seconds = bounded(work, budget), results.seconds
    with _on_one_core() if work.on_one_core and results.pinned else nullcontext():
        step(f"{work.name}: load generator alone")
        if work.kind != "memory":
            with sink(work) as port:
                results.add(work, SINK, measure(limited, port, AE_TITLE, seconds))
            bury_orphans()
        first = turn % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            step(f"{work.name}: {contender.name}")
            try:
                if work.kind == "store":
                    _warm_up(directory, min(budget, int(seconds * _FASTEST)))
                results.add(work, contender.name, _measure(limited, contender, directory, seconds))
            except (LoadError, AssertionError, OSError) as error:
                results.fail(work, contender.name, f"{type(error).__name__}: {error}")


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
                idle = replace(work, associations=contender.idle)
                return memory_per_association(idle, peer.port, AE_TITLE, peer.process.pid)
            return measure(work, peer.port, AE_TITLE, seconds)
    finally:
        bury_orphans()
        shutil.rmtree(home, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer kinds of work, shorter: about two minutes"
    )
    parser.add_argument(
        "--rounds", type=_positive(int), default=3, help="rounds of each work (default %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=_positive(float), help="length of one measurement (default 2, quick 0.4)"
    )
    parser.add_argument(
        "--only", action="append", metavar="TEXT", help="works whose name has TEXT; may be repeated"
    )
    parser.add_argument(
        "--servers", nargs="+", choices=[c.name for c in CONTENDERS], help="these servers only"
    )
    parser.add_argument(
        "--directory", default="/dev/shm", help="where the files go, best a tmpfs (default /dev/shm)"
    )
    parser.add_argument(
        "--budget", type=_positive(int), default=3000, metavar="MB", help="most a measurement may store"
    )
    parser.add_argument(
        "--any-core",
        action="store_true",
        help="never keep load and server on one core, which is done for small messages one at a time",
    )
    parser.add_argument("--save", type=Path, metavar="DIR", help="write results.json and RESULTS.md there")
    return parser


def _positive(number: type[int] | type[float]) -> Callable[[str], float]:
    def convert(text: str) -> float:
        value = number(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not more than 0")
        return value

    return convert


def _names_of_works() -> str:
    return "\n".join(f"  {work.name}" for work in WORKS)


if __name__ == "__main__":
    if not hasattr(os, "fork"):
        sys.exit("the load generator forks: run it on Linux")
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
