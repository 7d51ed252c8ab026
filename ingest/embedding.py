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
from rag.protocols import Embedder, IndexedChunk, Vectors, search_text
from rag.types import Chunk, Document, point_id, sha256_text

CALL_CHUNKS = 256
"""Chunks of one call of the embedder, some seconds of progress; and of the documents that are given out at once."""

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

    def __init__(self, documents: Sequence[Ready], domain: str, dimensions: int, lender: Lender) -> None:
        """Raises the store's errors."""
        self._domain, self._documents = domain, documents
        self._left = [len(ready.chunks) for ready in documents]
        self._begins = list(accumulate(self._left, initial=0))
        self._owners = [number for number, ready in enumerate(documents) for _ in ready.chunks]
        self._vectors = np.empty((len(self._owners), dimensions), np.float32)
        self._whole = [number for number, left in enumerate(self._left) if not left]
        self.whole_chunks = 0
        """Of the documents that can be taken."""
        self.rows_of: dict[str, list[int]] = {}
        """Rows that wait, by their text: equal ones are embedded once."""
        texts = (embedded_text(ready.document, chunk) for ready in documents for chunk in ready.chunks)
        for row, text in enumerate(texts):
            self.rows_of.setdefault(text, []).append(row)
        self.lent = self.put(lender.vectors(list(self.rows_of)).items())
        """Documents that were whole by what was lent, and its characters."""

    def put(self, vectors: Iterable[tuple[str, Vectors]]) -> tuple[int, int]:
        """Take in the vectors of some texts; the documents that became whole by them, and the characters."""
        before, characters = len(self._whole), 0
        for text, vector in vectors:
            for row in self.rows_of.pop(text, ()):
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
    """A group's documents with their vectors, each as soon as it is whole, some `CALL_CHUNKS` chunks at a time.

    Their order is that of their longest chunks, whatever the calls of the embedder are. `tell` hears of each call its
    chunks, and the documents and characters settled by it. gentle: in short calls, because others wait for the
    embedder too.
    """
    documents, characters = group.lent
    if tell is not None and characters:
        tell(0, documents, characters)
    missing = sorted(group.rows_of, key=len)  # like lengths in one call: less padding
    computed = 0
    for call, vectors in (_gently if gentle else _at_once)(missing, embedder):
        documents, characters = group.put(zip(call, vectors, strict=True))
        computed += len(call)
        if tell is not None:
            tell(len(call), documents, characters)
        if group.whole_chunks >= CALL_CHUNKS and group.rows_of:
            yield group.take(computed)
            computed = 0
    yield group.take(computed)


def _at_once(texts: Sequence[str], embedder: Embedder) -> Iterator[tuple[Sequence[str], Vectors]]:
    """The texts, call by call, with their vectors; no wait between two of them."""
    calls = [texts[first : first + CALL_CHUNKS] for first in range(0, len(texts), CALL_CHUNKS)]
    return zip(calls, embedder.embed_each(calls), strict=True)


def _gently(texts: Sequence[str], embedder: Embedder) -> Iterator[tuple[Sequence[str], Vectors]]:
    """The same in short calls, with a pause after each."""
    first, size = 0, 1
    while first < len(texts):
        call = texts[first : first + size]
        begin = time.monotonic()
        vectors = embedder.embed(call)
        each = (time.monotonic() - begin) / len(call)
        size = max(1, min(CALL_CHUNKS, 2 * size, int(GENTLE_SECONDS / max(each, 1e-6))))
        time.sleep(GENTLE_PAUSE)
        first += len(call)
        yield call, vectors


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
