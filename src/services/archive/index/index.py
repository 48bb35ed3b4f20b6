"""The index of an archive: what the server opens."""

from pathlib import Path

from services.archive.index.database import Database
from services.archive.index.reader import IndexReader
from services.archive.index.writer import IndexWriter


class Index:
    """An open index; made by `open`, let go by `close`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.writer = IndexWriter(database)
        self.reader = IndexReader(database)

    @classmethod
    def open(cls, url: str, data_directory: Path, *, durability: str, migrate: bool = True) -> "Index":
        return cls(Database.open(url, data_directory, durability=durability))

    def close(self) -> None:
        self.writer.close()
        self.reader.close()
        self.database.close()
