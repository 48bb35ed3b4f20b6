"""Our commands against acceptors nobody here wrote."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import corpus
from certificates import self_signed
from corpus import Sample
from peers import orthanc, pynetdicom_scp, storescp
from real_files import real_file
from services import read_instance

CT, MR, JPEG = real_file("CT_small.dcm"), real_file("MR_small.dcm"), real_file("JPEG2000.dcm")
NO_RESPONSE = None
ODD_LENGTH = "rtplan_truncated.dcm"
"""A data set that is cut off after an odd number of bytes: no PDV may carry it (PS3.8 E.1)."""

COLOR_PALETTE = "1.2.840.10008.5.1.4.39.1"
ULTRASOUND_RETIRED = frozenset({"color-pl.dcm", "color-px.dcm"})
"""Of a retired SOP class, for which pynetdicom has no service: it aborts."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sample]]:
    with corpus.corpus(tmp_path_factory.mktemp("corpus") / "files") as files:
        yield files


def command(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", f"from services.cli.{module} import app; app()"]
    return subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, timeout=100)


def send(
    port: int, called: str, *arguments: str | Path, scheme: str = "pacs"
) -> subprocess.CompletedProcess[str]:
    peer = f"{scheme}://localhost:{port}"
    return command("send", peer, "--aet", "TEST_SCU", "--called-ae", called, *arguments)


def echo(
    port: int, called: str, *arguments: str | Path, scheme: str = "pacs"
) -> subprocess.CompletedProcess[str]:
    peer = f"{scheme}://localhost:{port}"
    return command("echo", peer, "--aet", "TEST_SCU", "--called-ae", called, *arguments)


def data_set(path: Path) -> bytes:
    return path.read_bytes()[read_instance(path).data_set_offset :]


def paths_of(samples: list[Sample]) -> list[Path]:
    return [sample.path for sample in samples]


# -- every real file


@pytest.mark.peer("storescp")
def test_storescp_gets_the_bytes_of_every_real_file(tmp_path: Path, samples: list[Sample]) -> None:
    samples = [sample for sample in samples if sample.name not in corpus.PALETTES]  # DCMTK takes none
    with storescp(tmp_path / "received") as peer:
        assert echo(peer.port, peer.ae_title, "--count", "5", "--stats").returncode == 0
        done = send(peer.port, peer.ae_title, *paths_of(samples), "--window", "4", "--format", "json")
        assert failures(done) == {ODD_LENGTH: NO_RESPONSE}, done.stderr
        received = {
            file.sop_instance_uid: (file.transfer_syntax_uid, data_set(Path(file.path)))
            for file in map(read_instance, peer.files())
        }
    assert_received(samples, received)


def test_pynetdicom_gets_the_bytes_of_every_real_file(samples: list[Sample]) -> None:
    from pynetdicom._globals import ALL_TRANSFER_SYNTAXES

    def configure(ae: Any) -> None:
        ae.add_supported_context(COLOR_PALETTE, ALL_TRANSFER_SYNTAXES)

    samples = [sample for sample in samples if sample.name not in ULTRASOUND_RETIRED]
    with pynetdicom_scp(configure=configure) as peer:
        assert echo(peer.port, peer.ae_title).returncode == 0
        done = send(peer.port, peer.ae_title, *paths_of(samples), "--parallel", "2", "--format", "json")
        assert failures(done) == {ODD_LENGTH: NO_RESPONSE}, done.stderr
        assert_received(samples, {uid: (syntax, data) for uid, syntax, data in peer.stored})


def assert_received(samples: list[Sample], received: dict[str, tuple[str, bytes]]) -> None:
    """Everything that can be sent has come, under the UIDs of the File Meta Information, bit for bit."""
    sent = [sample for sample in samples if sample.name != ODD_LENGTH]
    assert received.keys() == {sample.meta_instance for sample in sent}
    changed = [
        sample.name
        for sample in sent
        if received[sample.meta_instance] != (sample.transfer_syntax, sample.padded)
    ]
    assert changed == []


def failures(done: subprocess.CompletedProcess[str]) -> dict[str, int | None]:
    """The status of each file that dicom-send could not send, by name; None where there was no response."""
    told = json.loads(done.stdout)["failures"]
    assert done.returncode == (1 if told else 0), done
    return {
        Path(one["file"]).name: one["status"] if one["status"] is None else int(one["status"], 16)
        for one in told
    }


@pytest.mark.peer("Orthanc")
def test_orthanc_keeps_every_real_file_it_can_read(tmp_path: Path, samples: list[Sample]) -> None:
    # Orthanc reads what it stores, with DCMTK, and waits half a minute for the rest of what is truncated.
    unreadable = corpus.UNFIT | corpus.WITHOUT_STUDY | corpus.META_DIFFERS | corpus.UIDS_AS_UN
    readable = [sample for sample in samples if sample.name not in unreadable]
    with orthanc(tmp_path / "orthanc") as peer:
        assert echo(peer.port, peer.ae_title, "--diagnose").returncode == 0
        done = send(peer.port, peer.ae_title, "--parallel", "2", "--format", "json", *paths_of(readable))
        assert failures(done) == {}, done.stderr
        assert peer.rest("GET", "/statistics")["CountInstances"] == len(readable) > 200
        kept = peer.rest("GET", "/instances?expand")
        assert {one["MainDicomTags"]["SOPInstanceUID"] for one in kept} == {s.sop_instance for s in readable}


@pytest.mark.peer("Orthanc")
def test_what_orthanc_refuses_is_told_with_its_status(tmp_path: Path, samples: list[Sample]) -> None:
    names = {"rtdose.dcm": 0xA900, "JPEGLSNearLossless_08.dcm": 0xA700, "priv_SQ.dcm": 0xC000}
    files = [sample for sample in samples if sample.name in names]
    with orthanc(tmp_path / "orthanc") as peer:
        done = send(peer.port, peer.ae_title, CT, *paths_of(files), "--format", "json")
        assert failures(done) == names, done.stderr
        assert json.loads(done.stdout)["sent"] == 1


@pytest.mark.peer("storescp")
def test_a_peer_that_takes_only_implicit_vr_is_served(tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "+xi") as peer:
        done = send(peer.port, peer.ae_title, CT)
        assert done.returncode == 0, done
        assert len(peer.files()) == 1
        refused = send(peer.port, peer.ae_title, JPEG)
        assert refused.returncode == 1
        assert "JPEG 2000" in refused.stdout + refused.stderr


# -- peers at fault


@pytest.mark.peer("storescp")
@pytest.mark.parametrize(
    ("switch", "said"),
    [
        (("--refuse",), "association rejected permanently: no reason given by the service user"),
        (("--abort-after",), f"failed: {CT}: the peer aborted: aborted by the service user"),
        (("--abort-during",), f"failed: {CT}: the peer aborted: aborted by the service user"),
        (("--sleep-during", "10"), f"failed: {CT}: no response within 3 s"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_fault_of_the_peer_is_a_failure(tmp_path: Path, switch: tuple[str, ...], said: str) -> None:
    timeout = ("--timeout", "3") if "--sleep-during" in switch else ()
    with storescp(tmp_path / "received", *switch) as peer:
        done = send(peer.port, peer.ae_title, CT, *timeout)
        assert done.returncode == 1, (done, peer.output)
        assert said in done.stderr, (done, peer.output)
        assert done.stdout.startswith("sent 0 of 1 file"), done


@pytest.mark.peer("storescp")
@pytest.mark.parametrize("switch", ["--abort-after", "--abort-during"])
def test_an_abort_leaves_every_file_with_its_own_failure(tmp_path: Path, switch: str) -> None:
    with storescp(tmp_path / "received", switch) as peer:
        done = send(peer.port, peer.ae_title, CT, MR, JPEG, "--format", "json")
        assert failures(done) == {path.name: NO_RESPONSE for path in (CT, MR, JPEG)}, done
        assert json.loads(done.stdout)["associations"] == 3, done.stderr


@pytest.mark.peer("storescp")
def test_an_echo_that_is_refused_says_why(tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "--refuse") as peer:
        done = echo(peer.port, peer.ae_title)
        assert done.returncode == 1
        assert "association rejected permanently: no reason given by the service user" in done.stderr
        diagnosed = echo(peer.port, peer.ae_title, "--diagnose")
        assert diagnosed.returncode == 1
        assert "FAILED: association rejected permanently" in diagnosed.stdout


@pytest.mark.peer("storescp")
def test_a_peer_that_wants_an_implementation_class_uid_gets_it(tmp_path: Path) -> None:
    with storescp(tmp_path / "received", "--reject") as peer:
        done = send(peer.port, peer.ae_title, CT)
        assert done.returncode == 0, (done, peer.output)
        assert len(peer.files()) == 1


# -- TLS


@pytest.mark.peer("storescp")
def test_storescp_over_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ("--enable-tls", str(key), str(certificate), "--ignore-peer-cert")
    with storescp(tmp_path / "received", *tls) as peer:
        trust = ("--tls-ca", certificate)
        done = echo(peer.port, peer.ae_title, *trust, scheme="dicoms")
        assert done.returncode == 0, (done, peer.output)
        done = send(peer.port, peer.ae_title, CT, JPEG, *trust, scheme="dicoms")
        assert done.returncode == 0, (done, peer.output)
        assert sorted(map(data_set, peer.files())) == sorted(map(data_set, (CT, JPEG)))
        untrusted = send(peer.port, peer.ae_title, MR, scheme="dicoms")
        assert untrusted.returncode == 1
        assert "certificate verify failed" in untrusted.stderr
        plain = send(peer.port, peer.ae_title, MR)
        assert plain.returncode == 1
        assert "with or without TLS?" in plain.stderr
        assert len(peer.files()) == 2


@pytest.mark.peer("storescp")
def test_storescp_that_wants_to_know_us_over_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ("--enable-tls", str(key), str(certificate), "--add-cert-file", str(certificate))
    with storescp(tmp_path / "received", *tls, "--require-peer-cert") as peer:
        trust = ("--tls-ca", certificate)
        unknown = send(peer.port, peer.ae_title, CT, *trust, scheme="dicoms")
        assert unknown.returncode == 1, (unknown, peer.output)
        assert peer.files() == []
        ours = ("--tls-certificate", certificate, "--tls-private-key", key)
        known = send(peer.port, peer.ae_title, CT, *trust, *ours, scheme="dicoms")
        assert known.returncode == 0, (known, peer.output)
        assert len(peer.files()) == 1


@pytest.mark.peer("storescp")
def test_tls_to_a_plain_peer_is_a_failure(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path)
    with storescp(tmp_path / "received") as peer:
        done = send(peer.port, peer.ae_title, CT, "--tls-ca", certificate, scheme="dicoms")
        assert done.returncode == 1
        assert f"cannot connect to localhost:{peer.port}" in done.stderr
        assert send(peer.port, peer.ae_title, CT).returncode == 0
