"""The two pages of the trace: associations, and the state machine itself."""

from collections.abc import Sequence

from msgspec import Struct

from dul.enums import State
from services.trace.association import AssociationTrace
from services.trace.html import machine
from services.trace.html.ladder import MOST_ROWS, Ladder, ladder
from services.trace.html.overview import Overview, overview
from services.trace.html.page import render_page, text
from services.trace.html.views import Views
from services.trace.states import STATES

STYLES = ("trace/style.css", "trace/ladder.css", "trace/bytes.css")
"""What every page with a ladder and a byte view needs, the conformance report too."""

SCRIPTS = ("trace/bytes.js", "trace/ladder.js")
"""The same for scripts."""


class _Association(Struct, frozen=True):
    number: int
    overview: Overview
    ladder: Ladder


def render_trace(traces: Sequence[AssociationTrace], title: str) -> str:
    """One page for some associations: overview, ladder, bytes, and the state machine they walk through.

    Args:
        traces: in the order they are shown.
        title: of the page, such as the name of a capture.

    Returns:
        the page, self-contained: it opens from a disk, and asks no network for anything.
    """
    views = Views()
    left = MOST_ROWS
    associations = []
    for number, trace in enumerate(traces, 1):
        found = ladder(trace, views, left)
        left -= len(found.rows)
        associations.append(_Association(number, overview(trace), found))
    return render_page(
        "trace/trace.html.j2",
        styles=(*STYLES, "trace/machine.css", "trace/trace.css"),
        scripts=(*SCRIPTS, "trace/machine.js", "trace/trace.js"),
        title=text(title) or "DICOM trace",
        data={
            **views.as_data(),
            "machine": machine.machine_data(),
            "associations": [association.ladder.script for association in associations],
        },
        associations=associations,
        table=machine.rows(),
        states=list(State),
        problem_count=sum(association.overview.problem_count for association in associations),
    )


def render_states() -> str:
    """One page for the state machine: Table 9-10, and what its events, states and actions mean."""
    return render_page(
        "trace/states.html.j2",
        styles=("trace/style.css", "trace/machine.css"),
        scripts=("trace/machine.js", "trace/states.js"),
        title="State machine of the DICOM Upper Layer",
        data={"machine": machine.machine_data()},
        table=machine.rows(),
        states=list(State),
        state_texts=STATES,
        kinds=machine.KINDS,
        actions=machine.action_texts(),
    )
