"""Instances as the index is told of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.archive.part10 import read_file_header
from services.archive.scanner import HeaderScanner

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
EXPLICIT_BE = "1.2.840.10008.1.2.2"


@dataclass(frozen=True)
class Sample:
    """An `Indexable`, with what most tests do not care about."""

    path: str = "1.2/1.3/1.4.dcm"
    values: dict[int, bytes] = field(default_factory=dict)
    sop_class_uid: str = CT_IMAGE_STORAGE
    transfer_syntax_uid: str = EXPLICIT_LE
    data_set_offset: int = 332
    size: int = 1000


def sample(
    instance: str,
    series: str = "1.3",
    study: str = "1.2",
    *,
    sop_class: str = CT_IMAGE_STORAGE,
    **values: Any,
) -> Sample:
    """An instance with the attributes that a person would name: `PatientName="Doe^John"`."""
    from pydicom.datadict import tag_for_keyword

    raw = {int(tag_for_keyword(keyword) or 0): str(value).encode() for keyword, value in values.items()}
    return Sample(f"{study}/{series}/{instance}.dcm", raw, sop_class_uid=sop_class)


def scanned(file: Path, *, place: str = "1.2/1.3/1.4.dcm") -> Sample:
    """A Part 10 file as a scan of it tells.

    Raises:
        InvalidDataSet: it cannot be scanned.
    """
    with file.open("rb") as opened:
        header = read_file_header(opened)
        opened.seek(header.data_set_offset)
        data = opened.read()
    scanner = HeaderScanner(header.transfer_syntax_uid)
    scanner.feed(data)
    scanner.finish()
    return Sample(
        place,
        dict(scanner.values),
        header.sop_class_uid,
        header.transfer_syntax_uid,
        header.data_set_offset,
        len(data),
    )
