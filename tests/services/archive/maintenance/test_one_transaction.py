"""What a writer records within one transaction stands when that is committed, and not before."""

import pytest
from sqlalchemy import func, select

from index_samples import sample
from services.archive.errors import NotRecordable
from services.archive.index.database import Database
from services.archive.index.entry import Recorded
from services.archive.index.schema import instances
from services.archive.index.writer import IndexWriter
from services.archive.maintenance.one_transaction import ConnectionLost, OneTransaction


def rows(database: Database) -> int:
    with database.engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(instances)).scalar_one())


@pytest.fixture(autouse=True)
def filled(database: Database) -> None:
    writer = IndexWriter(database)
    writer.record([sample("1.4"), sample("1.5")])
    writer.close()


def test_everything_or_nothing(database: Database) -> None:
    with OneTransaction(database) as transaction:
        transaction.empty()
        assert transaction.writer.record([sample("1.6")]) == [Recorded.NEW]
    assert rows(database) == 2
    with OneTransaction(database) as transaction:
        transaction.empty()
        assert transaction.writer.record([sample("1.4")]) == [Recorded.NEW]
        assert transaction.writer.record([sample("1.4")]) == [Recorded.KNOWN]
        transaction.commit()
    assert rows(database) == 1


def test_what_is_refused_leaves_the_others(database: Database) -> None:
    with OneTransaction(database) as transaction:
        transaction.empty()
        transaction.writer.record([sample("1.6")])
        broken = sample("1.7")
        object.__setattr__(broken, "size", "no number")
        object.__setattr__(broken, "sop_class_uid", None)
        good, refused = transaction.writer.record([sample("1.8"), broken])
        assert good is Recorded.NEW
        assert isinstance(refused, NotRecordable)
        transaction.writer.record([sample("1.9")])
        transaction.commit()
    assert rows(database) == 3


def test_no_second_connection_is_made(database: Database) -> None:
    with OneTransaction(database) as transaction:
        transaction.connect_writer()
        with pytest.raises(ConnectionLost, match="nothing has changed"):
            transaction.connect_writer()
