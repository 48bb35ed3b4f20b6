"""The chart of the comparison: what is drawn, and that it can be read by everybody."""

import importlib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from browser import chromium, visiting

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
SIDES = ("width", "height")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of the benchmarks."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def row(work: str, unit: str = "/s", **medians: float | None) -> dict[str, Any]:
    """A row of results.json; names of servers with `_` for a space."""
    servers = {
        name.replace("_", " "): {"median": value, "rounds": [value]} for name, value in medians.items()
    }
    return {"work": work, "unit": unit, "servers": servers}


def drawn(chart: ModuleType, results: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(chart.chart(results))


def texts(svg: ElementTree.Element, kind: str) -> list[str]:
    return [each.text or "" for each in svg.iter(f"{SVG}text") if kind in each.get("class", "").split()]


def widths(svg: ElementTree.Element) -> list[float]:
    return [float(each.get("width", "")) for each in svg.iter(f"{SVG}rect") if each.get("class") != "paper"]


def test_bars_are_as_long_as_their_share_of_the_fastest(module: Callable[[str], ModuleType]) -> None:
    rows = [
        row("C-GET 512 KiB x1", "images/s", ours=2352.6, dcmqrscp=1176.3, sink=99999.0),
        row("C-ECHO", ours=50.0, storescp=200.0),
    ]
    svg = drawn(module("chart"), {"rows": rows})
    assert texts(svg, "heading") == ["C-ECHO", "C-GET, 512 KiB"]
    assert texts(svg, "name") == ["dicom-server", "storescp", "dicom-server", "dcmqrscp"]
    assert texts(svg, "figure") == ["50/s", "200/s", "2,353 images/s", "1,176 images/s"]
    first, second, third, fourth = widths(svg)
    assert first == pytest.approx(second / 4, abs=0.1)
    assert third == second, "each group has a longest one"
    assert fourth == pytest.approx(third / 2, abs=0.1)


def test_what_was_not_measured_is_left_out(module: Callable[[str], ModuleType]) -> None:
    nothing = [None, float("nan"), 0.0, "x"]
    rows = [row("C-ECHO", storescp=1.0, Orthanc=value) for value in nothing]
    for each in rows:
        assert texts(drawn(module("chart"), {"rows": [each]}), "name") == ["storescp"]
    rows = [row("C-ECHO", ours=None), row("memory", ours=3.0), {"work": "C-FIND, one match"}, {}]
    svg = drawn(module("chart"), {"rows": rows, "conditions": None, "warnings": None})
    assert widths(svg) == []
    assert texts(svg, "note")[-1] == "Nothing was measured."
    assert drawn(module("chart"), {}).find(f"{SVG}title") is not None


def test_every_work_and_server_of_the_run_can_be_drawn(module: Callable[[str], ModuleType]) -> None:
    chart, works = module("chart"), {work.name: work for work in module("works").WORKS}
    for name in chart.GROUPS:
        assert not works[name].less_is_better
        assert not works[name].power, "the note says process"
        assert set(works[name].servers) <= set(chart.BARS)


def test_the_note_says_when_and_with_what(module: Callable[[str], ModuleType]) -> None:
    conditions = {
        "date": "2026-11-23",
        "machine": "2 cores",
        "python": "3.11",
        "rounds": 5,
        "servers": {
            "ours": "0.1.0: SQLite index",
            "ours, 2 workers": "0.1.0: the same",
            "storescp": "v3.6.7: writes the bytes, no index",
            "dcmqrscp": "v3.6.7: asked",
        },
    }
    rows = [row("C-ECHO", ours=1.0, storescp=2.0)]
    warnings = ["**Polluted**: others took 12%.", "Orthanc is not installed"]
    svg = drawn(module("chart"), {"rows": rows, "conditions": conditions, "warnings": warnings})
    assert texts(svg, "note")[1:] == [
        "Durability process, all data on a tmpfs; medians of 5 rounds; 2026-11-23; 2 cores",
        "dicom-server 0.1.0, storescp v3.6.7 (no index), Python 3.11",
        "Polluted: others took 12%.",
    ]
    assert texts(svg, "note")[0].startswith("Higher is better.")


def test_it_is_described_for_those_who_do_not_see_it(module: Callable[[str], ModuleType]) -> None:
    svg = drawn(module("chart"), {"rows": [row("C-ECHO", ours=1.5, storescp=2.0)]})
    assert svg.get("role") == "img"
    described = {each.get("id"): each.text for each in svg if each.get("id")}
    assert set((svg.get("aria-labelledby") or "").split()) == set(described)
    assert "C-ECHO: dicom-server 1.5/s, storescp 2/s." in (described["description"] or "")


def test_text_is_only_text(module: Callable[[str], ModuleType]) -> None:
    evil = '<script>alert(1)</script> & "AMD" \x00\x1b\ud800'
    conditions = {"machine": evil, "servers": {"ours": evil}}
    rows = [row("C-ECHO", unit=evil, ours=1.0)]
    svg = drawn(module("chart"), {"rows": rows, "conditions": conditions})
    assert not list(svg.iter(f"{SVG}script"))
    shown = '<script>alert(1)</script> & "AMD" \ufffd\ufffd\ufffd'
    assert texts(svg, "figure") == [f"1 {shown}"]
    assert texts(svg, "note")[1].endswith(shown)


@pytest.mark.peer("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_or_lies_on_something_else(
    module: Callable[[str], ModuleType], tmp_path: Path, scheme: Any
) -> None:
    chart, works = module("chart"), {work.name: work for work in module("works").WORKS}
    rows = []
    for name in chart.GROUPS:
        medians = {server: 1e4 / number for number, server in enumerate(works[name].servers, 1)}
        rows.append(row(name, works[name].unit, **medians))
    conditions = {"machine": "a machine with a long name " * 9}
    file = tmp_path / "chart.svg"
    chart.write_chart({"rows": rows, "conditions": conditions}, file)
    before = file.read_bytes()
    chart.write_chart({"rows": rows, "conditions": conditions}, file)
    assert file.read_bytes() == before
    with chromium() as browser, visiting(browser, file, color_scheme=scheme) as page:
        boxes = page.evaluate("""() => Array.from(document.querySelectorAll("text, rect:not(.paper)"), each => {
            const box = each.getBBox();
            return [box.x, box.y, box.x + box.width, box.y + box.height];
        })""")
        width, height = (page.evaluate(f"document.documentElement.{side}.baseVal.value") for side in SIDES)
        paper = page.evaluate("getComputedStyle(document.querySelector('.paper')).fill")
    assert len(boxes) > 80
    for number, (left, top, right, bottom) in enumerate(boxes):
        assert 10 < left < right < width - 10
        assert 0 < top < bottom < height - 5
        for other in boxes[:number]:
            apart = right <= other[0] or other[2] <= left or bottom - 1 <= other[1] or other[3] - 1 <= top
            assert apart, "they overlap"
    assert (paper == "rgb(255, 255, 255)") is (scheme == "light")
