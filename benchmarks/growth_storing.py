"""C-STORE into a large index beside C-STORE into an empty one: a server for each, which are stored to in turn.

What is stored is new: its SOP Instance UIDs fall everywhere between those that are held, since an index is slowest
there, and every 200 of it are a study of one series.
"""

import math
import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks import messages
from benchmarks.contenders import run_ours
from benchmarks.files import warm_up
from benchmarks.growth_places import Place, place
from benchmarks.load import Association, Window, measure
from benchmarks.report import short
from benchmarks.targets import PASS, SHORT
from benchmarks.works import KIB
from peers import Peer

LEAST = 0.8
"""Of the rate into an empty index, that into the largest one has to be."""

MOST_ROUNDS = 100
"""So that there are some studies for each."""

_SIZE = 8 * KIB
_STUDIES = 1000
"""That `messages.Instances` can tell apart."""
_IN_STUDY = 200
"""Instances of each, all in one series."""
_WARM_UP = 50
_SLICES = 3
"""Of a round, between which the two indices take turns."""
_ROOM = 256_000_000
"""Bytes of the tmpfs that are touched before each measurement."""

_DIGITS = 15
_FIRST, _SPAN, _STRIDE = 10 ** (_DIGITS - 1), 24 * 10 ** (_DIGITS - 2), 148_328_157_299_947
"""Where UIDs begin and end, which is as those of 128 bits do, and how far from each other they follow."""
assert math.gcd(_SPAN, _STRIDE) == 1, "so that none comes twice"


@dataclass
class Stored:
    """Rates of each round, in instances a second: into an empty index and into a large one."""

    empty: list[float] = field(default_factory=list)
    large: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return statistics.median(self.large) / statistics.median(self.empty)


def store_in_turn(
    kind: str, large: Place, rounds: int, seconds: float, told: Callable[[int], None]
) -> Stored:
    """Store into a large index and into an empty one, which is another each round.

    Args:
        kind: `sqlite` or `postgresql`.
        large: filled before; nobody has it open.
        rounds: at most `MOST_ROUNDS`.
        seconds: for each index in each round.
        told: how many rounds are done.

    Raises:
        LoadError: an answer did not come, or was not Success.
    """
    stored = Stored()
    if large.url:
        # What the filling left to be written is nobody's round.
        with psycopg.connect(large.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
    share = _STUDIES // rounds * _IN_STUDY
    for turn in range(rounds):
        with _empty(kind, large.home.parent / "empty") as empty:
            rates = _round((empty, large) if turn % 2 else (large, empty), turn * share, share, seconds)
        stored.empty.append(rates[empty])
        stored.large.append(rates[large])
        told(turn + 1)
    return stored


def line_of(kind: str, stored: Stored) -> str:
    """The row of a database."""
    cells = [
        f"{short(statistics.median(rates))}/s ({short(min(rates))} to {short(max(rates))})"
        for rates in (stored.empty, stored.large)
    ]
    verdict = PASS if stored.ratio >= LEAST else SHORT
    return f"| {kind} | {' | '.join(cells)} | {stored.ratio:.2f}, at least {LEAST} | {verdict} |"


@contextmanager
def _empty(kind: str, home: Path) -> Iterator[Place]:
    try:
        with place(kind, home) as made:
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _round(places: Sequence[Place], first: int, most: int, seconds: float) -> dict[Place, float]:
    """The rates of a round: a server for each index, and slices of time that they take in turn.

    Args:
        places: the indices, in the order of their turns.
        first: number of the first instance.
        most: instances that each may be sent.
        seconds: for each.
    """
    warm_up(places[0].home.parent, _ROOM)
    rates: dict[Place, list[float]] = {each: [] for each in places}
    with ExitStack() as stack:
        peers = [(each, stack.enter_context(_server(each))) for each in places]
        for number in range(_SLICES):
            for each, peer in peers:
                begin = first + number * (most // _SLICES)
                rates[each].append(_rate(peer, begin, most // _SLICES, seconds / _SLICES))
    return {each: statistics.fmean(rates[each]) for each in places}


def _server(at: Place) -> AbstractContextManager[Peer]:
    return run_ours(at.home, "process", *(("--database-url", at.url) if at.url else ()))


def _rate(peer: Peer, first: int, most: int, seconds: float) -> float:
    port, called_ae = peer.port, peer.ae_title

    def act(_number: int, window: Window) -> None:
        store_new(port, called_ae, window, first)

    (measured,) = measure(1, most - _WARM_UP - 1, seconds, act)
    return measured.rate


def store_new(port: int, called_ae: str, window: Window, first: int) -> None:
    """Store new instances one after the other, from the one of number `first` on."""
    with Association(port, called_ae) as association:
        instances = NewInstances(association.maximum_length, first)
        send = association.exchange(instances.buffer)

        def store() -> None:
            instances.next()
            send()

        window.run(store, _WARM_UP)


class NewInstances:
    """C-STORE-RQs in one buffer, the next one written over the last.

    Args:
        maximum_length: the longest P-DATA-TF the peer takes; 0: any.
        first: number of the first one, which is there to begin with.
    """

    def __init__(self, maximum_length: int, first: int) -> None:
        self._instances = messages.Instances(_SIZE, maximum_length)
        self.buffer = self._instances.buffer
        # The counter, and before it the number of the worker and a digit: all behind "2.25." is ours.
        self._places = [slice(each.stop - _DIGITS, each.stop) for each in self._instances.counters]
        self._number = first
        self._write()

    def next(self) -> None:
        """Become the next one."""
        self._number += 1
        self._write()

    def _write(self) -> None:
        number = self._number
        self._instances.become(number // _IN_STUDY % _STUDIES)
        uid = b"%d" % (_FIRST + number * _STRIDE % _SPAN)
        for where in self._places:
            self.buffer[where] = uid
