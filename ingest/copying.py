"""Stored documents with their vectors, from wherever they are into a new generation: copied, checked, never embedded.

Backup, restore and migration all stand on it. Knows no file format and no vector store.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from ingest.chunkers import under_terms
from ingest.embedding import Ready
from ingest.lending import Lender
from ingest.progress import Meter, Progress, Size
from ingest.target import OpenIndex, Target
from rag.catalog import Generation, Manifest
from rag.documents import DocumentStore, StoredChunk
from rag.errors import Cancelled, CorpusError, StorageFull
from rag.folder_copy import copy_shard
from rag.protocols import Index, IndexedChunk
from rag.types import Chunk, Document, point_id, sha256_text

GROUP_CHUNKS = 2048
"""Chunks that are read and written together: some megabytes of vectors."""

ASKED_CHUNKS = 512
"""Chunks that an index is asked for at once: a server answers with about two megabytes."""

Stored = tuple[Document, str, list[StoredChunk]]
"""A document, its recipe, and its chunks as the store knows them."""

Whole = tuple[Ready, list[IndexedChunk]]
"""A document as it is stored, and its chunks as they are indexed."""


class Source(Protocol):
    """Where documents with their vectors come from."""

    @property
    def manifest(self) -> Manifest:
        """What they were built with."""
        ...

    def counts(self) -> tuple[int, int]:
        """(documents, chunks)."""
        ...

    def read(self) -> Iterator[Whole]:
        """Every document, by id. Raises CorpusError where something is missing or altered."""
        ...


@dataclass(slots=True)
class Copied:
    """What is in a new generation now."""

    domain: str
    generation: str
    documents: int
    chunks: int
    seconds: float


class StoredGeneration:
    """A finished generation, read from its documents and its index. Closed by `opened`."""

    def __init__(self, generation: Generation, index: Index, store: DocumentStore) -> None:
        self.manifest = generation.manifest
        self._index, self._store = index, store

    def counts(self) -> tuple[int, int]:
        """(documents, chunks)."""
        return self._store.counts()

    def lender(self) -> Lender:
        """Its vectors, to be taken over as long as this is open."""
        return Lender(self._store, self._index)

    def read(self) -> Iterator[Whole]:
        """Every document by id, with the chunks that its index holds, which is asked for some hundred at a time."""
        waiting: list[Stored] = []
        count = 0
        for item in self._store.summaries():
            document, stored = self._store.whole(item.id), self._store.chunks(item.id)
            if document is None or document.text_sha256 != item.text_sha256:
                raise self._damaged(item.id, "its stored text does not match its hash")
            waiting.append((document, item.recipe, stored))
            count += len(stored)
            if count >= ASKED_CHUNKS:
                yield from self._held(waiting)
                waiting, count = [], 0
        yield from self._held(waiting)

    def _held(self, documents: Sequence[Stored]) -> Iterator[Whole]:
        names = [chunk.id for _, _, stored in documents for chunk in stored]
        held: dict[str, IndexedChunk] = {}
        for first in range(0, len(names), ASKED_CHUNKS):
            held |= self._index.chunks(names[first : first + ASKED_CHUNKS])
        for document, recipe, stored in documents:
            chunks = [self._whole(document, chunk, held.get(chunk.id)) for chunk in stored]
            named = under_terms(document.text, [chunk.chunk for chunk in chunks])
            chunks = [replace(chunk, chunk=whole) for chunk, whole in zip(chunks, named, strict=True)]
            yield Ready(document, recipe, [chunk.chunk for chunk in chunks]), chunks

    def _whole(self, document: Document, stored: StoredChunk, held: IndexedChunk | None) -> IndexedChunk:
        if held is None:
            raise self._damaged(document.id, "its index lacks a chunk")
        if held.chunk.text != document.text[stored.start : stored.end]:
            raise self._damaged(document.id, "a chunk in its index is not what its text says")
        return replace(held, metadata=document.metadata)  # an index may give 4.0 back as 4

    def _damaged(self, document: str, what: str) -> CorpusError:
        domain = self.manifest.domain
        return CorpusError(
            f"document {document!r} of domain {domain!r} is damaged: {what}; `understudy ingest verify --domain "
            f"{domain}` lists all, `understudy ingest rebuild --domain {domain}` makes its index anew"
        )


@contextmanager
def opened(generation: Generation, open_index: OpenIndex) -> Iterator[StoredGeneration]:
    """A finished generation, open for reading by whoever holds the domain's writer lock.

    The embedded index admits one process, which may be a service that answers: a copy of it is read.
    """
    copy = Generation(generation.folder, generation.manifest)
    embedded = generation.manifest.backend == "edge"
    reading = generation.reading_path
    shutil.rmtree(reading, ignore_errors=True)  # a crash may have left one
    try:
        if embedded:
            copy = Generation(reading, generation.manifest)
            copy_shard(generation, copy)
        index = open_index(copy, False)
        try:
            store = DocumentStore(generation.documents_path, writable=False)
            try:
                yield StoredGeneration(generation, index, store)
            finally:
                store.close()
        finally:
            index.close()
    finally:
        shutil.rmtree(reading, ignore_errors=True)


def groups(source: Source) -> Iterator[list[Whole]]:
    """The documents of a source in groups of about `GROUP_CHUNKS` chunks."""
    group: list[Whole] = []
    count = 0
    for whole in source.read():
        group.append(whole)
        count += len(whole[1])
        if count >= GROUP_CHUNKS:
            yield group
            group, count = [], 0
    if group:
        yield group


def measured(source: Source, progress: Callable[[Progress], None] | None) -> Meter:
    """A meter that counts chunks: all that there is to do is known."""
    documents, chunks = source.counts()
    meter = Meter({"": Size(chunks, documents)}, progress)
    meter.embedding()
    return meter


def count(meter: Meter, group: list[Whole]) -> None:
    """Tell a meter of `measured` that a group is done."""
    chunks = [len(whole[1]) for whole in group]
    for number in chunks:
        meter.read("", number)
    meter.embedded(sum(chunks), len(group), sum(chunks))


def fill(target: Target, source: Source, *, purpose: str, progress: Callable[[Progress], None] | None = None) -> Copied:
    """Write every document of a source into a target that was opened like its manifest, and make that live.

    What a crash left of the same purpose is gone on with. Raises CorpusError where the counts differ in the end, and
    the store's errors; the live generation is as it was then.
    """
    domain = target.manifest.domain
    meter = measured(source, progress)
    renamed = domain != source.manifest.domain
    try:
        target.begin(purpose)
        target.change()
        target.repair()
        there = {item.id for item in target.summaries()}
        for group in groups(source):
            fresh = [whole for whole in group if whole[0].document.id not in there]
            indexed = [[_renamed(chunk, domain) for chunk in chunks] if renamed else chunks for _, chunks in fresh]
            target.commit([ready for ready, _ in fresh], indexed)
            count(meter, group)
        held, wanted = target.store.counts(), source.counts()
        if held != wanted:
            raise CorpusError(
                f"{held[0]} documents with {held[1]} chunks were copied of {wanted[0]} with {wanted[1]}: nothing of "
                f"domain {domain!r} was changed"
            )
        meter.finish()
        target.promote()
    except (Cancelled, CorpusError, StorageFull):  # of most other errors the next run goes on with what is there
        target.drop()
        raise
    generation = target.manifest.generation
    return Copied(domain, generation, wanted[0], wanted[1], meter.seconds())


def _renamed(chunk: IndexedChunk, domain: str) -> IndexedChunk:
    return replace(chunk, id=chunk_id(domain, chunk.document_id, chunk.chunk))


def chunk_id(domain: str, document_id: str, chunk: Chunk) -> str:
    """The identity of a chunk in a domain."""
    return point_id(domain, document_id, chunk.start, chunk.end, sha256_text(chunk.text))
