"""An acceptor for tests of the tester: it answers each connection with bytes given beforehand."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

HOST = "127.0.0.1"
CLOSE = b"close"
RESET = b"reset"
WAIT = b"wait"


@asynccontextmanager
async def scripted(*answers: Sequence[bytes]) -> AsyncIterator[tuple[int, list[bytearray]]]:
    """Serve on loopback.

    Args:
        answers: for each connection in turn (the last for all further ones) what to do once something came: bytes
            to send, `WAIT` for more to come, `CLOSE` or `RESET`. After that it stays silent and open.

    Yields:
        The port, and what each connection sent so far.
    """
    received: list[bytearray] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        mine = bytearray()
        received.append(mine)
        todo = list(answers[min(len(received), len(answers)) - 1]) if answers else []
        with suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(1 << 16):
                mine += data
                while todo:
                    what = todo.pop(0)
                    if what == WAIT:
                        break
                    if what in (CLOSE, RESET):
                        if what == RESET:
                            sock = writer.get_extra_info("socket")
                            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            writer.transport.abort()
                        writer.close()
                        return
                    writer.write(what)
                    await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1], received
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
