"""C-FIND at the levels below and above studies, where nothing matches, and with dates that are none (PS3.4 C.4.1.3)."""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from services.conformance.case import Case, case
from services.conformance.cases.query_refused import PATIENT_CONTEXT, PATIENT_ROOT_FIND
from services.conformance.cases.query_studies import (
    FIND,
    for_query,
    instance_uid,
    patient,
    series_uid,
    studies,
    study_uid,
)
from services.conformance.data_sets import (
    INSTANCE_NUMBER,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    SERIES_NUMBER,
    SERIES_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    STUDY_UID,
    Elements,
    patient_id,
)
from services.conformance.querying import Question, finds, refuses
from services.conformance.steps import echo, release
from services.conformance.storing import Context, propose
from services.conformance.target import Service, Target

_STORED = (Service.STORAGE, Service.FIND)

MakeKeys = Callable[[Target], Elements]

# -- the other levels


class _Level(Struct, frozen=True):
    """A query below or above studies."""

    name: str
    title: str
    level: bytes
    tag: int
    keys: MakeKeys
    expected: Callable[[Target], Sequence[bytes]]


_LEVELS = (
    _Level(
        "201a",
        "The series of a study",
        b"SERIES",
        SERIES_UID,
        lambda t: {STUDY_UID: study_uid(t, "A"), SERIES_UID: b"", MODALITY: b""},
        lambda t: [series_uid(t, "A", 1), series_uid(t, "A", 2)],
    ),
    _Level(
        "201b",
        "The series of a study with a Modality",
        b"SERIES",
        SERIES_UID,
        lambda t: {STUDY_UID: study_uid(t, "A"), SERIES_UID: b"", MODALITY: b"CT"},
        lambda t: [series_uid(t, "A", 2)],
    ),
    _Level(
        "201c",
        "The series of a study with a Series Number",
        b"SERIES",
        SERIES_UID,
        lambda t: {STUDY_UID: study_uid(t, "A"), SERIES_UID: b"", SERIES_NUMBER: b"1"},
        lambda t: [series_uid(t, "A", 1)],
    ),
    _Level(
        "201d",
        "The instances of a series",
        b"IMAGE",
        SOP_INSTANCE_UID,
        lambda t: {STUDY_UID: study_uid(t, "A"), SERIES_UID: series_uid(t, "A", 1), SOP_INSTANCE_UID: b""},
        lambda t: [instance_uid(t, "A", 1, 1), instance_uid(t, "A", 1, 2)],
    ),
    _Level(
        "201e",
        "An instance by its Instance Number",
        b"IMAGE",
        SOP_INSTANCE_UID,
        lambda t: {
            STUDY_UID: study_uid(t, "A"),
            SERIES_UID: series_uid(t, "A", 1),
            SOP_INSTANCE_UID: b"",
            INSTANCE_NUMBER: b"2",
        },
        lambda t: [instance_uid(t, "A", 1, 2)],
    ),
    _Level(
        "201f",
        "Two instances by a list of their UIDs",
        b"IMAGE",
        SOP_INSTANCE_UID,
        lambda t: {
            STUDY_UID: study_uid(t, "A"),
            SERIES_UID: series_uid(t, "A", 1),
            SOP_INSTANCE_UID: instance_uid(t, "A", 1, 1) + b"\\" + instance_uid(t, "A", 1, 2),
        },
        lambda t: [instance_uid(t, "A", 1, 1), instance_uid(t, "A", 1, 2)],
    ),
    _Level(
        "201g",
        "A series that belongs to another study",
        b"SERIES",
        SERIES_UID,
        lambda t: {STUDY_UID: study_uid(t, "B"), SERIES_UID: series_uid(t, "A", 1)},
        lambda t: [],
    ),
)


def _levels() -> Iterator[Case]:
    for each in _LEVELS:
        yield case(
            f"query-{each.name}",
            each.title,
            f"PS3.4 C.4.1.3.1, C.6.2.1: {each.level.decode()} level",
            for_query(),
            finds(
                f"{each.title[0].lower()}{each.title[1:]}",
                _at_level(each.level, each.keys),
                each.expected,
                tag=each.tag,
                why="the unique keys above the level choose, the others are matched",
            ),
            release(),
            needs=_STORED,
            writes=True,
        )


def _at_level(level: bytes, keys: MakeKeys) -> Callable[[Target], Question]:
    return lambda target: Question(level=level, keys=keys(target))


# -- no match

_NOBODY: tuple[tuple[str, str, bytes, MakeKeys], ...] = (
    ("136a", "STUDY", b"STUDY", lambda t: {STUDY_UID: t.uid(136, 1), PATIENT_NAME: b""}),
    ("136b", "SERIES", b"SERIES", lambda t: {STUDY_UID: t.uid(136, 1), SERIES_UID: b""}),
    (
        "136c",
        "IMAGE",
        b"IMAGE",
        lambda t: {STUDY_UID: t.uid(136, 1), SERIES_UID: t.uid(136, 1, 1), SOP_INSTANCE_UID: b""},
    ),
)


def _no_match() -> Iterator[Case]:
    for name, what, level, keys in _NOBODY:
        yield case(
            f"query-{name}",
            f"No match at {what} level",
            "PS3.4 C.4.1.1.4: one response, 0000",
            propose("C-FIND", FIND),
            finds(
                "what is not there",
                _at_level(level, keys),
                lambda target: [],
                why="nothing in the peer has this UID",
            ),
            echo(),
            needs=(Service.FIND,),
        )


_OTHERS = (
    case(
        "query-201h",
        "The patients of this run, in the Patient Root model",
        "PS3.4 C.6.1.1, C.4.1.3.1: PATIENT level",
        for_query(Context(PATIENT_CONTEXT, PATIENT_ROOT_FIND)),
        finds(
            "patients by a wildcard in Patient ID",
            lambda target: Question(
                level=b"PATIENT",
                keys={PATIENT_ID: patient_id(target) + b"-*", PATIENT_NAME: b""},
                sop_class=PATIENT_ROOT_FIND,
                context_id=PATIENT_CONTEXT,
            ),
            lambda target: [patient(target, number) for number in (1, 2, 3)],
            tag=PATIENT_ID,
            why="each patient once",
        ),
        release(),
        needs=_STORED,
        writes=True,
    ),
    case(
        "query-201i",
        "The studies of a patient, in the Patient Root model",
        "PS3.4 C.6.1.1, C.4.1.3.1: STUDY level",
        for_query(Context(PATIENT_CONTEXT, PATIENT_ROOT_FIND)),
        finds(
            "the studies of one patient",
            lambda target: Question(
                level=b"STUDY",
                keys={PATIENT_ID: patient(target, 1), STUDY_UID: b""},
                sop_class=PATIENT_ROOT_FIND,
                context_id=PATIENT_CONTEXT,
            ),
            studies("ABCD"),
            why="the unique key of the patient chooses",
        ),
        release(),
        needs=_STORED,
        writes=True,
    ),
    case(
        "query-134j",
        "A date that is none",
        "PS3.4 C.4.1.1.4; PS3.5 6.2",
        for_query(),
        refuses(
            "for the Study Date '2024*'",
            lambda target: Question(
                level=b"STUDY", keys={STUDY_UID: b"", PATIENT_ID: patient(target, 1), STUDY_DATE: b"2024*"}
            ),
            strict=("A9??", "C???", "0000"),
            tolerated=("FF00", "FF01"),
            why="dates have no wildcards (PS3.4 C.2.2.2.4): nothing matches, or the key is refused",
        ),
        echo(),
        needs=_STORED,
        writes=True,
        note="Some requestors send such dates and some peers take them for a range: tolerated.",
    ),
    case(
        "query-134k",
        "A range of dates that are none",
        "PS3.4 C.4.1.1.4; PS3.5 6.2",
        for_query(),
        refuses(
            "for the Study Date 'monday-friday'",
            lambda target: Question(
                level=b"STUDY",
                keys={STUDY_UID: b"", PATIENT_ID: patient(target, 1), STUDY_DATE: b"monday-friday"},
            ),
            strict=("A9??", "C???", "0000"),
            tolerated=("FF00", "FF01"),
            why="nothing matches, or the key is refused",
        ),
        echo(),
        needs=_STORED,
        writes=True,
    ),
)

CASES: tuple[Case, ...] = (*_no_match(), *_levels(), *_OTHERS)
