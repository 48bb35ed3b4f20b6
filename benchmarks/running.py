"""The rounds: what is compared takes turns within each of them, so that what the machine does meanwhile falls on all
of it alike.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar

from benchmarks.archives import Archives, archives
from benchmarks.commands import send_far, send_files, start_up
from benchmarks.contenders import AE_TITLE, Contender
from benchmarks.files import files_to_send, warm_up
from benchmarks.forks import bury_orphans
from benchmarks.kinds import act_of
from benchmarks.load import LoadError, Measured, measure
from benchmarks.memory import memory_per_association
from benchmarks.report import SINK, Results
from benchmarks.sink import sink
from benchmarks.works import Work, bounded

_FASTEST_SMALL = 300_000_000
"""Bytes a second that any server here stores, in images below 64 KiB."""
_OBJECTS_A_SECOND = 45
"""That a sender without a window can bring to a peer that is a round trip of 20 ms away."""

_T = TypeVar("_T")


@dataclass
class Run:
    """What is the same for all works.

    Attributes:
        contenders: those that may take part.
        directory: where files go, best a tmpfs.
        disk: where those of durability `power` go.
        budget: most bytes that a measurement may store.
        results: where the figures go.
        step: told what is measured now.
        say: told what was measured.
    """

    contenders: list[Contender]
    directory: Path
    disk: Path
    budget: int
    results: Results
    step: Callable[[str], None]
    say: Callable[[str], None]

    def all_of(self, works: Sequence[Work]) -> None:
        """Measure works that ask nobody for what is held."""
        for group in _groups(works):
            for turn in range(self.results.setting.rounds):
                for work in _in_turn(group, turn):
                    self._one_round(work, turn)
            self._say(group)

    def all_of_archives(self, works: Sequence[Work]) -> None:
        """Measure works that ask for what is held."""
        setting = self.results.setting
        able = [c for c in self.contenders if c.start_archive is not None and any(map(c.does, works))]
        if not able:
            return
        with archives(able, self.directory, setting.holdings, self.step) as held:
            for group in _groups(works):
                for turn in range(setting.rounds):
                    for work in _in_turn(group, turn):
                        self._ask_all(work, turn, able, held)
                self._say(group)
        bury_orphans()

    def _ask_all(self, work: Work, turn: int, able: list[Contender], held: Archives) -> None:
        seconds = self.results.setting.seconds
        self._keep(work, SINK, lambda: held.measure_sink(work, seconds))
        for contender in _in_turn([c for c in able if c.does(work)], turn):
            name = contender.name
            self._keep(work, name, lambda name=name: held.measure(work, name, seconds))  # type: ignore[misc]

    def _one_round(self, work: Work, turn: int) -> None:
        with _on_one_core() if work.on_one_core and self.results.setting.pinned else nullcontext():
            if work.has_sink:
                self._keep(work, SINK, lambda: self._of_sink(work))
            for contender in _in_turn([c for c in self.contenders if c.does(work)], turn):
                self._keep(work, contender.name, lambda c=contender: self._of(work, c))  # type: ignore[misc]

    def _keep(self, work: Work, name: str, figure: Callable[[], float]) -> None:
        """Keep a figure, or why there is none."""
        self.step(f"{work.name}: {'load generator alone' if name == SINK else name}")
        try:
            self.results.add(work, name, figure())
        except (LoadError, AssertionError, OSError) as error:
            self.results.fail(work, name, f"{type(error).__name__}: {error}")

    def _of_sink(self, work: Work) -> float:
        try:
            with sink(work) as port:
                return self._load(work, port)
        finally:
            bury_orphans()

    def _of(self, work: Work, contender: Contender) -> float:
        """One figure of a contender, which has an empty directory."""
        setting = self.results.setting
        place = self.disk if work.power else self.directory
        home = place / contender.name
        if work.power:
            # Kept to the end of the run: for a minute ext4 looks at every inode that was freed before it makes a file.
            home = Path(mkdtemp(prefix=f"{contender.name}-", dir=place)) / contender.name
        try:
            if work.kind == "help":
                return start_up()
            if work.kind == "send":
                with files_to_send(place, work.size, setting.files) as files:
                    return send_files(contender.name, home, files, setting.files)
            if work.stores:
                warm_up(self.directory, self._bytes_stored(work, contender))
            if work.power:
                os.sync()  # what is written back is nobody else's
            return self._of_server(work, contender, home)
        finally:
            bury_orphans()
            if not work.power:
                shutil.rmtree(home, ignore_errors=True)

    def _bytes_stored(self, work: Work, contender: Contender) -> int:
        """That a measurement may take at most."""
        rate = contender.fastest if work.size >= 1 << 16 else _FASTEST_SMALL
        size = max(3 * work.size, int(self.results.setting.seconds * rate))
        return size if work.kind == "latency" else min(size, self.budget)

    def _of_server(self, work: Work, contender: Contender, home: Path) -> float:
        assert contender.start is not None, f"{contender.name} takes no {work.name}"
        with contender.start(home, work) as peer:
            if work.kind == "memory":
                idle = replace(work, associations=contender.idle)
                return memory_per_association(idle, peer.port, AE_TITLE, peer.process.pid)
            if work.kind == "window":
                number = work.window * max(2, int(self.results.setting.seconds * _OBJECTS_A_SECOND))
                with files_to_send(self.directory, work.size, number) as files:
                    return send_far(peer, files, number, work.window)
            return self._load(work, peer.port)

    def _load(self, work: Work, port: int) -> float:
        limited = bounded(work, self.budget)
        act = act_of(limited, port, AE_TITLE)
        measured = measure(work.processes, limited.most, self.results.setting.seconds, act)
        return _milliseconds(measured) if work.kind == "latency" else sum(each.rate for each in measured)

    def _say(self, group: Sequence[Work]) -> None:
        for work in group:
            self.say(self.results.line(work))


def _groups(works: Sequence[Work]) -> Iterator[list[Work]]:
    """Those that are compared with each other, together."""
    for _, group in groupby(works, key=lambda work: work.beside or work.name):
        yield list(group)


def _milliseconds(measured: Sequence[Measured]) -> float:
    """What the first process timed."""
    return measured[0].slowest * 1000


def _in_turn(those: list[_T], turn: int) -> list[_T]:
    """Another one is the first in each round."""
    first = turn % max(1, len(those))
    return those[first:] + those[:first]


@contextmanager
def _on_one_core() -> Iterator[None]:
    """Keep us, and what we start, on the last of our cores."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
