"""What an idle association costs: growth of a server's memory, its forked children included, pages they share
counted once (PSS).

Pages of files (program and libraries) are left out. PSS divides them among all processes that map them, so that
any other Python started or ended meanwhile would show as a megabyte of ours, and associations add none.
"""

import ssl
import time
from pathlib import Path

from benchmarks.load import Association
from benchmarks.works import Work


def memory_per_association(work: Work, port: int, called_ae: str, pid: int) -> float:
    """Open `work.associations` associations, leave them idle, and return KiB of server memory for each."""
    tls = _tls() if work.tls else None

    def associate() -> Association:
        return Association(port, called_ae, work.contexts, tls=tls)

    with associate():
        pass  # what the first one loads for all is not counted
    before = _settled(pid)
    associations = [associate() for _ in range(work.associations)]
    after = _settled(pid)
    for association in associations:
        association.release()
    return (after - before) / work.associations


def _tls() -> ssl.SSLContext:
    """Trusts anybody: it is our own server that we measure."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _settled(pid: int) -> int:
    """KiB of the family once they no longer change, or after two seconds."""
    last = -1
    for _ in range(10):
        time.sleep(0.2)
        now = sum(_pss(member) for member in _family(pid))
        if now == last:
            break
        last = now
    return now


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(entry.name))
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return family


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))
