"""Raw values to Unicode, and what matching without regard to case compares."""

import warnings

import pytest
from pydicom import dcmread
from pydicom.data import get_charset_files

from services.archive.index.text import character_sets_of, decode, fold

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
    declared = "\\".join([sets] if isinstance(sets, str) else sets).encode()
    assert decode(raw, character_sets_of(declared)).rstrip("=") == str(name).rstrip("=")


def test_ascii_needs_no_character_set() -> None:
    assert decode(b"DOE^JOHN ", ("ISO 2022 IR 87",)) == "DOE^JOHN"
    assert decode(b"1.2.3\0", ("",)) == "1.2.3"


def test_bytes_that_the_declared_set_does_not_have_become_replacements() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert decode(b"M\xfcller", ("ISO_IR 192",)) == "M\ufffdller"


@pytest.mark.parametrize(
    ("value", "sets"),
    [
        (None, ("",)),
        (b"", ("",)),
        (b"ISO_IR 100", ("ISO_IR 100",)),
        (b"\\ISO 2022 IR 87 ", ("", "ISO 2022 IR 87")),
    ],
)
def test_character_sets_are_listed(value: bytes | None, sets: tuple[str, ...]) -> None:
    assert character_sets_of(value) == sets


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("DOE^John", "doe^john"),
        ("Jérôme", "jerome"),
        ("Åsa ØRSTED", "asa ørsted"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("やまだ", "やまだ"),
        ("ｱﾀ", "アタ"),
    ],
)
def test_case_and_accents_are_folded_away(text: str, folded: str) -> None:
    assert fold(text) == folded
