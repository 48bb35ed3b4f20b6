"""What really went over the wire: captures read by tshark, and a proxy that keeps both directions."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dimse.command_set import decode_command_set
from dimse.messages import CStoreRQ
from dul.decode import decode_pdu
from dul.framing import HEADER_LENGTH, PDULimits, read_header
from dul.negotiated import as_requestor
from dul.pdus import AAssociateAC, AAssociateRQ, AnyPDU, PDataTF
from peers import HOST, require_peer, run_peer

_READY = 20.0
_UNLIMITED = PDULimits(p_data_tf=(1 << 32) - 1, a_associate=(1 << 32) - 1)

# -- captures


@contextmanager
def capture(port: int, file: Path) -> Iterator[Path]:
    """Capture what goes over loopback from and to TCP `port` into `file`, complete when the block is left."""
    argv = [require_peer("dumpcap"), "-q", "-i", "lo", "-B", "64", "-w", str(file)]
    argv += ["-f", f"tcp port {port} or udp port {port}"]
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _send_marker(process, port, file)
        yield file
        _send_marker(process, port, file)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)


def _send_marker(process: subprocess.Popen[bytes], port: int, file: Path) -> None:
    """Send datagrams until one is in the file: then so is everything that was sent before it."""
    marker = os.urandom(16)
    deadline = time.monotonic() + _READY
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                assert process.stderr is not None
                raise AssertionError(f"dumpcap ended: {process.stderr.read().decode(errors='replace')}")
            sender.sendto(marker, (HOST, port))
            time.sleep(0.05)
            if file.exists() and marker in file.read_bytes()[-65536:]:
                return
    raise AssertionError(f"dumpcap wrote nothing of what was sent within {_READY:g} s")


def tshark_problems(file: Path, port: int) -> list[str]:
    """What tshark's DICOM dissector finds wrong in a capture: a line of frame number and messages for each.

    TCP's own remarks (retransmissions, resets) are left out, and so are those that say that an association was
    rejected or aborted.

    Raises:
        AssertionError: there is no DICOM in the capture, so that finding nothing would mean nothing.
    """
    pdus = _tshark(file, port, "dicom", "dicom.pdu.type")
    assert pdus, f"{file} has no DICOM on port {port}"
    # The markers of `capture` are datagrams, which some dissector may take for its own.
    remarks = "_ws.expert.severity >= 0x600000 && dicom && !tcp.analysis.flags"
    wrong = f"tcp && (_ws.malformed || _ws.unreassembled || ({remarks}))"
    found = _tshark(file, port, wrong, "frame.number", "_ws.malformed", "_ws.expert.message")
    return [line for line in found if not line.endswith(("\tAssociation aborted", "\tAssociation rejected"))]


def _tshark(file: Path, port: int, wanted: str, *fields: str) -> list[str]:
    arguments = ["-r", str(file), "-d", f"tcp.port=={port},dicom", "-Y", wanted, "-T", "fields"]
    for name in fields:
        arguments += ["-e", name]
    # Two passes, and reassembly out of order: on loopback nothing is ever missing.
    outcome = run_peer("tshark", "-2", "-o", "tcp.reassemble_out_of_order:TRUE", *arguments, deadline=120)
    assert outcome.ok, outcome
    return [line for line in outcome.output.splitlines() if not line.startswith("Running as user")]


# -- recordings


@dataclass(frozen=True)
class SentInstance:
    """One C-STORE as it stood on the wire."""

    sop_class_uid: str | None
    sop_instance_uid: str | None
    transfer_syntax: str
    data_set: bytes


@dataclass
class Recording:
    """All bytes of one connection so far, by direction."""

    from_client: bytearray = field(default_factory=bytearray)
    from_server: bytearray = field(default_factory=bytearray)

    def instances(self) -> list[SentInstance]:
        """The instances the client, requestor of the association, sent by C-STORE."""
        ((rq, ac),) = zip(
            [pdu for pdu in pdus_of(self.from_client) if isinstance(pdu, AAssociateRQ)],
            [pdu for pdu in pdus_of(self.from_server) if isinstance(pdu, AAssociateAC)],
            strict=True,
        )
        contexts = as_requestor(rq, ac).contexts
        sent = []
        for context_id, command, data_set in messages_of(self.from_client):
            message = decode_command_set(command)
            if isinstance(message, CStoreRQ):
                syntax = contexts[context_id].transfer_syntax
                sent.append(
                    SentInstance(
                        message.affected_sop_class_uid, message.affected_sop_instance_uid, syntax, data_set
                    )
                )
        return sent


def pdus_of(stream: bytes | bytearray) -> list[AnyPDU]:
    """The whole PDUs of one direction; a partial one at the end is left out."""
    data = bytes(stream)
    pdus: list[AnyPDU] = []
    start = 0
    while header := read_header(data, start, len(data), _UNLIMITED):
        end = start + HEADER_LENGTH + header[1]
        if end > len(data):
            break
        pdus.append(decode_pdu(header[0], data[start + HEADER_LENGTH : end]))
        start = end
    return pdus


def messages_of(stream: bytes | bytearray) -> list[tuple[int, bytes, bytes]]:
    """The DIMSE messages of one direction: presentation context id, command set, data set (empty for none)."""
    messages: list[tuple[int, list[bytes], list[bytes]]] = []
    in_command = False
    for pdv in [pdv for pdu in pdus_of(stream) if isinstance(pdu, PDataTF) for pdv in pdu.pdvs]:
        if pdv.is_command and not in_command:
            messages.append((pdv.presentation_context_id, [], []))
        _, command, data_set = messages[-1]
        (command if pdv.is_command else data_set).append(bytes(pdv.data))
        in_command = pdv.is_command and not pdv.is_last
    return [(context_id, b"".join(command), b"".join(data)) for context_id, command, data in messages]


class RecordingProxy:
    """Listens on `port`, passes every connection on to another port, and keeps all that passes, in
    `connections`, in the order they came."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((HOST, 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.connections: list[Recording] = []

    def start(self) -> None:
        """Accept from now on."""
        self._spawn(self._accept)

    def stop(self) -> None:
        """Break every connection and wait for the threads."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for sock in self._sockets:
            sock.close()

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            try:
                server = socket.create_connection((HOST, self._target))
            except OSError:
                client.close()
                continue
            self._sockets.append(server)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            recording = Recording()
            self.connections.append(recording)
            self._spawn(self._pass_on, client, server, recording.from_client)
            self._spawn(self._pass_on, server, client, recording.from_server)

    def _pass_on(self, source: socket.socket, target: socket.socket, kept: bytearray) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 18):
                kept += data
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def recording_proxy(target: int) -> Iterator[RecordingProxy]:
    """A proxy on loopback in front of port `target`."""
    proxy = RecordingProxy(target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
