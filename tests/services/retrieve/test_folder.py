"""Received instances in a folder: whole or not there, and nowhere else."""

import errno
import fcntl
import os
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from archive_samples import CT_IMAGE_STORAGE
from dul.errors import AssociationEnded
from loops import LoopFactory, run
from retrieving import Image, Pacs, files_in, images
from scps import AE_TITLE
from services.cli.received_files import DataSetInspector, is_whole
from services.query.keys import STUDY_INSTANCE_UID, Level
from services.retrieve import folder as module
from services.retrieve.folder import Folder, FolderError
from services.retrieve.get_scu import get, plan_contexts, storage_for
from services.retrieve.requesting import Told
from services.retrieve.selection import Selection
from services.scu import associate

STUDY = Selection(Level.STUDY, {STUDY_INSTANCE_UID: ("1.2.3",)})


def a_folder(directory: Path, **options: Any) -> Folder:
    settings: dict[str, Any] = {
        "layout": "flat",
        "source_ae": "PACS",
        "inspect": DataSetInspector,
        "is_whole": is_whole,
    }
    return Folder(directory, **(settings | options))


async def retrieved(pacs: Pacs, folder: Folder) -> Told:
    """Get what the PACS has into a folder; the final response."""
    contexts = plan_contexts([CT_IMAGE_STORAGE])[0]
    folder.open()
    async with (
        pacs.scp().listen(port=0) as port,
        associate(
            "127.0.0.1",
            port,
            called_ae=AE_TITLE,
            calling_ae="SCU",
            contexts=contexts,
            services=[storage_for(contexts, folder.receive)],
        ) as association,
        aclosing(get(association, STUDY, timeout=5)) as responses,
    ):
        async for told in responses:
            final = told
    return final


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("flat", ["1.2.3.4.1.dcm", "1.2.3.4.2.dcm"]),
        ("hierarchical", ["1.2.3/1.2.3.4/1.2.3.4.1.dcm", "1.2.3/1.2.3.4/1.2.3.4.2.dcm"]),
    ],
)
def test_files_by_their_uids(
    tmp_path: Path, layout: str, names: list[str], loop_factory: LoopFactory
) -> None:
    pacs, folder = Pacs(images(2)), a_folder(tmp_path / "new" / "folder", layout=layout)
    final = run(retrieved(pacs, folder), loop_factory)
    assert final.completed == 2
    assert files_in(folder.directory) == names
    for name, image in zip(names, pacs.held, strict=True):
        path = folder.directory / name
        read = dcmread(path)
        assert read.file_meta.MediaStorageSOPInstanceUID == read.SOPInstanceUID == image.uid
        assert read.file_meta.SourceApplicationEntityTitle == "PACS"
        assert path.read_bytes().endswith(image.data_set)
    assert folder.present == {"1.2.3.4.1", "1.2.3.4.2"}
    assert (folder.kept, folder.size) == (2, sum(len(image.data_set) for image in pacs.held))


def test_what_is_there_is_left_as_it_is_and_what_is_broken_is_replaced(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    pacs = Pacs(images(2))
    run(retrieved(pacs, a_folder(tmp_path)), loop_factory)
    whole, broken = tmp_path / "1.2.3.4.1.dcm", tmp_path / "1.2.3.4.2.dcm"
    before = whole.stat().st_ino
    content = broken.read_bytes()
    broken.write_bytes(content[:-2])
    folder = a_folder(tmp_path)
    assert folder.has("", "", "1.2.3.4.1")
    assert not folder.has("", "", "1.2.3.4.2")
    assert not folder.has("", "", "1.2.3.4.3")
    assert run(retrieved(pacs, folder), loop_factory).completed == 2
    assert (folder.kept, folder.repeated) == (1, 1)
    assert whole.stat().st_ino == before
    assert broken.read_bytes() == content


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image("1.2.3.4.1", announced="../../x"), "is no UID"),
        (Image("../../x", announced="1.2.3.4.1"), "is no UID"),
        (Image("1.2.3.4.1", announced="1.2.3.4.2"), "another instance than announced"),
        (Image("1.2.3.4.1", study="../.."), "is no UID"),
        (Image("1.2.3.4.1", series=""), "no Series Instance UID"),
        (Image("1.2.3.4.1", study="9.9"), "was not asked for"),
    ],
    ids=["announced", "data set", "another", "study", "no series", "other study"],
)
def test_what_is_refused_leaves_nothing(
    tmp_path: Path, image: Image, reason: str, loop_factory: LoopFactory
) -> None:
    pacs = Pacs([image, Image("1.2.3.4.9")])
    pacs.selected = lambda asked: pacs.held  # type: ignore[method-assign]
    told: list[tuple[str, str]] = []
    folder = a_folder(
        tmp_path / "folder",
        layout="hierarchical",
        is_wanted=lambda identity: identity.study_uid == "1.2.3",
        on_refused=lambda uid, why: told.append((uid, why)),
    )
    final = run(retrieved(pacs, folder), loop_factory)
    assert (final.completed, final.failed) == (1, 1)
    assert files_in(tmp_path) == ["folder/1.2.3/1.2.3.4/1.2.3.4.9.dcm"]
    assert [uid for uid, _ in told] == list(folder.refused) == [image.uid]
    assert reason in told[0][1]


def test_a_data_set_that_ends_too_early_is_refused(tmp_path: Path, loop_factory: LoopFactory) -> None:
    class Cut(Image, frozen=True):
        @property
        def data_set(self) -> bytes:
            return super().data_set[:-20]

    folder = a_folder(tmp_path)
    final = run(retrieved(Pacs([Cut("1.2.3.4.1")]), folder), loop_factory)
    assert final.failed == 1
    assert "ends" in folder.refused["1.2.3.4.1"]
    assert files_in(tmp_path) == []


def test_an_association_that_ends_in_the_middle_leaves_nothing(
    tmp_path: Path, loop_factory: LoopFactory
) -> None:
    async def main() -> None:
        pacs = Pacs([Image("1.2.3.4.1", pixels=bytes(8 << 20))])
        contexts = plan_contexts([CT_IMAGE_STORAGE])[0]
        folder = a_folder(tmp_path, on_bytes=lambda count: association.abort())
        folder.open()
        async with (
            pacs.scp().listen(port=0) as port,
            associate(
                "127.0.0.1",
                port,
                called_ae=AE_TITLE,
                calling_ae="SCU",
                contexts=contexts,
                services=[storage_for(contexts, folder.receive)],
            ) as association,
            aclosing(get(association, STUDY, timeout=5)) as responses,
        ):
            with pytest.raises(AssociationEnded):
                await anext(responses)

    run(main(), loop_factory)
    assert files_in(tmp_path) == []


# -- the folder itself


def test_temporary_files_of_the_dead_go_those_of_the_living_stay(tmp_path: Path) -> None:
    dead, living, other = (
        tmp_path / name for name in (f".{'a' * 16}.part", f".{'b' * 16}.part", ".mine.part")
    )
    for path in (dead, living, other):
        path.write_bytes(b"half")
    with living.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        a_folder(tmp_path).open()
    assert not dead.exists()
    assert living.exists()
    assert other.exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="there is a file of that name"):
        a_folder(tmp_path / "file").open()
    with pytest.raises(FolderError, match="there is a file of that name, or of a name above"):
        a_folder(tmp_path / "file" / "below").open()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EACCES, "we may not write there"),
        (errno.EROFS, "mounted read-only"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_a_disk_that_fails_ends_it_with_a_reason(
    tmp_path: Path, code: int, text: str, monkeypatch: pytest.MonkeyPatch, loop_factory: LoopFactory
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    failures: list[int] = []
    folder = a_folder(tmp_path, on_failure=lambda: failures.append(1))
    monkeypatch.setattr(module.os, "replace", fail)
    final = run(retrieved(Pacs(images(1)), folder), loop_factory)
    assert final.status == 0xA702
    assert text in str(folder.failure)
    assert str(tmp_path) in str(folder.failure)
    assert failures == [1]
    assert files_in(tmp_path) == []
