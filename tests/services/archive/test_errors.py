"""Which error of the operating system means what."""

import errno
import os
from sqlite3 import DatabaseError, IntegrityError, OperationalError

import pytest

from services.archive.errors import IndexUnavailable, OutOfStorage, StorageError, cause_of, storage_error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room(number: int) -> None:
    error = storage_error(OSError(number, os.strerror(number)), "write instance 1.2")
    assert isinstance(error, OutOfStorage)
    assert str(error) == f"could not write instance 1.2: {os.strerror(number)}"


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EMFILE, errno.EXDEV])
def test_everything_else_is_the_disk(number: int) -> None:
    assert isinstance(storage_error(OSError(number, os.strerror(number)), "sync"), StorageError)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (IndexUnavailable("it is not there"), "it is not there"),
        (OperationalError("database is locked"), "OperationalError: database is locked"),
        (
            OperationalError("deadlock detected\nCONTEXT: the name of a patient"),
            "OperationalError: deadlock detected",
        ),
        (OperationalError(""), "OperationalError"),
        (
            DatabaseError("database disk image is malformed"),
            "DatabaseError: database disk image is malformed",
        ),
        (IntegrityError("the name of a patient"), "IntegrityError"),
        (ValueError("the name of a patient"), "ValueError"),
    ],
)
def test_causes_name_no_patient(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause
