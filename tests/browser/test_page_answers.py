"""The page with the real default models over a real server and corpus: what a person sees is what the documents say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from rag.build import build_pipeline
from rag.settings import DataSettings, Settings
from rag.types import Question
from tests.browser.opening import DESK, PHONE, ask, opened
from tests.browser.recording import WORDS
from tests.fakes.sample_server import store
from tests.fakes.server import served, wait_until_ready

pytestmark = pytest.mark.slow

PATIENCE = 60_000.0
"""Milliseconds: a machine that is busy with something else is slow, not wrong."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, lend: Callable[[Path], Path]) -> Iterator[str]:
    settings = Settings(data=DataSettings(directory=lend(tmp_path_factory.mktemp("data"))))
    store(settings, "plant")
    pipeline = build_pipeline(settings)
    next(pipeline.stream(Question(text="Who calls the nurse?", domain="plant")))
    with served(lambda _: pipeline, settings) as url:
        wait_until_ready(url)
        yield url


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, url: str) -> Iterator[Page]:
    with opened(browser, url, request.param) as page:
        yield page


def ask_and_wait(page: Page, question: str, answers: int) -> None:
    ask(page, question)
    expect(page.locator(".answer")).to_have_count(answers, timeout=PATIENCE)


def width_of(page: Page) -> str:
    return "desk" if (page.viewport_size or DESK)["width"] > 1000 else "phone"


def test_an_answer_its_follow_up_and_the_words_they_rest_on(page: Page, url: str, screenshots: Path) -> None:
    name = width_of(page)
    page.screenshot(path=screenshots / f"page-{name}-welcome.png")
    ask_and_wait(page, "What number do I call for the nurse if somebody collapses from heat?", 1)
    expect(page.locator(".answer strong")).to_have_text("4477")
    expect(page.locator(".confidence")).to_contain_text("likely right")
    page.screenshot(path=screenshots / f"page-{name}-answer.png")
    page.get_by_role("button", name="Citation 1").click()
    mark = page.locator("mark")
    expect(mark).to_be_in_viewport()
    expect(mark.locator("strong")).to_have_text("4477")
    page.screenshot(path=screenshots / f"page-{name}-citation.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= (page.viewport_size or DESK)["width"]

    # The words lit up are those that the API says stand there.
    body = {"domain": "plant", "question": "What number do I call for the nurse if somebody collapses from heat?"}
    first = page.request.post(f"{url}/v1/answers", data=body, timeout=PATIENCE).json()
    (said,) = first["citations"]
    stored = page.request.get(f"{url}/v1/domains/plant/documents/{said['document_id']}").json()["text"]
    assert mark.text_content() == said["quote"] == stored[said["char_start"] : said["char_end"]]
    before = page.evaluate("document.querySelector('mark').previousSibling.textContent")
    assert len(before) == said["char_start"]

    page.keyboard.press("Escape")
    ask_and_wait(page, "And where is he taken?", 2)
    earlier = [{"question": body["question"], "answer": first["text"]}]
    follow_up = {"domain": "plant", "question": "And where is he taken?", "earlier": earlier}
    second = page.request.post(f"{url}/v1/answers", data=follow_up, timeout=PATIENCE).json()
    assert second["trace"]["rewritten"]
    assert page.evaluate(WORDS) == second["text"]
    page.locator(".trace summary").last.click()
    expect(page.locator(".trace").last).to_contain_text(second["trace"]["standalone_question"])
    expect(page.locator(".trace").last.get_by_role("row")).not_to_have_count(0)
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=screenshots / f"page-{name}-dark.png")


def test_what_the_documents_do_not_answer_is_told_with_what_comes_closest(page: Page, screenshots: Path) -> None:
    ask_and_wait(page, "What is the Wi-Fi password for visitors?", 1)
    expect(page.locator(".answer")).to_have_text("The documents do not answer this question.")
    expect(page.locator(".found .source").first).to_be_visible()
    page.screenshot(path=screenshots / f"page-{width_of(page)}-abstained.png")
    page.locator(".found .source").first.click()
    expect(page.locator("mark")).to_be_visible()


def test_an_answer_is_stopped_while_it_is_made_and_the_next_one_comes(page: Page) -> None:
    ask(page, "Explain in your own words how a bushing change is done, step by step.")
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".turn")).to_contain_text("Stopped before there was a checked answer.")
    ask_and_wait(page, "After a bushing change, how long do we run to scrap?", 1)
    expect(page.locator(".answer")).to_contain_text("70 minutes")


def test_a_document_that_is_added_is_asked_right_away(page: Page, tmp_path: Path) -> None:
    name = width_of(page)
    file = tmp_path / f"canteen-{name}.md"
    file.write_text(
        f"# Canteen of the {name} works\n\nOn Thursdays the canteen of the {name} works serves barley soup.\n"
    )
    page.get_by_label("Documents", exact=True).select_option("plant")
    ask_and_wait(page, "What is the Wi-Fi password for visitors?", 1)
    page.get_by_role("button", name="Add documents").click()
    dialog = page.get_by_role("dialog", name="Add documents")
    dialog.get_by_label("Domain").fill("canteen")
    dialog.get_by_label("Files").set_input_files(file)
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_contain_text("Done: 1 new", timeout=PATIENCE)
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_label("Documents", exact=True)).to_have_value("canteen")
    # What was said over other documents is no part of the talk that begins now.
    expect(page.locator(".divider")).to_have_text("Asking canteen now.")
    with page.expect_request("**/v1/answers/stream") as sent:
        ask_and_wait(page, f"What does the canteen of the {name} works serve on Thursdays?", 2)
    assert "earlier" not in json.loads(sent.value.post_data or "")
    expect(page.locator(".answer").last).to_contain_text("barley soup")
