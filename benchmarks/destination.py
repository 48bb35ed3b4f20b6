"""Where C-MOVEs go: a storage SCP in a process of its own that counts what comes and keeps nothing."""

import mmap
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import messages
from benchmarks.asking import Received
from benchmarks.forks import die_with
from benchmarks.holdings import Holdings
from benchmarks.incoming import Reader
from benchmarks.load import PATIENCE, LoadError, receive_pdu
from dul.decode import decode_pdu
from dul.encode import encode_pdu
from dul.negotiation import AcceptorPolicy, SupportedContext, answer
from dul.pdus import AAssociateRQ, AReleaseRP
from peers import HOST
from services.sop_classes import storage_sop_classes

AE_TITLE = "SINK"
_RELEASE_RQ = 5


class Destination:
    """Where it listens, and what came, in memory that is shared with its processes.

    Args:
        port: of the listener.
        counts: how many associations there were, a gap, and two numbers for each image (`Received`).
    """

    def __init__(self, port: int, counts: memoryview) -> None:
        self.port = port
        self._counts = counts

    def forget(self) -> None:
        """Count from nothing again; to be called while nothing comes."""
        self._counts[:] = memoryview(bytes(self._counts.nbytes)).cast("I")

    def check(self, holdings: Holdings) -> None:
        """See that each image came once, with all of its bytes, and all over one association.

        Raises:
            LoadError: otherwise.
        """
        Received(self._counts[2:]).check(holdings)
        if self._counts[0] != 1:
            raise LoadError(f"{self._counts[0]} associations for one C-MOVE")


@contextmanager
def destination(holdings: Holdings) -> Iterator[Destination]:
    """Serve until the end of the context."""
    counts = memoryview(mmap.mmap(-1, 8 * (holdings.images + 1))).cast("I")
    with socket.create_server((HOST, 0), backlog=16) as listener:
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            try:
                die_with(parent)
                os.setpgid(0, 0)
                _serve(listener, counts)
            finally:
                os._exit(1)
        os.setpgid(pid, pid)
        try:
            yield Destination(listener.getsockname()[1], counts)
        finally:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _serve(listener: socket.socket, counts: memoryview) -> None:
    """Fork for each association: one that does not end keeps nobody else waiting."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        counts[0] += 1
        if not os.fork():
            listener.close()
            try:
                _take(connection, Received(counts[2:]))
            finally:
                os._exit(0)
        connection.close()


def _take(sock: socket.socket, received: Received) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE, 0))
    _, body = receive_pdu(sock)
    request = decode_pdu(1, body)
    assert isinstance(request, AAssociateRQ)
    # Explicit VR only: nobody gains or loses by sending another encoding than it holds.
    syntaxes = SupportedContext((messages.EXPLICIT_LE,))
    supported = dict.fromkeys((messages.VERIFICATION, *storage_sop_classes()), syntaxes)
    policy = AcceptorPolicy(None, supported, maximum_length=messages.LONGEST)
    sock.sendall(encode_pdu(answer(request, policy)))
    reader = Reader(sock)
    while (message := reader.next()).pdu_type == 4:
        sock.sendall(received.answer(message))
    if message.pdu_type == _RELEASE_RQ:
        sock.sendall(encode_pdu(AReleaseRP()))
