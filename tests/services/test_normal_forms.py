import pytest

from services import normal_forms


@pytest.mark.parametrize(
    "value",
    [
        "Doe^John",
        "Müller",
        "Mu\u0308ller",
        "がか",
        "홍길동",
        "Люк",
        "Groß",
        "ÅÉ",
        "Łódź",
        "Διονυσιος",
        "ＡＢＣ",
        "",
        "İ",
    ],
)
def test_what_is_folded_stays_as_it_is(value: str) -> None:
    assert normal_forms.fold(normal_forms.fold(value)) == normal_forms.fold(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Doe^John^^^", "doe^john"),
        ("Doe^John==", "doe^john"),
        ("=山田^太郎^", "=山田^太郎"),
        (" Doe ^John ", "doe ^john"),
        ("^John", "^john"),
        ("", ""),
    ],
)
def test_name(value: str, expected: str) -> None:
    assert normal_forms.name(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20240229", "20240229"),
        ("20230229", ""),
        ("2024.02.29", "20240229"),
        ("2024.0229", ""),
        ("20240229 ", "20240229"),
        ("２０２４０２２９", ""),
        ("", ""),
    ],
)
def test_date(value: str, expected: str) -> None:
    assert normal_forms.date(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10", "100000.000000"),
        ("1030", "103000.000000"),
        ("103015.5", "103015.500000"),
        ("10:30:15", "103015.000000"),
        ("235960", "235960.000000"),
        ("24", ""),
        ("1", ""),
        ("", ""),
    ],
)
def test_time(value: str, expected: str) -> None:
    assert normal_forms.time(value) == expected


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("DOE^John", "doe^john"),
        ("Jérôme", "jerome"),
        ("Åsa ØRSTED", "asa ørsted"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("やまだ", "やまだ"),
        ("ｱﾀ", "アタ"),
    ],
)
def test_case_and_accents_are_folded_away(text: str, folded: str) -> None:
    assert normal_forms.fold(text) == folded
