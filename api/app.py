"""The application: controllers, the one error handler, and the service's life. Knows no route of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from litestar import Litestar, Request
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException

from api.access import CallerService
from api.answers import AnswersController
from api.audit import AuditLog, audited, note
from api.auth import Gate, provide_caller, tell_limits
from api.batch import BatchController
from api.caller import Caller
from api.docs import DocumentationController
from api.domains import DomainsController
from api.feedback import FeedbackController, FeedbackFolder
from api.health import HealthController
from api.ingestion import ChangingDocumentsController, DomainController, JobsController
from api.keys import Keys
from api.limits import RateLimits
from api.logs import logged
from api.measurements import Measurements
from api.metrics import MetricsController, Scraper
from api.observing import Observer
from api.openai_chat import ChatController
from api.openai_models import EmbeddingsController, ModelsController
from api.page import PageController
from api.passages import PassagesController
from api.problems import respond
from api.report import LatestReport, ReportController
from api.requests import require_json
from api.service import Answering, Service
from rag.build import build_pipeline, open_catalog
from rag.errors import InvalidSettings, RagError
from rag.settings import Settings, UploadsSettings

if TYPE_CHECKING:
    from api.tracing import OpenTelemetry


def create_app(
    settings: Settings,
    build: Callable[[Settings], Answering] = build_pipeline,
    *,
    on_built: Callable[[RagError | None], None] = lambda _: None,
    remote: bool = False,
) -> Litestar:
    """The ASGI application; the pipeline is built in a thread once it starts, and closed when it stops.

    on_built: called on the event loop with None once questions can be answered, or with what went wrong.
    remote: other machines reach the address it listens on, so that nothing is open without a key.
    """
    limits = RateLimits(settings.limits)
    gate = Gate(Keys(settings.data.directory), limits, remote=remote)

    tracing = None
    if settings.tracing.endpoint:
        tracing = _open_tracing(settings.tracing.endpoint)
    watching = Observer(Measurements(), tracing, texts=settings.log.texts)

    @asynccontextmanager
    async def life(app: Litestar) -> AsyncIterator[None]:
        service = Service(settings, build, watch=watching.watch)
        app.state.service, app.state.observer = service, watching
        service.start(on_built)
        try:
            yield
        finally:
            await service.stop()
            if tracing is not None:
                await asyncio.to_thread(tracing.close)

    scraping = Scraper(watching, lambda: app.state.service)

    async def scraper() -> Scraper:
        return scraping

    async def service(caller: NamedDependency[Caller], request: Request[Any, Any, Any]) -> Service:
        return CallerService(app.state.service, caller, lambda domain: note(request.scope, unbound=domain))

    async def request_limits() -> RateLimits:
        return limits

    async def upload_limits() -> UploadsSettings:
        return settings.uploads

    async def feedback() -> FeedbackFolder:
        return FeedbackFolder(open_catalog(settings), most=settings.server.max_feedback)

    async def report() -> LatestReport:
        return LatestReport(settings.server.report)

    app = Litestar(
        [
            AnswersController,
            PassagesController,
            DomainsController,
            ChangingDocumentsController,
            DomainController,
            JobsController,
            HealthController,
            MetricsController,
            DocumentationController,
            PageController,
            ReportController,
            BatchController,
            FeedbackController,
            ChatController,
            ModelsController,
            EmbeddingsController,
        ],
        lifespan=[life],
        dependencies={
            "service": Provide(service),
            "caller": Provide(provide_caller),
            "scraper": Provide(scraper),
            "limits": Provide(request_limits),
            "upload_limits": Provide(upload_limits),
            "feedback": Provide(feedback),
            "report": Provide(report),
        },
        guards=[gate],
        stores={"limits": limits.store},
        exception_handlers={HTTPException: respond, Exception: respond},
        before_request=require_json,
        before_send=[tell_limits],
        request_max_body_size=settings.server.max_body_bytes,
        openapi_config=None,
        logging_config=None,
    )
    # From outside, so that what no route takes is logged, audited and counted too.
    app.asgi_handler = logged(watching.measured(audited(app.asgi_handler, AuditLog(settings.data.directory))))
    if tracing is not None:
        app.asgi_handler = tracing.traced(app.asgi_handler)
    return app


def _open_tracing(endpoint: str) -> OpenTelemetry:
    try:
        from api.tracing import open_tracing
    except ImportError as error:
        raise InvalidSettings(
            f"UNDERSTUDY_TRACING__ENDPOINT needs packages that are not here ({error.name}): install understudy[tracing]"
        ) from error
    return open_tracing(endpoint)
