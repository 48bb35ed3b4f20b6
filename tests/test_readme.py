"""What the README shows runs as it stands there."""

import importlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from peers import free_port

README = (Path(__file__).parents[1] / "README.md").read_text()
PORT = "11112"


def example(containing: str) -> str:
    """The one Python example with a text in it."""
    [found] = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if containing in code]
    return found


def wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port}")


def test_the_scp_and_the_scu_talk_to_each_other(tmp_path: Path) -> None:
    port = str(free_port())
    scp, scu = tmp_path / "scp.py", tmp_path / "scu.py"
    scp.write_text(example("SCP(").replace(PORT, port))
    scu.write_text(example("associate(").replace(PORT, port))
    image = str(get_testdata_file("CT_small.dcm"))
    server = subprocess.Popen(
        [sys.executable, "-u", str(scp)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until_open(int(port))
        sent = subprocess.run(
            [sys.executable, str(scu), image], capture_output=True, text=True, timeout=30, check=True
        )
        assert sent.stdout.strip() == f"{image}: status 0000H"
        assert server.stdout is not None
        assert server.stdout.readline().startswith("MY_SCU sent CT 1.3.6.1.4.1.5962.1.1.1.1.1.")
        server.send_signal(signal.SIGINT)
        assert server.communicate(timeout=15)[1] == ""
    finally:
        server.kill()
        server.communicate()


def test_the_examples_are_as_short_as_they_are_said_to_be() -> None:
    for containing in ("SCP(", "associate("):
        lines = [line for line in example(containing).splitlines() if line.strip()]
        assert len(lines) <= 13


COMMAND = re.compile(r"^(?:\.venv/bin/)?(dicom-[a-z]+) ([^#\n]*)", re.MULTILINE)


def commands() -> list[list[str]]:
    """Every line of the README that calls a command of ours, without its comment."""
    shell = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))
    return [[name, *shlex.split(rest)] for name, rest in COMMAND.findall(shell)]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_option_of_every_command_exists(words: list[str]) -> None:
    app = importlib.import_module(f"services.cli.{words[0].removeprefix('dicom-')}").app
    groups = [word for word in words[1:2] if not word.startswith(("-", "pacs:"))]
    text = CliRunner().invoke(app, [*groups, "--help"]).stdout
    assert text.startswith("Usage:"), f"no such command: {' '.join(words[:2])}"
    for word in words[1:]:
        if word.startswith("-"):
            assert re.search(rf"(?<!\S){re.escape(word)}[ ,]", text), f"{word} is no option of {words[0]}"


def test_the_commands_of_the_readme_are_found() -> None:
    assert {words[0] for words in commands()} == {
        "dicom-conformance",
        "dicom-echo",
        "dicom-move",
        "dicom-query",
        "dicom-retrieve",
        "dicom-send",
        "dicom-server",
        "dicom-trace",
    }
