"""A domain that is open for writing: embeds documents, writes them, removes them, repairs what a crash left.

Documents are written in groups: marked pending, chunks upserted, stale ones deleted, then committed; a crash at
any moment leaves the old document, the new one, or a pending mark that `repair` puts right. Knows no corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ingest import splitting
from rag.catalog import Catalog, Generation, check_compatible, check_domain_name, new_manifest
from rag.documents import DocumentStore, StoredChunk
from rag.errors import RagError, UnknownDomain
from rag.protocols import Embedder, Index, IndexedChunk
from rag.types import Chunk, Document, FieldType, Filter, point_id, sha256_text

CALL_CHUNKS = 256
"""Chunks of one call of the embedder and of one upsert: some seconds of progress, a few megabytes of points."""

RECIPE = "title-heading-text-1"
"""How a chunk becomes the text that is embedded and indexed."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A document that was split and waits for its vectors."""

    document: Document
    recipe: str
    chunks: list[Chunk]


OpenIndex = Callable[[Generation, bool], Index]
"""The index of a generation; the second argument says whether to create it."""


class Target:
    """An open domain to write to: its generation, index and documents. Close it."""

    def __init__(
        self,
        domain: str,
        *,
        catalog: Catalog,
        embedder: Embedder,
        open_index: OpenIndex,
        backend: str,
        create: bool,
        fields: Mapping[str, FieldType] | None = None,
        title: str = "",
        language: str = "",
    ) -> None:
        """Open the live generation, or make and promote a first one where `create` says so.

        A first generation is live from its beginning: until the run ends readers see the documents that are
        in so far, each whole. Raises UnknownDomain, IncompatibleIndex, IndexLocked and the store's errors.
        """
        check_domain_name(domain)
        self.embedder = embedder
        try:
            self.generation = catalog.live(domain)
        except UnknownDomain:
            if not create:
                raise
            self.generation = catalog.create(
                new_manifest(
                    domain=domain,
                    generation=catalog.next_generation(domain),
                    backend=backend,
                    embedder=embedder.name,
                    embedder_fingerprint=embedder.fingerprint,
                    weights_sha256=embedder.weights_sha256,
                    dimensions=embedder.dimensions,
                    chunker_fingerprint=splitting.FINGERPRINT,
                    fields=fields or {},
                    title=title,
                    language=language,
                )
            )
        check_compatible(
            self.generation.manifest,
            embedder=embedder.name,
            embedder_fingerprint=embedder.fingerprint,
            chunker_fingerprint=splitting.FINGERPRINT,
        )
        if fields and not set(fields.items()) <= set(self.generation.manifest.fields.items()):
            merged = {**self.generation.manifest.fields, **fields}
            manifest = self.generation.manifest.model_copy(update={"fields": merged})
            self.generation = catalog.update(self.generation, manifest)
        self.index = open_index(self.generation, create)
        try:
            self.store = DocumentStore(self.generation.documents_path, writable=True)
            if create:
                catalog.promote(self.generation)
        except RagError:
            self.index.close()
            raise

    def close(self) -> None:
        """Release index and documents."""
        self.index.close()
        self.store.close()

    def write(self, group: list[Ready]) -> int:
        """Embed a group and write it; the number of chunks."""
        return self.commit(group, self.embed(group))

    def embed(self, group: list[Ready], tell: Callable[[int], None] | None = None) -> list[list[IndexedChunk]]:
        """The chunks of each document with their vectors; `tell` hears how many each call embedded."""
        texts = [embedded_text(ready.document, chunk) for ready in group for chunk in ready.chunks]
        vectors = np.empty((len(texts), self.embedder.dimensions), np.float32)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))  # like lengths in one call: less padding
        for first in range(0, len(order), CALL_CHUNKS):
            rows = order[first : first + CALL_CHUNKS]
            vectors[rows] = self.embedder.embed([texts[row] for row in rows])
            if tell is not None:
                tell(len(rows))
        domain = self.generation.manifest.domain
        out: list[list[IndexedChunk]] = []
        row = 0
        for ready in group:
            document, sha256 = ready.document, ready.document.text_sha256
            indexed = []
            for chunk in ready.chunks:
                identity = point_id(domain, document.id, chunk.start, chunk.end, sha256_text(chunk.text))
                indexed.append(
                    IndexedChunk(
                        id=identity,
                        document_id=document.id,
                        title=document.title,
                        text_sha256=sha256,
                        chunk=chunk,
                        metadata=document.metadata,
                        vector=vectors[row],
                        search_text=texts[row],
                    )
                )
                row += 1
            out.append(indexed)
        return out

    def commit(self, group: list[Ready], indexed: list[list[IndexedChunk]]) -> int:
        """Write embedded documents: pending, upserted, stale chunks deleted, committed."""
        changes: list[tuple[str, list[str]]] = []
        stale: list[str] = []
        for ready, chunks in zip(group, indexed, strict=True):
            new = [chunk.id for chunk in chunks]
            gone = set(self._known_chunks(ready.document.id)) - set(new)
            stale.extend(gone)
            changes.append((ready.document.id, [*new, *gone]))
        self.store.begin(changes)
        everything = [chunk for chunks in indexed for chunk in chunks]
        for first in range(0, len(everything), CALL_CHUNKS):
            self.index.upsert(everything[first : first + CALL_CHUNKS])
        self.index.delete_chunks(stale)
        self.store.commit(
            [
                (
                    ready.document,
                    ready.recipe,
                    [StoredChunk(id=c.id, start=c.chunk.start, end=c.chunk.end) for c in chunks],
                )
                for ready, chunks in zip(group, indexed, strict=True)
            ]
        )
        return len(everything)

    def delete(self, document_ids: list[str]) -> int:
        """Remove documents; the number of chunks removed. A crash in between is repaired by the next writer."""
        self.store.begin([(name, self._known_chunks(name)) for name in document_ids])
        count = self.index.delete_documents(document_ids)
        self.store.delete(document_ids)
        return count

    def repair(self) -> int:
        """Put right what an interrupted run left: a stored version is written again, an unstored one removed."""
        pending = self.store.pending()
        recipes = {summary.id: summary.recipe for summary in self.store.summaries()} if pending else {}
        for name, chunk_ids in pending.items():
            document = self.store.get(name)
            self.index.delete_chunks(chunk_ids)
            if document is None:
                self.store.delete([name])
            else:
                self.write([Ready(document, recipes[name], chunks_of(document))])
        return len(pending)

    def _known_chunks(self, document_id: str) -> list[str]:
        return [chunk.id for chunk in self.store.chunks(document_id)]


def chunks_of(document: Document) -> list[Chunk]:
    """The chunks of a document; one of bare headings is one chunk, so that no stored document is invisible."""
    chunks = list(splitting.split(document.text, title=document.title))
    if chunks:
        return chunks
    start = len(document.text) - len(document.text.lstrip())
    text = document.text.strip()[: splitting.CUT]
    return [Chunk(start=start, end=start + len(text), text=text)]


def embedded_text(document: Document, chunk: Chunk) -> str:
    """What is embedded and indexed of a chunk: title, headings and text, one a line."""
    return "\n".join(part for part in (document.title, chunk.heading, chunk.text) if part)


def verify(target: Target) -> list[str]:
    """What is wrong with a stored domain, one sentence each; nothing when all is well."""
    problems = [f"{name}: a change of it was interrupted; run apply again" for name in target.store.pending()]
    documents, chunks = target.store.counts()
    if (held := target.index.count()) != chunks:
        problems.append(f"the index holds {held} chunks, the {documents} stored documents have {chunks}")
    for summary in target.store.summaries():
        document = target.store.get(summary.id)
        if document is None or document.text_sha256 != summary.text_sha256:
            problems.append(f"{summary.id}: its stored text does not match its hash")
            continue
        stored = target.store.chunks(summary.id)
        if any(not 0 <= chunk.start < chunk.end <= len(document.text) for chunk in stored):
            problems.append(f"{summary.id}: a chunk lies outside its text")
        if (held := target.index.count(Filter(documents=(summary.id,)))) != len(stored):
            problems.append(f"{summary.id}: the index holds {held} of its {len(stored)} chunks")
    return problems
