"""Table 9-10 of PS3.8 as text, for `dicom-trace states`, and what its states, events and actions mean."""

from collections.abc import Iterator

from dul.enums import Event, State
from dul.table import TABLE

STATES: dict[State, str] = {
    State.Sta1: "Idle",
    State.Sta2: "Transport connection open, awaiting A-ASSOCIATE-RQ PDU",
    State.Sta3: "Awaiting local A-ASSOCIATE response",
    State.Sta4: "Awaiting the transport connection to open",
    State.Sta5: "Awaiting A-ASSOCIATE-AC or A-ASSOCIATE-RJ PDU",
    State.Sta6: "Association established, ready for data transfer",
    State.Sta7: "Awaiting A-RELEASE-RP PDU",
    State.Sta8: "Awaiting local A-RELEASE response",
    State.Sta9: "Release collision, requestor: awaiting local A-RELEASE response",
    State.Sta10: "Release collision, acceptor: awaiting A-RELEASE-RP PDU",
    State.Sta11: "Release collision, requestor: awaiting A-RELEASE-RP PDU",
    State.Sta12: "Release collision, acceptor: awaiting local A-RELEASE response",
    State.Sta13: "Awaiting the transport connection to close; the association is over",
}
"""What each state is (PS3.8 9.2.1, Tables 9-1 to 9-5)."""

EVENTS: dict[Event, str] = {
    Event.Evt1: "A-ASSOCIATE request",
    Event.Evt2: "transport connection confirmed",
    Event.Evt3: "A-ASSOCIATE-AC PDU",
    Event.Evt4: "A-ASSOCIATE-RJ PDU",
    Event.Evt5: "transport connection indicated",
    Event.Evt6: "A-ASSOCIATE-RQ PDU",
    Event.Evt7: "A-ASSOCIATE response, accept",
    Event.Evt8: "A-ASSOCIATE response, reject",
    Event.Evt9: "P-DATA request",
    Event.Evt10: "P-DATA-TF PDU",
    Event.Evt11: "A-RELEASE request",
    Event.Evt12: "A-RELEASE-RQ PDU",
    Event.Evt13: "A-RELEASE-RP PDU",
    Event.Evt14: "A-RELEASE response",
    Event.Evt15: "A-ABORT request",
    Event.Evt16: "A-ABORT PDU",
    Event.Evt17: "transport connection closed",
    Event.Evt18: "ARTIM timer expired",
    Event.Evt19: "unrecognized or invalid PDU",
}
"""What each event is (PS3.8 9.2.3): a PDU is received, requests and responses are primitives of the local user."""

SECTIONS = (
    ("AE", "Association establishment (PS3.8 Table 9-6)"),
    ("DT", "Data transfer (PS3.8 Table 9-7)"),
    ("AR", "Association release (PS3.8 Table 9-8)"),
    ("AA", "Association abort (PS3.8 Table 9-9)"),
)
"""The kinds of actions, by the letters their names begin with."""


def action_name(event: Event, state: State) -> str:
    """The action in a cell of the table, such as "AE-6"; empty for a blank."""
    action = TABLE[event - 1][state - 1]
    return "" if action is None else action.__name__.replace("_", "-")


def actions() -> dict[str, str]:
    """What each of the 28 actions does, by name, in the order of Tables 9-6 to 9-9."""
    found = {
        action.__name__.replace("_", "-"): (action.__doc__ or "").strip()
        for row in TABLE
        for action in row
        if action is not None
    }
    order = [kind for kind, _ in SECTIONS]
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0][:2]), int(item[0][3:]))))


def next_states(action: str) -> list[State]:
    """Where an action leads; AE-6 and AR-8 choose between two."""
    found = {"AE-6": [State.Sta3, State.Sta13], "AR-8": [State.Sta9, State.Sta10]}
    return found.get(action) or [_NEXT[action]]


_NEXT = {
    **dict.fromkeys(("AE-4", "AR-3", "AR-5", "AA-2", "AA-3", "AA-4", "AA-5"), State.Sta1),
    **dict.fromkeys(("AE-8", "AR-4", "AA-1", "AA-6", "AA-7", "AA-8"), State.Sta13),
    **dict.fromkeys(("AE-3", "AE-7", "DT-1", "DT-2"), State.Sta6),
    **dict.fromkeys(("AR-1", "AR-6"), State.Sta7),
    **dict.fromkeys(("AR-2", "AR-7"), State.Sta8),
    "AE-1": State.Sta4,
    "AE-2": State.Sta5,
    "AE-5": State.Sta2,
    "AR-9": State.Sta11,
    "AR-10": State.Sta12,
}


def table_lines() -> Iterator[str]:
    """The table, as printed in the standard: a row for each event, a column for each state."""
    names = {event: f"{event.name:<6}{text}" for event, text in EVENTS.items()}
    width = max(len(name) for name in names.values())
    yield f"{'':<{width}}  " + " ".join(f"{state.name:<5}" for state in State).rstrip()
    for event, name in names.items():
        cells = " ".join(f"{action_name(event, state) or '.':<5}" for state in State)
        yield f"{name:<{width}}  {cells}".rstrip()


def states_lines() -> Iterator[str]:
    """The table, and below it what its states and actions mean: all that `dicom-trace states` prints."""
    yield "State transitions of the Upper Layer (PS3.8 9.2.3, Table 9-10): event + state -> action"
    yield ""
    yield from table_lines()
    yield ""
    yield "Where a cell is blank the event cannot happen or, for a primitive of the local user, must not."
    yield ""
    yield "States (PS3.8 9.2.1)"
    for state, text in STATES.items():
        yield f"  {state.name:<6} {text}"
    texts = actions()
    for kind, title in SECTIONS:
        yield ""
        yield title
        for name, text in texts.items():
            if name.startswith(kind):
                then = " or ".join(state.name for state in next_states(name))
                yield f"  {name:<6} -> {then}: {text}"
