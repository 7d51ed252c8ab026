"""The page when the server says no, not now, or nothing at all; and uploads, told by the API's contract."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from api.keys import Keys
from rag.settings import DataSettings, Settings
from tests.browser.opening import ask, opened
from tests.fakes.pipeline import QUOTE, FakePipeline
from tests.fakes.server import served, wait_until_ready


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(lambda _: FakePipeline()) as url:
        wait_until_ready(url)
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with opened(browser, url) as page:
        yield page


def refuse(route: Route, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
    body = {"type": f"urn:understudy:problem:{code}", "status": status, "code": code, "detail": detail}
    told = json.dumps(body | {"title": "", "request_id": "r1", "errors": []})
    route.fulfill(status=status, body=told, headers=(headers or {}) | {"Content-Type": "application/problem+json"})


# --- refusals ----------------------------------------------------------------------------------


def test_a_busy_server_is_asked_again_when_it_said(page: Page) -> None:
    tries = []

    def busy_once(route: Route) -> None:
        tries.append(route)
        if len(tries) == 1:
            refuse(route, 503, "model_busy", "32 questions wait already: try again in 2 s", {"Retry-After": "2"})
        else:
            route.continue_()

    page.route("**/v1/answers/stream", busy_once)
    ask(page, "How often?")
    expect(page.get_by_role("heading", name="Busy")).to_be_visible()
    expect(page.get_by_role("button", name="Trying again in")).to_be_visible()
    expect(page.locator(".answer")).to_contain_text("Every 200 hours", timeout=6000)
    assert len(tries) == 2
    assert page.locator(".turn").count() == 1


def test_a_wait_can_be_called_off_and_taken_up_again(page: Page) -> None:
    page.route(
        "**/v1/answers/stream",
        lambda route: refuse(route, 429, "too_many_requests", "2 times a minute", {"Retry-After": "30"}),
    )
    ask(page, "How often?")
    page.get_by_role("button", name="Do not").click()
    expect(page.get_by_role("button", name="Try again")).to_be_focused()
    page.unroute("**/v1/answers/stream")
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_contain_text("Every 200 hours")


@pytest.mark.parametrize(
    ("question", "title", "words"),
    [
        ("late", "Not answered this time", "The engine ended while it worked on this question: ask again."),
        ("broken", "Not answered this time", "something went wrong here that is no fault of the request"),
    ],
)
def test_a_failure_before_or_midway_is_told_with_its_reason(page: Page, question: str, title: str, words: str) -> None:
    ask(page, question)
    expect(page.locator(".problem h3")).to_have_text(title)
    expect(page.locator(".problem")).to_contain_text(words, ignore_case=True)
    expect(page.get_by_role("button", name="Try")).to_be_visible()
    expect(page.locator(".draft")).to_have_count(0)


def test_a_connection_that_drops_is_told_and_can_be_tried_again(page: Page) -> None:
    page.route("**/v1/answers/stream", lambda route: route.abort())
    ask(page, "How often?")
    expect(page.locator(".problem h3")).to_have_text("No connection")
    page.unroute("**/v1/answers/stream")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".answer")).to_contain_text("Every 200 hours")


def test_who_tries_again_by_keyboard_goes_on_by_keyboard(page: Page) -> None:
    page.route("**/v1/answers/stream", lambda route: route.abort())
    ask(page, "How often?")
    page.get_by_role("button", name="Try again").focus()
    page.unroute("**/v1/answers/stream")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your question")).to_be_focused()
    expect(page.locator(".answer")).to_contain_text("Every 200 hours")


def test_a_key_is_asked_for_kept_in_the_tab_and_forgotten(page: Page) -> None:
    sent: list[str] = []

    def keyed(route: Route) -> None:
        sent.append(route.request.headers.get("authorization", ""))
        if sent[-1] == "Bearer right":
            route.continue_()
        else:
            refuse(route, 401, "not_authenticated", "this needs a key")

    page.route("**/v1/**", keyed)
    ask(page, "How often?")
    dialog = page.get_by_role("dialog", name="A key is needed")
    dialog.get_by_label("API key").fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("was not accepted")
    dialog.get_by_label("API key").fill("right")
    page.keyboard.press("Enter")
    expect(page.locator(".answer")).to_contain_text("Every 200 hours")
    assert page.evaluate("[{...sessionStorage}, {...localStorage}]") == [{"understudy-key": "right"}, {}]
    page.get_by_role("button", name="Forget key").click()
    assert page.evaluate("sessionStorage.length") == 0
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("this needs a key")


def test_a_key_of_the_server_opens_the_page_and_adds_nothing_where_it_may_only_read(
    browser: Browser, tmp_path: Path
) -> None:
    _, secret = Keys(tmp_path).create("reader", scopes=("read",), domains=["plant"])
    settings = Settings(data=DataSettings(directory=tmp_path))
    with served(lambda _: FakePipeline(), settings) as url, closing(browser.new_context()) as context:
        wait_until_ready(url)
        page = context.new_page()
        page.goto(url)
        page.get_by_role("dialog", name="A key is needed").get_by_label("API key").fill(secret)
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Ask")).to_be_enabled()
        ask(page, "How often?")
        page.get_by_role("button", name="Citation 1").click()
        expect(page.locator("mark")).to_have_text(QUOTE)
        expect(page.get_by_role("button", name="Add documents")).to_be_hidden()
        expect(page.get_by_role("button", name="Forget key")).to_be_visible()


def test_a_server_that_still_starts_is_asked_again(page: Page) -> None:
    tries: list[Route] = []

    def starting(route: Route) -> None:
        tries.append(route)
        if len(tries) == 1:
            refuse(route, 503, "starting", "the models are still being loaded", {"Retry-After": "1"})
        else:
            route.continue_()

    page.route("**/v1/domains", starting)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("still being loaded")
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()
    expect(page.get_by_role("alert")).to_be_empty()


def test_a_server_without_documents_says_how_some_come_in(page: Page) -> None:
    page.route("**/v1/domains", lambda route: route.fulfill(body="[]"))
    page.reload()
    expect(page.locator("#about")).to_have_text(re.compile("No documents are stored yet. understudy ingest apply"))
    expect(page.get_by_role("button", name="Ask")).to_be_disabled()


def test_a_domain_that_cannot_be_asked_says_why_and_another_can_be_chosen(page: Page, url: str) -> None:
    whole = page.request.get(f"{url}/v1/domains").json()[0]
    other = whole | {"name": "old", "title": "Old <b>book</b>", "problem": "built with another embedder"}
    page.route("**/v1/domains", lambda route: route.fulfill(body=json.dumps([other, whole])))
    page.reload()
    chosen = page.get_by_label("Documents", exact=True)
    expect(chosen).to_have_value("plant")
    ask(page, "How often?")
    expect(page.locator(".answer")).to_be_visible()
    chosen.select_option("old")
    expect(page.get_by_role("alert")).to_contain_text("Old <b>book</b> cannot be asked now: built with")
    expect(page.get_by_role("button", name="Ask")).to_be_disabled()
    expect(page.locator(".divider")).to_have_text("Asking Old <b>book</b> now.")
    chosen.select_option("plant")
    expect(page.get_by_role("alert")).to_be_empty()
    with page.expect_request("**/v1/answers/stream") as sent:
        ask(page, "How often, once more?")
    assert "earlier" not in json.loads(sent.value.post_data or "")


# --- uploads -----------------------------------------------------------------------------------


def job(state: str, documents: int = 0, **more: Any) -> str:
    told: dict[str, Any] = {
        "id": "j1", "domain": "plant", "kind": "upload", "state": state, "documents": documents, "total": 3,
        "chunks": 0, "seconds": 0.1, "new": 0, "changed": 0, "unchanged": 0, "removed": 0, "unreadable": [],
        "error": "",
    }  # fmt: skip
    return json.dumps(told | more)


@pytest.mark.parametrize("status", [403, 404, 501])
def test_documents_cannot_be_added_where_the_server_does_not_let(page: Page, status: int) -> None:
    expect(page.get_by_role("button", name="Add documents")).to_be_visible()
    page.route("**/v1/jobs", lambda route: refuse(route, status, "not_allowed", "this needs a key of scope ingest"))
    with page.expect_response("**/report"):
        page.reload()
    expect(page.get_by_role("button", name="Add documents")).to_be_hidden()


def test_an_upload_shows_its_progress_and_what_could_not_be_read(page: Page, tmp_path: Path, screenshots: Path) -> None:
    (tmp_path / "a.md").write_text("# A")
    (tmp_path / "b.pdf").write_bytes(b"broken")
    bodies: list[str] = []
    states = iter([job("queued"), job("running", 1), job("running", 2)])
    end = job("done", 3, new=1, unchanged=1, unreadable=[{"source": "b.pdf", "reason": "<i>no</i> PDF"}])

    def take(route: Route) -> None:
        bodies.append(str(route.request.post_data))
        route.fulfill(status=202, body=job("queued"))

    page.route("**/v1/jobs", lambda route: route.fulfill(body="[]"))
    page.route("**/v1/jobs/j1", lambda route: route.fulfill(body=next(states, end)))
    page.route("**/v1/domains/plant/documents", take)
    page.reload()
    page.get_by_role("button", name="Add documents").click()
    dialog = page.get_by_role("dialog", name="Add documents")
    expect(dialog.get_by_label("Domain")).to_have_value("plant")
    dialog.get_by_label("Files").set_input_files([tmp_path / "a.md", tmp_path / "b.pdf"])
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_contain_text("Reading, 1 of 3 documents")
    expect(dialog).to_contain_text("Done: 1 new, 1 unchanged, 1 unreadable.")
    expect(dialog.get_by_role("listitem")).to_have_text("b.pdf <i>no</i> PDF")
    page.screenshot(path=screenshots / "page-upload.png")
    assert bodies[0].count('name="files"; filename=') == 2
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Add documents")).to_be_focused()


def test_an_upload_can_be_cancelled_and_a_refusal_is_told(page: Page, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A")
    cancelled: list[str] = []

    def follow(route: Route) -> None:
        if route.request.method == "DELETE":
            cancelled.append(route.request.url)
        route.fulfill(body=job("cancelled" if cancelled else "running", 1))

    page.route("**/v1/jobs", lambda route: route.fulfill(body="[]"))
    page.route("**/v1/jobs/j1", follow)
    page.route("**/v1/domains/plant/documents", lambda route: route.fulfill(status=202, body=job("running")))
    page.reload()
    page.get_by_role("button", name="Add documents").click()
    dialog = page.get_by_role("dialog", name="Add documents")
    dialog.get_by_label("Files").set_input_files(tmp_path / "a.md")
    dialog.get_by_role("button", name="Add").click()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_contain_text("Cancelled; what was stored before is unchanged.")
    assert len(cancelled) == 1
    page.route(
        "**/v1/domains/plant/documents", lambda route: refuse(route, 413, "upload_too_large", "the upload is larger")
    )
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_contain_text("the upload is larger")
