"""The peers themselves: each starts, answers, and is gone after; the oracles find what is wrong."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import peers
from dul.encode import encode_pdu
from dul.negotiation import ProposedContext, build_request
from dul.pdus import PDV, PDataTF
from peers import (
    HOST,
    dcmqrscp,
    dcmsend,
    echoscu,
    findscu,
    gdcmscu,
    orthanc,
    pynetdicom_scp,
    storescp,
    storescu,
)
from real_files import real_file, real_files
from wire import capture, pdus_of, recording_proxy, tshark_problems

CT = real_file("CT_small.dcm")
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"


@pytest.mark.peer("storescp", "storescu")
def test_storescp_keeps_what_storescu_sends(tmp_path: Path) -> None:
    with storescp(tmp_path / "received") as peer:
        outcome = storescu(peer.port, CT)
        assert outcome.ok, outcome
        assert len(peer.files()) == 1
        outcome = peers.dcmdump(peer.files()[0], "+P", "SOPInstanceUID")
        assert outcome.ok, outcome
        assert peers.dciodvfy(peer.files()[0]) == peers.dciodvfy(CT)
        port = peer.port
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, port)) != 0


@pytest.mark.peer("dcmqrscp", "storescu", "findscu")
def test_dcmqrscp_finds_what_it_was_sent(tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "archive") as peer:
        outcome = storescu(peer.port, CT, called=peer.ae_title)
        assert outcome.ok, outcome
        keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID", "-k", "StudyInstanceUID")
        outcome = findscu(peer.port, *keys, called=peer.ae_title)
        assert outcome.ok, outcome
        assert "1CT1" in outcome.output


@pytest.mark.peer("Orthanc", "dcmsend", "echoscu")
def test_orthanc_stores_and_calls(tmp_path: Path) -> None:
    with (
        pynetdicom_scp() as other,
        orthanc(tmp_path / "orthanc", modalities={"other": (other.ae_title, other.port)}) as peer,
    ):
        outcome = echoscu(peer.port, called=peer.ae_title)
        assert outcome.ok, outcome
        outcome = dcmsend(peer.port, CT, called=peer.ae_title)
        assert outcome.ok, outcome
        (instance,) = peer.rest("GET", "/instances")
        peer.rest("POST", "/modalities/other/store", [instance])
        assert len(other.stored) == 1


@pytest.mark.peer("gdcmscu")
def test_gdcmscu_stores() -> None:
    with pynetdicom_scp() as peer:
        outcome = gdcmscu(peer.port, called=peer.ae_title)
        assert outcome.ok, outcome
        outcome = gdcmscu(peer.port, CT, mode="--store", called=peer.ae_title)
        assert outcome.ok, outcome
        assert len(peer.stored) == 1


@pytest.mark.peer("gdcmscu", "storescp")
def test_gdcmscu_tells_when_it_is_refused(tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "--refuse") as peer:
        assert not gdcmscu(peer.port, called=peer.ae_title).ok


@pytest.mark.peer("storescu", "tshark")
def test_the_proxy_records_what_a_peer_received(tmp_path: Path) -> None:
    with pynetdicom_scp() as peer, recording_proxy(peer.port) as proxy:
        with capture(proxy.port, tmp_path / "wire.pcapng") as file:
            outcome = storescu(proxy.port, CT, real_file("MR_small.dcm"), called=peer.ae_title)
            assert outcome.ok, outcome
        (connection,) = proxy.connections
        recorded = [
            (sent.sop_instance_uid, sent.transfer_syntax, sent.data_set) for sent in connection.instances()
        ]
        assert len(recorded) == 2
        assert recorded == peer.stored
        assert tshark_problems(file, proxy.port) == []
        assert type(pdus_of(connection.from_server)[-1]).__name__ == "AReleaseRP"


@pytest.mark.peer("tshark")
@pytest.mark.parametrize("context_length", [6, 500], ids=["item within an item", "item beyond the PDU"])
def test_tshark_finds_what_is_malformed(tmp_path: Path, context_length: int) -> None:
    request = build_request(
        called_ae="A", calling_ae="B", contexts=[ProposedContext(VERIFICATION, (IMPLICIT,))]
    )
    pdu = bytearray(encode_pdu(request))
    item = pdu.index(b"\x20\x00\x00", 74)
    pdu[item + 2 : item + 4] = context_length.to_bytes(2, "big")
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        with (
            capture(port, tmp_path / "wire.pcapng") as file,
            socket.create_connection((HOST, port)) as client,
        ):
            client.sendall(pdu + encode_pdu(PDataTF((PDV(1, 3, b"abcd"),))))
    assert tshark_problems(file, port)


def test_a_peer_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", "echo port taken; exit 3"]
    starting = peers.serving("sh", argv, tmp_path / "received", port=peers.free_port(), ae_title="A")
    with pytest.raises(AssertionError, match=r"ended with 3:\nport taken"), starting:
        pass


def test_no_other_process_is_given_a_port_of_ours() -> None:
    ours = peers.free_port()
    script = f"import peers; peers._PORTS = range({ours - 1}, {ours + 2}); print(peers.free_port() == {ours})"
    environment = os.environ | {"PYTHONPATH": str(Path(peers.__file__).parent)}
    for _ in range(8):  # one of three, at random
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, timeout=30, check=True
        )
        assert done.stdout.strip() == b"False"


def test_a_missing_peer_skips_its_tests_and_fails_them_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_peer", lambda _name: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install dcmtk"):
        peers.require_peer("storescp")
    monkeypatch.setitem(os.environ, "CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install dcmtk"):
        peers.require_peer("storescp")


def test_there_are_many_real_files() -> None:
    assert len(real_files()) > 150
