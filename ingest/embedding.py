"""Documents to chunks with vectors: like lengths together, and no text twice that the store embedded already.

A chunk's vector is taken over where the stored version of its document, or another document of the same content, has a
chunk whose embedded text is the same to the letter, and within a group equal texts are embedded once. There is no other
cache (docs/decisions.md): a vector is kept no longer than its document, and no domain gains by what another one holds.
Knows no corpus and no generation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from ingest.chunkers import chunks_of
from ingest.recipes import chunker_of
from rag.documents import DocumentStore
from rag.protocols import Embedder, Index, IndexedChunk, Vectors, search_text
from rag.types import Chunk, Document, point_id, sha256_text

CALL_CHUNKS = 256
"""Chunks of one call of the embedder: some seconds of progress."""

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
    donor: str = ""
    """A stored document, itself or another, that was embedded in the same way and may have chunks in common."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A group of documents of a domain with their vectors."""

    domain: str
    group: Sequence[Ready]
    vectors: Vectors
    """(n, d) float32, for the chunks of all documents one after the other."""
    computed: int
    """How many of them were computed."""

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
            for ready in self.group
        ]


def embed(
    group: Sequence[Ready],
    domain: str,
    embedder: Embedder,
    *,
    store: DocumentStore,
    index: Index,
    touched: AbstractSet[str] = frozenset(),
    gentle: bool = False,
    tell: Callable[[int, int, int], None] | None = None,
) -> Embedded:
    """A group's vectors; `tell` hears of each call its chunks, and the documents and characters settled by it.

    touched: documents that are no donors. gentle: in short calls, because others wait for the embedder too.
    """
    texts = [embedded_text(ready.document, chunk) for ready in group for chunk in ready.chunks]
    vectors = np.empty((len(texts), embedder.dimensions), np.float32)
    donors = {ready.donor: ready for ready in group if ready.donor and ready.donor not in touched}
    held = _held(donors, domain, store, index)
    missing = []
    first_of: dict[str, int] = {}
    repeated: list[tuple[int, int]] = []
    owners = [number for number, ready in enumerate(group) for _ in ready.chunks]
    waiting = [0] * len(group)
    for row, text in enumerate(texts):
        if (known := held.get(text)) is not None:
            vectors[row] = known
        elif text in first_of:
            repeated.append((row, first_of[text]))
        else:
            missing.append(row)
            first_of[text] = row
            waiting[owners[row]] += 1
    if tell is not None and len(missing) < len(texts):
        tell(0, waiting.count(0), sum(map(len, texts)) - sum(len(texts[row]) for row in missing))
    missing.sort(key=lambda row: len(texts[row]))  # like lengths in one call: less padding
    first, size = 0, 1 if gentle else CALL_CHUNKS
    while first < len(missing):
        rows = missing[first : first + size]
        begin = time.monotonic()
        vectors[rows] = embedder.embed([texts[row] for row in rows])
        first += len(rows)
        if gentle:
            each = (time.monotonic() - begin) / len(rows)
            size = max(1, min(CALL_CHUNKS, 2 * size, int(GENTLE_SECONDS / max(each, 1e-6))))
            time.sleep(GENTLE_PAUSE)
        for row in rows:
            waiting[owners[row]] -= 1
        if tell is not None:
            whole = len({owners[row] for row in rows if not waiting[owners[row]]})
            tell(len(rows), whole, sum(len(texts[row]) for row in rows))
    for row, same in repeated:
        vectors[row] = vectors[same]
    return Embedded(domain, group, vectors, len(missing))


def weight(ready: Ready) -> int:
    """Characters that are embedded of a document."""
    return sum(len(embedded_text(ready.document, chunk)) for chunk in ready.chunks)


def to_embed(group: Sequence[Ready], store: DocumentStore | None) -> int:
    """How many texts of a group would be embedded, of equal ones only the first; `store`: None where none is there."""
    held = {embedded_text(*pair) for ready in group for pair in _lent(ready, store)}
    return len({embedded_text(ready.document, chunk) for ready in group for chunk in ready.chunks} - held)


def embedded_text(document: Document, chunk: Chunk) -> str:
    """What is embedded and indexed of a chunk."""
    return search_text(document.title, chunk)


def _held(donors: Mapping[str, Ready], domain: str, store: DocumentStore, index: Index) -> dict[str, Vectors]:
    """The vectors of stored chunks, by the text that they were made of; donors by their ids, with who takes of them."""
    texts: dict[str, str] = {}
    for ready in donors.values():
        texts |= {_identity(domain, *pair): embedded_text(*pair) for pair in _lent(ready, store)}
    names = list(texts)
    held: dict[str, Vectors] = {}
    for first in range(0, len(names), CALL_CHUNKS):
        found = index.vectors(names[first : first + CALL_CHUNKS])
        held |= {texts[name]: vector for name, vector in found.items()}
    return held


def _lent(ready: Ready, store: DocumentStore | None) -> list[tuple[Document, Chunk]]:
    """The chunks of a document's donor, which was split by the same chunker."""
    donor = store.get(ready.donor) if ready.donor and store is not None else None
    if donor is None:
        return []
    return [(donor, chunk) for chunk in chunks_of(donor, chunker_of(ready.recipe, ready.document.source))]


def _identity(domain: str, document: Document, chunk: Chunk) -> str:
    return point_id(domain, document.id, chunk.start, chunk.end, sha256_text(chunk.text))
