"""How a message may be cut into fragments: cases 83 to 88, and beyond (PS3.8 E.1, E.2)."""

from collections.abc import Iterator

from services.conformance.building import c_echo_rq, c_find_rq, command, element, message, p_data, pdv, us
from services.conformance.case import Case, case
from services.conformance.cases.dimse_checks import answers_its_request
from services.conformance.cases.dimse_steps import (
    ECHO,
    ECHO_RQ,
    ECHOED,
    FIND,
    MAY_BE_KEPT,
    STORE,
    STORED,
    ask,
    echo_if,
    find_served,
    identifier,
    in_pieces,
    no_instance,
    served,
    store_rq,
    store_served,
)
from services.conformance.steps import (
    ECHO_CONTEXT,
    FIND_CONTEXT,
    STORE_CONTEXT,
    Expect,
    Send,
    associate,
    echo,
    pause,
)
from services.conformance.target import Target

_COMMAND, _DATA, _LAST = 1, 0, 2
_ONE_STREAM = "fragments belong together whatever P-DATA-TF or segment they come in (PS3.8 E.1, 9.1.3)"
_HALVES = (pdv(1, 1, ECHO_RQ[:40]), pdv(1, 3, ECHO_RQ[40:]))


def _whole() -> Iterator[Case]:
    yield case(
        "pdata-83",
        "C-ECHO-RQ in one fragment",
        "PS3.8 E.1; PS3.7 9.3.5",
        served("a C-ECHO-RQ", p_data(pdv(1, 3, ECHO_RQ)), "the plainest message there is"),
        needs=ECHO,
    )
    yield case(
        "pdata-204",
        "Reserved byte of the P-DATA-TF header set to FFH",
        "PS3.8 9.3.5: the reserved field is not tested",
        served("a C-ECHO-RQ", p_data(pdv(1, 3, ECHO_RQ), reserved=0xFF), "reserved fields are not tested"),
        needs=ECHO,
    )


def _split_commands() -> Iterator[Case]:
    twos = in_pieces(ECHO_CONTEXT, _COMMAND, ECHO_RQ)
    ways = {
        "a": ("Command in fragments of 2 bytes, each in a P-DATA-TF", b"".join(map(p_data, twos))),
        "b": ("Command in fragments of 2 bytes, all in one P-DATA-TF", p_data(*twos)),
        "c": ("Command cut in the middle of an element's tag", _cut_at(14)),
        "d": ("Command cut in the middle of an element's value", _cut_at(32)),
        "e": (
            "Command in two fragments of one P-DATA-TF and a third in another",
            p_data(pdv(1, 1, ECHO_RQ[:10]), pdv(1, 1, ECHO_RQ[10:20])) + p_data(pdv(1, 3, ECHO_RQ[20:])),
        ),
    }
    for letter, (title, data) in ways.items():
        yield case(
            f"pdata-84{letter}", title, "PS3.8 E.1", served("a C-ECHO-RQ", data, _ONE_STREAM), needs=ECHO
        )
    yield case(
        "pdata-84f",
        "Data set in fragments of 2 bytes, each in a P-DATA-TF",
        "PS3.8 E.1",
        store_served("a C-STORE-RQ", _store_in_pieces, _ONE_STREAM),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )
    yield case(
        "pdata-84g",
        "Identifier in fragments of 2 bytes, each in a P-DATA-TF",
        "PS3.8 E.1",
        find_served("a C-FIND-RQ", _find_in_pieces, _ONE_STREAM),
        needs=FIND,
    )


def _cut_at(position: int) -> bytes:
    return p_data(pdv(1, 1, ECHO_RQ[:position])) + p_data(pdv(1, 3, ECHO_RQ[position:]))


def _store_in_pieces(target: Target) -> bytes:
    pieces = in_pieces(STORE_CONTEXT, _DATA, no_instance(target))
    return message(STORE_CONTEXT, store_rq(target)) + b"".join(map(p_data, pieces))


def _find_in_pieces(target: Target) -> bytes:
    pieces = in_pieces(FIND_CONTEXT, _DATA, identifier(target))
    return message(FIND_CONTEXT, c_find_rq(9)) + b"".join(map(p_data, pieces))


def _several_in_one_pdu() -> Iterator[Case]:
    rule = "a P-DATA-TF holds one PDV or more, of the command and the data set alike (PS3.8 9.3.5, E.1)"
    yield case(
        "pdata-85a",
        "Command and data set in one P-DATA-TF, C-STORE",
        "PS3.8 9.3.5, E.1",
        store_served(
            "a C-STORE-RQ and its data set in one P-DATA-TF",
            lambda target: p_data(pdv(3, 3, store_rq(target)), pdv(3, 2, no_instance(target))),
            rule,
        ),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )
    yield case(
        "pdata-85b",
        "Command and identifier in one P-DATA-TF, C-FIND",
        "PS3.8 9.3.5, E.1",
        find_served(
            "a C-FIND-RQ and its identifier in one P-DATA-TF",
            lambda target: p_data(pdv(5, 3, c_find_rq(9)), pdv(5, 2, identifier(target))),
            rule,
        ),
        needs=FIND,
    )
    yield case(
        "pdata-85c",
        "The last of the command and the first of the identifier in one P-DATA-TF",
        "PS3.8 9.3.5, E.1",
        find_served("a C-FIND-RQ in three P-DATA-TFs", _find_overlapping, rule),
        needs=FIND,
    )
    yield case(
        "pdata-85d",
        "The last of the command and the first of the data set in one P-DATA-TF",
        "PS3.8 9.3.5, E.1",
        store_served("a C-STORE-RQ in three P-DATA-TFs", _store_overlapping, rule),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )
    yield case(
        "pdata-85e",
        "Two C-ECHO-RQs in one P-DATA-TF",
        "PS3.8 9.3.5, E.1; PS3.7 D.3.3.3",
        associate(),
        ask(
            "two C-ECHO-RQs in one P-DATA-TF",
            p_data(pdv(1, 3, ECHO_RQ), pdv(1, 3, c_echo_rq(8))),
            ECHOED,
            "abort 0/0",
            "abort 2/*",
            why="the first is a message like any other",
        ),
        Expect(
            "C-ECHO-RSP 8 0000",
            "abort 0/0",
            "abort 2/*",
            why="and the second waits its turn (PS3.7 D.3.3.3)",
            check=answers_its_request,
        ),
        echo(),
        needs=ECHO,
        note="a window of 1 does not allow the second before the first is answered: to abort is tolerated.",
    )


def _find_overlapping(target: Target) -> bytes:
    request, keys = c_find_rq(9), identifier(target)
    return (
        p_data(pdv(5, 1, request[:30]))
        + p_data(pdv(5, 3, request[30:]), pdv(5, 0, keys[:14]))
        + p_data(pdv(5, 2, keys[14:]))
    )


def _store_overlapping(target: Target) -> bytes:
    request, data = store_rq(target), no_instance(target)
    return (
        p_data(pdv(3, 1, request[:30]))
        + p_data(pdv(3, 3, request[30:]), pdv(3, 0, data[:14]))
        + p_data(pdv(3, 2, data[14:]))
    )


def _empty() -> Iterator[Case]:
    rule = "the last fragment may be empty: its item-length is then 2 (PS3.8 E.2)"
    first, second = ECHO_RQ[:40], ECHO_RQ[40:]
    ways = {
        "a": ("Empty last fragment of a command", (pdv(1, 1, ECHO_RQ), pdv(1, 3, b""))),
        "b": ("Empty first fragment of a command", (pdv(1, 1, b""), pdv(1, 3, ECHO_RQ))),
        "c": (
            "Empty fragments between those of a command",
            (pdv(1, 1, first), pdv(1, 1, b""), pdv(1, 1, b""), pdv(1, 3, second)),
        ),
    }
    for letter, (title, pdvs) in ways.items():
        data = b"".join(map(p_data, pdvs))
        yield case(f"pdata-86{letter}", title, "PS3.8 E.2", served("a C-ECHO-RQ", data, rule), needs=ECHO)
    yield case(
        "pdata-86d",
        "Empty last fragment of a data set",
        "PS3.8 E.2",
        store_served(
            "a C-STORE-RQ", lambda target: message(3, store_rq(target), no_instance(target), b""), rule
        ),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )
    yield case(
        "pdata-86e",
        "Empty last fragment of an identifier",
        "PS3.8 E.2",
        find_served("a C-FIND-RQ", lambda target: message(5, c_find_rq(9), identifier(target), b""), rule),
        needs=FIND,
    )
    yield case(
        "pdata-86f",
        "Data set of no bytes at all",
        "PS3.8 E.2; PS3.4 B.2.3",
        associate("echo", "store"),
        ask(
            "a C-STORE-RQ with one empty fragment of data set",
            lambda target: message(3, store_rq(target), b""),
            "C-STORE-RSP 8 [AC]???",
            "C-STORE-RSP 8 01??",
            "C-STORE-RSP 8 0000",
            "abort 0/0",
            why="the message is complete, and holds no instance",
        ),
        echo(),
        needs=STORE,
        writes=True,
        note="a receiver that only writes files may take it for an instance; an archive that does has lost one.",
    )


def _odd() -> Iterator[Case]:
    strict = "abort 2/6|abort 0/0"
    rule = "each fragment must be of even length (PS3.8 E.1)"
    note = "both answers are seen in the field; to take the fragment is tolerated, to read it wrong is not."
    ways = {
        "a": (
            "Command in two fragments of odd length",
            p_data(pdv(1, 1, ECHO_RQ[:41]), pdv(1, 3, ECHO_RQ[41:])),
        ),
        "b": (
            "Command in one fragment of odd length, by a UID without padding",
            p_data(pdv(1, 3, _unpadded_echo_rq())),
        ),
    }
    for letter, (title, data) in ways.items():
        yield case(
            f"pdata-87{letter}",
            title,
            "PS3.8 E.1",
            associate(),
            Send("a C-ECHO-RQ", data),
            Expect(strict, "abort 2/*", ECHOED, why=rule),
            echo_if(ECHOED),
            needs=ECHO,
            note=note,
        )
    yield case(
        "pdata-87c",
        "Data set in two fragments of odd length",
        "PS3.8 E.1",
        associate("echo", "store"),
        Send("a C-STORE-RQ", lambda target: message(3, store_rq(target), *_halves(no_instance(target), 13))),
        Expect(strict, "abort 2/*", STORED, why=rule),
        echo_if(STORED),
        needs=STORE,
        writes=True,
        note=note,
    )


def _halves(data: bytes, position: int) -> tuple[bytes, bytes]:
    return data[:position], data[position:]


def _unpadded_echo_rq() -> bytes:
    return command(
        element(0x0002, b"1.2.840.10008.1.1"), us(0x0100, 0x0030), us(0x0110, 7), us(0x0800, 0x0101)
    )


def _control_header() -> Iterator[Case]:
    rule = "bits 2 to 7 of the message control header are not tested (PS3.8 E.2)"
    yield case(
        "pdata-88a",
        "Bits 2 to 7 of the message control header set, whole command",
        "PS3.8 E.2",
        served("a C-ECHO-RQ with message control header FFH", p_data(pdv(1, 0xFF, ECHO_RQ)), rule),
        needs=ECHO,
    )
    bits = [pdv(1, 1 | 1 << bit, ECHO_RQ[2 * bit : 2 * bit + 2]) for bit in range(2, 8)]
    pdvs = [pdv(1, 1, ECHO_RQ[:4]), *bits, pdv(1, 3, ECHO_RQ[16:])]
    yield case(
        "pdata-88b",
        "Each of bits 2 to 7 of the message control header set in a fragment of its own",
        "PS3.8 E.2",
        served("a C-ECHO-RQ in eight fragments", b"".join(map(p_data, pdvs)), rule),
        needs=ECHO,
    )
    yield case(
        "pdata-88c",
        "Bits 2 to 7 of the message control header set in a data set",
        "PS3.8 E.2",
        store_served(
            "a C-STORE-RQ with message control headers FFH, FCH and FEH",
            lambda target: b"".join(
                p_data(pdv(3, header, data))
                for header, data in zip(
                    (0xFF, 0xFC, 0xFE), (store_rq(target), *_halves(no_instance(target), 20)), strict=True
                )
            ),
            rule,
        ),
        needs=STORE,
        writes=True,
        note=MAY_BE_KEPT,
    )


def _segments() -> Iterator[Case]:
    data = p_data(_HALVES[0]) + p_data(_HALVES[1])
    for number, (title, piece) in enumerate(
        {
            "P-DATA-TFs in TCP segments of 1 byte": 1,
            "P-DATA-TFs in TCP segments of 7 bytes": 7,
            "P-DATA-TFs in TCP segments of 47 bytes, that end inside a header": 47,
        }.items()
    ):
        yield case(
            f"pdata-205{'abc'[number]}",
            title,
            "PS3.8 9.1.3",
            associate(),
            Send("a C-ECHO-RQ in two P-DATA-TFs", data, piece=piece),
            Expect(ECHOED, why=_ONE_STREAM, check=answers_its_request),
            echo(6),
            needs=ECHO,
        )
    yield case(
        "pdata-206a",
        "A pause of 1.5 s between two fragments of a command",
        "PS3.8 9.2: no timer runs in Sta6",
        associate(),
        Send("the first half of a C-ECHO-RQ", p_data(_HALVES[0])),
        pause(1.5),
        ask(
            "the other half",
            p_data(_HALVES[1]),
            ECHOED,
            "abort 0/0",
            why="nothing in the standard limits the time between two PDUs",
        ),
        echo(6),
        needs=ECHO,
        waits=True,
        note="how long a user waits is a local matter: an abort is tolerated, though 1.5 s is little on a slow line.",
    )
    yield case(
        "pdata-206b",
        "A pause of 1.5 s inside a P-DATA-TF",
        "PS3.8 9.1.3, 9.2: no timer runs in Sta6",
        associate(),
        Send("the first 9 bytes of a P-DATA-TF", data[:9]),
        pause(1.5),
        ask("the rest of a C-ECHO-RQ", data[9:], ECHOED, "abort 0/0", why="TCP delivers a stream of bytes"),
        echo(6),
        needs=ECHO,
        waits=True,
        note="how long a user waits is a local matter: an abort is tolerated, though 1.5 s is little on a slow line.",
    )


CASES: tuple[Case, ...] = (
    *_whole(),
    *_split_commands(),
    *_several_in_one_pdu(),
    *_empty(),
    *_odd(),
    *_control_header(),
    *_segments(),
)
