"""One process accepts, and hands connections on."""

import asyncio
import socket

import pytest

from loops import LoopFactory, run
from services.server.listening import Accepting, bind


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


def test_every_address_of_a_name_is_bound_to_one_port(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        listeners = await bind("localhost", 0, 16)
        try:
            assert len({sock.getsockname()[1] for sock in listeners}) == 1
            assert {sock.family for sock in listeners} <= {socket.AF_INET, socket.AF_INET6}
        finally:
            for sock in listeners:
                sock.close()

    run(main(), loop_factory)


def test_an_address_in_use_is_an_error(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        [first] = await bind("127.0.0.1", 0, 16)
        with first, pytest.raises(OSError, match="in use"):
            await bind("127.0.0.1", first.getsockname()[1], 16)

    run(main(), loop_factory)


def test_connections_are_handed_on_and_closed_here(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        [listener] = await bind("127.0.0.1", 0, 16)
        port = listener.getsockname()[1]
        taken: list[socket.socket] = []

        def take(sock: socket.socket) -> bool:
            taken.append(sock.dup())
            return True

        accepting = Accepting(listener, take)
        peers = [await _connect(port) for _ in range(3)]
        while len(taken) < 3:
            await asyncio.sleep(0.01)
        for sock in taken:
            sock.sendall(b"x")
            sock.close()
        for reader, writer in peers:
            assert await reader.read() == b"x"
            writer.close()
        accepting.close()
        with pytest.raises(OSError):  # noqa: PT011 refused, by whatever name
            await _connect(port)

    run(main(), loop_factory)


def test_a_connection_that_nobody_takes_waits_for_somebody(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        [listener] = await bind("127.0.0.1", 0, 16)
        offered = 0

        def take(sock: socket.socket) -> bool:
            nonlocal offered
            offered += 1
            if offered < 3:
                return False
            sock.sendall(b"served")
            return True

        accepting = Accepting(listener, take)
        reader, writer = await _connect(listener.getsockname()[1])
        assert await reader.read() == b"served"
        writer.close()
        assert offered == 3
        accepting.close()

    run(main(), loop_factory)


def test_closing_closes_what_waits(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        [listener] = await bind("127.0.0.1", 0, 16)
        offered = asyncio.Event()

        def take(_sock: socket.socket) -> bool:
            offered.set()
            return False

        accepting = Accepting(listener, take)
        reader, writer = await _connect(listener.getsockname()[1])
        await offered.wait()
        accepting.close()
        assert await reader.read() == b""
        writer.close()

    run(main(), loop_factory)
