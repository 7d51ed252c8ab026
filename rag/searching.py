"""What is searched for a question: passages of the documents that it names, and the statements that a sum is made of.

Knows the index, names, revisions and numbers of a domain; no model, no answer and no caller.
"""

from __future__ import annotations

from datetime import UTC, datetime

from rag import computing, formula_questions, keywords, statements
from rag.answering import Limits
from rag.errors import IndexUnavailable, MissingIndex
from rag.fusion import leading
from rag.open_domains import OpenDomain
from rag.prompt import heading_line
from rag.protocols import Embedder, Reranker
from rag.revisions import FIELDS
from rag.stages import StageClock
from rag.types import Passage, Question, RetrievalMode

NUMBERED_PASSAGES = 2
"""Passages that lead where a question says a document's own number: its word first, the others' beside it."""

NAMED_PASSAGES = 48
"""Passages of which those lead that say the name of an option or a setting in the question as it is written."""

STATEMENT_PASSAGES = 24
"""Passages that are looked through for one financial statement: of 21 statements of filings that nobody reports on, the
one that counts was among the best 13 (docs/experiments.md)."""


class Searcher:
    """Searches open domains. Thread-safe; blocking."""

    def __init__(self, embedder: Embedder, limits: Limits, reranker: Reranker | None = None) -> None:
        """embedder: the one that the domains were built with."""
        self._embedder, self._limits, self._reranker = embedder, limits, reranker

    def compute(
        self, domain: OpenDomain, searched: str, question: Question, clock: StageClock
    ) -> computing.Computed | None:
        """What code makes of a question for a sum or a line of financial statements; None for any other."""
        formula = None if question.options else formula_questions.asked(searched)
        if formula is None:
            return None
        chosen, old = question.filter, frozenset[str]()
        if self._limits.scope and chosen.documents is None:
            scopes = domain.scopes()
            chosen = chosen.model_copy(update={"documents": scopes.filter(searched).documents})
            old = scopes.superseded(searched, datetime.now(UTC))
        together = chosen.documents is not None
        if not together and self._limits.scope and (titled := domain.scopes().titled(formula.names)):
            chosen = chosen.model_copy(update={"documents": titled})
        kinds = dict.fromkeys(term.item.statement for term in formula.terms)
        queries = [statements.query(kind) for kind in kinds]
        stated = [
            passage
            for query, vector in zip(queries, self._embedder.embed(queries), strict=True)
            for passage in domain.index.search(
                vector=vector, text=query, limit=STATEMENT_PASSAGES, mode=self._limits.mode, filter=chosen
            )
            if passage.document_id not in old
        ]
        computed = computing.compute(formula, stated, domain.text_of, together=together)
        clock.lap("compute")
        return computed

    def search(
        self, domain: OpenDomain, text: str, question: Question, clock: StageClock, *, mode: RetrievalMode | None = None
    ) -> list[Passage]:
        """What a question finds, best first: scoped, without what is superseded, reranked where there is a reranker."""
        vector = self._embedder.embed([text])[0]
        clock.lap("embed")
        limit = question.max_passages or self._limits.passages
        candidates = max(limit, self._limits.rerank_candidates) if self._reranker else limit

        def search(documents: tuple[str, ...] | None, limit: int) -> list[Passage]:
            try:
                return domain.index.search(
                    vector=vector,
                    text=text,
                    limit=limit,
                    mode=mode or self._limits.mode,
                    filter=question.filter.model_copy(update={"documents": documents}),
                )
            except MissingIndex as error:
                if not domain.gone:
                    raise
                name = domain.generation.manifest.domain  # a server has removed what files would still be read of
                raise IndexUnavailable(f"domain {name!r} was changed in this moment: ask again") from error

        chosen = question.filter.documents
        numbered: tuple[str, ...] = ()
        old: frozenset[str] = frozenset()
        if self._limits.scope and chosen is None:
            scopes = domain.scopes()
            chosen, numbered = scopes.filter(text).documents, scopes.numbered(text)
            if not FIELDS & {condition.field for condition in question.filter.conditions}:
                old = scopes.superseded(text, datetime.now(UTC))
        names = () if question.options else keywords.said(text)
        found = search(chosen, wanted := max(candidates * 2 if old else candidates, NAMED_PASSAGES if names else 0))
        if not found and chosen != question.filter.documents:
            found = search(question.filter.documents, wanted)
        if numbered:
            found = leading(search(numbered, NUMBERED_PASSAGES), found)
        if names:
            found = leading([p for p in found if any(keywords.says(p.text, name) for name in names)], found)
        found = [passage for passage in found if passage.document_id not in old][:candidates]
        clock.lap("search")
        if self._reranker is not None and found:
            found = reranked(text, found, self._reranker)[:limit]
            clock.lap("rerank")
        return found


def reranked(question: str, found: list[Passage], reranker: Reranker) -> list[Passage]:
    """The scored passages best first, ties in their order, then those that the reranker did not reach."""
    scores = reranker.scores(question, [reranker_text(passage) for passage in found])
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    return [found[i] for i in order] + found[len(scores) :]


def reranker_text(passage: Passage) -> str:
    """What a reranker reads of a passage."""
    return f"{heading_line(passage)}\n{passage.text}"
