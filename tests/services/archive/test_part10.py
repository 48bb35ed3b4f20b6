"""Preamble and File Meta Information, held against pydicom."""

import io
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import read_file_meta_info

from archive_samples import CT_IMAGE_STORAGE, EXPLICIT_LE, INSTANCE, data_set
from services.archive.errors import InvalidFile
from services.archive.part10 import file_header, read_file_header
from services.part10 import FileMeta


def header(instance: str = INSTANCE, title: str = "SENDER") -> bytes:
    return file_header(
        CT_IMAGE_STORAGE,
        instance,
        EXPLICIT_LE,
        implementation_class_uid="1.2.826.0.1",
        implementation_version_name="TEST_01",
        source_ae_title=title,
    )


@pytest.mark.parametrize("instance", ["1.2", "1.23", "1" * 64])
def test_pydicom_reads_what_we_write(instance: str) -> None:
    read = pydicom.dcmread(io.BytesIO(header(instance) + data_set(instance)))
    assert read.preamble == bytes(128)
    meta = read.file_meta
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.MediaStorageSOPClassUID == CT_IMAGE_STORAGE
    assert meta.MediaStorageSOPInstanceUID == instance
    assert meta.TransferSyntaxUID == EXPLICIT_LE
    assert meta.ImplementationClassUID == "1.2.826.0.1"
    assert meta.ImplementationVersionName == "TEST_01"
    assert meta.SourceApplicationEntityTitle == "SENDER"
    assert read.SOPInstanceUID == instance


@pytest.mark.parametrize("title", ["A", "SIXTEEN LETTERS.", " PADDED  "])
def test_group_length_reaches_to_the_data_set(title: str) -> None:
    written = header(title=title)
    assert int.from_bytes(written[140:144], "little") == len(written) - 144
    assert len(written) % 2 == 0


@pytest.mark.parametrize("title", ["", "    ", "SEVENTEEN LETTERS", "BACK\\SLASH", "TAB\t", "NUL\0", "ÄRZTE"])
def test_a_title_that_is_no_ae_value_is_left_out(title: str) -> None:
    meta = pydicom.dcmread(io.BytesIO(header(title=title))).file_meta
    assert "SourceApplicationEntityTitle" not in meta
    assert meta.TransferSyntaxUID == EXPLICIT_LE


def test_reads_what_it_writes() -> None:
    written = header()
    meta = read_file_header(io.BytesIO(written + data_set()))
    assert meta == FileMeta(CT_IMAGE_STORAGE, INSTANCE, EXPLICIT_LE, len(written))


def test_reads_files_of_others_as_pydicom_does() -> None:
    compared = 0
    for name in (Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm"):
        with name.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                continue
            expected = read_file_meta_info(name)
            if "TransferSyntaxUID" not in expected:
                continue
            file.seek(0)
            meta = read_file_header(file)
            file.seek(meta.data_set_offset)
            group = file.read(2)
        assert meta.transfer_syntax_uid == expected.TransferSyntaxUID
        assert meta.sop_instance_uid == expected.get("MediaStorageSOPInstanceUID", "")
        assert group != b"\2\0"
        compared += 1
    assert compared > 40


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no DICM"),
        (b"<html>" * 50, "no DICM"),
        (bytes(128) + b"DICM", "Transfer Syntax"),
        (bytes(128) + b"DICM" + data_set(), "Transfer Syntax"),
        (header()[:150], "ends"),
        (header()[:-1], "ends beyond"),
        (bytes(128) + b"DICM\2\0\1\0OB\0\0\xff\xff\xff\xff", "ends beyond"),
        (bytes(128) + b"DICM\2\0\x10\0UI", "ends beyond the file"),
    ],
)
def test_refuses_what_is_no_file(content: bytes, says: str) -> None:
    with pytest.raises(InvalidFile, match=says):
        read_file_header(io.BytesIO(content))


def test_reads_no_more_than_its_bound() -> None:
    endless = b"".join(b"\2\0\2\1UI\xf0\xff" + bytes(0xFFF0) for _ in range(4))
    file = io.BytesIO(bytes(128) + b"DICM" + endless)
    with pytest.raises(InvalidFile, match="beyond 65536 bytes"):
        read_file_header(file)
    assert file.tell() <= 132 + 65536


@given(st.binary(max_size=400), st.integers(0, 400))
def test_raises_nothing_else(noise: bytes, keep: int) -> None:
    try:
        read_file_header(io.BytesIO(header()[:keep] + noise))
    except InvalidFile:
        return
