"""A TCP proxy that delays, and does nothing else: what a distant peer is like. Bytes, their order and the speed at
which they come are those they had; only later.
"""

import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from benchmarks.forks import die_with
from peers import HOST

_LONGEST = 1 << 18
_UNDER_WAY = 1024
"""Pieces that may be on their way in one direction, up to 256 KiB each: more than any sender here has outstanding,
so that nobody is slowed down by it."""


@contextmanager
def delaying(port: int, seconds: float) -> Iterator[int]:
    """Pass connections on to `port` of loopback, in a process of its own, and yield the port to connect to.

    Args:
        seconds: what each direction takes; a round trip takes twice as long.
    """
    with socket.create_server((HOST, 0), backlog=16) as listener:
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            try:
                die_with(parent)
                _serve(listener, port, seconds)
            finally:
                os._exit(1)
        try:
            yield listener.getsockname()[1]
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _serve(listener: socket.socket, port: int, seconds: float) -> None:
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection((HOST, port))
        except OSError:
            near.close()
            continue
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _pass_on(near, far, seconds)
        _pass_on(far, near, seconds)


def _pass_on(source: socket.socket, to: socket.socket, seconds: float) -> None:
    """Begin to pass on what comes from `source`, its end too."""
    under_way: queue.Queue[tuple[float, bytes]] = queue.Queue(_UNDER_WAY)

    def take() -> None:
        piece = b"first"
        while piece:
            try:
                piece = source.recv(_LONGEST)
            except ConnectionError:
                piece = b""
            under_way.put((time.monotonic() + seconds, piece))

    def give() -> None:
        try:
            while True:
                due, piece = under_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not piece:
                    to.shutdown(socket.SHUT_WR)
                    return
                to.sendall(piece)
        except OSError:  # who should have it is gone, and nobody else wants it
            with suppress(OSError):
                source.shutdown(socket.SHUT_RDWR)

    for target in (take, give):
        threading.Thread(target=target, daemon=True).start()
