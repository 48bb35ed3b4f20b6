"""The load generator: blocking sockets, messages encoded beforehand, one process an association.

Answers are not parsed: the first one tells how long they all are and where the status stands. What the
generator itself costs is seen in the row of the bare sink (`benchmarks.sink`).
"""

import os
import socket
import struct
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks import messages
from benchmarks.forks import die_with
from dul.decode import decode_pdu
from dul.enums import ContextResult
from dul.negotiated import maximum_length_of
from dul.pdus import AAssociateAC
from peers import HOST

PATIENCE = 30
"""Seconds without an answer after which a measurement is given up."""

_SUCCESS = b"\x00\x00"
_STATUS = b"\x00\x00\x00\x09\x02\x00\x00\x00"  # tag and length of (0000,0900)


class LoadError(Exception):
    """The peer did not do what the load needs; the text says what."""


@dataclass(frozen=True)
class Work:
    """What is measured. `size` is that of a data set in bytes, 0 without; `unit` says what a rate counts.

    `asks`, of an archive that holds something: what a C-FIND looks for, or where a C-MOVE sends.
    """

    name: str
    kind: str
    contexts: int = 2
    size: int = 0
    associations: int = 1
    most: int = 1 << 30
    asks: str = ""

    @property
    def is_of_archive(self) -> bool:
        """Whether it asks what is held, and needs a server that holds it."""
        return self.kind in ("find", "get", "move")

    @property
    def on_one_core(self) -> bool:
        """Whether load and server share a core: small messages one at a time. On two cores each message would
        wake an idle one, which takes longer than the message, or does not, as the scheduler places them."""
        return not self.is_of_archive and self.associations == 1 and self.size < 1 << 16

    @property
    def unit(self) -> str:
        """Of a result."""
        if self.kind == "memory":
            return "KiB"
        if self.asks == "images":
            return "matches/s"
        return "images/s" if self.kind in ("get", "move") else "/s"


@dataclass
class Window:
    """When a worker begins and ends, and what it did: `done` messages in `seconds`."""

    seconds: float
    most: int
    start: Callable[[], None]
    done: int = 0

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


def measure(
    work: Work, port: int, called_ae: str, seconds: float, act: Callable[[Window], None] | None = None
) -> float:
    """Put the load on a server and return the rate per second, that of all associations together.

    Args:
        act: what each association does, where that is no kind of this file.

    Raises:
        LoadError: an answer did not come or was not Success.
    """
    instances = None
    if work.size:
        with Association(port, called_ae) as probe:
            instances = messages.Instances(work.size, probe.maximum_length)

    def do(number: int, window: Window) -> None:
        if instances is not None:
            instances.become(number)
        if act is not None:
            act(window)
        else:
            _KINDS[work.kind](work, port, called_ae, window, instances)

    workers = [_Worker(n, seconds, work.most, do) for n in range(work.associations)]
    try:
        for worker in workers:
            worker.wait_until_ready()
        for worker in workers:
            worker.start()
        return sum(worker.rate() for worker in workers)
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A forked process with an association; it waits at a barrier after its warm-up."""

    def __init__(self, number: int, seconds: float, most: int, do: Callable[[int, Window], None]) -> None:
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
            do(number, window)
            theirs.sendall(struct.pack("Qd", window.done, window.seconds))
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

    def rate(self) -> float:
        done, seconds = struct.unpack("Qd", self._receive())
        return float(done / seconds)

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
    """

    def __init__(self, port: int, called_ae: str, contexts: int = 2, request: bytes = b"") -> None:
        self.sock = connect(port)
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
        sock = self.sock
        sock.sendall(message)
        length, status = _place_of_status(*receive_pdu(sock))
        sendall, recv, acknowledge = sock.sendall, sock.recv, sock.setsockopt
        tcp, quickack = socket.IPPROTO_TCP, socket.TCP_QUICKACK

        def again() -> None:
            sendall(message)
            answer = recv(4096)
            acknowledge(tcp, quickack, 1)  # the kernel forgets it after a while
            while len(answer) < length and (more := recv(4096)):
                answer += more
            if len(answer) != length or answer[0] != 4 or answer[status] != _SUCCESS:
                raise LoadError(f"unexpected answer {answer[:200].hex()}")

        return again

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


def _place_of_status(pdu_type: int, body: bytes) -> tuple[int, slice]:
    """How long a response is, its header included, and where its status stands, which is Success in this one."""
    at = body.find(_STATUS) + len(_STATUS)
    if pdu_type != 4 or at < len(_STATUS):
        raise LoadError(f"no response but a PDU of type {pdu_type}: {body[:200].hex()}")
    if body[at : at + 2] != _SUCCESS:
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


# -- what a worker does


def _echo(
    work: Work, port: int, called_ae: str, window: Window, _instances: messages.Instances | None
) -> None:
    with Association(port, called_ae) as association:
        window.run(association.exchange(messages.c_echo()), warm_up=50)


def _associate(
    work: Work, port: int, called_ae: str, window: Window, _instances: messages.Instances | None
) -> None:
    """Connect, associate, C-ECHO, release, close: the answers are as long each time."""
    request, echo = messages.associate_rq(called_ae, work.contexts), messages.c_echo()
    answers = []
    sock = connect(port)
    for message in (request, echo, messages.RELEASE_RQ):
        sock.sendall(message)
        answers.append(receive_pdu(sock))
    sock.close()
    lengths = [6 + len(body) for _, body in answers]
    _, status = _place_of_status(*answers[1])
    # Of each answer: how long it is, and bytes of it that have to be there.
    steps = (
        (request, lengths[0], slice(0, 1), b"\x02"),
        (echo, lengths[1], status, _SUCCESS),
        (messages.RELEASE_RQ, lengths[2], slice(0, 1), b"\x06"),
    )

    def once() -> None:
        sock = connect(port)
        for message, length, place, expected in steps:
            sock.sendall(message)
            answer = sock.recv(length)
            while len(answer) < length and (more := sock.recv(length - len(answer))):
                answer += more
            if len(answer) != length or answer[place] != expected:
                raise LoadError(f"unexpected answer {answer[:200].hex()}")
        sock.close()

    window.run(once, warm_up=3)


def _store(
    work: Work, port: int, called_ae: str, window: Window, instances: messages.Instances | None
) -> None:
    assert instances is not None
    buffer = memoryview(instances.buffer)
    first, second = instances.counters
    number = 0
    with Association(port, called_ae) as association:
        send = association.exchange(instances.buffer)

        def store() -> None:
            nonlocal number
            number += 1
            buffer[first] = buffer[second] = b"%011d" % number
            send()

        window.run(store, warm_up=0 if work.size > 1 << 24 else 10)


_KINDS: dict[str, Callable[[Work, int, str, Window, messages.Instances | None], None]] = {
    "echo": _echo,
    "associate": _associate,
    "store": _store,
}


def bounded(work: Work, budget: int) -> Work:
    """The same work, stopped where its files would take more than `budget` bytes."""
    return replace(work, most=max(3, budget // work.size // work.associations)) if work.size else work
