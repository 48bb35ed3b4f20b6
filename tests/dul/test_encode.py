import pytest
from hypothesis import given, settings

from dul.decode import decode_pdu
from dul.encode import encode_pdu
from dul.framing import PDULimits, read_header
from dul.pdus import (
    PDV,
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    ApplicationContextItem,
    AsynchronousOperationsWindowSubItem,
    MaximumLengthSubItem,
    PDataTF,
    PresentationContextACItem,
    PresentationContextRQItem,
    RoleSelectionSubItem,
    UnknownItem,
    UserIdentityRQSubItem,
    UserInformationItem,
)
from dul.reasons import AbortReason, RejectReason
from dul_samples import PDUS, load_folder
from dul_strategies import pdus

CANONICAL = [sample for sample in load_folder("pdus") if not sample.tolerated]
TOLERATED = [sample for sample in load_folder("pdus") if sample.tolerated]


@pytest.mark.parametrize("sample", CANONICAL, ids=lambda sample: sample.name)
def test_pdu_encodes_to_its_sample(sample):
    assert encode_pdu(PDUS[sample.name]).hex(" ") == sample.data.hex(" ")


@pytest.mark.parametrize("sample", TOLERATED, ids=lambda sample: sample.name)
def test_what_was_tolerated_encodes_by_the_book(sample):
    encoded = encode_pdu(PDUS[sample.name])
    assert encoded != sample.data
    assert decode_pdu(encoded[0], encoded[6:]) == PDUS[sample.name]


@given(pdu=pdus)
@settings(max_examples=400)
def test_what_was_encoded_decodes_to_the_same(pdu):
    encoded = encode_pdu(pdu)
    header = read_header(encoded, 0, len(encoded), PDULimits())
    assert header == (pdu.pdu_type, len(encoded) - 6)
    assert decode_pdu(encoded[0], encoded[6:]) == pdu


def test_short_titles_are_padded_with_spaces():
    encoded = encode_pdu(AAssociateRQ("SCP", "", ()))
    assert encoded[10:26] == b"SCP             "
    assert encoded[26:42] == b" " * 16


def test_fragments_of_views_are_copied_once_each_into_place():
    received = memoryview(bytearray(b"abcdef"))
    encoded = encode_pdu(PDataTF((PDV(1, 0, received[:2]), PDV(1, 2, received[2:]))))
    received[0] = 0
    assert encoded[6:] == b"\0\0\0\4\1\0ab" + b"\0\0\0\6\1\2cdef"


def context(context_id: int) -> AAssociateRQ:
    return AAssociateRQ("A", "B", (PresentationContextRQItem(context_id, "1.2", ("1.2",)),))


def sub_item(item) -> AAssociateRQ:
    return AAssociateRQ("A", "B", (UserInformationItem((item,)),))


@pytest.mark.parametrize(
    ("pdu", "words"),
    [
        (AAssociateRQ("SEVENTEEN LETTERS", "B", ()), "'SEVENTEEN LETTERS' of 17 characters"),
        (AAssociateAC("A", "SEVENTEEN LETTERS", ()), "'SEVENTEEN LETTERS' of 17 characters"),
        (AAssociateRQ("ARCHIV€", "B", ()), "'ARCHIV€' has characters outside ISO 8859-1"),
        (AAssociateRQ("A", "B", (ApplicationContextItem("1.2.€"),)), "'1.2.€' has characters outside"),
        (AAssociateRQ("A", "B", (), 1, bytes(31)), "reserved field of 31 bytes"),
        (AAssociateRQ("A", "B", (), 65536), "AAssociateRQ has a number that does not fit"),
        (context(0), "presentation context id 0: it must be 1 to 255"),
        (context(256), "presentation context id 256: it must be 1 to 255"),
        (AAssociateAC("A", "B", (PresentationContextACItem(-1, 0, ""),)), "presentation context id -1"),
        (AAssociateAC("A", "B", (PresentationContextACItem(1, 256, ""),)), "does not fit"),
        (AAssociateRQ("A", "B", (UnknownItem(0x7F, bytes(65536)),)), "does not fit"),
        (AAssociateRQ("A", "B", (UnknownItem(256, b""),)), "does not fit"),
        (sub_item(MaximumLengthSubItem(1 << 32)), "does not fit"),
        (sub_item(AsynchronousOperationsWindowSubItem(65536, 1)), "does not fit"),
        (sub_item(RoleSelectionSubItem("1" * 65536, True, True)), "does not fit"),
        (sub_item(UserIdentityRQSubItem(256, False, b"")), "does not fit"),
        (AAssociateRJ(256, RejectReason(1, 1)), "AAssociateRJ has a number that does not fit"),
        (AAbort(AbortReason(0, 256)), "AAbort has a number that does not fit"),
        (PDataTF(()), "P-DATA-TF without a PDV"),
        (PDataTF((PDV(0, 0, b""),)), "presentation context id 0"),
        (PDataTF((PDV(256, 0, b""),)), "presentation context id 256"),
        (PDataTF((PDV(1, 256, b""),)), "PDataTF has a number that does not fit"),
        (PDataTF((PDV(1, 0, memoryview(bytes(4)).cast("H")),)), "cast to 'B'"),
    ],
)
def test_what_has_no_encoding_is_refused(pdu, words):
    with pytest.raises(ValueError, match=words):
        encode_pdu(pdu)


@pytest.mark.parametrize(
    "stranger",
    ["P-DATA-TF", AAssociateRQ("A", "B", (PDV(1, 0, b""),)), sub_item(ApplicationContextItem("1.2"))],
)
def test_what_is_no_part_of_a_pdu_does_not_vanish(stranger):
    with pytest.raises(AssertionError, match="unreachable"):
        encode_pdu(stranger)
