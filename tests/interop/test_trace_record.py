"""What a server records when real toolkits send real images: exact, or without what identifies a patient."""

import io
import time
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.multival import MultiValue

from certificates import self_signed
from dul.pdus import AAssociateAC, AAssociateRQ
from peers import Outcome, run_peer, storescu
from real_files import real_file
from servers import RunningServer, running_server
from services import read_instance
from services.trace.capture import read_capture
from services.trace.fields import Side
from services.trace.reading import MessageReader, PDUReader, ReadMessage, ReadPDU
from services.trace.redact_data_set import KEPT
from services.trace.tcp import Closed, Data, Opened, Reassembler
from wire import capture, recording_proxy, tshark_problems

AE = "SERVER"
FILES = [
    real_file(name)
    for name in (
        "CT_small.dcm",  # Explicit VR Little Endian, private elements
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
        "JPEG2000.dcm",  # encapsulated
        "liver_1frame.dcm",
        "reportsi.dcm",  # a structured report: text in sequences in sequences
        "rtplan.dcm",
        "MR_small_RLE.dcm",
    )
]
STUMBLED_OVER = {"MR_small_RLE.dcm"}
"""Where tshark 4.0 finds its tags cut in what dumpcap captured, too."""

DEFLATED = real_file("image_dfl.dcm")


class Recorded:
    """One recording, read back."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.raw = file.read_bytes()
        reassembler = Reassembler()
        self.events = [
            event
            for packet in read_capture(io.BytesIO(self.raw), pytest.fail)
            for event in reassembler.feed(packet)
        ]
        assert isinstance(self.events[0], Opened)
        assert isinstance(self.events[-1], Closed)

    def sent(self, side: Side) -> bytes:
        return b"".join(e.data for e in self.events if isinstance(e, Data) and e.sender is side)

    def pdus(self, side: Side) -> list[ReadPDU]:
        reader = PDUReader()
        pdus = reader.feed(self.sent(side))
        assert reader.incomplete == b""
        assert [pdu.error for pdu in pdus if pdu.error is not None] == []
        return pdus

    @property
    def transfer_syntaxes(self) -> dict[int, str | None]:
        """By context, as accepted: a toolkit may send in another one than the file is in."""
        accept = self.pdus(Side.ACCEPTOR)[0].pdu
        assert isinstance(accept, AAssociateAC)
        return {c.presentation_context_id: c.transfer_syntax for c in accept.presentation_contexts}

    def messages(self, side: Side) -> list[ReadMessage]:
        reader = MessageReader()
        return [
            each for read in self.pdus(side) if hasattr(read.pdu, "pdvs") for each in reader.feed(read.pdu)
        ]


def recordings(server: RunningServer, folder: Path, count: int) -> list[Recorded]:
    """Once that many associations are over and written."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        ended = [
            event for event in server.events() if event in ("association released", "association aborted")
        ]
        if len(ended) >= count:
            break
        time.sleep(0.02)
    server.process.terminate()
    assert server.process.wait(20) == 0
    files = sorted((folder / "traces").iterdir())
    assert len(files) == count
    return [Recorded(file) for file in files]


def serving(folder: Path, *options: str) -> list[str]:
    configuration = folder / "server.toml"
    configuration.write_text("[storage]\nacceptDeflated = true\n")
    return ["--config", str(configuration), "--trace", str(folder / "traces"), *options]


def send_all(port: int, folder: Path) -> list[Outcome]:
    """Each file in the transfer syntax it is in, on an association of its own."""
    return [run_peer("dcmsend", "--decompress-never", "-aec", AE, "127.0.0.1", port, file) for file in FILES]


@pytest.mark.peer("dcmsend", "tshark")
def test_a_recording_is_what_was_on_the_wire(tmp_path: Path) -> None:
    with running_server(tmp_path, *serving(tmp_path)) as server, recording_proxy(server.port) as proxy:
        assert all(outcome.ok for outcome in send_all(proxy.port, tmp_path))
        recorded = recordings(server, tmp_path, len(FILES))
        assert len(proxy.connections) == len(FILES)
        for source, recording, wire in zip(FILES, recorded, proxy.connections, strict=True):
            assert recording.sent(Side.REQUESTOR) == bytes(wire.from_client)
            assert recording.sent(Side.ACCEPTOR) == bytes(wire.from_server)
            assert source.name in STUMBLED_OVER or tshark_problems(recording.file, server.port) == []


def texts_of(file: Path) -> set[bytes]:
    """Names, numbers, UIDs, dates and descriptions of a file, but for those that may stay."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are odd on purpose
        dataset = pydicom.dcmread(file)
        found: set[str] = set()
        kept: set[str] = set()
        for element in dataset.iterall():
            if element.VR in ("SQ", "OB", "OW", "UN", "US", "SS", "FD", "FL", "UL", "SL", "AT", "OF"):
                continue
            values = element.value if isinstance(element.value, MultiValue) else [element.value]
            (kept if element.tag in KEPT else found).update(str(value) for value in values)
    return {text.encode() for text in found - kept if len(text) > 5 and len(set(text)) > 1}


@pytest.mark.peer("dcmsend", "tshark")
def test_a_redacted_recording_names_nobody_and_still_reads(tmp_path: Path) -> None:
    with running_server(tmp_path, *serving(tmp_path, "--redact")) as server:
        assert all(outcome.ok for outcome in send_all(server.port, tmp_path))
        recorded = recordings(server, tmp_path, len(FILES))
        for recording, source in zip(recorded, FILES, strict=True):
            texts = texts_of(source)
            assert len(texts) > 5
            assert {text for text in texts if text in recording.raw} == set(), source
            instance = read_instance(source)
            assert tshark_problems(recording.file, server.port) == []
            (request,) = recording.messages(Side.REQUESTOR)
            (answer,) = recording.messages(Side.ACCEPTOR)
            for message in (request.message, answer.message):
                assert message.affected_sop_class_uid == instance.sop_class_uid  # type: ignore[union-attr]
            hidden = request.message.affected_sop_instance_uid  # type: ignore[union-attr]
            assert hidden == answer.message.affected_sop_instance_uid  # type: ignore[union-attr]
            assert len(hidden) == len(instance.sop_instance_uid)
            assert_reads_like(request, source, recording.transfer_syntaxes[request.context_id])


def assert_reads_like(request: ReadMessage, source: Path, transfer_syntax: str | None) -> None:
    """The data set has the elements of its source, at every depth, and the matrix it describes."""
    implicit = transfer_syntax == "1.2.840.10008.1.2"
    little = transfer_syntax != "1.2.840.10008.1.2.2"
    assert request.data_set is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hidden = pydicom.filereader.read_dataset(io.BytesIO(request.data_set), implicit, little)
        before = pydicom.dcmread(source)
        before.pop("DataSetTrailingPadding", None)  # which DCMTK does not send
        assert [e.tag for e in hidden.iterall()] == [e.tag for e in before.iterall()]
        for keyword in ("Modality", "Rows", "Columns", "BitsAllocated", "SpecificCharacterSet"):
            assert hidden.get(keyword) == before.get(keyword)


@pytest.mark.peer("storescu", "tshark")
def test_commands_in_small_fragments_are_redacted_too(tmp_path: Path) -> None:
    source = FILES[0]
    configuration = tmp_path / "server.toml"
    configuration.write_text("maxPDUSize = 4096\n")
    options = ["--config", str(configuration), "--trace", str(tmp_path / "traces"), "--redact"]
    with running_server(tmp_path, *options) as server:
        outcome = storescu(server.port, source, source, options=("--repeat", "2"), called=AE)
        assert outcome.ok, outcome
        (recording, *_) = recordings(server, tmp_path, 1)
        uids = {m.message.affected_sop_instance_uid for m in recording.messages(Side.REQUESTOR)}  # type: ignore[union-attr]
        assert len(uids) == 1
        assert read_instance(source).sop_instance_uid.encode() not in recording.raw
        assert b"CompressedSamples" not in recording.raw
        assert tshark_problems(recording.file, server.port) == []


@pytest.mark.peer("dcmsend", "tshark")
def test_a_deflated_data_set_is_blanked_whole(tmp_path: Path) -> None:
    with running_server(tmp_path, *serving(tmp_path, "--redact")) as server:
        outcome = run_peer("dcmsend", "--decompress-never", "-aec", AE, "127.0.0.1", server.port, DEFLATED)
        assert outcome.ok, outcome
        (recording,) = recordings(server, tmp_path, 1)
        (request,) = recording.messages(Side.REQUESTOR)
        assert request.data_set == bytes(request.data_set_length) != b""
        assert recording.pdus(Side.ACCEPTOR)
        assert tshark_problems(recording.file, server.port) == []


@pytest.mark.peer("storescu", "tshark")
def test_a_password_is_never_recorded(tmp_path: Path) -> None:
    with running_server(tmp_path, *serving(tmp_path)) as server:
        outcome = storescu(
            server.port, FILES[0], options=("-usr", "dr.who", "-pwd", "tardis-blue"), called=AE
        )
        assert outcome.ok, outcome
        (recording,) = recordings(server, tmp_path, 1)
        assert b"tardis" not in recording.raw
        assert b"dr.who" not in recording.raw
        assert b"CompressedSamples" in recording.raw
        request = recording.pdus(Side.REQUESTOR)[0].pdu
        assert isinstance(request, AAssociateRQ)
        assert tshark_problems(recording.file, server.port) == []


@pytest.mark.peer("storescu", "tshark")
def test_under_tls_the_inside_is_recorded(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ("--tls", "--tls-certificate", str(certificate), "--tls-private-key", str(key))
    with running_server(tmp_path, *serving(tmp_path, *tls)) as server:
        options = ("--anonymous-tls", "--add-cert-file", str(certificate), "-aec", AE)
        outcome = run_peer("storescu", *options, "localhost", server.port, FILES[0])
        assert outcome.ok, outcome
        (recording,) = recordings(server, tmp_path, 1)
        (request,) = recording.messages(Side.REQUESTOR)
        assert request.data_set is not None
        assert b"CompressedSamples" in request.data_set
        assert tshark_problems(recording.file, server.port) == []


@pytest.mark.peer("storescu", "dumpcap", "tshark")
@pytest.mark.parametrize("kind", ["pcapng", "pcap", "nsecpcap"])
def test_a_capture_of_dumpcap_reads_as_what_was_on_the_wire(tmp_path: Path, kind: str) -> None:
    with running_server(tmp_path) as server, recording_proxy(server.port) as proxy:
        with capture(proxy.port, tmp_path / "captured") as file:
            for source in FILES[:2]:
                assert storescu(proxy.port, source, called=AE, options=("-R",)).ok
        converted = tmp_path / "converted"
        assert run_peer("tshark", "-r", file, "-F", kind, "-w", converted).ok
        reassembler = Reassembler()
        said: list[str] = []
        with converted.open("rb") as opened:
            events = [e for packet in read_capture(opened, said.append) for e in reassembler.feed(packet)]
        assert said == []
        assert [type(event).__name__ for event in events if not isinstance(event, Data)] == [
            "Opened",
            "Closed",
        ] * 2
        for number, wire in enumerate(proxy.connections, 1):
            mine = [event for event in events if event.connection.number == number]
            for side, expected in (
                (Side.REQUESTOR, wire.from_client),
                (Side.ACCEPTOR, wire.from_server),
            ):
                got = b"".join(e.data for e in mine if isinstance(e, Data) and e.sender is side)
                assert got == bytes(expected)
