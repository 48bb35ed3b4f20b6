"""`python -m benchmarks.growth`: what becomes of the server where a hundred times as much is stored, or asked at once.

Three parts: questions to indices of three sizes (`growth_questions`), C-STORE into a large index and into an empty one
(`growth_storing`), both on SQLite and on PostgreSQL; and the throughput at 1, 10 and 100 associations
(`growth_concurrency`).
"""

import argparse
import asyncio
import datetime
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from scripts.fill_index import CYCLE, IN_CYCLE, progress

from benchmarks import growth_concurrency, growth_questions, growth_storing
from benchmarks.growth_places import Place, place
from benchmarks.load import LoadError
from databases import throwaway_postgresql
from peers import find_peer

SIZES = (10_000, 100_000, 1_000_000)
DATABASES = ("sqlite", "postgresql")
QUESTIONS, STORING, CONCURRENCY = PARTS = ("questions", "storing", "concurrency")

_QUESTIONS = f"""\
## Questions

{{table}}

Synthetic instances (`scripts/fill_index.py`), {len(CYCLE)} patients to {IN_CYCLE:,} of them; another key each time,
drawn from all; the sizes asked in turn, one question at a time, answers read to the end through the reader that the
server asks, {{cores}}."""
_STORING = """\
## C-STORE 8 KiB x1

{table}

Median of {rounds} rounds of {seconds:g} s for each index (lowest to highest), in which two servers take turns;
durability `process`, files on a tmpfs, load and servers {cores}. The large index is filled as for the questions, and
grows by what is stored; the empty one is another each round. Each instance is new, its UID anywhere among those that
are held; a study has 200 of them."""
_CONCURRENCY = """\
## Associations

{table}

Median of {rounds} rounds of {seconds:g} s, servers in turn, each on an empty directory of a tmpfs; ours with one worker
at durability `process`. NNx: times the throughput of one association. One request outstanding on each association;
a single one is driven by one process, more of them by two, on any of {cores} cores."""


def main() -> int:
    """Run what the command line asks for; 0 where everything that was to be measured was, 1 otherwise."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends with us
    options = _parser().parse_args()
    needs_databases = {QUESTIONS, STORING} & set(options.parts)
    if needs_databases and "postgresql" in options.databases and find_peer("postgres") is None:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql, or --databases sqlite")
    begun = time.monotonic()
    sections: list[str] = []
    failures: list[str] = []
    try:
        if needs_databases:
            # One question, one instance at a time: where nobody waits for an idle core to wake, what is measured is
            # what is done.
            with _on_one_core(not options.any_core):
                sections += _of_databases(options)
        if CONCURRENCY in options.parts:
            section, failures = _of_associations(options)
            sections.append(section)
    except LoadError as error:
        sys.exit(f"not measured: {error}")
    report = "\n\n".join([*sections, *failures, _conditions(options, time.monotonic() - begun)])
    print(report)
    if options.save:
        title = "# What grows\n\nWritten by `make bench-growth`.\n\n"
        (options.save / "GROWTH.md").write_text(title + report + "\n")
    return 1 if failures else 0


def _of_databases(options: argparse.Namespace) -> list[str]:
    """The sections about questions and storing, as far as they are wanted."""
    questions, storing = [], []
    for kind in options.databases:
        with tempfile.TemporaryDirectory(prefix="dicom-growth-", dir=options.directory) as directory:
            asked, stored = _of_database(kind, Path(directory), options)
        questions += asked
        storing += stored
    cores = "on any core" if options.any_core else "all on one core"
    sizes = [f"{size:,}" for size in options.sizes]
    sections = []
    if questions:
        heads = f"database, question, median of {options.repetitions:,}", *sizes, "largest to smallest", ""
        sections.append(_QUESTIONS.format(table=_table(heads, questions), cores=cores))
    if storing:
        heads = "database", "into an empty index", f"into one of {sizes[-1]}", "large to empty", ""
        table = _table(heads, storing)
        sections.append(
            _STORING.format(table=table, cores=cores, rounds=options.rounds, seconds=options.seconds)
        )
    return sections


def _of_database(kind: str, directory: Path, options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Fill the indices, ask them, store into the largest; the rows of both tables."""
    sizes = options.sizes if QUESTIONS in options.parts else options.sizes[-1:]
    with ExitStack() as stack:
        places = [stack.enter_context(place(kind, directory / f"{size}")) for size in sizes]
        questions = _asked(kind, list(zip(places, sizes, strict=True)), options)
        if STORING not in options.parts:
            return questions, []
        with progress(options.rounds, f"{kind}: C-STORE") as told:
            stored = growth_storing.store_in_turn(kind, places[-1], options.rounds, options.seconds, told)
        return questions, [growth_storing.line_of(kind, stored)]


def _asked(kind: str, places: list[tuple[Place, int]], options: argparse.Namespace) -> list[str]:
    """Fill the indices, and ask them where that is wanted. They are closed after."""
    with ExitStack() as stack:
        filled = [
            stack.enter_context(growth_questions.filled_index(kind, where, size)) for where, size in places
        ]
        if QUESTIONS not in options.parts:
            return []
        asyncio.run(growth_questions.ask_all(kind, filled, options.repetitions))
        return [growth_questions.line_of(kind, each, filled) for each in growth_questions.QUESTIONS]


def _of_associations(options: argparse.Namespace) -> tuple[str, list[str]]:
    """The section about associations, and what could not be measured."""
    servers, rounds = growth_concurrency.able(options.servers), options.association_rounds
    total = len(growth_concurrency.WORKS) * len(options.associations) * len(servers)
    with (
        tempfile.TemporaryDirectory(prefix="dicom-growth-", dir=options.directory) as directory,
        progress(total * rounds, "associations") as told,
    ):
        rates = growth_concurrency.measure_all(
            servers, options.associations, Path(directory), rounds, options.seconds, told
        )
    table = _table(("work", "server", *(f"{count:,}" for count in options.associations)), rates.lines())
    cores = len(os.sched_getaffinity(0))
    section = _CONCURRENCY.format(table=table, rounds=rounds, seconds=options.seconds, cores=cores)
    return section, [f"* {failure}" for failure in rates.told_failures()]


def _table(heads: tuple[str, ...], rows: list[str]) -> str:
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *rows])


def _conditions(options: argparse.Namespace, seconds: float) -> str:
    versions = f"Python {platform.python_version()}"
    if "postgresql" in options.databases and {QUESTIONS, STORING} & set(options.parts):
        with throwaway_postgresql() as url, psycopg.connect(url) as connection:
            versions += f", PostgreSQL {connection.info.server_version // 10000}"
    if CONCURRENCY in options.parts:
        versions += "".join(f", {c.name} {c.version()}" for c in growth_concurrency.able(options.servers))
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{date}, {versions}, {platform.platform()}; {seconds:.0f} s in all."


@contextmanager
def _on_one_core(wanted: bool) -> Iterator[None]:
    """Keep us, and what we start, on the last of our cores."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)} if wanted else cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=(__doc__ or "").partition("\n")[0]
    )
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=PARTS, help="which of them (default: all)")
    add("--sizes", nargs="+", type=_positive, default=SIZES, metavar="N", help="instances, smallest first")
    add(
        "--repetitions",
        type=_positive,
        default=2000,
        metavar="N",
        help="of each question (default %(default)s)",
    )
    add(
        "--associations",
        nargs="+",
        type=_positive,
        default=growth_concurrency.COUNTS,
        metavar="N",
        help="at a time, fewest first",
    )
    add("--servers", nargs="+", choices=growth_concurrency.SERVERS, default=growth_concurrency.SERVERS)
    add("--rounds", type=_rounds, default=7, metavar="N", help="of C-STORE (default %(default)s)")
    add(
        "--association-rounds",
        type=_positive,
        default=3,
        metavar="N",
        help="of associations (default %(default)s)",
    )
    add(
        "--seconds", type=_seconds, default=1.5, metavar="S", help="of each measurement (default %(default)s)"
    )
    add("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    add("--directory", default="/dev/shm", help="where files go (default %(default)s)")
    add("--any-core", action="store_true", help="do not keep on one core what is done one at a time")
    add("--save", type=Path, metavar="DIR", help="write GROWTH.md there")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return number


def _rounds(text: str) -> int:
    number = _positive(text)
    if number > growth_storing.MOST_ROUNDS:
        raise argparse.ArgumentTypeError(f"{text} is more than {growth_storing.MOST_ROUNDS}")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= 60:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 60")
    return number


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
