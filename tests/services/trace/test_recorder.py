"""The recorder between a provider and its files: real associations on both loops, one after the other and at once."""

import asyncio
import io
import os
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from certificates import self_signed, server_context
from dul.encode import encode_pdu
from dul.pdus import AReleaseRP, AReleaseRQ
from dul.provider import ProviderOptions
from dul.transport import request_association
from loops import LoopFactory, run
from services import SCP, Verification, associate, echo, verification_context
from services.trace.capture import read_capture
from services.trace.fields import Side
from services.trace.recorder import Recorder
from services.trace.recording import RecordedBytes, RecordingOptions, Recordings
from services.trace.tcp import Closed, ConnectionEvent, Data, Reassembler
from ul_peers import ABORT_BY_USER, RawPeer, RecordingUser, p_data, raw_peer, request

REQUESTOR, ACCEPTOR = Side.REQUESTOR, Side.ACCEPTOR
HOST = "127.0.0.1"
NAMES = {"called_ae": "ACCEPTOR", "calling_ae": "REQUESTOR"}

Said = list[tuple[str, dict[str, object]]]


class Scene:
    """A recorder, the files it has written once it is closed, and what it said."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.said: Said = []
        recording = RecordingOptions(directory=directory, **options)
        self.recorder = Recorder(recording, lambda *line: self.said.append(line))

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        scp = SCP("ACCEPTOR", [Verification()], options=ProviderOptions(observe=self.recorder.observe))
        async with scp.listen(HOST, 0, tls=tls) as port:
            yield port
            while scp.associations:
                await asyncio.sleep(0.005)

    def files(self) -> list[Path]:
        self.recorder.close()
        return sorted(self.directory.iterdir())


def read(file: Path) -> list[ConnectionEvent]:
    reassembler = Reassembler()
    packets = read_capture(io.BytesIO(file.read_bytes()), pytest.fail)
    return [event for packet in packets for event in reassembler.feed(packet)]


def sent(events: list[ConnectionEvent], side: Side = REQUESTOR) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Data) and event.sender is side)


def record(
    directory: Path,
    loop_factory: LoopFactory,
    talk: Callable[[RawPeer], Awaitable[None]],
    **options: Any,
) -> list[ConnectionEvent]:
    """What is in the only file after a raw peer has talked."""
    scene = Scene(directory, **options)

    async def test() -> None:
        async with scene.listening() as port, raw_peer(port) as peer:
            await talk(peer)

    run(test(), loop_factory)
    (file,) = scene.files()
    assert scene.said == []
    return read(file)


def test_an_association_is_in_a_file_as_it_was_on_the_wire(tmp_path: Path, loop_factory: LoopFactory) -> None:
    received = bytearray()

    async def talk(peer: RawPeer) -> None:
        peer.send(encode_pdu(request()))
        received.extend(await peer.receive())
        peer.send(encode_pdu(AReleaseRQ()))
        received.extend(await peer.receive_to_end())

    events = record(tmp_path, loop_factory, talk)
    assert sent(events) == encode_pdu(request()) + encode_pdu(AReleaseRQ())
    assert sent(events, ACCEPTOR) == bytes(received)
    assert bytes(received).endswith(encode_pdu(AReleaseRP()))
    closed = events[-1]
    assert isinstance(closed, Closed)
    assert (closed.by, closed.reset) == (ACCEPTOR, False)  # who answers a release closes first (PS3.8 AR-4)


def test_who_closes_first_is_told(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def talk(peer: RawPeer) -> None:
        peer.send(encode_pdu(request()))
        await peer.receive()
        peer.writer.close()

    closed = record(tmp_path, loop_factory, talk)[-1]
    assert isinstance(closed, Closed)
    assert closed.by is REQUESTOR


def test_bytes_that_make_no_pdu_are_recorded_too(tmp_path: Path, loop_factory: LoopFactory) -> None:
    wire = encode_pdu(request()) + b"\x99 no PDU at all"

    async def talk(peer: RawPeer) -> None:
        peer.send(wire)
        await peer.receive()
        await peer.receive_to_end()

    events = record(tmp_path, loop_factory, talk)
    assert sent(events) == wire
    assert sent(events, ACCEPTOR)[-10] == 7


@pytest.mark.parametrize("redact", [False, True])
def test_a_pdu_that_was_never_complete_is_recorded_too(
    tmp_path: Path, loop_factory: LoopFactory, redact: bool
) -> None:
    part = p_data(b"Doe^Jane" * 10)[:40]

    async def talk(peer: RawPeer) -> None:
        peer.send(encode_pdu(request()))
        await peer.receive()
        peer.send(part)
        await asyncio.sleep(0.05)
        peer.writer.close()

    events = record(tmp_path, loop_factory, talk, redact=redact)
    assert sent(events) == encode_pdu(request()) + (bytes(40) if redact else part)


def test_a_connection_without_a_pdu_makes_no_file(tmp_path: Path, loop_factory: LoopFactory) -> None:
    scene = Scene(tmp_path)

    async def test() -> None:
        async with scene.listening() as port, raw_peer(port) as peer:
            await asyncio.sleep(0.02)
            peer.writer.close()

    run(test(), loop_factory)
    assert scene.files() == []


def test_associations_at_one_time_have_files_of_their_own(tmp_path: Path, loop_factory: LoopFactory) -> None:
    scene = Scene(tmp_path)

    async def one(port: int, echoes: int) -> None:
        async with associate(HOST, port, contexts=[verification_context()], **NAMES) as association:
            for _ in range(echoes):
                await echo(association)

    async def test() -> None:
        async with scene.listening() as port:
            await asyncio.gather(*(one(port, echoes) for echoes in range(4)))

    run(test(), loop_factory)
    found = [sent(read(file)) for file in scene.files()]
    assert sorted(data.count(b"1.2.840.10008.1.1\0") for data in found) == [0, 1, 2, 3]
    assert all(data.endswith(encode_pdu(AReleaseRQ())) for data in found)


def test_under_tls_what_was_inside_is_recorded(tmp_path: Path, loop_factory: LoopFactory) -> None:
    scene = Scene(tmp_path / "traces")
    files = self_signed(tmp_path)
    client = ssl.create_default_context(cafile=str(files[0]))

    async def test() -> None:
        async with (
            scene.listening(server_context(*files)) as port,
            associate(
                "localhost", port, contexts=[verification_context()], tls=client, **NAMES
            ) as association,
        ):
            await echo(association)

    run(test(), loop_factory)
    (file,) = scene.files()
    events = read(file)
    assert b"1.2.840.10008.1.1" in sent(events)
    assert sent(events).endswith(encode_pdu(AReleaseRQ()))


def test_the_observer_of_a_requestor_knows_its_side(tmp_path: Path, loop_factory: LoopFactory) -> None:
    scene = Scene(tmp_path)

    async def test() -> None:
        scp = SCP("ACCEPTOR", [Verification()])
        async with scp.listen(HOST, 0) as port:
            options = ProviderOptions(observe=scene.recorder.observe)
            provider = await request_association(RecordingUser, request(), HOST, port, options=options)
            user = provider.user
            assert isinstance(user, RecordingUser)
            await user.until(lambda user: bool(user.primitives))
            provider.abort()
            await provider.wait_closed()

    run(test(), loop_factory)
    (file,) = scene.files()
    events = read(file)
    assert sent(events) == encode_pdu(request()) + ABORT_BY_USER
    assert sent(events, ACCEPTOR)[0] == 2
    assert events[0].connection.acceptor[0] == HOST


# -- the directory


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "some" / "traces")
    scene.recorder.close()
    assert scene.directory.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    directory = tmp_path / "traces"
    directory.mkdir(mode=0o750)
    mode = directory.stat().st_mode
    Scene(directory).recorder.close()
    assert directory.stat().st_mode == mode


def test_a_directory_that_cannot_be_used_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(OSError, match="File exists"):
        Scene(file)
    with pytest.raises(NotADirectoryError):
        Scene(file / "traces")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(PermissionError, match="Permission denied"):
        Scene(tmp_path)


# -- a disk that is slow


def test_a_stalled_disk_holds_up_no_association(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path)
    goes_on = threading.Event()
    take = Recordings.take

    def stalled(recordings: Recordings, item: Any) -> None:
        assert goes_on.wait(30)
        take(recordings, item)

    monkeypatch.setattr(Recordings, "take", stalled)

    async def test() -> None:
        async with (
            scene.listening() as port,
            associate(HOST, port, contexts=[verification_context()], **NAMES) as association,
        ):
            for _ in range(20):
                await echo(association, timeout=5)

    run(test(), loop_factory)
    assert not goes_on.is_set()
    goes_on.set()
    (file,) = scene.files()
    assert sent(read(file)).count(b"1.2.840.10008.1.1\0") == 20


def test_what_waits_is_bounded(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.trace.recorder.MOST_QUEUED", 1000)
    scene = Scene(tmp_path)
    goes_on = threading.Event()
    queued: list[int] = []
    take = Recordings.take

    def stalled(recordings: Recordings, item: Any) -> None:
        assert goes_on.wait(30)
        queued.append(len(item.data) if isinstance(item, RecordedBytes) else 0)
        take(recordings, item)

    monkeypatch.setattr(Recordings, "take", stalled)

    async def test() -> None:
        async with (
            scene.listening() as port,
            associate(HOST, port, contexts=[verification_context()], **NAMES) as association,
        ):
            for _ in range(50):
                await echo(association)

    run(test(), loop_factory)
    goes_on.set()
    (file,) = scene.files()
    assert sum(queued) < 1500
    assert len(queued) <= 5, "small PDUs count with the memory that they take"
    assert [fields["cause"] for _, fields in scene.said] == [
        "too much waits to be written: the disk is too slow"
    ]
    whole = sent(read(file)) + sent(read(file), ACCEPTOR)
    assert len(whole) == sum(queued)


def test_observers_may_be_told_things_after_the_end(tmp_path: Path, loop_factory: LoopFactory) -> None:
    scene = Scene(tmp_path)

    async def test() -> None:
        async with (
            scene.listening() as port,
            associate(HOST, port, contexts=[verification_context()], **NAMES) as association,
        ):
            await asyncio.to_thread(scene.recorder.close)
            await echo(association)

    run(test(), loop_factory)
    (file,) = scene.files()
    assert sent(read(file))[0] == 1
