"""The database that keeps the index: SQLite in the data directory, or PostgreSQL."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from services.archive.index.schema import metadata


class Database:
    """An open database; made by `open`, let go by `close`."""

    def __init__(self, engine: Engine, *, is_sqlite: bool) -> None:
        self.engine = engine
        self.is_sqlite = is_sqlite

    @classmethod
    def open(cls, url: str, data_directory: Path, *, durability: str) -> "Database":
        location = make_url(url or f"sqlite:///{data_directory.absolute()}/index.db")
        is_sqlite = location.get_backend_name() == "sqlite"
        if not is_sqlite:
            location = location.set(drivername="postgresql+psycopg")
            engine = create_engine(location)
        else:
            engine = create_engine(location, connect_args={"check_same_thread": False})

            @event.listens_for(engine, "connect")
            def _connected(connection: Any, _record: Any) -> None:
                connection.isolation_level = None
                for pragma in (
                    "journal_mode=wal",
                    f"synchronous={'full' if durability == 'power' else 'normal'}",
                    "foreign_keys=on",
                    "case_sensitive_like=on",
                    "busy_timeout=30000",
                    "cache_size=-65536",
                ):
                    connection.execute(f"pragma {pragma}")

        metadata.create_all(engine)
        return cls(engine, is_sqlite=is_sqlite)

    def connect_writer(self) -> Any:
        connection = self.engine.raw_connection()
        driver: Any = connection.driver_connection
        connection.detach()
        if not self.is_sqlite:
            driver.autocommit = True
        return driver

    def close(self) -> None:
        self.engine.dispose()
