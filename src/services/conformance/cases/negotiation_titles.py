"""Protocol version, application context and AE titles: cases 38 to 48 (PS3.8 9.3.2, 9.3.4; PS3.7 A.2)."""

from collections.abc import Iterator

from services.conformance.building import (
    APPLICATION_CONTEXT,
    IMPLICIT,
    VERIFICATION,
    application_context,
    context,
    user_information,
)
from services.conformance.case import Case, case
from services.conformance.cases.ul_steps import ECHO, IfAccepted, accepted_then_echo
from services.conformance.checks import (
    all_of,
    application_context_is_dicom,
    titles_and_reserved_bytes_come_back,
    version_has_bit_0,
)
from services.conformance.conversation import Check, Conversation
from services.conformance.steps import Bytes, Do, Expect, Send, Step, echo
from services.conformance.target import Target

DEFAULT_CONTEXT = context(1, VERIFICATION, IMPLICIT)

_VERSION = "PS3.8 9.3.2, 9.3.3: bit 0 of the protocol version"
_APPLICATION_CONTEXT = "PS3.7 A.2.1; PS3.8 9.3.2.1, 9.3.4"
_TITLES = "PS3.8 9.3.2, 9.3.4; PS3.5 6.2"
_CALLED = "called-AE-title-not-recognized; a peer that does not check the title accepts"
_CALLING = "calling-AE-title-not-recognized; a peer that does not check the title accepts"
_NOTE = (
    "Whether titles are checked is the peer's own affair: one that does not accepts, which is tolerated. One that does "
    "must give the reason that the title at fault has."
)
LONGEST_TITLE = 16


def _accepted(
    id: str, title: str, clause: str, request: Bytes, why: str, *tolerated: str, check: Check | None = None
) -> Case:
    return case(
        id,
        title,
        clause,
        Send("the A-ASSOCIATE-RQ", request),
        accepted_then_echo(why, *tolerated, check=check),
        needs=ECHO,
    )


def _refused(
    id: str,
    title: str,
    clause: str,
    request: Bytes,
    answers: tuple[str, ...],
    why: str,
    *,
    note: str = "",
    before: tuple[Step, ...] = (),
) -> Case:
    """Refused by the first of the answers; where acceptance is among the others, the association must then serve."""
    return case(
        id,
        title,
        clause,
        before,
        Send("the A-ASSOCIATE-RQ", request),
        Expect(answers[0], *answers[1:], why=why),
        IfAccepted(echo()),
        needs=ECHO if "accept" in answers else (),
        note=note,
    )


# -- protocol version and application context


def _version(number: int) -> Bytes:
    return lambda target: target.a_associate_rq(version=number)


def _naming(*names: bytes) -> Bytes:
    """A request with these application context names."""
    items = (*(application_context(each) for each in names), DEFAULT_CONTEXT, user_information())
    return lambda target: target.a_associate_rq(*items)


_VERSIONS = (
    _accepted(
        "negotiation-38",
        "Protocol version 0001H",
        _VERSION,
        _version(1),
        "bit 0 is set",
        check=version_has_bit_0,
    ),
    *(
        _accepted(
            f"negotiation-39{letter}",
            f"Protocol version {number:04X}H",
            _VERSION,
            _version(number),
            "bit 0 is set, and no other bit is tested",
            check=version_has_bit_0,
        )
        for letter, number in zip("abc", (0x0003, 0x8001, 0xFFFF), strict=True)
    ),
    *(
        _refused(
            f"negotiation-40{letter}",
            f"Protocol version {number:04X}H",
            _VERSION,
            _version(number),
            ("reject 1/2/2", "reject *"),
            "protocol-version-not-supported, of the service provider, where bit 0 is not set",
        )
        for letter, number in zip("abc", (0x0002, 0x0000, 0xFFFE), strict=True)
    ),
)

_APPLICATION_CONTEXTS = (
    *(
        _refused(
            f"negotiation-41{letter}",
            f"An application context name {what}",
            _APPLICATION_CONTEXT,
            _naming(name),
            ("reject 1/1/2", "reject *", *also),
            "application-context-name-not-supported",
        )
        for letter, what, name, also in (
            ("a", "that is another UID", b"1.2.840.10008.3.1.1.2", ()),
            ("b", "that is longer by one component", APPLICATION_CONTEXT + b".1", ()),
            ("c", "of 0 bytes", b"", ("abort 0/*",)),
            ("d", "of 65 bytes", b"1.2." + b"3" * 61, ("abort 0/*",)),
        )
    ),
    _refused(
        "negotiation-42a",
        "No application context item",
        _APPLICATION_CONTEXT,
        _naming(),
        ("abort 0/0|reject 1/1/2", "abort 0/*", "reject *"),
        "there must be exactly one: never accepted in silence",
    ),
    _refused(
        "negotiation-42b",
        "The application context item twice",
        _APPLICATION_CONTEXT,
        _naming(APPLICATION_CONTEXT, APPLICATION_CONTEXT),
        ("abort 0/0|reject 1/1/2", "abort 0/*", "reject *", "accept"),
        "there must be exactly one; to take the one that both name is tolerated",
    ),
    _refused(
        "negotiation-42c",
        "Two application context items that differ",
        _APPLICATION_CONTEXT,
        _naming(APPLICATION_CONTEXT, b"1.2.840.10008.3.1.1.2"),
        ("abort 0/0|reject 1/1/2", "abort 0/*", "reject *", "accept"),
        "there must be exactly one; to take one that is supported is tolerated",
    ),
    *(
        _accepted(
            f"negotiation-42{letter}",
            f"The application context name padded with {what}",
            "PS3.8 Annex F; PS3.5 9.1",
            _naming(APPLICATION_CONTEXT + pad),
            "padding carries no meaning; to refuse it is tolerated, since UIDs are not padded here",
            "reject *",
            "abort 0/*",
            check=application_context_is_dicom,
        )
        for letter, what, pad in (("d", "a NUL", b"\0"), ("e", "a space", b" "))
    ),
)

# -- AE titles


def _called(title: bytes) -> Bytes:
    return lambda target: target.a_associate_rq(called=title)


def _needs_room() -> Do:
    async def run(conversation: Conversation) -> None:
        if len(conversation.target.called_ae) >= LONGEST_TITLE:
            conversation.not_applicable(
                "the called AE title takes all of its 16 bytes: there is nothing to pad"
            )

    return Do("needs a called AE title of less than 16 bytes", run)


def _needs_letters() -> Do:
    async def run(conversation: Conversation) -> None:
        title = conversation.target.called_ae
        if title.swapcase() == title:
            conversation.not_applicable("the called AE title has no letters")

    return Do("needs a called AE title with letters", run)


def _padded(id: str, title: str, request: Bytes, *tolerated: str) -> Case:
    return case(
        id,
        title,
        _TITLES,
        _needs_room(),
        Send("the A-ASSOCIATE-RQ", request),
        accepted_then_echo(
            "padding is not significant", *tolerated, check=titles_and_reserved_bytes_come_back
        ),
        needs=ECHO,
    )


_PLAIN = (
    _refused(
        "negotiation-43a",
        "A called AE title that nobody has",
        _TITLES,
        _called(b"NOBODY_HAS_THIS"),
        ("reject 1/1/7", "reject *", "accept"),
        _CALLED,
        note=_NOTE,
    ),
    _refused(
        "negotiation-43b",
        "A called AE title that begins like the right one",
        _TITLES,
        lambda target: target.a_associate_rq(called=(target.called_ae[:14] + b"_X")),
        ("reject 1/1/7", "reject *", "accept"),
        _CALLED,
        note=_NOTE,
    ),
    _refused(
        "negotiation-44",
        "A calling AE title that nobody has",
        _TITLES,
        lambda target: target.a_associate_rq(calling=b"NOBODY_HAS_THIS"),
        ("reject 1/1/3", "reject *", "accept"),
        _CALLING,
        note=_NOTE,
    ),
    _padded(
        "negotiation-45a",
        "The called AE title with the padding in front",
        lambda target: target.a_associate_rq(called=target.called_ae.rjust(LONGEST_TITLE)),
    ),
    _padded(
        "negotiation-45b",
        "The called AE title with padding on both sides",
        lambda target: target.a_associate_rq(called=target.called_ae.center(LONGEST_TITLE)),
    ),
    _padded(
        "negotiation-45c",
        "The calling AE title with the padding in front",
        lambda target: target.a_associate_rq(calling=target.calling_ae.rjust(LONGEST_TITLE)),
    ),
    _padded(
        "negotiation-45d",
        "The called AE title padded with NULs",
        lambda target: target.a_associate_rq(called=target.called_ae.ljust(LONGEST_TITLE, b"\0")),
        "reject 1/1/7",
        "abort 0/*",
    ),
    _padded(
        "negotiation-45e",
        "The calling AE title padded with NULs",
        lambda target: target.a_associate_rq(calling=target.calling_ae.ljust(LONGEST_TITLE, b"\0")),
        "reject 1/1/3",
        "abort 0/*",
    ),
    _refused(
        "negotiation-46a",
        "A called AE title of spaces alone",
        _TITLES,
        _called(b""),
        ("reject 1/1/7", "reject *", "abort 0/*", "accept"),
        "spaces alone name nobody (PS3.8 9.3.2); " + _CALLED,
        note=_NOTE,
    ),
    _refused(
        "negotiation-46b",
        "A calling AE title of spaces alone",
        _TITLES,
        lambda target: target.a_associate_rq(calling=b""),
        ("reject 1/1/3", "reject *", "abort 0/*", "accept"),
        "spaces alone name nobody (PS3.8 9.3.2); " + _CALLING,
        note=_NOTE,
    ),
    _refused(
        "negotiation-46c",
        "A called AE title of NULs alone",
        _TITLES,
        _called(bytes(LONGEST_TITLE)),
        ("reject 1/1/7", "reject *", "abort 0/*", "accept"),
        "NULs name nobody; " + _CALLED,
        note=_NOTE,
    ),
    _refused(
        "negotiation-47",
        "The called AE title in the other letter case",
        _TITLES,
        lambda target: target.a_associate_rq(called=target.called_ae.swapcase()),
        ("reject 1/1/7", "reject *", "accept"),
        "titles are case sensitive (PS3.5 6.2); " + _CALLED,
        note=_NOTE,
        before=(_needs_letters(),),
    ),
)

_BYTES = (
    (b"\0", "a NUL inside"),
    (b"\x01", "a control character"),
    (b"\n", "a line end"),
    (b"\x1b[2J", "an escape sequence"),
    (b"\\", "a backslash"),
    (b"\xc9", "a letter that is not ASCII"),
    (b"../", "parts of a path"),
)


def _spoilt(title: bytes, inserted: bytes) -> bytes:
    return (title[:3] + inserted + title[3:])[:LONGEST_TITLE]


def _with_bytes(number: int, called: bool) -> Iterator[Case]:
    """Titles with bytes that they may not have, or that show whether they end up in a path or a terminal."""
    who, reason = ("called", "1/1/7") if called else ("calling", "1/1/3")
    for letter, (inserted, what) in zip("abcdefg" if called else "hijklmn", _BYTES, strict=True):

        def request(target: Target, inserted: bytes = inserted) -> bytes:
            if called:
                return target.a_associate_rq(called=_spoilt(target.called_ae, inserted))
            return target.a_associate_rq(calling=_spoilt(target.calling_ae, inserted))

        # A path is an AE title like any other, as long as the peer does not know titles.
        allowed = inserted == b"../" and not called
        strict = f"reject {reason}|accept" if allowed else f"reject {reason}"
        yield _refused(
            f"negotiation-{number}{letter}",
            f"A {who} AE title with {what}",
            _TITLES,
            request,
            (strict, "reject *", "abort 0/*", "accept"),
            _CALLED if called else _CALLING,
            note=_NOTE,
        )


_TITLES_AND_VERSION = (
    case(
        "negotiation-206",
        "Titles, version and application context of the A-ASSOCIATE-AC",
        "PS3.8 9.3.3; PS3.7 A.2.1",
        Send("an A-ASSOCIATE-RQ", lambda target: target.a_associate_rq()),
        accepted_then_echo(
            "nothing in the request gives a reason to refuse it",
            check=all_of(
                version_has_bit_0, application_context_is_dicom, titles_and_reserved_bytes_come_back
            ),
        ),
        needs=ECHO,
    ),
)

CASES: tuple[Case, ...] = (
    *_VERSIONS,
    *_APPLICATION_CONTEXTS,
    *_PLAIN,
    *_with_bytes(48, called=True),
    *_with_bytes(48, called=False),
    *_TITLES_AND_VERSION,
)
