"""POST /v1/passages: what retrieval finds for a question, without asking the model."""

from __future__ import annotations

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api import wire
from api.requests import PassagesRequest
from api.service import Service


class PassagesController(Controller):
    """Retrieved passages."""

    path = "/v1/passages"
    opt = {"scope": "read"}  # noqa: RUF012  # Litestar reads it once

    @post("/", status_code=200)
    async def passages(self, data: JSONBody[PassagesRequest], service: NamedDependency[Service]) -> Response[bytes]:
        """Passages, best first."""
        question = data.as_question()
        found = await service.look_up(lambda pipeline: pipeline.passages(question, mode=data.mode))
        return Response(wire.list_to_json(found), media_type="application/json")
