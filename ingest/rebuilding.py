"""Builds a domain anew from its stored texts: split and embedded as today, beside the live generation, then swapped.

For a changed embedder or chunker. No source is needed, and the old generation is kept to go back to. Knows no corpus.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ingest import splitting
from ingest.embedding import RECIPE, Ready, chunks_of
from ingest.run import GROUP_CHUNKS, Progress, Summary
from ingest.target import Target
from rag.catalog import Generation
from rag.documents import DocumentStore


def rebuild(target: Target, live: Generation, *, progress: Callable[[Progress], None] | None = None) -> Summary:
    """Write every document of `live` into a target that was opened afresh. Raises the store's and embedder's errors.

    After a crash the next rebuild with the same embedder and chunker goes on where this one ended.
    """
    begin = time.monotonic()
    summary = Summary(domain=target.manifest.domain, generation="")
    old = DocumentStore(live.documents_path, writable=False)
    try:
        target.begin(f"rebuild/{target.embedder.fingerprint}/{splitting.FINGERPRINT}")
        target.change()
        summary.repaired = target.repair()
        there = {item.id for item in target.summaries()}
        stored = old.summaries()
        group: list[Ready] = []

        def write() -> None:
            summary.chunks += target.write(group)
            group.clear()
            if progress is not None:
                looked = summary.changed + summary.unchanged
                progress(Progress(looked, len(stored), summary.chunks, time.monotonic() - begin))

        for item in stored:
            document = old.whole(item.id)
            if item.id in there or document is None:
                summary.unchanged += 1
                continue
            group.append(Ready(document, _recipe(item.recipe, live.manifest.chunker_fingerprint), chunks_of(document)))
            summary.changed += 1
            if sum(len(ready.chunks) for ready in group) >= GROUP_CHUNKS:
                write()
        write()
    finally:
        old.close()
    target.promote()
    summary.generation = target.manifest.generation
    summary.seconds = time.monotonic() - begin
    return summary


def _recipe(old: str, chunker: str) -> str:
    """The recipe of a document that was read as before, and split and embedded as today; see ingest.comparison."""
    reading, _, rest = old.partition(f"/{chunker}/")
    declared = rest.partition("/")[2]
    return f"{reading}/{splitting.FINGERPRINT}/{RECIPE}/{declared}"
