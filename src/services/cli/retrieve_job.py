"""Retrieves what was asked for: lists it, asks for what is missing, and asks again where that may help.

A job goes in rounds. In a round every request goes out once, on as many associations at a time as asked for. What did
not come by it makes up the next round: on another association where its presentation contexts may have been the cause,
or after a delay where the peer or the network failed for now.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing

from msgspec import Struct, structs

from dimse import status
from dimse.association import Association
from dimse.errors import DimseError
from dul.errors import NetworkError
from services.cli.retrieve_inventory import Inventory, Listed
from services.cli.retrieve_keys import Wanted
from services.cli.retrieve_methods import Method, Proposal, Source
from services.cli.retrieve_tasks import Task, first_tasks, listed_tasks, whole_series
from services.cli.stoppable import unless_stopped
from services.find_scu import InvalidAnswer, find_context
from services.retrieve.folder import Folder, Identity
from services.retrieve.requesting import Told
from services.retrieve.selection import Selection
from services.sending import may_pass, retry_delay

_MAXIMUM_FRUITLESS = 3
"""Associations in a row on which nothing could be asked: nothing is to be expected of another."""


class Missing(Struct, frozen=True):
    """What was asked for and did not come.

    Attributes:
        what: a SOP Instance UID, or in words what could not be listed.
        reason: why, as far as anybody said.
        listed: the instance, where the peer listed it.
        status: of the peer's final response, where that says why.
        error: what happened to the network, where that was it.
    """

    what: str
    reason: str
    listed: Listed | None = None
    status: int | None = None
    error: Exception | None = None


class RetrieveJob:
    """Retrieves into a folder.

    Args:
        source: whom to ask.
        method: how.
        wanted: what for.
        folder: where to; open.
        parallel: associations at a time, at least 1.
        retry: further tries for what may pass: a lost association, a transient rejection, and status A7xxH.
        on_total: told how many instances there are to come, each time that changes.
        on_note: told, in a sentence, what happens beside the instances, and the error behind it, where there is one.

    Attributes:
        associations: how many were established, for whatever purpose.
        already: how many instances were there before.
        missing: what did not come.
        warnings: how often sub-operations ended with a warning, by the peer's count.
        is_listed: whether the peer listed all that was asked for.
        studies: those of what it listed.
    """

    def __init__(
        self,
        source: Source,
        method: Method,
        wanted: Sequence[Wanted],
        folder: Folder,
        *,
        parallel: int = 1,
        retry: int = 0,
        on_total: Callable[[int], object] = lambda total: None,
        on_note: Callable[[str, Exception | None], object] = lambda note, error: None,
    ) -> None:
        self.associations = self.already = self.warnings = 0
        self.missing: list[Missing] = []
        self.is_listed = True
        self.studies: set[str] = set()
        self._source = source
        self._method = method
        self._wanted = wanted
        self._folder = folder
        self._parallel = parallel
        self._retry = retry
        self._on_total = on_total
        self._on_note = on_note
        self._stopped = asyncio.Event()
        self._queue: deque[Task] = deque()
        self._again: list[Task] = []
        self._unfinished: list[Task] = []
        self._total = 0
        self._came: Counter[str] = Counter()  # instances, by study
        self._fruitless = 0  # associations in a row
        self._refusal: DimseError | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    @property
    def left(self) -> int | None:
        """How many instances are still to come after `stop`; None where nobody knows."""
        tasks = [*self._queue, *self._again, *self._unfinished]
        if any(task.expected is None for task in tasks):
            return None
        return sum(len(self._remaining(task) or ()) for task in tasks)

    def stop(self) -> None:
        """Ask for nothing more: what is under way is cancelled with a C-CANCEL, its association released."""
        self._stopped.set()

    def came(self, identity: Identity) -> None:
        """An instance was kept."""
        self._came[identity.study_uid] += 1

    async def run(self) -> None:
        """Retrieve until everything came or nothing more helps, or until stopped.

        Raises:
            NetworkError: the first association did not come about, nor did a further try.
            DimseError: the peer does not do what is asked of it at all.
            OSError: the listener cannot listen.
        """
        async with self._method.listening():
            listed = await unless_stopped(self._stopped, self._list())
            if listed is None:
                return
            self._begin(listed)
            while self._queue and not self.is_stopped:
                workers = min(self._parallel, len(self._queue))
                async with asyncio.TaskGroup() as group:
                    for _ in range(workers):
                        group.create_task(self._work())
                if self._refusal is not None:
                    raise self._refusal
                if self._again and not self.is_stopped:
                    await self._wait(max(task.tries for task in self._again))
                    self._queue.extend(self._again)
                    self._again = []

    async def _wait(self, tries: int) -> None:
        if not tries:
            return
        delay = retry_delay(tries)
        self._on_note(f"what did not come is asked for again in {delay:g} s", None)
        await unless_stopped(self._stopped, asyncio.sleep(delay))

    # -- what there is

    async def _list(self) -> list[tuple[Wanted, list[Listed] | None]]:
        """What the peer says it has of each thing; None where it does not say."""
        listed: dict[Wanted, list[Listed]] = {}
        contexts = [find_context(model) for model in dict.fromkeys(wanted.model for wanted in self._wanted)]
        tries = 0
        while True:
            established = False
            try:
                async with self._source.associate(contexts) as association:
                    established = True
                    self.associations += 1
                    await self._list_on(association, listed)
                break
            except TimeoutError:
                self._cannot_list(f"no answer within {self._source.timeout:g} s")
                break
            except NetworkError as error:
                if len(listed) == len(self._wanted):
                    break  # it ended otherwise than in order, but it is complete
                tries += 1
                if not may_pass(error) or tries > self._retry:
                    if established:
                        self._cannot_list(str(error))
                        break
                    raise
            await self._wait(tries)
        return [(wanted, listed.get(wanted)) for wanted in self._wanted]

    async def _list_on(self, association: Association, listed: dict[Wanted, list[Listed]]) -> None:
        """Add what the peer lists; a refusal is no reason not to release the association."""
        inventory = Inventory(association, self._source.timeout)
        try:
            for wanted in self._wanted:
                if wanted not in listed:
                    listed[wanted] = await inventory.of(wanted)
        except (DimseError, InvalidAnswer) as error:
            self._cannot_list(str(error))
        self._tell_strange(inventory.strange)

    def _cannot_list(self, why: str) -> None:
        self.is_listed = False
        self._on_note(
            f"does not list what it has ({why}): everything is retrieved, and what is there already is kept",
            None,
        )

    def _tell_strange(self, strange: Sequence[str]) -> None:
        for text in strange[:3]:
            self._on_note(f"lists '{text}', which is no UID: passed over", None)
        if len(strange) > 3:
            self._on_note(f"lists {len(strange) - 3} more that are no UIDs: passed over", None)

    def _begin(self, listing: Iterable[tuple[Wanted, list[Listed] | None]]) -> None:
        """Make the requests of the first round."""
        seen: set[str] = set()
        found: list[tuple[Wanted, list[Listed], list[Listed]]] = []
        for wanted, listed in listing:
            self.studies.update(each.study_uid for each in listed or ())
            fresh = [each for each in listed or () if each.sop_instance_uid not in seen]
            seen.update(each.sop_instance_uid for each in fresh)
            missing = [each for each in fresh if not self._has(each)]
            self.already += len(fresh) - len(missing)
            self._total += len(missing)
            if missing or not listed:
                found.append((wanted, listed or [], missing))
        for wanted, all_of_it, missing in found:
            if all_of_it:
                by_series = len(found) < self._parallel
                self._queue += first_tasks(wanted, all_of_it, missing, by_series=by_series)
            else:
                self._queue.append(Task(wanted))
        self._on_total(self._total)

    def _has(self, listed: Listed) -> bool:
        uid = listed.sop_instance_uid
        return uid in self._folder.present or self._folder.has(listed.study_uid, listed.series_uid, uid)

    def _remaining(self, task: Task) -> list[Listed] | None:
        if task.expected is None:
            return None
        return [listed for listed in task.expected if listed.sop_instance_uid not in self._folder.present]

    # -- asking

    async def _work(self) -> None:
        """Ask on one association, and on another where that does not do, until the queue is empty."""
        while self._queue and not self.is_stopped:
            under_way = [self._queue.popleft()]
            try:
                await self._on_one_association(under_way)
            except (NetworkError, TimeoutError) as error:
                self._fruitless += 1
                if self._fruitless == _MAXIMUM_FRUITLESS:
                    under_way += self._queue
                    self._queue.clear()
                for task in under_way:
                    self._lost(task, error)
            except DimseError as error:
                self._unfinished += under_way
                self._refusal = error
                self.stop()

    async def _on_one_association(self, under_way: list[Task]) -> None:
        """Ask for the one task that is under way, and for others that the association does for."""
        proposal = self._method.propose(under_way[0], self._queue)
        async with self._method.open(proposal) as association:
            self.associations += 1
            while under_way and not self.is_stopped:
                task = under_way[0]
                tolds = await self._ask(association, task)
                if tolds is None:
                    break
                under_way.clear()
                self._fruitless = 0
                await self._conclude(task, proposal, tolds)
                if (
                    self._queue
                    and association.is_established
                    and self._method.covers(proposal, self._queue[0])
                ):
                    under_way.append(self._queue.popleft())
            self._unfinished += under_way
            under_way.clear()

    async def _ask(self, association: Association, task: Task) -> list[Told] | None:
        """The final responses to a task's requests; None where the job was stopped first."""
        tolds: list[Told] = []
        for selection in task.wanted.selections():
            told = await unless_stopped(self._stopped, self._ask_one(association, selection, task))
            if told is None:
                return None
            tolds.append(told)
        if task.expected is None:
            self._total += sum(told.completed or 0 for told in tolds)
            self._on_total(self._total)
        return tolds

    async def _ask_one(self, association: Association, selection: Selection, task: Task) -> Told:
        last: Told | None = None
        async with aclosing(self._method.retrieve(association, selection, task.wanted.model)) as responses:
            async for last in responses:
                if task.expected is None and last.total is not None:
                    self._on_total(self._total + last.total)
        assert last is not None, "there is a final response, or an error"
        return last

    # -- what became of it

    async def _conclude(self, task: Task, proposal: Proposal, tolds: Sequence[Told]) -> None:
        """Find out what is missing after a task, and whether to ask for it again."""
        self.warnings += sum(told.warning or 0 for told in tolds)
        bad = next((told for told in tolds if told.status != status.SUCCESS or told.failed), None)
        if self._remaining(task):
            await self._method.settle()
        remaining = self._remaining(task)
        if remaining is None:
            self._conclude_unlisted(task, proposal, tolds, bad)
        elif remaining and self._folder.failure is not None:
            self._unfinished.append(task)
        elif remaining:
            self._conclude_listed(task, proposal, remaining, bad)
        elif bad is not None and (bad.failed or _is_failure(bad)):
            self._on_note(f"says of {task.wanted}: {bad}; but all that it listed is there", None)

    def _conclude_listed(
        self, task: Task, proposal: Proposal, remaining: Sequence[Listed], bad: Told | None
    ) -> None:
        refused = self._folder.refused
        for each in remaining:
            if each.sop_instance_uid in refused:
                reason = f"refused here: {refused[each.sop_instance_uid]}"
                self.missing.append(Missing(each.sop_instance_uid, reason, each))
        missing = [each for each in remaining if each.sop_instance_uid not in refused]
        again = self._once_more(task, proposal, missing, bad) if missing else []
        self._again += again
        if not again:
            reason = str(bad) if bad is not None else "the peer says that it was sent, but it never came"
            code = None if bad is None else bad.status
            self.missing += [Missing(each.sop_instance_uid, reason, each, code) for each in missing]

    def _once_more(
        self, task: Task, proposal: Proposal, missing: Sequence[Listed], bad: Told | None
    ) -> list[Task]:
        """Requests for what did not come, where they may help."""
        if bad is not None:
            if task.by_list and not bad.completed and _does_not_fit(bad):
                return [whole_series(task)]
            plan = self._method.next_plan(proposal, missing) if bad.failed else None
            if plan is not None:
                return listed_tasks(task.wanted, missing, plan=plan, tries=task.tries)
            if bad.status & 0xFF00 != status.OUT_OF_RESOURCES:
                return []
        if task.tries >= self._retry:
            return []
        return listed_tasks(task.wanted, missing, tries=task.tries + 1)

    def _conclude_unlisted(
        self, task: Task, proposal: Proposal, tolds: Sequence[Told], bad: Told | None
    ) -> None:
        """What came of something of which nobody knows what it has."""
        if bad is None:
            study = task.wanted.study_uid
            came = self._came[study] if study else self._came.total()
            if not came and not any(told.completed or told.warning for told in tolds):
                reason = "the peer has nothing of it, or shows us nothing"
                self.missing.append(Missing(str(task.wanted), reason))
            return
        failed = [uid for told in tolds for uid in told.failed_uids if uid not in self._folder.present]
        if not bad.failed and not failed and not _is_failure(bad):
            return  # warnings only
        plan = self._method.next_plan(proposal, None) if bad.failed else None
        if plan is not None:
            self._again.append(structs.replace(task, plan=plan))
        elif bad.status & 0xFF00 == status.OUT_OF_RESOURCES and task.tries < self._retry:
            self._again.append(structs.replace(task, plan=0, tries=task.tries + 1))
        else:
            number = f"{bad.failed} instances: " if bad.failed and not failed else ""
            self.missing += [
                Missing(what, f"{number}{bad}", status=bad.status) for what in failed or [str(task.wanted)]
            ]

    def _lost(self, task: Task, error: Exception) -> None:
        """The association of a task did not come about, or was lost under it."""
        remaining = self._remaining(task)
        if remaining is not None and not remaining:
            return
        tries = task.tries + 1
        if self.is_stopped:
            self._unfinished.append(task)
        elif (isinstance(error, TimeoutError) or may_pass(error)) and tries <= self._retry:
            self._on_note(f"{error}", error)
            if remaining is None:
                self._again.append(structs.replace(task, tries=tries))
            else:
                self._again += listed_tasks(task.wanted, remaining, tries=tries)
        elif remaining is None:
            self.missing.append(Missing(str(task.wanted), str(error), error=error))
        else:
            self.missing += [
                Missing(each.sop_instance_uid, str(error), each, error=error) for each in remaining
            ]


def _is_failure(told: Told) -> bool:
    return status.category(told.status) in (status.StatusCategory.FAILURE, status.StatusCategory.CANCEL)


def _does_not_fit(told: Told) -> bool:
    """Whether the peer cannot do with the identifier: with a list of UIDs, perhaps."""
    return told.status & 0xFF00 == status.IDENTIFIER_DOES_NOT_MATCH_SOP_CLASS or (
        told.status & 0xF000 == status.UNABLE_TO_PROCESS
    )
