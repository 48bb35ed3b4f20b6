"""What both adapters must do alike, over real sockets on both event loops (PS3.8 9.1, 9.2)."""

import asyncio
import errno
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ul_peers
from dul import streams, transport
from dul.buffers import BufferPool
from dul.encode import encode_pdu
from dul.enums import State
from dul.errors import AssociationEnded, ConnectionLost
from dul.framing import PDULimits
from dul.machine import Transition
from dul.negotiation import ProposedContext
from dul.observation import (
    ConnectionClosed,
    Discarded,
    Observation,
    Observer,
    PDUReceived,
    PDUSent,
)
from dul.pdus import PDV, AReleaseRP, AReleaseRQ, PDataTF
from dul.provider import ProviderOptions, ServiceProvider
from dul.timers import Timers
from ul_peers import (
    ABORT_BY_USER,
    IMPLICIT,
    RawPeer,
    RecordingUser,
    abort_by_provider,
    accepting,
    p_data,
    raw_peer,
    request,
)

Run = Callable[[Coroutine[Any, Any, None]], None]

pytestmark = pytest.mark.parametrize("adapter", [transport, streams], ids=["transport", "streams"])


async def open_requestor(adapter: ModuleType, port: int, **arguments: Any) -> RecordingUser:
    provider = await adapter.request_association(RecordingUser, request(), "127.0.0.1", port, **arguments)
    user: RecordingUser = provider.user
    await user.until(lambda user: bool(user.primitives))
    return user


def test_associates_transfers_and_releases(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter) as acceptor:
            requestor = await open_requestor(adapter, acceptor.port)
            assert requestor.names == ["AssociateConfirmation"]
            sent = bytes(range(256)) * 2000
            for start in range(0, len(sent), 100_000):
                requestor.provider.p_data(PDataTF((PDV(1, 2, sent[start : start + 100_000]),)))
                await requestor.provider.drain()
            user = await acceptor.user()
            await user.until(lambda user: len(user.data) == len(sent))
            assert user.data == sent
            requestor.provider.release_request()
            await requestor.until(lambda user: user.is_closed)
            await user.until(lambda user: user.is_closed)
            assert requestor.names[-1] == "ReleaseConfirmation"
            assert user.names[-1] == "ReleaseIndication"
            assert requestor.provider.state is user.provider.state is State.Sta1

    run(scenario())


@pytest.mark.parametrize("size", [1, 5, 6, 7, 100])
def test_pdus_arrive_in_pieces_of_any_size(adapter: ModuleType, run: Run, size: int) -> None:
    async def scenario() -> None:
        async with accepting(adapter) as acceptor, raw_peer(acceptor.port) as peer:
            release = encode_pdu(AReleaseRQ())
            await peer.send_slowly(encode_pdu(request()), size)
            assert (await peer.receive())[0] == 2
            await peer.send_slowly(p_data(b"abcd") + p_data(b"efgh") + release, size)
            assert await peer.receive_to_end() == encode_pdu(AReleaseRP())
            assert (await acceptor.user()).data == b"abcdefgh"

    run(scenario())


def test_many_pdus_in_one_segment(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter) as acceptor, raw_peer(acceptor.port) as peer:
            peer.send(encode_pdu(request()) + b"".join(p_data(b"%04d" % i) for i in range(5000)))
            peer.send(encode_pdu(AReleaseRQ()))
            answers = await peer.receive_to_end()
            assert answers.endswith(encode_pdu(AReleaseRP()))
            assert (await acceptor.user()).data == b"".join(b"%04d" % i for i in range(5000))

    run(scenario())


def test_a_view_kept_after_the_indication_raises(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            peer.send(p_data(b"another patient's bytes"[:22]))
            user = await acceptor.user()
            await user.until(lambda user: bool(user.views))
            await asyncio.sleep(0)
            with pytest.raises(ValueError, match="released"):
                bytes(user.views[0])

    run(scenario())


@pytest.mark.parametrize("first_byte", [0x00, 0x08, 0x47, 0x16, 0xFF])
def test_an_unknown_first_byte_is_answered_at_once(adapter: ModuleType, run: Run, first_byte: int) -> None:
    async def scenario() -> None:
        async with accepting(adapter) as acceptor, raw_peer(acceptor.port) as peer:
            peer.send(bytes([first_byte]))
            assert await peer.receive_to_end() == ABORT_BY_USER

    run(scenario())


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 2 << 20])
def test_a_length_beyond_the_cap_is_answered_on_the_header(
    adapter: ModuleType, run: Run, length: int
) -> None:
    async def scenario() -> None:
        async with accepting(adapter) as acceptor, raw_peer(acceptor.port) as peer:
            peer.send(b"\x01\x00" + length.to_bytes(4, "big"))
            assert await peer.receive_to_end() == ABORT_BY_USER

    run(scenario())


def test_a_p_data_longer_than_announced_is_answered_on_its_header(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        limits = PDULimits(p_data_tf=16384)
        async with accepting(adapter, limits=limits) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            peer.send(b"\x04\x00" + (16385).to_bytes(4, "big"))
            assert await peer.receive_to_end() == abort_by_provider(6)
            assert (await acceptor.user()).names[-1] == "PAbortIndication"

    run(scenario())


def test_a_p_data_exactly_as_long_as_announced_is_taken(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        limits = PDULimits(p_data_tf=16384)
        async with accepting(adapter, limits=limits) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            for _ in range(5):
                peer.send(p_data(bytes(16384 - 6)))
            user = await acceptor.user()
            await user.until(lambda user: len(user.data) == 5 * 16378)

    run(scenario())


def test_a_long_associate_request_is_taken_up_to_its_own_cap(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter, limits=PDULimits(p_data_tf=4096)) as acceptor:
            contexts = [
                ProposedContext(f"1.2.3.{i}", tuple(f"1.2.840.{j}" + ".7" * 20 for j in range(60)))
                for i in range(127)
            ]
            pdu = request(contexts=[ProposedContext(ul_peers.VERIFICATION, (IMPLICIT,)), *contexts])
            assert 300_000 < len(encode_pdu(pdu)) < 1 << 20
            async with raw_peer(acceptor.port) as peer:
                answer = await peer.associate(pdu)
                assert answer[0] == 2
                peer.send(p_data(b"ok"))
                user = await acceptor.user()
                await user.until(lambda user: user.data == b"ok")

    run(scenario())


def test_silence_ends_with_artim_and_no_pdu(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter, timers=Timers(artim=0.1)) as acceptor, raw_peer(acceptor.port) as peer:
            assert await peer.receive_to_end() == b""

    run(scenario())


def test_bytes_do_not_prolong_artim(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter, timers=Timers(artim=0.2)) as acceptor, raw_peer(acceptor.port) as peer:

            async def drip() -> None:
                for byte in encode_pdu(request()):
                    peer.send(bytes([byte]))
                    await asyncio.sleep(0.02)

            dripping = asyncio.ensure_future(drip())
            with suppress(ConnectionResetError):  # a byte may come in the moment in which it closes
                assert await peer.receive_to_end() == b""
            assert not dripping.done(), "it waited for the last byte"
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)

    run(scenario())


def test_sta13_ends_with_artim_where_the_peer_never_closes(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        timers = Timers(artim_close=0.1)
        async with accepting(adapter, timers=timers) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            peer.send(encode_pdu(AReleaseRQ()))
            assert await peer.receive_to_end() == encode_pdu(AReleaseRP())
            user = await acceptor.user()
            await user.until(lambda user: user.is_closed)
            assert user.provider.state is State.Sta1

    run(scenario())


def test_data_after_an_abort_is_ignored(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            peer.send(b"\x63" + bytes(100))
            assert await peer.receive() == abort_by_provider(1)
            for _ in range(100):
                peer.send(p_data(bytes(1000)))
            peer.writer.write_eof()
            assert await peer.receive_to_end() == b""
            assert (await acceptor.user()).data == b""

    run(scenario())


def test_a_pdu_that_is_never_completed_ends_the_association(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        timers = Timers(pdu=0.2, artim_close=0.2)
        async with accepting(adapter, timers=timers) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            peer.send(p_data(bytes(100))[:-1])
            assert await peer.receive_to_end() == ABORT_BY_USER
            assert "not completed" in (await acceptor.user()).timeouts[0]

    run(scenario())


def test_an_idle_association_is_aborted_by_its_acceptor(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter, timers=Timers(idle=0.2)) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            assert await peer.receive_to_end() == ABORT_BY_USER
            assert "nothing happened" in (await acceptor.user()).timeouts[0]

    run(scenario())


def test_an_association_that_waits_for_us_is_not_idle(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter, timers=Timers(idle=0.1)) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            user = await acceptor.user()
            user.busy = True
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await peer.receive()
            user.busy = False
            assert await peer.receive_to_end() == ABORT_BY_USER

    run(scenario())


def test_a_peer_that_takes_nothing_is_cut_off(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        timers = Timers(write=0.3, artim_close=0.2)
        async with accepting(adapter, timers=timers) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            user = await acceptor.user()
            peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
            with pytest.raises(AssociationEnded):
                for _ in range(4000):
                    user.provider.p_data(PDataTF((PDV(1, 2, bytes(16000)),)))
                    await user.provider.drain()
            await user.until(lambda user: user.is_closed)
            assert "took nothing" in user.timeouts[0]

    run(scenario())


def test_a_peer_that_aborts_and_takes_nothing_is_cut_off(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        timers = Timers(write=0.3)
        async with accepting(adapter, timers=timers) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            user = await acceptor.user()
            peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
            transport = user.provider._transport  # type: ignore[attr-defined]
            # Under the high-water mark, so that nobody waits for it to drain.
            while transport.get_write_buffer_size() < 100_000:
                user.provider.p_data(PDataTF((PDV(1, 2, bytes(100_000)),)))
            peer.send(ABORT_BY_USER)
            await user.until(lambda user: user.is_closed)
            assert user.timeouts == []

    run(scenario())


def test_nothing_is_taken_while_reading_is_paused(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter) as acceptor, raw_peer(acceptor.port) as peer:
            await peer.associate()
            user = await acceptor.user()
            user.on_data = lambda: user.provider.pause_reading()
            peer.send(b"".join(p_data(b"%04d" % i) for i in range(100)))
            await user.until(lambda user: bool(user.data))
            await asyncio.sleep(0.05)
            assert user.data == b"0000"
            user.provider.resume_reading()
            await user.until(lambda user: len(user.data) == 8)
            user.on_data = None
            user.provider.resume_reading()
            await user.until(lambda user: len(user.data) == 400)
            assert user.data == b"".join(b"%04d" % i for i in range(100))

    run(scenario())


def test_a_lost_connection_is_indicated_once(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter) as acceptor:
            async with raw_peer(acceptor.port) as peer:
                await peer.associate()
                peer.send(p_data(bytes(100))[:50])
            user = await acceptor.user()
            await user.until(lambda user: user.is_closed)
            assert user.names == ["AssociateIndication", "PAbortIndication"]

    run(scenario())


def test_nobody_listening_is_said_with_the_address(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        with pytest.raises(ConnectionLost, match=r"127\.0\.0\.1:1\b"):
            await adapter.request_association(RecordingUser, request(), "127.0.0.1", 1)

    run(scenario())


def test_each_pdu_and_transition_is_observed(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        seen: list[str] = []
        async with accepting(adapter) as acceptor:
            options = ProviderOptions(
                observe=lambda provider: lambda seeing: seen.append(type(seeing).__name__)
            )
            requestor = await open_requestor(adapter, acceptor.port, options=options)
            requestor.provider.release_request()
            await requestor.until(lambda user: user.is_closed)
        assert seen.count("PDUSent") == 2
        assert seen.count("PDUReceived") == 2
        assert seen.count("Transition") >= 5
        provider = requestor.provider
        assert (provider.pdus_sent, provider.pdus_received) == (2, 2)
        assert provider.bytes_sent == len(encode_pdu(request())) + 10

    run(scenario())


@asynccontextmanager
async def observing(adapter: ModuleType) -> AsyncIterator[tuple[int, dict[str, list[Observation]]]]:
    """An acceptor, and what it observed, by the peer's address."""
    seen: dict[str, list[Observation]] = {}
    users: list[RecordingUser] = []

    def make_user(provider: ServiceProvider) -> RecordingUser:
        users.append(RecordingUser(provider))
        return users[-1]

    def observe(provider: ServiceProvider) -> Observer:
        assert (provider.peer, provider.local) == ("not connected", "not connected")
        return lambda observation: seen.setdefault(provider.peer, []).append(observation)

    server = await adapter.listen(make_user, "127.0.0.1", 0, options=ProviderOptions(observe=observe))
    try:
        port = server.sockets[0].getsockname()[1]
        yield port, seen
        for user in users:
            await user.until(lambda user: user.is_closed)
            assert user.provider.local == f"127.0.0.1:{port}"
    finally:
        server.close()


def address(peer: RawPeer) -> str:
    return "{}:{}".format(*peer.writer.get_extra_info("sockname"))


def test_each_association_has_its_observer(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with observing(adapter) as (port, seen), raw_peer(port) as one, raw_peer(port) as two:
            for peer, data in ((one, b"of one"), (two, b"of two")):
                await peer.associate()
                peer.send(p_data(data) + encode_pdu(AReleaseRQ()))
                assert await peer.receive_to_end() == encode_pdu(AReleaseRP())
                peer.writer.close()
            where = {address(peer): data for peer, data in ((one, b"of one"), (two, b"of two"))}
        assert set(seen) == set(where)
        for peer_address, data in where.items():
            raw = [each.raw for each in seen[peer_address] if isinstance(each, PDUReceived)]
            assert raw == [encode_pdu(request()), p_data(data), encode_pdu(AReleaseRQ())]
            assert seen[peer_address][-1] == ConnectionClosed(by_peer=False, broken=False)

    run(scenario())


def test_an_association_need_not_be_observed(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with accepting(adapter) as acceptor:
            asked: list[ServiceProvider] = []
            options = ProviderOptions(observe=asked.append)
            requestor = await open_requestor(adapter, acceptor.port, options=options)
            requestor.provider.release_request()
            await requestor.until(lambda user: user.is_closed)
        assert asked == [requestor.provider]

    run(scenario())


@pytest.mark.parametrize("broken", [False, True])
def test_a_peer_that_closes_first_is_observed(adapter: ModuleType, run: Run, broken: bool) -> None:
    async def scenario() -> None:
        async with observing(adapter) as (port, seen), raw_peer(port) as peer:
            await peer.associate()
            if broken:
                sock = peer.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.writer.transport.abort()
        (observations,) = seen.values()
        assert observations[-1] == ConnectionClosed(by_peer=True, broken=broken)

    run(scenario())


def test_an_abort_that_stays_unsent_is_not_observed(adapter: ModuleType, run: Run) -> None:
    async def scenario() -> None:
        async with observing(adapter) as (port, seen), raw_peer(port) as peer:
            await peer.associate()
            # The second request meets Sta13, where AA-7 asks for an A-ABORT and nothing can be sent any more.
            peer.send(encode_pdu(AReleaseRP()) + encode_pdu(request()))
            received = await peer.receive_to_end()
            peer.writer.close()
        (observations,) = seen.values()
        sent = b"".join(each.raw for each in observations if isinstance(each, PDUSent))
        assert sent.endswith(received)
        assert received == abort_by_provider(2)
        assert [each.action_name for each in observations if isinstance(each, Transition)].count("AA-7") == 1

    run(scenario())


def test_bytes_that_nobody_looks_at_are_observed(adapter: ModuleType, run: Run) -> None:
    if adapter is streams:
        pytest.skip("streams tell of whole PDUs only")

    async def scenario() -> None:
        async with observing(adapter) as (port, seen), raw_peer(port) as one, raw_peer(port) as two:
            await one.associate()
            one.send(b"\x99 no PDU")
            assert await one.receive_to_end() == abort_by_provider(1)
            one.send(b"and more")
            await asyncio.sleep(0.02)
            one.writer.close()
            await two.associate()
            two.send(p_data(b"whole") + p_data(b"in part")[:-3])
            await asyncio.sleep(0.02)
            two.writer.close()
            where = [address(peer) for peer in (one, two)]
        raw = [[each.raw for each in seen[peer] if isinstance(each, PDUReceived)][1:] for peer in where]
        discarded = [
            b"".join(each.raw for each in seen[peer] if isinstance(each, Discarded)) for peer in where
        ]
        assert raw == [[b"\x99 no PDU"], [p_data(b"whole")]]
        assert discarded == [b"and more", p_data(b"in part")[:-3]]

    run(scenario())


def test_twenty_megabytes_through_tls(adapter: ModuleType, run: Run, certificate: tuple[Path, Path]) -> None:
    async def scenario() -> None:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(*certificate)
        client = ssl.create_default_context(cafile=str(certificate[0]))
        client.check_hostname = False
        sent = bytes(range(251)) * (20_000_000 // 251)
        async with accepting(adapter, tls=server) as acceptor:
            requestor = await open_requestor(adapter, acceptor.port, tls=client)
            for start in range(0, len(sent), 130_000):
                requestor.provider.p_data(PDataTF((PDV(1, 2, sent[start : start + 130_000]),)))
                await requestor.provider.drain()
            user = await acceptor.user()
            await user.until(lambda user: len(user.data) >= len(sent))
            assert user.data == sent
            requestor.provider.release_request()
            await requestor.until(lambda user: user.is_closed)
            assert requestor.names[-1] == "ReleaseConfirmation"

    run(scenario())


def test_buffers_are_given_back_and_bounded(adapter: ModuleType, run: Run) -> None:
    if adapter is streams:
        pytest.skip("streams have buffers of their own")

    async def scenario() -> None:
        pool = BufferPool(4096, maximum_lent=2 * 2 * 4102)
        limits = PDULimits(p_data_tf=4096)
        async with (
            accepting(adapter, limits=limits, pool=pool) as acceptor,
            raw_peer(acceptor.port) as one,
            raw_peer(acceptor.port) as two,
            raw_peer(acceptor.port) as three,
        ):
            for peer in (one, two, three):
                await peer.associate()
            assert pool.lent == 0
            for peer in (one, two):
                peer.send(p_data(bytes(1000))[:-1])
            while pool.lent < pool.maximum_lent:
                await asyncio.sleep(0.005)
            three.send(p_data(bytes(1000))[:-1])
            assert await three.receive_to_end() == ABORT_BY_USER
            one.send(b"\0")
            two.send(b"\0")
            while pool.lent:
                await asyncio.sleep(0.005)

    run(scenario())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate and its key, made by OpenSSL."""
    directory = tmp_path_factory.mktemp("tls")
    files = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", files[1], "-out", files[0]],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 1)"), "connection refused"),
        (
            OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call failed"),
            "connection refused",
        ),
        (
            OSError("Multiple exceptions: [Errno 113] Connect call failed, [Errno 111] Connect call failed"),
            "no route to host, connection refused",
        ),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "wrong version number"), "wrong version number"),
        (OSError("no number"), "no number"),
        (TimeoutError(), ""),
    ],
    ids=repr,
)
def test_why_there_is_no_connection_is_said_in_words(adapter: ModuleType, error: OSError, words: str) -> None:
    assert adapter.why_not_connected(error) == words
