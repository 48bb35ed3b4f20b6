"""How a peer conducts itself when it stores: early failure, duplicates, parallel associations, interruptions."""

import asyncio

from services.conformance.building import (
    RELEASE_RQ,
    c_store_rq,
)
from services.conformance.case import Case, case
from services.conformance.cases.storage_checks import indexed_once
from services.conformance.connection import Connection, Event
from services.conformance.conversation import Conversation
from services.conformance.data_sets import (
    ACCESSION_NUMBER,
    PIXEL_DATA,
    STUDY_INSTANCES,
    STUDY_UID,
    Instance,
    instance,
)
from services.conformance.querying import Question, ask
from services.conformance.steps import (
    STORE_CONTEXT,
    Do,
    Expect,
    Send,
    Step,
    close,
    echo,
    reconnect,
    release,
)
from services.conformance.storing import (
    FAILURE,
    OTHER_FAILURE,
    for_storage,
    message_of,
    storage,
    store,
)
from services.conformance.target import Service, Target
from services.printable import printable

_NEEDS = (Service.STORAGE,)
_LARGE = 3 << 20


def _large(target: Target, name: str) -> Instance:
    """With 3 MiB of pixel data."""
    return instance(target, name).changed({0x00280010: 1536, 0x00280011: 2048, PIXEL_DATA: bytes(_LARGE)})


# -- 124: large instances, and those that are refused from their command on


_EARLY = (
    case(
        "storage-124a",
        "An instance of 3 MiB",
        "PS3.4 B.2.2; PS3.7 9.1.1",
        for_storage(),
        store(lambda target: _large(target, "124a"), "a C-STORE-RQ with an instance of 3 MiB"),
        echo(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "storage-124b",
        "An instance of 3 MiB whose SOP Instance UID is '..'",
        "PS3.7 9.1.1: a failure may be told before the data set has ended; PS3.4 B.2.3",
        for_storage(),
        store(
            lambda target: _large(target, "124b").named(b".."),
            "a C-STORE-RQ with 3 MiB, refused from its command on",
            strict=FAILURE,
            tolerated=OTHER_FAILURE,
            or_abort=True,
            why="the failure may be told early; the rest of the data set is to be read and thrown away",
        ),
        echo(),
        store(lambda target: instance(target, "124b"), "a C-STORE-RQ with a good instance", message_id=5),
        needs=_NEEDS,
        writes=True,
        note="Stands for a disk that is full in the middle of a data set, which the wire cannot bring about.",
    ),
)

# -- 125, 126: the same SOP Instance UID again


def _changed(name: str) -> Step | tuple[Step, ...]:
    return store(
        lambda target: instance(target, name).changed({ACCESSION_NUMBER: b"CHANGED"}),
        "a C-STORE-RQ with the same SOP Instance UID and other content",
        message_id=5,
        strict=("0111", "A9??", "C???", "B???"),
        tolerated=("0000", "A7??", "01??"),
        why="an instance has one content; that one of the two is lost should be said",
    )


_DUPLICATE_NOTE = (
    "PS3.4 B.2.2 leaves to the SCP what it does with a second instance of the same UID. By success the sender is told "
    "that this one is kept; whether it is, or the first, nobody knows: tolerated."
)

_AGAIN = (
    case(
        "storage-125a",
        "The same instance twice on one association",
        "PS3.4 B.2.2",
        for_storage(),
        store(lambda target: instance(target, "125a")),
        store(
            lambda target: instance(target, "125a"),
            "the same C-STORE-RQ again",
            message_id=5,
            tolerated=("0111", "B???"),
            why="it is in the peer, as asked",
        ),
        indexed_once(lambda target: instance(target, "125a")),
        release(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "storage-125b",
        "The same instance twice, on two associations",
        "PS3.4 B.2.2",
        for_storage(),
        store(lambda target: instance(target, "125b")),
        release(),
        close(),
        reconnect(),
        for_storage(),
        store(
            lambda target: instance(target, "125b"),
            "the same C-STORE-RQ again",
            tolerated=("0111", "B???"),
            why="it is in the peer, as asked",
        ),
        indexed_once(lambda target: instance(target, "125b")),
        release(),
        needs=_NEEDS,
        writes=True,
    ),
    case(
        "storage-126a",
        "The same SOP Instance UID with other content",
        "PS3.4 B.2.2; PS3.7 C.5.6: 0111",
        for_storage(),
        store(lambda target: instance(target, "126a")),
        _changed("126a"),
        indexed_once(lambda target: instance(target, "126a")),
        echo(),
        needs=_NEEDS,
        writes=True,
        note=_DUPLICATE_NOTE,
    ),
    case(
        "storage-126b",
        "The same SOP Instance UID in another study",
        "PS3.4 B.2.2; PS3.7 C.5.6: 0111; PS3.5 9: UIDs are unique",
        for_storage(),
        store(lambda target: instance(target, "126b")),
        store(
            lambda target: instance(target, "126b", study=2).named(instance(target, "126b").uid),
            "a C-STORE-RQ with the same SOP Instance UID in another study",
            message_id=5,
            strict=("0111", "A9??", "C???", "B???"),
            tolerated=("0000", "A7??", "01??"),
            why="an instance belongs to one study: filed a second time nothing is lost, but which one is retrieved?",
        ),
        echo(),
        needs=_NEEDS,
        writes=True,
        note="The standard says nothing of it. Filed under both studies each content is kept, so success is tolerated.",
    ),
)

# -- 127: side by side

_SIDE_BY_SIDE = 8
_EACH = 3


async def _one_association(
    conversation: Conversation, connection: Connection, first: int
) -> list[tuple[Event, str, str]]:
    """Store on a connection of its own; returns what came, with the patterns of what should and may."""
    target = conversation.target
    seen: list[tuple[Event, str, str]] = []

    async def exchange(data: bytes, strict: str, tolerated: str = "", within: float = 1.0) -> bool:
        await connection.send(data, timeout=target.timeout)
        event = await connection.receive(target.timeout * within)
        seen.append((event, strict, tolerated))
        return event.text == strict

    proposal = target.proposing(storage().item(target))
    # a peer that serves one at a time lets the others wait until it is their turn
    if not await exchange(proposal, "accept", "reject 2/3/*", within=_SIDE_BY_SIDE):
        return seen
    for number in range(first, first + _EACH):
        each = instance(target, "127", number=number)
        request = c_store_rq(number, each.sop_class, each.uid)
        data = message_of(target, STORE_CONTEXT, request, each.encoded())
        if not await exchange(data, f"C-STORE-RSP {number} 0000"):
            return seen
    await exchange(RELEASE_RQ, "release response")
    await connection.close()
    return seen


async def _side_by_side(conversation: Conversation) -> None:
    connections = [await conversation.connect() for _ in range(_SIDE_BY_SIDE)]
    outcomes = await asyncio.gather(
        *(
            _one_association(conversation, connection, 1 + number * _EACH)
            for number, connection in enumerate(connections)
        )
    )
    for outcome in outcomes:
        for event, strict, tolerated in outcome:
            if tolerated and event.text != strict:
                conversation.judge(event, strict, tolerated, why="a limit on associations is the peer's own")
            else:
                conversation.judge(event, strict, why="associations are independent of each other")


async def _counted(conversation: Conversation) -> None:
    target = conversation.target
    if not target.offers(Service.FIND):
        return
    study = instance(target, "127").study
    found = await ask(conversation, Question(level=b"STUDY", keys={STUDY_UID: study, STUDY_INSTANCES: b""}))
    wanted = _SIDE_BY_SIDE * _EACH
    counts = [answer.text(STUDY_INSTANCES) for answer in found.answers]
    if len(counts) != 1:
        conversation.fail("one study", f"{len(counts)} matches", "PS3.4 C.4.1")
    if counts[0] not in (b"", str(wanted).encode()):
        conversation.fail(
            f"{wanted} study related instances", printable(counts[0].decode("latin-1")), "PS3.4 C.3.4"
        )


_PARALLEL = case(
    "storage-127",
    f"One study over {_SIDE_BY_SIDE} associations at once",
    "PS3.4 B.2.2; PS3.8 7.1",
    Send("an A-ASSOCIATE-RQ for echo", lambda target: target.proposing()),
    Expect("accept"),
    release(),
    close(),
    Do(
        f"stores {_EACH} instances of one study on each of {_SIDE_BY_SIDE} associations side by side, and expects "
        "each to be acknowledged",
        _side_by_side,
    ),
    reconnect(),
    for_storage(),
    Do("asks, where the peer offers C-FIND, that the study is found once, with the right count", _counted),
    release(),
    needs=_NEEDS,
    writes=True,
)

CASES: tuple[Case, ...] = (*_EARLY, *_AGAIN, _PARALLEL)
