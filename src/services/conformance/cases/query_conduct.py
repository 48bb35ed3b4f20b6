"""C-CANCEL during a C-FIND, requestors that go away, slow ones (PS3.7 9.1.2, 9.3.2.3; PS3.4 C.4.1.2, C.4.1.3)."""

import asyncio

from services.conformance.building import RELEASE_RQ, abort, c_cancel_rq, message
from services.conformance.case import Case, case
from services.conformance.cases.query_studies import for_query
from services.conformance.connection import Event
from services.conformance.conversation import Conversation, matches
from services.conformance.data_sets import (
    PATIENT_NAME,
    SERIES_UID,
    SOP_INSTANCE_UID,
    STUDY_UID,
    Instance,
    instance,
)
from services.conformance.querying import FIND_ID, Question, ask, collect, delivers_once
from services.conformance.steps import (
    FIND_CONTEXT,
    Do,
    Expect,
    Send,
    Step,
    associate,
    close,
    echo,
    finish_sending,
    reconnect,
)
from services.conformance.storing import statuses
from services.conformance.target import Service, Target

_NEEDS = (Service.STORAGE, Service.FIND)
_MANY = 60


def _crowd(target: Target) -> list[Instance]:
    """Instances of one series, to have many matches."""
    return [instance(target, "137", number=number) for number in range(1, _MANY + 1)]


def _crowded() -> tuple[Step, ...]:
    return (
        *for_query(),
        delivers_once("the instances of the C-CANCEL cases", _crowd, f"{_MANY} instances of one series"),
    )


def _all_of_crowd(target: Target) -> Question:
    first = instance(target, "137")
    return Question(
        level=b"IMAGE",
        keys={STUDY_UID: first.study, SERIES_UID: first.series, SOP_INSTANCE_UID: b"", PATIENT_NAME: b""},
    )


_CANCELLED = (
    "the operation ends with FE00, unless all was done before the C-CANCEL could be seen (PS3.7 9.1.2.2)"
)


async def _read_to_the_end(conversation: Conversation, seen: int) -> None:
    """Read what follows a C-CANCEL; success is right only with every match."""
    target = conversation.target
    found = await collect(
        conversation, _all_of_crowd(target), final=("FE00",), tolerated=("0000",), why=_CANCELLED
    )
    if found.final.text.endswith("0000") and seen + len(found.answers) < _MANY:
        conversation.fail(
            "FE00", f"0000 after {seen + len(found.answers)} of {_MANY} matches", "it was cancelled"
        )


async def _cancel_at_once(conversation: Conversation) -> None:
    target = conversation.target
    data = _all_of_crowd(target).encoded(target) + message(FIND_CONTEXT, c_cancel_rq(FIND_ID))
    await conversation.connection.send(data, timeout=target.timeout)
    await _read_to_the_end(conversation, 0)


async def _cancel_at_first(conversation: Conversation) -> None:
    target = conversation.target
    await conversation.connection.send(_all_of_crowd(target).encoded(target), timeout=target.timeout)
    await conversation.expect(statuses(FIND_ID, ("FF00", "FF01"), "C-FIND-RSP"))
    await conversation.connection.send(message(FIND_CONTEXT, c_cancel_rq(FIND_ID)))
    await _read_to_the_end(conversation, 1)


async def _cancel_another(conversation: Conversation) -> None:
    target = conversation.target
    data = _all_of_crowd(target).encoded(target) + message(FIND_CONTEXT, c_cancel_rq(FIND_ID + 1))
    await conversation.connection.send(data, timeout=target.timeout)
    found = await collect(conversation, _all_of_crowd(target), why="the C-CANCEL names another request")
    _judge_count(conversation, len(found.answers))


async def _ask_all(conversation: Conversation) -> None:
    found = await ask(conversation, _all_of_crowd(conversation.target))
    _judge_count(conversation, len(found.answers))


def _judge_count(conversation: Conversation, count: int) -> None:
    if count != _MANY:
        conversation.fail(f"{_MANY} matches", str(count), "every instance of the series matches")


async def _slowly(conversation: Conversation) -> None:
    target = conversation.target
    await conversation.connection.send(_all_of_crowd(target).encoded(target), timeout=target.timeout)
    await asyncio.sleep(1.0)
    found = await collect(conversation, _all_of_crowd(target))
    _judge_count(conversation, len(found.answers))


def _ask_and(title: str, after: bytes = b"") -> Send:
    return Send(title, lambda target: _all_of_crowd(target).encoded(target) + after)


async def _answers_then_release(conversation: Conversation) -> None:
    """After an A-RELEASE-RQ answers may still come, but none after the A-RELEASE-RP."""
    target = conversation.target
    pending = statuses(FIND_ID, ("FF00", "FF01", "0000", "FE00"), "C-FIND-RSP")
    event: Event = conversation.last
    for _ in range(_MANY + 2):
        event = await conversation.connection.receive(target.timeout)
        if not matches(event.text, pending):
            break
    conversation.judge(
        event, "release response", "abort 2/2", "abort 0/*", why="AR-2, AR-7, AR-4 (PS3.8 9.2)"
    )
    await conversation.expect(
        "silence|closed", "reset", within=target.quiet, why="nothing follows A-RELEASE-RP"
    )


CASES: tuple[Case, ...] = (
    case(
        "query-137a",
        "C-CANCEL right behind the C-FIND-RQ",
        "PS3.7 9.1.2.2, 9.3.2.3; PS3.4 C.4.1.1.4: FE00",
        _crowded(),
        Do(f"asks for {_MANY} instances, and cancels in the same segment", _cancel_at_once),
        echo(),
        needs=_NEEDS,
        writes=True,
        note="A peer may be done before it sees the C-CANCEL; all matches and 0000 are tolerated.",
    ),
    case(
        "query-137b",
        "C-CANCEL after the first match",
        "PS3.7 9.1.2.2, 9.3.2.3; PS3.4 C.4.1.1.4: FE00",
        _crowded(),
        Do(f"asks for {_MANY} instances, and cancels after the first response", _cancel_at_first),
        echo(),
        needs=_NEEDS,
        writes=True,
        note="A peer may be done before it sees the C-CANCEL; all matches and 0000 are tolerated.",
    ),
    case(
        "query-137c",
        "C-CANCEL for another Message ID during a C-FIND",
        "PS3.7 9.3.2.3",
        _crowded(),
        Do(f"asks for {_MANY} instances, and cancels a request that was never made", _cancel_another),
        echo(),
        needs=_NEEDS,
        writes=True,
        note="A C-CANCEL names its request by Message ID; one that names no request has nothing to do to another. "
        "A peer that knows but one C-FIND at a time and ends that cuts answers short that are wanted: a failure.",
    ),
    case(
        "query-137d",
        "C-CANCEL for a C-FIND that is over",
        "PS3.7 9.3.2.3",
        _crowded(),
        Do(f"asks for {_MANY} instances, and reads all of them", _ask_all),
        Send("a C-CANCEL-RQ for the C-FIND that is over", message(FIND_CONTEXT, c_cancel_rq(FIND_ID))),
        Expect("silence", why="there is nothing to cancel, and a C-CANCEL has no response of its own"),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "query-138a",
        "A-ABORT during a C-FIND",
        "PS3.8 9.2: Evt16 in Sta6, AA-3",
        _crowded(),
        _ask_and("a C-FIND-RQ, and an A-ABORT right behind it", abort(0, 0)),
        close(),
        reconnect(),
        associate("echo", "find"),
        Do(f"asks for the same {_MANY} instances, and reads all of them", _ask_all),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "query-138b",
        "The connection is half closed during a C-FIND",
        "PS3.8 9.2: Evt17 in Sta6, AA-4",
        _crowded(),
        _ask_and("a C-FIND-RQ"),
        finish_sending(),
        reconnect(),
        associate("echo", "find"),
        Do(f"asks for the same {_MANY} instances, and reads all of them", _ask_all),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "query-138c",
        "A requestor that reads nothing for a second",
        "PS3.4 C.4.1.3; PS3.8 9.1.4",
        _crowded(),
        Do(f"asks for {_MANY} instances, waits for a second, and reads all of them", _slowly),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "query-138d",
        "A-RELEASE-RQ during a C-FIND",
        "PS3.8 9.2: AR-2, AR-7, AR-4; PS3.7 A.5",
        _crowded(),
        _ask_and("a C-FIND-RQ, and an A-RELEASE-RQ right behind it", RELEASE_RQ),
        Do("reads what comes, up to the A-RELEASE-RP, after which nothing may", _answers_then_release),
        needs=_NEEDS,
        writes=True,
        note="The requestor breaks PS3.7 A.5 by it: an abort is tolerated.",
    ),
)
