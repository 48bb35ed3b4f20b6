from pathlib import Path

import pytest

from index_samples import sample
from services.archive.errors import IndexUnavailable
from services.archive.index.index import Index


def test_what_is_written_can_be_counted_and_stays(tmp_path: Path, database_url: str) -> None:
    for expected in (0, 2):
        index = Index.open(database_url, tmp_path, durability="power")
        assert index.counts()["instances"] == expected
        index.writer.record([sample("1.4"), sample("1.5", "1.3.2")])
        assert index.counts() == {"patients": 1, "studies": 1, "series": 2, "instances": 2}
        index.close()


def test_whether_there_is_an_instance(tmp_path: Path, database_url: str) -> None:
    index = Index.open(database_url, tmp_path, durability="process")
    assert index.is_empty()
    index.writer.record([sample("1.4")])
    assert not index.is_empty()
    index.close()


def test_tables_are_not_made_unasked(tmp_path: Path) -> None:
    from services.archive.index.migrate import current

    index = Index.open("", tmp_path, durability="process", migrate=False)
    assert current(index.database) is None
    index.close()


def test_a_database_that_is_refused_is_closed(tmp_path: Path) -> None:
    Index.open("", tmp_path, durability="process").close()
    from sqlalchemy import create_engine, text

    engine = create_engine(f"sqlite:///{tmp_path}/index.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(IndexUnavailable, match="newer version"):
        Index.open("", tmp_path, durability="process")
    assert [each.name for each in tmp_path.iterdir()] == ["index.db"]
