"""An association as a ladder: a row for each PDU and event, and what its script is told of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from services.trace.association import AssociationTrace, Entry, TracedPDU
from services.trace.fields import Dissection, Side
from services.trace.html.page import text
from services.trace.html.views import Views
from services.trace.inference import Step
from services.trace.reading import ReadMessage

MOST_ROWS = 4000
"""How many rows the ladders of one page have in all."""

_FOLDED_FROM = 3
_FRAGMENT = "P-DATA-TF"


class Transition(Struct, frozen=True):
    """One transition as it stands beside a lifeline: "Sta2", "Evt6", "AE-6", "Sta3"."""

    before: str
    event: str
    action: str
    after: str


class Row(Struct, frozen=True, kw_only=True):
    """One row of a ladder.

    Attributes:
        position: among the rows, from 0; its script knows it by that.
        number: of the PDU; 0 for an event.
        at: seconds since the connection opened.
        sender: "requestor" or "acceptor"; who did it, of an event, and empty where nobody did.
        name: of the PDU, or what happened.
        summary, problems, notes: as traced.
        transitions: of each side that go with it.
        states: of each side after it; empty where not known.
        moved: the sides whose state it changed.
        fold: how many rows below it are folded away until asked for.
        folded: it is one of those.
    """

    position: int
    number: int
    at: float
    sender: str
    name: str
    summary: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    transitions: dict[str, tuple[Transition, ...]]
    states: dict[str, str]
    moved: frozenset[str]
    fold: int = 0
    folded: bool = False


class Ladder(Struct, frozen=True):
    """The rows of one association.

    Attributes:
        rows: in their order.
        begin: states of both sides above the first row; empty where not known.
        left_out: how many more entries there are.
        script: for each row `v`, its byte views as title and number, and `s`, its transitions as side (0 is the
            requestor), event, state and next state.
    """

    rows: tuple[Row, ...]
    begin: dict[str, str]
    left_out: int
    script: list[dict[str, Any]]


def ladder(
    trace: AssociationTrace,
    views: Views,
    most: int = MOST_ROWS,
    remains: Mapping[int, Dissection] | None = None,
) -> Ladder:
    """Draw up the ladder of an association.

    Args:
        trace: the association.
        views: of the page; those of the rows are added.
        most: how many rows it may have.
        remains: bytes to show with an event, such as those of a PDU that did not end, by its position.
    """
    entries = trace.entries[:most]
    folds = _folds(entries)
    states = _begin(entries)
    begin = dict(states)
    rows = []
    for position, entry in enumerate(entries):
        transitions = {side.value: _transitions(entry.steps, side) for side in Side}
        for side, found in transitions.items():
            if found:
                states[side] = found[-1].after
        rows.append(_row(position, entry, transitions, dict(states), folds))
    script = [_script(entry, trace, views) for entry in entries]
    for position, dissection in (remains or {}).items():
        view = views.pdu(dissection)
        if position < len(script) and view is not None:
            script[position]["v"].append(("What there is of the PDU", view))
    return Ladder(tuple(rows), begin, len(trace.entries) - len(entries), script)


def _row(
    position: int,
    entry: Entry,
    transitions: dict[str, tuple[Transition, ...]],
    states: dict[str, str],
    folds: dict[int, int],
) -> Row:
    is_pdu = isinstance(entry, TracedPDU)
    sender = entry.sender if isinstance(entry, TracedPDU) else entry.side
    return Row(
        position=position,
        number=entry.number if isinstance(entry, TracedPDU) else 0,
        at=entry.at,
        sender=sender.value if sender is not None else "",
        name=text(entry.dissection.name if isinstance(entry, TracedPDU) else entry.what),
        summary=text(entry.dissection.summary) if isinstance(entry, TracedPDU) else "",
        problems=tuple(map(text, entry.problems)),
        notes=tuple(map(text, entry.notes)),
        transitions=transitions,
        states=states,
        moved=frozenset(side for side, found in transitions.items() if _moves(found)),
        fold=folds.get(position, 0),
        folded=is_pdu and position in folds and not folds[position],
    )


def _begin(entries: Sequence[Entry]) -> dict[str, str]:
    """States before the first row: those in which the first transition of each side finds it."""
    begin = {side.value: "" for side in Side}
    for entry in reversed(entries):
        for step in reversed(entry.steps):
            begin[step.side.value] = step.transition.state.name
    return begin


def _moves(transitions: Sequence[Transition]) -> bool:
    return bool(transitions) and transitions[0].before != transitions[-1].after


def _transitions(steps: Sequence[Step], side: Side) -> tuple[Transition, ...]:
    return tuple(
        Transition(there.state.name, there.event.name, there.action_name, there.next_state.name)
        for there in (step.transition for step in steps if step.side is side)
    )


def _folds(entries: Sequence[Entry]) -> dict[int, int]:
    """Runs of fragments that tell nothing new: how many follow, by the row before them; 0 for each of them."""
    folds: dict[int, int] = {}
    start = 0
    while start < len(entries):
        end = start + 1
        while end < len(entries) and _goes_on(entries[end - 1], entries[end]):
            end += 1
        if end - start > _FOLDED_FROM:
            folds[start] = end - start - 1
            folds |= dict.fromkeys(range(start + 1, end), 0)
        start = end
    return folds


def _goes_on(before: Entry, entry: Entry) -> bool:
    """Whether an entry is a fragment in the middle of a message, like the one before it."""
    return all(
        isinstance(each, TracedPDU)
        and each.dissection.name == _FRAGMENT
        and not (each.messages or each.problems)
        for each in (before, entry)
    ) and getattr(before, "sender", None) is getattr(entry, "sender", None)


# -- for the script


def _script(entry: Entry, trace: AssociationTrace, views: Views) -> dict[str, Any]:
    steps = [
        [int(step.side is Side.ACCEPTOR), there.event.value, there.state.value, there.next_state.value]
        for step in entry.steps
        for there in (step.transition,)
    ]
    shown: list[tuple[str, int]] = []
    if isinstance(entry, TracedPDU):
        own = views.pdu(entry.dissection)
        shown += [("PDU", own)] if own is not None else []
        for message in entry.messages:
            shown += _message_views(message, entry, trace, views)
    return {"v": shown, "s": steps}


def _message_views(
    message: ReadMessage, entry: TracedPDU, trace: AssociationTrace, views: Views
) -> list[tuple[str, int]]:
    name = getattr(getattr(message.message, "command_field", None), "label", None) or "message"
    found = []
    if message.command and message.command not in entry.dissection.raw:
        found.append((f"Command set of {name}", views.command(message)))
    data_set = views.data_set(message, trace.contexts.get(message.context_id))
    if data_set is not None:
        found.append((f"Data set of {name}", data_set))
    return found
