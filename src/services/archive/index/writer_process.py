"""The process that writes the index for all workers of a server, where the database takes one writer at a time.

It takes what has arrived from all of them into one transaction, so that the cost of a commit is shared, and answers
each when that has succeeded. It ends when nobody is left who could tell it anything. No asyncio here: it has one
thing to do at a time.
"""

import selectors
import signal
import socket
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from services.archive.errors import ArchiveError
from services.archive.index.database import Database
from services.archive.index.remote import DEADLINE, Frames, Told, batch_of, reply_of
from services.archive.index.writer import IndexWriter

LARGEST_BATCH = 64
"""Instances of one transaction; a single request that has more is one by itself."""

_READ_AT_ONCE = 1 << 18
_MOST_SOCKETS = 16  # handed over in one message


class _Client:
    """One socket, and what has arrived on it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.frames = Frames()

    def answer(self, reply: bytes) -> None:
        # The answers that wait are few and small, so that only a process that is stuck takes none.
        with suppress(OSError):
            self.sock.sendall(reply)


class WriterProcess:
    """Serves until the control socket is closed and every client is gone.

    Args:
        control: brings the sockets of clients; its end says that there will be no more.
        writer: of the index.
    """

    def __init__(self, control: socket.socket, writer: IndexWriter) -> None:
        self._control = control
        self._writer = writer
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._clients = 0
        self._requests: deque[tuple[_Client, list[Told]]] = deque()
        self._is_open = True

    def run(self) -> None:
        """Record what is told, and return in the end."""
        while self._is_open or self._clients:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._take_clients()
                else:
                    self._read(key.data)
            while self._requests:
                self._commit(self._next_batch())

    def _take_clients(self) -> None:
        message, fds, _, _ = socket.recv_fds(self._control, 1, _MOST_SOCKETS)
        for fd in fds:
            sock = socket.socket(fileno=fd)
            sock.settimeout(DEADLINE)
            self._selector.register(sock, selectors.EVENT_READ, _Client(sock))
            self._clients += 1
        if not message:
            self._selector.unregister(self._control)
            self._is_open = False

    def _read(self, client: _Client) -> None:
        try:
            data = client.sock.recv(_READ_AT_ONCE)
            for message in client.frames.feed(data):
                self._requests.append((client, batch_of(message)))
        except (OSError, ValueError):
            data = b""
        if not data:
            self._selector.unregister(client.sock)
            client.sock.close()
            self._clients -= 1

    def _next_batch(self) -> list[tuple[_Client, list[Told]]]:
        batch = [self._requests.popleft()]
        size = len(batch[0][1])
        while self._requests and size + len(self._requests[0][1]) <= LARGEST_BATCH:
            batch.append(self._requests.popleft())
            size += len(batch[-1][1])
        return batch

    def _commit(self, batch: Sequence[tuple[_Client, list[Told]]]) -> None:
        try:
            results = self._writer.record([told for _, instances in batch for told in instances])
        except Exception as error:
            for client, _ in batch:
                client.answer(reply_of(error))
            return
        at = 0
        for client, instances in batch:
            client.answer(reply_of(results[at : at + len(instances)]))
            at += len(instances)


def main(arguments: Sequence[str]) -> int:
    """Run as the server starts it: the control socket's descriptor, database URL, data directory, durability."""
    fd, url, data_directory, durability = arguments
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends with those it works for
    control = socket.socket(fileno=int(fd))
    try:
        database = Database.open(url, Path(data_directory), durability=durability)
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return 1
    writer = IndexWriter(database)
    try:
        writer.connect()
        control.sendall(b"+")  # ready
        WriterProcess(control, writer).run()
    finally:
        writer.close()
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
