"""The page, open in a browser and watched: a request to another host or a broken rule fails the test that caused it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, ViewportSize, expect

DESK, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)


@contextmanager
def opened(
    browser: Browser, url: str, size: ViewportSize = DESK, *, key: str = "", empty: bool = False
) -> Iterator[Page]:
    """The page at `url`, once a domain can be asked, or it is known that there is none; and what it opens, watched too.

    key: given to the page where it asks for one
    empty: whether the caller sees no domain
    """
    context = browser.new_context(viewport=size, permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(10_000)
    page = context.new_page()
    asked: list[str] = []
    broken: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("weberror", lambda error: broken.append(str(error.error)))
    context.on("console", lambda said: broken.append(said.text) if "Security Policy" in said.text else None)
    try:
        page.goto(url)
        if key:
            page.get_by_role("dialog", name="A key is needed").get_by_label("API key").fill(key)
            page.keyboard.press("Enter")
        if empty:
            expect(page.locator("#about")).to_contain_text("No documents")
        else:
            expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()
        yield page
    finally:
        context.close()
    assert [each for each in asked if not each.startswith((url, "data:", "blob:"))] == []
    assert broken == []


def ask(page: Page, question: str) -> None:
    """Type a question and send it off."""
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def until(page: Page, expression: str, seconds: float = 60.0) -> None:
    """Return once an expression holds. Playwright's own wait evaluates text in the page, which its policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never came true: {expression}"
        page.wait_for_timeout(20)
