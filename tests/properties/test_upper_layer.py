"""What holds of the state machine whatever happens to it, in whatever order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dul.effects import CloseTransport, OpenTransport, SendPDU, StartARTIM, StopARTIM
from dul.enums import Role, State
from dul.errors import InvalidPDU, LocalProtocolError, PDUTooLong, UnrecognizedPDU
from dul.machine import Transition, UpperLayer
from dul.pdus import AAbort, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, PDataTF
from dul.reasons import AbortReason, RejectReason
from playbook import AC, PDATA, RQ

RJ = AAssociateRJ(1, RejectReason.NO_REASON_GIVEN)

inputs = st.one_of(
    st.sampled_from(
        [
            ("handle_associate_request", RQ),
            ("handle_associate_accept", AC),
            ("handle_associate_reject", RJ),
            ("handle_p_data_request", PDATA),
            ("handle_release_request",),
            ("handle_release_response",),
            ("handle_abort_request",),
            ("handle_transport_connected",),
            ("handle_transport_accepted",),
            ("handle_transport_closed",),
            ("handle_artim_expired",),
            ("handle_pdu", AC),
            ("handle_pdu", RJ),
            ("handle_pdu", PDATA),
            ("handle_pdu", AReleaseRQ()),
            ("handle_pdu", AReleaseRP()),
        ]
    ),
    st.integers(0, 3).map(lambda version: ("handle_pdu", AAssociateRQ("A", "B", (), version))),
    st.builds(AbortReason, st.integers(0, 255), st.integers(0, 255)).map(
        lambda reason: ("handle_pdu", AAbort(reason))
    ),
    st.sampled_from([UnrecognizedPDU("type"), InvalidPDU("length"), PDUTooLong("length")]).map(
        lambda error: ("handle_invalid_pdu", error)
    ),
)

_ASSOCIATED = {
    Role.REQUESTOR: [
        ("handle_associate_request", RQ),
        ("handle_transport_connected",),
        ("handle_pdu", AC),
    ],
    Role.ACCEPTOR: [("handle_transport_accepted",), ("handle_pdu", RQ), ("handle_associate_accept", AC)],
}
_COLLISION = [("handle_release_request",), ("handle_pdu", AReleaseRQ())]
_AFTER_COLLISION = {
    Role.REQUESTOR: [("handle_release_response",)],
    Role.ACCEPTOR: [("handle_pdu", AReleaseRP())],
}


@st.composite
def stories(draw: st.DrawFn) -> tuple[UpperLayer, list[tuple[object, ...]]]:
    """A machine and what happens to it: part of an orderly association, then anything."""
    role = draw(st.sampled_from(Role))
    orderly = [*_ASSOCIATED[role], *_COLLISION, *_AFTER_COLLISION[role]]
    beginning = orderly[: draw(st.integers(0, len(orderly)))]
    refuse = draw(st.sampled_from([None, lambda rq: RJ]))
    return UpperLayer(role, refuse=refuse), beginning + draw(st.lists(inputs, max_size=25))


def happen(ul: UpperLayer, method: str, *arguments: object) -> bool:
    """Whether the machine took it; LocalProtocolError is the only thing it may raise."""
    try:
        getattr(ul, method)(*arguments)
    except LocalProtocolError:
        return False
    return True


@given(stories())
@settings(max_examples=300, deadline=None)
def test_artim_runs_in_sta2_and_sta13_and_nowhere_else(story):
    ul, happenings = story
    running = False
    for happening in happenings:
        happen(ul, *happening)
        for effect in ul.take_effects():
            if isinstance(effect, StartARTIM | StopARTIM):
                running = isinstance(effect, StartARTIM)
        assert running == ul.artim_running == (ul.state in (State.Sta2, State.Sta13))


@given(stories())
@settings(max_examples=300, deadline=None)
def test_what_may_be_sent_in_which_state(story):
    ul, happenings = story
    for happening in happenings:
        before = ul.state
        happen(ul, *happening)
        for effect in ul.take_effects():
            if isinstance(effect, SendPDU):
                if isinstance(effect.pdu, PDataTF):
                    assert before in (State.Sta6, State.Sta8)
                if before is State.Sta13:
                    assert isinstance(effect.pdu, AAbort)
                assert before is not State.Sta1


@given(stories())
@settings(max_examples=300, deadline=None)
def test_a_closed_transport_always_ends_in_sta1(story):
    ul, happenings = story
    for happening in happenings:
        happen(ul, *happening)
    ul.take_effects()
    ul.handle_transport_closed()
    assert ul.state is State.Sta1
    assert not any(
        isinstance(effect, SendPDU | OpenTransport | CloseTransport) for effect in ul.take_effects()
    )


@given(stories())
@settings(max_examples=300, deadline=None)
def test_an_abort_request_leaves_nothing_to_wait_for_but_the_close(story):
    ul, happenings = story
    for happening in happenings:
        happen(ul, *happening)
    ul.handle_abort_request()
    assert ul.state in (State.Sta1, State.Sta2, State.Sta13)


@given(stories())
@settings(max_examples=300, deadline=None)
def test_what_is_refused_changes_nothing(story):
    ul, happenings = story
    for happening in happenings:
        before = ul.state
        if not happen(ul, *happening):
            assert (ul.state, ul.take_effects()) == (before, [])
        ul.take_effects()


@given(stories())
@settings(max_examples=300, deadline=None)
def test_observed_transitions_form_one_unbroken_path(story):
    ul, happenings = story
    seen: list[Transition] = []
    watched = UpperLayer(ul.role, observe=seen.append)
    for happening in happenings:
        happen(watched, *happening)
    path = [State.Sta1, *(step.next_state for step in seen)]
    assert [step.state for step in seen] == path[:-1]
    assert path[-1] is watched.state
