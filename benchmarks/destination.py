"""The destination of the C-MOVEs: a storage SCP of its own process that counts what comes and keeps nothing."""

import mmap
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import messages
from benchmarks.forks import die_with
from benchmarks.incoming import C_STORE_RQ, COMMAND_FIELD, StoreResponses, messages_from
from benchmarks.load import PATIENCE, receive_pdu
from dul.decode import decode_pdu
from dul.encode import encode_pdu
from dul.negotiation import AcceptorPolicy, SupportedContext, answer
from dul.pdus import AAssociateRQ, AReleaseRP
from peers import HOST
from services.sop_classes import storage_sop_classes

AE_TITLE = "SINK"
_SLOT = struct.Struct("QQ")
_SLOTS = 1 << 16
"""Associations that are counted, each in a slot of its own: whoever ends late counts for nobody else."""


@dataclass(frozen=True)
class Taken:
    """What came: associations, instances, bytes of their data sets."""

    associations: int
    instances: int
    size: int


class Destination:
    """Where it listens, and what it has taken so far: kept in memory that is shared with its processes."""

    def __init__(self, port: int, counts: mmap.mmap) -> None:
        self.port = port
        self._counts = counts

    def taken(self) -> Taken:
        """Everything since the start."""
        (associations,) = struct.unpack_from("Q", self._counts)
        slots = [_SLOT.unpack_from(self._counts, _place(n)) for n in range(associations)]
        return Taken(associations, sum(i for i, _ in slots), sum(size for _, size in slots))


@contextmanager
def destination() -> Iterator[Destination]:
    """Serve until the end of the context."""
    counts = mmap.mmap(-1, _place(_SLOTS))
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


def _place(slot: int) -> int:
    return 16 + slot * _SLOT.size


def _serve(listener: socket.socket, counts: mmap.mmap) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for slot in range(_SLOTS):
        connection, _ = listener.accept()
        struct.pack_into("Q", counts, 0, slot + 1)
        if not os.fork():
            listener.close()
            try:
                _take(connection, counts, _place(slot))
            finally:
                os._exit(0)
        connection.close()


def _take(sock: socket.socket, counts: mmap.mmap, place: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE, 0))
    _, body = receive_pdu(sock)
    request = decode_pdu(1, body)
    assert isinstance(request, AAssociateRQ)
    syntaxes = SupportedContext((messages.EXPLICIT_LE, messages.IMPLICIT_LE))
    supported = dict.fromkeys((messages.VERIFICATION, *storage_sop_classes()), syntaxes)
    policy = AcceptorPolicy(None, supported, maximum_length=messages.LONGEST)
    sock.sendall(encode_pdu(answer(request, policy)))
    responses = StoreResponses()
    instances = size = 0
    for context_id, fields, data_set in messages_from(sock):
        assert fields[COMMAND_FIELD] == C_STORE_RQ
        instances, size = instances + 1, size + data_set
        _SLOT.pack_into(counts, place, instances, size)  # before the answer: whoever has that finds it
        sock.sendall(responses.to(context_id, fields))
    sock.sendall(encode_pdu(AReleaseRP()))
