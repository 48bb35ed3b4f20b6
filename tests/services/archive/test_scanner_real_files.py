"""The scanner agrees with pydicom on every real file: those of pydicom, of pydicom-data, and our own."""

import random
import zlib
from io import BytesIO
from pathlib import Path

import data_store
import pydicom
import pytest
from pydicom.filereader import _read_file_meta_info

from pydicom_agreement import assert_same_values, read_by_pydicom
from services.archive.fallback import scan_deflated
from services.archive.invalid_data_set import InvalidDataSet, TruncatedDataSet
from services.archive.scanner import HeaderScanner

FOLDERS = [
    Path(pydicom.__file__).parent / "data",
    Path(data_store.__file__).parent / "data",
    Path(__file__).parents[3] / "fixtures" / "datasets",
]
BYTE_BY_BYTE = 5000  # bytes; longer files are split at random only

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"

NOT_PART_10 = {
    "ExplVR_BigEndNoMeta.dcm": BIG_ENDIAN,
    "ExplVR_LitEndNoMeta.dcm": EXPLICIT,
    "OT-PAL-8-face.dcm": IMPLICIT,
    "rtstruct.dcm": IMPLICIT,
}
"""Bare data sets, and how they are encoded."""

REFUSED = {
    "MR_truncated.dcm": (TruncatedDataSet, "the pixel value is 62 bytes short"),
    "rtplan_truncated.dcm": (TruncatedDataSet, "ends inside a nested sequence"),
    "emri_small_jpeg_2k_lossless_too_short.dcm": (TruncatedDataSet, "the fragments have no delimiter"),
    "winter.dcm": (InvalidDataSet, "has its SOP Instance UID twice"),
}
MISMATCHED = {
    "SC_rgb_jpeg.dcm": "says JPEG Baseline, is Implicit VR",
    "meta_missing_tsyntax.dcm": "says nothing, is Implicit VR",
}
DEFLATED = {"image_dfl.dcm", "sr_deflated.dcm"}


def part_10_files():
    files = [path for folder in FOLDERS for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if path.name in NOT_PART_10 or _is_part_10(path)]


def _is_part_10(path):
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def data_set_of(path):
    """Transfer Syntax UID and data set of a file, and where in the file the data set starts."""
    content = path.read_bytes()
    if path.name in NOT_PART_10:
        return NOT_PART_10[path.name], content, 0
    file = BytesIO(content)
    file.seek(132)
    meta = _read_file_meta_info(file)
    return meta.get("TransferSyntaxUID", EXPLICIT), content[file.tell() :], file.tell()


def scan(data, transfer_syntax, cuts=()):
    scanner = HeaderScanner(transfer_syntax)
    view = memoryview(data)
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        scanner.feed(view[start:end])
    scanner.finish()
    return scanner


def ways_to_cut(length, name):
    yield []
    choose = random.Random(name)
    for count in (1, 5, 40):
        yield sorted(choose.randrange(length) for _ in range(count))
    yield sorted(choose.randrange(min(length, 2000)) for _ in range(200))  # where the headers are
    if length <= BYTE_BY_BYTE:
        yield list(range(1, length))


FILES = part_10_files()


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_agrees_with_pydicom(path):
    transfer_syntax, data, start = data_set_of(path)
    if path.name in DEFLATED:
        assert scan(data, transfer_syntax).needs_fallback
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data)
        assert_same_values(scan_deflated(path, offset=start).values, read_by_pydicom(inflated, EXPLICIT))
        return
    ds = read_by_pydicom(data, transfer_syntax)
    for cuts in ways_to_cut(len(data), path.name):
        if path.name.startswith("DICOMDIR"):
            with pytest.raises(InvalidDataSet, match="0004,1130"):
                scan(data, transfer_syntax, cuts)
        elif path.name in REFUSED:
            error, _ = REFUSED[path.name]
            with pytest.raises(error):
                scan(data, transfer_syntax, cuts)
        else:
            scanner = scan(data, transfer_syntax, cuts)
            assert_same_values(scanner.values, ds)
            assert scanner.mismatched == (path.name in MISMATCHED)
            assert not scanner.needs_fallback


def test_the_files_are_there():
    names = {path.name for path in FILES}
    assert names >= NOT_PART_10.keys() | REFUSED.keys() | MISMATCHED.keys() | DEFLATED
    assert len(FILES) > 230
