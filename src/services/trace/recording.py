"""The recordings of a server on disk: one pcap file for each association, and bounds on all of them.

Everything here runs in the recorder's thread. A file that cannot be written ends that recording with one line in the
log; a disk that stays full says so once.
"""

import os
import re
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from services.trace.fields import Side
from services.trace.packets import Endpoint
from services.trace.pcap_writer import PCAP_HEADER, PcapConnection
from services.trace.redact import Redacted, Redactor, blank_user_identity

_FLUSH_AT = 1 << 18
_FILE_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\d{6,}-[0-9A-Za-z.-]+-\d+\.pcap")

Report: TypeAlias = Callable[[str, dict[str, object]], object]
"""Writes a line of the log: an event and its fields."""


ITEM_MEMORY = 400
"""What a `RecordedBytes` takes beside its data, roughly, in bytes."""


class RecordingOptions(Struct, frozen=True, kw_only=True):
    """What is recorded, and how much of the disk it may take; sizes in bytes.

    Attributes:
        directory: where the files are.
        redact: blank identifiers (`services.trace.redact`).
        max_file_size: of one recording; its association goes on without it.
        max_files: in the directory; the oldest is deleted.
        max_total_size: of all of them; the oldest are deleted.
    """

    directory: Path
    redact: bool = False
    max_file_size: int = 64 << 20
    max_files: int = 1000
    max_total_size: int = 1 << 30


class RecordingStart(Struct, frozen=True, kw_only=True):
    """What is known of an association when its first PDU is seen.

    Attributes:
        number: its number in the log.
        requestor, acceptor: addresses of both ends.
        peer: that of the two which is not ours.
        opened_at: seconds since 1970.
    """

    number: int
    requestor: Endpoint
    acceptor: Endpoint
    peer: Endpoint
    opened_at: float


class Recording:
    """One association's file, and what is formatted and not yet written to it."""

    def __init__(self, start: RecordingStart) -> None:
        self.start = start
        self.path: Path | None = None  # once it is begun
        self.size = 0
        self.pieces: list[bytes] = []
        self.pending = 0
        self.redactor: Redactor | None = None
        self.connection = PcapConnection(self.append, start.requestor, start.acceptor)

    def append(self, data: bytes) -> None:
        """Take formatted bytes."""
        self.pieces.append(data)
        self.pending += len(data)

    def take_pending(self) -> bytes:
        """Give out the formatted bytes."""
        data = b"".join(self.pieces)
        self.pieces.clear()
        self.pending = 0
        return data


class RecordedBytes(Struct, frozen=True):
    """Bytes that one side sent; `is_pdu` is False where it is known that they are none."""

    recording: Recording
    sender: Side
    data: bytes
    at: float
    is_pdu: bool

    @property
    def memory(self) -> int:
        """What it takes while it waits, in bytes: of the smallest PDUs most is not their data."""
        return len(self.data) + ITEM_MEMORY


class RecordedEnd(Struct, frozen=True):
    """The end of a recording: the connection was closed by one side, or, on `overrun`, bytes had to be left out."""

    recording: Recording
    by: Side | None
    at: float
    broken: bool
    overrun: bool = False


class Recordings:
    """All files of a directory.

    Attributes:
        taken_bytes: the memory of all that were taken so far (`RecordedBytes.memory`); may be read in another thread.
    """

    def __init__(self, options: RecordingOptions, report: Report) -> None:
        self._options = options
        self._report = report
        self._key = secrets.token_bytes(32)
        self._open: dict[Recording, None] = {}
        self._kept: deque[tuple[Path, int]] = deque(_found(options.directory))
        self._total = sum(size for _, size in self._kept)
        self._failing = False
        self.taken_bytes = 0

    def take(self, item: RecordedBytes | RecordedEnd) -> None:
        """Format what was seen, and write it where enough has come together. Never raises."""
        recording = item.recording
        try:
            if isinstance(item, RecordedBytes):
                self.taken_bytes += item.memory
                self._add(item)
            elif recording in self._open:
                self._end(item)
            if recording.pending >= _FLUSH_AT:
                self._write(recording)
        except OSError as error:
            self._fail(recording, error)
        except Exception as error:  # a defect of ours, which nobody else shall suffer from
            self._stop(recording, f"a defect of this server: {error!r}")

    def flush(self) -> None:
        """Write everything that is formatted, so that who reads a recording while it grows sees it."""
        for recording in tuple(self._open):
            if recording.pending:
                try:
                    self._write(recording)
                except OSError as error:
                    self._fail(recording, error)

    def close(self) -> None:
        """Write everything; an association that is still open has no end in its file."""
        for recording in tuple(self._open):
            if recording.redactor is not None:
                self._format(recording, recording.redactor.finish())
        self.flush()
        for recording in tuple(self._open):
            self._close(recording)

    # -- one recording

    def _add(self, item: RecordedBytes) -> None:
        recording = item.recording
        if recording.path is None:
            self._begin(recording)
        if recording not in self._open:
            return
        data = blank_user_identity(item.data)
        if recording.redactor is None:
            self._format(recording, [Redacted(item.sender, data, item.at)])
        else:
            self._format(recording, recording.redactor.feed(item.sender, data, item.at, is_pdu=item.is_pdu))

    def _begin(self, recording: Recording) -> None:
        recording.path = self._options.directory / _file_name(recording.start)
        if len(self._open) >= self._options.max_files:
            self._stop(recording, "as many recordings as trace.maxFiles are open")
            return
        self._make_room(files=1)
        os.close(os.open(recording.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._open[recording] = None
        recording.redactor = Redactor(self._key) if self._options.redact else None
        recording.append(PCAP_HEADER)
        recording.connection.opened(recording.start.opened_at)

    def _format(self, recording: Recording, ready: list[Redacted]) -> None:
        for piece in ready:
            if recording.size + recording.pending + len(piece.data) > self._options.max_file_size:
                self._stop(recording, "trace.maxFileSize is reached")
                return
            recording.connection.data(piece.sender, piece.data, piece.at)

    def _end(self, item: RecordedEnd) -> None:
        recording = item.recording
        if recording.redactor is not None:
            self._format(recording, recording.redactor.finish())
        if item.overrun:
            self._stop(recording, "too much waits to be written: the disk is too slow")
        elif recording in self._open:
            recording.connection.closed(item.by, item.at, reset=item.broken)
            self._write(recording)
            self._close(recording)

    def _close(self, recording: Recording) -> None:
        recording.take_pending()
        if recording in self._open and recording.path is not None:
            del self._open[recording]
            self._kept.append((recording.path, recording.size))

    def _stop(self, recording: Recording, cause: str) -> None:
        """Record this association no further; what was formatted is still written."""
        with suppress(OSError):
            if recording in self._open:
                self._append_to_file(recording)
        self._close(recording)
        start = recording.start
        self._report(
            "an association is recorded no further",
            {"association": start.number, "file": str(recording.path), "cause": cause},
        )

    def _fail(self, recording: Recording, error: OSError) -> None:
        """One line for as long as it goes on failing; each association tries anew."""
        if recording in self._open and not recording.size:
            # Nothing is in it, and it shall not push out one that has something.
            del self._open[recording]
            _unlink(recording.path)
        self._close(recording)
        if not self._failing:
            self._failing = True
            self._report(
                "associations are not recorded until this is mended",
                {"file": str(recording.path), "cause": error.strerror or str(error)},
            )

    # -- the disk

    def _write(self, recording: Recording) -> None:
        self._append_to_file(recording)
        self._failing = False
        self._make_room(files=0)
        if self._total > self._options.max_total_size:
            self._stop(recording, "the recordings that are open reach trace.maxTotalSize")

    def _append_to_file(self, recording: Recording) -> None:
        """Opened for each write, so that associations that pause hold no file open."""
        assert recording.path is not None
        data = memoryview(recording.take_pending())
        file = os.open(recording.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            while data:
                written = os.write(file, data)
                recording.size += written
                self._total += written
                data = data[written:]
        finally:
            os.close(file)

    def _make_room(self, *, files: int) -> None:
        """Delete the oldest recordings, but none that is open, until there is room for so many files more."""
        options = self._options
        while self._kept and (
            len(self._kept) + len(self._open) + files > options.max_files
            or self._total > options.max_total_size
        ):
            path, size = self._kept.popleft()
            self._total -= size
            _unlink(path)


def _unlink(path: Path | None) -> None:
    if path is not None:
        with suppress(
            OSError
        ):  # somebody was quicker, or took our right to: nothing can be done about it here
            path.unlink()


def _found(directory: Path) -> list[tuple[Path, int]]:
    """Recordings of earlier runs, oldest first; other files are not ours."""
    paths = sorted(path for path in directory.iterdir() if _FILE_NAME.fullmatch(path.name))
    return [(path, path.stat().st_size) for path in paths if path.is_file() and not path.is_symlink()]


def _file_name(start: RecordingStart) -> str:
    """From the time, the association's number and the peer's address: nothing the peer says is in it."""
    milliseconds = round(start.opened_at * 1000)
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(milliseconds // 1000))
    host = re.sub(r"[^0-9A-Za-z.]", "-", start.peer[0])
    return f"{stamp}.{milliseconds % 1000:03d}Z-{start.number:06d}-{host}-{start.peer[1]}.pcap"
