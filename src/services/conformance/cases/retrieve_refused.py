"""Retrievals that a peer must refuse: nothing has to be stored, and no destination known (PS3.4 C.4.2.1, C.4.3.1)."""

from collections.abc import Callable, Iterator

from services.conformance.building import abort
from services.conformance.case import Case, case
from services.conformance.conversation import Conversation, matches
from services.conformance.data_sets import (
    PATIENT_ID,
    SERIES_UID,
    SOP_INSTANCE_UID,
    STUDY_UID,
    Elements,
    patient_id,
)
from services.conformance.retrieving import RETRIEVE_ID, Retrieval, for_get, for_move, move_of, sent
from services.conformance.steps import Do, Step, echo
from services.conformance.storing import statuses
from services.conformance.target import Service, Target

UNKNOWN_DESTINATION = b"NOBODY_AT_ALL"

_KEY_WHY = "a unique key holds UIDs: it is not empty, and has no wildcards (PS3.4 C.4.2.1.4.1, C.4.3.1.3.1)"
_LEVEL_WHY = "the level must be one of the information model's (PS3.4 C.4.2.1.4.1, C.6.2)"

MakeRetrieval = Callable[[Target], Retrieval]


def refuses(
    title: str,
    make: MakeRetrieval,
    *,
    strict: tuple[str, ...] = ("A9??",),
    tolerated: tuple[str, ...] = ("C???",),
    or_abort: bool = False,
    why: str,
) -> Step:
    """Ask for a retrieval that must be refused; should it begin, it is aborted at once."""

    async def run(conversation: Conversation) -> None:
        target = conversation.target
        retrieval = make(target)
        await conversation.connection.send(retrieval.encoded(target), timeout=target.timeout)
        event = await conversation.connection.receive(target.timeout)
        if matches(event.text, f"C-STORE-RQ *|{retrieval.label} {RETRIEVE_ID} FF0?"):
            await conversation.connection.send(abort(0, 0))
        also = [statuses(RETRIEVE_ID, tolerated, retrieval.label)] if tolerated else []
        conversation.judge(
            event,
            statuses(RETRIEVE_ID, strict, retrieval.label),
            *also,
            *(["abort 0/*"] if or_abort else []),
            why=why,
        )

    return Do(f"asks for a retrieval with {title}{sent(make)}, and expects a refusal", run)


# -- 149 and up: identifiers

_Keys = Callable[[Target], Elements]

_BAD: tuple[tuple[str, bytes | None, _Keys, bool], ...] = (
    ("an empty Study Instance UID", b"STUDY", lambda t: {STUDY_UID: b""}, False),
    ("a wildcard for a Study Instance UID", b"STUDY", lambda t: {STUDY_UID: t.uid(149) + b".*"}, True),
    ("no Study Instance UID", b"STUDY", lambda t: {PATIENT_ID: patient_id(t, "-149")}, True),
    ("an empty Series Instance UID", b"SERIES", lambda t: {STUDY_UID: t.uid(149, 1), SERIES_UID: b""}, True),
    (
        "a wildcard for a SOP Instance UID",
        b"IMAGE",
        lambda t: {STUDY_UID: t.uid(149, 1), SERIES_UID: t.uid(149, 1, 1), SOP_INSTANCE_UID: b"*"},
        True,
    ),
    ("a series without Study Instance UID", b"SERIES", lambda t: {SERIES_UID: t.uid(149, 1, 1)}, True),
    ("no Query/Retrieve Level", None, lambda t: {STUDY_UID: t.uid(149, 1)}, False),
    ("a level that is none, 'FRAMES'", b"FRAMES", lambda t: {STUDY_UID: t.uid(149, 1)}, False),
    (
        "the PATIENT level in the Study Root model",
        b"PATIENT",
        lambda t: {PATIENT_ID: patient_id(t, "-149")},
        False,
    ),
)


def _bad() -> Iterator[Case]:
    for letter, (what, level, keys, lenient) in zip("abcdefghi", _BAD, strict=True):
        why = _LEVEL_WHY if "evel" in what else _KEY_WHY
        note = (
            "Success means that nothing was found to be sent, which is true, as nothing is stored: tolerated."
            if lenient
            else ""
        )
        tolerated = ("C???", "A7??", "0000") if lenient else ("C???", "A7??")
        yield case(
            f"retrieve-149{letter}",
            f"A C-GET with {what}",
            "PS3.4 C.4.3.1.3.1, C.4.3.1.4: A900",
            for_get(),
            refuses(what, _get(level, keys), tolerated=tolerated, why=why),
            echo(),
            needs=(Service.GET,),
            note=note,
        )
        yield case(
            f"retrieve-149{chr(ord(letter) + 9)}",
            f"A C-MOVE with {what}",
            "PS3.4 C.4.2.1.4.1, C.4.2.1.5: A900",
            for_move(),
            refuses(what, _move(level, keys), tolerated=(*tolerated, "A801"), why=why),
            echo(),
            needs=(Service.MOVE,),
            note="The destination is one that nobody knows, so that nothing can be moved by mistake: A801 is as true."
            + (" " + note if note else ""),
        )


def _get(level: bytes | None, keys: _Keys) -> MakeRetrieval:
    return lambda target: Retrieval(level=level, keys=keys(target))


def _move(level: bytes | None, keys: _Keys) -> MakeRetrieval:
    return lambda target: move_of(level, keys(target), UNKNOWN_DESTINATION)


# -- 140: destinations

_DESTINATIONS = (
    ("140a", "that nobody knows", UNKNOWN_DESTINATION, ()),
    ("140c", "that is empty", b"", ("01??", "02??", "A9??")),
    ("140d", "of 16 spaces", b" " * 16, ("01??", "02??", "A9??")),
    (
        "140e",
        "that looks like an address, 'PACS@10.0.0.1:104'",
        b"PACS@10.0.0.1:104",
        ("01??", "02??", "A9??"),
    ),
    ("140f", "that looks like a path, '../../etc'", b"../../etc", ("01??", "02??", "A9??")),
    ("140g", "of 64 characters", b"A" * 64, ("01??", "02??", "A9??")),
    ("140h", "with SQL", b"' OR '1'='1", ("01??", "02??", "A9??")),
)


def _destinations() -> Iterator[Case]:
    for name, what, destination, tolerated in _DESTINATIONS:
        yield case(
            f"retrieve-{name}",
            f"A C-MOVE to a destination {what}",
            "PS3.4 C.4.2.1.5: A801",
            for_move(),
            refuses(
                f"a destination {what}",
                _to(destination),
                strict=("A801",),
                tolerated=("C???", "A7??", "0000", *tolerated),
                or_abort=name != "140a",
                why="the destination is not known",
            ),
            echo(),
            needs=(Service.MOVE,),
            note="Nothing is stored for it, so a peer that looks for instances first may say that none is to be sent.",
        )


def _to(destination: bytes) -> MakeRetrieval:
    return lambda target: move_of(b"STUDY", {STUDY_UID: target.uid(140, 1)}, destination)


CASES: tuple[Case, ...] = (*_destinations(), *sorted(_bad(), key=lambda each: each.id))
