"""`python -m benchmarks.growth`: what a question to the index costs when a hundred times as much is stored.

Indices of different sizes are filled with synthetic instances and asked in turn, each time for another key, through
the reader that the server asks too. What is told are medians, and the largest index beside the smallest.
"""

import argparse
import asyncio
import datetime
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from scripts.fill_index import CYCLE, IN_CYCLE, fill, patient_id, progress
from sqlalchemy import select

from benchmarks.targets import PASS, SHORT
from databases import throwaway_postgresql
from peers import find_peer
from services.archive.index.index import Index
from services.archive.index.schema import instances, series, studies
from services.conditions import Described, Equals, OneOf

MOST = 1.5
"""What a question to the largest index may cost, with one to the smallest as 1."""

SIZES = (10_000, 100_000, 1_000_000)
DATABASES = ("sqlite", "postgresql")
_SOP_INSTANCE, _STUDY, _SERIES, _PATIENT_ID = 0x00080018, 0x0020000D, 0x0020000E, 0x00100020
_IMAGE_TAGS = (0x00080016, _SOP_INSTANCE, _STUDY, _SERIES, 0x00200013)
_STUDY_TAGS = (
    0x00080020,
    0x00080030,
    0x00080050,
    0x00080061,
    0x00081030,
    0x00100010,
    _PATIENT_ID,
    _STUDY,
    0x00200010,
)
_WARM_UP = 20


@dataclass(frozen=True)
class Question:
    """What is asked; `conditions` makes one of a key's values, `keys` draws them."""

    name: str
    level: str
    tags: tuple[int, ...]
    keys: Callable[["Filled", random.Random, int], list[dict[int, str]]]


@dataclass
class Filled:
    """An index with so many instances, and the seconds that every question took."""

    size: int
    index: Index
    seconds: dict[str, list[float]] = field(default_factory=dict)


def main() -> int:
    """Run what the command line asks for; 0 unless something could not be measured."""
    options = _parser().parse_args()
    if not options.any_core:
        # One question at a time: where nobody waits for an idle core to wake, what is measured is what is done.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lines = [
        f"| database, question, median of {options.repetitions:,} | "
        + " | ".join(f"{size:,}" for size in options.sizes)
        + " | largest to smallest | |",
        "|---|" + "---|" * (len(options.sizes) + 2),
    ]
    for kind in options.databases:
        if kind == "postgresql" and find_peer("postgres") is None:
            sys.exit("PostgreSQL is not installed: apt-get install postgresql, or --databases sqlite")
        with tempfile.TemporaryDirectory(prefix="dicom-growth-", dir=options.directory) as directory:
            lines += _measure(kind, Path(directory), options.sizes, options.repetitions)
    cores = "on any core" if options.any_core else "all on one core"
    report = "\n".join(lines) + "\n\n" + _conditions(options.databases, cores)
    print(report)
    if options.save:
        title = "# An index that grows\n\nWritten by `make bench-growth`.\n\n"
        (options.save / "GROWTH.md").write_text(title + report + "\n")
    return 0


def _measure(kind: str, directory: Path, sizes: Sequence[int], repetitions: int) -> list[str]:
    """Fill the indices, ask them, and return the rows of the table."""
    with ExitStack() as stack:
        filled = []
        for size in sizes:
            home = directory / str(size)
            home.mkdir()
            url = stack.enter_context(throwaway_postgresql()) if kind == "postgresql" else ""
            index = Index.open(url, home, durability="process")
            stack.callback(index.close)
            with progress(size, f"{kind}: filling the index") as told:
                fill(index.database, size, told)
            filled.append(Filled(size, index))
        asyncio.run(_ask_all(kind, filled, repetitions))
        return [_line(kind, question, filled) for question in QUESTIONS]


async def _ask_all(kind: str, filled: list[Filled], repetitions: int) -> None:
    """Ask every question of every index, the indices in turn, so that what the machine does falls on all alike."""
    with progress(len(QUESTIONS) * repetitions, f"{kind}: asking") as told:
        for number, question in enumerate(QUESTIONS):
            keys = [question.keys(each, random.Random(each.size), _WARM_UP + repetitions) for each in filled]
            for turn, chosen in enumerate(zip(*keys, strict=True)):
                for each, key in zip(filled, chosen, strict=True):
                    took = await _ask(question, each, key)
                    if turn >= _WARM_UP:
                        each.seconds.setdefault(question.name, []).append(took)
                if turn % 50 == 0:
                    told(number * repetitions + max(0, turn - _WARM_UP))


async def _ask(question: Question, filled: Filled, key: dict[int, str]) -> float:
    conditions = {
        tag: Described(Equals(value) if tag == _PATIENT_ID else OneOf((value,))) for tag, value in key.items()
    }
    found = 0
    begun = time.perf_counter()
    async for page in filled.index.reader.search(question.level, conditions, question.tags):
        found += len(page)
    took = time.perf_counter() - begun
    assert found, f"{question.name}: nothing is found for {key} among {filled.size:,} instances"
    return took


def _line(kind: str, question: Question, filled: list[Filled]) -> str:
    medians = [statistics.median(each.seconds[question.name]) for each in filled]
    ratio = medians[-1] / medians[0]
    cells = [f"{1e6 * median:,.0f} µs" for median in medians]
    verdict = PASS if ratio <= MOST else SHORT
    return f"| {kind}, {question.name} | {' | '.join(cells)} | {ratio:.2f}, at most {MOST} | {verdict} |"


def _conditions(databases: Sequence[str], cores: str) -> str:
    versions = f"Python {platform.python_version()}"
    if "postgresql" in databases:
        with throwaway_postgresql() as url, psycopg.connect(url) as connection:
            versions += f", PostgreSQL {connection.info.server_version // 10000}"
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"Synthetic instances (`scripts/fill_index.py`), {len(CYCLE)} patients to {IN_CYCLE:,} of them; another key\n"
        "each time, drawn from all; the sizes asked in turn, one question at a time, answers read to the end through\n"
        f"the reader that the server asks, {cores}. {date}, {versions}, {platform.platform()}."
    )


# -- keys


def _images(filled: Filled, draw: random.Random, number: int) -> list[dict[int, str]]:
    ids = [draw.randrange(filled.size) + 1 for _ in range(number)]
    found: dict[int, dict[int, str]] = {}
    columns = (instances.c.id, studies.c.study_instance_uid, series.c.series_instance_uid)
    statement = select(*columns, instances.c.sop_instance_uid).join_from(instances, series).join(studies)
    with filled.index.database.engine.connect() as connection:
        for start in range(0, number, 500):
            for row in connection.execute(statement.where(instances.c.id.in_(ids[start : start + 500]))):
                found[row[0]] = {_STUDY: row[1], _SERIES: row[2], _SOP_INSTANCE: row[3]}
    return [found[each] for each in ids]


def _studies(filled: Filled, draw: random.Random, number: int) -> list[dict[int, str]]:
    return [{_STUDY: key[_STUDY]} for key in _images(filled, draw, number)]


def _patients(filled: Filled, draw: random.Random, number: int) -> list[dict[int, str]]:
    """Of the first of each cycle, who have as many studies each."""
    cycles = max(1, filled.size // IN_CYCLE)
    return [{_PATIENT_ID: patient_id(draw.randrange(cycles) * len(CYCLE))} for _ in range(number)]


QUESTIONS = (
    Question("instance by its UIDs", "IMAGE", _IMAGE_TAGS, _images),
    Question("study by its UID", "STUDY", _STUDY_TAGS, _studies),
    Question("studies of one patient", "STUDY", _STUDY_TAGS, _patients),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--sizes", nargs="+", type=_positive, default=SIZES, metavar="N", help="instances, smallest first"
    )
    parser.add_argument(
        "--repetitions",
        type=_positive,
        default=2000,
        metavar="N",
        help="of each question (default %(default)s)",
    )
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument(
        "--directory", default="/dev/shm", help="where SQLite's files go (default %(default)s)"
    )
    parser.add_argument(
        "--any-core", action="store_true", help="do not keep the asking and the answering on one core"
    )
    parser.add_argument("--save", type=Path, metavar="DIR", help="write GROWTH.md there")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not more than 0")
    return number


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
