"""The beginning of a data set is read by what varies in it; whatever else differs is somebody else's to walk."""

from struct import pack

import pytest

from services.archive.index_attributes import VALUE_CAP
from services.archive.layouts import LayoutMemory
from services.archive.scanner import HeaderScanner
from services.archive.templates import LONGEST, MOST_VARYING, Template

EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
UIDS = {0x00080016: b"1.2", 0x00080018: b"1.2.3.4", 0x0020000D: b"1.20", 0x0020000E: b"1.30"}


def plain(tag: int, vr: bytes, value: bytes) -> bytes:
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def data_set(values: dict[int, bytes], pixels: bytes | None = b"\1\2" * 50) -> bytes:
    """Elements in Explicit VR Little Endian; patient's name, instance number, and what is given."""
    elements = {**UIDS, 0x00100010: b"DOE^JOHN", 0x00200013: b"17", **values}
    data = b"".join(
        plain(tag, b"UI" if tag in UIDS else b"LO", value) for tag, value in sorted(elements.items())
    )
    if pixels is None:
        return data
    return data + pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, len(pixels)) + pixels


class Series:
    """Scans one after the other, and says whether one was repeated."""

    def __init__(self) -> None:
        self.memory = LayoutMemory()

    def scan(self, data: bytes, cut: int = 0) -> tuple[HeaderScanner, bool]:
        recall = self.memory.recall(CT, EXPLICIT)
        scanner = HeaderScanner(EXPLICIT, recall=recall)
        repeated: list[object] = []
        if recall is not None:
            before = scanner._repeats
            scanner._repeats = lambda *a: repeated.append(before(*a)) or repeated[-1]  # type: ignore[assignment]
        for piece in (data[: cut or len(data)], data[cut or len(data) :]):
            scanner.feed(piece)
        scanner.finish()
        alone = HeaderScanner(EXPLICIT)
        alone.feed(data)
        alone.finish()
        assert scanner.values == alone.values
        assert (scanner._elements, scanner._next) == (alone._elements, alone._next)
        return scanner, repeated == [True]


def test_a_value_that_differs_is_read_anew() -> None:
    series = Series()
    series.scan(data_set({}))
    for number in range(10, 30):
        scanner, repeated = series.scan(
            data_set({0x00200013: str(number).encode(), 0x00080018: b"1.2.3.%d" % (number % 10)})
        )
        assert repeated
        assert scanner.values[0x00200013] == str(number).encode()
        assert scanner.uid(0x00080018) == f"1.2.3.{number % 10}"


@pytest.mark.parametrize(
    "other",
    [
        data_set({0x00200013: b"1234"}),
        data_set({0x00104000: b"COMMENT "}),
        data_set({}).replace(b"LO\x08\x00DOE", b"PN\x08\x00DOE"),
        data_set({}, pixels=b"\1\2" * 51),
    ],
    ids=["a length", "an element more", "a VR", "longer pixels"],
)
def test_what_differs_elsewhere_is_walked(other: bytes) -> None:
    series = Series()
    series.scan(data_set({}))
    assert not series.scan(other)[1]
    assert series.scan(data_set({}))[1]


def test_the_next_series_is_learned_after_a_few() -> None:
    series = Series()
    series.scan(data_set({}))
    others = [data_set({0x00100010: b"ANOTHER NAME", 0x00200013: b"%02d" % n}) for n in range(6)]
    assert [series.scan(other)[1] for other in others] == [False, False, False, True, True, True]


def test_a_first_piece_that_is_too_short_is_walked() -> None:
    series = Series()
    for _ in range(3):
        series.scan(data_set({}))
    data = data_set({})
    assert not series.scan(data, cut=40)[1]
    at_pixels = len(data) - 100
    assert series.scan(data, cut=at_pixels)[1]
    assert not series.scan(data, cut=at_pixels - 1)[1]


def test_without_pixels_and_with_a_sequence_behind_it_the_rest_is_walked() -> None:
    sequence = pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, 8) + pack("<HHI", 0xFFFE, 0xE000, 0)
    for tail in (b"", sequence):
        series = Series()
        for number in range(10, 14):
            data = data_set({0x00200013: b"%d" % number}, pixels=None) + tail
            assert series.scan(data)[1] is (number > 10)


def test_a_long_beginning_is_not_compared() -> None:
    series = Series()
    many = {0x00210000 + number: bytes(200) for number in range(2 * LONGEST // 200)}
    for _ in range(3):
        assert not series.scan(data_set(many))[1]


def test_so_much_may_vary_and_no_more() -> None:
    tags = [0x00210000 + number for number in range(MOST_VARYING + 1)]
    series = Series()
    series.scan(data_set(dict.fromkeys(tags, b"AA")))
    assert series.scan(data_set({tag: b"BB" if tag != tags[-1] else b"AA" for tag in tags}))[1]
    assert not series.scan(data_set(dict.fromkeys(tags, b"CC")))[1]


def test_what_is_not_kept_of_the_first_is_not_kept_of_the_others() -> None:
    """A value over its cap."""
    template = Template(
        b"\0" * 10000,
        [(8, 9000, 0x00100010)],
        {},
        following=10000,
        elements=1,
        implicit=False,
        mismatched=False,
        last_tag=0x00100010,
    )
    assert template.read(b"\0" * 8 + b"\1" * 8992 + b"\0" * 1000) == {}
    assert template.read(b"\0" * 9999) is None
    assert template.read(b"\1" + b"\0" * 9999) is None


@pytest.mark.parametrize(
    "again", [b"LAST", b"FIRST^", b"L" * (VALUE_CAP + 2)], ids=["other", "same", "over its cap"]
)
@pytest.mark.parametrize("vr", [b"LO", b"UN"])
@pytest.mark.parametrize(
    "before", [b"", plain(0x00081030, b"LO", b"A STUDY ")], ids=["first", "behind others"]
)
def test_of_an_attribute_met_twice_the_last_value_stands(vr: bytes, again: bytes, before: bytes) -> None:
    series = Series()
    second = plain(0x00100010, b"LO", again)
    if vr == b"UN":
        second = pack("<HH2sHI", 0x0010, 0x0010, b"UN", 0, len(again)) + again
    for first in (b"FIRST^", b"FIRST^", b"SECOND", b"THIRD^"):
        uids = b"".join(plain(tag, b"UI", value) for tag, value in sorted(UIDS.items())[:2])
        others = b"".join(plain(tag, b"UI", value) for tag, value in sorted(UIDS.items())[2:])
        data = before + uids + plain(0x00100010, b"LO", first) + second + others
        scanner, _ = series.scan(data)
        assert scanner.values.get(0x00100010) == (again if len(again) <= VALUE_CAP else None)


def test_fragments_are_followed_however_many_bytes_they_are() -> None:
    """The value of 0xFFFFFFFF bytes looks like one with that length; it is skipped here, not made."""
    start = data_set({}, pixels=None) + pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    memory = LayoutMemory()
    for length in (0xFFFFFFFF - 16, 100):
        scanner = HeaderScanner("1.2.840.10008.1.2.4.50", recall=memory.recall(CT, "1.2.840.10008.1.2.4.50"))
        scanner.feed(start + pack("<HHI", 0xFFFE, 0xE000, length))
        assert scanner.skippable == length
        scanner.skip(length)
        scanner.feed(pack("<HHI", 0xFFFE, 0xE0DD, 0))
        scanner.finish()
