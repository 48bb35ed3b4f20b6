"""What is looked at in the user information of an A-ASSOCIATE-AC, byte by byte (PS3.8 D.1; PS3.7 D.3.3)."""

import re
import struct
from collections.abc import Callable

from services.conformance.associate_bytes import (
    RawAssociate,
    RawContext,
    answered,
    asked,
    roles,
    uid,
)
from services.conformance.checks import (
    ACCEPTED,
    LONGEST_UID,
    LONGEST_VERSION_NAME,
    all_of,
    application_context_is_dicom,
    every_context_is_answered,
    items_are_complete_and_in_order,
    lengths_add_up,
    named,
    readable,
    refused_contexts_carry_a_transfer_syntax,
    tolerable,
    transfer_syntaxes_were_offered,
    version_has_bit_0,
    wrong,
)
from services.conformance.connection import Event
from services.conformance.conversation import Check, Conversation
from services.conformance.verdict import Finding


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
        return wrong("a UID of 64 characters at most", repr(readable(value)), "PS3.7 D.3.3.2.2, PS3.5 9.1")
    if len(names) > 1:
        return wrong("one Implementation Version Name (55H) at most", f"{len(names)}", "PS3.7 D.3.3.2")
    for name in names:
        if not 1 <= len(name.value) <= LONGEST_VERSION_NAME or not name.value.decode("latin-1").isprintable():
            return wrong(
                "a version name of 1 to 16 characters", repr(readable(name.value)), "PS3.7 D.3.3.2.4"
            )
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


def roles_within_the_proposal(conversation: Conversation, _: Event) -> Finding | None:
    """with no role granted that was not proposed."""
    proposed = {each.uid: each for each in roles(asked(conversation))}
    for got in roles(answered(conversation)):
        offer = proposed.get(got.uid)
        if offer is None:
            return wrong(
                "role selection (54H) only where it was asked for", readable(got.uid), "PS3.7 D.3.3.4"
            )
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
        expected = f"role selection (54H) for {readable(wanted)}"
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
                got = f"SCU {each.scu}, SCP {each.scp} for {readable(each.uid)}"
                return tolerable("no role for a class of no context", got, "PS3.7 D.3.3.4.1")
        return None

    return named("without a role for a class of no context", check)


def extended_within_the_proposal(conversation: Conversation, _: Event) -> Finding | None:
    """with no SOP class extended negotiation beyond what was proposed."""
    proposed, got = (_extended(each) for each in (asked(conversation), answered(conversation)))
    for name, information in got.items():
        offer = proposed.get(name)
        if offer is None:
            return wrong("an answer (56H) to what was asked", f"one for {readable(name)}", "PS3.7 D.3.3.5")
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
