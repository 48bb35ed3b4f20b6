"""The process that writes for several others."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from index_samples import Sample, sample
from services.archive.errors import IndexUnavailable
from services.archive.index.entry import Indexable, Recorded
from services.archive.index.index import Index
from services.archive.index.remote import RemoteWriter
from services.archive.index.writer import IndexWriter
from services.archive.index.writer_process import LARGEST_BATCH, WriterProcess


def hand_over(control: socket.socket) -> RemoteWriter:
    ours, theirs = socket.socketpair()
    socket.send_fds(control, [b"."], [theirs.fileno()])
    theirs.close()
    return RemoteWriter(ours, lambda: None)


@contextmanager
def writing(writer: object) -> Iterator[socket.socket]:
    """A writer process that is a thread; yields the control socket."""
    ours, theirs = socket.socketpair()
    process = WriterProcess(theirs, cast(IndexWriter, writer))
    thread = threading.Thread(target=process.run, daemon=True)
    thread.start()
    with ours, theirs:
        yield ours
        ours.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive(), "it ends when nobody is left"


class FakeWriter:
    """Fails for the paths it is told to, and notes its batches."""

    def __init__(self, *bad: str, gate: threading.Event | None = None) -> None:
        self.bad = set(bad)
        self.batches: list[list[str]] = []
        self.entered = threading.Event()
        self.gate = gate

    def record(self, batch: Sequence[Indexable]) -> list[Recorded]:
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        paths = [each.path for each in batch]
        self.batches.append(paths)
        if self.bad & set(paths):
            raise ValueError("this one cannot be recorded")
        return [Recorded.NEW] * len(batch)


def in_threads(writers: Sequence[RemoteWriter], batches: Sequence[Sequence[Sample]]) -> list[Any]:
    """What each says to its batch, all at once."""
    said: list[Any] = [None] * len(writers)

    def one(place: int) -> None:
        try:
            said[place] = writers[place].record(batches[place])
        except IndexUnavailable as error:
            said[place] = str(error)

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(writers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return said


def test_what_came_from_several_is_committed_together() -> None:
    gate = threading.Event()
    fake = FakeWriter(gate=gate)
    with writing(fake) as control:
        first, *others = [hand_over(control) for _ in range(4)]
        alone = threading.Thread(target=first.record, args=([sample("1.1")],))
        alone.start()
        assert fake.entered.wait(10)
        waiting = threading.Thread(target=in_threads, args=(others, [[sample(f"1.{n}")] for n in (2, 3, 4)]))
        waiting.start()
        waiting.join(0.3)  # its requests are on their way while the first is committed
        gate.set()
        waiting.join(20)
        alone.join(20)
        for each in (first, *others):
            each.close()
    assert sum(map(len, fake.batches)) == 4
    assert max(map(len, fake.batches)) > 1


def test_one_request_is_never_divided() -> None:
    fake = FakeWriter()
    with writing(fake) as control:
        writer = hand_over(control)
        large = [sample(f"1.{n}") for n in range(LARGEST_BATCH + 5)]
        assert writer.record(large) == [Recorded.NEW] * len(large)
        writer.close()
    assert [len(batch) for batch in fake.batches] == [LARGEST_BATCH + 5]


def test_what_fails_fails_alone() -> None:
    bad = sample("1.666")
    gate = threading.Event()
    fake = FakeWriter(bad.path, gate=gate)
    with writing(fake) as control:
        writers = [hand_over(control) for _ in range(3)]
        threading.Timer(0.2, gate.set).start()
        said = in_threads(writers, [[sample("1.1")], [bad], [sample("1.2")]])
        for each in writers:
            each.close()
    assert said == [[Recorded.NEW], "this one cannot be recorded", [Recorded.NEW]]


def test_nonsense_costs_its_sender_the_connection_and_nobody_else() -> None:
    with writing(FakeWriter()) as control:
        ours, theirs = socket.socketpair()
        socket.send_fds(control, [b"."], [theirs.fileno()])
        theirs.close()
        ours.sendall(b"\xff" * 100)
        ours.settimeout(10)
        assert ours.recv(1) == b""
        ours.close()
        other = hand_over(control)
        assert other.record([sample("1.1")]) == [Recorded.NEW]
        other.close()


def test_as_a_process_it_records_in_the_database_and_ends_with_its_last_client(tmp_path: Path) -> None:
    Index.open("", tmp_path, durability="process").close()
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "services.archive.index.writer_process"]
    process = subprocess.Popen(
        [*command, str(theirs.fileno()), "", str(tmp_path), "process"], pass_fds=[theirs.fileno()]
    )
    theirs.close()
    ours.settimeout(20)
    assert ours.recv(1) == b"+"
    writer = hand_over(ours)
    assert writer.record([sample("1.4"), sample("1.5")]) == [Recorded.NEW, Recorded.NEW]
    assert writer.record([sample("1.4"), sample("1.5", "9.9")]) == [Recorded.KNOWN, Recorded.ELSEWHERE]
    ours.close()
    assert writer.record([sample("1.6")]) == [Recorded.NEW], "it works for those who are left"
    writer.close()
    assert process.wait(20) == 0
    index = Index.open("", tmp_path, durability="process")
    assert index.counts()["instances"] == 3
    index.close()


def test_a_database_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"no database at all, but long enough to look at" * 100)
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "services.archive.index.writer_process"]
    with ours, theirs:
        done = subprocess.run(
            [*command, str(theirs.fileno()), "", str(tmp_path), "process"],
            pass_fds=[theirs.fileno()],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert "index.db" in done.stderr


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert not [t for t in set(threading.enumerate()) - before if not isinstance(t, threading.Timer)]
