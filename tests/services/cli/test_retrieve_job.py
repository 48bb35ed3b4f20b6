"""A retrieve in rounds: what is asked for again, and what is not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dimse.errors import DimseError
from dimse.operation import Operation
from dimse.service import Answer
from dul.errors import ConnectionLost
from loops import LoopFactory, run
from peers import free_port
from retrieving import Image, Pacs, as_asked, files_in, images, send
from scps import AE_TITLE
from services.cli import retrieve_job
from services.cli.received_files import DataSetInspector, is_whole
from services.cli.retrieve_job import RetrieveJob
from services.cli.retrieve_keys import Wanted
from services.cli.retrieve_methods import GetMethod, Source
from services.retrieve.folder import Folder
from services.retrieve.requesting import Activity

STUDY = Wanted("", "1.2.3")


class Ran:
    """A job that has run, and what it told."""

    def __init__(self, directory: Path, port: int, *wanted: Wanted, **options: Any) -> None:
        source = Source(host="127.0.0.1", port=port, called_ae=AE_TITLE, calling_ae="SCU", timeout=5)
        self.notes: list[str] = []
        self.totals: list[int] = []
        self.folder = Folder(
            directory,
            layout="flat",
            source_ae=AE_TITLE,
            inspect=DataSetInspector,
            is_whole=is_whole,
            on_kept=lambda identity, size: self.job.came(identity),
        )
        self.folder.open()
        self.job = RetrieveJob(
            source,
            GetMethod(source, self.folder, Activity()),
            wanted or [STUDY],
            self.folder,
            on_total=self.totals.append,
            on_note=lambda note, error: self.notes.append(note),
            **options,
        )


async def ran(pacs: Pacs, directory: Path, *wanted: Wanted, **options: Any) -> Ran:
    async with pacs.scp(find=options.pop("find", True)).listen(port=0) as port:
        it = Ran(directory, port, *wanted, **options)
        await it.job.run()
        return it


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieve_job, "retry_delay", lambda tries: 0.01)


def test_everything_comes_and_the_total_is_told(tmp_path: Path, loop_factory: LoopFactory) -> None:
    pacs = Pacs(images(3) + images(2, study="1.4", series="1.4.1"))
    it = run(ran(pacs, tmp_path, STUDY, Wanted("", "1.4")), loop_factory)
    assert (it.job.missing, it.job.associations, it.totals) == ([], 2, [5])
    assert len(files_in(tmp_path)) == 5


def test_what_is_asked_for_twice_comes_once(tmp_path: Path, loop_factory: LoopFactory) -> None:
    pacs = Pacs(images(3))
    it = run(ran(pacs, tmp_path, Wanted("", "1.2.3", ("1.2.3.4",)), STUDY), loop_factory)
    assert it.job.missing == []
    assert len(pacs.sent) == 3


def test_out_of_resources_is_tried_again_as_often_as_asked(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def busy_twice(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        if len(pacs.retrieved) <= 2:
            raise DimseError(0xA701, "busy")
        async for answer in as_asked(pacs, operation, selected):
            yield answer

    it = run(ran(Pacs(images(2), busy_twice), tmp_path / "a", retry=1), loop_factory)
    assert [missing.status for missing in it.job.missing] == [0xA701, 0xA701]
    pacs = Pacs(images(2), busy_twice)
    it = run(ran(pacs, tmp_path / "b", retry=2), loop_factory)
    assert it.job.missing == []
    assert len(pacs.retrieved) == 3
    assert it.notes == ["what did not come is asked for again in 0.01 s"] * 2


def test_what_we_refused_is_not_asked_for_again(tmp_path: Path, loop_factory: LoopFactory) -> None:
    pacs = Pacs([*images(1), Image("1.2.3.4.8", announced="1.2.3.4.9")])
    it = run(ran(pacs, tmp_path, retry=5), loop_factory)
    assert len(pacs.retrieved) == 1
    (missing,) = it.job.missing
    assert missing.what == "1.2.3.4.9"
    assert missing.reason == "refused here: the data set is another instance than announced"


def test_failures_that_the_peer_counts_and_that_are_none(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def counts_wrong(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        for image in selected:
            await send(pacs, operation, image)
        yield operation.response(0xB000, number_of_failed_suboperations=7), None

    it = run(ran(Pacs(images(2), counts_wrong), tmp_path), loop_factory)
    assert it.job.missing == []
    assert it.notes[0].startswith("says of study 1.2.3: Warning: sub-operations complete with failures")


@pytest.mark.parametrize("identified", [True, False])
def test_failures_of_what_nobody_listed(tmp_path: Path, identified: bool, loop_factory: LoopFactory) -> None:
    async def fails(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        if not identified:
            yield operation.response(0xC000, error_comment="no"), None
            return
        from services.retrieve.sub_operations import SubOperations

        sub_operations = SubOperations(2)
        sub_operations.record(selected[0].uid, await send(pacs, operation, selected[0]))
        sub_operations.record(selected[1].uid, None)
        yield sub_operations.final(operation)

    pacs = Pacs(images(2), fails)
    it = run(ran(pacs, tmp_path, find=False), loop_factory)
    assert not it.job.is_listed
    assert [missing.what for missing in it.job.missing] == ["1.2.3.4.2" if identified else "study 1.2.3"]


def test_a_lost_association_is_tried_again_for_the_rest(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def drops(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        await send(pacs, operation, selected[0])
        if len(selected) > 1:
            operation.association.abort()
        yield operation.response(), None

    pacs = Pacs(images(3), drops)
    it = run(ran(pacs, tmp_path, retry=3), loop_factory)
    assert it.job.missing == []
    assert pacs.sent == ["1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"]


def test_a_peer_that_goes_away_fails_everything_after_a_few_tries(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    async def goes(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        operation.association.abort()
        yield operation.response(), None

    held = [image for n in range(1, 9) for image in images(1, study=f"1.{n}", series=f"1.{n}.1")]
    pacs = Pacs(held, goes)
    it = run(ran(pacs, tmp_path, *(Wanted("", f"1.{n}") for n in range(1, 9))), loop_factory)
    assert len(it.job.missing) == 8
    assert len(pacs.retrieved) == 3
    assert isinstance(it.job.missing[-1].error, Exception)


def test_stopped_in_the_middle(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def main() -> Ran:
        pacs = Pacs(images(4) + images(2, study="1.4", series="1.4.1"))

        async def stops(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
            await send(pacs, operation, selected[0])
            it.job.stop()
            await operation.cancellation.wait()
            yield operation.response(0xFE00), None

        pacs.conduct = stops
        async with pacs.scp().listen(port=0) as port:
            it = Ran(tmp_path, port, STUDY, Wanted("", "1.4"))
            await it.job.run()
        return it

    it = run(main(), loop_factory)
    assert it.job.is_stopped
    assert (it.job.missing, it.job.left) == ([], 5)


def test_stopped_before_anything_was_listed(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def main() -> Ran:
        async with Pacs(images(1)).scp().listen(port=0) as port:
            it = Ran(tmp_path, port)
            it.job.stop()
            await asyncio.wait_for(it.job.run(), 5)
        return it

    assert files_in(run(main(), loop_factory).folder.directory) == []


def test_nobody_there_is_an_error(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def main() -> Ran:
        it = Ran(tmp_path, free_port(), retry=2)
        with pytest.raises(ConnectionLost):
            await it.job.run()
        return it

    assert len(run(main(), loop_factory).notes) == 2


def test_a_success_that_counts_failures_is_none(tmp_path: Path, loop_factory: LoopFactory) -> None:
    async def lies(pacs: Pacs, operation: Operation, selected: list[Image]) -> AsyncIterator[Answer]:
        await send(pacs, operation, selected[0])
        yield operation.response(number_of_completed_suboperations=1, number_of_failed_suboperations=1), None

    it = run(ran(Pacs(images(2), lies), tmp_path, find=False), loop_factory)
    assert [missing.what for missing in it.job.missing] == ["study 1.2.3"]
