"""Recording in another process: what is told arrives, and every failure is told to whoever waits."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from sqlite3 import OperationalError

import pytest

from index_samples import Sample, sample
from loops import LoopFactory, run
from services.archive.errors import IndexUnavailable, NotRecordable
from services.archive.index.entry import Entry, Recorded
from services.archive.index.remote import (
    LONGEST_FRAME,
    Frames,
    Outcome,
    RemoteLoopWriter,
    RemoteWriter,
    batch_of,
    outcome_of,
    reply_of,
    request_of,
)

BATCH = [sample("1.4", PatientName="Doe^John", InstanceNumber=7), sample("1.5")]


def told(batch: Sequence[Sample]) -> list[Entry]:
    [message] = Frames().feed(request_of(batch))
    return [Entry.of(each) for each in batch_of(message)]


def test_an_instance_arrives_as_it_was() -> None:
    for arrived, source in zip(told(BATCH), BATCH, strict=True):
        expected = Entry.of(source)
        assert arrived.instance() == expected.instance()
        assert arrived.series() == expected.series()
        assert arrived.study() == expected.study()
        assert arrived.patient() == expected.patient()
        assert arrived.source.path == source.path


@pytest.mark.parametrize("outcome", [[Recorded.NEW, Recorded.ELSEWHERE, Recorded.KNOWN], []])
def test_results_arrive_as_they_were(outcome: list[Recorded]) -> None:
    [message] = Frames().feed(reply_of(outcome))
    assert outcome_of(message) == outcome


def test_a_failure_arrives_as_its_text() -> None:
    [message] = Frames().feed(reply_of(OperationalError("database or disk is full")))
    outcome = outcome_of(message)
    assert isinstance(outcome, IndexUnavailable)
    assert str(outcome) == "OperationalError: database or disk is full"
    assert isinstance(outcome_of(b"\xc1"), IndexUnavailable)


def test_a_refusal_arrives_beside_results() -> None:
    [message] = Frames().feed(reply_of([Recorded.NEW, NotRecordable("it does not take that")]))
    outcome = outcome_of(message)
    assert isinstance(outcome, list)
    assert outcome[0] is Recorded.NEW
    assert isinstance(outcome[1], NotRecordable)
    assert str(outcome[1]) == "it does not take that"


def test_frames_are_put_together_from_any_pieces() -> None:
    stream = request_of(BATCH) + reply_of([Recorded.NEW])
    whole = list(Frames().feed(stream))
    frames = Frames()
    assert [m for at in range(len(stream)) for m in frames.feed(stream[at : at + 1])] == whole
    assert len(whole) == 2


def test_a_frame_that_nobody_sends_is_refused() -> None:
    with pytest.raises(ValueError, match="frame of"):
        list(Frames().feed((LONGEST_FRAME + 1).to_bytes(4, "big")))


def test_a_thread_is_answered() -> None:
    ours, theirs = socket.socketpair()
    writer = RemoteWriter(ours, lambda: None)

    def answer() -> None:
        [message] = Frames().feed(theirs.recv(65536))
        theirs.sendall(reply_of([Recorded.NEW] * len(batch_of(message))))

    thread = threading.Thread(target=answer)
    thread.start()
    assert writer.record(BATCH) == [Recorded.NEW, Recorded.NEW]
    thread.join()
    writer.close()
    theirs.close()


def test_a_thread_that_gets_no_answer_says_so_and_goes_on_with_the_next_socket() -> None:
    lost = []
    ours, theirs = socket.socketpair()
    writer = RemoteWriter(ours, lambda: lost.append(True))
    theirs.close()
    with pytest.raises(IndexUnavailable):
        writer.record(BATCH)
    assert lost == [True]
    next_ours, next_theirs = socket.socketpair()
    writer.use(next_ours)
    next_theirs.sendall(reply_of([Recorded.NEW, Recorded.KNOWN]))
    assert writer.record(BATCH) == [Recorded.NEW, Recorded.KNOWN]
    writer.close()
    next_theirs.close()
    ours.close()


def test_a_failure_there_is_raised_here() -> None:
    ours, theirs = socket.socketpair()
    writer = RemoteWriter(ours, lambda: None)
    theirs.sendall(reply_of(OperationalError("no such table")))
    with pytest.raises(IndexUnavailable, match="no such table"):
        writer.record(BATCH)
    writer.close()
    theirs.close()


def test_the_loop_has_several_batches_under_way(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        writer = RemoteLoopWriter(ours, lambda: None)
        outcomes: list[Outcome] = []
        for _ in range(3):
            writer.submit(BATCH, outcomes.append)
        assert outcomes == []
        theirs.sendall(reply_of([Recorded.NEW]) + reply_of([Recorded.KNOWN]))
        while len(outcomes) < 2:
            await asyncio.sleep(0.01)
        assert outcomes == [[Recorded.NEW], [Recorded.KNOWN]]
        theirs.sendall(reply_of([Recorded.ELSEWHERE]))
        await asyncio.to_thread(lambda: None)
        writer.finish()
        assert outcomes[2] == [Recorded.ELSEWHERE]
        theirs.close()

    run(main(), loop_factory)


def test_more_than_a_socket_takes_is_sent_in_time(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        large = [sample(f"1.{n}", ImageComments="x" * 1000) for n in range(64)]
        writer = RemoteLoopWriter(ours, lambda: None)
        outcomes: list[Outcome] = []
        wanted = 40
        for _ in range(wanted):
            writer.submit(large, outcomes.append)

        def read_all() -> int:
            frames, count = Frames(), 0
            while count < wanted:
                for message in frames.feed(theirs.recv(65536)):
                    assert len(batch_of(message)) == 64
                    count += 1
                    theirs.sendall(reply_of([Recorded.NEW] * 64))
            return count

        assert await asyncio.to_thread(read_all) == wanted
        while len(outcomes) < wanted:
            await asyncio.sleep(0.01)
        writer.finish()
        theirs.close()

    run(main(), loop_factory)


def test_whoever_waits_in_the_loop_learns_that_nobody_writes(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        lost: list[bool] = []
        ours, theirs = socket.socketpair()
        writer = RemoteLoopWriter(ours, lambda: lost.append(True))
        outcomes: list[Outcome] = []
        writer.submit(BATCH, outcomes.append)
        theirs.close()
        while not outcomes:
            await asyncio.sleep(0.01)
        assert isinstance(outcomes[0], IndexUnavailable)
        assert lost == [True]
        writer.submit(BATCH, outcomes.append)
        assert isinstance(outcomes[1], IndexUnavailable)
        next_ours, next_theirs = socket.socketpair()
        writer.use(next_ours)
        writer.submit(BATCH, outcomes.append)
        next_theirs.sendall(reply_of([Recorded.NEW, Recorded.NEW]))
        writer.finish()
        assert outcomes[2] == [Recorded.NEW, Recorded.NEW]
        next_theirs.close()

    run(main(), loop_factory)


def test_an_answer_that_nobody_waits_for_ends_the_connection(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        lost = asyncio.Event()
        ours, theirs = socket.socketpair()
        writer = RemoteLoopWriter(ours, lost.set)
        theirs.sendall(reply_of([Recorded.NEW]))
        await asyncio.wait_for(lost.wait(), 10)
        outcomes: list[Outcome] = []
        writer.submit(BATCH, outcomes.append)
        assert isinstance(outcomes[0], IndexUnavailable)
        theirs.close()

    run(main(), loop_factory)


def test_another_socket_is_asked_for_again(
    loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        asked: list[bool] = []
        lost = asyncio.Event()
        ours, theirs = socket.socketpair()
        writer = RemoteLoopWriter(ours, lambda: (asked.append(True), lost.set()))
        theirs.close()
        await asyncio.wait_for(lost.wait(), 10)
        writer.submit(BATCH, lambda outcome: None)
        assert asked == [True], "at most once a second"
        monkeypatch.setattr("services.archive.index.remote._ASK_AGAIN", 0.0)
        writer.submit(BATCH, lambda outcome: None)
        assert asked == [True, True]

    run(main(), loop_factory)


def test_an_answer_that_never_comes_is_not_waited_for(
    loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.archive.index.remote.DEADLINE", 0.05)

    async def main() -> None:
        ours, theirs = socket.socketpair()
        writer = RemoteLoopWriter(ours, lambda: None)
        outcomes: list[Outcome] = []
        writer.submit(BATCH, outcomes.append)
        while not outcomes:
            await asyncio.sleep(0.01)
        assert isinstance(outcomes[0], IndexUnavailable)
        writer.finish()
        theirs.close()

    run(main(), loop_factory)
