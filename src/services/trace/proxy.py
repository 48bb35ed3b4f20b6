"""A TCP proxy between two DICOM peers that tells what passes, and changes none of it.

Bytes go both ways with back-pressure; an end of sending and a reset are passed on as what they are. It may speak TLS
with either side, and then shows what is inside. Knows nothing of PDUs.
"""

import asyncio
import logging
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

from msgspec import Struct

from dul.tls import TLSDoor
from services.trace.fields import Side
from services.trace.packets import Endpoint
from services.trace.tcp import Closed, Connection, Data, Opened

_log = logging.getLogger("services.trace")

_READ_SIZE = 1 << 18
_FLUSH = 5.0  # seconds for a peer to take what was sent before it is closed


class Refused(Struct, frozen=True):
    """A connection that was closed at once: no TLS handshake, no way to the target, or too many are open.

    Attributes:
        requestor: who connected.
        at: seconds since 1970.
        why: in words, with the target's address.
    """

    requestor: Endpoint
    at: float
    why: str


ProxyEvent: TypeAlias = Opened | Data | Closed | Refused


class Proxy:
    """Passes connections on to one target.

    Args:
        host, port: of the target.
        notify: told what happens, in the loop and before it is passed on: be quick. What it raises is logged once
            and changes nothing.
        tls: speak TLS with whoever connects.
        target_tls: speak TLS with the target.
        server_hostname: whom the target's certificate must name; `host` by default.
        connect_timeout: seconds to reach the target, and for each TLS handshake.
        idle_timeout: seconds in which nothing passes either way; then the connection is closed.
        most_connections: at one time; one more is closed at once.
    """

    def __init__(
        self,
        host: str,
        port: int,
        notify: Callable[[ProxyEvent], object],
        *,
        tls: ssl.SSLContext | None = None,
        target_tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        connect_timeout: float = 10.0,
        idle_timeout: float = 3600.0,
        most_connections: int = 64,
    ) -> None:
        self._target = (host, port)
        self._notify = notify
        self._tls = tls
        self._target_tls = target_tls
        self._server_hostname = server_hostname
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._most_connections = most_connections
        self._serving: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._failed = False

    @asynccontextmanager
    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
        """Accept connections for as long as the block lasts; at its end those still open are closed.

        Yields:
            The port, which port 0 leaves to the system.

        Raises:
            OSError: the address cannot be bound.
        """
        door: TLSDoor | None = None
        factory: Callable[[], Any] = self._new_protocol
        if self._tls is not None:
            door = TLSDoor(self._tls, timeout=self._connect_timeout, failed=self._handshake_failed)
            factory = door.upgrading(factory)
        server = await asyncio.get_running_loop().create_server(factory, host, port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            if door is not None:
                door.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def _new_protocol(self) -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=_READ_SIZE), self._accept)

    def _handshake_failed(self, peer: str, error: Exception) -> None:
        host, _, port = peer.rpartition(":")
        why = f"the TLS handshake failed: {error or type(error).__name__}"
        self._tell(Refused((host.strip("[]"), int(port) if port.isdigit() else 0), time.time(), why))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requestor = _endpoint(writer)
        if len(self._serving) >= self._most_connections:
            self._tell(
                Refused(requestor, time.time(), f"{self._most_connections} connections are open already")
            )
            writer.transport.abort()
            return
        task = asyncio.ensure_future(self._serve(requestor, reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(
        self, requestor: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            target_reader, target_writer = await self._connect()
        except OSError as error:  # with TimeoutError, socket.gaierror and ssl.SSLError
            host, port = self._target
            cause = str(error) or f"no answer within {self._connect_timeout:g} s"
            self._tell(Refused(requestor, time.time(), f"cannot connect to {host}:{port}: {cause}"))
            writer.transport.abort()
            return
        except BaseException:
            writer.transport.abort()
            raise
        self._connections += 1
        connection = Connection(self._connections, requestor, _endpoint(target_writer), from_start=True)
        self._tell(Opened(connection, time.time()))
        link = _Link(
            {Side.REQUESTOR: reader, Side.ACCEPTOR: target_reader},
            {Side.REQUESTOR: writer, Side.ACCEPTOR: target_writer},
        )
        try:
            await self._pass_both(connection, link)
            await link.close()
        finally:
            link.abort()
            self._tell(Closed(connection, link.closed_by, time.time(), link.is_reset))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._target
        tls: dict[str, Any] = {}
        if self._target_tls is not None:
            tls = {"ssl": self._target_tls, "server_hostname": self._server_hostname or host}
        async with asyncio.timeout(self._connect_timeout):
            return await asyncio.open_connection(host, port, limit=_READ_SIZE, **tls)

    async def _pass_both(self, connection: Connection, link: "_Link") -> None:
        """Until both sides have ended, one broke the connection, or neither has sent anything for too long."""
        passing = [asyncio.ensure_future(self._pass_on(connection, link, side)) for side in Side]
        try:
            async with asyncio.timeout(self._idle_timeout) as link.deadline:
                await asyncio.wait(passing, return_when=asyncio.FIRST_EXCEPTION)
        except TimeoutError:
            pass
        finally:
            for task in passing:
                task.cancel()
            outcomes = await asyncio.gather(*passing, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, _Broken):
                raise outcome

    async def _pass_on(self, connection: Connection, link: "_Link", sender: Side) -> None:
        reader, writer = link.readers[sender], link.writers[sender.peer]
        loop = asyncio.get_running_loop()
        while data := await _unless_broken(reader.read(_READ_SIZE), link, sender):
            if not link.deadline.expired():
                link.deadline.reschedule(loop.time() + self._idle_timeout)
            self._tell(Data(connection, sender, time.time(), data))
            writer.write(data)
            await _unless_broken(writer.drain(), link, sender.peer)
        link.closed_by = link.closed_by or sender
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()
        elif not writer.can_write_eof():  # TLS has no half-close
            await link.close()

    def _tell(self, event: ProxyEvent) -> None:
        try:
            self._notify(event)
        except Exception:
            if not self._failed:
                _log.exception("what passes the proxy could not be shown; it is passed on all the same")
            self._failed = True


class _Broken(Exception):
    """A side has broken the connection."""


class _Link:
    """Both ends of a connection that is passed on.

    Attributes:
        closed_by: who ended it first; None while, or where, neither has.
        is_reset: by breaking it.
        deadline: of the next byte.
    """

    deadline: asyncio.Timeout

    def __init__(
        self, readers: dict[Side, asyncio.StreamReader], writers: dict[Side, asyncio.StreamWriter]
    ) -> None:
        self.readers = readers
        self.writers = writers
        # A TLS transport that has closed does not give them any more.
        self._sockets = {side: writer.get_extra_info("socket") for side, writer in writers.items()}
        self.closed_by: Side | None = None
        self.is_reset = False

    def broken_by(self, side: Side) -> None:
        if not self.is_reset:
            self.closed_by, self.is_reset = side, True

    async def close(self) -> None:
        """See that what was sent is taken, then close both ends."""
        for writer in self.writers.values():
            if not self.is_reset:
                writer.close()
        if self.is_reset:
            return
        for writer in self.writers.values():
            with suppress(OSError):  # with TimeoutError
                async with asyncio.timeout(_FLUSH):
                    await writer.wait_closed()

    def abort(self) -> None:
        """Close at once what is still open, a broken connection with a reset."""
        for side, writer in self.writers.items():
            sock = self._sockets[side]
            if self.is_reset and sock is not None and not writer.is_closing():
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


async def _unless_broken(step: Any, link: _Link, side: Side) -> Any:
    """What `step` returns; `_Broken` where the connection with `side` is gone."""
    try:
        return await step
    except OSError as error:
        link.broken_by(side)
        raise _Broken from error


def _endpoint(writer: asyncio.StreamWriter) -> Endpoint:
    address = writer.get_extra_info("peername")
    return (str(address[0]), int(address[1])) if isinstance(address, tuple) else ("unknown", 0)
