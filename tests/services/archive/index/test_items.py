import struct

import pytest

from services.archive.index.items import MAXIMUM_DEPTH, items_of


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """One element in Explicit VR Little Endian."""
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in (b"SQ", b"UN", b"OB"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def item(*elements: bytes) -> bytes:
    content = b"".join(elements)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


CODE = item(element(0x00080100, b"SH", b"CT1"), element(0x00080104, b"LO", b"Head "))


def test_items_by_tag() -> None:
    assert items_of(CODE + CODE, ("",)) == [{"00080100": "CT1", "00080104": "Head"}] * 2


def test_sequences_inside() -> None:
    inner = element(0x00400260, b"SQ", CODE)
    assert items_of(item(inner), ("",)) == [{"00400260": [{"00080100": "CT1", "00080104": "Head"}]}]


def test_character_sets_of_the_data_set_and_of_the_item() -> None:
    name = element(0x00081048, b"PN", "Müller".encode("latin-1"))
    assert items_of(item(name), ("ISO_IR 100",)) == [{"00081048": "Müller"}]
    declared = element(0x00080005, b"CS", b"ISO_IR 192")
    name = element(0x00081048, b"PN", "Müller".encode())
    assert items_of(item(declared, name), ("ISO_IR 100",)) == [{"00081048": "Müller"}]


@pytest.mark.parametrize(
    "left_out",
    [
        element(0x00090010, b"LO", b"VENDOR"),
        element(0x00420011, b"OB", b"\1\2"),
        element(0x00080104, b"LO", b"  "),
        element(0x00080104, b"LO", b"x" * 5000),
        element(0x00400260, b"SQ", b""),
    ],
    ids=["private", "binary", "empty", "long", "no item"],
)
def test_what_nobody_asks_for_is_left_out(left_out: bytes) -> None:
    assert items_of(item(element(0x00080100, b"SH", b"A"), left_out), ("",)) == [{"00080100": "A"}]
    assert items_of(item(left_out), ("",)) == []


def test_depth_is_bounded() -> None:
    content = CODE
    for _ in range(MAXIMUM_DEPTH + 20):
        content = item(element(0x00400260, b"SQ", content))
    found, depth = items_of(content, ("",)), 0
    while found:
        depth += 1
        found = found[0].get("00400260", [])  # type: ignore[assignment]
    assert depth <= MAXIMUM_DEPTH


@pytest.mark.parametrize("cut", range(1, len(CODE), 5))
def test_damaged_items_say_what_is_left_of_them(cut: int) -> None:
    for found in items_of(CODE[:cut], ("",)):
        assert found
        assert "CT1".startswith(found.get("00080100", ""))
        assert "Head".startswith(found.get("00080104", ""))
