"""What is in the responses of a C-FIND: keys, statuses, character sets, encodings (PS3.4 C.4.1.1.3, C.4.1.1.4)."""

from collections.abc import Callable, Iterator

from services.conformance.case import Case, case
from services.conformance.cases.query_studies import (
    accession,
    for_query,
    instance_uid,
    patient,
    series_uid,
    study_uid,
)
from services.conformance.conversation import Conversation
from services.conformance.data_sets import (
    ACCESSION_NUMBER,
    BIRTH_DATE,
    FILE_SET_ID,
    INSTANCE_AVAILABILITY,
    INSTANCE_NUMBER,
    LEVEL,
    MODALITIES_IN_STUDY,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    PATIENT_SEX,
    REQUEST_ATTRIBUTES,
    RETRIEVE_AE_TITLE,
    SERIES_NUMBER,
    SERIES_UID,
    SOP_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STATION_AE_TITLE,
    STUDY_DATE,
    STUDY_ID,
    STUDY_INSTANCES,
    STUDY_SERIES,
    STUDY_TIME,
    STUDY_UID,
    Elements,
    Items,
    Typed,
    element,
    encode,
)
from services.conformance.matching import name
from services.conformance.querying import Found, Question, ask
from services.conformance.steps import Do, Step, release
from services.conformance.target import STUDY_ROOT_FIND, Service, Target

_NEEDS = (Service.STORAGE, Service.FIND)

Judge = Callable[[Conversation, Question, Found], None]

_BESIDE = frozenset(
    {
        SPECIFIC_CHARACTER_SET,
        0x00080201,
        LEVEL,
        RETRIEVE_AE_TITLE,
        INSTANCE_AVAILABILITY,
        FILE_SET_ID,
        0x00880140,
    }
)
"""What an answer may hold beside the keys asked for (PS3.4 C.4.1.1.3.2); the last is Storage Media File-Set UID."""


def answers(title: str, make: Callable[[Target], Question], *judges: Judge) -> Step:
    """Ask, and have the answers judged."""

    async def run(conversation: Conversation) -> None:
        question = make(conversation.target)
        found = await ask(conversation, question)
        if not found.answers:
            conversation.fail("at least one match", "none", "it is stored")
        for judge in judges:
            judge(conversation, question, found)

    described = " and ".join((judge.__doc__ or "").strip().splitlines()[0].rstrip(".") for judge in judges)
    return Do(f"asks for {title}, and expects {described}", run)


# -- what is judged


def all_keys(conversation: Conversation, question: Question, found: Found) -> None:
    """every key in every answer"""
    for answer in found.answers:
        for tag in question.keys:
            if tag in answer:
                continue
            if tag in _OPTIONAL:
                conversation.tolerate(
                    f"{name(tag)} in the answer", "none", "optional keys may be unsupported"
                )
            else:
                conversation.fail(
                    f"{name(tag)} in the answer", "none", "it was asked for (PS3.4 C.4.1.1.3.2)"
                )


_OPTIONAL = frozenset(
    {
        MODALITIES_IN_STUDY,
        STUDY_SERIES,
        STUDY_INSTANCES,
        BIRTH_DATE,
        PATIENT_SEX,
        REQUEST_ATTRIBUTES,
        0x00180050,
    }
)
"""Keys that PS3.4 C.6.1.1 and C.6.2.1 do not require."""


def no_others(conversation: Conversation, question: Question, found: Found) -> None:
    """nothing that was not asked for"""
    for answer in found.answers:
        for tag in answer:
            if tag not in question.keys and tag not in _BESIDE:
                conversation.tolerate("the keys asked for", f"{name(tag)} as well", "PS3.4 C.4.1.1.3.2")
                return


def right_level(conversation: Conversation, question: Question, found: Found) -> None:
    """the Query/Retrieve Level of the request"""
    for answer in found.answers:
        got = answer.text(LEVEL)
        if LEVEL not in answer:
            conversation.fail("Query/Retrieve Level in the answer", "none", "PS3.4 C.4.1.1.3.2")
        if got != question.level:
            conversation.fail(f"level {_text(question.level or b'')}", _text(got), "PS3.4 C.4.1.1.3.2")


def where_to_retrieve(conversation: Conversation, question: Question, found: Found) -> None:
    """Retrieve AE Title or a Storage Media File-Set ID"""
    for answer in found.answers:
        if not answer.text(RETRIEVE_AE_TITLE) and not answer.text(FILE_SET_ID):
            conversation.tolerate(
                "Retrieve AE Title or Storage Media File-Set ID", "neither", "PS3.4 C.4.1.1.3.2"
            )
            return


def values(expected: Callable[[Target], Elements]) -> Judge:
    """Judge values: each one that comes must be the one stored; padding does not count."""

    def judge(conversation: Conversation, question: Question, found: Found) -> None:
        """the values that were stored"""
        for tag, value in expected(conversation.target).items():
            got = found.answers[0].text(tag)
            if tag in _OPTIONAL and not got:
                continue
            if got != value:
                conversation.fail(
                    f"{name(tag)} {_text(value if isinstance(value, bytes) else b'')}", _text(got)
                )

    return judge


def pending(*codes: str) -> Judge:
    """Judge the statuses of the pending responses."""

    def judge(conversation: Conversation, question: Question, found: Found) -> None:
        """pending responses of the right status"""
        for code in found.codes:
            if code not in codes:
                conversation.tolerate(f"status {' or '.join(codes)}", code, "PS3.4 C.4.1.1.4: FF00, FF01")
                return

    return judge


def _text(value: bytes) -> str:
    return repr(value.decode("latin-1"))


# -- 135


def _study(keys: Callable[[Target], Elements]) -> Callable[[Target], Question]:
    return lambda target: Question(level=b"STUDY", keys={STUDY_UID: study_uid(target, "A"), **keys(target)})


REQUIRED: Elements = {
    STUDY_DATE: b"",
    STUDY_TIME: b"",
    ACCESSION_NUMBER: b"",
    PATIENT_NAME: b"",
    PATIENT_ID: b"",
    STUDY_ID: b"",
}


def stored_study(target: Target) -> Elements:
    return {
        STUDY_UID: study_uid(target, "A"),
        STUDY_DATE: b"20240115",
        STUDY_TIME: b"083000",
        ACCESSION_NUMBER: accession(target, "A"),
        PATIENT_NAME: b"Conformance^Tester",
        PATIENT_ID: patient(target, 1),
        STUDY_ID: b"A",
    }


def _series(target: Target) -> Question:
    keys = {
        STUDY_UID: study_uid(target, "A"),
        SERIES_UID: series_uid(target, "A", 2),
        MODALITY: b"",
        SERIES_NUMBER: b"",
    }
    return Question(level=b"SERIES", keys=keys)


def _image(target: Target) -> Question:
    keys = {
        STUDY_UID: study_uid(target, "A"),
        SERIES_UID: series_uid(target, "A", 1),
        SOP_INSTANCE_UID: instance_uid(target, "A", 1, 2),
        INSTANCE_NUMBER: b"",
    }
    return Question(level=b"IMAGE", keys=keys)


_RESPONSES: tuple[tuple[str, str, str, Callable[[Target], Question], tuple[Judge, ...]], ...] = (
    (
        "135a",
        "The required keys of a study",
        "PS3.4 C.4.1.1.3.2, C.6.2.1",
        _study(lambda target: REQUIRED),
        (all_keys, values(stored_study), pending("FF00")),
    ),
    (
        "135b",
        "The required keys of a series",
        "PS3.4 C.4.1.1.3.2, C.6.2.1",
        _series,
        (
            all_keys,
            values(lambda t: {MODALITY: b"CT", SERIES_NUMBER: b"2", STUDY_UID: study_uid(t, "A")}),
            pending("FF00"),
        ),
    ),
    (
        "135c",
        "The required keys of an instance",
        "PS3.4 C.4.1.1.3.2, C.6.2.1",
        _image,
        (all_keys, values(lambda t: {INSTANCE_NUMBER: b"2", STUDY_UID: study_uid(t, "A")}), pending("FF00")),
    ),
    (
        "135d",
        "The Query/Retrieve Level in an answer",
        "PS3.4 C.4.1.1.3.2",
        _study(lambda target: {}),
        (right_level,),
    ),
    (
        "135e",
        "Nothing in an answer that was not asked for",
        "PS3.4 C.4.1.1.3.2",
        _study(lambda target: {PATIENT_ID: b""}),
        (no_others,),
    ),
    (
        "135f",
        "Where an answer says the study can be retrieved from",
        "PS3.4 C.4.1.1.3.2",
        _study(lambda target: {}),
        (where_to_retrieve,),
    ),
    (
        "135g",
        "Optional keys: numbers of series and instances, Modalities in Study",
        "PS3.4 C.6.2.1, C.3.4",
        _study(lambda target: {STUDY_SERIES: b"", STUDY_INSTANCES: b"", MODALITIES_IN_STUDY: b""}),
        (values(lambda t: {STUDY_SERIES: b"2", STUDY_INSTANCES: b"3"}), all_keys, pending("FF00", "FF01")),
    ),
    (
        "135h",
        "A key that no peer supports at STUDY level: Slice Thickness",
        "PS3.4 C.4.1.1.4: FF01; C.2.2.1.3",
        _study(lambda target: {0x00180050: b"", PATIENT_ID: b""}),
        (pending("FF01"), values(lambda t: {PATIENT_ID: patient(t, 1)})),
    ),
    (
        "135i",
        "An attribute that is empty",
        "PS3.4 C.4.1.1.3.2: of zero length",
        lambda t: Question(
            level=b"STUDY", keys={STUDY_UID: study_uid(t, "D"), STUDY_DATE: b"", ACCESSION_NUMBER: b""}
        ),
        (all_keys, values(lambda t: {STUDY_DATE: b"", ACCESSION_NUMBER: b""})),
    ),
    (
        "135j",
        "A sequence as a key",
        "PS3.4 C.2.2.2.6, C.4.1.1.4: FF00, FF01",
        lambda t: Question(
            level=b"SERIES",
            keys={
                STUDY_UID: study_uid(t, "A"),
                SERIES_UID: series_uid(t, "A", 2),
                REQUEST_ATTRIBUTES: Items(({STATION_AE_TITLE: b""},)),
            },
        ),
        (pending("FF00", "FF01"),),
    ),
)

_NOTES = {
    "135e": "The standard lists what an answer is made of; more than that harms nobody: tolerated.",
    "135f": "One of both is required. A peer that is asked over the network is where it was found: tolerated.",
    "135h": "A peer that matches and returns the attribute would be right to answer FF00: tolerated.",
}


def _responses() -> Iterator[Case]:
    for each, title, clause, make, judges in _RESPONSES:
        yield case(
            f"query-{each}",
            title,
            clause,
            for_query(),
            answers(f"{title[0].lower()}{title[1:]}", make, *judges),
            release(),
            needs=_NEEDS,
            writes=True,
            note=_NOTES.get(each, ""),
        )


# -- 139: what does not belong into an identifier

_FOREIGN: tuple[tuple[str, str, Callable[[Target], bytes]], ...] = (
    (
        "139a",
        "group lengths",
        lambda t: element(0x00080000, Typed("UL", (14).to_bytes(4, "little"))) + _whole(t),
    ),
    ("139b", "an element of group 0002", lambda t: element(0x00020010, b"1.2.840.10008.1.2") + _whole(t)),
    ("139c", "an element of group 0000", lambda t: element(0x00000002, STUDY_ROOT_FIND) + _whole(t)),
    (
        "139d",
        "a private key, empty",
        lambda t: encode(
            {
                LEVEL: b"STUDY",
                0x00090010: Typed("LO", b"CONFORMANCE "),
                0x00091001: b"",
                STUDY_UID: study_uid(t, "A"),
            }
        ),
    ),
)


def _whole(target: Target) -> bytes:
    return encode({LEVEL: b"STUDY", STUDY_UID: study_uid(target, "A")})


def only(make: Callable[[Target], bytes]) -> Judge:
    """Judge that one study came, whatever else was in the identifier."""

    def judge(conversation: Conversation, question: Question, found: Found) -> None:
        """the study that the other keys choose, and nothing of what was foreign"""
        uids = [answer.text(STUDY_UID) for answer in found.answers]
        if uids != [make(conversation.target)]:
            conversation.fail("one study", f"{len(uids)} matches", "what does not belong there is ignored")
        for tag in found.answers[0]:
            if tag >> 16 < 8:
                conversation.fail("an answer without it", name(tag), "PS3.5 7.1")

    return judge


def _raw(data: Callable[[Target], bytes]) -> Callable[[Target], Question]:
    return lambda target: Question(level=b"STUDY", raw=data(target))


def _foreign() -> Iterator[Case]:
    for each, what, data in _FOREIGN:
        yield case(
            f"query-{each}",
            f"An identifier with {what}",
            "PS3.4 C.4.1.3; PS3.5 7.1, 7.2, 7.8",
            for_query(),
            answers(f"a study, with {what} among the keys", _raw(data), only(lambda t: study_uid(t, "A"))),
            release(),
            needs=_NEEDS,
            writes=True,
        )


CASES: tuple[Case, ...] = (*_responses(), *_foreign())
