"""Which association a request goes out on, and who may send to our listener."""

from pathlib import Path
from typing import Any

import pytest

from archive_samples import CT_IMAGE_STORAGE, MR_IMAGE_STORAGE
from dul.errors import AssociationRejected
from dul.negotiation import ProposedContext
from dul.reasons import RejectReason
from loops import LoopFactory, run
from services.cli.received_files import DataSetInspector, is_whole
from services.cli.retrieve_inventory import Listed
from services.cli.retrieve_keys import Wanted
from services.cli.retrieve_methods import GetMethod, MoveListener, MoveMethod, Proposal, Source
from services.cli.retrieve_tasks import Task
from services.retrieve.folder import Folder
from services.retrieve.get_scu import plan_contexts
from services.retrieve.requesting import Activity
from services.scu import associate
from services.sop_classes import VERIFICATION, storage_sop_classes

SOURCE = Source(host="127.0.0.1", port=104, called_ae="PACS", calling_ae="SCU")
MANY = storage_sop_classes()[:6]


def a_folder(path: Path) -> Folder:
    return Folder(path, layout="flat", source_ae="PACS", inspect=DataSetInspector, is_whole=is_whole)


def task(*sop_classes: str, patient: str = "", **fields: Any) -> Task:
    expected = tuple(Listed("1", "1.1", f"1.1.{n}", uid) for n, uid in enumerate(sop_classes))
    return Task(Wanted(patient, "1"), expected, **fields)


@pytest.fixture
def method(tmp_path: Path) -> GetMethod:
    return GetMethod(SOURCE, a_folder(tmp_path), Activity())


def test_few_sop_classes_share_an_association(method: GetMethod) -> None:
    waiting = [task(MANY[1], MANY[2]), task(MANY[3], patient="P"), task(MANY[4], MANY[5], MANY[0])]
    proposal = method.propose(task(MANY[0]), waiting)
    assert proposal == Proposal("study", frozenset(MANY[:3]))
    assert method.covers(proposal, waiting[0])
    assert not method.covers(proposal, waiting[1])
    assert not method.covers(proposal, waiting[2])


def test_who_has_to_be_alone_is(method: GetMethod) -> None:
    proposal = method.propose(task(MANY[0], alone=True), [task(MANY[1])])
    assert proposal.sop_classes == {MANY[0]}
    assert not method.covers(Proposal("study", frozenset(MANY[:2])), task(MANY[0], alone=True))
    assert not method.covers(proposal, task(MANY[0], plan=1))


def test_what_nobody_knows_gets_all(method: GetMethod) -> None:
    unknown = Task(Wanted("", "1"))
    proposal = method.propose(unknown, [task(MANY[0])])
    assert proposal.sop_classes == frozenset()
    assert method.covers(proposal, unknown)
    assert not method.covers(proposal, task(MANY[0]))


def test_the_next_association_to_try_comes_to_an_end(method: GetMethod) -> None:
    missing = task(*MANY).expected
    proposal = Proposal("study", frozenset((*MANY, "1.9")))
    plans = [method.next_plan(proposal, missing)]
    while plans[-1] is not None:
        plans.append(method.next_plan(Proposal("study", frozenset(MANY), plans[-1]), missing))
    assert plans == [*range(len(plan_contexts(sorted(MANY)))), None]
    assert (
        method.next_plan(Proposal("study", frozenset({CT_IMAGE_STORAGE})), task(CT_IMAGE_STORAGE).expected)
        is None
    )
    assert method.next_plan(Proposal("study"), None) == 1


def test_a_move_needs_one_association(tmp_path: Path) -> None:
    listener = MoveListener("SCU", a_folder(tmp_path), "PACS", id)
    method = MoveMethod(SOURCE, Activity(), listener, "127.0.0.1", 0)
    proposal = method.propose(task(MANY[0]), [])
    assert method.covers(proposal, task(MANY[1], plan=0))
    assert not method.covers(proposal, task(MANY[1], patient="P"))
    assert method.next_plan(proposal, task(MR_IMAGE_STORAGE).expected) is None


@pytest.mark.parametrize(
    ("calling", "called", "reason"),
    [
        ("PACS", "SCU", None),
        ("STRANGER", "SCU", RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED),
        ("PACS", "OTHER", RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED),
    ],
)
def test_who_may_send_to_us(
    tmp_path: Path, calling: str, called: str, reason: RejectReason | None, loop_factory: LoopFactory
) -> None:
    notes: list[str] = []

    async def main() -> None:
        listener = MoveListener("SCU", a_folder(tmp_path), "PACS", notes.append)
        async with listener.listen(port=0) as port:
            contexts = [ProposedContext(VERIFICATION, ("1.2.840.10008.1.2",))]
            async with associate("127.0.0.1", port, called_ae=called, calling_ae=calling, contexts=contexts):
                pass

    if reason is None:
        run(main(), loop_factory)
        assert notes == []
        return
    with pytest.raises(AssociationRejected) as raised:
        run(main(), loop_factory)
    assert raised.value.reason == reason
    assert len(notes) == 1
