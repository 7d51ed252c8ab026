"""The service as one caller sees it: a domain that the caller may not know of is as if it were not stored.

Whether a caller may is decided by the key alone, before anything is looked up, so that a foreign domain and a missing
one take the same way to the same words. A method that is not written here is not there. Knows no route and no key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from api.caller import Caller
from api.ingesting import Receiving
from api.jobs import Job
from api.queue import Results
from api.service import Answering, Service, StartFailed
from rag.documents import DocumentSummary
from rag.errors import CorpusError, UnknownDomain, UnknownJob
from rag.protocols import Embedder, Vectors
from rag.types import Document, DomainInfo, EngineStatistics, Event, Health, ModelCard, Passage, Question, RetrievalMode

T = TypeVar("T")

NOT_STARTED = "the models could not be loaded; the server's log says why"

UNTOLD = "not ok; what it is stands in the server's log, and in this answer for a key over all domains"


def require(caller: Caller, refused: Callable[[str], None], domain: str) -> None:
    """Raise UnknownDomain where the caller may not know of the domain, whether it is stored or not, and tell of it."""
    try:
        caller.require(domain)
    except UnknownDomain:
        refused(domain)
        raise


class CallerService(Service):
    """The service bound to a caller; everything else of it is left out on purpose."""

    def __init__(  # the whole one is built already
        self, whole: Service, caller: Caller, refused: Callable[[str], None] = lambda _: None
    ) -> None:
        """One for each request: what comes before the server is told to stop is admitted, every part of it.

        refused: told of each domain that the caller named and may not know of
        """
        self._whole = whole
        self._caller = caller
        self._refused = refused
        self._check = partial(require, caller, refused)
        self._admitted = not whole.stopping

    def ask(
        self,
        question: Question,
        *,
        caller: str = "",
        seconds: float | None = None,
        admitted: bool = False,
    ) -> Results[Event]:
        """The events of an answer, in this caller's turn. Raises UnknownDomain, and what the whole service raises."""
        self._check(question.domain)
        try:
            return self._whole.ask(
                question,
                caller=caller or self._caller.turn,
                seconds=seconds,
                admitted=admitted or self._admitted,
            )
        except CorpusError as error:
            raise self._untold(error) from error

    async def look_up(
        self,
        work: Callable[[Answering], T],
        *,
        domain: str | None = None,
        embeds: bool = False,
        caller: str = "",
        admitted: bool = False,
    ) -> T:
        """What `work` returns of the pipeline as the caller sees it. `domain`: refused before it waits for its turn."""
        if domain is not None:
            self._check(domain)
        begun = False

        def seen(pipeline: Answering) -> T:
            nonlocal begun
            begun = True
            return work(CallerPipeline(pipeline, self._caller, self._refused))

        try:
            return await self._whole.look_up(
                seen,
                embeds=embeds,
                caller=caller or self._caller.turn,
                admitted=admitted or self._admitted,
            )
        except CorpusError as error:
            raise error if begun else self._untold(error) from error

    @asynccontextmanager
    async def receiving(self, domain: str, length: int, *, admitted: bool = False) -> AsyncIterator[Receiving]:
        """A place for an upload into a domain of the caller's, which it may make. Raises UnknownDomain."""
        self._check(domain)
        async with self._whole.receiving(domain, length, admitted=admitted or self._admitted) as receiving:
            yield receiving

    async def remove_document(self, domain: str, document_id: str) -> Job:
        """The job that removes a document. Raises UnknownDomain."""
        self._check(domain)
        return await self._whole.remove_document(domain, document_id)

    async def remove_documents(self, domain: str, where: Sequence[str]) -> Job:
        """The job that removes documents by their metadata. Raises UnknownDomain."""
        self._check(domain)
        return await self._whole.remove_documents(domain, where)

    async def remove_domain(self, domain: str) -> Job:
        """The job that removes a domain. Raises UnknownDomain."""
        self._check(domain)
        return await self._whole.remove_domain(domain)

    def job(self, job_id: str) -> Job:
        """A job of a domain of the caller's. Raises UnknownJob."""
        found = self._whole.job(job_id)
        if not self._caller.may(found.domain):
            raise UnknownJob
        return found

    def jobs(self) -> list[Job]:
        """The jobs of the caller's domains."""
        return [job for job in self._whole.jobs() if self._caller.may(job.domain)]

    async def cancel_job(self, job_id: str) -> Job:
        """Ask for a job of a domain of the caller's to stop. Raises UnknownJob."""
        return await self._whole.cancel_job(self.job(job_id).id)

    async def health(self) -> Health:
        """The state of each check, and the words for it only for whoever may know of every domain."""
        return seen_by(self._caller, await self._whole.health())

    def _untold(self, failure: CorpusError) -> CorpusError:
        """What kept the whole from starting: its words may be about any domain (an adapter, a setting)."""
        return failure if self._caller.domains is None else StartFailed(NOT_STARTED)


def seen_by(caller: Caller, health: Health) -> Health:
    """Whether it is ready, which everybody may know; what stands in the way names domains, which only some may."""
    if caller.domains is None:
        return health
    checks = {name: state if state == "ok" else UNTOLD for name, state in health.checks.items()}
    return Health(ready=health.ready, checks=checks)


class CallerPipeline:
    """The pipeline bound to a caller, as `api.service.Answering` has it."""

    def __init__(self, whole: Answering, caller: Caller, refused: Callable[[str], None] = lambda _: None) -> None:
        self._whole = whole
        self._caller = caller
        self._check = partial(require, caller, refused)

    def stream(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Event]:
        """The events of an answer. Raises UnknownDomain before there is one."""
        self._check(question.domain)
        return self._whole.stream(question, cancelled=cancelled)

    def passages(self, question: Question, *, mode: RetrievalMode | None = None) -> list[Passage]:
        """What retrieval finds. Raises UnknownDomain."""
        self._check(question.domain)
        return self._whole.passages(question, mode=mode)

    @property
    def embedder_name(self) -> str:
        """The whole's: it belongs to no domain."""
        return self._whole.embedder_name

    def embed(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """As the whole does: it looks at no domain."""
        return self._whole.embed(texts)

    def domains(self, *, among: Collection[str] | None = None) -> list[DomainInfo]:
        """The domains that the caller may know of; no other is so much as opened."""
        mine = self._caller.domains
        wanted = among if mine is None else mine if among is None else mine.intersection(among)
        return self._whole.domains(among=wanted)

    def documents(self, domain: str, *, after: str = "", limit: int) -> list[DocumentSummary]:
        """Some of a domain's documents. Raises UnknownDomain."""
        self._check(domain)
        return self._whole.documents(domain, after=after, limit=limit)

    def document(self, domain: str, document_id: str) -> Document | None:
        """One of a domain's documents. Raises UnknownDomain."""
        self._check(domain)
        return self._whole.document(domain, document_id)

    @property
    def embedder(self) -> Embedder:
        """What turns texts into vectors, which is the same for everybody."""
        return self._whole.embedder

    def health(self) -> Health:
        """As the service's."""
        return seen_by(self._caller, self._whole.health())

    def state(self, domain: str) -> str:
        """What answers about a domain rest on. Raises UnknownDomain."""
        self._check(domain)
        return self._whole.state(domain)

    @property
    def card(self) -> ModelCard:
        """The model that answers, which is the same for everybody."""
        return self._whole.card

    def statistics(self) -> EngineStatistics | None:
        """What the engine does for everybody, for whoever may know of every domain."""
        return self._whole.statistics() if self._caller.domains is None else None

    def close(self) -> None:
        """Not a caller's to do."""
        raise PermissionError("a caller closes no pipeline")
