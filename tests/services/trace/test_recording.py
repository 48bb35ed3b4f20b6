"""Recordings on disk: names, modes, bounds, and disks that are full."""

import errno
import io
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from dul.encode import encode_pdu
from dul.pdus import AReleaseRP, AReleaseRQ
from services.trace.capture import read_capture
from services.trace.fields import Side
from services.trace.recording import (
    ITEM_MEMORY,
    RecordedBytes,
    RecordedEnd,
    Recording,
    RecordingOptions,
    Recordings,
    RecordingStart,
)
from services.trace.tcp import Closed, ConnectionEvent, Data, Reassembler
from ul_peers import p_data, request

REQUESTOR, ACCEPTOR = Side.REQUESTOR, Side.ACCEPTOR
PEER, OURS = ("192.0.2.7", 51234), ("192.0.2.1", 104)
RQ = encode_pdu(request())
AT = 1769854530.1234

Said = list[tuple[str, dict[str, object]]]


class Desk:
    """Recordings in a directory, and what was said of them."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.said: Said = []
        self.directory = directory
        options = {"directory": directory} | options
        self.recordings = Recordings(RecordingOptions(**options), lambda *line: self.said.append(line))
        self._number = 0

    def begin(self, peer: tuple[str, int] = PEER) -> Recording:
        self._number += 1
        start = RecordingStart(
            number=self._number, requestor=peer, acceptor=OURS, peer=peer, opened_at=AT + self._number
        )
        return Recording(start)

    def bytes(self, recording: Recording, data: bytes, sender: Side = REQUESTOR) -> None:
        self.recordings.take(RecordedBytes(recording, sender, data, AT + 50, True))

    def end(self, recording: Recording, by: Side = REQUESTOR, *, overrun: bool = False) -> None:
        self.recordings.take(RecordedEnd(recording, by, AT + 60, False, overrun))

    def record(self, *pdus: bytes) -> Recording:
        recording = self.begin()
        for pdu in pdus:
            self.bytes(recording, pdu)
        self.end(recording)
        return recording

    @property
    def files(self) -> list[Path]:
        return sorted(self.directory.iterdir())

    @property
    def causes(self) -> list[object]:
        return [fields["cause"] for _, fields in self.said]


def read(file: Path) -> list[ConnectionEvent]:
    reassembler = Reassembler((OURS[1],))
    return [
        event
        for packet in read_capture(io.BytesIO(file.read_bytes()), pytest.fail)
        for event in reassembler.feed(packet)
    ]


def sent(file: Path, side: Side = REQUESTOR) -> bytes:
    return b"".join(event.data for event in read(file) if isinstance(event, Data) and event.sender is side)


def test_a_file_holds_what_was_sent(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    recording = desk.begin()
    desk.bytes(recording, RQ)
    desk.bytes(recording, encode_pdu(AReleaseRQ()))
    desk.bytes(recording, encode_pdu(AReleaseRP()), ACCEPTOR)
    desk.end(recording, ACCEPTOR)
    (file,) = desk.files
    opened, *_, closed = read(file)
    assert opened.connection.requestor == PEER
    assert opened.connection.acceptor == OURS
    assert opened.at == pytest.approx(AT + 1, abs=1e-5)
    assert sent(file) == RQ + encode_pdu(AReleaseRQ())
    assert sent(file, ACCEPTOR) == encode_pdu(AReleaseRP())
    assert isinstance(closed, Closed)
    assert (closed.by, closed.reset) == (ACCEPTOR, False)
    assert desk.said == []
    assert desk.recordings.taken_bytes == len(RQ) + 20 + 3 * ITEM_MEMORY


def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    before = os.umask(0)
    try:
        desk.record(RQ)
    finally:
        os.umask(before)
    assert desk.files[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (("192.0.2.7", 51234), "192.0.2.7-51234"),
        (("2001:db8::7", 104), "2001-db8--7-104"),
        (("fe80::1%../../x", 104), "fe80--1-..-..-x-104"),
        (("unknown", 0), "unknown-0"),
    ],
)
def test_a_name_is_made_of_time_number_and_address(
    tmp_path: Path, peer: tuple[str, int], expected: str
) -> None:
    desk = Desk(tmp_path)
    desk.bytes(desk.begin(peer), RQ)
    assert [file.name for file in desk.files] == [f"20260131T101531.123Z-000001-{expected}.pcap"]


def test_two_recordings_grow_side_by_side(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    one, two = desk.begin(), desk.begin()
    for recording, data in ((one, RQ), (two, RQ), (one, p_data(b"11")), (two, p_data(b"22"))):
        desk.bytes(recording, data)
    desk.recordings.flush()
    assert [sent(file)[-2:] for file in desk.files] == [b"11", b"22"]
    desk.bytes(one, p_data(b"33"))
    desk.recordings.close()
    assert [sent(file)[-2:] for file in desk.files] == [b"33", b"22"]
    assert not any(isinstance(event, Closed) for event in read(desk.files[0]))


def test_much_is_written_before_it_is_flushed(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    recording = desk.begin()
    desk.bytes(recording, RQ)
    assert desk.files[0].stat().st_size == 0
    desk.bytes(recording, p_data(bytes(300_000)))
    assert desk.files[0].stat().st_size > 300_000


def test_redacting_is_done_for_each_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path, redact=True)
    desk.record(RQ, p_data(b"Doe^Jane"))
    desk.record(RQ, p_data(b"Doe^Jane")[:-4])
    recording = desk.begin()
    desk.bytes(recording, RQ)
    desk.recordings.take(RecordedBytes(recording, REQUESTOR, b"Doe^Jane", AT, False))
    desk.recordings.close()
    assert len(desk.files) == 3
    for file in desk.files:
        assert b"Doe" not in file.read_bytes()
        assert sent(file).startswith(RQ)
    assert sent(desk.files[0])[len(RQ) :] == p_data(bytes(8))


def test_what_is_held_for_redacting_is_in_the_file_at_its_end(tmp_path: Path) -> None:
    desk = Desk(tmp_path, redact=True)
    held = p_data(b"Doe^Jane").replace(b"\x01\x02Doe", b"\x01\x01Doe")  # a command that is not complete
    desk.record(RQ, held)
    recording = desk.begin()
    desk.bytes(recording, RQ)
    desk.bytes(recording, held)
    desk.recordings.close()
    for file in desk.files:
        assert sent(file)[len(RQ) :] == held.replace(b"Doe^Jane", bytes(8))


# -- bounds


def test_a_file_ends_at_its_bound_and_the_rest_is_left_out(tmp_path: Path) -> None:
    desk = Desk(tmp_path, max_file_size=100_000)
    recording = desk.begin()
    for number in range(9):
        desk.bytes(recording, RQ if not number else p_data(bytes(20_000)))
    desk.end(recording)
    assert 80_000 < desk.files[0].stat().st_size <= 100_000
    assert len(sent(desk.files[0])) == len(RQ) + 4 * len(p_data(bytes(20_000)))
    assert desk.causes == ["trace.maxFileSize is reached"]
    assert desk.said[0][1]["association"] == 1
    assert desk.said[0][1]["file"] == str(desk.files[0])


def test_for_one_file_more_the_oldest_goes(tmp_path: Path) -> None:
    desk = Desk(tmp_path, max_files=3)
    for _ in range(5):
        desk.record(RQ)
    assert [int(file.name.split("-")[1]) for file in desk.files] == [3, 4, 5]
    assert desk.said == []


def test_files_of_earlier_runs_count_and_others_do_not(tmp_path: Path) -> None:
    earlier = Desk(tmp_path, max_files=3)
    for _ in range(3):
        earlier.record(RQ)
    (tmp_path / "mine.pcap").write_text("x")
    (tmp_path / "20260131T101531.123Z-000001-x-1.pcap.keep").write_text("x")
    directory = tmp_path / "20260131T101500.123Z-000001-192.0.2.7-1.pcap"
    directory.mkdir()
    outside = tmp_path.parent / "outside"
    outside.write_text("x")
    link = tmp_path / "20260131T101500.124Z-000001-192.0.2.7-1.pcap"
    link.symlink_to(outside)
    desk = Desk(tmp_path, max_files=2)
    desk._number = 10
    desk.record(RQ)
    numbers = {
        int(file.name.split("-")[1]) for file in desk.files if re.fullmatch(r".*-51234\.pcap", file.name)
    }
    assert numbers == {3, 11}
    assert (tmp_path / "mine.pcap").exists()
    assert directory.exists()
    assert link.is_symlink()


def test_all_files_together_have_a_bound(tmp_path: Path) -> None:
    desk = Desk(tmp_path, max_total_size=100_000)
    for _ in range(6):
        desk.record(RQ, p_data(bytes(30_000)))
    assert sum(file.stat().st_size for file in desk.files) <= 100_000
    assert len(desk.files) == 3
    assert desk.said == []


def test_open_files_are_not_deleted_but_end_at_the_bound(tmp_path: Path) -> None:
    desk = Desk(tmp_path, max_total_size=1_000_000, max_file_size=1_000_000)
    desk.record(RQ, p_data(bytes(30_000)))
    one, two = desk.begin(), desk.begin()
    for _ in range(6):
        for recording in (one, two):
            desk.bytes(recording, p_data(bytes(300_000)))
        assert sum(file.stat().st_size for file in desk.files) < 1_310_000  # one write more
    assert [int(file.name.split("-")[1]) for file in desk.files] == [2]
    assert desk.causes[0] == "the recordings that are open reach trace.maxTotalSize"


def test_no_more_files_are_open_than_there_may_be(tmp_path: Path) -> None:
    desk = Desk(tmp_path, max_files=2)
    for _ in range(3):
        desk.bytes(desk.begin(), RQ)
    desk.recordings.flush()
    assert len(desk.files) == 2
    assert desk.causes == ["as many recordings as trace.maxFiles are open"]


def test_what_had_to_be_left_out_ends_a_recording(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    recording = desk.begin()
    desk.bytes(recording, RQ)
    desk.end(recording, overrun=True)
    desk.bytes(recording, RQ)
    assert sent(desk.files[0]) == RQ
    assert desk.causes == ["too much waits to be written: the disk is too slow"]


# -- disks


class FullDisk:
    """`os.write` on a disk with so many bytes left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
        self.left = left
        self._write = os.write
        monkeypatch.setattr("services.trace.recording.os.write", self.write)

    def write(self, file: int, data: memoryview) -> int:
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = self._write(file, data[: self.left])
        self.left -= taken
        return taken


def test_a_full_disk_ends_a_recording_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    disk = FullDisk(monkeypatch, 1000)
    for _ in range(4):
        desk.record(RQ, p_data(bytes(2000)))
    assert [file.stat().st_size for file in desk.files] == [1000]
    assert desk.said == [
        (
            "associations are not recorded until this is mended",
            {"file": str(desk.files[0]), "cause": "No space left on device"},
        )
    ]
    disk.left = 1 << 20
    recording = desk.record(RQ)
    assert recording.path is not None
    assert sent(recording.path) == RQ
    disk.left = 0
    desk.bytes(desk.begin(), RQ)
    desk.recordings.flush()
    assert len(desk.said) == 2


def test_a_full_disk_pushes_no_good_recording_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path, max_files=3)
    for _ in range(3):
        desk.record(RQ)
    FullDisk(monkeypatch, 0)
    for _ in range(10):
        desk.record(RQ)
    assert len(desk.files) == 2


def test_a_directory_that_goes_away_is_said_once(tmp_path: Path) -> None:
    directory = tmp_path / "traces"
    directory.mkdir()
    desk = Desk(directory)
    recording = desk.begin()
    desk.bytes(recording, RQ)
    directory.rename(tmp_path / "elsewhere")
    desk.end(recording)
    desk.record(RQ)
    assert desk.causes == ["No such file or directory"]


def test_a_defect_is_told_and_ends_that_recording_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    recording = desk.begin()
    desk.bytes(recording, RQ)
    with monkeypatch.context() as patch:
        patch.setattr("services.trace.recording.blank_user_identity", lambda data: 1 / 0)
        desk.bytes(recording, RQ)
    desk.bytes(recording, RQ)
    desk.record(RQ)
    assert desk.causes == ["a defect of this server: ZeroDivisionError('division by zero')"]
    assert [sent(file) for file in desk.files] == [RQ, RQ]


def test_times_are_in_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        desk = Desk(tmp_path)
        desk.bytes(desk.begin(), RQ)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert desk.files[0].name.startswith("20260131T101531.123Z")
