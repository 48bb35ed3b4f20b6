"""Where C-MOVEs go: DCMTK's storescp, which keeps what comes until it is counted."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.files import warm_up
from benchmarks.holdings import LARGE_IMAGE, Holdings
from benchmarks.load import LoadError
from benchmarks.works import DESTINATION
from peers import storescp

_GROUP_LENGTH = slice(140, 144)
"""Where the value of File Meta Information Group Length stands in a file."""
_NAME = re.compile(rf".*\.{re.escape(LARGE_IMAGE)}(\d{{11}})")


class Destination:
    """Where it listens, and what came.

    Args:
        port: of the listener.
        directory: where its files are.
    """

    def __init__(self, port: int, directory: Path) -> None:
        self.port = port
        self._directory = directory

    def make_room(self, size: int) -> None:
        """Remove what came, and warm up as many bytes as will come; to be called while nothing comes."""
        shutil.rmtree(self._directory)
        self._directory.mkdir()
        warm_up(self._directory, size)

    def check(self, holdings: Holdings) -> None:
        """See that each image came, with all of its bytes and no others.

        Raises:
            LoadError: otherwise.
        """
        numbers, sizes = set(), set()
        for file in self._directory.iterdir():
            image = _NAME.fullmatch(file.name)
            if image is None:
                raise LoadError(f"an image that nobody asked for: {file.name}")
            numbers.add(int(image[1]))
            sizes.add(_size_of_data_set(file))
        if numbers != set(range(holdings.images)):
            raise LoadError(f"{len(numbers)} images came, and not {holdings.images}")
        if sizes != {holdings.size}:
            raise LoadError(f"images of {sorted(sizes)} bytes came, and not of {holdings.size}")


def _size_of_data_set(file: Path) -> int:
    """Bytes of a DICOM file behind its preamble and its File Meta Information (PS3.10, 7.1)."""
    with file.open("rb") as opened:
        start = opened.read(_GROUP_LENGTH.stop)
    return file.stat().st_size - len(start) - int.from_bytes(start[_GROUP_LENGTH], "little")


@contextmanager
def destination(directory: Path) -> Iterator[Destination]:
    """Serve until the end of the context, from an empty directory."""
    with storescp(directory, "--fork", ae_title=DESTINATION) as peer:
        yield Destination(peer.port, directory)
