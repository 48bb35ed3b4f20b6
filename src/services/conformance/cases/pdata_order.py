"""Which fragment may follow which: cases 93 to 96, and beyond (PS3.8 E.1)."""

from collections.abc import Callable, Iterator

from services.conformance.building import (
    DATA,
    RELEASE_RQ,
    VERIFICATION,
    abort,
    c_cancel_rq,
    c_echo_rq,
    c_find_rq,
    command,
    message,
    p_data,
    pdv,
    ui,
    us,
)
from services.conformance.case import Case, case
from services.conformance.cases.dimse_checks import answers_its_request
from services.conformance.cases.dimse_steps import (
    ECHO,
    ECHO_RQ,
    ECHOED,
    FIND,
    FOUND,
    MAY_BE_KEPT,
    STORE,
    STORED,
    aborted_perhaps_after,
    ask,
    identifier,
    no_instance,
    store_elements,
    store_rq,
)
from services.conformance.steps import (
    REFUSED_CONTEXT,
    Do,
    Expect,
    Send,
    aborted,
    associate,
    echo,
    reconnect,
)
from services.conformance.target import Target

_RULE = "the fragments of a message follow each other on one context, the command first (PS3.8 E.1)"
_CLAUSE = "PS3.8 E.1, 9.2: Evt19 in Sta6, AA-8"
_HALF, _REST = pdv(1, 1, ECHO_RQ[:40]), pdv(1, 3, ECHO_RQ[40:])


def _unexpected(why: str = _RULE) -> Expect:
    return aborted("2/5", why, "abort 0/0")


_SOURCE = (
    "an acceptor whose message layer sits above the provider finds the fault there and aborts as a service user: "
    "0/0 is tolerated."
)


def _another_context() -> Iterator[Case]:
    yield case(
        "pdata-93a",
        "Command that goes on on another context",
        _CLAUSE,
        associate("echo", "store"),
        Send(
            "half a command on context 1 and the rest on context 3",
            p_data(_HALF) + p_data(pdv(3, 3, ECHO_RQ[40:])),
        ),
        _unexpected(),
        needs=STORE,
        note=_SOURCE,
    )
    yield case(
        "pdata-93b",
        "Data set on another context than its command",
        _CLAUSE,
        associate("echo", "store"),
        Send(
            "a C-STORE-RQ on context 3 and its data set on context 1",
            lambda target: p_data(pdv(3, 3, store_rq(target))) + p_data(pdv(1, 2, no_instance(target))),
        ),
        _unexpected(),
        needs=STORE,
        writes=True,
        note=_SOURCE,
    )
    yield case(
        "pdata-93c",
        "Identifier on another context than its command",
        _CLAUSE,
        associate("echo", "find"),
        Send(
            "a C-FIND-RQ on context 5 and its identifier on context 1",
            lambda target: p_data(pdv(5, 3, c_find_rq(9))) + p_data(pdv(1, 2, identifier(target))),
        ),
        _unexpected(),
        needs=FIND,
        note=_SOURCE,
    )
    yield case(
        "pdata-93d",
        "Command that goes on on a context that was refused",
        _CLAUSE,
        associate("echo", "refused"),
        Send("the two halves", p_data(_HALF) + p_data(pdv(REFUSED_CONTEXT, 3, ECHO_RQ[40:]))),
        Expect("abort 2/5|abort 2/6", "abort 2/*", "abort 0/0", why=_RULE),
        note=f"it has two faults: that the context changes and that it was not accepted. {_SOURCE}",
    )
    yield case(
        "pdata-93e",
        "A whole C-ECHO-RQ on one context inside a command on another",
        _CLAUSE,
        associate("echo", "store"),
        Send(
            "half a C-STORE-RQ on context 3, then a C-ECHO-RQ on context 1",
            lambda target: p_data(pdv(3, 1, store_rq(target)[:40])) + p_data(pdv(1, 3, ECHO_RQ)),
        ),
        _unexpected("messages do not overlap, not even on two contexts (PS3.8 E.1)"),
        needs=STORE,
        note=_SOURCE,
    )


def _data_first() -> Iterator[Case]:
    for letter, (title, header, data) in {
        "a": ("Fragment of a data set before any command", 0, b"data"),
        "b": ("Last fragment of a data set before any command", 2, b"data"),
        "c": ("Empty last fragment of a data set before any command", 2, b""),
    }.items():
        yield case(
            f"pdata-94{letter}",
            title,
            _CLAUSE,
            associate(),
            Send("a PDV of a data set", p_data(pdv(1, header, data))),
            _unexpected("a message begins with its command (PS3.8 E.1, E.2)"),
            note=_SOURCE,
        )
    yield case(
        "pdata-94d",
        "Fragment of a data set inside a command",
        _CLAUSE,
        associate(),
        Send("half a command, then a PDV of a data set", p_data(_HALF) + p_data(pdv(1, 2, b"data"))),
        _unexpected("the data set begins after the last fragment of the command (PS3.8 E.1)"),
        note=_SOURCE,
    )


def _command_inside() -> Iterator[Case]:
    rule = "the data set ends before the next command begins (PS3.8 E.1)"
    inside: dict[str, tuple[str, bytes]] = {
        "a": ("C-ECHO-RQ inside a data set", p_data(pdv(1, 3, ECHO_RQ))),
        "b": ("Command on the same context inside a data set", p_data(pdv(3, 3, ECHO_RQ))),
    }
    for letter, (title, data) in inside.items():
        yield case(
            f"pdata-95{letter}",
            title,
            _CLAUSE,
            associate("echo", "store"),
            Send("a C-STORE-RQ with half its data set, then the command", _store_then(data)),
            _unexpected(rule),
            needs=STORE,
            note=_SOURCE,
        )
    yield case(
        "pdata-95c",
        "C-CANCEL-RQ inside an identifier",
        _CLAUSE,
        associate("echo", "find"),
        Send(
            "a C-FIND-RQ with half its identifier, then a C-CANCEL-RQ",
            lambda target: (
                message(5, c_find_rq(9))
                + p_data(pdv(5, 0, identifier(target)[:20]), pdv(5, 3, c_cancel_rq(9)))
            ),
        ),
        _unexpected(rule),
        needs=FIND,
        note=_SOURCE,
    )
    yield case(
        "pdata-95d",
        "C-ECHO-RQ where an announced data set is due",
        _CLAUSE,
        associate("echo", "store"),
        Send(
            "a C-STORE-RQ without its data set, then a C-ECHO-RQ",
            lambda target: message(3, store_rq(target)) + p_data(pdv(1, 3, ECHO_RQ)),
        ),
        _unexpected(rule),
        needs=STORE,
        note=_SOURCE,
    )


def _store_then(data: bytes) -> Callable[[Target], bytes]:
    return lambda target: message(3, store_rq(target)) + p_data(pdv(3, 0, no_instance(target)[:20])) + data


def _announced_or_not() -> Iterator[Case]:
    yield case(
        "pdata-96a",
        "Data set after a C-ECHO-RQ that announces none, in the same P-DATA-TF",
        f"PS3.7 9.3.5, E.1; {_CLAUSE}",
        associate(),
        Send("a C-ECHO-RQ and a data set", p_data(pdv(1, 3, ECHO_RQ), pdv(1, 2, b"data"))),
        _abort_and_answer(),
        needs=ECHO,
        note=f"the C-ECHO-RQ is complete without it and may be answered before or after. {_SOURCE}",
    )
    yield case(
        "pdata-96b",
        "Data set after a C-STORE-RQ that announces none",
        f"PS3.7 9.3.1, E.1; {_CLAUSE}",
        associate("echo", "store"),
        Send(
            "a C-STORE-RQ with Command Data Set Type 0101H, and a data set",
            lambda target: p_data(pdv(3, 3, _store_without_data(target)), pdv(3, 2, no_instance(target))),
        ),
        aborted_perhaps_after("C-STORE-RSP 8 [!0]???|C-STORE-RSP 8 01??", "2/5", _RULE, "abort 0/0"),
        needs=STORE,
        writes=True,
        note=f"the C-STORE-RQ without a data set may be refused before. {_SOURCE}",
    )
    yield case(
        "pdata-96c",
        "Announced data set that comes after 1.5 s",
        "PS3.7 9.3.1, E.1",
        associate("echo", "store"),
        Send("a C-STORE-RQ", lambda target: message(3, store_rq(target))),
        Expect(
            "silence", within=1.5, why="a data set was announced: the message is not complete (PS3.7 E.1)"
        ),
        ask("its data set", lambda target: p_data(pdv(3, 2, no_instance(target))), STORED, why="now it is"),
        echo(),
        needs=STORE,
        writes=True,
        waits=True,
        note=f"{MAY_BE_KEPT} A failure may be sent early (PS3.7 9.1.1), but there is none to know of yet.",
    )
    yield case(
        "pdata-96d",
        "Announced identifier that comes after 1.5 s",
        "PS3.7 9.3.2, E.1",
        associate("echo", "find"),
        Send("a C-FIND-RQ", message(5, c_find_rq(9))),
        Expect(
            "silence", within=1.5, why="an identifier was announced: the message is not complete (PS3.7 E.1)"
        ),
        ask("its identifier", lambda target: p_data(pdv(5, 2, identifier(target))), FOUND, why="now it is"),
        echo(),
        needs=FIND,
        waits=True,
    )
    for letter, value in {"e": 0x0000, "f": 0x0001, "g": 0x0102, "h": 0xFFFF}.items():
        yield case(
            f"pdata-96{letter}",
            f"Command Data Set Type {value:04X}H, and a data set",
            "PS3.7 E.1, 9.3.1: any value but 0101H announces a data set",
            associate("echo", "store"),
            ask(
                "a C-STORE-RQ with its data set",
                _store_with_type(value),
                STORED,
                why="any value but 0101H says that a data set follows (PS3.7 E.1)",
            ),
            echo(),
            needs=STORE,
            writes=True,
            note=MAY_BE_KEPT,
        )
    yield case(
        "pdata-96i",
        "C-ECHO-RQ that announces a data set, and has one",
        "PS3.7 9.3.5, E.1",
        associate(),
        ask(
            "a C-ECHO-RQ with Command Data Set Type 0000H and a data set of 4 bytes",
            message(1, _echo_with_data(), b"data"),
            ECHOED,
            "C-ECHO-RSP 7 01??",
            "C-ECHO-RSP 7 02??",
            "abort 0/0",
            "abort 2/*",
            why="the fragments are in order; that a C-ECHO has no data set is another matter",
        ),
        echo(6),
        needs=ECHO,
        note="PS3.7 9.3.5 gives a C-ECHO no data set, and names no answer to one: to refuse it is tolerated.",
    )


def _abort_and_answer() -> Do:
    return aborted_perhaps_after(ECHOED, "2/5", _RULE, "abort 0/0")


def _store_without_data(target: Target) -> bytes:
    return store_elements(target, data_set_type=0x0101)


def _store_with_type(value: int) -> Callable[[Target], bytes]:
    return lambda target: message(3, store_elements(target, data_set_type=value), no_instance(target))


def _echo_with_data() -> bytes:
    return command(ui(0x0002, VERIFICATION), us(0x0100, 0x0030), us(0x0110, 7), us(0x0800, DATA))


def _unfinished() -> Iterator[Case]:
    yield case(
        "pdata-201",
        "Command set of no bytes at all",
        "PS3.8 E.2; PS3.7 6.3.1",
        associate(),
        Send("one empty PDV, the last of a command", p_data(pdv(1, 3, b""))),
        Expect("abort 0/0", "abort 2/*", why="no Command Field, no Message ID: nothing can be answered"),
    )
    yield case(
        "pdata-202a",
        "A-RELEASE-RQ inside a command",
        "PS3.8 9.2: Evt12 in Sta6, AR-2, AR-4",
        associate(),
        Send("half a C-ECHO-RQ, then an A-RELEASE-RQ", p_data(_HALF) + RELEASE_RQ),
        Expect(
            "release response",
            "abort 0/0",
            "abort 2/*",
            why="the state machine knows no messages: AR-2, AR-4",
        ),
        note="an acceptor may hold that the requestor broke PS3.7 A.5, and abort.",
    )
    yield case(
        "pdata-202b",
        "A-RELEASE-RQ inside a data set",
        "PS3.8 9.2: Evt12 in Sta6, AR-2, AR-4",
        associate("echo", "store"),
        Send("a C-STORE-RQ with half its data set, then an A-RELEASE-RQ", _store_then(RELEASE_RQ)),
        Expect(
            "release response",
            "abort 0/0",
            "abort 2/*",
            why="the state machine knows no messages: AR-2, AR-4",
        ),
        needs=STORE,
        note="an acceptor may hold that the requestor broke PS3.7 A.5, and abort.",
    )
    for letter, (title, data) in {
        "a": ("A-ABORT inside a command", p_data(_HALF) + abort(0, 0)),
        "b": (
            "A-ABORT inside a P-DATA-TF's fragments of a command",
            p_data(_HALF, pdv(1, 1, b"")) + abort(2, 6),
        ),
    }.items():
        yield case(
            f"pdata-203{letter}",
            title,
            "PS3.8 9.2: Evt16 in Sta6, AA-3",
            associate(),
            Send("half a C-ECHO-RQ, then an A-ABORT", data),
            Expect("closed", "reset", why="AA-3 closes the connection and sends nothing"),
        )
    yield case(
        "pdata-207",
        "A second association after one that ended inside a message",
        "PS3.8 E.1",
        associate("echo", "store"),
        Send("a C-STORE-RQ with half its data set, then an A-ABORT", _store_then(abort(0, 0))),
        Expect("closed", "reset", why="AA-3 closes the connection"),
        reconnect(),
        associate(),
        ask("a C-ECHO-RQ", message(1, c_echo_rq(6)), "C-ECHO-RSP 6 0000", why="nothing is left of the first"),
        needs=STORE,
    )
    yield case(
        "pdata-208",
        "Two messages one after the other, the first with an empty fragment at its end",
        "PS3.8 E.1, E.2",
        associate(),
        Send("a C-ECHO-RQ that ends with an empty PDV", p_data(pdv(1, 1, ECHO_RQ)) + p_data(pdv(1, 3, b""))),
        Expect(ECHOED, why="the empty PDV ends the message", check=answers_its_request),
        ask(
            "a second C-ECHO-RQ", message(1, c_echo_rq(8)), "C-ECHO-RSP 8 0000", why="and belongs to no other"
        ),
        needs=ECHO,
    )


CASES: tuple[Case, ...] = (
    *_another_context(),
    *_data_first(),
    *_command_inside(),
    *_announced_or_not(),
    *_unfinished(),
)
