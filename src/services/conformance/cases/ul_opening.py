"""Before there is an association: cases 1 to 16, and what goes beyond them (PS3.8 9.2, 9.3; Sta2 and Sta3)."""

from services.conformance.building import (
    APPLICATION_CONTEXT,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    RELEASE_RQ,
    VERIFICATION,
    a_associate_rq,
    abort,
    c_echo_rq,
    context,
    item,
    maximum_length,
    p_data,
    pdu,
    pdv,
    user_information,
)
from services.conformance.case import Case, case
from services.conformance.cases.ul_steps import (
    ECHO,
    ECHO_RQ,
    OVER,
    IfAccepted,
    accepted_then_echo,
    afterwards,
    ends,
    nothing_more,
    send_all,
    trickle,
    until_artim,
)
from services.conformance.checks import titles_and_reserved_bytes_come_back
from services.conformance.steps import (
    Bytes,
    Expect,
    Send,
    aborted,
    associate,
    echo,
    finish_sending,
    pause,
    proposal,
    reset,
)
from services.conformance.target import Target

AA_1 = "AA-1 answers all but a request and an A-ABORT with an A-ABORT of the service user"

A_ASSOCIATE_AC = pdu(
    2,
    a_associate_rq(
        item(0x10, APPLICATION_CONTEXT),
        item(0x21, b"\1\0\0\0" + item(0x40, IMPLICIT)),
        user_information(),
    )[6:],
)
A_ASSOCIATE_RJ = pdu(3, bytes([0, 1, 1, 1]))


WHOLE_REQUEST = (
    "ARTIM runs from the connection to a whole A-ASSOCIATE-RQ. A time-out for the first byte, or for each read, is no "
    "substitute: it lets a slow peer hold its place for ever."
)


def rq(target: Target) -> bytes:
    """An A-ASSOCIATE-RQ that should be accepted."""
    return proposal(target)


def _part_of_rq(start: int | None, end: int | None) -> Bytes:
    return lambda target: rq(target)[start:end]


def _unfinished(id: str, title: str, what: Bytes) -> Case:
    return case(
        id,
        title,
        "PS3.8 9.1.4, 9.2: Evt18 in Sta2, AA-2",
        Send(title[0].lower() + title[1:], what),
        ends("ARTIM expires in Sta2, and AA-2 closes without sending anything", until_artim),
        waits=True,
        note=WHOLE_REQUEST,
    )


_TRANSPORT = (
    case(
        "ul-1",
        "Nothing is sent",
        "PS3.8 9.1.4, 9.2: Evt18 in Sta2, AA-2",
        ends("ARTIM expires in Sta2, and AA-2 closes without sending anything", until_artim),
        waits=True,
    ),
    _unfinished("ul-2a", "The first 5 bytes of an A-ASSOCIATE-RQ", _part_of_rq(0, 5)),
    _unfinished("ul-2b", "The first byte of an A-ASSOCIATE-RQ", _part_of_rq(0, 1)),
    _unfinished("ul-2c", "The 6 bytes of the header of an A-ASSOCIATE-RQ", _part_of_rq(0, 6)),
    _unfinished("ul-2d", "All of an A-ASSOCIATE-RQ but its last byte", _part_of_rq(0, -1)),
    case(
        "ul-3",
        "An A-ASSOCIATE-RQ that takes longer than ARTIM",
        "PS3.8 9.1.5, 9.2: ARTIM is stopped by Evt6 alone",
        trickle("an A-ASSOCIATE-RQ", rq, until_artim),
        waits=True,
        note=WHOLE_REQUEST,
    ),
    *(
        case(
            id,
            f"An A-ASSOCIATE-RQ in segments of {piece} byte{'s' * (piece > 1)}",
            "PS3.8 9.1.3: TCP is a stream",
            Send("an A-ASSOCIATE-RQ", rq, piece=piece),
            accepted_then_echo("where TCP cuts means nothing"),
            needs=ECHO,
        )
        for id, piece in (("ul-4a", 1), ("ul-4b", 6), ("ul-4c", 74))
    ),
    case(
        "ul-4d",
        "An A-ASSOCIATE-RQ, then a C-ECHO-RQ and an A-RELEASE-RQ, in segments of 1 byte",
        "PS3.8 9.1.3: TCP is a stream",
        Send("an A-ASSOCIATE-RQ", rq, piece=1),
        Expect("accept", why="where TCP cuts means nothing"),
        Send("a C-ECHO-RQ", ECHO_RQ, piece=1),
        Expect("C-ECHO-RSP 7 0000", why="where TCP cuts means nothing"),
        Send("an A-RELEASE-RQ", RELEASE_RQ, piece=1),
        Expect("release response"),
        needs=ECHO,
    ),
    case(
        "ul-4e",
        "An A-ASSOCIATE-RQ in two halves, half a second apart",
        "PS3.8 9.1.3: TCP is a stream",
        Send("the first 40 bytes of an A-ASSOCIATE-RQ", _part_of_rq(0, 40)),
        pause(0.5),
        Send("the rest of it", _part_of_rq(40, None)),
        accepted_then_echo("ARTIM leaves time for it"),
        needs=ECHO,
    ),
)

_IN_STA3 = (
    "A P-DATA-TF that comes before the peer has decided is answered by AA-8 with 2/2; one that decides at once is in "
    "Sta6 by then and serves it. Nobody outside can tell which: both pass."
)
_EARLY = "abort 2/2|accept"

_AT_ONCE = (
    case(
        "ul-5a",
        "A-ASSOCIATE-RQ, C-ECHO-RQ and A-RELEASE-RQ in one segment",
        "PS3.8 9.2: Evt10 in Sta3, AA-8, or in Sta6, DT-2",
        send_all("an A-ASSOCIATE-RQ, a C-ECHO-RQ and an A-RELEASE-RQ", rq, ECHO_RQ, RELEASE_RQ),
        Expect(_EARLY, "abort 2/*", why="refused in Sta3, or served in Sta6"),
        IfAccepted(
            Expect("C-ECHO-RSP 7 0000", why="it came in Sta6"), Expect("release response", why="AR-2, AR-4")
        ),
        needs=ECHO,
        note=_IN_STA3,
    ),
    case(
        "ul-5b",
        "A-ASSOCIATE-RQ and C-ECHO-RQ in one segment",
        "PS3.8 9.2: Evt10 in Sta3, AA-8, or in Sta6, DT-2",
        send_all("an A-ASSOCIATE-RQ and a C-ECHO-RQ", rq, ECHO_RQ),
        Expect(_EARLY, "abort 2/*", why="refused in Sta3, or served in Sta6"),
        IfAccepted(Expect("C-ECHO-RSP 7 0000", why="it came in Sta6"), echo(8)),
        needs=ECHO,
        note=_IN_STA3,
    ),
    case(
        "ul-5c",
        "A-ASSOCIATE-RQ and A-ABORT in one segment",
        "PS3.8 9.2: Evt16 in Sta3 or Sta6, AA-3",
        send_all("an A-ASSOCIATE-RQ and an A-ABORT", rq, abort(0, 0)),
        Expect("closed|reset|accept", why="closed, with or without an answer before"),
        Expect(OVER, why="AA-3 closes and sends nothing"),
    ),
    case(
        "ul-5d",
        "A-ASSOCIATE-RQ twice in one segment",
        "PS3.8 9.2: Evt6 in Sta3 or Sta6, AA-8",
        send_all("an A-ASSOCIATE-RQ and another", rq, rq),
        Expect(_EARLY, "abort 2/*", why="the second one is unexpected, in Sta3 as in Sta6"),
        IfAccepted(aborted("2/2", "the second one is unexpected")),
    ),
    case(
        "ul-5e",
        "A-ASSOCIATE-RQ and a byte that is no PDU type in one segment",
        "PS3.8 9.2: Evt19 in Sta3 or Sta6, AA-8",
        send_all("an A-ASSOCIATE-RQ and a PDU of type FFH", rq, pdu(0xFF, bytes(4))),
        Expect("abort 2/1|accept", "abort 2/*", why="no such PDU, in Sta3 as in Sta6"),
        IfAccepted(aborted("2/1", "no such PDU")),
        note="In Sta3 as in Sta6 it is the service provider that aborts: source 0 would say that the user did.",
    ),
)

_FILLED = (
    item(0x10, APPLICATION_CONTEXT, reserved=0xFF),
    context(1, VERIFICATION, IMPLICIT, reserved=0xFF),
    item(
        0x50,
        item(0x51, maximum_length(16384)[4:], reserved=0xFF)
        + item(0x52, IMPLEMENTATION_CLASS[4:], reserved=0xFF),
        reserved=0xFF,
    ),
)

_RESERVED = (
    case(
        "ul-16a",
        "FFH in every reserved byte of the A-ASSOCIATE-RQ",
        "PS3.8 9.3.2, 9.3.3: not tested when received",
        Send(
            "an A-ASSOCIATE-RQ with FFH in every reserved byte",
            lambda target: target.a_associate_rq(*_FILLED, reserved=0xFF),
        ),
        accepted_then_echo("reserved fields are not tested", check=titles_and_reserved_bytes_come_back),
        needs=ECHO,
    ),
    case(
        "ul-16b",
        "FFH in every reserved byte of a P-DATA-TF and an A-RELEASE-RQ",
        "PS3.8 9.3.5, 9.3.6: not tested when received",
        associate(),
        Send("a C-ECHO-RQ", p_data(pdv(1, 3, c_echo_rq(7)), reserved=0xFF)),
        Expect("C-ECHO-RSP 7 0000", why="reserved fields are not tested"),
        Send("an A-RELEASE-RQ", pdu(5, b"\xff" * 4, reserved=0xFF)),
        Expect("release response", why="reserved fields are not tested"),
        needs=ECHO,
    ),
    case(
        "ul-16c",
        "FFH in every reserved byte of an A-ABORT",
        "PS3.8 9.3.8: not tested when received",
        associate(),
        Send("an A-ABORT", pdu(7, b"\xff\xff\0\0", reserved=0xFF)),
        ends("AA-3"),
    ),
)

_BEYOND = (
    case(
        "ul-204a",
        "The connection is closed without a word",
        "PS3.8 9.2: Evt17 in Sta2, AA-5",
        finish_sending(),
        ends("AA-5: nothing is left to be done"),
    ),
    case(
        "ul-204b",
        "The connection is closed within an A-ASSOCIATE-RQ",
        "PS3.8 9.2: Evt17 in Sta2, AA-5",
        Send("the first 100 bytes of an A-ASSOCIATE-RQ", _part_of_rq(0, 100)),
        finish_sending(),
        ends("AA-5: nothing is left to be done"),
    ),
    case(
        "ul-204c",
        "The connection is closed right after an A-ASSOCIATE-RQ",
        "PS3.8 9.2: Evt17 in Sta3 or Sta6, AA-4",
        Send("an A-ASSOCIATE-RQ", rq),
        finish_sending(),
        Expect("closed|reset|accept", why="closed, with or without an answer before"),
        Expect(OVER, why="AA-4: there is nobody left"),
    ),
    case(
        "ul-205a",
        "The connection breaks without a word",
        "PS3.8 9.2: Evt17 in Sta2, AA-5",
        reset(),
        afterwards(associate(), echo()),
        needs=ECHO,
    ),
    case(
        "ul-205b",
        "The connection breaks right after an A-ASSOCIATE-RQ",
        "PS3.8 9.2: Evt17 in Sta3 or Sta6, AA-4",
        Send("an A-ASSOCIATE-RQ", rq),
        reset(),
        afterwards(associate(), echo()),
        needs=ECHO,
    ),
    case(
        "ul-206",
        "An accepted association on which nobody says anything",
        "PS3.8 9.2: Sta6",
        associate(),
        Expect("silence", why="the peer has been asked nothing, and has no role to ask anything"),
        echo(),
        needs=ECHO,
    ),
    case(
        "ul-207",
        "Bytes after the A-ABORT with which the peer refused the first PDU",
        "PS3.8 9.2: Evt10 in Sta13, AA-6",
        Send("an A-RELEASE-RQ", RELEASE_RQ),
        aborted("0/0", AA_1),
        Send("a C-ECHO-RQ", ECHO_RQ),
        nothing_more("AA-6 ignores it"),
    ),
)

CASES: tuple[Case, ...] = (
    *_TRANSPORT,
    *_AT_ONCE,
    *_RESERVED,
    *_BEYOND,
)
