"""The OpenAPI document: complete against the routes, sound in its references, and true in its examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from api import examples
from api.app import create_app
from api.batch import BatchRequest, BatchResult
from api.docs import page
from api.documents import DocumentPage, StoredDocument
from api.feedback_store import Feedback
from api.jobs import Job
from api.openai_problems import OpenAIError
from api.openai_replies import ChatCompletion, EmbeddingList, Model, ModelList
from api.openai_requests import ChatRequest, EmbeddingsRequest
from api.problems import Problem
from api.requests import AnswerRequest, PassagesRequest
from api.schema import document
from rag.settings import Settings
from rag.types import Answer, DomainInfo, Health, Passage, Value
from tests.fakes.pipeline import FakePipeline

TYPES: dict[str, type[Value]] = {
    "Answer": Answer,
    "AnswerRequest": AnswerRequest,
    "BatchRequest": BatchRequest,
    "BatchResult": BatchResult,
    "ChatCompletion": ChatCompletion,
    "ChatRequest": ChatRequest,
    "DocumentPage": DocumentPage,
    "DomainInfo": DomainInfo,
    "EmbeddingList": EmbeddingList,
    "EmbeddingsRequest": EmbeddingsRequest,
    "Feedback": Feedback,
    "Health": Health,
    "Job": Job,
    "Model": Model,
    "ModelList": ModelList,
    "OpenAIError": OpenAIError,
    "Passage": Passage,
    "PassagesRequest": PassagesRequest,
    "Problem": Problem,
    "StoredDocument": StoredDocument,
}

OPENAPI = document()


def operations() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", said)
        for path, methods in OPENAPI["paths"].items()
        for method, said in methods.items()
    ]


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def contents(said: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from said.get("requestBody", {}).get("content", {}).items()
    for response in said["responses"].values():
        yield from response.get("content", {}).items()


def test_every_route_is_documented_and_no_other() -> None:
    app = create_app(Settings(), lambda _: FakePipeline())
    routes = {
        f"{method} {route.path_format}"
        for route in app.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith(("/schema", "/page/")) and route.path != "/"
        for method in route.methods
        if method != "OPTIONS"
    }
    assert routes == {name for name, _ in operations()}


def test_it_is_an_openapi_document_with_unique_names() -> None:
    assert OPENAPI["openapi"].startswith("3.1.")
    assert {"title", "version"} <= set(OPENAPI["info"])
    names = [said["operationId"] for _, said in operations()]
    assert len(names) == len(set(names)) == 23


def test_every_reference_leads_somewhere() -> None:
    known = {f"#/components/schemas/{name}" for name in OPENAPI["components"]["schemas"]}
    found = set(references(OPENAPI))
    assert len(found) > 10
    assert found <= known


@pytest.mark.parametrize(("name", "said"), operations(), ids=[name for name, _ in operations()])
def test_every_content_has_an_example_of_its_type(name: str, said: dict[str, Any]) -> None:
    assert said["summary"]
    assert said["description"]
    assert ("requestBody" in said) == name.startswith("POST")
    for kind, media in contents(said):
        if kind in ("text/event-stream", "application/x-ndjson") or "$ref" not in (
            item := media["schema"].get("items", media["schema"])
        ):
            assert media["example"]
            continue
        model = TYPES[item["$ref"].rpartition("/")[2]]
        for example in media["example"] if "items" in media["schema"] else [media["example"]]:
            model.model_validate(example)


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/answers/stream", "/v1/passages"])
def test_every_refusal_of_a_question_is_documented_as_a_problem(path: str) -> None:
    responses = OPENAPI["paths"][path]["post"]["responses"]
    for status in ("400", "404", "413", "415", "500", "503"):
        assert list(responses[status]["content"]) == ["application/problem+json"]
        assert responses[status]["content"]["application/problem+json"]["example"]["status"] == int(status)
    assert "Retry-After" in responses["503"]["headers"]


@pytest.mark.parametrize(("name", "said"), operations(), ids=[name for name, _ in operations()])
def test_what_is_refused_before_any_route_is_reached_is_documented_everywhere(name: str, said: dict[str, Any]) -> None:
    for status in ("400", "408", "503"):
        assert "application/problem+json" in said["responses"][status]["content"], name
    if name == "GET /health/ready":
        assert "application/json" in said["responses"]["503"]["content"]


def test_the_example_cites_the_exact_words() -> None:
    citation = examples.CITATION
    assert examples.TEXT[citation.char_start : citation.char_end] == citation.quote


def test_the_example_of_a_stream_is_the_decided_order() -> None:
    text = OPENAPI["paths"]["/v1/answers/stream"]["post"]["responses"]["200"]["content"]["text/event-stream"]["example"]
    assert re.findall(r"^event: (\w+)$", text, re.MULTILINE) == [
        "retrieval",
        "token",
        "token",
        "citation",
        "verdict",
        "done",
    ]


def test_the_page_and_the_document_are_served_and_load_nothing() -> None:
    with TestClient(create_app(Settings(), lambda _: FakePipeline())) as client:
        assert client.get("/schema/openapi.json").json() == json.loads(json.dumps(OPENAPI))
        response = client.get("/schema")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert re.findall(r"(?:https?:)?//\w[^\s\"'<]*", response.text) == []
    assert re.findall(r"<(?:script|link|img|iframe)\b|url\(|@import", response.text) == []
    assert set(re.findall(r"href=([^>\s]+)", response.text)) >= {"/schema/openapi.json", "#Answer"}
    for name, _ in operations():
        assert f"<code>{name.split()[1]}</code>" in response.text


def test_the_page_escapes_what_it_shows() -> None:
    spoilt = OPENAPI | {"info": OPENAPI["info"] | {"title": "<script>alert(1)</script>"}}
    assert "<script>" not in page(spoilt)
