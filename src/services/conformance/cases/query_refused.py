"""Identifiers that a peer must refuse: nothing has to be stored for them (PS3.4 C.4.1.1.4, C.4.1.2, C.4.1.3)."""

from collections.abc import Callable, Iterator

from services.conformance.building import NO_DATA, command, message, ui, us
from services.conformance.case import Case, case
from services.conformance.cases.query_studies import FIND
from services.conformance.data_sets import (
    LEVEL,
    MODALITY,
    PATIENT_ID,
    SERIES_UID,
    SOP_INSTANCE_UID,
    STUDY_UID,
    Elements,
    encode,
    patient_id,
)
from services.conformance.querying import FIND_ID, Question, finds, refuses
from services.conformance.steps import FIND_CONTEXT, Expect, Send, echo
from services.conformance.storing import Context, propose, statuses
from services.conformance.target import STUDY_ROOT_FIND, Service, Target

PATIENT_ROOT_FIND = b"1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_CONTEXT = 13

_NEEDS = (Service.FIND,)
_LEVEL_WHY = "the level must be one of the information model's (PS3.4 C.4.1.1.3.1, C.6.2)"
_STUDY_ROOT_NOTE = (
    "The Study Root model begins at STUDY, and has the patient's attributes there (PS3.4 C.6.2.1): a peer that answers "
    "at PATIENT level answers by the Patient Root model, which was not negotiated."
)
_LEVEL_NOTE = "A900 is the status made for it; PS3.4 C.4.1.1.4 lets Cxxx stand for any reason."


def _ours(target: Target) -> Elements:
    """Keys that match nothing of anybody's, were they used."""
    return {PATIENT_ID: patient_id(target, "-131"), STUDY_UID: target.uid(131, 1)}


def _level(level: bytes | None) -> Callable[[Target], Question]:
    return lambda target: Question(level=level, keys=_ours(target))


_LEVELS = (
    ("131a", "without Query/Retrieve Level", None, False),
    ("131b", "at PATIENT level in the Study Root model", b"PATIENT", False),
    ("131c", "at a level that is none, 'FRAMES'", b"FRAMES", False),
    ("131d", "with an empty Query/Retrieve Level", b"", False),
    ("131e", "with two levels, 'STUDY' and 'SERIES'", b"STUDY\\SERIES", False),
    ("131f", "with its level in lower case, 'study'", b"study", True),
    ("131g", "with a wildcard for a level, '*'", b"*", False),
)


def _levels() -> Iterator[Case]:
    for name, what, level, lenient in _LEVELS:
        yield case(
            f"query-{name}",
            f"A C-FIND {what}",
            "PS3.4 C.4.1.1.3.1, C.4.1.1.4: A900",
            propose("C-FIND", FIND),
            refuses(what, _level(level), lenient=lenient, why=_LEVEL_WHY),
            echo(),
            needs=_NEEDS,
            note=f"{_STUDY_ROOT_NOTE} {_LEVEL_NOTE}" if level == b"PATIENT" else _LEVEL_NOTE,
        )


def _question(level: bytes, keys: Callable[[Target], Elements]) -> Callable[[Target], Question]:
    return lambda target: Question(level=level, keys=keys(target))


_HIGHER: tuple[tuple[str, str, bytes, Callable[[Target], Elements]], ...] = (
    (
        "132a",
        "at SERIES level without Study Instance UID",
        b"SERIES",
        lambda target: {SERIES_UID: target.uid(132, 2), MODALITY: b""},
    ),
    (
        "132b",
        "at IMAGE level without Study and Series Instance UID",
        b"IMAGE",
        lambda target: {SOP_INSTANCE_UID: target.uid(132, 3)},
    ),
    (
        "132c",
        "at IMAGE level without Series Instance UID",
        b"IMAGE",
        lambda target: {SOP_INSTANCE_UID: target.uid(132, 3), STUDY_UID: target.uid(132, 1)},
    ),
    (
        "132d",
        "at SERIES level with an empty Study Instance UID",
        b"SERIES",
        lambda target: {SERIES_UID: target.uid(132, 2), STUDY_UID: b""},
    ),
    (
        "132e",
        "at SERIES level with a wildcard for a Study Instance UID",
        b"SERIES",
        lambda target: {SERIES_UID: b"", STUDY_UID: target.uid(132) + b".*"},
    ),
    (
        "132f",
        "at SERIES level with two Study Instance UIDs",
        b"SERIES",
        lambda target: {SERIES_UID: b"", STUDY_UID: target.uid(132, 1) + b"\\" + target.uid(132, 2)},
    ),
)


def _higher() -> Iterator[Case]:
    for name, what, level, keys in _HIGHER:
        yield case(
            f"query-{name}",
            f"A C-FIND {what}",
            "PS3.4 C.4.1.2.1, C.4.1.3.1: a single value in each unique key above the level",
            propose("C-FIND", FIND),
            refuses(
                what,
                _question(level, keys),
                tolerated=("C???",),
                lenient=True,
                why="without relational queries the unique keys above the level have a single value each",
            ),
            echo(),
            needs=_NEEDS,
            note="What the requestor must give is plain, what becomes of it if not is left open: answering as if "
            "relational queries had been agreed upon is tolerated.",
        )


# -- requests whose identifier is missing or cannot be read


def _no_identifier(target: Target) -> bytes:
    return message(
        FIND_CONTEXT,
        command(
            ui(0x0002, STUDY_ROOT_FIND),
            us(0x0100, 0x0020),
            us(0x0110, FIND_ID),
            us(0x0700, 0),
            us(0x0800, NO_DATA),
        ),
    )


def _raw(data: Callable[[Target], bytes]) -> Callable[[Target], Question]:
    return lambda target: Question(raw=data(target))


_UNREADABLE: tuple[tuple[str, str, Callable[[Target], bytes]], ...] = (
    (
        "200a",
        "whose identifier ends in the middle of a value",
        lambda target: encode({LEVEL: b"STUDY", **_ours(target)})[:-8],
    ),
    ("200b", "whose identifier is text", lambda target: b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n"),
    (
        "200c",
        "whose identifier has an element of FFFFFFF0H bytes",
        lambda target: encode({LEVEL: b"STUDY"}) + b"\x10\0\x20\0\xf0\xff\xff\xff" + b"CONFORMANCE ",
    ),
)


def _unreadable() -> Iterator[Case]:
    for name, what, data in _UNREADABLE:
        yield case(
            f"query-{name}",
            f"A C-FIND {what}",
            "PS3.4 C.4.1.1.4: A900, Cxxx; PS3.5 7.1",
            propose("C-FIND", FIND),
            refuses(
                what,
                _raw(data),
                strict=("A9??", "C???"),
                tolerated=("01??",),
                or_abort=True,
                why="it cannot be understood",
            ),
            echo(),
            needs=_NEEDS,
        )


_OTHERS = (
    case(
        "query-131h",
        "A C-FIND at PATIENT level in the Patient Root model, with nothing to match",
        "PS3.4 C.6.1.1, C.4.1.1.4",
        propose("C-FIND in the Patient Root model", Context(PATIENT_CONTEXT, PATIENT_ROOT_FIND)),
        finds(
            "a patient that is not there, at the level that the other model lacks",
            lambda target: Question(
                level=b"PATIENT",
                keys={PATIENT_ID: patient_id(target, "-131")},
                sop_class=PATIENT_ROOT_FIND,
                context_id=PATIENT_CONTEXT,
            ),
            lambda target: [],
            why="the level is one of the Patient Root model, and nothing matches",
        ),
        echo(),
        needs=_NEEDS,
    ),
    case(
        "query-132g",
        "A C-FIND at STUDY level without Patient ID in the Patient Root model",
        "PS3.4 C.4.1.2.1, C.4.1.3.1",
        propose("C-FIND in the Patient Root model", Context(PATIENT_CONTEXT, PATIENT_ROOT_FIND)),
        refuses(
            "without the unique key of the patient",
            lambda target: Question(
                level=b"STUDY",
                keys={STUDY_UID: target.uid(132, 1)},
                sop_class=PATIENT_ROOT_FIND,
                context_id=PATIENT_CONTEXT,
            ),
            lenient=True,
            why="without relational queries the unique keys above the level have a single value each",
        ),
        echo(),
        needs=_NEEDS,
    ),
    case(
        "query-200d",
        "A C-FIND-RQ that says to have no identifier",
        "PS3.7 9.1.2.1: Identifier is mandatory",
        propose("C-FIND", FIND),
        Send("a C-FIND-RQ with Command Data Set Type 0101H", _no_identifier),
        Expect(
            statuses(FIND_ID, ("A9??", "C???"), "C-FIND-RSP"),
            statuses(FIND_ID, ("01??", "02??"), "C-FIND-RSP"),
            "abort 0/*",
            why="there is nothing to match",
        ),
        echo(),
        needs=_NEEDS,
    ),
    case(
        "query-200e",
        "A C-FIND whose identifier is empty",
        "PS3.4 C.4.1.1.3.1, C.4.1.1.4: A900",
        propose("C-FIND", FIND),
        refuses(
            "with an identifier of no bytes",
            lambda target: Question(raw=b""),
            tolerated=("C???", "01??"),
            or_abort=True,
            why=_LEVEL_WHY,
        ),
        echo(),
        needs=_NEEDS,
        note=_LEVEL_NOTE,
    ),
)

CASES: tuple[Case, ...] = (*_levels(), *_higher(), *_unreadable(), *_OTHERS)
