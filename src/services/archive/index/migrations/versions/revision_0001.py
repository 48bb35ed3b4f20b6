"""Patients, studies, series and instances.

Revision 0001, the first.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ATTRIBUTES = sa.JSON().with_variant(JSONB(), "postgresql")

_PATIENT = (
    "patient_id",
    "patient_name_alphabetic",
    "patient_name_ideographic",
    "patient_name_phonetic",
    "patient_birth_date",
)


def upgrade() -> None:
    """Make the tables and their indices."""
    op.create_table(
        "patients",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient_key", _TEXT, nullable=False),
        *_texts(*_PATIENT),
        sa.Column("attributes", _ATTRIBUTES, nullable=False),
        *_counts("number_of_studies", "number_of_series"),
        sa.PrimaryKeyConstraint("id", name="pk_patients"),
        sa.UniqueConstraint("patient_key", name="uq_patients_patient_key"),
    )
    op.create_table(
        "studies",
        sa.Column("id", _ID, nullable=False),
        sa.Column("patient", _ID, nullable=False),
        sa.Column("study_instance_uid", _TEXT, nullable=False),
        *_texts(
            *_PATIENT,
            "study_date",
            "study_time",
            "accession_number",
            "study_id",
            "referring_physician_name_alphabetic",
            "referring_physician_name_ideographic",
            "referring_physician_name_phonetic",
            "modalities",
            "sop_classes",
        ),
        sa.Column("attributes", _ATTRIBUTES, nullable=False),
        *_counts("number_of_series"),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.ForeignKeyConstraint(["patient"], ["patients.id"], name="fk_studies_patient"),
        sa.UniqueConstraint("study_instance_uid", name="uq_studies_study_instance_uid"),
    )
    op.create_table(
        "series",
        sa.Column("id", _ID, nullable=False),
        sa.Column("study", _ID, nullable=False),
        sa.Column("series_instance_uid", _TEXT, nullable=False),
        *_texts("modality", "series_number", "performed_procedure_step_start_date"),
        sa.Column("attributes", _ATTRIBUTES, nullable=False),
        *_counts("number_of_instances"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.ForeignKeyConstraint(["study"], ["studies.id"], name="fk_series_study"),
        sa.UniqueConstraint("study", "series_instance_uid", name="uq_series_study_series_instance_uid"),
    )
    op.create_table(
        "instances",
        sa.Column("id", _ID, nullable=False),
        sa.Column("series", _ID, nullable=False),
        sa.Column("sop_instance_uid", _TEXT, nullable=False),
        sa.Column("sop_class_uid", _TEXT, nullable=False),
        sa.Column("transfer_syntax_uid", _TEXT, nullable=False),
        *_texts("instance_number"),
        sa.Column("data_set_offset", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("stored_at", sa.BigInteger, nullable=False),
        sa.Column("attributes", _ATTRIBUTES, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_instances"),
        sa.ForeignKeyConstraint(["series"], ["series.id"], name="fk_instances_series"),
        sa.UniqueConstraint("sop_instance_uid", name="uq_instances_sop_instance_uid"),
    )
    for table, *columns in (
        *(("patients", column) for column in _PATIENT),
        ("studies", "patient"),
        *(("studies", column) for column in _PATIENT),
        ("studies", "study_date", "study_time"),
        ("studies", "accession_number"),
        ("studies", "study_id"),
        ("studies", "referring_physician_name_alphabetic"),
        ("studies", "referring_physician_name_ideographic"),
        ("studies", "referring_physician_name_phonetic"),
        ("series", "series_instance_uid"),
        ("series", "modality"),
        ("series", "performed_procedure_step_start_date"),
        ("instances", "series"),
    ):
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, _TEXT, nullable=False, server_default="") for name in names]


def _counts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Integer, nullable=False, server_default="0") for name in names]
