import pytest
from pydicom.dataset import Dataset

from services.query.answers import Answers
from services.query.identifiers import Element, IdentifierWriter, read_identifier
from services.query.keys import STUDY_ROOT
from services.query.matching import Stored
from services.query.requests import query_of, read_query

EXPLICIT = "1.2.840.10008.1.2.1"

LEVEL, RETRIEVE_AE, AVAILABILITY = 0x00080052, 0x00080054, 0x00080056
NAME, STUDY_UID, REQUESTS = 0x00100010, 0x0020000D, 0x00400275


def asked(level: str, **values: object) -> Answers:
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return Answers(query_of(ds, STUDY_ROOT), EXPLICIT, "ARCHIVE")


def answered(answers: Answers, record: dict[str, Stored]) -> dict[int, Element]:
    elements = read_identifier(answers.identifier(record), EXPLICIT)
    assert [element.tag for element in elements] == sorted(element.tag for element in elements)
    return {element.tag: element for element in elements}


def texts(answers: Answers, record: dict[str, Stored]) -> dict[int, str]:
    return {tag: element.text.strip(" \0") for tag, element in answered(answers, record).items()}


RECORD: dict[str, Stored] = {"00100010": "Doe^John", "0020000D": "1.2.3", "00080020": "20240101"}


def test_exactly_the_keys_asked_for() -> None:
    answers = asked("STUDY", PatientName="", StudyInstanceUID="", AccessionNumber="")
    assert answers.tags == (0x00080050, NAME, STUDY_UID)
    assert texts(answers, RECORD) == {
        0x00080050: "",
        LEVEL: "STUDY",
        RETRIEVE_AE: "ARCHIVE",
        NAME: "Doe^John",
        STUDY_UID: "1.2.3",
    }


def test_availability_is_for_who_asks() -> None:
    answers = asked("STUDY", StudyInstanceUID="", InstanceAvailability="")
    assert texts(answers, RECORD)[AVAILABILITY] == "ONLINE"
    assert AVAILABILITY not in texts(asked("STUDY", StudyInstanceUID=""), RECORD)


@pytest.mark.parametrize(
    ("availability", "retrieve", "expected"),
    [
        ("ONLINE", "", True),
        ("", "ARCHIVE", True),
        ("OFFLINE", "", False),
        ("", "OTHER", False),
        ("ON*", "A*", True),
    ],
)
def test_keys_about_the_answer_are_matched(availability: str, retrieve: str, expected: bool) -> None:
    keys = [(LEVEL, "CS"), (RETRIEVE_AE, "AE"), (AVAILABILITY, "CS")]
    data = IdentifierWriter(keys, EXPLICIT).write(["STUDY", retrieve, availability])
    answers = Answers(read_query(data, EXPLICIT, STUDY_ROOT), EXPLICIT, "ARCHIVE")
    assert answers.matches(RECORD) is expected


def test_statuses() -> None:
    assert asked("STUDY", StudyInstanceUID="").status == 0xFF00
    answers = asked("STUDY", StudyInstanceUID="", SliceThickness=None)
    assert answers.status == 0xFF01
    assert set(texts(answers, RECORD)) == {LEVEL, RETRIEVE_AE, STUDY_UID}


def test_the_character_set_is_declared_where_it_is_needed() -> None:
    answers = asked("STUDY", PatientName="", SpecificCharacterSet="ISO_IR 100")
    assert 0x00080005 not in texts(answers, RECORD)
    said = answered(answers, {"00100010": "Müller^Jörg"})
    assert (said[0x00080005].text, said[NAME].text.strip()) == ("ISO_IR 100", "Müller^Jörg")
    said = answered(answers, {"00100010": "山田^太郎"})
    assert (said[0x00080005].text, said[NAME].text.strip()) == ("ISO_IR 192", "山田^太郎")


ITEMS: list[dict[str, Stored]] = [
    {"00401001": "P1", "00400007": "Head", "00400009": "1"},
    {"00401001": "P2", "00400007": "Chest", "00400009": "2"},
]


def _items(**keys: str) -> tuple[tuple[tuple[int, str], ...], ...] | None:
    sequence = []
    if keys:
        item = Dataset()
        for keyword, value in keys.items():
            setattr(item, keyword, value)
        sequence.append(item)
    answers = asked("SERIES", StudyInstanceUID="1.2.3", RequestAttributesSequence=sequence)
    found = answered(answers, {**RECORD, "00400275": ITEMS})[REQUESTS].items
    return found and tuple(tuple((each.tag, each.text.strip()) for each in item) for item in found)


def test_matching_items_with_what_was_asked_for() -> None:
    assert _items(RequestedProcedureID="P2", ScheduledProcedureStepDescription="") == (
        ((0x00400007, "Chest"), (0x00401001, "P2")),
    )
    assert _items(RequestedProcedureID="") == (((0x00401001, "P1"),), ((0x00401001, "P2"),))


def test_the_whole_sequence_for_no_item() -> None:
    assert _items() == tuple(
        tuple((int(tag, 16), str(value)) for tag, value in sorted(item.items())) for item in ITEMS
    )
