"""Whole stories at the machine: what an acceptor answers, release collisions, two machines on a wire."""

import pytest

from dul.effects import CloseTransport, Indicate, OpenTransport, SendPDU, StartARTIM, StopARTIM
from dul.enums import Role, State
from dul.errors import InvalidPDU, LocalProtocolError, PDUTooLong, RemoteProtocolError, UnrecognizedPDU
from dul.machine import UpperLayer
from dul.pdus import AAbort, AAssociateRJ, AAssociateRQ, AnyPDU, AReleaseRP, AReleaseRQ
from dul.primitives import (
    AbortIndication,
    AssociateConfirmation,
    AssociateIndication,
    PAbortIndication,
    PDataIndication,
    ReleaseConfirmation,
    ReleaseIndication,
)
from dul.reasons import AbortReason, RejectReason
from playbook import AC, PDATA, RQ, Happening, Step, Wire, play, receive

(Sta1, Sta2, Sta3, Sta4, Sta5, Sta6, Sta7, Sta8, Sta9, Sta10, Sta11, Sta12, Sta13) = State

RJ = AAssociateRJ(1, RejectReason.CALLED_AE_TITLE_NOT_RECOGNIZED)
ABORT = AAbort(AbortReason.SERVICE_USER)

accepted = UpperLayer.handle_transport_accepted
connected = UpperLayer.handle_transport_connected
closed = UpperLayer.handle_transport_closed
artim_expired = UpperLayer.handle_artim_expired
ask_release = UpperLayer.handle_release_request
agree_to_release = UpperLayer.handle_release_response
abort = UpperLayer.handle_abort_request


def associate(ul: UpperLayer) -> None:
    ul.handle_associate_request(RQ)


def accept(ul: UpperLayer) -> None:
    ul.handle_associate_accept(AC)


def reject(ul: UpperLayer) -> None:
    ul.handle_associate_reject(RJ)


def send_data(ul: UpperLayer) -> None:
    ul.handle_p_data_request(PDATA)


def receive_invalid(error: RemoteProtocolError) -> Happening:
    return lambda ul: ul.handle_invalid_pdu(error)


CONNECTION: list[Step] = [(accepted, [StartARTIM()], Sta2)]
INDICATED: list[Step] = [
    *CONNECTION,
    (receive(RQ), [StopARTIM(), Indicate(AssociateIndication(RQ))], Sta3),
]
AS_ACCEPTOR: list[Step] = [*INDICATED, (accept, [SendPDU(AC)], Sta6)]
AS_REQUESTOR: list[Step] = [
    (associate, [OpenTransport()], Sta4),
    (connected, [SendPDU(RQ)], Sta5),
    (receive(AC), [Indicate(AssociateConfirmation(AC))], Sta6),
]
SHUT_BY_ARTIM: list[Step] = [
    (artim_expired, [StopARTIM(), CloseTransport()], Sta1),
    (closed, [], Sta1),
]
SHUT_BY_PEER: list[Step] = [(closed, [StopARTIM()], Sta1)]


def provider_abort(reason: AbortReason, cause: str) -> list[object]:
    """AA-8."""
    return [SendPDU(AAbort(reason)), Indicate(PAbortIndication(reason, cause)), StartARTIM()]


def play_acceptor(*steps: Step) -> None:
    play(UpperLayer(Role.ACCEPTOR), steps)


def play_requestor(*steps: Step) -> None:
    play(UpperLayer(Role.REQUESTOR), steps)


# The acceptor, waiting for a request


def test_a_silent_connection_is_closed_by_artim():
    play_acceptor(*CONNECTION, *SHUT_BY_ARTIM)


def test_a_connection_that_comes_and_goes():
    play_acceptor(*CONNECTION, *SHUT_BY_PEER)


@pytest.mark.parametrize("first", [PDATA, AReleaseRQ(), AReleaseRP(), AC, RJ], ids=lambda p: type(p).__name__)
def test_a_first_pdu_that_is_no_request(first: AnyPDU):
    play_acceptor(*CONNECTION, (receive(first), [SendPDU(ABORT), StartARTIM()], Sta13), *SHUT_BY_ARTIM)


@pytest.mark.parametrize(
    "error", [UnrecognizedPDU("PDU type 47H"), PDUTooLong("4294967295 bytes"), InvalidPDU("67 bytes")]
)
def test_a_first_pdu_that_is_none_is_answered_as_service_user(error: RemoteProtocolError):
    play_acceptor(*CONNECTION, (receive_invalid(error), [SendPDU(ABORT), StartARTIM()], Sta13), *SHUT_BY_PEER)


def test_an_abort_first_is_not_answered():
    play_acceptor(*CONNECTION, (receive(ABORT), [StopARTIM(), CloseTransport()], Sta1), (closed, [], Sta1))


@pytest.mark.parametrize("version", [0, 2])
def test_a_request_for_another_protocol_version(version: int):
    rq = AAssociateRQ("CALLED", "CALLING", (), protocol_version=version)
    rj = AAssociateRJ(1, RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED)
    play_acceptor(*CONNECTION, (receive(rq), [StopARTIM(), SendPDU(rj), StartARTIM()], Sta13), *SHUT_BY_ARTIM)


# The acceptor's user answers


def test_a_rejected_peer_that_stays_is_closed_by_artim():
    play_acceptor(*INDICATED, (reject, [SendPDU(RJ), StartARTIM()], Sta13), *SHUT_BY_ARTIM)


def test_a_rejected_peer_gets_no_second_association():
    play_acceptor(
        *INDICATED,
        (reject, [SendPDU(RJ), StartARTIM()], Sta13),
        (receive(RQ), [SendPDU(AAbort(AbortReason.UNEXPECTED_PDU))], Sta13),
        (receive_invalid(UnrecognizedPDU("FFH")), [SendPDU(AAbort(AbortReason.UNRECOGNIZED_PDU))], Sta13),
        *SHUT_BY_PEER,
    )


def test_data_before_the_answer():
    effects = provider_abort(AbortReason.UNEXPECTED_PDU, "P-DATA-TF PDU unexpected in Sta3")
    play_acceptor(*INDICATED, (receive(PDATA), effects, Sta13), *SHUT_BY_PEER)


def test_the_requestor_gives_up_before_the_answer():
    lost = Indicate(PAbortIndication(None, "transport closed in Sta3, without a release or an abort"))
    ul = UpperLayer(Role.ACCEPTOR)
    play(ul, [*INDICATED, (closed, [lost], Sta1)])
    with pytest.raises(LocalProtocolError, match="in Sta1, only in Sta3"):
        ul.handle_associate_accept(AC)


# The acceptor in data transfer


@pytest.mark.parametrize("pdu", [RQ, AC, RJ, AReleaseRP()], ids=lambda pdu: type(pdu).__name__)
def test_a_pdu_that_is_out_of_place(pdu: AnyPDU):
    cause = f"{pdu.pdu_type.name.replace('_', '-')} PDU unexpected in Sta6"
    effects = provider_abort(AbortReason.UNEXPECTED_PDU, cause)
    play_acceptor(*AS_ACCEPTOR, (receive(pdu), effects, Sta13), *SHUT_BY_ARTIM)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnrecognizedPDU("PDU type 00H"), AbortReason(2, 1)),
        (PDUTooLong("P-DATA-TF of 200000 bytes, announced 131072"), AbortReason(2, 6)),
        (InvalidPDU("A-RELEASE-RQ length 8, must be 4"), AbortReason(2, 6)),
        (InvalidPDU("command PDV inside a data set", AbortReason(2, 5)), AbortReason(2, 5)),
    ],
)
def test_an_invalid_pdu_is_answered_with_its_reason(error: RemoteProtocolError, reason: AbortReason):
    play_acceptor(
        *AS_ACCEPTOR,
        (receive_invalid(error), provider_abort(reason, str(error)), Sta13),
        (receive(PDATA), [], Sta13),
        (receive(ABORT), [StopARTIM(), CloseTransport()], Sta1),
    )


@pytest.mark.parametrize("source", [0, 1, 2, 9])
def test_an_abort_is_never_answered(source: int):
    reason = AbortReason(source, 0)
    told = PAbortIndication(reason, f"the peer aborted: {reason}") if source == 2 else AbortIndication(reason)
    play_acceptor(
        *AS_ACCEPTOR, (receive(AAbort(reason)), [Indicate(told), CloseTransport()], Sta1), (closed, [], Sta1)
    )


def test_the_connection_breaks():
    lost = Indicate(PAbortIndication(None, "transport closed in Sta6, without a release or an abort"))
    play_acceptor(*AS_ACCEPTOR, (closed, [lost], Sta1))


def test_an_idle_association_is_aborted_as_service_user():
    play_acceptor(
        *AS_ACCEPTOR,
        (abort, [SendPDU(ABORT), StartARTIM()], Sta13),
        (receive(PDATA), [], Sta13),
        (receive(AReleaseRQ()), [], Sta13),
        (abort, [], Sta13),
        *SHUT_BY_ARTIM,
    )


# Release


@pytest.mark.parametrize("shut", [SHUT_BY_PEER, SHUT_BY_ARTIM], ids=["peer closes", "peer stays"])
def test_release_asked_by_the_peer(shut: list[Step]):
    play_acceptor(
        *AS_ACCEPTOR,
        (receive(AReleaseRQ()), [Indicate(ReleaseIndication())], Sta8),
        (agree_to_release, [SendPDU(AReleaseRP()), StartARTIM()], Sta13),
        *shut,
    )


def test_answers_may_still_go_out_before_the_release_is_agreed_to_and_not_after():
    ul = UpperLayer(Role.ACCEPTOR)
    released: list[Step] = [
        *AS_ACCEPTOR,
        (receive(AReleaseRQ()), [Indicate(ReleaseIndication())], Sta8),
        (send_data, [SendPDU(PDATA)], Sta8),
        (agree_to_release, [SendPDU(AReleaseRP()), StartARTIM()], Sta13),
    ]
    play(ul, released)
    with pytest.raises(LocalProtocolError):
        send_data(ul)


def test_data_after_the_peers_own_release_request():
    effects = provider_abort(AbortReason.UNEXPECTED_PDU, "P-DATA-TF PDU unexpected in Sta8")
    play_acceptor(
        *AS_ACCEPTOR,
        (receive(AReleaseRQ()), [Indicate(ReleaseIndication())], Sta8),
        (receive(PDATA), effects, Sta13),
    )


def test_release_asked_by_us_with_data_still_coming():
    play_requestor(
        *AS_REQUESTOR,
        (ask_release, [SendPDU(AReleaseRQ())], Sta7),
        (receive(PDATA), [Indicate(PDataIndication(PDATA.pdvs))], Sta7),
        (receive(AReleaseRP()), [Indicate(ReleaseConfirmation()), CloseTransport()], Sta1),
        (closed, [], Sta1),
    )


def test_release_collision_at_the_requestor_answers_first():
    play_requestor(
        *AS_REQUESTOR,
        (ask_release, [SendPDU(AReleaseRQ())], Sta7),
        (receive(AReleaseRQ()), [Indicate(ReleaseIndication(collision=True))], Sta9),
        (agree_to_release, [SendPDU(AReleaseRP())], Sta11),
        (receive(AReleaseRP()), [Indicate(ReleaseConfirmation()), CloseTransport()], Sta1),
        (closed, [], Sta1),
    )


def test_release_collision_at_the_acceptor_waits_for_the_requestors_answer():
    play_acceptor(
        *AS_ACCEPTOR,
        (ask_release, [SendPDU(AReleaseRQ())], Sta7),
        (receive(AReleaseRQ()), [Indicate(ReleaseIndication(collision=True))], Sta10),
        (receive(AReleaseRP()), [Indicate(ReleaseConfirmation())], Sta12),
        (agree_to_release, [SendPDU(AReleaseRP()), StartARTIM()], Sta13),
        *SHUT_BY_PEER,
    )


# The requestor before data transfer


def test_the_transport_does_not_open():
    lost = Indicate(PAbortIndication(None, "transport closed in Sta4, without a release or an abort"))
    play_requestor((associate, [OpenTransport()], Sta4), (closed, [lost], Sta1))


def test_the_user_gives_up_while_the_transport_opens():
    play_requestor((associate, [OpenTransport()], Sta4), (abort, [StopARTIM(), CloseTransport()], Sta1))


def test_the_acceptor_rejects():
    play_requestor(
        *AS_REQUESTOR[:2],
        (receive(RJ), [Indicate(AssociateConfirmation(RJ)), CloseTransport()], Sta1),
        (closed, [], Sta1),
    )


def test_the_user_gives_up_before_the_answer_comes():
    play_requestor(
        *AS_REQUESTOR[:2],
        (abort, [SendPDU(ABORT), StartARTIM()], Sta13),
        (receive(AC), [], Sta13),
        *SHUT_BY_PEER,
    )


# Two machines on a wire


@pytest.fixture
def wire() -> Wire:
    """An established association."""
    wire = Wire()
    wire.requestor.does(associate)
    wire.settle()
    wire.acceptor.does(accept)
    wire.settle()
    assert wire.states == (Sta6, Sta6)
    wire.requestor.heard.clear()
    wire.acceptor.heard.clear()
    return wire


def assert_over(wire: Wire) -> None:
    ends = (wire.requestor, wire.acceptor)
    assert wire.states == (Sta1, Sta1)
    assert not any(end.artim or end.open or end.ul.artim_running for end in ends)


def test_wire_establishment():
    wire = Wire()
    wire.requestor.does(associate)
    wire.settle()
    assert wire.states == (Sta5, Sta3)
    wire.acceptor.does(accept)
    wire.settle()
    assert wire.states == (Sta6, Sta6)
    assert wire.acceptor.heard == [AssociateIndication(RQ)]
    assert wire.requestor.heard == [AssociateConfirmation(AC)]


def test_wire_rejection():
    wire = Wire()
    wire.requestor.does(associate)
    wire.settle()
    wire.acceptor.does(reject)
    wire.settle()
    assert wire.requestor.heard == [AssociateConfirmation(RJ)]
    assert_over(wire)


def test_wire_data_both_ways_then_release(wire: Wire):
    wire.requestor.does(send_data)
    wire.acceptor.does(send_data)
    wire.requestor.does(ask_release)
    wire.settle()
    wire.acceptor.does(send_data)
    wire.acceptor.does(agree_to_release)
    wire.settle()
    data = PDataIndication(PDATA.pdvs)
    assert wire.acceptor.heard == [data, ReleaseIndication()]
    assert wire.requestor.heard == [data, data, ReleaseConfirmation()]
    assert_over(wire)


@pytest.mark.parametrize("requestor_answers_first", [True, False])
def test_wire_release_collision(wire: Wire, requestor_answers_first: bool):
    wire.requestor.does(ask_release)
    wire.acceptor.does(ask_release)
    wire.settle()
    assert wire.states == (Sta9, Sta10)
    if not requestor_answers_first:
        with pytest.raises(LocalProtocolError, match="in Sta10"):
            wire.acceptor.does(agree_to_release)
    wire.requestor.does(agree_to_release)
    wire.settle()
    assert wire.states == (Sta11, Sta12)
    wire.acceptor.does(agree_to_release)
    wire.settle()
    assert wire.requestor.heard == [ReleaseIndication(collision=True), ReleaseConfirmation()]
    assert wire.acceptor.heard == [ReleaseIndication(collision=True), ReleaseConfirmation()]
    assert_over(wire)


def test_wire_abort_by_the_user(wire: Wire):
    wire.requestor.does(send_data)
    wire.requestor.does(abort)
    wire.settle()
    assert wire.acceptor.heard == [PDataIndication(PDATA.pdvs), AbortIndication(AbortReason.SERVICE_USER)]
    assert wire.requestor.heard == []
    assert_over(wire)


def test_wire_both_abort_at_once(wire: Wire):
    wire.requestor.does(abort)
    wire.acceptor.does(abort)
    wire.settle()
    assert wire.requestor.heard == wire.acceptor.heard == []
    assert_over(wire)


def test_wire_abort_by_the_service_provider(wire: Wire):
    error = InvalidPDU("PDV length 1 is below 2")
    wire.acceptor.does(receive_invalid(error))
    wire.settle()
    reason = AbortReason.INVALID_PDU_PARAMETER_VALUE
    assert wire.acceptor.heard == [PAbortIndication(reason, str(error))]
    assert wire.requestor.heard == [PAbortIndication(reason, f"the peer aborted: {reason}")]
    assert_over(wire)


def test_wire_abort_crosses_a_release(wire: Wire):
    wire.requestor.does(ask_release)
    wire.acceptor.does(abort)
    wire.settle()
    assert wire.requestor.heard == [AbortIndication(AbortReason.SERVICE_USER)]
    assert wire.acceptor.heard == []
    assert_over(wire)


def test_wire_a_peer_that_never_closes_is_left_by_artim(wire: Wire):
    wire.requestor.does(ask_release)
    wire.acceptor.deliver()
    wire.acceptor.does(agree_to_release)
    assert wire.acceptor.artim
    wire.acceptor.does(artim_expired)
    wire.settle()
    assert_over(wire)
