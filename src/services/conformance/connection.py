"""One connection of the tester: bytes out, events in, and everything that went over it kept.

Sends whatever it is told to; reads PDUs and messages as the trace does. Knows no case and no verdict.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Mapping
from enum import Enum

from msgspec import Struct

from dimse.enums import RESPONSE_BIT, CommandField
from dul.pdus import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AnyPDU, AReleaseRP, AReleaseRQ, PDataTF
from services.trace.reading import MessageReader, PDUReader, ReadMessage, ReadPDU, command_elements

_CHUNK = 1 << 16
_KEPT_OF_A_CONNECTION = 4 << 20
_FAREWELL = 0.5
_TLS_FAREWELL = 0.05
"""How long a connection may take to close in order, in seconds; with TLS, for the peer's close_notify."""
_CLOSED = (OSError, ValueError)
"""What setting an option of a closed socket raises: uvloop says ValueError."""

_GONE = (OSError, RuntimeError)
"""What writing raises where the connection is gone: uvloop says RuntimeError, and does not call it closing before."""


class Move(Enum):
    """What can happen on a connection, as the tester sees it."""

    OPENED = "opened"
    SENT = "sent"
    RECEIVED = "received"
    FINISHED = "half closed by us"
    CLOSED = "closed by us"
    RESET = "reset by us"
    PEER_CLOSED = "closed by the peer"
    PEER_RESET = "reset by the peer"


class Exchange(Struct, frozen=True):
    """Something that went over a connection.

    Attributes:
        at: seconds since the connection opened.
        move: what it was.
        data: the bytes sent or received; no more of them than are kept.
    """

    at: float
    move: Move
    data: bytes = b""


class Event(Struct, frozen=True):
    """Something the peer did.

    Attributes:
        text: what a pattern is compared with: "accept", "reject 1/1/7", "abort 2/2", "associate", "release",
            "release response", "C-ECHO-RSP 7 0000" (Message ID and status), "C-STORE-RQ 3" (its Message ID),
            "closed", "reset", "silence", "garbage ..." for what cannot be read.
        pdu: the PDU it came as, or the last one of a message.
        message: the message, where it is one.
    """

    text: str
    pdu: AnyPDU | None = None
    message: ReadMessage | None = None


SILENCE = Event("silence")
CLOSED = Event("closed")
RESET = Event("reset")
OVER = (CLOSED, RESET)


class Connection:
    """A transport connection with the peer.

    Attributes:
        number: of the connection within its case, from 1.
        started: when it opened, in seconds since the epoch.
        exchanges: what went over it; at most 4 MiB of bytes are kept.
        cut: whether more went over it than was kept.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int = 1) -> None:
        self.number = number
        self.started = time.time()
        self.exchanges: list[Exchange] = []
        self.cut = False
        self._begun = time.monotonic()
        self._kept = 0
        self._reader = reader
        self._writer = writer
        self._pdus = PDUReader()
        self._messages = MessageReader()
        self._events: deque[Event] = deque()
        self._over: Event | None = None
        self._note(Move.OPENED)

    @classmethod
    async def open(
        cls, host: str, port: int, *, tls: ssl.SSLContext | None, timeout: float, number: int = 1
    ) -> "Connection":
        """Connect, within `timeout` seconds.

        Raises:
            OSError, TimeoutError: nobody takes the connection, or TLS fails (`ssl.SSLError`).
        """
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=host if tls is not None else None
            )
        connection = cls(reader, writer, number)
        connection._acknowledge_at_once()
        return connection

    @property
    def is_over(self) -> bool:
        """The peer has closed or reset it, and all it sent before has been taken."""
        return self._over is not None and not self._events

    @property
    def tls_version(self) -> str | None:
        """Of the TLS session, as "TLSv1.3"; None without one."""
        tls = self._writer.get_extra_info("ssl_object")
        return None if tls is None else tls.version()

    @property
    def descriptor(self) -> int:
        """File descriptor of the socket, which lies beneath the TLS session where there is one; -1 once closed."""
        sock = self._writer.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    async def send(self, data: bytes, *, piece: int = 0, delay: float = 0.0, timeout: float = 5.0) -> None:
        """Send bytes; that the peer has gone away meanwhile is no error, its last word is to be read.

        Args:
            data: what to send.
            piece: bytes to a write, each in a TCP segment of its own; 0 sends all at once.
            delay: seconds between the pieces.
            timeout: how long the peer may take to make room for each write, in seconds.
        """
        self._note(Move.SENT, data)
        step = piece or max(1, len(data))
        with contextlib.suppress(*_GONE, TimeoutError):
            for start in range(0, len(data), step):
                self._writer.write(data[start : start + step])
                async with asyncio.timeout(timeout):
                    await self._writer.drain()
                if piece:
                    await asyncio.sleep(delay)

    async def receive(self, within: float) -> Event:
        """The next thing the peer does, or `SILENCE` when it does nothing for `within` seconds.

        After its end every call returns that end again.
        """
        deadline = time.monotonic() + within
        while not self._events:
            if self._over is not None:
                return self._over
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await self._read()
            except TimeoutError:
                return SILENCE
        return self._events.popleft()

    async def _read(self) -> None:
        try:
            data = await self._reader.read(_CHUNK)
        except OSError:  # ssl.SSLError is one
            self._note(Move.PEER_RESET)
            self._over = RESET
            return
        if not data:
            self._note(Move.PEER_CLOSED)
            if self._pdus.incomplete:
                self._events.append(
                    Event(f"garbage: {len(self._pdus.incomplete)} bytes of a PDU, then the end")
                )
            self._over = CLOSED
            return
        self._note(Move.RECEIVED, data)
        self._acknowledge_at_once()
        for read in self._pdus.feed(data):
            self._events.extend(self._events_of(read))

    def _acknowledge_at_once(self) -> None:
        """Do not let a peer that waits for TCP's acknowledgement (Nagle's algorithm) wait 40 ms for it."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None and hasattr(socket, "TCP_QUICKACK"):
            with contextlib.suppress(*_CLOSED):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _events_of(self, read: ReadPDU) -> list[Event]:
        match read.pdu:
            case PDataTF():
                return [_message_event(read.pdu, message) for message in self._messages.feed(read.pdu)]
            case None:
                return [Event(f"garbage: {read.error}")]
            case _:
                return [Event(describe(read.pdu), read.pdu)]

    def finish_sending(self) -> None:
        """Close our half (FIN); TLS has no such thing, where nothing happens."""
        with contextlib.suppress(*_GONE):
            if self._writer.can_write_eof():
                self._writer.write_eof()
                self._note(Move.FINISHED)

    async def close(self) -> None:
        """Close it in order; does nothing the second time."""
        if self._writer.is_closing():
            return
        if self._over is None:
            self._note(Move.CLOSED)
        self._writer.close()
        try:
            async with asyncio.timeout(_FAREWELL if self.tls_version is None else _TLS_FAREWELL):
                await self._writer.wait_closed()
        except TimeoutError:
            self._writer.transport.abort()  # a peer that answers no close_notify would keep it open for half a minute
        except OSError:
            pass

    def reset(self) -> None:
        """Break it (RST)."""
        self._note(Move.RESET)
        sock = self._writer.get_extra_info("socket")
        if sock is not None:
            # l_onoff 1, l_linger 0: closing then resets
            with contextlib.suppress(*_CLOSED):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def _note(self, move: Move, data: bytes = b"") -> None:
        if self.cut and data:
            return  # neither bytes nor moments of them are kept any more
        kept = data[: max(0, _KEPT_OF_A_CONNECTION - self._kept)]
        self._kept += len(kept)
        self.cut = self.cut or len(kept) < len(data)
        self.exchanges.append(Exchange(time.monotonic() - self._begun, move, kept))


def cause(error: OSError) -> str:
    """Why a connection could not be opened, for a person."""
    if isinstance(error, socket.gaierror):
        return error.strerror or "the name is not known"
    if isinstance(error, ssl.SSLError) or not error.errno:
        return str(error) or type(error).__name__
    return os.strerror(error.errno)


def describe(pdu: AnyPDU) -> str:
    """The text of the event that a PDU other than a P-DATA-TF is."""
    match pdu:
        case AAssociateAC():
            return "accept"
        case AAssociateRJ():
            return f"reject {pdu.result}/{pdu.reason.source}/{pdu.reason.reason}"
        case AAssociateRQ():
            return "associate"
        case AReleaseRQ():
            return "release"
        case AReleaseRP():
            return "release response"
        case AAbort():
            return f"abort {pdu.reason.source}/{pdu.reason.reason}"
        case _:
            return "data"


def _message_event(pdu: PDataTF, read: ReadMessage) -> Event:
    elements = command_elements(read.command)
    field = _number(elements, 0x0100)
    if field is None:
        return Event(f"garbage: {read.error or 'a message without a Command Field'}", pdu, read)
    if field & RESPONSE_BIT:
        answered, status = _number(elements, 0x0120), _number(elements, 0x0900)
        return Event(f"{_label(field)} {answered} {'none' if status is None else f'{status:04X}'}", pdu, read)
    number = _number(elements, 0x0120 if field == CommandField.C_CANCEL_RQ else 0x0110)
    return Event(f"{_label(field)} {number}", pdu, read)


def _label(field: int) -> str:
    try:
        return CommandField(field).label
    except ValueError:
        return f"{field:04X}H"


def _number(elements: Mapping[int, bytes], number: int) -> int | None:
    value = elements.get(number)
    return int.from_bytes(value, "little") if value is not None and len(value) == 2 else None
