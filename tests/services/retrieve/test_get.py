"""The C-GET SCP: sub-operations on the same association, with a requestor of ours that answers as each test wants."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dimse.association import Association
from dimse.messages import CCancelRQ, CGetRQ, CGetRSP
from dimse.operation import Operation
from dul.errors import AssociationEnded, NetworkError
from dul.negotiation import ProposedContext, SupportedContext
from finding import decoded, identifier
from loops import LoopFactory, run
from scps import small_files
from services.query.keys import STUDY_ROOT, Level
from services.retrieve.get import Get
from services.scp import SCP
from services.scu import associate
from services.send import InstanceFile, Need, read_instance
from services.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from services.storage import ReceivedInstance, Storage, encode_dataset

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
UIDS = [f"1.2.3.4.{number}" for number in range(5)]

Answer = Callable[[ReceivedInstance], Awaitable[int | None]]


class Files:
    """Holdings of which everything is selected.

    Args:
        pages: of files; may be empty.
        needs_error: instead of needs.
        error: instead of the page behind the last.
    """

    def __init__(
        self,
        *pages: Sequence[InstanceFile],
        needs_error: Exception | None = None,
        error: Exception | None = None,
    ) -> None:
        self.pages = pages
        self.needs_error = needs_error
        self.error = error
        self.is_open = 0

    async def needs(self, level: Level, unique_keys: Mapping[int, Sequence[str]]) -> Mapping[Need, int]:
        if self.needs_error is not None:
            raise self.needs_error
        needs: dict[Need, int] = {}
        for file in (file for page in self.pages for file in page):
            needs[file.needs] = needs.get(file.needs, 0) + 1
        if self.error is not None:
            needs[self.pages[0][0].needs] += 2
        return needs

    async def instances(
        self, level: Level, unique_keys: Mapping[int, Sequence[str]], needs: Collection[Need] | None = None
    ) -> AsyncGenerator[Sequence[InstanceFile], None]:
        self.is_open += 1
        try:
            for page in self.pages:
                await asyncio.sleep(0)
                yield page
            if self.error is not None:
                raise self.error
        finally:
            self.is_open -= 1


class Archive(SCP):
    """What is retrieved from.

    Attributes:
        told: SOP Instance UID and reason of what could not be sent.
        errors: what it calls defects.
        sent: how many instances each C-GET has sent.
    """

    def __init__(self, holdings: Files, **options: Any) -> None:
        self.told: list[tuple[str, str]] = []
        self.errors: list[Exception] = []
        self.sent: list[int] = []
        get = Get(
            holdings,
            failed=lambda operation, uid, reason: self.told.append((uid, reason)),
            sent=self.sent.append,
            **options,
        )
        super().__init__("ARCHIVE", [get, _Storable()])

    def operation_failed(self, operation: Operation, error: Exception) -> None:
        self.errors.append(error)


class _Storable:
    """Storage contexts, so that the requestor can be granted to be their SCP."""

    command_fields: frozenset[Any] = frozenset()
    starts_with_command = False
    begins_at_once = False
    sop_classes: Mapping[str, SupportedContext] = {
        CT_IMAGE_STORAGE: SupportedContext(
            transfer_syntaxes=(EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN), scu_role=True
        )
    }

    def open_data_set(self, operation: Operation) -> Any:
        raise AssertionError("nobody stores here")

    def perform(self, operation: Operation) -> Any:
        raise AssertionError("nobody stores here")


async def _take(instance: ReceivedInstance) -> int | None:
    await instance.read()
    return None


@asynccontextmanager
async def requesting(
    archive: Archive,
    answer: Answer = _take,
    *,
    syntax: str = EXPLICIT_VR_LITTLE_ENDIAN,
    role: bool = True,
    window: tuple[int, int] = (1, 1),
) -> AsyncIterator[Association]:
    """An association with an archive that listens for as long, its sub-operations answered by `answer`."""
    storage = ProposedContext(CT_IMAGE_STORAGE, (syntax,), *((True, True) if role else (None, None)))
    get = ProposedContext(STUDY_ROOT.get, (IMPLICIT_VR_LITTLE_ENDIAN,))
    async with (
        archive.listen(port=0) as port,
        associate(
            "127.0.0.1",
            port,
            called_ae="ARCHIVE",
            calling_ae="GETSCU",
            contexts=[get, storage],
            services=[Storage(answer)],
            window=window,
        ) as association,
    ):
        yield association


async def ask(association: Association) -> list[tuple[CGetRSP, bytes | None]]:
    """Invoke a C-GET; every response with its data set."""
    context = association.context_for(STUDY_ROOT.get)
    replies = association.invoke_many(
        lambda message_id: CGetRQ(message_id=message_id, affected_sop_class_uid=STUDY_ROOT.get),
        context,
        encode_dataset(identifier("STUDY", StudyInstanceUID="1.2.3"), IMPLICIT_VR_LITTLE_ENDIAN),
        timeout=20,
    )
    found = []
    async for response, data in replies:
        assert isinstance(response, CGetRSP)
        found.append((response, data))
    return found


def counts(response: CGetRSP) -> tuple[int | None, int | None, int | None, int | None]:
    """Remaining, completed, failed, warning."""
    return (
        response.number_of_remaining_suboperations,
        response.number_of_completed_suboperations,
        response.number_of_failed_suboperations,
        response.number_of_warning_suboperations,
    )


def failed_uids(data: bytes | None) -> list[str]:
    assert data is not None
    value = decoded(data, IMPLICIT_VR_LITTLE_ENDIAN).FailedSOPInstanceUIDList
    return [str(uid) for uid in ([value] if isinstance(value, str) else value or ()) if uid]


def five(folder: Path) -> list[InstanceFile]:
    return [read_instance(path) for path in small_files(folder, 5)]


def with_statuses(*codes: int) -> Answer:
    remaining = iter(codes)

    async def answer(instance: ReceivedInstance) -> int | None:
        await instance.read()
        return next(remaining)

    return answer


def test_everything_arrives_and_is_counted(tmp_path: Path, loop_factory: LoopFactory) -> None:
    files = five(tmp_path)
    got: dict[str, bytes] = {}

    async def keep(instance: ReceivedInstance) -> int | None:
        got[instance.sop_instance_uid] = await instance.read()
        return None

    async def main() -> None:
        archive = Archive(Files(files[:2], [], files[2:], []))
        async with requesting(archive, keep) as association:
            *pending, (final, data) = await ask(association)
        assert (final.status, counts(final), data) == (0, (None, 5, 0, 0), None)
        assert pending, "one follows the first sub-operation"
        assert all(sum(number or 0 for number in counts(each)) == 5 for each, _ in pending)
        assert all(each.status == 0xFF00 for each, _ in pending)
        assert archive.sent == [5]

    run(main(), loop_factory)
    assert got == {
        file.sop_instance_uid: Path(file.path).read_bytes()[file.data_set_offset :] for file in files
    }


@pytest.mark.parametrize(
    ("codes", "status", "expected", "failed"),
    [
        ((0, 0xA700, 0, 0, 0), 0xB000, (None, 4, 1, 0), UIDS[1:2]),
        ((0xB000,) * 5, 0xB000, (None, 0, 0, 5), []),
        ((0xC000,) * 5, 0xA702, (None, 0, 5, 0), UIDS),
        ((0, 0xB007, 0xA900, 0x0122, 0), 0xB000, (None, 2, 2, 1), UIDS[2:4]),
    ],
)
def test_each_response_counts(
    tmp_path: Path,
    loop_factory: LoopFactory,
    codes: tuple[int, ...],
    status: int,
    expected: tuple[int | None, ...],
    failed: list[str],
) -> None:
    async def main() -> None:
        archive = Archive(Files(five(tmp_path)))
        async with requesting(archive, with_statuses(*codes)) as association:
            final, data = (await ask(association))[-1]
        assert (final.status, counts(final)) == (status, expected)
        assert failed_uids(data) == failed

    run(main(), loop_factory)


def test_nothing_selected_is_a_success(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with requesting(Archive(Files())) as association:
            [(final, data)] = await ask(association)
        assert (final.status, counts(final), data) == (0, (None, 0, 0, 0), None)

    run(main(), loop_factory)


def test_as_many_at_a_time_as_the_window_allows(tmp_path: Path, loop_factory: LoopFactory) -> None:
    most = under_way = 0

    async def slowly(instance: ReceivedInstance) -> int | None:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await instance.read()
        await asyncio.sleep(0.03)
        under_way -= 1
        return None

    async def main(window: int) -> None:
        nonlocal most
        most = 0
        async with requesting(Archive(Files(five(tmp_path))), slowly, window=(1, window)) as association:
            assert association.negotiated.performed == window
            assert (await ask(association))[-1][0].status == 0
        assert most == window

    for window in (1, 4):
        run(main(window), loop_factory)


def test_a_cancel_leaves_the_rest(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        made: list[Association] = []

        async def cancel(instance: ReceivedInstance) -> int | None:
            await instance.read()
            association = made[0]
            context = association.context_for(STUDY_ROOT.get)
            await association.send(context, CCancelRQ(message_id_being_responded_to=1))
            return None

        archive = Archive(Files(five(tmp_path)))
        async with requesting(archive, cancel) as association:
            made.append(association)
            final, _ = (await ask(association))[-1]
        remaining, completed, failed, warning = counts(final)
        assert (final.status, failed, warning) == (0xFE00, 0, 0)
        assert completed in (1, 2)
        assert remaining == 5 - (completed or 0)
        assert archive.errors == []

    run(main(), loop_factory)


def test_a_requestor_that_does_not_answer_is_aborted(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def never(instance: ReceivedInstance) -> int | None:
        await asyncio.sleep(30)
        return None

    async def main() -> None:
        holdings = Files(five(tmp_path))
        archive = Archive(holdings, response_timeout=0.2)
        with pytest.raises(NetworkError):
            async with requesting(archive, never) as association:
                await ask(association)
        assert (archive.errors, holdings.is_open) == ([], 0)

    run(main(), loop_factory)


@pytest.mark.parametrize("how", ["abort", "reset", "release"])
def test_a_requestor_that_goes_leaves_nothing_running(
    tmp_path: Path, loop_factory: LoopFactory, how: str
) -> None:
    async def main() -> None:
        made: list[Association] = []

        async def go(instance: ReceivedInstance) -> int | None:
            match how:
                case "abort":
                    made[0].abort()
                case "reset":
                    made[0].provider._transport.abort()  # type: ignore[union-attr]
                case _:
                    made[0].provider.release_request()
            await asyncio.sleep(30)
            return None

        holdings = Files(five(tmp_path))
        archive = Archive(holdings)
        with suppress(AssociationEnded):
            async with requesting(archive, go) as association:
                made.append(association)
                await ask(association)
        async with asyncio.timeout(10):
            while archive.associations or holdings.is_open:
                await asyncio.sleep(0.01)
        assert archive.errors == []

    run(main(), loop_factory)


def test_without_a_role_nothing_is_sent(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        archive = Archive(Files(five(tmp_path)))
        async with requesting(archive, role=False) as association:
            final, data = (await ask(association))[-1]
        assert (final.status, counts(final)) == (0xA702, (None, 0, 5, 0))
        assert failed_uids(data) == UIDS
        assert [uid for uid, _ in archive.told] == UIDS

    run(main(), loop_factory)


def test_what_is_not_compressed_is_converted(tmp_path: Path, loop_factory: LoopFactory) -> None:
    syntaxes: list[str] = []

    async def keep(instance: ReceivedInstance) -> int | None:
        syntaxes.append(instance.transfer_syntax_uid)
        assert (await instance.dataset()).SOPInstanceUID == instance.sop_instance_uid
        return None

    async def main() -> None:
        archive = Archive(Files(five(tmp_path)))
        async with requesting(archive, keep, syntax=IMPLICIT_VR_LITTLE_ENDIAN) as association:
            assert (await ask(association))[-1][0].status == 0

    run(main(), loop_factory)
    assert syntaxes == [IMPLICIT_VR_LITTLE_ENDIAN] * 5


def test_a_file_that_is_not_there_fails_alone(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def main() -> None:
        files = five(tmp_path)
        Path(files[3].path).unlink()
        archive = Archive(Files(files))
        async with requesting(archive) as association:
            final, data = (await ask(association))[-1]
        assert (final.status, counts(final)) == (0xB000, (None, 4, 1, 0))
        assert failed_uids(data) == [UIDS[3]]
        assert [uid for uid, _ in archive.told] == [UIDS[3]]

    run(main(), loop_factory)


@pytest.mark.parametrize(
    ("error", "status", "defects"), [(TimeoutError("slow"), 0xA701, 0), (RuntimeError("gone"), 0xC001, 1)]
)
def test_an_index_that_fails_at_once(
    loop_factory: LoopFactory, error: Exception, status: int, defects: int
) -> None:
    async def main() -> None:
        archive = Archive(Files(needs_error=error))
        async with requesting(archive) as association:
            [(final, _)] = await ask(association)
        assert (final.status, len(archive.errors)) == (status, defects)

    run(main(), loop_factory)


@pytest.mark.parametrize(
    ("error", "status"), [(TimeoutError("slow"), 0xA702), (RuntimeError("gone"), 0xC001)]
)
def test_an_index_that_fails_on_the_way_is_no_success(
    tmp_path: Path, loop_factory: LoopFactory, error: Exception, status: int
) -> None:
    async def main() -> None:
        archive = Archive(Files(five(tmp_path), error=error))
        async with requesting(archive) as association:
            final, _ = (await ask(association))[-1]
        assert final.status == status
        assert counts(final)[1:] == (5, 2, 0)

    run(main(), loop_factory)
