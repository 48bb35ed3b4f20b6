"""Identifiers of C-GET and C-MOVE: what they select, and what is refused (PS3.4 C.4.2.1.4, C.4.3.1.3)."""

from typing import Any

import pytest

from finding import identifier
from services.query.keys import PATIENT_ROOT, PATIENT_STUDY_ONLY, STUDY_ROOT, Level, Model
from services.query.requests import QueryError
from services.retrieve.selection import Selection, negotiate_retrieve, read_selection
from services.sop_classes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from services.storage import encode_dataset

LEVEL, PATIENT, STUDY, SERIES, INSTANCE = 0x00080052, 0x00100020, 0x0020000D, 0x0020000E, 0x00080018


def selected(
    level: str, model: Model, syntax: str = IMPLICIT_VR_LITTLE_ENDIAN, relational: bool = False, **keys: Any
) -> Selection:
    return read_selection(
        encode_dataset(identifier(level, **keys), syntax), syntax, model, relational=relational
    )


@pytest.mark.parametrize(
    "syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN]
)
def test_several_uids_at_the_level(syntax: str) -> None:
    selection = selected(
        "SERIES", STUDY_ROOT, syntax, StudyInstanceUID="1.2", SeriesInstanceUID=["1.3", "1.4", "1.3"]
    )
    assert selection == Selection(Level.SERIES, {STUDY: ("1.2",), SERIES: ("1.3", "1.4")})


def test_other_keys_are_passed_over() -> None:
    selection = selected("STUDY", STUDY_ROOT, StudyInstanceUID="1.2", PatientName="DOE*", PatientID="7")
    assert selection.unique_keys == {STUDY: ("1.2",)}


def test_relational_retrieve_needs_the_level_alone() -> None:
    assert selected("IMAGE", PATIENT_ROOT, relational=True, SOPInstanceUID="1.5").unique_keys == {
        INSTANCE: ("1.5",)
    }


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize(
    ("level", "model", "keys", "offending"),
    [
        ("", STUDY_ROOT, {"StudyInstanceUID": "1.2"}, LEVEL),
        ("PATIENT", STUDY_ROOT, {"PatientID": "7"}, LEVEL),
        ("SERIES", PATIENT_STUDY_ONLY, {"PatientID": "7", "StudyInstanceUID": "1"}, LEVEL),
        ("STUDY", STUDY_ROOT, {}, STUDY),
        ("STUDY", STUDY_ROOT, {"StudyInstanceUID": ""}, STUDY),
        ("STUDY", STUDY_ROOT, {"StudyInstanceUID": "1.*"}, STUDY),
        ("STUDY", STUDY_ROOT, {"StudyInstanceUID": ["1.2", ""]}, STUDY),
        ("STUDY", PATIENT_ROOT, {"StudyInstanceUID": "1.2"}, PATIENT),
        ("PATIENT", PATIENT_ROOT, {"PatientID": "7?"}, PATIENT),
        ("SERIES", STUDY_ROOT, {"SeriesInstanceUID": "1.3"}, STUDY),
        ("SERIES", STUDY_ROOT, {"StudyInstanceUID": ["1", "2"], "SeriesInstanceUID": "1.3"}, STUDY),
    ],
)
def test_refused(level: str, model: Model, keys: dict[str, Any], offending: int) -> None:
    with pytest.raises(QueryError) as caught:
        selected(level, model, **keys)
    assert (caught.value.status, caught.value.offending) == (0xA900, (offending,))
    assert caught.value.comment


def test_bytes_that_are_no_identifier() -> None:
    with pytest.raises(QueryError) as caught:
        read_selection(b"\x08\x00\x52\x00\xff\x00\x00\x00", IMPLICIT_VR_LITTLE_ENDIAN, STUDY_ROOT)
    assert caught.value.status == 0xC000


@pytest.mark.parametrize(
    ("proposed", "answer"), [(b"\1\1\1", b"\1\0\0"), (b"\1", b"\1"), (b"\0\1", b"\0\0"), (b"", b"")]
)
def test_only_relational_retrieve_is_agreed_to(proposed: bytes, answer: bytes) -> None:
    assert negotiate_retrieve(STUDY_ROOT.get, proposed) == answer
    assert negotiate_retrieve(PATIENT_ROOT.move, proposed) == answer
    assert negotiate_retrieve(STUDY_ROOT.find, proposed) is None
