"""The rows of an instance, held equal to what pydicom reads."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from index_samples import EXPLICIT_BE, Sample, sample, scanned
from real_files import real_file, real_files
from services.archive.errors import ArchiveError
from services.archive.index.entry import LONGEST_COLUMN, Entry
from services.archive.index_attributes import (
    IMAGE_ATTRIBUTES,
    PATIENT_ATTRIBUTES,
    SERIES_ATTRIBUTES,
    STUDY_ATTRIBUTES,
)

LEVELS = (PATIENT_ATTRIBUTES, STUDY_ATTRIBUTES, SERIES_ATTRIBUTES, IMAGE_ATTRIBUTES)


def attributes_of(entry: Entry) -> tuple[dict[str, Any], ...]:
    rows = (entry.patient(), entry.study(), entry.series())
    attributes = [*(row["attributes"] for row in rows), entry.instance()[-1]]
    # pydicom leaves out the delimiter behind the last component group.
    return tuple({tag: _ended(value) for tag, value in json.loads(each).items()} for each in attributes)


def _ended(value: Any) -> Any:
    return value.rstrip("=") if isinstance(value, str) else value


def by_pydicom(ds: Dataset, tags: Any) -> dict[str, Any]:
    """The same values as pydicom has them."""
    found = {}
    for tag in tags:
        if tag not in ds:
            continue
        element = ds[tag]
        value = element.value
        if element.VR == "SQ":
            decoded: Any = [item for each in value if (item := by_pydicom(each, each.keys()))]
        elif element.VR in ("OB", "OW", "UN", "OB or OW"):
            continue
        else:
            values = value if isinstance(value, MultiValue) else [value]
            decoded = "\\".join(_text(each) for each in values if each is not None)
        if decoded:
            found[f"{int(tag):08X}"] = decoded
    return found


def _text(value: Any) -> str:
    text = getattr(value, "original_string", None)
    return (text if isinstance(text, str) else str(value)).strip(" \0")


def _indexed() -> list[Path]:
    """Those that a scan can read; what it refuses never comes to the index."""
    readable = []
    for file in real_files():
        try:
            scanned(file)
        except ArchiveError:
            continue
        if "dfl" not in file.name:  # deflated: the archive scans it another way
            readable.append(file)
    return readable


INDEXED = _indexed()


def test_nearly_every_real_file_is_looked_at() -> None:
    assert len(INDEXED) > 200


@pytest.mark.parametrize("file", INDEXED, ids=[file.name for file in INDEXED])
def test_every_level_says_what_pydicom_reads(file: Path) -> None:
    source = scanned(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dcmread(file, force=True)
        patient, study, *others = (by_pydicom(ds, level) for level in LEVELS)
    assert attributes_of(Entry.of(source)) == (patient, patient | study, *others)


def test_columns_have_the_normal_forms() -> None:
    source = Sample(
        values={
            0x00080005: b"ISO_IR 192",
            0x00100010: "Müller^Jörg=山田^太郎".encode(),
            0x00100020: b" 47 ",
            0x00100021: b"HOSP",
            0x00100030: b"1970.01.02",
            0x00080020: b"20260230",
            0x00080030: b"0730",
            0x00080090: b"House^G ",
            0x00080060: b"CT",
        }
    )
    entry = Entry.of(source)
    patient, study = entry.patient(), entry.study()
    assert patient["patient_key"] == "47\\HOSP"
    assert (patient["patient_id"], patient["patient_birth_date"]) == ("47", "19700102")
    assert patient["patient_name_alphabetic"] == "muller^jorg"
    assert (patient["patient_name_ideographic"], patient["patient_name_phonetic"]) == ("山田^太郎", "")
    assert (study["study_date"], study["study_time"]) == ("", "073000.000000"), (
        "what is no date is in no range"
    )
    assert json.loads(study["attributes"])["00080020"] == "20260230", "and still in the answer"
    assert study["referring_physician_name_alphabetic"] == "house^g"
    assert entry.series()["modality"] == "CT"


def test_without_a_patient_id_the_study_says_who_it_is() -> None:
    assert Entry.of(sample("1.4", study="1.7.8")).patient()["patient_key"] == "\\1.7.8"


def test_what_has_several_values_is_found_by_the_first() -> None:
    row = Entry.of(sample("1.4", PatientID="A\\B")).patient()
    assert row["patient_id"] == "A"
    assert json.loads(row["attributes"])["00100020"] == "A\\B"


def test_long_values_fit_into_an_index() -> None:
    row = Entry.of(sample("1.4", PatientID="x" * 4000, PatientName="ﷺ" * 1300)).patient()
    assert len(row["patient_id"]) == LONGEST_COLUMN
    assert len(row["patient_name_alphabetic"]) <= LONGEST_COLUMN
    assert len(row["patient_key"]) <= 2 * LONGEST_COLUMN


def test_no_nul_comes_to_the_database() -> None:
    row = Entry.of(sample("1.4", PatientID="A\0B", PatientName="D\0E")).patient()
    assert "\0" not in "".join(row.values())
    assert "\\u0000" not in row["attributes"]
    assert row["patient_id"] == "A B"


def test_no_nul_of_a_uid_comes_to_the_database() -> None:
    attributes = Entry.of(sample("1.4", FrameOfReferenceUID="1.2\0.3")).series()["attributes"]
    assert json.loads(attributes)["00200052"] == "1.2 .3"


def test_numbers_of_big_endian_data_sets() -> None:
    source = Sample(
        values={0x00280010: b"\x02\x00", 0x00280011: b"\x01\x00"}, transfer_syntax_uid=EXPLICIT_BE
    )
    assert attributes_of(Entry.of(source))[3] == {"00280010": "512", "00280011": "256"}


def test_the_row_of_an_instance() -> None:
    source = scanned(real_file("CT_small.dcm"), place="1.2/1.3/1.4.dcm")
    row = Entry.of(source).instance()
    assert row[:4] == ("1.4", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "1")
    assert row[4:6] == (source.data_set_offset, source.size)


def test_a_value_means_what_its_character_set_says() -> None:
    for sets, text in ((b"ISO_IR 100", "Ã¤"), (b"ISO_IR 192", "ä"), (b"ISO_IR 100", "Ã¤")):
        source = Sample(values={0x00080005: sets, 0x00204000: "ä".encode()})
        assert attributes_of(Entry.of(source))[3] == {"00204000": text}


def test_more_values_than_are_remembered() -> None:
    for number in range(10_000):
        source = Sample(values={0x00200013: b"%d " % number, 0x00080008: b"A\\B"})
        row = Entry.of(source).instance()
        assert row[3] == str(number)
        assert json.loads(row[-1]) == {"00200013": str(number), "00080008": "A\\B"}
