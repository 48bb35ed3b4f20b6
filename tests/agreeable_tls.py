"""An acceptor that agrees to every TLS handshake: a conformance case about TLS that it passes is worth nothing.

A ClientHello laid out by the tester is answered in the clear: with the version and the first suite it offers, whatever
they are, with compression and heartbeats, and with a wish for a certificate. Other bytes that are no TLS are taken for
DICOM, as `agreeable` takes them. A true handshake ends in a session in which `agreeable` serves, whoever the client is.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from agreeable import HOST, agree
from services.conformance.tls_hello import HELLO_RANDOM

_LONGEST_PEEK = 256
_HANDSHAKE = 22
_SHORTEST_HELLO = 100


@asynccontextmanager
async def agreeable_tls(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Run it on loopback; yields its port."""
    tasks: set[asyncio.Task[None]] = set()
    listener = socket.create_server((HOST, 0), backlog=200)
    listener.setblocking(False)
    loop = asyncio.get_running_loop()

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            task = loop.create_task(_take(connection, context))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    accepting = loop.create_task(accept())
    try:
        yield listener.getsockname()[1]
    finally:
        left = [accepting, *tasks]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        listener.close()


async def _take(connection: socket.socket, context: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    first = await _peek(connection)
    laid_out = HELLO_RANDOM[:16] in first
    is_session = first[:1] == bytes([_HANDSHAKE]) and not laid_out and len(first) > _SHORTEST_HELLO
    with suppress(OSError):
        if is_session or (first and 1 <= first[0] <= 7):
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=context if is_session else None
            )
            try:
                await agree(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
            finally:
                transport.abort()
        with connection:
            if laid_out:
                await loop.sock_sendall(connection, _agreement(first))
            await asyncio.sleep(3600)  # whatever it is


async def _peek(connection: socket.socket) -> bytes:
    """What came first, once that can be told; it is still there to be read."""
    for _ in range(40):
        with suppress(BlockingIOError):
            data = connection.recv(_LONGEST_PEEK, socket.MSG_PEEK)
            if len(data) > _SHORTEST_HELLO or (data and data[0] != _HANDSHAKE):
                return data
        await asyncio.sleep(0.005)
    return b""


def _agreement(hello: bytes) -> bytes:
    """A ServerHello that takes what the client would like best, and a CertificateRequest; no more is needed."""
    start = hello.find(HELLO_RANDOM)
    version = hello[start - 2 : start] if start >= 2 else b"\0\2"
    suites = start + 32 + 1 + 32 + 2
    suite = hello[suites : suites + 2] if start >= 0 else b"\0\1"
    extensions = struct.pack(">HHB", 0x000F, 1, 1) + struct.pack(">HHH", 0x0029, 2, 0)
    body = version + bytes(32) + b"\0" + suite + b"\1" + struct.pack(">H", len(extensions)) + extensions
    flight = b"\2" + len(body).to_bytes(3) + body + b"\x0d\0\0\4\1\1\0\0" + b"\x0e\0\0\0"
    return struct.pack(">BHH", _HANDSHAKE, 0x0303, len(flight)) + flight
