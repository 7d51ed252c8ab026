"""How far a run is, and how long the rest takes: by characters embedded against those to embed.

Chunks would mislead: of a group the short ones come first. What is not read yet is estimated from its bytes, at the
rate at which the bytes that were read gave characters to embed. The pace is that of the last minute: a run that had
to share the machine for a while says so, and no longer than that. Knows no corpus and no embedder.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

RECENT = 60.0
"""Seconds that the pace is taken from, or the last group where that took longer."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `documents` of about `total` need nothing more; `chunks` are embedded."""

    documents: int
    total: int
    chunks: int
    seconds: float
    """Since the start of the run."""
    pace: float | None
    """Chunks a second of late; None as long as none is embedded."""
    left: float | None
    """About how many seconds the rest takes; None as long as nothing can be said."""


@dataclass(frozen=True, slots=True)
class Size:
    """About how much there is to read of a source."""

    bytes: int
    documents: int = 1


class _Mark(NamedTuple):
    """How far the embedder was at a time."""

    at: float
    chunks: int
    characters: int


class Meter:
    """Counts what is read and embedded. `read` may be called in another thread than the rest."""

    def __init__(
        self,
        sizes: Mapping[str, Size],
        tell: Callable[[Progress], None] | None,
        *,
        embeds: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`sizes`: by source; that of a row is its file's, before the last '#'. embeds: false where reading is all."""
        self._sizes, self._tell, self._embeds, self._clock = sizes, tell, embeds, clock
        self._begin = clock()
        self._marks: deque[_Mark] = deque()
        """The first one is what the pace is taken from: a minute old, or older where nothing came since."""
        self._bytes = sum(size.bytes for size in sizes.values())
        self._total = sum(size.documents for size in sizes.values())
        self._read = self._done = self._chunks = 0
        self._bytes_read = 0.0
        self._found = self._embedded = 0

    def read(self, source: str, characters: int = 0) -> None:
        """A document was read, of which so many characters wait to be embedded; 0: it needs nothing more."""
        if size := self._sizes.get(source) or self._sizes.get(source.rpartition("#")[0]):
            self._bytes_read += size.bytes / max(1, size.documents)
        self._found += characters
        self._done += characters == 0
        self._read += 1

    def embedding(self) -> None:
        """The first group is there: from now on the clock of the embedder runs."""
        if not self._marks:
            self._marks.append(_Mark(self._clock(), 0, 0))

    def embedded(self, chunks: int, documents: int, characters: int) -> None:
        """So many chunks were embedded, documents completed and characters settled, by vectors new or taken over."""
        self._chunks += chunks
        self._done += documents
        self._embedded += characters
        self._marks.append(_Mark(self._clock(), self._chunks, self._embedded))
        while self._marks[1].at <= self._marks[-1].at - RECENT:
            self._marks.popleft()
        self.tell()

    def tell(self) -> None:
        """Say how far the run is."""
        if self._tell is not None:
            total = max(self._total, self._read)
            self._tell(Progress(self._done, total, self._chunks, self.seconds(), self._pace(), self._left()))

    def finish(self) -> None:
        """All is read and embedded: whatever the estimates were, this is all there is."""
        self._total, self._bytes_read, self._found = self._read, float(self._bytes), self._embedded
        self.tell()

    def seconds(self) -> float:
        """Since the start of the run."""
        return self._clock() - self._begin

    def _pace(self) -> float | None:
        if not self._chunks:
            return None
        first, last = self._marks[0], self._marks[-1]
        return (last.chunks - first.chunks) / max(last.at - first.at, 1e-9)

    def _left(self) -> float | None:
        unread = max(0.0, self._bytes - self._bytes_read)
        if not self._embeds:
            return self.seconds() * unread / self._bytes_read if self._bytes_read else None
        if not self._embedded:
            return None
        first = self._marks[0]
        to_come = unread * self._found / self._bytes_read if self._bytes_read else 0.0
        waiting = self._found - self._embedded
        return (self._clock() - first.at) * (waiting + to_come) / max(1, self._embedded - first.characters)
