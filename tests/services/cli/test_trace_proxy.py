"""The proxy as a program: what it prints while it runs, what is left when it has ended."""

import json
import signal
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from certificates import self_signed, server_context
from peers import HOST, free_port
from scps import in_a_thread
from services import SCP, Verification
from services.cli.echo import app as echo_app
from trace_samples import rq, wire
from tracing import tracing, tracing_proxy


def echo(port: int, called: str = "MY_PACS") -> int:
    line = [f"pacs://localhost:{port}", "--aet", "TEST_SCU", "--called-ae", called]
    return CliRunner().invoke(echo_app, line).exit_code


def test_what_passes_is_shown_recorded_and_made_a_page_of(tmp_path: Path) -> None:
    page, record = tmp_path / "trace.html", tmp_path / "trace.pcap"
    with (
        in_a_thread(SCP("MY_PACS", [Verification()])) as port,
        tracing_proxy(tmp_path, port, "--html", page, "--record", record) as (trace, proxy),
    ):
        assert echo(proxy) == 0
        trace.wait_for("connection closed")
        assert echo(proxy, "OTHER") == 1
        trace.wait_for("connection closed", 2)
        assert trace.interrupt() == 0
    assert "!" not in trace.output
    assert " A-ASSOCIATE-RJ " in trace.output
    assert "Sta13 + Evt17 -> AR-5 -> Sta1" in trace.output
    assert "patients' data included" in trace.errors
    assert "A-ASSOCIATE-RJ" in page.read_text()
    with tracing(tmp_path, "read", record) as again:
        assert again.process.wait(20) == 0
    assert [
        line.split()[2:4] for line in again.output.splitlines() if " -> A" in line or " <- A" in line
    ] != []
    assert " A-ASSOCIATE-RJ " in again.output


def test_json_is_printed_as_it_passes(tmp_path: Path) -> None:
    with (
        in_a_thread(SCP("MY_PACS", [Verification()])) as port,
        tracing_proxy(tmp_path, port, "--format", "json") as (trace, proxy),
    ):
        assert echo(proxy) == 0
        printed = trace.wait_for("connection closed")
        assert trace.interrupt(signal.SIGTERM) == 0
    entries = [json.loads(line) for line in printed.splitlines()]
    assert [entry["pdu"] for entry in entries[1:-1]] == [
        "A-ASSOCIATE-RQ", "A-ASSOCIATE-AC", "P-DATA-TF", "P-DATA-TF", "A-RELEASE-RQ", "A-RELEASE-RP",
    ]  # fmt: skip
    assert [problem for entry in entries for problem in entry["problems"]] == []


def test_strictly(tmp_path: Path) -> None:
    with (
        in_a_thread(SCP("MY_PACS", [Verification()])) as port,
        tracing_proxy(tmp_path, port, "--strict") as (trace, proxy),
    ):
        with socket.create_connection((HOST, proxy)) as peer:
            peer.sendall(wire(rq()) + bytes.fromhex("06000000000400000000"))
            trace.wait_for(" A-RELEASE-RP ")
        assert trace.interrupt() == 1
    assert "! A-RELEASE-RP by the requestor in Sta5" in trace.output


def test_to_a_target_that_speaks_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with in_a_thread(SCP("MY_PACS", [Verification()]), tls=server_context(certificate, key)) as port:
        options = (
            "proxy",
            "--listen",
            0,
            "--to",
            f"dicoms://localhost:{port}",
            "--tls-ca",
            certificate,
        )
        with tracing(tmp_path, *options) as trace:
            line = trace.wait_for("passing on to", stderr=True)
            assert echo(int(line.partition("127.0.0.1:")[2].partition(",")[0])) == 0
            trace.wait_for(" A-RELEASE-RP ")
            assert trace.interrupt() == 0


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    port = free_port()
    with tracing_proxy(tmp_path, port) as (trace, proxy):
        with socket.create_connection((HOST, proxy)):
            pass
        assert f"cannot connect to 127.0.0.1:{port}" in trace.wait_for("was closed", stderr=True)
        assert trace.interrupt() == 0
    assert trace.output == ""


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with tracing(tmp_path, "proxy", "--listen", port, "--to", "localhost:1") as trace:
            assert trace.process.wait(20) == 2
    assert f"--listen 127.0.0.1:{port}: cannot listen there" in trace.errors


@pytest.mark.parametrize("name", [".", "absent/x.pcap"])
def test_a_recording_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with tracing(
        tmp_path, "proxy", "--listen", 0, "--to", "localhost:1", "--record", tmp_path / name
    ) as trace:
        assert trace.process.wait(20) == 2
    assert f"--record {tmp_path / name}: cannot be written" in trace.errors


def test_a_full_disk_ends_the_recording_alone(tmp_path: Path) -> None:
    with (
        in_a_thread(SCP("MY_PACS", [Verification()])) as port,
        tracing_proxy(tmp_path, port, "--record", "/dev/full") as (trace, proxy),
    ):
        assert echo(proxy) == 0
        trace.wait_for(" A-RELEASE-RP ")
        assert trace.interrupt() == 1
    assert trace.errors.count("--record /dev/full: No space left on device; nothing more is recorded") == 1
