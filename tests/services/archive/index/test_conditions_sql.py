"""Conditions as SQL: what is said of an attribute, apart from its values, and what is left to the caller."""

from typing import Any

import pytest
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql, sqlite

from services.archive.index.conditions_sql import (
    MAXIMUM_ALTERNATIVES,
    MAXIMUM_LIST,
    expression,
    in_parts,
    say,
)
from services.conditions import Always, AnyOf, Between, Condition, Described, Equals, Form, Like, Never, OneOf

PATIENT_NAME, PATIENT_ID, SEX, STUDY_DATE, STUDY_TIME = (
    0x00100010,
    0x00100020,
    0x00100040,
    0x00080020,
    0x00080030,
)
SERIES_DATE, SERIES_TIME, STUDY_UID, MODALITIES, OPERATORS = (
    0x00080021,
    0x00080031,
    0x0020000D,
    0x00080061,
    0x00081070,
)
STUDIES_COUNT, REQUEST_ATTRIBUTES = 0x00201200, 0x00400275

SAID: list[tuple[int, Form, Condition, tuple[Any, ...], list[str]]] = [
    (PATIENT_ID, Form.TEXT, Always(), (), []),
    (PATIENT_ID, Form.TEXT, Never(), ("never",), []),
    (PATIENT_ID, Form.TEXT, Equals("1"), ("equals", PATIENT_ID), ["1"]),
    (PATIENT_ID, Form.TEXT, Equals(""), ("empty", PATIENT_ID), []),
    (PATIENT_ID, Form.TEXT, Equals("a\0b"), ("never",), []),
    (PATIENT_ID, Form.TEXT, OneOf(("1", "2", "1", "3")), ("among", PATIENT_ID, 4), ["1", "2", "3", "3"]),
    (PATIENT_ID, Form.TEXT, OneOf(("1", "\0")), ("equals", PATIENT_ID), ["1"]),
    (PATIENT_ID, Form.TEXT, Like("ab%"), ("prefix", PATIENT_ID, True, False), ["ab", "ac"]),
    (PATIENT_ID, Form.TEXT, Like("ab%c"), ("prefix", PATIENT_ID, True, True), ["ab", "ac", "ab%c"]),
    (PATIENT_ID, Form.TEXT, Like("a\\%%"), ("prefix", PATIENT_ID, True, False), ["a%", "a&"]),
    (PATIENT_ID, Form.TEXT, Like("\\_!%\\\\_"), ("prefix", PATIENT_ID, True, True), ["_!", '_"', "!_!!%\\_"]),
    (PATIENT_ID, Form.TEXT, Like("%a!\\%"), ("like", PATIENT_ID), ["%a!!!%"]),
    (PATIENT_ID, Form.TEXT, Like("\ud7ff%"), ("prefix", PATIENT_ID, True, False), ["\ud7ff", "\ue000"]),
    (PATIENT_ID, Form.TEXT, Like("\U0010ffff%"), ("prefix", PATIENT_ID, False, False), ["\U0010ffff"]),
    (PATIENT_NAME, Form.NAME, Equals("doe"), ("equals", PATIENT_NAME), ["doe"]),
    (OPERATORS, Form.NAME, Equals("doe"), (), []),
    (STUDY_DATE, Form.DATE, Between("20240101", None), ("between", STUDY_DATE, True, False), ["20240101"]),
    (STUDY_TIME, Form.TIME, Between(None, "1"), ("between", STUDY_TIME, False, True), ["1"]),
    (SERIES_DATE, Form.DATE, Between("1", "2"), ("around", SERIES_DATE, True, True), ["1", "2"]),
    (SERIES_DATE, Form.DATE, Equals("1"), ("or", (("around", SERIES_DATE, True, True),)), ["1", "1"]),
    (SERIES_TIME, Form.TIME, Equals("1"), (), []),
    (MODALITIES, Form.TEXT, Equals("C_"), ("or", (("like", MODALITIES),)), ["%\\C!_\\%"]),
    (MODALITIES, Form.TEXT, Like("C_"), ("like", MODALITIES), ["%\\C_\\%"]),
    (STUDIES_COUNT, Form.TEXT, Equals("1"), (), []),
    (REQUEST_ATTRIBUTES, Form.TEXT, Equals("1"), (), []),
    (
        PATIENT_ID,
        Form.TEXT,
        AnyOf((Like("a%"), Equals("b"))),
        ("or", (("prefix", PATIENT_ID, True, False), ("equals", PATIENT_ID))),
        ["a", "b", "b"],
    ),
    (PATIENT_ID, Form.TEXT, AnyOf((Like("a%"), Always())), (), []),
    (PATIENT_ID, Form.TEXT, AnyOf((Like("a%"),) * (MAXIMUM_ALTERNATIVES + 1)), (), []),
]


@pytest.mark.parametrize(("tag", "form", "condition", "shape", "values"), SAID)
def test_what_is_said(
    tag: int, form: Form, condition: Condition, shape: tuple[Any, ...], values: list[str]
) -> None:
    assert say(tag, Described(condition, form=form)) == (shape, values)


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize(("tag", "form", "condition", "shape", "values"), SAID)
def test_every_value_is_bound_once(
    dialect: Any, tag: int, form: Form, condition: Condition, shape: tuple[Any, ...], values: list[str]
) -> None:
    """And none stands in the text; no LIKE is without its ESCAPE."""
    if not shape:
        return
    names: list[str] = []

    def bind() -> Any:
        names.append(f"value_{len(names)}")
        return bindparam(names[-1])

    sql = str(expression(shape, bind, is_sqlite=dialect.name == "sqlite").compile(dialect=dialect))
    assert len(names) == len(values)
    assert sql.count("LIKE") == sql.count("ESCAPE '!'")
    assert not any(value in sql for value in values if len(value) > 3)


def test_long_lists_are_taken_apart() -> None:
    uids = tuple(f"1.{number}" for number in range(2 * MAXIMUM_LIST + 1))
    conditions = {
        STUDY_UID: Described(OneOf((*uids, *uids))),
        PATIENT_ID: Described(OneOf(tuple("abc"))),
    }
    parts = list(in_parts(conditions))
    assert len(parts) == 3
    assert [part[PATIENT_ID] for part in parts] == [conditions[PATIENT_ID]] * 3
    taken = [
        each.condition.values
        for each in (part[STUDY_UID] for part in parts)
        if isinstance(each.condition, OneOf)
    ]
    assert [len(values) for values in taken] == [MAXIMUM_LIST, MAXIMUM_LIST, 1]
    assert tuple(value for values in taken for value in values) == uids


def test_short_lists_stay() -> None:
    conditions = {STUDY_UID: Described(OneOf(("1", "2")))}
    assert list(in_parts(conditions)) == [conditions]
