"""C-MOVE: sub-operations to a destination of ours, that behaves as the case wants it (PS3.4 C.4.2; PS3.7 9.1.4)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from msgspec import Struct

from services.conformance.building import abort, c_cancel_rq, message
from services.conformance.case import Case, case
from services.conformance.cases.retrieve_get import judge_decompressed, judge_sent
from services.conformance.cases.retrieve_refused import UNKNOWN_DESTINATION, refuses
from services.conformance.cases.retrieve_study import (
    IN_SERIES,
    IN_STUDY,
    destination_known,
    images,
    series,
    stored,
    study,
    uids,
)
from services.conformance.conversation import Conversation
from services.conformance.data_sets import RLE, STUDY_UID, Elements, Instance, compressed, instance
from services.conformance.move_listener import Behaviour, MoveListener, listening
from services.conformance.retrieving import (
    RETRIEVE_ID,
    Counts,
    Retrieved,
    for_move,
    judge_failed_list,
    judge_final,
    judge_pending,
    listed,
    move_of,
    retrieve,
)
from services.conformance.steps import MOVE_CONTEXT, Do, Step, associate, close, echo, reconnect, release
from services.conformance.storing import delivers, propose, storage
from services.conformance.target import Service, Target
from services.printable import printable

_NEEDS = (Service.STORAGE, Service.MOVE)
_WHY = "the status tells whether all, some or none of the sub-operations failed (PS3.4 C.4.2.1.5)"
_PATIENCE = 4.0
"""A destination that fails may cost the peer more than one time-out: times the time an answer may take."""

Uids = Callable[[Target], Sequence[bytes]]
Look = Callable[[Conversation, MoveListener, Retrieved], None]


async def move(
    conversation: Conversation,
    level: bytes,
    keys: Elements,
    *,
    final: tuple[str, ...] = ("0000",),
    tolerated: tuple[str, ...] = (),
    why: str = _WHY,
) -> Retrieved:
    """Ask for instances to be moved to our destination, and read up to the final response."""
    target = conversation.target
    seen = await retrieve(
        conversation,
        move_of(level, keys, target.move_destination),
        final=final,
        tolerated=tolerated,
        within=target.timeout * _PATIENCE,
        why=why,
    )
    assert seen is not None
    seen.final = conversation.last
    return seen


def to_us(*steps: Step | tuple[Step, ...]) -> tuple[Step | tuple[Step, ...], ...]:
    """The steps of a case that moves the study to us."""
    return (destination_known(), stored(), for_move(), *steps)


# -- 142, 143: everything is taken


class _Whole(Struct, frozen=True):
    """A C-MOVE that succeeds."""

    name: str
    what: str
    level: bytes
    keys: Callable[[Target], Elements]
    expected: Uids


_WHOLE = (
    _Whole("142a", "a study", b"STUDY", study, uids),
    _Whole("142b", "a series", b"SERIES", series, lambda t: uids(t)[:IN_SERIES]),
    _Whole("142c", "an instance", b"IMAGE", lambda t: images(t, uids(t)[2:3]), lambda t: uids(t)[2:3]),
    _Whole(
        "142d",
        "two instances by a list of UIDs",
        b"IMAGE",
        lambda t: images(t, uids(t)[:2]),
        lambda t: uids(t)[:2],
    ),
)


def _moving(each: _Whole, look: Look | None = None) -> Callable[[Conversation], Awaitable[None]]:
    async def run(conversation: Conversation) -> None:
        target = conversation.target
        expected = each.expected(target)
        async with listening(conversation, Behaviour()) as listener:
            seen = await move(conversation, each.level, each.keys(target))
            seen.stored = listener.stored
            judge_sent(conversation, seen, expected)
            judge_pending(conversation, seen, len(expected))
            judge_final(conversation, seen, Counts(None, len(expected), 0, 0))
            judge_failed_list(conversation, seen, [])
            if look is not None:
                look(conversation, listener, seen)

    return run


def _originator(conversation: Conversation, listener: MoveListener, seen: Retrieved) -> None:
    target = conversation.target
    why = "who asked for it, and by which request (PS3.7 9.1.1.1, 9.3.1.1)"
    for each in listener.stored:
        if each.originator is None or each.originator_id is None:
            conversation.tolerate("Move Originator AE Title and Message ID", "one or both missing", why)
            return
        if each.originator != target.calling_ae.strip() or each.originator_id != RETRIEVE_ID:
            wanted = f"{target.calling_ae.decode('latin-1')}, Message ID {RETRIEVE_ID}"
            got = f"{listed([each.originator])}, Message ID {each.originator_id}"
            conversation.fail(wanted, got, why)


def _called(conversation: Conversation, listener: MoveListener, seen: Retrieved) -> None:
    wanted = conversation.target.move_destination.strip().decode("latin-1")
    for each in listener.requests:
        if each.called_ae != wanted:
            conversation.fail(
                f"'{wanted}' called",
                printable(repr(each.called_ae)),
                "it is the Move Destination (PS3.4 C.4.2.2)",
            )


def _whole() -> Iterator[Case]:
    for each in _WHOLE:
        yield case(
            f"retrieve-{each.name}",
            f"C-MOVE of {each.what}",
            "PS3.4 C.4.2.1.5 to C.4.2.1.9, C.4.2.3",
            *to_us(
                Do(
                    f"has {each.what} moved to itself, and looks at what comes and at the counts",
                    _moving(each),
                ),
                echo(),
            ),
            needs=_NEEDS,
            writes=True,
        )
    for name, title, clause, look in (
        (
            "143a",
            "The Move Originator in the sub-operations of a C-MOVE",
            "PS3.7 9.1.1.1, 9.3.1.1",
            _originator,
        ),
        ("143b", "The called AE title of a C-MOVE's sub-operations", "PS3.4 C.4.2.2, C.4.2.3", _called),
    ):
        yield case(
            f"retrieve-{name}",
            title,
            clause,
            *to_us(
                Do("has a study moved to itself, and looks at how it comes", _moving(_WHOLE[0], look)), echo()
            ),
            needs=_NEEDS,
            writes=True,
        )


# -- 144, 145: cancelled, aborted


async def _cancelled(conversation: Conversation) -> None:
    """Cancel while the first instance is not answered."""
    target = conversation.target
    async with listening(conversation, Behaviour(delay=0.3)) as listener:

        async def cancel() -> None:
            await listener.arrived.wait()
            await conversation.connection.send(message(MOVE_CONTEXT, c_cancel_rq(RETRIEVE_ID)))

        task = asyncio.create_task(cancel())
        try:
            seen = await move(
                conversation,
                b"STUDY",
                study(target),
                final=("FE00",),
                tolerated=("0000", "B000"),
                why="the C-CANCEL came before the first sub-operation was answered (PS3.4 C.4.2.2, C.4.2.3)",
            )
        finally:
            task.cancel()
        judge_pending(conversation, seen, IN_STUDY)
        await _until_quiet(conversation, listener)


async def _aborted(conversation: Conversation) -> None:
    """Abort our own association while the first instance is not answered."""
    target = conversation.target
    connection = conversation.connection
    async with listening(conversation, Behaviour(delay=0.3)) as listener:
        await connection.send(
            move_of(b"STUDY", study(target), target.move_destination).encoded(target), timeout=target.timeout
        )
        try:
            async with asyncio.timeout(target.timeout):
                await listener.arrived.wait()
        except TimeoutError:
            event = await connection.receive(target.quiet)
            conversation.fail("a sub-operation", event.text, "PS3.4 C.4.2.3")
        await connection.send(abort(0, 0))
        await _until_quiet(conversation, listener)


async def _until_quiet(conversation: Conversation, listener: MoveListener) -> None:
    """Wait for the end of the sub-operations' association."""
    for _ in range(50):
        if listener.is_quiet:
            return
        await asyncio.sleep(conversation.target.timeout * _PATIENCE / 50)
    conversation.fail(
        "the association of the sub-operations to end", "it is still open", "nothing is left to be sent"
    )


# -- 146, 200


def _compressed(target: Target) -> list[Instance]:
    return [compressed(instance(target, "146b"), RLE)]


async def _of_compressed(conversation: Conversation) -> None:
    original = _compressed(conversation.target)[0]
    async with listening(conversation, Behaviour()) as listener:
        seen = await move(
            conversation,
            b"STUDY",
            {STUDY_UID: original.study},
            final=("0000", "A702", "B000"),
            tolerated=("A7??", "C???"),
            why="it is decompressed, or fails",
        )
        judge_pending(conversation, seen, 1)
        if not seen.final.text.endswith("0000"):
            judge_failed_list(conversation, seen, [original.uid])
            return
        seen.stored = listener.stored
        judge_sent(conversation, seen, [original.uid])
        judge_decompressed(conversation, listener.stored[0])


async def _of_nothing(conversation: Conversation) -> None:
    target = conversation.target
    async with listening(conversation, Behaviour()) as listener:
        seen = await move(
            conversation,
            b"STUDY",
            {STUDY_UID: target.uid(200, 2)},
            tolerated=("A9??", "A7??", "C???"),
            why="nothing matches, so nothing fails",
        )
        judge_final(conversation, seen, Counts(None, 0, 0, 0))
        if listener.stored:
            conversation.fail("no sub-operation", str(len(listener.stored)), "nothing matches")


CASES: tuple[Case, ...] = (
    case(
        "retrieve-140b",
        "A C-MOVE of a stored study to a destination that nobody knows",
        "PS3.4 C.4.2.1.5: A801",
        stored(),
        for_move(),
        refuses(
            "a destination that nobody knows",
            lambda target: move_of(b"STUDY", study(target), UNKNOWN_DESTINATION),
            strict=("A801",),
            tolerated=("C???", "A7??"),
            why="the destination is not known",
        ),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    *_whole(),
    case(
        "retrieve-144c",
        "C-CANCEL before the first sub-operation of a C-MOVE is answered",
        "PS3.7 9.1.4.2, 9.3.4.3; PS3.4 C.4.2.1.5: FE00",
        *to_us(
            Do("has a study moved to itself, and cancels before it answers the first instance", _cancelled),
            echo(),
        ),
        needs=_NEEDS,
        writes=True,
        note="A peer that does not look for a C-CANCEL and goes on to the end is tolerated.",
    ),
    case(
        "retrieve-145c",
        "The requestor aborts during a C-MOVE",
        "PS3.8 9.2: AA-3; PS3.4 C.4.2.3",
        *to_us(
            Do(
                "has a study moved to itself, aborts its own association before it answers the first instance, and "
                "expects the other one to end",
                _aborted,
            ),
            close(),
            reconnect(),
            associate(),
            echo(),
        ),
        needs=_NEEDS,
        writes=True,
        note="Whether the rest of the study is sent all the same is up to the peer.",
    ),
    case(
        "retrieve-146b",
        "C-MOVE of a compressed instance to a destination that takes Implicit VR Little Endian only",
        "PS3.4 C.4.2.3; PS3.5 10",
        destination_known(),
        propose("storage in RLE Lossless", storage(RLE)),
        delivers(_compressed, "an instance in RLE Lossless", syntax=RLE),
        release(),
        close(),
        reconnect(),
        for_move(),
        Do("has an instance stored in RLE Lossless moved to itself", _of_compressed),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "retrieve-200d",
        "C-MOVE of what is not there",
        "PS3.4 C.4.2.1.5: 0000 with no sub-operations",
        *to_us(Do("asks for a study that is not there to be moved to itself", _of_nothing), echo()),
        needs=_NEEDS,
        writes=True,
    ),
)
