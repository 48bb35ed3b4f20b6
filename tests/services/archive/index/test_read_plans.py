"""With many rows, what names a few of them is found through indexes: told by the databases' own plans, not by time."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from services.archive.index.conditions_sql import say
from services.archive.index.places import tag_at
from services.archive.index.read_plans import Plans, Question, Statement
from services.conditions import AnyOf, Between, Described, Equals, Form, Like, OneOf

PATIENT, STUDY, SERIES, IMAGE = range(4)
PATIENTS = 4000
"""With two studies each, two series in each, three instances in each: 48,000."""

FEW: dict[str, tuple[int, dict[int, Described]]] = {
    "Patient ID": (PATIENT, {0x00100020: Described(Equals("P77"))}),
    "Patient's Name": (PATIENT, {0x00100010: Described(Equals("doe77^john"), form=Form.NAME)}),
    "names that begin alike": (PATIENT, {0x00100010: Described(Like("doe77%"), form=Form.NAME)}),
    "names with a beginning and an end": (PATIENT, {0x00100010: Described(Like("doe77%n"), form=Form.NAME)}),
    "Patient's Birth Date": (PATIENT, {0x00100030: Described(Equals("19800101"), form=Form.DATE)}),
    "studies of a Patient ID": (STUDY, {0x00100020: Described(Equals("P77"))}),
    "studies of some Patient IDs": (STUDY, {0x00100020: Described(OneOf(("P77", "P78", "P79")))}),
    "studies of Patient IDs that begin alike": (STUDY, {0x00100020: Described(Like("P77%"))}),
    "studies of a name": (STUDY, {0x00100010: Described(Equals("doe77^john"), form=Form.NAME)}),
    "studies of names that begin alike": (STUDY, {0x00100010: Described(Like("doe77%"), form=Form.NAME)}),
    "studies of either name": (
        STUDY,
        {0x00100010: Described(AnyOf((Like("doe77%"), Equals("roe"))), form=Form.NAME)},
    ),
    "a study": (STUDY, {0x0020000D: Described(Equals("1.77.1"))}),
    "some studies": (STUDY, {0x0020000D: Described(OneOf(tuple(f"1.{number}.1" for number in range(200))))}),
    "Accession Number": (STUDY, {0x00080050: Described(Equals("A77.1"))}),
    "Accession Numbers that begin alike": (STUDY, {0x00080050: Described(Like("A77%"))}),
    "Study ID": (STUDY, {0x00200010: Described(Equals("S77.1"))}),
    "Study Date": (STUDY, {0x00080020: Described(Equals("20240101"), form=Form.DATE)}),
    "a few days": (STUDY, {0x00080020: Described(Between("20240101", "20240103"), form=Form.DATE)}),
    "a patient's study of a day": (
        STUDY,
        {
            0x00100020: Described(Equals("P77")),
            0x00080020: Described(Between("20240101", "20240103"), form=Form.DATE),
        },
    ),
    "a patient's studies with a modality and a description": (
        STUDY,
        {
            0x00100020: Described(Equals("P77")),
            0x00080061: Described(Equals("CT")),
            0x00081030: Described(Like("%a%")),
        },
    ),
    "series of a study": (SERIES, {0x0020000D: Described(Equals("1.77.1"))}),
    "a series": (
        SERIES,
        {0x0020000D: Described(Equals("1.77.1")), 0x0020000E: Described(Equals("1.77.1.1"))},
    ),
    "a series by itself": (SERIES, {0x0020000E: Described(Equals("1.77.1.1"))}),
    "series of a patient": (SERIES, {0x00100020: Described(Equals("P77"))}),
    "instances of a series": (
        IMAGE,
        {0x0020000D: Described(Equals("1.77.1")), 0x0020000E: Described(Equals("1.77.1.1"))},
    ),
    "instances of a study": (IMAGE, {0x0020000D: Described(Equals("1.77.1"))}),
    "instances of a patient": (IMAGE, {0x00100020: Described(Equals("P77"))}),
    "an instance": (IMAGE, {0x00080018: Described(Equals("1.77.1.1.1"))}),
    "an instance of a study and series": (
        IMAGE,
        {
            0x0020000D: Described(Equals("1.77.1")),
            0x0020000E: Described(Equals("1.77.1.1")),
            0x00080018: Described(Equals("1.77.1.1.1")),
        },
    ),
}
TAGS = (0x00100010, 0x00100020, 0x0020000D, 0x00080020, 0x00080061)


FILL = (
    """INSERT INTO patients (id, patient_key, patient_id, patient_name_alphabetic, patient_birth_date, attributes)
    SELECT n, 'P' || n, 'P' || n, 'doe' || n || '^john', '19' || (20 + n % 80) || '0101', '{"00100010": "Doe"}'
    FROM numbers WHERE n <= 4000""",
    """INSERT INTO studies (id, patient, patient_id, patient_name_alphabetic, study_instance_uid,
    study_date, accession_number, study_id, attributes)
    SELECT n, 1 + n / 2, 'P' || (1 + n / 2), 'doe' || (1 + n / 2) || '^john',
    '1.' || (n / 2) || '.' || (n % 2), '20' || (10 + n % 20) || '0' || (1 + n % 9) || '01',
    'A' || (n / 2) || '.' || (n % 2), 'S' || (n / 2) || '.' || (n % 2), '{"00081030": "Chest"}'
    FROM numbers WHERE n < 8000""",
    """INSERT INTO series (id, study, series_instance_uid, modality, attributes)
    SELECT n, 1 + n / 2, '1.' || (n / 4) || '.' || (n / 2 % 2) || '.' || (n % 2), 'CT', '{}'
    FROM numbers WHERE n < 15998""",
    """INSERT INTO instances (id, series, sop_instance_uid, sop_class_uid, transfer_syntax_uid, instance_number,
    data_set_offset, size, stored_at, attributes)
    SELECT n, 1 + n / 3, '1.' || n, '1.2', '1.2', '1', 300, 1000, 0, '{}' FROM numbers WHERE n < 47990""",
)
NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 48000) "


def fill(database: Any, *, analyze: bool) -> None:
    """Rows as of a real archive, made where they are kept."""
    with database.engine.begin() as connection:
        for statement in FILL:
            head, select = statement.split("SELECT", 1)
            if not database.is_sqlite:
                select = select.replace("""'{""", """CAST('{""").replace("""}'""", """}' AS jsonb)""")
            connection.execute(text(f"{head} {NUMBERS} SELECT {select}".replace(': "', '\\: "')))
    if analyze:
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))


def plan_of(database: Any, statement: Statement, values: list[str]) -> list[str]:
    """What the database says that it will do, a line for each step."""
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    connection = database.engine.raw_connection()
    try:
        cursor = connection.driver_connection.cursor()
        if not database.is_sqlite:
            cursor.execute("SET seq_page_cost = 100")  # as if each table were a hundred times as long
        rows = cursor.execute(explain + statement.sql, statement.parameters(values, 500)).fetchall()
    finally:
        connection.close()
    return [row[-1] for row in rows]


def walks(plan: list[str]) -> bool:
    """Whether a plan goes through a table from one row to the next."""
    for step, behind in pairwise([*plan, ""]):
        if step.startswith("SCAN") and not step.startswith(("SCAN SUBQUERY", "SCAN CONSTANT")):
            return True  # SQLite
        if step.startswith("SEARCH") and "(rowid>" in step:
            return True
        if "Seq Scan" in step:
            return True  # PostgreSQL
        if "using pk_" in step and "(id = " not in behind:
            return True
    return False


def steps(database: Any, analyze: bool) -> Iterator[tuple[str, str, list[str]]]:
    fill(database, analyze=analyze)
    plans = Plans(is_sqlite=database.is_sqlite)
    for name, (level, conditions) in FEW.items():
        said = [say(tag_at(level, tag), described) for tag, described in sorted(conditions.items())]
        values = [value for _, values in said for value in values]
        tags = tuple(tag_at(level, tag) for tag in TAGS[: 2 if level == PATIENT else 5])
        plan = plans.search(Question(level, tuple(shape for shape, _ in said), tags))
        yield name, "first page", plan_of(database, plan.first, values)
        yield name, "next page", plan_of(database, plan.following, values)


@pytest.mark.parametrize("analyze", [False, True], ids=["without statistics", "with statistics"])
def test_few_rows_are_found_through_indexes(database: Any, analyze: bool) -> None:
    if not analyze and not database.is_sqlite:
        pytest.skip("PostgreSQL makes its statistics by itself")
    bad = [(name, page, plan) for name, page, plan in steps(database, analyze) if walks(plan)]
    assert bad == []
