"""Databases for tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.archive.index.database import Database


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    made = Database.open("", tmp_path, durability="process")
    yield made
    made.close()
