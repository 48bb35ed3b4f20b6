import pytest

from services.archive.index import text
from services.query import normal


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
def test_fold_is_what_the_index_keeps(value: str) -> None:
    assert normal.fold(value) == text.fold(value)
    assert normal.fold(normal.fold(value)) == normal.fold(value)


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
    assert normal.name(value) == expected


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
    assert normal.date(value) == expected


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
    assert normal.time(value) == expected
