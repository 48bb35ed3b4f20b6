"""Received instances as Part 10 files in a folder (PS3.10 7), each whole or not there.

An instance is written to a temporary file while it arrives and gets its name once it is complete, checked, and one
that was asked for. Temporary files are locked while they are written, so that those of a program that was killed can be
told from those of one that runs, and are removed when the folder is opened next.

Nothing from the wire becomes part of a path but UIDs, each checked before. Nothing is synced: after a power failure,
`Folder.has` finds out which files are whole.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, TypeAlias

from msgspec import Struct

from dimse import status
from dimse.errors import DimseError
from dul.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from services.part10 import file_header
from services.printable import printable, shorten
from services.retrieve.requesting import is_uid
from services.storage import ReceivedInstance

Layout: TypeAlias = Literal["flat", "hierarchical"]
"""`<SOP Instance UID>.dcm`, or `<Study>/<Series>/<SOP Instance UID>.dcm`."""

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_TEMPORARY = ".part"


class Identity(Struct, frozen=True):
    """What a data set says that it is; each a UID."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str


class Inspector(Protocol):
    """Looks at one data set while it arrives."""

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes; raises a DimseError where they are no data set."""

    def finish(self) -> Identity:
        """Say what it is, at its end; raises a DimseError where it is not whole, or does not say."""


class FolderError(Exception):
    """The folder cannot be used, or not any more; the text names it and says what to do."""


class Folder:
    """Where received instances are kept.

    Args:
        directory: made where it does not exist.
        layout: how files are named.
        source_ae: the AE title that instances come from, which each file says.
        inspect: given a transfer syntax, makes what looks at a data set.
        is_whole: whether a file is whole and the instance of that UID.
        is_wanted: whether an instance was asked for; what was not is refused with 0124H.
        on_bytes: told of each piece that came, in bytes.
        on_kept: told the identity of each instance that is kept, and the bytes of its data set.
        on_refused: told the SOP Instance UID of each that is not, made printable, and why.
        on_failure: told when nothing more can be written.

    Attributes:
        directory: where.
        present: SOP Instance UIDs of what is known to be there whole.
        kept: how many instances came and were kept.
        size: of their data sets, in bytes.
        repeated: how many came that were there already; they are left as they are.
        refused: by SOP Instance UID, made printable: why it was not kept.
        failure: why nothing more can be written; None while it can.
    """

    def __init__(
        self,
        directory: Path,
        *,
        layout: Layout,
        source_ae: str,
        inspect: Callable[[str], Inspector],
        is_whole: Callable[[Path, str], bool],
        is_wanted: Callable[[Identity], bool] = lambda identity: True,
        on_bytes: Callable[[int], object] = lambda count: None,
        on_kept: Callable[[Identity, int], object] = lambda identity, size: None,
        on_refused: Callable[[str, str], object] = lambda uid, reason: None,
        on_failure: Callable[[], object] = lambda: None,
    ) -> None:
        self.directory = directory
        self.present: set[str] = set()
        self.kept = self.size = self.repeated = 0
        self.refused: dict[str, str] = {}
        self.failure: FolderError | None = None
        self._layout = layout
        self._source_ae = source_ae
        self._inspect = inspect
        self._is_whole = is_whole
        self._is_wanted = is_wanted
        self._on_bytes = on_bytes
        self._on_kept = on_kept
        self._on_refused = on_refused
        self._on_failure = on_failure

    def open(self) -> None:
        """Make the folder, see that files can be written there, and remove what a killed program left behind.

        Raises:
            FolderError: they cannot be.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            _remove_left_behind(self.directory)
            path, file = _new_temporary(self.directory)
            file.close()
            path.unlink()
        except OSError as error:
            raise self._explained(error) from error

    def path_of(self, study_uid: str, series_uid: str, sop_instance_uid: str) -> Path:
        """Where an instance belongs.

        Raises:
            ValueError: one of those that the layout needs is no UID.
        """
        flat = self._layout == "flat"
        uids = [sop_instance_uid] if flat else [study_uid, series_uid, sop_instance_uid]
        for uid in uids:
            if not is_uid(uid):
                raise ValueError(f"'{shorten(printable(uid))}' is no UID")
        return self.directory.joinpath(*uids[:-1], f"{sop_instance_uid}.dcm")

    def has(self, study_uid: str, series_uid: str, sop_instance_uid: str) -> bool:
        """Whether an instance is there already, whole.

        Raises:
            ValueError: see `path_of`.
        """
        path = self.path_of(study_uid, series_uid, sop_instance_uid)
        if not path.is_file() or not self._is_whole(path, sop_instance_uid):
            return False
        self.present.add(sop_instance_uid)
        return True

    async def receive(self, instance: ReceivedInstance) -> int:
        """Take one instance: the handler for `services.storage.Storage`.

        Raises:
            DimseError: 0117H, 0124H, A700H, A900H or C000H: why it is refused.
            services.data_stream.DataSetIncomplete: the association ended first.
        """
        try:
            return await self._receive(instance)
        except DimseError as error:
            self._refuse(instance.sop_instance_uid, error.comment)
            raise
        except OSError as error:
            self.failure = self._explained(error)
            self._on_failure()
            raise DimseError(status.OUT_OF_RESOURCES, "it cannot be written") from error

    async def _receive(self, instance: ReceivedInstance) -> int:
        for uid in (instance.sop_instance_uid, instance.sop_class_uid):
            if not is_uid(uid):
                raise DimseError(status.INVALID_SOP_INSTANCE, f"'{shorten(printable(uid))}' is no UID")
        temporary, file = _new_temporary(self.directory)
        try:
            with file:
                size, identity = await self._write(instance, file)
            self._check(instance, identity)
            self._publish(temporary, identity, size)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        return status.SUCCESS

    async def _write(self, instance: ReceivedInstance, file: BinaryIO) -> tuple[int, Identity]:
        inspector = self._inspect(instance.transfer_syntax_uid)
        size = 0
        file.write(
            file_header(
                instance.sop_class_uid,
                instance.sop_instance_uid,
                instance.transfer_syntax_uid,
                implementation_class_uid=IMPLEMENTATION_CLASS_UID,
                implementation_version_name=IMPLEMENTATION_VERSION_NAME,
                source_ae_title=self._source_ae,
            )
        )
        async for chunk in instance.chunks():
            inspector.feed(chunk)
            file.write(chunk)
            size += len(chunk)
            self._on_bytes(len(chunk))
        file.flush()
        return size, inspector.finish()

    def _check(self, instance: ReceivedInstance, identity: Identity) -> None:
        announced = instance.sop_class_uid, instance.sop_instance_uid
        if announced != (identity.sop_class_uid, identity.sop_instance_uid):
            raise DimseError(
                status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, "the data set is another instance than announced"
            )
        if not self._is_wanted(identity):
            raise DimseError(status.NOT_AUTHORIZED, "it was not asked for")

    def _publish(self, temporary: Path, identity: Identity, size: int) -> None:
        names = identity.study_uid, identity.series_uid, identity.sop_instance_uid
        path = self.path_of(*names)
        if self.has(*names):
            self.repeated += 1
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, path)
        self.present.add(identity.sop_instance_uid)
        self.kept += 1
        self.size += size
        self.refused.pop(identity.sop_instance_uid, None)
        self._on_kept(identity, size)

    def _refuse(self, sop_instance_uid: str, reason: str) -> None:
        uid = shorten(printable(sop_instance_uid))
        self.refused[uid] = reason
        self._on_refused(uid, reason)

    def _explained(self, error: OSError) -> FolderError:
        match error.errno:
            case code if code in _NO_ROOM:
                why = "there is no space left; free some and run the same again, which goes on from here"
            case errno.EACCES | errno.EPERM:
                why = "we may not write there; give another one with --output, or change its permissions"
            case errno.EROFS:
                why = "its file system is mounted read-only; give another one with --output"
            case errno.EEXIST | errno.ENOTDIR:
                why = "there is a file of that name, or of a name above; give another one with --output"
            case _:
                why = error.strerror or str(error)
        return FolderError(f"cannot write to the folder '{printable(str(self.directory))}': {why}")


def _new_temporary(directory: Path) -> tuple[Path, BinaryIO]:
    """A new file, locked for as long as it is open."""
    while True:
        path = directory / f".{secrets.token_hex(8)}{_TEMPORARY}"
        file = open(path, "xb", buffering=1 << 17)  # noqa: SIM115
        with suppress(OSError):  # some network file systems know no locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists():
            return path, file
        file.close()  # taken for left behind, between being made and being locked


def _remove_left_behind(directory: Path) -> None:
    """Remove the temporary files that nobody has locked."""
    for path in directory.glob(f".{'[0-9a-f]' * 16}{_TEMPORARY}"):
        with suppress(OSError), open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
