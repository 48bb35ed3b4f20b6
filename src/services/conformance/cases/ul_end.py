"""How associations end: cases 26 to 34, and what goes beyond them (PS3.8 9.1.4, 9.2; Sta6, Sta8 and Sta13)."""

from collections.abc import Iterable

from services.conformance.building import (
    RELEASE_RP,
    RELEASE_RQ,
    abort,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    element,
    message,
    p_data,
    pdu,
    pdv,
)
from services.conformance.case import Case, case
from services.conformance.cases.ul_opening import A_ASSOCIATE_AC, rq
from services.conformance.cases.ul_steps import (
    ECHO,
    ECHO_RQ,
    OVER,
    SILENT,
    afterwards,
    ends,
    flat,
    nothing_more,
    quietly,
    send_all,
    until_artim,
)
from services.conformance.conversation import Conversation
from services.conformance.steps import (
    FIND_CONTEXT,
    STORE_CONTEXT,
    Bytes,
    Do,
    Expect,
    Send,
    Step,
    aborted,
    associate,
    echo,
    finish_sending,
    release,
    reset,
)
from services.conformance.target import Service, Target

_AA_8 = "AA-8 answers it with an A-ABORT of the service provider"
_HALF_A_COMMAND = p_data(pdv(1, 1, c_echo_rq(7)[:20]))
"""The first fragment of a C-ECHO-RQ, not marked as the last."""

# -- the transport connection goes away


def _half_a_store(target: Target) -> bytes:
    request = c_store_rq(7, target.storage_class, target.uid(27, 1))
    data = element(0x0010, b"x" * 4000, group=0x7FE0)
    return message(STORE_CONTEXT, request, data[:2000], data[2000:])[:-500]


def _gone(id: str, title: str, *before: Step | Iterable[Step], clause: str = "Evt17 in Sta6, AA-4") -> Case:
    return case(
        id,
        title,
        f"PS3.8 9.2: {clause}",
        associate(),
        *before,
        finish_sending(),
        Expect(OVER, "abort *", why="there is nobody left to send anything to (AA-4)"),
    )


_GONE = (
    _gone("ul-26a", "The connection is closed without release"),
    _gone("ul-26b", "The connection is closed within the header of a PDU", Send("3 bytes", ECHO_RQ[:3])),
    _gone(
        "ul-26c",
        "The connection is closed within a P-DATA-TF",
        Send("a C-ECHO-RQ without its last 10 bytes", ECHO_RQ[:-10]),
    ),
    _gone(
        "ul-26d",
        "The connection is closed within a message",
        Send("the first fragment of a C-ECHO-RQ", _HALF_A_COMMAND),
    ),
    case(
        "ul-27a",
        "The connection breaks within the data set of a C-STORE",
        "PS3.8 9.2: Evt17 in Sta6, AA-4",
        associate("echo", "store"),
        Send("a C-STORE-RQ and part of its data set", _half_a_store),
        reset(),
        afterwards(associate(), echo()),
        needs=(*ECHO, Service.STORAGE),
        writes=True,
        note="What came of the data set is no instance: it must not be kept, which the tester cannot see.",
    ),
    case(
        "ul-27b",
        "The connection breaks within a P-DATA-TF",
        "PS3.8 9.2: Evt17 in Sta6, AA-4",
        associate(),
        Send("a C-ECHO-RQ without its last 10 bytes", ECHO_RQ[:-10]),
        reset(),
        afterwards(associate(), echo()),
        needs=ECHO,
    ),
    case(
        "ul-27c",
        "The connection breaks while the peer answers",
        "PS3.8 9.2: Evt17 in Sta6, AA-4",
        associate(),
        Send("a C-ECHO-RQ", ECHO_RQ),
        reset(),
        afterwards(associate(), echo()),
        needs=ECHO,
    ),
    case(
        "ul-28",
        "The connection is half closed right after a C-ECHO-RQ",
        "PS3.8 9.1.4, 9.2: Evt17 in Sta6, AA-4",
        associate(),
        Send("a C-ECHO-RQ", ECHO_RQ),
        finish_sending(),
        Expect("closed|reset|C-ECHO-RSP 7 0000", why="closed, with or without the answer before"),
        Expect(OVER, why="AA-4: there is nobody left"),
        needs=ECHO,
    ),
)

# -- Sta13: the peer has aborted, rejected or released


def _provoked() -> tuple[Step, ...]:
    """An association that the peer has just aborted."""
    return flat(
        associate(), Send("an A-RELEASE-RP, unasked", RELEASE_RP), aborted("2/2", "Evt13 in Sta6, AA-8")
    )


def _rejected() -> tuple[Step, ...]:
    return (
        Send("an A-ASSOCIATE-RQ of protocol version 0", lambda target: target.a_associate_rq(version=0)),
        Expect("reject 1/2/2", "reject *", why="no common protocol version (PS3.8 9.3.4)"),
    )


def _in_sta13(id: str, title: str, event: str, data: Bytes) -> Case:
    return case(
        id,
        f"{title} after the peer's A-ABORT",
        f"PS3.8 9.2: {event} in Sta13, AA-6",
        _provoked(),
        Send("it", data),
        nothing_more("AA-6 ignores it"),
    )


def _again(id: str, title: str, before: tuple[Step, ...]) -> Case:
    return case(
        id,
        title,
        "PS3.8 9.1.1; 9.2: Evt6 in Sta13, AA-7",
        before,
        Send("an A-ASSOCIATE-RQ", rq),
        Expect(
            "abort 2/2|closed|reset",
            "abort *",
            "silence",
            within=quietly,
            why="AA-7 aborts again, where the connection is still open; never a second association on it",
        ),
    )


def _open(id: str, title: str, before: tuple[Step, ...]) -> Case:
    return case(
        id,
        title,
        "PS3.8 9.2: Evt18 in Sta13, AA-2",
        before,
        ends("ARTIM expires in Sta13, and AA-2 closes", until_artim),
        waits=True,
    )


_AFTER_THE_END = (
    _in_sta13("ul-29a", "A C-ECHO-RQ", "Evt10", ECHO_RQ),
    _in_sta13("ul-29b", "An A-RELEASE-RQ", "Evt12", RELEASE_RQ),
    _in_sta13("ul-29c", "An A-ASSOCIATE-AC", "Evt3", A_ASSOCIATE_AC),
    _in_sta13("ul-29d", "A hundred C-ECHO-RQs", "Evt10", ECHO_RQ * 100),
    _again("ul-30a", "A-ASSOCIATE-RQ after the peer's A-ASSOCIATE-RJ", _rejected()),
    _again("ul-30b", "A-ASSOCIATE-RQ after the peer's A-ABORT of an association", _provoked()),
    _again(
        "ul-30c",
        "A-ASSOCIATE-RQ after the peer's A-ABORT of the first PDU",
        (Send("an A-RELEASE-RQ", RELEASE_RQ), aborted("0/0", "Evt12 in Sta2, AA-1")),
    ),
    _open("ul-31a", "The connection left open after the peer's A-ASSOCIATE-RJ", _rejected()),
    _open("ul-31b", "The connection left open after the peer's A-ABORT of an association", _provoked()),
    _open(
        "ul-31c",
        "The connection left open after the peer's A-ABORT of the first PDU",
        (Send("an A-RELEASE-RQ", RELEASE_RQ), aborted("0/0", "Evt12 in Sta2, AA-1")),
    ),
)

# -- Sta8: release under way


def _until_released(conversation_title: str, *allowed: str) -> Do:
    """Take the answers that may still come, then the A-RELEASE-RP."""

    async def run(conversation: Conversation) -> None:
        pattern = "|".join((*allowed, "release response"))
        while True:
            event = await conversation.expect(
                pattern,
                "abort 0/*",
                why="answers may still come (AR-7), then the A-RELEASE-RP (AR-4); PS3.7 A.5 is broken by the "
                "requestor, for which its A-ABORT is tolerated",
            )
            if event.text == "release response":
                return

    return Do(f"expects {conversation_title}, then release response (tolerated: abort 0/*)", run)


_RELEASING = (
    case(
        "ul-32a",
        "A-RELEASE-RQ under a C-ECHO",
        "PS3.8 9.2: Evt12 in Sta6, AR-2; Evt9 in Sta8, AR-7; PS3.7 A.5",
        associate(),
        echo(6),
        send_all("a C-ECHO-RQ and an A-RELEASE-RQ", ECHO_RQ, RELEASE_RQ),
        _until_released("the C-ECHO-RSP or nothing", "C-ECHO-RSP 7 0000"),
        nothing_more("no P-DATA-TF after the A-RELEASE-RP (PS3.8 7.2)"),
        needs=ECHO,
    ),
    case(
        "ul-32b",
        "A-RELEASE-RQ under a C-FIND",
        "PS3.8 9.2: Evt12 in Sta6, AR-2; Evt9 in Sta8, AR-7; PS3.7 A.5",
        associate("echo", "find"),
        echo(),
        send_all(
            "a C-FIND-RQ and an A-RELEASE-RQ",
            message(FIND_CONTEXT, c_find_rq(8), element(0x0052, b"STUDY ", group=8)),
            RELEASE_RQ,
        ),
        _until_released("C-FIND-RSPs or nothing", "C-FIND-RSP 8 *"),
        nothing_more("no P-DATA-TF after the A-RELEASE-RP (PS3.8 7.2)"),
        needs=(*ECHO, Service.FIND),
    ),
    case(
        "ul-32c",
        "A-RELEASE-RQ within a message",
        "PS3.8 9.2: Evt12 in Sta6, AR-2; PS3.7 A.5",
        associate(),
        echo(6),
        send_all("the first fragment of a C-ECHO-RQ and an A-RELEASE-RQ", _HALF_A_COMMAND, RELEASE_RQ),
        Expect(
            "release response",
            "abort 0/*",
            "abort 2/*",
            why="AR-2, AR-4; to abort for the message that never ends is tolerated",
        ),
        nothing_more("no P-DATA-TF after the A-RELEASE-RP (PS3.8 7.2)"),
        needs=ECHO,
    ),
    *(
        case(
            f"ul-33{letter}",
            f"A-RELEASE-RQ and {what} in one segment",
            f"PS3.8 9.2: {event} in Sta8, AA-8, or in Sta13, {action}",
            associate(),
            echo(6),
            send_all(f"an A-RELEASE-RQ and {what}", RELEASE_RQ, data),
            Expect("release response|abort 2/2", "abort 2/*", why=f"{_AA_8} in Sta8; after AR-4 it is Sta13"),
            Expect(SILENT if action == "AA-6" else f"{SILENT}|abort 2/2", within=quietly, why="Sta13"),
            needs=ECHO,
            note="A peer that answers the A-RELEASE-RQ at once is in Sta13 by then: both pass.",
        )
        for letter, what, event, action, data in (
            ("a", "a C-ECHO-RQ", "Evt10", "AA-6", ECHO_RQ),
            ("b", "another A-RELEASE-RQ", "Evt12", "AA-6", RELEASE_RQ),
            ("c", "an A-ASSOCIATE-AC", "Evt3", "AA-6", A_ASSOCIATE_AC),
        )
    ),
    case(
        "ul-33d",
        "A-RELEASE-RQ and A-ABORT in one segment",
        "PS3.8 9.2: Evt16 in Sta8, AA-3, or in Sta13, AA-2",
        associate(),
        send_all("an A-RELEASE-RQ and an A-ABORT", RELEASE_RQ, abort(0, 0)),
        Expect("release response|closed|reset", why="closed, with or without an answer before"),
        Expect(OVER, why="AA-2 or AA-3 closes"),
    ),
    case(
        "ul-33e",
        "A-RELEASE-RQ, and the connection closed before the answer",
        "PS3.8 9.2: Evt17 in Sta8, AA-4, or in Sta13, AR-5",
        associate(),
        Send("an A-RELEASE-RQ", RELEASE_RQ),
        finish_sending(),
        Expect("release response|closed|reset", why="closed, with or without an answer before"),
        Expect(OVER, why="there is nobody left"),
    ),
    case(
        "ul-33f",
        "A-RELEASE-RQ, and the connection broken before the answer",
        "PS3.8 9.2: Evt17 in Sta8, AA-4, or in Sta13, AR-5",
        associate(),
        Send("an A-RELEASE-RQ", RELEASE_RQ),
        reset(),
        afterwards(associate(), echo()),
        needs=ECHO,
    ),
)


async def _stay_idle(conversation: Conversation) -> None:
    event = await conversation.expect(
        "silence|abort 0/*",
        "closed",
        "abort 2/*",
        within=until_artim(conversation.target),
        why="to end an idle association a peer aborts it (PS3.7 A.6); only the requestor releases (PS3.7 A.5)",
    )
    if event.text == "silence":
        for step in echo():
            await step.run(conversation)


_BEYOND = (
    case(
        "ul-34",
        "An association on which nothing happens",
        "PS3.7 A.5, A.6; PS3.8 9.1.5: ARTIM does not run in Sta6",
        associate(),
        echo(6),
        Do(
            "does nothing for longer than ARTIM; expects a C-ECHO to be served then, or abort 0/*", _stay_idle
        ),
        needs=ECHO,
        waits=True,
        note="How long a peer lets an association idle is its own affair; it ends it by an A-ABORT, not by an "
        "A-RELEASE-RQ, which only the requestor of the association may send.",
    ),
    case(
        "ul-212a",
        "A megabyte after the peer's A-ABORT",
        "PS3.8 9.2: Evt10 in Sta13, AA-6",
        _provoked(),
        Send("64 P-DATA-TFs of 16 KiB", p_data(pdv(1, 0, bytes(16378))) * 64),
        nothing_more("AA-6 ignores it"),
        afterwards(associate(), echo()),
        needs=ECHO,
    ),
    case(
        "ul-212b",
        "A PDU of type 08H after the peer's A-ABORT",
        "PS3.8 9.2: Evt19 in Sta13, AA-7",
        _provoked(),
        Send("it", pdu(8, bytes(4))),
        Expect(f"abort 2/1|{SILENT}", "abort *", within=quietly, why="AA-7, or the connection is closed"),
        note="Whether the second A-ABORT still comes through depends on who closed first: nothing is as good.",
    ),
    case(
        "ul-212c",
        "An A-ABORT after the peer's A-ABORT",
        "PS3.8 9.2: Evt16 in Sta13, AA-2",
        _provoked(),
        Send("it", abort(0, 0)),
        ends("AA-2 closes at once"),
    ),
    case(
        "ul-212d",
        "An A-ABORT after the peer's A-ASSOCIATE-RJ",
        "PS3.8 9.2: Evt16 in Sta13, AA-2",
        _rejected(),
        Send("it", abort(0, 0)),
        ends("AA-2 closes at once"),
    ),
    case(
        "ul-212e",
        "A C-ECHO-RQ after the peer's A-RELEASE-RP",
        "PS3.8 9.2: Evt10 in Sta13, AA-6",
        associate(),
        echo(6),
        release(),
        Send("a C-ECHO-RQ", ECHO_RQ),
        nothing_more("AA-6 ignores it"),
        needs=ECHO,
    ),
)

CASES: tuple[Case, ...] = (*_GONE, *_AFTER_THE_END, *_RELEASING, *_BEYOND)
