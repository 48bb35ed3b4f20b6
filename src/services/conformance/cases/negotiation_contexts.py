"""Presentation contexts: cases 49 to 60, and what goes beyond them (PS3.8 9.3.2.2, 9.3.3.2; PS3.7 D.3.2)."""

from services.conformance.associate_bytes import answered
from services.conformance.building import (
    CT_IMAGE,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    application_context,
    c_echo_rq,
    context,
    item,
    message,
    user_information,
)
from services.conformance.case import Case, case
from services.conformance.cases.negotiation_titles import DEFAULT_CONTEXT
from services.conformance.cases.ul_steps import ECHO, IfAccepted, accepted_then_echo
from services.conformance.checks import (
    ACCEPTED,
    NO_ABSTRACT_SYNTAX,
    NO_TRANSFER_SYNTAX,
    all_of,
    answered_once,
    every_context_is_answered,
    not_accepted,
    refused_contexts_carry_a_transfer_syntax,
    results,
    transfer_syntaxes_were_offered,
)
from services.conformance.checks_user_information import sound_answer
from services.conformance.connection import Event
from services.conformance.conversation import Check, Conversation
from services.conformance.steps import UNKNOWN_SYNTAX, Bytes, Expect, Send, Step, echo

ODD_IDS = range(1, 256, 2)
NO_SYNTAXES = tuple(UNKNOWN_SYNTAX + b".%d" % number for number in range(30))
"""Transfer syntaxes that nobody knows."""


class _ExpectAnswer(Expect):
    """An `Expect` to which an A-ASSOCIATE-AC is one even where it repeats what was wrong with the request."""

    async def run(self, conversation: Conversation) -> None:
        event = await conversation.connection.receive(conversation.target.timeout)
        if event.text.startswith("garbage") and answered(conversation).raw:
            event = Event("accept")
        conversation.judge(event, self.strict, *self.tolerated, why=self.why, check=self.check)


def proposing(*contexts: bytes) -> Bytes:
    return lambda target: target.proposing(*contexts)


def _accepted(
    id: str, title: str, clause: str, request: Bytes, check: Check, *then: Step, why: str = "", note: str = ""
) -> Case:
    """The association is accepted, its contexts are answered as `check` says, and Verification on context 1 works."""
    return case(
        id,
        title,
        clause,
        Send("the A-ASSOCIATE-RQ", request),
        accepted_then_echo(why or "nothing in the request gives a reason to refuse it", check=check),
        *then,
        needs=ECHO,
        note=note,
    )


def _answered(id: str, title: str, clause: str, request: Bytes, check: Check, why: str = "") -> Case:
    """The association is accepted, with no context that could be used."""
    return case(
        id,
        title,
        clause,
        Send("the A-ASSOCIATE-RQ", request),
        Expect("accept", why=why or "contexts are refused one by one, not the association", check=check),
    )


def _invalid_context(id: str, title: str, bad: bytes, number: int, note: str) -> Case:
    """A context that cannot be, beside a good one: an invalid PDU, or that context is refused."""
    return case(
        id,
        title,
        "PS3.8 9.3.2.2; 9.2: Evt19 in Sta2, AA-1",
        Send("the A-ASSOCIATE-RQ", proposing(DEFAULT_CONTEXT, bad)),
        _ExpectAnswer(
            "abort 0/0",
            "abort 0/*",
            "reject *",
            "accept",
            why="an invalid PDU; to refuse the association or just that context is tolerated",
        ),
        IfAccepted(echo(), check=not_accepted(number)),
        needs=ECHO,
        note=note,
    )


def _echo_on(context_id: int, message_id: int) -> tuple[Step, ...]:
    return (
        Send(f"a C-ECHO-RQ on context {context_id}", message(context_id, c_echo_rq(message_id))),
        Expect(f"C-ECHO-RSP {message_id} 0000", why="the context was accepted (PS3.4 A.4)"),
    )


# -- how many, and under which ids

_COUNT = (
    case(
        "negotiation-49",
        "No presentation context item",
        "PS3.8 9.3.2: one or more",
        Send(
            "the A-ASSOCIATE-RQ",
            lambda target: target.a_associate_rq(application_context(), user_information()),
        ),
        Expect("abort 0/0|reject 1/1/1", "abort 0/*", "reject *", why="there is nothing to agree on"),
        note="The A-ASSOCIATE-AC that would accept it needs a context to answer: there is no valid one.",
    ),
    _accepted(
        "negotiation-50a",
        "128 presentation contexts for Verification",
        "PS3.8 9.3.2.2, 7.1.1.13",
        proposing(*(context(number, VERIFICATION, IMPLICIT) for number in ODD_IDS)),
        all_of(results(dict.fromkeys(ODD_IDS, ACCEPTED)), every_context_is_answered),
        *_echo_on(255, 8),
    ),
    _accepted(
        "negotiation-50b",
        "128 presentation contexts, all but one for an abstract syntax that nobody knows",
        "PS3.8 9.3.2.2, 7.1.1.13",
        proposing(DEFAULT_CONTEXT, *(context(number, UNKNOWN_SYNTAX, IMPLICIT) for number in ODD_IDS[1:])),
        all_of(
            results({1: ACCEPTED, **dict.fromkeys(ODD_IDS[1:], NO_ABSTRACT_SYNTAX)}),
            every_context_is_answered,
        ),
    ),
    *(
        _invalid_context(
            f"negotiation-51{letter}",
            f"Presentation context id {number}",
            context(number, VERIFICATION, IMPLICIT),
            number,
            "Accepted, the id would stand in the A-ASSOCIATE-AC as well, and in every PDV: invalid in all of them.",
        )
        for letter, number in zip("abc", (0, 2, 254), strict=True)
    ),
    *(
        case(
            f"negotiation-52{letter}",
            f"The same presentation context id twice, {what}",
            "PS3.8 7.1.1.13, 9.3.2.2; 9.2: Evt19 in Sta2, AA-1",
            Send("the A-ASSOCIATE-RQ", proposing(DEFAULT_CONTEXT, again)),
            Expect(
                "abort 0/0",
                "abort 0/*",
                "reject 1/*",
                "accept",
                why="an invalid PDU; to take the first one, and answer once, is tolerated",
            ),
            IfAccepted(echo(), check=answered_once(1)),
            needs=ECHO,
        )
        for letter, what, again in (
            ("a", "for the same abstract syntax", DEFAULT_CONTEXT),
            ("b", "for two abstract syntaxes", context(1, CT_IMAGE, IMPLICIT)),
        )
    ),
)

# -- abstract and transfer syntaxes

_SYNTAXES = (
    _accepted(
        "negotiation-53",
        "One abstract syntax in three contexts with different transfer syntaxes",
        "PS3.7 D.3.2; PS3.8 9.3.3.2",
        proposing(
            DEFAULT_CONTEXT,
            context(3, VERIFICATION, EXPLICIT),
            context(5, VERIFICATION, *NO_SYNTAXES[:1]),
        ),
        all_of(
            results({1: ACCEPTED, 3: (ACCEPTED, NO_TRANSFER_SYNTAX), 5: NO_TRANSFER_SYNTAX}),
            every_context_is_answered,
            transfer_syntaxes_were_offered,
        ),
    ),
    _accepted(
        "negotiation-54",
        "An abstract syntax that nobody knows, beside Verification",
        "PS3.8 9.3.3.2",
        proposing(DEFAULT_CONTEXT, context(3, UNKNOWN_SYNTAX, IMPLICIT)),
        results({1: ACCEPTED, 3: NO_ABSTRACT_SYNTAX}),
    ),
    _accepted(
        "negotiation-55",
        "Transfer syntaxes that nobody knows",
        "PS3.8 9.3.3.2",
        proposing(DEFAULT_CONTEXT, context(3, VERIFICATION, *NO_SYNTAXES[:2])),
        results({1: ACCEPTED, 3: NO_TRANSFER_SYNTAX}),
    ),
    *(
        _accepted(
            f"negotiation-56{letter}",
            f"Several transfer syntaxes: {what}",
            "PS3.8 9.3.3.2; PS3.7 D.3.2",
            proposing(context(1, VERIFICATION, *offered)),
            all_of(results({1: ACCEPTED}), transfer_syntaxes_were_offered),
        )
        for letter, what, offered in (
            ("a", "one known between two unknown", (NO_SYNTAXES[0], IMPLICIT, NO_SYNTAXES[1])),
            ("b", "Implicit and Explicit VR Little Endian", (IMPLICIT, EXPLICIT)),
            ("c", "thirty unknown and one known at the end", (*NO_SYNTAXES, IMPLICIT)),
            ("d", "the same one twice", (IMPLICIT, IMPLICIT)),
        )
    ),
    *(
        _invalid_context(
            f"negotiation-57{letter}",
            f"A presentation context {what}",
            bad,
            3,
            "It has one abstract syntax and at least one transfer syntax. To accept one without is to agree on "
            "nothing, and to accept one with two leaves open on which.",
        )
        for letter, what, bad in (
            ("a", "without a transfer syntax", context(3, VERIFICATION)),
            ("b", "without an abstract syntax", context(3, None, IMPLICIT)),
            (
                "c",
                "with two abstract syntaxes",
                item(
                    0x20,
                    b"\3\0\0\0" + item(0x30, VERIFICATION) + item(0x30, CT_IMAGE) + item(0x40, IMPLICIT),
                ),
            ),
            ("d", "without any sub-item", item(0x20, b"\3\0\0\0")),
            ("e", "of 3 bytes", item(0x20, b"\3\0\0")),
            ("f", "of 0 bytes", item(0x20, b"")),
            ("g", "with a transfer syntax of 0 bytes alone", context(3, VERIFICATION, b"")),
        )
    ),
    _accepted(
        "negotiation-57h",
        "A presentation context with its transfer syntax before its abstract syntax",
        "PS3.8 9.3.2.2",
        proposing(item(0x20, b"\1\0\0\0" + item(0x40, IMPLICIT) + item(0x30, VERIFICATION))),
        results({1: ACCEPTED}, refusal="the order is given, but nothing depends on it"),
    ),
    _accepted(
        "negotiation-57i",
        "A presentation context with an unknown sub-item",
        "PS3.8 9.3.1: unknown items are ignored",
        proposing(
            item(0x20, b"\1\0\0\0" + item(0x30, VERIFICATION) + item(0x7F, b"?") + item(0x40, IMPLICIT))
        ),
        results({1: ACCEPTED}),
    ),
)

# -- the answer

_REFUSED_ALL = (context(1, UNKNOWN_SYNTAX, IMPLICIT), context(3, VERIFICATION, NO_SYNTAXES[0]))

_ANSWERS = (
    _answered(
        "negotiation-59a",
        "Contexts of which none can be accepted",
        "PS3.8 9.3.3.2; PS3.7 D.3.2",
        proposing(*_REFUSED_ALL),
        results({1: NO_ABSTRACT_SYNTAX, 3: NO_TRANSFER_SYNTAX}),
    ),
    _answered(
        "negotiation-59b",
        "A single context, which cannot be accepted",
        "PS3.8 9.3.3.2; PS3.7 D.3.2",
        proposing(context(1, UNKNOWN_SYNTAX, IMPLICIT)),
        results({1: NO_ABSTRACT_SYNTAX}),
    ),
    _accepted(
        "negotiation-60a",
        "Refused contexts in the A-ASSOCIATE-AC",
        "PS3.8 9.3.3.2",
        proposing(
            DEFAULT_CONTEXT, context(3, UNKNOWN_SYNTAX, IMPLICIT), context(5, VERIFICATION, *NO_SYNTAXES[:3])
        ),
        all_of(every_context_is_answered, refused_contexts_carry_a_transfer_syntax),
    ),
    _accepted(
        "negotiation-60b",
        "Contexts proposed under ids that do not ascend",
        "PS3.8 9.3.3.2",
        proposing(
            context(255, VERIFICATION, IMPLICIT), context(7, UNKNOWN_SYNTAX, IMPLICIT), DEFAULT_CONTEXT
        ),
        all_of(results({1: ACCEPTED, 7: NO_ABSTRACT_SYNTAX, 255: ACCEPTED}), every_context_is_answered),
        *_echo_on(255, 8),
    ),
    _accepted(
        "negotiation-200a",
        "128 presentation contexts of 30 transfer syntaxes each",
        "PS3.8 9.3.2.2, 9.3.3.2",
        proposing(*(context(number, VERIFICATION, *NO_SYNTAXES[:29], IMPLICIT) for number in ODD_IDS)),
        all_of(
            results(dict.fromkeys(ODD_IDS, ACCEPTED)),
            every_context_is_answered,
            transfer_syntaxes_were_offered,
        ),
    ),
    case(
        "negotiation-200b",
        "A presentation context of 1000 transfer syntaxes",
        "PS3.8 9.3.2.2, 9.3.3.2",
        Send(
            "the A-ASSOCIATE-RQ",
            proposing(context(1, VERIFICATION, *(b"1.2.3.%d" % number for number in range(999)), IMPLICIT)),
        ),
        Expect("accept", "abort 0/*", "reject *", why="their number has no limit but a local one"),
        IfAccepted(echo(), check=all_of(results({1: ACCEPTED}), transfer_syntaxes_were_offered)),
        needs=ECHO,
    ),
    _accepted(
        "negotiation-207",
        "Everything an A-ASSOCIATE-AC must have, and in its order",
        "PS3.8 9.3.3; PS3.7 D.3.3.1, D.3.3.2",
        proposing(
            DEFAULT_CONTEXT,
            context(3, UNKNOWN_SYNTAX, IMPLICIT),
            context(5, VERIFICATION, EXPLICIT, IMPLICIT),
        ),
        sound_answer(),
    ),
    _accepted(
        "negotiation-213",
        "C-ECHOs on eight contexts in turn",
        "PS3.8 9.3.5.1; PS3.7 D.3.2",
        proposing(*(context(number, VERIFICATION, IMPLICIT) for number in ODD_IDS[:8])),
        results(dict.fromkeys(ODD_IDS[:8], ACCEPTED)),
        *(step for number in ODD_IDS[:8] for step in _echo_on(number, 100 + number)),
    ),
)

CASES: tuple[Case, ...] = (*_COUNT, *_SYNTAXES, *_ANSWERS)
