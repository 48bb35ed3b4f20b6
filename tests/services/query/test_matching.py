"""Matching as data: (VR, stored value, key, matches or not) over every rule of PS3.4 C.2.2.2."""

import re

import pytest

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

YES, NO = True, False

PLAIN = [
    # single value (C.2.2.2.1)
    ("LO", "ABC", "ABC", YES),
    ("LO", "ABC", "abc", NO),
    ("LO", "ABC", "AB", NO),
    ("LO", "AB", "ABC", NO),
    ("LO", "ABC ", "ABC", YES),
    ("LO", "ABC", "ABC   ", YES),
    ("LO", " ABC", "ABC", YES),
    ("LO", "A  C", "A C", NO),
    ("LO", "", "ABC", NO),
    ("SH", "A-1", "A-1", YES),
    ("SH", "A-1", "A-2", NO),
    ("CS", "CT", "CT", YES),
    ("CS", "CT", "MR", NO),
    ("CS", "CT", "C", NO),
    ("AE", "STORE", "STORE ", YES),
    ("AE", "STORE", "store", NO),
    ("AS", "030Y", "030Y", YES),
    ("AS", "030Y", "030M", NO),
    ("LO", "Größe", "Größe", YES),
    ("LO", "Größe", "Grosse", NO),
    ("UR", "http://a/b?c", "http://a/b?c", YES),
    # long texts
    ("LT", " indented", " indented", YES),
    ("LT", " indented", "indented", NO),
    ("LT", "a\\b", "a\\b", YES),
    ("LT", "a\\b", "a", NO),
    ("ST", "two\r\nlines", "two*", YES),
    ("UT", "one two three", "*two*", YES),
    ("UT", "text   ", "text", YES),
    # numbers
    ("IS", "1", "1", YES),
    ("IS", "01", "1", YES),
    ("IS", "+1", "1", YES),
    ("IS", "10", "1", NO),
    ("IS", "", "1", NO),
    ("IS", "1", "*", NO),
    ("IS", "12", "1?", NO),
    ("DS", "1.0", "1", YES),
    ("DS", "1e1", "10", YES),
    ("DS", "1.5", "1.4", NO),
    ("US", "512", "512", YES),
    ("US", "512", "256", NO),
    ("IS", "one", "one", YES),
    ("DS", "NaN", "NaN", YES),
    # several stored values: one is enough (C.2.2.3)
    ("CS", "CT\\MR", "MR", YES),
    ("CS", "CT\\MR", "CT\\MR", YES),
    ("CS", "CT\\MR", "PT", NO),
    ("CS", "CT\\MR", "PT\\MR", YES),
    ("CS", "ORIGINAL\\PRIMARY\\AXIAL", "PRIM*", YES),
    ("CS", "ORIGINAL\\PRIMARY", "ORIGINAL*PRIMARY", NO),
    ("LO", "A \\ B", "B", YES),
    ("PN", "Doe^John\\Roe^Jane", "roe^jane", YES),
    # UID and list of UID (C.2.2.2.2)
    ("UI", "1.2.3", "1.2.3", YES),
    ("UI", "1.2.3\0", "1.2.3", YES),
    ("UI", "1.2.3", "1.2.3\0", YES),
    ("UI", "1.2.3", "1.2", NO),
    ("UI", "1.2.3", "1.2.30", NO),
    ("UI", "1.2.3", "1.2.3\\1.2.4", YES),
    ("UI", "1.2.4", "1.2.3\\1.2.4", YES),
    ("UI", "1.2.5", "1.2.3\\1.2.4", NO),
    ("UI", "1.2.3", "1.2.3\\1.2.3\\1.2.9", YES),
    ("UI", "1.2.3", "1.2.9\\\\1.2.3", YES),
    ("UI", "", "1.2.3", NO),
    ("UI", "1.2.3", "1.2.*", NO),
    ("UI", "1.2.3", "1.2.?", NO),
    ("UI", "1.2.3", "*", NO),
    ("UI", "1.2.*", "1.2.*", YES),
    ("UI", "1.2.840\\1.2.841", "1.2.841", YES),
    # universal (C.2.2.2.3)
    ("LO", "ABC", "", YES),
    ("LO", "", "", YES),
    ("LO", "", "  ", YES),
    ("LO", "", "\\", YES),
    ("LO", "", "*", YES),
    ("LO", "", "**", YES),
    ("LO", "", "A\\*", YES),
    ("LO", "ABC", "*", YES),
    ("PN", "", "", YES),
    ("PN", "", "*", YES),
    ("UI", "", "", YES),
    ("DA", "", "", YES),
    ("DA", "20240101", "", YES),
    ("TM", "", "", YES),
    ("DT", "", "", YES),
    ("IS", "", "", YES),
    ("UT", "", "*", YES),
    # wild cards (C.2.2.2.4)
    ("LO", "ABC", "A*", YES),
    ("LO", "ABC", "*C", YES),
    ("LO", "ABC", "*B*", YES),
    ("LO", "ABC", "A*C", YES),
    ("LO", "AC", "A*C", YES),
    ("LO", "ABCD", "A*C", NO),
    ("LO", "ABC", "a*", NO),
    ("LO", "ABC", "A?C", YES),
    ("LO", "AC", "A?C", NO),
    ("LO", "ABBC", "A?C", NO),
    ("LO", "ABC", "???", YES),
    ("LO", "ABC", "????", NO),
    ("LO", "ABC", "?*", YES),
    ("LO", "", "?*", NO),
    ("LO", "", "?", NO),
    ("LO", "A", "A*A", NO),
    ("LO", "AA", "A*A", YES),
    ("LO", "ABCABD", "*AB?", YES),
    ("LO", "xaybzc", "*a*b*c", YES),
    ("LO", "xbyazc", "*a*b*c", NO),
    ("LO", "aab", "*a?", YES),
    ("LO", "abab", "ab*ab", YES),
    ("LO", "aba", "ab*ba", NO),
    ("LO", "A*C", "A*C", YES),
    ("LO", "山田太郎", "山?太*", YES),
    ("SH", "ACC1", "ACC?", YES),
    ("CS", "CHEST", "CH*", YES),
    ("AE", "STORE1", "STORE?", YES),
    ("UC", "unlimited", "un*ed", YES),
    ("AS", "030Y", "03*", NO),
    # what databases take for special is literal
    ("LO", "ABC", "%", NO),
    ("LO", "%", "%", YES),
    ("LO", "ABC", "A%", NO),
    ("LO", "A%C", "A%*", YES),
    ("LO", "ABC", "A_C", NO),
    ("LO", "A_C", "A_?", YES),
    ("LO", "ABC", "[A-Z]*", NO),
    ("LO", "[A-Z]x", "[A-Z]*", YES),
    ("LO", "ABC", ".*", NO),
    ("LO", ".+|^$", ".+|^$", YES),
    ("LO", "O'Brien", "O'Brien", YES),
    ("LO", "x", "' OR '1'='1", NO),
    ("LO", "100% '_' [x]", "1??% '_' [?]*", YES),
    ("PN", "O'Conformance^50%_[T]", "o'conformance^50%_[t]", YES),
    ("PN", "OxConformance^50xxT", "O'Conformance^50%_T", NO),
    # dates (C.2.2.2.1, C.2.2.2.5)
    ("DA", "20240215", "20240215", YES),
    ("DA", "20240215", "20240216", NO),
    ("DA", "20240215 ", "20240215", YES),
    ("DA", "20240215", "20240201-20240315", YES),
    ("DA", "20240201", "20240201-20240315", YES),
    ("DA", "20240315", "20240201-20240315", YES),
    ("DA", "20240131", "20240201-20240315", NO),
    ("DA", "20240316", "20240201-20240315", NO),
    ("DA", "20240215", "20240201 - 20240315", YES),
    ("DA", "20240215", "20240215-", YES),
    ("DA", "20240214", "20240215-", NO),
    ("DA", "99991231", "20240215-", YES),
    ("DA", "20240215", "-20240215", YES),
    ("DA", "20240216", "-20240215", NO),
    ("DA", "", "-20240215", NO),
    ("DA", "", "20240215-", NO),
    ("DA", "", "20240215", NO),
    ("DA", "20240215", "20240315-20240201", NO),
    ("DA", "1990.01.01", "19900101", YES),
    ("DA", "19900101", "1990.01.01", YES),
    ("DA", "1990.01.01", "1989.12.31-1990.01.02", YES),
    ("DA", "1990.01.01", "19900102-", NO),
    ("DA", "garbage", "-20240215", NO),
    ("DA", "20240231", "20240101-20241231", NO),
    ("DA", "20240101\\20250101", "2025.01.01", YES),
    # times
    ("TM", "103000", "103000", YES),
    ("TM", "103000", "1030", YES),
    ("TM", "103000", "10", YES),
    ("TM", "113000", "10", NO),
    ("TM", "103059.999999", "1030", YES),
    ("TM", "103100", "1030", NO),
    ("TM", "1030", "103000", YES),
    ("TM", "1030", "103001", NO),
    ("TM", "10", "1030", NO),
    ("TM", "10", "100000", YES),
    ("TM", "103000.5", "103000", YES),
    ("TM", "103000.5", "103000.5", YES),
    ("TM", "103000.50", "103000.5", YES),
    ("TM", "103000.6", "103000.5", NO),
    ("TM", "103000", "080000-120000", YES),
    ("TM", "120000", "080000-120000", YES),
    ("TM", "120000.000001", "080000-120000", YES),
    ("TM", "120001", "080000-120000", NO),
    ("TM", "125959", "08-12", YES),
    ("TM", "130000", "08-12", NO),
    ("TM", "120000", "1200-", YES),
    ("TM", "115959.999999", "1200-", NO),
    ("TM", "000000", "-06", YES),
    ("TM", "065959", "-06", YES),
    ("TM", "070000", "-06", NO),
    ("TM", "230000", "22-02", NO),
    ("TM", "10:30:00", "1030", YES),
    ("TM", "103000", "10:30", YES),
    ("TM", "235960", "2359", NO),
    ("TM", "235960", "235960", YES),
    ("TM", "", "-12", NO),
    ("TM", "noon", "-12", NO),
    # moments
    ("DT", "20240215103000", "20240215103000", YES),
    ("DT", "20240215103000", "20240215", YES),
    ("DT", "20240215103000", "2024", YES),
    ("DT", "20240215103000", "202402", YES),
    ("DT", "20240215103000", "202403", NO),
    ("DT", "20241231235959.9", "2024", YES),
    ("DT", "20241231235959.9", "202412", YES),
    ("DT", "20240215103000", "202402151030-202402151031", YES),
    ("DT", "20240215103200", "202402151030-202402151031", NO),
    ("DT", "20240215103000", "20240215-", YES),
    ("DT", "20240214", "20240215-", NO),
    ("DT", "20240215235959", "-20240215", YES),
    ("DT", "20240216", "-20240215", NO),
    ("DT", "20240215103000.123456", "20240215103000.12", YES),
    ("DT", "20240215103000.13", "20240215103000.12", NO),
    ("DT", "20240215103000+0100", "20240215093000+0000", YES),
    ("DT", "20240215103000+0100", "20240215103000+0000", NO),
    ("DT", "20240215103000-0500", "20240215153000+0000", YES),
    ("DT", "20240215103000-0500", "20240215153000+0000-20240215160000+0000", YES),
    ("DT", "20240215103000+0000", "20240215053000-0500-20240215063000-0500", YES),
    ("DT", "20240215123000+0000", "20240215053000-0500-20240215063000-0500", NO),
    ("DT", "20240215103000-0500", "20240215103000-0500", YES),
    ("DT", "20240215103000", "20240215103000+0100", YES),
    ("DT", "2025", "2024-2026", YES),
    ("DT", "2027", "2024-2026", NO),
    ("DT", "20240215103060", "202402151030", YES),
    ("DT", "", "2024-", NO),
    ("DT", "garbage", "2024-", NO),
    # names: case, accents, delimiters, component groups (C.2.2.2.1, C.2.2.2.4)
    ("PN", "Doe^John", "DOE^JOHN", YES),
    ("PN", "Doe^John", "doe^john^^^", YES),
    ("PN", "Doe^John^^^", "Doe^John", YES),
    ("PN", "Doe^John", "Doe", NO),
    ("PN", "Doe^John", "Doe*", YES),
    ("PN", "Doe", "Doe^*", YES),
    ("PN", "Doe^John", "Doe^*", YES),
    ("PN", "Doel^John", "Doe^*", NO),
    ("PN", "Doe^John", "Doe^*^*", YES),
    ("PN", "Doe^John", "*^John", YES),
    ("PN", "Doe^John", "D?e^J*n", YES),
    ("PN", "Doe^John", "*ohn", YES),
    ("PN", "Doe^John", "Doe^J?n", NO),
    ("PN", "", "Doe", NO),
    ("PN", "", "D*", NO),
    ("PN", "Müller^Søren", "MÜLLER^SØREN", YES),
    ("PN", "Müller^Jürgen", "muller^jurgen", YES),
    ("PN", "Muller^Jurgen", "Müller^Jürgen", YES),
    ("PN", "Mu\u0308ller", "M\u00fcller", YES),
    ("PN", "Müller", "M?ller", YES),
    ("PN", "Groß", "GROSS", YES),
    ("PN", "Люкceмбypг", "люкceмбypг", YES),
    ("PN", "Διονυσιος", "διονυσιοσ", YES),
    ("PN", "Yamada^Tarou=山田^太郎=やまだ^たろう", "yamada^tarou", YES),
    ("PN", "Yamada^Tarou=山田^太郎=やまだ^たろう", "山田^太郎", YES),
    ("PN", "Yamada^Tarou=山田^太郎=やまだ^たろう", "やまだ*", YES),
    ("PN", "Yamada^Tarou=山田^太郎=やまだ^たろう", "=山田*", YES),
    ("PN", "Yamada^Tarou=山田^太郎=やまだ^たろう", "==やまだ*", YES),
    ("PN", "Yamada^Tarou=山田^太郎=やまだ^たろう", "=やまだ*", NO),
    ("PN", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Tarou=山田^太郎", YES),
    ("PN", "Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^花子", NO),
    ("PN", "Yamada^Tarou=山田^太郎", "Suzuki*=山田*", NO),
    ("PN", "Yamada^Tarou=山田^太郎", "Yamada*=*", YES),
    ("PN", "Yamada^Tarou", "Yamada*=*", YES),
    ("PN", "Yamada^Tarou", "*=*", YES),
    ("PN", "Yamada^Tarou", "Yamada^Tarou=山田^太郎", NO),
    ("PN", "がきく", "かきく", NO),
    ("PN", "Hong^Gildong=洪^吉洞=홍^길동", "홍^길동", YES),
    ("PN", "Wang^XiaoDong=王^小东", "王^?东", YES),
    ("PN", "A\uff0ab", "a*c", NO),
    ("PN", "Axc", "A\uff0ac", NO),
]


@pytest.mark.parametrize(("vr", "stored", "key", "expected"), PLAIN)
def test_matches(vr: str, stored: str, key: str, expected: bool) -> None:
    assert matcher(vr, key).matches(stored) is expected


FUZZY = [
    ("Smith^John", "Smyth^Jon", YES),
    ("Smith^John", "smith^john", YES),
    ("Meyer^Hans", "Maier^Hans", YES),
    ("Müller^Eva", "Mueller^Eva", YES),
    ("Sørensen^Ida", "Soerensen^Ida", YES),
    ("Schmidt^Anna", "Schmitt^Anna", YES),
    ("Catherine^Ann", "Katherine", YES),
    ("Robert^A", "Rupert^A", NO),
    ("Smith^John", "John^Smith", NO),
    ("Smith^John", "^Jon", YES),
    ("Smith^John", "Smith^Peter", NO),
    ("Meyer-Schmidt^Eva", "Maier", YES),
    ("Meyer-Schmidt^Eva", "Schmitt Meier^Eva", YES),
    ("Meyer^Eva", "Meier-Schmidt^Eva", NO),
    ("Smith^John", "Smyth^J*", YES),
    ("Smith^Peter", "Smyth^J*", NO),
    ("Smith^Peter", "Smyth^*", YES),
    ("O'Brien^Pat", "OBrian^Pat", YES),
    ("Yamada^Tarou=山田^太郎", "Yamata^Taro", YES),
    ("Yamada^Tarou=山田^太郎", "山田^太郎", YES),
    ("Yamada^Tarou=山田^太郎", "山本^太郎", NO),
    ("Yamada^Tarou=山田^太郎", "Yamata^Taro=山田", YES),
    ("Yamada^Tarou=山田^太郎", "Yamata^Taro=山本", NO),
    ("Łukasz^Đorđe", "Lukas^Dorde", YES),
    ("Łukasz", "Lukasz", YES),
    ("", "Smith", NO),
    ("123^456", "123^456", YES),
    ("123^456", "124^456", NO),
]


@pytest.mark.parametrize(("stored", "key", "expected"), FUZZY)
def test_fuzzy_names(stored: str, key: str, expected: bool) -> None:
    assert matcher("PN", key, Options(fuzzy=True)).matches(stored) is expected


def test_fuzzy_is_only_for_who_negotiated_it() -> None:
    assert not matcher("PN", "Smyth^Jon").matches("Smith^John")


EMPTY = [
    ("LO", "", '""', YES),
    ("LO", "  ", '""', YES),
    ("LO", "A", '""', NO),
    ("DA", "", '""', YES),
    ("DA", "20240101", '""', NO),
    ("PN", "", '""', YES),
    ("UI", "1.2", '""', NO),
    ("UT", "", '""', YES),
]


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
