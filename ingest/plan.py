"""What `apply` would do to a domain, found by the same comparison. Writes nothing.

Reads and splits what is new or changed, so that unreadable files and chunks are counted, not guessed; only the seconds
are an estimate, from a sample that is embedded now. Knows no index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ingest.comparison import Comparison
from ingest.corpus import Corpus, Partly, Unreadable
from ingest.embedding import Ready, embedded_text, to_embed
from ingest.progress import Meter, Progress
from ingest.target import Target
from ingest.writing import grouped

SAMPLE = 32
"""Chunks that `plan` embeds to learn how fast this machine is now."""


@dataclass(slots=True)
class Plan:
    """What `apply` would do; `gone` is removed with `prune` alone."""

    domain: str
    generation: str
    prune: bool
    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    """(old id, new id) without `prune`: the old one, which is in `gone`, is kept beside the new one, in `new`."""
    unchanged: int = 0
    chunks: int = 0
    reused: int = 0
    seconds: float = 0.0
    unreadable: list[Unreadable] = field(default_factory=list)
    otherwise: int = 0
    """Documents of elsewhere whose metadata stay typed for other filterable fields."""
    partly: list[Partly] = field(default_factory=list)
    """Documents with pages that cannot be read, those that did not change included."""


def plan(
    corpus: Corpus, target: Target, *, prune: bool = False, progress: Callable[[Progress], None] | None = None
) -> Plan:
    """What `apply` with the same arguments would do; reads and splits what changed, embeds a sample, writes nothing."""
    live = target.generation.manifest.generation if target.generation else ""
    result = Plan(domain=target.manifest.domain, generation=live, prune=prune)
    comparison = Comparison(target.summaries(), target.manifest.fields)
    meter = Meter(corpus.sizes() if progress else {}, progress, embeds=False)
    sample: list[str] = []

    def changed() -> Iterator[Ready]:
        for found in corpus.documents():
            ready = comparison.take(found)
            meter.read(found.source)
            meter.tell()
            if ready is not None:
                yield ready

    touched: set[str] = set()
    for group in grouped(changed()):
        count = to_embed(group, target.store if target.generation else None, touched=touched)
        touched.update(ready.document.id for ready in group)
        result.chunks += count
        result.reused += sum(len(ready.chunks) for ready in group) - count
        for ready in group:
            sample += [embedded_text(ready.document, chunk) for chunk in ready.chunks[: SAMPLE - len(sample)]]
    outcome = comparison.outcome(prune=prune)
    result.new, result.changed, result.moved, result.gone = outcome.new, comparison.changed, outcome.moved, outcome.gone
    result.renamed, result.unchanged, result.otherwise = outcome.renamed, comparison.unchanged, outcome.otherwise
    result.unreadable, result.partly = comparison.unreadable, comparison.partly
    if result.chunks:
        target.embedder.embed(sample[:1])  # warm
        started = time.monotonic()
        target.embedder.embed(sample)
        result.seconds = result.chunks * (time.monotonic() - started) / len(sample)
    return result
