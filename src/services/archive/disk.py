"""The system calls of the archive, in one place where a test can make any of them fail, stall or stop."""

import os
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Disk:
    """Every call that changes or syncs the data directory; each is called as its namesake in `os`."""

    open: Callable[..., int] = os.open
    write: Callable[..., int] = os.write
    writev: Callable[..., int] = os.writev
    close: Callable[[int], None] = os.close
    link: Callable[..., None] = os.link
    rename: Callable[..., None] = os.rename
    unlink: Callable[..., None] = os.unlink
    mkdir: Callable[..., None] = os.mkdir
    fdatasync: Callable[[int], None] = os.fdatasync
    fsync: Callable[[int], None] = os.fsync
    statvfs: Callable[[int], os.statvfs_result] = os.statvfs
