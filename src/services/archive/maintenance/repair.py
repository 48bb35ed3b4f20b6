"""Mends what a verification found, as far as that cannot make anything worse.

A file without a row gets one, and a row that says something else than its file is written anew. A row whose file is
not there is left: the file may lie on a volume that is not mounted. Counts are left to a reindexing.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from services.archive.committer import Record
from services.archive.errors import ArchiveError, NotRecordable
from services.archive.index.entry import Recorded
from services.archive.maintenance.verify import Finding, Kind
from services.archive.recovery import BATCH
from services.archive.rescan import Rescanned, rescan

MENDED = frozenset({Kind.NO_ROW, Kind.SIZE, Kind.DIFFERENT})
"""What can be mended."""


def repair(
    root: Path, findings: Iterable[Finding], record: Record, *, on_left: Callable[[Finding], None]
) -> int:
    """Record files again, where that mends something; says how many.

    Args:
        root: the data directory, which no server uses.
        findings: of a verification.
        record: tells the index.
        on_left: told of each finding that stays, with the reason where there is a new one.

    Raises:
        Exception: the index's; what was mended before stays so.
    """
    mended = 0
    rest = iter(findings)
    while portion := list(islice(rest, BATCH)):
        scanned: list[tuple[Finding, Rescanned]] = []
        for finding in portion:
            instance = _scan(root, finding, on_left)
            if instance is not None:
                scanned.append((finding, instance))
        mended += _record(scanned, record, on_left)
    return mended


def _scan(root: Path, finding: Finding, on_left: Callable[[Finding], None]) -> Rescanned | None:
    """What the file of a finding holds, where recording it mends something."""
    if finding.kind not in MENDED:
        on_left(finding)
        return None
    try:
        instance = rescan(root / finding.path, place=finding.path)
    except (ArchiveError, OSError) as error:
        on_left(Finding(Kind.DAMAGED, finding.path, str(error)))
        return None
    if finding.kind is Kind.SIZE and instance.truncated:
        on_left(Finding(Kind.DAMAGED, finding.path, f"{finding.text}, and it ends inside an element"))
        return None
    return instance


def _record(
    scanned: Sequence[tuple[Finding, Rescanned]], record: Record, on_left: Callable[[Finding], None]
) -> int:
    if not scanned:
        return 0
    mended = 0
    results = record([instance for _, instance in scanned])
    for (finding, _), result in zip(scanned, results, strict=True):
        if isinstance(result, NotRecordable):
            on_left(Finding(finding.kind, finding.path, str(result)))
        elif result is Recorded.ELSEWHERE:
            text = "its SOP Instance UID is held under another study or series"
            on_left(Finding(finding.kind, finding.path, text))
        else:
            mended += 1
    return mended
