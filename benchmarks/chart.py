"""The comparison as a bar chart: SVG for the README, legible in a light and in a dark page.

A group of bars for each work, the fastest of them as long as there is room; groups stand in two columns, in the order
of `GROUPS`. The same results give the same bytes.
"""

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from benchmarks.works import DCMQRSCP, ORTHANC, OURS, PYNETDICOM, STORESCP, TWO_WORKERS

GROUPS = {
    "C-STORE 512 KiB x1": "C-STORE, 512 KiB, 1 association",
    "C-STORE 512 KiB x4": "C-STORE, 512 KiB, 4 associations",
    "C-STORE 8 KiB x1": "C-STORE, 8 KiB, 1 association",
    "C-STORE 8 KiB x8": "C-STORE, 8 KiB, 8 associations",
    "C-STORE 200 MB x1": "C-STORE, 200 MB, 1 association",
    "C-ECHO": "C-ECHO",
    "associate + echo + release, 64 contexts": "Associate, C-ECHO, release; 64 contexts",
    "C-GET 512 KiB x1": "C-GET, 512 KiB",
    "C-MOVE 512 KiB x1": "C-MOVE, 512 KiB",
    "C-FIND, streamed matches": "C-FIND, many matches",
    "C-FIND, one match": "C-FIND, one match",
}
"""The works that are drawn, each with its heading; all of them rates, so that more is better."""

BARS = {
    OURS: ("dicom-server", "ours"),
    TWO_WORKERS: ("… 2 workers", "ours-too"),
    STORESCP: ("storescp", "peer"),
    DCMQRSCP: ("dcmqrscp", "peer"),
    ORTHANC: ("Orthanc", "peer"),
    PYNETDICOM: ("pynetdicom", "peer"),
}
"""The servers that are drawn, from the top down: what a bar is called, and its class."""

_WIDTH, _MARGIN, _GUTTER = 900, 28, 36
_COLUMN = (_WIDTH - 2 * _MARGIN - _GUTTER) // 2
_NAME, _FIGURE = 94, 122  # room for the name of a server, and for a figure behind the longest bar
_HEADING, _ROW, _BAR, _GAP = 21, 18, 12, 14
_TOP, _LINE = 82, 16
_LINE_LENGTH = 135  # characters of the note

_STYLE = """
svg { --paper: #ffffff; --edge: #d1d9e0; --ink: #1f2328; --faint: #59636e;
      --ours: #0969da; --ours-too: #54aeff; --peer: #b1bac4; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #0d1117; --edge: #3d444d; --ink: #f0f6fc; --faint: #9198a1;
        --ours: #4493f8; --ours-too: #1f5fbf; --peer: #656c76; }
}
.paper { fill: var(--paper); stroke: var(--edge); }
.ours { fill: var(--ours); }
.ours-too { fill: var(--ours-too); }
.peer { fill: var(--peer); }
text { font-family: -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; font-size: 12px;
       fill: var(--ink); }
.title { font-size: 20px; font-weight: 600; }
.heading { font-size: 13px; font-weight: 600; }
.name { text-anchor: end; fill: var(--faint); }
.of-ours { font-weight: 600; fill: var(--ink); }
.note { fill: var(--faint); }
"""
_TITLE = "dicom-server beside other DICOM servers"
_SUBTITLE = "Higher is better. Bars are relative to the fastest of their group; they cannot be compared across groups."
_CONDITIONS = "Durability process, all data on a tmpfs"
_NOTHING = "Nothing was measured."
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot say."""


@dataclass(frozen=True)
class _Group:
    """A work: its heading, the unit of its figures, and the medians by server, in the order of `BARS`."""

    heading: str
    unit: str
    medians: Mapping[str, float]

    @property
    def height(self) -> int:
        return _HEADING + _ROW * len(self.medians) + _GAP

    def text(self, server: str) -> str:
        """A figure with its unit, to be read."""
        unit = self.unit if self.unit.startswith("/") else f" {self.unit}"
        return figure(self.medians[server]) + unit


def write_chart(results: Mapping[str, Any], path: Path) -> None:
    """Draw results as an SVG file.

    Args:
        results: what `results.json` says (`benchmarks.report.as_json`). What is not there is left out.
        path: of the file; replaced where it is there.
    """
    path.write_text(chart(results), encoding="utf-8")


def chart(results: Mapping[str, Any]) -> str:
    """The chart of results (`write_chart`), as text."""
    groups = _groups(results)
    columns = _columns(groups)
    note = _note(results, {server for group in groups for server in group.medians})
    body = _TOP + max(sum(group.height for group in column) for column in columns)
    svg = _document(body + _LINE * len(note) + 28, groups)
    for number, column in enumerate(columns):
        x, y = _MARGIN + number * (_COLUMN + _GUTTER), _TOP
        for group in column:
            _draw(svg, group, x, y)
            y += group.height
    if not groups:
        _text(svg, "note", _MARGIN, _TOP, _NOTHING)
    for number, line in enumerate(note):
        _text(svg, "note", _MARGIN, body + 18 + _LINE * number, line)
    ElementTree.indent(svg, " ")
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


def figure(value: float) -> str:
    """A figure with as many digits as can be believed."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


# -- what is drawn


def _groups(results: Mapping[str, Any]) -> list[_Group]:
    """The works with a figure, in the order of `GROUPS`."""
    rows = {row.get("work"): row for row in results.get("rows") or () if isinstance(row, Mapping)}
    groups = []
    for work, heading in GROUPS.items():
        row = rows.get(work, {})
        servers = row.get("servers") or {}
        medians = {name: _median(servers.get(name)) for name in BARS}
        measured = {name: median for name, median in medians.items() if median}
        if measured:
            groups.append(_Group(heading, _clean(str(row.get("unit") or "/s")), measured))
    return groups


def _median(said: Any) -> float:
    """What is said of a server; 0 where nothing is that can be drawn."""
    value = said.get("median") if isinstance(said, Mapping) else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) and value > 0 else 0.0


def _columns(groups: Sequence[_Group]) -> tuple[Sequence[_Group], Sequence[_Group]]:
    """Two columns that are as equally high as can be, the left one first in the order."""

    def height(split: int) -> int:
        return max(sum(group.height for group in part) for part in (groups[:split], groups[split:]))

    split = min(range(len(groups), -1, -1), key=height)
    return groups[:split], groups[split:]


def _note(results: Mapping[str, Any], shown: set[str]) -> list[str]:
    """The conditions, in lines: when, on what machine, which versions; and what makes figures doubtful."""
    conditions = results.get("conditions") or {}
    said = conditions.get("servers") or {}
    named = [name for name in BARS if name in shown & {*said} and not (name == TWO_WORKERS and OURS in said)]
    versions = [f"{BARS[name][0]} {_version(str(said[name]))}" for name in named]
    python = conditions.get("python")
    versions += [f"Python {python}"] if python else []
    measured = [_CONDITIONS] if shown else []
    measured += [f"medians of {conditions['rounds']} rounds"] if conditions.get("rounds") else []
    measured += [str(conditions[key]) for key in ("date", "machine") if conditions.get(key)]
    doubts = [each.replace("*", "") for each in results.get("warnings") or () if str(each).startswith("**")]
    lines = ["; ".join(measured), ", ".join(versions), *doubts]
    return [piece for line in lines for piece in textwrap.wrap(_clean(line), _LINE_LENGTH)]


def _version(said: str) -> str:
    """Of what is said of a server, its version, and whether it keeps no index: it has less to do then."""
    version, _, how = said.partition(":")
    return f"{version} (no index)" if "no index" in how else version


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


# -- drawing


def _document(height: int, groups: Iterable[_Group]) -> Element:
    """The picture without its bars, its description for those who do not see it."""
    size = {"width": str(_WIDTH), "height": str(height), "viewBox": f"0 0 {_WIDTH} {height}"}
    names = {"role": "img", "aria-labelledby": "title description"}
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **names})
    SubElement(svg, "title", id="title").text = _TITLE
    described = [
        f"{group.heading}: "
        + ", ".join(f"{BARS[name][0]} {group.text(name)}" for name in group.medians)
        + "."
        for group in groups
    ]
    SubElement(svg, "desc", id="description").text = " ".join([_SUBTITLE, *(described or [_NOTHING])])
    SubElement(svg, "style").text = _STYLE
    frame = {"width": str(_WIDTH - 1), "height": str(height - 1), "rx": "6", "class": "paper"}
    SubElement(svg, "rect", {"x": "0.5", "y": "0.5", **frame})
    _text(svg, "title", _MARGIN, 36, _TITLE)
    _text(svg, "note", _MARGIN, 56, _SUBTITLE)
    return svg


def _draw(svg: Element, group: _Group, x: int, y: int) -> None:
    """A heading and its bars, from a corner on."""
    most = max(group.medians.values())
    _text(svg, "heading", x, y + 13, group.heading)
    for number, (server, median) in enumerate(group.medians.items()):
        name, kind = BARS[server]
        top = y + _HEADING + _ROW * number
        width = max(1.0, (_COLUMN - _NAME - _FIGURE) * median / most)
        place = {"x": str(x + _NAME), "y": str(top + (_ROW - _BAR) // 2)}
        size = {"width": f"{width:.1f}", "height": str(_BAR), "rx": "2", "class": kind}
        SubElement(svg, "rect", {**place, **size})
        ours = "" if kind == "peer" else " of-ours"
        _text(svg, "name" + ours, x + _NAME - 8, top + 13, name)
        _text(svg, "figure" + ours, x + _NAME + 6 + width, top + 13, group.text(server))


def _text(svg: Element, kind: str, x: float, y: int, text: str) -> None:
    SubElement(svg, "text", {"x": f"{x:g}", "y": str(y), "class": kind}).text = text
