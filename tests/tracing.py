"""`dicom-trace` as a program of its own, and captures for it to read."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.trace.fields import Side
from services.trace.pcap_writer import PCAP_HEADER, PcapConnection
from trace_samples import Sent, wire

PROGRAM = (sys.executable, "-c", "from services.cli.trace import app; app(prog_name='dicom-trace')")
DEADLINE = 20.0


@dataclass
class Tracing:
    """A running `dicom-trace`; what it prints goes to two files."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    @property
    def output(self) -> str:
        return self.stdout.read_text()

    @property
    def errors(self) -> str:
        return self.stderr.read_text()

    def wait_for(self, text: str, times: int = 1, *, stderr: bool = False) -> str:
        """All that was printed, once `text` stands in it `times` times."""
        file = self.stderr if stderr else self.stdout
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if (printed := file.read_text()).count(text) >= times:
                return printed
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.errors}"
            time.sleep(0.02)
        raise AssertionError(f"no {text!r} within {DEADLINE:g} s:\n{self.output}\n{self.errors}")

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """As Ctrl-C does; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


@contextmanager
def tracing(
    directory: Path, *arguments: str | Path | int, stdin: int = subprocess.DEVNULL, stdout: int | None = None
) -> Iterator[Tracing]:
    """Run `dicom-trace`; it is killed where it has not ended with the block.

    Args:
        stdout: a descriptor to print to, instead of to a file in `directory`.
    """
    printed, stderr = directory / "trace.out", directory / "trace.err"
    source = str(Path(__file__).parent.parent / "src")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}
    with printed.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            [*PROGRAM, *map(str, arguments)],
            stdin=stdin,
            stdout=out if stdout is None else stdout,
            stderr=err,
            env=environment,
        )
    try:
        yield Tracing(process, printed, stderr)
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


@contextmanager
def tracing_proxy(directory: Path, to: int, *options: str | Path) -> Iterator[tuple[Tracing, int]]:
    """`dicom-trace proxy` in front of a port of this machine; yields it and the port where it listens."""
    with tracing(directory, "proxy", "--listen", 0, "--to", f"127.0.0.1:{to}", *options) as trace:
        line = trace.wait_for("passing on to", stderr=True)
        yield trace, int(line.partition("listening on 127.0.0.1:")[2].partition(",")[0])


def write_capture(path: Path, *connections: tuple[Sent, ...], port: int = 104) -> Path:
    """A pcap file of connections, one after the other, each closed by its requestor."""
    with path.open("wb") as file:
        file.write(PCAP_HEADER)
        for number, sent in enumerate(connections):
            connection = PcapConnection(file.write, ("127.0.0.1", 40000 + number), ("127.0.0.1", port))
            at = 1000.0 + 10 * number
            connection.opened(at)
            for sender, pdu in sent:
                at += 0.1
                connection.data(sender, wire(pdu), at)
            connection.closed(Side.REQUESTOR, at + 0.1)
    return path
