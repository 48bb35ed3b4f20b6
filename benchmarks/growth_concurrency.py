"""What becomes of the throughput where ever more associations are active at a time.

Two processes drive them all, so that the load does not take the machine from the server: each sends over all of its
associations and then waits for the answers of all, so that every association has one request outstanding.
"""

import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import messages
from benchmarks.contenders import AE_TITLE, CONTENDERS, Contender
from benchmarks.files import warm_up
from benchmarks.kinds import act_of
from benchmarks.load import Act, Association, LoadError, Window, measure
from benchmarks.report import short
from benchmarks.works import KIB, MB, ORTHANC, OURS, STORESCP, Work, bounded

COUNTS = (1, 10, 100)
SERVERS = (OURS, STORESCP, ORTHANC)
WORKS = (
    Work("C-STORE 8 KiB", "crowd", SERVERS, size=8 * KIB),
    Work("C-STORE 512 KiB", "crowd", SERVERS, size=512 * KIB),
    Work("C-ECHO", "echo", SERVERS),
)
_PROCESSES = 2
_ROOM = {8 * KIB: 300 * MB, 512 * KIB: 1800 * MB}
"""Bytes a second that may be stored, of which as much of the tmpfs is touched before."""


class Rates:
    """Rates by work, server and number of associations; one a round.

    Attributes:
        failures: why there is none, by the same.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = counts
        self.failures: dict[tuple[str, str, int], str] = {}
        self._of: dict[tuple[str, str, int], list[float]] = {}

    def add(self, work: str, server: str, count: int, rate: float) -> None:
        """Keep one."""
        self._of.setdefault((work, server, count), []).append(rate)

    def median(self, work: str, server: str, count: int) -> float | None:
        """None where there is none, or one was missed."""
        key = work, server, count
        return statistics.median(self._of[key]) if key in self._of and key not in self.failures else None

    def lines(self) -> list[str]:
        """A row for each work and server that has a figure."""
        rows = dict.fromkeys((work, server) for work, server, _ in (*self._of, *self.failures))
        return [
            f"| {work} | {server} | {' | '.join(self._cells(work, server))} |"
            for work, server in sorted(rows, key=_place)
        ]

    def told_failures(self) -> list[str]:
        """What was not measured, and why, a line each."""
        return [
            f"{work}, {server}, {count} associations: failed: {' '.join(reason.split())}"
            for (work, server, count), reason in self.failures.items()
        ]

    def _cells(self, work: str, server: str) -> Iterator[str]:
        first = self.median(work, server, self.counts[0])
        for count in self.counts:
            rate = self.median(work, server, count)
            if rate is None:
                yield "failed" if (work, server, count) in self.failures else ""
            elif count == self.counts[0] or not first:
                yield f"{short(rate)}/s"
            else:
                yield f"{short(rate)}/s, {rate / first:.2f}x"


def _place(row: tuple[str, str]) -> tuple[int, int]:
    return [work.name for work in WORKS].index(row[0]), SERVERS.index(row[1])


def able(names: Sequence[str] = SERVERS) -> list[Contender]:
    """Those of the servers that are installed, ours first."""
    return [c for name in SERVERS if name in names for c in CONTENDERS if c.name == name and c.is_there()]


def measure_all(
    servers: Sequence[Contender],
    counts: Sequence[int],
    directory: Path,
    rounds: int,
    seconds: float,
    told: Callable[[int], None],
) -> Rates:
    """Measure every work at every number of associations, the servers in turn.

    Args:
        servers: some of `able`.
        counts: of associations, the one that others are compared with first.
        directory: where the servers keep their files, best a tmpfs; each starts on an empty one.
        rounds: of each.
        seconds: of each measurement.
        told: how many measurements are done.
    """
    rates = Rates(counts)
    done = 0
    for work in WORKS:
        for turn in range(rounds):
            for count in counts:
                for server in _in_turn(servers, turn):
                    try:
                        rate = _rate(work, count, server, directory / server.name, seconds)
                        rates.add(work.name, server.name, count, rate)
                    except (LoadError, AssertionError, OSError) as error:
                        rates.failures[work.name, server.name, count] = f"{type(error).__name__}: {error}"
                    done += 1
                    told(done)
    return rates


def _in_turn(servers: Sequence[Contender], turn: int) -> list[Contender]:
    first = turn % max(1, len(servers))
    return [*servers[first:], *servers[:first]]


def _rate(work: Work, count: int, server: Contender, home: Path, seconds: float) -> float:
    """Instances or C-ECHOs a second, over all associations."""
    assert server.start is not None, f"{server.name} does not start empty"
    room = int(seconds * _ROOM.get(work.size, 0))
    warm_up(home.parent, room)
    limited = bounded(replace(work, associations=count), room)
    try:
        with server.start(home, limited) as peer:
            processes = min(_PROCESSES, count)
            act = (
                act_of(limited, peer.port, AE_TITLE)
                if limited.size
                else _echoing(count, processes, peer.port)
            )
            measured = measure(processes, limited.most, seconds, act)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return sum(each.rate for each in measured)


def _echoing(count: int, processes: int, port: int) -> Act:
    """C-ECHO over a process's share of the associations."""
    message = messages.c_echo()

    def act(number: int, window: Window) -> None:
        share = [Association(port, AE_TITLE) for _ in range(number, count, processes)]
        receivers = [association.receiver(message) for association in share]
        senders = [association.sock.sendall for association in share]

        def echo_all() -> None:
            for send in senders:
                send(message)
            for receive in receivers:
                receive()

        window.run(echo_all, warm_up=5)
        window.done *= len(share)
        for association in share:
            association.release()

    return act
