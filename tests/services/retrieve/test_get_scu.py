"""C-GET, SCU: what it proposes, and what it takes from an SCP whose conduct a test decides."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from msgspec.structs import replace

from archive_samples import CT_IMAGE_STORAGE, MR_IMAGE_STORAGE
from dimse import status
from dimse.errors import DimseError
from dimse.operation import Operation
from dimse.service import Answer
from dul.errors import AssociationAborted
from loops import LoopFactory, run
from retrieving import Image, Pacs, as_asked, images, send
from scps import AE_TITLE, Kept
from services.query.keys import PATIENT_ROOT, STUDY_INSTANCE_UID, STUDY_ROOT, Level
from services.retrieve.get_scu import get, plan_contexts, storage_for
from services.retrieve.requesting import Told
from services.retrieve.selection import Selection
from services.scu import associate
from services.sop_classes import UNCOMPRESSED, storage_sop_classes, storage_transfer_syntaxes

STUDY = Selection(Level.STUDY, {STUDY_INSTANCE_UID: ("1.2.3",)})
JPEG_2000 = "1.2.840.10008.1.2.4.90"


# -- what is proposed


@pytest.mark.parametrize("count", [1, 2, 5, 31, 32, 100])
def test_each_transfer_syntax_is_proposed_by_itself_sooner_or_later(count: int) -> None:
    classes = storage_sop_classes()[:count]
    alone = set()
    for contexts in plan_contexts(classes):
        assert len(contexts) <= 128
        assert contexts[0].abstract_syntax == STUDY_ROOT.get
        assert contexts[0].scp_role is None
        for context in contexts[1:]:
            assert (context.scu_role, context.scp_role) == (False, True)
            if len(context.transfer_syntaxes) == 1:
                alone.add((context.abstract_syntax, context.transfer_syntaxes[0]))
    every = {(uid, syntax) for uid in classes for syntax in storage_transfer_syntaxes()}
    assert alone == every


def test_few_sop_classes_need_one_association_and_several_have_the_common_ones_at_once() -> None:
    assert len(plan_contexts([CT_IMAGE_STORAGE])) == 1
    assert len(plan_contexts([CT_IMAGE_STORAGE, MR_IMAGE_STORAGE])) == 1
    first = plan_contexts(storage_sop_classes()[:31])[0]
    singles = {
        (context.abstract_syntax, *context.transfer_syntaxes)
        for context in first[1:]
        if len(context.transfer_syntaxes) == 1
    }
    assert singles >= {(uid, syntax) for uid in storage_sop_classes()[:31] for syntax in UNCOMPRESSED}


def test_nothing_known_proposes_every_sop_class_once_the_common_ones_first() -> None:
    plan = plan_contexts(model="patient")
    assert plan[0][0].abstract_syntax == PATIENT_ROOT.get
    proposed = {
        (c.abstract_syntax, syntax) for each in plan for c in each[1:] for syntax in c.transfer_syntaxes
    }
    assert proposed == {
        (uid, syntax) for uid in storage_sop_classes() for syntax in storage_transfer_syntaxes()
    }
    assert {CT_IMAGE_STORAGE, MR_IMAGE_STORAGE} <= {context.abstract_syntax for context in plan[0]}
    assert len(plan) < 10


# -- what comes


async def got(
    pacs: Pacs, kept: Kept, *, classes: tuple[str, ...] = (CT_IMAGE_STORAGE,), stop_after: int | None = None
) -> list[Told]:
    contexts = plan_contexts(classes)[0]
    told: list[Told] = []
    async with (
        pacs.scp().listen(port=0) as port,
        associate(
            "127.0.0.1",
            port,
            called_ae=AE_TITLE,
            calling_ae="SCU",
            contexts=contexts,
            services=[storage_for(contexts, kept)],
        ) as association,
        aclosing(get(association, STUDY, timeout=5)) as responses,
    ):
        async for each in responses:
            told.append(each)
            if len(told) == stop_after:
                break
    return told


def test_instances_come_on_the_association_that_asks(loop_factory: LoopFactory) -> None:
    pacs, kept = Pacs(images(3)), Kept()
    *pending, final = run(got(pacs, kept), loop_factory)
    assert [(told.remaining, told.completed) for told in pending] == [(2, 1), (1, 2), (0, 3)]
    assert (final.status, final.completed) == (status.SUCCESS, 3)
    assert kept.instances == [(image.uid, image.transfer_syntax, image.data_set) for image in pacs.held]


def test_what_the_handler_refuses_is_counted_as_failed(loop_factory: LoopFactory) -> None:
    pacs, kept = Pacs(images(3)), Kept(0, 0xA700, 0xB000)
    final = run(got(pacs, kept), loop_factory)[-1]
    assert (final.status, final.completed, final.failed, final.warning) == (0xB000, 1, 1, 1)
    assert final.failed_uids == ("1.2.3.4.2",)


def test_what_no_context_was_proposed_for_fails_and_the_rest_comes(loop_factory: LoopFactory) -> None:
    held = [
        *images(1),
        Image("1.9", sop_class=MR_IMAGE_STORAGE),
        *images(1, transfer_syntax=JPEG_2000, series="1.4"),
    ]
    kept = Kept()
    final = run(got(Pacs(held), kept), loop_factory)[-1]
    assert (final.completed, final.failed, final.failed_uids) == (2, 1, ("1.9",))
    assert kept.uids == ["1.2.3.4.1", "1.4.1"]


def test_a_sub_operation_on_a_context_of_another_sop_class_is_refused(loop_factory: LoopFactory) -> None:
    async def wrong(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        from services.storage import store

        association = operation.association
        response = await store(
            association,
            sop_class_uid=MR_IMAGE_STORAGE,
            sop_instance_uid="1.9",
            data_set=b"",
            transfer_syntax_uid="",
            context=association.context_for(CT_IMAGE_STORAGE),
        )
        refused.append(response.status)
        response = await store(
            association,
            sop_class_uid=STUDY_ROOT.get,
            sop_instance_uid="1.9",
            data_set=b"12",
            transfer_syntax_uid="",
            context=replace(operation.context),
        )
        refused.append(response.status)
        yield operation.response(), None

    refused: list[int] = []
    kept = Kept()
    run(got(Pacs([], wrong), kept), loop_factory)
    assert refused == [0x0122, 0x0211]
    assert kept.uids == []


def test_an_abort_in_the_middle_of_an_instance(loop_factory: LoopFactory) -> None:
    async def aborting(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        await send(pacs, operation, selected[0])
        yield operation.response(status.PENDING, number_of_remaining_suboperations=1), None
        operation.association.abort()

    kept = Kept()
    with pytest.raises(AssociationAborted):
        run(got(Pacs(images(2), aborting), kept), loop_factory)
    assert kept.uids == ["1.2.3.4.1"]


def test_closed_early_it_cancels_and_takes_what_still_comes(loop_factory: LoopFactory) -> None:
    async def one_more(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        await send(pacs, operation, selected[0])
        yield operation.response(status.PENDING, number_of_remaining_suboperations=2), None
        await operation.cancellation.wait()
        await send(pacs, operation, selected[1])
        yield operation.response(status.CANCEL, number_of_remaining_suboperations=1), None

    pacs, kept = Pacs(images(3), one_more), Kept()
    assert len(run(got(pacs, kept, stop_after=1), loop_factory)) == 1
    assert kept.uids == ["1.2.3.4.1", "1.2.3.4.2"]


def test_without_role_selection_nothing_is_asked(loop_factory: LoopFactory) -> None:
    class Unwilling(Pacs):
        def scp(self, *, find: bool = True, get: bool = True) -> object:
            scp = super().scp(find=find, get=get)
            supported = {
                uid: replace(scp.policy.supported[uid], scu_role=False)
                for uid in (STUDY_ROOT.get, CT_IMAGE_STORAGE)
            }
            scp.policy = replace(scp.policy, supported=supported)
            return scp

    pacs = Unwilling(images(1), as_asked)
    with pytest.raises(DimseError, match="role selection"):
        run(got(pacs, Kept()), loop_factory)
    assert pacs.retrieved == []


def test_a_peer_without_c_get(loop_factory: LoopFactory) -> None:
    async def main() -> None:
        contexts = plan_contexts([CT_IMAGE_STORAGE])[0]
        async with (
            Pacs([]).scp(get=False).listen(port=0) as port,
            associate(
                "127.0.0.1", port, called_ae=AE_TITLE, calling_ae="SCU", contexts=contexts
            ) as association,
            aclosing(get(association, STUDY)) as responses,
        ):
            await asyncio.wait_for(anext(responses), 5)

    with pytest.raises(DimseError, match="0122H"):
        run(main(), loop_factory)
