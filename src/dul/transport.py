"""The adapter the server runs on: the core over `asyncio.BufferedProtocol` (PS3.8 9.1).

Reads land in a buffer shared by the loop (`dul.buffers`), whole PDUs are framed in place, decoded, given to
the state machine, and its effects performed before the callback returns. `dul.streams` drives the same core
in fewer lines: read that one first. This file must not know what a PDU means.
"""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

from dul.buffers import Buffer, BufferPool, BuffersExhausted
from dul.enums import Role, State
from dul.errors import ConnectionLost, RemoteProtocolError
from dul.framing import HEADER_LENGTH, read_header
from dul.pdus import AAssociateRQ
from dul.provider import ProviderOptions, ServiceProvider, UserFactory
from dul.tls import TLSDoor, address_of

_ERRNO = re.compile(r"\[Errno (\d{1,4})\]")

_CLOSED = State.Sta1

WRITE_HIGH_WATER = 1 << 20
WRITE_LOW_WATER = 256 << 10


class TransportProvider(ServiceProvider, asyncio.BufferedProtocol):
    """One association over one asyncio transport, TCP or TLS."""

    def __init__(
        self, role: Role, make_user: UserFactory, options: ProviderOptions, pool: BufferPool
    ) -> None:
        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        super().__init__(role, make_user, options)
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._watch: asyncio.TimerHandle | None = None
        # The partial PDU: bytes start to end of a buffer we keep. None while nothing is pending.
        self._kept: Buffer | None = None
        self._start = 0
        self._end = 0
        self._partial_since: float | None = None
        self._out_of_step = False  # a header was wrong: nobody knows where the next PDU begins
        self._reading_paused_since: float | None = None
        self._writing_paused_since: float | None = None
        self._drained: list[asyncio.Future[None]] = []
        self._last_activity = self._loop.time()

    # -- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their base class.
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(WRITE_HIGH_WATER, WRITE_LOW_WATER)
        self.peer = address_of(transport)
        self.local = address_of(transport, "sockname")
        _keep_alive(transport)
        self._watch_over()
        self._connected()

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._kept is None:
            return self._pool.shared.view
        return self._kept.view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        self._last_activity = self._loop.time()
        if self._kept is not None:
            self._end += nbytes
            self._take_pdus(self._kept, self._start, self._end)
        else:
            self._take_pdus(self._pool.shared, 0, nbytes)

    def eof_received(self) -> bool:
        return False  # the transport closes and `connection_lost` follows: Evt17

    def pause_writing(self) -> None:
        self._writing_paused_since = self._loop.time()

    def resume_writing(self) -> None:
        self._writing_paused_since = None
        for waiter in self._drained:
            if not waiter.done():
                waiter.set_result(None)
        self._drained.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """The one place where every association ends, however it came to that."""
        self._stop_artim()
        if self._watch is not None:
            self._watch.cancel()
        if self._kept is not None:
            self._discard(self._kept.view[self._start : self._end])
        self._release_buffer()
        self._transport_closed(broken=exc is not None)
        if not self._closed.done():
            self._closed.set_result(None)
        self.resume_writing()
        self.user.closed()

    # -- PDUs out of the buffer

    def _take_pdus(self, buffer: Buffer, start: int, end: int) -> None:
        while start < end and self._reading_paused_since is None:
            if self._out_of_step or self.machine.state is _CLOSED:
                self._discard(buffer.view[start:end])
                start = end
                break
            try:
                header = read_header(buffer.data, start, end, self.limits)
            except RemoteProtocolError as error:
                self._out_of_step = True
                self._invalid(error, buffer.view[start:end])
                start = end
                break
            if header is None:
                break
            stop = start + HEADER_LENGTH + header[1]
            if stop > end:
                break
            with buffer.view[start:stop] as raw:
                self._receive(header[0], raw)
            start = stop
        if start < end or self._kept is not None:
            self._keep_rest(buffer, start, end)

    def _keep_rest(self, buffer: Buffer, start: int, end: int) -> None:
        if start == end:
            self._release_buffer()
            return
        if self._kept is None:
            try:
                self._kept = self._pool.keep_shared()
            except BuffersExhausted:
                self._loop.call_soon(self.abort)
                return
            self._partial_since = self._loop.time()
        elif start != self._start:
            self._partial_since = self._loop.time()  # the PDU that began before is complete, this is another
        self._start, self._end = start, end
        self._make_room(self._kept)

    def _make_room(self, buffer: Buffer) -> None:
        """See to it that the pending PDU fits behind its first byte, moving or replacing the buffer."""
        pending = self._end - self._start
        wanted = self._wanted(buffer)
        if len(buffer) - self._start >= max(wanted, pending + 1):
            return
        target = buffer
        if wanted > len(buffer):
            try:
                target = self._pool.lend(wanted)
            except BuffersExhausted:
                self._loop.call_soon(self.abort)
                return
        target.view[:pending] = buffer.view[self._start : self._end]
        self._start, self._end = 0, pending
        if target is not buffer:
            self._pool.give_back(buffer)
            self._kept = target

    def _wanted(self, buffer: Buffer) -> int:
        try:
            header = read_header(buffer.data, self._start, self._end, self.limits)
        except RemoteProtocolError:
            return HEADER_LENGTH  # reading is paused before it; it is answered when its turn comes
        return HEADER_LENGTH if header is None else HEADER_LENGTH + header[1]

    def _release_buffer(self) -> None:
        self._partial_since = None
        if self._kept is not None:
            self._pool.give_back(self._kept)
            self._kept = None
            self._start = self._end = 0

    # -- flow control

    @property
    def writing_paused(self) -> bool:
        return self._writing_paused_since is not None

    async def drain(self) -> None:
        if self._closed.done():
            raise ConnectionLost(f"the connection with {self.peer} is closed")
        if self._writing_paused_since is None:
            return
        waiter = self._loop.create_future()
        self._drained.append(waiter)
        await waiter
        if self._closed.done():
            raise ConnectionLost(f"the connection with {self.peer} closed while data was being sent")

    def pause_reading(self) -> None:
        if self._reading_paused_since is not None or self.machine.state is State.Sta13:
            return
        self._reading_paused_since = self._loop.time()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused_since is None:
            return
        self._reading_paused_since = None
        # Never from here: the caller may stand inside an indication of ours.
        self._loop.call_soon(self._go_on_reading)

    def _go_on_reading(self) -> None:
        if self._reading_paused_since is not None or self._closed.done():
            return
        if self._kept is not None:
            self._partial_since = self._loop.time()  # our pause does not count against the peer
            self._take_pdus(self._kept, self._start, self._end)
        transport = self._transport
        if self._reading_paused_since is None and transport is not None and not transport.is_closing():
            transport.resume_reading()

    async def wait_closed(self) -> None:
        await asyncio.shield(self._closed)

    # -- the application timers

    def _watch_over(self) -> None:
        """Look at every deadline now and then: one timer an association, and none touched for each PDU."""
        now = self._loop.time()
        timers = self.timers
        if self._writing_paused_since is not None and now - self._writing_paused_since > timers.write:
            self._give_up(f"the peer took nothing of what was sent for {timers.write:g} s")
        elif self._reading_paused_since is not None:
            if now - self._reading_paused_since > timers.pdu:
                self._give_up(f"received data could not be taken for {timers.pdu:g} s")
        elif self._partial_since is not None and now - self._partial_since > timers.pdu:
            self._give_up(f"a PDU was not completed within {timers.pdu:g} s")
        elif timers.idle is not None and self._is_idle() and now - self._last_activity > timers.idle:
            self._give_up(f"nothing happened for {timers.idle:g} s")
        self._watch = self._loop.call_later(
            _watch_interval(timers.write, timers.pdu, timers.idle), self._watch_over
        )

    def _is_idle(self) -> bool:
        if self.user.busy:
            self._last_activity = self._loop.time()
        return self.machine.role is Role.ACCEPTOR and self.machine.state is State.Sta6

    def _give_up(self, cause: str) -> None:
        if self.machine.state is State.Sta2:
            return  # ARTIM decides there
        self.user.timed_out(cause)
        if self._writing_paused_since is not None:
            self._close_transport(now=True)


def _watch_interval(*deadlines: float | None) -> float:
    return min(5.0, max(0.05, min(d for d in deadlines if d is not None) / 4))


def _keep_alive(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def acceptor(
    make_user: UserFactory, options: ProviderOptions, pool: BufferPool, tls: TLSDoor | None = None
) -> Callable[[], asyncio.BaseProtocol]:
    """A protocol factory for transport connections that a requestor opened; the arguments are those of `listen`."""

    def new_association() -> TransportProvider:
        return TransportProvider(Role.ACCEPTOR, make_user, options, pool)

    return new_association if tls is None else tls.upgrading(new_association)


async def listen(
    make_user: UserFactory,
    host: str | None,
    port: int,
    *,
    options: ProviderOptions | None = None,
    pool: BufferPool | None = None,
    sock: socket.socket | None = None,
    backlog: int = 1024,
    tls: TLSDoor | None = None,
) -> asyncio.Server:
    """Listen for associations.

    Args:
        make_user: makes the service user of each new association.
        host, port: where; port 0 takes a free one. Unused where `sock`, already bound, is given.
        options: limits, timers, observer.
        pool: receive buffers; a new one by default.
        backlog: connections the kernel holds before they are accepted.
        tls: serves TLS only when given.

    Returns:
        The asyncio server, listening.

    Raises:
        OSError: the address cannot be bound.
    """
    options = options or ProviderOptions()
    factory = acceptor(make_user, options, pool or BufferPool(options.limits.p_data_tf), tls)
    where: dict[str, Any] = {"sock": sock} if sock is not None else {"host": host, "port": port}
    return await asyncio.get_running_loop().create_server(factory, backlog=backlog, **where)


async def request_association(
    make_user: UserFactory,
    pdu: AAssociateRQ,
    host: str,
    port: int,
    *,
    options: ProviderOptions | None = None,
    pool: BufferPool | None = None,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    local_host: str | None = None,
) -> TransportProvider:
    """Open a transport connection and send an A-ASSOCIATE-RQ on it (Evt1, AE-1, Evt2, AE-2).

    Returns as soon as the request is sent; the answer comes to the user as a confirmation.

    Raises:
        ConnectionLost: the connection could not be opened within `options.timers.association` seconds.
    """
    options = options or ProviderOptions()
    pool = pool or BufferPool(options.limits.p_data_tf)
    provider = TransportProvider(Role.REQUESTOR, make_user, options, pool)
    provider.peer = f"{host}:{port}"
    provider.machine.handle_associate_request(pdu)
    provider._perform()
    try:
        async with asyncio.timeout(options.timers.association):
            await asyncio.get_running_loop().create_connection(
                lambda: provider,
                host,
                port,
                ssl=tls,
                server_hostname=(server_hostname or host) if tls is not None else None,
                local_addr=(local_host, 0) if local_host else None,
            )
    except (OSError, TimeoutError) as error:
        provider._transport_closed()
        cause = why_not_connected(error) or f"no answer within {options.timers.association:g} s"
        raise ConnectionLost(f"cannot connect to {host}:{port}: {cause}") from error
    except BaseException:
        if provider._transport is None:
            provider.abort()  # cancelled while connecting: Evt15 in Sta4
        elif not provider._transport.is_closing():
            provider.connection_lost(None)  # just connected: uvloop has closed it, and tells nobody
        raise
    return provider


def why_not_connected(error: OSError) -> str:
    """The error in words, without numbers; of several addresses, each reason once. "" for a time that is up."""
    if isinstance(error, socket.gaierror | ssl.SSLError):
        return error.strerror or str(error)
    # asyncio joins the errors of several addresses into the text of one, and writes its own text for one.
    numbers = [error.errno] if error.errno else map(int, _ERRNO.findall(str(error)))
    return ", ".join(dict.fromkeys(os.strerror(number).lower() for number in numbers)) or str(error)
