"""The pages of the trace, as text; what a browser makes of them is in tests/interop/test_pages.py."""

import json
import re
from typing import Any

from dul.enums import Event, State
from services.trace.association import AssociationTrace
from services.trace.html import render as rendering
from services.trace.html import render_states, render_trace
from trace_samples import AN_ECHO, ECHO_RSP, RELEASE_RQ, A, R, ac, established, rq, traced, wire

HOSTILE = b'"><script>x()</'


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_a_page_of_two_associations() -> None:
    page = render_trace([traced(*AN_ECHO, closed_by=R), established((A, ECHO_RSP))], "two.pcap")
    assert "<title>two.pcap</title>" in page
    assert re.findall(r'<section class="overview" id="(\w+)"', page) == ["a1", "a2"]
    assert page.count('class="entry pdu') == 6 + 3
    assert 'href="#a2-e3"' in page
    assert 'id="a2-e3"' in page
    assert [len(rows) for rows in data_of(page)["associations"]] == [8, 4]


def test_every_view_that_is_named_is_there() -> None:
    data = data_of(render_trace([traced(*AN_ECHO, closed_by=R)], "one"))
    named = [number for rows in data["associations"] for row in rows for _, number in row["v"]]
    assert named
    assert set(named) == set(range(len(data["views"])))
    assert all(number < len(data["strings"]) for view in data["views"] for number in view["f"][3::9])


def test_hostile_names_are_escaped() -> None:
    trace = traced(
        (R, wire(rq()).replace(b"CALLING        ", HOSTILE)),
        (A, ac()),
        (R, b"\x09<script>y()</script>"),
        closed_by=R,
    )
    trace.name = "<script>z()</script>\u202e"
    page = render_trace([trace], '<script>t()</script>"\x00')
    assert page.count("<script") == 2
    assert "&lt;script&gt;z()" in page
    assert not set(page) & set("\u202e\x00")


def test_no_association_at_all() -> None:
    page = render_trace([], "")
    assert "There is no association in this trace." in page
    assert "<title>DICOM trace</title>" in page
    assert data_of(page)["associations"] == []


def test_an_association_without_entries() -> None:
    assert 'class="ladder"' in render_trace([AssociationTrace("nothing yet")], "one")


def test_rows_are_bounded_over_all_associations(monkeypatch: Any) -> None:
    monkeypatch.setattr(rendering, "MOST_ROWS", 10)
    page = render_trace([traced(*AN_ECHO, closed_by=R)] * 3, "three")
    assert [len(rows) for rows in data_of(page)["associations"]] == [8, 2, 0]
    assert "6 more PDUs and events are not in this page." in page
    assert "8 more PDUs and events are not in this page." in page


def test_a_long_transfer_makes_no_long_page() -> None:
    """Of 40 MB on the wire the page stays below 10 MB."""
    trace = established()
    fragment = (16_380).to_bytes(4) + b"\x03\x00"
    for number in range(2500):
        body = fragment + number.to_bytes(4) * 4094 + bytes(2)
        trace.feed(R, b"\x04\0" + len(body).to_bytes(4) + body, 1.0)
    trace.feed(R, wire(RELEASE_RQ), 2.0)
    assert len(render_trace([trace], "long")) < 10_000_000


def test_the_page_of_the_states() -> None:
    page = render_states()
    assert page.count("<td data-cell=") == 247
    for name in [
        *(event.name for event in Event),
        *(state.name for state in State),
        "AE-6",
        "DT-2",
        "AR-10",
        "AA-8",
    ]:
        assert f'id="{name}"' in page
    assert "if the provider can accept, issue A-ASSOCIATE indication" in page
