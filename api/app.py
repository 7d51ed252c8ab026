"""The application: controllers, the one error handler, and the service's life. Knows no route of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException

from api.answers import AnswersController
from api.docs import DocumentationController
from api.documents import DocumentsController
from api.domains import DomainsController
from api.health import HealthController
from api.logs import logged
from api.page import PageController
from api.passages import PassagesController
from api.problems import respond
from api.report import LatestReport, ReportController
from api.requests import require_json
from api.service import Answering, Service
from rag.build import build_pipeline
from rag.errors import RagError
from rag.settings import Settings


def create_app(
    settings: Settings,
    build: Callable[[Settings], Answering] = build_pipeline,
    *,
    on_built: Callable[[RagError | None], None] = lambda _: None,
) -> Litestar:
    """The ASGI application; the pipeline is built in a thread once it starts, and closed when it stops.

    on_built: called on the event loop with None once questions can be answered, or with what went wrong.
    """

    @asynccontextmanager
    async def life(app: Litestar) -> AsyncIterator[None]:
        service = Service(settings, build)
        app.state.service = service
        service.start(on_built)
        try:
            yield
        finally:
            await service.stop()

    async def report() -> LatestReport:
        return LatestReport(settings.server.report)

    async def service() -> Service:
        found: Service = app.state.service
        return found

    app = Litestar(
        [
            AnswersController,
            PassagesController,
            DomainsController,
            DocumentsController,
            HealthController,
            DocumentationController,
            PageController,
            ReportController,
        ],
        lifespan=[life],
        dependencies={"service": Provide(service), "report": Provide(report)},
        exception_handlers={HTTPException: respond, Exception: respond},
        before_request=require_json,
        request_max_body_size=settings.server.max_body_bytes,
        openapi_config=None,
        logging_config=None,
    )
    # From outside, so that what no route takes has an id and a log line too.
    app.asgi_handler = logged(app.asgi_handler)
    return app
