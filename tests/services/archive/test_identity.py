"""An index is of one data directory: told at first, kept, refused to another, and handed on when all rows are new."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from databases import BOTH, throwaway_postgresql
from services.archive.data_directory import DataDirectory
from services.archive.errors import DataDirectoryError
from services.archive.identity import OfAnotherDirectory, adopt, check_identity, identity_for
from services.archive.index.index import Index
from services.archive.index.schema import data_directory
from services.archive.maintenance.one_transaction import OneTransaction


@pytest.fixture(params=BOTH)
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database that lies in no data directory."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shared.db"
        return
    with throwaway_postgresql() as url:
        yield url


@contextmanager
def opened(path: Path, url: str) -> Iterator[tuple[DataDirectory, Index]]:
    with closing(DataDirectory.open(path)) as directory:
        index = Index.open(url, directory.path, durability="process")
        with closing(index):
            yield directory, index


def check(path: Path, url: str) -> None:
    with opened(path, url) as (directory, index):
        check_identity(directory, index.database)


def row(index: Index) -> tuple[int, str, str]:
    with index.database.engine.connect() as connection:
        [found] = connection.execute(select(data_directory)).all()
    return found[0], found[1], found[2]


def test_an_index_of_none_becomes_that_of_the_first(tmp_path: Path, shared_url: str) -> None:
    check(tmp_path / "a", shared_url)
    check(tmp_path / "a", shared_url)
    with opened(tmp_path / "a", shared_url) as (directory, index):
        identity = (tmp_path / "a" / ".identity").read_text().strip()
        assert identity_for(directory, index.database) == identity
        assert row(index) == (1, identity, str(tmp_path / "a"))
    assert list((tmp_path / "a" / ".incoming").iterdir()) == []


def test_another_directory_is_refused_and_both_are_named(tmp_path: Path, shared_url: str) -> None:
    check(tmp_path / "a", shared_url)
    with pytest.raises(OfAnotherDirectory) as refused:
        check(tmp_path / "b", shared_url)
    for name in ("a", "b"):
        assert f"{tmp_path}/{name} (identity " in str(refused.value)
        assert (tmp_path / name / ".identity").read_text().strip() in str(refused.value)
    assert "databaseURL" in str(refused.value)
    assert "dicom-server reindex" in str(refused.value)
    check(tmp_path / "a", shared_url)


def test_a_directory_that_was_moved_is_the_same(tmp_path: Path, shared_url: str) -> None:
    check(tmp_path / "a", shared_url)
    (tmp_path / "a").rename(tmp_path / "moved")
    check(tmp_path / "moved", shared_url)
    with opened(tmp_path / "moved", shared_url) as (_, index):
        assert row(index)[2] == str(tmp_path / "moved")
    with pytest.raises(OfAnotherDirectory, match=f"{tmp_path}/moved "):
        check(tmp_path / "a", shared_url)


def test_it_is_handed_on_with_the_rows_or_not_at_all(tmp_path: Path, shared_url: str) -> None:
    check(tmp_path / "a", shared_url)
    with opened(tmp_path / "b", shared_url) as (directory, index):
        identity, database = identity_for(directory, index.database), index.database
        before = row(index)
        with OneTransaction(database) as transaction:
            adopt(transaction.cursor, identity, directory.path, is_sqlite=database.is_sqlite)
        assert row(index) == before, "it was not committed"
        with OneTransaction(database) as transaction:
            adopt(transaction.cursor, identity, directory.path, is_sqlite=database.is_sqlite)
            transaction.commit()
    check(tmp_path / "b", shared_url)
    with pytest.raises(OfAnotherDirectory):
        check(tmp_path / "a", shared_url)


def test_the_index_in_the_directory_needs_none(tmp_path: Path) -> None:
    with opened(tmp_path, "") as (directory, index):
        check_identity(directory, index.database)
        assert identity_for(directory, index.database) == ""
        with OneTransaction(index.database) as transaction:
            adopt(transaction.cursor, "", directory.path, is_sqlite=True)
            transaction.commit()
        with index.database.engine.connect() as connection:
            assert connection.execute(select(data_directory)).all() == []
    assert not (tmp_path / ".identity").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 32, b"0" * 31])
def test_an_identity_that_is_none_is_not_replaced_silently(tmp_path: Path, content: bytes) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    check(tmp_path / "a", url)
    (tmp_path / "a" / ".identity").write_bytes(content)
    with pytest.raises(DataDirectoryError, match=r"a/\.identity holds no identity: bring it back"):
        check(tmp_path / "a", url)
    assert (tmp_path / "a" / ".identity").read_bytes() == content


def test_an_identity_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a" / ".identity").mkdir(parents=True)
    with pytest.raises(DataDirectoryError, match=r"a cannot be used: \.identity: Is a directory"):
        check(tmp_path / "a", f"sqlite:///{tmp_path}/shared.db")
