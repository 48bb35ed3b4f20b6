"""PDUs on an association: cases 17 to 25, and what goes beyond them (PS3.8 9.2, 9.3; Sta6)."""

from collections.abc import Iterable

from services.conformance.building import RELEASE_RP, RELEASE_RQ, abort, c_echo_rq, message, pdu
from services.conformance.case import Case, case
from services.conformance.cases.ul_opening import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, rq
from services.conformance.cases.ul_steps import (
    ECHO,
    ECHO_RQ,
    OVER,
    afterwards,
    ends,
    nothing_more,
    send_all,
    until_artim,
)
from services.conformance.checks import last_pdu_is
from services.conformance.steps import Bytes, Expect, Send, aborted, associate, echo, finish_sending, release

_FIXED = "its PDU-length is fixed at 4"
_INVALID_OR_UNEXPECTED = "it is invalid (2/6) and unexpected (2/2) at once: either reason says so"


def _in_sta6(
    id: str, title: str, clause: str, data: Bytes, answer: str, why: str, *also: str, note: str = ""
) -> Case:
    """Something the peer aborts for."""
    return case(id, title, clause, associate(), Send("it", data), aborted(answer, why, *also), note=note)


def _release_of(letter: str, length: int) -> Case:
    return case(
        f"ul-19{letter}",
        f"A-RELEASE-RQ with PDU-length {length}, and as many bytes",
        "PS3.8 9.3.6",
        associate(),
        echo(),
        Send("it", pdu(5, bytes(length))),
        aborted("2/6", _FIXED, "release response"),
        needs=ECHO,
        note="To skip the surplus, or not to miss what carries no meaning, and release is tolerated.",
    )


def _odd(id: str, name: str, kind: int, lengths: Iterable[tuple[str, int]]) -> Iterable[Case]:
    """A PDU that cannot come now, of a length it cannot have."""
    for letter, length in lengths:
        yield case(
            f"{id}{letter}",
            f"{name} of {length} bytes on an association",
            "PS3.8 9.2: Evt19 in Sta6, AA-8",
            associate(),
            Send("it", pdu(kind, bytes(length))),
            Expect("abort 2/6|abort 2/2", "abort 2/*", why=_INVALID_OR_UNEXPECTED),
        )


def _abort_of(id: str, what: str, data: bytes) -> Case:
    return case(
        id,
        what,
        "PS3.8 9.3.8; 9.2: Evt16 in Sta6, AA-3",
        associate(),
        Send("it", data),
        Expect(
            OVER,
            "abort 2/*",
            why="an A-ABORT that cannot be read is one, and not answered; as an invalid PDU it is (Evt19, AA-8)",
        ),
        note="Two A-ABORTs that answer each other would be one too many: not to answer is the safer reading.",
    )


_RELEASE = (
    case(
        "ul-17a",
        "A-RELEASE-RQ after a C-ECHO",
        "PS3.8 9.2: Evt12 in Sta6, AR-2; 9.3.7",
        associate(),
        echo(),
        Send("an A-RELEASE-RQ", RELEASE_RQ),
        Expect(
            "release response",
            why="AR-2, AR-4",
            check=last_pdu_is(RELEASE_RP, "PDU-length 4, and 00H in what is reserved (PS3.8 9.3.7)"),
        ),
        needs=ECHO,
    ),
    case(
        "ul-17b",
        "A-RELEASE-RQ, and the connection closed after the answer",
        "PS3.8 9.2: Evt12 in Sta6, AR-2; Evt17 in Sta13, AR-5",
        associate(),
        release(),
        finish_sending(),
        ends("AR-5: all is done"),
    ),
    case(
        "ul-17c",
        "A-RELEASE-RQ on an association without any operation",
        "PS3.8 9.2: Evt12 in Sta6, AR-2; PS3.7 A.5",
        associate(),
        release(),
        afterwards(associate(), echo()),
        needs=ECHO,
    ),
    case(
        "ul-18",
        "A-RELEASE-RQ, and the connection left open",
        "PS3.8 9.2: Evt18 in Sta13, AA-2",
        associate(),
        release(),
        ends("ARTIM expires in Sta13, and AA-2 closes", until_artim),
        waits=True,
    ),
    *(_release_of(letter, length) for letter, length in zip("abcdefg", (0, 8, 1, 3, 5, 6, 256), strict=True)),
    _in_sta6(
        "ul-19h",
        "A-RELEASE-RQ with PDU-length FFFFFFFFH, and nothing behind the header",
        "PS3.8 9.3.6",
        pdu(5, b"", length=0xFFFFFFFF),
        "2/6",
        "its PDU-length is fixed at 4: there is nothing to wait for",
        note="The header alone shows that it is invalid: AA-8, and no wait for 4 GiB that nobody will send.",
    ),
)

_UNEXPECTED = (
    _in_sta6(
        "ul-20", "A-RELEASE-RP, unasked", "PS3.8 9.2: Evt13 in Sta6, AA-8", RELEASE_RP, "2/2", "nobody asked"
    ),
    _in_sta6(
        "ul-21a",
        "The same A-ASSOCIATE-RQ again",
        "PS3.8 9.2: Evt6 in Sta6, AA-8; 9.1.1",
        rq,
        "2/2",
        "one association to a connection",
    ),
    _in_sta6(
        "ul-21b",
        "Another A-ASSOCIATE-RQ, which nobody would accept",
        "PS3.8 9.2: Evt6 in Sta6, AA-8; 9.1.1",
        lambda target: target.a_associate_rq(version=0),
        "2/2",
        "it is not looked at: one association to a connection",
    ),
    _in_sta6(
        "ul-22a", "A-ASSOCIATE-AC", "PS3.8 9.2: Evt3 in Sta6, AA-8", A_ASSOCIATE_AC, "2/2", "nobody asked"
    ),
    _in_sta6(
        "ul-22b", "A-ASSOCIATE-RJ", "PS3.8 9.2: Evt4 in Sta6, AA-8", A_ASSOCIATE_RJ, "2/2", "nobody asked"
    ),
    case(
        "ul-22c",
        "A-RELEASE-RP after a C-ECHO",
        "PS3.8 9.2: Evt13 in Sta6, AA-8",
        associate(),
        echo(),
        Send("an A-RELEASE-RP", RELEASE_RP),
        aborted("2/2", "nobody asked"),
        needs=ECHO,
    ),
    *(
        _in_sta6(
            f"ul-23{letter}",
            f"A PDU of type {kind:02X}H",
            "PS3.8 9.2: Evt19 in Sta6, AA-8; 9.3.8",
            pdu(kind, bytes(4)),
            "2/1",
            "no such PDU",
            note="It is the service provider that aborts (AA-8): source 0 would say that the user did.",
        )
        for letter, kind in zip("abcdef", (0x00, 0x08, 0x09, 0x47, 0x81, 0xFF), strict=True)
    ),
    _in_sta6(
        "ul-23g",
        "A PDU of type 0AH and length 0",
        "PS3.8 9.2: Evt19 in Sta6, AA-8; 9.3.8",
        pdu(0x0A, b""),
        "2/1",
        "no such PDU",
    ),
    _in_sta6(
        "ul-23h",
        "The header of a PDU of type 0AH and length FFFFFFFFH",
        "PS3.8 9.2: Evt19 in Sta6, AA-8; 9.3.8",
        pdu(0x0A, b"", length=0xFFFFFFFF),
        "2/1",
        "no such PDU, whatever would follow",
    ),
    case(
        "ul-23i",
        "The A-ABORT that answers an A-RELEASE-RP, byte by byte",
        "PS3.8 9.3.8",
        associate(),
        Send("an A-RELEASE-RP", RELEASE_RP),
        Expect(
            "abort 2/2",
            "abort 2/*",
            why="nobody asked",
            check=last_pdu_is(abort(2, 2), "PDU-length 4, and 00H in what is reserved (PS3.8 9.3.8)"),
        ),
    ),
)

_ABORT = (
    *(
        case(
            f"ul-24{letter}",
            f"A-ABORT of source {source}, reason {reason}",
            "PS3.8 9.2: Evt16 in Sta6, AA-3",
            associate(),
            Send("it", abort(source, reason)),
            ends("AA-3 closes: an A-ABORT is never answered"),
        )
        for letter, source, reason in (("a", 0, 0), ("b", 1, 0), ("c", 2, 6), ("d", 9, 255))
    ),
    case(
        "ul-24e",
        "C-ECHO-RQ and A-ABORT in one segment",
        "PS3.8 9.2: Evt16 in Sta6, AA-3",
        associate(),
        send_all("a C-ECHO-RQ and an A-ABORT", ECHO_RQ, abort(0, 0)),
        Expect("closed|reset|C-ECHO-RSP 7 0000", why="closed, with or without the answer before"),
        Expect(OVER, why="AA-3 closes"),
        needs=ECHO,
    ),
    case(
        "ul-24f",
        "A-ABORT, then a new association",
        "PS3.8 9.2: Evt16 in Sta6, AA-3",
        associate(),
        echo(),
        Send("an A-ABORT", abort(0, 0)),
        ends("AA-3 closes: an A-ABORT is never answered"),
        afterwards(associate(), echo()),
        needs=ECHO,
    ),
    *(
        _abort_of(f"ul-25{letter}", f"An A-ABORT of {length} bytes", pdu(7, bytes(length)))
        for letter, length in zip("abcde", (0, 8, 1, 3, 5), strict=True)
    ),
    _abort_of(
        "ul-25f",
        "The header of an A-ABORT with PDU-length FFFFFFFFH",
        pdu(7, b"", length=0xFFFFFFFF),
    ),
)

_BEYOND = (
    *_odd("ul-200", "A-RELEASE-RP", 6, zip("abcdef", (0, 1, 3, 5, 8, 255), strict=True)),
    *_odd("ul-201", "A-ASSOCIATE-RJ", 3, zip("abcde", (0, 1, 3, 5, 8), strict=True)),
    *_odd("ul-208", "A-ASSOCIATE-AC", 2, zip("abc", (0, 4, 67), strict=True)),
    *_odd("ul-209", "A-ASSOCIATE-RQ", 1, zip("abc", (0, 4, 67), strict=True)),
    case(
        "ul-210a",
        "Twenty C-ECHOs, one after the other",
        "PS3.8 9.2: Evt10 in Sta6, DT-2; PS3.4 A.4",
        associate(),
        *(echo(number) for number in range(1, 21)),
        release(),
        needs=ECHO,
    ),
    case(
        "ul-210b",
        "C-ECHO-RQs cut across segments in different places",
        "PS3.8 9.1.3: TCP is a stream",
        associate(),
        *(
            step
            for number, piece in enumerate((1, 5, 6, 7, 11, 12, 13), 1)
            for step in (
                Send("a C-ECHO-RQ", message(1, c_echo_rq(number)), piece=piece),
                Expect(f"C-ECHO-RSP {number} 0000", why="where TCP cuts means nothing"),
            )
        ),
        needs=ECHO,
    ),
    case(
        "ul-211",
        "A second association on the connection of a released one",
        "PS3.8 9.1.1; 9.2: Evt6 in Sta13, AA-7",
        associate(),
        release(),
        Send("an A-ASSOCIATE-RQ", rq),
        Expect("abort 2/2|closed|reset", "abort 2/*", "silence", why="one association to a connection"),
        nothing_more("one association to a connection"),
        afterwards(associate(), echo()),
        needs=ECHO,
    ),
)


CASES: tuple[Case, ...] = (*_RELEASE, *_UNEXPECTED, *_ABORT, *_BEYOND)
