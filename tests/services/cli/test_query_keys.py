import pytest

from services.cli.query_keys import InvalidKey, build_identifier


def test_modality_is_of_the_study_or_of_the_series() -> None:
    assert build_identifier({"Modality": "CT"}).identifier.ModalitiesInStudy == "CT"
    assert build_identifier({"Modality": "CT"}, level="series").identifier.Modality == "CT"


def test_the_level_is_that_of_the_lowest_uid() -> None:
    assert build_identifier({}).level == "study"
    assert build_identifier({"SeriesInstanceUID": "1.2"}).level == "series"
    assert build_identifier({"SOPInstanceUID": "1.2"}).identifier.QueryRetrieveLevel == "IMAGE"
    assert build_identifier({}, level="patient").model == "patient"


def test_further_keys() -> None:
    path = "RequestAttributesSequence.ScheduledProcedureStepID=SPS1"
    wanted = build_identifier({}, [path, "0008,0080", "Rows=512"])
    assert wanted.identifier.RequestAttributesSequence[0].ScheduledProcedureStepID == "SPS1"
    assert (wanted.identifier.InstitutionName, wanted.identifier.Rows) == ("", 512)
    assert wanted.columns[-3:] == ("RequestAttributesSequence", "InstitutionName", "Rows")


def test_utf_8_only_where_a_value_needs_it() -> None:
    assert "SpecificCharacterSet" not in build_identifier({"PatientName": "DOE"}).identifier
    assert build_identifier({"PatientName": "Müller"}).identifier.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize(
    ("values", "further", "level", "message"),
    [
        ({}, ["PatientNme=A"], None, "did you mean PatientName?"),
        ({}, ["Rows=many"], None, "no value of VR US"),
        ({}, ["PatientName.PatientID"], None, "is no sequence"),
        ({"StudyDate": "2024-01-31"}, [], None, "write a day as 20240131"),
        ({"SeriesInstanceUID": "1"}, [], "study", "say --level series"),
    ],
)
def test_mistakes_are_named(
    values: dict[str, str], further: list[str], level: str | None, message: str
) -> None:
    with pytest.raises(InvalidKey) as caught:
        build_identifier(values, further, level=level)
    assert message in str(caught.value)
