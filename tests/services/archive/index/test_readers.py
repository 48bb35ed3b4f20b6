"""The threads that read: what takes too long or is not wanted any more is stopped, and the thread reads on."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from loops import LoopFactory, run
from services.archive.index.database import Database
from services.archive.index.readers import Readers


def with_readers(
    database: Any,
    work: Callable[[Readers], Coroutine[Any, Any, None]],
    factory: LoopFactory,
    *,
    timeout: float = 10.0,
) -> None:
    """One thread: what is not stopped keeps everything else waiting."""
    readers = Readers(database, threads=1, timeout=timeout)
    try:
        run(work(readers), factory)
    finally:
        readers.close()


def one(cursor: Any) -> Any:
    return cursor.execute("SELECT 1").fetchone()[0]


def endless(database: Any) -> Callable[[Any], Any]:
    sql = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        if database.is_sqlite
        else "SELECT pg_sleep(3600)"
    )
    return lambda cursor: cursor.execute(sql).fetchall()


def test_what_takes_too_long_is_stopped(database: Any, loop_factory: LoopFactory) -> None:
    async def work(readers: Readers) -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError, match=r"within 0.3 s"):
                await readers.read(endless(database))
            assert await readers.read(one) == 1

    with_readers(database, work, loop_factory, timeout=0.3)


def test_what_is_not_wanted_any_more_is_stopped(database: Any, loop_factory: LoopFactory) -> None:
    async def work(readers: Readers) -> None:
        for pause in (0.0, 0.05):
            task = asyncio.ensure_future(readers.read(endless(database)))
            await asyncio.sleep(pause)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert await readers.read(one) == 1

    with_readers(database, work, loop_factory)


def test_what_is_abandoned_while_it_waits_is_never_begun(database: Any, loop_factory: LoopFactory) -> None:
    begun: list[int] = []

    async def work(readers: Readers) -> None:
        first = readers.start(endless(database))
        second = readers.start(lambda cursor: begun.append(1))
        second.abandon()
        first.abandon()
        assert await readers.read(one) == 1
        assert begun == []

    with_readers(database, work, loop_factory)


def test_abandoning_what_is_there_changes_nothing(database: Any, loop_factory: LoopFactory) -> None:
    async def work(readers: Readers) -> None:
        for _ in range(50):
            reading = readers.start(one)
            assert await readers.wait(reading) == 1
            reading.abandon()

    with_readers(database, work, loop_factory)


def test_errors_of_the_driver_come_through(database: Any, loop_factory: LoopFactory) -> None:
    async def work(readers: Readers) -> None:
        with pytest.raises(Exception, match=r"no such table|does not exist"):
            await readers.read(lambda cursor: cursor.execute("SELECT * FROM no_table"))
        assert await readers.read(one) == 1

    with_readers(database, work, loop_factory)


def test_closing_stops_what_is_being_read(database: Any, loop_factory: LoopFactory) -> None:
    async def work(readers: Readers) -> None:
        reading = readers.start(endless(database))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(readers.close)
        with pytest.raises(Exception, match=r"interrupted|cancel"):
            await reading.result

    with_readers(database, work, loop_factory)


def test_what_is_read_in_the_loop_never_waits_there(tmp_path: Path) -> None:
    database = Database.open("", tmp_path, durability="process")
    readers = Readers(database, threads=1, timeout=5.0)
    assert readers.quick
    assert readers.read_now(lambda cursor: cursor.execute("SELECT 1").fetchone()) == (1,)

    def busy(_cursor: Any) -> None:
        raise sqlite3.OperationalError("database is locked")

    assert readers.read_now(busy) is None
    assert readers.read_now(lambda cursor: cursor.execute("PRAGMA busy_timeout").fetchone()) == (0,)
    readers.read_now(lambda _cursor: time.sleep(0.01))
    assert not readers.quick, "the disk is slow: threads wait for it, for a while"
    readers.close()
    database.close()
