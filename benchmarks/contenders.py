"""The servers that are compared, each started on an empty directory and removed after."""

import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.asking import CALLING_AE
from benchmarks.destination import AE_TITLE as DESTINATION
from benchmarks.load import Work
from peers import HOST, Peer, dcmqrscp, find_peer, free_port, orthanc, run_peer, serving, storescp

AE_TITLE = "BENCH"
_BIN = Path(sys.executable).parent


WITHOUT_INDEX = "ours without index"


@dataclass(frozen=True)
class Contender:
    """A server of the comparison.

    Attributes:
        conditions: how it is set up.
        start: on an empty directory; None for one that is only asked for what it holds.
        version: of the program.
        is_there: whether it is installed.
        wanted: what to do where it is not.
        start_archive: on an empty directory, with a destination of C-MOVE on that port, so that it can be filled and
            asked; None where it cannot be asked.
        works: the only works it takes part in, by name; empty: all.
        idle: how many idle associations it is given.
        fillers: associations that it can be filled over at a time.
    """

    name: str
    conditions: str
    start: Callable[[Path], AbstractContextManager[Peer]] | None
    version: Callable[[], str]
    is_there: Callable[[], bool]
    wanted: str
    start_archive: Callable[[Path, int], AbstractContextManager[Peer]] | None = None
    works: frozenset[str] = frozenset()
    idle: int = 100
    fillers: int = 4

    def does(self, work: Work) -> bool:
        """Whether it takes part."""
        if work.is_of_archive:
            return self.start_archive is not None
        return self.start is not None and (not self.works or work.name in self.works)


def _start_ours(directory: Path, *options: str) -> AbstractContextManager[Peer]:
    port = free_port()
    argv = [str(_BIN / "dicom-server"), "start", "--aet", AE_TITLE, "--port", str(port)]
    argv += ["--data-dir", str(directory), "--durability", "process", *options]
    return serving("dicom-server", argv, directory, port=port, ae_title=AE_TITLE)


def _start_without_index(directory: Path) -> AbstractContextManager[Peer]:
    return _start_ours(directory, "--database", "none")


def _start_our_archive(directory: Path, destination: int) -> AbstractContextManager[Peer]:
    known = {DESTINATION: {"host": HOST, "port": destination, "aeTitle": DESTINATION}}
    config = directory.parent / f"{directory.name}.json"
    config.write_text(json.dumps({"knownDestinations": known}))
    return _start_ours(directory, "--config", str(config))


def _start_pynetdicom(directory: Path) -> AbstractContextManager[Peer]:
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.pynetdicom_scp", str(port), str(directory)]
    return serving("pynetdicom", argv, directory, port=port, ae_title=AE_TITLE)


def _start_storescp(directory: Path) -> AbstractContextManager[Peer]:
    return storescp(directory, "--fork", ae_title=AE_TITLE)


def _start_orthanc(directory: Path, **settings: Any) -> AbstractContextManager[Peer]:
    return orthanc(
        directory,
        ae_title=AE_TITLE,
        rest=False,
        SyncStorageArea=False,
        StorageCompression=False,
        MaximumPduLength=131072,
        DicomAlwaysAllowStore=True,
        DicomCheckCalledAet=False,
        DicomThreadsCount=256,
        **settings,
    )


def _start_orthanc_archive(directory: Path, destination: int) -> AbstractContextManager[Peer]:
    return _start_orthanc(
        directory,
        modalities={"load": (CALLING_AE, destination), "sink": (DESTINATION, destination)},
        LimitFindResults=0,
        LimitFindInstances=0,
        DicomAlwaysAllowFind=True,
        DicomAlwaysAllowGet=True,
        DicomAlwaysAllowMove=True,
    )


def _start_dcmqrscp(directory: Path, destination: int) -> AbstractContextManager[Peer]:
    return dcmqrscp(directory, "--bit-preserving", ae_title=AE_TITLE, destinations={DESTINATION: destination})


CONTENDERS = (
    Contender(
        "ours",
        "durability process; structure of each data set checked, SQLite index",
        _start_ours,
        lambda: importlib.metadata.version("dicom-server"),
        lambda: (_BIN / "dicom-server").exists(),
        "make install",
        _start_our_archive,
    ),
    Contender(
        WITHOUT_INDEX,
        "the same with --database none",
        _start_without_index,
        lambda: importlib.metadata.version("dicom-server"),
        lambda: (_BIN / "dicom-server").exists(),
        "make install",
        works=frozenset({"C-STORE 512 KiB x1"}),
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
        _start_orthanc_archive,
    ),
    Contender(
        "dcmqrscp",
        "forks for each association, keeps the bytes as received, its index is one file that it reads through",
        None,
        lambda: run_peer("dcmqrscp", "--version").output.split()[2],
        lambda: find_peer("dcmqrscp") is not None,
        "apt-get install dcmtk",
        _start_dcmqrscp,
        fillers=1,  # two of its processes may give their files the same name
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
