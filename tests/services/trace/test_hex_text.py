"""Bytes as people and programs write them down."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dul_samples import FIXTURES, load, load_folder
from services.trace.hex_text import NoHexText, bytes_of, parse_hex
from trace_samples import ECHO_RQ, wire

DATA = wire(ECHO_RQ)[:38]


def xxd(data: bytes) -> str:
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        groups = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
        lines.append(f"{at:08x}: {groups:<39}  {_characters(row)}")
    return "\n".join(lines)


def hexdump(data: bytes) -> str:
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        both = f"{row[:8].hex(' ')}  {row[8:].hex(' ')}"
        lines.append(f"{at:08x}  {both:<48}  |{_characters(row)}|")
    return "\n".join([*lines, f"{len(data):08x}"])


def od(data: bytes) -> str:
    rows = [(at, data[at : at + 16]) for at in range(0, len(data), 16)]
    return "\n".join(f"{at:06x} {row.hex(' '):<47}  >{_characters(row)}<" for at, row in rows)


def wireshark(data: bytes) -> str:
    rows = [(at, data[at : at + 16]) for at in range(0, len(data), 16)]
    return "\n".join(f"{at:04x}  {row.hex(' '):<47}   {_characters(row)}" for at, row in rows)


def _characters(row: bytes) -> str:
    return "".join(chr(byte) if 0x20 < byte < 0x7F else "." for byte in row)


@pytest.mark.parametrize("dump", [xxd, hexdump, od, wireshark], ids=lambda dump: dump.__name__)
def test_dumps(dump) -> None:
    assert parse_hex(dump(DATA)) == DATA
    letters = b"\1\0ABCDEF0123456789abcdef" * 3  # characters that are digits too
    assert parse_hex(dump(letters)) == letters


@pytest.mark.parametrize(
    "text",
    [
        "07 00 00000004 0000 0202",
        "0700000000040000\n0202",
        "07000\n000000400000202",
        "# an abort\n07 00 00 00 00 04 # its length\n00 00 02 02\n",
        "0x07, 0x00, 0x00, 0x00, 0x00, 0x04,\n  0x00, 0x00, 0x02, 0x02 // reason",
        r'"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x02"',
        "07:00:00:00:00:04:00:00:02:02",
        "{0X07,0X00,0,0}".replace("0,0}", "00,00,00,04,00,00,02,02}"),
    ],
)
def test_ways_to_write_an_abort(text: str) -> None:
    assert parse_hex(text) == bytes.fromhex("07000000000400000202")


def test_groups_of_four_bytes_are_no_offsets() -> None:
    assert parse_hex("01000000 00cd0001\n00000010 20202020") == bytes.fromhex(
        "0100000000cd00010000001020202020"
    )


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("pdus/*.hex")), ids=lambda path: path.stem)
def test_the_files_of_this_project(path) -> None:
    assert bytes_of(path.read_bytes()) == load(path).data


def test_bytes_themselves() -> None:
    for sample in load_folder("pdus"):
        assert bytes_of(sample.data) == sample.data
    assert bytes_of(b"\xff\xfe") == b"\xff\xfe"
    assert bytes_of(b"\x16\x03\x01") == b"\x16\x03\x01"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("07 00\nzz", "line 2 is no hexadecimal text: zz"),
        ("07 0", "an odd number of hexadecimal digits"),
        ("0\x9b", r"line 1 is no hexadecimal text: 0\x9b"),
    ],
)
def test_what_is_none(text: str, message: str) -> None:
    with pytest.raises(NoHexText, match=message.replace("\\", "\\\\")):
        bytes_of(text.encode())


@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    with suppress(NoHexText):
        bytes_of(content)


@given(st.binary(min_size=1, max_size=100))
def test_what_is_dumped_is_read(data: bytes) -> None:
    for dump in (xxd, hexdump, od, wireshark):
        assert parse_hex(dump(data)) == data
