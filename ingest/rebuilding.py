"""Builds a domain anew from its stored texts: split and embedded as today, beside the live generation, then swapped.

For a changed embedder or chunker. No source is needed, and the old generation is kept to go back to. Knows no corpus.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from ingest import chunkers
from ingest.chunkers import chunks_of
from ingest.embedding import Ready, weight
from ingest.progress import Meter, Progress, Size
from ingest.recipes import chunker_of, renewed
from ingest.run import Summary
from ingest.target import Target
from ingest.writing import write
from rag.documents import DocumentStore


def rebuild(target: Target, *, progress: Callable[[Progress], None] | None = None) -> Summary:
    """Write every document of the live generation anew into a target that was opened afresh.

    That one is asked of the target, since nobody else may change the domain as long as it is open. Raises
    UnknownDomain, and the store's and the embedder's errors.

    After a crash the next rebuild with the same embedder and chunker goes on where this one ended.
    """
    begin = time.monotonic()
    live = target.live()
    summary = Summary(domain=target.manifest.domain, generation="")
    old = DocumentStore(live.documents_path, writable=False)
    try:
        target.begin(f"rebuild/{target.embedder.fingerprint}/{chunkers.FINGERPRINT}")
        target.change()
        summary.repaired = target.repair()
        there = {item.id for item in target.summaries()}
        stored = old.summaries()
        meter = Meter({item.id: Size(item.characters) for item in stored}, progress)

        def anew() -> Iterator[Ready]:
            for item in stored:
                document = old.whole(item.id)
                if item.id in there or document is None:
                    summary.unchanged += 1
                    meter.read(item.id)
                    continue
                chunks = chunks_of(document, chunker_of(item.recipe, item.source))
                ready = Ready(document, renewed(item.recipe, item.source), chunks)
                meter.read(item.id, weight(ready))
                summary.changed += 1
                yield ready

        written = write(anew(), target, meter)
    finally:
        old.close()
    summary.chunks, summary.reused = written.computed, written.reused
    meter.finish()
    target.promote()
    summary.generation = target.manifest.generation
    summary.seconds = time.monotonic() - begin
    return summary
