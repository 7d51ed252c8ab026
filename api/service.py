"""What the controllers ask of: the pipeline while it is built, served and closed. Knows no route.

The pipeline blocks, so the event loop only ever waits: answers go through the queue, everything else through
a small executor.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol, TypeVar

from api.flights import Flights
from api.ingesting import Ingesting, Receiving
from api.jobs import Job
from api.queue import FairQueue, Results
from rag.documents import DocumentSummary
from rag.errors import BackendError, CorpusError, RagError, UnknownDocument, UnknownDomain
from rag.protocols import Embedder, Vectors
from rag.settings import Settings
from rag.types import (
    Document,
    DomainInfo,
    EngineStatistics,
    Event,
    Health,
    ModelCard,
    Passage,
    Question,
    RetrievalMode,
)

T = TypeVar("T")

WORKERS_A_CORE = 1
"""Answers in work for each core: on two cores four clients get 1.3 answers a second from two workers and from one, 1.0
from four, whose embedder and engine keep each other waiting (docs/experiments.md)."""

LOOKUPS = 2
"""Threads that search and list: embedding has one owner, so that more would only wait inside it."""

LOOKUP_SECONDS, EMBEDDING_SECONDS = 0.1, 0.3
"""Until one was finished: upper estimates of a search over 10,000 passages, and of 32 texts at the embedder."""

HEALTH_SECONDS = 1.0
"""Longest wait for the pipeline's word on itself: whoever asks wants to know now that an engine is being started."""

NO_WORD = (
    "no word within a second: the engine is being started or is too busy to say, or a server does not answer; "
    "ask again in a moment"
)

log = logging.getLogger("understudy.api")


class Answering(Protocol):
    """What this door asks of the pipeline, as `rag.pipeline.Pipeline` gives it: blocking and thread-safe."""

    def stream(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Event]:
        """The events of an answer."""
        ...

    def passages(self, question: Question, *, mode: RetrievalMode | None = None) -> list[Passage]:
        """What retrieval finds, best first."""
        ...

    @property
    def embedder(self) -> Embedder:
        """What turns texts into vectors; the pipeline's to close."""
        ...

    @property
    def embedder_name(self) -> str:
        """What turns texts into vectors."""
        ...

    def embed(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """(n, d) float32 unit rows, in the order of the texts, and the tokens that were read."""
        ...

    def domains(self, *, among: Collection[str] | None = None) -> list[DomainInfo]:
        """Every stored domain, or those among some names."""
        ...

    def health(self) -> Health:
        """Whether questions can be answered now."""
        ...

    def documents(self, domain: str, *, after: str = "", limit: int) -> list[DocumentSummary]:
        """At most `limit` stored documents whose id comes after `after`, by id."""
        ...

    def document(self, domain: str, document_id: str) -> Document | None:
        """A stored document with its whole text, or None."""
        ...

    def statistics(self) -> EngineStatistics | None:
        """What the engine does and has done, or None."""
        ...

    def state(self, domain: str) -> str:
        """What answers about a domain rest on beside their questions. Raises UnknownDomain."""
        ...

    @property
    def card(self) -> ModelCard:
        """The model that answers. Raises ModelUnavailable."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...


class Starting(BackendError):
    """The models are still being loaded."""

    code = "starting"


class Stopping(BackendError):
    """The server was told to stop."""

    code = "stopping"


class StartFailed(CorpusError):
    """The models could not be loaded, for a reason that nobody foresaw."""

    code = "start_failed"


class Service:
    """The pipeline of one server process; every method is called on the event loop."""

    def __init__(
        self,
        settings: Settings,
        build: Callable[[Settings], Answering],
        *,
        watch: Callable[[Question, Results[Event]], None] = lambda _question, _ticket: None,
    ) -> None:
        """`build` is called in a thread of its own at `start`; `watch` gets each answer's results before any comes."""
        self._watch = watch
        self._settings = settings
        self._build = build
        bounded = partial(
            FairQueue, max_waiting=settings.server.max_waiting, max_waiting_each=settings.server.max_waiting_each
        )
        self._queue = bounded(workers=settings.server.workers or WORKERS_A_CORE * len(os.sched_getaffinity(0)))
        self._searches = bounded(workers=LOOKUPS, kind="searches", guess=LOOKUP_SECONDS)
        self._embeddings = bounded(workers=1, kind="texts to embed", guess=EMBEDDING_SECONDS)
        self._flights = Flights(kept=settings.server.kept_answers, wait=self._queue.expected_wait)
        self._ingesting = Ingesting(settings, self._embedder)
        self._stopping = self._ended = False
        self._pipeline: Answering | None = None
        self._failure: RagError | None = None
        self._started: asyncio.Task[None] | None = None
        self._health: asyncio.Task[Health] | None = None

    def start(self, on_built: Callable[[RagError | None], None]) -> None:
        """Begin to build; `on_built` is called on the event loop with None, or with what went wrong."""
        self._started = asyncio.create_task(self._start(on_built))

    @property
    def stopping(self) -> bool:
        """Whether nothing new is taken; what was taken before goes on."""
        return self._stopping

    def refuse(self, *, admitted: bool = False) -> None:
        """Take nothing new from now on; admitted: no further part either of what was taken before."""
        self._stopping = True
        self._ended = admitted

    async def stop(self) -> None:
        """Answer who waits, then close the pipeline."""
        await self._queue.close()
        if self._started is not None:
            await self._started
        await asyncio.to_thread(self._ingesting.close)
        await self._searches.close()
        await self._embeddings.close()
        if self._pipeline is not None:
            await asyncio.to_thread(self._pipeline.close)

    def ask(
        self, question: Question, *, caller: str = "", seconds: float | None = None, admitted: bool = False
    ) -> Results[Event]:
        """The events of an answer, made for everybody who asks the same just now.

        caller: whose turn it takes; seconds: longest wait for its end, never more than the setting; admitted: whether
        it is of a request that came before the server was told to stop. Raises Starting, Stopping, ModelBusy,
        TooManyRequests, and what kept the pipeline from being built.
        """
        pipeline = self._ready(admitted=admitted)
        most = self._settings.server.timeout_seconds
        longest = most if seconds is None else min(seconds, most)

        def stream(cancelled: Callable[[], bool]) -> Iterator[Event]:
            return pipeline.stream(question, cancelled=cancelled)

        return self._flights.ask(
            question,
            lambda: self._queue.submit(stream, caller=caller, seconds=longest),
            seconds=longest,
            watch=lambda results: self._watch(question, results),
            state=lambda: pipeline.state(question.domain),
        )

    async def look_up(
        self,
        work: Callable[[Answering], T],
        *,
        domain: str | None = None,  # noqa: ARG002  # for the caller's view of this, in api/access.py
        embeds: bool = False,
        caller: str = "",
        admitted: bool = False,
    ) -> T:
        """What `work` returns or raises. Raises as `ask` does.

        domain: the one that it is about, where it is about one; embeds: whether it turns a caller's texts into vectors,
        which waits for others of its kind and keeps no search waiting; caller, admitted: as of `ask`
        """
        pipeline = self._ready(admitted=admitted)
        return await (self._embeddings if embeds else self._searches).run(lambda: work(pipeline), caller=caller)

    # --- changing what is stored ---

    @asynccontextmanager
    async def receiving(self, domain: str, length: int, *, admitted: bool = False) -> AsyncIterator[Receiving]:
        """A place for the files of an upload of `length` bytes (0: unknown), removed again unless it is submitted.

        Raises InvalidQuestion (no domain name), UploadTooLarge, ModelBusy, StorageFull, CorpusError, and as `ask` does.
        """
        self._ready(admitted=admitted)
        async with self._ingesting.receiving(domain, length) as receiving:
            yield receiving

    async def remove_document(self, domain: str, document_id: str) -> Job:
        """The job that removes a document. Raises UnknownDomain, UnknownDocument, ModelBusy, StorageFull."""
        if await self.look_up(lambda pipeline: pipeline.document(domain, document_id), domain=domain) is None:
            raise UnknownDocument(f"domain {domain!r} stores no document of that id; its documents can be listed")
        return await asyncio.to_thread(self._ingesting.remove, domain, (document_id,))

    async def remove_documents(self, domain: str, where: Sequence[str]) -> Job:
        """The job that removes the documents whose metadata have all of these FIELD=VALUE.

        Raises InvalidQuestion, UnknownDomain, ModelBusy, StorageFull.
        """
        from ingest.removal import conditions

        asked = conditions(where)
        await self._require(domain)
        return await asyncio.to_thread(self._ingesting.remove, domain, where=asked)

    async def remove_domain(self, domain: str) -> Job:
        """The job that removes a domain with everything in it. Raises UnknownDomain, ModelBusy, StorageFull."""
        await self._require(domain)
        return await asyncio.to_thread(self._ingesting.remove_domain, domain)

    def job(self, job_id: str) -> Job:
        """A job as it is now. Raises UnknownJob."""
        return self._ingesting.queue.get(job_id)

    def jobs(self) -> list[Job]:
        """Every job that is not forgotten, newest first."""
        return self._ingesting.queue.all()

    async def cancel_job(self, job_id: str) -> Job:
        """Ask for a job to stop; what has ended stays as it is. Raises UnknownJob."""
        return await asyncio.to_thread(self._ingesting.queue.cancel, job_id)

    async def health(self) -> Health:
        """Whether questions can be answered now; told at once, whatever the pipeline waits for."""
        try:
            pipeline = self._ready()
        except RagError as error:
            return Health(ready=False, checks={"stop" if self._stopping else "start": str(error)})
        # One reading for all who ask: it waits for an engine that is started again, and starts one that died.
        reading = self._health
        if reading is None or reading.done():
            reading = self._health = asyncio.create_task(asyncio.to_thread(pipeline.health))
        await asyncio.wait({reading}, timeout=HEALTH_SECONDS)
        return reading.result() if reading.done() else Health(ready=False, checks={"model": NO_WORD})

    def spared(self) -> dict[str, int]:
        """Answers that took no work of their own: heard along with another caller's, or kept from before."""
        return {"joined": self._flights.joined, "replayed": self._flights.replayed}

    def statistics(self) -> EngineStatistics | None:
        """What the engine does and has done; None before there is one, and where it is not ours to see."""
        return None if self._pipeline is None else self._pipeline.statistics()

    async def card(self) -> ModelCard | None:
        """The model that answers; None until it is known."""
        try:
            pipeline = self._ready()
            return await asyncio.to_thread(lambda: pipeline.card)
        except RagError:
            return None

    async def _require(self, domain: str) -> None:
        """Raise UnknownDomain where nothing is stored under this name."""
        if not await self.look_up(lambda pipeline: pipeline.domains(among={domain}), domain=domain):
            raise UnknownDomain.named(domain)

    def _ready(self, *, admitted: bool = False) -> Answering:
        if self._ended or (self._stopping and not admitted):
            raise Stopping("stopping: the server was told to end; ask again in a moment")
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._pipeline is None:
            raise Starting("the models are still being loaded; /health/ready tells when questions are taken")
        return self._pipeline

    def _embedder(self) -> Embedder:
        """The pipeline's, for jobs, which begin once there is one and go on while the service refuses new work."""
        if self._pipeline is None:
            raise Starting("the models are still being loaded")
        return self._pipeline.embedder

    async def _start(self, on_built: Callable[[RagError | None], None]) -> None:
        try:
            self._pipeline = await asyncio.to_thread(self._build, self._settings)
            await asyncio.to_thread(self._ingesting.start)
        except RagError as error:
            self._failure = error
        except Exception as error:
            log.exception("the pipeline could not be built", extra={"fields": {"error": str(error)}})
            self._failure = StartFailed("the models could not be loaded; the server's log says why")
        on_built(self._failure)
