import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dul.pdus import AReleaseRQ
from dul_samples import FIXTURES
from services.cli.common import PeerAddress
from services.cli.trace import app, listen_address
from trace_samples import AN_ECHO, ECHO_RQ, A, R, ac, rq, wire
from tracing import write_capture


def trace(*arguments: str | Path | int, stdin: bytes | str | None = None) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def test_help_tells_of_every_command_and_the_exit_codes() -> None:
    result = trace("--help")
    assert result.exit_code == 0
    for word in ("proxy", "read", "decode", "states", "Exit codes"):
        assert word in result.stdout


def test_help_needs_nothing_heavy() -> None:
    program = (
        "import sys\nfrom services.cli.trace import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'pydicom', 'rich', 'asyncio', 'jinja2', 'dul', 'services.trace.association'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


# -- decode


def test_decode_hexadecimal_text() -> None:
    result = trace("decode", FIXTURES / "pdus" / "a_associate_rq.hex")
    assert result.exit_code == 0, result.output
    first, *fields = result.stdout.splitlines()
    assert first.startswith("  0.000000 -> A-ASSOCIATE-RQ ")
    assert "Sta" not in first
    assert len(fields) > 20
    assert any("1.2.840.10008.1.1" in line and "PS3.8 9.3.2" in line for line in fields)


@pytest.mark.parametrize("stdin", [b"07 00 00000004 0000 0202", b"\7\0\0\0\0\4\0\0\2\2"])
def test_decode_standard_input(stdin: bytes) -> None:
    result = trace("decode", "-", stdin=stdin)
    assert result.exit_code == 0, result.output
    assert " A-ABORT " in result.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("options", "data", "arrow"),
    [
        ((), wire(rq()), "->"),
        ((), wire(ac()), "<-"),
        ((), wire(AReleaseRQ()), "->"),
        (("--from", "acceptor"), wire(AReleaseRQ()), "<-"),
        (("--from", "requestor"), wire(ac()), "->"),
    ],
)
def test_decode_knows_the_direction(tmp_path: Path, options: tuple[str], data: bytes, arrow: str) -> None:
    file = tmp_path / "pdu.bin"
    file.write_bytes(data)
    assert trace("decode", file, *options).stdout.startswith(f"  0.000000 {arrow} ")


def test_decode_several_and_what_is_left_over(tmp_path: Path) -> None:
    file = tmp_path / "pdus"
    file.write_bytes(wire(rq()) + wire(ECHO_RQ) + b"\5\0\0")
    result = trace("decode", file)
    heads = [line for line in result.stdout.splitlines() if line.startswith("  0.0")]
    assert [line.split()[2] for line in heads] == ["A-ASSOCIATE-RQ", "P-DATA-TF", "3"]
    assert "3 bytes of A-RELEASE-RQ left over" in heads[-1]
    assert "!" not in result.stdout


def test_decode_as_json() -> None:
    result = trace("decode", "-", "--format", "json", stdin=wire(ECHO_RQ))
    (found,) = map(json.loads, result.stdout.splitlines())
    assert found["pdu"] == "P-DATA-TF"
    assert found["fields"]
    assert found["messages"][0]["name"] == "C-ECHO-RQ"


@pytest.mark.parametrize("name", ["a_associate_rq_short", "a_release_rq_of_0_bytes"])
def test_strict_tells_by_the_exit_code(name: str) -> None:
    file = FIXTURES / "invalid" / f"{name}.hex"
    assert trace("decode", file).exit_code == 0
    result = trace("decode", file, "--strict")
    assert result.exit_code == 1
    assert "! " in result.stdout
    assert "problem" in result.stderr
    assert trace("decode", FIXTURES / "pdus" / "a_release_rq.hex", "--strict").exit_code == 0


# -- read


def test_read_a_capture(tmp_path: Path) -> None:
    file = write_capture(tmp_path / "two.pcap", AN_ECHO, AN_ECHO)
    result = trace("read", file)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 2 * (1 + len(AN_ECHO) + 2)
    assert lines[0].startswith("Connection 1: 127.0.0.1:40000 -> 127.0.0.1:104, 1970-01-01 00:16:40")
    assert {line[0] for line in lines[1:9]} == {"1"}
    assert lines[-1].endswith("acceptor Sta13 + Evt17 -> AR-5 -> Sta1")
    assert "!" not in result.stdout


def test_read_from_a_pipe(tmp_path: Path) -> None:
    file = write_capture(tmp_path / "one.pcap", AN_ECHO)
    result = trace("read", "-", "--format", "json", stdin=file.read_bytes())
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["kind"] for line in result.stdout.splitlines()] == [
        "event",
        *["pdu"] * 6,
        "event",
    ]


def test_read_by_port(tmp_path: Path) -> None:
    file = write_capture(tmp_path / "midway.pcap", AN_ECHO[2:], port=5555)
    nothing = trace("read", file)
    assert nothing.exit_code == 1
    assert "no DICOM association is in this capture" in nothing.stderr
    assert "--port" in nothing.stderr
    assert trace("read", file, "--port", "5555").exit_code == 0
    assert "no connection with such a port" in trace("read", file, "-p", "5556").stderr


def test_read_strictly(tmp_path: Path) -> None:
    wrong = write_capture(tmp_path / "wrong.pcap", (*AN_ECHO[:2], (A, wire(ac()))))
    assert trace("read", wrong).exit_code == 0
    result = trace("read", wrong, "--strict")
    assert result.exit_code == 1
    assert "Table 9-10 has no cell for Evt7" in result.stdout


def test_a_damaged_capture_is_shown_up_to_the_damage(tmp_path: Path) -> None:
    file = write_capture(tmp_path / "damaged.pcap", AN_ECHO)
    file.write_bytes(file.read_bytes() + b"\xff" * 64)
    result = trace("read", file)
    assert result.exit_code == 0
    assert " A-RELEASE-RP " in result.stdout
    assert str(file) in result.stderr


# -- files that cannot be read, options that make no sense


@pytest.mark.parametrize("command", ["read", "decode"])
def test_a_file_that_is_missing(tmp_path: Path, command: str) -> None:
    result = trace(command, tmp_path / "absent")
    assert result.exit_code == 2
    assert result.stderr == f"error: {tmp_path / 'absent'}: there is no such file\n"


@pytest.mark.parametrize("command", ["read", "decode"])
def test_a_directory(tmp_path: Path, command: str) -> None:
    result = trace(command, tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path}: cannot be read: Is a directory" in result.stderr


@pytest.mark.parametrize("command", ["read", "decode"])
def test_an_empty_file(tmp_path: Path, command: str) -> None:
    file = tmp_path / "empty"
    file.touch()
    result = trace(command, file)
    assert result.exit_code == 2
    assert f"{file} is empty" in result.stderr


@pytest.mark.parametrize("content", [b"# not a capture\n", b"\x16\x03\x01" + bytes(100)])
def test_what_is_no_capture(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "some.pcap"
    file.write_bytes(content)
    result = trace("read", file)
    assert result.exit_code == 2
    assert str(file) in result.stderr
    assert "pcap" in result.stderr


def test_what_is_no_hexadecimal_text(tmp_path: Path) -> None:
    file = tmp_path / "letter.hex"
    file.write_text("07 00\nDear Sir")
    result = trace("decode", file)
    assert result.exit_code == 2
    assert f"{file}: line 2 is no hexadecimal text: Dear Sir" in result.stderr


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    page = tmp_path / "nowhere" / "page.html"
    result = trace("decode", "-", "--html", page, stdin=wire(rq()))
    assert result.exit_code == 2
    assert f"there is no directory {page.parent}" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("11113", ("127.0.0.1", 11113)),
        ("0", ("127.0.0.1", 0)),
        ("0.0.0.0:104", ("0.0.0.0", 104)),
        ("[::1]:104", ("::1", 104)),
        ("localhost:104", ("localhost", 104)),
    ],
)
def test_where_to_listen(text: str, expected: tuple[str, int]) -> None:
    assert listen_address(text) == PeerAddress(*expected)


@pytest.mark.parametrize("text", ["70000", "", "host:port", "dicoms://host:104", "pacs://host:104", "²"])
def test_where_nobody_can_listen(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        listen_address(text)


def test_the_proxy_needs_a_target() -> None:
    result = trace("proxy")
    assert result.exit_code == 2
    assert "--to" in result.stderr


def test_tls_options_for_a_plain_target() -> None:
    result = trace("proxy", "--to", "localhost:1", "--tls-insecure")
    assert result.exit_code == 2
    assert "is plain TCP" in result.stderr


# -- states


def test_states() -> None:
    result = trace("states")
    assert result.exit_code == 0
    assert "Evt6  A-ASSOCIATE-RQ PDU " in result.stdout
    assert "AA-8   -> Sta13: " in result.stdout


def test_states_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "states.txt"
    assert trace("states", "-o", file).stdout == ""
    assert file.read_text() == trace("states").stdout
    failed = trace("states", "-o", tmp_path)
    assert failed.exit_code == 2
    assert f"--output {tmp_path}: cannot be written: Is a directory" in failed.stderr


# -- pages


def test_pages(tmp_path: Path) -> None:
    capture = write_capture(tmp_path / "two.pcap", AN_ECHO, AN_ECHO)
    page = tmp_path / "trace.html"
    result = trace("read", capture, "--html", page)
    assert result.exit_code == 0, result.output
    assert f"written: {page}" in result.stderr
    text = page.read_text()
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert text.count("127.0.0.1:4000") >= 2
    assert trace("decode", FIXTURES / "pdus" / "a_associate_rq.hex", "--html", page).exit_code == 0
    assert "A-ASSOCIATE-RQ" in page.read_text()


def test_the_page_of_the_states(tmp_path: Path) -> None:
    file = tmp_path / "states.html"
    assert trace("states", "--html", "-o", file).exit_code == 0
    assert file.read_text() == trace("states", "--html").stdout
    assert "AE-6" in file.read_text()


def test_the_page_is_written_where_problems_decide_the_exit_code(tmp_path: Path) -> None:
    page = tmp_path / "trace.html"
    wrong = write_capture(tmp_path / "wrong.pcap", ((R, rq()), (R, ECHO_RQ)))
    assert trace("read", wrong, "--strict", "--html", page).exit_code == 1
    assert "Table 9-10" in page.read_text()
