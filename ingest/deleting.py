"""Removes a whole domain: its files, and its collections on a server. Knows no document."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress

from rag.build import drop_index, open_catalog, reach_index
from rag.catalog import Generation
from rag.documents import DocumentStore
from rag.errors import BackendError, CorpusError, IndexUnavailable, InvalidSettings, MissingIndex, UnknownDomain
from rag.settings import Settings
from rag.writer_lock import WriterLock


def delete_domain(settings: Settings, domain: str, *, leave_collections: bool = False) -> tuple[int, int]:
    """Remove a domain for good; how many documents and chunks were live. Raises IndexLocked while it is changed.

    The next question is told that there is no such domain; who is being answered from it is answered to the end, but
    for a search of a server, which may be refused. The counts are of when nobody else could change them any more; none
    where it is too damaged to be counted. Raises CorpusError where some of it cannot be removed, and IndexUnavailable,
    with nothing removed, where its server does not answer; leave_collections: what is there stays then.
    """
    catalog = open_catalog(settings)
    if not (catalog.live_name(domain) or catalog.generations(domain)):  # an interrupted deletion leaves the latter
        raise UnknownDomain.named(domain)
    lock = WriterLock(settings.data.directory, domain)
    try:
        counts = (0, 0)
        with suppress(CorpusError, UnknownDomain):
            live = catalog.live(domain)
            with closing(DocumentStore(live.documents_path, writable=False)) as store:
                counts = store.counts()
        held = []
        for name in catalog.generations(domain):
            with suppress(CorpusError):  # one without manifest was never filled
                held.append(catalog.open(domain, name))
        if not leave_collections:
            _check_reached(settings, held)
        catalog.unlist(domain)
        for generation in held:
            try:
                drop_index(settings, generation)
            except (BackendError, InvalidSettings):
                if not leave_collections:
                    raise
        catalog.delete(domain)
    finally:
        lock.release()
    return counts


def _check_reached(settings: Settings, held: Sequence[Generation]) -> None:
    """Raise IndexUnavailable where some of these generations are on a server that is not named or does not answer."""
    there = [generation for generation in held if generation.manifest.backend == "server"]
    try:
        with suppress(MissingIndex):
            if there:
                reach_index(settings, there[-1])
    except IndexUnavailable as error:
        raise IndexUnavailable(
            f"{error}; nothing was removed: `understudy ingest delete --all --leave-collections` removes the domain "
            "here and leaves what it has there"
        ) from error
