"""Brings a corpus into a domain: read, split, embed, write. A library call; the command line and the API stand on it.

Documents are written to a side generation, which takes the live one's place in one step when the whole corpus is in;
where nothing changed, nothing is written. Knows no file format and no vector store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ingest.comparison import Comparison
from ingest.corpus import Corpus, Partly, Unreadable
from ingest.embedding import Ready, weight
from ingest.progress import Meter, Progress
from ingest.target import Target
from ingest.writing import write
from rag.errors import Cancelled, StorageFull


@dataclass(slots=True)
class Summary:
    """What a run did."""

    domain: str
    generation: str
    new: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    removed: int = 0
    repaired: int = 0
    chunks: int = 0
    """Chunks that were embedded."""
    reused: int = 0
    """Chunks that were written with vectors that the domain had already, or that were just made of the same text."""
    seconds: float = 0.0
    unreadable: list[Unreadable] = field(default_factory=list)
    otherwise: int = 0
    """Documents of elsewhere whose metadata stay typed for other filterable fields."""
    partly: list[Partly] = field(default_factory=list)
    """Documents with pages that could not be read, those that did not change included."""


def apply(
    corpus: Corpus, target: Target, *, prune: bool = False, progress: Callable[[Progress], None] | None = None
) -> Summary:
    """Bring a corpus into an open domain; documents of the domain that it does not hold stay, unless `prune`.

    One bad file never stops the rest: it is in `Summary.unreadable`. Readers see the domain as it was until the last
    step. `progress` may raise Cancelled: nothing was changed then. Raises the store's and the embedder's errors; after
    most of them, the next run of the same corpus goes on where this one ended.
    """
    try:
        return _apply(corpus, target, prune=prune, progress=progress)
    except (Cancelled, StorageFull):  # the side generation would only take up space
        target.drop()
        raise


def _apply(corpus: Corpus, target: Target, *, prune: bool, progress: Callable[[Progress], None] | None) -> Summary:
    begin = time.monotonic()
    live, base = target.generation, target.summaries()
    target.begin(f"{corpus.identity()}/{prune}")
    summary = Summary(domain=target.manifest.domain, generation="")
    summary.repaired = target.repair()
    stored = base if target.generation is live else target.summaries()  # of a run that this one goes on with
    comparison = Comparison(base, target.manifest.fields, stored=stored)
    meter = Meter(corpus.sizes() if progress else {}, progress)

    def changed() -> Iterator[Ready]:
        for found in corpus.documents():
            ready = comparison.take(found)
            meter.read(found.source, weight(ready) if ready else 0)
            if ready is not None:
                yield ready

    written = write(changed(), target, meter)
    summary.chunks, summary.reused = written.computed, written.reused
    meter.finish()  # the last word that may stop it: afterwards it is live
    outcome = comparison.outcome(prune=prune)
    gone = outcome.gone if prune else []
    target.delete([*gone, *(old for old, _ in outcome.moved), *comparison.strangers()])
    target.promote()
    summary.new, summary.changed, summary.moved = len(outcome.new), len(comparison.changed), len(outcome.moved)
    summary.unchanged, summary.removed, summary.otherwise = comparison.unchanged, len(gone), outcome.otherwise
    summary.unreadable, summary.partly = comparison.unreadable, comparison.partly
    summary.generation = target.generation.manifest.generation if target.generation else ""
    summary.seconds = time.monotonic() - begin
    return summary
