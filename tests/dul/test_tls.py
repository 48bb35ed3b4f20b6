"""TLS handshakes: those that fail are told, and none waits for another."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from certificates import self_signed, server_context
from dul import tls as door_module
from dul import transport
from dul.tls import TLSDoor
from loops import LoopFactory, run
from ul_peers import Acceptor

HOST = "127.0.0.1"


class Told(list[tuple[str, Exception]]):
    """The handshakes that failed, as they are told."""

    def __call__(self, peer: str, error: Exception) -> None:
        self.append((peer, error))

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self) < count:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def _listening(
    directory: Path, told: Told, *, timeout: float = 5.0
) -> AsyncIterator[tuple[int, TLSDoor]]:
    certificate, key = self_signed(directory)  # localhost.crt
    door = TLSDoor(server_context(certificate, key), timeout=timeout, failed=told)
    server = await transport.listen(Acceptor().make_user, HOST, 0, tls=door)
    try:
        yield server.sockets[0].getsockname()[1], door
    finally:
        server.close()
        door.close()


def test_a_client_that_does_not_trust_us_is_told_with_its_address(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    async def main() -> None:
        told = Told()
        async with _listening(tmp_path, told) as (port, _):
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection(HOST, port, ssl=ssl.create_default_context())
            await told.until(1)
            ((peer, error),) = told
            assert peer.startswith("127.0.0.1:")
            assert isinstance(error, OSError)

    run(main(), loop_factory)


@pytest.mark.parametrize("data", [b"\1\0\0\0\0\x44", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_no_tls_is_told_and_closed(data: bytes, tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        told = Told()
        async with _listening(tmp_path, told) as (port, _):
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(data)
            async with asyncio.timeout(5):
                assert b"\3\0\0\0\0\4" not in await reader.read()
            await told.until(1)
            writer.close()

    run(main(), loop_factory)


def test_a_silent_client_is_given_up(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        told = Told()
        async with _listening(tmp_path, told, timeout=0.1) as (port, _):
            reader, writer = await asyncio.open_connection(HOST, port)
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            await told.until(1)
            writer.close()

    run(main(), loop_factory)


def test_no_more_handshakes_run_than_are_allowed(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "MOST_HANDSHAKES", 2)

    async def main() -> None:
        async with _listening(tmp_path, Told()) as (port, _):
            silent = [await asyncio.open_connection(HOST, port) for _ in range(3)]
            async with asyncio.timeout(5):
                assert await silent[0][0].read() == b"", "the oldest is given up"
                trusting = ssl.create_default_context(cafile=str(tmp_path / "localhost.crt"))
                _, served = await asyncio.open_connection(
                    HOST, port, ssl=trusting, server_hostname="localhost"
                )
            for _, writer in (*silent, (None, served)):
                writer.close()

    run(main(), loop_factory)
