"""The proxy between two ends that read and write bytes, over TCP and TLS, on both event loops."""

import asyncio
import os
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import pytest

from certificates import self_signed, server_context
from loops import LoopFactory, run
from peers import free_port
from services.trace.fields import Side
from services.trace.proxy import Proxy, ProxyEvent, Refused
from services.trace.tcp import Closed, Data, Opened

REQUESTOR, ACCEPTOR = Side.REQUESTOR, Side.ACCEPTOR
HOST = "127.0.0.1"

Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def target(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that is done with each connection when `serve` returns."""

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(closing, HOST, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What comes is sent back, until the other side ends; then so does this one."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def names(events: list[ProxyEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def passed(side: Side, events: list[ProxyEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Data) and event.sender is side)


def test_bytes_pass_both_ways_and_are_told(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        events: list[ProxyEvent] = []
        sent = os.urandom(3_000_000)
        async with target(echo) as port, Proxy(HOST, port, events.append).listen() as at:
            reader, writer = await asyncio.open_connection(HOST, at)
            mine = writer.get_extra_info("sockname")
            writer.write(sent)
            assert await reader.readexactly(len(sent)) == sent
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await until(lambda: isinstance(events[-1], Closed))
        opened, closed = events[0], events[-1]
        assert isinstance(opened, Opened)
        assert opened.connection.requestor == mine
        assert opened.connection.acceptor == (HOST, port)
        assert isinstance(closed, Closed)
        assert (closed.by, closed.reset) == (REQUESTOR, False)
        assert passed(REQUESTOR, events) == passed(ACCEPTOR, events) == sent
        assert set(names(events[1:-1])) == {"Data"}
        times = [event.at for event in events]
        assert times == sorted(times)

    run(test(), loop_factory)


@pytest.mark.parametrize("first", Side)
def test_an_end_of_sending_is_passed_on_and_the_other_side_may_go_on(
    loop_factory: LoopFactory, first: Side
) -> None:
    async def test() -> None:
        events: list[ProxyEvent] = []
        ends: asyncio.Queue[Stream] = asyncio.Queue()
        done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ends.put_nowait((reader, writer))
            await done.wait()

        async with target(serve) as port, Proxy(HOST, port, events.append).listen() as at:
            pair = {REQUESTOR: await asyncio.open_connection(HOST, at), ACCEPTOR: await ends.get()}
            one, other = pair[first], pair[first.peer]
            one[1].write_eof()
            assert await other[0].read() == b""
            other[1].write(b"still here")
            assert await one[0].readexactly(10) == b"still here"
            other[1].write_eof()
            assert await one[0].read() == b""
            await until(lambda: isinstance(events[-1], Closed))
            done.set()
            pair[REQUESTOR][1].close()
        closed = events[-1]
        assert isinstance(closed, Closed)
        assert (closed.by, closed.reset) == (first, False)

    run(test(), loop_factory)


def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("by", Side)
def test_a_reset_is_passed_on(loop_factory: LoopFactory, by: Side) -> None:
    async def test() -> None:
        events: list[ProxyEvent] = []
        ends: asyncio.Queue[Stream] = asyncio.Queue()
        done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ends.put_nowait((reader, writer))
            await done.wait()

        async with target(serve) as port, Proxy(HOST, port, events.append).listen() as at:
            pair = {REQUESTOR: await asyncio.open_connection(HOST, at), ACCEPTOR: await ends.get()}
            pair[by][1].write(b"x")
            assert await pair[by.peer][0].readexactly(1) == b"x"
            reset(pair[by][1])
            with pytest.raises(ConnectionResetError):
                await pair[by.peer][0].read()
            await until(lambda: isinstance(events[-1], Closed))
            done.set()
            pair[REQUESTOR][1].close()
        closed = events[-1]
        assert isinstance(closed, Closed)
        assert (closed.by, closed.reset) == (by, True)

    run(test(), loop_factory)


def test_who_sends_more_than_the_target_takes_is_held_back(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        events: list[ProxyEvent] = []
        done = asyncio.Event()

        async def reads_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await done.wait()

        async with target(reads_nothing) as port, Proxy(HOST, port, events.append).listen() as at:
            _, writer = await asyncio.open_connection(HOST, at)
            writer.write(bytes(64 << 20))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await writer.drain()
            assert 0 < len(passed(REQUESTOR, events)) < 32 << 20
            writer.transport.abort()
            done.set()
            await until(lambda: isinstance(events[-1], Closed))

    run(test(), loop_factory)


async def ended(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        assert await reader.read() == b""


def test_a_target_nobody_listens_on_is_said(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        events: list[ProxyEvent] = []
        port = free_port()
        async with Proxy(HOST, port, events.append).listen() as at:
            reader, writer = await asyncio.open_connection(HOST, at)
            mine = writer.get_extra_info("sockname")
            await ended(reader)
            writer.close()
        (refused,) = events
        assert isinstance(refused, Refused)
        assert f"cannot connect to {HOST}:{port}: " in refused.why
        assert refused.requestor == mine

    run(test(), loop_factory)


def test_a_target_that_answers_no_handshake_is_given_up(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        events: list[ProxyEvent] = []
        done = asyncio.Event()

        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await done.wait()

        tls = ssl.create_default_context()
        async with target(mute) as port:
            proxy = Proxy(HOST, port, events.append, target_tls=tls, connect_timeout=0.2)
            async with proxy.listen() as at:
                reader, writer = await asyncio.open_connection(HOST, at)
                await ended(reader)
                writer.close()
                done.set()
        (refused,) = events
        assert isinstance(refused, Refused)
        assert "no answer within 0.2 s" in refused.why

    run(test(), loop_factory)


def test_one_connection_more_than_allowed_is_closed(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        events: list[ProxyEvent] = []
        async with target(echo) as port, Proxy(HOST, port, events.append, most_connections=2).listen() as at:
            streams = [await asyncio.open_connection(HOST, at) for _ in range(2)]
            await until(lambda: names(events) == ["Opened", "Opened"])
            reader, writer = await asyncio.open_connection(HOST, at)
            await ended(reader)
            assert names(events) == ["Opened", "Opened", "Refused"]
            for stream in (*streams, (reader, writer)):
                stream[1].close()
            await until(lambda: names(events).count("Closed") == 2)
            reader, writer = await asyncio.open_connection(HOST, at)
            writer.write(b"again")
            assert await reader.readexactly(5) == b"again"
            writer.close()
        numbers = [event.connection.number for event in events if isinstance(event, Opened)]
        assert numbers == [1, 2, 3]

    run(test(), loop_factory)


def test_a_connection_on_which_nothing_passes_is_closed(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        events: list[ProxyEvent] = []
        async with target(echo) as port, Proxy(HOST, port, events.append, idle_timeout=0.3).listen() as at:
            reader, writer = await asyncio.open_connection(HOST, at)
            for _ in range(8):  # far longer than the time-out in all
                await asyncio.sleep(0.1)
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
            assert await reader.read() == b""
            writer.close()
            await until(lambda: isinstance(events[-1], Closed))
        closed = events[-1]
        assert isinstance(closed, Closed)
        assert (closed.by, closed.reset) == (None, False)

    run(test(), loop_factory)


def test_at_the_end_of_the_block_what_is_open_is_closed(loop_factory: LoopFactory) -> None:
    async def test() -> None:
        events: list[ProxyEvent] = []
        async with target(echo) as port:
            async with Proxy(HOST, port, events.append).listen() as at:
                reader, writer = await asyncio.open_connection(HOST, at)
                await until(lambda: names(events) == ["Opened"])
            assert names(events) == ["Opened", "Closed"]
            await ended(reader)
            writer.close()
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await asyncio.open_connection(HOST, at)

    run(test(), loop_factory)


def test_who_is_told_may_fail_and_the_bytes_pass(
    loop_factory: LoopFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        def fail(event: ProxyEvent) -> None:
            raise RuntimeError("a defect of the view")

        async with target(echo) as port, Proxy(HOST, port, fail).listen() as at:
            reader, writer = await asyncio.open_connection(HOST, at)
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()

    run(test(), loop_factory)
    assert [record.exc_text for record in caplog.records if "a defect of the view" in (record.exc_text or "")]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("outside", [True, False], ids=["TLS outside", "plain outside"])
@pytest.mark.parametrize("inside", [True, False], ids=["TLS to the target", "plain to the target"])
def test_tls_on_either_side(loop_factory: LoopFactory, tmp_path: Path, outside: bool, inside: bool) -> None:
    files = self_signed(tmp_path)
    serving, calling = server_context(*files), ssl.create_default_context(cafile=str(files[0]))
    sent = os.urandom(1_000_000)

    async def test() -> None:
        events: list[ProxyEvent] = []
        async with target(echo, serving if inside else None) as port:
            proxy = Proxy(
                HOST,
                port,
                events.append,
                tls=serving if outside else None,
                target_tls=calling if inside else None,
                server_hostname="localhost",
            )
            async with proxy.listen() as at:
                tls = {"ssl": calling, "server_hostname": "localhost"} if outside else {}
                reader, writer = await asyncio.open_connection(HOST, at, **tls)
                writer.write(sent)
                assert await reader.readexactly(len(sent)) == sent
                writer.close()
                await until(lambda: isinstance(events[-1], Closed))
        assert passed(REQUESTOR, events) == passed(ACCEPTOR, events) == sent
        closed = events[-1]
        assert isinstance(closed, Closed)
        assert closed.by is REQUESTOR

    run(test(), loop_factory)


def test_a_target_without_the_right_name_is_refused(loop_factory: LoopFactory, tmp_path: Path) -> None:
    files = self_signed(tmp_path)
    calling = ssl.create_default_context(cafile=str(files[0]))

    async def test() -> None:
        events: list[ProxyEvent] = []
        with tls_target(server_context(*files)) as port:
            proxy = Proxy(HOST, port, events.append, target_tls=calling, server_hostname="elsewhere")
            async with proxy.listen() as at:
                reader, writer = await asyncio.open_connection(HOST, at)
                await ended(reader)
                writer.close()
        (refused,) = events
        assert isinstance(refused, Refused)
        assert "elsewhere" in refused.why

    run(test(), loop_factory)


@contextmanager
def tls_target(context: ssl.SSLContext) -> Iterator[int]:
    """One handshake, outside any loop: asyncio's servers complain of those that fail."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted, suppress(OSError):
                accepted.settimeout(10)
                context.wrap_socket(accepted, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def test_a_client_without_tls_is_refused(loop_factory: LoopFactory, tmp_path: Path) -> None:
    serving = server_context(*self_signed(tmp_path))

    async def test() -> None:
        events: list[ProxyEvent] = []
        async with target(echo) as port, Proxy(HOST, port, events.append, tls=serving).listen() as at:
            reader, writer = await asyncio.open_connection(HOST, at)
            mine = writer.get_extra_info("sockname")
            writer.write(b"no handshake at all, and long enough")
            await reader.read()
            writer.close()
            await until(lambda: events)
        (refused,) = events
        assert isinstance(refused, Refused)
        assert "the TLS handshake failed: " in refused.why
        assert refused.requestor == mine

    run(test(), loop_factory)
