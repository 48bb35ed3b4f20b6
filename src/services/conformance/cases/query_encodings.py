"""C-FIND in every encoding: transfer syntaxes, sequences, fragments, character sets (PS3.4 C.4.1.1.3; PS3.5 6, 7)."""

from collections.abc import Callable, Iterator

from services.conformance.building import EXPLICIT, window
from services.conformance.case import Case, case
from services.conformance.cases.query_responses import REQUIRED, answers, pending, stored_study, values
from services.conformance.cases.query_studies import (
    for_query,
    series_uid,
    study_uid,
)
from services.conformance.cases.storage_content import CHARACTER_SETS, in_character_set
from services.conformance.conversation import Conversation
from services.conformance.data_sets import (
    BIG_ENDIAN,
    PATIENT_NAME,
    REQUEST_ATTRIBUTES,
    SERIES_UID,
    SPECIFIC_CHARACTER_SET,
    STATION_AE_TITLE,
    STUDY_UID,
    Items,
    Value,
)
from services.conformance.matching import DataSetError, ReadDataSet, decoded
from services.conformance.querying import Question, ask, until_found
from services.conformance.steps import FIND_CONTEXT, Do, Step, echo, release
from services.conformance.storing import Context, deliver, propose, storage
from services.conformance.target import STUDY_ROOT_FIND, Service, Target
from services.printable import printable

_NEEDS = (Service.STORAGE, Service.FIND)

# -- 202: other encodings

_ENCODING_CONTEXT = 15


def _encodings() -> Iterator[Case]:
    for each, title, syntax in (
        ("202a", "Explicit VR Little Endian", EXPLICIT),
        ("202b", "Explicit VR Big Endian", BIG_ENDIAN),
    ):
        context = Context(_ENCODING_CONTEXT, STUDY_ROOT_FIND, (syntax,))
        yield case(
            f"query-{each}",
            f"A C-FIND in {title}",
            "PS3.4 C.4.1; PS3.5 7.1, 10",
            propose(f"C-FIND in {title}", storage(), Context(FIND_CONTEXT, STUDY_ROOT_FIND), context),
            for_query()[-1],
            answers(f"a study, in {title}", _encoded(syntax), values(stored_study)),
            release(),
            needs=_NEEDS,
            writes=True,
        )
    for each, title, keys in (
        ("202c", "a sequence of defined length", Items(({STATION_AE_TITLE: b""},))),
        ("202d", "a sequence of undefined length", Items(({STATION_AE_TITLE: b""},), defined=False)),
        ("202e", "a sequence without items", Items(())),
    ):
        yield case(
            f"query-{each}",
            f"An identifier with {title}",
            "PS3.5 7.5; PS3.4 C.2.2.2.6",
            for_query(),
            answers(f"a series, with {title} among the keys", _with_sequence(keys), pending("FF00", "FF01")),
            release(),
            needs=_NEEDS,
            writes=True,
        )
    yield case(
        "query-202f",
        "An identifier in fragments of 4 bytes",
        "PS3.8 Annex E.1",
        for_query(),
        answers(
            "a study, in many fragments",
            lambda t: Question(level=b"STUDY", keys={STUDY_UID: study_uid(t, "A"), **REQUIRED}, fragment=4),
            values(stored_study),
        ),
        echo(),
        needs=_NEEDS,
        writes=True,
    )


def _encoded(syntax: bytes) -> Callable[[Target], Question]:
    return lambda target: Question(
        level=b"STUDY",
        keys={STUDY_UID: study_uid(target, "A"), **REQUIRED},
        syntax=syntax,
        context_id=_ENCODING_CONTEXT,
    )


def _with_sequence(keys: Items) -> Callable[[Target], Question]:
    return lambda target: Question(
        level=b"SERIES",
        keys={
            STUDY_UID: study_uid(target, "A"),
            SERIES_UID: series_uid(target, "A", 2),
            REQUEST_ATTRIBUTES: keys,
        },
    )


# -- 203: character sets


def _readable(letter: str, *, declared: bool = True) -> Step:
    async def run(conversation: Conversation) -> None:
        target = conversation.target
        instance = in_character_set(target, letter)
        await deliver(conversation, [instance])
        await until_found(conversation, {instance.study})
        keys: dict[int, Value] = {STUDY_UID: instance.study, PATIENT_NAME: b""}
        if declared:
            keys[SPECIFIC_CHARACTER_SET] = CHARACTER_SETS[letter][1]
        found = await ask(conversation, Question(level=b"STUDY", keys=keys))
        if not found.answers:
            conversation.fail("the study", "no match", "it is stored")
        _judge_name(conversation, found.answers[0], CHARACTER_SETS[letter][3], strict=declared)

    what = CHARACTER_SETS[letter][0]
    return Do(
        f"stores a Patient's Name in {what}, asks for it, and reads it in the character set of the answer",
        run,
    )


def _judge_name(conversation: Conversation, answer: ReadDataSet, expected: str, *, strict: bool) -> None:
    why = "an answer declares the character set it is in (PS3.4 C.4.1.1.3.2, PS3.5 6.1.2)"
    try:
        got = decoded(answer, PATIENT_NAME)
    except DataSetError as error:
        conversation.fail(expected, str(error), why)
    if got == expected:
        return
    if strict:
        conversation.fail(expected, printable(got), why)
    conversation.tolerate(
        expected, printable(got), "the requestor did not say that it understands the character set"
    )


def _character_sets() -> Iterator[Case]:
    for letter, (what, *_) in CHARACTER_SETS.items():
        yield case(
            f"query-203{letter}",
            f"A Patient's Name in {what}",
            "PS3.4 C.4.1.1.3.2; PS3.5 6.1.2",
            for_query(),
            _readable(letter),
            release(),
            needs=_NEEDS,
            writes=True,
        )
    yield case(
        "query-203h",
        "A Patient's Name in UTF-8, asked for without a character set",
        "PS3.4 C.4.1.1.3.2; PS3.5 6.1.2",
        for_query(),
        _readable("a", declared=False),
        release(),
        needs=_NEEDS,
        writes=True,
        note="An answer may be in another character set than the request, and has to declare it. A peer that keeps to "
        "the requestor's and leaves out what it cannot say there is tolerated.",
    )
    yield case(
        "query-203g",
        "A key in UTF-8 for a name that was stored in Latin alphabet No. 1",
        "PS3.4 C.2.2.2; PS3.5 6.1.2",
        for_query(),
        Do("stores a Patient's Name in Latin alphabet No. 1, and asks for it by a key in UTF-8", _across),
        release(),
        needs=_NEEDS,
        writes=True,
        note="The standard has text compared, not bytes, but lets a peer support only some character sets: no match is "
        "tolerated.",
    )


async def _across(conversation: Conversation) -> None:
    target = conversation.target
    instance = in_character_set(target, "b")
    await deliver(conversation, [instance])
    await until_found(conversation, {instance.study})
    keys = {
        SPECIFIC_CHARACTER_SET: b"ISO_IR 192",
        PATIENT_NAME: "Müller*".encode(),
        STUDY_UID: instance.study,
    }
    found = await ask(
        conversation,
        Question(level=b"STUDY", keys=keys),
        tolerated=("A9??", "C???"),
        why="UTF-8 is a character set",
    )
    if not found.answers:
        conversation.tolerate("one match", "none", "the same name in another character set")


# -- 204: one after the other


async def _two_in_turn(conversation: Conversation) -> None:
    target = conversation.target
    for message_id, study in ((21, "A"), (22, "B")):
        keys = {STUDY_UID: study_uid(target, study)}
        found = await ask(conversation, Question(level=b"STUDY", keys=keys, message_id=message_id))
        if found.ours(target) != [study_uid(target, study)]:
            conversation.fail("the study asked for", f"{len(found.answers)} matches")


CASES: tuple[Case, ...] = (
    *_encodings(),
    *_character_sets(),
    case(
        "query-204",
        "Two C-FINDs one after the other, with a window of eight",
        "PS3.7 9.3.2.2, D.3.3.3",
        propose(
            "storage and C-FIND",
            storage(),
            Context(FIND_CONTEXT, STUDY_ROOT_FIND),
            sub_items=lambda target: (window(8, 8),),
        ),
        for_query()[-1],
        Do("asks for two studies in turn", _two_in_turn),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
)
