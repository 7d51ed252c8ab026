"""Brings a corpus into a domain: read, split, embed, write. A library call; the command line and the API stand on it.

Reading and splitting run ahead in one thread, writing behind in another, so that the embedder, which is
nearly all of the work, never waits. Documents are written in groups to a side generation, which takes the live one's
place in one step when the whole corpus is in; where nothing changed, nothing is written. Knows no file format and no
vector store.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from ingest.comparison import Comparison
from ingest.corpus import Corpus, Partly, Unreadable
from ingest.embedding import Embedded, Ready, weight
from ingest.progress import Meter, Progress
from ingest.target import Target
from rag.errors import Cancelled, StorageFull

GROUP_CHUNKS = 2048
"""Chunks that are sorted by length, embedded and committed together. On NQ the embedder pads 7.5% of its tokens in
groups of 512, 4.5% in 1,024, 2.8% in 2,048, 1.1% in one."""

FIRST_CHUNKS = 256
"""Chunks of the first group, each later one twice as large: the embedder soon has something to do."""

TELL_SECONDS = 1.0
"""Between two words of progress while only reading goes on."""

T = TypeVar("T")


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
    stored = base if target.generation is live else target.summaries()
    comparison = Comparison(stored, target.manifest.fields, live=[item.id for item in base])
    meter = Meter(corpus.sizes() if progress else {}, progress)

    def changed() -> Iterator[Ready]:
        for found in corpus.documents():
            ready = comparison.take(found)
            meter.read(found.source, weight(ready) if ready else 0)
            if ready is not None:
                yield ready

    def write(group: list[Ready], fresh: Embedded) -> None:
        target.commit(group, fresh.chunks())

    with ThreadPoolExecutor(1, thread_name_prefix="ingest-write") as writer:
        written: Future[None] | None = None
        for group in _ahead(grouped(changed()), meter.tell):
            meter.embedding()
            fresh = target.embed(group, meter.embedded)
            if written is not None:
                written.result()
            written = writer.submit(write, group, fresh)
            summary.chunks += fresh.computed
            summary.reused += len(fresh.vectors) - fresh.computed
        if written is not None:
            written.result()
    meter.finish()  # the last word that may stop it: afterwards it is live
    outcome = comparison.outcome(prune=prune)
    gone = outcome.gone if prune else []
    target.delete([*gone, *(old for old, _ in outcome.moved), *comparison.strangers()])
    target.promote()
    summary.new, summary.changed, summary.moved = len(outcome.new), len(comparison.changed), len(outcome.moved)
    summary.unchanged, summary.removed = comparison.unchanged, len(gone)
    summary.unreadable, summary.partly = comparison.unreadable, comparison.partly
    summary.generation = target.generation.manifest.generation if target.generation else ""
    summary.seconds = time.monotonic() - begin
    return summary


def grouped(documents: Iterable[Ready]) -> Iterator[list[Ready]]:
    """Documents in the groups that are embedded and written together."""
    group: list[Ready] = []
    count, most = 0, min(FIRST_CHUNKS, GROUP_CHUNKS)
    for ready in documents:
        group.append(ready)
        count += len(ready.chunks)
        if count >= most:
            yield group
            group, count, most = [], 0, min(GROUP_CHUNKS, 2 * most)
    if group:
        yield group


def _ahead(items: Iterable[T], waiting: Callable[[], None]) -> Iterator[T]:
    """The same items, produced one ahead in a thread; an exception there is raised here.

    waiting: called every `TELL_SECONDS` as long as the next one is not there.
    """
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
        while True:
            try:
                item = ready.get(timeout=TELL_SECONDS)
            except queue.Empty:
                waiting()
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        stopped.set()
        thread.join()
