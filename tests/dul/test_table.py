"""Table 9-10 against a second transcription of it, cell by cell."""

from collections import Counter
from pathlib import Path

import pytest

from dul.enums import Event, State
from dul.table import TABLE

FIXTURE = Path(__file__).parents[2] / "fixtures" / "ps3_8" / "table_9_10.txt"


def transcription() -> dict[tuple[str, str], str]:
    lines = [line.split() for line in FIXTURE.read_text().splitlines() if line and not line.startswith("#")]
    states = lines[0][1:]
    return {
        (event, state): cell for event, *cells in lines[1:] for state, cell in zip(states, cells, strict=True)
    }


def in_print(event: Event, state: State) -> str:
    action = TABLE[event - 1][state - 1]
    return "-" if action is None else action.__name__.replace("_", "-")


def test_all_247_cells_agree_with_the_transcription():
    ours = {(event.name, state.name): in_print(event, state) for event in Event for state in State}
    assert len(ours) == 247
    assert ours == transcription()


def test_the_grid_has_no_row_or_column_to_spare():
    assert [len(row) for row in TABLE] == [len(State)] * len(Event)


@pytest.mark.parametrize(
    ("action", "cells"), [("AA-8", 54), ("AA-1", 15), ("AA-4", 10), ("AA-3", 9), ("-", 247 - 123)]
)
def test_frequent_cells(action, cells):
    assert Counter(in_print(event, state) for event in Event for state in State)[action] == cells


def test_all_28_actions_are_used():
    used = {action.__name__ for row in TABLE for action in row if action is not None}
    numbers = {"AE": 8, "DT": 2, "AR": 10, "AA": 8}
    assert used == {f"{group}_{number}" for group, last in numbers.items() for number in range(1, last + 1)}
