"""The TLS handshake of a connection that was accepted, before any provider knows of it (PS3.15 B.12).

A server of asyncio does the handshake itself, but tells nobody of one that failed. Here a connection is taken plain,
then given to the loop again with TLS, so that a failure has an address and a cause, and no more handshakes run than
are allowed.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TypeAlias, cast

HandshakeFailed: TypeAlias = Callable[[str, Exception], None]
"""Told the peer's address and the cause of each handshake that failed."""

NewProvider: TypeAlias = Callable[[], asyncio.BufferedProtocol]

MOST_HANDSHAKES = 256
"""Handshakes under way at once; for one more the oldest is given up."""


class TLSDoor:
    """Where the connections of one listener are upgraded to TLS before they are handed on.

    Args:
        context: certificates and rules.
        timeout: of a handshake, in seconds.
        failed: told of each handshake that failed.
    """

    def __init__(
        self, context: ssl.SSLContext, *, timeout: float = 10.0, failed: HandshakeFailed | None = None
    ) -> None:
        self._context = context
        self._timeout = timeout
        self._failed = failed
        self._handshakes: dict[asyncio.Task[None], str] = {}  # with the peer's address; oldest first

    def upgrading(self, new_provider: NewProvider) -> Callable[[], asyncio.Protocol]:
        """A protocol factory for `loop.create_server`: the providers are made once their handshakes succeeded."""
        return lambda: _Accepted(self, new_provider)

    def close(self) -> None:
        """Give up the handshakes that are still under way."""
        for handshake in list(self._handshakes):
            handshake.cancel()

    def begin(self, transport: asyncio.BaseTransport, new_provider: NewProvider) -> None:
        """Take the connection of a plain transport, and do the handshake in a task of its own."""
        if len(self._handshakes) >= MOST_HANDSHAKES:
            self._give_up_the_oldest()
        peer = address_of(transport)
        try:
            sock = transport.get_extra_info("socket").dup()
        except OSError as error:  # no file descriptor is left
            cast(asyncio.Transport, transport).abort()
            if self._failed is not None:
                self._failed(peer, error)
            return
        sock.setblocking(False)
        # It has read nothing yet, and the connection lives on in `sock`. uvloop's transports are asyncio's in all
        # but their base class.
        cast(asyncio.Transport, transport).abort()
        begun_with = [sock]
        task = asyncio.get_running_loop().create_task(self._shake_hands(begun_with, peer, new_provider))
        self._handshakes[task] = peer

        def over(done: asyncio.Task[None]) -> None:
            self._handshakes.pop(done, None)
            for left in begun_with:  # it was given up before its first step
                left.close()

        task.add_done_callback(over)

    def _give_up_the_oldest(self) -> None:
        oldest = next(iter(self._handshakes))
        peer = self._handshakes.pop(oldest)  # at once, so that the next one does not give up the same
        oldest.cancel()
        if self._failed is not None:
            self._failed(
                peer, ConnectionAbortedError(f"given up, {MOST_HANDSHAKES} newer ones are under way")
            )

    async def _shake_hands(
        self, begun_with: list[socket.socket], peer: str, new_provider: NewProvider
    ) -> None:
        sock = begun_with.pop()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                new_provider, sock, ssl=self._context, ssl_handshake_timeout=self._timeout
            )
        except OSError as error:  # ssl.SSLError and TimeoutError are OSErrors
            if self._failed is not None:
                self._failed(peer, error)


def address_of(transport: asyncio.BaseTransport, what: str = "peername") -> str:
    """The peer's address, or ours ("sockname"), as text."""
    address = transport.get_extra_info(what)
    if isinstance(address, tuple) and len(address) >= 2:
        host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
        return f"{host}:{address[1]}"
    return str(address or "unknown")


class _Accepted(asyncio.Protocol):
    """Stands for a provider until the handshake can begin, which is at once."""

    def __init__(self, door: TLSDoor, new_provider: NewProvider) -> None:
        self._door = door
        self._new_provider = new_provider

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._door.begin(transport, self._new_provider)
