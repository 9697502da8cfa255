"""Headless Chromium, to see pages as people do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests import needs

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PATIENCE_MILLISECONDS = 60_000


@contextmanager
def open_browser() -> Iterator["Page"]:
    """A page of the system's Chromium, with a new profile."""
    from playwright.sync_api import sync_playwright

    chromium = needs.program("chromium", "google-chrome")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, headless=True, args=_FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(_PATIENCE_MILLISECONDS)
        yield page
        browser.close()


def drawn_pixels(page: "Page", selector: str) -> list[int]:
    """Width and height of an image as the browser has decoded it; zeros when it could not."""
    found = page.locator(selector).first
    found.wait_for()
    size: list[int] = found.evaluate(
        "i => i.decode().then(() => [i.naturalWidth, i.naturalHeight])"
    )
    return size
