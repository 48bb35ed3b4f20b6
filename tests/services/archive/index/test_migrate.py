"""Migrations make the tables of the schema, once, and only forwards."""

import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from databases import BOTH, throwaway_postgresql
from services.archive.errors import IndexDamaged, IndexUnavailable
from services.archive.index import migrate
from services.archive.index.database import Database
from services.archive.index.schema import LEVELS, metadata

REVISIONS = ["0001", "0002"]


@pytest.fixture(params=BOTH)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = Database.open("", tmp_path, durability="process")
        yield database
        database.close()
        return
    with throwaway_postgresql(empty=True) as url:
        database = Database.open(url, tmp_path, durability="process")
        yield database
        database.close()


def test_migrations_make_the_schema(empty: Database) -> None:
    assert migrate.current(empty) is None
    assert migrate.pending(empty) == REVISIONS
    assert migrate.upgrade(empty) == REVISIONS
    assert migrate.current(empty) == migrate.head()
    assert (migrate.pending(empty), migrate.upgrade(empty)) == ([], [])
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_names_collations_and_defaults_are_those_of_the_schema(empty: Database, tmp_path: Path) -> None:
    """What comparing leaves out: made both ways, a database describes itself the same."""
    migrate.upgrade(empty)
    migrated = described(empty)
    with empty.engine.begin() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    assert described(empty) == migrated


def described(database: Database, tables: Collection[str] = tuple(metadata.tables)) -> dict[str, object]:
    inspector = inspect(database.engine)
    found: dict[str, object] = {}
    for table in tables:
        columns = [
            (c["name"], str(c["type"]), getattr(c["type"], "collation", None), c["nullable"], c["default"])
            for c in inspector.get_columns(table)
        ]
        found[table] = (
            columns,
            inspector.get_pk_constraint(table),
            sorted(map(str, inspector.get_foreign_keys(table))),
            sorted(map(str, inspector.get_unique_constraints(table))),
            sorted(map(str, inspector.get_indexes(table))),
        )
    return found


def test_the_head_is_the_last_revision() -> None:
    scripts = ScriptDirectory(str(Path(migrate.__file__).with_name("migrations")))
    assert scripts.get_current_head() == migrate.HEAD


def test_between_revisions_with_the_same_rows_no_table_of_them_changes(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup of one is restored into another."""
    tables = {table.name for table in LEVELS}
    found = []
    for revision in sorted(migrate.ROWS_ALIKE):
        monkeypatch.setattr(migrate, "HEAD", revision)
        migrate.upgrade(empty)
        assert migrate.current(empty) == revision
        found.append(described(empty, tables))
    assert all(each == found[0] for each in found)
    assert set(REVISIONS) >= migrate.ROWS_ALIKE


def test_a_newer_database_is_refused_by_name(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for call in (migrate.pending, migrate.upgrade):
        with pytest.raises(IndexUnavailable, match=r"revision 9999.*newer version"):
            call(empty)


def test_a_migration_that_fails_changes_nothing(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE series (x integer)"))
    with pytest.raises(IndexUnavailable, match="could not be migrated") as refused:
        migrate.upgrade(empty)
    assert "\n" not in str(refused.value)
    assert "CREATE TABLE" not in str(refused.value)
    assert migrate.current(empty) is None
    assert inspect(empty.engine).get_table_names() == ["series"]


def test_a_damaged_database_is_told_from_others(tmp_path: Path) -> None:
    """Its revision is what every command asks for first, and says no statement and no link where that fails."""
    database = Database.open("", tmp_path, durability="process")
    migrate.upgrade(database)
    database.close()
    good = (tmp_path / "index.db").read_bytes()
    (tmp_path / "index.db").write_bytes(good[:4096] + b"\xee" * 3 * 4096 + good[4 * 4096 :])
    database = Database.open("", tmp_path, durability="process")
    for call in (migrate.current, migrate.pending, migrate.upgrade):
        with pytest.raises(
            IndexDamaged, match=r"is damaged: [a-z ]+; stop the server, then .* reindex --data-dir"
        ):
            call(database)
    database.close()


def test_two_processes_at_one_time(empty: Database, tmp_path: Path) -> None:
    url = empty.engine.url.render_as_string(hide_password=False)
    program = (
        "import sys; from pathlib import Path; from services.archive.index.database import Database;"
        "from services.archive.index.migrate import upgrade;"
        f"d = Database.open({url!r}, Path({str(tmp_path)!r}), durability='process'); print(upgrade(d)); d.close()"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60) for process in running]
    assert sorted(out.strip() for out, _ in said) == [str(REVISIONS), "[]", "[]"], said


def test_alembic_leaves_logging_alone(empty: Database) -> None:
    import logging

    before = logging.getLogger().handlers[:], logging.getLogger().level
    migrate.upgrade(empty)
    assert (logging.getLogger().handlers, logging.getLogger().level) == before
