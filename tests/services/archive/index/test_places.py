"""Where attributes are kept: every key that can be asked for has its place, at its level."""

from services.archive.index.places import PLACES, Kind
from services.archive.index.schema import LEVELS
from services.archive.index_attributes import INDEX_TAGS
from services.query.keys import SUPPORTED, Level


def test_every_supported_key_has_its_place() -> None:
    assert set(SUPPORTED) <= set(PLACES)
    assert set(PLACES) <= INDEX_TAGS | {tag for tag, key in SUPPORTED.items() if key.computed}
    levels = dict(zip(Level, LEVELS, strict=True))
    for tag, key in SUPPORTED.items():
        assert PLACES[tag].table is levels[key.level], key.keyword
        assert (PLACES[tag].kind is Kind.COUNT) is (key.computed and key.vr == "IS"), key.keyword


def test_unique_keys_are_looked_up() -> None:
    for tag in (0x00100020, 0x0020000D, 0x0020000E, 0x00080018):
        assert PLACES[tag].is_indexed
    assert not PLACES[0x00200013].is_indexed
