"""The C-MOVE SCP, with an SCP of ours as the destination."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from archive_samples import data_set
from dimse.association import Association
from dimse.messages import CCancelRQ, CMoveRQ, CMoveRSP, CStoreRQ
from dimse.operation import Operation
from dul.enums import RejectResult
from dul.errors import AssociationAborted, AssociationEnded, AssociationRejected
from dul.negotiation import ProposedContext, SupportedContext
from dul.pdus import AAssociateRJ, AAssociateRQ
from dul.reasons import RejectReason
from finding import decoded, identifier
from loops import LoopFactory, run
from peers import free_port
from scps import Kept, small_files, storing_scp, write_file
from services.query.keys import STUDY_ROOT, Level
from services.retrieve.destinations import Destinations, MoveDestination
from services.retrieve.move import Move, MoveOptions
from services.scp import SCP
from services.scu import associate
from services.send import InstanceFile, Need, read_instance
from services.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, storage_sop_classes
from services.storage import ReceivedInstance, Storage, encode_dataset

UIDS = [f"1.2.3.4.{number}" for number in range(5)]
TRANSIENT = AAssociateRJ(RejectResult.TRANSIENT, RejectReason.TEMPORARY_CONGESTION)


@pytest.fixture(autouse=True)
def delays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No test waits for seconds; the numbers of tries that were waited for."""
    waited: list[int] = []

    def no_delay(tries: int) -> float:
        waited.append(tries)
        return 0.001

    monkeypatch.setattr("services.sending.retry_delay", no_delay)
    return waited


class Files:
    """Holdings of which everything is selected, in pages of two.

    Args:
        needs_error: instead of needs.
        error: instead of the page after so many.
        delay: seconds that each page takes.
    """

    def __init__(
        self,
        files: Sequence[InstanceFile],
        *,
        needs_error: Exception | None = None,
        error: tuple[int, Exception] | None = None,
        delay: float = 0.0,
    ) -> None:
        self.files = files
        self.pages = 0
        self.needs_error = needs_error
        self.error = error
        self.delay = delay

    async def needs(self, level: Level, unique_keys: Mapping[int, Sequence[str]]) -> Mapping[Need, int]:
        if self.needs_error is not None:
            raise self.needs_error
        needs: dict[Need, int] = {}
        for file in self.files:
            needs[file.needs] = needs.get(file.needs, 0) + 1
        return needs

    async def instances(
        self, level: Level, unique_keys: Mapping[int, Sequence[str]], needs: Collection[Need] | None = None
    ) -> AsyncGenerator[Sequence[InstanceFile], None]:
        files = [file for file in self.files if needs is None or file.needs in needs]
        for begin in range(0, len(files), 2):
            if self.error is not None and self.pages == self.error[0]:
                raise self.error[1]
            await asyncio.sleep(self.delay)
            self.pages += 1
            yield files[begin : begin + 2]


def five(folder: Path) -> Files:
    return Files([read_instance(path) for path in small_files(folder, 5)])


class Archive(SCP):
    """What is moved from, and what it tells.

    Attributes:
        told: SOP Instance UID and reason of what could not be sent.
        errors: what it calls defects.
        losses: how the associations with requestors ended.
    """

    def __init__(self, holdings: Files, to: int, **options: Any) -> None:
        self.told: list[tuple[str, str]] = []
        self.errors: list[Exception] = []
        self.losses: list[AssociationEnded | AssociationRejected] = []
        self.destinations = {"STORE": MoveDestination("127.0.0.1", to, "SCP")}
        move = Move(
            holdings,
            Destinations(self.destinations),
            "ARCHIVE",
            options=MoveOptions(**({"retries": 0} | options)),
            failed=lambda operation, uid, reason: self.told.append((uid, reason)),
        )
        super().__init__("ARCHIVE", [move])

    def operation_failed(self, operation: Operation, error: Exception) -> None:
        self.errors.append(error)

    def ended(self, association: Association, cause: AssociationEnded | AssociationRejected) -> None:
        self.losses.append(cause)


@asynccontextmanager
async def requesting(archive: SCP) -> AsyncIterator[Association]:
    """An association with an archive that listens for as long."""
    async with (
        archive.listen(port=0) as port,
        associate(
            "127.0.0.1",
            port,
            called_ae="ARCHIVE",
            calling_ae="MOVESCU",
            contexts=[ProposedContext(STUDY_ROOT.move, (IMPLICIT_VR_LITTLE_ENDIAN,))],
            window=(4, 1),
        ) as association,
    ):
        yield association


def responses(
    association: Association, name: str = "STORE"
) -> AsyncGenerator[tuple[Any, bytes | memoryview | None], None]:
    """Move, and yield what comes."""
    return association.invoke_many(
        lambda message_id: CMoveRQ(
            message_id=message_id, affected_sop_class_uid=STUDY_ROOT.move, move_destination=name
        ),
        association.context_for(STUDY_ROOT.move),
        encode_dataset(identifier("STUDY", StudyInstanceUID="1.2"), IMPLICIT_VR_LITTLE_ENDIAN),
        timeout=10.0,
    )


class Final:
    """A final response.

    Attributes:
        counts: remaining, completed, failed and warning sub-operations.
        failed: the Failed SOP Instance UID List.
        pending: how many responses came before it.
    """

    def __init__(self, response: CMoveRSP, data: bytes | memoryview | None, pending: int) -> None:
        self.pending = pending
        self.message_id = response.message_id_being_responded_to
        self.status = response.status
        self.comment = response.error_comment or ""
        self.counts = (
            response.number_of_remaining_suboperations,
            response.number_of_completed_suboperations,
            response.number_of_failed_suboperations,
            response.number_of_warning_suboperations,
        )
        self.failed: list[str] | None = None
        if data is not None:
            listed = decoded(bytes(data), IMPLICIT_VR_LITTLE_ENDIAN).FailedSOPInstanceUIDList
            self.failed = [listed] if isinstance(listed, str) else sorted(listed or ())
            self.failed = [uid for uid in self.failed if uid]


async def ask(
    association: Association,
    name: str = "STORE",
    *,
    at_pending: Callable[[CMoveRSP], object] = lambda response: None,
) -> Final:
    """Move, and return the final response."""
    pending = 0
    last: tuple[CMoveRSP, bytes | memoryview | None] | None = None
    async with aclosing(responses(association, name)) as replies:
        async for response, data in replies:
            assert isinstance(response, CMoveRSP)
            last = response, data
            if response.status == 0xFF00:
                assert data is None
                pending += 1
                at_pending(response)
    assert last is not None
    return Final(*last, pending)


async def move(archive: SCP, name: str = "STORE") -> Final:
    async with requesting(archive) as association:
        return await ask(association, name)


def moved(files: Files, scp: SCP, loop_factory: LoopFactory, **options: Any) -> tuple[Final, Archive]:
    """Move everything to an SCP."""

    async def scenario() -> tuple[Final, Archive]:
        async with scp.listen(port=0) as port:
            archive = Archive(files, port, **options)
            return await move(archive), archive

    return run(scenario(), loop_factory)


# -- counts and statuses


@pytest.mark.parametrize(
    ("answers", "status", "counts"),
    [
        ((), 0x0000, (None, 5, 0, 0)),
        ((0, 0xC000), 0xB000, (None, 4, 1, 0)),
        ((0xB000,), 0xB000, (None, 4, 0, 1)),
        ((0xA700,) * 5, 0xA702, (None, 0, 5, 0)),
    ],
)
def test_counts_and_final_status(
    tmp_path: Path,
    loop_factory: LoopFactory,
    answers: tuple[int, ...],
    status: int,
    counts: tuple[int | None, ...],
) -> None:
    kept = Kept(*answers)
    final, _ = moved(five(tmp_path), storing_scp(kept), loop_factory, retries=3)
    assert (final.status, final.counts) == (status, counts)
    assert final.failed == (
        None
        if not status
        else [uid for uid, code in zip(UIDS, answers, strict=False) if code >= 0xB001]
        if status == 0xB000
        else UIDS
    )
    assert kept.uids == UIDS


@pytest.mark.parametrize(
    ("answers", "comment"),
    [
        ((0xC000,) * 5, "Failure: cannot understand, or unable to process (C000H)"),
        ((0xC000, 0, 0xC000), "Failure: cannot understand, or unable to process (C000H)"),
        ((0xC000, 0xA700, 0xC000, 0xC000, 0xC000), "no sub-operation succeeded"),
        ((0xC000, 0xA700, 0xA700), ""),
    ],
)
def test_the_comment_is_the_reason_where_there_is_one(
    tmp_path: Path, loop_factory: LoopFactory, answers: tuple[int, ...], comment: str
) -> None:
    final, _ = moved(five(tmp_path), storing_scp(Kept(*answers)), loop_factory)
    assert final.comment == comment


def test_nothing_selected_is_success_and_opens_nothing(loop_factory: LoopFactory) -> None:
    final = run(move(Archive(Files([]), free_port())), loop_factory)
    assert (final.status, final.counts, final.failed) == (0x0000, (None, 0, 0, 0), None)


def test_unknown_destination(tmp_path: Path, loop_factory: LoopFactory) -> None:
    final = run(move(Archive(five(tmp_path), free_port()), "OTHER"), loop_factory)
    assert final.status == 0xA801


def test_move_originator(tmp_path: Path, loop_factory: LoopFactory) -> None:
    seen: set[tuple[object, ...]] = set()
    associations: set[int] = set()

    async def keep(instance: ReceivedInstance) -> None:
        await instance.read()
        request = instance.operation.request
        assert isinstance(request, CStoreRQ)
        associations.add(id(instance.operation.association))
        seen.add(
            (
                instance.calling_ae,
                request.move_originator_application_entity_title,
                request.move_originator_message_id,
            )
        )

    final, _ = moved(five(tmp_path), storing_scp(keep), loop_factory)
    assert final.status == 0x0000
    assert seen == {("ARCHIVE", "MOVESCU", final.message_id)}
    assert len(associations) == 1


def test_an_instance_whose_file_is_gone_fails_alone(tmp_path: Path, loop_factory: LoopFactory) -> None:
    files, kept = five(tmp_path), Kept()
    Path(files.files[1].path).unlink()
    final, archive = moved(files, storing_scp(kept), loop_factory)
    assert (final.status, final.counts, final.failed) == (0xB000, (None, 4, 1, 0), [UIDS[1]])
    assert archive.told == [(UIDS[1], "No such file or directory")]


def test_refused_contexts_fail_and_the_rest_goes_on(tmp_path: Path, loop_factory: LoopFactory) -> None:
    first, second = storage_sop_classes()[:2]
    paths = small_files(tmp_path / "a", 2, first)
    write_file(tmp_path / "b.dcm", data_set("1.9", sop_class=second), "1.9", second)
    files = Files([read_instance(path) for path in (paths[0], tmp_path / "b.dcm", paths[1])])
    kept = Kept()
    takes = {first: SupportedContext(frozenset({EXPLICIT_VR_LITTLE_ENDIAN}))}
    final, archive = moved(files, SCP("SCP", [Storage(kept, takes)]), loop_factory)
    assert (final.status, final.counts, final.failed) == (0xB000, (None, 2, 1, 0), ["1.9"])
    assert sorted(kept.uids) == UIDS[:2]
    assert [uid for uid, reason in archive.told if "no presentation context" in reason] == ["1.9"]


# -- destinations that do not answer


@pytest.mark.parametrize("retries", [0, 2])
def test_nobody_listens(tmp_path: Path, loop_factory: LoopFactory, retries: int, delays: list[int]) -> None:
    port = free_port()
    archive = Archive(five(tmp_path), port, retries=retries)
    final = run(move(archive), loop_factory)
    assert (final.status, final.counts, final.failed) == (0xA702, (None, 0, 5, 0), UIDS)
    assert final.comment == f"cannot connect to 127.0.0.1:{port}: connection refused"
    assert delays == list(range(1, retries + 1))
    assert f"5 files could not be sent: {final.comment}" in {reason for _, reason in archive.told}
    assert not any("Errno" in reason for _, reason in archive.told)


def test_a_dead_destination_is_not_asked_again_for_every_group(
    tmp_path: Path, loop_factory: LoopFactory, delays: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.retrieve.move.MOST_AT_ONCE", 2)
    final = run(move(Archive(five(tmp_path), free_port(), retries=2)), loop_factory)
    assert (final.status, final.counts, final.failed) == (0xA702, (None, 0, 5, 0), UIDS)
    assert final.comment.endswith("connection refused")
    assert delays == [1, 2]


def test_what_no_list_has_room_for_is_not_even_looked_up(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.retrieve.move.MOST_AT_ONCE", 2)
    (path,) = small_files(tmp_path, 1)
    one = read_instance(path)
    files = Files([one] * 20_000)
    final = run(move(Archive(files, free_port())), loop_factory)
    assert (final.status, final.counts) == (0xA702, (None, 0, 20_000, 0))
    room = 65_534 // len(f"{one.sop_instance_uid}\\")
    assert final.failed is not None
    assert room - 1 <= len(final.failed) <= room + 1
    assert files.pages <= room // 2 + 2


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take everything and say nothing."""
    while await reader.read(65536):
        pass
    writer.close()


def test_no_answer_to_the_association_request(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def scenario() -> Final:
        async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await move(Archive(five(tmp_path), port, connect_timeout=0.2))

    final = run(scenario(), loop_factory)
    assert (final.status, final.counts, final.failed) == (0xA702, (None, 0, 5, 0), UIDS)
    assert final.comment == "no answer to the A-ASSOCIATE-RQ within 0.2 s"


def full_backlog() -> tuple[socket.socket, list[socket.socket]]:
    """A listener that the system answers for no more: who connects waits."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(4):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        waiting.append(client)
    return listener, waiting


def test_no_answer_to_the_connection(tmp_path: Path, loop_factory: LoopFactory) -> None:
    listener, waiting = full_backlog()
    try:
        port = listener.getsockname()[1]
        final = run(move(Archive(five(tmp_path), port, connect_timeout=0.2)), loop_factory)
    finally:
        for each in (listener, *waiting):
            each.close()
    assert (final.status, final.counts, final.failed) == (0xA702, (None, 0, 5, 0), UIDS)
    assert final.comment == f"cannot connect to 127.0.0.1:{port}: no answer within 0.2 s"


class Hanging:
    """A handler that keeps what comes, and hangs at some instances, by number, until it is let go."""

    def __init__(self, *numbers: int) -> None:
        self.kept = Kept()
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()
        self._numbers = set(numbers)
        self._count = 0

    async def __call__(self, instance: ReceivedInstance) -> int:
        self._count += 1
        if self._count in self._numbers:
            self.reached.set()
            await self.go_on.wait()
        return await self.kept(instance)


def test_no_response(tmp_path: Path, loop_factory: LoopFactory) -> None:
    handler = Hanging(2)
    final, archive = moved(five(tmp_path), storing_scp(handler), loop_factory, response_timeout=0.2)
    assert (final.status, final.counts, final.failed) == (0xB000, (None, 1, 4, 0), UIDS[1:])
    assert (UIDS[1], "no response within 0.2 s") in archive.told


def test_no_response_once_is_made_up_for_by_a_retry(tmp_path: Path, loop_factory: LoopFactory) -> None:
    handler = Hanging(2)
    scp = storing_scp(handler)
    final, _ = moved(five(tmp_path), scp, loop_factory, response_timeout=0.2, retries=1)
    assert (final.status, final.counts, final.failed) == (0x0000, (None, 5, 0, 0), None)
    assert sorted(handler.kept.uids) == UIDS


class Judging(SCP):
    """Answers the first association requests with what it is given; None accepts."""

    def __init__(self, handler: object, *answers: AAssociateRJ | None) -> None:
        super().__init__("SCP", [Storage(handler)])  # type: ignore[arg-type]
        self.answers = list(answers)
        self.requests: list[AAssociateRQ] = []
        self.causes: list[AssociationEnded | AssociationRejected] = []

    def judge(self, request: AAssociateRQ, association: Association) -> AAssociateRJ | None:
        self.requests.append(request)
        return self.answers.pop(0) if self.answers else None

    def ended(self, association: Association, cause: AssociationEnded | AssociationRejected) -> None:
        self.causes.append(cause)


def test_tries_again_with_growing_delay(tmp_path: Path, loop_factory: LoopFactory, delays: list[int]) -> None:
    scp = Judging(Kept(), TRANSIENT, TRANSIENT, TRANSIENT)
    final, _ = moved(five(tmp_path), scp, loop_factory, retries=3)
    assert (final.status, final.counts) == (0x0000, (None, 5, 0, 0))
    assert (len(scp.requests), delays) == (4, [1, 2, 3])


def test_no_more_tries_than_asked_for(tmp_path: Path, loop_factory: LoopFactory) -> None:
    scp = Judging(Kept(), *[TRANSIENT] * 9)
    final, _ = moved(five(tmp_path), scp, loop_factory, retries=2)
    assert (final.status, final.counts, final.failed) == (0xA702, (None, 0, 5, 0), UIDS)
    assert len(scp.requests) == 3
    assert final.comment.startswith("association rejected for now: temporary congestion")


# -- the time for the whole


@pytest.mark.parametrize("at_once", [2, 50_000])
def test_when_the_time_is_up_all_that_is_left_is_listed(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("services.retrieve.move.MOST_AT_ONCE", at_once)
    scp = Judging(Hanging(2))
    final, archive = moved(five(tmp_path), scp, loop_factory, move_timeout=0.3, response_timeout=60.0)
    assert (final.status, final.counts, final.failed) == (0xB000, (None, 1, 4, 0), UIDS[1:])
    assert final.comment == "not done within 0.3 s"
    assert archive.told == [("", "nothing more is sent: not done within 0.3 s")]
    assert [type(cause) for cause in scp.causes] == [AssociationAborted]


def test_the_time_for_the_whole_includes_the_tries(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sending.retry_delay", lambda tries: 60.0)
    archive = Archive(five(tmp_path), free_port(), move_timeout=0.2, retries=9)
    final = run(move(archive), loop_factory)
    assert (final.status, final.counts, final.failed) == (0xA702, (None, 0, 5, 0), UIDS)
    assert final.comment == "not done within 0.2 s"


def test_the_time_for_the_whole_includes_a_slow_index(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.retrieve.move.LISTING", 0.0)
    files = Files(five(tmp_path).files * 4, delay=0.05)
    final = run(move(Archive(files, free_port(), move_timeout=0.1)), loop_factory)
    assert (final.status, final.counts) == (0xA702, (None, 0, 20, 0))
    assert final.comment == "not done within 0.1 s"
    assert files.pages < 10


def test_a_time_that_is_up_elsewhere_is_not_that_for_the_whole(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = TimeoutError("elsewhere")

    async def fails(job: object) -> None:
        raise error

    monkeypatch.setattr("services.sending.SendJob.run", fails)
    archive = Archive(five(tmp_path), free_port())
    final = run(move(archive), loop_factory)
    assert (final.status, archive.errors) == (0x0110, [error])


# -- an index that fails


@pytest.mark.parametrize(
    ("error", "status", "is_defect"),
    [(TimeoutError("the index is slow"), 0xA701, False), (OSError("the disk is gone"), 0xC001, True)],
)
def test_no_needs(loop_factory: LoopFactory, error: Exception, status: int, is_defect: bool) -> None:
    archive = Archive(Files([], needs_error=error), free_port())
    final = run(move(archive), loop_factory)
    assert (final.status, archive.errors) == (status, [error] if is_defect else [])
    assert final.comment == (
        "the index failed; the log of the server says why" if is_defect else "the index is slow"
    )


@pytest.mark.parametrize("pages", [0, 1])
@pytest.mark.parametrize(
    ("error", "status", "is_defect"),
    [(TimeoutError(), 0xA702, False), (OSError("the disk is gone"), 0xC001, True)],
)
def test_no_further_page(
    tmp_path: Path, loop_factory: LoopFactory, pages: int, error: Exception, status: int, is_defect: bool
) -> None:
    files, kept = five(tmp_path), Kept()
    files.error = pages, error
    final, archive = moved(files, storing_scp(kept), loop_factory)
    assert (final.status, final.counts) == (status, (None, 2 * pages, 5 - 2 * pages, 0))
    assert kept.uids == UIDS[: 2 * pages]
    assert archive.errors == ([error] if is_defect else [])


# -- the requestor


@asynccontextmanager
async def under_way(
    folder: Path, handler: Hanging, **options: Any
) -> AsyncIterator[tuple[Association, Judging, Archive]]:
    """A requestor, a destination that hangs at an instance, and an archive between them."""
    scp = Judging(handler)
    async with scp.listen(port=0) as port:
        archive = Archive(five(folder), port, **options)
        async with requesting(archive) as association:
            yield association, scp, archive


async def cancel(association: Association) -> None:
    """Cancel the first operation."""
    request = CCancelRQ(message_id_being_responded_to=1)
    await association.send(association.context_for(STUDY_ROOT.move), request)


def test_cancelled(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
        handler = Hanging(3)
        async with under_way(tmp_path, handler) as (association, scp, _):
            asking = asyncio.ensure_future(ask(association))
            await handler.reached.wait()
            await cancel(association)
            await asyncio.sleep(0.05)
            assert not asking.done()  # what is outstanding is waited for
            handler.go_on.set()
            final = await asking
            assert (final.status, final.counts, final.failed) == (0xFE00, (2, 3, 0, 0), [])
            assert handler.kept.uids == UIDS[:3]
        assert [str(cause) for cause in scp.causes] == ["the peer released the association"]

    run(scenario(), loop_factory)


@pytest.mark.parametrize("where", ["connection", "association", "delay"])
def test_cancelled_while_there_is_no_association(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async def cancelled(port: int) -> Final:
        archive = Archive(five(tmp_path), port, connect_timeout=60.0, retries=3)
        async with requesting(archive) as association:
            asking = asyncio.ensure_future(ask(association))
            await asyncio.sleep(0.1)
            await cancel(association)
            return await asking

    async def at_the_association() -> Final:
        async with await asyncio.start_server(silence, "127.0.0.1", 0) as server:
            return await cancelled(server.sockets[0].getsockname()[1])

    if where == "association":
        final = run(at_the_association(), loop_factory)
    elif where == "delay":
        monkeypatch.setattr("services.sending.retry_delay", lambda tries: 60.0)
        final = run(cancelled(free_port()), loop_factory)
    else:
        listener, waiting = full_backlog()
        final = run(cancelled(listener.getsockname()[1]), loop_factory)
        for each in (listener, *waiting):
            each.close()
    assert (final.status, final.counts, final.failed) == (0xFE00, (5, 0, 0, 0), [])


def test_the_requestor_aborts(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
        handler = Hanging(2)
        async with under_way(tmp_path, handler) as (association, scp, archive):
            asking = asyncio.ensure_future(ask(association))
            await handler.reached.wait()
            association.abort("enough")
            with pytest.raises(AssociationAborted):
                await asking
            while not (scp.causes and archive.losses):
                await asyncio.sleep(0.01)
            assert [type(cause) for cause in scp.causes] == [AssociationAborted]
            assert handler.kept.uids == UIDS[:1]

    run(scenario(), loop_factory)


def test_the_requestor_releases(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
        handler = Hanging(2)
        async with under_way(tmp_path, handler) as (association, scp, archive):
            asking = asyncio.ensure_future(ask(association))
            await handler.reached.wait()
            releasing = asyncio.ensure_future(association.release())
            await asyncio.sleep(0.05)
            handler.go_on.set()
            await asyncio.gather(releasing, asking, return_exceptions=True)
            while not (scp.causes and archive.losses):
                await asyncio.sleep(0.01)
            assert handler.kept.uids == UIDS[:2]
        assert len(scp.causes) == 1

    run(scenario(), loop_factory)


def test_pending_responses_while_nothing_happens(
    tmp_path: Path, loop_factory: LoopFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.retrieve.sub_operations.LONGEST_INTERVAL", 0.02)

    async def scenario() -> None:
        handler, seen = Hanging(3), []

        def note(response: CMoveRSP) -> None:
            seen.append(
                (response.number_of_remaining_suboperations, response.number_of_completed_suboperations)
            )
            if seen.count((3, 2)) == 4:
                handler.go_on.set()

        async with under_way(tmp_path, handler) as (association, _, _archive):
            final = await ask(association, at_pending=note)
        assert (final.status, final.counts) == (0x0000, (None, 5, 0, 0))
        assert seen.count((3, 2)) >= 4

    run(scenario(), loop_factory)


# -- several at a time


def test_two_moves_on_one_association(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
        together = asyncio.Barrier(2)

        async def wait_for_the_other(instance: ReceivedInstance) -> None:
            await instance.read()
            await asyncio.wait_for(together.wait(), 5)

        async with storing_scp(wait_for_the_other).listen(port=0) as port:
            archive = Archive(five(tmp_path), port)
            async with requesting(archive) as association:
                finals = await asyncio.gather(ask(association), ask(association))
        assert [(final.status, final.counts) for final in finals] == [(0x0000, (None, 5, 0, 0))] * 2

    run(scenario(), loop_factory)


def test_too_many_moves(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
        handler = Hanging(1)
        async with under_way(tmp_path, handler, moves=1) as (association, _, _archive):
            asking = asyncio.ensure_future(ask(association))
            await handler.reached.wait()
            refused = await ask(association)
            assert (refused.status, refused.comment) == (
                0xA702,
                "1 C-MOVEs are under way: try again later",
            )
            handler.go_on.set()
            assert (await asking).status == 0x0000
            assert (await ask(association)).status == 0x0000

    run(scenario(), loop_factory)


def test_parallel(tmp_path: Path, loop_factory: LoopFactory) -> None:
    together, associations = asyncio.Barrier(4), set()

    async def wait_for_the_others(instance: ReceivedInstance) -> None:
        associations.add(instance.operation.association)
        await instance.read()
        if len(associations) <= 4 and instance.sop_instance_uid != UIDS[4]:
            await asyncio.wait_for(together.wait(), 5)

    final, _ = moved(five(tmp_path), storing_scp(wait_for_the_others), loop_factory, parallel=4)
    assert (final.status, final.counts, len(associations)) == (0x0000, (None, 5, 0, 0), 4)


def test_window(tmp_path: Path, loop_factory: LoopFactory) -> None:
    together, associations = asyncio.Barrier(5), set()

    async def wait_for_the_others(instance: ReceivedInstance) -> None:
        associations.add(instance.operation.association)
        await instance.read()
        await asyncio.wait_for(together.wait(), 5)

    final, _ = moved(five(tmp_path), storing_scp(wait_for_the_others), loop_factory, window=5)
    assert (final.status, final.counts, len(associations)) == (0x0000, (None, 5, 0, 0), 1)


def test_more_contexts_than_one_association_has(tmp_path: Path, loop_factory: LoopFactory) -> None:
    paths = []
    for number, sop_class in enumerate(storage_sop_classes()[:150]):
        paths.append(tmp_path / f"{number}.dcm")
        write_file(paths[-1], data_set(f"1.2.{number}", sop_class=sop_class), f"1.2.{number}", sop_class)
    kept = Kept()
    scp = Judging(kept)
    files = Files([read_instance(path) for path in paths])
    final, _ = moved(files, scp, loop_factory)
    assert (final.status, final.counts) == (0x0000, (None, 150, 0, 0))
    assert sorted(kept.uids) == sorted(f"1.2.{number}" for number in range(150))
    assert [len(request.presentation_contexts) for request in scp.requests] == [128, 128, 44]


def test_the_destination_is_the_archive_itself(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
        kept, port = Kept(), free_port()
        here = Destinations({"STORE": MoveDestination("127.0.0.1", port, "ARCHIVE")})
        scp = SCP("ARCHIVE", [Move(five(tmp_path), here, "ARCHIVE"), Storage(kept)])
        async with (
            scp.listen(port=port),
            associate(
                "127.0.0.1",
                port,
                called_ae="ARCHIVE",
                calling_ae="MOVESCU",
                contexts=[ProposedContext(STUDY_ROOT.move, (IMPLICIT_VR_LITTLE_ENDIAN,))],
            ) as association,
        ):
            final = await ask(association)
        assert (final.status, final.counts, kept.uids) == (0x0000, (None, 5, 0, 0), UIDS)

    run(scenario(), loop_factory)
