"""Messages that cannot be understood, and must be refused or aborted: cases 102 to 104, 113, and beyond (PS3.7)."""

from collections.abc import Callable, Iterator

from services.conformance.building import (
    DATA,
    NO_DATA,
    STUDY_ROOT_FIND,
    VERIFICATION,
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
    ECHO_RQ,
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
_FIRST_OF_TWO = "its value multiplicity is 1; to take the first of the two numbers is tolerated."


def _unknown_operation() -> Iterator[Case]:
    rule = "0211H, unrecognized operation (PS3.7 Annex C)"
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
            aborted(
                "0/0", "nothing says what was asked, or whom to answer", *((ECHOED,) if letter == "e" else ())
            ),
            echo_if(ECHOED),
            note=_FIRST_OF_TWO if letter == "e" else "",
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
            aborted("0/0", _UNADDRESSED, *((ECHOED,) if letter == "c" else ())),
            echo_if(ECHOED),
            note=_FIRST_OF_TWO if letter == "c" else "",
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
    by_class = "C-STORE-RSP 8 012[01]|C-STORE-RSP 8 C???"
    by_instance = f"C-STORE-RSP 8 0117|{by_class}"
    also = ("C-STORE-RSP 8 01??", "C-STORE-RSP 8 02??", "C-STORE-RSP 8 A9??", "abort 0/0")
    ways: dict[str, tuple[str, Callable[[Target], bytes]]] = {
        "a": ("C-STORE-RQ without an Affected SOP Class UID", lambda t: store_elements(t, sop_class=b"")),
        "b": ("C-STORE-RQ with an empty Affected SOP Class UID", lambda t: _with_empty(t, 0x0002)),
        "c": ("C-STORE-RQ without an Affected SOP Instance UID", lambda t: store_elements(t, instance=b"")),
        "d": ("C-STORE-RQ with an empty Affected SOP Instance UID", lambda t: _with_empty(t, 0x1000)),
    }
    for letter, (title, make) in ways.items():
        other = "or Cxxx" if letter in "ab" else "0117H invalid SOP instance, or Cxxx"
        yield case(
            f"dimse-104{letter}",
            title,
            "PS3.7 9.1.1.1, Annex C",
            associate("echo", "store"),
            ask(
                "it, and its data set",
                _with_data_set(make),
                by_class if letter in "ab" else by_instance,
                *also,
                why=f"it is mandatory: 0120H missing attribute, 0121H missing attribute value, {other}",
            ),
            echo(),
            needs=STORE,
            writes=True,
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
            "C-FIND-RSP 9 012[01]|C-FIND-RSP 9 C???",
            "C-FIND-RSP 9 [0A]???",
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
            Send("a C-ECHO-RQ", echo_message(ECHO_RQ)),
            aborted("0/0", rule, ECHOED),
            needs={"store": STORE, "find": FIND}.get(contexts[-1], ECHO),
            note="the standard names no answer: to drop the response and serve on is tolerated.",
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
    *_unasked(),
    *_overlong(),
)
