"""Real peers: DICOM programs nobody here wrote, started on loopback and gone when the test is.

Servers are context managers that yield a `Peer` once its port accepts. Clients are functions that run to
their end and return an `Outcome`; from a coroutine call them in a thread, `await asyncio.to_thread(echoscu, port)`.
Every program runs with TCP_NODELAY=1: DCMTK, and Orthanc on top of it, otherwise stall 40 ms on each message.
"""

import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
START = 20.0
"""Seconds a peer may take until its port accepts."""

PACKAGES = {
    "dcmqrscp": "dcmtk",
    "dcmdump": "dcmtk",
    "dcmsend": "dcmtk",
    "dumpcap": "tshark",
    "echoscu": "dcmtk",
    "findscu": "dcmtk",
    "getscu": "dcmtk",
    "movescu": "dcmtk",
    "storescp": "dcmtk",
    "storescu": "dcmtk",
    "Orthanc": "orthanc",
    "chromium": "chromium",
    "gdcmscu": "libgdcm-tools",
    "postgres": "postgresql",
    "tshark": "tshark",
    "dciodvfy": "dicom3tools",
}
"""The programs we know, and Debian's package of each."""

_ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}


def find_peer(name: str) -> str | None:
    """Path of a program of PACKAGES, None where it is not installed."""
    assert name in PACKAGES, f"unknown peer {name}: add it to PACKAGES"
    # Debian keeps each version of PostgreSQL in a folder of its own.
    folders = ("/usr/sbin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))
    return shutil.which(name, path=":".join((os.environ.get("PATH", os.defpath), *folders)))


def require_peer(name: str) -> str:
    """Path of a program of PACKAGES; without it the test is skipped, or fails with CI=true."""
    path = find_peer(name)
    if path is None:
        import pytest

        message = f"{name} is not installed: apt-get install {PACKAGES[name]}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


_PORTS = range(20000, 32000)
"""Below those the kernel gives to clients, and to servers that ask for any."""

_claims = os.open(
    Path(tempfile.gettempdir()) / f"dicom-tests-ports-{os.getuid()}",
    os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
    0o600,
)
_handed_out: set[int] = set()


def free_port() -> int:
    """A TCP port free on loopback, that nobody else is given: neither in this process, nor in another that runs
    tests at the same time.

    Whoever takes one keeps it until the process ends, as a lock on the byte of that number in a file of all of them:
    the server it is for may start later, end, and start again.
    """
    while True:
        port = random.choice(_PORTS)
        if port in _handed_out or not _claimed(port):
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            _handed_out.add(port)
            return port


def _claimed(port: int) -> bool:
    try:
        fcntl.lockf(_claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):  # POSIX leaves open which
        return False
    return True


# -- servers


@dataclass
class Peer:
    """A running server. `directory` is where it keeps what it receives, `log` what it prints."""

    name: str
    ae_title: str
    port: int
    directory: Path
    log: Path
    process: subprocess.Popen[bytes]
    rest_port: int = 0

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    def files(self) -> list[Path]:
        """Every file below its directory, sorted."""
        return sorted(file for file in self.directory.rglob("*") if file.is_file())

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """Ask Orthanc's REST API; a body that is not bytes is sent as JSON.

        Raises:
            urllib.error.HTTPError: the answer is an error.
        """
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{HOST}:{self.rest_port}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = response.read()
            is_json = response.headers.get_content_type() == "application/json"
        return json.loads(answer) if is_json else answer


@contextmanager
def serving(
    name: str,
    argv: Sequence[str | Path],
    directory: Path,
    *,
    port: int,
    ae_title: str,
    rest_port: int = 0,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Peer]:
    """Start any server and yield it once `port` (and `rest_port`) accepts; end it and its children after.

    What it prints goes to a file beside `directory`, and into the failure if it does not come up.
    """
    directory.mkdir(parents=True, exist_ok=True)
    log = directory.parent / f"{directory.name}.{name}-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _dying_with_us([str(part) for part in argv]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**_ENVIRONMENT, **(environment or {})},
            start_new_session=True,
        )
    peer = Peer(name, ae_title, port, directory, log, process, rest_port)
    try:
        for wanted in (port, rest_port):
            if wanted:
                _wait_for_port(peer, wanted)
        yield peer
    finally:
        _end(process)


def _dying_with_us(argv: list[str]) -> list[str]:
    """Have the kernel end it when we are killed ourselves; it asks for the death of our thread, so only in the
    main one."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return argv
    return [setpriv, "--pdeathsig", "KILL", "--", *argv]


def _wait_for_port(peer: Peer, port: int) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if peer.process.poll() is not None:
            raise AssertionError(f"{peer.name} ended with {peer.process.returncode}:\n{peer.output}")
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError(f"{peer.name} did not open port {port} within {START:g} s:\n{peer.output}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask its process group to end, then insist."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def storescp(
    directory: Path, *options: str, ae_title: str = "STORESCP", port: int | None = None
) -> Iterator[Peer]:
    """DCMTK's storage SCP: takes every transfer syntax it knows, keeps the data set's bytes as they came."""
    port = port or free_port()
    argv = [require_peer("storescp"), "--aetitle", ae_title, "--output-directory", str(directory)]
    argv += ["--accept-all", "--bit-preserving", "--max-pdu", "131072", *options, str(port)]
    with serving("storescp", argv, directory, port=port, ae_title=ae_title) as peer:
        yield peer


@contextmanager
def dcmqrscp(
    directory: Path,
    *options: str,
    ae_title: str = "DCMQRSCP",
    destinations: Mapping[str, int] | None = None,
) -> Iterator[Peer]:
    """DCMTK's query/retrieve SCP; `destinations` are C-MOVE destinations on loopback, AE title -> port."""
    port = free_port()
    hosts = [
        f"host{n} = ({title}, {HOST}, {to})" for n, (title, to) in enumerate((destinations or {}).items())
    ]
    lines = [f"NetworkTCPPort = {port}", "MaxPDUSize = 131072", "MaxAssociations = 16"]
    lines += ["HostTable BEGIN", *hosts, "HostTable END", "VendorTable BEGIN", "VendorTable END"]
    lines += ["AETable BEGIN", f"{ae_title} {directory} RW (1000, 4096mb) ANY", "AETable END"]
    config = directory.parent / f"{directory.name}.dcmqrscp.cfg"
    config.write_text("\n".join(lines) + "\n")
    argv = [require_peer("dcmqrscp"), "--config", str(config), *options]
    with serving("dcmqrscp", argv, directory, port=port, ae_title=ae_title) as peer:
        yield peer


@contextmanager
def orthanc(
    directory: Path,
    *,
    ae_title: str = "ORTHANC",
    modalities: Mapping[str, tuple[str, int]] | None = None,
    rest: bool = True,
    **settings: Any,
) -> Iterator[Peer]:
    """Orthanc, with everything it keeps in `directory`.

    Args:
        modalities: peers on loopback it may call or be called by, name -> (AE title, port).
        rest: whether its REST API runs (`Peer.rest`).
        settings: further fields of its configuration, as in `SyncStorageArea=False`.
    """
    port = free_port()
    rest_port = free_port() if rest else 0
    config = {
        "Name": ae_title,
        "DicomAet": ae_title,
        "DicomPort": port,
        "HttpServerEnabled": rest,
        "HttpPort": rest_port or 8042,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(directory),
        "IndexDirectory": str(directory),
        "DicomModalities": {name: [aet, HOST, to] for name, (aet, to) in (modalities or {}).items()},
        "Plugins": [],
    }
    file = directory.parent / f"{directory.name}.orthanc.json"
    file.write_text(json.dumps(config | settings))
    argv = [require_peer("Orthanc"), str(file)]
    with serving("Orthanc", argv, directory, port=port, ae_title=ae_title, rest_port=rest_port) as peer:
        yield peer


@dataclass
class PynetdicomSCP:
    """A pynetdicom AE serving in threads of this process. `stored` has each C-STORE: SOP Instance UID, transfer
    syntax, data set bytes as received; `requests` the A-ASSOCIATE-RQs, as its primitives."""

    ae_title: str
    port: int
    stored: list[tuple[str, str, bytes]] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)


@contextmanager
def pynetdicom_scp(
    *handlers: tuple[Any, Callable[..., Any]],
    ae_title: str = "PYNETDICOM",
    configure: Callable[[Any], object] = id,
) -> Iterator[PynetdicomSCP]:
    """A pynetdicom SCP that accepts everything: verification, every storage class, every transfer syntax.

    Args:
        handlers: further (event, handler) pairs, which replace ours of the same event.
        configure: does something to the `AE` before it serves, such as adding contexts.
    """
    from pynetdicom import AE, AllStoragePresentationContexts, evt
    from pynetdicom._globals import ALL_TRANSFER_SYNTAXES

    peer = PynetdicomSCP(ae_title, free_port())

    def keep(event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        data = event.request.DataSet.getvalue()
        peer.stored.append((uid, str(event.context.transfer_syntax), data))
        return 0

    ours: dict[Any, Callable[..., Any]] = {
        evt.EVT_C_STORE: keep,
        evt.EVT_REQUESTED: lambda event: peer.requests.append(event.assoc.requestor.primitive),
    }
    ae = AE(ae_title)
    ae.maximum_associations = 100
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    ae.add_supported_context("1.2.840.10008.1.1", ALL_TRANSFER_SYNTAXES)
    configure(ae)
    ae.start_server((HOST, peer.port), block=False, evt_handlers=list((ours | dict(handlers)).items()))
    try:
        yield peer
    finally:
        ae.shutdown()


# -- clients and oracles


@dataclass(frozen=True, repr=False)
class Outcome:
    """How a program ended, and what it printed on both streams; as text all of it, for `assert it.ok, it`."""

    argv: tuple[str, ...]
    code: int
    output: str

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0

    def __repr__(self) -> str:
        return f"{' '.join(self.argv)}\nended with {self.code}:\n{self.output}"


def run_peer(name: str, *arguments: str | Path | int, deadline: float = 60.0) -> Outcome:
    """Run a program of PACKAGES to its end.

    Raises:
        AssertionError: it did not end within `deadline` seconds.
    """
    argv = (require_peer(name), *(str(argument) for argument in arguments))
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_ENVIRONMENT,
            timeout=deadline,
        )
    except subprocess.TimeoutExpired as error:
        printed = (error.stdout or b"").decode(errors="replace")
        raise AssertionError(f"{' '.join(argv)}\nran longer than {deadline:g} s:\n{printed}") from None
    return Outcome(argv, done.returncode, done.stdout.decode(errors="replace"))


def _dcmtk(
    name: str, port: int, options: Sequence[str], after: Sequence[str | Path], titles: tuple[str, str]
) -> Outcome:
    return run_peer(name, "-aet", titles[0], "-aec", titles[1], *options, HOST, port, *after)


def echoscu(port: int, *options: str, calling: str = "ECHOSCU", called: str = "DICOM_SERVER") -> Outcome:
    """DCMTK's echoscu; 0 only where every C-ECHO-RSP said Success."""
    return _dcmtk("echoscu", port, options, (), (calling, called))


def storescu(
    port: int,
    *files: str | Path,
    options: Sequence[str] = (),
    calling: str = "STORESCU",
    called: str = "DICOM_SERVER",
) -> Outcome:
    """DCMTK's storescu over files, or folders with `options=("+sd", "+r")`."""
    return _dcmtk("storescu", port, options, files, (calling, called))


def dcmsend(
    port: int,
    *files: str | Path,
    options: Sequence[str] = (),
    calling: str = "DCMSEND",
    called: str = "DICOM_SERVER",
) -> Outcome:
    """DCMTK's dcmsend, which sends each file in the syntax it is in."""
    return _dcmtk("dcmsend", port, options, files, (calling, called))


def findscu(port: int, *options: str, calling: str = "FINDSCU", called: str = "DICOM_SERVER") -> Outcome:
    """DCMTK's findscu; `options` carry the model and the keys, as in "-S", "-k", "QueryRetrieveLevel=STUDY"."""
    return _dcmtk("findscu", port, options, (), (calling, called))


def gdcmscu(
    port: int,
    *arguments: str | Path,
    mode: str = "--echo",
    calling: str = "GDCMSCU",
    called: str = "DICOM_SERVER",
) -> Outcome:
    """GDCM's SCU, printing every response; `mode` is --echo, --store (arguments: files), --find or --move.

    GDCM 3.0.21 is killed by an exception of its own once an association is over, whoever the peer is; its
    code is then 0 here where the peer had confirmed the release before.
    """
    titles = ("--aetitle", calling, "--call", called)
    outcome = run_peer("gdcmscu", mode, "--debug", *titles, HOST, port, *arguments)
    if _GDCM_END in outcome.output and _GDCM_RELEASED in outcome.output:
        return replace(outcome, code=0)
    return outcome


_GDCM_END = "ProtocolStream as nullptr is invalid"
_GDCM_RELEASED = "Process: Event:12, State:6"  # A-RELEASE-RP in Sta7, in GDCM's numbers


def dcmdump(file: Path, *options: str) -> Outcome:
    """DCMTK's dump of a file; not 0 where it cannot be read."""
    return run_peer("dcmdump", *options, file)


def dciodvfy(file: Path) -> list[str]:
    """The errors dicom3tools finds in a file against its IOD, without warnings, sorted."""
    lines = run_peer("dciodvfy", file).output.splitlines()
    return sorted(line for line in lines if line.startswith("Error"))
