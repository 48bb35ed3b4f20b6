"""The cases of `tests/properties/test_bad_input.py` about negotiation: 38 to 82. See `bad_input`."""

import struct
from collections.abc import Callable

from bad_input import ECHO, ECHOED, FIND, FOUND, Case, Stage
from raw_bytes import (
    CT_IMAGE,
    EXPLICIT,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    STUDY_ROOT_FIND,
    VERIFICATION,
    RawPDU,
    a_associate_rq,
    application_context,
    context,
    item,
    items_of,
    maximum_length,
    proposing,
    role,
    user_identity,
    user_information,
    window,
)

DEFAULT_CONTEXT = context(1, VERIFICATION, IMPLICIT)


def _rejected(number: int, what: str, data: bytes, answer: str, **more: object) -> Case:
    return Case(number, what, (data,), (f"reject {answer}",), "closing", **more)  # type: ignore[arg-type]


def _invalid(number: int, what: str, *items: bytes) -> Case:
    return Case(number, what, (a_associate_rq(*items),), ("abort 0/0",), "closing")


def _accepted(number: int, what: str, data: bytes, answer: str = "1=implicit", **more: object) -> Case:
    """Accepted, and Verification on context 1 works."""
    return Case(number, what, (data, ECHO), (f"accept {answer}", ECHOED), **more)  # type: ignore[arg-type]


def _negotiated(number: int, what: str, data: bytes, answer: str, **more: object) -> Case:
    """Accepted, whatever was accepted."""
    return Case(number, what, (data,), (f"accept {answer}",), **more)  # type: ignore[arg-type]


def _with_user_data(number: int, what: str, *sub_items: bytes, answer: str = "") -> Case:
    return _accepted(
        number, what, proposing(DEFAULT_CONTEXT, sub_items=sub_items), f"1=implicit {answer}".rstrip()
    )


def _with_maximum(value: int) -> bytes:
    user_data = user_information(maximum_length(value), IMPLEMENTATION_CLASS)
    contexts = DEFAULT_CONTEXT + context(5, STUDY_ROOT_FIND, IMPLICIT)
    return a_associate_rq(application_context(), contexts, user_data)


def _refused_contexts_carry_a_syntax(_: Stage, sent: list[RawPDU]) -> None:
    contexts = [value for kind, value in items_of(sent[0].body[68:]) if kind == 0x21]
    assert [value[0] for value in contexts] == [1, 3]
    for value in contexts:
        assert [kind for kind, _ in items_of(value[4:])] == [0x40]


def _longest_is(limit: int) -> Callable[[Stage, list[RawPDU]], None]:
    def check(_: Stage, sent: list[RawPDU]) -> None:
        longest = max(len(each.body) for each in sent if each.kind == 4)
        assert longest <= limit
        assert longest > limit - 2 or limit > 1024, "fragments smaller than they must be"

    return check


_ODD_IDS = range(1, 256, 2)
_LONG_UID = b"1.2." + b"3" * 61
_CALLED = {
    b"SERVER\0\1": "a control character",
    b"SER\0VER": "a NUL inside",
    b"SER\\VER": "a backslash",
    "SERVÉR".encode("latin-1"): "a letter that is not ASCII",
    b"SERV\nER": "a line end",
}

NEGOTIATION = [
    _accepted(38, "protocol version 1", a_associate_rq(version=1)),
    _accepted(39, "protocol version bits 0 and 1", a_associate_rq(version=3)),
    *(_rejected(40, f"protocol version {v}", a_associate_rq(version=v), "1/2/2") for v in (0, 2, 0xFFFE)),
    _rejected(
        41,
        "another application context",
        a_associate_rq(application_context(b"1.2.840.10008.3.1.1.2"), DEFAULT_CONTEXT, user_information()),
        "1/1/2",
    ),
    _invalid(42, "no application context", DEFAULT_CONTEXT, user_information()),
    _invalid(
        42, "two of them", application_context(), application_context(), DEFAULT_CONTEXT, user_information()
    ),
    _rejected(43, "another called title", a_associate_rq(called=b"OTHER"), "1/1/7"),
    _rejected(44, "an unknown caller", a_associate_rq(calling=b"STRANGER"), "1/1/3", allowed=("TESTER",)),
    _accepted(45, "titles padded on both sides", a_associate_rq(called=b"  SERVER", calling=b" TESTER")),
    _accepted(45, "titles padded with NUL", a_associate_rq(called=b"SERVER".ljust(16, b"\0"))),
    _rejected(46, "a called title of spaces", a_associate_rq(called=b""), "1/1/7"),
    _rejected(46, "a calling title of spaces", a_associate_rq(calling=b""), "1/1/3"),
    _rejected(47, "called title in lower case", a_associate_rq(called=b"server"), "1/1/7"),
    *(
        _rejected(48, f"called title with {what}", a_associate_rq(called=title), "1/1/7")
        for title, what in _CALLED.items()
    ),
    *(
        _rejected(48, f"calling title with {what}", a_associate_rq(calling=title), "1/1/3")
        for title, what in _CALLED.items()
    ),
    _invalid(49, "no presentation context", application_context(), user_information()),
    _accepted(
        50,
        "128 contexts",
        proposing(*(context(n, VERIFICATION, IMPLICIT) for n in _ODD_IDS)),
        " ".join(f"{n}=implicit" for n in _ODD_IDS),
    ),
    *(
        _invalid(
            51,
            f"context id {n}",
            application_context(),
            context(n, VERIFICATION, IMPLICIT),
            user_information(),
        )
        for n in (0, 2, 254)
    ),
    _invalid(
        52,
        "a context id twice",
        application_context(),
        DEFAULT_CONTEXT,
        context(1, CT_IMAGE, IMPLICIT),
        user_information(),
    ),
    _accepted(
        53,
        "one abstract syntax in several contexts",
        proposing(DEFAULT_CONTEXT, context(3, VERIFICATION, EXPLICIT), context(5, VERIFICATION, b"1.2.3")),
        "1=implicit 3=explicit 5:4",
    ),
    _negotiated(54, "unknown abstract syntax", proposing(context(1, b"1.2.3", IMPLICIT)), "1:3"),
    _negotiated(
        55, "unknown transfer syntaxes", proposing(context(1, VERIFICATION, b"1.2.3", b"1.2.4")), "1:4"
    ),
    _accepted(
        56, "several transfer syntaxes", proposing(context(1, VERIFICATION, b"1.2.3", IMPLICIT, b"1.2.4"))
    ),
    _accepted(
        56, "implicit before explicit", proposing(context(1, VERIFICATION, IMPLICIT, EXPLICIT)), "1=explicit"
    ),
    _invalid(57, "no transfer syntax", application_context(), context(1, VERIFICATION), user_information()),
    _invalid(57, "no abstract syntax", application_context(), context(1, None, IMPLICIT), user_information()),
    _invalid(
        57,
        "two abstract syntaxes",
        application_context(),
        item(0x20, b"\1\0\0\0" + item(0x30, VERIFICATION) * 2 + item(0x40, IMPLICIT)),
        user_information(),
    ),
    _accepted(58, "UIDs padded with NUL", proposing(context(1, VERIFICATION + b"\0", IMPLICIT + b"\0"))),
    _accepted(58, "UIDs padded with a space", proposing(context(1, VERIFICATION + b" ", IMPLICIT + b" "))),
    _negotiated(58, "an abstract syntax of 65 bytes", proposing(context(1, _LONG_UID, IMPLICIT)), "1:3"),
    _negotiated(58, "a transfer syntax of 65 bytes", proposing(context(1, VERIFICATION, _LONG_UID)), "1:4"),
    _negotiated(
        59,
        "all contexts refused",
        proposing(context(1, b"1.2.3", IMPLICIT), context(3, VERIFICATION, b"1.2.3")),
        "1:3 3:4",
        check=_refused_contexts_carry_a_syntax,
    ),
    _accepted(
        61,
        "an unknown item between known ones",
        a_associate_rq(
            application_context(), item(0x7F, b"?"), DEFAULT_CONTEXT, item(0xEE, b""), user_information()
        ),
    ),
    _with_user_data(62, "unknown sub-items", item(0x7E, b"?"), item(0xFF, b"")),
    _accepted(
        63,
        "items in reverse order",
        a_associate_rq(user_information(), DEFAULT_CONTEXT, application_context()),
    ),
    _accepted(
        64,
        "sub-items in reverse order",
        a_associate_rq(
            application_context(),
            DEFAULT_CONTEXT,
            user_information(item(0x55, b"NAME"), window(1, 1), IMPLEMENTATION_CLASS, maximum_length(16384)),
        ),
        "1=implicit 53=1/1",
    ),
    _invalid(65, "no user information", application_context(), DEFAULT_CONTEXT),
    _accepted(
        66,
        "no maximum length",
        a_associate_rq(application_context(), DEFAULT_CONTEXT, user_information(IMPLEMENTATION_CLASS)),
    ),
    *(
        _invalid(
            66, what, application_context(), DEFAULT_CONTEXT, user_information(bad, IMPLEMENTATION_CLASS)
        )
        for what, bad in {
            "a maximum length of 3 bytes": item(0x51, bytes(3)),
            "a maximum length of 5 bytes": item(0x51, bytes(5)),
            "two maximum lengths": maximum_length(16384) * 2,
        }.items()
    ),
    Case(67, "peer maximum 0", (_with_maximum(0), FIND), ("accept 1=implicit 5=implicit", *FOUND)),
    *(_rejected(68, f"peer maximum {n}", _with_maximum(n), "1/1/1") for n in (1, 6, 7)),
    *(
        Case(
            68,
            f"peer maximum {n}",
            (_with_maximum(n), FIND),
            ("accept 1=implicit 5=implicit", *FOUND),
            check=_longest_is(n),
        )
        for n in (8, 9, 128, 4096)
    ),
    _rejected(
        69,
        "no Implementation Class UID",
        a_associate_rq(application_context(), DEFAULT_CONTEXT, user_information(maximum_length(16384))),
        "1/1/1",
    ),
    *(
        _accepted(
            70,
            f"role selection {asked} for storage",
            proposing(DEFAULT_CONTEXT, context(3, CT_IMAGE, IMPLICIT), sub_items=(role(CT_IMAGE, *asked),)),
            f"1=implicit 3=implicit 54={CT_IMAGE.decode()}:{granted}",
        )
        for asked, granted in {(0, 1): "0/1", (1, 1): "1/1", (1, 0): "1/0"}.items()
    ),
    _accepted(
        70,
        "role selection where we are SCP only",
        proposing(DEFAULT_CONTEXT, sub_items=(role(VERIFICATION, 1, 1),)),
        f"1=implicit 54={VERIFICATION.decode()}:1/0",
    ),
    _with_user_data(71, "role selection for a class in no context", role(CT_IMAGE, 1, 1)),
    _with_user_data(73, "no window"),
    _with_user_data(74, "a window without limit", window(0, 0), answer="53=8/8"),
    _with_user_data(74, "a window of 5/5", window(5, 5), answer="53=5/5"),
    _with_user_data(74, "a window of 100/1", window(100, 1), answer="53=8/1"),
    _accepted(
        75,
        "extended negotiation for C-FIND: nothing of it is supported",
        proposing(
            DEFAULT_CONTEXT,
            context(5, STUDY_ROOT_FIND, IMPLICIT),
            sub_items=(item(0x56, struct.pack(">H", len(STUDY_ROOT_FIND)) + STUDY_ROOT_FIND + b"\1\1\1\1"),),
        ),
        "1=implicit 5=implicit",
    ),
    _with_user_data(
        76,
        "common extended negotiation",
        item(0x57, b"".join(struct.pack(">H", len(u)) + u for u in (CT_IMAGE, b"1.2.840.10008.4.2", b""))),
    ),
    _with_user_data(77, "a user name, no answer wanted", user_identity(1, 0, b"somebody")),
    _with_user_data(
        78, "a passcode, answer wanted", user_identity(2, 1, b"somebody", b"secret"), answer="59="
    ),
    *(_with_user_data(80, f"user identity of type {n}", user_identity(n, 1, b"token")) for n in (3, 4, 5)),
    *(_with_user_data(81, f"user identity of type {n}", user_identity(n, 1, b"?")) for n in (0, 6, 255)),
    _with_user_data(81, "a passcode with type 1", user_identity(1, 0, b"somebody", b"secret")),
    *(
        _invalid(
            81,
            f"user identity whose {what} runs over",
            application_context(),
            DEFAULT_CONTEXT,
            user_information(maximum_length(16384), IMPLEMENTATION_CLASS, item(0x58, value)),
        )
        for what, value in {
            "primary field": b"\1\0" + b"\0\x09name" + b"\0\0",
            "secondary field": b"\2\0" + b"\0\4name" + b"\0\1",
            "fixed part": b"\1",
        }.items()
    ),
]
