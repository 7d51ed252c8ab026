"""Brings a corpus into a domain: read, split, embed, write. A library call; the command line and the API stand on it.

Reading and splitting run ahead in one thread, writing behind in another, so that the embedder, which is
nearly all of the work, never waits. Documents are written in groups: marked pending, chunks upserted, stale
ones deleted, then committed; whatever a crash interrupts is put right by the next run. What did not change is not
embedded again. Knows no file format and no vector store.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from ingest.corpus import Corpus, Found, Unreadable
from ingest.metadata import typed
from ingest.splitting import FINGERPRINT
from ingest.target import RECIPE, Ready, Target, chunks_of
from rag.errors import UnreadableDocument
from rag.types import FieldType

GROUP_CHUNKS = 2048
"""Chunks that are sorted by length, embedded and committed together. On NQ the embedder pads 7.5% of its tokens in
groups of 512, 4.5% in 1,024, 2.8% in 2,048, 1.1% in one."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `documents` of about `total` are unchanged, unreadable, or embedded; `chunks` are embedded."""

    documents: int
    total: int
    chunks: int
    seconds: float
    """Since the start of the run."""


@dataclass(slots=True)
class Summary:
    """What a run did."""

    domain: str
    generation: str
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    repaired: int = 0
    chunks: int = 0
    seconds: float = 0.0
    unreadable: list[Unreadable] = field(default_factory=list)


def apply(
    corpus: Corpus, target: Target, *, prune: bool = False, progress: Callable[[Progress], None] | None = None
) -> Summary:
    """Bring a corpus into an open domain; documents of the domain that it does not hold stay, unless `prune`.

    One bad file never stops the rest: it is in `Summary.unreadable`. Raises the store's and the embedder's errors.
    """
    begin = time.monotonic()
    manifest = target.generation.manifest
    summary = Summary(domain=manifest.domain, generation=manifest.generation)
    summary.repaired = target.repair()
    known = {item.id: (item.file_sha256, item.recipe, item.source) for item in target.store.summaries()}
    seen: dict[str, str] = {}
    total = corpus.estimate() if progress else 0

    def groups() -> Iterator[list[Ready]]:
        group: list[Ready] = []
        count = 0
        for found in corpus.documents():
            ready = _take(found, known, seen, summary, manifest.fields)
            if ready is None:
                continue
            group.append(ready)
            count += len(ready.chunks)
            if count >= GROUP_CHUNKS:
                yield group
                group, count = [], 0
        if group:
            yield group

    done = embedded = 0

    def tell(chunks: int = 0) -> None:
        nonlocal embedded
        embedded += chunks
        if progress is not None:
            looked = done + summary.unchanged + len(summary.unreadable)
            progress(Progress(looked, max(total, looked), embedded, time.monotonic() - begin))

    with ThreadPoolExecutor(1, thread_name_prefix="ingest-write") as writer:
        written: Future[int] | None = None
        for group in _ahead(groups()):
            indexed = target.embed(group, tell)
            done += len(group)
            if written is not None:
                summary.chunks += written.result()
            written = writer.submit(target.commit, group, indexed)
            tell()
        if written is not None:
            summary.chunks += written.result()
    if prune and seen:
        gone = _missing(known, seen, summary)
        target.delete(gone)
        summary.removed = len(gone)
    if summary.chunks or summary.removed:
        target.index.optimize()
    summary.seconds = time.monotonic() - begin
    tell()
    return summary


def _missing(known: Mapping[str, tuple[str, str, str]], seen: Mapping[str, str], summary: Summary) -> list[str]:
    """Stored documents whose file or row is gone; one that is there but unreadable now stays as it was."""
    broken = {item.source for item in summary.unreadable}
    return sorted(
        name
        for name, (_, _, source) in known.items()
        if name not in seen and source not in broken and source.split("#", 1)[0] not in broken
    )


def _take(
    found: Found | Unreadable,
    known: Mapping[str, tuple[str, str, str]],
    seen: dict[str, str],
    summary: Summary,
    fields: Mapping[str, FieldType],
) -> Ready | None:
    """Read and split a document if it is new or changed; count it either way."""
    if isinstance(found, Unreadable):
        summary.unreadable.append(found)
        return None
    if found.id in seen:
        reason = f"its id {found.id[:80]!r} is taken by {seen[found.id]}; ids must be unique within a domain"
        summary.unreadable.append(Unreadable(found.source, reason))
        return None
    seen[found.id] = found.source
    declared = ",".join(f"{name}:{kind}" for name, kind in sorted(fields.items()))
    recipe = f"{found.recipe}/{FINGERPRINT}/{RECIPE}/{declared}"
    if known.get(found.id) == (found.file_sha256, recipe, found.source):
        summary.unchanged += 1
        return None
    try:
        document = found.read()
        document = document.model_copy(update={"metadata": typed(document.metadata, fields)})
    except UnreadableDocument as error:
        summary.unreadable.append(Unreadable(found.source, str(error)))
        return None
    if found.id in known:
        summary.changed += 1
    else:
        summary.new += 1
    return Ready(document, recipe, chunks_of(document))


def _ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, produced one ahead in a thread; an exception there is raised here."""
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
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        stopped.set()
        thread.join()
