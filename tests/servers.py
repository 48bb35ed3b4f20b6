"""A real server in a process of its own, on loopback, that ends with the test."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-c", "from services.cli.server import app; app()"]


class RunningServer:
    """Where it listens, and what it has logged."""

    def __init__(self, process: subprocess.Popen[bytes], data_directory: Path, log: Path) -> None:
        self.process = process
        self.data_directory = data_directory
        self.log = log
        self.port = 0

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]

    def stored(self) -> list[Path]:
        return sorted(self.data_directory.glob("*/*/*.dcm"))

    def left_in_incoming(self) -> list[Path]:
        return list((self.data_directory / ".incoming").iterdir())

    def ask(self, command: str) -> dict[str, Any]:
        done = subprocess.run(
            [*PROGRAM, command, "--data-dir", str(self.data_directory), "--format", "json"],
            capture_output=True,
            check=True,
            timeout=30,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def resident_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def wait_for(self, event: str, seconds: float = 10.0) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.lines():
                if line["event"] == event:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {event!r} in the log:\n{self.log.read_text()}")


@contextmanager
def running_server(
    directory: Path, *options: str, environment: dict[str, str] | None = None
) -> Iterator[RunningServer]:
    """`dicom-server start --aet SERVER --port 0` with further options, its files under `directory`."""
    data_directory, log = directory / "data", directory / "server.log"
    command = [*PROGRAM, "start", "--aet", "SERVER", "--port", "0", "--data-dir", str(data_directory)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--log-format", "json", *options],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    try:
        server = RunningServer(process, data_directory, log)
        server.port = server.wait_for("listening", 20)["port"]
        yield server
    finally:
        process.kill()
        process.wait()
