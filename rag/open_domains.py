"""The domains that are open for questions: each opened on first use, replaced when a newer generation is live.

Whoever answers holds on to the `OpenDomain` that it began with, and so reads one generation to the end; a superseded
one is closed when the last of them lets go. Knows the catalog, the index and the document store of a generation; no
question and no model.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from rag.catalog import Catalog, Generation, check_compatible
from rag.documents import DocumentStore
from rag.errors import RagError, UnknownDomain
from rag.protocols import Embedder, Index
from rag.scoping import MAX_DOCUMENTS, Scopes


class OpenDomain:
    """A domain that is open for questions; closed by `close`, or when nobody refers to it any more."""

    def __init__(self, generation: Generation, index: Index, documents: DocumentStore) -> None:
        self.generation, self.index, self.documents = generation, index, documents
        self._release = weakref.finalize(self, _release, index, documents)
        self._scopes: tuple[int, Scopes] | None = None

    def text_of(self, document_id: str) -> str:
        """A document's whole text; empty for one that is gone."""
        document = self.documents.get(document_id)
        return document.text if document else ""

    def scopes(self) -> Scopes:
        """The names, years and numbers of its documents, read anew when one changed."""
        version = self.documents.version()
        if self._scopes is None or self._scopes[0] != version:
            small = self.documents.counts()[0] <= MAX_DOCUMENTS
            known = (self.documents.metadata(), self.documents.titles()) if small else ({}, [])
            self._scopes = (version, Scopes(*known))
        return self._scopes[1]

    @property
    def gone(self) -> bool:
        """Whether it was deleted, or superseded for so long that it was removed, since it was opened."""
        return not self.generation.folder.is_dir()

    def close(self) -> None:
        """Release both stores."""
        self._release()


def _release(index: Index, documents: DocumentStore) -> None:
    index.close()
    documents.close()


class OpenDomains:
    """What was asked of one catalog, kept open. Thread-safe."""

    def __init__(self, catalog: Catalog, embedder: Embedder, open_index: Callable[[Generation], Index]) -> None:
        self._catalog, self._embedder, self._open_index = catalog, embedder, open_index
        self._open: dict[str, OpenDomain] = {}
        self._opening: dict[str, threading.Lock] = {}
        """One a domain: opening a large shard takes seconds, for which no other domain waits."""
        self._lock = threading.Lock()

    def get(self, name: str) -> OpenDomain:
        """The live generation of a domain; the one before it while another caller is opening that.

        Raises UnknownDomain, IncompatibleIndex and BackendError.
        """
        generation = self._live(name)
        with self._lock:
            known = self._open.get(name)
            opening = self._opening.setdefault(name, threading.Lock())
        if known is not None and known.generation.manifest == generation.manifest:
            return known
        if not opening.acquire(blocking=known is None or not known.generation.folder.is_dir()):
            assert known is not None  # noqa: S101  # else it would have waited
            return known
        try:
            return self._renewed(name)
        finally:
            opening.release()

    def _live(self, name: str) -> Generation:
        try:
            return self._catalog.live(name)
        except UnknownDomain:
            with self._lock:
                self._open.pop(name, None)
            raise

    def _renewed(self, name: str) -> OpenDomain:
        """The live generation, opened and known from now on; called by one at a time for each domain."""
        while True:
            # Asked again: while this one waited, others may have opened a newer one, and let go of what it saw.
            generation = self._live(name)
            with self._lock:
                known = self._open.get(name)
            if known is not None and known.generation.manifest == generation.manifest:
                return known
            try:
                opened = self._opened(generation)
            except RagError:
                if self._catalog.live_name(name) != generation.manifest.generation:
                    continue  # superseded and removed, or deleted, while it was being opened
                raise
            with self._lock:
                self._open[name] = opened
            return opened

    def _opened(self, generation: Generation) -> OpenDomain:
        check_compatible(
            generation.manifest,
            embedder=self._embedder.name,
            embedder_fingerprint=self._embedder.fingerprint,
            chunker_fingerprint=None,
        )
        index = self._open_index(generation)
        try:
            documents = DocumentStore(generation.documents_path, writable=False)
        except RagError:
            index.close()
            raise
        return OpenDomain(generation, index, documents)

    def close(self) -> None:
        """Release every one; a second call does nothing."""
        with self._lock:
            domains, self._open = list(self._open.values()), {}
        for domain in domains:
            domain.close()
