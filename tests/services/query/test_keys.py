import pytest

from services.archive import index_attributes
from services.query.keys import (
    MODELS,
    PATIENT_ROOT,
    PATIENT_STUDY_ONLY,
    STUDY_ROOT,
    SUPPORTED,
    UNIQUE_KEYS,
    Level,
    Model,
    Usage,
    keys_at,
    tag_name,
)


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        (Level.PATIENT, index_attributes.PATIENT_ATTRIBUTES),
        (Level.STUDY, index_attributes.STUDY_ATTRIBUTES),
        (Level.SERIES, index_attributes.SERIES_ATTRIBUTES),
        (Level.IMAGE, index_attributes.IMAGE_ATTRIBUTES),
    ],
)
def test_every_attribute_of_the_index_is_a_key(level: Level, kept: dict[int, str]) -> None:
    stored = {tag: key.keyword for tag, key in SUPPORTED.items() if key.level is level and not key.computed}
    assert stored == dict(kept)


def test_models() -> None:
    assert [model.levels[0] for model in MODELS.values()] == [Level.PATIENT, Level.STUDY, Level.PATIENT]
    assert set(MODELS) == {f"1.2.840.10008.5.1.4.1.2.{number}.1" for number in (1, 2, 3)}


@pytest.mark.parametrize(
    ("model", "level", "count"),
    [
        (PATIENT_ROOT, Level.PATIENT, 1),
        (PATIENT_ROOT, Level.IMAGE, 4),
        (STUDY_ROOT, Level.STUDY, 1),
        (STUDY_ROOT, Level.IMAGE, 3),
        (PATIENT_STUDY_ONLY, Level.STUDY, 2),
    ],
)
def test_one_unique_key_to_a_level(model: Model, level: Level, count: int) -> None:
    unique = [key.tag for key in keys_at(model, level).values() if key.usage_in(model) is Usage.UNIQUE]
    assert unique == [UNIQUE_KEYS[each] for each in (*model.above(level), level)]
    assert len(unique) == count


def test_keys_of_lower_levels_are_none() -> None:
    assert 0x00080060 not in keys_at(STUDY_ROOT, Level.STUDY)
    assert 0x00080060 in keys_at(STUDY_ROOT, Level.SERIES)
    assert 0x00080020 in keys_at(STUDY_ROOT, Level.SERIES)
    assert 0x00201206 not in keys_at(PATIENT_ROOT, Level.PATIENT)


def test_a_patients_counts_need_a_patient_level() -> None:
    assert 0x00201200 in keys_at(PATIENT_ROOT, Level.PATIENT)
    assert 0x00201200 not in keys_at(STUDY_ROOT, Level.STUDY)
    assert 0x00100010 in keys_at(STUDY_ROOT, Level.STUDY)


def test_tag_name() -> None:
    assert tag_name(0x0020000D) == "StudyInstanceUID (0020,000D)"
    assert tag_name(0x00091001) == "(0009,1001)"
