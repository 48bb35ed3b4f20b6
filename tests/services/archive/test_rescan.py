"""A stored file is read again as it was read when it came."""

import os
import zlib
from pathlib import Path

import pytest

from archive_samples import CT_IMAGE_STORAGE, EXPLICIT_LE, INSTANCE, PATH, data_set, element
from real_files import real_files
from services.archive.errors import ArchiveError, InvalidFile, InvalidUID, MissingUID, UIDMismatch
from services.archive.fallback import scan_deflated
from services.archive.invalid_data_set import InvalidDataSet
from services.archive.layouts import LayoutMemory
from services.archive.part10 import file_header, read_file_header
from services.archive.rescan import rescan
from services.archive.scanner import HeaderScanner

DEFLATED = "1.2.840.10008.1.2.1.99"


def part10(
    content: bytes, *, instance: str = INSTANCE, sop_class: str = CT_IMAGE_STORAGE, syntax: str = EXPLICIT_LE
) -> bytes:
    header = file_header(
        sop_class,
        instance,
        syntax,
        implementation_class_uid="1.2.826.0.1",
        implementation_version_name="TEST",
    )
    return header + content


def write(folder: Path, content: bytes) -> Path:
    file = folder / "a.dcm"
    file.write_bytes(content)
    return file


def test_says_what_the_index_wants_to_know(tmp_path: Path) -> None:
    content = data_set()
    whole = part10(content)
    found = rescan(write(tmp_path, whole), place=PATH)
    assert found.path == PATH
    assert found.sop_instance_uid == INSTANCE
    assert (found.sop_class_uid, found.transfer_syntax_uid) == (CT_IMAGE_STORAGE, EXPLICIT_LE)
    assert (found.data_set_offset, found.size) == (len(whole) - len(content), len(content))
    assert found.values[0x00080018].rstrip(b"\0").decode() == INSTANCE
    assert (found.truncated, found.mismatched) == (False, False)


def whole_scan(file: Path) -> HeaderScanner:
    """A scan that is fed every byte."""
    with file.open("rb") as opened:
        meta = read_file_header(opened)
        if meta.transfer_syntax_uid == DEFLATED:
            return scan_deflated(file, offset=meta.data_set_offset)
        opened.seek(meta.data_set_offset)
        scanner = HeaderScanner(meta.transfer_syntax_uid)
        scanner.feed(opened.read())
        return scanner


@pytest.mark.parametrize("remembers", [False, True])
def test_passing_over_values_changes_nothing_for_real_files(remembers: bool) -> None:
    layouts = LayoutMemory() if remembers else None
    agreed = 0
    for file in real_files():
        try:
            found = rescan(file, layouts=layouts)
        except ArchiveError:
            continue
        assert found.values == whole_scan(file).values, file
        agreed += 1
    assert agreed > 50


def test_long_values_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = b"\0" * (8 << 20)
    file = write(tmp_path, part10(data_set(pixels=pixels) + element(0xFFFCFFFC, b"OB", b"\0\0")))
    read: list[int] = []
    pread = os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        data = pread(fd, size, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counted)
    assert rescan(file).size > len(pixels)
    assert sum(read) < 100_000


def test_a_data_set_in_many_pieces(tmp_path: Path) -> None:
    fragments = b"".join(b"\xfe\xff\x00\xe0\xa0\x86\x01\x00" + bytes(100_000) for _ in range(5))
    encapsulated = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\0\0\0\0" + fragments
    whole = data_set().partition(b"\xe0\x7f\x10\x00")[0] + encapsulated + b"\xfe\xff\xdd\xe0\0\0\0\0"
    found = rescan(write(tmp_path, part10(whole, syntax="1.2.840.10008.1.2.4.50")))
    assert (found.path, found.truncated) == (PATH, False)
    assert rescan(write(tmp_path, part10(whole[:-8], syntax="1.2.840.10008.1.2.4.50"))).truncated


def test_a_deflated_data_set(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    content = packer.compress(data_set()) + packer.flush()
    found = rescan(write(tmp_path, part10(content, syntax=DEFLATED)), place=PATH)
    assert found.size == len(content)


def test_what_ends_inside_an_element_is_still_known(tmp_path: Path) -> None:
    found = rescan(write(tmp_path, part10(data_set()[:-10])))
    assert (found.path, found.truncated) == (PATH, True)


def test_what_is_encoded_otherwise_is_still_known(tmp_path: Path) -> None:
    found = rescan(write(tmp_path, part10(data_set(), syntax="1.2.840.10008.1.2")))
    assert (found.path, found.mismatched) == (PATH, True)


DAMAGED = [
    (b"", InvalidFile),
    (b"\0" * 128 + b"DICN", InvalidFile),
    (part10(data_set())[:200], InvalidFile),
    (part10(b"\xfe\xff\x0d\xe0\0\0\0\0"), InvalidDataSet),
    (part10(data_set(instance=None)), MissingUID),
    (part10(data_set(study=None)), MissingUID),
    (part10(b""), MissingUID),
    (part10(data_set(), instance="1.2.3.4.6"), UIDMismatch),
    (part10(data_set(), sop_class="1.2.840.10008.5.1.4.1.1.4"), UIDMismatch),
    (part10(data_set(study="../..")), InvalidUID),
]


@pytest.mark.parametrize(("content", "error"), DAMAGED)
def test_damage_has_a_name(tmp_path: Path, content: bytes, error: type[ArchiveError]) -> None:
    with pytest.raises(error):
        rescan(write(tmp_path, content))


def test_a_file_in_another_place(tmp_path: Path) -> None:
    with pytest.raises(UIDMismatch, match=f"by its UIDs it belongs at {PATH}"):
        rescan(write(tmp_path, part10(data_set())), place="1.2.3/1.2.3.4/1.2.3.4.6.dcm")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidFile, match="no regular file"):
        rescan(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(write(tmp_path, part10(data_set())))
    with pytest.raises(OSError, match="symbolic"):
        rescan(tmp_path / "link")
