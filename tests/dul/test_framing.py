import pytest

from dul.decode import decode_pdu
from dul.errors import InvalidPDU, PDUTooLong, RemoteProtocolError, UnrecognizedPDU
from dul.framing import HEADER_LENGTH, PDULimits, read_header
from dul.reasons import AbortReason
from dul_samples import PDUS, load_folder

LIMITS = PDULimits()
SAMPLES = load_folder("pdus")
# Two A-ABORTs have lengths that no body follows from; see test_abort_of_wrong_length_has_no_body.
FRAMED = [sample for sample in SAMPLES if sample.name not in ("a_abort_empty", "a_abort_long")]
TRAILING = bytes.fromhex("01 00 00 00 00 CE 00 01 00 00")  # the beginning of an A-ASSOCIATE-RQ


class Receiver:
    """Frames what it is fed as an adapter does: whole PDUs out, the rest kept."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.pdus: list[object] = []

    def feed(self, data: bytes) -> None:
        self.buffer += data
        start = 0
        while (header := read_header(self.buffer, start, len(self.buffer), LIMITS)) is not None:
            stop = start + HEADER_LENGTH + header[1]
            if stop > len(self.buffer):
                break
            self.pdus.append(decode_pdu(header[0], bytes(self.buffer[start + HEADER_LENGTH : stop])))
            start = stop
        del self.buffer[:start]


def samples(chosen):
    return pytest.mark.parametrize("sample", chosen, ids=lambda sample: sample.name)


@samples(FRAMED)
def test_whole(sample):
    receiver = Receiver()
    receiver.feed(sample.data)
    assert receiver.pdus == [PDUS[sample.name]]
    assert not receiver.buffer


@samples(FRAMED)
def test_byte_by_byte(sample):
    receiver = Receiver()
    for at, byte in enumerate(sample.data, start=1):
        receiver.feed(bytes([byte]))
        assert len(receiver.pdus) == (at == len(sample.data))
    assert receiver.pdus == [PDUS[sample.name]]


@samples(FRAMED)
def test_every_split_with_trailing_bytes(sample):
    for at in range(len(sample.data) + 1):
        receiver = Receiver()
        receiver.feed(sample.data[:at])
        receiver.feed(sample.data[at:] + TRAILING)
        assert receiver.pdus == [PDUS[sample.name]]
        assert receiver.buffer == TRAILING


def test_all_in_one_piece():
    receiver = Receiver()
    receiver.feed(b"".join(sample.data for sample in FRAMED))
    assert receiver.pdus == [PDUS[sample.name] for sample in FRAMED]
    assert not receiver.buffer


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_reads_at_its_start_whatever_the_buffer(kind):
    buffer = kind(b"\xff\xff\4\0\0\0\0\x0a")
    assert read_header(buffer, 2, 8, LIMITS) == (4, 10)


def test_bytes_after_the_end_are_not_looked_at():
    buffer = b"\4\0\0\0\0\x0a"
    assert [read_header(buffer, 0, end, LIMITS) for end in range(7)] == [None] * 6 + [(4, 10)]


@pytest.mark.parametrize("pdu_type", [0, 8, 0x16, 0x47, 255])
@pytest.mark.parametrize("received", range(1, 7))
def test_wrong_type_is_known_by_its_first_byte(pdu_type, received):
    buffer = bytes([pdu_type]) + bytes(5)
    with pytest.raises(UnrecognizedPDU, match=f"{pdu_type:02X}H") as caught:
        read_header(buffer, 0, received, LIMITS)
    assert caught.value.reason == AbortReason.UNRECOGNIZED_PDU


def header(pdu_type: int, length: int) -> bytes:
    return bytes([pdu_type, 0]) + length.to_bytes(4)


def read(pdu_type: int, length: int, limits: PDULimits = LIMITS) -> tuple[int, int] | None:
    return read_header(header(pdu_type, length), 0, HEADER_LENGTH, limits)


@pytest.mark.parametrize(
    ("pdu_type", "shortest", "longest"), [(1, 68, 1 << 20), (2, 68, 1 << 20), (4, 6, 131072)]
)
def test_lengths_at_and_beyond_the_limits(pdu_type, shortest, longest):
    assert read(pdu_type, shortest) == (pdu_type, shortest)
    assert read(pdu_type, longest) == (pdu_type, longest)
    for length in (0, shortest - 1):
        with pytest.raises(InvalidPDU, match=f"PDU-length {length}: it must be {shortest} or more") as caught:
            read(pdu_type, length)
        assert type(caught.value) is InvalidPDU
    for length in (longest + 1, 0xFFFFFFFF):
        with pytest.raises(PDUTooLong, match=f"PDU-length {length}: we take {longest} at most"):
            read(pdu_type, length)


@pytest.mark.parametrize("pdu_type", [1, 2, 4])
def test_limits_are_those_given(pdu_type):
    limits = PDULimits(p_data_tf=100, a_associate=100)
    assert read(pdu_type, 100, limits) == (pdu_type, 100)
    with pytest.raises(PDUTooLong):
        read(pdu_type, 101, limits)


@pytest.mark.parametrize("pdu_type", [3, 5, 6])
def test_fixed_length_is_four(pdu_type):
    assert read(pdu_type, 4) == (pdu_type, 4)
    for length in (0, 3, 5, 8, 0xFFFFFFFF):
        with pytest.raises(InvalidPDU, match=f"PDU-length {length}: it must be 4"):
            read(pdu_type, length)


def test_abort_of_wrong_length_has_no_body():
    assert read(7, 4) == (7, 4)
    assert {read(7, length) for length in (0, 3, 5, 8, 0xFFFFFFFF)} == {(7, 0)}
    for sample in SAMPLES:
        if sample.name in ("a_abort_empty", "a_abort_long"):
            assert read_header(sample.data, 0, len(sample.data), LIMITS) == (7, 0)


@samples(
    [s for s in load_folder("invalid") if s.expected_error[0] in ("UnrecognizedPDU", "PDUTooLong")],
)
def test_refused_on_the_header_before_the_body_is_stored(sample):
    with pytest.raises(RemoteProtocolError):
        read_header(sample.data, 0, min(HEADER_LENGTH, len(sample.data)), LIMITS)
