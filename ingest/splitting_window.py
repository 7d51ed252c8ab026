"""Splits a text into windows of sentences with exact offsets; neighbours overlap. Knows no format.

A window is never longer than a chunk may be: it holds fewer sentences where they are long, and then one window begins
where the sentences of the one before end.
"""

from __future__ import annotations

from collections.abc import Iterator

from ingest.chunk_sizes import MAX_WORDS, SIZES, units
from rag.types import Chunk

WINDOW, STRIDE = 5, 3
"""Sentences of a window, and from one window to the next."""

FINGERPRINT = f"window-1/{SIZES}/{WINDOW}/{STRIDE}"


def split_window(text: str) -> Iterator[Chunk]:
    """The chunks of a document, in order; each word is in one or two, nothing is left out but white space."""
    parts = list(units(text, 0, len(text)))
    first = 0
    while first < len(parts):
        last, count = first, parts[first][2]
        while last + 1 < min(len(parts), first + WINDOW) and count + parts[last + 1][2] <= MAX_WORDS:
            last += 1
            count += parts[last][2]
        start, end = parts[first][0], parts[last][1]
        yield Chunk(start=start, end=end, text=text[start:end])
        if last + 1 == len(parts):
            return
        first = min(first + STRIDE, last + 1)
