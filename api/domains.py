"""GET /v1/domains: what is stored, and whether it can be asked now."""

from __future__ import annotations

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from api import wire
from api.service import Service


class DomainsController(Controller):
    """Stored domains."""

    path = "/v1/domains"
    opt = {"scope": "read"}  # noqa: RUF012  # Litestar reads it once

    @get("/")
    async def domains(self, service: NamedDependency[Service]) -> Response[bytes]:
        """Every stored domain, by name."""
        found = await service.look_up(lambda pipeline: pipeline.domains())
        return Response(wire.list_to_json(found), media_type="application/json")
