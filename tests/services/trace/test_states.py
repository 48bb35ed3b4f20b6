"""The table as text is the table, and what is said of an action is what it does."""

import pytest

from dul.enums import Event, Role, State
from dul.machine import Transition, UpperLayer
from dul.pdus import AAbort, AAssociateRJ, AAssociateRQ, PDataTF
from dul.reasons import AbortReason, RejectReason
from dul.table import TABLE
from services.trace.states import EVENTS, STATES, action_name, actions, next_states, states_lines, table_lines


def test_every_cell_stands_in_its_column() -> None:
    head, *rows = table_lines()
    assert head.split() == [state.name for state in State]
    assert len(rows) == 19
    for event, row in zip(Event, rows, strict=True):
        assert row.startswith(f"{event.name:<6}{EVENTS[event]}")
        for state in State:
            at = head.index(f" {state.name}") + 1
            assert row[at : at + 5].strip() == (action_name(event, state) or "."), (event, state)


def test_every_state_and_action_is_told() -> None:
    text = "\n".join(states_lines())
    assert len(STATES) == 13
    assert len(actions()) == 28
    for meaning in (*STATES.values(), *actions().values()):
        assert meaning
        assert meaning in text
    assert list(actions())[:3] == ["AE-1", "AE-2", "AE-3"]
    assert list(actions())[-1] == "AA-8"


@pytest.mark.parametrize("name", list(actions()))
def test_where_an_action_leads(name: str) -> None:
    """By running it, for either role, accepted and refused."""
    found = set()
    argument = AAssociateRQ("", "", ())
    refusal = AAssociateRJ(1, RejectReason.NO_REASON_GIVEN)
    for role in Role:
        for refused in (None, refusal):
            machine = UpperLayer(role, refuse=lambda _, refused=refused: refused)
            machine.request = argument
            action = next(a for row in TABLE for a in row if a and a.__name__.replace("_", "-") == name)
            found.add(action(machine, _argument(name, argument)))
    assert sorted(found) == next_states(name)


def _argument(name: str, rq: AAssociateRQ) -> object:
    return {"AA-3": AAbort(AbortReason.SERVICE_USER), "DT-2": PDataTF(()), "AR-6": PDataTF(())}.get(name, rq)


def test_a_transition_reads_as_in_the_trace() -> None:
    seen: list[Transition] = []
    UpperLayer(Role.ACCEPTOR, observe=seen.append).handle_transport_accepted()
    assert seen[0].action_name == action_name(Event.Evt5, State.Sta1) == "AE-5"
