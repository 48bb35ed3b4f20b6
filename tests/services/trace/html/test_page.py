"""The frame of the pages: nothing in it can be ended, run or fetched by what it shows."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from services.trace.html.page import embedded, render_page, text

HOSTILE = "</script><script>alert(1)</script><!--&amp;\"'\u2028\u202e\x00"


class _Elements(HTMLParser):
    """Names and attributes of all elements, and the text of each script and style."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.contents: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag in ("script", "style")
        if self._inside:
            self.contents.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.contents[-1] += data


def elements(page: str) -> _Elements:
    parser = _Elements()
    parser.feed(page)
    parser.close()
    return parser


def a_page(title: str = "A page", data: object = None) -> str:
    return render_page(
        "trace/page.html.j2",
        styles=("trace/style.css",),
        scripts=("trace/bytes.js", "trace/ladder.js"),
        title=title,
        data=data,
    )


def test_embedded_json_cannot_end_its_element_and_is_what_went_in() -> None:
    found = embedded({"name": HOSTILE})
    assert not re.search("[<>&\u2028\u2029]", found)
    assert json.loads(found) == {"name": HOSTILE}


@pytest.mark.parametrize(
    ("value", "shown"),
    [("plain", "plain"), ("\u202eabc\x00\n", "\\u202eabc\\x00\\n"), ("x" * 3000, "x" * 1999 + "…")],
)
def test_text_is_made_fit_to_be_read(value: str, shown: str) -> None:
    assert text(value) == shown


def test_a_page_has_the_scripts_it_names_and_no_other() -> None:
    found = elements(a_page(HOSTILE, {"of the wire": HOSTILE}))
    names = [name for name, _ in found.found]
    assert names.count("script") == 2
    assert names.count("style") == 1
    assert names.count("title") == 1
    assert "ByteView" in found.contents[-1]
    assert "LadderView" in found.contents[-1]


def test_a_page_asks_for_nothing() -> None:
    for _, attributes in elements(a_page()).found:
        assert not attributes.keys() & {"src", "href", "srcset", "data", "style"}
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\(|https?://|\bfetch\(|XMLHttpRequest|WebSocket|innerHTML", a_page())


def test_the_policy_allows_what_is_there_and_nothing_else() -> None:
    found = elements(a_page())
    (policy,) = [a["content"] or "" for _, a in found.found if a.get("http-equiv")]
    style, _, script = found.contents
    for kind, content in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
