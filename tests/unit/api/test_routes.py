"""Each route and each refusal, against the small pipeline: status, media type, code and header."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from api.app import create_app
from rag.errors import ModelUnavailable
from rag.settings import Settings
from rag.types import Answer, Condition, DomainInfo, Filter, Passage, Question, Turn
from tests.fakes.pipeline import QUOTE, TEXT, FakePipeline

ASK = {"question": "How often is the pump greased?", "domain": "plant"}
JSON = {"content-type": "application/json"}

Client = TestClient[Litestar]


def wait_until_built(client: Client) -> None:
    deadline = time.monotonic() + 5
    while "start" in client.get("/health/ready").json()["checks"] and time.monotonic() < deadline:
        time.sleep(0.005)


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def client(pipeline: FakePipeline) -> Iterator[Client]:
    with TestClient(create_app(Settings(), lambda _: pipeline)) as client:
        wait_until_built(client)
        yield client


def check_problem(response: Response, status: int, code: str) -> str:
    """The problem's detail, once everything else in it is right."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail", "code", "request_id", "errors"}
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:understudy:problem:{code}"
    assert problem["request_id"] == response.headers["x-request-id"]
    return str(problem["detail"])


# --- what works --------------------------------------------------------------------------------


def test_an_answer_comes_with_its_citation(client: Client) -> None:
    response = client.post("/v1/answers", json=ASK)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    answer = Answer.model_validate_json(response.content)
    (citation,) = answer.citations
    assert TEXT[citation.char_start : citation.char_end] == citation.quote == QUOTE


def test_every_field_of_a_request_reaches_the_pipeline(client: Client, pipeline: FakePipeline) -> None:
    turns = [{"question": "Which line?", "answer": "Line 4"}]
    chosen = {"filter": {"conditions": [{"field": "line", "equals": 4}]}}
    body = ASK | chosen | {"earlier": turns, "max_passages": 3, "options": ["daily", "weekly"], "timeout_seconds": 9}
    assert client.post("/v1/answers", json=body).status_code == 200
    assert client.post("/v1/passages", json=ASK | chosen | {"limit": 7}).status_code == 200
    asked = Question(
        text=ASK["question"],
        domain="plant",
        earlier=(Turn(question="Which line?", answer="Line 4"),),
        filter=Filter(conditions=(Condition(field="line", equals=4),)),
        max_passages=3,
        options=("daily", "weekly"),
    )
    searched = asked.model_copy(update={"earlier": (), "max_passages": 7, "options": ()})
    assert pipeline.asked == [asked, searched]


def test_a_stream_is_numbered_and_named_events(client: Client) -> None:
    response = client.post("/v1/answers/stream", json=ASK)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    blocks = [block.split("\n") for block in response.text.strip().split("\n\n")]
    names = ["retrieval", "token", "token", "token", "citation", "verdict", "done"]
    assert [block[0] for block in blocks] == [f"id: {number}" for number in range(1, 8)]
    assert [block[1] for block in blocks] == [f"event: {name}" for name in names]
    data = [json.loads(block[2].removeprefix("data: ")) for block in blocks]
    assert [item["type"] for item in data] == names
    assert data[-1]["answer"]["text"] == "Every 200 hours"


def test_passages_are_found_without_an_answer(client: Client, pipeline: FakePipeline) -> None:
    response = client.post("/v1/passages", json=ASK | {"limit": 3, "mode": "bm25"})
    assert [Passage.model_validate(item).document_id for item in response.json()] == ["pumps.md"]
    assert pipeline.started == []


def test_domains_are_listed(client: Client) -> None:
    response = client.get("/v1/domains")
    assert [DomainInfo.model_validate(item).name for item in response.json()] == ["plant"]


def test_a_built_service_is_ready(client: Client) -> None:
    assert client.get("/health/ready").json() == {
        "ready": True,
        "checks": {"model": "ok", "index": "ok", "compatible": "ok"},
    }


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/answers/stream", "/v1/passages"])
def test_an_unknown_domain_is_404_and_an_empty_question_400(client: Client, path: str) -> None:
    refused = client.post(path, json=ASK | {"domain": "nowhere"})
    assert "no domain 'nowhere'" in check_problem(refused, 404, "unknown_domain")
    refused = client.post(path, json=ASK | {"question": " "})
    assert check_problem(refused, 400, "invalid_question") == "the question is empty"


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/answers/stream"])
def test_an_engine_that_dies_before_the_first_event_is_503_with_a_wait(client: Client, path: str) -> None:
    refused = client.post(path, json=ASK | {"question": "early"})
    check_problem(refused, 503, "engine_died")
    assert refused.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/answers/stream"])
def test_an_unexpected_error_is_500_without_internals_and_logged_with_them(
    client: Client, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    refused = client.post(path, json=ASK | {"question": "broken"})
    detail = check_problem(refused, 500, "internal")
    assert "secret" not in refused.text
    assert refused.json()["request_id"] in detail
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "the secret internals" in str(record.exc_info[1])


def test_an_error_midway_is_the_last_event(client: Client) -> None:
    response = client.post("/v1/answers/stream", json=ASK | {"question": "late"})
    assert response.status_code == 200
    last = response.text.strip().split("\n\n")[-1].split("\n")
    assert last[:2] == ["id: 2", "event: error"]
    problem = json.loads(last[2].removeprefix("data: "))
    assert (problem["status"], problem["code"]) == (503, "engine_died")
    assert problem["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["question", "domain"]),
        ({"question": 3, "domain": "plant"}, ["question"]),
        (ASK | {"colour": "red"}, ["colour"]),
        (ASK | {"max_passages": 0}, ["max_passages"]),
        (ASK | {"earlier": [{"question": "only"}]}, ["earlier.0.answer"]),
        ([], ["body"]),
        (None, ["body"]),
    ],
)
def test_a_body_that_does_not_fit_names_its_fields(client: Client, body: object, fields: list[str]) -> None:
    refused = client.post("/v1/answers", content=json.dumps(body), headers=JSON)
    detail = check_problem(refused, 400, "invalid_request")
    assert [item["field"] for item in refused.json()["errors"]] == fields
    assert all(field in detail for field in fields)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nul",
        b'{"question":"\xff","domain":"plant"}',
        b'{"question":"\\ud800","domain":"plant"}',
        b"[" * 9999,
    ],
    ids=["empty", "cut", "no literal", "broken UTF-8", "half a pair", "deep"],
)
def test_a_body_that_is_no_json_is_400(client: Client, content: bytes) -> None:
    refused = client.post("/v1/answers", content=content, headers=JSON)
    assert "JSON" in check_problem(refused, 400, "invalid_request")


def test_a_body_that_is_too_large_is_413(client: Client) -> None:
    largest = Settings().server.max_body_bytes
    refused = client.post("/v1/answers", content=b" " * (largest + 1), headers=JSON)
    assert "MAX_BODY_BYTES" in check_problem(refused, 413, "body_too_large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_declared_as_json_is_415(client: Client, kind: str) -> None:
    refused = client.post("/v1/answers", content=json.dumps(ASK), headers={"content-type": kind})
    check_problem(refused, 415, "unsupported_media_type")


def test_a_declared_charset_does_no_harm(client: Client) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    assert client.post("/v1/answers", content=json.dumps(ASK), headers=headers).status_code == 200


def test_a_path_that_is_not_there_is_404_and_a_wrong_method_405_with_allow(client: Client) -> None:
    check_problem(client.get("/v2/answers"), 404, "not_found")
    refused = client.get("/v1/answers")
    check_problem(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "OPTIONS, POST"


def test_a_pipeline_that_cannot_be_built_keeps_the_service_live_and_says_why() -> None:
    def build(_: Settings) -> FakePipeline:
        raise ModelUnavailable("the weights are not there: run `understudy models pull`")

    with TestClient(create_app(Settings(), build)) as client:
        deadline = time.monotonic() + 5
        while client.post("/v1/answers", json=ASK).status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.005)
        assert "models pull" in check_problem(client.post("/v1/answers", json=ASK), 500, "model_unavailable")
        assert client.get("/health/live").json() == {"live": True}
        ready = client.get("/health/ready")
        assert ready.status_code == 503
        assert "models pull" in ready.json()["checks"]["start"]


def test_a_stopped_service_has_closed_its_pipeline(pipeline: FakePipeline) -> None:
    with TestClient(create_app(Settings(), lambda _: pipeline)) as client:
        wait_until_built(client)
        assert not pipeline.closed.is_set()
    assert pipeline.closed.is_set()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs/some-id", "DELETE, GET, OPTIONS"),
        ("PATCH", "/v1/domains/plant/documents/halls/a.md", "DELETE, OPTIONS"),
        ("GET", "/v1/domains/plant", "DELETE, OPTIONS"),
        ("PATCH", "/v1/domains/plant/documents/", "DELETE, GET, OPTIONS"),
    ],
)
def test_a_method_that_a_path_with_parameters_does_not_take_is_told_with_those_it_takes(
    client: Client, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    check_problem(response, 405, "method_not_allowed")
    assert set(allowed.split(", ")) <= set(response.headers["allow"].split(", "))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        *((path, "invalid_question") for path in ("", "/", "/%2F")),
        *((f"?where={sent}", "invalid_question") for sent in ("", "kind", "%3Dx", "a=1&where=a=2")),
        ("?" + "&where=a=1" * 21, "invalid_request"),
    ],
)
def test_documents_are_removed_by_an_id_or_by_conditions_and_never_by_nothing(
    client: Client, asked: str, code: str
) -> None:
    check_problem(client.delete(f"/v1/domains/plant/documents{asked}"), 400, code)
