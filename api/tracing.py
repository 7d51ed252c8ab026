"""OpenTelemetry, where the settings name an endpoint: a span a request, and one below it for each stage of its answer.

Imported only then, so that nobody else needs its packages. W3C's `traceparent` is honoured. No attribute and no event
holds a text: of an error only its problem's code is told.
"""

from __future__ import annotations

import importlib.metadata
import time

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from api.logs import method_of, request_id
from api.observing import route_of
from rag.types import Answer

EXPORT_SECONDS = 5.0
"""Longest wait for the collector; at the server's end what it did not take by then is lost."""


class OpenTelemetry:
    """The spans of one application; see api.observing.Tracing."""

    def __init__(self, processor: SpanProcessor) -> None:
        """The processor is closed with it."""
        resource = Resource.create(
            {"service.name": "understudy", "service.version": importlib.metadata.version("understudy")}
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("understudy")
        self._propagator = TraceContextTextMapPropagator()

    def traced(self, app: ASGIApp) -> ASGIApp:
        """`app` with a span for each request, named by its route's template."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            method = method_of(scope)
            # An exception's message may hold a caller's words: what it was is told by the problem's code below.
            with self._tracer.start_as_current_span(
                method,
                context=self._propagator.extract(headers),
                kind=SpanKind.SERVER,
                record_exception=False,
                set_status_on_exception=False,
            ) as span:

                async def note(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        span.set_attribute("http.response.status_code", message["status"])
                        if message["status"] >= 500:
                            span.set_status(Status(StatusCode.ERROR))
                    await send(message)

                try:
                    await app(scope, receive, note)
                finally:
                    route = route_of(scope)
                    span.update_name(f"{method} {route}")
                    span.set_attributes(
                        {
                            "http.request.method": method,
                            "http.route": route,
                            "understudy.request_id": request_id(scope),
                        }
                    )
                    if problem := scope.get("state", {}).get("problem"):
                        span.set_attribute("understudy.problem", problem)

        return call

    def here(self) -> Context:
        """Where the current request's span is."""
        return context.get_current()

    def answered(self, answer: Answer, where: object, waited_seconds: float) -> None:
        """A span below the request's for the wait and for each stage; what came of it, on the request's own."""
        assert isinstance(where, Context)  # noqa: S101  # it comes from `here`
        stages = [("queue", waited_seconds * 1000), *((t.stage, t.milliseconds) for t in answer.trace.timings)]
        at = time.time_ns() - int(sum(milliseconds for _, milliseconds in stages) * 1e6)
        for stage, milliseconds in stages:
            span = self._tracer.start_span(stage, context=where, start_time=at)
            at += int(milliseconds * 1e6)
            span.end(at)
        trace.get_current_span(where).set_attributes(
            {
                "understudy.basis": answer.basis,
                "understudy.abstained": answer.abstained,
                "understudy.citations": len(answer.citations),
                "understudy.prompt_tokens": answer.trace.prompt_tokens,
                "understudy.completion_tokens": answer.trace.completion_tokens,
                "understudy.model": answer.trace.model_fingerprint[:12],
                "understudy.generation": answer.trace.generation,
            }
        )

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def open_tracing(endpoint: str) -> OpenTelemetry:
    """Spans that are sent to a collector by OTLP over HTTP."""
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
    return OpenTelemetry(BatchSpanProcessor(exporter, export_timeout_millis=EXPORT_SECONDS * 1000))
