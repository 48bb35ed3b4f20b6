"""The tables of the index: one to a level of the Patient Root model (PS3.4 C.6.1).

Columns are what can be matched in SQL; everything else that a level keeps stands in `attributes`, a JSON object of
decoded values by tag. Counters are maintained, never counted. Text is Unicode, folded where it is matched without
regard to case. Migrations (`index.migrations`) make these tables; a test holds both equal.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, Table, Text, UniqueConstraint

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column that is INTEGER to the letter."""


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


patients = Table(
    "patients",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("patient_key", Text, nullable=False, unique=True),
    _text("patient_id"),
    _text("issuer_of_patient_id"),
    _text("patient_name"),
    _text("patient_name_folded"),
    _text("patient_birth_date"),
    _text("patient_sex"),
    _text("attributes"),
    _count("number_of_studies"),
    _count("number_of_series"),
    _count("number_of_instances"),
    Index(None, "patient_id"),
    Index(None, "patient_name_folded"),
    Index(None, "patient_birth_date"),
)
"""`patient_key` is Patient ID and issuer; without a Patient ID, the first study: nothing says who that is."""

studies = Table(
    "studies",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("patient", _Id, ForeignKey("patients.id"), nullable=False),
    Column("study_instance_uid", Text, nullable=False, unique=True),
    _text("study_date"),
    _text("study_time"),
    _text("accession_number"),
    _text("study_id"),
    _text("study_description_folded"),
    _text("referring_physician_folded"),
    _text("modalities"),
    _text("sop_classes"),
    _text("attributes"),
    _count("number_of_series"),
    _count("number_of_instances"),
    Index(None, "patient"),
    Index(None, "study_date", "study_time"),
    Index(None, "accession_number"),
    Index(None, "study_id"),
    Index(None, "referring_physician_folded"),
)
"""`modalities` and `sop_classes` are lists with a backslash before, between and after: "\\CT\\MR\\"."""

series = Table(
    "series",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("study", _Id, ForeignKey("studies.id"), nullable=False),
    Column("series_instance_uid", Text, nullable=False),
    _text("modality"),
    _text("series_number"),
    _text("attributes"),
    _count("number_of_instances"),
    UniqueConstraint("study", "series_instance_uid"),
    Index(None, "series_instance_uid"),
    Index(None, "modality"),
)
"""Unique within a study: what two studies claim is kept as two series."""

instances = Table(
    "instances",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("series", _Id, ForeignKey("series.id"), nullable=False),
    Column("sop_instance_uid", Text, nullable=False, unique=True),
    Column("sop_class_uid", Text, nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    _text("instance_number"),
    Column("size", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    _text("attributes"),
    Index(None, "series"),
    Index(None, "sop_class_uid"),
)
"""`size` is that of the data set in bytes, `stored` when it was stored, in microseconds since 1970."""

LEVELS = (patients, studies, series, instances)
"""From the top down."""
