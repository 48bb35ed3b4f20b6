"""What matches and what does not: every type of matching of PS3.4 C.2.2.2, at every level."""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from services.conformance.case import Case, case
from services.conformance.cases.query_refused import PATIENT_CONTEXT, PATIENT_ROOT_FIND
from services.conformance.cases.query_studies import (
    FIND,
    accession,
    for_query,
    instance_uid,
    patient,
    series_uid,
    studies,
    study_uid,
)
from services.conformance.data_sets import (
    ACCESSION_NUMBER,
    INSTANCE_NUMBER,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    SERIES_NUMBER,
    SERIES_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    STUDY_ID,
    STUDY_TIME,
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


class _Match(Struct, frozen=True):
    """A study-level query: which studies of those stored must come, and which may."""

    name: str
    title: str
    clause: str
    keys: MakeKeys
    expected: str
    tolerated: str | None = None
    why: str = ""
    or_refused: bool = False


def _of_first(keys: Elements) -> MakeKeys:
    """These keys, among the studies of the first patient."""
    return lambda target: {PATIENT_ID: patient(target, 1), STUDY_UID: b"", **keys}


def _keys(keys: Elements) -> MakeKeys:
    return lambda target: {STUDY_UID: b"", **keys}


_SINGLE = "PS3.4 C.2.2.2.1: single value"
_LIST = "PS3.4 C.2.2.2.2: list of UID"
_UNIVERSAL = "PS3.4 C.2.2.2.3: universal"
_WILD = "PS3.4 C.2.2.2.4: wildcard"
_RANGE = "PS3.4 C.2.2.2.5: range"
_LITERAL_WHY = "the character has no meaning in PS3.4 C.2.2.2.4, it stands for itself"

_MATCHES = (
    _Match(
        "133a", "A single value: Study Instance UID", _SINGLE, lambda t: {STUDY_UID: study_uid(t, "B")}, "B"
    ),
    _Match("133b", "A single value: Patient ID", _SINGLE, _of_first({}), "ABCD"),
    _Match(
        "133c",
        "A single value: Accession Number",
        _SINGLE,
        lambda t: {STUDY_UID: b"", ACCESSION_NUMBER: accession(t, "B")},
        "B",
    ),
    _Match("133d", "A single value: Study ID", _SINGLE, _of_first({STUDY_ID: b"C"}), "C"),
    _Match(
        "133e",
        "A single value: the whole Patient's Name",
        _SINGLE,
        _keys({PATIENT_NAME: b"Conformance^Tester", STUDY_ID: b"A"}),
        "A",
    ),
    _Match(
        "133f",
        "A single value that is the beginning of a Patient ID",
        _SINGLE,
        lambda t: {STUDY_UID: b"", PATIENT_ID: patient(t, 1)[:-1]},
        "",
        why="without wildcards the whole value must match",
    ),
    _Match(
        "133g",
        "A list of two Study Instance UIDs",
        _LIST,
        lambda t: {STUDY_UID: study_uid(t, "A") + b"\\" + study_uid(t, "C")},
        "AC",
    ),
    _Match(
        "133h",
        "A list of three Study Instance UIDs, one of them unknown, one twice",
        _LIST,
        lambda t: {
            STUDY_UID: b"\\".join([study_uid(t, "A"), t.uid(133, 99), study_uid(t, "A"), study_uid(t, "D")])
        },
        "AD",
    ),
    _Match(
        "133i",
        "Universal matching: empty Accession Number and Study Date as keys",
        _UNIVERSAL,
        _of_first({ACCESSION_NUMBER: b"", STUDY_DATE: b"", STUDY_DESCRIPTION: b""}),
        "ABCD",
        why="an empty key matches every study, those included where the attribute is empty",
    ),
    _Match(
        "133j",
        "Universal matching: '*' for a Study Description",
        _UNIVERSAL,
        _of_first({STUDY_DESCRIPTION: b"*"}),
        "ABCD",
        tolerated="AB",
        why="a single '*' matches every study, those included where the attribute is empty",
    ),
    _Match(
        "133k",
        "A wildcard: '*' at the end of a Patient ID",
        _WILD,
        lambda t: {STUDY_UID: b"", PATIENT_ID: patient_id(t) + b"-*"},
        "ABCDEF",
    ),
    _Match(
        "133l",
        "A wildcard: '*' in the middle of a Patient's Name",
        _WILD,
        lambda t: {STUDY_UID: b"", PATIENT_ID: patient(t, 1), PATIENT_NAME: b"Conf*ester"},
        "ABCD",
    ),
    _Match(
        "133m",
        "A wildcard: '*' at the beginning of a Study Description",
        _WILD,
        _of_first({STUDY_DESCRIPTION: b"*all"}),
        "A",
    ),
    _Match(
        "133n",
        "A wildcard: '?' for one letter of a Patient's Name",
        _WILD,
        lambda t: {STUDY_UID: b"", PATIENT_ID: patient_id(t) + b"-*", PATIENT_NAME: b"Conformance^T?ster"},
        "ABCDE",
    ),
    _Match(
        "133o",
        "A wildcard: a '?' too many",
        _WILD,
        lambda t: {STUDY_UID: b"", PATIENT_ID: patient(t, 1) + b"?"},
        "",
        why="'?' stands for exactly one character",
    ),
    _Match(
        "133p",
        "Wildcards: '*' that stands for nothing",
        _WILD,
        lambda t: {STUDY_UID: b"", PATIENT_ID: patient(t, 1) + b"*", PATIENT_NAME: b"*Conformance^Tester*"},
        "ABCD",
        why="'*' stands for any number of characters, none included",
    ),
    _Match("133q", "A range of dates", _RANGE, _of_first({STUDY_DATE: b"20240201-20240315"}), "BC"),
    _Match("133r", "A range of dates without end", _RANGE, _of_first({STUDY_DATE: b"20240215-"}), "BC"),
    _Match("133s", "A range of dates without beginning", _RANGE, _of_first({STUDY_DATE: b"-20240215"}), "AB"),
    _Match("133t", "A single date", _SINGLE, _of_first({STUDY_DATE: b"20240215"}), "B"),
    _Match("133u", "A range of times", _RANGE, _of_first({STUDY_TIME: b"080000-120000"}), "AB"),
    _Match("133v", "A range of times without end", _RANGE, _of_first({STUDY_TIME: b"1200-"}), "BC"),
    _Match(
        "133w",
        "A range of dates and a range of times",
        "PS3.4 C.2.2.2.5, C.5.1.1: without combined date-time matching each range counts for itself",
        _of_first({STUDY_DATE: b"20240101-20240215", STUDY_TIME: b"100000-180000"}),
        "B",
        why="date and time are matched independently of each other, unless agreed otherwise",
    ),
    _Match(
        "133x",
        "Several keys at once",
        "PS3.4 C.2.2.1.1, C.4.1.3.1: all keys must match",
        _of_first({PATIENT_NAME: b"Conf*", STUDY_DATE: b"20240101-", STUDY_DESCRIPTION: b"S*d"}),
        "B",
    ),
    _Match(
        "133y",
        "A key padded with spaces",
        "PS3.5 6.2: padding is not significant",
        lambda t: {STUDY_UID: b"", PATIENT_ID: patient(t, 1) + b"   "},
        "ABCD",
    ),
    _Match(
        "133z",
        "A range whose end comes before its beginning",
        _RANGE,
        _of_first({STUDY_DATE: b"20240315-20240201"}),
        "",
        tolerated="BC",
        why="no date is in it",
    ),
    _Match(
        "134a",
        "A wildcard in a Study Instance UID",
        "PS3.4 C.2.2.2.4: no wildcards in UI",
        lambda t: {STUDY_UID: t.uid(133) + b".*"},
        "",
        why="in a UID '*' has no meaning, and no UID contains it",
        or_refused=True,
    ),
    _Match(
        "134b",
        "'%' for a Study Description",
        _WILD,
        _of_first({STUDY_DESCRIPTION: b"%"}),
        "",
        why=_LITERAL_WHY,
    ),
    _Match(
        "134c",
        "'First_of_all' for 'First of all'",
        _WILD,
        _of_first({STUDY_DESCRIPTION: b"First_of_all"}),
        "",
        why=_LITERAL_WHY,
    ),
    _Match(
        "134d",
        "'[A-Z]*' for a Study Description",
        _WILD,
        _of_first({STUDY_DESCRIPTION: b"[A-Z]*"}),
        "",
        why=_LITERAL_WHY,
    ),
    _Match(
        "134e",
        "A quote in a Patient's Name",
        _SINGLE,
        lambda t: {STUDY_UID: b"", PATIENT_ID: patient(t, 3), PATIENT_NAME: b"O'Conformance^50%_[T]"},
        "F",
        why=_LITERAL_WHY,
    ),
    _Match(
        "134f",
        "'%', '_' and brackets between wildcards",
        _WILD,
        lambda t: {STUDY_UID: b"", PATIENT_ID: patient(t, 3), STUDY_DESCRIPTION: b"1??% '_' [?]*"},
        "F",
        why=_LITERAL_WHY,
    ),
    _Match(
        "134g",
        "SQL in an Accession Number",
        _SINGLE,
        lambda t: {STUDY_UID: b"", PATIENT_ID: patient(t, 1), ACCESSION_NUMBER: b"' OR '1'='1"},
        "",
        why=_LITERAL_WHY,
    ),
    _Match(
        "134h",
        "A regular expression for a Study Description",
        _SINGLE,
        _of_first({STUDY_DESCRIPTION: b".+|^$"}),
        "",
        why=_LITERAL_WHY,
    ),
    _Match(
        "134i",
        "A Patient's Name of 60 '*'",
        _WILD,
        _of_first({PATIENT_NAME: b"*" * 60 + b"Tester" + b"*a" * 20}),
        "",
        why="it takes no longer than any other, and nothing matches",
    ),
)


def _cases() -> Iterator[Case]:
    for each in _MATCHES:
        yield case(
            f"query-{each.name}",
            each.title,
            each.clause,
            for_query(),
            finds(
                f"{each.title[0].lower()}{each.title[1:]}; matches are studies {', '.join(each.expected) or 'none'}",
                _at_study_level(each.keys),
                studies(each.expected),
                tolerated=None if each.tolerated is None else studies(each.tolerated),
                or_refused=each.or_refused,
                why=each.why or each.clause,
            ),
            release(),
            needs=_STORED,
            writes=True,
        )


def _at_study_level(keys: MakeKeys) -> Callable[[Target], Question]:
    return lambda target: Question(level=b"STUDY", keys=keys(target))


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

CASES: tuple[Case, ...] = (*_cases(), *_no_match(), *_levels(), *_OTHERS)
