"""What the SCUs of C-GET and C-MOVE have in common: the identifier, the responses, and waiting for them (PS3.7 9.1.3,
9.1.4).

Between two responses a peer may be silent for as long as it sends instances; so it counts as alive while they come.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Literal, TypeAlias

from msgspec import Struct

from dimse import status
from dimse.association import Association
from dimse.invocation import Reply
from dimse.invoker import MakeRequest
from dimse.messages import Response, SubOperationsRSP
from dul.negotiated import PresentationContext
from services.query.identifiers import IdentifierWriter, UnreadableIdentifier, read_identifier
from services.query.keys import (
    PATIENT_ID,
    PATIENT_ROOT,
    QUERY_RETRIEVE_LEVEL,
    STUDY_ROOT,
    UNIQUE_KEYS,
    Model,
)
from services.retrieve.selection import Selection

ModelName: TypeAlias = Literal["study", "patient"]

MODELS_BY_NAME: Mapping[ModelName, Model] = MappingProxyType({"study": STUDY_ROOT, "patient": PATIENT_ROOT})
"""The information models to retrieve by."""

_FAILED_SOP_INSTANCE_UID_LIST = 0x00080058
_MEANINGS = {  # what one number means here and not elsewhere
    status.SUBOPERATIONS_COMPLETE_WITH_FAILURES: "Warning: sub-operations complete with failures (B000H)",
    status.UNABLE_TO_PERFORM_SUBOPERATIONS: "Failure: no sub-operation could be performed (A702H)",
}
_LONGEST = 7 * 86400.0  # seconds between two responses, however many instances come meanwhile
_SENDING = 5.0  # seconds for a C-CANCEL to go out

_is_uid = re.compile(r"[0-9]+(?:\.[0-9]+)*").fullmatch


class Told(Struct, frozen=True):
    """What one response says of the sub-operations. Counts are the peer's words, and None where it gave none.

    Attributes:
        status: pending, or how it ended.
        remaining, completed, failed, warning: numbers of sub-operations.
        comment: the peer's Error Comment.
        failed_uids: of the instances that failed, in a final response whose identifier can be read.
    """

    status: int
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    comment: str = ""
    failed_uids: tuple[str, ...] = ()

    @property
    def is_pending(self) -> bool:
        """Whether further responses follow."""
        return status.is_pending(self.status)

    @property
    def total(self) -> int | None:
        """How many sub-operations there are in all; None where the peer does not say."""
        if self.remaining is None:
            return None
        return self.remaining + (self.completed or 0) + (self.failed or 0) + (self.warning or 0)

    def __str__(self) -> str:
        text = _MEANINGS.get(self.status) or status.describe(self.status)
        return f"{text}: {self.comment}" if self.comment else text


class Activity:
    """When the peer last did something that belongs to a retrieve.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def touch(self) -> None:
        """It did something just now."""
        self._last = self._clock()

    @property
    def idle(self) -> float:
        """Seconds since then."""
        return self._clock() - self._last


def encode_selection(selection: Selection, model: Model, transfer_syntax: str) -> bytes:
    """The identifier of a request: the level and its unique keys, nothing else (PS3.4 C.4.2.1.4, C.4.3.1.3).

    Raises:
        ValueError: the model has no such level, or a unique key is empty.
    """
    if selection.level not in model.levels:
        raise ValueError(f"the {model.name} model has no {selection.level.value} level")
    above = (*model.above(selection.level), selection.level)
    elements: list[tuple[int, str, str]] = [(QUERY_RETRIEVE_LEVEL, "CS", selection.level.value)]
    for level in above:
        tag = UNIQUE_KEYS[level]
        values = selection.unique_keys.get(tag, ())
        if not all(values):
            raise ValueError(f"an empty value among the keys of the {level.value} level")
        if values:
            elements.append((tag, "LO" if tag == PATIENT_ID else "UI", "\\".join(values)))
    elements.sort()
    writer = IdentifierWriter([(tag, vr) for tag, vr, _ in elements], transfer_syntax)
    return writer.write([value for _, _, value in elements])


def read_failed_uids(data_set: bytes | None, transfer_syntax: str) -> tuple[str, ...]:
    """The Failed SOP Instance UID List of a final response; empty where there is none, or it cannot be read.

    What is no UID is passed over.
    """
    if not data_set:
        return ()
    try:
        elements = {element.tag: element for element in read_identifier(data_set, transfer_syntax)}
    except UnreadableIdentifier:
        return ()
    element = elements.get(_FAILED_SOP_INSTANCE_UID_LIST)
    uids = [] if element is None else [uid.strip(" \0") for uid in element.text.split("\\")]
    return tuple(dict.fromkeys(uid for uid in uids if is_uid(uid)))


def is_uid(text: str) -> bool:
    """Whether a text is a UID that may name a file: 1 to 64 of `0-9` and `.`, no component empty (PS3.5 9.1)."""
    return len(text) <= 64 and _is_uid(text) is not None


async def invoke_retrieve(
    association: Association,
    request: MakeRequest,
    context: PresentationContext,
    identifier: bytes,
    *,
    timeout: float,
    cancel_timeout: float,
    activity: Activity | None = None,
) -> AsyncGenerator[Told, None]:
    """Invoke a C-GET or C-MOVE; yields what each response says, the final one last. A failure raises nothing.

    Closed early (`contextlib.aclosing`) or cancelled, it sends a C-CANCEL and waits for the final response, so that
    the association can be used again; where that does not come, it aborts the association.

    Args:
        association: to the peer.
        request: given the Message ID, makes the command.
        context: where to send it.
        identifier: in the context's transfer syntax.
        timeout: seconds in which neither a response came nor `activity` was touched, after which the association is
            aborted.
        cancel_timeout: seconds to wait for the final response after a C-CANCEL.
        activity: touched by whoever receives the instances.

    Raises:
        TimeoutError: see `timeout`.
        AssociationEnded: the association is over, or ended meanwhile.
    """
    activity = activity or Activity()
    replies = association.invoke_many(
        request, context, identifier, timeout=_LONGEST, cancel_timeout=cancel_timeout
    )
    async with aclosing(replies):
        while True:
            response, data_set = await _next(association, replies, timeout, cancel_timeout, activity)
            told = _told(response, data_set, context.transfer_syntax)
            yield told
            if not told.is_pending:
                return


async def _next(
    association: Association,
    replies: AsyncGenerator[Reply, None],
    timeout: float,
    cancel_timeout: float,
    activity: Activity,
) -> Reply:
    """The next response; cancels the operation where the wait for it is cancelled."""
    activity.touch()
    waiting = asyncio.ensure_future(anext(replies))
    try:
        while (left := timeout - activity.idle) > 0:
            await asyncio.wait([waiting], timeout=left)
            if waiting.done():
                return waiting.result()
        cause = f"nothing came within {timeout:g} s"
        association.abort(cause)
        raise TimeoutError(cause)
    finally:
        if not waiting.done():
            waiting.cancel()  # which sends the C-CANCEL and waits for the end, where there is an association
            await asyncio.wait([waiting], timeout=cancel_timeout + _SENDING)


def _told(response: Response, data_set: bytes | None, transfer_syntax: str) -> Told:
    assert isinstance(response, SubOperationsRSP)
    is_pending = status.is_pending(response.status)
    return Told(
        status=response.status,
        remaining=response.number_of_remaining_suboperations,
        completed=response.number_of_completed_suboperations,
        failed=response.number_of_failed_suboperations,
        warning=response.number_of_warning_suboperations,
        comment=response.error_comment or "",
        failed_uids=() if is_pending else read_failed_uids(data_set, transfer_syntax),
    )
