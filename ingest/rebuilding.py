"""Builds a domain anew from its stored texts: split and embedded as today, beside the live generation, then swapped.

For a changed embedder or chunker. No source is needed, and the old generation is kept to go back to. Of a chunker whose
next version cuts nearly everything as before, only what it cuts otherwise is embedded. Knows no corpus.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

from ingest import chunkers
from ingest.chunkers import chunks_of
from ingest.copying import opened
from ingest.embedding import Ready, weight
from ingest.progress import Meter, Progress, Size
from ingest.recipes import chunker_of, renewed
from ingest.run import Summary
from ingest.target import Target
from ingest.writing import write
from rag.catalog import Generation, Manifest
from rag.documents import DocumentStore


def rebuild(target: Target, *, progress: Callable[[Progress], None] | None = None) -> Summary:
    """Write every document of the live generation anew into a target that was opened afresh.

    That one is asked of the target, since nobody else may change the domain as long as it is open. Where it was made by
    today's embedder, and another chunker or other weights of words, it lends its vectors; where nothing has changed,
    somebody mistrusts it, and every text is embedded. Raises UnknownDomain, and the store's and the embedder's errors.

    After a crash the next rebuild with the same embedder and chunker goes on where this one ended.
    """
    begin = time.monotonic()
    live = target.live()
    summary = Summary(domain=target.manifest.domain, generation="")
    with ExitStack() as lent:
        old = lent.enter_context(closing(DocumentStore(live.documents_path, writable=False)))
        if _lends(live.manifest, target.manifest):
            # its vectors alone are read, however its words were weighed
            unweighed = live.manifest.model_copy(update={"words_fingerprint": ""})
            source = opened(Generation(live.folder, unweighed), target.open_index)
            target.lender = lent.enter_context(source).lender()
        target.begin(f"rebuild/{target.embedder.fingerprint}/{chunkers.FINGERPRINT}")
        target.change()
        summary.repaired = target.repair()
        there = {item.id for item in target.summaries()}
        stored = old.summaries()
        meter = Meter({item.id: Size(item.characters) for item in stored}, progress)

        def anew() -> Iterator[Ready]:
            for item in stored:
                document = None if item.id in there else old.whole(item.id)
                summary.changed += 1  # those too that an interrupted run has written
                if document is None:
                    meter.read(item.id)
                    continue
                chunks = chunks_of(document, chunker_of(item.recipe, item.source))
                ready = Ready(document, renewed(item.recipe, item.source), chunks)
                meter.read(item.id, weight(ready))
                yield ready

        written = write(anew(), target, meter)
    summary.chunks, summary.reused = written.computed, written.reused
    meter.finish()
    target.promote()
    summary.generation = target.manifest.generation
    summary.seconds = time.monotonic() - begin
    return summary


def _lends(live: Manifest, new: Manifest) -> bool:
    if live.embedder_fingerprint != new.embedder_fingerprint:
        return False
    return (live.chunker_fingerprint, live.words_fingerprint) != (new.chunker_fingerprint, new.words_fingerprint)
