"""UIDs in presentation contexts: case 58, and what goes beyond it (PS3.8 9.3.2.2, Annex F; PS3.5 9.1)."""

from services.conformance.associate_bytes import answered
from services.conformance.building import IMPLICIT, VERIFICATION, context
from services.conformance.case import Case, case
from services.conformance.cases.negotiation_contexts import proposing
from services.conformance.cases.negotiation_titles import DEFAULT_CONTEXT
from services.conformance.cases.ul_steps import ECHO, IfAccepted
from services.conformance.checks import ACCEPTED, NO_ABSTRACT_SYNTAX, NO_TRANSFER_SYNTAX, results
from services.conformance.conversation import Conversation
from services.conformance.steps import Bytes, Do, Expect, Send, echo

_LONG_UID = b"1.2." + b"3" * 61


def _echo_where_accepted() -> Do:
    """A C-ECHO where context 1 was accepted; where not, that was judged before."""

    async def run(conversation: Conversation) -> None:
        if any(each.id == 1 and each.result == ACCEPTED for each in answered(conversation).contexts):
            for step in echo():
                await step.run(conversation)

    return Do("sends a C-ECHO-RQ if context 1 was accepted; expects C-ECHO-RSP 7 0000", run)


_PADDING = (
    "padding carries no meaning; to refuse it is tolerated, since UIDs are not padded here (PS3.8 Annex F)"
)


def _padded(id: str, title: str, request: Bytes) -> Case:
    return case(
        id,
        title,
        "PS3.8 Annex F; PS3.5 9.1",
        Send("the A-ASSOCIATE-RQ", request),
        Expect("accept", "abort 0/*", why=_PADDING, check=results({1: ACCEPTED}, refusal=_PADDING)),
        _echo_where_accepted(),
        needs=ECHO,
    )


_TRIMMED = "with what stands around it cut off it is one that is known, and is taken for that"


def _odd_uid(id: str, title: str, uid: bytes, *, transfer: bool = False, lenient: str = "") -> Case:
    """A UID that names nothing: its context is refused, or the PDU is."""
    bad = context(3, VERIFICATION, uid) if transfer else context(3, uid, IMPLICIT)
    refused = NO_TRANSFER_SYNTAX if transfer else NO_ABSTRACT_SYNTAX
    return case(
        id,
        title,
        "PS3.5 9.1; PS3.8 9.3.3.2, Annex F",
        Send("the A-ASSOCIATE-RQ", proposing(DEFAULT_CONTEXT, bad)),
        Expect("accept|abort 0/0", "abort 0/*", "reject 1/*", why="it names nothing that could be accepted"),
        IfAccepted(echo(), check=results({1: ACCEPTED, 3: refused}, acceptance=lenient)),
        needs=ECHO,
    )


CASES: tuple[Case, ...] = (
    _padded(
        "negotiation-58a",
        "Abstract and transfer syntax padded with a NUL",
        proposing(context(1, VERIFICATION + b"\0", IMPLICIT + b"\0")),
    ),
    _padded(
        "negotiation-58b",
        "Abstract and transfer syntax padded with a space",
        proposing(context(1, VERIFICATION + b" ", IMPLICIT + b" ")),
    ),
    _odd_uid("negotiation-58c", "An abstract syntax of 65 bytes", _LONG_UID),
    _odd_uid("negotiation-58d", "A transfer syntax of 65 bytes", _LONG_UID, transfer=True),
    *(
        _odd_uid(
            f"negotiation-204{letter}",
            f"An abstract syntax {what}",
            uid,
            lenient=_TRIMMED if uid.strip() != uid else "",
        )
        for letter, what, uid in (
            ("a", "of 64 bytes that nobody knows", _LONG_UID[:64]),
            ("b", "of 0 bytes", b""),
            ("c", "of 1000 bytes", b"1.2." + b"3" * 996),
            ("d", "that ends with a dot", VERIFICATION + b"."),
            ("e", "with a component 01", b"1.2.840.10008.1.01"),
            ("f", "with an empty component", b"1.2.840.10008..1.1"),
            ("g", "that begins with a space", b" " + VERIFICATION),
            ("h", "with a line end behind it", VERIFICATION + b"\n"),
            ("i", "with a NUL inside", b"1.2.840.10008\0.1.1"),
            ("j", "that is a word", b"Verification"),
            ("k", "that is the beginning of a known one", VERIFICATION[:-1]),
            ("l", "that is a transfer syntax", IMPLICIT),
        )
    ),
    *(
        _odd_uid(
            f"negotiation-204{letter}",
            f"A transfer syntax {what}",
            uid,
            transfer=True,
            lenient=_TRIMMED if uid.strip() != uid else "",
        )
        for letter, what, uid in (
            ("m", "that is an abstract syntax", VERIFICATION),
            ("n", "with a line end behind it", IMPLICIT + b"\n"),
            ("o", "that is the beginning of a known one", IMPLICIT[:-1]),
        )
    ),
    _padded(
        "negotiation-204p",
        "A transfer syntax of 0 bytes before one that is known",
        proposing(context(1, VERIFICATION, b"", IMPLICIT)),
    ),
)
