"""The servers that are compared, each started on an empty directory and removed after."""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from peers import Peer, find_peer, free_port, orthanc, run_peer, serving, storescp

AE_TITLE = "BENCH"
_BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Contender:
    """A server of the comparison; `conditions` says how it is set up, `idle` how many idle associations it is
    given, `wanted` what to do where it is not there."""

    name: str
    conditions: str
    start: Callable[[Path], AbstractContextManager[Peer]]
    version: Callable[[], str]
    is_there: Callable[[], bool]
    wanted: str
    idle: int = 100


def _start_ours(directory: Path) -> AbstractContextManager[Peer]:
    port = free_port()
    argv = [
        str(_BIN / "dicom-server"),
        "start",
        "--aet",
        AE_TITLE,
        "--port",
        str(port),
        "--data-dir",
        str(directory),
    ]
    argv += ["--durability", "process"]
    return serving("dicom-server", argv, directory, port=port, ae_title=AE_TITLE)


def _start_pynetdicom(directory: Path) -> AbstractContextManager[Peer]:
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.pynetdicom_scp", str(port), str(directory)]
    return serving("pynetdicom", argv, directory, port=port, ae_title=AE_TITLE)


def _start_storescp(directory: Path) -> AbstractContextManager[Peer]:
    return storescp(directory, "--fork", ae_title=AE_TITLE)


def _start_orthanc(directory: Path) -> AbstractContextManager[Peer]:
    return orthanc(
        directory,
        ae_title=AE_TITLE,
        rest=False,
        SyncStorageArea=False,
        MaximumPduLength=131072,
        DicomAlwaysAllowStore=True,
        DicomCheckCalledAet=False,
        DicomThreadsCount=256,
    )


CONTENDERS = (
    Contender(
        "ours",
        "durability process; structure of each data set checked, no index",
        _start_ours,
        lambda: importlib.metadata.version("dicom-server"),
        lambda: (_BIN / "dicom-server").exists(),
        "make install",
    ),
    Contender(
        "storescp",
        "forks for each association, writes the bytes as received, no index",
        _start_storescp,
        lambda: run_peer("storescp", "--version").output.split()[2],
        lambda: find_peer("storescp") is not None,
        "apt-get install dcmtk",
        idle=16,  # a process each
    ),
    Contender(
        "Orthanc",
        "SQLite index, SyncStorageArea off, enough DICOM threads for every association",
        _start_orthanc,
        lambda: run_peer("Orthanc", "--version").output.split()[1],
        lambda: find_peer("Orthanc") is not None,
        "apt-get install orthanc",
    ),
    Contender(
        "pynetdicom",
        "all its storage contexts, writes the bytes as received, no index",
        _start_pynetdicom,
        lambda: importlib.metadata.version("pynetdicom"),
        lambda: importlib.util.find_spec("pynetdicom") is not None,
        "pip install pynetdicom",
    ),
)
