import tracemalloc
import zlib

import pytest

from services.archive.fallback import RATIO_GRACE, scan_deflated
from services.archive.invalid_data_set import (
    DataSetTooDeep,
    InflatesTooFar,
    InvalidDataSet,
    TooManyElements,
    TruncatedDataSet,
)

NAME = b"\x10\x00\x10\x00PN\x08\x00Doe^Jane"
ROWS = b"\x28\x00\x10\x00US\x02\x00\x00\x02"
SEQUENCE = b"\x40\x00\x30\xa7SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"


def deflate(data):
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def pixels(length, *, declared=None):
    return b"\xe0\x7f\x10\x00OW\x00\x00" + (declared or length).to_bytes(4, "little") + bytes(length)


@pytest.fixture
def stored(tmp_path):
    def store(content):
        path = tmp_path / "deflated"
        path.write_bytes(content)
        return path

    return store


def test_scans_what_it_inflates(stored):
    scanner = scan_deflated(stored(deflate(NAME + ROWS + pixels(300_000))))
    assert scanner.values == {0x00100010: b"Doe^Jane", 0x00280010: b"\x00\x02"}
    assert not scanner.mismatched


def test_starts_at_an_offset(stored):
    path = stored(b"preamble and so on" + deflate(NAME))
    assert scan_deflated(path, offset=18).values == {0x00100010: b"Doe^Jane"}


@pytest.mark.parametrize("trailer", [b"\0", b"\x4e\xd0\x58\x45\x1a\x02\x04\x00"])
def test_what_follows_the_last_block_is_ignored(stored, trailer):
    assert scan_deflated(stored(deflate(NAME) + trailer)).values == {0x00100010: b"Doe^Jane"}


def test_cut_at_every_byte(stored):
    compressed = deflate(NAME + ROWS)
    for end in range(len(compressed)):
        with pytest.raises(TruncatedDataSet):
            scan_deflated(stored(compressed[:end]))


def test_cut_before_it_was_deflated(stored):
    with pytest.raises(TruncatedDataSet, match="7FE0,0010"):
        scan_deflated(stored(deflate(NAME + pixels(10, declared=12))))


@pytest.mark.parametrize("content", [NAME, b"\xff" * 100, b"\x78\x9c" + b"\xff" * 100])
def test_not_deflated(stored, content):
    with pytest.raises(InvalidDataSet, match="not deflated"):
        scan_deflated(stored(content))


def test_limits_of_the_scan_hold(stored):
    with pytest.raises(DataSetTooDeep):
        scan_deflated(stored(deflate(SEQUENCE * 65)))
    with pytest.raises(DataSetTooDeep):
        scan_deflated(stored(deflate(SEQUENCE * 3)), max_depth=2)
    with pytest.raises(TooManyElements):
        scan_deflated(stored(deflate(NAME * 3)), max_elements=2)


def test_output_cap(stored):
    path = stored(deflate(pixels(100_000)))
    scan_deflated(path, max_inflated=100_012)
    with pytest.raises(InflatesTooFar, match="100011 bytes"):
        scan_deflated(path, max_inflated=100_011)


def test_ratio_cap(stored):
    scan_deflated(stored(deflate(pixels(RATIO_GRACE - 12))))  # at the utmost ratio, but small
    path = stored(deflate(pixels(RATIO_GRACE)))
    with pytest.raises(InflatesTooFar, match="100 times"):
        scan_deflated(path)
    scan_deflated(path, max_ratio=1032)


def test_a_bomb_needs_no_memory(stored):
    path = stored(deflate(pixels(64 << 20)))
    tracemalloc.start()
    try:
        scan_deflated(path, max_ratio=1032)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
