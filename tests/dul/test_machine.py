"""The machine around the table: blank cells, AE-6's question, observation, effects."""

import pytest

from dul.effects import Indicate, SendPDU, StartARTIM, StopARTIM
from dul.enums import Event, Role, State
from dul.errors import InvalidPDU, LocalProtocolError
from dul.machine import Transition, UpperLayer
from dul.pdus import AAbort, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ
from dul.primitives import AssociateIndication, PDataIndication
from dul.reasons import AbortReason, RejectReason
from dul.table import TABLE
from playbook import AC, PDATA, RQ, receive

RJ = AAssociateRJ(2, RejectReason.LOCAL_LIMIT_EXCEEDED)

HAPPENINGS = {
    Event.Evt1: lambda ul: ul.handle_associate_request(RQ),
    Event.Evt2: UpperLayer.handle_transport_connected,
    Event.Evt3: receive(AC),
    Event.Evt4: receive(RJ),
    Event.Evt5: UpperLayer.handle_transport_accepted,
    Event.Evt6: receive(RQ),
    Event.Evt7: lambda ul: ul.handle_associate_accept(AC),
    Event.Evt8: lambda ul: ul.handle_associate_reject(RJ),
    Event.Evt9: lambda ul: ul.handle_p_data_request(PDATA),
    Event.Evt10: receive(PDATA),
    Event.Evt11: UpperLayer.handle_release_request,
    Event.Evt12: receive(AReleaseRQ()),
    Event.Evt13: receive(AReleaseRP()),
    Event.Evt14: UpperLayer.handle_release_response,
    Event.Evt15: UpperLayer.handle_abort_request,
    Event.Evt16: receive(AAbort(AbortReason.SERVICE_USER)),
    Event.Evt17: UpperLayer.handle_transport_closed,
    Event.Evt18: UpperLayer.handle_artim_expired,
    Event.Evt19: lambda ul: ul.handle_invalid_pdu(InvalidPDU("invalid")),
}
MISTAKES = {Event.Evt1, Event.Evt7, Event.Evt8, Event.Evt9, Event.Evt11, Event.Evt14}
CELLS = [(event, state) for event in Event for state in State]


def standing_in(state: State, **arguments) -> UpperLayer:
    ul = UpperLayer(Role.ACCEPTOR, **arguments)
    ul.request = RQ
    ul.state = state
    ul.artim_running = state in (State.Sta2, State.Sta13)
    return ul


def test_a_new_machine_is_idle():
    ul = UpperLayer(Role.REQUESTOR)
    assert (ul.role, ul.state, ul.artim_running, ul.take_effects()) == (Role.REQUESTOR, State.Sta1, False, [])


@pytest.mark.parametrize(("event", "state"), [cell for cell in CELLS if TABLE[cell[0] - 1][cell[1] - 1]])
def test_every_input_finds_its_row(event, state):
    seen: list[Transition] = []
    ul = standing_in(state, observe=seen.append)
    HAPPENINGS[event](ul)
    action = TABLE[event - 1][state - 1].__name__.replace("_", "-")
    assert seen == [Transition(state, event, action, ul.state)]


@pytest.mark.parametrize(
    ("event", "state"),
    [cell for cell in CELLS if not TABLE[cell[0] - 1][cell[1] - 1] and cell[0] in MISTAKES],
)
def test_a_primitive_that_the_state_does_not_allow_changes_nothing(event, state):
    ul = standing_in(state, observe=pytest.fail)
    with pytest.raises(LocalProtocolError, match=rf" in {state.name}, only in Sta"):
        HAPPENINGS[event](ul)
    assert (ul.state, ul.take_effects()) == (state, [])


@pytest.mark.parametrize(
    ("event", "state"),
    [cell for cell in CELLS if not TABLE[cell[0] - 1][cell[1] - 1] and cell[0] not in MISTAKES],
)
def test_anything_else_in_a_blank_cell_is_silent(event, state):
    ul = standing_in(state, observe=pytest.fail)
    HAPPENINGS[event](ul)
    assert (ul.state, ul.take_effects()) == (state, [])


def test_the_error_names_the_primitive_the_state_and_where_it_is_allowed():
    with pytest.raises(LocalProtocolError) as caught:
        standing_in(State.Sta13).handle_p_data_request(PDATA)
    assert (
        str(caught.value) == "P-DATA request is not allowed in Sta13, only in Sta6, Sta8 (PS3.8 Table 9-10)"
    )


@pytest.mark.parametrize("version", [0x0001, 0x0003, 0xFFFF])
def test_protocol_version_bit_0_is_all_that_is_tested(version):
    rq = AAssociateRQ("CALLED", "CALLING", (), protocol_version=version)
    ul = standing_in(State.Sta2)
    ul.handle_pdu(rq)
    assert ul.take_effects() == [StopARTIM(), Indicate(AssociateIndication(rq))]


@pytest.mark.parametrize("version", [0x0000, 0x0002, 0xFFFE])
def test_protocol_version_without_bit_0_is_rejected_before_anything_else_is_asked(version):
    ul = standing_in(State.Sta2, refuse=pytest.fail)
    ul.handle_pdu(AAssociateRQ("CALLED", "CALLING", (), protocol_version=version))
    rejection = AAssociateRJ(1, RejectReason.PROTOCOL_VERSION_NOT_SUPPORTED)
    assert ul.take_effects() == [StopARTIM(), SendPDU(rejection), StartARTIM()]
    assert (ul.state, ul.artim_running) == (State.Sta13, True)


def test_the_service_provider_may_refuse():
    asked: list[AAssociateRQ] = []

    def refuse(rq: AAssociateRQ) -> AAssociateRJ:
        asked.append(rq)
        return RJ

    ul = standing_in(State.Sta2, refuse=refuse)
    ul.handle_pdu(RQ)
    assert asked == [RQ]
    assert ul.take_effects() == [StopARTIM(), SendPDU(RJ), StartARTIM()]


def test_the_service_provider_may_let_pass():
    ul = standing_in(State.Sta2, refuse=lambda rq: None)
    ul.handle_pdu(RQ)
    assert ul.state is State.Sta3


def test_effects_come_in_order_and_are_forgotten_once_taken():
    ul = standing_in(State.Sta6)
    ul.handle_pdu(PDATA)
    ul.handle_p_data_request(PDATA)
    taken = ul.take_effects()
    ul.handle_pdu(PDATA)
    assert taken == [Indicate(PDataIndication(PDATA.pdvs)), SendPDU(PDATA)]
    assert ul.take_effects() == [Indicate(PDataIndication(PDATA.pdvs))]
    assert ul.take_effects() == []


@pytest.mark.parametrize("state", State)
def test_only_data_transfer_only_passes_data(state):
    ul = standing_in(state)
    assert ul.only_passes_data == (
        (in_print(Event.Evt9, state), in_print(Event.Evt10, state)) == ("DT_1", "DT_2")
    )
    assert ul.only_passes_data == (state is State.Sta6)


@pytest.mark.parametrize(
    ("event", "effect"), [(Event.Evt9, SendPDU(PDATA)), (Event.Evt10, Indicate(PDataIndication(PDATA.pdvs)))]
)
def test_there_p_data_is_one_effect_and_nothing_else(event, effect):
    ul = standing_in(State.Sta6)
    HAPPENINGS[event](ul)
    assert (ul.take_effects(), ul.state, ul.artim_running) == ([effect], State.Sta6, False)


def test_data_is_not_just_passed_before_what_waits_nor_unobserved():
    ul = standing_in(State.Sta6)
    ul.handle_p_data_request(PDATA)
    assert not ul.only_passes_data
    ul.take_effects()
    assert ul.only_passes_data
    assert not standing_in(State.Sta6, observe=print).only_passes_data


def in_print(event, state):
    action = TABLE[event - 1][state - 1]
    return None if action is None else action.__name__


def test_a_machine_can_serve_another_association():
    ul = UpperLayer(Role.ACCEPTOR)
    for _ in range(2):
        ul.handle_transport_accepted()
        ul.handle_artim_expired()
        ul.handle_transport_closed()
    assert (ul.state, ul.artim_running) == (State.Sta1, False)
