"""The report as a person opens it: offline, on a desk and on a phone, light and dark, on paper, by screen reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from evaluation.cost import load_prices
from evaluation.judge import shipped_judge
from evaluation.published import PUBLISHED
from evaluation.recommendation import Threshold, recommend
from evaluation.records import Cited, Declared, Found, Record
from evaluation.report import Report, costs, sentence, surprising, thousand, write
from evaluation.sampling import fingerprint
from evaluation.scoring import score
from evaluation.suites import Recorded, SuiteQuestion, Use

CITIES = ("Paris", "Rome", "Oslo", "Lima", "Cairo", "Delhi", "Kyoto", "Quito")
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def report() -> Report:
    """A run of 60 questions: ours has three of four right, the large model four of five."""
    questions = [
        SuiteQuestion(
            id=str(n), question=f"Where does line {n} end?", answers=(CITIES[n % 8],), gold_doc_ids=(f"d{n}",),
            gold_evidence=(f"Line {n} ends in {CITIES[n % 8]}.",), use=Use.ANSWERABLE, file="q", line=n + 1,
        )
        for n in range(60)
    ]  # fmt: skip
    records = []
    for n, q in enumerate(questions):
        text = "<b>Berlin</b>" if n % 4 == 0 else q.answers[0]
        cited = Cited(document_id=f"d{n}", start=0, end=9, quote=f"Line {n} ends in {text}.", claim=text)
        found = Found(document_id=f"d{n + n % 3}", start=0, end=9, score=1.0)
        records.append(
            Record(
                id=q.id, arm="slm+rag", text=text, confidence=0.3 + 0.1 * (n % 5), passages=(found,),
                citations=(cited,), prompt_tokens=200, completion_tokens=12, milliseconds=300 + n,
                stages={"generate": 200.0},
            )
        )  # fmt: skip
        records.append(Record(id=q.id, arm="slm", text="I do not know.", milliseconds=90 + n, completion_tokens=5))
    declared = Declared(
        suite="lines", suite_sha256=fingerprint(questions), domain="d", arms=("slm", "slm+rag"),
        questions=tuple(q.id for q in questions), of=60, seed=0, margin=0.05, primary={"lines": "big"},
        model="small-135M", model_fingerprint="f" * 64, embedder_fingerprint="e" * 64, generation="g000001", code="c",
        hardware="two cores", date="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    recorded = [
        Recorded(
            id=q.id, model="big", setting="closed_book", answer="Berlin" if n % 5 == 0 else q.answers[0],
            correct=n % 5 != 0, file="b", line=1,
        )
        for n, q in enumerate(questions)
    ]  # fmt: skip
    parts, right = score(
        declared, questions, originals={q.id: q for q in questions}, records=records, recorded=recorded,
        judge=shipped_judge(),
    )  # fmt: skip
    return Report(
        declared=declared, sentences=tuple(sentence(part, declared) for part in parts), parts=parts,
        costs=costs(parts, load_prices()), thousand=thousand(parts, load_prices()),
        examples=surprising(questions, records, right, quotable=True),
        recommendations=tuple(recommend(part, Threshold(), published_large_ms=800) for part in parts), models=PUBLISHED,
        judge="one judge", complete=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    write(report(), folder)
    return (folder / "report.html").as_uri()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=DESK)  # type: ignore[arg-type]  # a ViewportSize is this dict
    yield context.new_page()
    context.close()


def test_it_asks_the_network_for_nothing_and_logs_no_error(page: Page, address: str, screenshots: Path) -> None:
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.screenshot(path=screenshots / "report-desk-light.png", full_page=True)
    assert requests == [address]
    assert complaints == []
    assert page.locator("b").count() == 0, "what a model said became markup"


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_verdict_and_picture_are_on_the_first_screen_and_nothing_sticks_out(
    page: Page, address: str, size: dict[str, int], screenshots: Path
) -> None:
    page.set_viewport_size(size)  # type: ignore[arg-type]  # a ViewportSize is this dict
    page.goto(address)
    verdict, picture = page.locator(".verdict").first.bounding_box(), page.locator("svg").first.bounding_box()
    assert verdict
    assert picture
    assert verdict["y"] + verdict["height"] < size["height"]
    assert picture["y"] + picture["height"] / 2 < size["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    page.screenshot(path=screenshots / f"report-first-{size['width']}.png")


def test_it_is_dark_where_the_reader_wants_it_dark_and_its_pictures_follow(
    page: Page, address: str, screenshots: Path
) -> None:
    def ink() -> tuple[int, int]:
        script = (
            "s => getComputedStyle(document.querySelector(s)).%s.match(/\\d+/g).slice(0, 3).reduce((a, b) => +a + +b)"
        )
        return (
            int(page.evaluate(script % "backgroundColor", "body")),
            int(page.evaluate(script % "fill", "svg text")),
        )

    page.goto(address)
    paper, text = ink()
    assert paper - text > 500
    page.emulate_media(color_scheme="dark")
    paper, text = ink()
    assert text - paper > 400
    page.screenshot(path=screenshots / "report-desk-dark.png", full_page=True)


def test_a_screen_reader_gets_headings_named_pictures_and_table_heads(page: Page, address: str) -> None:
    page.goto(address)
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title()
    assert page.locator("h1").count() == 1
    pictures = page.locator("svg")
    assert pictures.count() == 8
    for n in range(pictures.count()):
        assert pictures.nth(n).get_attribute("role") == "img"
        assert pictures.nth(n).get_attribute("aria-label")
    for table in page.locator("table").all():
        assert table.locator("thead th").count() > 1


def test_it_prints(page: Page, address: str) -> None:
    page.goto(address)
    page.emulate_media(media="print")
    assert page.pdf().startswith(b"%PDF")
