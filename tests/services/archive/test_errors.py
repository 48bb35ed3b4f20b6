"""Which error of the operating system means what."""

import errno
import os

import pytest

from services.archive.errors import OutOfStorage, StorageError, storage_error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room(number: int) -> None:
    error = storage_error(OSError(number, os.strerror(number)), "write instance 1.2")
    assert isinstance(error, OutOfStorage)
    assert str(error) == f"could not write instance 1.2: {os.strerror(number)}"


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EMFILE, errno.EXDEV])
def test_everything_else_is_the_disk(number: int) -> None:
    assert isinstance(storage_error(OSError(number, os.strerror(number)), "sync"), StorageError)
