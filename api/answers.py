"""POST /v1/answers and /v1/answers/stream: a question in, the checked answer out, whole or as it is made."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar.types import ASGIApp

from api import streams, wire
from api.queue import Results
from api.requests import AnswerRequest
from api.service import Service
from rag.types import Answer, DoneEvent, Event


class AnswersController(Controller):
    """Answers, in order of arrival."""

    path = "/v1/answers"
    opt = {"scope": "read"}  # noqa: RUF012  # Litestar reads it once

    @post("/", status_code=200)
    async def answer(
        self, data: JSONBody[AnswerRequest], service: NamedDependency[Service], request: Request[Any, Any, Any]
    ) -> Response[bytes]:
        """The final, checked answer."""
        ticket = service.ask(data.as_question(), seconds=data.timeout_seconds)
        answer = await streams.unless_gone(final_answer(ticket), request.receive, ticket.cancel)
        return Response(wire.to_json(answer), media_type="application/json")

    @post("/stream", status_code=200)
    async def stream(
        self, data: JSONBody[AnswerRequest], service: NamedDependency[Service], request: Request[Any, Any, Any]
    ) -> ASGIApp:
        """The same answer as it is made, as server-sent events."""
        return await streams.begin(service.ask(data.as_question(), seconds=data.timeout_seconds), request.receive)


async def final_answer(ticket: Results[Event]) -> Answer:
    """The checked answer that a ticket ends with. Raises what its work raised."""
    async for event in ticket.events():
        if isinstance(event, DoneEvent):
            return event.answer
    raise AssertionError("a stream ends with DoneEvent or raises")
