"""`python -m benchmarks`: every work on every server in turn, several rounds, medians and ratios.

A server is started on an empty directory of a tmpfs for each measurement and its files are removed after it.
Within a round the servers take turns, so that what the machine does meanwhile falls on all of them alike;
compare figures of one run only. Servers that are asked for what they hold are filled once, and all of them run.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.archives import Archives, archives
from benchmarks.contenders import AE_TITLE, CONTENDERS, Contender
from benchmarks.destination import AE_TITLE as DESTINATION
from benchmarks.forks import adopt_orphans, bury_orphans
from benchmarks.holdings import MOST_STUDIES, Holdings
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
    Work("C-FIND, one match", "find", asks="study"),
    Work("C-FIND, one match by Patient ID", "find", asks="patient"),
    Work("C-FIND, no match", "find", asks="nothing"),
    Work("C-FIND, streamed matches", "find", asks="images"),
    Work("C-GET 512 KiB x1", "get", most=1),
    Work("C-MOVE 512 KiB x1", "move", most=1, asks=DESTINATION),
)
KINDS = tuple(dict.fromkeys(work.kind for work in WORKS))
QUICK = frozenset(
    work.name
    for work in WORKS
    if work.name.endswith(("C-ECHO", "1 context", "8 KiB x1", "8 KiB x8", "512 KiB x1"))
) | {
    "C-STORE 512 KiB x4",
    "memory per idle association, 64 contexts",
    "C-FIND, one match",
    "C-FIND, no match",
    "C-FIND, streamed matches",
}
_QUICK_IMAGES = 250
_FASTEST = 1_800_000_000  # bytes a second that any server here stores


def main() -> int:
    """Run what the command line asks for; 0 where everything that was to be measured was, 1 otherwise."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends with us
    options = _parser().parse_args()
    works = _chosen(options)
    asked = [c for c in CONTENDERS if not options.servers or c.name in options.servers]
    contenders = [c for c in asked if c.is_there()]
    absent = [c for c in asked if not c.is_there()]
    if not contenders:
        sys.exit("none of the servers is installed: " + "; ".join(f"{c.name}: {c.wanted}" for c in absent))
    contenders = [c for c in contenders if any(map(c.does, works))]
    if not contenders:
        sys.exit(f"none of {', '.join(c.name for c in asked)} does any of:\n" + _names_of(works))
    images = options.images or (_QUICK_IMAGES if options.quick else Holdings().images)
    if options.studies > MOST_STUDIES:
        sys.exit(
            f"--studies {options.studies}: dcmqrscp holds no more than {MOST_STUDIES} beside the two large ones"
        )
    holdings = Holdings(options.studies, options.matches, images)
    seconds = options.seconds or (0.4 if options.quick else 2.0)
    pinned = not options.any_core
    adopt_orphans()
    results = Results(contenders, absent, options.rounds, seconds, pinned=pinned, holdings=holdings)
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="dicom-bench-", dir=options.directory) as directory,
        _progress(_steps(works, contenders, options.rounds)) as (step, say),
    ):
        run = _Run(contenders, Path(directory), options.budget * MB, results, step, say)
        run.all_of([work for work in works if not work.is_of_archive])
        run.all_of_archives([work for work in works if work.is_of_archive], holdings)
    results.finish()
    print(f"{report(results)}\n\n{time.monotonic() - begun:.0f} s in all")
    if options.save:
        save(results, options.save)
    return 1 if results.failures else 0


def _chosen(options: argparse.Namespace) -> list[Work]:
    """The works that the command line asks for."""
    chosen = list(WORKS)
    if options.rows:
        chosen = [work for work in chosen if work.kind in options.rows]
    if options.only:
        chosen = [work for work in chosen if any(part in work.name for part in options.only)]
    elif options.quick:
        chosen = [work for work in chosen if work.name in QUICK]
    if not chosen:
        sys.exit("no such work; there are:\n" + _names_of(WORKS))
    return chosen


def _steps(works: Sequence[Work], contenders: Sequence[Contender], rounds: int) -> int:
    """How many measurements there are, and archives to be filled."""
    count = 0
    for work in works:
        count += rounds * (1 + sum(c.does(work) for c in contenders))
    if any(work.is_of_archive for work in works):
        count += sum(c.start_archive is not None for c in contenders)
    return count


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


@dataclass
class _Run:
    """What is the same for all works."""

    contenders: list[Contender]
    directory: Path
    budget: int
    results: Results
    step: Callable[[str], None]
    say: Callable[[str], None]

    def all_of(self, works: Sequence[Work]) -> None:
        """Measure works that need an empty server."""
        for work in works:
            for turn in range(self.results.rounds):
                self._one_round(work, turn)
            self.say(self.results.line(work))

    def all_of_archives(self, works: Sequence[Work], holdings: Holdings) -> None:
        """Measure works that ask for what is held."""
        able = [c for c in self.contenders if c.start_archive is not None]
        if not works or not able:
            return
        with archives(able, self.directory, holdings, self.step) as held:
            for work in works:
                for turn in range(self.results.rounds):
                    self.step(f"{work.name}: load generator alone")
                    self.results.add(work, SINK, held.measure_sink(work, self.results.seconds))
                    for contender in _in_turn(able, turn):
                        self.step(f"{work.name}: {contender.name}")
                        self._ask(work, contender.name, held)
                self.say(self.results.line(work))
        bury_orphans()

    def _ask(self, work: Work, name: str, held: Archives) -> None:
        try:
            self.results.add(work, name, held.measure(work, name, self.results.seconds))
        except (LoadError, AssertionError, OSError) as error:
            self.results.fail(work, name, f"{type(error).__name__}: {error}")

    def _one_round(self, work: Work, turn: int) -> None:
        results, limited, seconds = self.results, bounded(work, self.budget), self.results.seconds
        with _on_one_core() if work.on_one_core and results.pinned else nullcontext():
            self.step(f"{work.name}: load generator alone")
            if work.kind != "memory":
                with sink(work) as port:
                    results.add(work, SINK, measure(limited, port, AE_TITLE, seconds))
                bury_orphans()
            for contender in _in_turn([c for c in self.contenders if c.does(work)], turn):
                self.step(f"{work.name}: {contender.name}")
                try:
                    if work.kind == "store":
                        _warm_up(self.directory, min(self.budget, int(seconds * _FASTEST)))
                    results.add(work, contender.name, _measure(limited, contender, self.directory, seconds))
                except (LoadError, AssertionError, OSError) as error:
                    results.fail(work, contender.name, f"{type(error).__name__}: {error}")


def _in_turn(contenders: list[Contender], turn: int) -> list[Contender]:
    """Another one is the first in each round."""
    first = turn % max(1, len(contenders))
    return contenders[first:] + contenders[:first]


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
    assert contender.start is not None
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
        "--rows",
        type=_kinds,
        metavar="KIND,KIND",
        help=f"works of these kinds: {', '.join(KINDS)}",
    )
    for name, default, text in (
        (
            "studies",
            Holdings().studies,
            f"small studies that are held (default %(default)s, at most {MOST_STUDIES})",
        ),
        ("matches", Holdings().matches, "matches of the streamed C-FIND (default %(default)s)"),
        (
            "images",
            None,
            f"images of a C-GET and C-MOVE (default {Holdings().images}, quick {_QUICK_IMAGES})",
        ),
    ):
        parser.add_argument(f"--{name}", type=_positive(int), default=default, metavar="N", help=text)
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


def _kinds(text: str) -> frozenset[str]:
    kinds = frozenset(text.split(","))
    if not kinds <= set(KINDS):
        raise argparse.ArgumentTypeError(f"{text!r} is not some of {', '.join(KINDS)}")
    return kinds


def _names_of(works: Sequence[Work]) -> str:
    return "\n".join(f"  {work.name}" for work in works)


if __name__ == "__main__":
    if not hasattr(os, "fork"):
        sys.exit("the load generator forks: run it on Linux")
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
