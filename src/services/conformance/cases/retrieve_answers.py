"""C-GETs whose sub-operations fail, warn, are cancelled or never answered (PS3.4 C.4.3.1.4, C.4.3.2; PS3.7 9.1.3)."""

from collections.abc import Awaitable, Callable, Iterator

from services.conformance.building import abort, c_cancel_rq, message
from services.conformance.case import Case, case
from services.conformance.cases.retrieve_get import judge_sent
from services.conformance.cases.retrieve_study import (
    IN_SERIES,
    IN_STUDY,
    series,
    stored,
    study,
    uids,
)
from services.conformance.connection import Connection
from services.conformance.conversation import Conversation
from services.conformance.retrieving import (
    RETRIEVE_ID,
    Answer,
    Counts,
    Retrieval,
    SubOperation,
    for_get,
    judge_failed_list,
    judge_final,
    judge_pending,
    retrieve,
    with_status,
)
from services.conformance.steps import GET_CONTEXT, Do, associate, close, echo, reconnect
from services.conformance.target import Service

_STORED = (Service.STORAGE, Service.GET)

# -- 148: what the sub-operations are answered with

_ANSWERS: tuple[
    tuple[str, str, tuple[int, ...], tuple[int, ...], int, tuple[str, ...], tuple[str, ...]], ...
] = (
    ("148a", "the second with A700", (0, 0xA700, 0), (1,), 0, ("B000",), ("A702",)),
    ("148b", "each with A700", (0xA700,), (0, 1, 2), 0, ("A702",), ("B000", "A7??", "C???")),
    ("148c", "each with a warning, B000", (0xB000,), (), 3, ("B000",), ("0000",)),
    (
        "148d",
        "with success, a warning and a failure",
        (0, 0xB007, 0xC000),
        (2,),
        1,
        ("B000",),
        ("A702",),
    ),
    ("148e", "the first with 0122, SOP class not supported", (0x0122, 0, 0), (0,), 0, ("B000",), ("A702",)),
)


def _answers() -> Iterator[Case]:
    for each, what, codes, bad, warning, final, tolerated in _ANSWERS:
        yield case(
            f"retrieve-{each}",
            f"C-GET of a series, its sub-operations answered {what}",
            "PS3.4 C.4.3.1.4: B000, A702; C.4.3.1.3.2, C.4.3.1.5 to C.4.3.1.8",
            stored(),
            for_get(),
            Do(
                f"asks by C-GET for a series, answers {what}, and looks at the counts and the final response",
                _answering(codes, bad, warning, final, tolerated),
            ),
            echo(),
            needs=_STORED,
            writes=True,
        )


def _answering(
    codes: tuple[int, ...],
    bad: tuple[int, ...],
    warning: int,
    final: tuple[str, ...],
    tolerated: tuple[str, ...],
) -> Callable[[Conversation], Awaitable[None]]:
    async def run(conversation: Conversation) -> None:
        target = conversation.target
        seen = await retrieve(
            conversation,
            Retrieval(level=b"SERIES", keys=series(target)),
            answer=with_status(*codes),
            final=final,
            tolerated=tolerated,
            why="the status tells whether all, some or none of the sub-operations failed (PS3.4 C.4.3.1.4)",
        )
        assert seen is not None
        judge_sent(conversation, seen, uids(target)[:IN_SERIES])
        judge_pending(conversation, seen, IN_SERIES)
        judge_final(conversation, seen, Counts(None, IN_SERIES - len(bad) - warning, len(bad), warning))
        judge_failed_list(conversation, seen, [seen.stored[number].sop_instance for number in bad])

    return run


# -- 144, 145: cancelled, aborted


def _cancelling(message_id: int, codes: tuple[int, ...] = (0,)) -> Answer:
    """Cancel before the first sub-operation is answered."""
    answer = with_status(*codes)

    async def run(connection: Connection, sub_operation: SubOperation, number: int) -> bool:
        if number == 0:
            await connection.send(message(GET_CONTEXT, c_cancel_rq(message_id)))
        return await answer(connection, sub_operation, number)

    return run


async def _cancelled(conversation: Conversation) -> None:
    target = conversation.target
    seen = await retrieve(
        conversation,
        Retrieval(level=b"STUDY", keys=study(target)),
        answer=_cancelling(RETRIEVE_ID),
        final=("FE00",),
        tolerated=("0000", "B000"),
        why="the C-CANCEL came before the first sub-operation was answered (PS3.4 C.4.3.2, C.4.3.3)",
    )
    assert seen is not None
    judge_pending(conversation, seen, IN_STUDY)
    counts = seen.counts
    if counts.remaining is not None and counts.total != IN_STUDY and seen.final.text.endswith("FE00"):
        conversation.fail(f"counts that add up to {IN_STUDY}", str(counts), "PS3.4 C.4.3.1.5 to C.4.3.1.8")


async def _cancelled_another(conversation: Conversation) -> None:
    target = conversation.target
    seen = await retrieve(
        conversation,
        Retrieval(level=b"STUDY", keys=study(target)),
        answer=_cancelling(RETRIEVE_ID + 1),
        why="the C-CANCEL names another request (PS3.7 9.3.2.3)",
    )
    assert seen is not None
    judge_sent(conversation, seen, uids(target))


def _going(how: str) -> Callable[[Conversation], Awaitable[None]]:
    async def leave(connection: Connection, sub_operation: SubOperation, number: int) -> bool:
        if number == 0:
            await connection.send(sub_operation.answered(0))
            return True
        if how == "abort":
            await connection.send(abort(0, 0))
        elif how == "reset":
            connection.reset()
        return False

    async def run(conversation: Conversation) -> None:
        retrieval = Retrieval(level=b"STUDY", keys=study(conversation.target))
        if await retrieve(conversation, retrieval, answer=leave) is not None:
            conversation.fail(f"{IN_STUDY} sub-operations", "fewer than two", "PS3.4 C.4.3.3")

    return run


def _leaving() -> Iterator[Case]:
    for each, how, what in (("145a", "abort", "aborts"), ("145b", "reset", "breaks the connection")):
        yield case(
            f"retrieve-{each}",
            f"The requestor {what} during a C-GET",
            "PS3.8 9.2: AA-3, AA-4",
            stored(),
            for_get(),
            Do(
                f"asks by C-GET for a study, and {what} instead of answering the second sub-operation",
                _going(how),
            ),
            close(),
            reconnect(),
            associate(),
            echo(),
            needs=_STORED,
            writes=True,
        )


CASES: tuple[Case, ...] = (
    *_answers(),
    case(
        "retrieve-144a",
        "C-CANCEL before the first sub-operation of a C-GET is answered",
        "PS3.7 9.1.3.2, 9.3.3.3; PS3.4 C.4.3.1.4: FE00",
        stored(),
        for_get(),
        Do("asks by C-GET for a study, cancels, then answers the first sub-operation", _cancelled),
        echo(),
        needs=_STORED,
        writes=True,
        note="A peer that does not look for a C-CANCEL and goes on to the end is tolerated.",
    ),
    case(
        "retrieve-144b",
        "C-CANCEL for another Message ID during a C-GET",
        "PS3.7 9.3.2.3",
        stored(),
        for_get(),
        Do("asks by C-GET for a study, and cancels a request that was never made", _cancelled_another),
        echo(),
        needs=_STORED,
        writes=True,
    ),
    *_leaving(),
)
