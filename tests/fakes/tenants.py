"""A pipeline of several domains, each full of a mark of its own that nobody could guess: what leaks is seen.

The answers, passages and events are those of the small pipeline with the domain's mark in every text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator

from rag.documents import DocumentSummary
from rag.errors import UnknownDomain
from rag.types import (
    Answer,
    Citation,
    CitationEvent,
    Document,
    DomainInfo,
    DoneEvent,
    Event,
    FieldType,
    Health,
    Passage,
    Question,
    RetrievalEvent,
    RetrievalMode,
    TokenEvent,
    VerdictEvent,
    sha256_text,
)
from tests.fakes.pipeline import FakePipeline, answer, citation, passage


def mark(domain: str) -> str:
    """Sixteen letters that stand in every text of a domain and in none of another."""
    return "q" + hashlib.sha256(f"mark of {domain}".encode()).hexdigest()[:15]


class Tenants(FakePipeline):
    """Knows the domains that it is given. One that is named "broken…" cannot be opened."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.touched: list[str] = []

    def stream(self, question: Question, *, cancelled: Callable[[], bool] | None = None) -> Iterator[Event]:
        self._open(question)
        said = mark(question.domain)
        quote = f"{said} quote"
        found = self._passage(question.domain)
        cited: Citation = citation().model_copy(
            update={"quote": quote, "char_end": len(quote), "title": said, "document_id": f"{said}.md"}
        )
        yield RetrievalEvent(standalone_question=question.text, passages=(found,))
        yield TokenEvent(text=said)
        yield CitationEvent(citation=cited)
        yield VerdictEvent(abstained=False, reason="")
        made: Answer = answer(question.text, (cited,), "").model_copy(update={"text": said, "passages": (found,)})
        yield DoneEvent(answer=made)

    def passages(self, question: Question, *, mode: RetrievalMode | None = None) -> list[Passage]:
        self._open(question)
        return [self._passage(question.domain)]

    def documents(self, domain: str, *, after: str = "", limit: int) -> list[DocumentSummary]:
        whole = self._document(domain)
        summary = DocumentSummary(
            id=whole.id,
            title=whole.title,
            characters=len(whole.text),
            chunks=1,
            text_sha256=whole.text_sha256,
            file_sha256=whole.file_sha256,
            source=whole.source,
            recipe="fake",
            metadata=whole.metadata,
        )
        return [summary][:limit] if summary.id > after else []

    def document(self, domain: str, document_id: str) -> Document | None:
        whole = self._document(domain)
        return whole if document_id == whole.id else None

    def state(self, domain: str) -> str:
        self._know(domain)
        return f"g-{mark(domain)}"

    def domains(self, *, among: Collection[str] | None = None) -> list[DomainInfo]:
        return [self._info(name) for name in self.names if among is None or name in among]

    def health(self) -> Health:
        problems = [info.problem for info in self.domains() if info.problem]
        return Health(ready=not problems, checks={"model": "ok", "index": problems[0] if problems else "ok"})

    def _passage(self, domain: str) -> Passage:
        said = mark(domain)
        text = f"{said} quote and more"
        return passage().model_copy(
            update={
                "document_id": f"{said}.md",
                "title": said,
                "heading": said,
                "text": text,
                "end": len(text),
                "text_sha256": sha256_text(text),
                "metadata": {said: said},
            }
        )

    def _info(self, name: str) -> DomainInfo:
        self.touched.append(name)
        said = mark(name)
        broken = name.startswith("broken")
        return DomainInfo(
            name=name,
            title=said,
            language="en",
            documents=1,
            chunks=1,
            generation="g000001",
            embedder="fake",
            fields={said: FieldType.INTEGER},
            compatible=True,
            problem=f"domain {name!r} cannot be opened: {said}" if broken else "",
        )

    def _document(self, domain: str) -> Document:
        self._know(domain)
        said = mark(domain)
        return Document(
            id=f"{said}.md", title=said, text=said, file_sha256="0" * 64, source=said, metadata={said: said}
        )

    def _open(self, question: Question) -> None:
        self._know(question.domain)

    def _know(self, domain: str) -> None:
        self.touched.append(domain)
        if domain not in self.names:
            raise UnknownDomain.named(domain)
