"""Our commands against acceptors nobody here wrote."""

import subprocess
import sys
from pathlib import Path

import pytest

from peers import Peer, orthanc, pynetdicom_scp, storescp
from real_files import real_file
from services.part10 import read_file_meta

CT, MR, JPEG = real_file("CT_small.dcm"), real_file("MR_small.dcm"), real_file("JPEG2000.dcm")


def command(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", f"from services.cli.{module} import app; app()"]
    return subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, timeout=60)


def send(port: int, called: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return command("send", f"pacs://localhost:{port}", "--aet", "TEST_SCU", "--called-ae", called, *arguments)


def echo(port: int, called: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command("echo", f"pacs://localhost:{port}", "--aet", "TEST_SCU", "--called-ae", called, *arguments)


def data_set(path: Path) -> bytes:
    with path.open("rb") as file:
        offset = read_file_meta(file).data_set_offset
    return path.read_bytes()[offset:]


@pytest.mark.peer("storescp")
def test_storescp_gets_the_bytes_of_the_files(tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "+B", "+xa") as peer:
        assert echo(peer.port, peer.ae_title, "--count", "5", "--stats").returncode == 0
        done = send(peer.port, peer.ae_title, CT, MR, JPEG)
        assert done.returncode == 0, done
        assert sorted(map(data_set, peer.files())) == sorted(map(data_set, (CT, MR, JPEG)))


@pytest.mark.peer("storescp")
def test_a_peer_that_takes_only_implicit_vr_is_served(tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "+xi") as peer:
        done = send(peer.port, peer.ae_title, CT)
        assert done.returncode == 0, done
        assert len(peer.files()) == 1
        refused = send(peer.port, peer.ae_title, JPEG)
        assert refused.returncode == 1
        assert "JPEG 2000" in refused.stdout + refused.stderr


@pytest.mark.peer("Orthanc")
def test_orthanc_counts_what_it_got(tmp_path: Path) -> None:
    with orthanc(tmp_path / "orthanc") as peer:
        assert echo(peer.port, peer.ae_title, "--diagnose").returncode == 0
        done = send(peer.port, peer.ae_title, "--parallel", "2", CT, MR)
        assert done.returncode == 0, done
        assert peer.rest("GET", "/statistics")["CountInstances"] == 2


def test_pynetdicom_gets_the_bytes_of_the_files() -> None:
    with pynetdicom_scp() as peer:
        assert echo(peer.port, peer.ae_title).returncode == 0
        done = send(peer.port, peer.ae_title, CT, MR, JPEG)
        assert done.returncode == 0, done
        assert sorted(stored for _, _, stored in peer.stored) == sorted(map(data_set, (CT, MR, JPEG)))


@pytest.mark.peer("storescp")
@pytest.mark.parametrize("fault", ["--refuse", "--abort-during", "--abort-after"])
def test_a_fault_of_the_peer_is_a_failure(tmp_path: Path, fault: str) -> None:
    with storescp(tmp_path / "received", fault) as peer:
        done = send(peer.port, peer.ae_title, CT)
        assert done.returncode == 1
        assert str(CT) in done.stdout + done.stderr or "reject" in (done.stdout + done.stderr).lower(), done
        assert_says_why(done, peer)


def assert_says_why(done: subprocess.CompletedProcess[str], peer: Peer) -> None:
    said = (done.stdout + done.stderr).lower()
    assert any(word in said for word in ("abort", "reject", "closed", "lost")), (done, peer.output)
