"""One path from a question to a checked answer: `answer` consumes `stream`. Knows no HTTP and no class of an adapter.

Streamed tokens are provisional; the closing event carries the checked answer, which replaces them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from rag import calibration, filters, page_boxes
from rag.answering import Answerer, Brief, Limits, Outcome, unread
from rag.catalog import Catalog, Generation
from rag.documents import DocumentSummary
from rag.errors import InvalidQuestion, RagError, UnknownDomain
from rag.followup import standalone
from rag.fusion import leading
from rag.language import detect, said_of
from rag.open_domains import OpenDomain, OpenDomains
from rag.prompt import fingerprint
from rag.protocols import Embedder, Index, LanguageModel, Reranker, Vectors
from rag.searching import Searcher
from rag.stages import StageClock
from rag.turns import IsCancelled, Turns, check
from rag.types import (
    Answer,
    Citation,
    CitationEvent,
    Document,
    DomainInfo,
    DoneEvent,
    EngineStatistics,
    Event,
    Health,
    ModelCard,
    Passage,
    Question,
    RetrievalEvent,
    RetrievalMode,
    TokenEvent,
    Trace,
    VerdictEvent,
)
from rag.vector_memory import RememberingEmbedder

ABSTAINED = "The documents do not answer this question."
"""The text of an answer that abstains; the closest passages stand beside it."""

UNSURE = "what the passages say is too unsure an answer"

UNVERIFIED = "its words do not stand in the stored text"
"""A document that was ingested anew while its passages were read."""


class Pipeline:
    """Answers questions over the domains of one data directory. Thread-safe; blocking."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        embedder: Embedder,
        model: LanguageModel,
        open_index: Callable[[Generation], Index],
        limits: Limits,
        reranker: Reranker | None = None,
        remembered_texts: int = 0,
        turns: int = 1,
    ) -> None:
        """The pipeline owns embedder and model: `close` closes them.

        remembered_texts: sentences and questions whose vectors are kept for the next time
        turns: answers whose passages are read and weighed at the same time
        """
        self._catalog = catalog
        self._embedder = embedder
        self._model = model
        self._limits = limits
        self._reading = RememberingEmbedder(embedder, most=remembered_texts)
        self._answerer = Answerer(self._reading, model, limits)
        self._searcher = Searcher(self._reading, limits, reranker)
        self._domains = OpenDomains(catalog, embedder, open_index)
        self._turns = Turns(turns)
        """To read passages and to weigh what they say: both take every core, and two at once only hold each other up
        (2.1 answers a second in place of 2.4 on two cores). Never held while a caller is told something."""

    @property
    def model(self) -> LanguageModel:
        """The language model, for a caller that asks it without retrieval; it stays the pipeline's to close."""
        return self._model

    @property
    def card(self) -> ModelCard:
        """What answers. Waits for loading; raises ModelUnavailable."""
        return self._model.card

    @property
    def embedder(self) -> Embedder:
        """The embedder, for a caller that needs its fingerprint; it stays the pipeline's to close."""
        return self._embedder

    @property
    def embedder_name(self) -> str:
        """The embedder's name, for people."""
        return self._embedder.name

    def embed(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """(n, d) float32 unit rows, in the order of the texts, and the tokens that were read."""
        return self._embedder.embed(texts), sum(self._embedder.count_tokens(texts))

    # --- answering ---

    def answer(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Answer:
        """The checked answer. Raises what `stream` raises."""
        for event in self.stream(question, cancelled=cancelled):
            if isinstance(event, DoneEvent):
                return event.answer
        raise AssertionError("a stream ends with DoneEvent or raises")

    def stream(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Event]:
        """Events in the order retrieval, token …, citation …, verdict, done.

        Raises QuestionError before the first event; CorpusError and BackendError at any point.
        """
        clock = StageClock()
        domain, searched = self._opened(question)
        budget = self._answerer.budget(searched, question.options)
        clock.lap("prepare")
        check(cancelled)
        found = self._searcher.search(domain, searched, question, clock)
        computed = self._searcher.compute(domain, searched, question, clock)
        if computed is not None:
            found = leading(computed.passages, found)
        yield RetrievalEvent(standalone_question=searched, passages=tuple(found))
        outcome: Outcome | None = None
        if computed is not None:
            brief = unread(searched, question.domain, found, domain.text_of)
            outcome = Outcome(computed.verdict, "computed", draft=computed.verdict.text)
        else:
            with self._turns.taken(cancelled):
                clock.lap("wait")
                brief = self._brief(question, domain, searched, found, budget=budget, clock=clock, cancelled=cancelled)
                check(cancelled)
                outcome = self._answerer.read(brief, question.options, clock, cancelled)
        if outcome is None:
            draft, last = "", None
            for piece in self._answerer.write(brief, cancelled):
                draft += piece.text
                last = piece
                if piece.text:
                    yield TokenEvent(text=piece.text)
            clock.lap("generate")
            outcome = replace(
                self._answerer.judge(draft, brief),
                prompt_tokens=(last and last.prompt_tokens) or 0,
                completion_tokens=(last and last.completion_tokens) or 0,
            )
        elif outcome.draft and not question.options:
            yield TokenEvent(text=outcome.draft)
        confidence, least, warning = self._confidence(domain, outcome)
        enough = confidence is None or confidence >= least
        proposed = outcome.verdict.citations if enough else ()
        citations = tuple(self._verified(domain, proposed))
        text = outcome.verdict.text if citations else ""
        language = detect(question.text)
        why = (outcome.verdict.reason or UNVERIFIED) if enough else UNSURE
        reason = "" if text else said_of(why, language)
        clock.lap("check")
        for citation in citations:
            yield CitationEvent(citation=citation)
        yield VerdictEvent(abstained=not text, reason=reason)
        card = self._model.card
        trace = Trace(
            standalone_question=searched,
            rewritten=searched != question.text,
            passages_used=len(brief.used),
            prompt_sha256=fingerprint(brief.messages),
            prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens,
            timings=clock.timings(),
            model=card.name,
            model_fingerprint=card.fingerprint,
            embedder_fingerprint=self._embedder.fingerprint,
            generation=domain.generation.manifest.generation,
            draft=outcome.draft,
            signals={name: round(value, 6) for name, value in outcome.signals.items()},
            citations_dropped=len(proposed) - len(citations),
        )
        yield DoneEvent(
            answer=Answer(
                text=text or ABSTAINED,
                abstained=not text,
                reason=reason,
                basis=outcome.basis if text else "none",
                confidence=confidence,
                warning=warning,
                language=language,
                citations=citations,
                options=outcome.options,
                passages=tuple(found),
                trace=trace,
            )
        )

    def brief(self, question: Question) -> Brief:
        """What the model would be shown, without asking it. Raises what `stream` raises."""
        clock = StageClock()
        domain, searched = self._opened(question)
        budget = self._answerer.budget(searched, question.options)
        found = self._searcher.search(domain, searched, question, clock)
        return self._brief(question, domain, searched, found, budget=budget, clock=clock)

    def passages(self, question: Question, *, mode: RetrievalMode | None = None) -> list[Passage]:
        """What retrieval finds, best first, without asking the model."""
        domain, searched = self._opened(question)
        return self._searcher.search(domain, searched, question, StageClock(), mode=mode)

    def documents(self, domain: str, *, after: str = "", limit: int) -> list[DocumentSummary]:
        """At most `limit` stored documents without their texts, by id: those whose id comes after `after`."""
        return self._domains.get(domain).documents.summaries(after=after, limit=limit)

    def document(self, domain: str, document_id: str) -> Document | None:
        """A stored document with its whole text, or None."""
        return self._domains.get(domain).documents.get(document_id)

    def state(self, domain: str) -> str:
        """What answers rest on beside their questions, the day's documents in force included. Raises UnknownDomain."""
        return f"{self._catalog.state(domain)} {datetime.now(UTC).date()}"

    # --- telling ---

    def domains(self, *, among: Collection[str] | None = None) -> list[DomainInfo]:
        """Every stored domain, or those among some names, and whether it can be asked now."""
        return [self._info(name) for name in self._catalog.domains() if among is None or name in among]

    def health(self) -> Health:
        """Whether questions can be answered now: the model is up and every domain opens and fits."""
        checks = {"model": "ok", "index": "ok", "compatible": "ok"}
        try:
            self._model.card  # noqa: B018  # asking is the check
        except RagError as error:
            checks["model"] = str(error)
        domains = self.domains()
        for info in domains:
            if info.problem:
                checks["index" if info.compatible else "compatible"] = info.problem
        if domains and checks["index"] == checks["compatible"] == "ok":
            try:  # of domains that are open nobody asked; one tells for all whether their server answers
                self._domains.get(domains[0].name).index.vectors([])
            except UnknownDomain:
                pass  # deleted in this moment
            except RagError as error:
                checks["index"] = str(error)
        return Health(ready=all(state == "ok" for state in checks.values()), checks=checks)

    def statistics(self) -> EngineStatistics | None:
        """What the model's engine does and has done; None where it is not ours to see."""
        return self._model.statistics()

    def close(self) -> None:
        """Release every domain, the embedder and the model."""
        self._domains.close()
        self._model.close()
        self._embedder.close()

    # --- parts ---

    def _check(self, question: Question) -> None:
        if not question.text.strip():
            raise InvalidQuestion("the question is empty")
        if len(question.text) > self._limits.max_question_chars:
            raise InvalidQuestion(
                f"the question has {len(question.text)} characters, at most {self._limits.max_question_chars} are "
                "answered: ask something shorter"
            )
        options = [option.strip().casefold() for option in question.options]
        if options and (len(options) < 2 or not all(options) or len(set(options)) < len(options)):
            raise InvalidQuestion("options must be two or more different texts, none of them empty: to choose between")

    def _opened(self, question: Question) -> tuple[OpenDomain, str]:
        """The domain, open, and the question as it stands alone. Raises QuestionError."""
        self._check(question)
        domain = self._domains.get(question.domain)
        filters.check(question.filter, domain.generation.manifest.fields)
        return domain, standalone(question.text, question.earlier)

    def _brief(
        self,
        question: Question,
        domain: OpenDomain,
        searched: str,
        found: list[Passage],
        *,
        budget: int,
        clock: StageClock,
        cancelled: IsCancelled = None,
    ) -> Brief:
        return self._answerer.brief(
            searched,
            question.domain,
            found,
            options=question.options,
            budget=budget,
            clock=clock,
            text_of=domain.text_of,
            cancelled=cancelled,
        )

    def _confidence(self, domain: OpenDomain, outcome: Outcome) -> tuple[float | None, float, str]:
        """The confidence, the least one that is given, and why both are a guess here; None where nothing was fitted."""
        manifest = domain.generation.manifest
        fitted = calibration.read(self._catalog.calibration_path(manifest.domain)) or calibration.shipped()
        fit = fitted.fits.get(outcome.basis) if fitted else None
        if fitted is None or fit is None or not outcome.signals:
            return None, 0.0, ""
        least = fit.threshold if self._limits.min_confidence < 0 else self._limits.min_confidence
        warning = fitted.stale(
            weights=calibration.identity(self._model, manifest.domain),
            embedder=self._embedder.fingerprint,
            generation=manifest.generation,
        )
        return round(fit.confidence(outcome.signals), 6), least, warning

    def _verified(self, domain: OpenDomain, citations: tuple[Citation, ...]) -> Iterator[Citation]:
        """Only citations whose quote stands in the stored text, exactly there; with their places on pages."""
        for citation in citations:
            document = domain.documents.get(citation.document_id)
            if (
                document is not None
                and document.text_sha256 == citation.text_sha256
                and document.text[citation.char_start : citation.char_end] == citation.quote
            ):
                places = domain.documents.layout(citation.document_id)
                found = page_boxes.boxes(places, citation.char_start, citation.char_end)
                yield citation.model_copy(update={"boxes": found})

    def _info(self, name: str) -> DomainInfo:
        problem, compatible = "", True
        manifest = None
        counts = (0, 0)
        try:
            manifest = self._catalog.live(name).manifest
            domain = self._domains.get(name)
            counts = domain.documents.counts()
        except RagError as error:
            problem, compatible = str(error), error.code != "incompatible_index"
        return DomainInfo(
            name=name,
            title=manifest.title if manifest else "",
            language=manifest.language if manifest else "",
            documents=counts[0],
            chunks=counts[1],
            generation=manifest.generation if manifest else "",
            embedder=manifest.embedder if manifest else "",
            fields=manifest.fields if manifest else {},
            compatible=compatible,
            problem=problem,
        )
