import pytest

from dul.enums import PDUType
from dul.pdus import (
    PDV,
    AAssociateAC,
    AAssociateRQ,
    PresentationContextACItem,
    PresentationContextRQItem,
    UnknownItem,
    UserIdentityRQSubItem,
    significant,
)
from dul_samples import PDUS


@pytest.mark.parametrize(
    ("title", "wanted"),
    [
        ("ARCHIVE         ", "ARCHIVE"),
        ("         ARCHIVE", "ARCHIVE"),
        ("  ARCHIVE  \0\0", "ARCHIVE"),
        ("ARCHIVE\0 \0 ", "ARCHIVE"),
        ("MY ARCHIVE", "MY ARCHIVE"),
        ("                ", ""),
        ("\0ARCHIVE", "\0ARCHIVE"),  # a NUL in front is no padding
        ("Archive", "Archive"),
    ],
)
def test_significant_part_of_a_title(title, wanted):
    assert significant(title) == wanted


def test_titles_of_a_request():
    rq = AAssociateRQ("  ARCHIVE       ", "MODALITY\0\0\0\0\0\0\0\0", ())
    assert (rq.called_ae, rq.calling_ae) == ("ARCHIVE", "MODALITY")


def test_parts_of_a_request():
    rq = PDUS["a_associate_rq_every_item"]
    assert isinstance(rq, AAssociateRQ)
    assert rq.application_context_name == "1.2.840.10008.3.1.1.1"
    assert [type(context) for context in rq.presentation_contexts] == [PresentationContextRQItem] * 3
    assert len(rq.user_data) == 11


def test_parts_of_an_acceptance():
    ac = PDUS["a_associate_ac_every_item"]
    assert isinstance(ac, AAssociateAC)
    assert [type(context) for context in ac.presentation_contexts] == [PresentationContextACItem] * 5
    assert [context.result for context in ac.presentation_contexts] == [0, 1, 2, 3, 4]


def test_parts_that_are_missing():
    rq = AAssociateRQ("A", "B", (UnknownItem(0x7F, b""),))
    assert rq.application_context_name is None
    assert rq.presentation_contexts == ()
    assert rq.user_data == ()


@pytest.mark.parametrize(
    ("control_header", "is_command", "is_last"),
    [(0, False, False), (1, True, False), (2, False, True), (3, True, True), (0xFC, False, False)],
)
def test_message_control_header(control_header, is_command, is_last):
    pdv = PDV(1, control_header, b"")
    assert (pdv.is_command, pdv.is_last) == (is_command, is_last)


def test_each_pdu_knows_its_type():
    assert {type(pdu).__name__: pdu.pdu_type for pdu in PDUS.values()} == {
        "AAssociateRQ": PDUType.A_ASSOCIATE_RQ,
        "AAssociateAC": PDUType.A_ASSOCIATE_AC,
        "AAssociateRJ": PDUType.A_ASSOCIATE_RJ,
        "PDataTF": PDUType.P_DATA_TF,
        "AReleaseRQ": PDUType.A_RELEASE_RQ,
        "AReleaseRP": PDUType.A_RELEASE_RP,
        "AAbort": PDUType.A_ABORT,
    }


@pytest.mark.parametrize("pdu", PDUS.values(), ids=PDUS.keys())
def test_values_hash_and_do_not_change(pdu):
    assert hash(pdu) == hash(pdu)
    for field in pdu.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(pdu, field, None)


def test_user_identity_shows_none_of_its_fields():
    identity = UserIdentityRQSubItem(2, True, b"operator", b"passcode")
    for shown in (repr(identity), str(identity), f"{(identity,)}"):
        assert "operator" not in shown
        assert "passcode" not in shown
