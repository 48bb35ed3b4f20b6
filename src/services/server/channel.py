"""What the supervisor and a worker say to each other, over a socket pair.

A message is one byte, and perhaps descriptors. The end of the socket says that the other one has ended.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum

_MOST_DESCRIPTORS = 4
_AT_ONCE = 64
"""Messages taken before anybody else in the loop has a turn."""


class Message(Enum):
    """What is said.

    Attributes:
        CONNECTION: serve this connection; to a worker, as the next four.
        COUNT: write your statistics where I can see them.
        WRITERS: two sockets to the process that writes the index: for the loop, and for threads.
        FINISH: take nothing new, and end when what is open has ended, or its time is up.
        ABORT: end now.
        READY: from a worker: it serves.
        COUNTED: its statistics are there.
        LOST: its sockets to the process that writes the index are of no use any more.
    """

    CONNECTION = b"c"
    COUNT = b"s"
    WRITERS = b"i"
    FINISH = b"f"
    ABORT = b"a"
    READY = b"+"
    COUNTED = b"="
    LOST = b"!"


class Channel:
    """One end, used from an event loop.

    Args:
        sock: of a pair that keeps messages apart; the channel's from now on.
        heard: told each message with its descriptors, which are then its own; None when the other end is closed.
    """

    def __init__(self, sock: socket.socket, heard: Callable[[Message | None, Sequence[int]], object]) -> None:
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._heard = heard
        self._loop.add_reader(sock, self._readable)

    def say(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        """Say something; False where the other end is gone, or listens so little that no more goes in."""
        try:
            socket.send_fds(self._sock, [message.value], list(descriptors))
        except OSError:
            return False
        return True

    def say_from_thread(self, message: Message) -> None:
        """The same from any thread; nobody learns whether it was heard."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.say, message)

    def close(self) -> None:
        """Close this end."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, descriptors, _, _ = socket.recv_fds(self._sock, 1, _MOST_DESCRIPTORS)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:
                self.close()
                self._heard(None, ())
                return
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
            self._heard(Message(data), descriptors)
            if self._sock.fileno() < 0:
                return


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a channel, to be handed to `Channel`.

    Raises:
        OSError: no descriptor is left.
    """
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
