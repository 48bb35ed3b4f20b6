"""Values of data elements for a person."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding

from services.trace.names import VRS
from services.trace.values import DEFAULT_REPERTOIRE, encodings_of, tags_of, value_text


@pytest.mark.parametrize(
    ("data", "vr", "order", "text"),
    [
        (b"Doe^Jane ", "PN", "<", "Doe^Jane"),
        (b"1.2.3\0", "UI", "<", "1.2.3"),
        (b"A\\B ", "CS", "<", "A\\B"),
        (b"\x1b[2J", "LO", "<", "\\x1b[2J"),
        (struct.pack("<3H", 1, 2, 65535), "US", "<", "1\\2\\65535"),
        (struct.pack(">h", -2), "SS", ">", "-2"),
        (struct.pack("<I", 7), "UL", "<", "7"),
        (struct.pack("<f", 1.5), "FL", "<", "1.5"),
        (struct.pack(">d", -0.25), "FD", ">", "-0.25"),
        (struct.pack("<17H", *range(17)), "US", "<", "\\".join(map(str, range(16))) + "\\… (17 values)"),
        (b"\1\2\3", "US", "<", "01 02 03"),
        (b"", "US", "<", ""),
        (b"\x10\0\x20\0", "AT", "<", "(0010,0020)"),
        (b"\0\x10\0\x20", "AT", ">", "(0010,0020)"),
        (b"\1", "AT", "<", "01"),
        (bytes(40), "OB", "<", "00 " * 31 + "00 … (40 bytes)"),
        (b"ab", "UN", "<", "61 62"),
        (b"x" * 1000, "UT", "<", "x" * 79 + "…"),
    ],
)
def test_values(data: bytes, vr: str, order: str, text: str) -> None:
    assert value_text(data, vr, order) == text


@pytest.mark.parametrize(
    ("terms", "data", "text"),
    [
        (b"ISO_IR 100", "Äneas".encode("latin-1"), "Äneas"),
        (b"ISO_IR 192 ", "Äneas".encode(), "Äneas"),
        (b"ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
        (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
        (b"GB18030", "王^小东".encode("gb18030"), "王^小东"),
        (b"nonsense", "Ä".encode("latin-1"), "Ä"),
    ],
)
def test_character_sets(terms: bytes, data: bytes, text: str) -> None:
    assert value_text(data, "PN", "<", encodings_of(terms)) == text
    assert value_text(data, "PN", "<", encodings_of(terms)).isprintable()


def test_other_texts_have_no_character_set() -> None:
    assert value_text("Ä".encode(), "CS", "<", encodings_of(b"ISO_IR 192")) == "Ã\\x84"


def test_encodings() -> None:
    assert encodings_of(b"") == DEFAULT_REPERTOIRE
    assert encodings_of(b"nonsense") == DEFAULT_REPERTOIRE
    assert encodings_of(b"ISO_IR 192 ") == encodings_of(b"ISO_IR 192") != DEFAULT_REPERTOIRE


def test_tags() -> None:
    assert tags_of(b"\x10\0\x20\0\x08\0\x60\0?") == ["(0010,0020)", "(0008,0060)"]


TERMS = sorted(python_encoding)
PIECES = [b"\x1b$B", b"\x1b(B", b"\x1b$)C", b"\x1b.", b"\\", b"^", b"\xff\xfe", b"a"]


@given(
    st.lists(st.sampled_from(PIECES)).map(b"".join) | st.binary(max_size=40),
    st.lists(st.sampled_from(TERMS), max_size=3),
    st.sampled_from([*VRS, "??", ""]),
    st.sampled_from("<>"),
)
def test_any_bytes_are_shown(data: bytes, terms: list[str], vr: str, order: str) -> None:
    text = value_text(data, vr, order, encodings_of("\\".join(terms).encode()))
    assert len(text) <= 400
    assert not {c for c in text if c < " " or "\x7f" <= c <= "\x9f"}
