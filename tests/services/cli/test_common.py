import io

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from services.cli.common import (
    ExitCode,
    PeerAddress,
    ae_title,
    fail,
    parse_peer_address,
    peer_address,
    progress,
    usage_error,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:104", PeerAddress("localhost", 104)),
        ("localhost", PeerAddress("localhost", 11112)),
        ("pacs://localhost:11112", PeerAddress("localhost", 11112)),
        ("pacs://pacs.hospital.local", PeerAddress("pacs.hospital.local", 11112)),
        ("pacs://localhost:11112/", PeerAddress("localhost", 11112)),
        ("dicom://192.0.2.1:104", PeerAddress("192.0.2.1", 104)),
        ("dicoms://host:2762", PeerAddress("host", 2762, tls=True)),
        ("DICOMS://host", PeerAddress("host", 11112, tls=True)),
        ("[::1]:104", PeerAddress("::1", 104)),
        ("[2001:db8::1]", PeerAddress("2001:db8::1", 11112)),
        ("dicoms://[::1]:2762", PeerAddress("::1", 2762, tls=True)),
    ],
)
def test_an_address(text: str, address: PeerAddress) -> None:
    assert parse_peer_address(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected host:port"),
        (":104", "expected host:port"),
        ("pacs://", "expected host:port"),
        ("pacs://host:104/AE", "the port '104/AE' is not a number from 1 to 65535"),
        ("host/AE", "expected host:port"),
        ("AE@host:104", "expected host:port"),
        ("a host:104", "expected host:port"),
        ("host:", "the port '' is not a number"),
        ("host:0", "the port '0' is not a number from 1 to 65535"),
        ("host:65536", "the port '65536'"),
        ("host:-1", "the port '-1'"),
        ("host:+1", r"the port '\+1'"),
        ("host:dicom", "the port 'dicom'"),
        ("host:١", "the port '١'"),
        ("http://host:104", "unknown scheme; use pacs:// or, for TLS, dicoms://"),
        ("::1", r"put an IPv6 address in brackets, as \[::1\]:11112"),
        ("[::1", "write an IPv6 address as"),
        ("[::1]104", "write an IPv6 address as"),
        ("[]:104", "write an IPv6 address as"),
        ("host\n:104", r"'host\\n:104': expected host:port"),
    ],
)
def test_what_is_no_address_is_told_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_peer_address(text)
    with pytest.raises(typer.BadParameter, match=why):
        peer_address(text)


def test_another_default_port() -> None:
    assert parse_peer_address("dicoms://host", default_port=2762).port == 2762


@given(
    st.sampled_from(["localhost", "192.0.2.1", "::1", "2001:db8::7"]), st.integers(1, 65535), st.booleans()
)
def test_an_address_reads_back_as_it_was_written(host: str, port: int, tls: bool) -> None:
    address = PeerAddress(host, port, tls)
    assert parse_peer_address(str(address)) == address


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = parse_peer_address(text)
    except ValueError:
        return
    assert address.host
    assert 1 <= address.port <= 65535


@pytest.mark.parametrize("text", ["A", "SIXTEEN_LETTERS_", "WITH SPACE", " PADDED ", "a-z.0"])
def test_an_ae_title(text: str) -> None:
    assert ae_title(text) == text.strip()


@pytest.mark.parametrize("text", ["", "   ", "SEVENTEEN_LETTERS", "BACK\\SLASH", "TAB\t", "MÜLLER", "A\n"])
def test_what_is_no_ae_title(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="an AE title has 1 to 16 ASCII characters"):
        ae_title(text)


def test_failing_says_why_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught:
        fail("the peer said \x1b[2J\nand left")
    assert caught.value.exit_code == ExitCode.FAILURE == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: the peer said \\x1b[2J\nerror: and left\n")


def test_bad_usage_has_an_exit_code_of_its_own() -> None:
    with pytest.raises(typer.Exit) as caught:
        usage_error("no")
    assert caught.value.exit_code == ExitCode.USAGE == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_shows_on_a_terminal() -> None:
    terminal = Terminal()
    with progress("Sending [bold]\n", 2, stream=terminal) as advance:
        advance(1)
        advance(1)
    assert "Sending [bold]\\n" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


def test_progress_is_silent_in_a_pipe_and_when_told_to_be() -> None:
    pipe, terminal = io.StringIO(), Terminal()
    with progress("Sending", 1, stream=pipe) as advance:
        advance(1)
    with progress("Sending", 1, stream=terminal, quiet=True) as advance:
        advance(1)
    assert pipe.getvalue() == terminal.getvalue() == ""
