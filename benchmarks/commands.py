"""What our commands are measured at: sending files beside DCMTK's senders, sending to a distant peer, starting up."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.load import LoadError
from benchmarks.proxy import delaying
from benchmarks.works import DCMSEND, OURS, STORESCU
from peers import HOST, Peer, require_peer, storescp

_BIN = Path(sys.executable).parent
_AE_TITLE = "BENCH"
_PATIENCE = 120.0
_ONE_WAY = 0.01
"""Seconds that the distant peer is away; a round trip takes twice as long."""
_STARTS = 5


def send_files(sender: str, directory: Path, files: Path, number: int) -> float:
    """Send a folder of files to DCMTK's storescp and return files a second, of the whole command.

    storescp takes each of them and keeps none, so that it is the sender that is waited for; its log says how many came.

    Args:
        sender: `dicom-send` (as `OURS`), `dcmsend` or `storescu`.
        directory: where storescp has its log.
        number: of the files.

    Raises:
        LoadError: the command failed, or not every file came.
    """
    with storescp(directory, "--ignore", "--verbose", ae_title=_AE_TITLE) as peer:
        commands: dict[str, tuple[str | Path | int, ...]] = {
            OURS: (_BIN / "dicom-send", f"pacs://{HOST}:{peer.port}", "--called-ae", _AE_TITLE, files),
            DCMSEND: ("dcmsend", "-aec", _AE_TITLE, "+sd", HOST, peer.port, files),
            STORESCU: ("storescu", "-aec", _AE_TITLE, "+sd", HOST, peer.port, files),
        }
        begun = time.perf_counter()
        _run(*commands[sender])
        seconds = time.perf_counter() - begun
        came = peer.output.count("Received Store Request")
    if came != number:
        raise LoadError(f"{came} files came, and not {number}")
    return number / seconds


def send_far(peer: Peer, files: Path, number: int, window: int) -> float:
    """Send a folder of files to a peer that is a round trip of 20 ms away; objects a second.

    The time is that which `dicom-send` reports, with associating and releasing, without the start of the command,
    which is a row of its own.

    Args:
        window: C-STOREs under way at a time.

    Raises:
        LoadError: the command failed, or did not send every file.
    """
    with delaying(peer.port, _ONE_WAY) as port:
        called = ("--called-ae", peer.ae_title, "--format", "json")
        options = ("--window", window) if window > 1 else ()
        told = _run(_BIN / "dicom-send", f"pacs://{HOST}:{port}", *called, *options, files)
    summary = json.loads(told)
    if summary["sent"] != number:
        raise LoadError(f"{summary['sent']} files were sent, and not {number}")
    return number / float(summary["seconds"])


def start_up() -> float:
    """Seconds that `dicom-echo --help` takes, the median of several.

    Raises:
        LoadError: the command failed.
    """
    times = []
    for _ in range(_STARTS):
        begun = time.perf_counter()
        _run(_BIN / "dicom-echo", "--help")
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _run(*argv: str | Path | int) -> str:
    """Run a command to its end and return what it printed."""
    program, *arguments = map(str, argv)
    path = program if "/" in program else require_peer(program)
    environment = os.environ | {"TCP_NODELAY": "1"}
    try:
        done = subprocess.run(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise LoadError(f"{program} took longer than {_PATIENCE:g} s") from None
    if done.returncode:
        raise LoadError(f"{program} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout
