"""POST /v1/answers/batch: many questions in one request, answered in turn with everybody else's.

A few of them wait in the queue at a time, so that a batch takes its caller's share and nobody else's place. A
question that fails has its problem in its place; who hangs up has the rest left unasked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import Controller, Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Receive, Scope, Send
from pydantic import Field

from api import streams, wire
from api.answers import final_answer
from api.auth import count_more
from api.limits import RateLimits
from api.logs import request_id
from api.problems import Problem, describe
from api.queue import Results
from api.requests import AnswerRequest
from api.service import Service
from rag.errors import Cancelled, ModelBusy, TooManyRequests
from rag.types import Answer, Event, Value

MOST = 100
"""Questions of one batch: about a minute and a half of two cores."""

AT_ONCE = 2
"""Questions of a batch that wait or are answered: one, and another that follows it without a gap."""

PATIENCE = 60
"""Tries of a question while the queue is full, `LONGEST_WAIT` seconds apart at most, before it gets its problem."""

LONGEST_WAIT = 5.0


class BatchRequest(Value):
    """Questions that are to be answered."""

    questions: tuple[AnswerRequest, ...] = Field(min_length=1, max_length=MOST)
    stream: bool = Field(False, description="true: one JSON object a line for each question as it is finished")


class BatchItem(Value):
    """What became of one question: an answer or a problem."""

    index: int = Field(ge=0, description="place of the question in the request, from 0")
    answer: Answer | None = None
    problem: Problem | None = None


class BatchResult(Value):
    """What became of every question, in the order of the request."""

    items: tuple[BatchItem, ...]


class BatchController(Controller):
    """Batches of questions."""

    path = "/v1/answers/batch"
    opt = {"scope": "read"}  # noqa: RUF012  # Litestar reads it once

    @post("/", status_code=200)
    async def answer_all(
        self,
        data: JSONBody[BatchRequest],
        service: NamedDependency[Service],
        limits: NamedDependency[RateLimits],
        request: Request[Any, Any, Any],
    ) -> ASGIApp:
        """Every answer, together or each as it is finished."""
        await count_more(request.scope, limits, len(data.questions) - 1)
        batch = Batch(data.questions, service, identity=request_id(request.scope))
        # The first question is asked before anything is said: a server that takes none says so by its status.
        batch.begin()
        if data.stream:
            return _lines(batch, request.receive)
        result = await streams.unless_gone(batch.result(), request.receive, batch.cancel)
        return ASGIResponse(body=wire.to_json(result), media_type="application/json")


class Batch:
    """The questions of one request on their way through the queue; everything happens on the event loop."""

    def __init__(self, questions: tuple[AnswerRequest, ...], service: Service, *, identity: str) -> None:
        self._questions = questions
        self._service = service
        self._identity = identity
        self._first: Results[Event] | None = None
        self._asked: set[Results[Event]] = set()
        self._gone = asyncio.Event()

    def begin(self) -> None:
        """Ask the first question. Raises what keeps the service from taking any."""
        first = self._questions[0]
        self._first = self._service.ask(first.as_question(), seconds=first.timeout_seconds)
        self._asked.add(self._first)

    def cancel(self) -> None:
        """Nobody waits for the answers any more."""
        self._gone.set()
        for ticket in self._asked:
            ticket.cancel()

    async def result(self) -> BatchResult:
        """Every item, in the order of the request."""
        items = [item async for item in self.items()]
        return BatchResult(items=tuple(sorted(items, key=lambda item: item.index)))

    async def items(self) -> AsyncIterator[BatchItem]:
        """Each item as it is finished."""
        turns = asyncio.Semaphore(AT_ONCE)
        tasks = [asyncio.create_task(self._item(index, turns)) for index in range(len(self._questions))]
        try:
            for finished in asyncio.as_completed(tasks):
                yield await finished
        finally:
            self.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _item(self, index: int, turns: asyncio.Semaphore) -> BatchItem:
        async with turns:
            try:
                ticket = self._first if index == 0 and self._first else await self._ask(index)
                try:
                    return BatchItem(index=index, answer=await final_answer(ticket))
                finally:
                    self._asked.discard(ticket)
            except Exception as error:  # noqa: BLE001  # the other questions are answered nevertheless
                return BatchItem(index=index, problem=describe(error, identity=self._identity))

    async def _ask(self, index: int) -> Results[Event]:
        """A place in the queue, waited for while it is full. Raises Cancelled, and what the service raises."""
        question = self._questions[index]
        for tries_left in reversed(range(PATIENCE)):
            if self._gone.is_set():
                break
            try:
                ticket = self._service.ask(question.as_question(), seconds=question.timeout_seconds)
            except (ModelBusy, TooManyRequests) as error:
                if not tries_left:
                    raise
                await asyncio.sleep(min(error.retry_after, LONGEST_WAIT))
            else:
                self._asked.add(ticket)
                return ticket
        raise Cancelled("the caller went away")


def _lines(batch: Batch, receive: Receive) -> ASGIApp:
    """The response that sends each item as a line of JSON."""
    watch = asyncio.create_task(streams.gone(receive))
    watch.add_done_callback(lambda _: batch.cancel())

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # `watch` receives
        headers = [(b"content-type", b"application/x-ndjson"), *streams.UNBUFFERED]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for item in batch.items():
                await send({"type": "http.response.body", "body": wire.to_line(item) + b"\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            batch.cancel()
            watch.cancel()

    return respond
