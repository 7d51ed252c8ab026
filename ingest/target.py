"""A domain that is open for writing: changes go into a side generation, which becomes the live one at once or never.

The live generation is only read. The first change copies it; documents are then embedded and written to the copy, some
at a time: marked pending, chunks upserted, stale ones deleted, then committed. `promote` puts the copy in its place.
What a crash leaves is taken up by the next run for the same purpose, or removed by any other. Knows no corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from ingest import chunkers
from ingest.chunkers import chunks_of
from ingest.embedding import Embedded, Group, Ready, embed
from ingest.lending import Lender, digest
from ingest.recipes import chunker_of, embedded_as_today
from rag.catalog import Catalog, Generation, Manifest, Unfinished, check_compatible, new_manifest
from rag.documents import DocumentStore, DocumentSummary, StoredChunk
from rag.errors import BackendError, CorpusError, IncompatibleIndex, InvalidSettings, RagError, UnknownDomain
from rag.folder_copy import copy_shard
from rag.protocols import Embedder, Index, IndexedChunk
from rag.types import FieldType
from rag.writer_lock import WriterLock

UPSERT_CHUNKS = 256
"""Chunks of one upsert: a few megabytes of points."""

OpenIndex = Callable[[Generation, bool], Index]
"""The index of a generation; the second argument says whether to create it."""

CopyIndex = Callable[[Generation, Generation], None]
"""Copies the index of the first generation into the second."""

Publish = Callable[[Generation], None]
"""Lets others find the index of the live generation, if they do not yet."""

Tidy = Callable[[str], None]
"""Removes superseded generations of a domain."""


class Target:
    """An open domain to write to; one at a time for each domain, in whatever process. Close it."""

    def __init__(
        self,
        domain: str,
        *,
        catalog: Catalog,
        embedder: Embedder | None,
        open_index: OpenIndex,
        backend: str,
        create: bool,
        fields: Mapping[str, FieldType] | None = None,
        title: str = "",
        language: str = "",
        gentle: bool = False,
        afresh: bool = False,
        like: Manifest | None = None,
        copy_index: CopyIndex = copy_shard,
        drop_index: Callable[[Generation], None] = lambda _: None,
        publish: Publish = lambda _: None,
        tidy: Tidy = lambda _: None,
        words_fingerprint: str = "",
    ) -> None:
        """Open a domain, or prepare a new one where `create` says so: it is there once something was promoted.

        gentle: in a process that answers meanwhile. afresh: whatever the live generation was built with, the side
        generation begins empty, with today's embedder and chunker. like: it begins empty as well, to be filled with
        chunks that were embedded as this manifest says; no embedder is needed then. words_fingerprint: how the index
        weighs words. Raises IndexLocked (another writer), UnknownDomain, IncompatibleIndex and the store's errors.
        """
        self._embedder = embedder
        self._catalog, self.open_index, self._copy_index = catalog, open_index, copy_index
        self._drop_index, self._publish, self._tidy, self._gentle = drop_index, publish, tidy, gentle
        self._index: Index | None = None
        self._store: DocumentStore | None = None
        self._changing, self._purpose, self._afresh = False, "", afresh or like is not None
        self._touched: set[str] = set()
        self.lender: Lender | None = None
        """Where vectors are taken from, if not from what is open here."""
        self._lends = False
        """Whether what is open here held anything before this run, whose own documents lend nothing."""
        self._lock = WriterLock(catalog.data_directory, domain)
        try:
            self._live = self._find_live(domain, create=create)
            live = self._live.manifest if self._live else None
            name = catalog.next_generation(domain)
            if like is not None:
                own = {"domain": domain, "generation": name, "backend": backend, "created": datetime.now(UTC)}
                own["words_fingerprint"] = words_fingerprint  # words are weighed as they are written
                self.manifest = like.model_copy(update=own)
            elif live is None or afresh:
                self.manifest = new_manifest(
                    domain=domain,
                    generation=name,
                    backend=backend,
                    embedder=self.embedder.name,
                    embedder_fingerprint=self.embedder.fingerprint,
                    weights_sha256=self.embedder.weights_sha256,
                    dimensions=self.embedder.dimensions,
                    chunker_fingerprint=chunkers.FINGERPRINT,
                    words_fingerprint=words_fingerprint,
                    fields={**(live.fields if live else {}), **(fields or {})},
                    title=live.title if live else title,
                    language=live.language if live else language,
                )
            else:
                said = {"title": title or live.title, "language": language or live.language}
                self.manifest = live.model_copy(update={**said, "fields": {**live.fields, **(fields or {})}})
            self.generation: Generation | None = self._live
        except RagError:
            self._lock.release()
            raise

    # --- the life of a side generation ---

    def live(self) -> Generation:
        """The live generation, which nobody else changes as long as this is open. Raises UnknownDomain."""
        if self._live is None:
            raise UnknownDomain.named(self.manifest.domain)
        return self._live

    def begin(self, purpose: str = "") -> None:
        """Take up what an interrupted run for the same purpose left; remove what any other left."""
        domain = self.manifest.domain
        base = self._live.manifest.generation if self._live else ""
        finished: set[str] = set()  # of a domain that is not there, what an interrupted deletion left
        if self._live is not None:
            finished = {generation.manifest.generation for generation in self._catalog.finished(domain)}
            self._rename(self._live)
            if not self._afresh:
                self._publish(self._live)  # a crash just after it became live
        for name in self._catalog.generations(domain):
            if name in finished or self._changing:
                continue
            try:
                left = self._catalog.open(domain, name)
            except IncompatibleIndex:
                continue  # of another version's format
            except CorpusError:
                self._catalog.remove(domain, name)
                continue
            said = self._catalog.unfinished(left)
            own = {"generation": "", "created": self.manifest.created, "identity": self.manifest.identity}
            fits = left.manifest.model_copy(update=own)
            wanted = self.manifest.model_copy(update={"generation": "", "base": base})
            if purpose and said == Unfinished(base=base, purpose=purpose, filled=True) and fits == wanted:
                self._change_in(left)
            elif left.manifest.backend == self.manifest.backend:
                self._remove(left)
            else:
                with suppress(BackendError, InvalidSettings):  # a migration's, on a server that is not there: later
                    self._remove(left)
        self._purpose = purpose
        self._lends = self._changing or (self._live is not None and not self._afresh)
        if self._live is not None and self.manifest.fields != self._live.manifest.fields:
            self.change()

    def change(self) -> None:
        """Make sure that there is a side generation: from now on `store` and `index` are its."""
        if self._changing:
            return
        domain = self.manifest.domain
        base = self._live.manifest.generation if self._live else ""
        name = self._catalog.next_generation(domain)
        manifest = self.manifest.model_copy(update={"generation": name, "base": base, "created": datetime.now(UTC)})
        begun = Unfinished(base=base, purpose=self._purpose)
        side = self._catalog.create(manifest, begun)
        try:
            if self._live is not None and not self._afresh:
                self._copy_index(self._live, side)
                self.store.copy_to(side.documents_path)
            self._catalog.mark(side, begun.model_copy(update={"filled": True}))
            self._change_in(side)
        except BaseException:
            self._changing = False
            with suppress(BackendError):  # told is what went wrong first; the next run removes it
                self._remove(side)
            raise

    def promote(self) -> bool:
        """Make the side generation the live one; False when nothing was changed.

        Raises CorpusError, and leaves the live one as it is, when index and documents do not agree.
        """
        if not self._changing:
            return False
        self.index.optimize()
        held, stored = self.index.count(), self.store.counts()[1]
        if held != stored or self.store.pending():
            self.drop()
            raise CorpusError(
                f"the new generation of {self.manifest.domain!r} holds {held} chunks in its index and {stored} in its "
                "documents, so that it was not made live: run the command again, it begins anew"
            )
        self.index.close()
        self.store.finish()
        side = self.generation
        assert side is not None  # noqa: S101  # `_changing` says so
        self.open_index(side, False).close()  # what cannot be opened, or finds no room for it, never becomes live
        self._catalog.promote(side)
        self._live, self._index, self._store, self._changing = side, None, None, False
        self.manifest = side.manifest
        self._publish(side)
        self._tidy(self.manifest.domain)
        return True

    def drop(self) -> None:
        """Give the side generation up; the live one is untouched."""
        if not self._changing:
            return
        side = self.generation
        self._release()
        self._changing, self.generation = False, self._live
        if side is not None:
            self._remove(side)

    def close(self) -> None:
        """Release index, documents and lock. A side generation that was not promoted waits for the next run."""
        self._release()
        self._lock.release()

    # --- what is open: the side generation, else the live one ---

    @property
    def embedder(self) -> Embedder:
        """Who makes the vectors, where this was not opened to take over vectors that are there."""
        if self._embedder is None:
            raise ValueError("this target was opened without an embedder")
        return self._embedder

    @property
    def index(self) -> Index:
        """The index. Raises IndexLocked when it is the live one's and another process answers from it."""
        if self._index is None:
            self._index = self.open_index(self._opened(), self._changing)
        return self._index

    @property
    def store(self) -> DocumentStore:
        """The documents."""
        if self._store is None:
            self._store = DocumentStore(self._opened().documents_path, writable=self._changing)
        return self._store

    def summaries(self) -> list[DocumentSummary]:
        """Every stored document; none in a domain that is new."""
        return [] if self.generation is None else self.store.summaries()

    # --- writing ---

    def prepare(self, documents: list[Ready]) -> Group:
        """Documents to be embedded together, with what the domain lends them; from now on they lend nothing.

        A generation that begins empty is made while the first of them are embedded, by `write`.
        """
        lender = self.lender
        if lender is None and self._lends:
            self.change()
            lender = Lender(self.store, self.index, self._touched)
        group = Group(documents, self.manifest.domain, self.embedder, lender)
        self._touched.update(ready.document.id for ready in documents)
        return group

    def embed(self, group: Group, tell: Callable[[int, int, int], None] | None = None) -> Iterator[Embedded]:
        """A group's documents with their vectors, to be written; `tell` as in ingest.embedding."""
        return embed(group, self.embedder, gentle=self._gentle, tell=tell)

    def write(self, done: Embedded) -> int:
        """Write embedded documents; the number of chunks."""
        return self.commit(done.documents, done.chunks())

    def commit(self, group: Sequence[Ready], indexed: list[list[IndexedChunk]]) -> int:
        """Write embedded documents: pending, upserted, stale chunks deleted, committed."""
        self.change()
        changes: list[tuple[str, list[str]]] = []
        stale: list[str] = []
        known = self.store.chunk_ids([ready.document.id for ready in group])
        for ready, chunks in zip(group, indexed, strict=True):
            new = [chunk.id for chunk in chunks]
            gone = set(known.get(ready.document.id, ())) - set(new)
            stale.extend(gone)
            changes.append((ready.document.id, [*new, *gone]))
        self.store.begin(changes)
        everything = [chunk for chunks in indexed for chunk in chunks]
        for first in range(0, len(everything), UPSERT_CHUNKS):
            self.index.upsert(everything[first : first + UPSERT_CHUNKS])
        self.index.delete_chunks(stale)
        self.store.commit(
            [
                (ready.document, ready.recipe, _stored(chunks, known=embedded_as_today(ready.recipe)))
                for ready, chunks in zip(group, indexed, strict=True)
            ]
        )
        return len(everything)

    def delete(self, document_ids: list[str]) -> int:
        """Remove documents; the number of chunks removed."""
        if not document_ids:
            return 0
        self.change()
        known = self.store.chunk_ids(document_ids)
        self.store.begin([(name, known.get(name, ())) for name in document_ids])
        count = self.index.delete_documents(document_ids)
        self.store.delete(document_ids)
        return count

    def repair(self) -> int:
        """Put right what an interrupted run left: a stored version is written again, an unstored one removed."""
        if self.generation is None or not (pending := self.store.pending()):
            return 0
        self.change()
        recipes = {summary.id: summary.recipe for summary in self.store.summaries()}
        for name, chunk_ids in pending.items():
            document = self.store.get(name)
            self.index.delete_chunks(chunk_ids)
            if document is None:
                self.store.delete([name])
            else:
                chunker = chunker_of(recipes[name], document.source)
                group = self.prepare([Ready(document, recipes[name], chunks_of(document, chunker))])
                for done in self.embed(group):
                    self.write(done)
        return len(pending)

    # --- parts ---

    def _find_live(self, domain: str, *, create: bool) -> Generation | None:
        try:
            live = self._catalog.live(domain)
        except UnknownDomain:
            if not create:
                raise
            return None
        if self._afresh:
            return live
        check_compatible(
            live.manifest,
            embedder=self.embedder.name,
            embedder_fingerprint=self.embedder.fingerprint,
            chunker_fingerprint=chunkers.FINGERPRINT,
        )
        return live

    def _rename(self, live: Generation) -> None:
        """Give the live generation the title and language that are declared now: no document changes by them."""
        said = {"title": self.manifest.title, "language": self.manifest.language}
        if not self._afresh and live.manifest.model_copy(update=said) != live.manifest:
            self._live = self.generation = self._catalog.update(live, live.manifest.model_copy(update=said))

    def _opened(self) -> Generation:
        if self.generation is None:
            raise UnknownDomain(f"there is nothing in domain {self.manifest.domain!r} yet")
        return self.generation

    def _change_in(self, side: Generation) -> None:
        self._release()
        self.generation, self._changing, self._touched = side, True, set()
        self._index = self.open_index(side, True)
        self._store = DocumentStore(side.documents_path, writable=True)

    def _release(self) -> None:
        index, store = self._index, self._store
        self._index = self._store = None
        if index is not None:
            index.close()
        if store is not None:
            store.close()

    def _remove(self, side: Generation) -> None:
        self._drop_index(side)
        self._catalog.remove(self.manifest.domain, side.manifest.generation)


def _stored(chunks: Sequence[IndexedChunk], *, known: bool) -> list[StoredChunk]:
    """Chunks as the store keeps them; known: whether their vectors were made of what is their text today."""
    return [
        StoredChunk(id=c.id, start=c.chunk.start, end=c.chunk.end, embedded=digest(c.search_text) if known else "")
        for c in chunks
    ]
