"""Modality Worklist by C-FIND (PS3.4 Annex K). Nothing can be put into a worklist over the wire: what a peer has
scheduled for us is looked at, and otherwise what cannot be there is asked for."""

from collections.abc import Callable, Iterator

from services.conformance.case import Case, case
from services.conformance.conversation import Conversation
from services.conformance.data_sets import (
    LEVEL,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    PROCEDURE_STEPS,
    STATION_AE_TITLE,
    STEP_DATE,
    STEP_ID,
    STEP_TIME,
    Elements,
    Items,
    patient_id,
)
from services.conformance.matching import name
from services.conformance.querying import Question, ask, refuses
from services.conformance.steps import Do, Step, echo
from services.conformance.storing import Context, propose
from services.conformance.target import MODALITY_WORKLIST, Service, Target

_CONTEXT = 17
_NEEDS = (Service.WORKLIST,)

_STEP: Elements = {STATION_AE_TITLE: b"", STEP_DATE: b"", STEP_TIME: b"", MODALITY: b"", STEP_ID: b""}

_NOBODY = "nothing is scheduled for a patient of ours"


def _for_worklist() -> tuple[Step, ...]:
    return propose("Modality Worklist", Context(_CONTEXT, MODALITY_WORKLIST))


def _question(keys: Elements) -> Question:
    return Question(keys=keys, sop_class=MODALITY_WORKLIST, context_id=_CONTEXT)


def _steps(changes: Elements, *, defined: bool = True) -> Items:
    return Items(({**_STEP, **changes},), defined)


async def _scheduled_for_us(conversation: Conversation) -> None:
    """Ask for what is scheduled for our title, and look at each item that comes."""
    title = conversation.target.calling_ae
    keys: Elements = {
        PATIENT_NAME: b"",
        PATIENT_ID: b"",
        PROCEDURE_STEPS: _steps({STATION_AE_TITLE: title}),
    }
    found = await ask(conversation, _question(keys))
    for answer in found.answers:
        items = answer.items(PROCEDURE_STEPS)
        if len(items) != 1:
            conversation.fail(
                "one item in Scheduled Procedure Step Sequence", str(len(items)), "PS3.4 K.6.1.2"
            )
        if title not in items[0].texts(STATION_AE_TITLE):
            got = items[0].text(STATION_AE_TITLE).decode("latin-1")
            conversation.fail(
                f"Scheduled Station AE Title {title.decode('latin-1')}", repr(got), "PS3.4 K.6.1.2"
            )
        for tag in _STEP:
            if tag not in items[0]:
                conversation.fail(f"{name(tag)} in the item", "none", "it is required (PS3.4 Table K.6-1)")
        for tag in (PATIENT_NAME, PATIENT_ID):
            if tag not in answer:
                conversation.fail(f"{name(tag)} in the answer", "none", "it is required (PS3.4 Table K.6-1)")


def _nothing(title: str, make: Callable[[Target], Elements]) -> Step:
    async def run(conversation: Conversation) -> None:
        found = await ask(conversation, _question(make(conversation.target)))
        if found.answers:
            conversation.fail("no match", f"{len(found.answers)} matches", _NOBODY)

    return Do(f"asks for {title}, and expects no match", run)


_EMPTY: tuple[tuple[str, str, Callable[[Target], Elements]], ...] = (
    (
        "155b",
        "a patient that nothing is scheduled for",
        lambda t: {PATIENT_ID: patient_id(t, "-155"), PROCEDURE_STEPS: _steps({})},
    ),
    (
        "155c",
        "steps of two days in 1901",
        lambda t: {PATIENT_ID: b"", PROCEDURE_STEPS: _steps({STEP_DATE: b"19010101-19010102"})},
    ),
    (
        "155d",
        "steps of a day in 1901, a range of times and a modality",
        lambda t: {
            PATIENT_ID: b"",
            PROCEDURE_STEPS: _steps({STEP_DATE: b"19010101", STEP_TIME: b"0800-1200", MODALITY: b"OT"}),
        },
    ),
    (
        "155e",
        "a step of an unknown station, in a sequence of undefined length",
        lambda t: {
            PATIENT_ID: b"",
            PROCEDURE_STEPS: _steps({STATION_AE_TITLE: b"NOBODY_AT_ALL"}, defined=False),
        },
    ),
    (
        "155f",
        "a patient that nothing is scheduled for, by an empty sequence",
        lambda t: {PATIENT_ID: patient_id(t, "-155"), PROCEDURE_STEPS: Items(())},
    ),
    (
        "155g",
        "a patient that nothing is scheduled for, with a level that means nothing here",
        lambda t: {LEVEL: b"STUDY", PATIENT_ID: patient_id(t, "-155"), PROCEDURE_STEPS: _steps({})},
    ),
)


def _empty() -> Iterator[Case]:
    for each, title, make in _EMPTY:
        yield case(
            f"query-{each}",
            f"Worklist: {title}",
            "PS3.4 K.4.1, K.6.1.2; C.2.2.2.6: sequence matching",
            _for_worklist(),
            _nothing(title, make),
            echo(),
            needs=_NEEDS,
        )


CASES: tuple[Case, ...] = (
    case(
        "query-155a",
        "Worklist: what is scheduled for the tester's AE title",
        "PS3.4 K.4.1, K.6.1.2; C.2.2.2.6: sequence matching",
        _for_worklist(),
        Do(
            "asks for steps with its own title as Scheduled Station AE Title, and expects one item with that title in "
            "each match",
            _scheduled_for_us,
        ),
        echo(),
        needs=_NEEDS,
        note="Where the peer has nothing scheduled for the tester, it is only seen that it says so. Call it by the "
        "title of a station (--aet) to see more.",
    ),
    *_empty(),
    case(
        "query-155h",
        "Worklist: two items in Scheduled Procedure Step Sequence",
        "PS3.4 C.2.2.2.6, K.4.1.1.4: A900",
        _for_worklist(),
        refuses(
            "with two items",
            lambda target: _question(
                {
                    PATIENT_ID: patient_id(target, "-155"),
                    PROCEDURE_STEPS: Items(({**_STEP, MODALITY: b"OT"}, {**_STEP, MODALITY: b"CT"})),
                }
            ),
            tolerated=("C???",),
            lenient=True,
            why="a sequence of keys has one item",
        ),
        echo(),
        needs=_NEEDS,
    ),
)
