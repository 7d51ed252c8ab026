"""The page against a small pipeline: what it shows of an answer and a document, how it is used, and how it looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from rag.settings import load
from tests.browser.opening import DESK, PHONE, ask, opened, until
from tests.fakes.hostile import LAST, TEXT, WORDS, HostilePipeline
from tests.fakes.pipeline import FakePipeline, document
from tests.fakes.server import served, wait_until_ready

REPORTS = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture(scope="module")
def pipeline() -> HostilePipeline:
    return HostilePipeline()


@pytest.fixture(scope="module")
def url(pipeline: HostilePipeline) -> Iterator[str]:
    with served(lambda _: pipeline) as url:
        wait_until_ready(url)
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with opened(browser, url) as page:
        yield page


# --- answers -----------------------------------------------------------------------------------


def test_a_citation_lights_up_its_exact_words_beyond_sixteen_bits(page: Page, screenshots: Path) -> None:
    ask(page, "Who closes the valve?")
    expect(page.locator(".answer strong")).to_have_text("closed")
    expect(page.locator(".confidence")).to_have_text("83% likely right")
    expect(page.locator(".note")).to_contain_text("other weights")
    page.get_by_role("button", name="Citation 1").click()
    panel = page.get_by_role("dialog")
    mark = panel.locator("mark")
    expect(mark).to_have_text(WORDS)
    expect(mark).to_be_in_viewport()
    expect(mark.locator("strong")).to_have_text("closed")
    expect(panel.get_by_role("heading")).to_be_focused()
    page.screenshot(path=screenshots / "page-citation.png")
    panel.get_by_role("button", name="Next").click()
    expect(mark).to_have_text(LAST)
    expect(mark).to_be_in_viewport()
    expect(panel.get_by_role("button", name="Next")).to_be_disabled()
    expect(panel.locator("#document-id")).to_contain_text("a b/50%#1.md · pages 3–4 · characters")
    expect(page.locator(".sources cite").nth(0)).not_to_contain_text("page")
    expect(page.locator(".sources cite").nth(1)).to_contain_text(", pages 3–4")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(page.get_by_role("button", name="Citation 1")).to_be_focused()


def test_what_documents_say_is_text_and_never_markup(page: Page) -> None:
    ask(page, "Who closes the valve?")
    page.get_by_role("button", name="Citation 1").click()
    expect(page.locator("#document-text")).to_contain_text("<img src=x onerror=")
    assert page.locator("main b, dialog b, main script, dialog script, main img, dialog img").count() == 0
    assert page.title() == "Understudy"


def test_a_document_that_has_changed_since_says_so(page: Page, pipeline: HostilePipeline) -> None:
    ask(page, "Who closes the valve?")
    expect(page.locator(".answer")).to_be_visible()
    before = pipeline.stored["a b/50%#1.md"]
    try:
        pipeline.stored["a b/50%#1.md"] = document(before.id, before.title, f"New. {WORDS}")
        page.get_by_role("button", name="Citation 1").click()
        expect(page.locator("#document-notice")).to_contain_text("has changed since")
        expect(page.locator("mark")).to_have_text(WORDS)
        page.locator("#document").get_by_role("button", name="Next").click()
        expect(page.locator("#document-notice")).to_contain_text("no longer in it")
        expect(page.locator("#document blockquote")).to_have_text(LAST)
        del pipeline.stored["a b/50%#1.md"]
        page.locator("#document").get_by_role("button", name="Previous").click()
        expect(page.locator("#document-notice")).to_contain_text("no longer stored")
    finally:
        pipeline.stored["a b/50%#1.md"] = before


def test_an_abstention_shows_why_and_the_closest_passages(page: Page) -> None:
    ask(page, "nothing of this kind")
    expect(page.locator(".answer")).to_have_text("The documents do not answer this question.")
    expect(page.locator(".verdict")).to_contain_text("No passage supports the draft.")
    expect(page.get_by_role("heading", name="Closest passages")).to_be_visible()
    page.locator(".found .source").first.click()
    expect(page.locator("mark")).to_contain_text("The pump of line 4")


def test_a_follow_up_brings_the_earlier_turns_and_a_new_conversation_none(
    page: Page, pipeline: HostilePipeline
) -> None:
    ask(page, "How often is the pump greased?")
    expect(page.locator(".answer")).to_have_count(1)
    ask(page, "And its filter?")
    expect(page.locator(".answer")).to_have_count(2)
    assert [turn.question for turn in pipeline.asked[-1].earlier] == ["How often is the pump greased?"]
    assert [turn.answer for turn in pipeline.asked[-1].earlier] == ["Every 200 hours"]
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "Afresh?")
    expect(page.locator(".answer")).to_have_count(1)
    assert pipeline.asked[-1].earlier == ()


def test_words_are_provisional_until_checked_and_stop_ends_them(page: Page, pipeline: HostilePipeline) -> None:
    pipeline.cancelled.clear()
    ask(page, "slow please")
    expect(page.locator(".draft")).to_contain_text("Every 200 hours")
    expect(page.locator(".progress")).to_have_text("Writing; not checked yet")
    expect(page.locator(".found .source")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".turn")).to_contain_text("Stopped before there was a checked answer.")
    assert pipeline.cancelled.wait(2)
    expect(page.get_by_role("button", name="Ask")).to_be_visible()


def test_an_answer_is_copied_as_markdown_and_as_curl(page: Page, url: str) -> None:
    ask(page, "Who closes the valve, in one's words?")
    page.get_by_role("button", name="Copy as Markdown").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("**Who closes the valve, in one's words?**\n\nValve 7 is 🔧 closed by ")
    assert "\\<b\\>two\\</b\\> people" in copied
    start = TEXT.index(WORDS)
    assert f"(a b/50%\\#1.md, characters {start}–{start + len(WORDS)})" in copied
    assert ".md, pages 3–4, characters" in copied
    assert "<script>" not in copied
    page.get_by_role("button", name="Copy as curl").click()
    until(page, "navigator.clipboard.readText().then(text => text.startsWith('curl'))")
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith(f"curl -s {url}/v1/answers -H 'Content-Type: application/json' -d '")
    assert "in one'\\''s words?" in command


def test_it_can_be_used_by_keyboard_alone(page: Page) -> None:
    page.reload()
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()
    expect(page.get_by_label("Your question")).to_be_focused()
    page.keyboard.type("Who closes")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("the valve?")
    assert page.locator(".turn").count() == 0
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.className") == "cite":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("mark")).to_be_in_viewport()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "cite"


# --- the report --------------------------------------------------------------------------------


def test_the_latest_report_is_linked_where_there_is_one_and_looks_as_written(
    browser: Browser, page: Page, tmp_path: Path
) -> None:
    expect(page.get_by_role("link", name="Evaluation")).to_be_hidden()
    settings = load({"UNDERSTUDY_SERVER__REPORT": str(REPORTS), "UNDERSTUDY_DATA__DIRECTORY": str(tmp_path)})
    with served(lambda _: FakePipeline(), settings) as url:
        wait_until_ready(url)
        with opened(browser, url) as linked, linked.expect_popup() as popup:
            complaints: list[str] = []
            linked.context.on("console", lambda said: complaints.append(said.text) if "Policy" in said.text else None)
            linked.get_by_role("link", name="Evaluation").click()
            report = popup.value
            expect(report.get_by_role("heading", level=1)).to_be_visible()
            expect(report.locator(".verdict").first).to_have_css("border-left-width", "4px")
            expect(report.locator("svg").first).to_be_visible()
            assert complaints == []


def test_a_report_behind_a_key_is_saved(page: Page) -> None:
    page.route("**/report", lambda route: route.fulfill(body="<h1>told</h1>", content_type="text/html"))
    page.evaluate("sessionStorage.setItem('understudy-key', 'k')")
    page.reload()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Evaluation").click()
    assert saved.value.suggested_filename == "report.html"
    assert saved.value.path().read_text() == "<h1>told</h1>"


# --- looks -------------------------------------------------------------------------------------


def test_it_is_dark_by_the_system_or_by_choice(page: Page) -> None:
    def paper() -> int:
        return int(page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"))

    assert paper() > 200
    page.emulate_media(color_scheme="dark")
    assert paper() < 60
    page.get_by_role("button", name="Dark colours", pressed=True).click()
    assert paper() > 200
    page.reload()
    assert paper() > 200


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out_at_any_width(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    ask(page, "Who closes the valve? " + "x" * 300)
    expect(page.locator(".answer")).to_be_visible()
    page.locator(".trace summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Citation 1").click()
    expect(page.locator("mark")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#document").bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_no_rule_of_accessibility_is_broken(page: Page, scheme: Any, size: ViewportSize) -> None:
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert violations(page) == []
    ask(page, "Who closes the valve?")
    expect(page.locator(".answer")).to_be_visible()
    page.locator(".trace summary").click()
    ask(page, "nothing")
    expect(page.locator(".answer")).to_have_count(2)
    ask(page, "late")
    expect(page.locator(".problem")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Citation 1").click()
    expect(page.locator("mark")).to_be_in_viewport()
    assert violations(page) == []


def violations(page: Page) -> list[str]:
    """What axe-core finds, by rule and place; it is put in past the page's policy, as the tests' own."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:160]}" for each in found for node in each["nodes"]]
