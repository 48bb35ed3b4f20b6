"""Questions to indices of different sizes: filled with synthetic instances, and asked in turn, each time for another
key, through the reader that the server asks too. What is told are medians, and the largest index beside the smallest.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from scripts.fill_index import CYCLE, IN_CYCLE, fill, patient_id, progress
from sqlalchemy import select

from benchmarks.growth_places import Place
from benchmarks.targets import PASS, SHORT
from services.archive.index.index import Index
from services.archive.index.schema import instances, series, studies
from services.conditions import Described, Equals, OneOf

MOST = 1.5
"""What a question to the largest index may cost, with one to the smallest as 1."""

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


@contextmanager
def filled_index(kind: str, place: Place, size: int) -> Iterator[Filled]:
    """An open index with so many synthetic instances."""
    index = Index.open(place.url, place.home, durability="process")
    try:
        with progress(size, f"{kind}: filling the index") as told:
            fill(index.database, size, told)
        yield Filled(size, index)
    finally:
        index.close()


async def ask_all(kind: str, filled: list[Filled], repetitions: int) -> None:
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


def line_of(kind: str, question: Question, filled: list[Filled]) -> str:
    """The row of a question: its median for each index."""
    medians = [statistics.median(each.seconds[question.name]) for each in filled]
    ratio = medians[-1] / medians[0]
    cells = [f"{1e6 * median:,.0f} µs" for median in medians]
    verdict = PASS if ratio <= MOST else SHORT
    return f"| {kind}, {question.name} | {' | '.join(cells)} | {ratio:.2f}, at most {MOST} | {verdict} |"


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
