import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_partial

from archive_samples import CT_IMAGE_STORAGE, EXPLICIT_LE, INSTANCE
from real_files import real_files
from services.archive.part10 import file_header
from services.part10 import FileMeta, InvalidFileMeta, NotDicom, read_file_meta

HEADER = file_header(
    CT_IMAGE_STORAGE,
    INSTANCE,
    EXPLICIT_LE,
    implementation_class_uid="1.2.3",
    implementation_version_name="TEST",
)


def read(data: bytes) -> FileMeta:
    return read_file_meta(io.BytesIO(data))


def element(number: int, vr: bytes, value: bytes) -> bytes:
    if vr in (b"OB", b"UN", b"SQ"):
        return struct.pack("<HH2sHI", 2, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


def meta(*elements: bytes) -> bytes:
    return bytes(128) + b"DICM" + b"".join(elements)


def test_what_we_write_is_read() -> None:
    assert read(HEADER + b"\x08\x00\x16\x00rest") == FileMeta(
        CT_IMAGE_STORAGE, INSTANCE, EXPLICIT_LE, len(HEADER)
    )


def test_every_real_file_is_read_as_pydicom_reads_it() -> None:
    compared = 0
    for path in real_files():
        with path.open("rb") as file:
            ours = read_file_meta(file)
        with path.open("rb") as file:
            theirs = read_partial(file, stop_when=lambda *_: True).file_meta
            offset = file.tell()
        assert ours.transfer_syntax_uid == theirs.get("TransferSyntaxUID", ""), path
        assert ours.sop_class_uid == theirs.get("MediaStorageSOPClassUID", ""), path
        assert ours.sop_instance_uid == theirs.get("MediaStorageSOPInstanceUID", ""), path
        if not theirs.get("TransferSyntaxUID", "").endswith(".1.99"):  # which pydicom inflates on the way
            assert ours.data_set_offset == offset, path
        compared += 1
    assert compared > 150


@pytest.mark.parametrize("data", [b"", bytes(131), bytes(128) + b"DICN", b"DICM" + bytes(200)])
def test_what_has_no_prefix_is_no_dicom_file(data: bytes) -> None:
    with pytest.raises(NotDicom, match="no DICM behind the first 128 bytes") as caught:
        read(data)
    assert not isinstance(caught.value, InvalidFileMeta)


def test_a_wrong_group_length_does_not_matter() -> None:
    data = meta(element(0, b"UL", b"\xff\0\0\0"), element(16, b"UI", b"1.2\0"), b"\x08\0\x05\0")
    assert read(data).transfer_syntax_uid == "1.2"
    assert read(data).data_set_offset == len(data) - 4


def test_long_and_unknown_elements_are_passed_over() -> None:
    data = meta(element(1, b"OB", b"\0\1"), element(0x102, b"UN", b"x" * 70), element(3, b"UI", b"1.5 "))
    assert read(data) == FileMeta("", "1.5", "", len(data))


@pytest.mark.parametrize(
    "data",
    [
        meta(element(2, b"UI", b"1.2\0")[:-1]),
        meta(element(0x102, b"OB", bytes(70_000)), element(2, b"UI", b"1.2\0")),
    ],
    ids=["cut off", "over 64 KiB"],
)
def test_what_ends_too_late_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidFileMeta, match="ends beyond the file or beyond 65536 bytes"):
        read(data)


@settings(max_examples=150)
@given(st.data())
def test_damaged_files_raise_nothing_else(data: st.DataObject) -> None:
    damaged = bytearray(HEADER)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(132, len(HEADER) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(132, len(HEADER)))
    try:
        found = read(bytes(damaged[:end]))
    except NotDicom:
        return
    assert 132 <= found.data_set_offset <= end
