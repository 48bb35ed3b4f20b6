"""What the acceptor answers is right where nothing wrong was asked for: our own core reads it as it was meant."""

from typing import cast

import pytest

from dimse.command_set import decode_command_set
from dimse.messages import CFindRSP, CGetRSP, CStoreRSP
from dul.decode import decode_pdu
from dul.pdus import AAssociateAC, AAssociateRJ, AAssociateRQ, MaximumLengthSubItem, RoleSelectionSubItem
from raw_bytes import CT_IMAGE, EXPLICIT, IMPLICIT, VERIFICATION, context, pdus_of, pdvs_of, proposing, role
from services.conformance.accepted import AcceptedConnection, Asked, Association
from services.conformance.answering import (
    accept,
    answered_context,
    in_pdus,
    refusing,
    reject,
    response,
    whole_answer,
)
from services.conformance.target import Target
from services.trace.reading import command_elements, read_pdu

RQ = proposing(
    context(1, VERIFICATION, IMPLICIT),
    context(3, CT_IMAGE, EXPLICIT, IMPLICIT),
    sub_items=(role(CT_IMAGE, 1, 1),),
)


@pytest.fixture
def association() -> Association:
    """One whose SCU has sent `RQ`; there is no connection beneath it."""
    connection = AcceptedConnection.__new__(AcceptedConnection)
    found = Association(Target(host="", port=0, called_ae=b""), connection)
    connection.on_pdu(read_pdu(RQ))
    return found


def decoded(raw: bytes) -> AAssociateAC:
    return cast(AAssociateAC, decode_pdu(raw[0], raw[6:]))


def test_an_acceptance(association: Association) -> None:
    answer = decoded(accept(association, maximum=4096))
    request = cast(AAssociateRQ, association.request)
    assert [
        (c.presentation_context_id, c.result, c.transfer_syntax) for c in answer.presentation_contexts
    ] == [
        (1, 0, IMPLICIT.decode()),
        (3, 0, EXPLICIT.decode()),
    ]
    assert answer.called_ae_title == request.called_ae_title
    assert MaximumLengthSubItem(4096) in answer.user_data
    assert RoleSelectionSubItem(CT_IMAGE.decode(), True, True) in answer.user_data
    assert association.agreed.maximum == 4096
    assert association.agreed.contexts == {1: (VERIFICATION, IMPLICIT), 3: (CT_IMAGE, EXPLICIT)}


def test_a_refusal_of_every_context(association: Association) -> None:
    answer = decoded(accept(association, contexts=refusing(association, 3)))
    assert [c.result for c in answer.presentation_contexts] == [3, 3]


def test_a_context_can_be_answered_wrongly(association: Association) -> None:
    answer = decoded(accept(association, contexts=[answered_context(99, 0, b"1.2.3")]))
    assert answer.presentation_contexts[0].presentation_context_id == 99


def test_a_rejection() -> None:
    raw = reject(2, 3, 1)
    rejection = cast(AAssociateRJ, decode_pdu(raw[0], raw[6:]))
    assert (rejection.result, rejection.reason.source, rejection.reason.reason) == (2, 3, 1)


def asked(field: int, data_set: bytes | None = None) -> Asked:
    return Asked(3, field, 9, CT_IMAGE, b"2.25.7", data_set)


def test_a_response() -> None:
    message = decode_command_set(response(asked(0x0001), 0xB000))
    assert isinstance(message, CStoreRSP)
    assert (message.message_id_being_responded_to, message.status) == (9, 0xB000)
    assert message.affected_sop_instance_uid == "2.25.7"


def test_counts_of_sub_operations() -> None:
    message = decode_command_set(response(asked(0x0010), 0xFF00, counts=(5, 4, 3, 2)))
    assert isinstance(message, CGetRSP)
    assert message.number_of_remaining_suboperations == 5
    assert message.number_of_warning_suboperations == 2


def test_what_is_left_out_is_not_there() -> None:
    assert 0x0900 not in command_elements(response(asked(0x0001), None))
    assert 0x0900 in command_elements(response(asked(0x0001)))


def test_a_find_gets_one_match_and_the_final_response(association: Association) -> None:
    identifier = bytes.fromhex("0800520006000000") + b"STUDY "
    fragments = [
        pdvs_of(each.body)[0] for each in pdus_of(whole_answer(association, asked(0x0020, identifier)))
    ]
    pending, final = decode_command_set(fragments[0][2]), decode_command_set(fragments[2][2])
    assert isinstance(pending, CFindRSP)
    assert isinstance(final, CFindRSP)
    assert (pending.status, fragments[1][2], final.status) == (0xFF00, identifier, 0)


def test_no_pdu_is_longer_than_the_scu_takes(association: Association) -> None:
    association.agreed.peer_maximum = 101
    found = pdus_of(in_pdus(association, 1, 0, bytes(1000)))
    assert max(len(each.body) for each in found) <= 101
    assert all(len(data) % 2 == 0 for each in found for _, _, data in pdvs_of(each.body))
    assert b"".join(data for each in found for _, _, data in pdvs_of(each.body)) == bytes(1000)
