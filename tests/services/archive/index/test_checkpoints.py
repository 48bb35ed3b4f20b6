import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from services.archive.index import checkpoints
from services.archive.index.checkpoints import Checkpoints


@pytest.fixture
def connection(tmp_path: Path) -> Any:
    made = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
    made.execute("PRAGMA journal_mode=WAL")
    made.execute("PRAGMA wal_autocheckpoint=0")
    made.execute("CREATE TABLE t (x)")
    yield made
    made.close()


def log_of(tmp_path: Path) -> int:
    return (tmp_path / "index.db-wal").stat().st_size


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_log_does_not_grow_without_bound(
    tmp_path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "INTERVAL", 0.01)
    monkeypatch.setattr(checkpoints, "CHECKPOINT_AT", 200_000)
    kept = Checkpoints(tmp_path / "index.db")
    try:
        largest = 0
        for _ in range(30):
            connection.execute("INSERT INTO t VALUES (zeroblob(50000))")
            largest = max(largest, log_of(tmp_path))
            time.sleep(0.02)
        assert largest < 1_500_000, "all of it would be 1.6 MB"
        wait_until(lambda: (tmp_path / "index.db").stat().st_size > 1_000_000)
    finally:
        connection.close()
        kept.close()


def test_nothing_is_left_of_the_log_at_the_end(tmp_path: Path, connection: sqlite3.Connection) -> None:
    kept = Checkpoints(tmp_path / "index.db")
    connection.execute("INSERT INTO t VALUES (zeroblob(50000))")
    assert log_of(tmp_path) > 50_000
    connection.close()
    kept.close()
    assert [each.name for each in tmp_path.iterdir()] == ["index.db"]


def test_who_reads_is_not_waited_for(tmp_path: Path, connection: sqlite3.Connection) -> None:
    kept = Checkpoints(tmp_path / "index.db")
    reader = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    connection.execute("INSERT INTO t VALUES (1)")
    kept.close()
    reader.execute("ROLLBACK")
    assert reader.execute("SELECT x FROM t").fetchall() == [(1,)]
    reader.close()


class Malformed:
    """A connection by which no checkpoint succeeds."""

    def __init__(self, failures: list[str]) -> None:
        self._failures = failures

    def execute(self, statement: str) -> None:
        if "wal_checkpoint" in statement:
            self._failures.append(statement)
            raise sqlite3.DatabaseError("database disk image is malformed")

    def close(self) -> None:
        pass


def test_a_failure_is_said_once_and_tried_again(
    tmp_path: Path,
    connection: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(checkpoints, "INTERVAL", 0.01)
    monkeypatch.setattr(checkpoints, "AFTER_FAILURE", 0.01)
    monkeypatch.setattr(checkpoints, "CHECKPOINT_AT", 200_000)
    connect, failures = sqlite3.connect, list[str]()
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **k: Malformed(failures) if len(failures) < 3 else connect(*a, **k)
    )
    kept = Checkpoints(tmp_path / "index.db")
    try:
        connection.execute("INSERT INTO t VALUES (zeroblob(500000))")
        wait_until(lambda: (tmp_path / "index.db").stat().st_size > 500_000)
    finally:
        connection.close()
        kept.close()
    assert len(failures) == 3
    (said,) = caplog.messages
    assert f"of {tmp_path / 'index.db'} cannot be written" in said
    assert "DatabaseError: database disk image is malformed" in said


def test_a_database_that_has_gone_is_not_made_anew(
    tmp_path: Path, connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Checkpoints(tmp_path / "index.db")
    connection.close()
    (tmp_path / "index.db").unlink()
    kept.close()
    assert list(tmp_path.iterdir()) == []
    assert len(caplog.messages) == 1
