"""How databases are opened: what is really in force, and what is said where they cannot be."""

import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from databases import throwaway_postgresql
from services.archive.errors import IndexDamaged, IndexUnavailable
from services.archive.index.database import Database, embedded_file


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_sqlite_on_every_connection(tmp_path: Path, durability: str, synchronous: int) -> None:
    database = Database.open("", tmp_path, durability=durability)
    writer = database.connect_writer()
    with database.engine.connect() as one, database.engine.connect() as two:
        drivers = [each.connection.driver_connection for each in (one, two)]
        for connection in (writer, *drivers):
            asked = {
                name: connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in (
                    "journal_mode",
                    "synchronous",
                    "wal_autocheckpoint",
                    "foreign_keys",
                    "busy_timeout",
                )
            }
            assert asked == {
                "journal_mode": "wal",
                "synchronous": synchronous,
                "wal_autocheckpoint": 0,
                "foreign_keys": 1,
                "busy_timeout": 30000,
            }
            assert connection.execute("SELECT 'a' LIKE 'A'").fetchone() == (0,), "as in PostgreSQL"
    writer.close()
    database.close()


def test_sqlite_is_for_this_user_only_and_leaves_one_file(tmp_path: Path) -> None:
    database = Database.open("", tmp_path, durability="process")
    writer = database.connect_writer()
    writer.execute("CREATE TABLE t (x)")
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 3
    writer.close()
    database.close()
    assert [each.name for each in tmp_path.iterdir()] == ["index.db"]


def test_sqlite_where_the_url_says(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path}/other.db", tmp_path / "nowhere", durability="process")
    assert database.is_sqlite
    assert database.name == f"{tmp_path}/other.db"
    database.close()
    assert (tmp_path / "other.db").exists()


@pytest.mark.peer("postgres")
@pytest.mark.parametrize(("durability", "commit"), [("process", "off"), ("power", "on")])
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_on_every_connection(tmp_path: Path, durability: str, commit: str, scheme: str) -> None:
    with throwaway_postgresql(empty=True) as url:
        database = Database.open(url.replace("postgresql", scheme), tmp_path, durability=durability)
        assert not database.is_sqlite
        writer = database.connect_writer()
        with database.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            for each in (writer, driver):
                asked = {
                    name: each.execute(f"SHOW {name}").fetchone()[0]
                    for name in (
                        "synchronous_commit",
                        "statement_timeout",
                        "lock_timeout",
                        "application_name",
                    )
                }
                assert asked == {
                    "synchronous_commit": commit,
                    "statement_timeout": "2min",
                    "lock_timeout": "30s",
                    "application_name": "dicom-server",
                }
        assert writer.autocommit
        writer.close()
        database.close()


def test_a_damaged_sqlite(tmp_path: Path) -> None:
    (tmp_path / "index.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(IndexDamaged) as refused:
        Database.open("", tmp_path, durability="process")
    assert str(refused.value) == (
        f"the index in {tmp_path}/index.db is damaged: file is not a database; stop the server, then make the index "
        f"anew from the files: dicom-server reindex --data-dir {tmp_path}"
    )


def test_sqlite_whose_tables_cannot_be_named(tmp_path: Path) -> None:
    """The header is whole, the page behind it is not; nothing is left running on such a file."""
    database = Database.open("", tmp_path, durability="process")
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
    database.close()
    good = (tmp_path / "index.db").read_bytes()
    (tmp_path / "index.db").write_bytes(good[:100] + b"\xee" * (4096 - 100) + good[4096:])
    threads = threading.active_count()
    with pytest.raises(IndexDamaged, match="malformed; stop the server"):
        Database.open("", tmp_path, durability="process")
    assert threading.active_count() == threads


def test_failures_have_no_statement_and_no_link(tmp_path: Path) -> None:
    database = Database.open("", tmp_path, durability="process")
    with database.engine.connect() as connection, pytest.raises(SQLAlchemyError) as raised:
        connection.execute(text("SELECT x FROM t WHERE x = :x"), {"x": "Doe^John"})
    failure = database.failure("cannot be read", raised.value)
    database.close()
    assert not isinstance(failure, IndexDamaged)
    assert str(failure) == f"the index in {tmp_path}/index.db cannot be read: no such table: t"


def test_sqlite_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match="No such file or directory"):
        Database.open("", tmp_path / "nowhere", durability="process")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "is no URL of a database"),
        ("mysql://me:s3cret@host/x", "names 'mysql', which is not supported"),
        ("postgresql://me:s3cret@127.0.0.1:1/x", "cannot be used: connection"),
        ("postgresql://me:s3cret@127.0.0.1:many/x", "is no URL"),
    ],
)
def test_urls_that_lead_nowhere(tmp_path: Path, url: str, says: str) -> None:
    with pytest.raises(IndexUnavailable, match=says) as refused:
        Database.open(url, tmp_path, durability="process")
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.peer("postgres")
def test_a_postgresql_without_that_database(tmp_path: Path) -> None:
    with throwaway_postgresql(empty=True) as url:
        with pytest.raises(IndexUnavailable, match='database "test_nobody" does not exist'):
            Database.open(url.rpartition("/")[0] + "/test_nobody", tmp_path, durability="process")
        with pytest.raises(IndexUnavailable, match='role "stranger" does not exist'):
            Database.open(url.replace("dicom@", "stranger:s3cret@"), tmp_path, durability="process")


def test_a_transaction_is_one(tmp_path: Path) -> None:
    database = Database.open("", tmp_path, durability="process")
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
    with pytest.raises(RuntimeError), database.engine.begin() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        raise RuntimeError
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 0
    database.close()
    assert sqlite3.connect(tmp_path / "index.db").execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_the_file_of_a_url(tmp_path: Path) -> None:
    assert embedded_file("", tmp_path) == tmp_path / "index.db"
    assert embedded_file("sqlite:////elsewhere/x.db?timeout=3", tmp_path) == Path("/elsewhere/x.db")
    assert embedded_file("postgresql://me@host/x", tmp_path) is None
