"""The whole story of a small PACS: send, query, move and retrieve, with our commands and with DCMTK's, on both
databases, and again after a restart and after a kill."""

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from corpus import DAMAGED, INVALID_UID, META_DIFFERS, UNFIT, WITHOUT_STUDY, Sample, corpus
from databases import throwaway_postgresql
from peers import HOST, findscu, free_port, run_peer, storescp, storescu
from servers import RunningServer, running_server
from services.part10 import read_file_meta

DEMO = Path(__file__).parents[2] / "scripts" / "demo.py"
SKIPPED = UNFIT | DAMAGED | META_DIFFERS | INVALID_UID | WITHOUT_STUDY
"""What toolkits change, refuse to send, or have refused; the tests of receiving look at those."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sample]]:
    with corpus(tmp_path_factory.mktemp("corpus") / "files") as files:
        yield [
            each for each in files if each.name not in SKIPPED and not each.transfer_syntax.endswith(".1.99")
        ]


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.peer("postgres"))]
)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
        return
    with throwaway_postgresql() as url:
        yield url


@contextmanager
def pacs(folder: Path, database_url: str, workstation: int) -> Iterator[RunningServer]:
    config = folder / "dicom-server.conf"
    known = {"WORKSTATION": {"host": HOST, "port": workstation, "aeTitle": "WORKSTATION"}}
    config.write_text(json.dumps({"knownDestinations": known, "databaseURL": database_url}))
    with running_server(folder, "--config", str(config), "--durability", "process") as server:
        yield server


def ours(command: str, port: int, *words: object) -> subprocess.CompletedProcess[str]:
    program = f"from services.cli.{command} import app; app()"
    peer = f"pacs://localhost:{port}"
    titles = ("--aet", "TEST_SCU", "--called-ae", "SERVER")
    arguments = [str(word) for word in (*words[:0], peer, *titles, *words)]
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=100
    )


def data_sets(folder: Path) -> dict[str, bytes]:
    """The encoded data set of every file, by the SOP Instance UID of its File Meta Information."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            with path.open("rb") as file:
                meta = read_file_meta(file)
                file.seek(meta.data_set_offset)
                found[meta.sop_instance_uid] = file.read()
    return found


def study_uids(port: int) -> list[str]:
    done = ours(
        "query", port, "-k", "StudyInstanceUID", "-k", "NumberOfStudyRelatedInstances", "--format", "csv"
    )
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    return [row["StudyInstanceUID"] for row in rows]


@pytest.mark.peer("storescp")
def test_the_whole_story(tmp_path: Path, samples: list[Sample], database_url: str) -> None:
    sent = {sample.sop_instance: sample.padded for sample in samples}
    workstation = free_port()
    with pacs(tmp_path, database_url, workstation) as server:
        half = len(samples) // 2
        done = ours("send", server.port, *(sample.path for sample in samples[:half]))
        assert done.returncode == 0, done.stdout + done.stderr
        by_dcmtk = storescu(
            server.port, *(each.path for each in samples[half:]), options=("-xs",), called="SERVER"
        )
        assert len(server.stored()) >= half, by_dcmtk
        rest = [sample.path for sample in samples[half:]]
        assert ours("send", server.port, *rest).returncode == 0, "those that storescu could not propose"
        before = study_uids(server.port)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0

    with pacs(tmp_path, database_url, workstation) as server:
        studies = study_uids(server.port)
        assert studies == before, "a restart forgets nothing"
        selected = [word for uid in studies for word in ("--study-uid", uid)]
        done = ours("retrieve", server.port, "--method", "get", *selected, "--output", tmp_path / "got")
        assert done.returncode == 0, done.stdout + done.stderr
        assert data_sets(tmp_path / "got") == sent

        (tmp_path / "moved").mkdir()
        with storescp_on(tmp_path / "moved", workstation):
            done = ours("move", server.port, "--dest", "WORKSTATION", *selected)
            assert done.returncode == 0, done.stdout + done.stderr
        assert data_sets(tmp_path / "moved") == sent
        server.process.kill()

    with pacs(tmp_path, database_url, workstation) as server:
        assert study_uids(server.port) == studies, "nor does a kill"
        found = findscu(
            server.port, "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", called="SERVER"
        )
        assert found.ok, found
        assert all(uid in found.output for uid in studies)
        by_getscu, by_movescu = tmp_path / "by_getscu", tmp_path / "by_movescu"
        by_getscu.mkdir(), by_movescu.mkdir()
        keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=" + "\\".join(studies))
        titles = ("-aet", "TEST_SCU", "-aec", "SERVER")
        # +B keeps the bytes that came; getscu proposes one transfer syntax for each storage SOP class.
        got = run_peer("getscu", *titles, "+B", "-od", by_getscu, *keys, HOST, server.port)
        assert "Completed" in got.output or got.ok, got
        as_stored = {uid: data for uid, data in data_sets(by_getscu).items() if data == sent[uid]}
        assert len(as_stored) > 10, "those in a transfer syntax that getscu proposes; others are converted"
        with storescp_on(by_movescu, workstation):
            moved = run_peer("movescu", *titles, "-aem", "WORKSTATION", *keys, HOST, server.port)
        assert moved.ok, moved
        assert data_sets(by_movescu) == sent


@contextmanager
def storescp_on(folder: Path, port: int) -> Iterator[None]:
    with storescp(folder, ae_title="WORKSTATION", port=port):
        yield


def test_the_demo_ends_well() -> None:
    done = subprocess.run([sys.executable, DEMO], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything came back as it was sent." in done.stdout
