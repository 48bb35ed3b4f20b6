"""Recording from another process: one process writes the index for several that store.

SQLite takes one writer at a time, and whoever finds it busy sleeps. So the workers of a server tell one process what
they have published, each over a socket pair of its own, and that process commits what has arrived from all of them in
one transaction (`index.writer_process`). Over the socket go frames, each a length of four bytes and a message: the
instances of a batch one way, what became of each the other way, in order.
"""

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

from msgspec import DecodeError, Struct, msgpack

from services.archive.errors import IndexUnavailable, NotRecordable, cause_of
from services.archive.index.entry import Entry, Indexable, InstanceRow, Recorded, Result

LONGEST_FRAME = 64 << 20
"""Bytes. A batch has 64 instances at most, and what is kept of one has bounds (`archive.kept_values`)."""

DEADLINE = 60.0
"""Seconds for the answer to a batch: a disk may stall, and SQLite waits half of that for others."""

_ASK_AGAIN = 1.0
"""Seconds until another socket is asked for again."""

_LENGTH = struct.Struct("!I")
_READ_AT_ONCE = 1 << 18
_RECORDED = tuple(Recorded)

Outcome: TypeAlias = Sequence[Result] | Exception
"""What became of each instance of a batch, or why nobody knows."""


class Told(Struct, array_like=True, gc=False):
    """A published instance as it is told to the process that writes (`index.entry.Indexable`).

    Attributes:
        row: of the instance, made by whoever stored it.
    """

    path: str
    sop_class_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    size: int
    values: Mapping[int, bytes]
    row: InstanceRow

    @classmethod
    def of(cls, source: Indexable) -> "Told":
        """What is to be told of an instance."""
        return cls(
            source.path,
            source.sop_class_uid,
            source.transfer_syntax_uid,
            source.data_set_offset,
            source.size,
            source.values,
            Entry.of(source).instance(),
        )


_encode = msgpack.Encoder().encode
_decode_request = msgpack.Decoder(list[Told]).decode
_decode_reply = msgpack.Decoder(list[int | str] | str).decode


class Frames:
    """Puts frames together from what a socket delivers."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes; yields the messages that are complete now.

        Raises:
            ValueError: a frame is longer than any that is sent.
        """
        self._data += data
        while len(self._data) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._data)
            if length > LONGEST_FRAME:
                raise ValueError(f"a frame of {length} bytes")
            end = _LENGTH.size + length
            if len(self._data) < end:
                return
            message = bytes(self._data[_LENGTH.size : end])
            del self._data[:end]
            yield message


def request_of(batch: Sequence[Indexable]) -> bytes:
    """The frame that tells of a batch."""
    return _frame(_encode([Told.of(source) for source in batch]))


def batch_of(message: bytes) -> list[Told]:
    """The instances that a message tells of.

    Raises:
        ValueError: it does not tell of any.
    """
    return _decode_request(message)


def reply_of(outcome: Outcome) -> bytes:
    """The frame that answers a batch."""
    if isinstance(outcome, Exception):
        return _frame(_encode(cause_of(outcome)))
    return _frame(
        _encode([str(each) if isinstance(each, NotRecordable) else _RECORDED.index(each) for each in outcome])
    )


def outcome_of(message: bytes) -> Outcome:
    """What an answer says."""
    try:
        answer = _decode_reply(message)
    except DecodeError as error:
        return IndexUnavailable(f"the process that writes the index answered nonsense: {error}")
    if isinstance(answer, str):
        return IndexUnavailable(answer)
    return [NotRecordable(each) if isinstance(each, str) else _RECORDED[each] for each in answer]


def _frame(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message


class RemoteWriter:
    """Records from a thread that may wait (`archive.committer.Record`).

    Args:
        sock: to the process that writes.
        lost: told that another socket is needed (`use`); called in the thread that records.
    """

    def __init__(self, sock: socket.socket, lost: Callable[[], object]) -> None:
        sock.settimeout(DEADLINE)
        self._sock = sock
        self._lost = lost
        self._lock = threading.Lock()

    def use(self, sock: socket.socket) -> None:
        """Use another socket; callable from any thread."""
        sock.settimeout(DEADLINE)
        before, self._sock = self._sock, sock
        _shut_down(before)  # whoever waits for an answer gets none

    def record(self, batch: Sequence[Indexable]) -> Sequence[Result]:
        """As `IndexWriter.record`.

        Raises:
            IndexUnavailable: whether the batch is recorded is unknown.
        """
        request = request_of(batch)
        with self._lock:
            sock = self._sock
            try:
                outcome = _exchange(sock, request)
            except (OSError, ValueError) as error:
                _shut_down(sock)  # an answer that comes late would be taken for that to the next batch
                if self._sock is sock:
                    self._lost()
                raise _gone() from error
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


class RemoteLoopWriter:
    """Records from the event loop, which waits for nothing: several batches may be under way.

    Args:
        sock: to the process that writes.
        lost: told that another socket is needed (`use`).
    """

    def __init__(self, sock: socket.socket, lost: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._waiting: deque[tuple[float, Callable[[Outcome], None]]] = deque()  # since when, and who
        self._watch: asyncio.TimerHandle | None = None
        self._sock: socket.socket | None = None
        self._asked = 0.0
        self._frames = Frames()
        self._unsent = bytearray()
        self.use(sock)

    def use(self, sock: socket.socket) -> None:
        """Use another socket; what was not answered on the one before has failed."""
        self._let_go()
        sock.setblocking(False)
        self._sock, self._frames = sock, Frames()
        self._loop.add_reader(sock, self._readable)

    def submit(self, batch: Sequence[Indexable], done: Callable[[Outcome], None]) -> None:
        """Have a batch recorded; `done` is called once, in the loop, perhaps before this returns."""
        if self._sock is None:
            self._ask_again()
            done(_gone())
            return
        request = request_of(batch)
        self._waiting.append((self._loop.time(), done))
        if self._watch is None:
            self._watch = self._loop.call_later(DEADLINE, self._watch_over)
        sent = 0
        if not self._unsent:
            try:
                sent = self._sock.send(request)
            except BlockingIOError:
                pass
            except OSError:
                self._is_lost()
                return
        if sent < len(request):
            if not self._unsent:
                self._loop.add_writer(self._sock, self._writable)
            self._unsent += request[sent:]

    def finish(self) -> None:
        """Wait for what is under way, and close. Blocks."""
        sock = self._sock
        if sock is not None and self._waiting:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            sock.settimeout(DEADLINE)
            with suppress(OSError, ValueError):
                sock.sendall(self._unsent)
                while self._waiting and (data := sock.recv(_READ_AT_ONCE)):
                    self._take(data)
        self._let_go()

    def _writable(self) -> None:
        assert self._sock is not None
        try:
            del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self._is_lost()
            return
        if not self._unsent:
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(_READ_AT_ONCE)
            self._take(data)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            data = b""
        if not data:
            self._is_lost()

    def _take(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            if not self._waiting:
                raise ValueError("an answer that nobody waits for")
            _, done = self._waiting.popleft()
            done(outcome_of(message))

    def _watch_over(self) -> None:
        self._watch = None
        if not self._waiting:
            return
        left = self._waiting[0][0] + DEADLINE - self._loop.time()
        if left <= 0:
            self._is_lost()
        else:
            self._watch = self._loop.call_later(left, self._watch_over)

    def _is_lost(self) -> None:
        self._let_go()
        self._asked = self._loop.time()
        self._lost()

    def _ask_again(self) -> None:
        """The socket that was asked for may have been lost on its way."""
        if self._loop.time() - self._asked >= _ASK_AGAIN:
            self._asked = self._loop.time()
            self._lost()

    def _let_go(self) -> None:
        """There is nobody who writes, for now."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            sock.close()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._unsent.clear()
        waiting, self._waiting = self._waiting, deque()
        for _, done in waiting:
            done(_gone())


def _exchange(sock: socket.socket, request: bytes) -> Outcome:
    sock.sendall(request)
    frames = Frames()
    while data := sock.recv(_READ_AT_ONCE):
        for message in frames.feed(data):
            return outcome_of(message)
    raise ConnectionResetError


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _gone() -> IndexUnavailable:
    return IndexUnavailable("the process that writes the index does not answer; try again")
