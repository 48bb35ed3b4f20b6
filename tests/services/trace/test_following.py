"""Events of connections to traces of associations."""

import pytest

from services.trace import following
from services.trace.association import TracedEvent
from services.trace.following import Following
from services.trace.proxy import Refused
from services.trace.tcp import Closed, Connection, Data, Gap, Opened
from trace_samples import AN_ECHO, ECHO_RQ, A, R, pdus, wire


def connection(number: int = 1, *, from_start: bool = True) -> Connection:
    return Connection(number, ("127.0.0.1", 40000 + number), ("::1", 104), from_start)


def play(to: Following, which: Connection) -> None:
    to.take(Opened(which, 1000.0))
    for sender, pdu in AN_ECHO:
        to.take(Data(which, sender, 1001.5, wire(pdu)))


def test_one_after_the_other_and_side_by_side() -> None:
    found = Following(keep=True)
    play(found, connection(1))
    play(found, connection(2))
    found.take(Closed(connection(1), R, 1002.0, False))
    one, two = found.traces
    assert one.name == "127.0.0.1:40001 -> [::1]:104"
    assert (one.started, one.is_closed, two.is_closed) == (1000.0, True, False)
    assert [entry.at for entry in pdus(one)] == [1.5] * 6
    assert found.count == 2
    assert found.problem_count == 0


def test_what_is_returned() -> None:
    found = Following(keep=False)
    opened = found.take(Opened(connection(3), 1000.0))
    assert opened is not None
    assert (opened.number, opened.is_new, len(opened.entries)) == (3, True, 1)
    request = found.take(Data(connection(3), R, 1000.0, wire(AN_ECHO[0][1])))
    assert request is not None
    assert not request.is_new
    assert found.traces == []
    assert request.trace.entries == []


def test_what_belongs_to_no_connection() -> None:
    found = Following(keep=True)
    assert found.take(Data(connection(), R, 0.0, b"x")) is None
    assert found.take(Refused(("127.0.0.1", 1), 0.0, "why")) is None
    assert found.count == 0


def test_a_connection_that_began_before() -> None:
    found = Following(keep=True)
    found.take(Opened(connection(from_start=False), 0.0))
    found.take(Data(connection(), R, 0.0, wire(ECHO_RQ)))
    assert found.problem_count == 0
    assert found.traces[0].state(A).name == "Sta6"


def test_a_gap() -> None:
    found = Following(keep=True)
    found.take(Opened(connection(), 0.0))
    gap = found.take(Gap(connection(), A, 0.5, 100))
    assert gap is not None
    (entry,) = gap.entries
    assert isinstance(entry, TracedEvent)
    assert entry.what == "100 bytes that were not captured"


def test_the_end() -> None:
    found = Following(keep=True)
    found.take(Opened(connection(), 0.0))
    found.take(Data(connection(), R, 2.0, b"\1\0\0"))
    (last,) = found.end()
    (entry,) = last.entries
    assert entry.at == 2.0
    assert found.end() == []


def test_problems_are_counted() -> None:
    found = Following(keep=False)
    found.take(Opened(connection(), 0.0))
    found.take(Data(connection(), R, 0.0, wire(ECHO_RQ)))
    assert found.problem_count > 0


def test_how_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_TRACES_KEPT", 2)
    found = Following(keep=True)
    for number in range(1, 6):
        play(found, connection(number))
        found.take(Closed(connection(number), A, 1002.0, True))
    assert len(found.traces) == 2
    assert found.not_kept == 3
    assert found.count == 5
