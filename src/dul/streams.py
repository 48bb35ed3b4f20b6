"""The adapter to read first: the core over asyncio streams, one `await` after the other (PS3.8 9.1).

It does what `dul.transport` does, for less speed and fewer lines. A coroutine reads a header, then a body,
hands the PDU to the state machine and performs what comes back; nothing else happens here.
"""

import asyncio
import ssl

from dul.enums import Role, State
from dul.errors import ConnectionLost, RemoteProtocolError
from dul.framing import HEADER_LENGTH, read_header
from dul.pdus import AAssociateRQ
from dul.provider import ProviderOptions, ServiceProvider, UserFactory
from dul.transport import why_not_connected


class StreamProvider(ServiceProvider):
    """One association over a StreamReader and a StreamWriter."""

    def __init__(self, role: Role, make_user: UserFactory, options: ProviderOptions) -> None:
        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        super().__init__(role, make_user, options)
        self._writer: asyncio.StreamWriter | None = None
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._closed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the association until its transport connection is closed."""
        self._writer = writer
        self._transport = writer.transport
        self.peer = "{}:{}".format(*writer.get_extra_info("peername")[:2])
        self.local = "{}:{}".format(*writer.get_extra_info("sockname")[:2])
        self._connected()
        broken = False
        try:
            while self.state is not State.Sta1:
                await self._take_pdu(reader)
        except RemoteProtocolError as error:
            self._invalid(error, b"")
            while await reader.read(1 << 16):
                pass  # Sta13: out of step, so nothing that still comes can be read as a PDU
        except asyncio.IncompleteReadError:
            pass  # the peer closed: Evt17
        except OSError:
            broken = True
        finally:
            self._stop_artim()
            writer.close()
            self._transport_closed(broken=broken)
            self._closed.set()
            self.user.closed()

    async def _take_pdu(self, reader: asyncio.StreamReader) -> None:
        await self._may_read.wait()
        header = await self._read_first_byte(reader)
        read_header(header, 0, 1, self.limits)  # a wrong type is known by its first byte
        try:
            async with asyncio.timeout(None if self.state is State.Sta2 else self.timers.pdu):
                header += await reader.readexactly(HEADER_LENGTH - 1)
                pdu_type, length = read_header(header, 0, HEADER_LENGTH, self.limits) or (0, 0)
                body = await reader.readexactly(length)
        except TimeoutError:
            self.user.timed_out(f"a PDU was not completed within {self.timers.pdu:g} s")
            return
        with memoryview(header + body) as raw:
            self._receive(pdu_type, raw)

    async def _read_first_byte(self, reader: asyncio.StreamReader) -> bytes:
        while True:
            watched = self.machine.role is Role.ACCEPTOR and self.state is State.Sta6
            try:
                async with asyncio.timeout(self.timers.idle if watched else None):
                    return await reader.readexactly(1)
            except TimeoutError:
                if not self.user.busy:
                    self.user.timed_out(f"nothing happened for {self.timers.idle:g} s")

    @property
    def writing_paused(self) -> bool:
        return self._writer is not None and self._writer.transport.get_write_buffer_size() > 1 << 16

    async def drain(self) -> None:
        if self._writer is None or self._closed.is_set():
            raise ConnectionLost(f"the connection with {self.peer} is closed")
        try:
            async with asyncio.timeout(self.timers.write):
                await self._writer.drain()
        except TimeoutError:
            self.user.timed_out(f"the peer took nothing of what was sent for {self.timers.write:g} s")
            self._close_transport(now=True)
            raise ConnectionLost(f"{self.peer} took nothing for {self.timers.write:g} s") from None
        except ConnectionError as error:
            raise ConnectionLost(f"the connection with {self.peer} closed: {error}") from error

    def pause_reading(self) -> None:
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    async def wait_closed(self) -> None:
        await self._closed.wait()


async def listen(
    make_user: UserFactory,
    host: str,
    port: int,
    *,
    options: ProviderOptions | None = None,
    tls: ssl.SSLContext | None = None,
) -> asyncio.Server:
    """Listen for associations; as `dul.transport.listen`."""
    options = options or ProviderOptions()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await StreamProvider(Role.ACCEPTOR, make_user, options).run(reader, writer)

    return await asyncio.start_server(serve, host, port, ssl=tls)


async def request_association(
    make_user: UserFactory,
    pdu: AAssociateRQ,
    host: str,
    port: int,
    *,
    options: ProviderOptions | None = None,
    tls: ssl.SSLContext | None = None,
) -> StreamProvider:
    """Open a transport connection and send an A-ASSOCIATE-RQ on it; as `dul.transport.request_association`."""
    options = options or ProviderOptions()
    provider = StreamProvider(Role.REQUESTOR, make_user, options)
    provider.machine.handle_associate_request(pdu)
    provider._perform()
    try:
        async with asyncio.timeout(options.timers.association):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    except (OSError, TimeoutError) as error:
        provider._transport_closed()
        cause = why_not_connected(error) or f"no answer within {options.timers.association:g} s"
        raise ConnectionLost(f"cannot connect to {host}:{port}: {cause}") from error
    provider._running = asyncio.create_task(
        provider.run(reader, writer), name=f"association with {host}:{port}"
    )
    return provider
