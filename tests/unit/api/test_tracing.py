"""Tracing: a span a request, one below it a stage, under the caller's trace, without a text; not imported when off."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from api import app as application
from api.tracing import OpenTelemetry
from rag.settings import Settings, TracingSettings
from tests.fakes.pipeline import FakePipeline

ROOT = Path(__file__).parents[3]
MARK = "quetzalcoatlus"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def client(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient[Litestar]]:
    """An application whose spans stay here: the endpoint's exporter is the one part that is replaced."""
    monkeypatch.setattr(application, "_open_tracing", lambda _: OpenTelemetry(SimpleSpanProcessor(exporter)))
    settings = Settings(tracing=TracingSettings(endpoint="http://127.0.0.1:4318/v1/traces"))
    created = application.create_app(settings, lambda _: FakePipeline())
    with TestClient(created, raise_server_exceptions=False) as client:
        while client.get("/health/ready").status_code != 200:
            pass
        exporter.clear()
        yield client


def ask(client: TestClient[Litestar], question: str, path: str = "/v1/answers") -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    client.post(path, json={"question": question, "domain": "plant"}, headers=headers)


def named(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [span for span in exporter.get_finished_spans() if span.name == name]
    return found


@pytest.mark.parametrize("path", ["/v1/answers", "/v1/answers/stream"])
def test_an_answer_is_a_request_with_its_stages_below_it(
    client: TestClient[Litestar], exporter: InMemorySpanExporter, path: str
) -> None:
    ask(client, "How often?", path)
    request = named(exporter, f"POST {path}")
    assert request.context is not None
    assert f"{request.context.trace_id:032x}" == TRACE
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT
    attributes = dict(request.attributes or {})
    assert attributes["http.response.status_code"] == 200
    assert (attributes["understudy.basis"], attributes["understudy.abstained"]) == ("none", False)
    assert attributes["understudy.completion_tokens"] == 3
    stages = [named(exporter, stage) for stage in ("queue", "search", "generate")]
    assert [stage.parent.span_id for stage in stages if stage.parent] == [request.context.span_id] * 3
    lengths = [(stage.end_time or 0) - (stage.start_time or 0) for stage in stages]
    assert lengths[1:] == [500_000, 30_000_000]
    assert [stage.end_time for stage in stages[:2]] == [stage.start_time for stage in stages[1:]]


def test_a_request_without_a_trace_begins_one(client: TestClient[Litestar], exporter: InMemorySpanExporter) -> None:
    client.get("/health/live")
    assert named(exporter, "GET /health/live").parent is None


def test_no_span_holds_a_text(client: TestClient[Litestar], exporter: InMemorySpanExporter) -> None:
    for question in (MARK, f"nothing {MARK}", f"early {MARK}", f"late {MARK}", f"broken {MARK}"):
        for path in ("/v1/answers", "/v1/answers/stream", "/v1/passages"):
            ask(client, question, path)
    client.get(f"/{MARK}?{MARK}={MARK}", headers={MARK: MARK})
    client.request(MARK.upper(), "/v1/answers")
    client.post("/v1/answers", content=MARK)
    spans = exporter.get_finished_spans()
    told = " ".join(span.to_json() for span in spans)
    assert len(spans) > 15
    assert MARK not in told.casefold()
    assert "200 hours" not in told
    problems = [dict(span.attributes or {}).get("understudy.problem") for span in spans]
    assert {"engine_died", "internal", "not_found"} <= set(problems)
    assert [event for span in spans for event in span.events] == []


def test_without_an_endpoint_nothing_of_it_is_imported() -> None:
    code = (
        "import sys\nfrom litestar.testing import TestClient\nfrom api.app import create_app\n"
        "from rag.settings import Settings\nfrom tests.fakes.pipeline import FakePipeline\n"
        "with TestClient(create_app(Settings(), lambda _: FakePipeline())) as client:\n"
        "    client.get('/metrics')\n"
        "parts = ('api.tracing', *(f'opentelemetry.{part}' for part in ('sdk', 'trace', 'exporter')))\n"
        "print([name for name in sys.modules if name.startswith(parts)])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_spans_are_sent_to_the_endpoint_by_otlp() -> None:
    received: list[tuple[str, str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["Content-Type"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever).start()
        endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
        settings = Settings(tracing=TracingSettings(endpoint=endpoint))
        with TestClient(application.create_app(settings, lambda _: FakePipeline())) as client:
            assert client.get("/health/live").status_code == 200
        collector.shutdown()
    ((path, kind, body),) = received
    assert (path, kind) == ("/v1/traces", "application/x-protobuf")
    assert b"GET /health/live" in body


def test_a_collector_that_is_not_there_keeps_nobody() -> None:
    settings = Settings(tracing=TracingSettings(endpoint="http://127.0.0.1:9/v1/traces"))
    begin = time.monotonic()
    with TestClient(application.create_app(settings, lambda _: FakePipeline())) as client:
        assert client.get("/health/live").status_code == 200
    assert time.monotonic() - begin < 10
