"""What we put on the wire, decoded by tshark; and what toolkits propose to us, answered.

Captures carry uncompressed transfer syntaxes only. On a context with a compressed one, tshark 4.0 takes the responses
of any server (ours, pynetdicom's, storescp's) for something else, and some of them for malformed.
"""

import asyncio
import re
import ssl
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pydicom
import pytest

from certificates import self_signed
from dul.negotiated import as_requestor
from dul.negotiation import build_request
from dul.pdus import AAssociateAC, AAssociateRQ
from peers import HOST, Outcome, dcmsend, echoscu, run_peer, storescp, storescu
from real_files import real_file
from servers import RunningServer, running_server
from services import (
    associate,
    contexts_for,
    echo,
    read_instance,
    send_file,
    verification_context,
)
from services.verification import echo_once
from ul_peers import raw_peer
from wire import capture, pdus_of, recording_proxy, tshark_problems

CT, MR = real_file("CT_small.dcm"), real_file("MR_small.dcm")
_ELEMENT = re.compile(r"\((\w{4}),(\w{4})\) +(\d+) ")
RQ, AC, RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)


def sent_by_us(file: Path, port: int, we: str) -> tuple[set[int], set[str]]:
    """PDU types, and one line for each packet, of what we sent as tshark reads it.

    tshark says nothing where a length leads it astray inside a command set. But then it sees elements that belong in
    none: in a command they must be of group 0000, ascending, and fill what the group length says.

    Args:
        port: where the acceptor listens.
        we: "acceptor" or "requestor".
    """
    side = "tcp.srcport" if we == "acceptor" else "tcp.dstport"
    arguments = ("-2", "-r", file, "-d", f"tcp.port=={port},dicom", "-Y", f"dicom && {side} == {port}")
    fields = run_peer("tshark", *arguments, "-T", "fields", "-e", "dicom.pdu.type", "-e", "_ws.col.Info")
    assert fields.ok, fields
    lines = [line.split("\t") for line in fields.output.splitlines() if "\t" in line]
    details = run_peer("tshark", *arguments, "-V", "-O", "dicom")
    assert details.ok, details
    commands = re.findall(r"Flags: 0x\w+ \(Command.*\n((?: +\(\w{4},\w{4}\).*\n)+)", details.output)
    for command in commands:
        assert_command(command)
    kinds = {int(kind, 16) for kinds, _ in lines for kind in kinds.split(",")}
    assert commands or P_DATA not in kinds, details
    return kinds, {info for _, info in lines}


def assert_command(text: str) -> None:
    elements = [(int(g + e, 16), int(length)) for g, e, length in _ELEMENT.findall(text)]
    numbers = [number for number, _ in elements]
    assert all(number < 0x10000 for number in numbers), text
    assert numbers == sorted(set(numbers)), text
    group_length = re.search(r"Command Group Length +(\d+)", text)
    assert group_length is not None, text
    assert int(group_length[1]) == sum(8 + length for _, length in elements[1:]), text


# -- tshark


@pytest.mark.peer("tshark", "echoscu", "storescu", "dcmsend")
def test_tshark_finds_nothing_wrong_with_the_server(tmp_path: Path) -> None:
    changed = tmp_path / "changed.dcm"
    dataset = pydicom.dcmread(CT)
    dataset.PatientName = "Another^One"
    dataset.save_as(changed)
    with (
        running_server(tmp_path, "--max-pdu-size", "16384") as server,
        capture(server.port, tmp_path / "wire.pcapng") as file,
    ):
        for outcome in (
            echoscu(server.port, called="SERVER"),
            echoscu(server.port, "--abort", called="SERVER"),
            storescu(server.port, CT, MR, called="SERVER"),
            dcmsend(server.port, CT, called="SERVER"),
        ):
            assert outcome.ok, outcome
        storescu(server.port, changed, called="SERVER")
        assert not echoscu(server.port, called="NOBODY").ok
        asyncio.run(_misbehave(server.port))
    assert tshark_problems(file, server.port) == []
    kinds, said = sent_by_us(file, server.port, "acceptor")
    assert kinds == {AC, RJ, P_DATA, RELEASE_RP, ABORT}
    assert said >= {
        "P-DATA, C-ECHO-RSP ID=1 (Success)",
        "P-DATA, C-STORE-RSP ID=1 (Success)",
        "P-DATA, C-STORE-RSP ID=2 (Success)",
    }
    assert any("another instance is stored under this UID" in line for line in said), said
    assert any("Called AE title not recognized" in line for line in said), said


async def _misbehave(port: int) -> None:
    """Have the server send an A-ABORT."""
    async with raw_peer(port) as peer:
        await peer.associate(
            build_request(called_ae="SERVER", calling_ae="TESTER", contexts=[verification_context()])
        )
        peer.send(b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        await peer.receive_to_end()


@pytest.mark.peer("tshark", "storescp")
@pytest.mark.parametrize("maximum", ["4096", "131072"])
def test_tshark_finds_nothing_wrong_with_our_scu(tmp_path: Path, maximum: str) -> None:
    async def scenario(port: int, called: str) -> None:
        files = [read_instance(path) for path in (CT, MR)]
        contexts = [verification_context(), *contexts_for(files)]
        async with associate(
            "127.0.0.1", port, called_ae=called, calling_ae="SCU", contexts=contexts
        ) as association:
            await echo(association)
            for file in files:
                assert (await send_file(association, file)).status == 0
        with pytest.raises(ValueError, match="stop"):
            async with associate("127.0.0.1", port, called_ae=called, calling_ae="SCU", contexts=contexts):
                raise ValueError("stop")

    with storescp(tmp_path / "received", "--max-pdu", maximum) as peer:
        with capture(peer.port, tmp_path / "wire.pcapng") as file:
            asyncio.run(scenario(peer.port, peer.ae_title))
        assert len(peer.files()) == 2
    assert tshark_problems(file, peer.port) == []
    kinds, said = sent_by_us(file, peer.port, "requestor")
    assert kinds == {RQ, P_DATA, RELEASE_RQ, ABORT}
    assert said >= {"P-DATA, C-ECHO-RQ ID=1", "P-DATA, C-STORE-RQ ID=2", "P-DATA, C-STORE-RQ ID=3"}


@pytest.mark.peer("tshark", "storescp")
@pytest.mark.parametrize("fault", ["--refuse", "--abort-during"])
def test_tshark_finds_nothing_wrong_where_the_peer_is_at_fault(tmp_path: Path, fault: str) -> None:
    program = [sys.executable, "-c", "from services.cli.send import app; app()"]
    with (
        storescp(tmp_path / "received", fault, "--max-pdu", "4096") as peer,
        capture(peer.port, tmp_path / "wire.pcapng") as file,
    ):
        argv = [*program, f"pacs://{HOST}:{peer.port}", "--called-ae", peer.ae_title, str(CT)]
        assert subprocess.run(argv, capture_output=True, timeout=60).returncode == 1
    assert tshark_problems(file, peer.port) == []
    kinds, _ = sent_by_us(file, peer.port, "requestor")
    assert kinds == ({RQ} if fault == "--refuse" else {RQ, P_DATA})


# -- negotiation


@pytest.mark.peer("echoscu")
@pytest.mark.parametrize(
    ("options", "contexts", "echoes"),
    [
        (("--propose-pc", "128"), 128, 1),
        (("--propose-ts", "38"), 1, 1),
        (("--propose-pc", "128", "--propose-ts", "38"), 128, 1),
        (("--max-pdu", "4096"), 1, 1),
        (("--max-pdu", "131072"), 1, 1),
        (("--repeat", "50"), 1, 50),
        (("--abort",), 1, 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_echoscu_with_every_proposal_it_can_make(
    tmp_path: Path, options: tuple[str, ...], contexts: int, echoes: int
) -> None:
    with running_server(tmp_path) as server:
        outcome = echoscu(server.port, *options, called="SERVER")
        assert outcome.ok, outcome
        assert server.wait_for("association accepted")["contexts"] == contexts
        server.wait_for("association aborted" if "--abort" in options else "association released")
        assert server.ask("stats")["operations"]["C-ECHO"] == {
            "requests": echoes,
            "success": echoes,
            "failure": 0,
        }
        assert_lives(server)


@pytest.mark.peer("storescu")
@pytest.mark.parametrize(
    ("options", "response"),
    [
        (("--user", "doctor"), None),
        (("--user", "doctor", "--password", "secret"), None),
        (("--user", "doctor", "--empty-password"), None),
        (("--user", "doctor", "--pos-response"), b""),
        (("--user", "doctor", "--password", "secret", "--pos-response"), b""),
        (("--kerberos", "FILE"), None),
        (("--saml", "FILE"), None),
        (("--jwt", "FILE", "--pos-response"), None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_user_identity_is_answered(
    tmp_path: Path, options: tuple[str, ...], response: bytes | None
) -> None:
    """A response only where it was asked for, and only to a user name (PS3.7 D.3.3.7.2); no secret in the log."""
    token = tmp_path / "token"
    token.write_text("the.secret.token")
    options = tuple(str(token) if option == "FILE" else option for option in options)
    with running_server(tmp_path, "--verbose") as server, recording_proxy(server.port) as proxy:
        outcome = storescu(proxy.port, CT, called="SERVER", options=options)
        assert outcome.ok, outcome
        [connection] = proxy.connections
        request, answer = pdus_of(connection.from_client)[0], pdus_of(connection.from_server)[0]
        assert isinstance(request, AAssociateRQ)
        assert isinstance(answer, AAssociateAC)
        negotiated = as_requestor(request, answer)
        assert negotiated.user_identity is not None
        assert negotiated.user_identity_response == response
        assert len(server.stored()) == 1
        assert "secret" not in server.log.read_text()


# -- TLS


@pytest.mark.peer("echoscu", "storescu")
def test_toolkits_over_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with tls_server(tmp_path, certificate, key) as server:
        trust = ("--add-cert-file", str(certificate))
        for options in (
            ("--anonymous-tls", *trust),
            ("--anonymous-tls", "--ignore-peer-cert"),
            ("--enable-tls", str(key), str(certificate), *trust),
            ("--anonymous-tls", *trust, "--profile-bcp195"),
            ("--anonymous-tls", *trust, "--profile-bcp195-ex"),
        ):
            outcome = by_name("echoscu", server.port, *options)
            assert outcome.ok, outcome
        outcome = by_name("storescu", server.port, "--anonymous-tls", *trust, files=(CT, MR))
        assert outcome.ok, outcome
        stored = {read_instance(path).sop_instance_uid: path for path in server.stored()}
        assert len(stored) == 2
        for source in (CT, MR):
            path = stored[read_instance(source).sop_instance_uid]
            expected = pydicom.dcmread(source)
            expected.pop("DataSetTrailingPadding", None)  # which DCMTK does not send
            assert pydicom.dcmread(path) == expected
        client = ssl.create_default_context(cafile=str(certificate))
        asyncio.run(echo_once("localhost", server.port, "TESTER", "SERVER", tls=client))


@pytest.mark.peer("echoscu", "storescu")
def test_what_is_no_trusted_tls_ends_cleanly(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with tls_server(tmp_path, certificate, key) as server:
        for outcome in (
            by_name("echoscu", server.port),  # plain TCP on the TLS port
            by_name("storescu", server.port, files=(CT,)),
            by_name("echoscu", server.port, "--anonymous-tls"),  # which does not trust our certificate
            by_name("echoscu", server.port, "--anonymous-tls", "--profile-aes"),  # a retired profile
        ):
            assert not outcome.ok, outcome
        assert server.stored() == []
        client = ssl.create_default_context(cafile=str(certificate))
        assert_lives(server, client)


@pytest.mark.peer("echoscu", "storescu")
def test_tls_on_the_plain_port_ends_cleanly(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        options = ("--anonymous-tls", "--ignore-peer-cert")
        assert not by_name("echoscu", server.port, *options).ok
        assert not by_name("storescu", server.port, *options, files=(CT,)).ok
        assert_lives(server)


def tls_server(
    folder: Path, certificate: Path, key: Path, *options: str
) -> AbstractContextManager[RunningServer]:
    tls = ("--tls", "--tls-certificate", str(certificate), "--tls-private-key", str(key))
    return running_server(folder, *tls, *options)


def by_name(program: str, port: int, *options: str, files: tuple[Path, ...] = ()) -> Outcome:
    """A program of DCMTK that calls us by the name our certificate has."""
    return run_peer(program, *options, "-aec", "SERVER", "localhost", port, *files)


def assert_lives(server: RunningServer, tls: ssl.SSLContext | None = None) -> None:
    """The server answers, and nothing went wrong in it on the way."""
    asyncio.run(echo_once("localhost", server.port, "TESTER", "SERVER", tls=tls))
    assert server.process.poll() is None
    log = server.log.read_text()
    assert "Traceback" not in log, log
    assert not [line for line in server.lines() if line["level"] == "error"], log


@pytest.mark.peer("echoscu")
def test_a_failed_tls_handshake_is_in_the_log(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with tls_server(tmp_path, certificate, key, "--verbose") as server:
        before = len(server.lines())
        assert not by_name("echoscu", server.port).ok
        client = ssl.create_default_context(cafile=str(certificate))
        asyncio.run(echo_once("localhost", server.port, "TESTER", "SERVER", tls=client))
        server.wait_for("association released")
        events = [line["event"] for line in server.lines()[before:]]
        assert "association accepted" in events  # that of the echo
        assert any("TLS" in event or "handshake" in event for event in events), events
