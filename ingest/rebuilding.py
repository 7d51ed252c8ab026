"""Builds a domain anew from its stored texts: split and embedded as today, beside the live generation, then swapped.

For a changed embedder or chunker. No source is needed, and the old generation is kept to go back to. Knows no corpus.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ingest import run, splitting
from ingest.embedding import RECIPE, Ready, chunks_of, weight
from ingest.progress import Meter, Progress, Size
from ingest.run import Summary
from ingest.target import Target
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
        target.begin(f"rebuild/{target.embedder.fingerprint}/{splitting.FINGERPRINT}")
        target.change()
        summary.repaired = target.repair()
        there = {item.id for item in target.summaries()}
        stored = old.summaries()
        meter = Meter({item.id: Size(item.characters) for item in stored}, progress)
        meter.embedding()
        group: list[Ready] = []

        def write() -> None:
            summary.chunks += target.write(group, meter.embedded)
            group.clear()

        for item in stored:
            document = old.whole(item.id)
            if item.id in there or document is None:
                summary.unchanged += 1
                meter.read(item.id)
                continue
            ready = Ready(document, _recipe(item.recipe, live.manifest.chunker_fingerprint), chunks_of(document))
            meter.read(item.id, weight(ready))
            group.append(ready)
            summary.changed += 1
            if sum(len(ready.chunks) for ready in group) >= run.GROUP_CHUNKS:
                write()
        write()
    finally:
        old.close()
    meter.finish()
    target.promote()
    summary.generation = target.manifest.generation
    summary.seconds = time.monotonic() - begin
    return summary


def _recipe(old: str, chunker: str) -> str:
    """The recipe of a document that was read as before, and split and embedded as today; see ingest.comparison."""
    reading, _, rest = old.partition(f"/{chunker}/")
    declared = rest.partition("/")[2]
    return f"{reading}/{splitting.FINGERPRINT}/{RECIPE}/{declared}"
