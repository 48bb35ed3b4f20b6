"""Where attributes are kept: every key that can be asked for has its place, at its level."""

from services.archive.index.places import OF_STUDY, PLACES, Kind, tag_at, tag_text
from services.archive.index.schema import LEVELS, studies
from services.archive.index_attributes import INDEX_TAGS
from services.query.keys import SUPPORTED, Level


def test_every_supported_key_has_its_place() -> None:
    assert set(SUPPORTED) <= set(PLACES)
    assert {tag & ~OF_STUDY for tag in PLACES} <= INDEX_TAGS | {
        tag for tag, key in SUPPORTED.items() if key.computed
    }
    levels = dict(zip(Level, LEVELS, strict=True))
    for tag, key in SUPPORTED.items():
        assert PLACES[tag].table is levels[key.level], key.keyword
        assert (PLACES[tag].kind in (Kind.COUNT, Kind.SUM)) is (key.computed and key.vr == "IS"), key.keyword


def test_unique_keys_are_looked_up() -> None:
    for tag in (0x00100020, 0x0020000D, 0x0020000E, 0x00080018):
        assert PLACES[tag].is_indexed
    assert not PLACES[0x00200013].is_indexed


def test_below_the_patient_a_patient_is_what_the_study_says() -> None:
    assert tag_at(0, 0x00100010) == 0x00100010
    for tag in (0x00100010, 0x00100020, 0x00100030, 0x00100040):
        assert PLACES[tag_at(1, tag)].table is studies
        assert tag_text(tag_at(3, tag)) == f"{tag:08X}"
    assert tag_at(1, 0x00201200) == 0x00201200
    assert tag_at(3, 0x00080020) == 0x00080020
