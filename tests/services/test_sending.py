"""Jobs: files side by side on several associations, and again where that may help."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from archive_samples import data_set
from dimse import status
from dimse.association import Association
from dimse.enums import Priority
from dimse.messages import CStoreRQ
from dul.enums import RejectResult
from dul.errors import AssociationAborted, AssociationRejected, AssociationReleased, ConnectionLost
from dul.negotiation import SupportedContext
from dul.pdus import AAssociateRJ, AAssociateRQ
from dul.reasons import RejectReason
from loops import LoopFactory, run
from peers import free_port
from scps import AE_TITLE, Kept, in_a_thread, small_files, storing_scp, write_file
from services import SCP, ReceivedInstance, Storage, read_instance
from services.send import InstanceFile
from services.sending import Destination, Outcome, SendJob, may_pass, retry_delay
from services.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, storage_sop_classes
from services.storage import MoveOriginator

TRANSIENT = AAssociateRJ(RejectResult.TRANSIENT, RejectReason.TEMPORARY_CONGESTION)
PERMANENT = AAssociateRJ(RejectResult.PERMANENT, RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED)


@pytest.fixture(autouse=True)
def delays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No test waits for seconds; the numbers of tries that were waited for."""
    waited: list[int] = []

    def no_delay(tries: int) -> float:
        waited.append(tries)
        return 0.001

    monkeypatch.setattr("services.sending.retry_delay", no_delay)
    return waited


class Job:
    """A job, and what it told."""

    def __init__(self, files: list[InstanceFile], **options: int) -> None:
        self.files = files
        self.options = options
        self.outcomes: list[Outcome] = []
        self.notes: list[str] = []
        self.associations = 0

    async def send(self, port: int, **to: object) -> "Job":
        job = self.make(port, **to)
        await job.run()
        self.associations = job.associations
        assert job.unfinished == []
        assert sorted(outcome.file.path for outcome in self.outcomes) == sorted(f.path for f in self.files)
        return self

    def make(self, port: int, **to: object) -> SendJob:
        settings: dict[str, object] = {"called_ae": AE_TITLE, "calling_ae": "SCU", "timeout": 10.0}
        destination = Destination(host="127.0.0.1", port=port, **(settings | to))  # type: ignore[arg-type]
        return SendJob(
            destination,
            self.files,
            on_outcome=self.outcomes.append,
            on_note=lambda note, error: self.notes.append(note),
            **self.options,  # type: ignore[arg-type]
        )

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.is_sent]


def files(folder: Path, count: int) -> list[InstanceFile]:
    return [read_instance(path) for path in small_files(folder, count)]


def send(job: Job, scp: SCP, loop_factory: LoopFactory, **to: object) -> Job:
    async def test() -> Job:
        async with scp.listen(port=0) as port:
            return await job.send(port, **to)

    return run(test(), loop_factory)


class Judging(SCP):
    """Answers the first association requests with what it is given; None accepts."""

    def __init__(self, handler: object, *answers: AAssociateRJ | None) -> None:
        super().__init__(AE_TITLE, [Storage(handler)])  # type: ignore[arg-type]
        self.answers = list(answers)
        self.requests = 0

    def judge(self, request: AAssociateRQ, association: Association) -> AAssociateRJ | None:
        self.requests += 1
        return self.answers.pop(0) if self.answers else None


class Aborting:
    """A handler that keeps instances and aborts the association of some, by number."""

    def __init__(self, *numbers: int) -> None:
        self.kept = Kept()
        self._numbers = set(numbers)
        self._count = 0

    async def __call__(self, instance: ReceivedInstance) -> int:
        self._count += 1
        if self._count in self._numbers:
            instance.operation.association.abort()
            await asyncio.sleep(10)
        return await self.kept(instance)


# -- all goes well


def test_every_file_goes_out_on_one_association(tmp_path: Path, loop_factory: LoopFactory) -> None:
    kept = Kept()
    job = send(Job(files(tmp_path, 20)), storing_scp(kept), loop_factory)
    assert kept.uids == [f"1.2.3.4.{number}" for number in range(20)]
    assert (job.failed, job.notes, job.associations) == ([], [], 1)
    assert {(o.status, o.reason, o.tries, o.was_tried) for o in job.outcomes} == {
        (0, "Success (0000H)", 1, True)
    }


def test_nothing_to_send_opens_nothing(loop_factory: LoopFactory) -> None:
    assert send(Job([]), storing_scp(Kept()), loop_factory).associations == 0


def test_several_associations_at_a_time(tmp_path: Path, loop_factory: LoopFactory) -> None:
    together = asyncio.Barrier(4)

    async def wait_for_the_others(instance: ReceivedInstance) -> None:
        await asyncio.wait_for(together.wait(), 5)

    job = send(Job(files(tmp_path, 4), parallel=4), storing_scp(wait_for_the_others), loop_factory)
    assert (job.failed, job.associations) == ([], 4)


def test_no_more_associations_than_files(tmp_path: Path, loop_factory: LoopFactory) -> None:
    assert send(Job(files(tmp_path, 2), parallel=8), storing_scp(Kept()), loop_factory).associations == 2


def test_several_operations_on_one_association(tmp_path: Path, loop_factory: LoopFactory) -> None:
    together = asyncio.Barrier(3)

    async def wait_for_the_others(instance: ReceivedInstance) -> None:
        await asyncio.wait_for(together.wait(), 5)

    job = send(Job(files(tmp_path, 6)), storing_scp(wait_for_the_others), loop_factory, window=3)
    assert (job.failed, job.associations) == ([], 1)


@pytest.mark.parametrize(("granted", "most"), [((1, 1), 1), ((1, 2), 2), ((0, 0), 4)])
def test_no_more_operations_than_the_peer_grants(
    tmp_path: Path, loop_factory: LoopFactory, granted: tuple[int, int], most: int
) -> None:
    under_way = highest = 0

    async def count(instance: ReceivedInstance) -> None:
        nonlocal under_way, highest
        under_way += 1
        highest = max(highest, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1

    scp = SCP(AE_TITLE, [Storage(count)], window=granted)
    assert send(Job(files(tmp_path, 8)), scp, loop_factory, window=4).failed == []
    assert highest == most


def test_as_many_associations_as_the_contexts_need(tmp_path: Path, loop_factory: LoopFactory) -> None:
    paths = []
    for number, sop_class in enumerate(storage_sop_classes()[:150]):
        paths.append(tmp_path / f"{number}.dcm")
        write_file(paths[-1], data_set(f"1.2.{number}", sop_class=sop_class), f"1.2.{number}", sop_class)
    kept = Kept()
    job = send(Job([read_instance(path) for path in paths]), storing_scp(kept), loop_factory)
    assert len(kept.uids) == 150
    assert (job.failed, job.associations) == ([], 3)  # 64 classes with two contexts on each


def test_the_wish_for_priority_is_passed_on(tmp_path: Path, loop_factory: LoopFactory) -> None:
    priorities = []

    async def keep(instance: ReceivedInstance) -> None:
        assert isinstance(instance.operation.request, CStoreRQ)
        priorities.append(instance.operation.request.priority)

    send(Job(files(tmp_path, 1)), storing_scp(keep), loop_factory, priority=Priority.LOW)
    assert priorities == [Priority.LOW]


def test_the_move_that_asked_is_named(tmp_path: Path, loop_factory: LoopFactory) -> None:
    originators = []

    async def keep(instance: ReceivedInstance) -> None:
        request = instance.operation.request
        assert isinstance(request, CStoreRQ)
        originators.append(
            (request.move_originator_application_entity_title, request.move_originator_message_id)
        )

    send(Job(files(tmp_path, 1)), storing_scp(keep), loop_factory)
    originator = MoveOriginator("MOVESCU", 7)
    send(Job(files(tmp_path, 1)), storing_scp(keep), loop_factory, move_originator=originator)
    assert originators == [(None, None), ("MOVESCU", 7)]


# -- statuses


def test_a_failure_status_is_a_failure_and_a_warning_is_none(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    kept = Kept(status.CANNOT_UNDERSTAND, status.COERCION_OF_DATA_ELEMENTS, 0, 0x0122)
    job = send(Job(files(tmp_path, 4), retry=3), storing_scp(kept), loop_factory)
    assert [(o.status, o.is_sent, o.is_warning) for o in job.outcomes] == [
        (0xC000, False, False),
        (0xB000, True, True),
        (0, True, False),
        (0x0122, False, False),
    ]
    assert job.outcomes[0].reason == "Failure: cannot understand, or unable to process (C000H)"
    assert job.notes == []  # nothing a second try would change


@pytest.mark.parametrize("code", [0xA700, 0xA7FF])
def test_out_of_resources_is_tried_again(
    tmp_path: Path, loop_factory: LoopFactory, code: int, delays: list[int]
) -> None:
    kept = Kept(0, code, 0, code, code)
    job = send(Job(files(tmp_path, 3), retry=5), storing_scp(kept), loop_factory)
    assert [(o.file.sop_instance_uid, o.tries) for o in job.outcomes] == [
        ("1.2.3.4.0", 1),
        ("1.2.3.4.2", 1),
        ("1.2.3.4.1", 4),
    ]
    assert job.failed == []
    assert delays == [1, 2, 3]


def test_out_of_resources_fails_once_the_tries_are_used_up(tmp_path: Path, loop_factory: LoopFactory) -> None:
    kept = Kept(*[status.OUT_OF_RESOURCES] * 10)
    job = send(Job(files(tmp_path, 1), retry=2), storing_scp(kept), loop_factory)
    assert [(o.status, o.tries) for o in job.failed] == [(status.OUT_OF_RESOURCES, 3)]
    assert len(kept.uids) == 3


def test_without_retries_nothing_is_tried_again(tmp_path: Path, loop_factory: LoopFactory) -> None:
    kept = Kept(status.OUT_OF_RESOURCES)
    job = send(Job(files(tmp_path, 2)), storing_scp(kept), loop_factory)
    assert [o.tries for o in job.failed] == [1]
    assert len(kept.uids) == 2


def test_what_is_refused_for_now_can_be_left_at_that(
    tmp_path: Path, loop_factory: LoopFactory, delays: list[int]
) -> None:
    kept = Kept(status.OUT_OF_RESOURCES)
    job = send(Job(files(tmp_path, 2), retry=5, retry_refused=False), storing_scp(kept), loop_factory)
    assert [(o.status, o.tries) for o in job.failed] == [(status.OUT_OF_RESOURCES, 1)]
    assert (len(kept.uids), delays) == (2, [])


# -- files


def test_a_file_that_cannot_be_read_fails_alone(tmp_path: Path, loop_factory: LoopFactory) -> None:
    some, kept = files(tmp_path, 3), Kept()
    Path(some[1].path).unlink()
    job = send(Job(some, retry=3), storing_scp(kept), loop_factory)
    assert [(o.file, o.status, o.reason, o.tries) for o in job.failed] == [
        (some[1], None, "No such file or directory", 1)
    ]
    assert kept.uids == ["1.2.3.4.0", "1.2.3.4.2"]


def test_a_file_without_a_context_fails_alone(tmp_path: Path, loop_factory: LoopFactory) -> None:
    write_file(tmp_path / "x.dcm", data_set("1.9", sop_class="1.2.3"), "1.9", "1.2.3")
    some = [read_instance(tmp_path / "x.dcm"), *files(tmp_path, 1)]
    job = send(Job(some, retry=3), storing_scp(Kept()), loop_factory)
    assert [(o.status, o.reason) for o in job.failed] == [
        (None, "the peer accepted no presentation context for 1.2.3 in Explicit VR Little Endian")
    ]
    assert job.associations == 1


def test_where_no_context_is_accepted_the_association_is_released(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    scp = SCP(
        AE_TITLE, [Storage(Kept(), {"1.2.3": SupportedContext(frozenset({EXPLICIT_VR_LITTLE_ENDIAN}))})]
    )
    job = send(Job(files(tmp_path, 3)), scp, loop_factory)
    assert len(job.failed) == 3
    assert job.associations == 1


# -- associations


def test_a_lost_association_costs_the_file_under_way_and_no_other(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    handler = Aborting(3)
    job = send(Job(files(tmp_path, 6)), storing_scp(handler), loop_factory)
    assert [(o.file.sop_instance_uid, o.status) for o in job.failed] == [("1.2.3.4.2", None)]
    assert job.failed[0].reason.startswith("the peer aborted: ")
    assert len(handler.kept.uids) == 5
    assert job.associations == 2


def test_without_reconnecting_it_costs_all_that_follow(tmp_path: Path, loop_factory: LoopFactory) -> None:
    handler = Aborting(3)
    job = send(Job(files(tmp_path, 6), reconnect=False), storing_scp(handler), loop_factory)
    assert handler.kept.uids == ["1.2.3.4.0", "1.2.3.4.1"]
    assert [o.was_tried for o in job.failed] == [True, False, False, False]
    assert {o.reason for o in job.failed} == {job.failed[0].reason}
    assert job.associations == 1


def test_with_retries_it_costs_nothing(tmp_path: Path, loop_factory: LoopFactory) -> None:
    handler = Aborting(3, 7)
    job = send(Job(files(tmp_path, 6), retry=2), storing_scp(handler), loop_factory)
    assert job.failed == []
    assert sorted(handler.kept.uids) == [f"1.2.3.4.{number}" for number in range(6)]
    assert [o.tries for o in job.outcomes if o.file.sop_instance_uid == "1.2.3.4.2"] == [3]


def test_with_a_window_what_was_not_sent_yet_is_not_lost(tmp_path: Path, loop_factory: LoopFactory) -> None:
    handler = Aborting(1)
    job = send(Job(files(tmp_path, 10)), storing_scp(handler), loop_factory, window=2)
    assert 1 <= len(job.failed) <= 2
    assert len(handler.kept.uids) + len(job.failed) >= 10
    assert job.associations == 2


def test_a_peer_that_answers_nothing_is_not_asked_for_ever(tmp_path: Path, loop_factory: LoopFactory) -> None:
    handler = Aborting(*range(1, 100))
    job = send(Job(files(tmp_path, 10)), storing_scp(handler), loop_factory)
    assert job.associations == 3
    assert [o.was_tried for o in job.outcomes].count(True) == 3
    assert len(job.failed) == 10
    assert any(note.startswith("7 files could not be sent: the peer aborted") for note in job.notes)


def test_no_response_in_time_is_a_lost_association(tmp_path: Path, loop_factory: LoopFactory) -> None:
    kept, first = Kept(), True

    async def hang_once(instance: ReceivedInstance) -> int:
        nonlocal first
        if first:
            first = False
            await asyncio.sleep(10)
        return await kept(instance)

    job = send(Job(files(tmp_path, 3), retry=1), storing_scp(hang_once), loop_factory, timeout=0.3)
    assert job.failed == []
    assert (job.associations, len(kept.uids)) == (3, 3)


def test_a_transient_rejection_is_tried_again(
    tmp_path: Path, loop_factory: LoopFactory, delays: list[int]
) -> None:
    kept = Kept()
    scp = Judging(kept, TRANSIENT, TRANSIENT)
    job = send(Job(files(tmp_path, 3), retry=2), scp, loop_factory)
    assert (job.failed, len(kept.uids), scp.requests) == ([], 3, 3)
    assert delays == [1, 2]
    assert job.notes[0].startswith(
        "3 files could not be sent: association rejected for now: temporary congestion"
    )


def test_it_fails_once_the_tries_are_used_up(tmp_path: Path, loop_factory: LoopFactory) -> None:
    scp = Judging(Kept(), *[TRANSIENT] * 10)
    job = send(Job(files(tmp_path, 2), retry=2), scp, loop_factory)
    assert scp.requests == 3
    assert [(o.status, o.was_tried, o.tries) for o in job.failed] == [(None, False, 3)] * 2


def test_a_permanent_rejection_is_final(tmp_path: Path, loop_factory: LoopFactory) -> None:
    scp = Judging(Kept(), PERMANENT)
    job = send(Job(files(tmp_path, 2), retry=5), scp, loop_factory)
    assert scp.requests == 1
    assert len(job.failed) == 2
    assert job.failed[0].reason.startswith(
        "association rejected permanently: calling AE title not recognized"
    )


def test_fewer_associations_than_asked_for_still_send_everything(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    kept = Kept()

    async def slowly(instance: ReceivedInstance) -> int:
        await asyncio.sleep(0.02)
        return await kept(instance)

    scp = Judging(slowly, None, TRANSIENT, TRANSIENT)
    job = send(Job(files(tmp_path, 8), parallel=3), scp, loop_factory)
    assert (job.failed, len(kept.uids), job.associations) == ([], 8, 1)
    assert any(note.startswith("one association fewer: association rejected") for note in job.notes)


def test_a_peer_that_comes_back_gets_the_rest(
    tmp_path: Path, loop_factory: LoopFactory, delays: list[int]
) -> None:
    handler = Aborting(3)
    scp = Judging(handler, None, TRANSIENT, TRANSIENT, TRANSIENT)
    job = send(Job(files(tmp_path, 6), retry=3), scp, loop_factory)
    assert job.failed == []
    assert len(handler.kept.uids) == 6
    assert delays == [1, 2, 3]


def test_where_nothing_listens_every_file_fails(tmp_path: Path, loop_factory: LoopFactory) -> None:
    job = Job(files(tmp_path, 3), retry=1, parallel=2)
    port = free_port()
    run(job.send(port), loop_factory)
    assert [(o.was_tried, o.tries) for o in job.failed] == [(False, 2)] * 3
    assert {o.reason for o in job.failed} == {f"cannot connect to 127.0.0.1:{port}: connection refused"}


def test_the_time_for_an_association_is_not_that_for_a_response(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    async def test() -> Job:
        async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await Job(files(tmp_path, 2)).send(port, timeout=60.0, connect_timeout=0.1)

    job = run(test(), loop_factory)
    assert {o.reason for o in job.failed} == {"no answer to the A-ASSOCIATE-RQ within 0.1 s"}

    async def slowly(instance: ReceivedInstance) -> None:
        await asyncio.sleep(0.3)

    scp = storing_scp(slowly)
    assert send(Job(files(tmp_path, 1)), scp, loop_factory, connect_timeout=0.2).failed == []


def test_a_peer_that_ends_after_the_last_response_changes_nothing(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def aborts(self: Association) -> None:
        self.abort("no release today")
        raise AssociationAborted("no release today")

    monkeypatch.setattr(Association, "release", aborts)
    job = send(Job(files(tmp_path, 3)), storing_scp(Kept()), loop_factory)
    assert (job.failed, job.notes) == ([], [])


# -- interrupted


def test_cancelled_it_aborts_and_says_what_is_left(tmp_path: Path, loop_factory: LoopFactory) -> None:
    reached, ended = asyncio.Event(), []

    async def hang_at_the_third(instance: ReceivedInstance) -> None:
        if instance.sop_instance_uid == "1.2.3.4.2":
            reached.set()
            await asyncio.sleep(10)

    async def test() -> None:
        some = files(tmp_path, 5)
        scp = storing_scp(hang_at_the_third)
        scp.ended = lambda association, cause: ended.append(cause)  # type: ignore[method-assign]
        async with scp.listen(port=0) as port:
            job = Job(some)
            sending = job.make(port)
            task = asyncio.create_task(sending.run())
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert sending.unfinished == some[2:]
            assert [o.file for o in job.outcomes] == some[:2]

    run(test(), loop_factory)
    assert [type(cause) for cause in ended] == [AssociationAborted]


def test_it_runs_from_another_loop_than_the_peer_s(tmp_path: Path, loop_factory: LoopFactory) -> None:
    kept = Kept()
    with in_a_thread(storing_scp(kept)) as port:
        job = run(Job(files(tmp_path, 30), parallel=3).send(port, window=2), loop_factory)
    assert (job.failed, len(kept.uids)) == ([], 30)


# -- stopped


def test_stopped_it_waits_for_what_is_outstanding_and_releases(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    kept, reached, go_on = Kept(), asyncio.Event(), asyncio.Event()
    ended: list[object] = []

    async def hang_at_the_third(instance: ReceivedInstance) -> int:
        if instance.sop_instance_uid == "1.2.3.4.2":
            reached.set()
            await go_on.wait()
        return await kept(instance)

    async def test() -> None:
        some = files(tmp_path, 5)
        scp = storing_scp(hang_at_the_third)
        scp.ended = lambda association, cause: ended.append(cause)  # type: ignore[method-assign]
        async with scp.listen(port=0) as port:
            job = Job(some)
            sending = job.make(port)
            task = asyncio.create_task(sending.run())
            await reached.wait()
            sending.stop()
            await asyncio.sleep(0.05)
            assert not task.done()
            go_on.set()
            await task
            assert (sending.is_stopped, sending.unfinished) == (True, some[3:])
            assert ([o.file for o in job.outcomes], job.failed, job.notes) == (some[:3], [], [])

    run(test(), loop_factory)
    assert kept.uids == [f"1.2.3.4.{number}" for number in range(3)]
    assert [type(cause) for cause in ended] == [AssociationReleased]


def test_stopped_before_it_runs_it_opens_nothing(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def test() -> None:
        scp = Judging(Kept())
        async with scp.listen(port=0) as port:
            sending = Job(files(tmp_path, 2)).make(port)
            sending.stop()
            await sending.run()
        assert (scp.requests, len(sending.unfinished)) == (0, 2)

    run(test(), loop_factory)


@pytest.mark.parametrize("parallel", [1, 3])
def test_stopped_it_does_not_wait_for_an_association(
    tmp_path: Path, loop_factory: LoopFactory, parallel: int
) -> None:
    async def test() -> None:
        waiting = asyncio.Semaphore(0)

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            waiting.release()
            while await reader.read(65536):
                pass
            writer.close()

        async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
            job = Job(files(tmp_path, 5), parallel=parallel, retry=3)
            sending = job.make(server.sockets[0].getsockname()[1], connect_timeout=60.0)
            task = asyncio.create_task(sending.run())
            for _ in range(parallel):
                await waiting.acquire()
            sending.stop()
            await task
        assert (len(sending.unfinished), job.outcomes, job.notes) == (5, [], [])
        assert sending.associations == 0

    run(test(), loop_factory)


def test_stopped_it_does_not_wait_for_the_next_try(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sending.retry_delay", lambda tries: 60.0)

    async def test() -> None:
        job = Job(files(tmp_path, 2), retry=3)
        sending = job.make(free_port())
        task = asyncio.create_task(sending.run())
        while not any("to send again" in note for note in job.notes):
            await asyncio.sleep(0.01)
        sending.stop()
        await task
        assert (len(sending.unfinished), job.outcomes) == (2, [])

    run(test(), loop_factory)


# -- what may pass


def lost(cause: Exception | None = None) -> ConnectionLost:
    error = ConnectionLost("lost")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AssociationRejected(2, RejectReason.LOCAL_LIMIT_EXCEEDED), True),
        (AssociationRejected(1, RejectReason.NO_REASON_GIVEN), False),
        (AssociationAborted("aborted"), True),
        (lost(), True),
        (lost(ConnectionRefusedError()), True),
        (lost(socket.gaierror(socket.EAI_AGAIN, "later")), True),
        (lost(socket.gaierror(socket.EAI_NONAME, "never")), False),
        (lost(ssl.SSLCertVerificationError("untrusted")), False),
    ],
    ids=lambda value: repr(value),
)
def test_what_may_pass(error: Exception, expected: bool) -> None:
    assert may_pass(error) is expected


def test_delays_double_up_to_half_a_minute() -> None:
    assert [retry_delay(tries) for tries in (0, 1, 2, 3, 4, 5, 6, 7, 2000)] == [1, 1, 2, 4, 8, 16, 30, 30, 30]
