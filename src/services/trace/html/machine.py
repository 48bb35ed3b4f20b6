"""Table 9-10 of PS3.8 for a page: the grid, and what its events, states and actions mean."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from dul.enums import Event, State
from services.trace.states import EVENTS, STATES, action_name, actions, next_states

KINDS = {
    "AE": ("Association establishment", "PS3.8 Table 9-6"),
    "DT": ("Data transfer", "PS3.8 Table 9-7"),
    "AR": ("Association release", "PS3.8 Table 9-8"),
    "AA": ("Association abort", "PS3.8 Table 9-9"),
}
"""What the actions are about, by the first part of their names, and where the standard has them."""


class Cell(Struct, frozen=True):
    """A cell of the table: an event, a state, and the action there; an empty one for a blank."""

    event: int
    state: int
    action: str


class EventRow(Struct, frozen=True):
    """A row of the table."""

    event: Event
    text: str
    cells: tuple[Cell, ...]


class ActionText(Struct, frozen=True):
    """What an action does, where it leads, and in which cells it stands."""

    name: str
    text: str
    next_states: tuple[str, ...]
    cells: tuple[str, ...]


def rows() -> tuple[EventRow, ...]:
    """The table: a row for each event, in the order of the standard."""
    return tuple(
        EventRow(
            event, EVENTS[event], tuple(Cell(event, state, action_name(event, state)) for state in State)
        )
        for event in Event
    )


def action_texts() -> dict[str, tuple[ActionText, ...]]:
    """Every action, by kind."""
    found: dict[str, list[ActionText]] = {kind: [] for kind in KINDS}
    for name, text in actions().items():
        cells = [
            f"{event.name} in Sta{_ranges(states)}"
            for event in Event
            if (states := [state.value for state in State if action_name(event, state) == name])
        ]
        leads = tuple(state.name for state in next_states(name))
        found[name[:2]].append(ActionText(name, text, leads, tuple(cells)))
    return {kind: tuple(texts) for kind, texts in found.items()}


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in short: "3, 6–12"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}–{part[-1]}" for part in parts)


def machine_data() -> dict[str, Any]:
    """For the script: texts of `events` and `states` by number, of `actions` by name, and where each leads."""
    return {
        "events": {event.value: text for event, text in EVENTS.items()},
        "states": {state.value: text for state, text in STATES.items()},
        "actions": actions(),
        "next": {name: [state.name for state in next_states(name)] for name in actions()},
    }
