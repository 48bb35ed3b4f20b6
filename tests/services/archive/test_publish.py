"""Putting a file into its place, and what happens when the place is taken."""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_samples import (
    CT_IMAGE_STORAGE,
    EXPLICIT_LE,
    INSTANCE,
    MR_IMAGE_STORAGE,
    PATH,
    data_set,
    disk_with,
    failing,
    instances,
    leftovers,
    stored_data_set,
    without_hard_links,
)
from services.archive.data_directory import DataDirectory
from services.archive.disk import Disk
from services.archive.errors import StorageError
from services.archive.part10 import file_header
from services.archive.publish import Duplicates, Outcome, Publication, Publisher


class Press:
    """Publishes into a directory with or without hard links."""

    def __init__(self, path: Path, hard_links: bool) -> None:
        self.path = path
        self.disk = Disk() if hard_links else without_hard_links()
        self.directory = DataDirectory.open(path, disk=self.disk)

    def publication(
        self,
        data: bytes = b"",
        *,
        sop_class: str = CT_IMAGE_STORAGE,
        transfer_syntax: str = EXPLICIT_LE,
        path: str = PATH,
        title: str = "",
    ) -> Publication:
        header = file_header(
            sop_class,
            INSTANCE,
            transfer_syntax,
            implementation_class_uid="1.2",
            implementation_version_name="TEST",
            source_ae_title=title,
        )
        fd, name = self.directory.new_temporary()
        data = data or data_set()
        os.write(fd, header + data)
        return Publication(
            fd=fd,
            name=name,
            path=path,
            sop_class_uid=sop_class,
            transfer_syntax_uid=transfer_syntax,
            data_set_offset=len(header),
            size=len(data),
            values={},
        )

    def publisher(self, policy: Duplicates = Duplicates.KEEP, **calls: Callable[..., Any]) -> Publisher:
        return Publisher(self.directory, disk_with(**calls) if calls else self.disk, policy)

    def publish(self, publication: Publication, policy: Duplicates = Duplicates.KEEP) -> Outcome | None:
        publisher = self.publisher(policy)
        publisher.publish(publication)
        publisher.release(publication)
        return publication.outcome


@pytest.fixture(params=[True, False], ids=["hard-links", "no-hard-links"])
def press(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Press]:
    made = Press(tmp_path, request.param)
    yield made
    made.directory.close()


@pytest.fixture
def linking(tmp_path: Path) -> Iterator[Press]:
    made = Press(tmp_path, True)
    yield made
    made.directory.close()


def test_a_free_place_is_taken_and_its_directories_made(press: Press) -> None:
    publication = press.publication()
    assert press.publish(publication) is Outcome.STORED
    assert publication.made_directory
    assert instances(press.path) == [PATH]
    assert stored_data_set(press.path / PATH) == data_set()
    assert leftovers(press.path) == []
    assert (press.path / PATH).stat().st_nlink == 1
    assert (press.path / PATH).stat().st_mode & 0o777 == 0o600
    assert (press.path / PATH).parent.stat().st_mode & 0o777 == 0o700


def test_the_journal_entry_stays_until_release(press: Press) -> None:
    publication, publisher = press.publication(), press.publisher()
    publisher.publish(publication)
    assert len(leftovers(press.path)) == 1
    publisher.release(publication)
    assert leftovers(press.path) == []


def test_repair_tells_a_published_one_from_an_unfinished_one(press: Press) -> None:
    published, unfinished = press.publication(), press.publication()
    press.publisher().publish(published)
    press.directory.close()
    press.directory = DataDirectory.open(press.path, disk=press.disk)
    assert (press.directory.repair.published, press.directory.repair.unfinished) == (1, 1)
    assert stored_data_set(press.path / PATH) == data_set()
    os.close(published.fd)
    os.close(unfinished.fd)


OTHER = data_set(pixels=b"other" * 20)

DUPLICATES = [
    (Duplicates.KEEP, {}, Outcome.DUPLICATE_EQUAL, False),
    (Duplicates.KEEP, {"title": "SOMEBODY ELSE"}, Outcome.DUPLICATE_EQUAL, False),
    (Duplicates.KEEP, {"data": OTHER}, Outcome.DUPLICATE_DIFFERENT, False),
    (Duplicates.KEEP, {"data": data_set()[:-1] + b"\xff"}, Outcome.DUPLICATE_DIFFERENT, False),
    (Duplicates.KEEP, {"data": data_set() + bytes(2)}, Outcome.DUPLICATE_DIFFERENT, False),
    (Duplicates.KEEP, {"transfer_syntax": "1.2.840.10008.1.2.4.50"}, Outcome.DUPLICATE_DIFFERENT, False),
    (Duplicates.KEEP, {"sop_class": MR_IMAGE_STORAGE}, Outcome.DUPLICATE_DIFFERENT, False),
    (Duplicates.REPLACE, {"data": OTHER}, Outcome.REPLACED, True),
    (Duplicates.REPLACE, {}, Outcome.REPLACED, True),
    (Duplicates.REJECT, {}, Outcome.REJECTED, False),
    (Duplicates.REJECT, {"data": OTHER}, Outcome.REJECTED, False),
]


@pytest.mark.parametrize(("policy", "second", "outcome", "replaced"), DUPLICATES)
def test_duplicates(
    press: Press, policy: Duplicates, second: dict[str, Any], outcome: Outcome, replaced: bool
) -> None:
    press.publish(press.publication())
    before = (press.path / PATH).stat().st_ino
    assert press.publish(press.publication(**second), policy) is outcome
    assert instances(press.path) == [PATH]
    assert leftovers(press.path) == []
    expected = second.get("data", data_set()) if replaced else data_set()
    assert stored_data_set(press.path / PATH) == expected
    assert ((press.path / PATH).stat().st_ino != before) == replaced


PADDINGS = {
    "explicit": (EXPLICIT_LE, bytes.fromhex("fcfffcff 4f42 0000 04000000 00000000")),
    "implicit": ("1.2.840.10008.1.2", bytes.fromhex("fcfffcff 04000000 01020304")),
    "big endian": ("1.2.840.10008.1.2.2", bytes.fromhex("fffcfffc 4f42 0000 00000004 00000000")),
    "no value": (EXPLICIT_LE, bytes.fromhex("fcfffcff 4f42 0000 00000000")),
}


@pytest.mark.parametrize("padded_first", [True, False])
@pytest.mark.parametrize("kind", PADDINGS)
def test_trailing_padding_makes_no_difference(press: Press, kind: str, padded_first: bool) -> None:
    syntax, padding = PADDINGS[kind]
    first, second = sorted((data_set(), data_set() + padding), key=len, reverse=padded_first)
    press.publish(press.publication(first, transfer_syntax=syntax))
    assert press.publish(press.publication(second, transfer_syntax=syntax)) is Outcome.DUPLICATE_EQUAL
    assert stored_data_set(press.path / PATH) == first


@pytest.mark.parametrize(
    ("syntax", "rest"),
    [
        (EXPLICIT_LE, PADDINGS["explicit"][1] + bytes(2)),
        (EXPLICIT_LE, PADDINGS["explicit"][1][:-1]),
        (EXPLICIT_LE, PADDINGS["explicit"][1][:7]),
        (EXPLICIT_LE, PADDINGS["implicit"][1]),
        (EXPLICIT_LE, PADDINGS["big endian"][1]),
        ("1.2.840.10008.1.2.1.99", PADDINGS["explicit"][1]),
    ],
)
def test_what_is_no_trailing_padding_makes_a_difference(press: Press, syntax: str, rest: bytes) -> None:
    press.publish(press.publication(transfer_syntax=syntax))
    longer = press.publication(data_set() + rest, transfer_syntax=syntax)
    assert press.publish(longer) is Outcome.DUPLICATE_DIFFERENT


@pytest.mark.parametrize("padding", [b"", PADDINGS["explicit"][1]])
def test_of_an_equal_one_the_stored_file_is_told(press: Press, padding: bytes) -> None:
    first = press.publication(data_set() + padding, title="A")
    press.publish(first)
    second = press.publication(title="SOMEBODY ELSE")
    assert second.data_set_offset != first.data_set_offset
    assert press.publish(second) is Outcome.DUPLICATE_EQUAL
    assert (second.data_set_offset, second.size) == (first.data_set_offset, first.size)


def test_differences_beyond_the_first_piece_are_seen(linking: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.archive.publish._COMPARED_AT_ONCE", 16)
    data = bytearray(data_set())
    linking.publish(linking.publication(bytes(data)))
    assert linking.publish(linking.publication(bytes(data))) is Outcome.DUPLICATE_EQUAL
    data[-1] ^= 1
    assert linking.publish(linking.publication(bytes(data))) is Outcome.DUPLICATE_DIFFERENT


@pytest.mark.parametrize("damage", [b"", b"no DICOM file", bytes(200)])
def test_a_damaged_stored_file_stays(press: Press, damage: bytes) -> None:
    press.publish(press.publication())
    (press.path / PATH).write_bytes(damage)
    assert press.publish(press.publication()) is Outcome.DUPLICATE_DIFFERENT
    assert (press.path / PATH).read_bytes() == damage


def test_replace_keeps_a_journal_entry(linking: Press) -> None:
    linking.publish(linking.publication())
    second, publisher = linking.publication(OTHER), linking.publisher(Duplicates.REPLACE)
    publisher.publish(second)
    assert leftovers(linking.path) == [second.name]
    assert (linking.path / PATH).stat().st_nlink == 2
    publisher.release(second)


def test_a_replacement_that_fails_leaves_the_stored_one_and_no_second_name(linking: Press) -> None:
    linking.publish(linking.publication())
    second = linking.publication(OTHER)
    publisher = linking.publisher(Duplicates.REPLACE, rename=failing())
    with pytest.raises(OSError, match="Input/output"):
        publisher.publish(second)
    assert leftovers(linking.path) == [second.name]
    assert stored_data_set(linking.path / PATH) == data_set()
    publisher.release(second)


def test_directories_that_somebody_removed_are_made_again(press: Press) -> None:
    press.publish(press.publication())
    shutil.rmtree(press.path / "1.2.3")
    again = press.publication()
    assert press.publish(again) is Outcome.STORED
    assert again.made_directory
    same = press.publication(path="1.2.3/1.2.3.4/9.dcm")
    assert press.publish(same) is Outcome.STORED
    assert not same.made_directory


def test_an_instance_removed_while_it_is_compared_is_stored_again(linking: Press) -> None:
    linking.publish(linking.publication())
    publication, removed = linking.publication(), list[str]()

    def link(*arguments: Any, **options: Any) -> None:
        try:
            os.link(*arguments, **options)
        except FileExistsError:
            if not removed:
                os.unlink(linking.path / PATH)
                removed.append(PATH)
            raise

    publisher = linking.publisher(link=link)
    publisher.publish(publication)
    publisher.release(publication)
    assert removed
    assert publication.outcome is Outcome.STORED


def test_without_hard_links_it_is_stored_again_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    press = Press(tmp_path, hard_links=False)
    press.publish(press.publication())

    def removed_meanwhile(_self: Publisher, _publication: Publication) -> bool:
        os.unlink(tmp_path / PATH)
        raise FileNotFoundError

    monkeypatch.setattr(Publisher, "_is_stored", removed_meanwhile)
    assert press.publish(press.publication()) is Outcome.STORED
    assert instances(tmp_path) == [PATH]
    assert leftovers(tmp_path) == []
    press.directory.close()


def test_a_place_that_flickers_is_given_up(linking: Press) -> None:
    def link(*_arguments: Any, **_options: Any) -> None:
        raise FileExistsError

    publication = linking.publication()
    publisher = linking.publisher(link=link)
    with pytest.raises(StorageError, match="appears and disappears"):
        publisher.publish(publication)
    publisher.release(publication)


@pytest.mark.parametrize("call", ["mkdir", "link"])
def test_what_cannot_be_published_is_not_there(linking: Press, call: str) -> None:
    publication = linking.publication()
    publisher = linking.publisher(**{call: failing(errno.ENOSPC)})
    with pytest.raises(OSError, match="No space"):
        publisher.publish(publication)
    publisher.release(publication)
    assert instances(linking.path) == leftovers(linking.path) == []


@pytest.mark.parametrize("call", ["rename", "write", "open"])
def test_without_hard_links_neither(tmp_path: Path, call: str) -> None:
    press = Press(tmp_path, hard_links=False)
    publication = press.publication()
    publisher = press.publisher(**{call: failing(errno.ENOSPC)})
    with pytest.raises(OSError, match="No space"):
        publisher.publish(publication)
    assert leftovers(tmp_path) == [publication.name]
    publisher.release(publication)
    assert instances(tmp_path) == leftovers(tmp_path) == []
    press.directory.close()


def test_without_hard_links_a_claim_of_another_is_waited_for(tmp_path: Path) -> None:
    press = Press(tmp_path, hard_links=False)
    first, second = press.publication(), press.publication()
    reached, go = threading.Event(), threading.Event()

    def rename(*arguments: Any, **options: Any) -> None:
        reached.set()
        assert go.wait(10)
        os.rename(*arguments, **options)

    slow = press.publisher(rename=rename)
    thread = threading.Thread(target=slow.publish, args=(first,))
    thread.start()
    assert reached.wait(10)
    follower = threading.Thread(target=press.publisher().publish, args=(second,))
    follower.start()
    go.set()
    thread.join(10)
    follower.join(10)
    assert (first.outcome, second.outcome) == (Outcome.STORED, Outcome.DUPLICATE_EQUAL)
    for publication in (first, second):
        slow.release(publication)
    assert leftovers(tmp_path) == []
    press.directory.close()


def test_without_hard_links_a_claim_that_never_ends_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.archive.publish._CLAIM_WAIT", 0.01)
    press = Press(tmp_path, hard_links=False)
    first, second = press.publication(), press.publication()
    publisher = press.publisher()
    publisher.publish(first)
    os.unlink(tmp_path / PATH)  # its claim is still there
    with pytest.raises(StorageError, match="is being published elsewhere"):
        publisher.publish(second)
    for publication in (first, second):
        publisher.release(publication)
    press.directory.close()


@pytest.mark.parametrize("policy", [Duplicates.KEEP, Duplicates.REPLACE])
def test_many_at_once_end_with_one_whole_instance(press: Press, policy: Duplicates) -> None:
    publications = [press.publication(data_set(pixels=bytes([n]) * 5000)) for n in range(8)]
    threads = [threading.Thread(target=press.publish, args=(p, policy)) for p in publications]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [p.outcome for p in publications].count(Outcome.STORED) == 1
    assert stored_data_set(press.path / PATH) in {data_set(pixels=bytes([n]) * 5000) for n in range(8)}
    assert leftovers(press.path) == []
