"""Connections of a capture or a proxy to traces, as many as are open at a time."""

from typing import TypeAlias

from msgspec import Struct

from services.trace.association import AssociationTrace, Entry
from services.trace.keeping import Keeper
from services.trace.packets import Endpoint
from services.trace.proxy import ProxyEvent, Refused
from services.trace.tcp import Closed, ConnectionEvent, Data, Gap, Opened

MOST_TRACES_KEPT = 1000
"""How many associations are held for a page; later ones are followed and not held."""


class Followed(Struct, frozen=True):
    """What one event of a connection led to.

    Attributes:
        number: of the connection, from 1.
        trace: of its association.
        entries: those that the event made.
        is_new: the connection has just been opened.
    """

    number: int
    trace: AssociationTrace
    entries: list[Entry]
    is_new: bool = False


Event: TypeAlias = ConnectionEvent | ProxyEvent


class Following:
    """Follows connections.

    Args:
        keep: hold the traces with their entries in `traces`, at most `MOST_TRACES_KEPT` of them; together they hold
            as much as one alone would.

    Attributes:
        traces: those held, in the order they began.
        not_kept: how many more there were.
        count: how many connections there were.
        problem_count: how many problems were found on them.
    """

    def __init__(self, *, keep: bool) -> None:
        self.traces: list[AssociationTrace] = []
        self.not_kept = 0
        self.count = 0
        self.problem_count = 0
        self._keep = keep
        self._keeper = Keeper()
        self._open: dict[int, AssociationTrace] = {}
        self._last: dict[int, float] = {}

    def take(self, event: Event) -> Followed | None:
        """Take what happened; None for a connection that nobody knows, or that was never opened."""
        if isinstance(event, Refused):
            return None
        number = event.connection.number
        if isinstance(event, Opened):
            return self._opened(event)
        trace = self._open.get(number)
        if trace is None:
            return None
        at = max(0.0, event.at - (trace.started or 0.0))
        self._last[number] = at
        match event:
            case Data():
                entries = trace.feed(event.sender, event.data, at)
            case Gap():
                entries = trace.missing(event.sender, event.missing, at)
            case Closed():
                entries = trace.closed(event.by, at, event.reset)
                self._forget(number)
        return self._followed(number, trace, entries)

    def end(self) -> list[Followed]:
        """Nothing more will come; return what that tells of the connections that are open."""
        found = []
        for number, trace in list(self._open.items()):
            found.append(self._followed(number, trace, trace.ended(self._last[number])))
            self._forget(number)
        return found

    def _opened(self, event: Opened) -> Followed:
        connection = event.connection
        self.count += 1
        keep = self._keep and len(self.traces) < MOST_TRACES_KEPT
        trace = AssociationTrace(
            f"{_address(connection.requestor)} -> {_address(connection.acceptor)}",
            event.at,
            keep=keep,
            keeper=self._keeper,
            midway=not connection.from_start,
        )
        if keep:
            self.traces.append(trace)
        else:
            self.not_kept += self._keep
        self._open[connection.number] = trace
        self._last[connection.number] = 0.0
        return self._followed(connection.number, trace, trace.opened(), is_new=True)

    def _followed(
        self, number: int, trace: AssociationTrace, entries: list[Entry], is_new: bool = False
    ) -> Followed:
        self.problem_count += sum(len(entry.problems) for entry in entries)
        return Followed(number, trace, entries, is_new)

    def _forget(self, number: int) -> None:
        del self._open[number], self._last[number]


def _address(endpoint: Endpoint) -> str:
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
