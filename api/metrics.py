"""GET /metrics: what is measured, for Prometheus."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from prometheus_client import CONTENT_TYPE_LATEST

from api.measurements import Readings
from api.observing import Observer
from api.service import Service
from rag.types import EngineStatistics, Health, ModelCard

READING_SECONDS = 1.0
"""Longest wait of a scrape for the pipeline: an engine that is being started again answers no sooner than it is up."""


class MetricsController(Controller):
    """Metrics."""

    path = "/metrics"
    # Counts of every domain's answers stand in one sum: a key that is bound to some of them may not watch the others.
    opt = {"scope": "admin", "all_domains": True}  # noqa: RUF012  # Litestar reads it from the class

    @get("/")
    async def metrics(self, scraper: NamedDependency[Scraper]) -> Response[bytes]:
        """Every metric, in Prometheus's text format."""
        return Response(await scraper.scrape(), media_type=CONTENT_TYPE_LATEST)


class Scraper:
    """Reads the whole service for its observer's metrics; no caller's view, since no metric names a domain."""

    def __init__(self, observer: Observer, service: Callable[[], Service]) -> None:
        self._observer, self._service = observer, service
        self._reading: asyncio.Task[_Read] | None = None

    async def scrape(self) -> bytes:
        """Every metric; where the pipeline does not answer in time, it counts as not ready."""
        service = self._service()
        # One reading at a time: scrapes that find a pipeline stuck must not fill the threads that serve others.
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(_read(service))
        await asyncio.wait({self._reading}, timeout=READING_SECONDS)
        nothing = (Health(ready=False, checks={}), None, None)
        health, card, engine = self._reading.result() if self._reading.done() else nothing
        answers = self._observer.open_answers()
        jobs = Counter(str(job.state) for job in service.jobs())
        return self._observer.measurements.scrape(
            Readings(health=health, answers=answers, engine=engine, card=card, spared=service.spared(), jobs=jobs)
        )


_Read = tuple[Health, ModelCard | None, EngineStatistics | None]


async def _read(service: Service) -> _Read:
    # The engine answers between two of its calls, which the event loop must not wait for.
    return await service.health(), await service.card(), await asyncio.to_thread(service.statistics)
