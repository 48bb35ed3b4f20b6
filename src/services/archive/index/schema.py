"""The tables of the index, one to a level of the Patient Root model (PS3.4 C.6.1), and whose index it is.

Columns are what is matched in SQL with the help of an index; `attributes` holds every value that a level keeps, as a
JSON object by tag (`{"00100010": "Doe^John"}`, items of a sequence as a list of such objects). Counts are maintained,
never counted; those of instances at the series alone, so that storing one touches few pages: a study has the sum. Text
is Unicode; names stand folded, one column to a component group, dates and times in their normal forms
(`services.normal_forms`), so that all of them compare as plain strings, byte by byte. What violates its VM by having
several values is found by the first one.

Migrations (`index.migrations`) make these tables; a test holds both equal.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column that is INTEGER to the letter."""

ATTRIBUTES = JSON().with_variant(JSONB(), "postgresql")

TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared byte by byte, as SQLite does: ranges and prefixes can use an index."""


def _text(name: str) -> Column[str]:
    return Column(name, TEXT, nullable=False, server_default="")


def _key(name: str, **options: Any) -> Column[str]:
    return Column(name, TEXT, nullable=False, **options)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _attributes() -> Column[Any]:
    return Column("attributes", ATTRIBUTES, nullable=False)


def _patient() -> list[Column[str]]:
    """What is matched of a patient; a study has its own, since its images may say something else than the first ones
    of the patient did: another name after a marriage, a birth date put right."""
    return [
        _text("patient_id"),
        _text("patient_name_alphabetic"),
        _text("patient_name_ideographic"),
        _text("patient_name_phonetic"),
        _text("patient_birth_date"),
    ]


def _patient_indices() -> list[Index]:
    return [Index(None, column.name) for column in _patient()]


patients = Table(
    "patients",
    metadata,
    Column("id", ID, primary_key=True),
    _key("patient_key", unique=True),
    *_patient(),
    _attributes(),
    _count("number_of_studies"),
    _count("number_of_series"),
    *_patient_indices(),
)
"""`patient_key` is Patient ID and issuer; without a Patient ID, the study: nothing says who that is."""

studies = Table(
    "studies",
    metadata,
    Column("id", ID, primary_key=True),
    Column("patient", ID, ForeignKey("patients.id"), nullable=False),
    _key("study_instance_uid", unique=True),
    *_patient(),
    _text("study_date"),
    _text("study_time"),
    _text("accession_number"),
    _text("study_id"),
    _text("referring_physician_name_alphabetic"),
    _text("referring_physician_name_ideographic"),
    _text("referring_physician_name_phonetic"),
    _text("modalities"),
    _text("sop_classes"),
    _attributes(),
    _count("number_of_series"),
    Index(None, "patient"),
    *_patient_indices(),
    Index(None, "study_date", "study_time"),
    Index(None, "accession_number"),
    Index(None, "study_id"),
    Index(None, "referring_physician_name_alphabetic"),
    Index(None, "referring_physician_name_ideographic"),
    Index(None, "referring_physician_name_phonetic"),
)
"""`modalities` and `sop_classes` are the distinct values of a study, with a backslash before, between and behind them
(`\\\\CT\\\\MR\\\\`), in the order they came; empty where there is none. `attributes` has the
patient's, too."""

series = Table(
    "series",
    metadata,
    Column("id", ID, primary_key=True),
    Column("study", ID, ForeignKey("studies.id"), nullable=False),
    _key("series_instance_uid"),
    _text("modality"),
    _text("series_number"),
    _text("performed_procedure_step_start_date"),
    _attributes(),
    _count("number_of_instances"),
    UniqueConstraint("study", "series_instance_uid"),
    Index(None, "series_instance_uid"),
    Index(None, "modality"),
    Index(None, "performed_procedure_step_start_date"),
)
"""Unique within a study: a series that two studies claim is kept as two."""

instances = Table(
    "instances",
    metadata,
    Column("id", ID, primary_key=True),
    Column("series", ID, ForeignKey("series.id"), nullable=False),
    _key("sop_instance_uid", unique=True),
    _key("sop_class_uid"),
    _key("transfer_syntax_uid"),
    _text("instance_number"),
    Column("data_set_offset", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    _attributes(),
    Index(None, "series"),
)
"""`data_set_offset` is where the data set begins in its file, `size` its length, both in bytes; `stored_at` is in
microseconds since 1970. The file is `instance_path(study, series, instance)`."""

data_directory = Table(
    "data_directory",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    _key("identity"),
    _key("path"),
)
"""One row, of number 1: the data directory that the index is of (`services.archive.identity`), and where that was when
it was opened last. No row where the index is in the directory itself, or was never opened with one."""

LEVELS = (patients, studies, series, instances)
"""From the top down."""
