"""Requests that are as they should be, or odd in what must not matter: cases 108, 111, 114, and beyond."""

from collections.abc import Callable, Iterator

from services.conformance.building import (
    IMPLICIT,
    NO_DATA,
    VERIFICATION,
    c_cancel_rq,
    c_echo_rq,
    c_find_rq,
    command,
    context,
    element,
    message,
    ui,
    us,
)
from services.conformance.case import Case, case
from services.conformance.cases.dimse_checks import AFFECTED_CLASS, AFFECTED_INSTANCE, repeats
from services.conformance.cases.dimse_steps import (
    ECHO,
    ECHO_RQ,
    ECHOED,
    FIND,
    FOUND,
    MAY_BE_KEPT,
    STORE,
    STORED,
    ask,
    echo_message,
    find_message,
    find_served,
    identifier,
    no_instance,
    served,
    store_elements,
    store_message,
    store_served,
)
from services.conformance.steps import Expect, Send, associate, echo
from services.conformance.target import Target

# -- 108: what a response repeats


def _repeats() -> Iterator[Case]:
    rule = "Message ID Being Responded To and, where present, the UIDs are those of the request"
    yield case(
        "dimse-108a",
        "C-ECHO-RSP repeats what its request says",
        "PS3.7 9.3.5.2",
        associate(),
        ask("a C-ECHO-RQ", echo_message(ECHO_RQ), ECHOED, why=rule, check=repeats(AFFECTED_CLASS)),
        echo(6),
        needs=ECHO,
    )
    yield case(
        "dimse-108b",
        "C-STORE-RSP repeats what its request says",
        "PS3.7 9.3.1.2",
        associate("echo", "store"),
        ask(
            "a C-STORE-RQ",
            store_message(),
            STORED,
            why=rule,
            check=repeats(AFFECTED_CLASS, AFFECTED_INSTANCE),
        ),
        echo(),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )
    yield case(
        "dimse-108c",
        "C-FIND-RSP repeats what its request says",
        "PS3.7 9.3.2.2",
        associate("echo", "find"),
        ask("a C-FIND-RQ", find_message(), FOUND, why=rule, check=repeats(AFFECTED_CLASS)),
        echo(),
        needs=FIND,
    )
    yield case(
        "dimse-108d",
        "Responses on two contexts for the same SOP class",
        "PS3.7 9.3.5.2",
        Send(
            "an A-ASSOCIATE-RQ for Verification on contexts 1 and 21",
            lambda target: target.proposing(
                context(1, VERIFICATION, IMPLICIT), context(21, VERIFICATION, IMPLICIT)
            ),
        ),
        Expect("accept", why="each context is negotiated on its own"),
        ask("a C-ECHO-RQ on context 21", message(21, ECHO_RQ), ECHOED, why="answered on context 21"),
        ask(
            "a C-ECHO-RQ on context 1",
            message(1, c_echo_rq(8)),
            "C-ECHO-RSP 8 0000",
            why="answered on context 1",
        ),
        needs=ECHO,
    )
    for number, message_id in enumerate((0, 1, 255, 256, 32767, 32768, 65535)):
        yield case(
            f"dimse-200{'abcdefg'[number]}",
            f"C-ECHO-RQ with Message ID {message_id}",
            "PS3.7 9.3.5, E.1: Message ID is a US",
            associate(),
            ask(
                "the C-ECHO-RQ",
                echo_message(c_echo_rq(message_id)),
                f"C-ECHO-RSP {message_id} 0000",
                why="every number of 16 bits is a Message ID",
            ),
            echo(6),
            needs=ECHO,
        )
    yield case(
        "dimse-201",
        "The same Message ID again, after its operation has ended",
        "PS3.7 9.1.5.1.1",
        associate(),
        ask("a C-ECHO-RQ", echo_message(ECHO_RQ), ECHOED),
        ask("a C-ECHO-RQ with the same Message ID", echo_message(ECHO_RQ), ECHOED, why="it is free again"),
        needs=ECHO,
    )
    yield case(
        "dimse-202",
        "Message IDs that descend",
        "PS3.7 9.1.5.1.1: Message IDs identify, they do not count",
        associate(),
        ask("a C-ECHO-RQ with Message ID 9", echo_message(c_echo_rq(9)), "C-ECHO-RSP 9 0000"),
        ask("a C-ECHO-RQ with Message ID 8", echo_message(c_echo_rq(8)), "C-ECHO-RSP 8 0000"),
        ask("a C-ECHO-RQ with Message ID 7", echo_message(c_echo_rq(7)), "C-ECHO-RSP 7 0000"),
        needs=ECHO,
    )


# -- 114: Priority


def _priority() -> Iterator[Case]:
    for letter, (title, value) in {
        "a": ("C-STORE-RQ without a Priority", None),
        "b": ("C-STORE-RQ with Priority 7", 7),
        "c": ("C-STORE-RQ with Priority FFFFH", 0xFFFF),
        "d": ("C-STORE-RQ with Priority HIGH (0001H)", 1),
        "e": ("C-STORE-RQ with Priority LOW (0002H)", 2),
    }.items():
        yield case(
            f"dimse-114{letter}",
            title,
            "PS3.7 9.3.1.1, E.1",
            store_served(
                "it, and its data set",
                _store_with_priority(value),
                "a Priority missing or unknown is medium",
                *(("abort 0/0",) if letter == "a" else ()),
            ),
            needs=STORE,
            writes=True,
            note=f"{MAY_BE_KEPT} An abort for the missing element is tolerated: it is mandatory."
            if letter == "a"
            else MAY_BE_KEPT,
        )
    yield case(
        "dimse-114f",
        "C-FIND-RQ with Priority 7",
        "PS3.7 9.3.2.1, E.1",
        find_served("it, and its identifier", _find_with_priority_7, "an unknown Priority is medium"),
        needs=FIND,
    )


def _store_with_priority(value: int | None) -> Callable[[Target], bytes]:
    return lambda target: message(3, store_elements(target, priority=value), no_instance(target))


def _find_with_priority_7(target: Target) -> bytes:
    return message(5, c_find_rq(9).replace(us(0x0700, 0), us(0x0700, 7)), identifier(target))


# -- 111: C-CANCEL that finds nothing


def _cancel() -> Iterator[Case]:
    rule = "a C-CANCEL-RQ that finds no operation is ignored, and has no response (PS3.7 9.3.2.3)"
    clause = "PS3.7 9.3.2.3"
    yield case(
        "dimse-111a",
        "C-CANCEL-RQ for a Message ID nobody used, on a context for C-FIND",
        clause,
        associate("echo", "find"),
        ask(
            "the C-CANCEL-RQ, then a C-ECHO-RQ",
            message(5, c_cancel_rq(99)) + echo_message(ECHO_RQ),
            ECHOED,
            why=rule,
        ),
        needs=FIND,
    )
    yield case(
        "dimse-111b",
        "C-CANCEL-RQ for a Message ID nobody used, on a context for C-ECHO",
        clause,
        associate(),
        ask(
            "the C-CANCEL-RQ, then a C-ECHO-RQ",
            message(1, c_cancel_rq(99)) + echo_message(ECHO_RQ),
            ECHOED,
            "abort 0/0",
            why=rule,
        ),
        needs=ECHO,
        note="Verification has no C-CANCEL: an abort is tolerated.",
    )
    yield case(
        "dimse-111c",
        "C-CANCEL-RQ for a C-FIND that has ended",
        clause,
        associate("echo", "find"),
        ask("a C-FIND-RQ", find_message(), FOUND),
        ask(
            "a C-CANCEL-RQ for it, then a C-ECHO-RQ",
            message(5, c_cancel_rq(9)) + echo_message(ECHO_RQ),
            ECHOED,
            why=rule,
        ),
        needs=FIND,
        note="a C-CANCEL-RQ may always come too late: the requestor cannot know.",
    )
    yield case(
        "dimse-111d",
        "Twenty C-CANCEL-RQs for Message IDs nobody used",
        clause,
        associate("echo", "find"),
        ask(
            "the C-CANCEL-RQs, then a C-ECHO-RQ",
            b"".join(message(5, c_cancel_rq(each)) for each in range(100, 120)) + echo_message(ECHO_RQ),
            ECHOED,
            why=rule,
        ),
        needs=FIND,
    )
    yield case(
        "dimse-111e",
        "C-CANCEL-RQ for a C-ECHO that has ended",
        clause,
        associate(),
        ask("a C-ECHO-RQ", echo_message(c_echo_rq(5)), "C-ECHO-RSP 5 0000"),
        ask(
            "a C-CANCEL-RQ for it, then a C-ECHO-RQ",
            message(1, c_cancel_rq(5)) + echo_message(ECHO_RQ),
            ECHOED,
            "abort 0/0",
            why=rule,
        ),
        needs=ECHO,
        note="Verification has no C-CANCEL: an abort is tolerated.",
    )


# -- elements that are odd


def _odd_elements() -> Iterator[Case]:
    yield case(
        "dimse-203",
        "C-ECHO-RQ with an Affected SOP Instance UID",
        "PS3.7 9.3.5.1",
        served(
            "it",
            echo_message(
                command(
                    ui(0x0002, VERIFICATION),
                    us(0x0100, 0x0030),
                    us(0x0110, 7),
                    us(0x0800, NO_DATA),
                    ui(0x1000, b"2.25.7"),
                )
            ),
            "what a message does not have is ignored",
        ),
        needs=ECHO,
    )
    yield case(
        "dimse-204",
        "C-STORE-RQ with Move Originator elements",
        "PS3.7 9.3.1.1",
        store_served("it, and its data set", _moved_store, "they are optional and for information"),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )
    yield case(
        "dimse-205",
        "C-STORE-RQ with an Error Comment of 500 characters",
        "PS3.7 9.3.1.1",
        store_served("it, and its data set", _commented_store, "what a message does not have is ignored"),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )


def _moved_store(target: Target) -> bytes:
    originator = (element(0x1030, b"ORIGINATOR"), us(0x1031, 77))
    return message(3, store_elements(target, further=originator), no_instance(target))


def _commented_store(target: Target) -> bytes:
    elements = store_elements(target)[12:]
    comment = element(0x0902, b"x" * 500)
    where = elements.index(us(0x0800, 0)) + 10
    return message(3, command(elements[:where], comment, elements[where:]), no_instance(target))


CASES: tuple[Case, ...] = (*_repeats(), *_priority(), *_cancel(), *_odd_elements())
