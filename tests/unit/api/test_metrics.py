"""Metrics: what is counted, by bounded labels that tell nobody's domain or words; the dashboard shows what there is."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from api.measurements import ENGINE_COUNTS, ENGINE_GAUGES, REASONS, SECONDS, Measurements, Readings, reason_kind
from api.observing import Observer
from api.queue import FairQueue
from rag.settings import ServerSettings, Settings
from rag.types import DoneEvent, EngineStatistics, Event, Health, ModelCard, Question, StageTiming
from tests.fakes.pipeline import FakePipeline, answer

ROOT = Path(__file__).parents[3]
PLANT = {"question": "How often?", "domain": "plant"}

Client = TestClient[Litestar]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class WithEngine(FakePipeline):
    """A pipeline whose engine is this very process."""

    def statistics(self) -> EngineStatistics | None:
        return EngineStatistics(running=1, steps=7, batch_tokens=21, prefix_hits=3, restarts=2, process_id=os.getpid())


@pytest.fixture
def client() -> Iterator[Client]:
    with TestClient(create_app(Settings(), lambda _: WithEngine()), raise_server_exceptions=False) as client:
        while client.get("/health/ready").status_code != 200:
            pass
        yield client


def scrape(client: Client) -> Samples:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def ask(client: Client, question: str = "How often?", path: str = "/v1/answers") -> int:
    return client.post(path, json=PLANT | {"question": question}).status_code


def test_requests_are_counted_by_the_template_of_their_route(client: Client) -> None:
    ask(client)
    client.get("/no/such/path")
    client.get("/v1/answers")
    samples = scrape(client)
    assert value(samples, "understudy_requests_total", route="/v1/answers", method="POST", status="200") == 1
    assert value(samples, "understudy_requests_total", route="unmatched", method="GET", status="404") == 1
    assert value(samples, "understudy_request_seconds_count", route="/v1/answers", method="POST") == 1


def test_an_answer_is_timed_and_its_tokens_are_counted(client: Client) -> None:
    ask(client)
    ask(client, path="/v1/answers/stream")
    samples = scrape(client)
    for name in ("understudy_queue_seconds_count", "understudy_first_token_seconds_count"):
        assert value(samples, name) == 2
    assert value(samples, "understudy_answer_seconds_count", basis="none") == 2
    assert value(samples, "understudy_answer_tokens_total", direction="in") == 80
    assert value(samples, "understudy_answer_tokens_total", direction="out") == 6
    assert value(samples, "understudy_answer_tokens_per_second_sum", work="writing") == pytest.approx(200)
    assert value(samples, "understudy_citations_total") == 2
    assert value(samples, "understudy_citation_failures_total") == 0
    assert value(samples, "understudy_answers_open", state="running") == 0


class Unverified(FakePipeline):
    """Says of each answer that two of its citations did not stand in the stored text, as the pipeline's check does."""

    def stream(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Event]:
        for event in super().stream(question, cancelled=cancelled):
            if isinstance(event, DoneEvent):
                trace = event.answer.trace.model_copy(update={"citations_dropped": 2})
                yield DoneEvent(answer=event.answer.model_copy(update={"trace": trace}))
            else:
                yield event


def test_citations_that_fail_their_check_are_counted_and_not_as_given() -> None:
    with TestClient(create_app(Settings(), lambda _: Unverified())) as client:
        while client.get("/health/ready").status_code != 200:
            pass
        assert ask(client) == ask(client, path="/v1/answers/stream") == ask(client, "nothing") == 200
        samples = scrape(client)
    assert value(samples, "understudy_citation_failures_total") == 6
    assert value(samples, "understudy_citations_total") == 2


def test_the_speed_of_an_answer_that_is_read_is_measured_too() -> None:
    measurements = Measurements()
    given = answer("How often?", (), "")
    read = given.trace.model_copy(update={"timings": (StageTiming(stage="extract", milliseconds=50.0),)})
    measurements.answer_given(given.model_copy(update={"trace": read}), 0.1)
    text = measurements.scrape(Readings(Health(ready=True, checks={}), {})).decode()
    # 40 tokens of a prompt in 50 ms
    assert '\nunderstudy_answer_tokens_per_second_sum{work="reading"} 800.0\n' in text
    assert 'work="writing"' not in text


def test_answers_that_took_no_work_of_their_own_are_counted() -> None:
    settings = Settings(server=ServerSettings(kept_answers=1))
    with TestClient(create_app(settings, lambda _: WithEngine())) as client:
        while client.get("/health/ready").status_code != 200:
            pass
        for _ in range(3):
            ask(client)
        samples = scrape(client)
    assert value(samples, "understudy_answers_spared_total", how="replayed") == 2
    assert value(samples, "understudy_answers_spared_total", how="joined") == 0


def test_abstaining_failing_and_being_refused_are_told_apart(client: Client) -> None:
    ask(client, "nothing")
    ask(client, "late", "/v1/answers/stream")
    ask(client, "broken")
    assert ask(client, "early") == 503
    samples = scrape(client)
    assert value(samples, "understudy_abstained_total", reason="unsupported") == 1
    assert value(samples, "understudy_answers_failed_total", reason="engine_died") == 2
    assert value(samples, "understudy_answers_failed_total", reason="internal") == 1
    assert value(samples, "understudy_rejected_total", reason="engine_died") == 1


def test_a_caller_who_leaves_is_counted_once() -> None:
    async def run() -> bytes:
        observer = Observer(Measurements())
        queue = FairQueue(max_waiting=4)
        question = Question(text="slow", domain="plant")
        for _ in range(2):
            ticket = queue.submit(lambda cancelled: FakePipeline(pace=0.01).stream(question, cancelled=cancelled))
            observer.watch(question, ticket)
            async for _event in ticket.events():
                break
            assert observer.open_answers()["running"] == 1
            ticket.cancel()
            ticket.cancel()
            while observer.open_answers()["running"]:
                await asyncio.sleep(0.005)
        await queue.close()
        return observer.measurements.scrape(Readings(Health(ready=True, checks={}), observer.open_answers()))

    text = asyncio.run(run()).decode()
    assert "\nunderstudy_answers_cancelled_total 2.0\n" in text
    assert "understudy_queue_seconds_count 2.0" in text
    assert "understudy_answers_failed_total{" not in text


def test_the_engine_is_read_at_the_scrape(client: Client) -> None:
    samples = scrape(client)
    assert value(samples, "understudy_engine_steps_total") == 7
    assert value(samples, "understudy_engine_batch_tokens_total") == 21
    assert value(samples, "understudy_engine_prefix_hits_total") == 3
    assert value(samples, "understudy_engine_restarts_total") == 2
    assert value(samples, "understudy_engine_running") == 1
    for process in ("service", "engine"):
        assert value(samples, "understudy_resident_memory_bytes", process=process) > 1e7
    assert value(samples, "understudy_build_info", version="0.1.0", model="fake", weights_format="F32") == 1
    for gauge in ("understudy_ready", "understudy_model_ready", "understudy_index_ready"):
        assert value(samples, gauge) == 1


def test_a_scrape_answers_while_the_pipeline_is_stuck() -> None:
    stuck, asked = threading.Event(), []

    class Stuck(FakePipeline):
        @property
        def card(self) -> ModelCard:
            asked.append(1)
            assert stuck.wait(30)
            return super().card

    with TestClient(create_app(Settings(), lambda _: Stuck())) as client:
        while client.get("/health/ready").status_code != 200:
            pass
        for _ in range(2):
            assert value(scrape(client), "understudy_ready") == 0
        assert len(asked) == 1, "each scrape would hold a thread"
        assert client.get("/health/ready").status_code == 200
        stuck.set()


def test_what_callers_send_makes_no_new_label(client: Client) -> None:
    known = {key for key in scrape(client) if "route" not in dict(key[1])}
    for number in range(20):
        secret = f"secret{number}"
        client.post("/v1/answers", json={"question": secret, "domain": secret})
        client.get(f"/{secret}")
        client.request(f"X{secret.upper()}", "/v1/answers")
    samples = scrape(client)
    assert "secret" not in str(samples).casefold()
    grown = {key for key in samples if "route" not in dict(key[1])} - known
    assert {name for name, _ in grown} == {"understudy_answers_failed_total"}
    assert {dict(labels)["method"] for _, labels in samples if "method" in dict(labels)} <= {"GET", "POST", "other"}


def test_times_are_told_apart_from_10_milliseconds_to_30_seconds() -> None:
    assert (SECONDS[0], SECONDS[-1]) == (0.01, 30.0)
    assert all(before < after <= 1.5 * before + 1e-9 for before, after in pairwise(SECONDS))


def test_every_kind_of_reason_is_a_sentence_of_the_core() -> None:
    said = "".join((ROOT / "rag" / f"{name}.py").read_text("utf-8") for name in ("answering", "grounding", "pipeline"))
    for beginning, kind in REASONS.items():
        assert f'"{beginning}' in said
        assert reason_kind(f"{beginning} …; the question seems to be in French") == kind
    assert reason_kind("something new") == "other"


# --- the dashboard -----------------------------------------------------------------------------

DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text("utf-8"))
NAME = re.compile(r"\bunderstudy_\w+")


def shown() -> set[str]:
    return {
        name
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", [])
        for name in NAME.findall(target["expr"])
    }


def told(client: Client) -> set[str]:
    """Names of every series that there can be: declared families, with their suffixes."""
    text = client.get("/metrics").text
    names = set(NAME.findall("\n".join(line for line in text.splitlines() if not line.startswith("#"))))
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE):
        names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return names


def test_the_dashboard_shows_only_what_there_is(client: Client) -> None:
    assert shown() - told(client) == set()


def test_the_dashboard_shows_what_matters(client: Client) -> None:
    families = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in told(client)}
    seen = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in shown()}
    assert families - seen == set(), "not shown"


def test_every_panel_is_whole_and_asks_the_chosen_source() -> None:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
        assert panel["targets"]


def test_the_operator_s_document_names_every_metric(client: Client) -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    named = set(NAME.findall(text))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told(client)}
    families |= {f"{name}_total" for name in ENGINE_COUNTS} | set(ENGINE_GAUGES)
    assert families - named == set()
    assert {name for name in named if name not in families and name not in told(client)} == set()
