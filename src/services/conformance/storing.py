"""Steps with which cases associate for a service and store instances (PS3.4 Annex B; PS3.7 9.1.1)."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from dul.pdus import AAssociateAC
from services.conformance.building import (
    IMPLICIT,
    NO_DATA,
    VERIFICATION,
    c_store_rq,
    context,
    p_data,
    pdv,
)
from services.conformance.connection import Event
from services.conformance.conversation import Check, Conversation, matches
from services.conformance.data_sets import Instance
from services.conformance.steps import (
    ECHO_CONTEXT,
    FIND_CONTEXT,
    STORE_CONTEXT,
    Do,
    Expect,
    Send,
    Step,
)
from services.conformance.target import STUDY_ROOT_FIND, Target
from services.conformance.verdict import Finding, Verdict
from services.trace.reading import command_elements

MakeInstance: TypeAlias = Callable[[Target], Instance]

STORE_ID = 3
"""Message ID of a C-STORE, where a case does not say otherwise."""

FAILURE = ("0117", "A9??", "C???")
"""Statuses that refuse an instance for what it is: invalid SOP instance, does not match, cannot understand."""

OTHER_FAILURE = ("01??", "02??", "A7??")
"""Statuses of failure that fit less well."""

# -- associations


class Context(Struct, frozen=True):
    """A presentation context to propose.

    Attributes:
        id: odd, 1 to 255.
        abstract: the abstract syntax, or what finds it out from the target.
        syntaxes: the transfer syntaxes.
        needed: without it there is nothing to test.
    """

    id: int
    abstract: bytes | Callable[[Target], bytes]
    syntaxes: tuple[bytes, ...] = (IMPLICIT,)
    needed: bool = True

    def item(self, target: Target) -> bytes:
        """As a presentation context item."""
        abstract = self.abstract if isinstance(self.abstract, bytes) else self.abstract(target)
        return context(self.id, abstract, *self.syntaxes)


ECHO = Context(ECHO_CONTEXT, VERIFICATION)
FIND = Context(FIND_CONTEXT, STUDY_ROOT_FIND, needed=False)


def storage(*syntaxes: bytes, id: int = STORE_CONTEXT) -> Context:
    """A context for the storage class the peer takes."""
    return Context(id, lambda target: target.storage_class, syntaxes or (IMPLICIT,))


def propose(
    what: str,
    *contexts: Context,
    sub_items: Callable[[Target], tuple[bytes, ...]] = lambda target: (),
) -> tuple[Step, ...]:
    """Associate; where the peer refuses a context that is needed, the case is not applicable.

    Args:
        what: the contexts, in words: "storage in Explicit VR Big Endian".
        contexts: beside one for Verification.
        sub_items: of the user information, beside the two that must be there.
    """
    every = (ECHO, *contexts)

    def request(target: Target) -> bytes:
        items = (each.item(target) for each in every)
        return target.proposing(*items, sub_items=sub_items(target))

    async def look(conversation: Conversation) -> None:
        refused = [each for each in contexts if each.needed and result_of(conversation.last, each.id) != 0]
        if refused:
            conversation.not_applicable(f"the peer does not accept {what}")

    return (
        Send(f"an A-ASSOCIATE-RQ for {what}", request),
        Expect("accept", why="nothing in the request gives a reason to refuse it"),
        Do(f"looks whether the peer accepts {what}", look),
    )


def result_of(event: Event, context_id: int) -> int | None:
    """The result of a presentation context in an A-ASSOCIATE-AC; None where there is none."""
    if isinstance(event.pdu, AAssociateAC):
        for each in event.pdu.presentation_contexts:
            if each.presentation_context_id == context_id:
                return int(each.result)
    return None


def for_storage(*syntaxes: bytes, what: str = "storage") -> tuple[Step, ...]:
    """Associate for storage in these transfer syntaxes (default: Implicit VR Little Endian), and for C-FIND."""
    return propose(what, storage(*syntaxes), FIND)


# -- C-STORE


def longest_fragment(target: Target) -> int:
    """How many bytes of a data set the peer takes in a PDV; at most 16 KiB."""
    maximum = target.offer.maximum_length or 16384
    return max(1, min(maximum, 16384) - 6)


def message_of(
    target: Target, context_id: int, command_set: bytes, data_set: bytes, *, fragment: int = 0
) -> bytes:
    """A message in P-DATA-TFs that the peer's maximum length allows.

    Args:
        target: the peer.
        context_id: of all PDVs.
        command_set, data_set: of the message; an empty data set is one empty fragment.
        fragment: bytes of the data set in a PDV; 0 for as many as the peer takes.
    """
    step = fragment or longest_fragment(target)
    pdus = [p_data(pdv(context_id, 3, command_set))]
    for start in range(0, len(data_set) or 1, step):
        last = start + step >= len(data_set)
        pdus.append(p_data(pdv(context_id, 2 if last else 0, data_set[start : start + step])))
    return b"".join(pdus)


def statuses(message_id: int, codes: tuple[str, ...], response: str = "C-STORE-RSP") -> str:
    """The pattern of a response with one of these statuses, each of 4 characters, "?" for any."""
    return "|".join(f"{response} {message_id} {code}" for code in codes)


def store(
    make: MakeInstance,
    title: str = "a C-STORE-RQ with an instance",
    *,
    syntax: bytes = IMPLICIT,
    context_id: int = STORE_CONTEXT,
    message_id: int = STORE_ID,
    fragment: int = 0,
    data: Callable[[Instance], bytes] | None = None,
    strict: tuple[str, ...] = ("0000",),
    tolerated: tuple[str, ...] = (),
    or_abort: bool = False,
    why: str = "nothing is wrong with the instance (PS3.4 B.2.3)",
) -> tuple[Step, ...]:
    """Send an instance and look at the response.

    Args:
        make: the instance, once the target is known.
        title: what is sent.
        syntax: that its data set is encoded in.
        context_id, message_id: of the request.
        fragment: see `message_of`.
        data: its data set instead, for what has to be wrong in it.
        strict, tolerated: statuses, each of 4 characters, "?" for any.
        or_abort: an A-ABORT of the service user is tolerated as well.
        why: the rule.
    """

    def request(target: Target) -> bytes:
        instance = make(target)
        encoded = instance.encoded(syntax) if data is None else data(instance)
        command_set = c_store_rq(message_id, instance.sop_class, instance.uid)
        return message_of(target, context_id, command_set, encoded, fragment=fragment)

    also = [statuses(message_id, tolerated)] if tolerated else []
    return (
        Send(title, request),
        Expect(
            statuses(message_id, strict),
            *also,
            *(["abort 0/*"] if or_abort else []),
            why=why,
            check=answers(make),
        ),
    )


def answers(make: MakeInstance) -> Check:
    """A check that a C-STORE-RSP names what the request named, and has no data set (PS3.7 9.3.1.2)."""

    def check(conversation: Conversation, event: Event) -> Finding | None:
        """naming the class and instance of the request, where it names them, without a data set"""
        assert event.message is not None
        instance = make(conversation.target)
        elements = command_elements(event.message.command)
        for number, what, sent in (
            (0x0002, "Affected SOP Class UID", instance.sop_class),
            (0x1000, "Affected SOP Instance UID", instance.uid),
        ):
            named = elements.get(number)
            if named is not None and named.strip(b" \0") != sent.strip(b" \0"):
                return Finding(Verdict.FAIL, f"{what} {sent.decode('latin-1')}", repr(named), "PS3.7 9.3.1.2")
        if int.from_bytes(elements.get(0x0800, b""), "little") != NO_DATA:
            return Finding(Verdict.FAIL, "Command Data Set Type 0101H", "another", "PS3.7 9.3.1.2")
        return None

    return check


# -- what a case needs in the peer before it begins

KEPT = ("0000", "B???", "0111")
"""Statuses after which an instance is in the peer: stored, stored with a warning, there already."""


async def deliver(
    conversation: Conversation, instances: Sequence[Instance], *, syntax: bytes = IMPLICIT
) -> None:
    """Store instances that a case needs; where the peer refuses one, nothing can be found out.

    Raises:
        Over: the peer refused one, or answered wrongly.
    """
    target = conversation.target
    for message_id, instance in enumerate(instances, 1001):
        request = c_store_rq(message_id, instance.sop_class, instance.uid)
        data = message_of(target, STORE_CONTEXT, request, instance.encoded(syntax))
        await conversation.connection.send(data, timeout=target.timeout)
        event = await conversation.connection.receive(target.timeout)
        kept = statuses(message_id, KEPT)
        if matches(event.text, f"C-STORE-RSP {message_id} ????") and not matches(event.text, kept):
            conversation.inconclusive("the instances of this case to be stored", event.text)
        conversation.judge(event, kept, why="the instances of this case have to be stored first")


def delivers(make: Callable[[Target], Sequence[Instance]], title: str, *, syntax: bytes = IMPLICIT) -> Step:
    """A step that stores instances which a case needs."""

    async def run(conversation: Conversation) -> None:
        await deliver(conversation, make(conversation.target), syntax=syntax)

    return Do(f"stores {title}", run)
