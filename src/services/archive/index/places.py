"""Where the index keeps each attribute: the level, and the columns beside `attributes` (`schema`)."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Table, func, select

from services.archive.index.schema import LEVELS, instances, patients, series, studies
from services.archive.index_attributes import (
    IMAGE_ATTRIBUTES,
    PATIENT_ATTRIBUTES,
    SERIES_ATTRIBUTES,
    STUDY_ATTRIBUTES,
)

OF_STUDY = 1 << 32
"""In a tag of a patient's attribute: as a study has it, which may say something else than the patient's first one."""


class Kind(Enum):
    """How an attribute is kept."""

    TEXT = "text"  # in a column of its own
    NAME = "name"  # a column to a component group, folded
    DATE = "date"  # a column in normal form
    TIME = "time"
    LIST = "list"  # every distinct value below, with a backslash before, between and behind
    COUNT = "count"
    SUM = "sum"  # of the counts of the series below
    JSON = "json"  # in `attributes`


NUMBERS = (Kind.COUNT, Kind.SUM)
"""What is made of rows, and not matched."""


class Place(Struct, frozen=True):
    """Where an attribute is kept.

    Attributes:
        table: its level.
        kind: how.
        columns: its own; none for what is kept in `attributes` only.
        is_indexed: whether every column can be looked up.
    """

    table: Table
    kind: Kind
    columns: tuple[str, ...] = ()
    is_indexed: bool = False


def _places() -> dict[int, Place]:
    by_level = (PATIENT_ATTRIBUTES, STUDY_ATTRIBUTES, SERIES_ATTRIBUTES, IMAGE_ATTRIBUTES)
    places = {
        tag: Place(table, Kind.JSON) for table, tags in zip(LEVELS, by_level, strict=True) for tag in tags
    }
    for table, tag, kind, columns in _COLUMNS:
        names = tuple(columns.split())
        places[tag] = Place(table, kind, names, all(_is_indexed(table, name) for name in names))
    for tag, place in list(places.items()):
        if place.table is patients and place.kind not in NUMBERS:
            indexed = all(_is_indexed(studies, name) for name in place.columns)
            places[tag | OF_STUDY] = Place(studies, place.kind, place.columns, indexed)
    return places


def _is_indexed(table: Table, column: str) -> bool:
    leading = {next(iter(index.columns)).name for index in table.indexes}
    return column in leading or bool(table.c[column].unique)


_COLUMNS: tuple[tuple[Table, int, Kind, str], ...] = (
    (
        patients,
        0x00100010,
        Kind.NAME,
        "patient_name_alphabetic patient_name_ideographic patient_name_phonetic",
    ),
    (patients, 0x00100020, Kind.TEXT, "patient_id"),
    (patients, 0x00100030, Kind.DATE, "patient_birth_date"),
    (patients, 0x00201200, Kind.COUNT, "number_of_studies"),
    (patients, 0x00201202, Kind.COUNT, "number_of_series"),
    (patients, 0x00201204, Kind.SUM, ""),
    (studies, 0x0020000D, Kind.TEXT, "study_instance_uid"),
    (studies, 0x00080020, Kind.DATE, "study_date"),
    (studies, 0x00080030, Kind.TIME, "study_time"),
    (studies, 0x00080050, Kind.TEXT, "accession_number"),
    (studies, 0x00200010, Kind.TEXT, "study_id"),
    (
        studies,
        0x00080090,
        Kind.NAME,
        "referring_physician_name_alphabetic referring_physician_name_ideographic "
        "referring_physician_name_phonetic",
    ),
    (studies, 0x00080061, Kind.LIST, "modalities"),
    (studies, 0x00080062, Kind.LIST, "sop_classes"),
    (studies, 0x00201206, Kind.COUNT, "number_of_series"),
    (studies, 0x00201208, Kind.SUM, ""),
    (series, 0x0020000E, Kind.TEXT, "series_instance_uid"),
    (series, 0x00080060, Kind.TEXT, "modality"),
    (series, 0x00200011, Kind.TEXT, "series_number"),
    (series, 0x00400244, Kind.DATE, "performed_procedure_step_start_date"),
    (series, 0x00201209, Kind.COUNT, "number_of_instances"),
    (instances, 0x00080016, Kind.TEXT, "sop_class_uid"),
    (instances, 0x00080018, Kind.TEXT, "sop_instance_uid"),
    (instances, 0x00200013, Kind.TEXT, "instance_number"),
)

PLACES: Mapping[int, Place] = _places()
"""Every attribute of the index, by tag; those of a patient once more, with `OF_STUDY`, as each study has them."""


def tag_at(level: int, tag: int) -> int:
    """The tag under which an attribute is found in `PLACES`, asked for at a level of `LEVELS`."""
    return tag | OF_STUDY if level > 0 and tag | OF_STUDY in PLACES else tag


def column_of(place: Place) -> ColumnElement[Any]:
    """The column of an attribute that has one; or what stands for it."""
    if place.kind is not Kind.SUM:
        return place.table.c[place.columns[0]]
    below, above = series.alias(), studies.alias()
    total = select(func.coalesce(func.sum(below.c.number_of_instances), 0))
    if place.table is studies:
        return total.where(below.c.study == studies.c.id).scalar_subquery()
    of_patient = total.select_from(below.join(above, above.c.id == below.c.study))
    return of_patient.where(above.c.patient == patients.c.id).scalar_subquery()


def tag_text(tag: int) -> str:
    """Eight digits, as `attributes` and records have them."""
    return f"{tag & ~OF_STUDY:08X}"
