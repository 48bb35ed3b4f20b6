"""TLS handshakes: those that fail are told, and none waits for another."""

import asyncio
import errno
import socket
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


class _NoSocket:
    """A socket that cannot be duplicated: the process has no file descriptor left."""

    def dup(self) -> None:
        raise OSError(errno.EMFILE, "Too many open files")


class _Transport(asyncio.Transport):
    """A plain transport of a connection that was just accepted."""

    def __init__(self, sock: object) -> None:
        super().__init__({"socket": sock, "peername": ("127.0.0.1", 4711)})
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


def test_a_connection_that_no_descriptor_is_left_for_is_closed_and_told(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    async def main() -> None:
        told = Told()
        certificate, key = self_signed(tmp_path)
        connection = _Transport(_NoSocket())
        TLSDoor(server_context(certificate, key), failed=told).begin(connection, asyncio.BufferedProtocol)
        assert connection.is_aborted
        ((peer, error),) = told
        assert (peer, error.args[0]) == ("127.0.0.1:4711", errno.EMFILE)

    run(main(), loop_factory)


def test_connections_that_come_in_one_turn_of_the_loop_each_give_up_another(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "MOST_HANDSHAKES", 2)

    async def main() -> None:
        certificate, key = self_signed(tmp_path)
        told = Told()
        door = TLSDoor(server_context(certificate, key), failed=told)
        pairs = [socket.socketpair() for _ in range(5)]
        for ours, _ in pairs:
            door.begin(_Transport(ours), asyncio.BufferedProtocol)
        for ours, _ in pairs:
            ours.close()
        async with asyncio.timeout(5):
            for _, theirs in pairs[:3]:
                theirs.setblocking(False)
                assert await asyncio.get_running_loop().sock_recv(theirs, 1) == b""
        assert len(told) == 3
        for _, theirs in pairs[3:]:
            theirs.setblocking(False)
            with pytest.raises(BlockingIOError):
                theirs.recv(1)
        door.close()
        await asyncio.sleep(0)
        for _, theirs in pairs:
            theirs.close()

    run(main(), loop_factory)
