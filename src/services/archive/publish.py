"""Puts a finished temporary file into its place, or finds that the place is taken.

`link` gives a name only where there is none, so two publications of one instance meet at EEXIST and nothing
is ever replaced by accident. The name in `.incoming` stays until `release`: it is the journal of the
publication. Everything here blocks, for microseconds unless a duplicate has to be compared.

A SOP Instance UID that is held under another study or series has another path and cannot be seen from here: the
index finds it by its unique key, and then the publication is withdrawn.
"""

import os
import time
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct

from services.archive.data_directory import CLAIM, REPLACING, DataDirectory
from services.archive.disk import Disk
from services.archive.errors import InvalidFile, StorageError
from services.archive.part10 import read_file_header
from services.archive.transfer_syntaxes import DataSetEncoding, encoding_of

_COMPARED_AT_ONCE = 1 << 20  # bytes
_ATTEMPTS = 3
_CLAIM_WAIT = 1.0  # seconds


class Duplicates(StrEnum):
    """What happens to an instance whose place is taken."""

    KEEP = "keep"
    REPLACE = "replace"
    REJECT = "reject"


class Outcome(StrEnum):
    """How a publication ended.

    Attributes:
        STORED: the instance is new.
        REPLACED: it took the place of another one.
        DUPLICATE_EQUAL: the same bytes were stored already.
        DUPLICATE_DIFFERENT: something else is stored under its UIDs, and stays.
        REJECTED: something is stored under its UIDs and the policy takes no second one.
    """

    STORED = "stored"
    REPLACED = "replaced"
    DUPLICATE_EQUAL = "duplicate-equal"
    DUPLICATE_DIFFERENT = "duplicate-different"
    REJECTED = "rejected"


class Stored(Struct, frozen=True, gc=False):
    """An instance the archive has dealt with.

    Attributes:
        path: relative to the data directory.
        size: bytes of its data set.
        tolerated: what was let pass; see `Archive.receive`.
    """

    path: str
    outcome: Outcome
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    size: int
    tolerated: frozenset[str] = frozenset()


class Publication:
    """One finished temporary file on its way to its place.

    Args:
        fd: open for reading and writing; owned by the publication until it is released.
        name: in `.incoming`.
        path: where it goes, relative to the data directory.
        data_set_offset: where its data set begins, in bytes.
        size: of the data set, in bytes.
        values: raw values of the index attributes, by tag.

    Attributes:
        outcome: None until it is published.
        error: what went wrong, or None.
        made_directory: its directory was not there.
        claim: name of its journal entry where there are no hard links.
    """

    __slots__ = (
        "claim",
        "data_set_offset",
        "error",
        "fd",
        "made_directory",
        "name",
        "outcome",
        "path",
        "size",
        "sop_class_uid",
        "transfer_syntax_uid",
        "values",
    )

    def __init__(
        self,
        *,
        fd: int,
        name: str,
        path: str,
        sop_class_uid: str,
        transfer_syntax_uid: str,
        data_set_offset: int,
        size: int,
        values: dict[int, bytes],
    ) -> None:
        self.fd = fd
        self.name = name
        self.path = path
        self.sop_class_uid = sop_class_uid
        self.transfer_syntax_uid = transfer_syntax_uid
        self.data_set_offset = data_set_offset
        self.size = size
        self.values = values
        self.claim = ""
        self.made_directory = False
        self.outcome: Outcome | None = None
        self.error: Exception | None = None

    @property
    def directory(self) -> str:
        """Of its place, relative to the data directory."""
        return self.path.rpartition("/")[0]


class Publisher:
    """Publishes into one data directory.

    Args:
        directory: where.
        disk: the system calls.
        duplicates: what happens to an instance whose place is taken.
    """

    def __init__(self, directory: DataDirectory, disk: Disk, duplicates: Duplicates) -> None:
        self._directory = directory
        self._disk = disk
        self._duplicates = duplicates

    def try_publish(self, publication: Publication) -> bool:
        """Publish unless the place is taken; makes missing directories.

        Returns:
            False when something is stored there already: `publish` decides about it.

        Raises:
            OSError: it could not be published.
        """
        take = self._link if self._directory.hard_links else self._claim_and_rename
        try:
            taken = take(publication)
        except FileNotFoundError:
            self._make_directories(publication.directory)
            publication.made_directory = True
            taken = take(publication)
        if taken:
            publication.outcome = Outcome.STORED
        return taken

    def publish(self, publication: Publication) -> None:
        """Publish, or decide about a duplicate by the policy; says which in `publication.outcome`.

        Raises:
            OSError: it could not be published.
            StorageError: its place is neither free nor taken for long enough to tell.
        """
        for _ in range(_ATTEMPTS):
            if self.try_publish(publication):
                return
            try:
                publication.outcome = self._decide(publication)
            except FileNotFoundError:
                continue  # what was stored there has been removed meanwhile
            return
        raise StorageError(
            f"{publication.path} appears and disappears: is another program changing the archive?"
        )

    def withdraw(self, publication: Publication) -> None:
        """The index holds its SOP Instance UID under another study or series, or does not take it. Never raises.

        What was stored under that path before, which no index knows, is left to whoever looks for such files.
        """
        if publication.outcome is Outcome.STORED:
            with suppress(OSError):  # a file without a row, which is found by comparing the two
                self._disk.unlink(publication.path, dir_fd=self._directory.root_fd)
        publication.outcome = Outcome.DUPLICATE_DIFFERENT

    def release(self, publication: Publication) -> None:
        """Remove the journal entry of a publication and close its file. Never raises."""
        for name in (publication.name, publication.claim):
            if name:
                self._forget(name)
        self.close(publication)

    def close(self, publication: Publication) -> None:
        """Close the file of a publication and leave its journal entry. Never raises."""
        with suppress(OSError):  # every error that matters has been seen by the sync before
            self._disk.close(publication.fd)
        publication.fd = -1

    def _link(self, publication: Publication) -> bool:
        try:
            self._disk.link(
                publication.name,
                publication.path,
                src_dir_fd=self._directory.incoming_fd,
                dst_dir_fd=self._directory.root_fd,
            )
        except FileExistsError:
            return False
        return True

    def _claim_and_rename(self, publication: Publication) -> bool:
        """Without hard links a claim in `.incoming` is the exclusive name, and then the journal entry."""
        root = self._directory.root_fd
        os.stat(publication.directory, dir_fd=root)
        if not self._claim(publication):
            return False
        if _exists(publication.path, root):
            self._drop_claim(publication)
            return False
        try:
            self._rename(publication, publication.name)
        except OSError:
            self._drop_claim(publication)
            raise
        publication.name = ""
        return True

    def _claim(self, publication: Publication) -> bool:
        """False when something is published there; waits for a publication that is under way."""
        claim = sha256(publication.path.encode()).hexdigest()[:40] + CLAIM
        incoming = self._directory.incoming_fd
        deadline = time.monotonic() + _CLAIM_WAIT
        while True:
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                fd = self._disk.open(claim, flags, 0o600, dir_fd=incoming)
                break
            except FileExistsError:
                if _exists(publication.path, self._directory.root_fd):
                    return False
                if time.monotonic() > deadline:
                    raise StorageError(
                        f"{publication.path} is being published elsewhere and does not end"
                    ) from None
                time.sleep(0.001)
        publication.claim = claim
        try:
            self._disk.write(fd, publication.path.encode())
        except OSError:
            self._drop_claim(publication)
            raise
        finally:
            self._disk.close(fd)
        return True

    def _drop_claim(self, publication: Publication) -> None:
        self._forget(publication.claim)
        publication.claim = ""

    def _forget(self, name: str) -> None:
        with suppress(OSError):  # the next start removes it
            self._disk.unlink(name, dir_fd=self._directory.incoming_fd)

    def _rename(self, publication: Publication, name: str) -> None:
        self._disk.rename(
            name,
            publication.path,
            src_dir_fd=self._directory.incoming_fd,
            dst_dir_fd=self._directory.root_fd,
        )

    def _make_directories(self, path: str) -> None:
        parent, _, _ = path.rpartition("/")
        for directory in (parent, path):
            try:
                self._disk.mkdir(directory, 0o700, dir_fd=self._directory.root_fd)
            except FileExistsError:
                continue

    def _decide(self, publication: Publication) -> Outcome:
        match self._duplicates:
            case Duplicates.REJECT:
                return Outcome.REJECTED
            case Duplicates.REPLACE:
                self._replace(publication)
                return Outcome.REPLACED
            case Duplicates.KEEP:
                equal = self._is_stored(publication)
                return Outcome.DUPLICATE_EQUAL if equal else Outcome.DUPLICATE_DIFFERENT

    def _replace(self, publication: Publication) -> None:
        if not self._directory.hard_links:
            self._claim(publication)  # the journal entry; one that is there already stands for the same path
            self._rename(publication, publication.name)
            publication.name = ""
            return
        # The rename consumes a name, and the one in the journal has to stay.
        incoming = self._directory.incoming_fd
        second = publication.name + REPLACING
        self._disk.link(publication.name, second, src_dir_fd=incoming, dst_dir_fd=incoming)
        try:
            self._rename(publication, second)
        except OSError:
            self._forget(second)
            raise

    def _is_stored(self, publication: Publication) -> bool:
        """Whether the stored file has the same data set, transfer syntax and SOP class; then it is the one that counts.

        Data Set Trailing Padding of either means nothing (PS3.10 7.2), and not every tool sends it along. A stored
        file that cannot be understood is another one: nothing is overwritten because it is damaged.
        """
        fd = os.open(publication.path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory.root_fd)
        with open(fd, "rb") as stored:
            try:
                meta = read_file_header(stored)
            except InvalidFile:
                return False
            if (meta.transfer_syntax_uid, meta.sop_class_uid) != (
                publication.transfer_syntax_uid,
                publication.sop_class_uid,
            ):
                return False
            encoding = encoding_of(meta.transfer_syntax_uid)
            size = os.fstat(fd).st_size - meta.data_set_offset
            common = min(size, publication.size)
            if not (
                _same_bytes(fd, meta.data_set_offset, publication.fd, publication.data_set_offset, common)
                and _is_padding(fd, meta.data_set_offset + common, size - common, encoding)
                and _is_padding(
                    publication.fd,
                    publication.data_set_offset + common,
                    publication.size - common,
                    encoding,
                )
            ):
                return False
            # What the index is told is about the file that stays, whose header may be of another length.
            publication.data_set_offset, publication.size = meta.data_set_offset, size
            return True


def _exists(path: str, dir_fd: int) -> bool:
    try:
        os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _same_bytes(first: int, first_offset: int, second: int, second_offset: int, size: int) -> bool:
    for done in range(0, size, _COMPARED_AT_ONCE):
        count = min(_COMPARED_AT_ONCE, size - done)
        if os.pread(first, count, first_offset + done) != os.pread(second, count, second_offset + done):
            return False
    return True


def _is_padding(fd: int, offset: int, size: int, encoding: DataSetEncoding) -> bool:
    """Whether the rest of a data set is nothing, or one Data Set Trailing Padding (FFFC,FFFC) (PS3.10 7.2)."""
    if not size:
        return True
    if encoding.deflated:
        return False
    header = b"\xfc\xff\xfc\xff" if encoding.little_endian else b"\xff\xfc\xff\xfc"
    if not encoding.implicit_vr:
        header += b"OB\0\0"
    length = size - len(header) - 4
    header += max(length, 0).to_bytes(4, "little" if encoding.little_endian else "big")
    return length >= 0 and os.pread(fd, len(header), offset) == header
