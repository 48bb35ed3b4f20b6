"""Reading what a peer sends: what is right is read as pydicom wrote it, what is wrong is refused."""

import pydicom
import pytest

from services.conformance.building import EXPLICIT, IMPLICIT
from services.conformance.cases.storage_content import CHARACTER_SETS
from services.conformance.data_sets import (
    BIG_ENDIAN,
    CONTENT_SEQUENCE,
    MODALITY,
    PATIENT_NAME,
    PIXEL_DATA,
    RLE,
    SPECIFIC_CHARACTER_SET,
    STUDY_UID,
    Elements,
    Fragments,
    Items,
    Nested,
    Typed,
    element,
    encode,
    header,
)
from services.conformance.matching import DEEPEST, DataSetError, decoded, name, read_data_set


def _written(syntax: bytes) -> bytes:
    """A data set as pydicom writes it."""
    inner = pydicom.Dataset()
    inner.Modality = "CT"
    whole = pydicom.Dataset()
    whole.PatientName = "Conformance^Tester"
    whole.StudyInstanceUID = "1.2.3"
    whole.Rows = 2
    whole.add_new(CONTENT_SEQUENCE, "SQ", [inner, pydicom.Dataset()])
    whole.add_new(0x00091001, "UN", b"private!")
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian = syntax != BIG_ENDIAN
    buffer.is_implicit_VR = syntax == IMPLICIT
    pydicom.filewriter.write_dataset(buffer, whole)
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_what_pydicom_writes(syntax: bytes) -> None:
    read = read_data_set(_written(syntax), syntax)
    assert read.text(PATIENT_NAME) == b"Conformance^Tester"
    assert read.text(STUDY_UID) == b"1.2.3"
    assert read.text(0x00091001) == b"private!"
    assert [item.text(MODALITY) for item in read.items(CONTENT_SEQUENCE)] == [b"CT", b""]
    assert PATIENT_NAME in read
    assert MODALITY not in read


@pytest.mark.parametrize("defined", [True, False])
def test_sequences_of_either_length(defined: bool) -> None:
    data = encode({CONTENT_SEQUENCE: Items(({MODALITY: b"OT"},), defined), STUDY_UID: b"1"})
    read = read_data_set(data)
    assert read.items(CONTENT_SEQUENCE)[0].text(MODALITY) == b"OT"
    assert list(read) == [STUDY_UID, CONTENT_SEQUENCE]


def test_fragments_are_joined() -> None:
    data = encode({PIXEL_DATA: Fragments((b"", b"ab", b"cd"))}, RLE)
    assert read_data_set(data, RLE).elements[PIXEL_DATA].value == b"abcd"


def test_several_values() -> None:
    read = read_data_set(encode({STUDY_UID: b"1.2\\1.3", MODALITY: b""}))
    assert read.texts(STUDY_UID) == (b"1.2", b"1.3")
    assert read.texts(MODALITY) == ()
    assert read.items(STUDY_UID) == ()


_CT = element(MODALITY, b"CT")


@pytest.mark.parametrize(
    ("data", "syntax", "why"),
    [
        (_CT[:-1], IMPLICIT, "beyond the end"),
        (_CT[:5], IMPLICIT, "inside the header"),
        (element(STUDY_UID, b"1") + _CT, IMPLICIT, "ascending"),
        (_CT + _CT, IMPLICIT, "ascending"),
        (element(MODALITY, Typed("CS", b"odd")), IMPLICIT, "odd length"),
        (_CT, EXPLICIT, "no VR"),
        (header(CONTENT_SEQUENCE, "SQ", len(_CT)) + _CT, IMPLICIT, "an item is due"),
        (
            header(CONTENT_SEQUENCE, "SQ", 8 + len(_CT)) + header(0xFFFEE000, "", 4) + _CT,
            IMPLICIT,
            "reaches beyond",
        ),
        (element(CONTENT_SEQUENCE, Nested(DEEPEST + 1)), IMPLICIT, "inside one another"),
        (encode({PIXEL_DATA: Fragments((b"ab",))}, RLE)[:-8], RLE, "ends after"),
        (header(PIXEL_DATA, "OB", 0xFFFFFFFF, RLE) + _CT, RLE, "a fragment is due"),
    ],
)
def test_what_is_wrong_is_refused(data: bytes, syntax: bytes, why: str) -> None:
    with pytest.raises(DataSetError, match=why):
        read_data_set(data, syntax)


def test_too_many_elements() -> None:
    items = b"".join(header(0xFFFEE000, "", 0) for _ in range(20_001))
    with pytest.raises(DataSetError, match="more than 20000 elements"):
        read_data_set(header(CONTENT_SEQUENCE, "SQ", len(items)) + items)


def test_the_name_of_a_tag() -> None:
    assert name(PATIENT_NAME) == "(0010,0010)"


def _named(term: bytes, value: bytes) -> str:
    elements: Elements = {PATIENT_NAME: value}
    if term:
        elements = {**elements, SPECIFIC_CHARACTER_SET: term}
    return decoded(read_data_set(encode(elements)), PATIENT_NAME)


@pytest.mark.parametrize(("term", "value", "text"), [each[1:] for each in CHARACTER_SETS.values()])
def test_text_in_the_character_set_declared(term: bytes, value: bytes, text: str) -> None:
    assert _named(term, value) == text


@pytest.mark.parametrize(
    ("term", "value", "why"),
    [
        (b"", b"M\xfcller", "no Specific Character Set"),
        (b"ISO_IR 192", b"M\xfcller", "not in the character set"),
        (b"ISO_IR 999", b"Miller", "not in the character set"),
    ],
)
def test_text_in_no_character_set(term: bytes, value: bytes, why: str) -> None:
    with pytest.raises(DataSetError, match=why):
        _named(term, value)
