"""The index of an archive, as it is opened: its tables as this version needs them, one writer, one reader."""

from pathlib import Path

from sqlalchemy import func, select

from services.archive.index.database import Database
from services.archive.index.migrate import upgrade
from services.archive.index.reader import IndexReader
from services.archive.index.schema import LEVELS, instances
from services.archive.index.writer import IndexWriter


class Index:
    """An open index; made by `open`, let go by `close`.

    Attributes:
        database: where it is.
        writer: records instances.
        reader: answers questions.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.writer = IndexWriter(database)
        self.reader = IndexReader(database)

    @classmethod
    def open(
        cls,
        url: str,
        data_directory: Path,
        *,
        durability: str,
        migrate: bool = True,
        checkpoints: bool = True,
    ) -> "Index":
        """Open an index. Blocks.

        Args:
            url, data_directory, durability, checkpoints: see `Database.open`.
            migrate: bring its tables to what this version needs.

        Raises:
            IndexUnavailable: the database cannot be used, or its tables are of a newer version.
        """
        database = Database.open(url, data_directory, durability=durability, checkpoints=checkpoints)
        try:
            if migrate:
                upgrade(database)
            return cls(database)
        except BaseException:
            database.close()
            raise

    def counts(self) -> dict[str, int]:
        """How many patients, studies, series and instances there are; counted now, so not for every second."""
        with self.database.engine.connect() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in LEVELS
            }

    def is_empty(self) -> bool:
        """Whether there is no instance in it; costs next to nothing, however many there are."""
        with self.database.engine.connect() as connection:
            return connection.execute(select(instances.c.id).limit(1)).first() is None

    def close(self) -> None:
        """Finish what is being read and let the database go. Blocks."""
        self.reader.close()
        self.writer.close()
        self.database.close()
