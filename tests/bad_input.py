"""What the cases of `tests/properties/test_bad_input.py` are made of, and those about transport and PDUs: 1 to 37.

A case is what the peer does, step by step, and everything that may come back. Answers are written as

    abort 0/0, reject 1/1/7, release     the PDU, with source/reason or result/source/reason
    accept 1=implicit 3:4                an A-ASSOCIATE-AC: context id = transfer syntax, or :result
    accept 1=implicit 53=1/1             ... and the sub-items that not every one has
    8030 7 0000                          a response: Command Field, Message ID Being Responded To, Status
    8020 7 FF00+                         ... with a data set behind it
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from dimse_services import Find, Store
from memory_provider import MemoryProvider
from raw_bytes import (
    APPLICATION_CONTEXT,
    CT_IMAGE,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    RELEASE_RP,
    RELEASE_RQ,
    STUDY_ROOT_FIND,
    VERIFICATION,
    RawPDU,
    a_associate_rq,
    abort,
    application_context,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    context,
    item,
    maximum_length,
    message,
    p_data,
    pdu,
    pdv,
    proposing,
    user_information,
)


class Stage(NamedTuple):
    """Where a case is played."""

    provider: MemoryProvider
    store: Store
    find: Find


Step: TypeAlias = bytes | Callable[[Stage], None]


class Case(NamedTuple):
    """One way to behave, and the one answer.

    Attributes:
        number: of the conformance case.
        expected: everything that may be sent back.
        then: "open", "closing" (we sent the last PDU and wait for the peer to close) or "closed".
        check: looks closer at what was sent.
        allowed: calling AE titles that may call; None for all.
    """

    number: int
    what: str
    steps: tuple[Step, ...]
    expected: tuple[str, ...]
    then: str = "open"
    check: Callable[[Stage, list[RawPDU]], None] | None = None
    allowed: tuple[str, ...] | None = None


# -- what can happen beside bytes


def artim_expires(stage: Stage) -> None:
    assert stage.provider.artim_starts == 1, "ARTIM was restarted"
    stage.provider.expire_artim()


def peer_closes(stage: Stage) -> None:
    stage.provider.lose()


def time_runs_out(stage: Stage) -> None:
    """The idle limit, or another timer of the adapter's."""
    stage.provider.user.timed_out("nothing happened for a while")


def gates_close(stage: Stage) -> None:
    """From now on operations take until `gates_open`."""
    stage.store.gate.clear()
    stage.find.gate.clear()


def gates_open(stage: Stage) -> None:
    stage.store.gate.set()
    stage.find.gate.set()


def nothing_is_kept(stage: Stage, _: list[RawPDU]) -> None:
    assert stage.provider.unread == 0


def instance_is_dropped(stage: Stage, _: list[RawPDU]) -> None:
    (sink,) = stage.store.sinks
    assert sink.discards
    assert not sink.ends
    assert not stage.store.performed


def find_is_cancelled(stage: Stage, _: list[RawPDU]) -> None:
    assert stage.find.ended == ["CancelledError"]


# -- pieces of the cases

ASSOCIATE = proposing(
    context(1, VERIFICATION, IMPLICIT),
    context(3, CT_IMAGE, IMPLICIT),
    context(5, STUDY_ROOT_FIND, IMPLICIT),
    context(7, b"1.2.840.10008.99", IMPLICIT),
)
ACCEPTED = "accept 1=implicit 3=implicit 5=implicit 7:3"
ECHO = message(1, c_echo_rq(7))
ECHOED = "8030 7 0000"
STORE = message(3, c_store_rq(8), b"an instance.")
STORED = "8001 8 0000"
FIND = message(5, c_find_rq(9), b"identifier")
FOUND = ("8020 9 FF00+", "8020 9 FF00+", "8020 9 0000")
RJ = pdu(3, bytes([0, 1, 1, 1]))
AC = pdu(
    2,
    a_associate_rq(
        application_context(),
        item(0x21, b"\1\0\0\0" + item(0x40, IMPLICIT)),
        user_information(),
    )[6:],
)

# -- 4.1 transport and PDU


def _first(number: int, what: str, data: bytes) -> Case:
    """Answered in Sta2 by AA-1."""
    return Case(number, what, (data,), ("abort 0/0",), "closing", nothing_is_kept)


def _in_sta6(number: int, what: str, data: bytes, answer: str) -> Case:
    return Case(number, what, (ASSOCIATE, data), (ACCEPTED, answer), "closing")


PDUS = [
    Case(1, "nothing is sent", (artim_expires,), (), "closed"),
    Case(2, "five bytes of a header", (ASSOCIATE[:5], artim_expires), (), "closed"),
    Case(3, "a request that is too slow", (ASSOCIATE[:99], ASSOCIATE[99:-1], artim_expires), (), "closed"),
    Case(4, "a request, whole or in pieces", (ASSOCIATE,), (ACCEPTED,)),
    Case(
        5,
        "all at once: served, since the answer is decided at once",
        (ASSOCIATE + ECHO + RELEASE_RQ,),
        (ACCEPTED, ECHOED, "release"),
        "closing",
    ),
    _first(6, "P-DATA-TF first", ECHO),
    _first(7, "A-RELEASE-RQ first", RELEASE_RQ),
    _first(8, "A-RELEASE-RP first", RELEASE_RP),
    _first(9, "A-ASSOCIATE-AC first", AC),
    _first(10, "A-ASSOCIATE-RJ first", RJ),
    Case(11, "A-ABORT first", (abort(0, 0),), (), "closed"),
    *(_first(12, f"first byte {byte:02X}H", bytes([byte])) for byte in (0x00, 0x08, 0x47, 0x16, 0xFF)),
    _first(12, "an HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    *(
        _first(13, f"A-ASSOCIATE-RQ of {n} bytes", pdu(1, b"", length=n))
        for n in (0xFFFFFFFF, 0x7FFFFFFF, 2 << 20)
    ),
    _first(14, "A-ASSOCIATE-RQ of 67 bytes", pdu(1, ASSOCIATE[6:73])),
    _first(14, "A-ASSOCIATE-RQ of 0 bytes", pdu(1, b"")),
    _first(15, "length one too small", a_associate_rq(length_off_by=-1)),
    Case(15, "length one too large", (a_associate_rq(length_off_by=1), artim_expires), (), "closed"),
    Case(17, "release", (ASSOCIATE, RELEASE_RQ, peer_closes), (ACCEPTED, "release"), "closed"),
    Case(18, "release, and no close", (ASSOCIATE, RELEASE_RQ), (ACCEPTED, "release"), "closing"),
    _in_sta6(19, "A-RELEASE-RQ of 0 bytes", pdu(5, b""), "abort 2/6"),
    _in_sta6(19, "A-RELEASE-RQ of 8 bytes", pdu(5, bytes(8)), "abort 2/6"),
    _in_sta6(20, "A-RELEASE-RP", RELEASE_RP, "abort 2/2"),
    _in_sta6(21, "a second A-ASSOCIATE-RQ", ASSOCIATE, "abort 2/2"),
    _in_sta6(22, "A-ASSOCIATE-AC", AC, "abort 2/2"),
    _in_sta6(22, "A-ASSOCIATE-RJ", RJ, "abort 2/2"),
    _in_sta6(23, "PDU type 09H", b"\x09", "abort 2/1"),
    *(
        Case(
            24,
            f"A-ABORT of source {source} under an operation",
            (ASSOCIATE, gates_close, FIND, abort(source, 0)),
            (ACCEPTED,),
            "closed",
            find_is_cancelled,
        )
        for source in (0, 1, 2, 9)
    ),
    *(
        Case(25, f"A-ABORT of {n} bytes", (ASSOCIATE, pdu(7, bytes(n))), (ACCEPTED,), "closed")
        for n in (0, 8)
    ),
    Case(26, "the connection closes", (ASSOCIATE, peer_closes), (ACCEPTED,), "closed"),
    Case(
        27,
        "the connection breaks inside a data set",
        (ASSOCIATE, STORE[:-4], peer_closes),
        (ACCEPTED,),
        "closed",
        lambda stage, _: _nothing_stored(stage),
    ),
    Case(
        27,
        "... after a fragment",
        (ASSOCIATE, message(3, c_store_rq(1), b"half", b"rest")[:-16], peer_closes),
        (ACCEPTED,),
        "closed",
        instance_is_dropped,
    ),
    Case(28, "closed before the answer", (ASSOCIATE, gates_close, FIND, peer_closes), (ACCEPTED,), "closed"),
    Case(29, "P-DATA-TF after our A-ABORT", (ASSOCIATE, b"\x09", ECHO), (ACCEPTED, "abort 2/1"), "closing"),
    Case(
        29,
        "... which answered a PDU of the right length",
        (ASSOCIATE, RELEASE_RP, ECHO),
        (ACCEPTED, "abort 2/2"),
        "closing",
    ),
    Case(
        30,
        "A-ASSOCIATE-RQ after our A-ASSOCIATE-RJ",
        (a_associate_rq(called=b"OTHER"), ASSOCIATE),
        ("reject 1/1/7",),
        "closing",
    ),
    Case(30, "... after our A-ABORT", (RELEASE_RQ, ASSOCIATE), ("abort 0/0",), "closing"),
    Case(31, "no close after our RJ", (a_associate_rq(called=b"OTHER"),), ("reject 1/1/7",), "closing"),
    Case(
        32,
        "A-RELEASE-RQ under a C-FIND: it is cut short",
        (ASSOCIATE, gates_close, FIND, RELEASE_RQ),
        (ACCEPTED, "8020 9 FE00", "release"),
        "closing",
    ),
    Case(
        32,
        "A-RELEASE-RQ under a C-STORE: it is finished",
        (ASSOCIATE, gates_close, STORE, RELEASE_RQ, gates_open),
        (ACCEPTED, STORED, "release"),
        "closing",
    ),
    Case(
        33,
        "P-DATA-TF after the peer's A-RELEASE-RQ",
        (ASSOCIATE, gates_close, STORE, RELEASE_RQ, ECHO),
        (ACCEPTED, "abort 2/2"),
        "closing",
    ),
    Case(34, "idle for too long", (ASSOCIATE, time_runs_out), (ACCEPTED, "abort 0/0"), "closing"),
]


def _nothing_stored(stage: Stage) -> None:
    assert not stage.store.performed
    assert all(sink.discards for sink in stage.store.sinks)


def _reserved_fields_come_back(_: Stage, sent: list[RawPDU]) -> None:
    body = sent[0].body
    assert body[:2] == b"\0\1"
    assert body[4:36] == b"SERVER".ljust(16) + b"TESTER".ljust(16)
    assert body[36:68] == b"\xff" * 32


PDUS.append(
    Case(
        16,
        "reserved bytes of FFH",
        (
            a_associate_rq(
                item(0x10, APPLICATION_CONTEXT, reserved=0xFF),
                context(1, VERIFICATION, IMPLICIT, reserved=0xFF),
                item(0x50, maximum_length(16384) + IMPLEMENTATION_CLASS, reserved=0xFF),
                reserved=0xFF,
            ),
            p_data(pdv(1, 3, c_echo_rq(7)), reserved=0xFF),
        ),
        ("accept 1=implicit", ECHOED),
        check=_reserved_fields_come_back,
    )
)
