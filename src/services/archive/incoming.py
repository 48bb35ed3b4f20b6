"""An instance on its way in: its temporary file is written, and its header scanned, as the data arrives.

Everything is called from one thread, the one the data arrives in. While the volume is stalled the writes are
done by the volume's thread, in order, and the sender is paused when too much waits. No asyncio here.
"""

from collections.abc import Callable
from contextlib import suppress

from services.archive.data_directory import DataDirectory
from services.archive.disk import Disk
from services.archive.errors import InstanceTooLarge, storage_error
from services.archive.invalid_data_set import InvalidDataSet
from services.archive.publish import Publication
from services.archive.scanner import HeaderScanner
from services.archive.volume import Volume

HIGH_WATER = 1 << 20
"""Bytes of one instance that wait for the thread before its sender is paused."""

LOW_WATER = 256 << 10
"""Bytes at which its sender may go on."""

_CHEAP_TO_REMOVE = 64 << 20  # bytes; freeing the blocks of a longer file takes milliseconds


class IncomingInstance:
    """One instance being received; made by `Archive.receive`.

    Args:
        directory: whose `.incoming` the file is made in, with the first bytes.
        volume: the file system it lies on.
        disk: the system calls.
        header: what stands before the data set.
        sop_class_uid: announced for it.
        sop_instance_uid: announced for it.
        transfer_syntax_uid: its encoding.
        scanner: sees every byte of the data set.
        tolerate: what is let pass; see `Archive.receive`.
        maximum: longest data set, in bytes.
        pause: asks the sender to stop; called from `write`.
        resume: lets it go on; given to `post`, or called from `discard`.
        post: has something called in the thread the data arrives in; callable from any thread.
        ended: told once how it ended: None when it was discarded or handed over, else why it failed.
    """

    __slots__ = (
        "_closed",
        "_directory",
        "_disk",
        "_ended",
        "_error",
        "_fd",
        "_header",
        "_jobs",
        "_maximum",
        "_name",
        "_pause",
        "_paused",
        "_post",
        "_queued",
        "_resume",
        "_tolerate",
        "_volume",
        "scanner",
        "size",
        "sop_class_uid",
        "sop_instance_uid",
        "tolerated",
        "transfer_syntax_uid",
    )

    def __init__(
        self,
        directory: DataDirectory,
        volume: Volume,
        disk: Disk,
        *,
        header: bytes,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        scanner: HeaderScanner,
        tolerate: frozenset[str],
        maximum: int,
        pause: Callable[[], None],
        resume: Callable[[], None],
        post: Callable[[Callable[[], None]], None],
        ended: Callable[["IncomingInstance", Exception | None], None],
    ) -> None:
        self.sop_class_uid = sop_class_uid
        self.sop_instance_uid = sop_instance_uid
        self.transfer_syntax_uid = transfer_syntax_uid
        self.size = 0
        self.scanner = scanner
        self.tolerated: set[str] = set()
        self._tolerate = tolerate
        self._directory = directory
        self._volume = volume
        self._disk = disk
        self._header = header
        self._maximum = maximum
        self._pause = pause
        self._resume = resume
        self._post = post
        self._ended = ended
        self._fd = -1
        self._name = ""
        self._closed = False
        self._error: Exception | None = None
        self._jobs = 0  # handed to the thread and not done; under the volume's lock, as the next two
        self._queued = 0
        self._paused = False

    @property
    def written(self) -> bool:
        """Nothing waits for the volume's thread."""
        return not self._jobs

    def tolerates(self, switch: str) -> bool:
        """Whether something is let pass; noted in `tolerated` if it is."""
        if switch in self._tolerate:
            self.tolerated.add(switch)
        return switch in self._tolerate

    @property
    def data_set_offset(self) -> int:
        """Where the data set begins in the temporary file, in bytes."""
        return len(self._header)

    @property
    def temporary_path(self) -> str:
        """Of the temporary file, once something is written."""
        return f"{self._directory.path}/.incoming/{self._name}"

    def write(self, chunk: memoryview) -> None:
        """Take the next bytes of the data set. Blocks for one write at most.

        After an error the temporary file is gone, and every further call raises the same error.

        Args:
            chunk: read during the call only.

        Raises:
            InvalidDataSet: it is no data set, or one beyond the scanner's limits.
            InstanceTooLarge: more bytes than one instance may have.
            OutOfStorage: the disk is full.
            StorageError: the disk failed.
            ValueError: the instance was discarded or committed.
        """
        self.check()
        volume = self._volume
        length = len(chunk)
        try:
            if self.size + length > self._maximum:
                raise InstanceTooLarge(
                    f"the data set has more than {self._maximum} bytes, the most one instance may have"
                )
            self.scanner.feed(chunk)
            self.size += length
            if volume.stalled or self._jobs:
                self._hand_to_thread(bytes(chunk))
                return
            started = volume.clock()
            self._put(chunk, length)
            volume.took(started)
        except OSError as error:
            failure = storage_error(error, f"write instance {self.sop_instance_uid}")
            self.fail(failure)
            raise failure from error
        except (InvalidDataSet, InstanceTooLarge) as error:
            self.fail(error)
            raise

    def check(self) -> None:
        """Raise what went wrong, if anything did.

        Raises:
            ArchiveError: of an earlier call, or of a write in the volume's thread.
            InvalidDataSet: of an earlier call.
            ValueError: the instance was discarded or committed.
        """
        if self._error is not None:
            self.fail(self._error)
            raise self._error
        if self._closed:
            raise ValueError(f"instance {self.sop_instance_uid} was discarded or committed already")

    def discard(self) -> None:
        """Remove the temporary file; nothing of the instance remains. Allowed at any time, never raises."""
        if not self._closed:
            self._end(None)

    def fail(self, error: Exception) -> None:
        """Remove the temporary file because of an error, which every further call raises. Never raises."""
        self._error = error
        if not self._closed:
            self._end(error)

    def hand_over(self, path: str) -> Publication:
        """Give the finished file away; nothing waits for the thread and nothing failed.

        Args:
            path: where it is to be published.
        """
        self._closed = True
        self._ended(self, None)
        return Publication(
            fd=self._fd,
            name=self._name,
            path=path,
            sop_class_uid=self.sop_class_uid,
            transfer_syntax_uid=self.transfer_syntax_uid,
            data_set_offset=len(self._header),
            size=self.size,
            values=self.scanner.values,
        )

    def _put(self, chunk: memoryview | bytes, length: int) -> None:
        if self._fd >= 0:
            written = self._disk.write(self._fd, chunk)
            if written < length:
                self._put_rest(chunk[written:])
            return
        self._fd, self._name = self._directory.new_temporary()
        written = self._disk.writev(self._fd, (self._header, chunk))
        if written < len(self._header) + length:
            self._put_rest((self._header + bytes(chunk))[written:])

    def _put_rest(self, rest: memoryview | bytes) -> None:
        """A short write is followed by one that says why."""
        while rest:
            rest = rest[self._disk.write(self._fd, rest) :]

    def _hand_to_thread(self, chunk: bytes) -> None:
        with self._volume.lock:
            self._jobs += 1
            self._queued += len(chunk)
            pause = not self._paused and (self._queued > HIGH_WATER or self._volume.crowded)
            self._paused = self._paused or pause
        self._volume.submit(lambda: self._put_in_thread(chunk), len(chunk))
        if pause:
            self._pause()

    def _put_in_thread(self, chunk: bytes) -> None:
        try:
            if self._error is None and not self._closed:
                self._put(chunk, len(chunk))
        except OSError as error:
            self._error = storage_error(error, f"write instance {self.sop_instance_uid}")
        with self._volume.lock:
            self._jobs -= 1
            self._queued -= len(chunk)
            resume = self._paused and self._queued <= LOW_WATER
            if resume:
                self._paused = False
        if resume:
            self._post(self._resume)

    def _end(self, error: Exception | None) -> None:
        self._closed = True
        with self._volume.lock:
            resume, self._paused = self._paused, False
            queued = self._jobs > 0
        if resume:
            self._resume()
        if queued or self._volume.stalled or self.size > _CHEAP_TO_REMOVE:
            self._volume.submit(self._remove)
        else:
            self._remove()
        self._ended(self, error)

    def _remove(self) -> None:
        if self._fd < 0:
            return
        with suppress(OSError):  # the next start removes it
            self._disk.unlink(self._name, dir_fd=self._directory.incoming_fd)
        with suppress(OSError):  # what it may say about the data no longer matters
            self._disk.close(self._fd)
        self._fd = -1
