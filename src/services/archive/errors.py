"""What can go wrong between a data set and the archive: one class per cause.

    ArchiveError
    +-- InvalidUID            not a UID that may name anything here
    +-- MissingUID            the data set lacks a UID it is filed under
    +-- UIDMismatch           the data set names another instance or class than announced
    +-- InvalidDataSet        the data set cannot be read; see `invalid_data_set.py`
    +-- InstanceTooLarge      more bytes than one instance may have
    +-- OutOfStorage          no room: disk full, quota reached, reserve touched
    +-- StorageError          the disk failed, or is not trusted since it did
    |   +-- NotIndexed        the index could not be told, so that nobody knows whether it has the instance
    +-- InvalidFile           a stored file is no Part 10 file
    +-- NotRecordable         the index does not take what the data set says
    +-- DataDirectoryError    the data directory cannot be used
        +-- DataDirectoryInUse    another server uses it

The archive knows no DIMSE: whoever answers a peer maps each class to a status.
"""

import errno

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class ArchiveError(Exception):
    """Base of every error the archive raises on purpose."""


class IndexUnavailable(ArchiveError):
    """The database of the index cannot be used; the text names it, without its password, and says what to do."""


class IndexDamaged(IndexUnavailable):
    """SQLite says of the file that keeps the index that it is no database, or malformed."""


class InvalidUID(ArchiveError):
    """A text that is no UID (PS3.5 9.1), so that no path is made of it."""


class MissingUID(ArchiveError):
    """The data set lacks SOP Class, SOP Instance, Study Instance or Series Instance UID, or it is empty."""


class UIDMismatch(ArchiveError):
    """SOP Class or SOP Instance UID of the data set is not the announced one (PS3.4 B.2.3)."""


class InstanceTooLarge(ArchiveError):
    """The data set has more bytes than the archive takes for one instance."""


class OutOfStorage(ArchiveError):
    """There is no room for the instance; a later attempt may find some."""


class StorageError(ArchiveError):
    """The disk refused an operation, or is not trusted any more because it did."""


class NotIndexed(StorageError):
    """The index could not be told of an instance; whether it has a row will be seen at the next start."""


class NotRecordable(ArchiveError):
    """The database of the index does not take what a data set says; nothing was recorded of it, and never will be."""


class InvalidFile(ArchiveError):
    """A file is not in the DICOM file format (PS3.10 7)."""


class DataDirectoryError(ArchiveError):
    """The data directory cannot be used by this server."""


class DataDirectoryInUse(DataDirectoryError):
    """Another server has locked the data directory."""


def cause_of(error: BaseException) -> str:
    """Why a database failed, in one line that may be logged: without statements and values, which may name patients.

    Args:
        error: ours, or a driver's.
    """
    if isinstance(error, ArchiveError):
        return str(error)
    name = type(error).__name__
    # SQLite's own complaints, damage among them, are of the very class DatabaseError.
    if name != "DatabaseError" and not any(
        kind.__name__ == "OperationalError" for kind in type(error).__mro__
    ):
        return name
    first = str(error).strip().partition("\n")[0]
    return f"{name}: {first}" if first else name


def storage_error(error: OSError, doing: str) -> OutOfStorage | StorageError:
    """The archive's error for one of the operating system.

    Args:
        error: what the system call raised.
        doing: what was attempted, as in "could not <doing>".
    """
    text = f"could not {doing}: {error.strerror or error}"
    return OutOfStorage(text) if error.errno in _NO_ROOM else StorageError(text)
