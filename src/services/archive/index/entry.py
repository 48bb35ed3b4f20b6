"""What the index is told of a stored instance (PS3.4 C.6)."""

from collections.abc import Mapping
from enum import Enum
from typing import Protocol


class Indexable(Protocol):
    """A published instance: what a scan of its data set said, and where its file is.

    Attributes:
        path: of its file, relative to the data directory: `<study>/<series>/<instance>.dcm`.
        data_set_offset: where the data set begins in the file, in bytes.
        size: of the data set, in bytes.
        values: raw values of the index attributes by tag (`archive.index_attributes`), as they stood in the data set.
    """

    @property
    def path(self) -> str: ...
    @property
    def sop_class_uid(self) -> str: ...
    @property
    def transfer_syntax_uid(self) -> str: ...
    @property
    def data_set_offset(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def values(self) -> Mapping[int, bytes]: ...


class Recorded(Enum):
    """What became of an instance that the index was told of.

    Attributes:
        NEW: it has a row now.
        KNOWN: it had one, of the same study and series; the row says what was told last.
        ELSEWHERE: its SOP Instance UID is held under another study or series; nothing was changed.
    """

    NEW = "new"
    KNOWN = "known"
    ELSEWHERE = "elsewhere"
