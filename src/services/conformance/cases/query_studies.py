"""The few studies that the query cases ask for: stored once in a run, eight instances in all.

Three patients; the first has four studies, that differ in all that is matched. Called by letters:

    A  2024-01-15 08:30  accession number, description; series 1 (OT, two instances) and 2 (CT, one instance)
    B  2024-02-15 12:00  accession number, description
    C  2024-03-15 17:30  both empty
    D  no date, no time  both empty
    E  of a second patient, whose name differs in one letter; as A in the rest
    F  of a third patient, whose name and description have characters that mean something to databases
"""

from collections.abc import Callable, Sequence

from services.conformance.data_sets import (
    ACCESSION_NUMBER,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    STUDY_ID,
    STUDY_TIME,
    Elements,
    Instance,
    instance,
    patient_id,
)
from services.conformance.querying import delivers_once
from services.conformance.steps import FIND_CONTEXT, Step
from services.conformance.storing import Context, propose, storage
from services.conformance.target import STUDY_ROOT_FIND, Target

_CASE = "133"

NAME_1, NAME_2, NAME_3 = b"Conformance^Tester", b"Conformance^Toster", b"O'Conformance^50%_[T]"

FIND = Context(FIND_CONTEXT, STUDY_ROOT_FIND)


def patient(target: Target, number: int) -> bytes:
    """The Patient ID of the first, second or third patient."""
    return patient_id(target, f"-{number}")


def accession(target: Target, study: str) -> bytes:
    """The Accession Number of a study that has one; at most 16 characters."""
    return f"{target.run[:8]}-{study}".encode()


def study_uid(target: Target, study: str) -> bytes:
    """The Study Instance UID of a study, by its letter."""
    return instance(target, _CASE, study=_number(study)).study


def studies(letters: str) -> Callable[[Target], Sequence[bytes]]:
    """The Study Instance UIDs of these studies."""
    return lambda target: [study_uid(target, letter) for letter in letters]


def series_uid(target: Target, study: str, series: int) -> bytes:
    """The Series Instance UID of a series."""
    return instance(target, _CASE, study=_number(study), series=series).series


def instance_uid(target: Target, study: str, series: int, number: int) -> bytes:
    """The SOP Instance UID of an instance."""
    return instance(target, _CASE, study=_number(study), series=series, number=number).uid


def instances(target: Target) -> list[Instance]:
    """All of them."""

    def of(study: str, changes: Elements, series: int = 1, number: int = 1) -> Instance:
        each = instance(target, _CASE, study=_number(study), series=series, number=number)
        who = 1 if study in "ABCD" else "DEF".index(study) + 1
        name = (NAME_1, NAME_2, NAME_3)[who - 1]
        return each.changed(
            {PATIENT_NAME: name, PATIENT_ID: patient(target, who), STUDY_ID: study.encode(), **changes}
        )

    a = {ACCESSION_NUMBER: accession(target, "A"), STUDY_DESCRIPTION: b"First of all"}
    b = {
        ACCESSION_NUMBER: accession(target, "B"),
        STUDY_DESCRIPTION: b"Second",
        STUDY_DATE: b"20240215",
        STUDY_TIME: b"120000",
    }
    return [
        of("A", a),
        of("A", a, number=2),
        of("A", {**a, MODALITY: b"CT"}, series=2),
        of("B", b),
        of("C", {STUDY_DESCRIPTION: b"", STUDY_DATE: b"20240315", STUDY_TIME: b"173000"}),
        of("D", {STUDY_DESCRIPTION: b"", STUDY_DATE: b"", STUDY_TIME: b""}),
        of("E", {ACCESSION_NUMBER: accession(target, "E"), STUDY_DESCRIPTION: b"First of all"}),
        of("F", {ACCESSION_NUMBER: accession(target, "F"), STUDY_DESCRIPTION: b"100% '_' [x]"}),
    ]


def for_query(*contexts: Context) -> tuple[Step, ...]:
    """Associate for C-FIND and storage, and see to it that the studies are there."""
    return (
        *propose("storage and C-FIND", storage(), FIND, *contexts),
        delivers_once("the studies of the query cases", instances, "eight instances of six studies"),
    )


def _number(study: str) -> int:
    return "ABCDEF".index(study) + 1
