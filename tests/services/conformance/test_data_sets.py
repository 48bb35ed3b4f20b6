"""The tester's own data sets are what pydicom reads in them, in every encoding."""

import io
import zlib

import pydicom
import pytest

from services.conformance.building import EXPLICIT, IMPLICIT
from services.conformance.data_sets import (
    BIG_ENDIAN,
    CONTENT_SEQUENCE,
    DEFLATED,
    JPEG_BASELINE,
    LEVEL,
    MODALITY,
    PATIENT_ID,
    PIXEL_DATA,
    RLE,
    SOP_INSTANCE_UID,
    STUDY_UID,
    Items,
    Nested,
    Typed,
    compressed,
    deflate,
    element,
    encode,
    header,
    identifier,
    instance,
    numbers,
    patient_id,
)
from services.conformance.target import Target

TARGET = Target(host="127.0.0.1", port=1, called_ae=b"X", run="123456789012345678901234567890123456789")


def _read(data: bytes, syntax: bytes) -> pydicom.Dataset:
    """By pydicom, behind File Meta Information that pydicom wrote."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax.decode())
    buffer = io.BytesIO()
    buffer.write(bytes(128) + b"DICM")
    pydicom.filewriter.write_file_meta_info(buffer, meta, enforce_standard=False)
    return pydicom.dcmread(io.BytesIO(buffer.getvalue() + data))


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("defined", [True, False])
def test_an_instance_in_every_uncompressed_encoding(syntax: bytes, defined: bool) -> None:
    items = Items(({MODALITY: b"OT", CONTENT_SEQUENCE: Items(({}, {MODALITY: b"CT"}), defined)}, {}), defined)
    each = instance(TARGET, "118c", study=2, series=3, number=4).changed({CONTENT_SEQUENCE: items})
    read = _read(each.encoded(syntax), syntax)
    assert read.SOPInstanceUID == f"2.25.{TARGET.run}.118.3.2.3.4"
    assert read.StudyInstanceUID == f"2.25.{TARGET.run}.118.3.2"
    assert read.PatientID == "CONFORMANCE-12345678"
    assert (read.Rows, read.Columns, read.BitsAllocated) == (2, 2, 8)
    assert read.PixelData == bytes([0, 85, 170, 255])
    assert [len(item) for item in read.ContentSequence] == [2, 0]
    assert read.ContentSequence[0].ContentSequence[1].Modality == "CT"


@pytest.mark.parametrize("syntax", [RLE, JPEG_BASELINE])
def test_encapsulated_pixel_data(syntax: bytes) -> None:
    read = _read(compressed(instance(TARGET, "118"), syntax).encoded(syntax), syntax)
    assert read["PixelData"].is_undefined_length
    frames = list(pydicom.encaps.generate_frames(read.PixelData, number_of_frames=1))
    assert len(frames) == 1
    if syntax == RLE:
        assert frames[0][64:69] == bytes([3, 0, 85, 170, 255])


def test_no_instance_is_large() -> None:
    assert len(instance(TARGET, "133z", study=9, series=9, number=60).encoded(EXPLICIT)) < 2048


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_nested_sequences(defined: bool, syntax: bytes) -> None:
    read = _read(element(CONTENT_SEQUENCE, Nested(10, defined), syntax), syntax)
    depth = 0
    while "ContentSequence" in read:
        read = read.ContentSequence[0]
        depth += 1
    assert depth == 10
    assert len(read) == 0


def test_five_thousand_sequences_are_nested_without_recursion() -> None:
    assert len(element(CONTENT_SEQUENCE, Nested(5000))) == 5000 * 16


def test_elements_are_written_in_ascending_order() -> None:
    assert encode({STUDY_UID: b"1", MODALITY: b"CT"}) == element(MODALITY, b"CT") + element(STUDY_UID, b"1")


def test_padding() -> None:
    assert element(STUDY_UID, b"1.2").endswith(b"1.2\0")
    assert element(PATIENT_ID, b"abc").endswith(b"abc ")
    assert element(0x00204000, Typed("LT", b"odd")).endswith(b"\3\0\0\0odd")


def test_a_header_may_lie() -> None:
    assert header(PIXEL_DATA, "OW", 0xFFFFFFF0) == bytes.fromhex("E07F1000 F0FFFFFF")
    assert header(MODALITY, "CS", 9, EXPLICIT) == bytes.fromhex("08006000 4353 0900")


def test_an_identifier_with_and_without_level() -> None:
    assert identifier(b"STUDY", {}) == element(LEVEL, b"STUDY")
    assert identifier(None, {STUDY_UID: b""}) == element(STUDY_UID, b"")


def test_changes_leave_the_original_alone() -> None:
    each = instance(TARGET, "119a")
    other = each.changed({PATIENT_ID: b"X"}, without=(STUDY_UID,)).named(b"1.2.3")
    assert (other.uid, other.study, other.elements[PATIENT_ID]) == (b"1.2.3", b"", b"X")
    assert other.elements[SOP_INSTANCE_UID] == b"1.2.3"
    assert each.study == TARGET.uid(119, 1, 1)


def test_deflated_bytes_are_even_and_inflate_again() -> None:
    for length in range(20):
        data = deflate(b"x" * length)
        assert len(data) % 2 == 0
        assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(data) == b"x" * length


@pytest.mark.parametrize(("name", "parts"), [("118", (118, 0)), ("118a", (118, 1)), ("200z", (200, 26))])
def test_numbers(name: str, parts: tuple[int, int]) -> None:
    assert numbers(name) == parts


def test_patient_ids_begin_with_the_run() -> None:
    assert patient_id(TARGET, "-1") == b"CONFORMANCE-12345678-1"
