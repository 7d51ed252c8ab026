"""The page of `understudy serve` as a process, with keys, two domains and a report: nothing that it shows is a fake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, Route, ViewportSize, expect

from api.keys import Keys
from evaluation.report import write
from rag.settings import DataSettings, Settings
from tests.browser.opening import DESK, PHONE, ask, opened, until
from tests.browser.recording import HEAR, PROGRESS, WATCH, WORDS, live
from tests.browser.test_report_page import report
from tests.fakes.sample_server import serving, store

pytestmark = pytest.mark.slow

PATIENCE = 60_000.0
"""Milliseconds: a machine that is busy with something else is slow, not wrong."""
NURSE = "What number do I call for the nurse if somebody collapses from heat?"
CONSTANT = "Which constant do people normally plug into reciprocal rank fusion?"


@dataclass(frozen=True)
class Served:
    """A server and the keys to it."""

    url: str
    spare: Path  # the same data for a second server: the first one has its index open
    reader: str
    porter: str
    report: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, lend: Callable[[Path], Path]) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    data = lend(folder / "data")
    store(Settings(data=DataSettings(directory=data)), "plant", "model-choice")
    keys = Keys(data)
    _, reader = keys.create("reader", scopes=("read",), domains=None)
    _, porter = keys.create("porter", scopes=("read", "ingest"), domains=["yard"])
    spare = lend(folder / "spare")
    shutil.copytree(data / "domains", spare / "domains")
    shutil.copy(data / "keys.json", spare)
    older, newest = folder / "reports" / "older", folder / "reports" / "newest"
    for path in (older, newest):
        path.mkdir(parents=True)
        write(report(), path)
    os.utime(older / "report.html", (1, 1))
    (older / "report.html").write_text("<h1>older</h1>")
    os.utime(older / "report.html", (1, 1))
    settings = {
        "UNDERSTUDY_SERVER__REPORT": str(folder / "reports"),
        "UNDERSTUDY_ANSWER__MAX_QUESTION_CHARS": "200",
    }
    with serving(data, **settings) as url:
        told(url, reader, NURSE)
        yield Served(url, spare, reader, porter, newest / "report.html")


def told(url: str, key: str, question: str) -> Any:
    """The API's own answer over `plant`."""
    body = {"domain": "plant", "question": question}
    response = httpx.post(f"{url}/v1/answers", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
def page(browser: Browser, server: Served) -> Iterator[Page]:
    with opened(browser, server.url, key=server.reader) as page:
        yield page


def answered(page: Page, question: str, answers: int = 1) -> str:
    """Ask; the words of the answer, which is the one after `answers - 1` others."""
    ask(page, question)
    expect(page.locator(".answer")).to_have_count(answers, timeout=PATIENCE)
    return str(page.evaluate(WORDS))


def choose_with(page: Page, press: str) -> None:
    """Another domain, by keys alone."""
    page.get_by_label("Documents", exact=True).focus()
    page.keyboard.press(press)


# --- domains -----------------------------------------------------------------------------------


def test_a_second_domain_is_chosen_by_keyboard_and_no_talk_goes_from_one_to_the_other(
    page: Page, screenshots: Path
) -> None:
    bodies: list[dict[str, Any]] = []

    def note(sent: Request) -> None:
        if sent.url.endswith("/v1/answers/stream"):
            bodies.append(json.loads(sent.post_data or ""))

    page.on("request", note)
    chosen = page.get_by_label("Documents", exact=True)
    page.keyboard.press("Shift+Tab")
    while page.evaluate("document.activeElement.id") != "domain":
        page.keyboard.press("Shift+Tab")
    page.screenshot(path=screenshots / "served-domains.png")
    page.keyboard.press("ArrowDown")
    expect(chosen).to_have_value("plant")
    expect(page.locator("#about")).to_have_text("Operations handbook of the Norrvik basalt-fibre works: 89 documents.")
    nurse = answered(page, NURSE)
    assert "4477" in nurse
    choose_with(page, "ArrowUp")
    expect(chosen).to_have_value("model-choice")
    expect(page.locator(".divider")).to_have_text("Asking Choosing between small and large language models now.")

    constant = answered(page, CONSTANT, 2)
    assert "k = 60" in constant
    page.get_by_role("button", name="Citation 1").last.click()
    expect(page.locator("#document-id")).to_contain_text("retrieval.md")
    expect(page.locator("mark")).to_contain_text("Reciprocal rank fusion")
    name = page.get_by_role("heading", name="Understudy").bounding_box()
    assert name
    assert name["height"] < 40  # on one line, beside a long title of documents and an open document
    page.keyboard.press("Escape")
    assert answered(page, NURSE, 3) == "The documents do not answer this question."
    assert page.locator(".turn").last.locator(".found cite").count() == 3
    assert page.locator(".turn").last.get_by_text("Working in heat").count() == 0

    choose_with(page, "ArrowDown")
    choose_with(page, "ArrowUp")
    choose_with(page, "ArrowDown")
    expect(page.locator(".divider")).to_have_count(2)  # the domain that is asked next, not every one passed by
    expect(page.locator(".divider").last).to_contain_text("Norrvik")
    assert answered(page, "And where is he taken?", 4) is not None
    # The first answer's citation still opens the document of the domain that it came from.
    page.get_by_role("button", name="Citation 1").first.click()
    expect(page.locator("mark")).to_contain_text("4477")
    assert [(body["domain"], body.get("earlier", [])) for body in bodies] == [
        ("plant", []),
        ("model-choice", []),
        ("model-choice", [{"question": CONSTANT, "answer": constant}]),
        ("plant", []),
    ]


def test_a_choice_that_is_made_while_the_list_is_read_again_stays(browser: Browser, server: Served) -> None:
    """A key that is given has the list asked for twice, and the second may come when a domain is chosen already."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.headers.get("authorization") == f"Bearer {server.reader}":
            held.append(route)
        else:
            route.continue_()

    with opened(browser, server.url, key=server.reader) as page:
        page.route("**/v1/domains", hold)
        page.evaluate("sessionStorage.clear()")
        page.reload()
        page.get_by_role("dialog", name="A key is needed").get_by_label("API key").fill(server.reader)
        page.keyboard.press("Enter")
        first, second = awaited(page, held, 2)
        first.continue_()
        page.get_by_label("Documents", exact=True).select_option("plant")
        page.evaluate("document.querySelector('#domain option').dataset.old = true")
        second.continue_()
        until(page, "!document.querySelector('#domain option').dataset.old")
        expect(page.get_by_label("Documents", exact=True)).to_have_value("plant")
        assert "4477" in answered(page, NURSE)


def awaited(page: Page, held: list[Route], count: int) -> list[Route]:
    """So many requests, once they are there."""
    for _ in range(500):
        if len(held) >= count:
            break
        page.wait_for_timeout(20)
    assert len(held) == count
    return held


# --- uploads -----------------------------------------------------------------------------------


def test_a_key_for_one_domain_uploads_to_it_with_progress_that_moves_and_asks_what_came_in(
    browser: Browser, server: Served, tmp_path: Path, screenshots: Path
) -> None:
    files = []
    for bay in range(1, 61):
        rows = " ".join(
            f"Row {row} of bay {bay} holds pallets of grade {(row * 7 + bay) % 13}." for row in range(1, bay)
        )
        files.append(tmp_path / f"bay-{bay:02}.md")
        files[-1].write_text(f"# Bay {bay} of the yard\n\nThe watchman of bay {bay} is called Oskar {bay}. {rows}\n")
    with opened(browser, server.url, key=server.porter, empty=True) as page:
        page.get_by_role("button", name="Add documents").click()
        dialog = page.get_by_role("dialog", name="Add documents")
        dialog.get_by_label("Domain").fill("plant")
        dialog.get_by_label("Files").set_input_files(files)
        dialog.get_by_role("button", name="Add").click()
        expect(dialog.get_by_role("status")).to_contain_text("there is no domain 'plant'")

        dialog.get_by_label("Domain").fill("yard")
        page.evaluate(PROGRESS)
        page.evaluate(HEAR)
        dialog.get_by_role("button", name="Add").click()
        expect(dialog.get_by_role("progressbar")).to_be_visible()
        expect(dialog.get_by_role("button", name="Cancel")).to_be_visible()
        expect(dialog).to_contain_text("of 60 documents", timeout=PATIENCE)
        page.screenshot(path=screenshots / "served-upload.png")
        expect(dialog).to_contain_text("Done: 60 new.", timeout=PATIENCE)
        read = [at for words, at in page.evaluate("steps") if words.startswith("Reading, ")]
        assert len({at for at in read if 0 < at < 1}) >= 3, read
        assert read == sorted(read)
        # Each step is heard, and not each number of it.
        until(page, "heard.some(words => words.startsWith('Done'))")
        heard = [words.split(",")[0] for words in page.evaluate("heard")]
        assert list(dict.fromkeys(words for words in heard if words != "Waiting for its turn"))[:3] == [
            "Sending",
            "Reading",
            "Done: 60 new.",
        ]
        assert heard.count("Reading") <= 5
        dialog.get_by_role("button", name="Close").click()
        expect(page.get_by_label("Documents", exact=True)).to_have_value("yard")
        assert "Oskar 7" in answered(page, "What is the watchman of bay 7 called?")
        page.get_by_role("button", name="Citation 1").click()
        expect(page.locator("#document-id")).to_contain_text("bay-07.md")


def test_a_key_that_may_only_read_is_offered_no_upload(page: Page) -> None:
    expect(page.get_by_role("link", name="Evaluation")).to_be_visible()  # all that is offered is known by then
    expect(page.get_by_role("button", name="Add documents")).to_be_hidden()


# --- taken along -------------------------------------------------------------------------------


def test_the_command_that_is_copied_gives_the_pages_answer_with_the_key_from_a_variable(
    page: Page, server: Served
) -> None:
    page.get_by_label("Documents", exact=True).select_option("plant")
    answered(page, NURSE)
    said = answered(page, "And in one's own words: where's he taken?", 2)
    page.get_by_role("button", name="Copy as curl").last.click()
    until(page, "navigator.clipboard.readText().then(text => text.startsWith('curl'))")
    command = page.evaluate("navigator.clipboard.readText()")
    assert server.reader not in command

    def run(**variables: str) -> Any:
        environment = {"PATH": os.environ["PATH"], **variables}
        done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    answer = run(UNDERSTUDY_KEY=server.reader)
    assert answer["text"] == said
    assert answer["trace"]["rewritten"]
    assert run()["code"] == "not_authenticated"


def test_the_newest_report_is_saved_where_a_key_opens_it(page: Page, server: Served) -> None:
    with page.expect_download() as saved:
        page.get_by_role("link", name="Evaluation").click()
    assert saved.value.path().read_bytes() == server.report.read_bytes()


# --- as it is made -----------------------------------------------------------------------------


def test_the_passages_come_first_and_then_word_by_word_what_the_model_says(browser: Browser, server: Served) -> None:
    with (
        serving(server.spare, UNDERSTUDY_ANSWER__DECODING="free") as url,
        opened(browser, url, key=server.reader) as page,
    ):
        expect(page.get_by_role("link", name="Evaluation")).to_be_hidden()
        page.get_by_label("Documents", exact=True).select_option("plant")
        page.evaluate(WATCH)
        answered(page, NURSE)
        check_steps(page.evaluate("seen"))


def test_an_explanation_comes_word_by_word_by_default(page: Page) -> None:
    page.get_by_label("Documents", exact=True).select_option("plant")
    page.evaluate(WATCH)
    answered(page, "Why is the crown heated slowly?")
    check_steps(page.evaluate("seen"))


def check_steps(seen: list[tuple[int, str, str]]) -> None:
    """Passages without words, then words that grow by at least three steps, each told to be provisional."""
    first = next(at for at, (passages, _, _) in enumerate(seen) if passages)
    assert seen[first][1] == ""
    assert "reading" in seen[first][2]
    drafts = list(dict.fromkeys(draft for _, draft, _ in seen[first:] if draft))
    assert len(drafts) >= 3, drafts
    assert all(after.startswith(before) for before, after in pairwise(drafts))
    assert {progress for _, draft, progress in seen if draft and progress} == {"Writing; not checked yet"}


# --- by ear ------------------------------------------------------------------------------------


def test_a_screen_reader_hears_every_step_of_an_answer_a_refusal_a_stop_and_an_error(page: Page) -> None:
    page.get_by_label("Documents", exact=True).select_option("plant")
    expect(page.locator("#status")).to_have_text("Asking Operations handbook of the Norrvik basalt-fibre works now.")
    page.evaluate(HEAR)

    def heard() -> list[str]:
        return list(page.evaluate("heard.splice(0)"))

    nurse = answered(page, NURSE)
    until(page, "heard.length > 2")
    assert heard() == ["Searching the documents.", "8 passages found, reading.", f"{nurse} 1 citation."]

    answered(page, "What is the Wi-Fi password for visitors?", 2)
    until(page, "heard.length > 2")
    searching, found, refused = heard()
    assert (searching, found) == ("Searching the documents.", "8 passages found, reading.")
    assert refused.startswith("The documents do not answer this question. ")

    ask(page, "Explain how a bushing change is done.")
    page.get_by_role("button", name="Stop", exact=True).click()
    until(page, "heard.includes('Stopped.')")
    assert heard()[-1] == "Stopped."

    ask(page, "Who calls? " * 20)
    until(page, "heard.length > 1")
    searching, error = heard()
    assert searching == "Searching the documents."
    assert error.startswith("This cannot be asked so. ")
    assert "200" in error


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_cited_words_are_heard_where_the_document_is_open(browser: Browser, server: Served, size: ViewportSize) -> None:
    """A sheet on a phone is modal: whatever lies outside it is silent."""
    with opened(browser, server.url, size, key=server.reader) as page:
        page.get_by_label("Documents", exact=True).select_option("plant")
        answered(page, NURSE)
        page.get_by_role("button", name="Citation 1").click()
        mark = page.locator("mark").text_content()
        page.wait_for_timeout(100)
        assert f"Working in heat: {mark}" in live(page)


def test_the_focus_goes_into_what_opens_and_back_to_where_it_was(browser: Browser, server: Served) -> None:
    def focus(page: Page) -> str:
        return str(page.evaluate("document.activeElement.id || document.activeElement.className"))

    for size in (DESK, PHONE):
        with opened(browser, server.url, size, key=server.reader) as page:
            assert focus(page) == "question"
            page.get_by_label("Documents", exact=True).select_option("plant")
            answered(page, NURSE)
            page.get_by_role("button", name="Citation 1").focus()
            for leave in ("Escape", "Enter"):
                page.keyboard.press("Enter")
                assert focus(page) == "document-title"
                expect(page.locator("mark")).to_be_visible()
                if leave == "Enter":
                    page.get_by_role("button", name="Close the document").focus()
                page.keyboard.press(leave)
                expect(page.locator("#document")).to_be_hidden()
                assert focus(page) == "cite"
            # A passage that is open when the answer takes the place of all that was found.
            ask(page, "Why is the crown heated slowly?")
            page.locator(".found .source").first.focus()
            page.keyboard.press("Enter")
            expect(page.locator(".answer")).to_have_count(2, timeout=PATIENCE)
            page.keyboard.press("Escape")
            expect(page.locator("#document")).to_be_hidden()
            assert focus(page) == "question"
            # A button that goes away leaves the focus beside itself, not at the top of the page.
            ask(page, "Explain how a bushing change is done.")
            page.get_by_role("button", name="Stop", exact=True).focus()
            page.keyboard.press("Enter")
            expect(page.locator(".turn").last).to_contain_text("Stopped")
            assert focus(page) == "question"
            page.get_by_role("button", name="Forget key").focus()
            page.keyboard.press("Enter")
            expect(page.get_by_label("API key")).to_be_focused()
            page.keyboard.press("Escape")
            expect(page.locator("#key")).to_be_hidden()
            assert focus(page) == "question"
