"""Retrieve by C-MOVE, SCP (PS3.4 C.4.2; PS3.7 9.1.4): instances go to a third party, on an association of ours.

The association proposes what the instances need and carries all of them; `services.sending` does that, with tries
again, several associations side by side, and a window.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

from msgspec import Struct

from dimse import status
from dimse.enums import CommandField
from dimse.errors import DimseError
from dimse.messages import CMoveRQ
from dimse.operation import BoundedBuffer, Operation
from dimse.service import Answer, DataSetSink
from dul.negotiation import SupportedContext
from services.query.keys import MODELS
from services.retrieve.destinations import Destinations, MoveDestination
from services.retrieve.get import MAXIMUM_IDENTIFIER, Failed, nobody
from services.retrieve.holdings import Holdings
from services.retrieve.selection import Selection, selection_of
from services.retrieve.sub_operations import SubOperations, index_failure, reported
from services.send import InstanceFile, Need, plan
from services.sending import Destination, Outcome, SendJob
from services.sop_classes import UNCOMPRESSED
from services.storage import MoveOriginator

MOST_AT_ONCE = 50_000
"""Instances that one association carries; a move of more takes another one after it, and not all of the memory."""

LISTING = 10.0
"""Seconds in which what will not be sent any more is looked up, for the Failed SOP Instance UID List."""


class MoveOptions(Struct, frozen=True, kw_only=True):
    """How instances are sent; times in seconds.

    Attributes:
        parallel: associations to the destination at one time.
        window: operations to have outstanding on each, where the destination grants as many.
        retries: further tries, each after a longer delay, where an association is lost or refused for now.
        connect_timeout: to connect, and for the answer to the association request.
        response_timeout: for the response to a C-STORE.
        move_timeout: for the whole C-MOVE.
        moves: C-MOVEs at one time, over all associations.
        maximum_identifier: bytes of a request's identifier.
    """

    parallel: int = 1
    window: int = 1
    retries: int = 3
    connect_timeout: float = 30.0
    response_timeout: float = 60.0
    move_timeout: float = 86400.0
    moves: int = 16
    maximum_identifier: int = MAXIMUM_IDENTIFIER


class Places(Protocol):
    """As many C-MOVEs as there may be at one time, wherever they are counted."""

    def take(self) -> int | None:
        """A place for one more; None where there is none."""
        ...

    def give_back(self, place: int) -> None:
        """It has ended."""
        ...


class _Counted:
    """Places in this process."""

    def __init__(self, count: int) -> None:
        self._free = list(range(count))

    def take(self) -> int | None:
        return self._free.pop() if self._free else None

    def give_back(self, place: int) -> None:
        self._free.append(place)


class Move:
    """The SCP.

    Args:
        holdings: where instances are.
        destinations: where they may go.
        ae_title: ours, by which we call destinations.
        options: how they are sent.
        failed: told of each instance that could not be sent, and of associations that did not come about.
        sent: told, at the end of a C-MOVE, how many instances were sent.
        places: how many C-MOVEs there may be, where that is counted elsewhere; as many as `options.moves` says.
    """

    command_fields = frozenset({CommandField.C_MOVE_RQ})
    starts_with_command = False
    begins_at_once = False
    sop_classes: Mapping[str, SupportedContext] = {
        model.move: SupportedContext(transfer_syntaxes=UNCOMPRESSED) for model in MODELS.values()
    }

    def __init__(
        self,
        holdings: Holdings,
        destinations: Destinations,
        ae_title: str,
        *,
        options: MoveOptions = MoveOptions(),  # noqa: B008 frozen
        failed: Failed = nobody,
        sent: Callable[[int], object] = lambda count: None,
        places: Places | None = None,
    ) -> None:
        self._holdings = holdings
        self._destinations = destinations
        self._ae_title = ae_title
        self._options = options
        self._failed = failed
        self._sent = sent
        self._places = places or _Counted(options.moves)

    def open_data_set(self, operation: Operation) -> DataSetSink:
        """Identifiers are wanted whole, and are small."""
        return BoundedBuffer(self._options.maximum_identifier)

    async def perform(self, operation: Operation) -> AsyncGenerator[Answer, None]:
        """Have what is selected sent, and tell how it goes."""
        selection = selection_of(operation)
        destination = self._destination(operation)
        place = self._places.take()
        if place is None:
            raise DimseError(
                status.UNABLE_TO_PERFORM_SUBOPERATIONS,
                f"{self._options.moves} C-MOVEs are under way: try again later",
            )
        try:
            needs = await self._needs(operation, selection)
            moving = _Moving(operation, selection, needs, destination, self._options.move_timeout)
            work = self._move(moving)
            async with aclosing(reported(operation, moving.sub_operations, work, self._sent)) as answers:
                async for answer in answers:
                    yield answer
        finally:
            self._places.give_back(place)

    async def _needs(self, operation: Operation, selection: Selection) -> Mapping[Need, int]:
        try:
            return await self._holdings.needs(selection.level, selection.unique_keys)
        except Exception as error:
            raise index_failure(operation, error, status.UNABLE_TO_CALCULATE_NUMBER_OF_MATCHES) from error

    def _destination(self, operation: Operation) -> MoveDestination:
        assert isinstance(operation.request, CMoveRQ)
        name = operation.request.move_destination or ""
        destination = self._destinations.find(name)
        if destination is None:
            raise DimseError(status.MOVE_DESTINATION_UNKNOWN, "the Move Destination is not known here")
        return destination

    async def _move(self, moving: "_Moving") -> None:
        all_taken = await self._send_all(moving)
        if moving.operation.cancelled:
            return
        if moving.index_error is not None:
            code = status.UNABLE_TO_PERFORM_SUBOPERATIONS
            failure = index_failure(moving.operation, moving.index_error, code)
            moving.sub_operations.break_off(failure.status, failure.comment)
        elif all_taken:
            moving.sub_operations.no_more()
        else:
            moving.sub_operations.fail_rest(moving.given_up)

    async def _send_all(self, moving: "_Moving") -> bool:
        """What fits on one association after what fits on another: at most 128 contexts, and bounded numbers.

        Returns:
            Whether there is nothing left to take.
        """
        selection = moving.selection
        for group in plan(moving.needs):
            pages = self._holdings.instances(selection.level, selection.unique_keys, frozenset(group))
            async with aclosing(pages):
                while files := await moving.take(pages):
                    if moving.given_up:
                        moving.fail(files)
                    else:
                        await self._send(moving, files)
                    if moving.is_over:
                        return False
            if moving.index_error is not None:
                return False
        return True

    async def _send(self, moving: "_Moving", files: list[InstanceFile]) -> None:
        """Send until all have an outcome, the time is up, or the requestor cancels: what is outstanding then is still
        waited for."""
        options, operation = self._options, moving.operation
        job = SendJob(
            self._to(moving),
            files,
            parallel=options.parallel,
            retry=options.retries,
            retry_refused=False,
            reconnect=options.retries > 0,
            on_outcome=lambda outcome: self._conclude(moving, outcome),
            on_note=lambda note, error: self._failed(operation, "", note),
        )
        stopping = asyncio.ensure_future(_stop_when_cancelled(operation, job))
        try:
            async with asyncio.timeout_at(moving.deadline) as total:
                await job.run()
        except TimeoutError:
            if not total.expired():
                raise
            moving.give_up(f"not done within {options.move_timeout:g} s")
            self._failed(operation, "", f"nothing more is sent: {moving.given_up}")
            moving.fail(job.unfinished)
        finally:
            stopping.cancel()
        if not job.associations and not operation.cancelled and not moving.given_up:
            moving.give_up(moving.last_reason)  # the job has tried again, and again

    def _to(self, moving: "_Moving") -> Destination:
        options, operation = self._options, moving.operation
        return Destination(
            host=moving.destination.host,
            port=moving.destination.port,
            called_ae=moving.destination.ae_title,
            calling_ae=self._ae_title,
            timeout=options.response_timeout,
            connect_timeout=options.connect_timeout,
            window=options.window,
            move_originator=MoveOriginator(
                operation.association.negotiated.calling_ae, operation.request.message_id
            ),
        )

    def _conclude(self, moving: "_Moving", outcome: Outcome) -> None:
        uid = outcome.file.sop_instance_uid
        moving.sub_operations.record(uid, outcome.status)
        if outcome.is_sent:
            return
        moving.failed_because(outcome.reason)
        if outcome.was_tried:  # what was not, a note has told of already
            self._failed(moving.operation, uid, outcome.reason)


class _Moving:
    """One C-MOVE.

    Attributes:
        deadline: when, by the loop's clock, nothing more is sent.
        last_reason: why the last one failed that did.
        given_up: why nothing more is sent; "" while something is.
        index_error: why there are no further pages.
    """

    def __init__(
        self,
        operation: Operation,
        selection: Selection,
        needs: Mapping[Need, int],
        destination: MoveDestination,
        seconds: float,
    ) -> None:
        self.operation = operation
        self.selection = selection
        self.needs = needs
        self.destination = destination
        self.sub_operations = SubOperations(sum(needs.values()))
        self.last_reason = ""
        self.given_up = ""
        self.index_error: Exception | None = None
        self._clock = asyncio.get_running_loop().time
        self.deadline = self._clock() + seconds
        self._list_until = 0.0

    @property
    def is_over(self) -> bool:
        """Whether what was not taken yet will not be: nobody wants it, or nobody can be told of it."""
        if self.operation.cancelled:
            return True
        return bool(self.given_up) and (self.sub_operations.is_list_full or self._clock() >= self._list_until)

    def give_up(self, reason: str) -> None:
        """From now on, instances are taken to be listed as failed, for as long as `LISTING` allows."""
        self.given_up = reason
        self._list_until = self._clock() + LISTING

    def failed_because(self, reason: str) -> None:
        """One has failed. The requestor is told a reason where it is that of every other one, too."""
        self.last_reason = reason
        is_first = self.sub_operations.failed == 1
        self.sub_operations.reason = reason if is_first or reason == self.sub_operations.reason else ""

    def fail(self, files: Iterable[InstanceFile]) -> None:
        """These are not sent any more."""
        self.sub_operations.reason = self.given_up
        for file in files:
            self.sub_operations.record(file.sop_instance_uid, None)

    async def take(self, pages: AsyncIterator[Sequence[InstanceFile]]) -> list[InstanceFile]:
        """The next instances, at most about `MOST_AT_ONCE`; none when there are no more, or the index fails.

        Each page has a deadline of its own, in the index; the whole takes no longer than until ours.
        """
        files: list[InstanceFile] = []
        try:
            async for page in pages:
                files += page
                if self.given_up or len(files) >= MOST_AT_ONCE or self._clock() >= self.deadline:
                    break
        except Exception as error:
            self.index_error = error  # what was read before is sent all the same
        return files


async def _stop_when_cancelled(operation: Operation, job: SendJob) -> None:
    await operation.cancellation.wait()
    job.stop()
