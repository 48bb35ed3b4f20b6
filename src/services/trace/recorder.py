"""Records the associations of a server: one pcap file each, holding the PDUs as they were before TLS.

The event loop only hands over what it saw; redacting, formatting and writing happen in one thread
(`services.trace.recording`), behind a queue whose bytes are bounded. Whatever goes wrong there ends a recording,
never an association. Measured on two cores, over loopback, with C-ECHOs on another association meanwhile: 600 images of
512 KiB were stored in 1.09 s, recorded in 1.14 s, redacted in 1.41 s; 100 of them, out of memory as fast as they can
be sent, in 0.08 s, 0.20 s and 0.25 s. No C-ECHO took longer than 8 ms.
"""

import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from dimse.association import Association
from dul.enums import Event, Role
from dul.machine import Transition
from dul.observation import (
    ConnectionClosed,
    Discarded,
    Observation,
    Observer,
    PDUReceived,
    PDUSent,
)
from dul.provider import ServiceProvider
from services.trace.fields import Side
from services.trace.packets import Endpoint
from services.trace.recording import (
    RecordedBytes,
    RecordedEnd,
    Recording,
    RecordingOptions,
    Recordings,
    RecordingStart,
    Report,
)

MOST_QUEUED = 64 << 20
"""Bytes of memory that may wait to be written; an association that sends more meanwhile is recorded no further."""

_CLOSE_WITHIN = 10.0


class Recorder:
    """Makes the observers of a server's associations (`dul.provider.ProviderOptions.observe`).

    Args:
        options: where to, and how much.
        report: writes lines of the log; called in a thread.

    Raises:
        OSError: the directory cannot be made, or nothing can be written in it.
    """

    def __init__(self, options: RecordingOptions, report: Report) -> None:
        _make_directory(options.directory)
        self._queue: SimpleQueue[RecordedBytes | RecordedEnd | None] = SimpleQueue()
        self._put_bytes = 0
        self._recordings = Recordings(options, report)
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
        self._thread.start()

    def observe(self, provider: ServiceProvider) -> Observer:
        """An observer that records one association; its file is made when the first PDU is seen."""
        return _Observed(provider, self._put).observe

    def close(self) -> None:
        """Write what waits, and end; blocks, for at most ten seconds. Observers may still be told things."""
        self._queue.put(None)
        self._thread.join(_CLOSE_WITHIN)

    def _put(self, item: RecordedBytes | RecordedEnd) -> bool:
        """Hand over; False where too much is waiting."""
        if isinstance(item, RecordedBytes):
            # Each of the two is counted up in one thread only, so that no lock is needed.
            if self._put_bytes - self._recordings.taken_bytes > MOST_QUEUED:
                return False
            self._put_bytes += item.memory
        self._queue.put(item)
        return True

    def _write_all(self) -> None:
        while (item := self._queue.get()) is not None:
            self._recordings.take(item)
            if self._queue.empty():
                self._recordings.flush()
        self._recordings.close()


class _Observed:
    """One association as the loop sees it."""

    def __init__(self, provider: ServiceProvider, put: Callable[[RecordedBytes | RecordedEnd], bool]) -> None:
        self._provider = provider
        self._put = put
        self._opened_at = time.time()
        self._recording: Recording | None = None
        self._is_over = False

    def observe(self, observation: Observation) -> None:
        match observation:
            case PDUReceived(raw):
                self._take(self._peer_side, raw, is_pdu=True)
            case PDUSent(raw):
                self._take(self._peer_side.peer, raw, is_pdu=True)
            case Discarded(raw):
                self._take(self._peer_side, raw, is_pdu=False)
            case Transition(_, Event.Evt2 | Event.Evt5):
                self._opened_at = time.time()
            case ConnectionClosed(by_peer, broken):
                self._end(self._peer_side if by_peer else self._peer_side.peer, broken)

    @property
    def _peer_side(self) -> Side:
        return Side.REQUESTOR if self._provider.machine.role is Role.ACCEPTOR else Side.ACCEPTOR

    def _take(self, sender: Side, raw: bytes, *, is_pdu: bool) -> None:
        if self._is_over or not raw:
            return
        if self._recording is None:
            self._recording = Recording(self._start())
        if not self._put(RecordedBytes(self._recording, sender, raw, time.time(), is_pdu)):
            self._is_over = True  # what follows bytes that were left out would make no sense
            self._put(RecordedEnd(self._recording, None, time.time(), False, overrun=True))

    def _end(self, by: Side, broken: bool) -> None:
        if self._recording is not None and not self._is_over:
            self._put(RecordedEnd(self._recording, by, time.time(), broken))

    def _start(self) -> RecordingStart:
        provider = self._provider
        peer, local = _endpoint(provider.peer), _endpoint(provider.local)
        is_ours = self._peer_side is Side.ACCEPTOR
        return RecordingStart(
            number=provider.user.number if isinstance(provider.user, Association) else 0,
            requestor=local if is_ours else peer,
            acceptor=peer if is_ours else local,
            peer=peer,
            opened_at=self._opened_at,
        )


def _make_directory(directory: os.PathLike[str]) -> None:
    try:
        os.makedirs(directory, mode=0o700)
    except FileExistsError:
        if not os.path.isdir(directory):
            raise
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(13, os.strerror(13), str(directory))


def _endpoint(address: str) -> Endpoint:
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdigit() else (address, 0)
