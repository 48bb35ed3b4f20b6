"""Memory that several processes see: two of them are two views of one file here."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from services.server.config import Config, Limits, Retrieve
from services.server.shared_memory import Lock, SharedMemory, make_file
from services.server.statistics import Statistics

CONFIG = Config(workers=2, max_concurrent_connections=5, retrieve=Retrieve(moves=2), limits=Limits())


@pytest.fixture
def fd() -> Iterator[int]:
    descriptor = make_file()
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def views(fd: int) -> tuple[SharedMemory, SharedMemory]:
    return SharedMemory(CONFIG, fd, owner=1), SharedMemory(CONFIG, fd, owner=2)


def test_associations_are_counted_over_all_processes(views: tuple[SharedMemory, SharedMemory]) -> None:
    first, second = views
    places = [(first if n % 2 else second).associations.admit("CT", "192.0.2.1") for n in range(5)]
    assert sorted(place for place in places if place is not None) == [0, 1, 2, 3, 4]
    assert first.associations.admit("CT", "192.0.2.1") is None
    assert second.associations.admit("CT", "192.0.2.1") is None
    second.associations.give_back(places[0] or 0)
    assert first.associations.admit("CT", "192.0.2.1") is not None


@pytest.mark.parametrize("limit", ["per_caller", "per_address"])
def test_so_are_those_of_one_caller_and_of_one_address(
    views: tuple[SharedMemory, SharedMemory], limit: str
) -> None:
    def admit(view: SharedMemory, one: str) -> int | None:
        who = (one, "192.0.2.1") if limit == "per_caller" else ("CT", one)
        most = {limit: 2}
        return view.associations.admit(*who, **most)

    first, second = views
    assert admit(first, "A") is not None
    place = admit(second, "A")
    assert place is not None
    assert admit(first, "A") is None
    assert admit(first, "B") is not None
    second.associations.give_back(place)
    assert admit(first, "A") is not None


def test_a_caller_is_not_taken_for_one_whose_title_begins_alike(
    views: tuple[SharedMemory, SharedMemory],
) -> None:
    first, _ = views
    for title in ("A", "AA", "A" * 16, "A" * 15):
        assert first.associations.admit(title, "x", per_caller=1) is not None, title
    assert first.associations.admit("AA", "x", per_caller=1) is None


def test_two_neighbours_are_no_third(views: tuple[SharedMemory, SharedMemory]) -> None:
    """Where one title ends and the next begins, the bytes of another may stand."""
    first, _ = views
    first.associations.admit("12345678ABCDEFGH", "x")
    first.associations.admit("ABCDEFGH12345678", "x")
    assert first.associations.admit("ABCDEFGHABCDEFGH", "x", per_caller=1) is not None


def test_a_title_of_any_length_has_a_key(views: tuple[SharedMemory, SharedMemory]) -> None:
    first, _ = views
    for title in ("", "é" * 16, "\udcff" * 16):
        assert first.associations.admit(title, "x", per_caller=1) is not None
        assert first.associations.admit(title, "x", per_caller=1) is None


def test_what_a_process_held_is_freed_when_it_has_ended(views: tuple[SharedMemory, SharedMemory]) -> None:
    first, second = views
    for _ in range(4):
        assert first.associations.admit("CT", "x") is not None
    assert second.associations.admit("CT", "x") is not None
    assert first.moves.take() is not None
    first.numbers_of(1).ended = 3
    second.has_ended(1)
    assert second.associations.taken_by(1) == []
    assert second.associations.taken_by(2) == [4]
    assert second.moves.taken_by(1) == []
    assert second.numbers_of(1).ended == 0
    assert second.associations.admit("CT", "x", per_caller=2) is not None


def test_moves_are_counted_over_all_processes(views: tuple[SharedMemory, SharedMemory]) -> None:
    first, second = views
    place = first.moves.take()
    assert place is not None
    assert second.moves.take() is not None
    assert first.moves.take() is None
    first.moves.give_back(place)
    assert second.moves.take() is not None


def test_statistics_are_seen_by_the_others(views: tuple[SharedMemory, SharedMemory]) -> None:
    first, second = views
    counted = Statistics(c_echo_success=3, bytes_received=1 << 40)
    counted.tolerate("context-ids")
    first.numbers_of(1).statistics = counted
    seen = second.numbers_of(1).statistics
    assert (seen.c_echo_success, seen.bytes_received) == (3, 1 << 40)
    assert seen.violations_tolerated["context-ids"] == 1
    assert second.numbers_of(2).statistics.c_echo_success == 0


def test_one_process_needs_no_file() -> None:
    alone = SharedMemory(Config(max_concurrent_connections=1))
    assert alone.associations.admit("CT", "x") == 0
    assert alone.associations.admit("CT", "x") is None


def test_the_lock_goes_with_the_process_that_held_it(fd: int) -> None:
    code = f"import fcntl, os; fcntl.lockf({fd}, fcntl.LOCK_EX); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], pass_fds=[fd], check=True, timeout=20)
    with Lock(fd).held():
        pass
