"""Identifiers as bytes: ours equal to pydicom's, over every real file."""

import warnings
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_data_element

from real_files import real_file, real_files
from services import character_sets
from services.query.identifiers import Element, IdentifierWriter, elements_of, read_identifier
from services.query.keys import SUPPORTED, vr_of
from services.query.matching import Stored

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
SYNTAXES = [IMPLICIT, EXPLICIT, BIG_ENDIAN]

CHARACTER_SET = 0x00080005


@cache
def index_attributes_of(path: Path) -> Dataset:
    """What a file has of the keys that we support, as pydicom reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dcmread(path, stop_before_pixels=True, specific_tags=[CHARACTER_SET, *SUPPORTED], force=True)
    kept = Dataset()
    for tag in (CHARACTER_SET, *sorted(SUPPORTED)):
        if tag in ds:
            kept[tag] = ds.get_item(tag)
    return kept


def stored(elements: tuple[Element, ...]) -> dict[int, Stored]:
    return {each.tag: each.text.strip(" \0") if each.items is None else _items(each) for each in elements}


def _items(element: Element) -> list[dict[str, Stored]]:
    return [{f"{tag:08X}": value for tag, value in stored(item).items()} for item in element.items or ()]


def by_pydicom(values: dict[int, Stored], sets: tuple[str, ...], syntax: str) -> bytes:
    """The same values, out of pydicom's own writer."""
    buffer = BytesIO()
    file = DicomIO(buffer)
    file.is_implicit_VR = syntax == IMPLICIT
    file.is_little_endian = syntax != BIG_ENDIAN
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for tag, value in sorted(values.items()):
            write_data_element(file, _element(tag, value), convert_encodings(list(sets)))
    return buffer.getvalue()


def _element(tag: int, value: Stored) -> DataElement:
    vr = vr_of(tag) or "UN"
    if isinstance(value, str):
        parts = [value] if vr in ("LT", "ST", "UT") else value.split("\\")
        numbers = {"US": int, "UL": int, "SS": int, "SL": int, "FD": float, "FL": float}.get(vr)
        converted = [numbers(part) if numbers else part for part in parts if part or not numbers]
        return DataElement(tag, vr, converted[0] if len(converted) == 1 else converted or None)
    items = []
    for each in value:
        item = Dataset()
        for name, inner in each.items():
            item[int(name, 16)] = _element(int(name, 16), inner)
        items.append(item)
    return DataElement(tag, vr, items)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("path", real_files(), ids=lambda path: path.name)
def test_every_real_file_as_pydicom_writes_it(path: Path, syntax: str) -> None:
    ds = index_attributes_of(path)
    elements = elements_of(ds)
    values = stored(elements)
    declared = values.pop(CHARACTER_SET, "")
    assert isinstance(declared, str)
    sets = character_sets.character_sets_of(declared)
    values = {tag: value for tag, value in values.items() if not _is_changed_by_pydicom(tag, value)}
    keys = [(tag, vr_of(tag) or "") for tag in sorted(values)]
    ours = IdentifierWriter(keys, syntax, sets).write([values[tag] for tag, _ in keys])
    read = stored(read_identifier(ours, syntax))
    used = read.get(CHARACTER_SET, "")
    assert isinstance(used, str)
    assert ours == by_pydicom(read, character_sets.character_sets_of(used), syntax)
    read.pop(CHARACTER_SET, None)
    assert read == values


def test_what_pydicom_changes_is_little() -> None:
    changed = {
        path.name
        for path in real_files()
        for tag, value in stored(elements_of(index_attributes_of(path))).items()
        if _is_changed_by_pydicom(tag, value)
    }
    assert changed == {"badVR.dcm", "chrX1.dcm", "chrX2.dcm"}


def _is_changed_by_pydicom(tag: int, value: Stored) -> bool:
    """Numbers that are none, which it refuses to write, and names with empty groups at their end, which it drops."""
    if not isinstance(value, str):
        return False
    if vr_of(tag) == "IS":
        return not value.replace("\\", "").lstrip("-").isdigit() and value != ""
    return vr_of(tag) == "PN" and value.endswith("=")


# -- names of real files

_NAMES = {
    "chrArab.dcm": "قباني^لنزار",
    "chrFren.dcm": "Buc^Jérôme",
    "chrFrenMulti.dcm": "Buc^Jérôme",
    "chrGerm.dcm": "Äneas^Rüdiger",
    "chrGreek.dcm": "Διονυσιος",
    "chrH31.dcm": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrHbrw.dcm": "שרון^דבורה",
    "chrI2.dcm": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrKoreanMulti.dcm": "김희중",
    "chrRuss.dcm": "Люкceмбypг",
    "chrX1.dcm": "Wang^XiaoDong=王^小東",
    "chrX2.dcm": "Wang^XiaoDong=王^小东",
}


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("file", "name"), _NAMES.items())
def test_names_come_back_in_the_peers_character_set(file: str, name: str, syntax: str) -> None:
    ds = index_attributes_of(real_file(file))
    values = stored(elements_of(ds))
    assert str(values[0x00100010]).rstrip("=") == name
    declared = values[CHARACTER_SET]
    assert isinstance(declared, str)
    sets = character_sets.character_sets_of(declared)
    data = IdentifierWriter([(0x00100010, "PN")], syntax, sets).write([name])
    read = stored(read_identifier(data, syntax))
    assert read == {CHARACTER_SET: "\\".join(sets), 0x00100010: name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = read_dataset(BytesIO(data), syntax == IMPLICIT, syntax != BIG_ENDIAN)
        theirs.decode()
        assert str(theirs.PatientName) == name


@pytest.mark.parametrize("name", sorted(set(_NAMES.values())))
def test_names_in_utf_8_for_who_declared_nothing(name: str) -> None:
    data = IdentifierWriter([(0x00100010, "PN")], IMPLICIT).write([name])
    assert stored(read_identifier(data, IMPLICIT)) == {CHARACTER_SET: "ISO_IR 192", 0x00100010: name}


def test_what_cannot_be_said_without_utf_8() -> None:
    writer = IdentifierWriter([(0x00100010, "PN")], IMPLICIT, ("ISO_IR 100",), utf_8_allowed=False)
    data = writer.write(["Müller^山"])
    assert stored(read_identifier(data, IMPLICIT)) == {CHARACTER_SET: "ISO_IR 100", 0x00100010: "Müller^?"}


def test_the_default_repertoire_is_ascii() -> None:
    writer = IdentifierWriter([(0x00100010, "PN")], IMPLICIT, utf_8_allowed=False)
    data = writer.write(["Müller^Eva"])
    assert b"M?ller^Eva" in data
    assert b"\xfc" not in data


def test_ascii_needs_no_character_set() -> None:
    data = IdentifierWriter([(0x00100010, "PN")], IMPLICIT, ("ISO_IR 192",)).write(["Doe^John"])
    assert data == b"\x10\0\x10\0\x08\0\0\0Doe^John"


# -- the layout


@pytest.mark.parametrize(
    ("syntax", "vr", "value", "expected"),
    [
        (IMPLICIT, "LO", "ABC", b"\x10\0\x20\0\4\0\0\0ABC "),
        (EXPLICIT, "LO", "ABC", b"\x10\0\x20\0LO\4\0ABC "),
        (BIG_ENDIAN, "LO", "ABC", b"\0\x10\0\x20LO\0\4ABC "),
        (EXPLICIT, "UI", "1.2", b"\x10\0\x20\0UI\4\x001.2\0"),
        (EXPLICIT, "UT", "A", b"\x10\0\x20\0UT\0\0\2\0\0\0A "),
        (BIG_ENDIAN, "UT", "", b"\0\x10\0\x20UT\0\0\0\0\0\0"),
        (EXPLICIT, "US", "258\\1", b"\x10\0\x20\0US\4\0\2\1\1\0"),
        (BIG_ENDIAN, "US", "258\\1", b"\0\x10\0\x20US\0\4\1\2\0\1"),
        (IMPLICIT, "US", "", b"\x10\0\x20\0\0\0\0\0"),
        (IMPLICIT, "US", "70000\\x", b"\x10\0\x20\0\0\0\0\0"),
        (EXPLICIT, "SQ", "", b"\x10\0\x20\0SQ\0\0\0\0\0\0"),
    ],
)
def test_layout(syntax: str, vr: str, value: str, expected: bytes) -> None:
    assert IdentifierWriter([(0x00100020, vr)], syntax).write([value]) == expected


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("length", [1023, 1024, 1025, 5000])
def test_long_values(syntax: str, length: int) -> None:
    writer = IdentifierWriter([(0x00100010, "PN"), (0x00104000, "LT")], syntax)
    data = writer.write(["Doe", "x" * length])
    assert stored(read_identifier(data, syntax)) == {0x00100010: "Doe", 0x00104000: "x" * length}


def test_a_value_too_long_for_its_length_is_cut() -> None:
    data = IdentifierWriter([(0x00104000, "LT")], EXPLICIT).write(["x" * 70000])
    assert len(data) == 8 + 0xFFFE


_WORDS = st.text(st.sampled_from("aZ 9-._é山홍Ωд"), max_size=12).map(str.strip)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_WORDS, min_size=3, max_size=3),
    st.sampled_from(SYNTAXES),
    st.sampled_from(
        [
            ("",),
            ("ISO_IR 100",),
            ("", "ISO 2022 IR 87"),
            ("ISO_IR 192",),
            ("GB18030",),
            ("", "ISO 2022 IR 149"),
        ]
    ),
)
def test_what_is_written_is_read(values: list[str], syntax: str, sets: tuple[str, ...]) -> None:
    keys = [(0x00081030, "LO"), (0x00100010, "PN"), (0x00100020, "LO")]
    read = stored(read_identifier(IdentifierWriter(keys, syntax, sets).write(values), syntax))
    assert [read[tag] for tag, _ in keys] == values


def test_items_are_written_in_the_answers_character_set() -> None:
    items = [{"00400007": "Schädel", "00400008": [{"00080104": "Kopf"}]}, {}]
    for syntax in SYNTAXES:
        data = IdentifierWriter([(0x00400275, "SQ")], syntax, ("ISO_IR 100",)).write([items])
        assert b"Sch\xe4del" in data
        assert stored(read_identifier(data, syntax)) == {CHARACTER_SET: "ISO_IR 100", 0x00400275: items}
