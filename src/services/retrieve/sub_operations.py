"""The C-STORE sub-operations of one C-GET or C-MOVE: counted, told of, summed up (PS3.4 C.4.2, C.4.3; PS3.7 9.1.3).

`SubOperations` counts, and knows no clock and no network. `reported` runs the work that performs them, sends pending
responses meanwhile, and says in the end how it went.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from dimse import status
from dimse.enums import DATA_SET_FOLLOWS
from dimse.errors import DimseError
from dimse.operation import Operation
from dimse.service import Answer
from services.query.identifiers import IdentifierWriter

SHORTEST_INTERVAL = 0.1
"""Seconds between two pending responses, at least."""

LONGEST_INTERVAL = 1.0
"""Seconds between two pending responses, at most."""

INDEX_FAILED = 0xC001
"""Of the codes that PS3.4 C.4.2.1.5 leaves for "unable to process", ours for an index that failed."""

_MOST = 0xFFFF
_FAILED_SOP_INSTANCE_UID_LIST = 0x00080058


class SubOperations:
    """How the sub-operations of one operation stand.

    Args:
        total: how many there will be.

    Attributes:
        completed, failed, warning: how many have ended, and how.
        failed_uids: SOP Instance UIDs of those that failed.
        reason: why those that failed did, where it is one for all; for the Error Comment.
    """

    def __init__(self, total: int) -> None:
        self.completed = self.failed = self.warning = 0
        self.failed_uids: list[str] = []
        self.reason = ""
        self.changed = asyncio.Event()
        self._total = total
        self._listed = 0  # bytes of the UIDs and what separates them
        self._failure: int | None = None

    @property
    def is_list_full(self) -> bool:
        """Whether the Failed SOP Instance UID List has no room for another one."""
        return self._listed >= _MOST

    @property
    def ended(self) -> int:
        """How many have ended."""
        return self.completed + self.failed + self.warning

    @property
    def remaining(self) -> int:
        """How many are still to be performed, or under way."""
        return max(self._total - self.ended, 0)

    def record(self, sop_instance_uid: str, code: int | None) -> None:
        """One has ended, with the status of its C-STORE-RSP, or None where there was none."""
        category = None if code is None else status.category(code)
        match category:
            case status.StatusCategory.SUCCESS:
                self.completed += 1
            case status.StatusCategory.WARNING:
                self.warning += 1
            case _:
                self.failed += 1
                if not self.is_list_full:
                    self.failed_uids.append(sop_instance_uid)
                    self._listed += len(sop_instance_uid) + 1
        self.changed.set()

    def no_more(self) -> None:
        """All were performed that there are: what was counted before and has gone since is not missed."""
        self._total = self.ended

    def fail_rest(self, reason: str) -> None:
        """None of those that remain will be performed."""
        self.failed += self.remaining
        self.reason = reason

    def break_off(self, code: int, reason: str) -> None:
        """None of those that remain can be performed, nor can all of them be named: the operation itself fails.

        Args:
            code: A7xxH or Cxxx.
            reason: for the Error Comment.
        """
        self.fail_rest(reason)
        self._failure = code

    def counts(self, *, remaining: bool) -> dict[str, int]:
        """The fields of a response. What has no room in 16 bits is told as 65,535.

        Args:
            remaining: with those still to be performed, as in pending and cancelled ones only (PS3.7 9.3.3.2, 9.3.4.2).
        """
        counts = {
            "number_of_completed_suboperations": min(self.completed, _MOST),
            "number_of_failed_suboperations": min(self.failed, _MOST),
            "number_of_warning_suboperations": min(self.warning, _MOST),
        }
        if remaining:
            counts["number_of_remaining_suboperations"] = min(self.remaining, _MOST)
        return counts

    def pending(self, operation: Operation) -> Answer:
        """A pending response as of now."""
        return operation.response(status.PENDING, **self.counts(remaining=True)), None

    def final(self, operation: Operation) -> Answer:
        """The final response: FE00H where there is something left, B000H where something failed or warned, A702H where
        everything failed, what `break_off` was told, else 0000H (PS3.4 C.4.2.1.5, C.4.3.1.4)."""
        if self.remaining:
            code, comment = status.CANCEL, None
        elif self._failure is not None:
            code, comment = self._failure, self.reason
        elif self.failed and self.failed == self.ended:
            code, comment = (
                status.UNABLE_TO_PERFORM_SUBOPERATIONS,
                self.reason or "no sub-operation succeeded",
            )
        elif self.failed or self.warning:
            code, comment = status.SUBOPERATIONS_COMPLETE_WITH_FAILURES, self.reason or None
        else:
            return operation.response(status.SUCCESS, **self.counts(remaining=False)), None
        response = operation.response(
            code,
            error_comment=comment,
            command_data_set_type=DATA_SET_FOLLOWS,
            **self.counts(remaining=code == status.CANCEL),
        )
        return response, self._failed_list(operation.context.transfer_syntax)

    def _failed_list(self, transfer_syntax: str) -> bytes:
        """Always there, even empty, where the status wants an identifier (PS3.7 9.1.3.1.7)."""
        writer = IdentifierWriter([(_FAILED_SOP_INSTANCE_UID_LIST, "UI")], transfer_syntax)
        return writer.write([_fitting(self.failed_uids)])


def _fitting(uids: list[str]) -> str:
    """As many UIDs as the 16 bits of a length in Explicit VR have room for."""
    joined = "\\".join(uids)
    if len(joined) < _MOST:
        return joined
    return joined[:_MOST].rpartition("\\")[0]


def index_failure(operation: Operation, error: Exception, timed_out: int) -> DimseError:
    """What ends an operation whose index failed, which the association's listener is told of, or took too long.

    Args:
        operation: whose.
        error: what the index raised.
        timed_out: the status where it took too long.
    """
    if isinstance(error, TimeoutError):
        return DimseError(timed_out, str(error) or "the index took too long")
    operation.association.listener.operation_failed(operation, error)
    return DimseError(INDEX_FAILED, "the index failed; the log of the server says why")


async def reported(
    operation: Operation,
    sub_operations: SubOperations,
    work: Coroutine[Any, Any, None],
    sent: Callable[[int], object] = lambda count: None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[Answer, None]:
    """Perform sub-operations, and yield the responses that tell of them.

    One pending response follows the first sub-operation; later ones tell of what changed, at most one in
    `SHORTEST_INTERVAL`, and at least one comes in every `LONGEST_INTERVAL`.

    Args:
        operation: whose.
        sub_operations: counts them; `work` records each.
        work: performs them, and ends early once the operation is cancelled; what remains then was not performed.
            Cancelled when the generator is closed.
        sent: told at the end how many instances arrived.
        clock: seconds.

    Raises:
        Exception: what `work` raises.
    """
    task = asyncio.ensure_future(work)
    told_at, told = clock(), 0
    try:
        while not task.done():
            since = clock() - told_at
            is_new = sub_operations.ended > told
            if since >= LONGEST_INTERVAL or (is_new and (not told or since >= SHORTEST_INTERVAL)):
                told_at, told = clock(), sub_operations.ended
                yield sub_operations.pending(operation)
                continue
            sub_operations.changed.clear()
            wait = (SHORTEST_INTERVAL if is_new else LONGEST_INTERVAL) - since
            await _first_of(task, None if is_new else sub_operations.changed, wait)
        await task
    finally:
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        sent(sub_operations.completed + sub_operations.warning)
    yield sub_operations.final(operation)


async def _first_of(task: asyncio.Future[None], changed: asyncio.Event | None, seconds: float) -> None:
    """Wait for the end of a task, for a change, or for the time to pass."""
    waiting: set[asyncio.Future[Any]] = {task}
    change = asyncio.ensure_future(changed.wait()) if changed is not None else None
    if change is not None:
        waiting.add(change)
    try:
        await asyncio.wait(waiting, timeout=max(seconds, 0.001), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if change is not None:
            change.cancel()
