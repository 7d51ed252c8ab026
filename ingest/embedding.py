"""Documents to chunks with vectors: like lengths together, and no text twice that the domain embedded already.

A chunk's vector is taken over where the domain holds one that was made of the same text to the letter
(ingest.lending), and within a group equal texts are embedded once. There is no other cache (docs/decisions.md): a
vector is kept no longer than its document, and no domain gains by what another one holds. Knows no corpus and no
generation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from ingest.lending import Lender, digest
from rag.documents import DocumentStore
from rag.protocols import Embedder, IndexedChunk, Tokenized, Vectors, search_text
from rag.types import Chunk, Document, point_id, sha256_text

SLICE_CHUNKS, LEAST_CHUNKS = 256, 16
"""Chunks of the documents that are given out at once: as many as the group has left to embed, within these bounds, so
that little is left to write when the last vector is made."""

TOLD_SECONDS = 0.1
"""Between two words of progress: most parts that an embedder gives are of a few chunks."""

GENTLE_SECONDS = 0.05
"""Aimed length of a call where questions wait for the same embedder."""

GENTLE_PAUSE = 0.002
"""Between such calls: a lock that is taken again at once is not given to who waits for it."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A document that was split and waits for its vectors."""

    document: Document
    recipe: str
    chunks: list[Chunk]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Documents of a domain with their vectors."""

    domain: str
    documents: Sequence[Ready]
    vectors: Vectors
    """(n, d) float32, for the chunks of all documents one after the other."""
    computed: int
    """How many were computed since documents were given out before: over a whole group, how many of its vectors."""

    def chunks(self) -> list[list[IndexedChunk]]:
        """The chunks of each document as they are written."""
        rows = iter(self.vectors)
        return [
            [
                IndexedChunk(
                    id=_identity(self.domain, ready.document, chunk),
                    document_id=ready.document.id,
                    title=ready.document.title,
                    text_sha256=ready.document.text_sha256,
                    chunk=chunk,
                    metadata=ready.document.metadata,
                    vector=next(rows),
                )
                for chunk in ready.chunks
            ]
            for ready in self.documents
        ]


class Group:
    """Documents that are embedded together, whose vectors come in, text by text; what is lent is there at once."""

    def __init__(self, documents: Sequence[Ready], domain: str, embedder: Embedder, lender: Lender | None) -> None:
        """Raises the store's errors."""
        self._domain, self._documents = domain, documents
        self._left = [len(ready.chunks) for ready in documents]
        self._begins = list(accumulate(self._left, initial=0))
        self._owners = [number for number, ready in enumerate(documents) for _ in ready.chunks]
        self._vectors = np.empty((len(self._owners), embedder.dimensions), np.float32)
        self._whole = [number for number, left in enumerate(self._left) if not left]
        self.whole_chunks = 0
        """Of the documents that can be taken."""
        self._rows: dict[str, list[int]] = {}
        """Rows that wait, by their text: equal ones are embedded once."""
        texts = (embedded_text(ready.document, chunk) for ready in documents for chunk in ready.chunks)
        for row, text in enumerate(texts):
            self._rows.setdefault(text, []).append(row)
        self.lent = self.put(lender.vectors(list(self._rows)).items() if lender else ())
        """Documents that were whole by what was lent, and its characters."""
        self.missing = sorted(embedder.tokenize(list(self._rows)), key=lambda text: text.length)
        """Texts that were not, shortest first."""

    @property
    def waiting(self) -> int:
        """How many texts have no vector yet."""
        return len(self._rows)

    def put(self, vectors: Iterable[tuple[str, Vectors]]) -> tuple[int, int]:
        """Take in the vectors of some texts; the documents that became whole by them, and the characters."""
        before, characters = len(self._whole), 0
        for text, vector in vectors:
            for row in self._rows.pop(text, ()):
                characters += len(text)
                self._vectors[row] = vector
                owner = self._owners[row]
                self._left[owner] -= 1
                if not self._left[owner]:
                    self._whole.append(owner)
                    self.whole_chunks += len(self._documents[owner].chunks)
        return len(self._whole) - before, characters

    def take(self, computed: int) -> Embedded:
        """The documents that became whole since they were taken before."""
        rows = [row for number in self._whole for row in range(self._begins[number], self._begins[number + 1])]
        taken = [self._documents[number] for number in self._whole]
        self._whole, self.whole_chunks = [], 0
        return Embedded(self._domain, taken, self._vectors[rows], computed)


def embed(
    group: Group, embedder: Embedder, *, gentle: bool = False, tell: Callable[[int, int, int], None] | None = None
) -> Iterator[Embedded]:
    """A group's documents with their vectors, each as soon as it is whole, some `SLICE_CHUNKS` chunks at a time.

    Their order is that of their longest chunks, whatever the calls of the embedder are. `tell` hears of chunks, and of
    the documents and characters settled by them. gentle: in short calls, because others wait for the embedder too.
    """
    if tell is not None and group.lent[1]:
        tell(0, *group.lent)
    computed = chunks = documents = characters = 0
    told = time.monotonic()
    for texts, vectors in (_gently if gentle else _at_once)(group.missing, embedder):
        settled = group.put(zip((item.text for item in texts), vectors, strict=True))
        computed, chunks = computed + len(texts), chunks + len(texts)
        documents, characters = documents + settled[0], characters + settled[1]
        if tell is not None and (time.monotonic() >= told + TOLD_SECONDS or not group.waiting):
            tell(chunks, documents, characters)
            chunks, documents, characters, told = 0, 0, 0, time.monotonic()
        if group.whole_chunks >= max(LEAST_CHUNKS, min(SLICE_CHUNKS, group.waiting)) and group.waiting:
            yield group.take(computed)
            computed = 0
    yield group.take(computed)


def _at_once(texts: Sequence[Tokenized], embedder: Embedder) -> Iterator[tuple[Sequence[Tokenized], Vectors]]:
    """The texts, some at a time, with their vectors."""
    for rows, vectors in embedder.embed_parts(texts):
        yield [texts[row] for row in rows], vectors


def _gently(texts: Sequence[Tokenized], embedder: Embedder) -> Iterator[tuple[Sequence[Tokenized], Vectors]]:
    """The same in short calls, with a pause after each."""
    first, size = 0, 1
    while first < len(texts):
        call = texts[first : first + size]
        begin = time.monotonic()
        parts = list(_at_once(call, embedder))
        each = (time.monotonic() - begin) / len(call)
        size = max(1, min(SLICE_CHUNKS, 2 * size, int(GENTLE_SECONDS / max(each, 1e-6))))
        time.sleep(GENTLE_PAUSE)
        first += len(call)
        yield from parts


def weight(ready: Ready) -> int:
    """Characters that are embedded of a document."""
    return sum(len(embedded_text(ready.document, chunk)) for chunk in ready.chunks)


def to_embed(group: Sequence[Ready], store: DocumentStore | None, *, touched: AbstractSet[str]) -> int:
    """How many texts of a group would be embedded, of equal ones only the first; `store`: None where none is there.

    touched: the documents of earlier groups, which lend nothing by then.
    """
    texts = {digest(embedded_text(ready.document, chunk)) for ready in group for chunk in ready.chunks}
    return len(texts) - (len(store.made_of(list(texts), without=touched)) if store else 0)


def embedded_text(document: Document, chunk: Chunk) -> str:
    """What is embedded and indexed of a chunk."""
    return search_text(document.title, chunk)


def _identity(domain: str, document: Document, chunk: Chunk) -> str:
    return point_id(domain, document.id, chunk.start, chunk.end, sha256_text(chunk.text))
