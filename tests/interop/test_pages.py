"""The HTML pages in Chromium: what a person sees, points at and clicks; no complaint, no request."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from browser import chromium, visiting
from dimse.command_set import encode_command_set
from dimse.messages import CStoreRQ
from dul.pdus import PDV, PDataTF
from peers import require_peer
from runs import CONNECTION, HOSTILE, a_run
from services.conformance.report_html import render
from services.trace.html import render_states, render_trace
from trace_samples import ABORT, AN_ECHO, CT_IMAGE, ECHO_RQ, A, R, ac, rq, traced, wire

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.peer("chromium")


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    require_peer("chromium")
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def trace_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three associations: an echo, a store in many fragments, and one with violations."""
    command = encode_command_set(
        CStoreRQ(message_id=1, affected_sop_class_uid=CT_IMAGE, affected_sop_instance_uid="1.2.3", priority=0)
    )
    data = (
        bytes.fromhex("08000500 0a000000") + b"ISO_IR 100" + bytes.fromhex("e07f1000 00400000") + bytes(16384)
    )
    pieces = [PDV(3, 3, command), *(PDV(3, 0, data[at : at + 2048]) for at in range(0, 16384, 2048))]
    store = [(R, PDataTF((pdv,))) for pdv in [*pieces, PDV(3, 2, data[16384:])]]
    wrong = traced((R, rq()), (A, ac()), (A, ECHO_RQ), (R, b"\x09 no PDU"), (A, ABORT), closed_by=A)
    traces = [traced(*AN_ECHO, closed_by=R), traced((R, rq()), (A, ac()), *store), wrong]
    return written(tmp_path_factory.mktemp("pages") / "trace.html", render_trace(traces, "three.pcap"))


@pytest.fixture(scope="module")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("pages") / "report.html", render(a_run()))


def written(file: Path, page: str) -> Path:
    file.write_text(page, encoding="utf-8")
    return file


def texts(found: "Locator") -> list[str]:
    return [text.strip() for text in found.all_inner_texts()]


def lit(page: "Page", name: str = "now") -> list[str]:
    """The cells of the machine with a class, as "event-state"."""
    cells: list[str] = page.eval_on_selector_all(f".machine td.{name}", "all => all.map(c => c.dataset.cell)")
    return cells


def marked(page: "Page", name: str = "hot") -> list[int]:
    """Offsets of the bytes with a class, the same in both columns."""
    both: list[list[int]] = [
        page.eval_on_selector_all(f".hex {tag}.{name}", "all => all.map(b => Number(b.dataset.at))")
        for tag in ("b", "s")
    ]
    assert both[0] == both[1]
    return both[0]


def heading(page: "Page") -> str:
    return page.locator(".bytes-head h3").inner_text()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<img src='http://127.0.0.1:1/x.png'>", "request: http://127.0.0.1:1/x.png"),
        ("<script>console.error('that is wrong')</script>", "console: that is wrong"),
        ("<script>nothing.of.it()</script>", "error: nothing is not defined"),
        ("<script>alert('hello')</script>", "dialog: hello"),
    ],
)
def test_a_page_that_complains_or_calls_out_is_noticed(
    browser: "Browser", tmp_path: Path, body: str, complaint: str
) -> None:
    file = written(tmp_path / "bad.html", f"<!DOCTYPE html><title>Bad</title>{body}")
    with pytest.raises(AssertionError, match=complaint), visiting(browser, file) as page:
        assert page.title() == "Bad"


# -- the trace


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_a_trace_opens_with_its_first_association(
    browser: "Browser", trace_page: Path, color_scheme: Any
) -> None:
    with visiting(browser, trace_page, color_scheme=color_scheme) as page:
        assert page.title() == "three.pcap"
        assert page.locator(".overview:visible").count() == 1
        assert page.locator(".ladders .entry:visible").count() == 8
        assert page.locator(".machine td").count() == 247
        assert heading(page).startswith("1 A-ASSOCIATE-RQ at 0.1")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(json.loads(ground.replace("rgb(", "[").replace(")", "]"))) > 380) == (
            color_scheme == "light"
        )
        width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1]


@pytest.mark.parametrize("size", [(1280, 720), (1024, 768), (800, 900)])
def test_nothing_sticks_out_of_smaller_windows(
    browser: "Browser", trace_page: Path, report_page: Path, size: tuple[int, int]
) -> None:
    for file in (trace_page, report_page):
        with visiting(browser, file, size=size) as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_click_on_an_arrow_shows_that_pdu(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        page.locator("#a1-e6 .arrow").click()
        assert heading(page) == "6 A-RELEASE-RP at 0.600000 s"
        assert texts(page.locator(".tree .field")) == ["PDU-type", "Reserved", "PDU-length", "Reserved"]
        assert page.locator(".hex b[data-at]").count() == 10
        assert page.locator(".entry.selected").get_attribute("id") == "a1-e6"


def test_pointing_at_a_field_marks_its_bytes(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        field = page.locator(".tree [role=treeitem]", has_text="Called-AE-title")
        field.hover()
        assert marked(page) == list(range(10, 26))
        detail = page.locator(".detail")
        assert detail.locator("h4").inner_text() == "Called-AE-title"
        assert texts(detail.locator("dd")) == ["'CALLED '", "16 bytes at 10", "PS3.8 9.3.2"]
        assert "Who is asked for" in detail.locator(".explanation").inner_text()
        page.locator(".masthead").hover()
        assert marked(page) == []
        assert detail.locator("h4").inner_text() == "PDU-type"


def test_pointing_at_a_byte_marks_its_field(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        for selector in (".hex b[data-at='30']", ".hex s[data-at='30']"):
            page.locator(selector).hover()
            assert texts(page.locator(".tree .hot .field")) == ["Calling-AE-title"]
            assert marked(page) == list(range(26, 42))
        page.locator(".hex b[data-at='30']").click()
        page.locator(".masthead").hover()
        assert marked(page, "pinned") == list(range(26, 42))


def test_a_field_out_of_sight_is_scrolled_to(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        last = page.locator(".tree [role=treeitem]").last
        last.hover()
        byte = page.locator(".hex b.hot").first
        box, inside = page.locator(".hex").bounding_box(), byte.bounding_box()
        assert box
        assert inside
        assert box["y"] <= inside["y"] <= box["y"] + box["height"]


def test_bytes_and_fields_by_keyboard(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        page.locator(".tree [tabindex='0']").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert page.locator(":focus .field").inner_text() == "PDU-length"
        assert marked(page, "pinned") == [2, 3, 4, 5]
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        assert page.locator(":focus .field").inner_text() == "Implementation Class UID Sub-Item"
        page.keyboard.press("Home")
        page.locator(".hex").focus()
        page.keyboard.press("ArrowDown")
        assert page.locator(".detail h4").inner_text() == "Called-AE-title"
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowLeft")
        assert page.locator(".tree .pinned .field").inner_text() == "Calling-AE-title"


def test_rows_by_keyboard(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        page.locator("#a1-e1 button").focus()
        page.keyboard.press("ArrowDown")
        assert heading(page).startswith("2 A-ASSOCIATE-AC")
        page.keyboard.press("End")
        assert heading(page).startswith("connection closed")
        assert page.locator(".bytes .empty").inner_text() == "No bytes go with it."
        page.keyboard.press("ArrowLeft")
        assert heading(page).startswith("6 A-RELEASE-RP")


def test_stepping_lights_the_cells_in_order(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        page.locator("[data-go=first]").click()
        seen = [lit(page)]
        position = page.locator(".toolbar .position")
        while page.locator("[data-go=on]").is_enabled():
            page.locator("[data-go=on]").click()
            seen.append(lit(page))
        assert [set(cells) for cells in seen] == [
            {"1-1", "5-1"},
            {"2-4", "6-2"},
            {"7-3", "3-5"},
            {"9-6", "10-6"},
            {"9-6", "10-6"},
            {"11-6", "12-6"},
            {"14-8", "13-7"},
            {"17-13"},
        ]
        assert position.inner_text() == "8 of 8"
        numbers = page.eval_on_selector_all(
            ".machine sup, .machine sub",
            "all => all.map(n => [n.parentNode.dataset.cell, n.tagName, n.textContent])",
        )
        walked = {(cell, side): number for cell, side, number in numbers}
        assert walked["1-1", "SUP"] == "1"
        assert walked["5-1", "SUB"] == "2"
        assert (walked["9-6", "SUP"], walked["9-6", "SUB"]) == ("7", "9")
        assert lit(page, "ahead") == []
        page.locator("[data-go=back]").click()
        assert set(lit(page)) == {"14-8", "13-7"}
        assert lit(page, "ahead") == ["17-13"]
        assert texts(page.locator(".machine th.at-r, .machine th.at-a")) == ["Sta1", "Sta13"]


def test_playing_goes_on_by_itself_until_paused(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        page.clock.install()
        page.goto(trace_page.absolute().as_uri())
        play = page.locator("[data-go=play]")
        play.click()
        assert play.inner_text() == "Pause"
        page.clock.run_for(2500)
        assert page.locator(".toolbar .position").inner_text() == "4 of 8"
        play.click()
        page.clock.run_for(5000)
        assert page.locator(".toolbar .position").inner_text() == "4 of 8"
        play.click()
        page.clock.run_for(60_000)
        assert page.locator(".toolbar .position").inner_text() == "8 of 8"
        assert play.inner_text() == "Play"


def test_pointing_at_a_cell_explains_it(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        words = page.locator(".words")
        assert "Requestor Sta4 + Evt2 → AE-2 → Sta5" in words.inner_text()
        page.locator("[data-cell='6-2']").hover()
        assert "A-ASSOCIATE-RQ PDU, in Sta2" in words.inner_text()
        assert "AE-6: Stop ARTIM" in words.inner_text()
        assert "→ Sta3 or Sta13. Walked through as step 4 (acceptor)." in words.inner_text()
        page.locator("[data-cell='1-2']").hover()
        assert "Blank" in words.inner_text()
        page.locator(".masthead").hover()
        assert "Requestor Sta4" in words.inner_text()


def test_another_association_is_one_click_away(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        page.locator(".associations a").nth(2).click()
        assert page.locator(".overview:visible").get_attribute("id") == "a3"
        links = page.locator(".problems:visible a")
        assert links.count() >= 2
        assert page.locator("#a3 .outcome").inner_text().startswith("aborted by the acceptor")
        links.first.click()
        assert page.locator(".entry.selected").get_attribute("id") == "a3-e3"
        assert page.locator("#a3-e3 .problem").is_visible()
        page.locator("[data-go=problem]").click()
        assert page.locator(".entry.selected").get_attribute("id") == "a3-e4"
        assert page.locator(".hex .wrong").count() > 0


def test_an_address_leads_to_a_row_even_a_folded_one(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page) as page:
        page.goto(trace_page.absolute().as_uri() + "#a2-e6")
        assert page.locator("#a2-e6").is_visible()
        assert page.locator(".entry.selected").get_attribute("id") == "a2-e6"


def test_folded_fragments_are_stepped_over_and_unfold(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page, fragment="#a2") as page:
        assert not page.locator("#a2-e5").is_visible()
        page.locator("#a2-e3 button").click()
        page.locator("[data-go=on]").click()
        assert page.locator(".entry.selected").get_attribute("id") == "a2-e12"
        page.locator(".fold:visible button").click()
        assert page.locator("#a2-e5").is_visible()
        page.locator(".fold:visible button").click()
        assert not page.locator("#a2-e5").is_visible()


def test_a_data_set_in_pieces_is_shown_whole_and_cut(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page, fragment="#a2-e12") as page:
        page.locator(".tabs button", has_text="Data set of C-STORE-RQ").click()
        assert page.locator(".cut").inner_text() == "the first 4,096 of 16,410 bytes"
        assert page.locator(".hex b[data-at]").count() == 4096
        groups = texts(page.locator(".tree .group .field"))
        assert groups == ["(0008,0005) SpecificCharacterSet", "(7FE0,0010) PixelData"]


def test_hostile_text_stays_text(browser: "Browser", tmp_path: Path) -> None:
    evil = b"<img src=x onerror=alert(1)>"
    request = wire(rq()).replace(b"CALLING".ljust(16), b"\"'><script>a()//".ljust(16))
    request = request.replace(b"1.2.840.10008.1.1", evil[:17], 1).replace(b"CALLED", b"A\x00B<b>")
    trace = traced((R, request), (A, ac()), (R, b"\x09" + evil), closed_by=R)
    trace.name = f"{HOSTILE}\x00"
    file = written(tmp_path / "hostile.html", render_trace([trace], HOSTILE))
    with visiting(browser, file) as page:
        assert page.title() == "<script>alert(1)</script>\\x1b[31m\\u202e&\"'"
        assert page.locator("script").count() == 2
        assert page.locator("img, b b, h1 *, .where *").count() == 0
        assert "\"'><script>a()//" in page.locator(".overview h2").inner_text()
        for row in page.locator(".entry button").all():
            row.click()
        page.locator(".entry.pdu").last.click()
        page.locator(".tree [role=treeitem]").last.hover()
        assert not set(page.locator("body").inner_text()) & set("\u202e\x00\x1b")


def test_without_scripts_the_page_still_tells(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page, javascript=False) as page:
        assert page.locator(".overview:visible").count() == 3
        assert "need JavaScript" in page.locator("noscript").inner_text()
        assert page.locator("#a3-e3 .problem").is_visible()


def test_a_trace_can_be_printed(browser: "Browser", trace_page: Path) -> None:
    with visiting(browser, trace_page, size=(720, 1000)) as page:
        page.emulate_media(media="print")
        assert not page.locator(".toolbar").is_visible()
        for selector in (".ladders", ".pane.grid", ".hex"):
            shown = page.locator(selector).evaluate("e => e.scrollHeight <= e.clientHeight + 1")
            assert shown, f"{selector} is cut"
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_states(browser: "Browser", tmp_path: Path) -> None:
    with visiting(browser, written(tmp_path / "states.html", render_states())) as page:
        page.locator("[data-cell='12-7']").hover()
        assert "AR-8: Issue A-RELEASE indication" in page.locator(".words").inner_text()
        page.locator("td[tabindex='0']").focus()
        page.keyboard.press("ArrowDown")
        assert page.locator(":focus").get_attribute("data-cell") == "5-1"
        assert "AE-5" in page.locator(".words").inner_text()
        assert page.locator(".actions tbody tr").count() == 28


# -- the conformance report


def test_the_report_opens_with_the_failures(browser: "Browser", report_page: Path) -> None:
    with visiting(browser, report_page) as page:
        assert texts(page.locator(".case:visible .id")) == ["ul-2a"]
        assert page.locator(".shown").inner_text() == "1 of 5 cases"
        assert page.locator("[aria-pressed=true]").inner_text() == "Fail 1"
        assert page.locator(".headline").inner_text() == "1 of 4 cases failed, in 1.5 s"


def test_filters(browser: "Browser", report_page: Path) -> None:
    with visiting(browser, report_page) as page:
        ids = page.locator(".case:visible .id")
        page.locator(".filters button", has_text="All").click()
        assert texts(ids) == ["ul-1", "ul-2a", "dimse-3", "storage-4", "storage-5"]
        page.locator(".filters select").select_option("storage")
        assert texts(ids) == ["storage-4", "storage-5"]
        page.locator(".filters button", has_text="Inconclusive").click()
        assert texts(ids) == ["storage-5"]
        page.locator(".filters button", has_text="Tolerated").click()
        assert texts(ids) == []
        assert page.locator("#cases > .nothing").is_visible()
        page.locator(".summary a.pass").first.click()
        assert texts(ids) == ["ul-1"]
        page.locator(".filters button", has_text="All").click()
        page.locator(".filters select").select_option("")
        page.locator(".filters input").fill("OFFER STORAGE")
        assert texts(ids) == ["storage-4"]


def test_a_run_without_failures_opens_with_all(browser: "Browser", tmp_path: Path) -> None:
    run = a_run()
    del run.results[1]
    with visiting(browser, written(tmp_path / "good.html", render(run))) as page:
        assert page.locator(".case:visible").count() == 4
        assert page.locator(".filters button", has_text="Fail").is_disabled()


def test_bytes_are_drawn_when_a_case_is_opened(browser: "Browser", report_page: Path) -> None:
    with visiting(browser, report_page) as page:
        assert page.locator(".hex").count() == 0
        page.locator("#ul-2a summary").click()
        assert heading(page).startswith("2 A-ABORT")
        page.locator("#ul-2a .tree [role=treeitem]", has_text="Source").hover()
        assert marked(page) == [8]
        page.locator("#ul-2a .entry", has_text="A-ASSOCIATE-RQ").click()
        assert heading(page).startswith("1 A-ASSOCIATE-RQ")
        page.locator("#ul-2a .entry", has_text="A-ASSOCIATE-RQ").press("ArrowDown")
        assert heading(page).startswith("2 A-ABORT")


def test_one_row_is_chosen_among_all_connections_of_a_case(browser: "Browser", tmp_path: Path) -> None:
    run = a_run()
    run.results = [replace(run.results[1], connections=(CONNECTION, replace(CONNECTION, number=2)))]
    with visiting(browser, written(tmp_path / "two.html", render(run)), fragment="#ul-2a-c1-e1") as page:
        assert page.locator("#ul-2a").get_attribute("open") is not None
        assert page.locator(".entry.selected").get_attribute("id") == "ul-2a-c2-e2"
        page.locator("#ul-2a-c1-e1 button").click()
        assert page.locator(".entry.selected").get_attribute("id") == "ul-2a-c1-e1"


def test_an_address_leads_to_a_case_that_is_filtered_out(browser: "Browser", report_page: Path) -> None:
    with visiting(browser, report_page, fragment="#dimse-3") as page:
        assert page.locator("#dimse-3 .findings, #dimse-3 .finding").first.is_visible()
        assert page.locator("#dimse-3 .hex").is_visible()


def test_hostile_text_of_a_report_stays_text(browser: "Browser", report_page: Path) -> None:
    with visiting(browser, report_page, color_scheme="dark") as page:
        page.locator("#ul-2a summary").click()
        assert page.locator("script").count() == 2
        assert (
            "garbage: <script>alert(1)</script>\\x1b[31m\\u202e"
            in page.locator("#ul-2a .finding").inner_text()
        )
        assert not set(page.locator("body").inner_text()) & set("\u202e\x00\x1b")


def test_printing_opens_what_is_shown(browser: "Browser", report_page: Path) -> None:
    with visiting(browser, report_page, size=(720, 1000)) as page:
        page.pdf(format="A4")
        assert page.locator("#ul-2a").get_attribute("open") is not None
        assert page.locator("#dimse-3").get_attribute("open") is None
        page.emulate_media(media="print")
        assert not page.locator(".filters").is_visible()
