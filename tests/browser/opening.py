"""The page, open in a browser and watched: a request to another host or a broken rule fails the test that caused it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, ViewportSize, expect

DESK, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)


@contextmanager
def opened(browser: Browser, url: str, size: ViewportSize = DESK) -> Iterator[Page]:
    """The page at `url`, once a domain can be asked."""
    context = browser.new_context(viewport=size, permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(10_000)
    page = context.new_page()
    asked: list[str] = []
    broken: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda said: broken.append(said.text) if "Security Policy" in said.text else None)
    try:
        page.goto(url)
        expect(page.get_by_role("button", name="Ask")).to_be_enabled()
        yield page
    finally:
        context.close()
    assert [each for each in asked if not each.startswith((url, "data:", "blob:"))] == []
    assert broken == []


def ask(page: Page, question: str) -> None:
    """Type a question and send it off."""
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")
