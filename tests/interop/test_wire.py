"""What we put on the wire, decoded by tshark; and what toolkits propose to us, answered."""

import asyncio
import ssl
from pathlib import Path

import pytest

from certificates import self_signed
from peers import dcmsend, echoscu, run_peer, storescp, storescu
from real_files import real_file
from servers import running_server
from services import associate, echo, verification_context
from services.verification import echo_once
from ul_peers import raw_peer
from wire import capture, tshark_problems

CT, MR = real_file("CT_small.dcm"), real_file("MR_small.dcm")


@pytest.mark.peer("tshark", "echoscu", "storescu", "dcmsend")
def test_tshark_finds_nothing_wrong_with_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path, "--max-pdu-size", "16384") as server:
        with capture(server.port, tmp_path / "wire.pcapng") as file:
            for outcome in (
                echoscu(server.port, called="SERVER"),
                storescu(server.port, CT, MR, called="SERVER"),
                dcmsend(server.port, CT, called="SERVER"),
            ):
                assert outcome.ok, outcome
            assert not echoscu(server.port, called="NOBODY").ok
            asyncio.run(_misbehave(server.port))
        assert tshark_problems(file, server.port) == []


async def _misbehave(port: int) -> None:
    """Have the server send an A-ABORT."""
    from dul.negotiation import build_request

    async with raw_peer(port) as peer:
        await peer.associate(
            build_request(called_ae="SERVER", calling_ae="TESTER", contexts=[verification_context()])
        )
        peer.send(b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        await peer.receive_to_end()


@pytest.mark.peer("tshark", "storescp")
def test_tshark_finds_nothing_wrong_with_our_scu(tmp_path: Path) -> None:
    from services import contexts_for, read_instance, send_file

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

    with storescp(tmp_path / "received") as peer, capture(peer.port, tmp_path / "wire.pcapng") as file:
        asyncio.run(scenario(peer.port, peer.ae_title))
    assert tshark_problems(file, peer.port) == []


@pytest.mark.peer("echoscu")
@pytest.mark.parametrize(
    "options",
    [
        ("--propose-pc", "128"),
        ("--propose-ts", "38"),
        ("--propose-pc", "128", "--propose-ts", "38"),
        ("--max-pdu", "4096"),
        ("--max-pdu", "131072"),
        ("--repeat", "50"),
        ("--abort",),
    ],
    ids=" ".join,
)
def test_echoscu_with_every_proposal_it_can_make(tmp_path: Path, options: tuple[str, ...]) -> None:
    with running_server(tmp_path) as server:
        outcome = echoscu(server.port, *options, called="SERVER")
        assert outcome.ok, outcome
        asyncio.run(echo_once("127.0.0.1", server.port, "TESTER", "SERVER"))


@pytest.mark.peer("storescu")
@pytest.mark.parametrize(
    "options",
    [
        ("--user", "doctor"),
        ("--user", "doctor", "--password", "secret"),
        ("--user", "doctor", "--pos-response"),
    ],
)
def test_a_user_identity_is_answered(tmp_path: Path, options: tuple[str, ...]) -> None:
    with running_server(tmp_path) as server:
        outcome = storescu(server.port, CT, called="SERVER", options=options)
        assert outcome.ok, outcome
        assert "secret" not in server.log.read_text()


@pytest.mark.peer("echoscu", "storescu")
def test_toolkits_over_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ("--tls", "--tls-certificate", str(certificate), "--tls-private-key", str(key))
    with running_server(tmp_path, *tls) as server:
        options = ("--anonymous-tls", "--add-cert-file", str(certificate))
        assert run_peer("echoscu", *options, "-aec", "SERVER", "localhost", server.port).ok
        outcome = run_peer("storescu", *options, "-aec", "SERVER", "localhost", server.port, CT)
        assert outcome.ok, outcome
        assert len(server.stored()) == 1
        assert not echoscu(server.port, called="SERVER").ok  # plain TCP on the TLS port
        client = ssl.create_default_context(cafile=str(certificate))
        asyncio.run(echo_once("localhost", server.port, "TESTER", "SERVER", tls=client))


@pytest.mark.peer("echoscu")
def test_tls_on_the_plain_port_ends_cleanly(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        assert not run_peer("echoscu", "--anonymous-tls", "--ignore-peer-cert", "localhost", server.port).ok
        asyncio.run(echo_once("127.0.0.1", server.port, "TESTER", "SERVER"))
