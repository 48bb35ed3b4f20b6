"""The first PDU: cases 6 to 15, and what goes beyond them (PS3.8 9.2, 9.3; Sta2)."""

from services.conformance.building import RELEASE_RP, RELEASE_RQ, abort, pdu
from services.conformance.case import Case, case
from services.conformance.cases.ul_opening import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, AA_1, WHOLE_REQUEST, rq
from services.conformance.cases.ul_steps import ECHO_RQ, OVER, ends, until_artim
from services.conformance.checks import last_pdu_is
from services.conformance.conversation import Check
from services.conformance.steps import Bytes, Expect, Send, aborted

_ABORT_FIRST = (
    "Many implementations just close the connection, or wait for more. The table leaves no room: whatever cannot be "
    "read is Evt19, and in Sta2 it is answered with an A-ABORT."
)
_SERVICE_USER_ABORT: Check = last_pdu_is(
    pdu(7, bytes(4)), "source 0, and then the reason is not significant: 00H (PS3.8 9.3.8)"
)


def _cut_to(length: int) -> Bytes:
    return lambda target: pdu(1, rq(target)[6 : 6 + length])


def _too_short_by(missing: int) -> Bytes:
    return lambda target: target.a_associate_rq(length_off_by=missing)


def _first(id: str, title: str, event: str, data: Bytes, *, note: str = "") -> Case:
    return case(
        id,
        f"{title[0].upper()}{title[1:]} as the first PDU",
        f"PS3.8 9.2: {event} in Sta2, AA-1",
        Send(title, data),
        aborted("0/0", AA_1),
        note=note or _ABORT_FIRST,
    )


def _too_long(id: str, length: int) -> Case:
    return case(
        id,
        f"A-ASSOCIATE-RQ with PDU-length {length:08X}H, and nothing behind the header",
        "PS3.8 9.2: Evt19 in Sta2, AA-1; the limit is a local matter",
        Send("the header of such an A-ASSOCIATE-RQ", pdu(1, b"", length=length)),
        Expect(
            "abort 0/0",
            "abort 0/*",
            OVER,
            within=until_artim,
            why="a length that no request has is refused at once; to wait for it until ARTIM expires is tolerated",
        ),
        waits=True,
        note="The standard sets no longest A-ASSOCIATE-RQ, so a peer may wait for the rest, until ARTIM ends that.",
    )


_FIRST_PDU = (
    _first("ul-6a", "a P-DATA-TF with a C-ECHO-RQ", "Evt10", ECHO_RQ),
    _first("ul-6b", "a P-DATA-TF of length 0", "Evt19", pdu(4, b"")),
    _first("ul-7", "an A-RELEASE-RQ", "Evt12", RELEASE_RQ),
    _first("ul-8", "an A-RELEASE-RP", "Evt13", RELEASE_RP),
    _first("ul-9", "an A-ASSOCIATE-AC", "Evt3", A_ASSOCIATE_AC),
    _first("ul-10", "an A-ASSOCIATE-RJ", "Evt4", A_ASSOCIATE_RJ),
    *(
        case(
            f"ul-11{letter}",
            f"{what} as the first PDU",
            "PS3.8 9.2: Evt16 in Sta2, AA-2",
            Send(what, data),
            ends("AA-2 closes: an A-ABORT is never answered"),
        )
        for letter, what, data in (
            ("a", "An A-ABORT of the service user", abort(0, 0)),
            ("b", "An A-ABORT of the service provider", abort(2, 2)),
            ("c", "An A-ABORT with a source and a reason that do not exist", abort(9, 99)),
        )
    ),
    *(
        _first(f"ul-12{letter}", f"a PDU of type {kind:02X}H", "Evt19", pdu(kind, bytes(4)))
        for letter, kind in zip("abcdef", (0x00, 0x08, 0x47, 0x16, 0x80, 0xFF), strict=True)
    ),
    _first("ul-12g", "an HTTP request", "Evt19", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    _first(
        "ul-12h",
        "the beginning of a TLS handshake",
        "Evt19",
        bytes.fromhex("16 03 01 00 c8 01 00 00 c4 03 03") + bytes(194),
    ),
    case(
        "ul-12i",
        "The byte FFH, and nothing else",
        "PS3.8 9.2: Evt19 in Sta2, AA-1, or Evt18, AA-2",
        Send("the byte FFH", b"\xff"),
        Expect(
            f"abort 0/0|{OVER}",
            "abort 0/*",
            within=until_artim,
            why="the first byte tells that it is no PDU; to wait for a header until ARTIM expires is as right",
        ),
        waits=True,
    ),
    case(
        "ul-12j",
        "The A-ABORT that answers a PDU of type 08H, byte by byte",
        "PS3.8 9.3.8",
        Send("a PDU of type 08H", pdu(8, bytes(4))),
        Expect("abort 0/0", "abort 0/*", why=AA_1, check=_SERVICE_USER_ABORT),
        note="Needs the A-ABORT of the cases before it: who closes the connection without one has none to look at.",
    ),
)

_LENGTHS = (
    _too_long("ul-13a", 0xFFFFFFFF),
    _too_long("ul-13b", 0x7FFFFFFF),
    _too_long("ul-13c", 2 << 20),
    *(
        case(
            f"ul-14{letter}",
            f"A-ASSOCIATE-RQ with PDU-length {length}",
            "PS3.8 9.3.2; 9.2: Evt19 in Sta2, AA-1",
            Send("it, cut there", _cut_to(length)),
            aborted("0/0", "its fixed fields alone take 68 bytes"),
            note=_ABORT_FIRST,
        )
        for letter, length in zip("abcd", (0, 1, 4, 67), strict=True)
    ),
    case(
        "ul-14e",
        "A-ASSOCIATE-RQ with PDU-length 68: fixed fields and no item",
        "PS3.8 9.3.2; 9.2: Evt19 in Sta2, AA-1",
        Send("it", lambda target: pdu(1, rq(target)[6:74])),
        Expect("abort 0/0|reject 1/1/1|reject 1/1/2", "abort 0/*", "reject *", why="the items must be there"),
        note="An invalid PDU to be aborted, or a request that names no application context: both are right.",
    ),
    case(
        "ul-15a",
        "A-ASSOCIATE-RQ with a PDU-length 1 too small",
        "PS3.8 9.3.1, 9.3.2; 9.2: Evt19 in Sta2, AA-1",
        Send("it", lambda target: target.a_associate_rq(length_off_by=-1)),
        aborted("0/0", "its last item does not fit into it"),
        note=_ABORT_FIRST,
    ),
    case(
        "ul-15b",
        "A-ASSOCIATE-RQ with a PDU-length 5 too small",
        "PS3.8 9.3.1, 9.3.2; 9.2: Evt19 in Sta2, AA-1",
        Send("it", lambda target: target.a_associate_rq(length_off_by=-5)),
        aborted("0/0", "its last item does not fit into it"),
        note=_ABORT_FIRST,
    ),
    *(
        case(
            f"ul-15{letter}",
            f"A-ASSOCIATE-RQ with a PDU-length {more} too large",
            "PS3.8 9.1.4, 9.2: Evt18 in Sta2, AA-2",
            Send("it", _too_short_by(more)),
            ends("it is not complete, and ARTIM ends the wait", until_artim),
            waits=True,
            note=WHOLE_REQUEST,
        )
        for letter, more in (("c", 1), ("d", 100))
    ),
)

_BEYOND = (
    *(
        _first(f"ul-202{letter}", f"an {name} of {length} bytes", "Evt19", pdu(kind, bytes(length)))
        for letter, name, kind, length in (
            ("a", "A-ASSOCIATE-RJ", 3, 0),
            ("b", "A-ASSOCIATE-RJ", 3, 8),
            ("c", "A-RELEASE-RQ", 5, 0),
            ("d", "A-RELEASE-RQ", 5, 8),
            ("e", "A-RELEASE-RP", 6, 0),
            ("f", "A-RELEASE-RP", 6, 8),
            ("g", "A-ASSOCIATE-AC", 2, 0),
        )
    ),
    *(
        case(
            f"ul-203{letter}",
            f"An A-ABORT of {length} bytes as the first PDU",
            "PS3.8 9.3.8; 9.2: Evt16 in Sta2, AA-2",
            Send("it", pdu(7, bytes(length))),
            Expect(
                OVER,
                "abort 0/*",
                why="an A-ABORT that cannot be read is one, and not answered; as an invalid PDU it is (Evt19, AA-1)",
            ),
        )
        for letter, length in (("a", 0), ("b", 8))
    ),
)

CASES: tuple[Case, ...] = (*_FIRST_PDU, *_LENGTHS, *_BEYOND)
