"""Retrieves from a peer by C-GET and C-MOVE, and holds the counts against each other (PS3.4 C.4.2, C.4.3; PS3.7 9.1.3).

In a C-GET the sub-operations come on the same association and are answered here; those of a C-MOVE go to a
`move_listener`.
"""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct, field

from services.conformance.building import DATA, IMPLICIT, command, element, message, response, role, ui, us
from services.conformance.connection import Connection, Event
from services.conformance.conversation import Conversation, matches
from services.conformance.data_sets import FAILED_SOP_INSTANCES, Elements, identifier
from services.conformance.matching import DataSetError, read_data_set
from services.conformance.querying import shown
from services.conformance.steps import GET_CONTEXT, MOVE_CONTEXT, STORE_CONTEXT, Step
from services.conformance.storing import Context, message_of, propose, statuses, storage
from services.conformance.target import STUDY_ROOT_GET, STUDY_ROOT_MOVE, Target
from services.printable import printable
from services.trace.reading import ReadMessage, command_elements

RETRIEVE_ID = 31
"""Message ID of a C-GET or C-MOVE."""

MOST_EVENTS = 300
"""Responses and sub-operations of one retrieval that are read; more, and the tester gives up."""

GET = Context(GET_CONTEXT, STUDY_ROOT_GET)
MOVE = Context(MOVE_CONTEXT, STUDY_ROOT_MOVE)

_PENDING_WHY = (
    "a pending response tells all four counts (PS3.4 C.4.2.1.6 to C.4.2.1.9, C.4.3.1.5 to C.4.3.1.8)"
)
_REMAINING_WHY = (
    "the number of remaining sub-operations is in pending and cancelled responses only (PS3.4 C.4.2.1.6)"
)
_LIST_WHY = "it names the sub-operations that failed (PS3.4 C.4.2.1.4.2, C.4.3.1.3.2)"


class Counts(Struct, frozen=True):
    """The numbers of sub-operations in a response; None where it has none."""

    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None

    @property
    def total(self) -> int:
        """What they add up to; a missing one counts as zero."""
        return sum(each or 0 for each in (self.remaining, self.completed, self.failed, self.warning))

    @property
    def is_complete(self) -> bool:
        """All four are there."""
        return None not in (self.remaining, self.completed, self.failed, self.warning)

    def __str__(self) -> str:
        def shown(count: int | None) -> str:
            return "-" if count is None else str(count)

        return (
            f"{shown(self.remaining)} remaining, {shown(self.completed)} completed, {shown(self.failed)} failed, "
            f"{shown(self.warning)} with warnings"
        )


class SubOperation(Struct, frozen=True):
    """A C-STORE that a retrieval caused.

    Attributes:
        message_id: of the C-STORE-RQ.
        context_id: it came on.
        sop_class, sop_instance: as the command names them.
        data_set: what came.
        originator, originator_id: Move Originator AE Title and Message ID; None where they are missing.
    """

    message_id: int
    context_id: int
    sop_class: bytes
    sop_instance: bytes
    data_set: bytes
    originator: bytes | None
    originator_id: int | None

    def answered(self, status: int) -> bytes:
        """The C-STORE-RSP to it."""
        return message(self.context_id, response(0x8001, self.message_id, status, sop_class=self.sop_class))


class Retrieved(Struct):
    """What came of a retrieval.

    Attributes:
        final: the last response.
        counts: of the final response.
        pending: of the pending responses, in order.
        stored: the sub-operations seen, in order.
        failed: the Failed SOP Instance UID List of the final response; None where it has none.
    """

    final: Event
    counts: Counts = Counts()
    pending: list[Counts] = field(default_factory=list)
    stored: list[SubOperation] = field(default_factory=list)
    failed: tuple[bytes, ...] | None = None


class Retrieval(Struct, frozen=True, kw_only=True):
    """A C-GET-RQ or C-MOVE-RQ.

    Attributes:
        level: the Query/Retrieve Level; None leaves it out.
        keys: the rest of the identifier.
        destination: the Move Destination, which makes it a C-MOVE; None for a C-GET.
        sop_class, context_id: of the request.
    """

    level: bytes | None = b"STUDY"
    keys: Elements = {}
    destination: bytes | None = None
    sop_class: bytes = STUDY_ROOT_GET
    context_id: int = GET_CONTEXT

    @property
    def label(self) -> str:
        """The name of the response."""
        return "C-GET-RSP" if self.destination is None else "C-MOVE-RSP"

    def encoded(self, target: Target) -> bytes:
        """The message, in P-DATA-TFs."""
        if self.destination is None:
            request = _request(0x0010, self.sop_class)
        else:
            destination = self.destination + b" " * (len(self.destination) % 2)
            request = _request(0x0021, self.sop_class, element(0x0600, destination))
        return message_of(target, self.context_id, request, identifier(self.level, self.keys, IMPLICIT))


def _request(command_field: int, sop_class: bytes, *more: bytes) -> bytes:
    return command(
        ui(0x0002, sop_class),
        us(0x0100, command_field),
        us(0x0110, RETRIEVE_ID),
        *more,
        us(0x0700, 0),
        us(0x0800, DATA),
    )


def move_of(level: bytes | None, keys: Elements, destination: bytes) -> Retrieval:
    """A C-MOVE-RQ in the Study Root model."""
    return Retrieval(
        level=level, keys=keys, destination=destination, sop_class=STUDY_ROOT_MOVE, context_id=MOVE_CONTEXT
    )


Answer = Callable[[Connection, SubOperation, int], Awaitable[bool]]
"""Answers a sub-operation, the number of which it is told; returns whether the retrieval goes on."""


def with_status(*codes: int) -> Answer:
    """Answer each sub-operation with the next of these statuses; the last one for all that follow."""

    async def answer(connection: Connection, sub_operation: SubOperation, number: int) -> bool:
        await connection.send(sub_operation.answered(codes[min(number, len(codes) - 1)]))
        return True

    return answer


_TAKE_ALL = with_status(0)


async def retrieve(
    conversation: Conversation,
    retrieval: Retrieval,
    *,
    answer: Answer = _TAKE_ALL,
    final: tuple[str, ...] = ("0000",),
    tolerated: tuple[str, ...] = (),
    within: float | None = None,
    why: str = "every sub-operation was a success (PS3.4 C.4.2.1.5, C.4.3.1.4)",
) -> Retrieved | None:
    """Send a C-GET-RQ or C-MOVE-RQ, answer the sub-operations that come here, and read up to the final response.

    Args:
        conversation: whose association has the contexts.
        retrieval: what to ask for.
        answer: to each sub-operation.
        final, tolerated: statuses of the final response.
        within: how long each response may take, in seconds; None for the target's time-out.
        why: the rule for the final response.

    Returns:
        what came; None where `answer` ended it.

    Raises:
        Over: something else came.
    """
    target = conversation.target
    connection = conversation.connection
    await connection.send(retrieval.encoded(target), timeout=target.timeout)
    seen = Retrieved(Event("nothing"))
    for _ in range(MOST_EVENTS):
        event = await connection.receive(within or target.timeout)
        if matches(event.text, "C-STORE-RQ *") and event.message is not None:
            seen.stored.append(sub_operation_of(event.message))
            if not await answer(connection, seen.stored[-1], len(seen.stored) - 1):
                return None
        elif matches(event.text, f"{retrieval.label} {RETRIEVE_ID} FF0?") and event.message is not None:
            seen.pending.append(counts_of(event.message))
        else:
            break
    else:
        conversation.inconclusive(f"at most {MOST_EVENTS} messages", "more of them")
    also = [statuses(RETRIEVE_ID, tolerated, retrieval.label)] if tolerated else []
    conversation.judge(event, statuses(RETRIEVE_ID, final, retrieval.label), *also, why=why)
    seen.final = event
    if event.message is not None:
        seen.counts = counts_of(event.message)
        seen.failed = _failed_list(conversation, event.message)
    return seen


def sub_operation_of(read: ReadMessage) -> SubOperation:
    """What a C-STORE-RQ says."""
    elements = command_elements(read.command)
    originator_id = elements.get(0x1031)
    originator = elements.get(0x1030)
    return SubOperation(
        message_id=int.from_bytes(elements.get(0x0110, b""), "little"),
        context_id=read.context_id,
        sop_class=elements.get(0x0002, b"").strip(b" \0"),
        sop_instance=elements.get(0x1000, b"").strip(b" \0"),
        data_set=read.data_set or b"",
        originator=None if originator is None else originator.strip(b" \0"),
        originator_id=None if originator_id is None else int.from_bytes(originator_id, "little"),
    )


def counts_of(read: ReadMessage) -> Counts:
    """The numbers of sub-operations in a response."""
    elements = command_elements(read.command)

    def number(tag: int) -> int | None:
        value = elements.get(tag)
        return None if value is None else int.from_bytes(value, "little")

    return Counts(number(0x1020), number(0x1021), number(0x1022), number(0x1023))


def _failed_list(conversation: Conversation, read: ReadMessage) -> tuple[bytes, ...] | None:
    if not read.data_set:
        return None
    try:
        data_set = read_data_set(read.data_set, IMPLICIT)
    except DataSetError as error:
        conversation.fail("an identifier in the transfer syntax of the context", str(error), "PS3.5 7.1")
    return data_set.texts(FAILED_SOP_INSTANCES) if FAILED_SOP_INSTANCES in data_set else None


# -- what is judged


def judge_pending(conversation: Conversation, seen: Retrieved, total: int) -> None:
    """Hold the counts of the pending responses against each other and against how many there are in all."""
    before = Counts(total, 0, 0, 0)
    for counts in seen.pending:
        if not counts.is_complete:
            conversation.fail("all four counts in a pending response", str(counts), _PENDING_WHY)
        if counts.total != total:
            conversation.fail(f"counts that add up to {total}", str(counts), _PENDING_WHY)
        if (counts.remaining or 0) > (before.remaining or 0) or (counts.completed or 0) < (
            before.completed or 0
        ):
            conversation.fail("counts that go on", f"{counts} after {before}", _PENDING_WHY)
        before = counts


def judge_final(conversation: Conversation, seen: Retrieved, expected: Counts) -> None:
    """Hold the counts of the final response against those expected; only `remaining` may not be there."""
    counts = seen.counts
    if counts.remaining is not None:
        conversation.fail("no number of remaining sub-operations", str(counts.remaining), _REMAINING_WHY)
    for name in ("completed", "failed", "warning"):
        got, wanted = getattr(counts, name), getattr(expected, name)
        if got is None:
            conversation.tolerate(
                f"a number of {name} sub-operations, {wanted}", "none", "it may be left out"
            )
        elif got != wanted:
            conversation.fail(str(expected), str(counts), "the counts tell how the sub-operations ended")


def listed(uids: Sequence[bytes]) -> str:
    """UIDs, safe to be shown."""
    return ", ".join(printable(uid.decode("latin-1")) for uid in uids)


def judge_failed_list(conversation: Conversation, seen: Retrieved, expected: Sequence[bytes]) -> None:
    """Hold the Failed SOP Instance UID List against the instances that failed."""
    if seen.failed is None:
        if expected:
            conversation.fail("a Failed SOP Instance UID List", "none", _LIST_WHY)
        return
    if sorted(seen.failed) != sorted(expected):
        wanted = listed(expected) or "an empty list, or none"
        got = listed(seen.failed) or "an empty list"
        conversation.fail(wanted, got, _LIST_WHY)


# -- steps

_SAMPLE = Target(host="", port=0, called_ae=b"", run="RUN")


def sent(make: Callable[[Target], Retrieval]) -> str:
    """What is asked, for a description: level and keys, with RUN for the digits of a run."""
    retrieval = make(_SAMPLE)
    level = "no level" if retrieval.level is None else f"level {retrieval.level.decode()!r}"
    return f" ({level}; {shown(retrieval.keys)})"


def for_get(*syntaxes: bytes, roles: bool = True, store: bool = True) -> tuple[Step, ...]:
    """Associate for C-GET, with a context for storage in which we are the SCP as well.

    Args:
        syntaxes: of the context for storage; none for Implicit VR Little Endian.
        roles: whether role selection is proposed.
        store: whether there is a context for storage.
    """
    contexts = (GET, storage(*syntaxes)) if store else (GET,)
    return propose(
        "C-GET",
        *contexts,
        sub_items=lambda target: (role(target.storage_class, 1, 1),) if roles else (),
    )


def for_move() -> tuple[Step, ...]:
    """Associate for C-MOVE."""
    return propose("C-MOVE", MOVE)


STORED_ON = STORE_CONTEXT
"""The presentation context on which sub-operations of a C-GET come."""
