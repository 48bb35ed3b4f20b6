"""C-GET: sub-operations on the same association, each answered as the case wants it (PS3.4 C.4.3; PS3.7 9.1.3)."""

from collections.abc import Callable, Iterator, Sequence

from services.conformance.building import IMPLICIT, role
from services.conformance.case import Case, case
from services.conformance.cases.retrieve_study import (
    IN_SERIES,
    IN_STUDY,
    images,
    instances,
    series,
    stored,
    study,
    uids,
)
from services.conformance.conversation import Conversation
from services.conformance.data_sets import (
    PATIENT_ID,
    PIXEL_DATA,
    RLE,
    STUDY_UID,
    Elements,
    Instance,
    compressed,
    instance,
    patient_id,
)
from services.conformance.matching import DataSetError, ReadDataSet, name, read_data_set
from services.conformance.retrieving import (
    GET,
    Answer,
    Counts,
    Retrieval,
    Retrieved,
    SubOperation,
    for_get,
    judge_failed_list,
    judge_final,
    judge_pending,
    listed,
    retrieve,
    with_status,
)
from services.conformance.steps import Do, Step, close, echo, reconnect, release
from services.conformance.storing import Context, delivers, propose, storage
from services.conformance.target import Service, Target

_STORED = (Service.STORAGE, Service.GET)
PATIENT_ROOT_GET = b"1.2.840.10008.5.1.4.1.2.1.3"
_ENHANCED_SR = b"1.2.840.10008.5.1.4.1.1.88.22"

MakeKeys = Callable[[Target], Elements]
Uids = Callable[[Target], Sequence[bytes]]


def _none(target: Target) -> Sequence[bytes]:
    return ()


def gets(
    title: str,
    level: bytes,
    keys: MakeKeys,
    expected: Uids,
    *,
    answer: Answer | None = None,
    final: tuple[str, ...] = ("0000",),
    tolerated: tuple[str, ...] = (),
    failed: Uids = _none,
    warning: int = 0,
    sent: bool = True,
    why: str = "every sub-operation was a success (PS3.4 C.4.3.1.4)",
) -> Step:
    """Retrieve by C-GET, and hold what comes against what must.

    Args:
        title: what is asked for.
        level, keys: of the identifier.
        expected: SOP Instance UIDs of the instances in question.
        answer: to the sub-operations; success by default.
        final, tolerated: statuses of the final response.
        failed: those of `expected` that fail.
        warning: how many of them end with a warning.
        sent: whether the instances can be sent at all.
        why: the rule for the final response.
    """

    async def run(conversation: Conversation) -> None:
        target = conversation.target
        seen = await retrieve(
            conversation,
            Retrieval(level=level, keys=keys(target)),
            answer=answer or with_status(0),
            final=final,
            tolerated=tolerated,
            why=why,
        )
        assert seen is not None
        total, bad = len(expected(target)), list(failed(target))
        if sent:
            judge_sent(conversation, seen, expected(target))
        judge_pending(conversation, seen, total)
        judge_final(conversation, seen, Counts(None, total - len(bad) - warning, len(bad), warning))
        judge_failed_list(conversation, seen, bad)

    return Do(
        f"asks by C-GET for {title}, and looks at what comes, at the counts and at the final response", run
    )


def judge_sent(conversation: Conversation, seen: Retrieved, expected: Sequence[bytes]) -> None:
    """Hold the sub-operations against the instances in question, in any order, each once."""
    got = sorted(each.sop_instance for each in seen.stored)
    if got != sorted(expected):
        wanted = f"{len(expected)} instances, each once"
        conversation.fail(wanted, listed(got) or "none", "PS3.4 C.4.2.3, C.4.3.3")


# -- 147, 200: what is retrieved

_WHAT: tuple[tuple[str, str, bytes, MakeKeys, Uids], ...] = (
    ("147a", "a study", b"STUDY", study, uids),
    ("147b", "a series", b"SERIES", series, lambda t: uids(t)[:IN_SERIES]),
    ("147c", "an instance", b"IMAGE", lambda t: images(t, uids(t)[1:2]), lambda t: uids(t)[1:2]),
    (
        "147d",
        "two instances by a list of UIDs",
        b"IMAGE",
        lambda t: images(t, uids(t)[:2]),
        lambda t: uids(t)[:2],
    ),
    (
        "147e",
        "three instances by a list of UIDs, one of them unknown",
        b"IMAGE",
        lambda t: images(t, [uids(t)[0], t.uid(147, 99), uids(t)[2]]),
        lambda t: [uids(t)[0], uids(t)[2]],
    ),
)


def _what() -> Iterator[Case]:
    for each, what, level, keys, expected in _WHAT:
        yield case(
            f"retrieve-{each}",
            f"C-GET of {what}",
            "PS3.4 C.4.3.1.4, C.4.3.2, C.4.3.3; PS3.7 9.1.3, D.3.3.4",
            stored(),
            for_get(),
            gets(what, level, keys, expected),
            echo(),
            needs=_STORED,
            writes=True,
        )


async def _as_stored(conversation: Conversation) -> None:
    target = conversation.target
    seen = await retrieve(conversation, Retrieval(level=b"STUDY", keys=study(target)))
    assert seen is not None
    originals = {each.uid: each for each in instances(target)}
    for each in seen.stored:
        if each.sop_instance in originals:
            _judge_same(conversation, originals[each.sop_instance], each)


def _judge_same(conversation: Conversation, original: Instance, got: SubOperation) -> None:
    why = "what was stored is sent, without changes (PS3.4 B.2.2, C.4.3.3)"
    if got.sop_class != original.sop_class:
        conversation.fail("the SOP class it was stored with", listed([got.sop_class]), why)
    try:
        sent, received = read_data_set(original.encoded()), read_data_set(got.data_set)
    except DataSetError as error:
        conversation.fail("a data set in Implicit VR Little Endian", str(error), "PS3.5 7.1")
    different = [tag for tag in sent if not _same(sent, received, tag)]
    if different:
        conversation.fail("the data set that was stored", f"another value of {name(different[0])}", why)


def _same(sent: ReadDataSet, received: ReadDataSet, tag: int) -> bool:
    if tag == PIXEL_DATA:
        return tag in received and received.elements[tag].value == sent.elements[tag].value
    return tag in received and received.text(tag) == sent.text(tag)


# -- 72, 146, 200: nothing or not everything can be sent

_CANNOT = ("A702", "B000")
_CANNOT_WHY = "what cannot be sent on this association has failed (PS3.4 C.4.3.1.4, C.4.3.3)"


async def _without_roles(conversation: Conversation) -> None:
    target = conversation.target
    seen = await retrieve(
        conversation,
        Retrieval(level=b"STUDY", keys=study(target)),
        final=_CANNOT,
        tolerated=("0000", "A7??", "C???"),
        why="without role selection we are no SCP of storage, so nothing may be sent to us (PS3.7 D.3.3.4)",
    )
    assert seen is not None
    judge_pending(conversation, seen, IN_STUDY)
    if not seen.stored and not seen.final.text.endswith("0000"):
        judge_failed_list(conversation, seen, uids(target))
    elif seen.stored:
        conversation.tolerate(
            "no sub-operations", f"{len(seen.stored)}", "the requestor did not offer to be an SCP"
        )


def _compressed(target: Target) -> list[Instance]:
    return [compressed(instance(target, "146"), RLE)]


async def _of_compressed(conversation: Conversation) -> None:
    target = conversation.target
    original = _compressed(target)[0]
    seen = await retrieve(
        conversation,
        Retrieval(level=b"STUDY", keys={STUDY_UID: original.study}),
        final=("0000", *_CANNOT),
        tolerated=("A7??", "C???"),
        why="it is decompressed, or fails",
    )
    assert seen is not None
    judge_pending(conversation, seen, 1)
    if not seen.final.text.endswith("0000"):
        judge_failed_list(conversation, seen, [original.uid])
        return
    judge_sent(conversation, seen, [original.uid])
    judge_decompressed(conversation, seen.stored[0])


def judge_decompressed(conversation: Conversation, got: SubOperation) -> None:
    """Hold the pixels of the instance stored in RLE against what comes in Implicit VR Little Endian."""
    try:
        received = read_data_set(got.data_set)
    except DataSetError as error:
        conversation.fail("a data set in Implicit VR Little Endian", str(error), "PS3.5 7.1, 10")
    pixels = received.elements.get(PIXEL_DATA)
    if pixels is None or pixels.value[:4] != bytes([0, 85, 170, 255]):
        conversation.fail(
            "the four pixels, decompressed", "others", "PS3.5 8.1, 10; the context is uncompressed"
        )


_CANNOT_CASES = (
    case(
        "retrieve-72",
        "C-GET without role selection",
        "PS3.7 D.3.3.4; PS3.4 C.4.3",
        stored(),
        for_get(roles=False),
        Do("asks by C-GET for a study without having offered to be an SCP of storage", _without_roles),
        echo(),
        needs=_STORED,
        writes=True,
        note="Some requestors forget role selection, and some peers send to them nevertheless: tolerated.",
    ),
    case(
        "retrieve-146a",
        "C-GET of a compressed instance by a requestor that takes Implicit VR Little Endian only",
        "PS3.4 C.4.3.3; PS3.5 10",
        propose("storage in RLE Lossless", storage(RLE)),
        delivers(_compressed, "an instance in RLE Lossless", syntax=RLE),
        release(),
        close(),
        reconnect(),
        for_get(IMPLICIT),
        Do("asks by C-GET for an instance stored in RLE Lossless", _of_compressed),
        echo(),
        needs=_STORED,
        writes=True,
    ),
    case(
        "retrieve-200a",
        "C-GET without a presentation context for storage",
        "PS3.4 C.4.3.1.4, C.4.3.3",
        stored(),
        for_get(store=False, roles=False),
        gets(
            "a study that cannot be sent",
            b"STUDY",
            study,
            uids,
            final=_CANNOT,
            tolerated=("A7??", "C???"),
            failed=uids,
            sent=False,
            why=_CANNOT_WHY,
        ),
        echo(),
        needs=_STORED,
        writes=True,
    ),
    case(
        "retrieve-200b",
        "C-GET with a presentation context for another storage class",
        "PS3.4 C.4.3.1.4, C.4.3.3",
        stored(),
        propose(
            "C-GET",
            GET,
            Context(19, _ENHANCED_SR, needed=False),
            sub_items=lambda target: (role(_ENHANCED_SR, 1, 1),),
        ),
        gets(
            "a study that cannot be sent",
            b"STUDY",
            study,
            uids,
            final=_CANNOT,
            tolerated=("A7??", "C???"),
            failed=uids,
            sent=False,
            why=_CANNOT_WHY,
        ),
        echo(),
        needs=_STORED,
        writes=True,
    ),
    case(
        "retrieve-200c",
        "C-GET of what is not there",
        "PS3.4 C.4.3.1.4: 0000 with no sub-operations",
        for_get(),
        gets(
            "a study that is not there",
            b"STUDY",
            lambda target: {STUDY_UID: target.uid(200, 1)},
            _none,
            final=("0000",),
            tolerated=("A9??", "A7??", "C???"),
            why="nothing matches, so nothing fails",
        ),
        echo(),
        needs=(Service.GET,),
    ),
)

# -- 201: other ways to ask


async def _twice(conversation: Conversation) -> None:
    target = conversation.target
    for chosen in (uids(target)[:1], uids(target)[1:2]):
        seen = await retrieve(conversation, Retrieval(level=b"IMAGE", keys=images(target, chosen)))
        assert seen is not None
        judge_sent(conversation, seen, chosen)


async def _by_patient(conversation: Conversation) -> None:
    target = conversation.target
    keys = {PATIENT_ID: patient_id(target), **study(target)}
    retrieval = Retrieval(level=b"STUDY", keys=keys, sop_class=PATIENT_ROOT_GET, context_id=21)
    seen = await retrieve(conversation, retrieval)
    assert seen is not None
    judge_sent(conversation, seen, uids(target))


CASES: tuple[Case, ...] = (
    *_CANNOT_CASES,
    *_what(),
    case(
        "retrieve-147f",
        "C-GET brings back what was stored",
        "PS3.4 B.2.2, C.4.3.3",
        stored(),
        for_get(),
        Do("asks by C-GET for a study, and compares each data set with the one it stored", _as_stored),
        echo(),
        needs=_STORED,
        writes=True,
    ),
    case(
        "retrieve-201a",
        "Two C-GETs one after the other",
        "PS3.7 9.3.3",
        stored(),
        for_get(),
        Do("asks by C-GET for two instances in turn", _twice),
        echo(),
        needs=_STORED,
        writes=True,
    ),
    case(
        "retrieve-201b",
        "C-GET of a study in the Patient Root model",
        "PS3.4 C.6.1.3, C.4.3",
        stored(),
        propose(
            "C-GET in the Patient Root model",
            Context(21, PATIENT_ROOT_GET),
            storage(),
            sub_items=lambda target: (role(target.storage_class, 1, 1),),
        ),
        Do("asks by C-GET for a study of its patient", _by_patient),
        echo(),
        needs=_STORED,
        writes=True,
    ),
)
