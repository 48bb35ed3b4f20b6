"""The process that writes for several others."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import OperationalError
from typing import cast

import pytest

from index_samples import Sample, sample
from services.archive.errors import NotRecordable
from services.archive.index.entry import Indexable, Recorded, Result
from services.archive.index.index import Index
from services.archive.index.remote import Frames, Outcome, RemoteWriter, outcome_of, request_of
from services.archive.index.writer import IndexWriter
from services.archive.index.writer_process import LARGEST_BATCH, WriterProcess


def client(control: socket.socket) -> socket.socket:
    """Ours of two sockets, of which the process was given the other."""
    ours, theirs = socket.socketpair()
    socket.send_fds(control, [b"."], [theirs.fileno()])
    theirs.close()
    ours.settimeout(10)
    return ours


def hand_over(control: socket.socket) -> RemoteWriter:
    return RemoteWriter(client(control), lambda: None)


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
    """Refuses the paths it is told to, or fails, and notes its batches."""

    def __init__(self, *bad: str, error: Exception | None = None) -> None:
        self.bad = set(bad)
        self.error = error
        self.batches: list[list[str]] = []

    def record(self, batch: Sequence[Indexable]) -> list[Result]:
        paths = [each.path for each in batch]
        self.batches.append(paths)
        if self.error is not None:
            raise self.error
        return [NotRecordable("this one") if path in self.bad else Recorded.NEW for path in paths]


def told_at_once(fake: FakeWriter, batches: Sequence[Sequence[Sample]]) -> list[Outcome]:
    """What several are answered whose requests are there before anything is read."""
    pairs = [socket.socketpair() for _ in batches]
    for (ours, _), batch in zip(pairs, batches, strict=True):
        ours.sendall(request_of(batch))
    with writing(fake) as control:
        socket.send_fds(control, [b"."], [theirs.fileno() for _, theirs in pairs])
        said: list[Outcome] = []
        for ours, theirs in pairs:
            theirs.close()
            ours.settimeout(10)
            [message] = Frames().feed(ours.recv(65536))
            said.append(outcome_of(message))
            ours.close()
    return said


def test_what_came_from_several_is_committed_together() -> None:
    fake = FakeWriter()
    assert told_at_once(fake, [[sample(f"1.{n}")] for n in range(3)]) == [[Recorded.NEW]] * 3
    assert [len(batch) for batch in fake.batches] == [3]


def test_one_request_is_never_divided() -> None:
    fake = FakeWriter()
    with writing(fake) as control:
        writer = hand_over(control)
        large = [sample(f"1.{n}") for n in range(LARGEST_BATCH + 5)]
        assert writer.record(large) == [Recorded.NEW] * len(large)
        writer.close()
    assert [len(batch) for batch in fake.batches] == [LARGEST_BATCH + 5]


def test_what_is_refused_is_refused_alone() -> None:
    bad = sample("1.666")
    fake = FakeWriter(bad.path)
    first, second, third = told_at_once(fake, [[sample("1.1")], [bad, sample("1.3")], [sample("1.2")]])
    assert first == third == [Recorded.NEW]
    assert isinstance(second, Sequence)
    assert isinstance(second[0], NotRecordable)
    assert (str(second[0]), second[1]) == ("this one", Recorded.NEW)
    assert [len(batch) for batch in fake.batches] == [4]


def test_what_fails_fails_for_all_that_were_committed_with_it() -> None:
    fake = FakeWriter(error=OperationalError("database is locked"))
    said = told_at_once(fake, [[sample("1.1")], [sample("1.2")]])
    assert [str(outcome) for outcome in said] == ["OperationalError: database is locked"] * 2


def test_nonsense_costs_its_sender_the_connection_and_nobody_else() -> None:
    with writing(FakeWriter()) as control:
        ours = client(control)
        ours.sendall(b"\xff" * 100)
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
    assert set(threading.enumerate()) <= before
