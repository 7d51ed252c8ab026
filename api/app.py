"""The application: controllers, the one error handler, and the service's life. Knows no route of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import HTTPException

from api.answers import AnswersController
from api.docs import DocumentationController
from api.domains import DomainsController
from api.health import HealthController
from api.ingestion import IngestionController, JobsController
from api.logs import logged
from api.passages import PassagesController
from api.problems import respond
from api.requests import require_json
from api.service import Answering, Service
from rag.build import build_pipeline
from rag.errors import RagError
from rag.settings import Settings, UploadsSettings


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

    async def service() -> Service:
        found: Service = app.state.service
        return found

    async def upload_limits() -> UploadsSettings:
        return settings.uploads

    app = Litestar(
        [
            AnswersController,
            PassagesController,
            DomainsController,
            IngestionController,
            JobsController,
            HealthController,
            DocumentationController,
        ],
        lifespan=[life],
        dependencies={"service": Provide(service), "upload_limits": Provide(upload_limits)},
        exception_handlers={HTTPException: respond, Exception: respond},
        before_request=require_json,
        request_max_body_size=settings.server.max_body_bytes,
        openapi_config=None,
        logging_config=None,
    )
    # From outside, so that what no route takes has an id and a log line too.
    app.asgi_handler = logged(app.asgi_handler)
    return app
