"""Errors that make their own answer."""

import pytest

from dimse.command_set import encode_command_set
from dimse.errors import DimseError, InvalidCommandSet, UnexpectedPDV
from dimse.messages import CEchoRQ, CEchoRSP, CStoreRQ, CStoreRSP, RefusalRSP
from dul.errors import RemoteProtocolError
from dul.reasons import AbortReason

STORE = CStoreRQ(message_id=3, affected_sop_class_uid="1.2", affected_sop_instance_uid="1.2.3")


def test_dimse_error_builds_its_response():
    error = DimseError(0xA900, "not the SOP class of the data set", offending_elements=(0x00080016,))
    assert error.response(STORE) == CStoreRSP(
        message_id_being_responded_to=3,
        status=0xA900,
        affected_sop_class_uid="1.2",
        affected_sop_instance_uid="1.2.3",
        error_comment="not the SOP class of the data set",
        offending_element=(0x00080016,),
    )


def test_dimse_error_without_comment():
    request = CEchoRQ(message_id=1, affected_sop_class_uid="1.2.840.10008.1.1")
    assert DimseError(0x0110).response(request) == CEchoRSP(
        message_id_being_responded_to=1, status=0x0110, affected_sop_class_uid="1.2.840.10008.1.1"
    )


def test_the_comment_of_the_response_is_cut_and_printable():
    response = DimseError(0x0110, "ü" + "z" * 80).response(STORE)
    assert response.error_comment == "?" + "z" * 63


def test_dimse_error_reads_well():
    assert str(DimseError(0x0124)) == "Failure: refused: not authorized (0124H)"
    assert str(DimseError(0x0124, "echo only")) == "Failure: refused: not authorized (0124H): echo only"


def test_refusal_of_a_request():
    error = InvalidCommandSet("Command Field 0FFEH is no operation", message_id=9, command_field=0x0FFE)
    assert error.is_answerable
    refusal = error.refusal()
    assert refusal == RefusalRSP(
        command_field=0x8FFE,
        message_id_being_responded_to=9,
        status=0x0211,
        error_comment="Command Field 0FFEH is no operation",
    )
    assert refusal.is_response
    assert not refusal.has_data_set
    assert encode_command_set(refusal)


@pytest.mark.parametrize(
    ("message_id", "command_field"),
    [
        (None, None),
        (None, 0x0FFE),
        (9, None),
        (9, 0x8FFE),  # a response
        (9, 0x8001),
        (9, 0x0FFF),  # C-CANCEL-RQ
    ],
)
def test_no_refusal_where_nothing_can_be_answered(message_id, command_field):
    error = InvalidCommandSet("unreadable", message_id=message_id, command_field=command_field)
    assert not error.is_answerable
    assert error.refusal() is None


def test_message_id_zero_can_be_answered():
    refusal = InvalidCommandSet("x", message_id=0, command_field=0x0002).refusal()
    assert refusal is not None
    assert refusal.message_id_being_responded_to == 0


def test_unexpected_pdv_carries_its_abort_reason():
    error = UnexpectedPDV("out of place")
    assert isinstance(error, RemoteProtocolError)
    assert error.reason == AbortReason.UNEXPECTED_PDU_PARAMETER
