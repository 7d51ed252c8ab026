"""POST /v1/chat/completions: the checked answer for OpenAI's clients, whole or as server-sent chunks.

A stream sends checked text only: the model's tokens are provisional, and this protocol cannot take a word back.
"""

from __future__ import annotations

import time
from typing import Any

from litestar import Controller, Request, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import JSONBody
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from api import streams, wire
from api.answers import final_answer
from api.logs import request_id
from api.openai_problems import respond_as_openai
from api.openai_replies import Chunks, completion
from api.openai_requests import ChatRequest
from api.service import Service


class ChatController(Controller):
    """Chat completions."""

    path = "/v1/chat/completions"
    opt = {"scope": "read"}  # noqa: RUF012  # Litestar reads it once
    exception_handlers = {HTTPException: respond_as_openai, Exception: respond_as_openai}  # noqa: RUF012  # as above

    @post("/", status_code=200)
    async def complete(
        self, data: JSONBody[ChatRequest], service: NamedDependency[Service], request: Request[Any, Any, Any]
    ) -> ASGIApp:
        """The answer to the last message."""
        question = data.as_question()
        identity, created = request_id(request.scope), int(time.time())
        ticket = service.ask(question)
        if data.stream:
            chunks = Chunks(
                identity=identity, created=created, model=question.domain, include_usage=data.includes_usage
            )
            return await streams.begin(ticket, request.receive, wording=chunks)
        answer = await streams.unless_gone(final_answer(ticket), request.receive, ticket.cancel)
        said = completion(answer, identity=identity, created=created, model=question.domain)
        return ASGIResponse(body=wire.to_json(said), media_type="application/json")
