import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag

from services.archive.index_attributes import (
    COMMON_ATTRIBUTES,
    IMAGE_ATTRIBUTES,
    INDEX_TAGS,
    PATIENT_ATTRIBUTES,
    SEQUENCE_CAP,
    SEQUENCE_TAGS,
    SERIES_ATTRIBUTES,
    STUDY_ATTRIBUTES,
    UNIQUE_TAGS,
    VALUE_TAGS,
    encoding_of_items,
    is_vr,
    uid_value,
)

LEVELS = [COMMON_ATTRIBUTES, PATIENT_ATTRIBUTES, STUDY_ATTRIBUTES, SERIES_ATTRIBUTES, IMAGE_ATTRIBUTES]


def test_keywords_are_those_of_the_dictionary():
    for level in LEVELS:
        assert {tag: keyword_for_tag(tag) for tag in level} == level


def test_an_attribute_belongs_to_one_level():
    assert sum(map(len, LEVELS)) == len(INDEX_TAGS)


def test_values_and_sequences():
    assert {tag for tag in INDEX_TAGS if dictionary_VR(tag) == "SQ"} == SEQUENCE_TAGS
    assert INDEX_TAGS - SEQUENCE_TAGS == VALUE_TAGS
    assert UNIQUE_TAGS < VALUE_TAGS


@pytest.mark.parametrize(
    ("value", "uid"),
    [
        (b"1.2.3\0", "1.2.3"),
        (b"1.2 ", "1.2"),
        (b"", ""),
        (b"..", ".."),
        (b"1\xff\0", "1ÿ"),
        (b"1.2\\1.3", "1.2\\1.3"),
    ],
)
def test_uid_value(value, uid):
    assert uid_value(value) == uid


@pytest.mark.parametrize(
    "before", [b"", b"\xfe\xff\x00\xe0\0\0\0\0", b"\xfe\xff\x00\xe0\xff\xff\xff\xff\xfe\xff\x0d\xe0\0\0\0\0"]
)
@pytest.mark.parametrize("length", [0, 2, 0x3FFE, SEQUENCE_CAP - 16])
def test_implicit_items(before, length):
    element = b"\x08\x00\x00\x01" + length.to_bytes(4, "little")
    encoding = encoding_of_items(before + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + element)
    assert (encoding.implicit_vr, encoding.little_endian) == (True, True)


def test_explicit_items():
    encoding = encoding_of_items(b"\xfe\xff\x00\xe0\x0c\0\0\0" + b"\x08\x00\x00\x01SH\x04\x00CODE")
    assert (encoding.implicit_vr, encoding.little_endian) == (False, True)
    encoding = encoding_of_items(b"\xff\xfe\xe0\x00\0\0\0\x0c" + b"\x00\x08\x01\x00SH\x00\x04CODE")
    assert (encoding.implicit_vr, encoding.little_endian) == (False, False)


def test_no_items():
    assert encoding_of_items(b"").little_endian


@pytest.mark.parametrize("code", [b"AA", b"ZZ", b"SQ"])
def test_may_be_a_vr(code):
    assert is_vr(code)


@pytest.mark.parametrize("code", [b"", b"A", b"aa", b"A\0", b"\0A", b"@A", b"A[", b"??", b"  "])
def test_is_no_vr(code):
    assert not is_vr(code)
