"""What is looked at in the answers to an association request, byte by byte (PS3.8 9.3.3; PS3.7 D.3.3).

Reads the bytes themselves, not what `dul` makes of them: a reserved byte, a second sub-item or a missing one must be
seen. What the peer was asked is taken from the bytes that were sent. A check is a `conversation.Check`; the first line
of its docstring completes "expects ..., ...".
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from services.conformance.building import APPLICATION_CONTEXT
from services.conformance.connection import Connection, Event, Move
from services.conformance.conversation import Check, Conversation
from services.conformance.verdict import Finding, Verdict
from services.printable import printable

LONGEST_UID = 64
"""In characters (PS3.5 9.1)."""

LONGEST_VERSION_NAME = 16
"""In characters (PS3.7 D.3.3.2.3)."""

# -- reading


class RawItem(NamedTuple):
    """An item or sub-item: its type, the byte after it, its value."""

    kind: int
    reserved: int
    value: bytes


class RawContext(NamedTuple):
    """A presentation context of a request or an answer.

    `result` is the third byte, which is reserved in a request; `reserved` the second and the fourth.
    """

    id: int
    result: int
    reserved: bytes
    syntaxes: tuple[RawItem, ...]

    def transfer_syntaxes(self) -> list[bytes]:
        """Without padding, in their order."""
        return [uid(each.value) for each in self.syntaxes if each.kind == 0x40]


class RawAssociate(NamedTuple):
    """An A-ASSOCIATE-RQ or -AC: its bytes from the header on, and its items."""

    raw: bytes
    items: tuple[RawItem, ...]

    @property
    def version(self) -> int:
        return int.from_bytes(self.raw[6:8])

    @property
    def titles(self) -> bytes:
        """Called and calling AE title, as they stand."""
        return self.raw[10:42]

    @property
    def reserved(self) -> bytes:
        """The 32 bytes after the titles."""
        return self.raw[42:74]

    @property
    def contexts(self) -> list[RawContext]:
        return [
            RawContext(v[0], v[2], bytes((v[1], v[3])), tuple(split(v[4:])))
            for kind, _, v in self.items
            if kind in (0x20, 0x21) and len(v) >= 4
        ]

    @property
    def user_data(self) -> list[RawItem]:
        """The sub-items of the user information item."""
        return [part for kind, _, value in self.items if kind == 0x50 for part in split(value)]

    def sub_items(self, kind: int) -> list[RawItem]:
        return [part for part in self.user_data if part.kind == kind]


def uid(value: bytes) -> bytes:
    """A UID without the padding that counts for nothing."""
    return value.rstrip(b"\0 ")


def split(data: bytes) -> list[RawItem]:
    """The items that bytes are made of; what does not fit is left out."""
    items = []
    while len(data) >= 4:
        kind, reserved, length = struct.unpack_from(">BBH", data)
        if len(data) < 4 + length:
            break
        items.append(RawItem(kind, reserved, data[4 : 4 + length]))
        data = data[4 + length :]
    return items


def sent(connection: Connection) -> bytes:
    """What was sent on a connection, as far as it is kept."""
    return b"".join(each.data for each in connection.exchanges if each.move is Move.SENT)


def received(connection: Connection) -> bytes:
    """What came on a connection, as far as it is kept."""
    return b"".join(each.data for each in connection.exchanges if each.move is Move.RECEIVED)


def pdus(data: bytes) -> list[bytes]:
    """The whole PDUs that bytes begin with, header included."""
    found = []
    while len(data) >= 6:
        end = 6 + int.from_bytes(data[2:6])
        if len(data) < end:
            break
        found.append(data[:end])
        data = data[end:]
    return found


def asked(conversation: Conversation) -> RawAssociate:
    """The A-ASSOCIATE-RQ that was sent on the current connection; an empty one where there is none."""
    return _associate(sent(conversation.connection), 1)


def answered(conversation: Conversation) -> RawAssociate:
    """The A-ASSOCIATE-AC that came on the current connection; an empty one where there is none."""
    return _associate(received(conversation.connection), 2)


def _associate(data: bytes, kind: int) -> RawAssociate:
    for raw in pdus(data):
        if raw[0] == kind:
            return RawAssociate(raw, tuple(split(raw[74:])))
    return RawAssociate(b"", ())


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


def _text(value: bytes) -> str:
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
                f"for context {each.id} a transfer syntax that was offered", _text(got[0]), "PS3.8 9.3.3.2"
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
            f"the titles {_text(request.titles)!r}",
            repr(_text(answer.titles)),
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
    got = ", ".join(map(_text, names)) or "none"
    return wrong(f"the application context {_text(APPLICATION_CONTEXT)}", got, "PS3.7 A.2.1; PS3.8 9.3.3")


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


def sound_answer() -> Check:
    """Everything an A-ASSOCIATE-AC must be, whatever was asked."""
    return all_of(
        lengths_add_up,
        items_are_complete_and_in_order,
        application_context_is_dicom,
        version_has_bit_0,
        every_context_is_answered,
        transfer_syntaxes_were_offered,
        refused_contexts_carry_a_transfer_syntax,
        maximum_length_is_announced,
        implementation_is_identified,
        title="which is sound in all its parts",
    )


# -- sub-items of the user information


def maximum_length_is_announced(conversation: Conversation, _: Event) -> Finding | None:
    """with one maximum length sub-item of 4 bytes."""
    found = answered(conversation).sub_items(0x51)
    if len(found) != 1:
        return wrong("one maximum length sub-item (51H)", f"{len(found)}", "PS3.8 D.1.2, PS3.7 D.3.3.1")
    value = found[0].value
    if len(value) != 4:
        return wrong("a maximum length of 4 bytes", f"{len(value)} bytes", "PS3.8 D.1.2")
    announced = int.from_bytes(value)
    if 0 < announced < 8:
        return wrong("room for a fragment", f"{announced} bytes", "a P-DATA-TF needs 8 at least (PS3.8 D.1)")
    return None


_UID = re.compile(rb"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")


def implementation_is_identified(conversation: Conversation, _: Event) -> Finding | None:
    """with one Implementation Class UID, and a version name of 1 to 16 characters or none."""
    answer = answered(conversation)
    classes, names = answer.sub_items(0x52), answer.sub_items(0x55)
    if len(classes) != 1:
        return wrong("one Implementation Class UID (52H)", f"{len(classes)}", "PS3.7 D.3.3.2")
    value = classes[0].value
    if len(value) > LONGEST_UID or not _UID.fullmatch(uid(value)):
        return wrong("a UID of 64 characters at most", repr(_text(value)), "PS3.7 D.3.3.2.2, PS3.5 9.1")
    if len(names) > 1:
        return wrong("one Implementation Version Name (55H) at most", f"{len(names)}", "PS3.7 D.3.3.2")
    for name in names:
        if not 1 <= len(name.value) <= LONGEST_VERSION_NAME or not name.value.decode("latin-1").isprintable():
            return wrong("a version name of 1 to 16 characters", repr(_text(name.value)), "PS3.7 D.3.3.2.4")
    return None


def absent(kind: int, what: str, why: str) -> Check:
    """No sub-item of this type is in the answer."""

    def check(conversation: Conversation, _: Event) -> Finding | None:
        count = len(answered(conversation).sub_items(kind))
        return wrong(f"no {what} ({kind:02X}H)", f"{count} of them", why) if count else None

    return named(f"without a {what} ({kind:02X}H)", check)


def at_most_one(kind: int, what: str) -> Check:
    """No more than one sub-item of this type is in the answer."""

    def check(conversation: Conversation, _: Event) -> Finding | None:
        count = len(answered(conversation).sub_items(kind))
        return wrong(f"one {what} ({kind:02X}H) at most", f"{count}") if count > 1 else None

    return named(f"with one {what} ({kind:02X}H) at most", check)


def window_within_the_proposal(conversation: Conversation, _: Event) -> Finding | None:
    """with no wider asynchronous operations window than the one offered."""
    offers, answers = asked(conversation).sub_items(0x53), answered(conversation).sub_items(0x53)
    if not answers:
        return None
    if len(answers) > 1 or len(answers[0].value) != 4:
        return wrong("one window sub-item (53H) of 4 bytes", f"{len(answers)}", "PS3.7 D.3.3.3")
    if not offers:
        return wrong("no window (53H)", "one", "none was offered (PS3.7 D.3.3.3)")
    offered, got = (struct.unpack(">HH", each[-1].value[:4]) for each in (offers, answers))
    for most, value, what in zip(offered, got, ("invoked", "performed"), strict=True):
        if most and (value == 0 or value > most):
            return wrong(
                f"{most} operations {what} at most", f"{value}", "no more than offered (PS3.7 D.3.3.3)"
            )
    return None


class RawRole(NamedTuple):
    """A role selection sub-item."""

    uid: bytes
    scu: int
    scp: int


def roles(associate: RawAssociate) -> list[RawRole]:
    """The role selections of a request or an answer; those too short to be read are left out."""
    found = []
    for _, _, value in associate.sub_items(0x54):
        length = int.from_bytes(value[:2])
        if len(value) == length + 4:
            found.append(RawRole(uid(value[2 : 2 + length]), value[-2], value[-1]))
    return found


def roles_within_the_proposal(conversation: Conversation, _: Event) -> Finding | None:
    """with no role granted that was not proposed."""
    proposed = {each.uid: each for each in roles(asked(conversation))}
    for got in roles(answered(conversation)):
        offer = proposed.get(got.uid)
        if offer is None:
            return wrong("role selection (54H) only where it was asked for", _text(got.uid), "PS3.7 D.3.3.4")
        if (got.scu and not offer.scu) or (got.scp and not offer.scp):
            return wrong(
                f"roles within SCU {offer.scu}, SCP {offer.scp}",
                f"SCU {got.scu}, SCP {got.scp}",
                "1 only where 1 was proposed (PS3.7 D.3.3.4)",
            )
    return None


def role_is_answered(sop_class: Callable[[Conversation], bytes]) -> Check:
    """The proposed roles of a SOP class are answered, or its context is refused."""

    def check(conversation: Conversation, _: Event) -> Finding | None:
        wanted = sop_class(conversation)
        if any(each.uid == wanted for each in roles(answered(conversation))):
            return None
        if all(each.result != ACCEPTED for each in _contexts_for(conversation, wanted)):
            return None
        expected = f"role selection (54H) for {_text(wanted)}"
        return tolerable(expected, "none", "without it the default roles hold (PS3.7 D.3.3.4)")

    return named("with an answer to the role selection, or a refused context", check)


def _contexts_for(conversation: Conversation, abstract_syntax: bytes) -> list[RawContext]:
    """The answers to the contexts that were proposed for an abstract syntax."""
    proposed = {
        each.id
        for each in asked(conversation).contexts
        if any(part.kind == 0x30 and uid(part.value) == abstract_syntax for part in each.syntaxes)
    }
    return [each for each in answered(conversation).contexts if each.id in proposed]


def no_role_for(sop_class: bytes) -> Check:
    """Nothing is granted for a SOP class of no context."""

    def check(conversation: Conversation, _: Event) -> Finding | None:
        for each in roles(answered(conversation)):
            if each.uid == sop_class and (each.scu or each.scp):
                got = f"SCU {each.scu}, SCP {each.scp} for {_text(each.uid)}"
                return tolerable("no role for a class of no context", got, "PS3.7 D.3.3.4.1")
        return None

    return named("without a role for a class of no context", check)


def extended_within_the_proposal(conversation: Conversation, _: Event) -> Finding | None:
    """with no SOP class extended negotiation beyond what was proposed."""
    proposed, got = (_extended(each) for each in (asked(conversation), answered(conversation)))
    for name, information in got.items():
        offer = proposed.get(name)
        if offer is None:
            return wrong("an answer (56H) to what was asked", f"one for {_text(name)}", "PS3.7 D.3.3.5")
        if any(
            value and not most
            for value, most in zip(information, offer.ljust(len(information), b"\0"), strict=False)
        ):
            return wrong(
                f"nothing beyond {offer.hex(' ')}",
                information.hex(" "),
                "1 only where 1 was proposed (PS3.4 C.5.1)",
            )
    return None


def _extended(associate: RawAssociate) -> dict[bytes, bytes]:
    found = {}
    for _, _, value in associate.sub_items(0x56):
        end = 2 + int.from_bytes(value[:2])
        found[uid(value[2:end])] = value[end:]
    return found


def identity_response_is_empty(conversation: Conversation, _: Event) -> Finding | None:
    """with an empty server response, where there is one (types 1 and 2)."""
    found = answered(conversation).sub_items(0x59)
    if len(found) > 1:
        return wrong("one user identity response (59H) at most", f"{len(found)}", "PS3.7 D.3.3.7.2")
    if found and found[0].value != b"\0\0":
        return wrong("a server response of length 0", found[0].value[:8].hex(" "), "PS3.7 D.3.3.7.2")
    return None


def identity_is_not_confirmed(conversation: Conversation, _: Event) -> Finding | None:
    """without a confirmation of an identity that nobody can have checked."""
    if not answered(conversation).sub_items(0x59):
        return None
    why = (
        "a response says that the identity was verified; without support for it there is none (PS3.7 D.3.3.7)"
    )
    return tolerable("no user identity response (59H)", "one", why)


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
