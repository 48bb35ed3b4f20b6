"""Sending many files: associations side by side, and again what a second try may help (PS3.4 B.3).

A job sends in rounds. In a round every pending file goes out once, on as many associations at a time as asked
for; what failed only for now makes up the next round, after a delay that doubles. Files whose SOP classes
and transfer syntaxes need more than 128 presentation contexts go out on associations one after the other.
"""

import asyncio
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

from msgspec import Struct

from dimse import status
from dimse.association import Association
from dimse.enums import Priority
from dimse.errors import DimseError
from dimse.messages import Response
from dul.enums import RejectResult
from dul.errors import AssociationRejected, NetworkError
from dul.negotiation import ProposedContext
from services.scu import associate
from services.send import InstanceFile, Ready, contexts_of, plan, prepare, send_ready
from services.storage import MoveOriginator

LONGEST_DELAY = 30.0
"""Seconds between two rounds, at most."""

_MAXIMUM_FRUITLESS = 3
"""Associations in a row that end without one response: nothing is to be expected of another."""

_UNHELPFUL_LOOKUPS = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class Destination(Struct, frozen=True, kw_only=True):
    """Where to send, and how.

    Attributes:
        host, port: where the peer listens.
        called_ae, calling_ae: 1 to 16 characters each.
        tls: speak TLS.
        timeout: seconds for each response; and for an association, unless `connect_timeout` says otherwise.
        connect_timeout: seconds to connect, and for the answer to the association request.
        window: operations to have outstanding at a time, where the peer grants as many (PS3.7 D.3.3.3).
        maximum_length: longest P-DATA-TF that we announce to take, in bytes.
        priority: a wish, which most peers pass over.
        move_originator: the C-MOVE for which the files are sent.
    """

    host: str
    port: int
    called_ae: str
    calling_ae: str
    tls: ssl.SSLContext | None = None
    timeout: float = 60.0
    connect_timeout: float | None = None
    window: int = 1
    maximum_length: int = 131072
    priority: Priority = Priority.MEDIUM
    move_originator: MoveOriginator | None = None


class Outcome(Struct, frozen=True, gc=False):
    """What became of a file, once and for all.

    Attributes:
        file: which one.
        status: of the peer's last response; None where there was none.
        reason: the status in words, or why there is none.
        was_tried: False where no association came about that it could have been sent on.
        tries: how often it was tried.
        seconds: from the request to the response.
    """

    file: InstanceFile
    status: int | None
    reason: str
    was_tried: bool
    tries: int
    seconds: float

    @property
    def is_sent(self) -> bool:
        """True for success, and for a warning: the peer has the instance (PS3.4 B.2.3)."""
        return self.status is not None and status.category(self.status) in (
            status.StatusCategory.SUCCESS,
            status.StatusCategory.WARNING,
        )

    @property
    def is_warning(self) -> bool:
        """True where the peer has the instance and says something about it."""
        return self.is_sent and self.status != status.SUCCESS


class _Item(Struct):
    """A file without an outcome yet; `tries` counts those that failed."""

    file: InstanceFile
    tries: int = 0
    done: bool = False


class JobStopped(Exception):
    """A job was stopped while it opened an association."""


class SendJob:
    """Sends files to one destination.

    Args:
        destination: where to, and how.
        files: what.
        parallel: associations at a time, at least 1.
        retry: further tries for what may pass: a lost association, a transient rejection, and status A7xxH, unless
            `retry_refused` is False.
        reconnect: whether what an association leaves behind that is lost goes out on another one.
        on_outcome: told what became of each file, as soon as that is certain.
        on_note: told, in a sentence, what happens beside that, and the error behind it, where there is one.

    Attributes:
        associations: how many were established.
    """

    def __init__(
        self,
        destination: Destination,
        files: Iterable[InstanceFile],
        *,
        parallel: int = 1,
        retry: int = 0,
        retry_refused: bool = True,
        reconnect: bool = True,
        on_outcome: Callable[[Outcome], None] = lambda outcome: None,
        on_note: Callable[[str, Exception | None], object] = lambda note, error: None,
    ) -> None:
        self.destination = destination
        self.associations = 0
        self._items = [_Item(file) for file in files]
        self._parallel = parallel
        self._retry = retry
        self._retry_refused = retry_refused
        self.reconnects = reconnect
        self._stopped = asyncio.Event()
        self._connecting: set[asyncio.Timeout] = set()
        self._on_outcome = on_outcome
        self._on_note = on_note
        self._responses = 0
        self._again: list[_Item] = []

    @property
    def unfinished(self) -> list[InstanceFile]:
        """The files without an outcome: none once `run` has returned, some where it was stopped or cancelled."""
        return [item.file for item in self._items if not item.done]

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Send nothing more: `run` returns when what is outstanding has been answered, its associations released.
        Those that are still being opened are given up."""
        self._stopped.set()
        for limit in self._connecting:
            limit.reschedule(0)
        self._connecting.clear()

    async def run(self) -> None:
        """Send until every file has its outcome, or until stopped. Cancelled, it aborts its associations."""
        pending = self._items
        while pending and not self.is_stopped:
            pending = await self._round(pending)
            if pending and not self.is_stopped:
                delay = retry_delay(max(item.tries for item in pending))
                self.note(f"{_files(len(pending))} to send again in {delay:g} s")
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._stopped.wait()

    async def _round(self, pending: list[_Item]) -> list[_Item]:
        """Send every pending file once; returns those to be sent again."""
        self._again = []
        responses_before = self._responses
        left: list[tuple[_Item, Exception]] = []
        for needs in plan(item.file.needs for item in pending):
            wanted = frozenset(needs)
            batch = _Batch(self, contexts_of(needs), [item for item in pending if item.file.needs in wanted])
            await batch.send(self._parallel)
            if batch.queue and not self.is_stopped:
                assert batch.failure is not None, "only a failure leaves files behind"
                self.note(f"{_files(len(batch.queue))} could not be sent: {batch.failure}", batch.failure)
                left += [(item, batch.failure) for item in batch.queue]
        fruitful = self._responses > responses_before
        for item, failure in left:
            self._leave(item, failure, fruitful)
        return self._again

    def _leave(self, item: _Item, failure: Exception, fruitful: bool) -> None:
        """No association was left to send a file on. That counts as a try of it where the round brought nothing."""
        if not fruitful:
            item.tries += 1
        if self.reconnects and may_pass(failure) and item.tries <= self._retry:
            self._again.append(item)
        else:
            self._conclude(item, None, str(failure), was_tried=False)

    @asynccontextmanager
    async def until_stopped(self) -> AsyncIterator[None]:
        """Interrupts the block when the job is stopped.

        Raises:
            JobStopped: it was.
        """
        limit = asyncio.timeout(0 if self.is_stopped else None)
        try:
            async with limit:
                self._connecting.add(limit)
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise JobStopped from None
        finally:
            self._connecting.discard(limit)

    # -- what a batch tells

    def note(self, text: str, error: Exception | None = None) -> None:
        """Something a person should know."""
        self._on_note(text, error)

    def answered(self, item: _Item, response: Response, seconds: float) -> None:
        """The peer has answered a C-STORE."""
        self._responses += 1
        code = response.status
        item.tries += 1
        may_pass = self._retry_refused and code & 0xFF00 == status.OUT_OF_RESOURCES
        if may_pass and item.tries <= self._retry:
            self._again.append(item)
            return
        reason = status.describe(code)
        if response.error_comment:
            reason += f": {response.error_comment}"
        self._conclude(item, code, reason, seconds=seconds)

    def lost(self, item: _Item, reason: str) -> None:
        """A C-STORE got no answer."""
        item.tries += 1
        if item.tries <= self._retry:
            self._again.append(item)
        else:
            self._conclude(item, None, reason)

    def failed(self, item: _Item, reason: str) -> None:
        """A file cannot be sent, whatever the peer does."""
        item.tries += 1
        self._conclude(item, None, reason)

    def _conclude(
        self, item: _Item, code: int | None, reason: str, *, was_tried: bool = True, seconds: float = 0.0
    ) -> None:
        item.done = True
        self._on_outcome(Outcome(item.file, code, reason, was_tried, item.tries, seconds))


class _Batch:
    """Files that need the same associations: what can be proposed on one of them is enough for all of them.

    Attributes:
        queue: the files not tried yet.
        failure: why an association, the last that failed, did not come about or was of no use.
        parallel: associations at a time.
    """

    def __init__(self, job: SendJob, contexts: list[ProposedContext], items: list[_Item]) -> None:
        self.job = job
        self.contexts = contexts
        self.queue = deque(items)
        self.failure: Exception | None = None
        self.parallel = 1

    async def send(self, parallel: int) -> None:
        """Send the queue on up to `parallel` associations at a time."""
        self.parallel = parallel
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(parallel, len(self.queue))):
                workers.create_task(self._work())

    async def _work(self) -> None:
        """Send on one association, and on another when that is lost, until the queue is empty."""
        fruitless = 0
        while self.queue and not self.job.is_stopped:
            lane = await self._on_one_association()
            if self.job.is_stopped or not self.job.reconnects:
                return
            if lane is not None and lane.answered:
                fruitless = 0
                continue
            fruitless += 1
            if self.queue and (lane is None or fruitless == _MAXIMUM_FRUITLESS):
                if self.job.associations:
                    self.job.note(f"one association fewer: {self.failure}", self.failure)
                return

    async def _on_one_association(self) -> "_Lane | None":
        """Send until the queue is empty or the association is over; None where there never was one."""
        lane = None
        try:
            async with AsyncExitStack() as stack:
                async with self.job.until_stopped():
                    association = await stack.enter_async_context(self._associate())
                self.job.associations += 1
                lane = _Lane(self, association)
                await lane.send()
                self.failure = association.ended or self.failure
        except JobStopped:
            return None
        except NetworkError as error:
            # Where every file has its response already, how the association ended changes nothing.
            self.failure = error
        return lane

    def _associate(self) -> AbstractAsyncContextManager[Association]:
        to = self.job.destination
        return associate(
            to.host,
            to.port,
            called_ae=to.called_ae,
            calling_ae=to.calling_ae,
            contexts=self.contexts,
            window=(to.window, 1),
            maximum_length=to.maximum_length,
            tls=to.tls,
            timeout=to.timeout if to.connect_timeout is None else to.connect_timeout,
        )


class _Lane:
    """One association at work. Where there are many files, one more than may be outstanding is kept ready to go
    out next; where there are few, the other associations have as much right to it.

    Attributes:
        answered: responses that came.
    """

    def __init__(self, batch: _Batch, association: Association) -> None:
        self.answered = 0
        self._job = batch.job
        self._queue = batch.queue
        self._association = association
        offered, granted = batch.job.destination.window, association.negotiated.invoked
        self._width = min(offered, granted or offered)
        self._outstanding = asyncio.Semaphore(self._width)
        self._ahead = 1 if len(self._queue) > 2 * self._width * batch.parallel else 0

    async def send(self) -> None:
        async with asyncio.TaskGroup() as senders:
            for _ in range(min(self._width + self._ahead, len(self._queue))):
                senders.create_task(self._send_next())

    async def _send_next(self) -> None:
        while self._queue and self._association.is_established and not self._job.is_stopped:
            item = self._queue.popleft()
            try:
                ready = await prepare(self._association, item.file)
            except DimseError as error:
                self._job.failed(item, error.comment)
                continue
            except (OSError, ValueError) as error:
                self._job.failed(item, _reason(error))
                continue
            with ready:
                async with self._outstanding:
                    if self._job.is_stopped:
                        return
                    if not self._association.is_established:
                        self._queue.appendleft(item)
                        return
                    await self._send(item, ready)

    async def _send(self, item: _Item, ready: Ready) -> None:
        to = self._job.destination
        begin = time.perf_counter()
        try:
            response = await send_ready(
                self._association,
                item.file,
                ready,
                priority=to.priority,
                move_originator=to.move_originator,
                timeout=to.timeout,
            )
        except TimeoutError:
            cause = f"no response within {to.timeout:g} s"
            self._association.abort(cause)  # whatever holds it up would hold up the next file as well
            self._job.lost(item, cause)
        except NetworkError as error:
            self._job.lost(item, str(error))
        except (DimseError, OSError, ValueError) as error:
            self._job.failed(item, _reason(error))
        else:
            self.answered += 1
            self._job.answered(item, response, time.perf_counter() - begin)


def retry_delay(tries: int) -> float:
    """Seconds until what failed so many times is tried again: 1, 2, 4 and so on, up to `LONGEST_DELAY`."""
    return min(2.0 ** max(0, min(tries, 10) - 1), LONGEST_DELAY)


def may_pass(error: Exception) -> bool:
    """True where trying again later may help."""
    if isinstance(error, AssociationRejected):
        return error.result == RejectResult.TRANSIENT
    cause = error.__cause__
    if isinstance(cause, socket.gaierror):
        return cause.errno not in _UNHELPFUL_LOOKUPS
    return not isinstance(cause, ssl.SSLCertVerificationError)


def _reason(error: Exception) -> str:
    """An OSError less the path, which whoever reads it knows already."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
