"""Files to be sent, and room for those that are stored."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from benchmarks import messages
from benchmarks.holdings import TOKEN, Numbered

_UID = "2.25.91" + TOKEN.decode()


def warm_up(directory: Path, size: int) -> None:
    """Write and remove as much as a measurement may: memory a virtual machine touches first is four times slower.

    Args:
        size: in bytes; counted in whole MiB.
    """
    file = directory / "warm-up"
    piece = bytes(1 << 20)
    try:
        with file.open("wb", buffering=0) as opened:
            for _ in range(size >> 20):
                opened.write(piece)
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def files_to_send(directory: Path, size: int, number: int) -> Iterator[Path]:
    """A folder with so many DICOM files of one series, the data set of each `size` bytes; gone after."""
    folder = directory / f"{number} files of {size}"
    folder.mkdir()
    values = {"StudyInstanceUID": "2.25.92", "SeriesInstanceUID": "2.25.93", "SOPInstanceUID": _UID}
    file = Numbered(_header() + messages.ct_image(size, values))
    try:
        for each in range(number):
            file.become(each)
            (folder / f"{each:05}.dcm").write_bytes(file.buffer)
        yield folder
    finally:
        shutil.rmtree(folder)


def _header() -> bytes:
    """What stands before the data set in a file (PS3.10)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(messages.CT_IMAGE_STORAGE)
    meta.MediaStorageSOPInstanceUID = UID(_UID)
    meta.TransferSyntaxUID = UID(messages.EXPLICIT_LE)
    meta.ImplementationClassUID = UID("2.25.94")
    written = DicomBytesIO()
    write_file_meta_info(written, meta)
    return bytes(128) + b"DICM" + bytes(written.getvalue())
