"""Scans what cannot be scanned while it streams by: deflated data sets, from the file (PS3.5 A.5).

The bytes are inflated a piece at a time and fed to the same scanner, so that memory stays flat however far
they would inflate; caps bound the time. What follows the last deflate block is ignored: a NUL that makes the
length even, and the checksum of gzip that some writers leave there. Everything here blocks: call it in a
thread.
"""

import zlib
from os import PathLike
from typing import BinaryIO, Final

from services.archive.invalid_data_set import InflatesTooFar, InvalidDataSet, TruncatedDataSet
from services.archive.scanner import HeaderScanner
from services.archive.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN

MAX_INFLATED: Final = 1 << 30
"""Bytes; two to four seconds of inflating."""

MAX_RATIO: Final = 100
"""Real images deflate by 2 to 10; a bomb by up to 1032, which is as far as deflate goes."""

RATIO_GRACE: Final = 16 << 20
"""Bytes. An honest mask of zeros may inflate by more than the ratio; up to here that harms nobody."""

_PIECE = 1 << 16
_RAW_DEFLATE = -zlib.MAX_WBITS


def scan_deflated(
    path: str | PathLike[str] | int,
    *,
    offset: int = 0,
    max_inflated: int = MAX_INFLATED,
    max_ratio: int = MAX_RATIO,
    max_depth: int = 64,
    max_elements: int = 1_000_000,
) -> HeaderScanner:
    """Inflate and scan a deflated data set.

    Args:
        path: the file that holds it, or a descriptor of it, which is closed.
        offset: where in the file it starts, in bytes, behind preamble and File Meta Information.
        max_inflated: how many bytes it may inflate to.
        max_ratio: how many times its size it may inflate to, judged beyond `RATIO_GRACE`.
        max_depth: as for `HeaderScanner`.
        max_elements: as for `HeaderScanner`.

    Returns:
        the scanner at the end of the data set.

    Raises:
        InflatesTooFar: beyond `max_inflated` or `max_ratio`.
        TruncatedDataSet: the compressed or the inflated bytes end too early.
        InvalidDataSet: the bytes are not deflated, or what they inflate to is no data set.
        OSError: the file cannot be read.
    """
    scanner = HeaderScanner(EXPLICIT_VR_LITTLE_ENDIAN, max_depth=max_depth, max_elements=max_elements)
    with open(path, "rb") as file:
        file.seek(offset)
        _inflate(file, scanner, max_inflated, max_ratio)
    scanner.finish()
    return scanner


def _inflate(file: BinaryIO, scanner: HeaderScanner, max_inflated: int, max_ratio: int) -> None:
    inflater = zlib.decompressobj(_RAW_DEFLATE)
    taken = inflated = 0
    while not inflater.eof:
        compressed = inflater.unconsumed_tail
        if not compressed:
            compressed = file.read(_PIECE)
            taken += len(compressed)
        try:
            piece = inflater.decompress(compressed, _PIECE)
        except zlib.error as error:
            raise InvalidDataSet(f"the data set is not deflated (PS3.5 A.5): {error}") from error
        if not compressed and not piece:
            raise TruncatedDataSet(f"the deflated data set ends after {taken} bytes, within a block")
        inflated += len(piece)
        if inflated > max_inflated:
            raise InflatesTooFar(f"the data set inflates to more than {max_inflated} bytes")
        if inflated > RATIO_GRACE and inflated > taken * max_ratio:
            raise InflatesTooFar(f"the data set inflates to more than {max_ratio} times its size")
        scanner.feed(piece)
