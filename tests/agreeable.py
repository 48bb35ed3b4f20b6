"""An acceptor that agrees to everything and gets everything wrong: a conformance case that it passes is worth nothing.

It accepts every association with every context, answers every request with success but another Message ID, never
rejects, never aborts, never releases, never closes, whatever it is sent.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from dul.pdus import AAssociateRQ, PDataTF
from raw_bytes import (
    IMPLICIT,
    a_associate_rq,
    application_context,
    command,
    item,
    maximum_length,
    message,
    ui,
    us,
    user_information,
)
from services.trace.reading import MessageReader, PDUReader, ReadMessage, command_elements

HOST = "127.0.0.1"


@asynccontextmanager
async def agreeable(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run it on loopback; yields its port."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await agree(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Agree to everything that comes; never ends of its own accord."""
    pdus, messages = PDUReader(), MessageReader()
    while True:
        data = await reader.read(1 << 16)
        if not data:
            await asyncio.sleep(3600)  # the peer has closed its half: so what
        for read in pdus.feed(data):
            match read.pdu:
                case AAssociateRQ():
                    writer.write(_accept(read.pdu))
                case PDataTF():
                    for request in messages.feed(read.pdu):
                        writer.write(_success(request))
                case None if read.raw[:1] == b"\1":
                    writer.write(_accept(AAssociateRQ("", "", ())))
                case _:
                    pass
        await writer.drain()


def _accept(rq: AAssociateRQ) -> bytes:
    contexts = [
        item(
            0x21,
            bytes([c.presentation_context_id, 0, 0, 0])
            + item(0x40, (c.transfer_syntaxes or (IMPLICIT.decode(),))[0].encode("latin-1")),
        )
        for c in rq.presentation_contexts
    ]
    rq_like = a_associate_rq(
        application_context(), *contexts, user_information(maximum_length(16384)), called=b"X", calling=b"Y"
    )
    return b"\2" + rq_like[1:]


def _success(request: ReadMessage) -> bytes:
    elements = command_elements(request.command)
    field = int.from_bytes(elements.get(0x0100, b"\0\0"), "little")
    number = int.from_bytes(elements.get(0x0110, b"\0\0"), "little")
    answer = command(
        ui(0x0002, elements.get(0x0002, b"").rstrip(b"\0")),
        us(0x0100, (field | 0x8000) & 0xFFFF),
        us(0x0120, (number + 1) & 0xFFFF),
        us(0x0800, 0x0101),
        us(0x0900, 0),
    )
    return message(request.context_id or 1, answer)
