"""The C-MOVE SCP, with an SCP of ours as the destination."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from pathlib import Path

import pytest

from dimse.messages import CMoveRQ, CMoveRSP, CStoreRQ, Response
from dul.negotiation import ProposedContext
from finding import identifier
from loops import LoopFactory, run
from peers import free_port
from scps import Kept, small_files, storing_scp
from services.query.keys import STUDY_ROOT, Level
from services.retrieve.destinations import Destinations, MoveDestination
from services.retrieve.move import Move, MoveOptions
from services.scp import SCP
from services.scu import associate
from services.send import InstanceFile, Need, read_instance
from services.sop_classes import IMPLICIT_VR_LITTLE_ENDIAN
from services.storage import ReceivedInstance, encode_dataset


class Files:
    """Holdings of which everything is selected, in pages of two."""

    def __init__(self, files: Sequence[InstanceFile]) -> None:
        self._files = files

    async def needs(self, level: Level, unique_keys: Mapping[int, Sequence[str]]) -> Mapping[Need, int]:
        needs: dict[Need, int] = {}
        for file in self._files:
            needs[file.needs] = needs.get(file.needs, 0) + 1
        return needs

    async def instances(
        self, level: Level, unique_keys: Mapping[int, Sequence[str]], needs: Collection[Need] | None = None
    ) -> AsyncGenerator[Sequence[InstanceFile], None]:
        files = [file for file in self._files if needs is None or file.needs in needs]
        for begin in range(0, len(files), 2):
            yield files[begin : begin + 2]


async def _move(folder: Path, to: int, name: str = "STORE") -> tuple[Response, bytes | None]:
    """Move five instances to a port, and return the final response."""
    files = [read_instance(path) for path in small_files(folder, 5)]
    destinations = Destinations({"STORE": MoveDestination("127.0.0.1", to, "SCP")})
    scp = SCP("ARCHIVE", [Move(Files(files), destinations, "ARCHIVE", options=MoveOptions(retries=0))])
    request = encode_dataset(identifier("STUDY", StudyInstanceUID="1.2"), IMPLICIT_VR_LITTLE_ENDIAN)
    async with (
        scp.listen(port=0) as port,
        associate(
            "127.0.0.1",
            port,
            called_ae="ARCHIVE",
            calling_ae="MOVESCU",
            contexts=[ProposedContext(STUDY_ROOT.move, (IMPLICIT_VR_LITTLE_ENDIAN,))],
        ) as association,
    ):
        replies = association.invoke_many(
            lambda message_id: CMoveRQ(
                message_id=message_id, affected_sop_class_uid=STUDY_ROOT.move, move_destination=name
            ),
            association.context_for(STUDY_ROOT.move),
            request,
            timeout=10.0,
        )
        last: tuple[Response, bytes | None] | None = None
        async for response, answer in replies:
            last = response, answer
    assert last is not None
    return last


def _counts(response: Response) -> tuple[int | None, ...]:
    assert isinstance(response, CMoveRSP)
    return (
        response.number_of_completed_suboperations,
        response.number_of_failed_suboperations,
        response.number_of_warning_suboperations,
    )


@pytest.mark.parametrize(
    ("answers", "status", "counts"),
    [
        ((), 0x0000, (5, 0, 0)),
        ((0, 0xC000), 0xB000, (4, 1, 0)),
        ((0xB000,), 0xB000, (4, 0, 1)),
        ((0xA700,) * 5, 0xA702, (0, 5, 0)),
    ],
)
def test_counts_and_final_status(
    tmp_path: Path,
    loop_factory: LoopFactory,
    answers: tuple[int, ...],
    status: int,
    counts: tuple[int, ...],
) -> None:
    async def scenario() -> None:
        kept = Kept(*answers)
        async with storing_scp(kept).listen(port=0) as port:
            response, _ = await _move(tmp_path, port)
        assert (response.status, _counts(response)) == (status, counts)
        assert len(kept.instances) == 5

    run(scenario(), loop_factory)


def test_nobody_listens(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
        response, answer = await _move(tmp_path, free_port())
        assert (response.status, _counts(response)) == (0xA702, (0, 5, 0))
        assert answer is not None
        assert all(f"1.2.3.4.{number}".encode() in bytes(answer) for number in range(5))

    run(scenario(), loop_factory)


def test_unknown_destination(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
        response, _ = await _move(tmp_path, free_port(), "OTHER")
        assert response.status == 0xA801

    run(scenario(), loop_factory)


def test_move_originator(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def scenario() -> None:
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

        async with storing_scp(keep).listen(port=0) as port:
            response, _ = await _move(tmp_path, port)
        assert response.status == 0x0000
        assert seen == {("ARCHIVE", "MOVESCU", response.message_id_being_responded_to)}
        assert len(associations) == 1

    run(scenario(), loop_factory)
