"""C-MOVE, SCU, against an SCP whose conduct a test decides."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from dimse import status
from dimse.errors import DimseError
from dimse.operation import Operation
from dimse.service import Answer
from dul.errors import AssociationAborted
from loops import LoopFactory, run
from retrieving import Image, Pacs, images
from scps import AE_TITLE
from services.query.keys import PATIENT_ID, STUDY_INSTANCE_UID, Level
from services.retrieve.move_scu import move, move_context
from services.retrieve.requesting import ModelName, Told
from services.retrieve.selection import Selection
from services.retrieve.sub_operations import SubOperations
from services.scu import associate

STUDY = Selection(Level.STUDY, {STUDY_INSTANCE_UID: ("1.2.3",)})


async def moved(
    pacs: Pacs, selection: Selection = STUDY, model: ModelName = "study", stop_after: int | None = None
) -> list[Told]:
    told: list[Told] = []
    async with (
        pacs.scp().listen(port=0) as port,
        associate(
            "127.0.0.1", port, called_ae=AE_TITLE, calling_ae="SCU", contexts=[move_context(model)]
        ) as association,
        aclosing(move(association, selection, "WORKSTATION", model=model, timeout=5)) as responses,
    ):
        async for each in responses:
            told.append(each)
            if len(told) == stop_after:
                break
    return told


async def counting(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
    """Say that the first is stored, the second with a warning, and the others are not."""
    sub_operations = SubOperations(len(selected))
    for image, code in zip(selected, [0, 0xB007, 0xA700, 0xC000], strict=False):
        sub_operations.record(image.uid, code)
        yield sub_operations.pending(operation)
    yield sub_operations.final(operation)


def test_counts_and_the_failed(loop_factory: LoopFactory) -> None:
    pacs = Pacs(images(4), counting)
    *pending, final = run(moved(pacs), loop_factory)
    assert [told.remaining for told in pending] == [3, 2, 1, 0]
    assert all(told.is_pending and told.total == 4 for told in pending)
    assert (final.status, final.completed, final.failed, final.warning) == (0xB000, 1, 2, 1)
    assert final.failed_uids == ("1.2.3.4.3", "1.2.3.4.4")
    assert [(asked.level, dict(asked.keys)) for asked in pacs.retrieved] == [
        ("STUDY", {STUDY_INSTANCE_UID: ("1.2.3",)})
    ]


def test_the_patient_root_model(loop_factory: LoopFactory) -> None:
    pacs = Pacs(images(1), counting)
    selection = Selection(Level.PATIENT, {PATIENT_ID: ("4711",)})
    assert run(moved(pacs, selection, "patient"), loop_factory)[-1].status == status.SUCCESS
    assert pacs.retrieved[0].level == "PATIENT"


def test_an_unknown_destination_is_told_and_raises_nothing(loop_factory: LoopFactory) -> None:
    async def unknown(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        raise DimseError(status.MOVE_DESTINATION_UNKNOWN, "who is WORKSTATION?")
        yield

    (told,) = run(moved(Pacs([], unknown)), loop_factory)
    assert told.status == 0xA801
    assert told.comment == "who is WORKSTATION?"


def test_closed_early_it_cancels_and_the_association_is_released(loop_factory: LoopFactory) -> None:
    async def endless(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        while not operation.cancelled:
            yield operation.response(status.PENDING, number_of_remaining_suboperations=1), None
            await asyncio.sleep(0.01)
        pacs.cancelled += 1
        yield operation.response(status.CANCEL), None

    pacs = Pacs([], endless)
    assert len(run(moved(pacs, stop_after=2), loop_factory)) == 2
    assert pacs.cancelled == 1


def test_an_abort_in_the_middle(loop_factory: LoopFactory) -> None:
    async def aborting(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        yield operation.response(status.PENDING), None
        operation.association.abort()

    with pytest.raises(AssociationAborted):
        run(moved(Pacs([], aborting)), loop_factory)


def test_a_model_that_the_peer_does_not_offer(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        async with (
            Pacs([]).scp().listen(port=0) as port,
            associate(
                "127.0.0.1", port, called_ae=AE_TITLE, calling_ae="SCU", contexts=[move_context("patient")]
            ) as association,
            aclosing(move(association, STUDY, "X")) as responses,
        ):
            await anext(responses)

    with pytest.raises(DimseError, match="0122H"):
        run(main(), loop_factory)
