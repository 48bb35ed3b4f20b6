"""Items and sub-items as pieces of a PDU: cases 61 to 66, and what goes beyond them (PS3.8 9.3.1, 9.3.2, Annex D)."""

from services.conformance.building import (
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    VERIFICATION,
    application_context,
    context,
    item,
    maximum_length,
    user_information,
    window,
)
from services.conformance.case import Case, case
from services.conformance.cases.negotiation_titles import DEFAULT_CONTEXT
from services.conformance.cases.ul_steps import ECHO, OVER, IfAccepted, accepted_then_echo
from services.conformance.checks import every_context_is_answered, results
from services.conformance.conversation import Check
from services.conformance.steps import Bytes, Expect, Send, echo

_IGNORED = "PS3.8 9.3.1: unknown items are ignored"
_UNKNOWN_SUB_ITEM = "PS3.7 D.2; PS3.8 9.3.1: unknown sub-items are ignored"
_SOUND = "nothing in the request gives a reason to refuse it"
NAME = application_context()
USER = user_information()


def requesting(*items: bytes) -> Bytes:
    """A request of these items."""
    return lambda target: target.a_associate_rq(*items)


def with_user_data(*sub_items: bytes) -> Bytes:
    """A request for Verification with these sub-items beside the two that must be there."""
    return lambda target: target.proposing(sub_items=sub_items)


def with_only(*sub_items: bytes) -> Bytes:
    """A request for Verification with these sub-items alone."""
    return requesting(NAME, DEFAULT_CONTEXT, item(0x50, b"".join(sub_items)))


def accepted(
    id: str,
    title: str,
    clause: str,
    request: Bytes,
    *tolerated: str,
    why: str = _SOUND,
    check: Check | None = None,
    note: str = "",
) -> Case:
    """The request is accepted, and the association serves a C-ECHO."""
    return case(
        id,
        title,
        clause,
        Send("the A-ASSOCIATE-RQ", request),
        accepted_then_echo(why, *tolerated, check=check),
        needs=ECHO,
        note=note,
    )


def invalid(id: str, title: str, clause: str, request: Bytes, *, note: str = "") -> Case:
    """The request cannot be read: an invalid PDU. To reject it is tolerated, to accept it is not."""
    return case(
        id,
        title,
        f"{clause}; PS3.8 9.2: Evt19 in Sta2, AA-1",
        Send("the A-ASSOCIATE-RQ", request),
        Expect(
            "abort 0/0",
            "abort 0/*",
            "reject 1/*",
            why="an invalid PDU; to reject the request for it is tolerated",
        ),
        note=note
        or "A length that runs over what is around it, or falls short of its fields, is not to be guessed at.",
    )


def surplus(id: str, title: str, clause: str, request: Bytes) -> Case:
    """The request has bytes behind what can be read: an invalid PDU; to skip them, and to serve, is tolerated."""
    return either(
        id,
        title,
        clause,
        request,
        "abort 0/0",
        "an invalid PDU, whose lengths do not add up; to skip what is too much is tolerated",
    )


def either(
    id: str, title: str, clause: str, request: Bytes, strict: str, why: str, *, note: str = ""
) -> Case:
    """The request lacks what must be there or has too much of it: refused; to accept and to serve it is tolerated."""
    return case(
        id,
        title,
        clause,
        Send("the A-ASSOCIATE-RQ", request),
        Expect(strict, "abort 0/*", "reject 1/*", "accept", why=why),
        IfAccepted(echo()),
        needs=ECHO,
        note=note,
    )


_UNKNOWN = (
    *(
        accepted(f"negotiation-61{letter}", title, _IGNORED, requesting(*items), why="it is skipped")
        for letter, title, items in (
            ("a", "An unknown item between known ones", (NAME, item(0x7F, b"?"), DEFAULT_CONTEXT, USER)),
            ("b", "An unknown item before all others", (item(0x01, b"?"), NAME, DEFAULT_CONTEXT, USER)),
            ("c", "An unknown item behind all others", (NAME, DEFAULT_CONTEXT, USER, item(0xEE, b""))),
            ("d", "An unknown item of type 00H", (NAME, item(0x00, b"1234"), DEFAULT_CONTEXT, USER)),
            (
                "e",
                "A presentation context item of an A-ASSOCIATE-AC",
                (NAME, DEFAULT_CONTEXT, item(0x21, b"\5\0\0\0" + item(0x40, IMPLICIT)), USER),
            ),
            (
                "f",
                "A hundred unknown items",
                (NAME, *(item(0x80 + n, bytes(n)) for n in range(100)), DEFAULT_CONTEXT, USER),
            ),
            ("g", "An unknown item of 65535 bytes", (NAME, item(0x7F, bytes(65535)), DEFAULT_CONTEXT, USER)),
        )
    ),
    *(
        accepted(
            f"negotiation-62{letter}",
            title,
            _UNKNOWN_SUB_ITEM,
            with_user_data(*sub_items),
            why="it is skipped",
        )
        for letter, title, sub_items in (
            ("a", "An unknown sub-item", (item(0x7E, b"?"),)),
            ("b", "An unknown sub-item of 0 bytes", (item(0xFF, b""),)),
            ("c", "A sub-item of type 5AH", (item(0x5A, b"\0\1\2\3"),)),
            ("d", "A sub-item of type 00H", (item(0x00, b""),)),
            ("e", "A hundred unknown sub-items", tuple(item(0x80 + n, bytes(n)) for n in range(100))),
        )
    ),
)

_MISPLACED = accepted(
    "negotiation-62f",
    "A user identity response, which belongs into an A-ASSOCIATE-AC",
    "PS3.7 D.3.3.7.2; PS3.8 9.3.1",
    with_user_data(item(0x59, b"\0\0")),
    "abort 0/*",
    "reject *",
    why="nothing in a request, it is skipped; to take it for an error is tolerated",
)

_ORDER_WHY = "nothing depends on the order of items; to insist on the one that is written down is tolerated"

_ORDER = (
    *(
        accepted(
            f"negotiation-63{letter}",
            title,
            "PS3.8 9.3.1, 9.3.2",
            requesting(*items),
            "abort 0/*",
            "reject 1/*",
            why=_ORDER_WHY,
        )
        for letter, title, items in (
            ("a", "The items in reverse order", (USER, DEFAULT_CONTEXT, NAME)),
            ("b", "The user information before the presentation context", (NAME, USER, DEFAULT_CONTEXT)),
            (
                "c",
                "The user information between two presentation contexts",
                (NAME, DEFAULT_CONTEXT, USER, context(3, VERIFICATION, IMPLICIT)),
            ),
        )
    ),
    *(
        accepted(
            f"negotiation-64{letter}",
            title,
            "PS3.8 9.3.2.3; PS3.7 D.3.3: sub-items in any order",
            with_only(*sub_items),
            why="sub-items have no order",
        )
        for letter, title, sub_items in (
            (
                "a",
                "The sub-items in reverse order",
                (item(0x55, b"NAME"), window(1, 1), IMPLEMENTATION_CLASS, maximum_length(16384)),
            ),
            ("b", "The maximum length as the last sub-item", (IMPLEMENTATION_CLASS, maximum_length(16384))),
        )
    ),
)

_NEEDED = (
    case(
        "negotiation-65a",
        "No user information item",
        "PS3.8 9.3.2; PS3.7 D.3.3.1, D.3.3.2",
        Send("the A-ASSOCIATE-RQ", requesting(NAME, DEFAULT_CONTEXT)),
        Expect("abort 0/0|reject 1/1/1", "abort 0/*", "reject 1/*", "accept", why="there must be one"),
        IfAccepted(echo()),
        needs=ECHO,
        note="What it carries is required of the requestor by PS3.7 D.3.3; to do without is lenient, not harmful.",
    ),
    either(
        "negotiation-65b",
        "A user information item of 0 bytes",
        "PS3.7 D.3.3.1, D.3.3.2",
        with_only(),
        "abort 0/0|reject 1/1/1",
        "maximum length and Implementation Class UID must be there; to do without is tolerated",
    ),
    either(
        "negotiation-65c",
        "The user information item twice",
        "PS3.8 9.3.2: one user information item",
        requesting(NAME, DEFAULT_CONTEXT, USER, USER),
        "abort 0/0|reject 1/1/1",
        "there must be exactly one; to take one of two that are equal is tolerated",
    ),
    case(
        "negotiation-66a",
        "No maximum length sub-item",
        "PS3.8 D.1; PS3.7 D.3.3.1",
        Send("the A-ASSOCIATE-RQ", with_only(IMPLEMENTATION_CLASS)),
        Expect(
            "accept|reject 1/1/1|abort 0/0",
            "abort 0/*",
            "reject 1/*",
            why="to assume a small maximum is as good as to refuse",
        ),
        IfAccepted(echo()),
        needs=ECHO,
    ),
    *(
        invalid(
            f"negotiation-66{letter}",
            f"A maximum length sub-item of {length} bytes",
            "PS3.8 D.1.1",
            with_only(item(0x51, bytes(length)), IMPLEMENTATION_CLASS),
            note="A limit that cannot be read is none to keep to, and none to guess.",
        )
        for letter, length in (("b", 3), ("c", 5), ("d", 0))
    ),
    either(
        "negotiation-66e",
        "Two maximum length sub-items",
        "PS3.8 D.1.1",
        with_only(maximum_length(16384), maximum_length(32768), IMPLEMENTATION_CLASS),
        "abort 0/0",
        "one of them is wrong; to take either is tolerated",
    ),
)


_LARGE_WHY = (
    "unknown items are ignored, how many ever there are; to refuse so long a request is a local matter"
)


def _large(id: str, title: str, *items: bytes) -> Case:
    return case(
        id,
        title,
        "PS3.8 9.3.1: unknown items are ignored; the limit is a local matter",
        Send("the A-ASSOCIATE-RQ", requesting(*items)),
        Expect("accept|abort 0/0", "abort 0/*", "reject *", OVER, why=_LARGE_WHY),
        IfAccepted(echo(), check=every_context_is_answered),
        needs=ECHO,
        note="The standard sets no longest A-ASSOCIATE-RQ. What counts is that the peer answers, and lives.",
    )


_FILLING = item(0x7F, bytes(65531))

_LARGE = (
    _large(
        "negotiation-203a",
        "A request of 1 MiB of unknown items",
        NAME,
        *[_FILLING] * 16,
        DEFAULT_CONTEXT,
        USER,
    ),
    _large(
        "negotiation-203b",
        "A request of 3 MiB of unknown items",
        NAME,
        *[_FILLING] * 48,
        DEFAULT_CONTEXT,
        USER,
    ),
    _large(
        "negotiation-203c",
        "A request of 20000 unknown items without content",
        NAME,
        item(0x7F, b"") * 20000,
        DEFAULT_CONTEXT,
        USER,
    ),
    accepted(
        "negotiation-203d",
        "A user information of 60000 bytes, most of them in unknown sub-items",
        _UNKNOWN_SUB_ITEM,
        with_user_data(item(0x7E, bytes(30000)), item(0x7F, bytes(29000))),
        why="they are skipped",
        check=results({1: 0}),
    ),
)

CASES: tuple[Case, ...] = (*_UNKNOWN, _MISPLACED, *_ORDER, *_NEEDED, *_LARGE)
