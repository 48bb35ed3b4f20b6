"""Where the indices that grow are kept: a directory each, and with PostgreSQL a database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from databases import throwaway_postgresql


@dataclass(frozen=True)
class Place:
    """Attributes:
    home: the data directory.
    url: of the database; empty for SQLite in the data directory.
    """

    home: Path
    url: str


@contextmanager
def place(kind: str, home: Path) -> Iterator[Place]:
    """A new data directory, and a database of one's own where `kind` is `postgresql`."""
    home.mkdir()
    if kind == "sqlite":
        yield Place(home, "")
        return
    with throwaway_postgresql() as url:
        yield Place(home, url)
