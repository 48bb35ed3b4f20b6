"""Table 9-10 for a page."""

from dul.enums import Event, State
from dul.table import TABLE
from services.trace.html.machine import KINDS, action_texts, machine_data, rows


def test_the_grid_is_the_table() -> None:
    grid = [[cell.action for cell in row.cells] for row in rows()]
    assert grid == [[action.__name__.replace("_", "-") if action else "" for action in row] for row in TABLE]
    assert all(
        (cell.event, cell.state) == (event, state)
        for event, row in zip(Event, rows(), strict=True)
        for state, cell in zip(State, row.cells, strict=True)
    )


def test_every_action_is_explained_once() -> None:
    texts = action_texts()
    assert list(texts) == list(KINDS)
    assert {kind: len(found) for kind, found in texts.items()} == {"AE": 8, "DT": 2, "AR": 10, "AA": 8}
    assert all(
        action.text and action.next_states and action.cells for found in texts.values() for action in found
    )
    ae_6 = texts["AE"][5]
    assert (ae_6.name, ae_6.next_states, ae_6.cells) == ("AE-6", ("Sta3", "Sta13"), ("Evt6 in Sta2",))


def test_cells_are_told_in_short() -> None:
    ar_3, aa_3 = action_texts()["AR"][2], action_texts()["AA"][2]
    assert ar_3.cells == ("Evt13 in Sta7, 11",)
    assert aa_3.cells == ("Evt16 in Sta3, 5–12",)


def test_the_script_has_words_for_everything() -> None:
    data = machine_data()
    assert list(data["events"]) == list(range(1, 20))
    assert list(data["states"]) == list(range(1, 14))
    names = {cell.action for row in rows() for cell in row.cells} - {""}
    assert set(data["actions"]) == set(data["next"]) == names
    assert data["next"]["AR-8"] == ["Sta9", "Sta10"]
