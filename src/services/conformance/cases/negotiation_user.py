"""What the user information negotiates: cases 67 to 76, and what goes beyond them (PS3.8 D.1; PS3.7 D.3.3)."""

import struct

from services.conformance.building import (
    EXPLICIT,
    IMPLEMENTATION_CLASS,
    IMPLICIT,
    VERIFICATION,
    application_context,
    context,
    item,
    maximum_length,
    role,
    user_information,
    window,
)
from services.conformance.case import Case, case
from services.conformance.cases.negotiation_items import accepted, either, with_only, with_user_data
from services.conformance.cases.negotiation_titles import DEFAULT_CONTEXT
from services.conformance.cases.ul_steps import ECHO, ECHO_RQ, OVER, IfAccepted, accepted_then_echo
from services.conformance.checks import all_of, named, no_pdu_longer_than, tolerable
from services.conformance.checks_user_information import (
    absent,
    at_most_one,
    extended_within_the_proposal,
    implementation_is_identified,
    maximum_length_is_announced,
    roles_within_the_proposal,
    window_within_the_proposal,
)
from services.conformance.connection import Event
from services.conformance.conversation import Check, Conversation
from services.conformance.steps import (
    FIND_CONTEXT,
    UNKNOWN_SYNTAX,
    Expect,
    Send,
    associate,
)
from services.conformance.target import STUDY_ROOT_FIND, Service
from services.conformance.verdict import Finding

# -- maximum length


def _with_maximum(value: int) -> bytes:
    return user_information(maximum_length(value), IMPLEMENTATION_CLASS)


def _announcing(value: int) -> Send:
    return Send(
        f"an A-ASSOCIATE-RQ with a maximum length of {value}",
        lambda target: target.a_associate_rq(application_context(), DEFAULT_CONTEXT, _with_maximum(value)),
    )


def _answer_fits(limit: int) -> Check:
    """An answer that is one keeps to the maximum, by fragments of odd length at best."""
    longest = no_pdu_longer_than(limit)

    def check(conversation: Conversation, event: Event) -> Finding | None:
        if event.message is None:
            return None
        why = "fragments are of even length (PS3.8 Annex E.1)"
        return longest(conversation, event) or tolerable("an A-ABORT", "fragments of one byte", why)

    return named(f"no answer in P-DATA-TFs of more than {limit} bytes", check)


def _too_small(letter: str, value: int) -> Case:
    return case(
        f"negotiation-68{letter}",
        f"A maximum length of {value}",
        "PS3.8 D.1: 6 bytes before a fragment, whose length is even",
        _announcing(value),
        Expect(
            "reject 1/1/1|abort 0/0",
            "reject *",
            "abort 0/*",
            "accept",
            why="no fragment fits: refused at once, or, which is tolerated, aborted when there is something to say",
        ),
        IfAccepted(
            Send("a C-ECHO-RQ", ECHO_RQ),
            Expect(
                "abort 0/*|abort 2/*|C-ECHO-RSP 7 0000",
                OVER,
                why="it cannot be answered within the maximum length",
                check=_answer_fits(value),
            ),
        ),
        needs=ECHO,
    )


_SMALL = "the standard sets no smallest maximum; to refuse one that is hardly of use is tolerated"


def _small(id: str, value: int) -> Case:
    lenient = value < 128
    refusals = ("reject *", "abort 0/*") if lenient else ()
    check = no_pdu_longer_than(value)
    return case(
        id,
        f"A maximum length of {value}",
        "PS3.8 D.1",
        _announcing(value),
        Expect("accept", *refusals, why=_SMALL if lenient else ""),
        Send("a C-ECHO-RQ", ECHO_RQ),
        Expect(
            "C-ECHO-RSP 7 0000",
            *(("abort 0/*",) if lenient else ()),
            why="no P-DATA-TF is longer than the maximum, however many it takes",
            check=check,
        ),
        needs=ECHO,
    )


_MAXIMUM_LENGTH = (
    case(
        "negotiation-67",
        "A maximum length of 0: none",
        "PS3.8 D.1",
        _announcing(0),
        accepted_then_echo("0 means that there is no maximum"),
        needs=ECHO,
    ),
    *(_too_small(letter, value) for letter, value in zip("abc", (1, 6, 7), strict=True)),
    *(_small(f"negotiation-68{letter}", value) for letter, value in zip("de", (128, 4096), strict=True)),
    *(
        _small(f"negotiation-214{letter}", value)
        for letter, value in zip("abcdefgh", (8, 9, 16, 100, 127, 129, 4097, 0xFFFFFFFF), strict=True)
    ),
    accepted(
        "negotiation-209",
        "The maximum length that the peer announces",
        "PS3.8 D.1.2; PS3.7 D.3.3.1",
        lambda target: target.proposing(),
        check=maximum_length_is_announced,
    ),
)

# -- implementation


def _class(value: bytes) -> bytes:
    return item(0x52, value)


_IMPLEMENTATION = (
    either(
        "negotiation-69a",
        "No Implementation Class UID",
        "PS3.7 D.3.3.2",
        with_only(maximum_length(16384)),
        "reject 1/1/1|abort 0/0",
        "it is required; to do without is tolerated",
    ),
    accepted(
        "negotiation-69b",
        "The implementation that the peer names",
        "PS3.7 D.3.3.2.2, D.3.3.2.4; PS3.5 9.1",
        lambda target: target.proposing(),
        check=implementation_is_identified,
    ),
    accepted(
        "negotiation-69c",
        "An Implementation Version Name of 16 characters",
        "PS3.7 D.3.3.2.3",
        with_user_data(item(0x55, b"SIXTEEN_LETTERS_")),
    ),
    *(
        accepted(
            f"negotiation-208{letter}",
            f"An Implementation Version Name {what}",
            "PS3.7 D.3.3.2.3",
            with_user_data(item(0x55, value)),
            "reject 1/1/1",
            "abort 0/*",
            why="a name that cannot be is no reason to refuse, but may be taken for one",
        )
        for letter, what, value in (
            ("a", "of 0 characters", b""),
            ("b", "of 17 characters", b"SEVENTEEN_LETTERS"),
            ("c", "of 2000 characters", b"x" * 2000),
            ("d", "with an escape sequence", b"\x1b[2J\0\n"),
        )
    ),
    *(
        either(
            f"negotiation-208{letter}",
            f"An Implementation Class UID {what}",
            "PS3.7 D.3.3.2.1; PS3.5 9.1",
            with_only(maximum_length(16384), *values),
            "reject 1/1/1|abort 0/0|accept",
            "what is wrong with it harms nobody",
        )
        for letter, what, values in (
            ("e", "of 0 bytes", (_class(b""),)),
            ("f", "of 65 bytes", (_class(b"1.2." + b"3" * 61),)),
            ("g", "that is a word", (_class(b"implementation"),)),
            ("h", "that comes twice", (_class(b"2.25.1"), _class(b"2.25.2"))),
        )
    ),
)

# -- asynchronous operations window

_WINDOW = (
    accepted(
        "negotiation-73",
        "No asynchronous operations window",
        "PS3.7 D.3.3.3",
        lambda target: target.proposing(),
        check=absent(0x53, "window", "none was offered (PS3.7 D.3.3.3)"),
    ),
    *(
        accepted(
            f"negotiation-74{letter}",
            f"An asynchronous operations window of {invoked}/{performed}",
            "PS3.7 D.3.3.3",
            with_user_data(window(invoked, performed)),
            check=window_within_the_proposal,
        )
        for letter, (invoked, performed) in zip(
            "abcdefg", ((0, 0), (5, 5), (100, 1), (1, 1), (1, 0), (0, 1), (65535, 65535)), strict=True
        )
    ),
    either(
        "negotiation-210a",
        "Two asynchronous operations windows that differ",
        "PS3.7 D.3.3.3",
        with_user_data(window(3, 3), window(5, 5)),
        "accept|abort 0/0|reject 1/1/1",
        "one of them is too much; which, is not said",
    ),
)

# -- extended negotiation


def _extended(uid: bytes, information: bytes) -> bytes:
    return item(0x56, struct.pack(">H", len(uid)) + uid + information)


def _common(uid: bytes, *, version: int = 0, more: bytes = b"") -> bytes:
    fields = b"".join(struct.pack(">H", len(each)) + each for each in (uid, b"1.2.840.10008.4.2", b""))
    return item(0x57, fields + more, reserved=version)


_NO_COMMON = absent(0x57, "common extended negotiation", "only requests have one (PS3.7 D.3.3.6)")

_EXTENDED = (
    *(
        case(
            f"negotiation-75{letter}",
            f"Extended negotiation for C-FIND: {what}",
            "PS3.7 D.3.3.5; PS3.4 C.5.1",
            associate("echo", "find", sub_items=(_extended(STUDY_ROOT_FIND, information),))[0],
            accepted_then_echo("what is not supported is turned down", check=extended_within_the_proposal),
            needs=(*ECHO, Service.FIND),
        )
        for letter, what, information in (
            ("a", "everything asked for", b"\1\1\1\1"),
            ("b", "relational queries asked for", b"\1"),
            ("c", "nothing asked for", b"\0\0\0\0"),
            ("d", "more bytes than the standard knows", b"\1" * 20),
            ("e", "no information at all", b""),
        )
    ),
    accepted(
        "negotiation-75f",
        "Extended negotiation for a class of no context",
        "PS3.7 D.3.3.5",
        with_user_data(_extended(UNKNOWN_SYNTAX, b"\1\1\1")),
        why="it is ignored",
        check=absent(0x56, "SOP class extended negotiation", "no context has that class (PS3.7 D.3.3.5)"),
    ),
    accepted(
        "negotiation-76a",
        "Common extended negotiation",
        "PS3.7 D.3.3.6",
        with_user_data(_common(VERIFICATION)),
        check=_NO_COMMON,
    ),
    accepted(
        "negotiation-76b",
        "Common extended negotiation of a later version, with more fields",
        "PS3.7 D.3.3.6",
        with_user_data(_common(VERIFICATION, version=1, more=b"\0\1\2")),
        "abort 0/*",
        check=_NO_COMMON,
    ),
    accepted(
        "negotiation-210b",
        "Everything at once that may be negotiated",
        "PS3.7 D.3.3",
        lambda target: target.proposing(
            context(1, VERIFICATION, IMPLICIT, EXPLICIT),
            context(FIND_CONTEXT, STUDY_ROOT_FIND, IMPLICIT),
            sub_items=(
                window(2, 2),
                role(VERIFICATION, 1, 0),
                item(0x55, b"CONFORMANCE"),
                _extended(STUDY_ROOT_FIND, b"\1\1\1"),
                _common(VERIFICATION),
                item(0x58, b"\1\0\0\4user\0\0"),
            ),
        ),
        check=all_of(
            window_within_the_proposal,
            roles_within_the_proposal,
            extended_within_the_proposal,
            at_most_one(0x53, "window"),
            _NO_COMMON,
            absent(0x59, "user identity response", "none was asked for (PS3.7 D.3.3.7)"),
        ),
    ),
)

CASES: tuple[Case, ...] = (*_MAXIMUM_LENGTH, *_IMPLEMENTATION, *_WINDOW, *_EXTENDED)
