"""Listening in one process for several that serve: sockets are bound once, and each connection is handed on."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

_AT_ONCE = 64
"""Connections that are accepted before anybody else in the loop has a turn."""

_PAUSE = 0.1
"""Seconds until it is tried again, when nobody takes a connection or no descriptor is left."""


async def bind(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Bind and listen on every address that a host has.

    Args:
        host: a name or an address of this machine.
        port: 0 takes any free one, the same for every address.
        backlog: connections that the kernel holds before they are accepted.

    Raises:
        OSError: an address cannot be bound.
    """
    addresses = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(addresses):
            sock = socket.socket(family, kind, protocol)
            bound.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            taken = bound[0].getsockname()[1] or port
            sock.bind((address[0], taken, *address[2:]))
            sock.listen(backlog)
            sock.setblocking(False)
    except BaseException:
        for sock in bound:
            sock.close()
        raise
    return bound


class Accepting:
    """Accepts connections, and hands each on; made in a running loop, which it uses until `close`.

    Args:
        listener: bound and listening, not blocking.
        hand_on: takes a connection, which is closed here afterwards; says False where it could not.
    """

    def __init__(self, listener: socket.socket, hand_on: Callable[[socket.socket], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._hand_on = hand_on
        self._held: socket.socket | None = None  # accepted, and nobody's yet
        self._again: asyncio.TimerHandle | None = None
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Accept nothing more; the listener is closed."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        if self._again is not None:
            self._again.cancel()
        if self._held is not None:
            self._held.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if self._held is None:
                try:
                    self._held, _ = self._listener.accept()
                except BlockingIOError:
                    return
                except ConnectionAbortedError:
                    continue
                except OSError:
                    self._wait()  # no descriptor is left: the connection stays in the backlog
                    return
            if not self._hand_on(self._held):
                self._wait()
                return
            self._held.close()
            self._held = None

    def _wait(self) -> None:
        """Nothing is lost meanwhile: the kernel holds what comes."""
        self._loop.remove_reader(self._listener)
        self._again = self._loop.call_later(_PAUSE, self._go_on)

    def _go_on(self) -> None:
        self._again = None
        with suppress(ValueError):  # closed
            self._loop.add_reader(self._listener, self._accept)
        self._accept()
