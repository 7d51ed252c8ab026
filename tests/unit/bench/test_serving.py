"""What decides a figure of the serving benchmarks: percentiles, lines, events, refusals, and what the report tells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.keys import Keys
from api.schema import document
from bench.serving import hangups, results
from bench.serving.client import Asked, ask, caller, closed_loop, events, ours
from bench.serving.conformance import excuses, narrowed
from bench.serving.fuzz import blamed, names, problems
from bench.serving.load import against, line, summary
from bench.serving.report import page
from bench.serving.results import Results, percentile, slope, spread
from bench.serving.same_text import difference
from bench.serving.soak import flood, intervals, load_between, next_rate
from rag.settings import DataSettings, ServerSettings, Settings
from rag.types import Message, Prompt
from tests.fakes.language_model import FakeLanguageModel
from tests.fakes.pipeline import FakePipeline
from tests.fakes.server import served
from tests.integration.test_api_server import ready, until


@pytest.fixture
def url() -> Iterator[str]:
    with served(lambda _: FakePipeline(pace=0.001)) as url:
        assert until(lambda: ready(url))
        yield url


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile(range(1, 101), 0.95) == 96
    assert percentile([7.0], 0.95) == 7.0
    assert percentile([], 0.95) is None
    assert spread([3.0, 1.0, 2.0]) == {"p50": 2.0, "p95": 3.0, "max": 3.0, "n": 3}


def test_a_line_is_fitted_through_points() -> None:
    assert slope([(0, 5), (10, 25)]) == pytest.approx((2.0, 5.0))
    assert slope([(3, 8)]) == (0.0, 8)


def test_events_are_read_with_their_names_and_comments_skipped() -> None:
    async def lines() -> AsyncIterator[str]:
        for text in (": still working", "id: 1", "event: token", 'data: {"a": 1}', "", "data: {}", "data: [DONE]"):
            yield text

    async def read() -> list[tuple[str, Any]]:
        return [event async for event in events(lines())]

    assert asyncio.run(read()) == [("token", {"a": 1}), ("message", {})]


def test_a_question_is_timed_from_first_event_to_whole_answer(url: str) -> None:
    async def one() -> Asked:
        async with caller() as client:
            return await ask(client, ours(url, "plant"), "How often?")

    asked = asyncio.run(one())
    assert (asked.status, asked.error, asked.text) == (200, "", "Every 200 hours")
    assert asked.first_event is not None
    assert asked.first_token is not None
    assert asked.whole is not None
    assert 0 < asked.first_event <= asked.first_token <= asked.whole
    assert asked.tokens == 3


def test_a_refusal_is_waited_for_as_it_says() -> None:
    answered: list[float] = []

    def handler(_: httpx.Request) -> httpx.Response:
        answered.append(time.perf_counter())
        if len(answered) == 1:
            return httpx.Response(503, headers={"Retry-After": "1"})
        return httpx.Response(200, text='event: done\ndata: {"answer": {"text": "yes"}}\n\n')

    async def one() -> Asked:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
            return await ask(client, ours("http://here", "plant"), "?")

    asked = asyncio.run(one())
    assert (asked.refusals, asked.refused_without_wait, asked.text) == (1, 0, "yes")
    assert answered[1] - answered[0] >= 1.0


def test_what_is_neither_an_answer_nor_a_refusal_is_an_error() -> None:
    async def one(status: int) -> Asked:
        transport = httpx.MockTransport(lambda _: httpx.Response(status))
        async with httpx.AsyncClient(transport=transport) as client:
            return await ask(client, ours("http://here", "plant"), "?")

    assert asyncio.run(one(500)).error == "status 500"
    assert asyncio.run(one(200)).error == "ended early"


def test_a_closed_loop_counts_what_began_in_time(url: str) -> None:
    done, seconds = asyncio.run(closed_loop([ours(url, "plant")] * 2, ["a", "b", "c"], seconds=0.5))
    figures = summary(done, seconds)
    assert figures["answered"] == figures["asked"] == len(done) > 2
    assert figures["errors"] == {}
    assert figures["answers_per_second"] > 2


def test_a_closed_loop_ends_when_told(url: str) -> None:
    told = iter([False] * 4)
    done, seconds = asyncio.run(closed_loop([ours(url, "plant")], ["a"], seconds=60, over=lambda: next(told, True)))
    assert (len(done), seconds < 30) == (4, True)


def test_more_than_twice_what_is_served_is_sent_and_what_was_missed_made_up_for() -> None:
    # 2 x 1.1 x 1.5 a second; 40 sent for 20 taken is no arrear, for 35 it is one of 30, made up for in 10 s.
    assert next_rate(1.5, sent=40, taken=20, seconds=10) == pytest.approx(3.3)
    assert next_rate(1.5, sent=40, taken=35, seconds=10) == pytest.approx(6.3)
    assert list(intervals(1200))[::39] == [(30.0, 30.0), (1200.0, 30.0)]
    assert next(intervals(60)) == (6.0, 6.0)


def test_load_is_what_was_sent_for_each_answer_that_came_in_the_same_time() -> None:
    answered = [Asked("q", at, status=200, whole=3.0) for at in (0.0, 1.0, 8.0)]
    refused = [Asked("q", at, status=503) for at in (2.0, 5.0, 9.0)]
    # From 2 to 10: four sent; answers came at 3 and 4, the third only at 11.
    assert load_between([*answered, *refused], 2.0, 10.0) == 2.0


def test_a_flood_is_at_least_twice_what_a_faster_service_than_expected_answers(tmp_path: Path) -> None:
    settings = Settings(data=DataSettings(directory=tmp_path), server=ServerSettings(workers=1, max_waiting=2))
    with served(lambda _: FakePipeline(pace=0.01, tokens=5), settings) as url:
        assert until(lambda: ready(url))
        outcomes, rates = asyncio.run(flood([ours(url, "plant")], ["slow one", "slow other"], seconds=4.0, rate=2.0))
    answered = sum(asked.status == 200 for asked in outcomes)
    # About twenty a second are answered where two were expected.
    assert answered > 4 * 2.0
    assert len(outcomes) >= 2 * answered
    assert rates[0] == 4.4
    assert rates[-1] > 2 * rates[0]
    assert {asked.status for asked in outcomes} == {200, 503}


def test_a_part_is_measured_once_as_long_as_its_settings_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    measured: list[int] = []

    def measure() -> dict[str, Any]:
        measured.append(1)
        return {"value": len(measured)}

    assert Results("x").once("part", {"n": 1}, measure) == {"value": 1}
    assert Results("x").once("part", {"n": 1}, measure) == {"value": 1}
    assert Results("x").once("part", {"n": 2}, measure) == {"value": 2}
    assert Results("x", fresh=True).once("part", {"n": 2}, measure) == {"value": 3}


def test_the_report_tells_what_is_measured_and_what_is_not(tmp_path: Path) -> None:
    done = [Asked("q", 0.0, status=200, first_event=0.1, first_token=0.2, whole=1.0, text="a") for _ in range(4)]
    part = summary(done, 4.0) | {"clients": 4, "memory": [(1.0, 900.0), (2.0, 910.0)]}
    slower = part | {"first_token": {"p50": 0.8, "p95": 0.8, "max": 0.8, "n": 4}}
    file = {
        "hardware": "2 cores",
        "commit": "abc",
        "date": "2026-11-25",
        "command": "python -m bench.serving.load --suites DIR",
        "parts": {
            "ours-4": {"settings": {}, "result": part},
            "peer-4": {"settings": {}, "result": slower},
        },
    }
    assert line("ours-4", part)["MB max"] == 910.0
    assert against(part, slower)["first token p95 ratio"] == 0.25
    text = page({"load": file}, tmp_path / "serving.md")
    assert "2 cores · commit abc · 2026-11-25 · `python -m bench.serving.load --suites DIR`" in text
    assert "| ours-4 | peer-4 | 0.25 |" in text
    assert "Not measured yet: `python -m bench.serving.soak`." in text
    assert "Not measured yet: `python -m bench.serving.conformance`." in text
    assert "<svg" in (tmp_path / "serving" / "latency.svg").read_text("utf-8")


def test_the_report_keeps_what_was_measured_elsewhere(tmp_path: Path) -> None:
    out = tmp_path / "serving.md"
    row = {"times": 50, "ready": {"p50": 1.1, "max": 1.4}, "intact": 50, "same": 50}
    where = {"hardware": "2 cores", "commit": "abc", "date": "2026-11-25", "command": "python -m bench.serving.chaos"}
    out.write_text(page({"chaos": where | {"parts": {"service": {"settings": {}, "result": row}}}}, out), "utf-8")
    hang_ups = where | {"commit": "def", "parts": {"hangups": {"settings": {}, "result": {"callers": 1000}}}}
    text = page({"hangups": hang_ups}, out)
    assert "| service | 50 | 1.1 | 1.4 | 50 | 50 |" in text
    assert "commit abc" in text
    assert "commit def" in text
    assert text.count("## kill -9") == 1
    out.write_text(text, "utf-8")
    assert page({"hangups": hang_ups}, out) == text


def test_the_report_tells_what_became_of_uploads_and_streams_and_reads_what_was_kept_before(tmp_path: Path) -> None:
    where = {"hardware": "2 cores", "commit": "abc", "date": "2026-11-25", "command": "python -m bench.serving.chaos"}
    row = {"times": 50, "ready": {"p50": 1.1, "max": 1.4}, "intact": 50, "same": 50}
    told = {"answered": 290, "had spoken and was told": 9}
    parts = {"service": row | {"uploads": {"acknowledged": 90, "lost": 0}}, "engine": row | {"told": told}}
    file = where | {"parts": {name: {"settings": {}, "result": part} for name, part in parts.items()}}
    text = page({"chaos": file}, tmp_path / "serving.md")
    assert "| 90 | 0 |" in text
    assert "| engine | 290 | 9 |" in text


def test_the_report_holds_the_pairs_of_each_operation(tmp_path: Path) -> None:
    row = {
        "statuses": [404],
        "bodies_alike": True,
        "milliseconds_p50": [1.2, 1.3],
        "median_difference_microseconds": -0.4,
        "wilcoxon": 0.5,
        "ks": 0.25,
        "alike": True,
        "shift_seen_microseconds": 20,
    }
    result = {"hardware": "2 cores", "pairs": 1000, "level": 0.0017, "operations": {"GET /x": row}, "alike": True}
    where = {"hardware": "2 cores", "commit": "abc", "date": "2026-11-25", "command": "python -m bench.isolation"}
    file = where | {"parts": {"isolation": {"settings": {"pairs": 1000}, "result": result}}}
    text = page({"isolation": file}, tmp_path / "serving.md")
    assert "2 cores · commit abc · 2026-11-25 · `python -m bench.isolation`" in text
    assert "1000 pairs for each operation, level of a single test 0.0017. The two cannot be told apart." in text
    assert "| GET /x | 404 | alike | 1.2 | 1.3 | -0.4 | 0.5 | 0.25 | 20 | alike |" in text
    assert "Not measured yet: `python -m bench.isolation`." in page({"soak": where | {"parts": {}}}, tmp_path / "no.md")


def test_two_texts_are_compared_at_the_token_where_they_part() -> None:
    model = FakeLanguageModel(answer=lambda _: "Every 200 hours")
    prompt = Prompt(messages=(Message(role="user", content="How often?"),), max_tokens=8)

    def gap(alone: tuple[str, ...], loaded: tuple[str, ...]) -> object:
        return difference(model, prompt, alone, loaded)["gap of log-probabilities"]

    # The words that follow the first other one count for nothing: -0.5 - (-3.0).
    parted = difference(model, prompt, ("Every", " 200", " hours"), ("Every", " 300", " days", " of", " work"))
    assert (parted["token"], parted["after"], parted["alone"], parted["under load"]) == (1, "Every", " 200", " 300")
    assert parted["gap of log-probabilities"] == 2.5
    # The end after "Every 200" is worth -9.0 less the -1.0 of its words, " hours" -0.5.
    assert gap(("Every", " 200"), ("Every", " 200", " hours")) == -7.5
    # Two tokens in one piece, and an end after nothing, are no one token that could be told of.
    assert gap(("Every", " 200"), ("Every", " three hundred")) is None
    assert gap((), ("Every",)) is None


def test_what_the_engine_holds_is_read_with_a_key_that_may(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    _, client = keys.create("client", scopes=["read"], domains=["plant"])
    _, watcher = keys.create("watcher", scopes=["admin"], domains=None)
    with served(lambda _: FakePipeline(), Settings(data=DataSettings(directory=tmp_path))) as url:
        assert until(lambda: ready(url))
        assert hangups.gauges(url, client) == {}
        assert hangups.gauges(url, watcher) == hangups.NOTHING
    assert hangups.gauges(url, watcher) == {}


def test_made_up_requests_name_domains_that_there_may_be() -> None:
    whole = document()
    found = narrowed(whole)
    assert found["components"]["schemas"]["AnswerRequest"]["properties"]["domain"]["enum"] == ["plant", "office"]
    (domain,) = found["paths"]["/v1/domains/{domain}"]["delete"]["parameters"]
    assert domain["schema"]["enum"] == ["plant", "office"]
    assert names(found) == names(whole) == names(document())
    assert "enum" not in whole["components"]["schemas"]["AnswerRequest"]["properties"]["domain"]


def test_a_failure_is_found_in_an_answer_and_inside_of_one() -> None:
    late = '{"status": 503, "code": "model_timeout"}'
    problem = {"status": 503, "code": "model_timeout"}
    assert problems(503, "application/problem+json", late) == [problem]
    assert problems(503, "application/json", '{"error": {"code": "model_timeout"}}') == [problem]
    assert problems(503, "application/json", '{"ready": false}') == [{"status": 503, "code": "none"}]
    assert problems(500, "text/plain", "oh") == [{"status": 500, "code": "none"}]
    assert problems(404, "application/problem+json", '{"status": 404, "code": "unknown_domain"}') == []
    assert problems(200, "application/json", f'{{"items": [{{"answer": {{}}}}, {{"problem": {late}}}]}}') == [problem]
    assert problems(200, "application/x-ndjson", f'{{"problem": {late}}}\n{{"problem": null}}\n') == [problem]
    stream = f'event: token\ndata: {{"text": "a"}}\n\nid: 2\nevent: error\ndata: {late}\n\n'
    assert problems(200, "text/event-stream; charset=utf-8", stream) == [problem]
    chunks = 'data: {"choices": []}\n\ndata: {"error": {"code": "model_timeout"}}\n\ndata: [DONE]\n\n'
    assert problems(200, "text/event-stream", chunks) == [problem]


def test_only_a_503_with_an_excuse_is_no_fault() -> None:
    late = {"status": 503, "code": "model_timeout"}
    assert blamed(late, {"question": "q", "timeout_seconds": 1e-6}) == ""
    assert blamed(late, {"questions": [{"question": "q"}, {"question": "q", "timeout_seconds": 0.1}]}) == ""
    assert blamed(late, {"question": "q"}) == "503 model_timeout"
    assert blamed(late, b"bytes") == "503 model_timeout"
    assert blamed({"status": 503, "code": "model_busy"}, None) == ""
    assert blamed({"status": 503, "code": "index_unavailable"}, None) == "503 index_unavailable"
    assert blamed({"status": 500, "code": "model_busy"}, None) == "500 model_busy"
    assert blamed({"status": 404, "code": "unknown_domain"}, None) == ""


def test_every_503_is_told_with_its_operation_and_its_reason() -> None:
    rows = [{"key": "own", "unavailable": {"POST /v1/answers": {"model_timeout": 3}}}, {"key": "none"}]
    (line,) = excuses({"rows": rows})
    assert line.startswith(
        "own: POST /v1/answers, 503 model_timeout, 3 times: the request itself named timeout_seconds"
    )


def test_the_report_shows_what_came_back_by_each_door_over_the_sample_corpus_alone(tmp_path: Path) -> None:
    about = {"hardware": "2 cores", "commit": "abc", "date": "2026-11-25", "command": "python -m bench"}
    said = {"curl": {"outcome": "answered", "program": "curl -sN …", "output": "event: done\n" + "x" * 1000}}
    rows = [{"key": "own", "requests": 7, "statuses": "200: 7", "not as documented": 1}]
    kept = {"operations": 22, "examples": 3, "rows": rows, "faults": ["own: GET /metrics: 418"]}
    measured: dict[str, Any] = {
        "transcripts": about | {"parts": {"plant": {"settings": {}, "result": said}}},
        "conformance": about | {"parts": {"conformance": {"settings": {}, "result": kept}}},
    }
    text = page(measured, tmp_path / "serving.md")
    assert "curl -sN …\n```\n\n```\nevent: done\n" in text
    assert "x" * 301 not in text
    assert "| own | 7 | 200: 7 | 1 |" in text
    assert "- own: GET /metrics: 418" in text
    measured["transcripts"]["parts"] = {"of another corpus": {"settings": {}, "result": said}}
    assert "event: done" not in page(measured, tmp_path / "serving.md")
