"""The scanner of the archive as it looks at received instances; over real files, and over what is none."""

from pathlib import Path

import pytest

from archive_samples import EXPLICIT_LE, data_set
from corpus import DAMAGED
from dimse.errors import DimseError
from real_files import real_file, real_files
from scps import write_file
from services.cli.received_files import DataSetInspector, is_whole
from services.retrieve.folder import Identity
from services.send import read_instance


def inspected(data: bytes, piece: int) -> Identity:
    inspector = DataSetInspector(EXPLICIT_LE)
    for start in range(0, len(data), piece):
        inspector.feed(data[start : start + piece])
    return inspector.finish()


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_what_a_data_set_says_that_it_is(piece: int) -> None:
    assert inspected(data_set(), piece) == Identity(
        "1.2.3", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5"
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (data_set(study=None), 0xA900),
        (data_set(sop_class=None), 0xA900),
        (data_set("not a UID"), 0xA900),
        (data_set()[:-1], 0xC000),
        (b"\xff" * 64, 0xC000),
    ],
)
def test_what_is_no_instance(data: bytes, code: int) -> None:
    with pytest.raises(DimseError) as raised:
        inspected(data, 10)
    assert raised.value.status == code


def test_a_whole_file_and_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_file(path, data_set(), "1.2.3.4.5")
    assert is_whole(path, "1.2.3.4.5")
    assert not is_whole(path, "1.2.3.4.6")
    assert not is_whole(tmp_path / "b.dcm", "1.2.3.4.5")
    content = path.read_bytes()
    for length in (0, 100, 140, len(content) - 1):
        path.write_bytes(content[:length])
        assert not is_whole(path, "1.2.3.4.5"), length


def test_real_files_are_whole_and_cut_ones_are_not(tmp_path: Path) -> None:
    for name in ("CT_small.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm"):
        uid = read_instance(real_file(name)).sop_instance_uid
        assert is_whole(real_file(name), uid), name
        cut = tmp_path / name
        cut.write_bytes(real_file(name).read_bytes()[:-100])
        assert not is_whole(cut, uid), name
    damaged = [path for path in real_files() if path.name in DAMAGED - {"SC_rgb_jpeg.dcm"}]
    assert len(damaged) == 3
    assert not any(is_whole(path, read_instance(path).sop_instance_uid) for path in damaged)
