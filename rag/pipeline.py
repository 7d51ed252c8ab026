"""One path from a question to a checked answer: `answer` consumes `stream`. Knows no HTTP and no class of an adapter.

Streamed tokens are provisional; the closing event carries the checked answer, which replaces them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from rag import choosing, context, filters, grounding, reading
from rag.catalog import Catalog, Generation
from rag.errors import InvalidQuestion, RagError
from rag.followup import standalone
from rag.language import NAMES, detect
from rag.open_domains import OpenDomain, OpenDomains
from rag.prompt import answer_messages, fingerprint
from rag.protocols import Embedder, Index, LanguageModel
from rag.stages import StageClock
from rag.types import (
    Answer,
    Citation,
    CitationEvent,
    Document,
    DomainInfo,
    DoneEvent,
    Event,
    Health,
    Message,
    OptionScore,
    Passage,
    Piece,
    Prompt,
    Question,
    RetrievalEvent,
    RetrievalMode,
    TokenEvent,
    Trace,
    VerdictEvent,
)

ABSTAINED = "The documents do not answer this question."
"""The text of an answer that abstains; the closest passages stand beside it."""

MIN_CONTEXT_TOKENS = 48
"""Less than two sentences of a passage is no ground for an answer."""

TRUSTED_SENTENCES = 2
"""The model's words stand only if they rest on one of so many best sentences: on NQ the best holds the answer for 57%
of the questions, the best two for 70%, while the default model's own words are right for 35%."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds an answer; the fields are those of the settings' sections retrieval and answer."""

    passages: int
    mode: RetrievalMode
    context_tokens: int
    max_tokens: int
    temperature: float
    seed: int
    min_support: float
    min_coverage: float
    sentences: int
    min_relevance: float
    likelihood_weight: float
    max_question_chars: int
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a question, before its citations are compared with the stored text."""

    verdict: grounding.Verdict
    basis: Literal["model", "quote", "option"]
    draft: str = ""
    last: Piece | None = None
    options: tuple[OptionScore, ...] = ()


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
    ) -> None:
        """The pipeline owns embedder and model: `close` closes them."""
        self._catalog = catalog
        self._embedder = embedder
        self._model = model
        self._limits = limits
        self._domains = OpenDomains(catalog, embedder, open_index)

    @property
    def model(self) -> LanguageModel:
        """The language model, for a caller that asks it without retrieval; it stays the pipeline's to close."""
        return self._model

    @property
    def embedder(self) -> Embedder:
        """The embedder, for a caller that needs its fingerprint; it stays the pipeline's to close."""
        return self._embedder

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
        self._check(question)
        domain = self._domains.get(question.domain)
        filters.check(question.filter, domain.generation.manifest.fields)
        searched = standalone(question.text, question.earlier)
        budget = self._budget(searched, question.options)
        clock.lap("prepare")
        found = self._search(domain, searched, question, clock)
        yield RetrievalEvent(standalone_question=searched, passages=tuple(found))
        sentences = reading.rank(searched, found, self._embedder)
        relevant = bool(sentences) and sentences[0].score >= self._limits.min_relevance
        clock.lap("read")
        chosen = reading.excerpts(sentences[: self._limits.sentences]) if relevant else []
        used = context.fit(chosen, budget=budget, count_tokens=self._model.count_tokens)
        messages = answer_messages(searched, used, options=question.options)
        clock.lap("context")
        if question.options:
            outcome = self._choose(question, searched, found, sentences, used, relevant=relevant, cancelled=cancelled)
            clock.lap("choose")
        else:
            draft, last = "", None
            for piece in self._write(messages, cancelled) if used else ():
                draft += piece.text
                last = piece
                if piece.text:
                    yield TokenEvent(text=piece.text)
            clock.lap("generate")
            outcome = self._judge(draft, searched, found, sentences, relevant=relevant)
            outcome = replace(outcome, draft=draft, last=last)
        citations = tuple(self._verified(domain, outcome.verdict.citations))
        text = outcome.verdict.text if citations else ""
        language = detect(question.text)
        reason = "" if text else _reason(outcome.verdict.reason, language)
        clock.lap("check")
        for citation in citations:
            yield CitationEvent(citation=citation)
        yield VerdictEvent(abstained=not text, reason=reason)
        card = self._model.card
        trace = Trace(
            standalone_question=searched,
            rewritten=searched != question.text,
            passages_used=len(used),
            prompt_sha256=fingerprint(messages),
            prompt_tokens=_count(outcome.last, "prompt_tokens"),
            completion_tokens=_count(outcome.last, "completion_tokens"),
            timings=clock.timings(),
            model=card.name,
            model_fingerprint=card.fingerprint,
            embedder_fingerprint=self._embedder.fingerprint,
            generation=domain.generation.manifest.generation,
            draft=outcome.draft,
        )
        yield DoneEvent(
            answer=Answer(
                text=text or ABSTAINED,
                abstained=not text,
                reason=reason,
                basis=outcome.basis if text else "none",
                language=language,
                citations=citations,
                options=outcome.options,
                passages=tuple(found),
                trace=trace,
            )
        )

    def passages(self, question: Question, *, mode: RetrievalMode | None = None) -> list[Passage]:
        """What retrieval finds, best first, without asking the model."""
        self._check(question)
        domain = self._domains.get(question.domain)
        filters.check(question.filter, domain.generation.manifest.fields)
        return self._search(domain, standalone(question.text, question.earlier), question, StageClock(), mode=mode)

    def document(self, domain: str, document_id: str) -> Document | None:
        """A stored document with its whole text, or None."""
        return self._domains.get(domain).documents.get(document_id)

    # --- telling ---

    def domains(self) -> list[DomainInfo]:
        """Every stored domain, and whether it can be asked now."""
        return [self._info(name) for name in self._catalog.domains()]

    def health(self) -> Health:
        """Whether questions can be answered now: the model is up and every domain opens and fits."""
        checks = {"model": "ok", "index": "ok", "compatible": "ok"}
        try:
            self._model.card  # noqa: B018  # asking is the check
        except RagError as error:
            checks["model"] = str(error)
        for info in self.domains():
            if info.problem:
                checks["index" if info.compatible else "compatible"] = info.problem
        return Health(ready=all(state == "ok" for state in checks.values()), checks=checks)

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

    def _search(
        self, domain: OpenDomain, text: str, question: Question, clock: StageClock, *, mode: RetrievalMode | None = None
    ) -> list[Passage]:
        vector = self._embedder.embed([text])[0]
        clock.lap("embed")
        found = domain.index.search(
            vector=vector,
            text=text,
            limit=question.max_passages or self._limits.passages,
            mode=mode or self._limits.mode,
            filter=question.filter,
        )
        clock.lap("search")
        return found

    def _budget(self, question: str, options: tuple[str, ...]) -> int:
        """Tokens for passages: as set, and never more than the model's context leaves beside question and answer.

        Raises InvalidQuestion when the question alone leaves no room for them.
        """
        taken = self._model.prompt_tokens(answer_messages(question, (), options=options))
        longest = max(self._model.count_tokens(options)) if options else self._limits.max_tokens
        left = self._model.card.context_tokens - taken - longest
        if left < MIN_CONTEXT_TOKENS:
            raise InvalidQuestion(
                f"the question and its instructions take {taken} of the model's {self._model.card.context_tokens} "
                "tokens, which leaves no room for passages: ask something shorter"
            )
        return min(self._limits.context_tokens, left)

    def _write(self, messages: tuple[Message, ...], cancelled: Callable[[], bool] | None) -> Iterator[Piece]:
        """The model's own words to a prompt."""
        return self._model.generate(self._prompt(messages), cancelled=cancelled)

    def _prompt(self, messages: tuple[Message, ...]) -> Prompt:
        return Prompt(
            messages=messages,
            max_tokens=self._limits.max_tokens,
            temperature=self._limits.temperature,
            seed=self._limits.seed,
            stop=("\n",),
            timeout_seconds=self._limits.timeout_seconds,
        )

    def _choose(
        self,
        question: Question,
        searched: str,
        found: list[Passage],
        sentences: list[reading.Sentence],
        used: list[Passage],
        *,
        relevant: bool,
        cancelled: Callable[[], bool] | None,
    ) -> _Outcome:
        """The option that the passages speak for, cited with the sentence that does so most."""
        options = question.options
        if not relevant:
            return _Outcome(grounding.Verdict("", (), _silent(found)), "option")
        gains = None
        messages = answer_messages(searched, used, options=options)
        if used and self._model.card.scores and self._limits.likelihood_weight:
            bare = answer_messages(searched, (), options=options)
            briefed, prior = (
                self._model.score(self._prompt(prompt), options, cancelled=cancelled) for prompt in (messages, bare)
            )
            gains = [told.mean - known.mean for told, known in zip(briefed, prior, strict=True)]
        weighed = choosing.weigh(searched, options, sentences, gains=gains, gain_weight=self._limits.likelihood_weight)
        best = max(weighed, key=lambda option: option.score)
        at = best.sentence
        return _Outcome(
            grounding.option(best.option, searched, at.passage, at.start, at.end),
            "option",
            draft=best.option,
            last=Piece(text="", prompt_tokens=self._model.prompt_tokens(messages) if gains else 0),
            options=tuple(OptionScore(option=w.option, score=round(w.score, 6)) for w in weighed),
        )

    def _judge(
        self, draft: str, question: str, found: list[Passage], sentences: list[reading.Sentence], *, relevant: bool
    ) -> _Outcome:
        """What stands: the model's words where the best passages support them, else the best sentence itself."""
        if not relevant:
            return _Outcome(grounding.Verdict("", (), _silent(found)), "quote")
        best = sentences[:TRUSTED_SENTENCES]
        passages = list(dict.fromkeys((s.passage.document_id, s.passage.start) for s in best))
        verdict = grounding.check(
            draft,
            question,
            [p for p in found if (p.document_id, p.start) in passages],
            min_support=self._limits.min_support,
            min_coverage=self._limits.min_coverage,
        )
        near = any(
            citation.document_id == s.passage.document_id
            and citation.char_start < s.passage.start + s.end
            and s.passage.start + s.start < citation.char_end
            for citation in verdict.citations
            for s in best
        )
        if near:
            return _Outcome(verdict, "model")
        return _Outcome(grounding.quote(best[0].passage, best[0].start, best[0].end), "quote")

    def _verified(self, domain: OpenDomain, citations: tuple[Citation, ...]) -> Iterator[Citation]:
        """Only citations whose quote stands in the stored text, exactly there."""
        for citation in citations:
            document = domain.documents.get(citation.document_id)
            if (
                document is not None
                and document.text_sha256 == citation.text_sha256
                and document.text[citation.char_start : citation.char_end] == citation.quote
            ):
                yield citation

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


def _silent(found: list[Passage]) -> str:
    return "nothing in this domain speaks to the question" if found else "nothing was found in this domain"


def _reason(reason: str, language: str) -> str:
    if language in ("en", "und"):
        return reason
    return f"{reason}; the question seems to be in {NAMES[language]}, the default models read English"


def _count(piece: Piece | None, field: str) -> int:
    value = getattr(piece, field) if piece is not None else None
    return value or 0
