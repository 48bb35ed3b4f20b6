"""Messages that must be refused or aborted: cases 102 to 107, 113, and beyond (PS3.7 9.1, 10.1, Annex C)."""

from collections.abc import Callable, Iterator

from services.conformance.building import (
    CT_IMAGE,
    DATA,
    NO_DATA,
    STUDY_ROOT_FIND,
    VERIFICATION,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    command,
    element,
    message,
    response,
    ui,
    us,
)
from services.conformance.case import Case, case
from services.conformance.cases.dimse_steps import (
    ECHO,
    ECHOED,
    FIND,
    STORE,
    ask,
    echo_if,
    echo_message,
    identifier,
    no_instance,
    store_elements,
)
from services.conformance.steps import Bytes, Expect, Send, aborted, associate, echo
from services.conformance.target import Target

_CLASS, _FIELD, _ID, _TYPE = ui(0x0002, VERIFICATION), us(0x0100, 0x0030), us(0x0110, 7), us(0x0800, NO_DATA)
_UNADDRESSED = "without a Message ID no answer can be addressed (PS3.7 9.3)"
_ABORTS = (
    "an acceptor that cannot read the message may abort instead (PS3.7 Annex C does not require the answer)."
)
PATIENT_ROOT_FIND = b"1.2.840.10008.5.1.4.1.2.1.1"


def _unknown_operation() -> Iterator[Case]:
    rule = "0211H, unrecognized operation (PS3.7 C.5.20)"
    yield case(
        "dimse-102a",
        "Unknown Command Field 0FFEH",
        "PS3.7 Annex C, E.1",
        associate(),
        ask(
            "a request with Command Field 0FFEH and Message ID 5",
            echo_message(command(_CLASS, us(0x0100, 0x0FFE), us(0x0110, 5), _TYPE)),
            "8FFEH 5 0211",
            "abort 0/0",
            why=rule,
        ),
        echo(),
        needs=ECHO,
        note=_ABORTS,
    )
    yield case(
        "dimse-102b",
        "Unknown Command Field 0FFEH, with a data set",
        "PS3.7 Annex C, E.1",
        associate("echo", "store"),
        ask(
            "a request with Command Field 0FFEH, Message ID 5 and a data set in two fragments",
            lambda target: message(
                3,
                command(
                    ui(0x0002, target.storage_class), us(0x0100, 0x0FFE), us(0x0110, 5), us(0x0800, DATA)
                ),
                b"data",
                b"more",
            ),
            "8FFEH 5 0211",
            "abort 0/0",
            why=f"{rule}; the data set is passed over",
        ),
        echo(),
        needs=STORE,
        note=_ABORTS,
    )
    for letter, (title, elements) in {
        "c": ("Unknown Command Field without a Message ID", (_CLASS, us(0x0100, 0x0FFE), _TYPE)),
        "d": ("Command set without a Command Field", (_CLASS, _ID, _TYPE)),
        "e": ("Command Field of 4 bytes", (_CLASS, element(0x0100, b"\x30\0\0\0"), _ID, _TYPE)),
        "f": ("Command Field without a value", (_CLASS, element(0x0100, b""), _ID, _TYPE)),
        "g": (
            "Unknown Command Field 8FFEH, a response",
            (_CLASS, us(0x0100, 0x8FFE), us(0x0120, 7), _TYPE, us(0x0900, 0)),
        ),
        "h": ("Command Field FFFFH", (_CLASS, us(0x0100, 0xFFFF), _ID, _TYPE)),
    }.items():
        yield case(
            f"dimse-102{letter}",
            title,
            "PS3.7 9.3, Annex C, E.1",
            associate(),
            Send("the command", echo_message(command(*elements))),
            aborted("0/0", "nothing says what was asked, or whom to answer"),
        )
    yield case(
        "dimse-102i",
        "Command Field 0000H",
        "PS3.7 Annex C, E.1",
        associate(),
        ask(
            "a request with Command Field 0000H and Message ID 5",
            echo_message(command(_CLASS, us(0x0100, 0), us(0x0110, 5), _TYPE)),
            "8000H 5 0211",
            "abort 0/0",
            why=rule,
        ),
        echo(),
        needs=ECHO,
        note=_ABORTS,
    )


def _without_message_id() -> Iterator[Case]:
    ways: dict[str, tuple[str, Bytes]] = {
        "a": ("C-ECHO-RQ without a Message ID", echo_message(command(_CLASS, _FIELD, _TYPE))),
        "b": (
            "C-ECHO-RQ with a Message ID of 0 bytes",
            echo_message(command(_CLASS, _FIELD, element(0x0110, b""), _TYPE)),
        ),
        "c": (
            "C-ECHO-RQ with a Message ID of 4 bytes",
            echo_message(command(_CLASS, _FIELD, element(0x0110, b"\7\0\0\0"), _TYPE)),
        ),
        "d": (
            "C-ECHO-RQ with Message ID Being Responded To instead of Message ID",
            echo_message(command(_CLASS, _FIELD, us(0x0120, 7), _TYPE)),
        ),
    }
    for letter, (title, data) in ways.items():
        yield case(
            f"dimse-103{letter}",
            title,
            "PS3.7 9.3",
            associate(),
            Send("it", data),
            aborted("0/0", _UNADDRESSED),
        )
    yield case(
        "dimse-103e",
        "C-STORE-RQ without a Message ID",
        "PS3.7 9.3",
        associate("echo", "store"),
        Send(
            "it, and its data set",
            lambda target: message(3, store_elements(target, message_id=None), no_instance(target)),
        ),
        aborted("0/0", _UNADDRESSED),
        needs=STORE,
    )
    yield case(
        "dimse-206",
        "C-ECHO-RQ without a Command Data Set Type",
        "PS3.7 9.3, E.1",
        associate(),
        Send("it", echo_message(command(_CLASS, _FIELD, _ID))),
        Expect(
            "abort 0/0",
            "abort 0/*",
            ECHOED,
            why="nothing says whether a data set follows, so that where the message ends is not known (PS3.7 E.1)",
        ),
        echo_if(ECHOED),
        needs=ECHO,
        note="a C-ECHO never has a data set: to answer is tolerated.",
    )


def _missing_uids() -> Iterator[Case]:
    refused = "C-STORE-RSP 8 012[01]|C-STORE-RSP 8 [Cc]???"
    also = ("C-STORE-RSP 8 01??", "C-STORE-RSP 8 02??", "C-STORE-RSP 8 A9??", "abort 0/0")
    ways: dict[str, tuple[str, Callable[[Target], bytes]]] = {
        "a": ("C-STORE-RQ without an Affected SOP Class UID", lambda t: store_elements(t, sop_class=b"")),
        "b": ("C-STORE-RQ with an empty Affected SOP Class UID", lambda t: _with_empty(t, 0x0002)),
        "c": ("C-STORE-RQ without an Affected SOP Instance UID", lambda t: store_elements(t, instance=b"")),
        "d": ("C-STORE-RQ with an empty Affected SOP Instance UID", lambda t: _with_empty(t, 0x1000)),
    }
    for letter, (title, make) in ways.items():
        yield case(
            f"dimse-104{letter}",
            title,
            "PS3.7 9.1.1.1, Annex C",
            associate("echo", "store"),
            ask(
                "it, and its data set",
                _with_data_set(make),
                refused,
                *also,
                why="it is mandatory: 0120H missing attribute, 0121H missing attribute value, or Cxxx",
            ),
            echo(),
            needs=STORE,
            note=_ABORTS,
        )
    yield case(
        "dimse-104e",
        "C-ECHO-RQ without an Affected SOP Class UID",
        "PS3.7 9.1.5.1, Annex C",
        associate(),
        ask(
            "it",
            echo_message(command(_FIELD, _ID, _TYPE)),
            "C-ECHO-RSP 7 012[01]",
            "C-ECHO-RSP 7 01??",
            "C-ECHO-RSP 7 02??",
            ECHOED,
            "abort 0/0",
            why="it is mandatory: 0120H missing attribute",
        ),
        echo(6),
        needs=ECHO,
        note="the context leaves no doubt which class is meant: to answer with success is tolerated.",
    )
    yield case(
        "dimse-104f",
        "C-FIND-RQ without an Affected SOP Class UID",
        "PS3.7 9.1.2.1, Annex C",
        associate("echo", "find"),
        ask(
            "it, and its identifier",
            lambda target: message(
                5,
                command(us(0x0100, 0x0020), us(0x0110, 9), us(0x0700, 0), us(0x0800, DATA)),
                identifier(target),
            ),
            "C-FIND-RSP 9 012[01]|C-FIND-RSP 9 [Cc]???",
            "C-FIND-RSP 9 [0Aa]???",
            "abort 0/0",
            why="it is mandatory: 0120H missing attribute",
        ),
        echo(),
        needs=FIND,
        note="the context leaves no doubt which class is meant: to answer with success is tolerated.",
    )


def _with_empty(target: Target, number: int) -> bytes:
    """A C-STORE-RQ in which one UID has no value."""
    if number == 0x0002:
        return command(element(0x0002, b""), store_elements(target, sop_class=b"")[12:])
    return store_elements(target, instance=b"", further=(element(0x1000, b""),))


def _with_data_set(make: Callable[[Target], bytes]) -> Callable[[Target], bytes]:
    return lambda target: message(3, make(target), no_instance(target))


def _another_class() -> Iterator[Case]:
    rule = "0122H, SOP class not supported: on a context goes the SOP class that was negotiated for it"
    yield case(
        "dimse-105a",
        "C-ECHO-RQ with another SOP class than the context's",
        "PS3.7 9.1.5.1, Annex C; PS3.8 7.1.1.13",
        associate(),
        ask(
            "a C-ECHO-RQ for CT Image Storage on the context for Verification",
            echo_message(c_echo_rq(7, CT_IMAGE)),
            "C-ECHO-RSP 7 0122",
            "C-ECHO-RSP 7 01??",
            "C-ECHO-RSP 7 0211",
            "abort 0/0",
            why=rule,
        ),
        echo(6),
        needs=ECHO,
    )
    yield case(
        "dimse-105b",
        "C-STORE-RQ with another SOP class than the context's",
        "PS3.7 9.1.1.1, Annex C; PS3.4 B.2.3",
        associate("echo", "store"),
        ask(
            "a C-STORE-RQ for Verification on a context for storage, and its data set in two fragments",
            lambda t: message(3, c_store_rq(8, VERIFICATION, t.uid(8)), *_in_two(no_instance(t))),
            "C-STORE-RSP 8 0122",
            "C-STORE-RSP 8 A9??",
            "C-STORE-RSP 8 [Cc]???",
            "C-STORE-RSP 8 01??",
            "abort 0/0",
            why=rule,
        ),
        echo(),
        needs=STORE,
    )
    yield case(
        "dimse-105c",
        "C-FIND-RQ with another SOP class than the context's",
        "PS3.7 9.1.2.1, Annex C",
        associate("echo", "find"),
        ask(
            "a C-FIND-RQ for Patient Root on the context for Study Root, and its identifier",
            lambda t: message(5, c_find_rq(9, PATIENT_ROOT_FIND), identifier(t)),
            "C-FIND-RSP 9 0122",
            "C-FIND-RSP 9 A9??",
            "C-FIND-RSP 9 [Cc]???",
            "C-FIND-RSP 9 01??",
            "abort 0/0",
            why=rule,
        ),
        echo(),
        needs=FIND,
    )


def _in_two(data: bytes) -> tuple[bytes, bytes]:
    return data[:20], data[20:]


def _another_service() -> Iterator[Case]:
    rule = "0211H, unrecognized operation: the SOP class has no such operation (PS3.7 Annex C)"
    ways: dict[str, tuple[str, str, Bytes, str]] = {
        "a": ("C-FIND-RQ on a context for storage", "store", _on_store(0x0020), "C-FIND-RSP 9"),
        "b": ("C-MOVE-RQ on a context for storage", "store", _on_store(0x0021), "C-MOVE-RSP 9"),
        "c": ("C-GET-RQ on a context for storage", "store", _on_store(0x0010), "C-GET-RSP 9"),
        "d": ("C-ECHO-RQ on a context for storage", "store", _on_store(0x0030), "C-ECHO-RSP 9"),
        "e": ("C-STORE-RQ on the context for Verification", "echo", _on_echo(0x0001), "C-STORE-RSP 9"),
        "f": ("C-FIND-RQ on the context for Verification", "echo", _on_echo(0x0020), "C-FIND-RSP 9"),
        "g": ("C-STORE-RQ on a context for C-FIND", "find", _on_find(0x0001), "C-STORE-RSP 9"),
        "h": ("C-MOVE-RQ on a context for C-FIND", "find", _on_find(0x0021), "C-MOVE-RSP 9"),
    }
    needs = {"echo": ECHO, "store": STORE, "find": FIND}
    for letter, (title, where, data, answer) in ways.items():
        yield case(
            f"dimse-106{letter}",
            title,
            "PS3.7 Annex C; PS3.4 A.4, B.3, C.4",
            associate("echo", where) if where != "echo" else associate(),
            ask("it", data, f"{answer} 0211", f"{answer} 01??", f"{answer} [ACac]???", "abort 0/0", why=rule),
            echo(),
            needs=needs[where],
            note="it is refused: with which status, or by an abort, is tolerated.",
        )


def _request(field: int, sop_class: bytes, instance: bytes) -> bytes:
    return command(
        ui(0x0002, sop_class),
        us(0x0100, field),
        us(0x0110, 9),
        *([element(0x0600, b"NOWHERE ")] if field == 0x0021 else []),
        *([us(0x0700, 0)] if field != 0x0030 else []),
        us(0x0800, NO_DATA if field == 0x0030 else DATA),
        *([ui(0x1000, instance)] if field == 0x0001 else []),
    )


def _on_store(field: int) -> Callable[[Target], bytes]:
    def make(target: Target) -> bytes:
        request = _request(field, target.storage_class, target.uid(8))
        return message(3, request, *(() if field == 0x0030 else (identifier(target),)))

    return make


def _on_echo(field: int) -> Callable[[Target], bytes]:
    return lambda t: message(1, _request(field, VERIFICATION, t.uid(8)), identifier(t))


def _on_find(field: int) -> Callable[[Target], bytes]:
    return lambda t: message(5, _request(field, STUDY_ROOT_FIND, t.uid(8)), identifier(t))


def _n_services() -> Iterator[Case]:
    rule = "0211H, unrecognized operation: Verification has C-ECHO and nothing else (PS3.4 A.4)"
    requested = (ui(0x0003, VERIFICATION),)
    instance = ui(0x1001, b"2.25.7")
    ways: dict[str, tuple[int, str, tuple[bytes, ...], tuple[bytes, ...], bool]] = {
        "a": (0x0110, "N-GET", requested, (instance,), False),
        "b": (0x0120, "N-SET", requested, (instance,), True),
        "c": (0x0130, "N-ACTION", requested, (instance, us(0x1008, 1)), False),
        "d": (0x0140, "N-CREATE", (_CLASS,), (ui(0x1000, b"2.25.7"),), False),
        "e": (0x0150, "N-DELETE", requested, (instance,), False),
        "f": (0x0100, "N-EVENT-REPORT", (_CLASS,), (ui(0x1000, b"2.25.7"), us(0x1002, 1)), False),
    }
    for letter, (field, name, first, last, has_data) in ways.items():
        number = us(0x0800, DATA if has_data else NO_DATA)
        request = command(*first, us(0x0100, field), us(0x0110, 5), number, *last)
        yield case(
            f"dimse-107{letter}",
            f"{name}-RQ on the context for Verification",
            "PS3.7 10.1, Annex C; PS3.4 A.4",
            associate(),
            ask(
                "it",
                echo_message(request, *((element(0x0010, b"NOBODY", group=0x0010),) if has_data else ())),
                f"{name}-RSP 5 0211",
                f"{name}-RSP 5 01??",
                "abort 0/0",
                why=rule,
            ),
            echo(),
            needs=ECHO,
            note="it is refused: with which status, or by an abort, is tolerated.",
        )


def _unasked() -> Iterator[Case]:
    rule = "a response answers a request, and there was none (PS3.7 9.3)"
    ways: dict[str, tuple[str, tuple[str, ...], Bytes]] = {
        "a": (
            "C-ECHO-RSP that nobody asked for",
            ("echo",),
            message(1, response(0x8030, 7, sop_class=VERIFICATION)),
        ),
        "b": (
            "C-STORE-RSP that nobody asked for",
            ("echo", "store"),
            lambda t: message(3, response(0x8001, 1, sop_class=t.storage_class)),
        ),
        "c": (
            "C-STORE-RSP that nobody asked for, on the context for Verification",
            ("echo",),
            message(1, response(0x8001, 1)),
        ),
        "d": (
            "Pending C-FIND-RSP with an identifier, that nobody asked for",
            ("echo", "find"),
            lambda t: message(
                5, response(0x8020, 1, 0xFF00, sop_class=STUDY_ROOT_FIND, data_set=DATA), identifier(t)
            ),
        ),
        "e": (
            "N-EVENT-REPORT-RSP that nobody asked for",
            ("echo",),
            message(1, response(0x8100, 1, sop_class=VERIFICATION)),
        ),
    }
    for letter, (title, contexts, data) in ways.items():
        yield case(
            f"dimse-113{letter}",
            title,
            "PS3.7 9.3",
            associate(*contexts),
            Send("it", data),
            aborted("0/0", rule),
            needs={"store": STORE, "find": FIND}.get(contexts[-1], ECHO),
        )


def _overlong() -> Iterator[Case]:
    for letter, (title, uid) in {
        "a": ("Affected SOP Class UID of 66 characters", b"1.2.840." + b"9" * 58),
        "b": ("Affected SOP Class UID that is no UID", b"../../etc/passwd"),
        "c": ("Affected SOP Class UID with control characters", b"1.2\r\n\x1b[2J\0\xff."),
    }.items():
        yield case(
            f"dimse-207{letter}",
            f"{title} in a C-ECHO-RQ",
            "PS3.7 Annex C; PS3.5 9.1",
            associate(),
            ask(
                "it",
                echo_message(command(element(0x0002, uid + b"\0" * (len(uid) % 2)), _FIELD, _ID, _TYPE)),
                "C-ECHO-RSP 7 0122|C-ECHO-RSP 7 0106",
                "C-ECHO-RSP 7 01??",
                "C-ECHO-RSP 7 02??",
                "abort 0/0",
                why="0122H, SOP class not supported, or 0106H, invalid attribute value",
            ),
            echo(6),
            needs=ECHO,
        )


CASES: tuple[Case, ...] = (
    *_unknown_operation(),
    *_without_message_id(),
    *_missing_uids(),
    *_another_class(),
    *_another_service(),
    *_n_services(),
    *_unasked(),
    *_overlong(),
)
