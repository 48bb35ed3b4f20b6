"""The program as a whole: started, asked, refused, stopped."""

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pydicom
import pytest
from pydicom.data import get_testdata_file

from dimse import status
from dimse.enums import CommandField
from dul.errors import AssociationRejected, ConnectionLost
from dul.reasons import RejectReason
from servers import PROGRAM, RunningServer, running_server
from services import associate, contexts_for, echo, read_instance, send_file, store, verification_context
from services.server.log import configure
from services.server.server import DicomServer
from services.server.statistics import Statistics
from services.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN
from services.storage import encode_dataset
from services.verification import echo_once
from ul_peers import ABORT_BY_USER, raw_peer

CT = Path(str(get_testdata_file("CT_small.dcm")))
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"


async def send(port: int, *paths: Path, calling_ae: str = "TESTER") -> list[int]:
    files = [read_instance(path) for path in paths]
    async with associate(
        "127.0.0.1", port, called_ae="SERVER", calling_ae=calling_ae, contexts=contexts_for(files)
    ) as peer:
        return [(await send_file(peer, file)).status for file in files]


@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_stored_file_has_the_data_set_that_was_sent(tmp_path: Path, durability: str) -> None:
    with running_server(tmp_path, "--durability", durability) as server:
        assert asyncio.run(send(server.port, CT)) == [status.SUCCESS]
        [stored] = server.stored()
        source = read_instance(CT)
        kept = read_instance(stored)
        assert stored.read_bytes()[kept.data_set_offset :] == CT.read_bytes()[source.data_set_offset :]
        assert kept.transfer_syntax_uid == source.transfer_syntax_uid
        dataset = pydicom.dcmread(stored)
        assert stored.parent.name == dataset.SeriesInstanceUID
        assert stored.parent.parent.name == dataset.StudyInstanceUID
        assert dataset.file_meta.SourceApplicationEntityTitle == "TESTER"
        assert server.left_in_incoming() == []


def test_statistics_are_readable_from_outside(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        assert asyncio.run(send(server.port, CT, CT)) == [status.SUCCESS, status.SUCCESS]
        asyncio.run(echo_once("127.0.0.1", server.port, "TESTER", "SERVER"))
        with pytest.raises(AssociationRejected):
            asyncio.run(echo_once("127.0.0.1", server.port, "TESTER", "SOMEBODY"))
        rejected = server.wait_for("association rejected")
        assert (rejected["calling_ae"], rejected["called_ae"]) == ("TESTER", "SOMEBODY")
        counts = server.ask("stats")
        assert counts["operations"]["C-STORE"] == {"requests": 2, "success": 2, "failure": 0}
        assert counts["operations"]["C-ECHO"]["success"] == 1
        assert counts["instances"]["stored"] == 1
        assert counts["instances"]["duplicate"] == 1
        assert counts["associations"]["rejected"] == 1
        assert counts["associations"]["released"] == 2
        assert counts["bytes"]["received"] > 2 * 38_000
        assert server.ask("status")["port"] == server.port


def test_a_second_server_on_the_data_directory_is_refused_by_name(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        second = subprocess.run(
            [*PROGRAM, "start", "--port", "0", "--data-dir", str(server.data_directory)],
            capture_output=True,
            timeout=30,
        )
        assert second.returncode == 1
        assert str(server.data_directory) in second.stderr.decode()
        assert str(server.process.pid) in second.stderr.decode()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_index_that_has_lost_its_images_is_told_once(tmp_path: Path, workers: str) -> None:
    options = ("--workers", workers, "--durability", "process")
    with running_server(tmp_path, *options) as server:
        assert not any("index is empty" in event for event in server.events()), "a new archive"
        assert asyncio.run(send(server.port, CT)) == [status.SUCCESS]
        [stored] = server.stored()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    (server.data_directory / "index.db").unlink()
    with running_server(tmp_path, *options) as server:
        [line] = [line for line in server.lines() if "index is empty" in line["event"]]
        assert (line["level"], line["file"]) == ("warning", str(stored.relative_to(server.data_directory)))
        assert "dicom-server reindex" in line["event"]
        assert "databaseURL" in line["event"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_damaged_index_stops_the_start_and_says_what_to_do(tmp_path: Path, workers: str) -> None:
    (tmp_path / "index.db").write_bytes(b"no database" * 1000)
    done = subprocess.run(
        [*PROGRAM, "start", "--port", "0", "--data-dir", str(tmp_path), "--workers", workers],
        capture_output=True,
        timeout=30,
        text=True,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"dicom-server reindex --data-dir {tmp_path}" in line
    assert "file is not a database" in line


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        second = subprocess.run(
            [*PROGRAM, "start", "--port", str(server.port), "--data-dir", str(tmp_path / "other")],
            capture_output=True,
            timeout=30,
        )
        assert second.returncode == 1
        assert str(server.port) in second.stderr.decode()
        assert "ss -ltnp" in second.stderr.decode()


class OperationalError(Exception):
    """As each database driver has one."""


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (
            OperationalError("connection failed: Connection refused\nSELECT 'Doe^Jane'"),
            "the index is not reachable",
        ),
        (RuntimeError("x"), "operation failed: a defect of this server"),
    ],
    ids=repr,
)
def test_a_database_that_is_gone_is_no_defect(
    error: Exception, event: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("json")
    association = SimpleNamespace(number=1, provider=SimpleNamespace(peer="192.0.2.7:1"))
    operation = SimpleNamespace(association=association)
    DicomServer.operation_failed(cast(Any, None), cast(Any, operation), error)
    line = json.loads(capsys.readouterr().err)
    assert line["event"] == event
    assert "Doe" not in str(line)
    assert line.get("cause", "Connection refused").endswith("Connection refused")


def test_a_peer_that_leaves_the_handshake_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    configure("json")
    server = SimpleNamespace(statistics=Statistics())
    DicomServer.handshake_failed(cast(Any, server), "192.0.2.7:1", ConnectionResetError())
    assert "may not trust our certificate" in json.loads(capsys.readouterr().err)["cause"]


@pytest.mark.parametrize(("code", "told"), [(0xA900, True), (0, False), (0xFE00, False)])
def test_a_query_that_is_refused_leaves_a_line(
    code: int, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("json")
    association = SimpleNamespace(number=1, provider=SimpleNamespace(peer="192.0.2.7:1"))
    request = SimpleNamespace(command_field=CommandField.C_FIND_RQ)
    server = SimpleNamespace(statistics=Statistics(), _is_verbose=False)
    operation = SimpleNamespace(association=association, request=request)
    DicomServer.operation_ended(cast(Any, server), cast(Any, operation), code)
    assert ("query refused" in capsys.readouterr().err) is told


def test_callers_are_allowed_and_blocked_by_title(tmp_path: Path) -> None:
    with running_server(tmp_path, "--allowed-ae", "GOOD,BOTH", "--blocked-ae", "BOTH") as server:
        asyncio.run(echo_once("127.0.0.1", server.port, "GOOD", "SERVER"))
        for title in ("BOTH", "OTHER", "good"):
            with pytest.raises(AssociationRejected) as caught:
                asyncio.run(echo_once("127.0.0.1", server.port, title, "SERVER"))
            assert caught.value.reason == RejectReason.CALLING_AE_TITLE_NOT_RECOGNIZED


def test_beyond_loopback_unknown_callers_may_only_echo(tmp_path: Path) -> None:
    with running_server(tmp_path, "--host", "0.0.0.0") as server:
        asyncio.run(echo_once("127.0.0.1", server.port, "ANYBODY", "SERVER"))
        assert asyncio.run(send(server.port, CT)) == [status.NOT_AUTHORIZED]
        assert server.stored() == []
        assert any("C-ECHO and nothing else" in event for event in server.events())


def test_over_the_association_limit_the_caller_is_told(tmp_path: Path) -> None:
    async def fill(port: int) -> None:
        arguments = {"called_ae": "SERVER", "calling_ae": "TESTER", "contexts": [verification_context()]}
        async with (
            associate("127.0.0.1", port, **arguments),
            associate("127.0.0.1", port, **arguments) as two,
        ):
            with pytest.raises(AssociationRejected) as caught:
                async with associate("127.0.0.1", port, **arguments):
                    pass
            assert (caught.value.result, caught.value.reason) == (2, RejectReason.LOCAL_LIMIT_EXCEEDED)
            await echo(two)
        async with associate("127.0.0.1", port, **arguments) as again:
            await echo(again)

    with running_server(tmp_path, "--max-connections", "2") as server:
        asyncio.run(fill(server.port))


def test_over_the_half_open_limit_the_oldest_is_closed(tmp_path: Path) -> None:
    async def flood(port: int) -> None:
        connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        await asyncio.sleep(0.1)
        await echo_once("127.0.0.1", port, "TESTER", "SERVER")
        assert await asyncio.wait_for(connections[0][0].read(), 5) == b""
        for _, writer in connections:
            writer.transport.abort()

    configuration = tmp_path / "server.toml"
    configuration.write_text("[limits]\nhalfOpen = 3\n")
    with running_server(tmp_path, "--config", str(configuration)) as server:
        asyncio.run(flood(server.port))


@pytest.mark.parametrize(
    ("duplicates", "answer", "kept"), [("keep", 0x0111, 0), ("reject", 0x0111, 0), ("replace", 0x0000, 1)]
)
def test_another_instance_under_the_same_uid(tmp_path: Path, duplicates: str, answer: int, kept: int) -> None:
    changed = tmp_path / "changed.dcm"
    dataset = pydicom.dcmread(CT)
    dataset.PatientName = "Another^One"
    dataset.save_as(changed)
    with running_server(tmp_path, "--duplicates", duplicates) as server:
        assert asyncio.run(send(server.port, CT, changed)) == [status.SUCCESS, answer]
        [stored] = server.stored()
        sent = (CT, changed)[kept]
        assert pydicom.dcmread(stored).PatientName == pydicom.dcmread(sent).PatientName


def test_a_data_set_that_is_not_the_announced_one_is_refused(tmp_path: Path) -> None:
    async def scenario(port: int) -> list[int]:
        file = read_instance(CT)
        data_set = CT.read_bytes()[file.data_set_offset :]
        async with associate(
            "127.0.0.1", port, called_ae="SERVER", calling_ae="TESTER", contexts=contexts_for([file])
        ) as peer:
            codes = []
            for uid, data in (
                ("1.2.3", data_set),
                ("../../etc/passwd", data_set),
                (file.sop_instance_uid, data_set[:5000]),
                (file.sop_instance_uid, b""),
                (file.sop_instance_uid, data_set),
            ):
                response = await store(
                    peer,
                    sop_class_uid=CT_CLASS,
                    sop_instance_uid=uid,
                    data_set=data,
                    transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
                )
                codes.append(response.status)
            return codes

    with running_server(tmp_path) as server:
        codes = asyncio.run(scenario(server.port))
        assert codes == [0xA900, 0x0117, 0xC000, 0xA900, 0x0000]
        assert len(server.stored()) == 1
        assert server.left_in_incoming() == []


def test_a_connection_lost_in_a_data_set_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario(port: int) -> None:
        file = read_instance(CT)

        def broken() -> object:
            yield CT.read_bytes()[file.data_set_offset : file.data_set_offset + 20_000]
            raise RuntimeError("the sender breaks off")

        with pytest.raises(RuntimeError):
            async with associate(
                "127.0.0.1",
                port,
                called_ae="SERVER",
                calling_ae="TESTER",
                contexts=contexts_for([file]),
                maximum_length=4096,
            ) as peer:
                await store(
                    peer,
                    sop_class_uid=CT_CLASS,
                    sop_instance_uid=file.sop_instance_uid,
                    data_set=broken(),  # type: ignore[arg-type]
                    transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
                )

    with running_server(tmp_path) as server:
        asyncio.run(scenario(server.port))
        server.wait_for("association aborted")
        assert server.stored() == []
        assert server.left_in_incoming() == []
        asyncio.run(echo_once("127.0.0.1", server.port, "TESTER", "SERVER"))


def test_a_large_object_does_not_raise_resident_memory(tmp_path: Path) -> None:
    size = 512 << 20

    async def scenario(port: int) -> int:
        dataset = pydicom.dcmread(CT)
        del dataset.DataSetTrailingPadding
        dataset.PixelData = b""
        head = encode_dataset(dataset, EXPLICIT_VR_LITTLE_ENDIAN)[:-4] + size.to_bytes(4, "little")
        chunk = bytes(1 << 20)
        data_set = (piece for piece in (head, *(chunk for _ in range(size >> 20))))
        async with associate(
            "127.0.0.1",
            port,
            called_ae="SERVER",
            calling_ae="TESTER",
            contexts=contexts_for([read_instance(CT)]),
        ) as peer:
            response = await store(
                peer,
                sop_class_uid=CT_CLASS,
                sop_instance_uid=str(dataset.SOPInstanceUID),
                data_set=data_set,
                transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
            )
        return response.status

    with running_server(tmp_path, "--durability", "process") as server:
        assert asyncio.run(send(server.port, CT)) == [status.SUCCESS]
        server.stored()[0].unlink()
        before = server.resident_kib()
        peak = before
        watching = True

        def watch() -> None:
            nonlocal peak
            while watching:
                peak = max(peak, server.resident_kib())
                time.sleep(0.01)

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert asyncio.run(scenario(server.port)) == status.SUCCESS
        watching = False
        watcher.join()
        assert server.stored()[0].stat().st_size > size
        assert peak - before < 32 << 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_running_end_and_exits_with_0(tmp_path: Path, number: int) -> None:
    async def scenario(server: RunningServer) -> None:
        contexts = [verification_context()]
        async with associate(
            "127.0.0.1", server.port, called_ae="SERVER", calling_ae="TESTER", contexts=contexts
        ) as peer:
            await echo(peer)
            server.process.send_signal(number)
            await asyncio.to_thread(server.wait_for, "stopping")
            with pytest.raises((AssociationRejected, ConnectionLost)):
                await echo_once("127.0.0.1", server.port, "TESTER", "SERVER")
            await echo(peer)

    with running_server(tmp_path) as server:
        asyncio.run(scenario(server))
        assert server.process.wait(10) == 0
        assert server.events()[-1] == "stopped"


def test_a_second_signal_ends_at_once_with_an_abort(tmp_path: Path) -> None:
    async def scenario(server: RunningServer) -> bytes:
        async with raw_peer(server.port) as peer:
            from dul.negotiation import build_request

            await peer.associate(
                build_request(called_ae="SERVER", calling_ae="TESTER", contexts=[verification_context()])
            )
            server.process.terminate()
            await asyncio.to_thread(server.wait_for, "stopping")
            server.process.terminate()
            return await peer.receive_to_end()

    with running_server(tmp_path) as server:
        assert asyncio.run(scenario(server)) == ABORT_BY_USER
        assert server.process.wait(5) == 0


def test_an_association_that_outlives_the_grace_is_aborted(tmp_path: Path) -> None:
    configuration = tmp_path / "server.json"
    configuration.write_text('{"timers": {"grace": 0.3}}')

    async def scenario(port: int, process: int) -> bytes:
        async with raw_peer(port) as peer:
            from dul.negotiation import build_request

            await peer.associate(
                build_request(called_ae="SERVER", calling_ae="TESTER", contexts=[verification_context()])
            )
            os.kill(process, signal.SIGTERM)
            return await peer.receive_to_end()

    with running_server(tmp_path, "--config", str(configuration)) as server:
        assert asyncio.run(scenario(server.port, server.process.pid)) == ABORT_BY_USER
        assert server.process.wait(5) == 0


def test_no_line_of_the_log_names_a_patient(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        asyncio.run(send(server.port, CT))
        patient = pydicom.dcmread(CT)
        log = server.log.read_text()
        assert "association accepted" in log
        assert str(patient.PatientName) not in log
        assert str(patient.PatientID) not in log
        assert all(
            "association" in line for line in server.lines() if line["event"].startswith("association ")
        )


# -- recording


def test_nothing_is_recorded_unless_asked_for(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        asyncio.run(echo_once("127.0.0.1", server.port, "TESTER", "SERVER"))
        assert not any("recorded" in event for event in server.events())


@pytest.mark.parametrize(("redact", "said"), [((), "patient data"), (("--redact",), "are blanked")])
def test_the_start_says_what_is_recorded_and_where(
    tmp_path: Path, redact: tuple[str, ...], said: str
) -> None:
    traces = tmp_path / "traces"
    with running_server(tmp_path, "--trace", str(traces), *redact) as server:
        asyncio.run(echo_once("127.0.0.1", server.port, "TESTER", "SERVER"))
        [line] = [line for line in server.lines() if "recorded" in line["event"]]
        assert said in line["event"]
        assert (line["level"], line["directory"]) == ("warning", str(traces))
        accepted = server.wait_for("association accepted")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        [recording] = traces.iterdir()
        assert f"Z-{accepted['association']:06d}-127.0.0.1-" in recording.name
        assert recording.name.endswith(f"-{accepted['peer'].split(':')[1]}.pcap")
        assert recording.read_bytes().count(b"1.2.840.10008.1.1\0") > 0


def test_a_directory_that_cannot_hold_recordings_stops_the_start(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    done = subprocess.run(
        [*PROGRAM, "start", "--port", "0", "--data-dir", str(tmp_path / "data"), "--trace", str(blocked)],
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert f"trace.directory: cannot record in {blocked}: File exists" in done.stderr.decode()


def test_recordings_have_the_bounds_of_the_configuration(tmp_path: Path) -> None:
    configuration = tmp_path / "server.toml"
    traces = tmp_path / "traces"
    configuration.write_text(
        f'[trace]\ndirectory = "{traces}"\nmaxFiles = 2\nmaxFileSize = 65536\nmaxTotalSize = 100000\n'
    )
    with running_server(tmp_path, "--config", str(configuration)) as server:
        for _ in range(3):
            asyncio.run(echo_once("127.0.0.1", server.port, "TESTER", "SERVER"))
        assert asyncio.run(send(server.port, CT, CT, CT)) == [status.SUCCESS] * 3
        line = server.wait_for("an association is recorded no further")
        assert (line["association"], line["cause"]) == (4, "trace.maxFileSize is reached")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        sizes = [file.stat().st_size for file in traces.iterdir()]
        assert len(sizes) == 2
        assert 39_000 < max(sizes) <= 65536


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_costs_the_recording_and_not_the_image(tmp_path: Path) -> None:
    child = (
        "import errno, os\n"
        "from services.trace import recording\n"
        "real = os.open\n"
        "def full(path, flags, *rest, **named):\n"
        "    return real('/dev/full' if flags & os.O_APPEND else path, flags, *rest, **named)\n"
        "recording.os = type(os)('os'); recording.os.__dict__.update(os.__dict__); recording.os.open = full\n"
    )
    (tmp_path / "sitecustomize.py").write_text(child)
    environment = dict(os.environ, PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    traces = tmp_path / "traces"
    with running_server(tmp_path, "--trace", str(traces), environment=environment) as server:
        assert asyncio.run(send(server.port, CT)) == [status.SUCCESS]
        line = server.wait_for("associations are not recorded until this is mended")
        assert line["cause"] == "No space left on device"
        assert asyncio.run(send(server.port, CT)) == [status.SUCCESS]
        asyncio.run(echo_once("127.0.0.1", server.port, "TESTER", "SERVER"))
        # Each association tries anew, in the recorder's thread: nothing is certain before that has ended.
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert len([event for event in server.events() if "not recorded" in event]) == 1
        assert list(traces.iterdir()) == []
        assert len(server.stored()) == 1
