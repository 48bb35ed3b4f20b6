import warnings

import pytest
from pydicom import dcmread
from pydicom.data import get_charset_files

from services.character_sets import DEFAULT, UTF_8, character_sets_of, choose, decode, encode

JAPANESE = ("", "ISO 2022 IR 87")
LATIN_AND_JAPANESE = ("ISO 2022 IR 100", "ISO 2022 IR 87")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", DEFAULT),
        ("ISO_IR 100 ", ("ISO_IR 100",)),
        ("ISO-IR 100", ("ISO_IR 100",)),
        ("iso_ir 192", (UTF_8,)),
        ("\\ISO 2022 IR 87", JAPANESE),
        ("ISO_IR 999", ("ISO_IR 999",)),
    ],
)
def test_character_sets_of(value: str, expected: tuple[str, ...]) -> None:
    assert character_sets_of(value) == expected


@pytest.mark.parametrize(
    ("text", "wanted", "allowed", "expected"),
    [
        ("Müller", ("ISO_IR 100",), True, ("ISO_IR 100",)),
        ("山田", ("ISO_IR 100",), True, (UTF_8,)),
        ("山田", ("ISO_IR 100",), False, ("ISO_IR 100",)),
        ("山田", JAPANESE, True, JAPANESE),
        ("Müller", JAPANESE, True, (UTF_8,)),
        ("Müller", DEFAULT, True, (UTF_8,)),
        ("Müller", DEFAULT, False, DEFAULT),
        ("Müller^山田", LATIN_AND_JAPANESE, True, LATIN_AND_JAPANESE),
        ("홍길동", ("GB18030",), True, ("GB18030",)),
        ("Müller", ("ISO_IR 999",), False, (UTF_8,)),
    ],
)
def test_choose(text: str, wanted: tuple[str, ...], allowed: bool, expected: tuple[str, ...]) -> None:
    assert choose([text], wanted, utf_8_allowed=allowed) == expected


def test_escapes_end_before_delimiters_and_padding() -> None:
    for sets in (JAPANESE, LATIN_AND_JAPANESE):
        encoded = encode("山^太", sets)
        assert encoded.index(b"\x1b(B") < encoded.index(b"^")
        assert encoded.endswith(b"\x1b(B")
        assert decode(encoded + b" ", sets) == "山^太 "


def test_latin_and_japanese_in_one_text() -> None:
    assert decode(encode("Müller=山田^太郎", LATIN_AND_JAPANESE), LATIN_AND_JAPANESE) == "Müller=山田^太郎"


def test_what_has_no_place_becomes_a_question_mark() -> None:
    assert encode("Ä山Ö", ("ISO_IR 100",)) == b"\xc4?\xd6"


def test_bytes_that_are_none_of_the_character_set() -> None:
    assert decode(b"M\xfcller", (UTF_8,)) == "M\ufffdller"
    assert decode(b"M\xfcller", DEFAULT) == "M\ufffdller"


REAL_FILES = sorted(str(path) for path in get_charset_files("*.dcm"))


@pytest.mark.parametrize("path", REAL_FILES, ids=[path.rpartition("/")[2] for path in REAL_FILES])
def test_names_of_real_files_are_decoded_as_pydicom_does(path: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(path, force=True)
        if "PatientName" not in dataset:
            pytest.skip("no patient")
        name = dataset.PatientName
        raw = name.original_string
        sets = dataset.get("SpecificCharacterSet", "")
    declared = "\\".join([sets] if isinstance(sets, str) else sets)
    assert decode(raw, character_sets_of(declared)).rstrip("= ") == str(name).rstrip("=")
