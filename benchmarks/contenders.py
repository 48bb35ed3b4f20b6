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
from benchmarks.works import (
    DCMQRSCP,
    DCMSEND,
    DESTINATION,
    ORTHANC,
    OURS,
    PYNETDICOM,
    STORESCP,
    STORESCU,
    TWO_WORKERS,
    Work,
)
from certificates import self_signed
from peers import HOST, Peer, dcmqrscp, find_peer, free_port, orthanc, run_peer, serving, storescp

AE_TITLE = "BENCH"
_BIN = Path(sys.executable).parent
_START = Callable[[Path, Work], AbstractContextManager[Peer]]


@dataclass(frozen=True)
class Contender:
    """Who is measured: a server, or one that sends.

    Attributes:
        conditions: how it is set up.
        version: of the program.
        is_there: whether it is installed.
        wanted: what to do where it is not.
        start: on an empty directory, for a work; None where it is not measured so.
        start_archive: on an empty directory, with a destination of C-MOVE on that port, so that it can be filled and
            asked; None where it cannot be asked.
        idle: how many idle associations it is given.
        fillers: associations that it can be filled over at a time.
        fastest: bytes a second that it never stores more than.
    """

    name: str
    conditions: str
    version: Callable[[], str]
    is_there: Callable[[], bool]
    wanted: str
    start: _START | None = None
    start_archive: Callable[[Path, int], AbstractContextManager[Peer]] | None = None
    idle: int = 100
    fillers: int = 4
    fastest: int = 1_800_000_000

    def does(self, work: Work) -> bool:
        """Whether it takes part."""
        return self.name in work.servers


def run_ours(directory: Path, durability: str, *options: str) -> AbstractContextManager[Peer]:
    """Our server, with further options of `dicom-server start`."""
    port = free_port()
    argv = [str(_BIN / "dicom-server"), "start", "--aet", AE_TITLE, "--port", str(port)]
    argv += ["--data-dir", str(directory), "--durability", durability, *options]
    return serving("dicom-server", argv, directory, port=port, ae_title=AE_TITLE)


def _start_ours(directory: Path, work: Work, *options: str) -> AbstractContextManager[Peer]:
    if work.idle:
        options += ("--max-connections", str(work.associations + work.idle))
    if work.tls:
        certificate, key = self_signed(directory.parent)
        options += ("--tls", "--tls-certificate", str(certificate), "--tls-private-key", str(key))
    return run_ours(directory, "power" if work.power else "process", *options)


def _start_two_workers(directory: Path, work: Work) -> AbstractContextManager[Peer]:
    return _start_ours(directory, work, "--workers", "2")


def _start_our_archive(directory: Path, destination: int) -> AbstractContextManager[Peer]:
    known = {DESTINATION: {"host": HOST, "port": destination, "aeTitle": DESTINATION}}
    config = directory.parent / f"{directory.name}.json"
    config.write_text(json.dumps({"knownDestinations": known}))
    return run_ours(directory, "process", "--config", str(config))


def _start_pynetdicom(directory: Path, _work: Work) -> AbstractContextManager[Peer]:
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.pynetdicom_scp", str(port), str(directory)]
    return serving("pynetdicom", argv, directory, port=port, ae_title=AE_TITLE)


def _start_storescp(directory: Path, _work: Work) -> AbstractContextManager[Peer]:
    return storescp(directory, "--fork", ae_title=AE_TITLE)


def _run_orthanc(directory: Path, *, synced: bool, **settings: Any) -> AbstractContextManager[Peer]:
    return orthanc(
        directory,
        ae_title=AE_TITLE,
        rest=False,
        SyncStorageArea=synced,
        StorageCompression=False,
        MaximumPduLength=131072,
        DicomAlwaysAllowStore=True,
        DicomCheckCalledAet=False,
        DicomThreadsCount=256,
        **settings,
    )


def _start_orthanc(directory: Path, work: Work) -> AbstractContextManager[Peer]:
    return _run_orthanc(directory, synced=work.power)


def _start_orthanc_archive(directory: Path, destination: int) -> AbstractContextManager[Peer]:
    return _run_orthanc(
        directory,
        synced=False,
        modalities={"load": (CALLING_AE, destination), "sink": (DESTINATION, destination)},
        LimitFindResults=0,
        LimitFindInstances=0,
        DicomAlwaysAllowFind=True,
        DicomAlwaysAllowGet=True,
        DicomAlwaysAllowMove=True,
    )


def _start_dcmqrscp(directory: Path, destination: int) -> AbstractContextManager[Peer]:
    return dcmqrscp(directory, "--bit-preserving", ae_title=AE_TITLE, destinations={DESTINATION: destination})


def _version_of_ours() -> str:
    return importlib.metadata.version("dicom-server")


def _ours_is_there() -> bool:
    return (_BIN / "dicom-server").exists()


def _of_dcmtk(name: str, conditions: str, start: _START | None = None, **more: Any) -> Contender:
    return Contender(
        name,
        conditions,
        lambda: run_peer(name, "--version").output.split()[2],
        lambda: find_peer(name) is not None,
        "apt-get install dcmtk",
        start,
        **more,
    )


CONTENDERS = (
    Contender(
        OURS,
        "structure of each data set checked, SQLite index; as a sender, dicom-send",
        _version_of_ours,
        _ours_is_there,
        "make install",
        _start_ours,
        _start_our_archive,
    ),
    Contender(
        TWO_WORKERS,
        "the same with --workers 2",
        _version_of_ours,
        _ours_is_there,
        "make install",
        _start_two_workers,
    ),
    _of_dcmtk(
        STORESCP,
        "forks for each association, writes the bytes as received, no index",
        _start_storescp,
        idle=16,  # a process each
    ),
    Contender(
        ORTHANC,
        "SQLite index, SyncStorageArea off but at durability power, enough DICOM threads for every association",
        lambda: run_peer("Orthanc", "--version").output.split()[1],
        lambda: find_peer("Orthanc") is not None,
        "apt-get install orthanc",
        _start_orthanc,
        _start_orthanc_archive,
        fastest=500_000_000,
    ),
    _of_dcmtk(
        DCMQRSCP,
        "forks for each association, keeps the bytes as received, its index is one file that it reads through",
        start_archive=_start_dcmqrscp,
        fillers=1,  # two of its processes may give their files the same name
    ),
    Contender(
        PYNETDICOM,
        "all its storage contexts, writes the bytes as received, no index",
        lambda: importlib.metadata.version("pynetdicom"),
        lambda: importlib.util.find_spec("pynetdicom") is not None,
        "pip install pynetdicom",
        _start_pynetdicom,
        fastest=500_000_000,
    ),
    _of_dcmtk(DCMSEND, "a folder, its files looked at before they are sent"),
    _of_dcmtk(STORESCU, "a folder"),
)
