"""GET /health/live and /health/ready: whether the process runs, and whether it can answer."""

from __future__ import annotations

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from api import wire
from api.service import Service


class HealthController(Controller):
    """Health checks."""

    path = "/health"
    opt = {"scope": "none"}  # noqa: RUF012  # Litestar reads it once

    @get("/live")
    async def live(self) -> dict[str, bool]:
        """That the event loop turns; asks nothing of the models."""
        return {"live": True}

    @get("/ready")
    async def ready(self, service: NamedDependency[Service]) -> Response[bytes]:
        """Model, index and compatibility; 503 with what stands in the way until questions can be answered."""
        health = await service.health()
        status = 200 if health.ready else 503
        return Response(wire.to_json(health), status_code=status, media_type="application/json")
