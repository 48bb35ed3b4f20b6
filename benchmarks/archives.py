"""The servers that are asked for what they hold: started and filled once, all of them running, asked in turn."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.archive_sink import archive_sink
from benchmarks.asking import ask
from benchmarks.contenders import AE_TITLE, Contender
from benchmarks.destination import Destination, destination
from benchmarks.holdings import Holdings, fill
from benchmarks.load import LoadError, Window, measure
from benchmarks.works import Work
from peers import Peer


class Archives:
    """Servers that hold the same.

    Attributes:
        failures: why one of them cannot be asked, by its name.
    """

    def __init__(self, holdings: Holdings, to: Destination) -> None:
        self.failures: dict[str, str] = {}
        self._holdings = holdings
        self._destination = to
        self._peers: dict[str, Peer] = {}

    def add(self, contender: Contender, peer: Peer) -> None:
        """Fill a server that has just been started.

        Raises:
            LoadError: it did not take an image.
        """
        fill(self._holdings, peer.port, AE_TITLE, contender.fillers)
        self._peers[contender.name] = peer

    def measure(self, work: Work, name: str, seconds: float) -> float:
        """Ask a server, and return the rate.

        Raises:
            LoadError: an answer did not come, or was not exactly right.
        """
        if name not in self._peers:
            raise LoadError(self.failures.get(name, "not started"))
        return self.measure_at(work, self._peers[name].port, seconds)

    def measure_sink(self, work: Work, seconds: float) -> float:
        """Ask a sink that answers with bytes made beforehand, and return the rate.

        Raises:
            LoadError: as for a server.
        """
        with archive_sink(work, self._holdings, self._destination.port) as port:
            return self.measure_at(work, port, seconds)

    def measure_at(self, work: Work, port: int, seconds: float) -> float:
        """Ask whoever listens there, and return the rate.

        Raises:
            LoadError: as for a server.
        """

        def act(_number: int, window: Window) -> None:
            ask(work, port, AE_TITLE, window, self._holdings)

        if work.kind == "move":
            self._destination.make_room(self._holdings.images * self._holdings.size)
        (measured,) = measure(1, work.most, seconds, act)
        if work.kind == "move":
            self._destination.check(self._holdings)
        return measured.rate


@contextmanager
def archives(
    contenders: Sequence[Contender], directory: Path, holdings: Holdings, step: Callable[[str], None]
) -> Iterator[Archives]:
    """Start and fill those that can be asked. One that cannot be filled is kept in `Archives.failures`.

    Args:
        directory: each has its files in a folder of its own there.
        step: told what is done now.
    """
    with ExitStack() as stack:
        to = stack.enter_context(destination(directory / "destination"))
        found = Archives(holdings, to)
        for contender in contenders:
            assert contender.start_archive is not None
            step(f"{contender.name} is filled")
            try:
                peer = stack.enter_context(contender.start_archive(directory / contender.name, to.port))
                found.add(contender, peer)
            except (LoadError, AssertionError, OSError) as error:
                found.failures[contender.name] = f"{type(error).__name__}: {error}"
        yield found
