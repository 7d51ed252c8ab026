"""POST /v1/feedback: what a caller says of an answer, kept for a later evaluation of the domain."""

from __future__ import annotations

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.feedback_store import Feedback, FeedbackStore
from api.openai_replies import completion_id
from api.service import Answering, Service
from rag.catalog import Catalog
from rag.errors import UnknownDomain


class FeedbackController(Controller):
    """Feedback on answers."""

    path = "/v1/feedback"
    opt = {"scope": "read"}  # noqa: RUF012  # Litestar reads it once

    @post("/", status_code=204)
    async def keep(
        self, data: JSONBody[Feedback], service: NamedDependency[Service], feedback: NamedDependency[FeedbackFolder]
    ) -> None:
        """Store it."""
        await service.look_up(lambda pipeline: feedback.keep(pipeline, data), domain=data.domain)


class FeedbackFolder:
    """The feedback on every domain of a data directory."""

    def __init__(self, catalog: Catalog, *, most: int) -> None:
        """`most`: rows kept for a domain."""
        self._catalog = catalog
        self._most = most

    def of(self, domain: str) -> FeedbackStore:
        """The feedback on one domain."""
        return FeedbackStore(self._catalog.feedback_path(domain), most=self._most)

    def keep(self, pipeline: Answering, feedback: Feedback) -> None:
        """Store feedback on a domain that the pipeline has. Raises UnknownDomain, StorageFull, CorpusError."""
        there = self._catalog.feedback_path(feedback.domain).parent.is_dir()  # it may go while this is read
        if not there or not pipeline.domains(among=[feedback.domain]):
            raise UnknownDomain.named(feedback.domain)
        # A client of OpenAI's protocol knows the completion's id, which is made of the request's.
        identity = feedback.request_id.removeprefix(completion_id(""))
        self.of(feedback.domain).keep(feedback.model_copy(update={"request_id": identity or feedback.request_id}))
