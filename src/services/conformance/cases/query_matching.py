"""What matches and what does not: every type of matching of PS3.4 C.2.2.2, at every level."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from services.conformance.case import Case, case
from services.conformance.cases.query_studies import (
    accession,
    for_query,
    patient,
    studies,
    study_uid,
)
from services.conformance.data_sets import (
    ACCESSION_NUMBER,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    STUDY_ID,
    STUDY_TIME,
    STUDY_UID,
    Elements,
    patient_id,
)
from services.conformance.querying import Question, finds
from services.conformance.steps import release
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


CASES: tuple[Case, ...] = tuple(_cases())
