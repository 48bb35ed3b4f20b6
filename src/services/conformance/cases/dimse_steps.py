"""Messages and steps that the cases about P-DATA, commands and endurance share."""

from collections.abc import Callable, Iterable

from services.conformance.associate_bytes import answered
from services.conformance.building import (
    DATA,
    NO_DATA,
    VERIFICATION,
    c_echo_rq,
    c_find_rq,
    c_store_rq,
    command,
    element,
    message,
    p_data,
    pdv,
    ui,
    us,
)
from services.conformance.cases.dimse_checks import answers_its_request
from services.conformance.conversation import Check, Conversation, matches
from services.conformance.steps import (
    ECHO_CONTEXT,
    FIND_CONTEXT,
    STORE_CONTEXT,
    Bytes,
    Do,
    Expect,
    Send,
    Step,
    associate,
    echo,
)
from services.conformance.target import Service, Target

ECHO = (Service.VERIFICATION,)
STORE = (Service.VERIFICATION, Service.STORAGE)
FIND = (Service.VERIFICATION, Service.FIND)
"""What a case needs that works by C-ECHO, C-STORE or C-FIND; each goes on with a C-ECHO."""

ECHO_RQ = c_echo_rq(7)
ECHOED = "C-ECHO-RSP 7 0000"
STORED = "C-STORE-RSP 8 ????"
FOUND = "C-FIND-RSP 9 0000"

MAY_BE_KEPT = (
    "the data set names neither study nor series, and what is looked at is whether the message is received whole and "
    "answered, with whatever status. An archive that checks refuses it; others keep it: hence --allow-write."
)
"""The note of cases that complete a C-STORE of something that is no instance.

They store nothing in a peer that looks at what it gets. Peers that do not look are common, so that every case that
sends a whole C-STORE-RQ counts as one that writes.
"""

# -- messages


def store_rq(target: Target, message_id: int = 8) -> bytes:
    """A C-STORE-RQ for an instance that nobody has, of a class the peer takes."""
    return c_store_rq(message_id, target.storage_class, target.uid(8))


def no_instance(target: Target, length: int = 200) -> bytes:
    """A data set in Implicit VR Little Endian of the class and instance of `store_rq`, without study and series.

    Args:
        target: the peer.
        length: in bytes, even; less than 200 is too little to be hit exactly.
    """
    sop_class = _ui(0x0008, 0x0016, target.storage_class)
    instance = _ui(0x0008, 0x0018, target.uid(8))
    return sop_class + instance + _filler(length - len(sop_class) - len(instance))


def identifier(target: Target, length: int = 0) -> bytes:
    """A C-FIND identifier for a study nobody has, `length` bytes long where that is 200 or more, and even."""
    level = element(0x0052, b"STUDY ", group=0x0008)
    study = _ui(0x0020, 0x000D, target.uid(9))
    return level + _filler(length - len(level) - len(study)) + study


def _ui(group: int, number: int, uid: bytes) -> bytes:
    return element(number, uid + b"\0" * (len(uid) % 2), group=group)


def _filler(length: int) -> bytes:
    """Private elements of that length; none where they do not fit in."""
    creator = element(0x0010, b"FILLER", group=0x0009)
    if length < len(creator) + 8:
        return b""
    return creator + element(0x1010, b" " * (length - len(creator) - 8), group=0x0009)


def long_echo_rq(length: int, message_id: int = 7) -> bytes:
    """A C-ECHO-RQ of `length` bytes, 92 or more and even: a retired element at its end fills it."""
    elements = (
        ui(0x0002, VERIFICATION),
        us(0x0100, 0x0030),
        us(0x0110, message_id),
        us(0x0800, NO_DATA),
    )
    filler = length - len(command(*elements)) - 8
    return command(*elements, element(0x5110, b" " * filler))


def in_pieces(context_id: int, kind: int, data: bytes, size: int = 2) -> list[bytes]:
    """PDVs of `size` bytes of data each, the last one marked as the last.

    Args:
        kind: 1 for a command, 0 for a data set.
    """
    starts = range(0, len(data), size)
    return [pdv(context_id, kind | 2 * (start == starts[-1]), data[start : start + size]) for start in starts]


def packed(pdvs: Iterable[bytes], longest: int = 16384) -> bytes:
    """PDVs in P-DATA-TFs that are as long as may be."""
    pdus, current, length = [], list[bytes](), 0
    for each in pdvs:
        if current and length + len(each) > longest:
            pdus.append(p_data(*current))
            current, length = [], 0
        current.append(each)
        length += len(each)
    return b"".join([*pdus, p_data(*current)])


def store_elements(
    target: Target,
    *,
    sop_class: bytes | None = None,
    instance: bytes | None = None,
    message_id: int | None = 8,
    priority: int | None = 0,
    data_set_type: int = DATA,
    further: tuple[bytes, ...] = (),
) -> bytes:
    """A C-STORE-RQ with elements left out or replaced.

    Args:
        sop_class, instance: UIDs; empty ones leave the element out, None takes what is right.
        message_id, priority: None leaves it out.
        data_set_type: Command Data Set Type; 0101H announces that no data set follows.
        further: elements after the SOP Instance UID.
    """
    sop_class = target.storage_class if sop_class is None else sop_class
    instance = target.uid(8) if instance is None else instance
    return command(
        *([ui(0x0002, sop_class)] if sop_class else []),
        us(0x0100, 0x0001),
        *([us(0x0110, message_id)] if message_id is not None else []),
        *([us(0x0700, priority)] if priority is not None else []),
        us(0x0800, data_set_type),
        *([ui(0x1000, instance)] if instance else []),
        *further,
    )


# -- steps


class SendAgreed(Step):
    """Send bytes that depend on what was agreed for the association.

    Args:
        title: what they are.
        what: makes them; may end the case.
    """

    def __init__(self, title: str, what: Callable[[Conversation], bytes]) -> None:
        self.title = title
        self.what = what

    def describe(self) -> str:
        return f"sends {self.title}"

    async def run(self, conversation: Conversation) -> None:
        await conversation.connection.send(self.what(conversation), timeout=conversation.target.timeout)


def peers_maximum(conversation: Conversation) -> int:
    """What the peer announced on this association: bytes of a P-DATA-TF after its header, 0 for no limit.

    Ends the case as not applicable where it announced nothing that could be read.
    """
    found = answered(conversation).sub_items(0x51)
    if not found or len(found[0].value) != 4:
        conversation.not_applicable("the peer announced no maximum length")
    return int.from_bytes(found[0].value)


def aborted_perhaps_after(answer: str, reason: str, why: str, *also: str) -> Do:
    """Expect an A-ABORT, before which an answer to what was right is tolerated.

    Args:
        answer: pattern of that answer.
        reason: of the A-ABORT, "source/reason"; the same source with another reason is tolerated.
        why: the rule.
        also: patterns of what is tolerated instead of it.
    """
    source = reason.partition("/")[0]

    async def run(conversation: Conversation) -> None:
        strict, timeout = f"abort {reason}", conversation.target.timeout
        event = await conversation.connection.receive(timeout)
        if matches(event.text, answer):
            conversation.tolerate(strict, f"{event.text} first", why)
            event = await conversation.connection.receive(timeout)
        conversation.judge(event, strict, f"abort {source}/*", *also, why=why)

    return Do(f"expects abort {reason} (tolerated: {answer} before it, another reason)", run)


def ask(
    title: str,
    what: Bytes,
    answer: str,
    *tolerated: str,
    why: str = "",
    check: Check = answers_its_request,
) -> tuple[Step, ...]:
    """Send a request and expect its response, which must repeat what the request says."""
    return Send(title, what), Expect(answer, *tolerated, why=why, check=check)


def echo_if(answer: str, message_id: int = 6) -> Do:
    """Where the last answer was this one, and not an A-ABORT, a C-ECHO on the same association must be answered."""

    async def run(conversation: Conversation) -> None:
        if matches(conversation.last.text, answer):
            for step in echo(message_id):
                await step.run(conversation)

    return Do(f"after {answer}, sends a C-ECHO-RQ and expects C-ECHO-RSP {message_id} 0000", run)


def served(title: str, what: Bytes, why: str = "", *tolerated: str) -> tuple[Step, ...]:
    """On an association of its own: a C-ECHO-RQ with Message ID 7, sent in this way, is answered, and then another."""
    return *associate(), *ask(title, what, ECHOED, *tolerated, why=why), *echo(6)


def store_served(title: str, what: Bytes, why: str = "", *tolerated: str) -> tuple[Step, ...]:
    """On an association of its own: a C-STORE-RQ with Message ID 8 is answered, and then a C-ECHO-RQ."""
    return *associate("echo", "store"), *ask(title, what, STORED, *tolerated, why=why), *echo()


def find_served(title: str, what: Bytes, why: str = "", *tolerated: str) -> tuple[Step, ...]:
    """On an association of its own: a C-FIND-RQ with Message ID 9 is answered, and then a C-ECHO-RQ."""
    return *associate("echo", "find"), *ask(title, what, FOUND, *tolerated, why=why), *echo()


def echo_message(command_set: bytes, *data_set: bytes) -> bytes:
    """A message on the context for C-ECHO."""
    return message(ECHO_CONTEXT, command_set, *data_set)


def store_message(length: int = 200) -> Callable[[Target], bytes]:
    """A C-STORE-RQ and its data set."""
    return lambda target: message(STORE_CONTEXT, store_rq(target), no_instance(target, length))


def find_message(length: int = 0) -> Callable[[Target], bytes]:
    """A C-FIND-RQ and its identifier."""
    return lambda target: message(FIND_CONTEXT, c_find_rq(9), identifier(target, length))
