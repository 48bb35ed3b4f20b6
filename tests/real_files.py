"""Real DICOM files, offline: those that pydicom and pydicom-data ship."""

import functools
from pathlib import Path

import data_store
import pydicom

_FOLDERS = (Path(pydicom.__file__).parent / "data", Path(data_store.__file__).parent / "data")


@functools.cache
def real_files() -> tuple[Path, ...]:
    """Every one with a Part 10 header (PS3.10 7.1), sorted; some are damaged on purpose behind it."""
    files = (file for folder in _FOLDERS for file in folder.rglob("*") if file.is_file())
    return tuple(sorted(file for file in files if _has_part_10_header(file)))


def real_file(name: str) -> Path:
    """The real file of that name, such as "CT_small.dcm"."""
    return next(file for file in real_files() if file.name == name)


def _has_part_10_header(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(132)[128:] == b"DICM"
