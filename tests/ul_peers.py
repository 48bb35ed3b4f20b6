"""Service users and raw byte-level peers for the tests of the two adapters."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType

from dul import transport
from dul.encode import encode_pdu
from dul.framing import PDULimits
from dul.negotiation import AcceptorPolicy, ProposedContext, SupportedContext, answer, build_request
from dul.pdus import PDV, AAssociateRQ, PDataTF
from dul.primitives import AssociateIndication, Indication, PDataIndication, ReleaseIndication
from dul.provider import ProviderOptions, ServiceProvider
from dul.timers import Timers
from dul.tls import TLSDoor

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
POLICY = AcceptorPolicy("ACCEPTOR", {VERIFICATION: SupportedContext(frozenset({IMPLICIT}))})

ABORT_BY_USER = bytes.fromhex("07 00 00000004 00 00 00 00")


def abort_by_provider(reason: int) -> bytes:
    return bytes.fromhex("07 00 00000004 00 00 02") + bytes([reason])


def request(**changes: object) -> AAssociateRQ:
    arguments: dict[str, object] = {
        "called_ae": "ACCEPTOR",
        "calling_ae": "REQUESTOR",
        "contexts": [ProposedContext(VERIFICATION, (IMPLICIT,))],
    }
    return build_request(**(arguments | changes))  # type: ignore[arg-type]


class RecordingUser:
    """Accepts every association, keeps what it is told, and answers a release."""

    def __init__(self, provider: ServiceProvider) -> None:
        self.provider = provider
        self.busy = False
        self.primitives: list[Indication] = []
        self.data = b""
        self.views: list[memoryview | bytes] = []
        self.timeouts: list[str] = []
        self.happened = asyncio.Event()
        self.is_open = False
        self.is_closed = False
        self.on_data: Callable[[], None] | None = None

    def opened(self) -> None:
        self.is_open = True

    def indicate(self, primitive: Indication) -> None:
        self.happened.set()
        match primitive:
            case PDataIndication(pdvs):
                self.views = [pdv.data for pdv in pdvs]
                self.data += b"".join(pdv.data for pdv in pdvs)
                self.primitives.append(PDataIndication(()))
                if self.on_data is not None:
                    self.on_data()
                return
            case AssociateIndication(pdu):
                self.provider.associate_accept(answer(pdu, POLICY))
            case ReleaseIndication():
                self.provider.release_response()
        self.primitives.append(primitive)

    def timed_out(self, cause: str) -> None:
        self.timeouts.append(cause)
        self.provider.abort()

    def closed(self) -> None:
        self.is_closed = True
        self.happened.set()

    @property
    def names(self) -> list[str]:
        return [type(primitive).__name__ for primitive in self.primitives]

    async def until(self, condition: Callable[["RecordingUser"], bool]) -> None:
        while not condition(self):
            self.happened.clear()
            await self.happened.wait()


class Acceptor:
    """A listening adapter and the users of its associations."""

    def __init__(self) -> None:
        self.users: list[RecordingUser] = []
        self.port = 0

    def make_user(self, provider: ServiceProvider) -> RecordingUser:
        user = RecordingUser(provider)
        self.users.append(user)
        return user

    async def user(self) -> RecordingUser:
        while not self.users:
            await asyncio.sleep(0.005)
        return self.users[-1]


@asynccontextmanager
async def accepting(
    adapter: ModuleType,
    *,
    timers: Timers | None = None,
    limits: PDULimits | None = None,
    tls: ssl.SSLContext | None = None,
    **arguments: object,
) -> AsyncIterator[Acceptor]:
    acceptor = Acceptor()
    door = TLSDoor(tls) if tls is not None and adapter is transport else tls
    options = ProviderOptions(timers=timers or Timers(), limits=limits or PDULimits())
    server = await adapter.listen(acceptor.make_user, "127.0.0.1", 0, options=options, tls=door, **arguments)
    acceptor.port = server.sockets[0].getsockname()[1]
    try:
        yield acceptor
    finally:
        server.close()
        for user in acceptor.users:
            if user.is_open and not user.is_closed:
                user.provider._close_transport(now=True)
        for user in acceptor.users:
            if user.is_open:
                await user.until(lambda user: user.is_closed)


class RawPeer:
    """Sends bytes as they are and reads whole PDUs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def send_slowly(self, data: bytes, size: int = 1) -> None:
        for start in range(0, len(data), size):
            self.writer.write(data[start : start + size])
            await self.writer.drain()
            await asyncio.sleep(0)

    async def receive(self) -> bytes:
        header = await self.reader.readexactly(6)
        return header + await self.reader.readexactly(int.from_bytes(header[2:], "big"))

    async def receive_to_end(self) -> bytes:
        return await self.reader.read(-1)

    async def associate(self, pdu: AAssociateRQ | None = None) -> bytes:
        self.send(encode_pdu(pdu or request()))
        return await self.receive()


@asynccontextmanager
async def raw_peer(port: int) -> AsyncIterator[RawPeer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawPeer(reader, writer)
    finally:
        writer.transport.abort()


def p_data(data: bytes, header: int = 2, context_id: int = 1) -> bytes:
    return encode_pdu(PDataTF((PDV(context_id, header, data),)))
