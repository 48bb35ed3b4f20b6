"""An embedded index that cannot be read: what counts as that, what is said, and where it goes."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, TimeoutError

from services.archive.index.damage import driver_says, find_damage, is_damage, mending, move_aside

PAGE = 4096


def make(file: Path, rows: int = 2000) -> bytes:
    """A database of many pages."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA page_size={PAGE}")
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [(f"{number:050}",) for number in range(rows)])
        connection.commit()
    return file.read_bytes()


def error_of(file: Path) -> sqlite3.Error:
    with closing(sqlite3.connect(file)) as connection, pytest.raises(sqlite3.Error) as raised:
        connection.execute("SELECT count(x) FROM t").fetchone()
    return raised.value


def test_a_whole_database_has_no_damage(tmp_path: Path) -> None:
    make(tmp_path / "a.db")
    assert find_damage(tmp_path / "a.db") == ""
    (tmp_path / "empty.db").touch()
    assert find_damage(tmp_path / "empty.db") == ""
    assert find_damage(tmp_path / "none.db") == ""
    assert not (tmp_path / "none.db").exists(), "looking makes nothing"


def test_no_database_and_a_malformed_one_are_damage(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    good = make(file)
    file.write_bytes(b"no database" * 1000)
    assert find_damage(file) == "file is not a database"
    assert is_damage(error_of(file))
    file.write_bytes(good[: 5 * PAGE])
    assert is_damage(error_of(file))
    assert find_damage(file) == "database disk image is malformed"


def test_a_page_further_in_is_found(tmp_path: Path) -> None:
    """Opening it and reading the first tables succeeds."""
    file = tmp_path / "a.db"
    good = make(file)
    file.write_bytes(good[: 7 * PAGE] + b"\xee" * PAGE + good[8 * PAGE :])
    assert "Page 8" in find_damage(file)
    assert "***" not in find_damage(file)


def test_damage_is_seen_through_what_was_raised_from_it(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    file.write_bytes(b"no database" * 1000)
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection, pytest.raises(DBAPIError) as raised:
        connection.execute(text("SELECT 1 FROM t WHERE x = :x"), {"x": "Doe^John"})
    engine.dispose()
    wrapped = RuntimeError("could not be recorded")
    wrapped.__cause__ = raised.value
    assert is_damage(wrapped)
    assert driver_says(raised.value) == "file is not a database"


@pytest.mark.parametrize(
    "error",
    [
        None,
        sqlite3.OperationalError("database is locked"),
        OSError(28, "No space left on device"),
        TimeoutError("QueuePool limit reached", code="3o7r"),
    ],
)
def test_other_failures_are_no_damage(error: Exception | None) -> None:
    assert not is_damage(error)


def test_what_the_driver_says_has_no_link_and_one_line() -> None:
    assert driver_says(TimeoutError("QueuePool limit reached", code="3o7r")) == "QueuePool limit reached"
    assert driver_says(ValueError("one\ntwo")) == "one"
    assert driver_says(ValueError()) == "ValueError"


def test_it_is_kept_with_its_log(tmp_path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"index.db{ending}").write_text(f"damaged{ending}")
    aside = move_aside(tmp_path / "index.db")
    assert aside.name.startswith("index.db.damaged-20")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {
        f"{aside.name}{ending}": f"damaged{ending}" for ending in ("", "-wal", "-shm")
    }


def test_of_a_link_the_database_is_moved(tmp_path: Path) -> None:
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "x.db").write_text("damaged")
    (tmp_path / "quick" / "x.db-wal").write_text("log")
    (tmp_path / "index.db").symlink_to(tmp_path / "quick" / "x.db")
    aside = move_aside(tmp_path / "index.db")
    assert aside.parent == tmp_path / "quick"
    assert sorted(each.name for each in aside.parent.iterdir()) == [aside.name, f"{aside.name}-wal"]
    assert (tmp_path / "index.db").is_symlink()


def test_what_to_do_can_be_typed_as_it_stands() -> None:
    usual = Path("/my data/index.db")
    assert mending(usual, Path("/my data"), usual).endswith(": dicom-server reindex --data-dir '/my data'")
    assert mending(Path("/quick/x.db"), Path("/d"), usual).endswith(
        ": dicom-server reindex --data-dir /d --database-url sqlite:////quick/x.db"
    )
