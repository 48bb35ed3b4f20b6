"""Status classes by PS3.7 Annex C, for codes with a name and without."""

import pytest
from pynetdicom.status import code_to_category

from dimse import status
from dimse.status import StatusCategory, category, describe, is_pending

NAMED = {name: code for name, code in vars(status).items() if name.isupper() and isinstance(code, int)}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0x0000, StatusCategory.SUCCESS),
        (0x0001, StatusCategory.WARNING),
        (0x0002, StatusCategory.FAILURE),
        (0x0100, StatusCategory.FAILURE),
        (0x0107, StatusCategory.WARNING),
        (0x0110, StatusCategory.FAILURE),
        (0x0116, StatusCategory.WARNING),
        (0x01FF, StatusCategory.FAILURE),
        (0x0200, StatusCategory.FAILURE),
        (0x02FF, StatusCategory.FAILURE),
        (0x1234, StatusCategory.FAILURE),
        (0xA000, StatusCategory.FAILURE),
        (0xAFFF, StatusCategory.FAILURE),
        (0xB000, StatusCategory.WARNING),
        (0xBFFF, StatusCategory.WARNING),
        (0xC000, StatusCategory.FAILURE),
        (0xCFFF, StatusCategory.FAILURE),
        (0xD000, StatusCategory.FAILURE),
        (0xFE00, StatusCategory.CANCEL),
        (0xFE01, StatusCategory.FAILURE),
        (0xFF00, StatusCategory.PENDING),
        (0xFF01, StatusCategory.PENDING),
        (0xFF02, StatusCategory.FAILURE),
        (0xFFFF, StatusCategory.FAILURE),
    ],
)
def test_category(code, expected):
    assert category(code) is expected


@pytest.mark.parametrize(("name", "code"), NAMED.items())
def test_category_of_named_codes_is_that_of_another_implementation(name, code):
    assert category(code).value == code_to_category(code), name


def test_is_pending_is_the_pending_category():
    codes = range(0x10000)
    assert [c for c in codes if is_pending(c)] == [0xFF00, 0xFF01]
    assert all(category(c) is StatusCategory.PENDING for c in (0xFF00, 0xFF01))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x0000, "Success (0000H)"),
        (0x0110, "Failure: processing failure (0110H)"),
        (0xA701, "Failure: out of resources: unable to calculate number of matches (A701H)"),
        (0xA7FF, "Failure: refused: out of resources (A7FFH)"),
        (0xB123, "Warning (B123H)"),
        (0xC123, "Failure: cannot understand, or unable to process (C123H)"),
        (0x0199, "Failure (0199H)"),
        (0xFF01, "Pending: an optional key was not supported (FF01H)"),
    ],
)
def test_describe(code, text):
    assert describe(code) == text


@pytest.mark.parametrize(("name", "code"), NAMED.items())
def test_every_named_code_has_a_description_of_its_own(name, code):
    if code not in (status.SUCCESS, status.PENDING, status.CANCEL):
        assert ": " in describe(code), name
