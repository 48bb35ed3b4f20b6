"""Asks a peer by C-FIND, reads what comes back, and holds it against what must (PS3.4 C.4.1; PS3.7 9.1.2)."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from services.conformance.building import IMPLICIT, NO_DATA, c_find_rq
from services.conformance.connection import Event
from services.conformance.conversation import Conversation, matches
from services.conformance.data_sets import (
    PATIENT_ID,
    STUDY_UID,
    Elements,
    Instance,
    Items,
    Value,
    identifier,
    patient_id,
)
from services.conformance.matching import DataSetError, ReadDataSet, name, read_data_set
from services.conformance.steps import FIND_CONTEXT, Do, Step
from services.conformance.storing import deliver, message_of, statuses
from services.conformance.target import STUDY_ROOT_FIND, Service, Target
from services.printable import printable
from services.trace.reading import ReadMessage, command_elements

MakeKeys: TypeAlias = Callable[[Target], Elements]

FIND_ID = 11
"""Message ID of a C-FIND, where a case does not say otherwise."""

MOST_ANSWERS = 1000
"""Pending responses to one C-FIND that are read; more, and the tester gives up."""

IDENTIFIER_REFUSED = ("A9??",)
"""Identifier does not match SOP class."""


class Question(Struct, frozen=True, kw_only=True):
    """A C-FIND-RQ.

    Attributes:
        level: the Query/Retrieve Level; None leaves it out.
        keys: the rest of the identifier.
        sop_class, context_id, message_id: of the request.
        syntax: of the context, and so of identifiers in both directions.
        raw: the bytes of the identifier instead.
        fragment: see `storing.message_of`.
    """

    level: bytes | None = None
    keys: Elements = {}
    sop_class: bytes = STUDY_ROOT_FIND
    context_id: int = FIND_CONTEXT
    message_id: int = FIND_ID
    syntax: bytes = IMPLICIT
    raw: bytes | None = None
    fragment: int = 0

    def encoded(self, target: Target) -> bytes:
        """The message, in P-DATA-TFs."""
        data = identifier(self.level, self.keys, self.syntax) if self.raw is None else self.raw
        request = c_find_rq(self.message_id, self.sop_class)
        return message_of(target, self.context_id, request, data, fragment=self.fragment)


class Found(Struct, frozen=True):
    """What came back.

    Attributes:
        final: the last response.
        answers: the identifiers of the pending ones.
        codes: their statuses, "FF00" or "FF01".
    """

    final: Event
    answers: tuple[ReadDataSet, ...]
    codes: tuple[str, ...]

    def ours(self, target: Target, tag: int = STUDY_UID) -> list[bytes]:
        """The UIDs, or Patient IDs, in the answers that belong to this run, in the order they came."""
        prefix = patient_id(target) if tag == PATIENT_ID else target.uid() + b"."
        return [answer.text(tag) for answer in self.answers if answer.text(tag).startswith(prefix)]


async def ask(
    conversation: Conversation,
    question: Question,
    *,
    final: tuple[str, ...] = ("0000",),
    tolerated: tuple[str, ...] = (),
    why: str = "the identifier is a valid one",
) -> Found:
    """Send a C-FIND-RQ and read every response to it.

    Args:
        conversation: whose association has the context.
        question: what to ask.
        final: strict statuses of the final response.
        tolerated: other statuses of it.
        why: the rule for the final response.

    Raises:
        Over: something else came, or an identifier that cannot be read.
    """
    target = conversation.target
    await conversation.connection.send(question.encoded(target), timeout=target.timeout)
    return await collect(conversation, question, final=final, tolerated=tolerated, why=why)


async def collect(
    conversation: Conversation,
    question: Question,
    *,
    final: tuple[str, ...] = ("0000",),
    tolerated: tuple[str, ...] = (),
    why: str = "",
) -> Found:
    """Read every response to a C-FIND-RQ that was sent; see `ask`."""
    answers: list[ReadDataSet] = []
    codes: list[str] = []
    pending = statuses(question.message_id, ("FF00", "FF01"), "C-FIND-RSP")
    while len(answers) <= MOST_ANSWERS:
        event = await conversation.connection.receive(conversation.target.timeout)
        if not matches(event.text, pending):
            break
        assert event.message is not None
        answers.append(_identifier_of(conversation, event.message, question))
        codes.append(event.text[-4:])
    else:
        conversation.inconclusive(f"at most {MOST_ANSWERS} responses", "more of them")
    also = [statuses(question.message_id, tolerated, "C-FIND-RSP")] if tolerated else []
    conversation.judge(event, statuses(question.message_id, final, "C-FIND-RSP"), *also, why=why)
    _final_has_no_identifier(conversation, event)
    return Found(event, tuple(answers), tuple(codes))


def _identifier_of(conversation: Conversation, message: ReadMessage, question: Question) -> ReadDataSet:
    if message.data_set is None:
        conversation.fail("an identifier in each pending response", "none", "PS3.4 C.4.1.1.4")
    if message.context_id != question.context_id:
        conversation.fail(
            f"responses on presentation context {question.context_id}", f"one on {message.context_id}"
        )
    try:
        return read_data_set(message.data_set, question.syntax)
    except DataSetError as error:
        conversation.fail("an identifier in the transfer syntax of the context", str(error), "PS3.5 7.1")


def _final_has_no_identifier(conversation: Conversation, event: Event) -> None:
    if event.message is None:
        return
    kind = int.from_bytes(command_elements(event.message.command).get(0x0800, b""), "little")
    if kind != NO_DATA:
        conversation.fail("a final response without identifier", f"Command Data Set Type {kind:04X}H", _FINAL)


_FINAL = "an identifier is in pending responses only (PS3.4 C.4.1.1.3.2)"

# -- steps

_SAMPLE = Target(host="", port=0, called_ae=b"", run="RUN")


def sent(make: Callable[[Target], Question]) -> str:
    """What is asked, for a description: level and keys, with RUN for the digits of a run; empty for raw bytes."""
    question = make(_SAMPLE)
    if question.raw is not None:
        return ""
    level = "no level" if question.level is None else f"level {question.level.decode()!r}"
    return f" ({level}; {shown(question.keys)})"


def shown(keys: Elements) -> str:
    """The keys of an identifier, for a description."""
    return ", ".join(f"{name(tag)} {_shown_value(value)}" for tag, value in sorted(keys.items()))


def _shown_value(value: Value) -> str:
    if isinstance(value, bytes):
        return printable(repr(value.decode("latin-1"))) if value else "empty"
    if isinstance(value, Items):
        return f"[{'; '.join(shown(item) for item in value.items)}]"
    return "a value"


def finds(
    title: str,
    make: Callable[[Target], Question],
    expected: Callable[[Target], Sequence[bytes]],
    *,
    tag: int = STUDY_UID,
    tolerated: Callable[[Target], Sequence[bytes]] | None = None,
    or_refused: bool = False,
    why: str,
) -> Step:
    """Ask, and hold the answers of this run against those expected, in any order, each once.

    Args:
        title: what is asked for, and what must come.
        make: the question.
        expected: values of `tag` in the answers.
        tag: a UID attribute, or Patient ID, that is among the keys.
        tolerated: other values that are accepted as well.
        or_refused: a refusal of the identifier is as good as no match.
        why: the rule.
    """

    async def run(conversation: Conversation) -> None:
        target = conversation.target
        final = ("0000", "A9??", "C???") if or_refused else ("0000",)
        found = await ask(conversation, make(target), final=final, why=why)
        got = sorted(found.ours(target, tag))
        if got == sorted(expected(target)):
            return
        wanted = _listed(target, expected(target))
        if tolerated is not None and got == sorted(tolerated(target)):
            conversation.tolerate(wanted, _listed(target, got), why)
        else:
            conversation.fail(wanted, _listed(target, got), why)

    return Do(f"asks for {title}{sent(make)}", run)


def _listed(target: Target, uids: Sequence[bytes]) -> str:
    """UIDs of this run without what they have in common, with their number."""
    short = ", ".join(printable(uid.removeprefix(target.uid()).decode("latin-1")) for uid in sorted(uids))
    return f"{len(uids)} matches: {short}" if uids else "no match"


def refuses(
    title: str,
    make: Callable[[Target], Question],
    *,
    strict: tuple[str, ...] = IDENTIFIER_REFUSED,
    tolerated: tuple[str, ...] = ("C???",),
    lenient: bool = False,
    or_abort: bool = False,
    why: str,
) -> Step:
    """Ask what must be refused.

    Args:
        title: what is asked.
        make: the question.
        strict: statuses by the book.
        tolerated: other statuses.
        lenient: an answer as if nothing were wrong is tolerated.
        or_abort: an A-ABORT of the service user is tolerated.
        why: the rule.
    """

    async def run(conversation: Conversation) -> None:
        target = conversation.target
        question = make(target)
        await conversation.connection.send(question.encoded(target), timeout=target.timeout)
        event = await conversation.connection.receive(target.timeout)
        also = [statuses(question.message_id, tolerated, "C-FIND-RSP")] if tolerated else []
        if lenient:
            also.append(statuses(question.message_id, ("0000", "FF00", "FF01"), "C-FIND-RSP"))
        if or_abort:
            also.append("abort 0/*")
        conversation.judge(event, statuses(question.message_id, strict, "C-FIND-RSP"), *also, why=why)
        if event.text[-4:] in ("FF00", "FF01"):
            await collect(conversation, question, final=("????",))

    return Do(f"sends a C-FIND-RQ {title}{sent(make)}, and expects a refusal", run)


# -- instances that several cases share

_STORED: set[tuple[str, int, str, str]] = set()
"""What was stored already: host, port, run, name."""


def delivers_once(what: str, make: Callable[[Target], Sequence[Instance]], title: str) -> Step:
    """Store instances that several cases share, the first time in a run, and wait until they are found.

    A peer may take its time to index what it has acknowledged: for as long as an answer may take they are asked for,
    and whatever was found then, the case goes on. Needs a context for storage, and one for C-FIND where the peer offers
    it.
    """

    async def run(conversation: Conversation) -> None:
        target = conversation.target
        key = (target.host, target.port, target.run, what)
        if key in _STORED:
            return
        instances = make(target)
        await deliver(conversation, instances)
        if target.offers(Service.FIND):
            await until_found(conversation, {each.study for each in instances})
        _STORED.add(key)

    return Do(f"stores {title}, unless an earlier case of this run has", run)


async def until_found(conversation: Conversation, studies: set[bytes]) -> None:
    """Ask for studies until each is found, for as long as an answer may take."""
    target = conversation.target
    deadline = time.monotonic() + target.timeout
    for message_id, study in enumerate(sorted(studies), 2001):
        question = Question(level=b"STUDY", keys={STUDY_UID: study}, message_id=message_id)
        while True:
            found = await ask(conversation, question)
            if found.answers or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
