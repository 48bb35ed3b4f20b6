import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from services.cli.server import _OPTIONS, app
from services.server.config import Config, Trace
from services.server.config_file import ConfigError, Problem
from services.server.control import ControlServer
from services.server.statistics import Statistics

USAGE_CONTRACT = Path(__file__).parents[1] / "server" / "usage_contract"


class Started:
    """Stands in for the server itself: what it was started with, and what it then does."""

    config: Config
    code = 0
    error: Exception | None = None

    def run(self, config: Config) -> int:
        self.config = config
        if self.error is not None:
            raise self.error
        return self.code


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    stand_in = Started()
    module = ModuleType("services.server.program")
    module.run = stand_in.run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "services.server.program", module)
    return stand_in


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def with_server(directory: Path, ask: Callable[[], Any], **handlers: Callable[[], dict[str, Any]]) -> Any:
    """What `ask` got while a control socket answered on `directory`."""

    async def main() -> Any:
        server = ControlServer(directory, handlers)
        await server.start()
        try:
            return await asyncio.to_thread(ask)
        finally:
            await server.close()

    return asyncio.run(main())


# -- start


def test_start_alone_takes_every_default(started: Started) -> None:
    assert invoke("start").exit_code == 0
    assert started.config == Config()


def test_the_first_line_of_the_usage_contract(started: Started) -> None:
    line = "start --aet MY_PACS --port 11112 --data-dir /var/lib/dicom --verbose"
    assert invoke(*line.split()).exit_code == 0
    assert started.config == Config(
        ae_title="MY_PACS", port=11112, data_directory=Path("/var/lib/dicom"), verbose=True
    )


def test_the_second_line_of_the_usage_contract(started: Started, tmp_path: Path) -> None:
    file = tmp_path / "dicom-server.conf"
    file.write_bytes((USAGE_CONTRACT / "verbose.json").read_bytes())
    assert invoke("start", "--config", str(file)).exit_code == 0
    assert (started.config.ae_title, started.config.verbose) == ("MY_PACS", True)


def test_options_win_over_the_file(started: Started) -> None:
    file = str(USAGE_CONTRACT / "verbose.json")
    assert invoke("start", "--config", file, "-a", "OTHER", "-p", "104", "--quiet").exit_code == 0
    settings = started.config
    assert (settings.ae_title, settings.port, settings.verbose) == ("OTHER", 104, False)
    assert settings.data_directory == Path("/var/lib/dicom")


def test_every_option_sets_its_field(started: Started) -> None:
    line = (
        "start --aet A --port 1 --host ::1 --data-dir d --database sqlite --database-url sqlite:///x "
        "--durability process --duplicates reject --max-connections 3 --max-pdu-size 16384 --allowed-ae CT1,MR1 "
        "--blocked-ae CT2 "
        "--tls --tls-certificate a.crt --tls-private-key a.key --log-format json --trace t --redact -v"
    )
    result = invoke(*line.split())
    assert result.exit_code == 0, result.output
    settings = started.config
    assert settings == Config(
        ae_title="A",
        port=1,
        host="::1",
        data_directory=Path("d"),
        database="sqlite",
        database_url="sqlite:///x",
        durability="process",
        duplicates="reject",
        max_concurrent_connections=3,
        max_pdu_size=16384,
        allowed_calling_ae_titles=("CT1", "MR1"),
        blocked_calling_ae_titles=("CT2",),
        enable_tls=True,
        tls_certificate="a.crt",
        tls_private_key="a.key",
        log=type(settings.log)(format="json"),
        trace=Trace(directory=Path("t"), redact=True),
        verbose=True,
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--port", "99999"), "--port: 99999 is not allowed; allowed: 0 to 65535"),
        (("--aet", "SEVENTEEN_LETTERS"), "--aet: "),
        (("--allowed-ae", "A,,B"), '--allowed-ae: "" is not allowed'),
        (("--durability", "none"), "--durability: "),
        (("--duplicates", "x"), "--duplicates: "),
        (("--max-connections", "0"), "--max-connections: "),
        (("--max-pdu-size", "100"), "--max-pdu-size: "),
        (("--database-url", "mysql://x"), "--database-url: "),
        (("--database", "oracle"), "--database: "),
        (("--log-format", "xml"), "--log-format: "),
        (("--tls",), "enableTLS: true needs tlsCertificate and tlsPrivateKey"),
        (("--redact",), "trace.redact: true, but nothing is recorded"),
        (("--tls-certificate", "a.crt"), "enableTLS: false, but tlsCertificate is set"),
        (("--config", "/nowhere/a.conf"), "/nowhere/a.conf: cannot read the configuration"),
        (("--port", "many"), "--port"),
        (("--colour",), "--colour"),
    ],
)
def test_bad_usage_names_the_option(started: Started, arguments: tuple[str, ...], text: str) -> None:
    result = invoke("start", *arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert not hasattr(started, "config")


def test_a_mistake_in_the_file_names_the_file_and_the_field(started: Started, tmp_path: Path) -> None:
    file = tmp_path / "a.conf"
    file.write_text("[timers]\nidle = 0\nartimm = 3\n")
    result = invoke("start", "--config", str(file))
    assert result.exit_code == 2
    assert f"error: {file}: timers.idle: 0 is not allowed" in result.stderr
    assert f"error: {file}: timers.artimm: unknown field; did you mean artim?" in result.stderr


def test_the_exit_code_is_the_servers(started: Started) -> None:
    started.code = 1
    assert invoke("start").exit_code == 1


def test_what_only_the_machine_can_refuse_is_bad_usage_too(started: Started) -> None:
    started.error = ConfigError([Problem("tlsCertificate", "cannot read 'a.crt': No such file")])
    result = invoke("start")
    assert result.exit_code == 2
    assert result.stderr == "error: tlsCertificate: cannot read 'a.crt': No such file\n"


def test_every_option_of_start_is_known_to_the_error_messages() -> None:
    command = typer.main.get_command(app)
    start = command.commands["start"]  # type: ignore[attr-defined]
    options = {max(parameter.opts, key=len) for parameter in start.params}
    assert options - {"--config", "--help"} == set(_OPTIONS.values())


# -- status, stats, stop


def test_status_of_the_server_on_a_data_directory(tmp_path: Path) -> None:
    status = {"aeTitle": "MY_PACS", "port": 11112, "connections": {"active": 2}, "note": "\x1b[2J"}
    result = with_server(
        tmp_path, lambda: invoke("status", "--data-dir", str(tmp_path)), status=lambda: status
    )
    assert result.exit_code == 0
    assert result.stdout == "aeTitle: MY_PACS\nport: 11112\nconnections.active: 2\nnote: \\x1b[2J\n"


def test_status_as_json(tmp_path: Path) -> None:
    status = {"aeTitle": "MY_PACS", "connections": {"active": 2}}
    result = with_server(
        tmp_path,
        lambda: invoke("status", "--data-dir", str(tmp_path), "--format", "json"),
        status=lambda: status,
    )
    assert json.loads(result.stdout) == status


def test_the_data_directory_is_found_in_the_configuration(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    file = tmp_path / "a.conf"
    file.write_text(json.dumps({"dataDirectory": str(data)}))
    result = with_server(
        data, lambda: invoke("status", "--config", str(file)), status=lambda: {"found": True}
    )
    assert result.stdout == "found: true\n"


def test_the_default_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    result = with_server(tmp_path / "data", lambda: invoke("status"), status=lambda: {"found": True})
    assert result.stdout == "found: true\n"


@pytest.mark.parametrize("command", ["status", "stats", "stop"])
def test_no_server_is_a_failure_that_says_what_to_do(command: str, tmp_path: Path) -> None:
    result = invoke(command, "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"error: no server is running on the data directory {tmp_path}; "
        f"start one with: dicom-server start --data-dir {tmp_path}, or name its --data-dir or --config\n"
    )


@pytest.mark.parametrize("command", ["status", "stats", "stop"])
def test_two_data_directories_are_one_too_many(command: str, tmp_path: Path) -> None:
    result = invoke(command, "--data-dir", str(tmp_path), "--config", str(tmp_path))
    assert result.exit_code == 2
    assert "give one of them" in result.stderr


def test_stats_as_text_and_as_json(tmp_path: Path) -> None:
    statistics = Statistics(c_store_success=12)

    def ask() -> tuple[Any, Any]:
        arguments = ("stats", "--data-dir", str(tmp_path))
        return invoke(*arguments), invoke(*arguments, "--format", "json")

    text, as_json = with_server(tmp_path, ask, stats=statistics.snapshot)
    assert "C-STORE       requests 12   success 12   failure 0" in text.stdout
    assert json.loads(as_json.stdout)["operations"]["C-STORE"]["success"] == 12


def test_stop_waits_until_the_server_has_stopped(tmp_path: Path) -> None:
    async def main() -> Any:
        stopping = asyncio.Event()

        def stop() -> dict[str, Any]:
            stopping.set()
            return {}

        server = ControlServer(tmp_path, {"stop": stop})
        await server.start()
        stopped = asyncio.create_task(asyncio.to_thread(invoke, "stop", "--data-dir", str(tmp_path)))
        await stopping.wait()
        await asyncio.sleep(0.1)
        assert not stopped.done()
        await server.close()
        return await stopped

    result = asyncio.run(main())
    assert result.exit_code == 0
    assert result.stdout == f"the server on {tmp_path} has stopped\n"


def test_a_server_that_does_not_stop_is_a_failure(tmp_path: Path) -> None:
    result = with_server(
        tmp_path, lambda: invoke("stop", "--data-dir", str(tmp_path), "--timeout", "0"), stop=dict
    )
    assert result.exit_code == 1
    assert "was told to stop, and still runs after 0 s" in result.stderr


# -- status over the network


class Echo:
    """Stands in for the SCU of Verification."""

    def __init__(self, outcome: float | Exception) -> None:
        self.outcome = outcome
        self.asked: tuple[Any, ...] = ()

    async def echo_once(self, *arguments: Any) -> float:
        self.asked = arguments
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def echo(monkeypatch: pytest.MonkeyPatch, outcome: float | Exception) -> Echo:
    stand_in = Echo(outcome)
    module = ModuleType("services.verification")
    module.echo_once = stand_in.echo_once  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "services.verification", module)
    return stand_in


def test_status_with_a_host_is_a_c_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = echo(monkeypatch, 0.0123)
    line = "status --host pacs --port 104 --calling-ae ME --called-ae MY_PACS"
    result = invoke(*line.split())
    assert result.stdout == "MY_PACS at pacs:104 answered in 12.3 ms\n"
    assert result.exit_code == 0
    assert peer.asked == ("pacs", 104, "ME", "MY_PACS", 10.0)


def test_status_over_the_network_has_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = echo(monkeypatch, 0.001)
    result = invoke("status", "--port", "104", "--format", "json")
    assert json.loads(result.stdout) == {
        "host": "localhost",
        "port": 104,
        "calledAE": "DICOM_SERVER",
        "milliseconds": 1.0,
    }
    assert peer.asked[:4] == ("localhost", 104, "DICOM_ECHO", "DICOM_SERVER")


def test_a_host_that_does_not_answer_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from dul.errors import ConnectionLost

    for outcome, text in (
        (ConnectionLost("connection refused"), "DICOM_SERVER at pacs:11112: connection refused"),
        (TimeoutError(), "DICOM_SERVER at pacs:11112 did not answer within 10 s"),
    ):
        echo(monkeypatch, outcome)
        result = invoke("status", "--host", "pacs")
        assert result.exit_code == 1
        assert text in result.stderr


def test_a_host_that_may_speak_tls_is_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    from dul.errors import ConnectionLost

    echo(monkeypatch, ConnectionLost("transport closed"))
    result = invoke("status", "--host", "pacs")
    assert "hint: the peer closed the connection without a word" in result.stderr
    assert "dicom-echo dicoms://pacs:11112 --called-ae 'DICOM_SERVER'" in result.stderr


def test_the_machine_and_the_network_are_not_asked_at_once(tmp_path: Path) -> None:
    result = invoke("status", "--host", "pacs", "--data-dir", str(tmp_path))
    assert result.exit_code == 2


def test_an_ae_title_is_checked_before_anything_is_sent() -> None:
    result = invoke("status", "--host", "pacs", "--called-ae", "SEVENTEEN_LETTERS")
    assert result.exit_code == 2
    assert "an AE title has 1 to 16" in result.stderr


# -- help


@pytest.mark.parametrize("command", ["start", "status", "stats", "stop"])
def test_help_has_examples(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"  dicom-server {command}" in result.stdout


def test_without_a_command_there_is_help() -> None:
    assert "Usage:" in invoke().output


def test_version() -> None:
    result = invoke("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("dicom-server")


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from services.cli.server import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('rich', 'pydicom', 'uvloop', 'structlog', 'asyncio', 'ssl') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
