"""Pages in Debian's Chromium, headless: what a person would see, and whether the page complains or calls out."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

LAPTOP = (1440, 900)
DEADLINE = 10_000.0
"""Milliseconds anything on a page may take."""


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A running Chromium; pages are opened in it with `visiting`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"], timeout=60_000
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(
    browser: "Browser",
    file: Path,
    *,
    size: tuple[int, int] = LAPTOP,
    color_scheme: Literal["light", "dark"] = "light",
    fragment: str = "",
    javascript: bool = True,
) -> Iterator["Page"]:
    """Open a page of this disk; fails where it logs an error or a warning, throws, or asks for anything else.

    Args:
        browser: from `chromium`.
        file: the page.
        size: of the window, in pixels.
        color_scheme: what the person prefers.
        fragment: of the address, such as "#a1-e2".
        javascript: whether scripts run.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=color_scheme,
        java_script_enabled=javascript,
        reduced_motion="reduce",
    )
    context.set_default_timeout(DEADLINE)
    page = context.new_page()
    address = file.absolute().as_uri()
    complaints = _listen(page, address)
    try:
        page.goto(address + fragment)
        yield page
    finally:
        context.close()
    assert not complaints, "\n".join(complaints)


def _listen(page: "Page", address: str) -> list[str]:
    complaints: list[str] = []

    def logged(message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning", "assert"):
            complaints.append(f"console: {message.text}")

    def asked(request: "Request") -> None:
        if request.url.partition("#")[0] != address:
            complaints.append(f"request: {request.url}")

    def dialog(found: Any) -> None:
        complaints.append(f"dialog: {found.message}")
        found.dismiss()

    page.on("console", logged)
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("request", asked)
    page.on("dialog", dialog)
    return complaints
