"""`python -m benchmarks`: every work on every server in turn, several rounds, medians and ratios.

A server is started on an empty directory of a tmpfs for each measurement and its files are removed after it; at
durability `power` that directory is on a disk. Within a round the servers take turns, so that what the machine does
meanwhile falls on all of them alike; compare figures of one run only. Servers that are asked for what they hold are
filled once, and all of them run.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.forks import adopt_orphans
from benchmarks.holdings import MOST_STUDIES, Holdings
from benchmarks.report import Results, Setting, report, save
from benchmarks.running import Run
from benchmarks.works import KINDS, MB, WORKS, Work

ROOT = Path(__file__).resolve().parents[1]
_WHOLE, _QUICK = Holdings(), Holdings(studies=100, matches=500, images=200)
_FILES, _QUICK_FILES = 1000, 200
_ROUNDS, _QUICK_ROUNDS = 5, 1
_SECONDS, _QUICK_SECONDS = 1.5, 0.3


def main() -> int:
    """Run what the command line asks for; 0 where everything that was to be measured was, 1 otherwise."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends with us
    options = _parser().parse_args()
    works = _chosen(options)
    contenders, absent = _able(options, works)
    if options.disk is None:
        options.disk = ROOT / "build"
        options.disk.mkdir(exist_ok=True)
    adopt_orphans()
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="dicom-bench-", dir=options.directory) as directory,
        tempfile.TemporaryDirectory(prefix="dicom-bench-", dir=options.disk) as disk,
        _progress(_steps(works, contenders, options)) as (step, say),
    ):
        results = Results(contenders, absent, _setting(options, Path(disk)))
        run = Run(contenders, Path(directory), Path(disk), options.budget * MB, results, step, say)
        run.all_of([work for work in works if not work.is_of_archive])
        run.all_of_archives([work for work in works if work.is_of_archive])
    results.finish(works, time.monotonic() - begun)
    print(report(results))
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
    if not chosen:
        sys.exit("no such work; there are:\n" + _names_of(WORKS))
    return chosen


def _able(options: argparse.Namespace, works: Sequence[Work]) -> tuple[list[Contender], list[Contender]]:
    """Those that the command line asks for and the works need: those installed, and those not."""
    asked = [c for c in CONTENDERS if not options.servers or c.name in options.servers]
    needed = [c for c in asked if any(map(c.does, works))]
    if not needed:
        sys.exit(f"none of {', '.join(c.name for c in asked)} does any of:\n" + _names_of(works))
    there = [c for c in needed if c.is_there()]
    absent = [c for c in needed if c not in there]
    if not there:
        sys.exit("none of them is installed: " + "; ".join(f"{c.name}: {c.wanted}" for c in absent))
    return there, absent


def _setting(options: argparse.Namespace, disk: Path) -> Setting:
    """Everything that the figures depend on and the command line says."""
    quick = options.quick
    usual = _QUICK if quick else _WHOLE
    return Setting(
        rounds=_rounds(options),
        seconds=options.seconds or (_QUICK_SECONDS if quick else _SECONDS),
        pinned=not options.any_core,
        holdings=Holdings(
            options.studies or usual.studies, options.matches or usual.matches, options.images or usual.images
        ),
        files=options.files or (_QUICK_FILES if quick else _FILES),
        disk=disk,
    )


def _rounds(options: argparse.Namespace) -> int:
    rounds: int = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    return rounds


def _steps(works: Sequence[Work], contenders: Sequence[Contender], options: argparse.Namespace) -> int:
    """How many measurements there are, and archives to be filled."""
    a_round = sum(work.has_sink + sum(c.does(work) for c in contenders) for work in works)
    archives = [work for work in works if work.is_of_archive]
    return _rounds(options) * a_round + sum(any(map(c.does, archives)) for c in contenders)


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="one short round of everything, less held: about two minutes")
    for name, number, whole, quick, text in (
        ("rounds", _positive(int), _ROUNDS, _QUICK_ROUNDS, "rounds of each work"),
        ("seconds", _positive(float), _SECONDS, _QUICK_SECONDS, "length of one measurement"),
        ("studies", _studies, _WHOLE.studies, _QUICK.studies, "small studies that are held"),
        ("matches", _positive(int), _WHOLE.matches, _QUICK.matches, "matches of the streamed C-FIND"),
        ("images", _positive(int), _WHOLE.images, _QUICK.images, "images of a C-GET and C-MOVE"),
        ("files", _positive(int), _FILES, _QUICK_FILES, "files that are sent"),
    ):
        add(f"--{name}", type=number, metavar="N", help=f"{text} (default {whole}, quick {quick})")
    add("--only", action="append", metavar="TEXT", help="works whose name has TEXT; may be repeated")
    add("--rows", type=_kinds, metavar="KIND,KIND", help=f"works of these kinds: {', '.join(KINDS)}")
    add(
        "--servers",
        nargs="+",
        choices=[c.name for c in CONTENDERS],
        metavar="NAME",
        help="these only: %(choices)s",
    )
    add("--directory", default="/dev/shm", help="where files go, best a tmpfs (default %(default)s)")
    add(
        "--disk",
        type=Path,
        metavar="DIRECTORY",
        help="where those of durability power go, on a real disk with 20 GB free (default: build, in the working tree)",
    )
    add("--budget", type=_positive(int), default=1200, metavar="MB", help="most a measurement may store")
    add(
        "--any-core",
        action="store_true",
        help="never keep load and server on one core, which is done for small messages one at a time",
    )
    add("--save", type=Path, metavar="DIR", help="write results.json, RESULTS.md and results.svg there")
    return parser


def _positive(number: type[int] | type[float]) -> Callable[[str], float]:
    def convert(text: str) -> float:
        value = number(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not more than 0")
        return value

    return convert


def _studies(text: str) -> int:
    number = int(_positive(int)(text))
    if number > MOST_STUDIES:
        raise argparse.ArgumentTypeError(
            f"dcmqrscp holds no more than {MOST_STUDIES} beside the two large ones"
        )
    return number


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
