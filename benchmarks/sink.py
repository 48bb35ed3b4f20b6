"""The bare sink: takes the same load and answers with bytes made beforehand, so that what is left is the
load generator's own cost, and the kernel's. Forks for each connection; knows no DICOM but lengths.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import messages
from benchmarks.forks import die_with
from benchmarks.load import receive_pdu
from benchmarks.works import Work
from dimse.command_set import encode_command_set
from dimse.messages import CEchoRSP, CStoreRSP
from dul.decode import decode_pdu
from dul.encode import encode_pdu
from dul.negotiation import AcceptorPolicy, SupportedContext, answer
from dul.pdus import PDV, AAssociateRQ, AReleaseRP, PDataTF
from peers import HOST
from services.sop_classes import storage_sop_classes

_RELEASE_RP = encode_pdu(AReleaseRP())


@contextmanager
def sink(work: Work) -> Iterator[int]:
    """Serve one kind of work, and yield the port."""
    with socket.create_server((HOST, 0), backlog=128) as listener:
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            try:
                die_with(parent)
                os.setpgid(0, 0)
                _serve(listener, work)
            finally:
                os._exit(1)
        os.setpgid(pid, pid)
        try:
            yield listener.getsockname()[1]
        finally:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _serve(listener: socket.socket, work: Work) -> None:
    expected = len(messages.Instances(work.size, messages.LONGEST).buffer) if work.size else 0
    buffer = memoryview(bytearray(1 << 20))
    canned: dict[bytes, bytes] = {}
    while True:
        connection, _ = listener.accept()
        if work.kind == "associate":  # one after the other: a fork each time would be what is measured
            _converse(connection, expected, buffer, canned)
        elif not os.fork():
            listener.close()
            try:
                _converse(connection, expected, buffer, canned)
            finally:
                os._exit(0)
        connection.close()


def _converse(sock: socket.socket, expected: int, buffer: memoryview, canned: dict[bytes, bytes]) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(_associate_answer(sock, canned))
    echo = messages.c_echo()
    recv_into, sendall = sock.recv_into, sock.sendall
    while True:
        taken = recv_into(buffer)
        if taken in (0, len(messages.RELEASE_RQ)):
            sock.sendall(_RELEASE_RP if taken else b"")
            return
        if taken == len(echo):
            sendall(_C_ECHO_RSP)
            continue
        while taken < expected:
            taken += recv_into(buffer)
        sendall(_C_STORE_RSP)


def _associate_answer(sock: socket.socket, canned: dict[bytes, bytes]) -> bytes:
    _, body = receive_pdu(sock)
    if body not in canned:
        request = decode_pdu(1, body)
        assert isinstance(request, AAssociateRQ)
        syntaxes = SupportedContext((messages.EXPLICIT_LE, messages.IMPLICIT_LE))
        supported = dict.fromkeys((messages.VERIFICATION, *storage_sop_classes()), syntaxes)
        canned[body] = encode_pdu(answer(request, AcceptorPolicy(None, supported)))
    return canned[body]


def _response(context_id: int, message: CEchoRSP | CStoreRSP) -> bytes:
    return encode_pdu(PDataTF((PDV(context_id, 3, encode_command_set(message)),)))


_C_ECHO_RSP = _response(
    messages.VERIFICATION_ID,
    CEchoRSP(message_id_being_responded_to=1, affected_sop_class_uid=messages.VERIFICATION, status=0),
)
_C_STORE_RSP = _response(
    messages.CT_ID,
    CStoreRSP(
        message_id_being_responded_to=1,
        affected_sop_class_uid=messages.CT_IMAGE_STORAGE,
        affected_sop_instance_uid="2.25.700000000000000",
        status=0,
    ),
)
