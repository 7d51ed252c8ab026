"""Documents into an open domain: split ahead in one thread, embedded, written behind in another.

The embedder is nearly all of the work, so it never waits: documents are read, and vectors that are there already looked
up, while others are embedded, and each is written as soon as its vectors are there, while the next ones are embedded:
little is left to do when the last vector is made. Knows no corpus and no file format.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from ingest.embedding import Ready
from ingest.progress import Meter
from ingest.target import Target

GROUP_CHUNKS = 2048
"""Chunks that are sorted by length and embedded together. On NQ the embedder pads 7.5% of its tokens in groups of 512,
4.5% in 1,024, 2.8% in 2,048, 1.1% in one."""

FIRST_CHUNKS = 64
"""Chunks of the first group, each later one twice as large: the embedder soon has something to do. With one that makes
300 chunks a second, 256 cost 2% of a run of 3,300."""

MOST_BEHIND = 4
"""Slices that wait to be written, some hundred chunks each: what a group ends with comes at once."""

TELL_SECONDS = 1.0
"""Between two words of progress while only reading goes on."""

T = TypeVar("T")


@dataclass(slots=True)
class Written:
    """Chunks that were written: with vectors made for them, and with vectors that were there already."""

    computed: int = 0
    reused: int = 0


def write(documents: Iterable[Ready], target: Target, meter: Meter) -> Written:
    """Embed documents and write them to the side generation of an open domain.

    Raises what `documents` and the meter raise, and the store's and the embedder's errors; what is written then is
    whole documents.
    """
    count = Written()
    with (
        ThreadPoolExecutor(1, thread_name_prefix="ingest-write") as writer,
        closing(_ahead(map(target.prepare, grouped(documents)), meter.tell)) as groups,
    ):
        behind: deque[Future[int]] = deque()
        for group in groups:
            meter.embedding()
            for done in target.embed(group, meter.embedded):
                if len(behind) == MOST_BEHIND:
                    behind.popleft().result()
                behind.append(writer.submit(target.write, done))
                count.computed += done.computed
                count.reused += len(done.vectors) - done.computed
        for written in behind:
            written.result()
    return count


def grouped(documents: Iterable[Ready]) -> Iterator[list[Ready]]:
    """Documents in the groups that are sorted and embedded together."""
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


def _ahead(items: Iterable[T], waiting: Callable[[], None]) -> Generator[T, None, None]:
    """The same items, produced one ahead in a thread; an exception there is raised here.

    waiting: called every `TELL_SECONDS` as long as the next one is not there.
    """
    ready: queue.Queue[tuple[T] | None] = queue.Queue(1)
    stopped = threading.Event()

    def offer(item: tuple[T] | None) -> None:
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
        finally:
            offer(None)

    with ThreadPoolExecutor(1, thread_name_prefix="ingest-read") as reader:
        producing = reader.submit(produce)
        try:
            while True:
                try:
                    item = ready.get(timeout=TELL_SECONDS)
                except queue.Empty:
                    waiting()
                    continue
                if item is None:
                    return producing.result()
                yield item[0]
        finally:
            stopped.set()
