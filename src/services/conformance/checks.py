"""What is looked at in the answers to an association request, byte by byte: contexts and the answer as a whole.

What the peer was asked is taken from the bytes that were sent. A check is a `conversation.Check`; the first line of its
docstring completes "expects ..., ...". Those of the user information are in `checks_user_information`.
"""

from collections.abc import Mapping, Sequence

from services.conformance.associate_bytes import (
    answered,
    asked,
    pdus,
    received,
    split,
    uid,
)
from services.conformance.building import APPLICATION_CONTEXT
from services.conformance.connection import Event
from services.conformance.conversation import Check, Conversation
from services.conformance.verdict import Finding, Verdict
from services.printable import printable

LONGEST_UID = 64
"""In characters (PS3.5 9.1)."""

LONGEST_VERSION_NAME = 16
"""In characters (PS3.7 D.3.3.2.3)."""

# -- writing checks


def named(title: str, check: Check) -> Check:
    """Give a check that was made for a case the title it is shown under."""

    def titled(conversation: Conversation, event: Event) -> Finding | None:
        return check(conversation, event)

    titled.__doc__ = title
    return titled


def all_of(*checks: Check, title: str = "") -> Check:
    """Several checks as one: the worst of what they find, the first where several are as bad."""

    def check(conversation: Conversation, event: Event) -> Finding | None:
        found = [finding for each in checks if (finding := each(conversation, event)) is not None]
        return max(found, key=lambda finding: finding.verdict.severity, default=None)

    return named(title or " and ".join(_title(each) for each in checks), check)


def _title(check: Check) -> str:
    return (check.__doc__ or "").strip().splitlines()[0].rstrip(".")


def wrong(expected: str, got: str, why: str = "") -> Finding:
    """What fails a case."""
    return Finding(Verdict.FAIL, expected, got, why)


def tolerable(expected: str, got: str, why: str = "") -> Finding:
    """What a case tolerates."""
    return Finding(Verdict.TOLERATED, expected, got, why)


def readable(value: bytes) -> str:
    """Bytes of the wire as text that can be shown."""
    return printable(value.decode("latin-1"))


# -- presentation contexts

RESULTS = {
    0: "acceptance",
    1: "user-rejection",
    2: "no-reason",
    3: "abstract-syntax-not-supported",
    4: "transfer-syntaxes-not-supported",
}
"""Result/Reason of a presentation context (PS3.8 Table 9-18)."""

ACCEPTED, NO_ABSTRACT_SYNTAX, NO_TRANSFER_SYNTAX = 0, 3, 4


def result_text(value: int) -> str:
    """A Result/Reason with its name."""
    return f"{value} ({RESULTS.get(value, 'no value the standard knows')})"


def results(
    expected: Mapping[int, int | tuple[int, ...]], *, refusal: str = "", acceptance: str = ""
) -> Check:
    """Each of these contexts is answered once, with this result, or with one of these.

    A refusal with another reason than the one expected is tolerated; acceptance for refusal, or the reverse, is not.

    Args:
        expected: context id -> result, or results that are as good.
        refusal: why it is tolerated that contexts are refused which are to be accepted; empty where it is not.
        acceptance: why it is tolerated that contexts are accepted which are to be refused; empty where it is not.
    """
    wanted = {number: (each,) if isinstance(each, int) else each for number, each in expected.items()}

    def check(conversation: Conversation, _: Event) -> Finding | None:
        contexts = answered(conversation).contexts
        worst: Finding | None = None
        for number, allowed in wanted.items():
            got = [each.result for each in contexts if each.id == number]
            lenient = acceptance if got == [ACCEPTED] else refusal
            finding = _result_finding(number, allowed, got, lenient)
            if finding is not None and finding.verdict is Verdict.FAIL:
                return finding
            worst = worst or finding
        return worst

    return named(f"with {_results_text(wanted)}", check)


def _result_finding(number: int, allowed: tuple[int, ...], got: list[int], lenient: str) -> Finding | None:
    expected = f"context {number}: result {' or '.join(result_text(each) for each in allowed)}"
    if len(got) != 1:
        return wrong(
            expected, f"{len(got)} answers to context {number}", "one answer to each (PS3.8 9.3.3.2)"
        )
    result = got[0]
    if result in allowed:
        return None
    text = f"result {result_text(result)}"
    if lenient and result in RESULTS:
        return tolerable(expected, text, lenient)
    if ACCEPTED in allowed or result == ACCEPTED or result not in RESULTS:
        return wrong(expected, text, "PS3.8 9.3.3.2")
    return tolerable(expected, text, "refused, as it must be, but for another reason (PS3.8 9.3.3.2)")


def _results_text(wanted: Mapping[int, tuple[int, ...]]) -> str:
    if len(wanted) > 4:
        kinds = sorted({each for allowed in wanted.values() for each in allowed})
        return f"{len(wanted)} contexts answered with result {' or '.join(map(result_text, kinds))}"
    return ", ".join(
        f"context {number} answered with result {' or '.join(map(result_text, allowed))}"
        for number, allowed in wanted.items()
    )


def not_accepted(*numbers: int) -> Check:
    """None of these contexts is accepted, whatever else is said of them."""

    def check(conversation: Conversation, _: Event) -> Finding | None:
        for each in answered(conversation).contexts:
            if each.id in numbers and each.result == ACCEPTED:
                return wrong(f"context {each.id} not accepted", f"result {result_text(0)}", "PS3.8 9.3.2.2")
        return None

    return named(f"with no acceptance of context {', '.join(map(str, numbers))}", check)


def answered_once(*numbers: int) -> Check:
    """Each of these contexts is answered no more than once."""

    def check(conversation: Conversation, _: Event) -> Finding | None:
        ids = [each.id for each in answered(conversation).contexts]
        for number in numbers:
            if ids.count(number) > 1:
                return wrong(f"one answer to context {number}", f"{ids.count(number)}", "PS3.8 9.3.3.2")
        return None

    return named(f"with one answer at most to context {', '.join(map(str, numbers))}", check)


def every_context_is_answered(conversation: Conversation, _: Event) -> Finding | None:
    """with an answer to every proposed context and to no other."""
    proposed = sorted(each.id for each in asked(conversation).contexts)
    got = sorted(each.id for each in answered(conversation).contexts)
    if got == proposed:
        return None
    return wrong(
        f"answers to the contexts {_numbers(proposed)}",
        f"to {_numbers(got)}",
        "an answer to each of them, under its id (PS3.8 9.3.3.2)",
    )


def _numbers(numbers: Sequence[int]) -> str:
    text = ", ".join(map(str, numbers[:8]))
    return f"{text} ... ({len(numbers)} of them)" if len(numbers) > 8 else text or "none"


def transfer_syntaxes_were_offered(conversation: Conversation, _: Event) -> Finding | None:
    """with one transfer syntax for each accepted context, of those offered for it."""
    offered = {each.id: each.transfer_syntaxes() for each in asked(conversation).contexts}
    for each in answered(conversation).contexts:
        if each.result != ACCEPTED:
            continue
        got = each.transfer_syntaxes()
        if len(got) != 1:
            return wrong(
                f"one transfer syntax for context {each.id}", f"{len(got)}", "PS3.8 9.3.3.2, PS3.7 D.3.2"
            )
        if got[0] not in offered.get(each.id, ()):
            return wrong(
                f"for context {each.id} a transfer syntax that was offered", readable(got[0]), "PS3.8 9.3.3.2"
            )
    return None


def refused_contexts_carry_a_transfer_syntax(conversation: Conversation, _: Event) -> Finding | None:
    """with a transfer syntax sub-item in the refused contexts too, which nobody reads."""
    for each in answered(conversation).contexts:
        count = len(each.transfer_syntaxes())
        if each.result != ACCEPTED and count != 1:
            expected = f"one transfer syntax sub-item in the refused context {each.id}"
            why = "it is not significant where the context is refused, but it is there (PS3.8 9.3.3.2)"
            return tolerable(expected, str(count), why)
    return None


# -- the answer as a whole


def version_has_bit_0(conversation: Conversation, _: Event) -> Finding | None:
    """with protocol version 0001H."""
    version = answered(conversation).version
    if version == 1:
        return None
    finding = wrong if not version & 1 else tolerable
    return finding(
        "protocol version 0001H", f"{version:04X}H", "this version of the protocol is bit 0 (9.3.3)"
    )


def titles_and_reserved_bytes_come_back(conversation: Conversation, _: Event) -> Finding | None:
    """with both titles and the 32 reserved bytes as they were sent."""
    request, answer = asked(conversation), answered(conversation)
    if answer.titles != request.titles:
        same = _without_padding(answer.titles) == _without_padding(request.titles)
        return (tolerable if same else wrong)(
            f"the titles {readable(request.titles)!r}",
            repr(readable(answer.titles)),
            "they are sent back as received, padding included, but nobody may test them (PS3.8 9.3.3)",
        )
    if answer.reserved != request.reserved:
        return tolerable(
            f"the reserved bytes {request.reserved[:4].hex(' ')} ...",
            f"{answer.reserved[:4].hex(' ')} ...",
            "they are sent back as received, but nobody may test them (PS3.8 9.3.3)",
        )
    return None


def _without_padding(titles: bytes) -> tuple[bytes, bytes]:
    return titles[:16].strip(b" \0"), titles[16:].strip(b" \0")


def reserved_bytes_are_zero(conversation: Conversation, _: Event) -> Finding | None:
    """with 00H in the reserved bytes of its header, items and contexts."""
    answer = answered(conversation)
    places = {"the header": answer.raw[1:2], "the two bytes before the titles": answer.raw[8:10]}
    for each in (*answer.items, *answer.user_data):
        places.setdefault(f"item {each.kind:02X}H", bytes((each.reserved,)))
    for context in answer.contexts:
        places[f"context {context.id}"] = context.reserved
        for each in context.syntaxes:
            places[f"item {each.kind:02X}H of context {context.id}"] = bytes((each.reserved,))
    for place, value in places.items():
        if any(value):
            why = "reserved fields are sent with 00H, and tested by nobody (PS3.8 9.3)"
            return tolerable(f"00H in the reserved bytes of {place}", value.hex(" "), why)
    return None


def items_are_complete_and_in_order(conversation: Conversation, _: Event) -> Finding | None:
    """with one application context, the contexts and one user information item, in this order."""
    kinds = [each.kind for each in answered(conversation).items]
    for kind, what in {0x10: "application context", 0x50: "user information"}.items():
        if kinds.count(kind) != 1:
            return wrong(f"one {what} item", f"{kinds.count(kind)}", "PS3.8 9.3.3")
    if kinds == sorted(kinds):
        return None
    got = " ".join(f"{kind:02X}H" for kind in kinds[:12])
    return tolerable("10H, 21H ..., 50H", got, "the items are listed in this order (PS3.8 9.3.3)")


def application_context_is_dicom(conversation: Conversation, _: Event) -> Finding | None:
    """with the DICOM application context name."""
    names = [uid(each.value) for each in answered(conversation).items if each.kind == 0x10]
    if names == [APPLICATION_CONTEXT]:
        return None
    got = ", ".join(map(readable, names)) or "none"
    return wrong(f"the application context {readable(APPLICATION_CONTEXT)}", got, "PS3.7 A.2.1; PS3.8 9.3.3")


def lengths_add_up(conversation: Conversation, _: Event) -> Finding | None:
    """with items and sub-items that fill what is around them."""
    answer = answered(conversation)
    parts = [("A-ASSOCIATE-AC", answer.raw[74:], answer.items)]
    for each in answer.items:
        if each.kind == 0x21:
            parts.append(("presentation context item", each.value[4:], tuple(split(each.value[4:]))))
        elif each.kind == 0x50:
            parts.append(("user information item", each.value, tuple(split(each.value))))
    for what, data, items in parts:
        left = len(data) - sum(4 + len(each.value) for each in items)
        if left:
            return wrong(f"an {what} filled by its items", f"{left} bytes that are none", "PS3.8 9.3.1")
    return None


# -- what comes on an association


def no_pdu_longer_than(limit: int) -> Check:
    """No P-DATA-TF is longer than the maximum length we announced."""

    def check(conversation: Conversation, _: Event) -> Finding | None:
        lengths = [len(each) - 6 for each in pdus(received(conversation.connection)) if each[0] == 4]
        if max(lengths, default=0) <= limit:
            return None
        return wrong(f"P-DATA-TFs of {limit} bytes at most", f"one of {max(lengths)}", "PS3.8 D.1")

    return named(f"in P-DATA-TFs of {limit} bytes at most", check)


def last_pdu_is(expected: bytes, why: str) -> Check:
    """The last PDU is these bytes."""

    def check(conversation: Conversation, _: Event) -> Finding | None:
        last = pdus(received(conversation.connection))[-1:]
        got = last[0] if last else b""
        return None if got == expected else wrong(expected.hex(" "), got.hex(" "), why)

    return named(f"the bytes {expected.hex(' ')}", check)
