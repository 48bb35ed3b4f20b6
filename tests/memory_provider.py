"""The core and its user without sockets and clocks: a test feeds bytes, sees what is written, lets time-outs happen."""

import asyncio
from collections.abc import Callable

from dul.enums import Role, State
from dul.errors import ConnectionLost, RemoteProtocolError
from dul.framing import HEADER_LENGTH, read_header
from dul.provider import ProviderOptions, ServiceProvider, UserFactory
from raw_bytes import RawPDU, pdus_of


class MemoryProvider(ServiceProvider):
    """An adapter over nothing. It frames, refuses, pauses and half-closes as `dul.transport` does.

    Attributes:
        is_half_closed: nothing more will be written.
        is_closed: the transport connection is gone.
        is_reading: the user has not paused it.
        artim: seconds the ARTIM timer was started with; None while it does not run.
        artim_starts: how often it was started.
    """

    def __init__(self, role: Role, make_user: UserFactory, options: ProviderOptions | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.is_half_closed = self.is_closed = False
        self.is_reading = True
        self.artim: float | None = None
        self.artim_starts = 0
        self.pauses = 0
        self._sent = bytearray()
        self._received = bytearray()
        self._out_of_step = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._gone = asyncio.Event()
        self._to_peer: Callable[[bytes], None] | None = None
        self._eof_to_peer: Callable[[], None] | None = None
        super().__init__(role, make_user, options or ProviderOptions())
        self.peer = "memory:0"

    # -- what a test does

    def connect(self) -> None:
        """The transport connection opens: Evt5, or Evt2 for a requestor."""
        self._connected()

    def feed(self, data: bytes, size: int | None = None) -> None:
        """Bytes arrive, `size` at a time."""
        for start in range(0, len(data), size or max(len(data), 1)):
            if self.is_closed:
                return
            self._received += data[start : start + (size or len(data))]
            self._take_pdus()

    def lose(self) -> None:
        """The peer closed the connection, or it broke: Evt17."""
        if not self.is_closed:
            self._connection_lost()

    def expire_artim(self) -> None:
        """Time passes: Evt18."""
        assert self.artim is not None, "ARTIM does not run"
        self.artim = None
        self._artim_expired()

    def block_writing(self) -> None:
        """The peer takes nothing more of what is sent."""
        self._may_write.clear()

    def unblock_writing(self) -> None:
        self._may_write.set()

    def take_sent(self) -> list[RawPDU]:
        """The PDUs sent since this was last asked."""
        sent = bytes(self._sent)
        self._sent.clear()
        return pdus_of(sent)

    @property
    def unread(self) -> int:
        """Bytes that arrived and were not taken, because reading is paused or a PDU is not complete."""
        return len(self._received)

    # -- as the transport adapter

    def _take_pdus(self) -> None:
        while self._received and self.is_reading:
            if self._out_of_step or self.state is State.Sta1:
                self._received.clear()
                return
            try:
                header = read_header(self._received, 0, len(self._received), self.limits)
            except RemoteProtocolError as error:
                self._out_of_step = True
                self._invalid(error, bytes(self._received))
                continue
            if header is None or len(self._received) < HEADER_LENGTH + header[1]:
                return
            stop = HEADER_LENGTH + header[1]
            whole = bytes(self._received[:stop])
            del self._received[:stop]
            with memoryview(whole) as raw:
                self._receive(header[0], raw)

    def _connection_lost(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._stop_artim()
        self._received.clear()
        self._transport_closed()
        self._gone.set()
        self._may_write.set()
        self.user.closed()

    @property
    def writing_paused(self) -> bool:
        return not self._may_write.is_set()

    async def drain(self) -> None:
        await self._may_write.wait()
        if self.is_closed:
            raise ConnectionLost("the connection is closed")

    def pause_reading(self) -> None:
        if self.is_reading and self.state is not State.Sta13:
            self.is_reading = False
            self.pauses += 1

    def resume_reading(self) -> None:
        if not self.is_reading:
            self.is_reading = True
            self._loop.call_soon(self._take_pdus)

    async def wait_closed(self) -> None:
        await self._gone.wait()

    def _write(self, data: bytes) -> None:
        if self.is_half_closed or self.is_closed:
            return
        self._sent += data
        if self._to_peer is not None:
            self._loop.call_soon(self._to_peer, data)

    def _half_close(self) -> None:
        self.resume_reading()
        self.is_half_closed = True
        if self._eof_to_peer is not None:
            self._loop.call_soon(self._eof_to_peer)

    def _close_transport(self, *, now: bool = False) -> None:
        self._loop.call_soon(self._connection_lost)
        if self._eof_to_peer is not None:
            self._loop.call_soon(self._eof_to_peer)

    def _start_artim(self, seconds: float) -> None:
        self.artim = seconds
        self.artim_starts += 1

    def _stop_artim(self) -> None:
        self.artim = None


def join(one: MemoryProvider, other: MemoryProvider) -> None:
    """What the one sends, the other receives, in the next turn of the loop; so does the end of it."""
    for sender, receiver in ((one, other), (other, one)):
        sender._to_peer = receiver.feed
        sender._eof_to_peer = receiver.lose


async def settle(turns: int = 12) -> None:
    """Let everything happen that can happen without the peer."""
    for _ in range(turns):
        await asyncio.sleep(0)
