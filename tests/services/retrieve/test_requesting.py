"""What the SCUs of C-GET and C-MOVE share: identifiers, responses, silence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from dimse import status
from dimse.association import Association
from dimse.operation import Operation
from dimse.service import Answer
from dul.errors import AssociationAborted
from finding import decoded
from loops import LoopFactory, run
from retrieving import Image, Pacs
from scps import AE_TITLE
from services.query.identifiers import IdentifierWriter
from services.query.keys import PATIENT_ID, PATIENT_ROOT, STUDY_INSTANCE_UID, STUDY_ROOT, Level
from services.retrieve.move_scu import move, move_context
from services.retrieve.requesting import (
    Activity,
    Told,
    encode_selection,
    is_uid,
    read_failed_uids,
)
from services.retrieve.selection import Selection, read_selection
from services.scu import associate
from services.sop_classes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    UNCOMPRESSED,
)

STUDY = Selection(Level.STUDY, {STUDY_INSTANCE_UID: ("1.2.3",)})


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
@pytest.mark.parametrize("patient", ["", "4711", "Ümlaut"])
def test_an_identifier_is_what_an_scp_reads(syntax: str, patient: str) -> None:
    keys = {STUDY_INSTANCE_UID: ("1.2.3", "1.2.30")} | ({PATIENT_ID: (patient,)} if patient else {})
    model = PATIENT_ROOT if patient else STUDY_ROOT
    selection = Selection(Level.STUDY, keys)
    assert read_selection(encode_selection(selection, model, syntax), syntax, model) == selection


def test_what_is_no_selection_of_a_model() -> None:
    with pytest.raises(ValueError, match="PATIENT"):
        encode_selection(
            Selection(Level.PATIENT, {PATIENT_ID: ("1",)}), STUDY_ROOT, EXPLICIT_VR_LITTLE_ENDIAN
        )
    with pytest.raises(ValueError, match="empty"):
        encode_selection(
            Selection(Level.STUDY, {STUDY_INSTANCE_UID: ("",)}), STUDY_ROOT, EXPLICIT_VR_LITTLE_ENDIAN
        )


@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])
def test_the_failed_list(syntax: str) -> None:
    written = IdentifierWriter([(0x00080058, "UI")], syntax).write(["1.2\\../../x\\1.3\\1.2\\"])
    assert decoded(written, syntax)
    assert read_failed_uids(written, syntax) == ("1.2", "1.3")
    assert read_failed_uids(written[:-3], syntax) == ()
    assert read_failed_uids(None, syntax) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1.2.3", True), ("1" * 64, True), ("1" * 65, False), ("", False), ("..", False), ("1..2", False),
     ("1.2/3", False), ("1.2\n", False), ("١.٢", False)],
)  # fmt: skip
def test_what_is_a_uid(text: str, expected: bool) -> None:
    assert is_uid(text) is expected


def test_counts_that_a_peer_leaves_out() -> None:
    assert Told(status.PENDING).total is None
    assert Told(status.PENDING, remaining=2, completed=3).total == 5
    assert str(Told(status.CANCEL, comment="enough")).endswith(": enough")


def associated(port: int, timeout: float = 5.0) -> object:
    return associate(
        "127.0.0.1", port, called_ae=AE_TITLE, calling_ae="SCU", contexts=[move_context()], timeout=timeout
    )


async def silent(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
    yield operation.response(status.PENDING, number_of_remaining_suboperations=1), None
    await operation.cancellation.wait()
    pacs.cancelled += 1
    yield operation.response(status.CANCEL), None


async def listen_and_move(
    pacs: Pacs, activity: Activity | None, timeout: float
) -> tuple[list[int], Association]:
    told = []
    async with (
        pacs.scp().listen(port=0) as port,
        associate(
            "127.0.0.1", port, called_ae=AE_TITLE, calling_ae="SCU", contexts=[move_context()]
        ) as association,
    ):
        try:
            async with aclosing(
                move(association, STUDY, "X", timeout=timeout, cancel_timeout=5, activity=activity)
            ) as responses:
                async for each in responses:
                    told.append(each.status)
        except TimeoutError:
            told.append(-1)
    return told, association


def test_silence_ends_with_an_abort(loop_factory: LoopFactory) -> None:
    pacs = Pacs([], silent)
    told, association = run(listen_and_move(pacs, None, 0.1), loop_factory)
    assert told == [status.PENDING, -1]
    assert pacs.cancelled == 0
    assert isinstance(association.ended, AssociationAborted)


def test_what_comes_beside_the_responses_is_no_silence(loop_factory: LoopFactory) -> None:
    async def slow(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        for _ in range(10):
            await asyncio.sleep(0.05)
            activity.touch()
        yield operation.response(), None

    async def main() -> list[int]:
        nonlocal activity
        activity = Activity()
        return (await listen_and_move(Pacs([], slow), activity, 0.3))[0]

    activity = Activity()
    assert run(main(), loop_factory) == [status.SUCCESS]
