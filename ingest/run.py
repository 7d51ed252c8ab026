"""Brings a corpus into a domain: read, split, embed, write. A library call; the command line and the API stand on it.

Reading and splitting run ahead in one thread, writing behind in another, so that the embedder, which is
nearly all of the work, never waits. Documents are written in groups: marked pending, chunks upserted, stale
ones deleted, then committed; whatever a crash interrupts is put right by the next run. What did not change is not
embedded again. Knows no file format and no vector store.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ingest import splitting
from ingest.corpus import Corpus, Found, Unreadable
from ingest.metadata import typed
from rag.catalog import Catalog, Generation, check_compatible, check_domain_name, new_manifest
from rag.documents import DocumentStore, StoredChunk
from rag.errors import RagError, UnknownDomain, UnreadableDocument
from rag.protocols import Embedder, Index, IndexedChunk
from rag.types import Chunk, Document, FieldType, Filter, point_id, sha256_text

GROUP_CHUNKS = 2048
"""Chunks that are sorted by length, embedded and committed together. On NQ the embedder pads 7.5% of its tokens in
groups of 512, 4.5% in 1,024, 2.8% in 2,048, 1.1% in one."""

CALL_CHUNKS = 256
"""Chunks of one call of the embedder and of one upsert: some seconds of progress, a few megabytes of points."""

RECIPE = "title-heading-text-1"
"""How a chunk becomes the text that is embedded and indexed."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `documents` of about `total` are unchanged, unreadable, or embedded; `chunks` are embedded."""

    documents: int
    total: int
    chunks: int
    seconds: float
    """Since the start of the run."""


@dataclass(slots=True)
class Summary:
    """What a run did."""

    domain: str
    generation: str
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    repaired: int = 0
    chunks: int = 0
    seconds: float = 0.0
    unreadable: list[Unreadable] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Ready:
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

    def write(self, group: list[_Ready]) -> int:
        """Embed a group and write it; the number of chunks."""
        return self.commit(group, self.embed(group))

    def embed(self, group: list[_Ready], tell: Callable[[int], None] | None = None) -> list[list[IndexedChunk]]:
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

    def commit(self, group: list[_Ready], indexed: list[list[IndexedChunk]]) -> int:
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
                self.write([_Ready(document, recipes[name], chunks_of(document))])
        return len(pending)

    def _known_chunks(self, document_id: str) -> list[str]:
        return [chunk.id for chunk in self.store.chunks(document_id)]


def apply(
    corpus: Corpus, target: Target, *, prune: bool = False, progress: Callable[[Progress], None] | None = None
) -> Summary:
    """Bring a corpus into an open domain; documents of the domain that it does not hold stay, unless `prune`.

    One bad file never stops the rest: it is in `Summary.unreadable`. Raises the store's and the embedder's errors.
    """
    begin = time.monotonic()
    manifest = target.generation.manifest
    summary = Summary(domain=manifest.domain, generation=manifest.generation)
    summary.repaired = target.repair()
    known = {item.id: (item.file_sha256, item.recipe, item.source) for item in target.store.summaries()}
    seen: dict[str, str] = {}
    total = corpus.estimate() if progress else 0

    def groups() -> Iterator[list[_Ready]]:
        group: list[_Ready] = []
        count = 0
        for found in corpus.documents():
            ready = _take(found, known, seen, summary, manifest.fields)
            if ready is None:
                continue
            group.append(ready)
            count += len(ready.chunks)
            if count >= GROUP_CHUNKS:
                yield group
                group, count = [], 0
        if group:
            yield group

    done = embedded = 0

    def tell(chunks: int = 0) -> None:
        nonlocal embedded
        embedded += chunks
        if progress is not None:
            looked = done + summary.unchanged + len(summary.unreadable)
            progress(Progress(looked, max(total, looked), embedded, time.monotonic() - begin))

    with ThreadPoolExecutor(1, thread_name_prefix="ingest-write") as writer:
        written: Future[int] | None = None
        for group in _ahead(groups()):
            indexed = target.embed(group, tell)
            done += len(group)
            if written is not None:
                summary.chunks += written.result()
            written = writer.submit(target.commit, group, indexed)
            tell()
        if written is not None:
            summary.chunks += written.result()
    if prune and seen:
        gone = _missing(known, seen, summary)
        target.delete(gone)
        summary.removed = len(gone)
    if summary.chunks or summary.removed:
        target.index.optimize()
    summary.seconds = time.monotonic() - begin
    tell()
    return summary


def _missing(known: Mapping[str, tuple[str, str, str]], seen: Mapping[str, str], summary: Summary) -> list[str]:
    """Stored documents whose file or row is gone; one that is there but unreadable now stays as it was."""
    broken = {item.source for item in summary.unreadable}
    return sorted(
        name
        for name, (_, _, source) in known.items()
        if name not in seen and source not in broken and source.split("#", 1)[0] not in broken
    )


def _take(
    found: Found | Unreadable,
    known: Mapping[str, tuple[str, str, str]],
    seen: dict[str, str],
    summary: Summary,
    fields: Mapping[str, FieldType],
) -> _Ready | None:
    """Read and split a document if it is new or changed; count it either way."""
    if isinstance(found, Unreadable):
        summary.unreadable.append(found)
        return None
    if found.id in seen:
        reason = f"its id {found.id[:80]!r} is taken by {seen[found.id]}; ids must be unique within a domain"
        summary.unreadable.append(Unreadable(found.source, reason))
        return None
    seen[found.id] = found.source
    declared = ",".join(f"{name}:{kind}" for name, kind in sorted(fields.items()))
    recipe = f"{found.recipe}/{splitting.FINGERPRINT}/{RECIPE}/{declared}"
    if known.get(found.id) == (found.file_sha256, recipe, found.source):
        summary.unchanged += 1
        return None
    try:
        document = found.read()
        document = document.model_copy(update={"metadata": typed(document.metadata, fields)})
    except UnreadableDocument as error:
        summary.unreadable.append(Unreadable(found.source, str(error)))
        return None
    except Exception as error:  # noqa: BLE001  # parsers raise anything on a bad file, which must not stop the rest
        summary.unreadable.append(Unreadable(found.source, f"its reader failed: {type(error).__name__}: {error}"))
        return None
    if found.id in known:
        summary.changed += 1
    else:
        summary.new += 1
    return _Ready(document, recipe, chunks_of(document))


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


def _ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, produced one ahead in a thread; an exception there is raised here."""
    ready: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(1)
    stopped = threading.Event()

    def offer(item: tuple[T] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def produce() -> None:
        try:
            for item in items:
                offer((item,))
                if stopped.is_set():
                    return
            offer(None)
        except BaseException as error:  # carried over to the consumer, which raises it
            offer(error)
            raise SystemExit from error

    thread = threading.Thread(target=produce, name="ingest-read", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        stopped.set()
        thread.join()
