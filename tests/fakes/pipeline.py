"""A small real pipeline over one document: the methods and errors of `rag.pipeline.Pipeline`, no model, no index.

Words of a question steer it: "slow" takes `pace` seconds a token until it is cancelled, "nothing" abstains,
"early" and "late" fail before and after the first event, "broken" fails for a reason that nobody foresaw.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from rag.documents import DocumentSummary
from rag.errors import Cancelled, EngineDied, InvalidQuestion, UnknownDomain
from rag.protocols import Vectors
from rag.types import (
    Answer,
    Citation,
    CitationEvent,
    Document,
    DomainInfo,
    DoneEvent,
    EngineStatistics,
    Event,
    FieldType,
    Health,
    ModelCard,
    Passage,
    Question,
    RetrievalEvent,
    RetrievalMode,
    StageTiming,
    TokenEvent,
    Trace,
    VerdictEvent,
    sha256_text,
)
from tests.fakes.embedder import HashedWords

TEXT = "The pump of line 4 is greased every 200 hours. Its filter is changed each Monday."
QUOTE = "The pump of line 4 is greased every 200 hours."
TOKENS = ("Every", " 200", " hours")


class FakePipeline:
    """Knows one domain, "plant", with one document."""

    def __init__(self, *, pace: float = 0.02, tokens: int = 200) -> None:
        self.pace = pace
        self.tokens = tokens
        self.stored = {"pumps.md": document("pumps.md", "Pumps", TEXT)}
        self.started: list[str] = []
        self.asked: list[Question] = []
        """what was asked for an answer or for passages, whole"""
        self.finished: list[str] = []
        self.cancelled = threading.Event()
        self.closed = threading.Event()
        self.embedder = HashedWords()

    def stream(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Event]:
        self.started.append(question.text)
        self.asked.append(question)
        self._check(question)
        if "early" in question.text:
            raise EngineDied("the engine ended while it read this question: ask again")
        if "broken" in question.text:
            raise ZeroDivisionError(f"the secret internals of {question.text}")
        yield RetrievalEvent(standalone_question=question.text, passages=(passage(),))
        if "late" in question.text:
            raise EngineDied("the engine ended while it worked on this question: ask again")
        for token in TOKENS:
            yield TokenEvent(text=token)
        for _ in range(self.tokens if "slow" in question.text else 0):
            time.sleep(self.pace)
            if cancelled is not None and cancelled():
                self.cancelled.set()
                raise Cancelled("the caller went away")
            yield TokenEvent(text=" .")
        abstains = "nothing" in question.text
        citations = () if abstains else (citation(),)
        for item in citations:
            yield CitationEvent(citation=item)
        reason = "no passage supports the draft" if abstains else ""
        yield VerdictEvent(abstained=abstains, reason=reason)
        self.finished.append(question.text)
        yield DoneEvent(answer=answer(question.text, citations, reason))

    @property
    def embedder_name(self) -> str:
        return self.embedder.name

    def embed(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        return self.embedder.embed(texts), sum(self.embedder.count_tokens(texts))

    def passages(self, question: Question, *, mode: RetrievalMode | None = None) -> list[Passage]:
        self.asked.append(question)
        self._check(question)
        return [passage()]

    def domains(self, *, among: Collection[str] | None = None) -> list[DomainInfo]:
        if among is not None and "plant" not in among:
            return []
        return [
            DomainInfo(
                name="plant",
                title="Plant handbook",
                language="en",
                documents=1,
                chunks=1,
                generation="g1",
                embedder="fake",
                fields={"line": FieldType.INTEGER},
                compatible=True,
                problem="",
            )
        ]

    def state(self, domain: str) -> str:
        self._check(Question(text="x", domain=domain))
        return "g1"

    def documents(self, domain: str, *, after: str = "", limit: int) -> list[DocumentSummary]:
        found = sorted(self._held(domain).values(), key=lambda document: document.id)
        return [
            DocumentSummary(
                id=each.id, title=each.title, characters=len(each.text), chunks=1, text_sha256=each.text_sha256,
                file_sha256=each.file_sha256, source=each.source, recipe="fake", metadata=each.metadata,
            )
            for each in found
            if each.id > after
        ][:limit]  # fmt: skip

    def document(self, domain: str, document_id: str) -> Document | None:
        return self._held(domain).get(document_id)

    def health(self) -> Health:
        return Health(ready=True, checks={"model": "ok", "index": "ok", "compatible": "ok"})

    @property
    def card(self) -> ModelCard:
        return ModelCard(name="fake", fingerprint="fake-1", context_tokens=512, device="cpu", weights_format="F32")

    def statistics(self) -> EngineStatistics | None:
        return EngineStatistics(running=len(self.started) - len(self.finished), generated_tokens=3 * len(self.finished))

    def close(self) -> None:
        self.closed.set()

    def _check(self, question: Question) -> None:
        if not question.text.strip():
            raise InvalidQuestion("the question is empty")
        self._held(question.domain)

    def _held(self, domain: str) -> dict[str, Document]:
        """The documents of a domain, by id."""
        if domain != "plant":
            raise UnknownDomain.named(domain)
        return self.stored


def document(id: str, title: str, text: str) -> Document:
    return Document(id=id, title=title, text=text, file_sha256="0" * 64, source=id)


def passage() -> Passage:
    return Passage(
        document_id="pumps.md",
        title="Pumps",
        heading="Line 4",
        text=TEXT,
        start=0,
        end=len(TEXT),
        text_sha256=sha256_text(TEXT),
        score=1.0,
        dense_score=0.8,
        bm25_score=4.0,
    )


def citation() -> Citation:
    return Citation(
        document_id="pumps.md",
        title="Pumps",
        char_start=0,
        char_end=len(QUOTE),
        quote=QUOTE,
        text_sha256=sha256_text(TEXT),
        claim="Every 200 hours",
        support=1.0,
    )


def answer(question: str, citations: tuple[Citation, ...], reason: str) -> Answer:
    return Answer(
        text="The documents do not answer this question." if reason else "Every 200 hours",
        abstained=bool(reason),
        reason=reason,
        language="en",
        citations=citations,
        passages=(passage(),),
        trace=Trace(
            standalone_question=question,
            rewritten=False,
            passages_used=1,
            prompt_sha256="0" * 64,
            prompt_tokens=40,
            completion_tokens=3,
            timings=(StageTiming(stage="search", milliseconds=0.5), StageTiming(stage="generate", milliseconds=30.0)),
            model="fake",
            model_fingerprint="fake-1",
            embedder_fingerprint="fake-1",
            generation="g1",
            draft="Every 200 hours",
        ),
    )
