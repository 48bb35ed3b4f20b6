"""The archive as the rest of the program sees it: instances go in, and what became of each comes back.

This is the only file of the archive that awaits anything. Everything of one archive is used from one event
loop at a time.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from services.archive.commits import Commits, Statistics, resolve
from services.archive.committer import Durability, Record, RecordLater
from services.archive.data_directory import DataDirectory, Repair
from services.archive.disk import Disk
from services.archive.errors import (
    ArchiveError,
    MissingUID,
    StorageError,
    UIDMismatch,
    storage_error,
)
from services.archive.fallback import scan_deflated
from services.archive.incoming import IncomingInstance
from services.archive.index_attributes import (
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from services.archive.invalid_data_set import InvalidDataSet, TruncatedDataSet
from services.archive.layouts import LayoutMemory
from services.archive.part10 import file_header
from services.archive.paths import instance_path
from services.archive.publish import Duplicates, Publication, Publisher, Stored
from services.archive.recovery import recover
from services.archive.rescan import Rescanned
from services.archive.scanner import HeaderScanner
from services.archive.uids import check_uid
from services.archive.volume import Volume

MAXIMUM_INSTANCE_BYTES = 8 << 30
MAXIMUM_DEPTH = 64
MAXIMUM_ELEMENTS = 1_000_000  # an enhanced object has some fifty for each of its thousands of frames
FREE_SPACE_RESERVE = 256 << 20


class Archive:
    """An open archive; made by `open`, ended by `close`.

    Attributes:
        path: the data directory, absolute.
        durability: what an acknowledged instance survives.
        duplicates: what happens to an instance that is stored already.
        statistics: counts since it was opened.
        repair: what an earlier server had left unfinished.
    """

    def __init__(
        self,
        directory: DataDirectory,
        *,
        implementation_class_uid: str,
        implementation_version_name: str,
        durability: Durability,
        duplicates: Duplicates,
        max_instance_bytes: int,
        free_space_reserve: int,
        max_depth: int,
        max_elements: int,
        disk: Disk,
        record: Record | None,
        records_inline: bool,
        record_later: RecordLater | None,
    ) -> None:
        self.path = directory.path
        self.durability = durability
        self.duplicates = duplicates
        self.statistics = Statistics()
        self.repair: Repair = directory.repair
        self._directory = directory
        self._implementation = (implementation_class_uid, implementation_version_name)
        self._max_instance_bytes = max_instance_bytes
        self._scan_limits = {"max_depth": max_depth, "max_elements": max_elements}
        self._layouts = LayoutMemory()
        self._disk = disk
        self._volume = Volume(
            str(directory.path), directory.root_fd, disk, reserve=free_space_reserve, probe=directory.probe
        )
        self._commits = Commits(
            directory,
            self._volume,
            disk,
            Publisher(directory, disk, duplicates),
            durability,
            self.statistics,
            record=record,
            records_inline=records_inline,
            record_later=record_later,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._receiving: set[IncomingInstance] = set()
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | Path | DataDirectory,
        *,
        implementation_class_uid: str,
        implementation_version_name: str,
        durability: Durability | str = Durability.POWER,
        duplicates: Duplicates | str = Duplicates.KEEP,
        max_instance_bytes: int = MAXIMUM_INSTANCE_BYTES,
        free_space_reserve: int = FREE_SPACE_RESERVE,
        max_depth: int = MAXIMUM_DEPTH,
        max_elements: int = MAXIMUM_ELEMENTS,
        disk: Disk | None = None,
        record: Record | None = None,
        records_inline: bool = True,
        record_later: RecordLater | None = None,
    ) -> "Archive":
        """Open the archive in a data directory, and repair what an earlier server left behind. Blocks.

        Args:
            path: the data directory; made if it is absent. One that is open already belongs to the archive
                from now on, and is repaired where it has to be.
            implementation_class_uid: who writes the files (PS3.10 7.1).
            implementation_version_name: 1 to 16 characters.
            durability: what is reached before `commit` returns.
            duplicates: what happens to an instance that is stored already.
            max_instance_bytes: longest data set.
            free_space_reserve: bytes of the volume that stay free; nothing new is taken below.
            max_depth: sequences inside sequences.
            max_elements: of one data set, those in sequences included.
            disk: the system calls; those of the operating system by default.
            record: see `Committer`; also told of what an earlier server published and may not have recorded.
            records_inline: `record` takes microseconds at `process`, so that it may be called in the loop's thread;
                otherwise it is called in the committer's, as at `power`.
            record_later: does what `record` does, at `process` and for the loop's thread; finished when the archive
                is closed.

        Raises:
            DataDirectoryError: another server uses the directory, or it cannot be used; or what an earlier server
                left behind could not be recorded.
            ValueError: `durability` or `duplicates` is no such word.
        """
        calls = disk or Disk()
        level, policy = Durability(durability), Duplicates(duplicates)
        if isinstance(path, DataDirectory):
            directory = path
        else:
            directory = DataDirectory.open(path, disk=calls, keep_published=record is not None)
            if record is not None:
                try:
                    directory.repair = recover(directory, record)
                except BaseException:
                    directory.close()
                    raise
        return cls(
            directory,
            implementation_class_uid=implementation_class_uid,
            implementation_version_name=implementation_version_name,
            durability=level,
            duplicates=policy,
            max_instance_bytes=max_instance_bytes,
            free_space_reserve=free_space_reserve,
            max_depth=max_depth,
            max_elements=max_elements,
            disk=calls,
            record=record,
            records_inline=records_inline,
            record_later=record_later,
        )

    @property
    def stalled(self) -> bool:
        """The disk is slow now, and writes go through a thread."""
        return self._volume.stalled

    @property
    def suspect(self) -> str:
        """Why nothing new is taken, or empty."""
        return self._volume.suspect

    def receive(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        *,
        source_ae_title: str,
        pause: Callable[[], None],
        resume: Callable[[], None],
        tolerate: frozenset[str] = frozenset(),
    ) -> IncomingInstance:
        """Begin to receive an instance; ends with `commit` or with the instance's `discard`.

        Args:
            sop_class_uid: announced for it, without padding.
            sop_instance_uid: announced for it, without padding.
            transfer_syntax_uid: of its data set.
            source_ae_title: who sends it; kept in the file.
            pause: called, in the loop's thread, when the disk cannot keep up with the sender.
            resume: called, in the loop's thread, when the sender may go on; each follows a `pause`.
            tolerate: what to let pass, as long as the data set has its UIDs: "truncated-data" (it ends inside an
                element; not when deflated), "mismatched-vr" (Implicit VR where the transfer syntax says
                Explicit VR, or the reverse).

        Raises:
            InvalidUID: one of the three is no UID.
            OutOfStorage: the volume is nearly full.
            StorageError: the volume is not trusted since a sync failed, or the archive is closed.
        """
        self._loop = asyncio.get_running_loop()
        try:
            if self._closed:
                raise StorageError(f"the archive in {self.path} is closed")
            check_uid("SOP Class UID", sop_class_uid)
            check_uid("SOP Instance UID", sop_instance_uid)
            check_uid("Transfer Syntax UID", transfer_syntax_uid)
            self._volume.admit()
        except ArchiveError:
            self.statistics.refused += 1
            raise
        implementation_class_uid, implementation_version_name = self._implementation
        incoming = IncomingInstance(
            self._directory,
            self._volume,
            self._disk,
            header=file_header(
                sop_class_uid,
                sop_instance_uid,
                transfer_syntax_uid,
                implementation_class_uid=implementation_class_uid,
                implementation_version_name=implementation_version_name,
                source_ae_title=source_ae_title,
            ),
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            scanner=HeaderScanner(
                transfer_syntax_uid,
                recall=self._layouts.recall(sop_class_uid, transfer_syntax_uid),
                **self._scan_limits,
            ),
            tolerate=tolerate,
            maximum=self._max_instance_bytes,
            pause=pause,
            resume=resume,
            post=self._post,
            ended=self._ended,
        )
        self._receiving.add(incoming)
        return incoming

    async def commit(self, incoming: IncomingInstance) -> Stored:
        """Check an instance, and publish it at the durability of the archive.

        When it raises, or is cancelled while it checks, the temporary file is removed. Cancelled while it
        publishes, the instance may be stored or not.

        Args:
            incoming: whose data set has ended.

        Returns:
            where it is, and how the publication ended; `Stored.outcome` may say that another one was kept.

        Raises:
            InvalidDataSet: the data set is malformed, or ends inside an element.
            MissingUID: the data set lacks a UID it is filed under.
            UIDMismatch: the data set is another instance than announced.
            InvalidUID: its Study or Series Instance UID is no UID.
            OutOfStorage: the disk is full.
            StorageError: the disk failed.
        """
        self._loop = asyncio.get_running_loop()
        try:
            if not incoming.written:
                await self._after_writes()
            incoming.check()
            study, series = await self._identify(incoming)
            path = instance_path(study, series, incoming.sop_instance_uid)
            incoming.check()  # it may have been discarded while it was scanned
        except ArchiveError as error:
            incoming.fail(error)
            raise
        except BaseException:
            incoming.discard()
            raise
        return await self._conclude(incoming.hand_over(path), frozenset(incoming.tolerated))

    async def adopt(self, file: Path, instance: Rescanned) -> Stored:
        """Publish a file that lies in the same file system, under a second name instead of as a copy.

        Args:
            file: whole, and a DICOM file that nobody changes any more.
            instance: what `rescan` says of it.

        Raises:
            OSError: it can have no second name here.
            OutOfStorage: the volume is nearly full.
            StorageError: the disk failed, or the archive is closed.
        """
        self._loop = asyncio.get_running_loop()
        if self._closed:
            raise StorageError(f"the archive in {self.path} is closed")
        self._volume.admit()
        fd, name = self._directory.link_temporary(file)
        publication = Publication(
            fd=fd,
            name=name,
            path=instance.path,
            sop_class_uid=instance.sop_class_uid,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            data_set_offset=instance.data_set_offset,
            size=instance.size,
            values=dict(instance.values),
        )
        return await self._conclude(publication)

    async def _conclude(self, publication: Publication, tolerated: frozenset[str] = frozenset()) -> Stored:
        """Publish, and say how that ended."""
        await self._commits.publish(publication, alone=not self._receiving)
        if publication.error is not None or publication.outcome is None:
            raise publication.error or StorageError(f"{publication.path} was not published")
        study, series, name = publication.path.split("/")
        return Stored(
            path=publication.path,
            outcome=publication.outcome,
            study_instance_uid=study,
            series_instance_uid=series,
            sop_instance_uid=name.removesuffix(".dcm"),
            sop_class_uid=publication.sop_class_uid,
            transfer_syntax_uid=publication.transfer_syntax_uid,
            size=publication.size,
            tolerated=tolerated,
        )

    def close(self) -> None:
        """Discard what is being received, finish what is being committed, let the directory go. Blocks."""
        if self._closed:
            return
        self._closed = True
        for incoming in tuple(self._receiving):
            incoming.discard()
        self._commits.close()
        self._volume.close()
        self._directory.close()

    async def _after_writes(self) -> None:
        """Wait until the volume's thread has done what it was given so far."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._volume.submit(lambda: self._post(lambda: resolve(done)))
        await done

    async def _identify(self, incoming: IncomingInstance) -> tuple[str, str]:
        """Finish the scan and hold the data set against what was announced; its study and series."""
        if incoming.scanner.needs_fallback and incoming.size:
            await _scan_again(incoming, self._scan_limits)
        scanner = incoming.scanner
        try:
            scanner.finish()
        except TruncatedDataSet:
            if not incoming.tolerates("truncated-data"):
                raise
        if scanner.mismatched and not incoming.tolerates("mismatched-vr"):
            raise InvalidDataSet(
                f"the data set is not encoded as transfer syntax {incoming.transfer_syntax_uid} says: "
                "Implicit VR in place of Explicit VR, or the other way round"
            )
        for tag, name, announced in (
            (SOP_CLASS_UID, "SOP Class UID", incoming.sop_class_uid),
            (SOP_INSTANCE_UID, "SOP Instance UID", incoming.sop_instance_uid),
        ):
            if _present(scanner.uid(tag), name) != announced:
                raise UIDMismatch(
                    f"{name} differs from the command's: "
                    f"the data set has {scanner.uid(tag)[:64]!r}, announced was {announced!r}"
                )
        return (
            _present(scanner.uid(STUDY_INSTANCE_UID), "Study Instance UID"),
            _present(scanner.uid(SERIES_INSTANCE_UID), "Series Instance UID"),
        )

    def _post(self, call: Callable[[], None]) -> None:
        """Have something called in the loop's thread; a loop that has ended waits for nothing."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(call)

    def _ended(self, incoming: IncomingInstance, error: Exception | None) -> None:
        self._receiving.discard(incoming)
        if error is not None:
            self.statistics.refused += 1


async def _scan_again(incoming: IncomingInstance, limits: dict[str, int]) -> None:
    """Scan a data set from its temporary file, in a thread."""
    try:
        incoming.scanner = await asyncio.to_thread(
            scan_deflated, incoming.temporary_path, offset=incoming.data_set_offset, **limits
        )
    except OSError as error:
        raise storage_error(error, f"read instance {incoming.sop_instance_uid} again") from error


def _present(uid: str, name: str) -> str:
    if not uid:
        raise MissingUID(f"the data set has no {name}")
    return uid
