"""Matching as data: (VR, stored value, key, matches or not) over every rule of PS3.4 C.2.2.2."""

import re

import pytest

from matching_tables import EMPTY, FUZZY, NO, PLAIN, YES
from services import normal_forms
from services.conditions import (
    Always,
    AnyOf,
    Between,
    Condition,
    Described,
    Equals,
    Form,
    Like,
    Never,
    OneOf,
)
from services.query.matching import UNIVERSAL, InvalidKey, ItemKeys, matcher
from services.query.options import Options


@pytest.mark.parametrize(("vr", "stored", "key", "expected"), PLAIN)
def test_matches(vr: str, stored: str, key: str, expected: bool) -> None:
    assert matcher(vr, key).matches(stored) is expected


@pytest.mark.parametrize(("stored", "key", "expected"), FUZZY)
def test_fuzzy_names(stored: str, key: str, expected: bool) -> None:
    assert matcher("PN", key, Options(fuzzy=True)).matches(stored) is expected


def test_fuzzy_is_only_for_who_negotiated_it() -> None:
    assert not matcher("PN", "Smyth^Jon").matches("Smith^John")


@pytest.mark.parametrize(("vr", "stored", "key", "expected"), EMPTY)
def test_empty_value_matching(vr: str, stored: str, key: str, expected: bool) -> None:
    assert matcher(vr, key, Options(empty_values=True)).matches(stored) is expected


def test_two_quotation_marks_are_literal_without_negotiation() -> None:
    assert matcher("LO", '""').matches('""')
    assert not matcher("LO", '""').matches("")


@pytest.mark.parametrize(
    ("vr", "key"),
    [
        ("DA", "2024*"),
        ("DA", "*"),
        ("DA", "monday-friday"),
        ("DA", "20240231"),
        ("DA", "2024"),
        ("DA", "-"),
        ("DA", "20240101-20240102-20240103"),
        ("DA", "2024-02-15"),
        ("TM", "25"),
        ("TM", "1060"),
        ("TM", "10?"),
        ("TM", "-"),
        ("TM", "noon-"),
        ("TM", "１０"),
        ("DT", "20241301"),
        ("DT", "now"),
        ("DT", "-"),
        ("DT", "2024+9999"),
    ],
)
def test_what_is_no_date_is_refused(vr: str, key: str) -> None:
    with pytest.raises(InvalidKey):
        matcher(vr, key)


@pytest.mark.parametrize("vr", ["DA", "TM", "DT", "IS", "UI"])
def test_a_star_is_universal_for_peers_that_mean_it(vr: str) -> None:
    assert matcher(vr, "*", Options(universal_star=True)) is UNIVERSAL


@pytest.mark.parametrize(
    "key", ["*" * 60 + "Tester" + "*a" * 400, "*" + "a?" * 400 + "b*", "*" + "a*" * 500 + "b"]
)
def test_a_hostile_pattern_ends(key: str) -> None:
    for vr in ("LO", "PN", "UT"):
        assert not matcher(vr, key).matches("a" * 4000)


@pytest.mark.parametrize("vr", ["LO", "PN", "UT"])
def test_a_pattern_has_a_longest_length(vr: str) -> None:
    with pytest.raises(InvalidKey):
        matcher(vr, "a*" * 600)


@pytest.mark.parametrize(("vr", "value"), [("DA", "20240101"), ("PN", "Doe"), ("IS", "1"), ("TM", "10-11")])
def test_a_key_has_so_many_values_at_most(vr: str, value: str) -> None:
    assert matcher(vr, "\\".join([value] * 100))
    with pytest.raises(InvalidKey, match=r"101 values, over 100"):
        matcher(vr, "\\".join([value] * 101))


def test_a_long_list_of_uids() -> None:
    uids = [f"1.2.{number}" for number in range(5000)]
    key = matcher("UI", "\\".join(uids))
    assert key.matches("1.2.4999")
    assert not key.matches("1.2.5000")
    assert key.describe() == Described(OneOf(tuple(uids)))


# -- sequences (C.2.2.2.6)

ITEMS = [
    {"00400007": "Head", "00400009": "1", "00400008": [{"00080100": "A"}, {"00080100": "B"}]},
    {"00400007": "Chest", "00400009": "2", "00400008": []},
]


def _keys(**values: str) -> ItemKeys:
    return ItemKeys({tag[1:]: matcher("SH", value) for tag, value in values.items()})


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (ItemKeys({}), YES),
        (_keys(_00400007=""), YES),
        (_keys(_00400007="Head"), YES),
        (_keys(_00400007="H*", _00400009="1"), YES),
        (_keys(_00400007="Head", _00400009="2"), NO),
        (_keys(_00400007="Chest", _00400009="2"), YES),
        (_keys(_00400007="Foot"), NO),
        (_keys(_00401001="x"), NO),
        (_keys(_00400008="x"), NO),
        (ItemKeys({"00400008": _keys(_00080100="B")}), YES),
        (ItemKeys({"00400008": _keys(_00080100="C")}), NO),
        (ItemKeys({"00400007": matcher("LO", "Chest"), "00400008": _keys(_00080100="B")}), NO),
        (ItemKeys({"00400007": matcher("LO", "Chest"), "00400008": _keys(_00080100="")}), YES),
    ],
)
def test_sequences(keys: ItemKeys, expected: bool) -> None:
    assert keys.matches(ITEMS) is expected


def test_no_items_match_universal_keys_only() -> None:
    assert _keys(_00400007="").matches("")
    assert _keys(_00400007="").matches([])
    assert not _keys(_00400007="Head").matches("")
    assert not _keys(_00400007="Head").matches([])


# -- what an index is told


@pytest.mark.parametrize(
    ("vr", "key", "expected"),
    [
        ("LO", "", Described(Always())),
        ("LO", "A", Described(Equals("A"))),
        ("LO", "A*", Described(Like("A%"))),
        ("LO", "A%_?*", Described(Like("A\\%\\__%"))),
        ("LO", "A\\B*", Described(AnyOf((Equals("A"), Like("B%"))))),
        ("LO", "A*b*c*d*e*f", Described(Like("A%f"), exact=False)),
        ("UI", "1.2\\1.3", Described(OneOf(("1.2", "1.3")))),
        ("UI", "1.*", Described(Equals("1.*"))),
        ("DA", "20240101", Described(Equals("20240101"), form=Form.DATE)),
        ("DA", "20240101-", Described(Between("20240101", None), form=Form.DATE)),
        ("DA", "20240102-20240101", Described(Never(), form=Form.DATE)),
        ("TM", "10", Described(Between("100000.000000", "105959.999999"), form=Form.TIME)),
        ("PN", "Doe^J", Described(Equals("doe^j"), form=Form.NAME)),
        ("PN", "Müll*", Described(Like("mull%"), form=Form.NAME)),
        ("PN", "Doe^*", Described(AnyOf((Like("doe^%"), Equals("doe"))), form=Form.NAME)),
        ("PN", "=山田", Described(Equals("山田"), exact=False, form=Form.NAME)),
        ("IS", "1", Described(Always(), exact=False)),
        ("DT", "2024", Described(Always(), exact=False)),
    ],
)
def test_conditions(vr: str, key: str, expected: Described) -> None:
    assert matcher(vr, key).describe() == expected


@pytest.mark.parametrize(("vr", "stored", "key", "expected"), PLAIN)
def test_a_condition_leaves_out_no_match(vr: str, stored: str, key: str, expected: bool) -> None:
    described = matcher(vr, key).describe()
    fulfilled = any(_fulfils(value, described.condition) for value in _in_form(vr, stored, described.form))
    assert fulfilled or not expected
    if described.exact:
        assert fulfilled is expected


def _in_form(vr: str, stored: str, form: Form) -> list[str]:
    if vr in ("LT", "ST", "UT"):
        return [stored.rstrip(" \0")]
    values = [value.strip(" \0") for value in stored.split("\\")]
    match form:
        case Form.TEXT:
            return values
        case Form.DATE:
            return [normal_forms.date(value) for value in values]
        case Form.TIME:
            return [normal_forms.time(value) for value in values]
        case Form.NAME:
            return [group for value in values for group in normal_forms.name_groups(value)]


def _fulfils(value: str, condition: Condition) -> bool:
    match condition:
        case Always():
            return True
        case Never():
            return False
        case Equals(wanted):
            return value == wanted
        case OneOf(wanted_values):
            return value in wanted_values
        case Between(low, high):
            return value != "" and (low is None or value >= low) and (high is None or value <= high)
        case AnyOf(conditions):
            return any(_fulfils(value, each) for each in conditions)
        case Like(pattern):
            parts = re.findall(r"\\.|.", pattern, re.DOTALL)
            as_regex = {"%": ".*", "_": "."}
            regex = "".join(as_regex.get(part) or re.escape(part[-1]) for part in parts)
            return re.fullmatch(regex, value, re.DOTALL) is not None
