"""How a command set is laid out: cases 98 to 101, 115, 116, and beyond (PS3.7 6.3.1)."""

import struct
from collections.abc import Iterator

from services.conformance.associate_bytes import answered
from services.conformance.building import (
    CT_IMAGE,
    EXPLICIT,
    NO_DATA,
    VERIFICATION,
    command,
    context,
    element,
    p_data,
    ui,
    us,
)
from services.conformance.case import Case, case
from services.conformance.cases.dimse_checks import all_rules_and, padded_with_nul
from services.conformance.cases.dimse_steps import (
    ECHO,
    ECHO_RQ,
    ECHOED,
    STORE,
    STORED,
    ask,
    echo_if,
    echo_message,
    in_pieces,
    long_echo_rq,
    served,
    store_message,
)
from services.conformance.conversation import Conversation
from services.conformance.steps import ECHO_CONTEXT, Do, Expect, Send, aborted, associate, echo

_ELEMENTS = (
    ui(0x0002, VERIFICATION),
    us(0x0100, 0x0030),
    us(0x0110, 7),
    us(0x0800, NO_DATA),
)
_CLASS, _FIELD, _ID, _TYPE = _ELEMENTS
_UNREADABLE = "a command set that cannot be read names nothing that could be answered (PS3.7 6.3.1)"

# -- 98: other encodings


def _explicit(number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 0, number, vr, len(value)) + value


def _big_endian(number: int, value: bytes) -> bytes:
    return struct.pack(">HHI", 0, number, len(value)) + value


_EXPLICIT_ECHO = (
    _explicit(0x0000, b"UL", struct.pack("<I", 56))
    + _explicit(0x0002, b"UI", VERIFICATION + b"\0")
    + _explicit(0x0100, b"US", b"\x30\0")
    + _explicit(0x0110, b"US", b"\7\0")
    + _explicit(0x0800, b"US", b"\1\1")
)
_BIG_ENDIAN_ECHO = (
    _big_endian(0x0000, struct.pack(">I", 56))
    + _big_endian(0x0002, VERIFICATION + b"\0")
    + _big_endian(0x0100, b"\0\x30")
    + _big_endian(0x0110, b"\0\7")
    + _big_endian(0x0800, b"\1\1")
)


def _unreadable() -> Iterator[Case]:
    ways = {
        "98a": ("Command set in Explicit VR Little Endian", _EXPLICIT_ECHO),
        "98b": ("Command set in big endian", _BIG_ENDIAN_ECHO),
        "98e": ("Command set of 64 bytes FFH", b"\xff" * 64),
        "98f": ("Command set of text", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n "),
        "98g": (
            "Command set whose last element is longer than what is left",
            ECHO_RQ + struct.pack("<HHI", 0, 0x5110, 100),
        ),
        "98h": (
            "Command set with an element of length FFFFFFFFH",
            ECHO_RQ + struct.pack("<HHI", 0, 0x5110, 0xFFFFFFFF),
        ),
        "98i": ("Command set that ends inside the header of an element", ECHO_RQ + b"\0\0\x10\x51"),
        "98j": (
            "Command set with an element of group 0008",
            command(*_ELEMENTS, element(0x0005, b"ISO_IR 100", group=8)),
        ),
    }
    for number, (title, data) in ways.items():
        yield case(
            f"dimse-{number}",
            title,
            "PS3.7 6.3.1",
            associate(),
            Send("it as a command", echo_message(data)),
            Expect("abort 0/0", "abort 0/*", *_still_served(number), why=_UNREADABLE),
            echo_if(ECHOED),
            note=_NOTES.get(number, ""),
        )


def _still_served(number: str) -> tuple[str, ...]:
    return (ECHOED,) if number in _NOTES else ()


_NOTES = {
    number: "what a C-ECHO needs was read before the fault; to answer is tolerated, since nothing in it was guessed."
    for number in ("98g", "98h", "98i", "98j")
}


def _explicit_context() -> Iterator[Case]:
    propose = (
        Send(
            "an A-ASSOCIATE-RQ for Verification in Explicit VR Little Endian",
            lambda target: target.proposing(context(ECHO_CONTEXT, VERIFICATION, EXPLICIT)),
        ),
        Expect("accept", why="nothing in the request gives a reason to refuse it"),
        Do("goes on only where the context was accepted", _only_if_accepted),
    )
    yield case(
        "dimse-98c",
        "Command set in Implicit VR on a context in Explicit VR",
        "PS3.7 6.3.1",
        propose,
        ask(
            "a C-ECHO-RQ",
            echo_message(ECHO_RQ),
            ECHOED,
            why="command sets are in Implicit VR Little Endian whatever the context's transfer syntax is",
        ),
        echo(6),
        needs=ECHO,
    )
    yield case(
        "dimse-98d",
        "Command set in Explicit VR on a context in Explicit VR",
        "PS3.7 6.3.1",
        propose,
        Send("a C-ECHO-RQ in Explicit VR Little Endian", echo_message(_EXPLICIT_ECHO)),
        aborted(
            "0/0", "command sets are in Implicit VR Little Endian whatever the context's transfer syntax is"
        ),
        needs=ECHO,
    )


async def _only_if_accepted(conversation: Conversation) -> None:
    if not any(each.id == ECHO_CONTEXT and each.result == 0 for each in answered(conversation).contexts):
        conversation.not_applicable("the peer takes no Explicit VR Little Endian for Verification")


# -- 99: group length


def _group_length() -> Iterator[Case]:
    rule = "the group length says nothing that the elements do not say: they can be read without it"
    elements = b"".join(_ELEMENTS)
    right = len(elements)
    ways = {
        "a": ("Command set without a group length", elements),
        **{
            letter: (
                f"Command set with a group length {what}",
                element(0, struct.pack("<I", value)) + elements,
            )
            for letter, (what, value) in {
                "b": ("of 0", 0),
                "c": ("2 too small", right - 2),
                "d": ("2 too large", right + 2),
                "e": ("of 99999", 99999),
                "f": ("of FFFFFFFFH", 0xFFFFFFFF),
            }.items()
        },
        "g": ("Command set with a group length of 2 bytes", element(0, struct.pack("<H", right)) + elements),
    }
    for letter, (title, data) in ways.items():
        yield case(
            f"dimse-99{letter}",
            title,
            "PS3.7 6.3.1, E.1",
            associate(),
            ask("a C-ECHO-RQ", echo_message(data), ECHOED, "abort 0/0", "abort 2/*", why=rule),
            echo(6),
            needs=ECHO,
            note="the standard requires a right one of the sender; a receiver that aborts is within its rights.",
        )


# -- 100: order


def _order() -> Iterator[Case]:
    strict = "abort 0/0|C-ECHO-RSP 7 0212|C-ECHO-RSP 8 0212"
    rule = "elements are in ascending order, each once (PS3.7 6.3.1)"
    lenient = "nothing in it is ambiguous: a receiver that sorts the elements is tolerated."
    strictly = "a receiver that picks one of two different values answers a question nobody asked."
    ways: dict[str, tuple[str, bytes, tuple[str, ...], str]] = {
        "a": ("Elements in descending order", command(*_ELEMENTS[::-1]), (ECHOED,), lenient),
        "b": ("Message ID before the Command Field", command(_CLASS, _ID, _FIELD, _TYPE), (ECHOED,), lenient),
        "c": ("The same element twice, with the same value", command(_CLASS, *_ELEMENTS), (ECHOED,), lenient),
        "d": (
            "Two Affected SOP Class UIDs, the wrong one first",
            command(ui(0x0002, CT_IMAGE), *_ELEMENTS),
            ("C-ECHO-RSP 7 0122",),
            strictly,
        ),
        "e": (
            "Two Affected SOP Class UIDs, the wrong one last",
            command(_CLASS, ui(0x0002, CT_IMAGE), *_ELEMENTS[1:]),
            ("C-ECHO-RSP 7 0122",),
            strictly,
        ),
        "f": ("Two Message IDs", command(_CLASS, _FIELD, _ID, us(0x0110, 8), _TYPE), (), strictly),
        "g": ("Two Command Fields", command(_CLASS, us(0x0100, 0x0020), *_ELEMENTS[1:]), (), strictly),
    }
    for letter, (title, data, tolerated, note) in ways.items():
        yield case(
            f"dimse-100{letter}",
            title,
            "PS3.7 6.3.1",
            associate(),
            Send("a C-ECHO-RQ like that", echo_message(data)),
            Expect(strict, "abort 0/*", *tolerated, why=rule),
            echo_if("C-ECHO-RSP *"),
            needs=ECHO,
            note=note,
        )


# -- 101: elements nobody asked for


def _unknown_elements() -> Iterator[Case]:
    retired = {
        0x0001: b"\0\0\0\0",
        0x0010: b"ACR-NEMA 2.0",
        0x0200: b"INITIATOR ",
        0x0300: b"RECEIVER",
        0x4000: b"DIALOG",
        0x5010: b"MESSAGE ",
        0x5110: b"DISPLAY ",
    }
    of_others = {
        0x0600: b"DESTINATION ",
        0x0700: b"\0\0",
        0x0900: b"\0\0",
        0x0902: b"COMMENT ",
        0x1000: b"2.25.7",
        0x1021: b"\0\0",
        0x1031: b"\1\0",
    }
    ways = {
        "a": ("Unknown elements of group 0000", {0x0003: b"2.25.7", 0x0105: b"what", 0x7FFF: b"ever"}),
        "b": ("Retired elements", retired),
        "c": ("Elements of other messages: Move Destination, Priority, Status and more", of_others),
        "d": ("An unknown element of 8192 bytes", {0x6666: b" " * 8192}),
        "e": ("An unknown element without a value", {0x6666: b""}),
        "f": ("Forty unknown elements", {0x6000 + n: b"  " for n in range(40)}),
    }
    for letter, (title, further) in ways.items():
        known = {0x0002: _CLASS, 0x0100: _FIELD, 0x0110: _ID, 0x0800: _TYPE}
        all_of_them = known | {number: element(number, value) for number, value in further.items()}
        data = command(*(all_of_them[number] for number in sorted(all_of_them)))
        yield case(
            f"dimse-101{letter}",
            f"{title} in a C-ECHO-RQ",
            "PS3.7 6.3.1, 9.3.5",
            served("a C-ECHO-RQ with them", echo_message(data), "what a message does not have is ignored"),
            needs=ECHO,
        )


# -- 115: padding of UIDs


def _padding() -> Iterator[Case]:
    ways = {
        "a": ("UID padded with one NUL", VERIFICATION + b"\0"),
        "b": ("UID padded with a space", VERIFICATION + b" "),
        "c": ("UID padded with three NULs", VERIFICATION + b"\0\0\0"),
    }
    for letter, (title, uid) in ways.items():
        data = command(element(0x0002, uid), *_ELEMENTS[1:])
        yield case(
            f"dimse-115{letter}",
            f"{title} in a C-ECHO-RQ",
            "PS3.5 6.2, 9.1",
            served(
                "a C-ECHO-RQ",
                echo_message(data),
                "padding is no part of the UID",
                *(("C-ECHO-RSP 7 0122", "C-ECHO-RSP 7 0106", "abort 0/0") if letter != "a" else ()),
            ),
            needs=ECHO,
            note=""
            if letter == "a"
            else "the sender is wrong; to take it nevertheless is robust, to refuse it is correct.",
        )
    yield case(
        "dimse-115d",
        "The peer pads its own UIDs with NUL, in a C-ECHO-RSP",
        "PS3.5 6.2, 9.1",
        associate(),
        ask("a C-ECHO-RQ", echo_message(ECHO_RQ), ECHOED, check=all_rules_and(padded_with_nul)),
        needs=ECHO,
    )
    yield case(
        "dimse-115e",
        "The peer pads its own UIDs with NUL, in a C-STORE-RSP",
        "PS3.5 6.2, 9.1",
        associate("echo", "store"),
        ask("a C-STORE-RQ", store_message(), STORED, check=all_rules_and(padded_with_nul)),
        echo(),
        needs=STORE,
        writes=True,
    )


# -- 116: size


def _size() -> Iterator[Case]:
    note = "the standard sets no limit; to answer it is tolerated, to keep what never ends is not."
    yield case(
        "dimse-116a",
        "Command set of 1 MiB",
        "PS3.7 6.3.1; a local limit",
        associate(),
        Send("a C-ECHO-RQ with an element that fills 1 MiB, in fragments of 16 KiB", _large(1 << 20)),
        Expect("abort 0/0", "abort 0/*", "abort 2/*", ECHOED, why="no command set is that long"),
        echo_if(ECHOED),
        needs=ECHO,
        note=note,
    )
    yield case(
        "dimse-116b",
        "Command set of 16 KiB",
        "PS3.7 6.3.1",
        served(
            "a C-ECHO-RQ with an element that fills 16 KiB, in fragments of 4 KiB",
            _large(16384, 4096),
            "an unknown element is ignored, and this one is not unreasonable",
            "abort 0/0",
        ),
        needs=ECHO,
    )


def _large(length: int, piece: int = 16000) -> bytes:
    return b"".join(map(p_data, in_pieces(ECHO_CONTEXT, 1, long_echo_rq(length), piece)))


CASES: tuple[Case, ...] = (
    *_unreadable(),
    *_explicit_context(),
    *_group_length(),
    *_order(),
    *_unknown_elements(),
    *_padding(),
    *_size(),
)
