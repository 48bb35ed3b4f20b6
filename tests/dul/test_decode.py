import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dul.decode import decode_pdu
from dul.encode import encode_pdu
from dul.enums import PDUType
from dul.errors import InvalidPDU, RemoteProtocolError, UnrecognizedPDU
from dul.framing import PDULimits, read_header
from dul.pdus import AAbort, AAssociateRQ, AnyPDU, PDataTF, UserIdentityRQSubItem
from dul.reasons import AbortReason
from dul_samples import PDUS, Sample, load_folder
from dul_strategies import pdus

VALID = load_folder("pdus")
INVALID = load_folder("invalid")
BY_NAME = {sample.name: sample for sample in VALID}


def named(samples: list[Sample]):
    return pytest.mark.parametrize("sample", samples, ids=[sample.name for sample in samples])


def test_each_sample_has_its_pdu():
    assert BY_NAME.keys() == PDUS.keys()


@named(VALID)
def test_sample_decodes_to_its_pdu(sample):
    assert decode_pdu(sample.data[0], sample.body) == PDUS[sample.name]


@named(VALID)
def test_a_view_decodes_to_the_same_pdu(sample):
    assert decode_pdu(sample.data[0], memoryview(sample.data)[6:]) == PDUS[sample.name]


@named(INVALID)
def test_invalid_sample_raises_what_it_says(sample):
    name, reason = sample.expected_error
    with pytest.raises(RemoteProtocolError) as caught:
        frame_and_decode(sample.data)
    assert type(caught.value).__name__ == name
    assert caught.value.reason == reason


def frame_and_decode(data: bytes) -> AnyPDU:
    header = read_header(data, 0, len(data), PDULimits())
    assert header is not None, "fewer than six bytes, and no error"
    pdu_type, length = header
    assert len(data) == 6 + length, "a sample is one PDU, neither more nor less"
    return decode_pdu(pdu_type, data[6:])


# Lengths that framing refuses before decoding must be refused here as well: decode_pdu has other callers.
@pytest.mark.parametrize(
    ("pdu_type", "body"),
    [
        (1, bytes(67)),
        (2, bytes(67)),
        (3, bytes(3)),
        (3, bytes(5)),
        (4, b""),
        (4, bytes(5)),
        (5, b""),
        (5, bytes(8)),
        (6, b""),
        (6, bytes(8)),
    ],
)
def test_wrong_length_is_invalid_whoever_framed_it(pdu_type, body):
    with pytest.raises(InvalidPDU):
        decode_pdu(pdu_type, body)


@pytest.mark.parametrize("pdu_type", [0, 8, 0x47, 255])
def test_unknown_type_is_unrecognized(pdu_type):
    with pytest.raises(UnrecognizedPDU, match=f"{pdu_type:02X}H") as caught:
        decode_pdu(pdu_type, bytes(4))
    assert caught.value.reason == AbortReason.UNRECOGNIZED_PDU


@pytest.mark.parametrize("length", [0, 1, 3, 5, 8])
def test_abort_of_wrong_length_is_an_abort(length):
    assert decode_pdu(7, b"\2" * length) == AAbort(AbortReason(0, 0))


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("rq_context_id_even", "presentation context id 2: it must be odd"),
        ("rq_context_id_repeated", "presentation context id 1 twice"),
        ("rq_application_context_twice", "A-ASSOCIATE-RQ with 2 application context items"),
        ("maximum_length_of_3_bytes", "maximum length sub-item with item-length 3: it must be 4"),
        ("user_information_sub_item_beyond", "item 52H with item-length 7: .* has 6 bytes left"),
        ("pdv_beyond_pdu", "PDV with item-length 5: its P-DATA-TF has 4 left"),
    ],
)
def test_errors_name_the_thing_and_the_value(sample, words):
    data = next(s.data for s in INVALID if s.name == sample)
    with pytest.raises(InvalidPDU, match=words):
        frame_and_decode(data)


def test_every_odd_context_id_at_once():
    rq = BY_NAME["a_associate_rq"].body
    context = slice(68 + 25, 68 + 25 + 50)  # after the fixed fields and the application context item
    items = b"".join(
        rq[context][:4] + bytes([context_id]) + rq[context][5:] for context_id in range(1, 256, 2)
    )
    decoded = decode_pdu(1, rq[: context.start] + items + rq[context.stop :])
    assert isinstance(decoded, AAssociateRQ)
    ids = [c.presentation_context_id for c in decoded.presentation_contexts]
    assert ids == list(range(1, 256, 2))


class TestMemory:
    """Fragments are lent, everything else is copied."""

    def test_fragments_of_a_view_are_views_of_the_same_bytes(self):
        received = bytearray(BY_NAME["p_data_tf_two_pdvs"].body)
        pdu = decode_pdu(PDUType.P_DATA_TF, memoryview(received))
        assert isinstance(pdu, PDataTF)
        assert [type(pdv.data) for pdv in pdu.pdvs] == [memoryview, memoryview]
        received[6] = 0x77
        assert pdu.pdvs[0].data[0] == 0x77

    def test_fragments_of_bytes_are_bytes(self):
        pdu = decode_pdu(PDUType.P_DATA_TF, BY_NAME["p_data_tf_two_pdvs"].body)
        assert isinstance(pdu, PDataTF)
        assert [pdv.data for pdv in pdu.pdvs] == [b"\1\2", b"\3\4\5\6"]

    @named([s for s in VALID if s.data[0] != PDUType.P_DATA_TF])
    def test_no_other_pdu_keeps_hold_of_the_buffer(self, sample):
        received = bytearray(sample.body)
        with memoryview(received) as view:
            pdu = decode_pdu(sample.data[0], view)
        received.clear()  # BufferError while anything exports it
        assert pdu == PDUS[sample.name]


def test_repr_shows_no_passcode():
    pdu = decode_pdu(1, BY_NAME["a_associate_rq_every_item"].body)
    assert isinstance(pdu, AAssociateRQ)
    assert isinstance(pdu.user_data[-1], UserIdentityRQSubItem)
    assert "passcode" not in repr(pdu)


# -- Whatever comes: a PDU, or an error that says how to abort


def check_total(pdu_type: int, body: bytes) -> None:
    pdu: AnyPDU | None = None
    with contextlib.suppress(RemoteProtocolError):
        pdu = decode_pdu(pdu_type, memoryview(body))
    if pdu is not None:
        assert pdu.pdu_type == pdu_type
        assert decode_pdu(pdu_type, encode_pdu(pdu)[6:]) == pdu


@given(pdu_type=st.integers(1, 7), body=st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_decode_or_raise_the_one_error(pdu_type, body):
    check_total(pdu_type, body)


@given(version=st.binary(min_size=68, max_size=68), pdu_type=st.sampled_from([1, 2]), data=st.data())
@settings(max_examples=100)
def test_any_items_decode_or_raise_the_one_error(version, pdu_type, data):
    item = st.builds(
        lambda item_type, value: bytes([item_type, 0]) + len(value).to_bytes(2) + value,
        st.sampled_from((0x10, 0x20, 0x21, 0x50, 0x7F)),
        st.binary(max_size=30),
    )
    items = data.draw(st.lists(item, max_size=6))
    check_total(pdu_type, version + b"".join(items))


@given(pdu=pdus, data=st.data())
@settings(max_examples=300)
def test_a_damaged_pdu_decodes_or_raises_the_one_error(pdu, data):
    body = bytearray(encode_pdu(pdu)[6:])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(body) - 1)))
        length = data.draw(st.integers(0, 4))
        body[at : at + length] = data.draw(st.binary(max_size=4))
    check_total(pdu.pdu_type, bytes(body))


@named([s for s in VALID if s.data[0] in (1, 2, 4)])
def test_every_truncation_decodes_or_raises_the_one_error(sample):
    for length in range(len(sample.body)):
        check_total(sample.data[0], sample.body[:length])


@named([s for s in VALID if s.data[0] in (1, 2, 4) and len(s.data) < 300])
def test_every_byte_at_its_extremes_decodes_or_raises_the_one_error(sample):
    for at in range(len(sample.body)):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF):
            check_total(sample.data[0], sample.body[:at] + bytes([value]) + sample.body[at + 1 :])
