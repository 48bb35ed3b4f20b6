"""Databases for tests: SQLite in a temporary directory, and a PostgreSQL of our own on loopback.

PostgreSQL refuses to run as root, so it runs as `nobody` where we are root. It is started once, for all tests, dies
with them, and syncs nothing; every test has a database of its own, copied from a template with our tables.
"""

import atexit
import functools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from peers import free_port, require_peer
from services.archive.index.database import Database
from services.archive.index.index import Index
from services.archive.index.migrate import upgrade

_START = 30.0
_TEMPLATE = "dicom_template"


class Cluster:
    """A running PostgreSQL.

    Args:
        directory: where it keeps everything; removed at the end.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._names = count(1)
        self._binaries = Path(require_peer("postgres")).parent
        self._as_user = _as_unprivileged(directory)
        data = directory / "data"
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--no-sync", "--username=dicom", "-D", data)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": directory,
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": 100,
            "shared_buffers": "64MB",
            "dynamic_shared_memory_type": "mmap",  # nothing of it stays in /dev/shm, however it ends
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_user,
                    "setpriv",
                    "--pdeathsig",
                    "KILL",
                    "--",
                    self._binaries / "postgres",
                    "-D",
                    data,
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()
        self._administer(f"CREATE DATABASE {_TEMPLATE}")
        database = Database.open(self.url(_TEMPLATE), directory, durability="process")
        upgrade(database)
        database.close()

    def url(self, name: str) -> str:
        return f"postgresql://dicom@127.0.0.1:{self.port}/{name}"

    def new_database(self, *, empty: bool = False) -> str:
        """The URL of a database of one's own, with our tables unless it shall be empty."""
        name = f"test_{next(self._names)}"
        template = "template0" if empty else _TEMPLATE
        # Copying files takes a quarter of the time of copying through the log.
        self._administer(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(name)

    def drop(self, url: str) -> None:
        self._administer(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # a fast shutdown
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [*self._as_user, self._binaries / program, *map(str, arguments)],
            cwd=self.directory,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr.decode()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"PostgreSQL did not start:\n{(self.directory / 'log').read_text()}")


def _as_unprivileged(directory: Path) -> list[str]:
    """What runs a program as somebody else, where we are root; the directory becomes theirs."""
    if os.getuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--"]


_clusters: list[Cluster] = []


def cluster() -> Cluster:
    """The PostgreSQL of this process, started when it is first asked for."""
    if not _clusters:
        made = Cluster(Path(tempfile.mkdtemp(prefix="postgresql-")))
        _clusters.append(made)
        atexit.register(made.stop)
    return _clusters[0]


@contextmanager
def throwaway_postgresql(*, empty: bool = False) -> Iterator[str]:
    """The URL of a database of one's own in a PostgreSQL of ours; dropped at the end."""
    url = cluster().new_database(empty=empty)
    try:
        yield url
    finally:
        cluster().drop(url)


BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("postgres"))]
"""Parameters of fixtures that want each database."""


@functools.cache
def _sqlite_template() -> bytes:
    """A database with our tables: quicker to copy than to migrate."""
    with tempfile.TemporaryDirectory() as directory:
        database = Database.open("", Path(directory), durability="process")
        upgrade(database)
        database.close()
        return (Path(directory) / "index.db").read_bytes()


@contextmanager
def _opened(kind: str, directory: Path) -> Iterator[Database]:
    if kind == "sqlite":
        (directory / "index.db").write_bytes(_sqlite_template())
        database = Database.open("", directory, durability="process")
        yield database
        database.close()
        return
    with throwaway_postgresql() as url:
        database = Database.open(url, directory, durability="process")
        yield database
        database.close()


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An open database with our tables, of each kind."""
    with _opened(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def postgresql_database(tmp_path: Path) -> Iterator[Database]:
    """An open PostgreSQL with our tables; for tests that are marked with its peer."""
    with _opened("postgresql", tmp_path) as made:
        yield made


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """What to name as `databaseURL`: the embedded database, and a PostgreSQL with our tables."""
    if request.param == "sqlite":
        yield ""
        return
    with throwaway_postgresql() as url:
        yield url


@pytest.fixture
def index(database_url: str, tmp_path: Path) -> Iterator[Index]:
    """An open index on each database."""
    made = Index.open(database_url, tmp_path, durability="process")
    yield made
    made.close()
