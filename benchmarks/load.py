"""The load generator: blocking sockets, messages encoded beforehand, one process an association.

Answers are not parsed: the first one tells how long they all are and where the status stands. What the
generator itself costs is seen in the row of the bare sink (`benchmarks.sink`).
"""

import math
import os
import socket
import ssl
import struct
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import messages
from benchmarks.forks import die_with
from dul.decode import decode_pdu
from dul.enums import ContextResult
from dul.negotiated import maximum_length_of
from dul.pdus import AAssociateAC
from peers import HOST

PATIENCE = 30
"""Seconds without an answer after which a measurement is given up."""

SUCCESS = b"\x00\x00"
"""Of a status, as it is encoded."""
_STATUS = b"\x00\x00\x00\x09\x02\x00\x00\x00"  # tag and length of (0000,0900)


class LoadError(Exception):
    """The peer did not do what the load needs; the text says what."""


@dataclass
class Window:
    """When a worker begins and ends, and what it did: `done` messages in `seconds`.

    `slowest` is how long the slowest hundredth of its answers took at least, in seconds, where they were timed.
    """

    seconds: float
    most: int
    start: Callable[[], None]
    done: int = 0
    slowest: float = 0.0

    def run(self, step: Callable[[], None], warm_up: int) -> None:
        """Call `step` `warm_up` times, wait for the others, then until the time or the number is up."""
        for _ in range(warm_up):
            step()
        self.start()
        now = time.perf_counter
        begun = now()
        deadline = begun + self.seconds
        done = 0
        while done < self.most:
            step()
            done += 1
            if now() >= deadline:
                break
        self.done, self.seconds = done, now() - begun

    def run_timed(self, step: Callable[[], None], warm_up: int) -> None:
        """The same, each call timed."""
        now = time.perf_counter
        times: list[float] = []

        def timed() -> None:
            begun = now()
            step()
            times.append(now() - begun)

        self.run(timed, warm_up)
        self.slowest = percentile(times[warm_up:], 99)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True)
class Measured:
    """What one process of the load did: `rate` a second, and `Window.slowest`."""

    rate: float
    slowest: float


Act = Callable[[int, Window], None]
"""What a process of the load does; told its number, from 0, and when to begin and end."""


def measure(processes: int, most: int, seconds: float, act: Act) -> list[Measured]:
    """Let processes put their load on a server, all at the same time, and return what each of them did.

    Args:
        most: steps after which a process stops, whatever the time.

    Raises:
        LoadError: an answer did not come or was not Success.
    """
    workers: list[_Worker] = []
    try:
        for number in range(processes):
            workers.append(_Worker(number, seconds, most, act))
        for worker in workers:
            worker.wait_until_ready()
        for worker in workers:
            worker.start()
        return [worker.measured() for worker in workers]
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A forked process; it waits at a barrier after its warm-up."""

    def __init__(self, number: int, seconds: float, most: int, act: Act) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(PATIENCE + 4 * seconds)
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid:
            theirs.close()
            return
        code = 1
        try:
            die_with(parent)
            self._ours.close()
            window = Window(seconds, most, lambda: _wait_at_barrier(theirs))
            act(number, window)
            theirs.sendall(struct.pack("dd", window.done / window.seconds, window.slowest))
            code = 0
        except LoadError as error:
            theirs.sendall(f"error: {error}".encode())
        except BaseException:
            theirs.sendall(f"error: {traceback.format_exc()}".encode())
        finally:
            os._exit(code)

    def wait_until_ready(self) -> None:
        self._receive(b"ready")

    def start(self) -> None:
        self._ours.sendall(b"g")

    def measured(self) -> Measured:
        return Measured(*struct.unpack("dd", self._receive()))

    def end(self) -> None:
        self._ours.close()
        try:
            os.kill(self._pid, 9)
        finally:
            os.waitpid(self._pid, 0)

    def _receive(self, expected: bytes = b"") -> bytes:
        try:
            answer = self._ours.recv(65536)
        except TimeoutError:
            raise LoadError(f"no answer within {self._ours.gettimeout():g} s") from None
        if answer.startswith(b"error: ") or not answer.startswith(expected) or not answer:
            raise LoadError(answer.decode(errors="replace") or "a worker was killed")
        return answer


def _wait_at_barrier(sock: socket.socket) -> None:
    sock.sendall(b"ready")
    if not sock.recv(1):
        os._exit(1)


class Association:
    """An association the load goes over.

    Args:
        contexts: how many are proposed: verification, CT images, and further storage classes.
        request: an A-ASSOCIATE-RQ to send instead; its first two contexts have to be accepted.
        tls: makes it TLS.
    """

    def __init__(
        self,
        port: int,
        called_ae: str,
        contexts: int = 2,
        request: bytes = b"",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.sock = connect(port)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.sock.sendall(request or messages.associate_rq(called_ae, contexts))
        pdu_type, body = receive_pdu(self.sock)
        pdu = decode_pdu(pdu_type, body)
        if not isinstance(pdu, AAssociateAC):
            raise LoadError(f"association refused: {pdu}")
        refused = [c for c in pdu.presentation_contexts[:2] if c.result != ContextResult.ACCEPTANCE]
        if refused:
            raise LoadError(f"presentation contexts refused: {refused}")
        self.maximum_length = maximum_length_of(pdu.user_data)

    def exchange(self, message: bytes | bytearray) -> Callable[[], None]:
        """Send a message once and return what sends it again, as it then stands, and waits for Success."""
        receive, sendall = self.receiver(message), self.sock.sendall

        def again() -> None:
            sendall(message)
            receive()

        return again

    def receiver(self, message: bytes | bytearray) -> Callable[[], None]:
        """Send a message once and return what waits for Success in answer to another one like it."""
        sock = self.sock
        sock.sendall(message)
        length, status = place_of_status(*receive_pdu(sock))
        recv, acknowledge = sock.recv, sock.setsockopt
        tcp, quickack = socket.IPPROTO_TCP, socket.TCP_QUICKACK

        def receive() -> None:
            answer = recv(4096)
            acknowledge(tcp, quickack, 1)  # the kernel forgets it after a while
            while len(answer) < length and (more := recv(4096)):
                answer += more
            if len(answer) != length or answer[0] != 4 or answer[status] != SUCCESS:
                raise LoadError(f"unexpected answer {answer[:200].hex()}")

        return receive

    def release(self) -> None:
        """A-RELEASE, both ways."""
        self.sock.sendall(messages.RELEASE_RQ)
        if receive_pdu(self.sock)[0] != 6:
            raise LoadError("release not confirmed")
        self.sock.close()

    def __enter__(self) -> "Association":
        return self

    def __exit__(self, *_error: object) -> None:
        if self.sock.fileno() >= 0:
            self.release()


def place_of_status(pdu_type: int, body: bytes) -> tuple[int, slice]:
    """How long a response is, its header included, and where its status stands, which is Success in this one."""
    at = body.find(_STATUS) + len(_STATUS)
    if pdu_type != 4 or at < len(_STATUS):
        raise LoadError(f"no response but a PDU of type {pdu_type}: {body[:200].hex()}")
    if body[at : at + 2] != SUCCESS:
        raise LoadError(f"status {int.from_bytes(body[at : at + 2], 'little'):04X}H")
    return len(body) + 6, slice(at + 6, at + 8)


def connect(port: int) -> socket.socket:
    """A connection with TCP_NODELAY, and the kernel's time-out: Python's own costs a call more each time."""
    sock = socket.create_connection((HOST, port))
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    return sock


def receive_pdu(sock: socket.socket) -> tuple[int, bytes]:
    """The next PDU: its type and what stands behind its header."""
    data = b""
    wanted = 6
    while len(data) < wanted:
        try:
            more = sock.recv(wanted - len(data))
        except BlockingIOError:
            raise LoadError(f"no answer within {PATIENCE} s") from None
        if not more:
            raise LoadError("the peer closed the connection")
        data += more
        if len(data) == 6:
            wanted = 6 + int.from_bytes(data[2:6], "big")
    return data[0], data[6:]
