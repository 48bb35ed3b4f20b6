"""Scripts about PDUs and P-DATA-TF: bytes that are none, PDUs out of place, fragments of every kind."""

import struct

from services.conformance.accepted import Asked, Association
from services.conformance.answering import COMMAND, LAST, final, fragments, in_pdus, whole_answer
from services.conformance.building import RELEASE_RP, RELEASE_RQ, a_associate_rq, p_data, pdu, pdv
from services.conformance.script import Script, Topic, script
from services.conformance.scripts_steps import (
    GOES_ON,
    WAITS,
    MakeAnswer,
    React,
    answer,
    gives_up,
    goes_on,
    reply,
    requested,
    served,
)

_AA_8 = "AA-8 aborts as the service provider"
_UNREADABLE = "PS3.8 9.3.1; 9.2: Evt19"
_TCP = "PS3.8 9.1.3: TCP is a stream"


def _early(name: str, title: str, event: str, data: bytes, reason: str = "2/2") -> Script:
    """Something instead of the A-ASSOCIATE-AC."""
    return script(
        f"early-{name}",
        Topic.PDU,
        f"{title} instead of an A-ASSOCIATE-AC",
        f"PS3.8 9.2: {event} in Sta5, AA-8",
        requested(),
        reply(title[0].lower() + title[1:], data),
        gives_up(reason, why=_AA_8),
    )


def _unexpected(name: str, title: str, event: str, data: bytes, reason: str = "2/2") -> Script:
    """Something instead of the response."""
    return script(
        f"unexpected-{name}",
        Topic.PDU,
        f"{title} instead of a response",
        f"PS3.8 9.2: {event} in Sta6, AA-8",
        served(),
        reply(title[0].lower() + title[1:], data),
        gives_up(reason, why=_AA_8),
    )


_HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
_RQ = a_associate_rq(called=b"SCU", calling=b"SCP")
_ECHO_LIKE = p_data(pdv(1, COMMAND | LAST, bytes(20)))

_PDUS = (
    _early("data", "A P-DATA-TF", "Evt10", _ECHO_LIKE),
    _early("request", "An A-ASSOCIATE-RQ", "Evt6", _RQ),
    _early("release", "An A-RELEASE-RQ", "Evt12", RELEASE_RQ),
    _early("release-response", "An A-RELEASE-RP", "Evt13", RELEASE_RP),
    _early("type-00", "A PDU of type 00H", "Evt19", pdu(0x00, bytes(4)), "2/1"),
    _early("type-ff", "A PDU of type FFH", "Evt19", pdu(0xFF, bytes(4)), "2/1"),
    _early("http", "An HTTP response", "Evt19", _HTTP, "2/1"),
    _early("tls", "A TLS alert", "Evt19", bytes.fromhex("15 03 03 00 02 02 46"), "2/1"),
    _early(
        "accept-of-4-gib",
        "An A-ASSOCIATE-AC with PDU-length FFFFFFFFH",
        "Evt19",
        pdu(2, b"", length=0xFFFFFFFF),
        "2/6",
    ),
    _unexpected("request", "An A-ASSOCIATE-RQ", "Evt6", _RQ),
    _unexpected("release-response", "An A-RELEASE-RP", "Evt13", RELEASE_RP),
    _unexpected("type-08", "A PDU of type 08H", "Evt19", pdu(0x08, bytes(4)), "2/1"),
    _unexpected("garbage", "64 bytes FFH", "Evt19", b"\xff" * 64, "2/1"),
    _unexpected("release-of-8-bytes", "An A-RELEASE-RQ with PDU-length 8", "Evt19", pdu(5, bytes(8)), "2/6"),
    _unexpected(
        "data-of-4-gib",
        "A P-DATA-TF with PDU-length FFFFFFFFH",
        "Evt19",
        pdu(4, bytes(100), length=0xFFFFFFFF),
        "2/6",
    ),
)

# -- right answers, cut in every way


def _cut(
    name: str, title: str, clause: str, make: MakeAnswer, why: str, *tolerated: str, piece: int = 0
) -> Script:
    return script(
        f"data-{name}",
        Topic.DATA,
        title,
        clause,
        served(),
        answer(title[0].lower() + title[1:], make, piece=piece),
        goes_on(*tolerated, why=why),
    )


def _pairs(association: Association, request: Asked) -> bytes:
    return whole_answer(association, request, size=2)


def _many_in_one(association: Association, request: Asked) -> bytes:
    """The final response as fragments of 2 bytes, as many to a P-DATA-TF as the SCU takes."""
    pieces = fragments(final(request), 2)
    each = [
        pdv(request.context_id, COMMAND | (LAST if number == len(pieces) else 0), piece)
        for number, piece in enumerate(pieces, 1)
    ]
    most = max(1, (association.agreed.peer_maximum or 16384) // 8)
    return b"".join(p_data(*each[start : start + most]) for start in range(0, len(each), most))


def _empty_last(association: Association, request: Asked) -> bytes:
    number = request.context_id
    return p_data(pdv(number, COMMAND, final(request)), pdv(number, COMMAND | LAST, b""))


def _empty_first(association: Association, request: Asked) -> bytes:
    number = request.context_id
    return p_data(pdv(number, COMMAND, b"")) + p_data(pdv(number, COMMAND | LAST, final(request)))


def _high_bits(association: Association, request: Asked) -> bytes:
    return p_data(pdv(request.context_id, 0xFC | COMMAND | LAST, final(request)))


def _reserved(association: Association, request: Asked) -> bytes:
    return p_data(pdv(request.context_id, COMMAND | LAST, final(request)), reserved=0xFF)


def _odd(association: Association, request: Asked) -> bytes:
    return in_pdus(association, request.context_id, COMMAND, final(request), size=7)


_CUT = (
    _cut(
        "byte-by-byte",
        "The response in segments of 1 byte",
        _TCP,
        whole_answer,
        "where TCP cuts means nothing",
        piece=1,
    ),
    _cut(
        "in-sevens",
        "The response in segments of 7 bytes",
        _TCP,
        whole_answer,
        "where TCP cuts means nothing",
        piece=7,
    ),
    _cut(
        "fragments-of-2",
        "The response in fragments of 2 bytes, a P-DATA-TF each",
        "PS3.8 E.1",
        _pairs,
        "any even length will do",
    ),
    _cut(
        "many-in-one",
        "The response in fragments of 2 bytes, all in one P-DATA-TF",
        "PS3.8 9.3.5, E.1",
        _many_in_one,
        "a P-DATA-TF carries one or more",
    ),
    _cut(
        "empty-last",
        "The response with an empty last fragment",
        "PS3.8 E.2",
        _empty_last,
        "the last fragment may be empty",
        "abort *",
    ),
    _cut(
        "empty-first",
        "The response with an empty first fragment",
        "PS3.8 E.2",
        _empty_first,
        "a fragment may be empty",
        "abort *",
    ),
    _cut(
        "high-bits",
        "The response with bits 2 to 7 of its message control header set",
        "PS3.8 E.2: not checked when received",
        _high_bits,
        "these bits are not checked",
    ),
    _cut(
        "reserved-set",
        "The response in a P-DATA-TF with a reserved byte of FFH",
        "PS3.8 9.3.5: not tested when received",
        _reserved,
        "reserved fields are not tested",
    ),
    script(
        "data-odd-fragments",
        Topic.DATA,
        "The response in fragments of 7 bytes",
        "PS3.8 E.1",
        served(),
        answer("the response in fragments of 7 bytes", _odd),
        gives_up("2/6", "abort 0/*", GOES_ON, why="fragments are of even length; many SCUs do not mind"),
    ),
)

# -- answers that cannot be put together


def _broken(
    name: str,
    title: str,
    clause: str,
    make: MakeAnswer,
    why: str,
    reason: str,
    *tolerated: str,
    final: bool = False,
) -> Script:
    return script(
        f"data-{name}",
        Topic.DATA,
        title,
        clause,
        served(),
        answer(title[0].lower() + title[1:], make, final=final),
        gives_up(reason, "abort 0/*", *tolerated, why=why),
    )


def _pdv(
    request: Asked, *, number: int | None = None, header: int = COMMAND | LAST, length: int | None = None
) -> bytes:
    context = request.context_id if number is None else number
    return p_data(pdv(context, header, final(request), length=length))


def _unused(association: Association) -> int:
    for number in range(255, 0, -2):
        if number not in association.agreed.contexts:
            return number
    association.not_applicable("the SCU proposed all 128 presentation contexts")


def _overlong(association: Association, request: Asked) -> bytes:
    """A P-DATA-TF one byte longer than the SCU takes; no more than its header where that is a lot."""
    most = association.agreed.peer_maximum
    if not most:
        association.not_applicable("the SCU takes P-DATA-TF PDUs of any length")
    if most > 1 << 20:
        return pdu(4, bytes(6), length=most + 1)
    return p_data(pdv(request.context_id, COMMAND, bytes(most - 5)))


def _interleaved(association: Association, request: Asked) -> bytes:
    number = request.context_id
    first, *_ = fragments(final(request), 20)
    return p_data(pdv(number, COMMAND, first)) + p_data(pdv(number, LAST, b"\0" * 8))


def _two_contexts(association: Association, request: Asked) -> bytes:
    first, *rest = fragments(final(request), 20)
    other = p_data(pdv(_unused(association), COMMAND | LAST, b"".join(rest)))
    return p_data(pdv(request.context_id, COMMAND, first)) + other


_BROKEN = (
    _broken(
        "empty",
        "A P-DATA-TF of length 0",
        "PS3.8 9.3.5",
        lambda a, r: pdu(4, b""),
        "it must have a PDV",
        "2/6",
    ),
    _broken(
        "of-5-bytes",
        "A P-DATA-TF of 5 bytes",
        "PS3.8 9.3.5.1",
        lambda a, r: pdu(4, bytes(5)),
        "no PDV fits",
        "2/6",
    ),
    _broken(
        "pdv-of-0",
        "A PDV with item-length 0",
        "PS3.8 9.3.5.1",
        lambda a, r: _pdv(r, length=0),
        "2 is the least",
        "2/6",
    ),
    _broken(
        "pdv-of-1",
        "A PDV with item-length 1",
        "PS3.8 9.3.5.1",
        lambda a, r: _pdv(r, length=1),
        "2 is the least",
        "2/6",
    ),
    _broken(
        "pdv-too-long",
        "A PDV that is longer than its P-DATA-TF",
        "PS3.8 9.3.5.1",
        lambda a, r: _pdv(r, length=0x10000),
        "it leads out of the PDU",
        "2/6",
    ),
    _broken(
        "trailing-bytes",
        "A P-DATA-TF with 3 bytes after its PDV",
        "PS3.8 9.3.5.1",
        lambda a, r: pdu(4, _pdv(r)[6:] + bytes(3)),
        "PDVs fill a P-DATA-TF",
        "2/6",
    ),
    _broken(
        "context-unknown",
        "The response on a presentation context nobody proposed",
        "PS3.8 9.3.5.1, 7.1.1.13",
        lambda a, r: _pdv(r, number=_unused(a)),
        "no such context",
        "2/6",
    ),
    _broken(
        "context-even",
        "The response on presentation context 2",
        "PS3.8 9.3.5.1",
        lambda a, r: _pdv(r, number=2),
        "ids are odd",
        "2/6",
    ),
    _broken(
        "overlong",
        "A P-DATA-TF one byte longer than the SCU takes",
        "PS3.8 D.1",
        _overlong,
        "it announced what it takes",
        "2/6",
        WAITS,
    ),
    _broken(
        "data-first",
        "A data set fragment where a command is due",
        "PS3.8 E.1, E.2",
        lambda a, r: _pdv(r, header=LAST),
        "a message begins with its command set",
        "2/5",
    ),
    _broken(
        "interleaved",
        "A data set fragment within the response's command set",
        "PS3.8 E.1",
        _interleaved,
        "command set first, then the data set",
        "2/5",
    ),
    script(
        "data-two-contexts",
        Topic.DATA,
        "The response's command set on two presentation contexts, the second of which nobody proposed",
        "PS3.8 E.1, 9.3.5.1",
        served(),
        answer("such a response", _two_contexts, final=False),
        React(
            "abort 2/5|abort 2/6",
            "abort 2/*",
            "abort 0/*",
            why="all of a message is on one context, an accepted one",
        ),
    ),
    script(
        "data-never-ends",
        Topic.DATA,
        "The response's command set never ends: 64 KiB and more of it",
        "PS3.7 6.3.1; the limit is a local matter",
        served(),
        reply("512 KiB of fragments of which none is the last", lambda a: _endless(a)),
        gives_up(
            "0/0", "abort 2/*", WAITS, "closed", "reset", why="no command set is as long; a limit is wise"
        ),
    ),
)


def _endless(association: Association) -> bytes:
    request = association.asked
    number = 1 if request is None else request.context_id
    size = max(2, min(association.agreed.peer_maximum or 16384, 16384) - 6) & ~1
    block = struct.pack("<HHI", 0, 0xFFFE, 1 << 20).ljust(size, b"\0")
    return p_data(pdv(number, COMMAND, block)) * ((512 << 10) // size)


SCRIPTS: tuple[Script, ...] = (*_PDUS, *_CUT, *_BROKEN)
