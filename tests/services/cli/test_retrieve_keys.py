"""What the options of `dicom-retrieve` and `dicom-move` ask for."""

from pathlib import Path

import pytest

from services.cli.retrieve_keys import InvalidSelection, Wanted, read_wanted
from services.query.keys import (
    PATIENT_ID,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    Level,
)
from services.retrieve.selection import Selection


def test_studies_each_once() -> None:
    assert read_wanted(["1.2", "1.3", "1.2"], [], [], None, "") == [Wanted("", "1.2"), Wanted("", "1.3")]


def test_series_and_instances_below() -> None:
    (series,) = read_wanted(["1.2"], ["1.3", "1.4"], [], None, "")
    assert (series.level, series.model) == (Level.SERIES, "study")
    (instances,) = read_wanted(["1.2"], ["1.3"], ["1.5", "1.6", "1.5"], None, "P")
    assert (instances.level, instances.model) == (Level.IMAGE, "patient")
    assert list(instances.selections()) == [
        Selection(
            Level.IMAGE,
            {
                PATIENT_ID: ("P",),
                STUDY_INSTANCE_UID: ("1.2",),
                SERIES_INSTANCE_UID: ("1.3",),
                SOP_INSTANCE_UID: ("1.5", "1.6"),
            },
        )
    ]


def test_a_patient_alone() -> None:
    (patient,) = read_wanted([], [], [], None, "4711")
    assert list(patient.selections()) == [Selection(Level.PATIENT, {PATIENT_ID: ("4711",)})]
    assert str(patient) == "patient 4711"


def test_no_request_has_too_many_uids() -> None:
    wanted = Wanted("", "1.2", ("1.3",), tuple(f"1.4.{n}" for n in range(250)))
    assert [len(each.unique_keys[SOP_INSTANCE_UID]) for each in wanted.selections()] == [100, 100, 50]
    series = Wanted("", "1.2", tuple(f"1.4.{n}" for n in range(101)))
    assert [len(each.unique_keys[SERIES_INSTANCE_UID]) for each in series.selections()] == [100, 1]


@pytest.mark.parametrize(
    ("wanted", "uids", "expected"),
    [
        (Wanted("P"), ("1", "2", "3"), True),
        (Wanted("", "1"), ("1", "2", "3"), True),
        (Wanted("", "1"), ("9", "2", "3"), False),
        (Wanted("", "1", ("2", "4")), ("1", "4", "3"), True),
        (Wanted("", "1", ("2",)), ("1", "4", "3"), False),
        (Wanted("", "1", ("2",), ("3",)), ("1", "2", "3"), True),
        (Wanted("", "1", ("2",), ("3",)), ("1", "2", "4"), False),
    ],
)
def test_what_belongs_to_it(wanted: Wanted, uids: tuple[str, str, str], expected: bool) -> None:
    assert wanted.includes(*uids) is expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], [], ""), "say what to retrieve"),
        ((["1.2/../3"], [], [], ""), "--study-uid: '1.2/../3' is no UID"),
        ((["1.2", "1.3"], ["1.4"], [], ""), "--series-uid needs the one --study-uid"),
        ((["1.2"], [], ["1.4"], ""), "--instance-uid needs the one --series-uid"),
        (([], [], [], "DOE*"), "name one patient"),
        (([], [], [], "A\\B"), "name one patient"),
    ],
)
def test_what_makes_no_sense(arguments: tuple[list[str], list[str], list[str], str], message: str) -> None:
    studies, series, instances, patient = arguments
    with pytest.raises(InvalidSelection, match="^.*" + message.replace("*", r"\*")):
        read_wanted(studies, series, instances, None, patient)


# -- a list in a file


def listed(tmp_path: Path, text: str | bytes) -> list[Wanted]:
    path = tmp_path / "uids.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_wanted([], [], [], path, "")


def test_a_list(tmp_path: Path) -> None:
    text = "# studies\n1.2\n\n1.3  # the other\n1.4, 1.5\n1.6 1.7 1.8\r\n1.6 1.7 1.9\n1.2\n"
    assert listed(tmp_path, text) == [
        Wanted("", "1.2"),
        Wanted("", "1.3"),
        Wanted("", "1.4", ("1.5",)),
        Wanted("", "1.6", ("1.7",), ("1.8", "1.9")),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", "there is no UID"),
        ("1.2\nx.3\n", "line 2: 'x.3' is no UID"),
        ("1 2 3 4\n", "line 1: 4 UIDs"),
        (b"\xff\xfe", "is no text"),
    ],
)
def test_a_list_that_is_none(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InvalidSelection, match=message):
        listed(tmp_path, text)


def test_a_list_that_is_not_there_or_not_alone(tmp_path: Path) -> None:
    with pytest.raises(InvalidSelection, match="cannot read"):
        read_wanted([], [], [], tmp_path / "none", "")
    with pytest.raises(InvalidSelection, match="names studies by itself"):
        read_wanted(["1.2"], [], [], tmp_path / "none", "")
