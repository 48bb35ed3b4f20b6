"""Looks at received instances with the scanner of the archive: while they arrive, and when they lie in a folder."""

from pathlib import Path

from dimse import status
from dimse.errors import DimseError
from services.archive.errors import ArchiveError, InvalidUID, MissingUID
from services.archive.index_attributes import (
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from services.archive.invalid_data_set import InvalidDataSet
from services.archive.rescan import rescan
from services.archive.scanner import HeaderScanner
from services.archive.uids import check_uid
from services.retrieve.folder import Identity


class DataSetInspector:
    """An `Inspector` of `services.retrieve.folder`: walks the data set to its last byte.

    Args:
        transfer_syntax_uid: that of the presentation context; not the deflated one.
    """

    def __init__(self, transfer_syntax_uid: str) -> None:
        self._scanner = HeaderScanner(transfer_syntax_uid)

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes.

        Raises:
            DimseError: C000H, they are no data set.
        """
        try:
            self._scanner.feed(chunk)
        except InvalidDataSet as error:
            raise DimseError(status.CANNOT_UNDERSTAND, str(error)) from error

    def finish(self) -> Identity:
        """Say what it is.

        Raises:
            DimseError: C000H, it ends too early; A900H, it does not say what it is.
        """
        try:
            self._scanner.finish()
            return Identity(
                study_uid=self._uid("Study Instance UID", STUDY_INSTANCE_UID),
                series_uid=self._uid("Series Instance UID", SERIES_INSTANCE_UID),
                sop_class_uid=self._uid("SOP Class UID", SOP_CLASS_UID),
                sop_instance_uid=self._uid("SOP Instance UID", SOP_INSTANCE_UID),
            )
        except InvalidDataSet as error:
            raise DimseError(status.CANNOT_UNDERSTAND, str(error)) from error
        except (InvalidUID, MissingUID) as error:
            raise DimseError(status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, str(error)) from error

    def _uid(self, name: str, tag: int) -> str:
        uid = self._scanner.uid(tag)
        if not uid:
            raise MissingUID(f"the data set has no {name}")
        check_uid(name, uid)
        return uid


def is_whole(path: Path, sop_instance_uid: str) -> bool:
    """Whether a file is a whole Part 10 file of that instance: its structure is walked, long values are not read."""
    try:
        scanned = rescan(path)
    except (ArchiveError, OSError):
        return False
    return scanned.sop_instance_uid == sop_instance_uid and not scanned.truncated
