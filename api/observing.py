"""What becomes of every request and every answer: measured, logged, traced. Knows no route and no pipeline.

An answer is watched where its events arrive, so that each door's answers are counted alike. Its line in the log never
holds the question's or the answer's text unless the settings ask for them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Protocol

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.logs import current_request, method_of
from api.measurements import Measurements, reason_kind
from api.queue import Results
from rag.errors import Cancelled, RagError
from rag.types import Answer, CitationEvent, DoneEvent, Event, Question, TokenEvent, VerdictEvent

UNMATCHED = "unmatched"
"""The route of a request that no route takes: its path is the caller's own word."""

log = logging.getLogger("understudy.api")


class Tracing(Protocol):
    """Where spans go; `api.tracing` is imported only where they go anywhere."""

    def here(self) -> object:
        """Where the current request's span is."""
        ...

    def answered(self, answer: Answer, where: object, waited_seconds: float) -> None:
        """An answer of the request at `where` is whole."""
        ...


class Observer:
    """Sees the requests and answers of one application; everything is called on the event loop."""

    def __init__(self, measurements: Measurements, tracing: Tracing | None = None, *, texts: bool = False) -> None:
        """texts: whether questions and answers may be logged"""
        self.measurements = measurements
        self._tracing, self._texts = tracing, texts
        self._open: set[WatchedAnswer] = set()
        self._requests: set[object] = set()
        self._changed = asyncio.Event()

    # --- answers ---

    def watch(self, question: Question, ticket: Results[Event]) -> None:
        """Follow an answer from now to its end."""
        watched = WatchedAnswer(question, ticket, self)
        self._open.add(watched)
        ticket.observe = watched.arrived

    def open_answers(self) -> dict[str, int]:
        """How many answers are worked on and how many wait, now."""
        waiting = sum(watched.waits for watched in self._open)
        return {"running": len(self._open) - waiting, "waiting": waiting}

    async def finished(self, seconds: float, error: RagError) -> int:
        """Return once no answer is open, nor a request that is now: a batch asks one question after the other.

        Answers that are open after `seconds` end with `error`. How many these were.
        """
        deadline = time.monotonic() + seconds
        begun = set(self._requests)
        while (self._open or begun & self._requests) and (left := deadline - time.monotonic()) > 0:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                break
        late = list(self._open)
        for watched in late:
            watched.ticket.cancel(error)
        return len(late)

    def ended(self, watched: WatchedAnswer, answer: Answer | None, error: Exception | None) -> None:
        """An answer is whole, or will never be."""
        self._open.discard(watched)
        self._changed.set()
        seconds = time.monotonic() - watched.begun
        code = ""
        if answer is not None:
            self.measurements.answer_given(answer, seconds)
            if self._tracing is not None:
                self._tracing.answered(answer, watched.span_context, watched.ticket.waited_seconds or 0.0)
        elif isinstance(error, Cancelled):
            code = error.code
            self.measurements.answer_cancelled()
        elif error is not None:
            code = error.code if isinstance(error, RagError) else "internal"
            self.measurements.answer_failed(code)
        log.info("answer", extra={"fields": self._fields(watched, answer, code, seconds)})

    def span_context(self) -> object:
        """Where a request's span is now, for the spans of its answers; None without tracing."""
        return None if self._tracing is None else self._tracing.here()

    def _fields(self, watched: WatchedAnswer, answer: Answer | None, code: str, seconds: float) -> dict[str, Any]:
        fields: dict[str, Any] = {"request_id": watched.request_id, "milliseconds": _milliseconds(seconds)}
        if watched.caller:
            fields["caller"] = watched.caller
        if watched.ticket.waited_seconds is not None:
            fields["queue_milliseconds"] = _milliseconds(watched.ticket.waited_seconds)
        if watched.first_seconds is not None:
            fields["first_token_milliseconds"] = _milliseconds(watched.first_seconds)
        if code:
            fields["problem"] = code
        if answer is not None:
            trace = answer.trace
            fields |= {
                "basis": answer.basis,
                "abstained": answer.abstained,
                "citations": len(answer.citations),
                "prompt_tokens": trace.prompt_tokens,
                "completion_tokens": trace.completion_tokens,
                "stages": {timing.stage: timing.milliseconds for timing in trace.timings},
                "generation": trace.generation,
                "model": trace.model_fingerprint[:12],
            }
            if answer.abstained:
                fields["reason"] = reason_kind(answer.reason)
        if self._texts:
            fields["question"] = watched.question.text
            fields |= {} if answer is None else {"answer": answer.text}
        return fields

    # --- requests ---

    def measured(self, app: ASGIApp) -> ASGIApp:
        """`app`, each request counted and timed under its route's template."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            started = time.perf_counter()
            status = 0
            request = object()
            self._requests.add(request)

            async def note(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, note)
            finally:
                self._requests.discard(request)
                self._changed.set()
                self.measurements.request_ended(
                    route=route_of(scope),
                    method=method_of(scope),
                    status=status,
                    seconds=time.perf_counter() - started,
                    problem=scope.get("state", {}).get("problem", ""),
                )

        return call


class WatchedAnswer:
    """One answer, from its asking to its end."""

    def __init__(self, question: Question, ticket: Results[Event], observer: Observer) -> None:
        self.question, self.ticket = question, ticket
        self.begun = ticket.submitted
        self.first_seconds: float | None = None
        request = current_request()
        self.request_id = str(request.get("request_id", ""))
        self.caller = str(request.get("caller", ""))
        self.span_context = observer.span_context()
        self._observer = observer
        self._started = self._ended = False

    @property
    def waits(self) -> bool:
        """Whether its work has not begun."""
        return self.ticket.waited_seconds is None

    def arrived(self, result: Event | Exception | None) -> None:
        """An event, what was raised, or None for the end."""
        if self._ended:
            return
        measurements = self._observer.measurements
        if not self._started and self.ticket.waited_seconds is not None:
            self._started = True
            measurements.answer_started(self.ticket.waited_seconds)
        if self.first_seconds is None and isinstance(result, TokenEvent | CitationEvent | VerdictEvent):
            self.first_seconds = time.monotonic() - self.begun
            measurements.answer_spoke(self.first_seconds)
        if isinstance(result, DoneEvent):
            self._end(result.answer, None)
        elif result is None or isinstance(result, Exception):
            self._end(None, result)

    def _end(self, answer: Answer | None, error: Exception | None) -> None:
        self._ended = True
        self._observer.ended(self, answer, error)


def route_of(scope: Scope) -> str:
    """The template of the route that took a request, or `unmatched`."""
    return str(scope.get("path_template") or UNMATCHED)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
