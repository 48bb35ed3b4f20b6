"""What stays and what goes of a data set, in every encoding, fed in pieces of any size."""

import io
import struct
import warnings
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from real_files import real_file, real_files
from services import read_instance
from services.trace.redact_data_set import KEPT, DataSetRedactor, Span, blank

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
}


def encoded(dataset: Dataset, syntax: str, *, undefined: bool = False) -> bytes:
    file = DicomBytesIO()
    file.is_implicit_VR = syntax == ImplicitVRLittleEndian
    file.is_little_endian = syntax != ExplicitVRBigEndian
    for element in dataset.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined
    write_dataset(file, dataset)
    return file.getvalue()


def redacted(data: bytes, syntax: str | None, size: int = 1 << 20) -> bytes:
    """Each piece in memory of its own, as PDUs are."""
    redactor = DataSetRedactor(syntax)
    pieces = [bytearray(data[at : at + size]) for at in range(0, len(data), size)]
    for piece in pieces:
        redactor.redact(Span(piece, 0, len(piece)))
    redactor.give_up()
    return b"".join(pieces)


def decoded(data: bytes, syntax: str) -> Dataset:
    big = syntax == ExplicitVRBigEndian
    return pydicom.filereader.read_dataset(io.BytesIO(data), syntax == ImplicitVRLittleEndian, not big)


def sample() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8"
    dataset.StudyDate = "20260131"
    dataset.Modality = "CT"
    dataset.PatientName = "Doe^Jane"
    dataset.PatientID = "4711"
    dataset.PatientWeight = "81.5"
    dataset.Rows = 512
    dataset.PixelData = b"\x12\x34" * 20
    dataset["PixelData"].VR = "OW"
    person = Dataset()
    person.PersonName = "Physician^Jo"
    inner = Dataset()
    inner.CodeMeaning = "Secret"
    inner.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    person.PurposeOfReferenceCodeSequence = [inner, inner]
    dataset.ReferencedPatientSequence = [person, Dataset(), person]
    block = dataset.private_block(0x0011, "Maker of Doe", create=True)
    block.add_new(1, "LO", "Doe again")
    block.add_new(2, "SQ", [inner])
    return dataset


@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "delimiters"])
@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
def test_values_go_and_structure_stays(syntax: str, undefined: bool) -> None:
    dataset = sample()
    data = encoded(dataset, syntax, undefined=undefined)
    hidden = redacted(data, syntax)
    assert len(hidden) == len(data)
    for secret in (b"Doe", b"Physician", b"Secret", b"4711", b"81.5", b"20260131", b"1.2.826", b"\x12\x34"):
        assert secret in data
        assert secret not in hidden
    result = decoded(hidden, syntax)
    before = decoded(data, syntax)
    assert [element.tag for element in result.iterall()] == [element.tag for element in before.iterall()]
    assert (result.SpecificCharacterSet, result.Modality, result.Rows) == ("ISO_IR 100", "CT", 512)
    assert result.SOPClassUID == dataset.SOPClassUID
    item = result.ReferencedPatientSequence[0].PurposeOfReferenceCodeSequence[1]
    assert item.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.4"
    assert (result.PatientName, result.PatientID, result.PatientWeight) == ("XXXXXXXX", "XXXX", 0)
    assert not result.PixelData.strip(b"\0")


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 11, 12, 13, 100])
def test_pieces_of_any_size_give_the_same(syntax: str, size: int) -> None:
    for undefined in (False, True):
        data = encoded(sample(), syntax, undefined=undefined)
        assert redacted(data, syntax, size) == redacted(data, syntax)


@pytest.mark.parametrize("syntax", [None, DeflatedExplicitVRLittleEndian, "1.2.840.10008.1.2.4.95"])
def test_what_cannot_be_read_is_blanked_whole(syntax: str | None) -> None:
    data = encoded(sample(), ExplicitVRLittleEndian)
    assert redacted(data, syntax) == bytes(len(data))


def test_unknown_compressed_syntaxes_are_explicit_little_endian() -> None:
    data = encoded(sample(), ExplicitVRLittleEndian)
    assert redacted(data, "1.2.3.4") == redacted(data, ExplicitVRLittleEndian)


# -- what is kept


def test_what_is_kept_identifies_nobody() -> None:
    keywords = {pydicom.datadict.keyword_for_tag(tag) for tag in KEPT}
    assert "" not in keywords
    vrs = {pydicom.datadict.dictionary_VR(tag) for tag in KEPT}
    assert vrs <= {"CS", "UI", "US", "IS"}
    assert {tag for tag in KEPT if pydicom.datadict.dictionary_VR(tag) == "UI"} == {
        0x00080016,
        0x00080062,
        0x00081150,
    }


def explicit(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def implicit(group: int, number: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", group, number, len(value) if length is None else length) + value


def test_a_kept_attribute_that_is_too_long_is_none() -> None:
    assert b"CT" in redacted(explicit(8, 0x60, b"CS", b"CT" * 128), ExplicitVRLittleEndian)
    assert b"CT" not in redacted(explicit(8, 0x60, b"CS", b"CT" * 129), ExplicitVRLittleEndian)


def test_group_lengths_stay() -> None:
    data = implicit(8, 0, b"\x04\x00\x00\x00") + implicit(8, 1, b"\x04\x00\x00\x00")
    assert redacted(data, ImplicitVRLittleEndian) == data[:-4] + bytes(4)


def test_explicit_taken_for_implicit_keeps_no_text() -> None:
    data = encoded(sample(), ExplicitVRLittleEndian)
    hidden = redacted(data, ImplicitVRLittleEndian)
    assert b"Doe" not in hidden
    assert b"Secret" not in hidden
    data = encoded(sample(), ImplicitVRLittleEndian)
    assert redacted(data, ExplicitVRLittleEndian) == bytes(len(data))


# -- what cannot be followed

NAME = explicit(0x10, 0x10, b"PN", b"Doe^Jane")
SQ = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF)
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
LEAKS = {
    "text": b"Doe^Jane was here, and a long time",
    "out of order": explicit(0x10, 0x20, b"LO", b"x ") + NAME,
    "repeated": NAME + NAME,
    "an unknown VR": explicit(0x10, 0x10, b"ZZ", b"Doe^Jane"),
    "a group of file meta information": explicit(0x02, 0x10, b"LO", b"Doe^Jane"),
    "a group nobody knows": explicit(0x6F44, 0x10, b"LO", b"Doe^Jane"),
    "an item outside a sequence": ITEM + NAME,
    "the end of an item outside one": ITEM_END + NAME,
    "text in a sequence": SQ + NAME,
    "text behind an item": SQ + ITEM + ITEM_END + NAME,
    "a value longer than its item": SQ + struct.pack("<HHI", 0xFFFE, 0xE000, 12) + NAME,
    "an undefined length of text": struct.pack("<HH2sHI", 0x10, 0x10, b"UT", 0, 0xFFFFFFFF) + b"Doe^Jane",
    "text for a fragment": struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + NAME,
    "a fragment of undefined length": struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)
    + ITEM
    + NAME,
    "too deep": (SQ + ITEM) * 200 + NAME,
    "the end of a sequence that has a length": struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 60)
    + SEQUENCE_END
    + NAME,
}


@pytest.mark.parametrize("data", LEAKS.values(), ids=LEAKS)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_what_cannot_be_followed_is_blanked_to_its_end(data: bytes, size: int) -> None:
    hidden = redacted(data, ExplicitVRLittleEndian, size)
    assert len(hidden) == len(data)
    assert b"D" not in hidden.replace(b"XXXXXXXX", b"")
    assert hidden.endswith(bytes(8))


@pytest.mark.parametrize("size", range(1, 12))
def test_text_where_implicit_elements_are_due_is_blanked(size: int) -> None:
    for text in (b"Doe^Jane and more", b"AnyOther^Name", b"\x10\x00\x10\x00^Jane Doe"):
        assert redacted(text, ImplicitVRLittleEndian, size) == bytes(len(text))


def test_a_header_that_ends_too_early_is_blanked() -> None:
    redactor = DataSetRedactor(ExplicitVRLittleEndian)
    data = bytearray(NAME + b"\x10\x00\x20\x00LO")
    redactor.redact(Span(data, 0, len(data)))
    assert redactor.is_waiting
    redactor.give_up()
    assert not redactor.is_waiting
    assert data.endswith(b"X" * 8 + bytes(6))
    more = bytearray(b"anything")
    redactor.redact(Span(more, 0, 8))
    assert more == bytes(8)


def test_nothing_is_waited_for_inside_a_value() -> None:
    redactor = DataSetRedactor(ExplicitVRLittleEndian)
    data = bytearray(NAME[:-3])
    redactor.redact(Span(data, 0, len(data)))
    assert not redactor.is_waiting
    redactor.give_up()
    rest = bytearray(NAME[-3:])
    redactor.redact(Span(rest, 0, 3))
    assert rest == b"XXX"


def test_only_the_span_is_changed() -> None:
    data = bytearray(b"head" + NAME + b"tail")
    DataSetRedactor(ExplicitVRLittleEndian).redact(Span(data, 4, 4 + len(NAME)))
    assert data == b"head" + NAME[:8] + b"XXXXXXXX" + b"tail"
    blank([Span(data, 0, 4), Span(data, 9, 3)], b"-")
    assert data.startswith(b"----\x10\x00\x10\x00PN")


@given(data=st.binary(max_size=300), syntax=st.sampled_from([*SYNTAXES.values()]), size=st.integers(1, 50))
def test_any_bytes_keep_their_length_however_they_come(data: bytes, syntax: str, size: int) -> None:
    whole = redacted(data, syntax)
    assert len(whole) == len(data)
    assert redacted(data, syntax, size) == whole


# -- real files


def secrets_of(dataset: Dataset) -> set[bytes]:
    """Every text in a file that is long enough to be told from chance, and not what values are blanked with."""
    found: set[str] = set()
    for element in dataset.iterall():
        if (
            element.VR in ("PN", "LO", "SH", "UI", "DA", "TM", "DT", "ST", "LT", "UT")
            and element.tag not in KEPT
        ):
            values = element.value if isinstance(element.value, MultiValue) else [element.value]
            found |= {str(value) for value in values}
    return {text.encode("utf-8", "ignore") for text in found if len(text) > 7 and len(set(text)) > 1}


WITHOUT_META = {"empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm"}
"""Files that do not say what they hold, so that nobody sends them as they are."""


@pytest.mark.parametrize(
    "path", [path for path in real_files() if path.name not in WITHOUT_META], ids=lambda path: path.name
)
def test_no_text_of_a_real_file_is_left(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are odd on purpose
        dataset = pydicom.dcmread(path, force=True)
        secrets, kept = secrets_of(dataset), kept_of(dataset)
    instance = read_instance(path)
    data = path.read_bytes()[instance.data_set_offset :]
    hidden = redacted(data, instance.transfer_syntax_uid, 16378)
    assert len(hidden) == len(data)
    assert {
        secret for secret in secrets if secret in hidden and not any(secret in each for each in kept)
    } == set()


def kept_of(dataset: Dataset) -> list[bytes]:
    return [str(element.value).encode() for element in dataset.iterall() if element.tag in KEPT]


def test_encapsulated_pixel_data_keeps_its_fragments() -> None:
    path = real_file("JPEG2000.dcm")
    instance = read_instance(path)
    data = path.read_bytes()[instance.data_set_offset :]
    hidden = decoded(redacted(data, instance.transfer_syntax_uid), ExplicitVRLittleEndian)
    before = pydicom.dcmread(path)
    assert len(hidden.PixelData) == len(before.PixelData)
    assert hidden.PixelData.replace(b"\0", b"") != before.PixelData.replace(b"\0", b"")
    assert (hidden.Rows, hidden.Columns) == (before.Rows, before.Columns)
    tags = [element.tag for element in before.iterall()]
    assert [element.tag for element in hidden.iterall()] == tags
