"""Every file of an archive, study by study, and what lies between them that is none."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import local
from typing import TypeAlias

from msgspec import Struct

from services.archive.errors import ArchiveError
from services.archive.layouts import LayoutMemory
from services.archive.paths import uids_of_path
from services.archive.rescan import Rescanned, rescan
from services.archive.uids import valid_uid

_THREADS = 4
_AT_ONCE = 64  # files that one thread reads before it hands them over
_AHEAD = 8  # such portions that are read ahead


class Problem(Struct, frozen=True):
    """Something in the archive that is not as it should be.

    Attributes:
        path: relative to the data directory.
        text: what is the matter.
    """

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


OnProblem: TypeAlias = Callable[[Problem], None]


def study_uids(root: Path) -> list[str]:
    """The studies of an archive, sorted; other names in the data directory are the server's own, or nobody's."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if valid_uid(entry.name) and entry.is_dir())


def files_of(root: Path, study: str, on_problem: OnProblem) -> Iterator[str]:
    """The paths of the files of a study, relative to the data directory; sorted within each series.

    Args:
        on_problem: told of names that the archive did not make, and of directories that cannot be read.
    """
    for series in _names(root, study, on_problem):
        for name in _names(root, f"{study}/{series}", on_problem) if valid_uid(series) else ():
            path = f"{study}/{series}/{name}"
            if uids_of_path(path) is not None:
                yield path
            else:
                on_problem(Problem(path, "a name that the archive does not give"))
        if not valid_uid(series):
            on_problem(Problem(f"{study}/{series}", "a name that the archive does not give"))


def _names(root: Path, directory: str, on_problem: OnProblem) -> Sequence[str]:
    try:
        return sorted(os.listdir(root / directory))
    except FileNotFoundError:
        return ()  # of a study that is only in the index, or removed meanwhile
    except OSError as error:
        on_problem(Problem(directory, error.strerror or str(error)))
        return ()


class Reader:
    """Scans many files with a few threads, ahead of whoever takes the results: they wait for the disk together.

    A context manager, which ends the threads.

    Args:
        root: the data directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="rescan")
        self._of_thread = local()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def read(self, paths: Iterator[str] | Collection[str]) -> Iterator[list[Rescanned | Problem]]:
        """What each of some files holds, in their order, in portions; of a damaged one why it cannot be read.

        Args:
            paths: relative to the data directory.
        """
        waiting: list[Future[list[Rescanned | Problem]]] = []
        rest = iter(paths)
        while portion := list(islice(rest, _AT_ONCE)):
            waiting.append(self._pool.submit(self._read, portion))
            if len(waiting) >= _AHEAD:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()

    def _read(self, paths: Sequence[str]) -> list[Rescanned | Problem]:
        if not hasattr(self._of_thread, "layouts"):
            self._of_thread.layouts = LayoutMemory()
        return [_read(self._root, path, self._of_thread.layouts) for path in paths]


def _read(root: Path, path: str, layouts: LayoutMemory) -> Rescanned | Problem:
    try:
        return rescan(root / path, place=path, layouts=layouts)
    except ArchiveError as error:
        return Problem(path, str(error))
    except OSError as error:
        return Problem(path, error.strerror or str(error))
