"""Splits source code into chunks with exact offsets, at definitions where it can. Knows no language.

In most languages a definition begins at a line without indentation behind a blank one; what is indented belongs to it.
A chunk that begins within a definition has that line as its heading.
"""

from __future__ import annotations

from collections.abc import Iterator

from ingest.chunk_sizes import MAX_WORDS, SIZES, TARGET_WORDS, cut, size_of
from rag.types import Chunk

LEAST_WORDS = TARGET_WORDS // 3
"""Of a chunk that is ended before a definition: several short ones go together."""

FINGERPRINT = f"code-1/{SIZES}/{LEAST_WORDS}"


def split_code(text: str) -> Iterator[Chunk]:
    """The chunks of a file, in order; nothing is left out but white space."""
    first = last = -1
    count = 0
    blank = True
    outer = heading = ""
    for start, end in _lines(text):
        line = text[start:end]
        if not line.strip():
            blank = True
            continue
        indented = line[0] in " \t"
        words = size_of(line)
        new = blank and not indented and line[0] not in ")]}"
        full = count + words > MAX_WORDS or (blank and count >= TARGET_WORDS) or (new and count >= LEAST_WORDS)
        if first >= 0 and full:
            yield _chunk(text, first, last, heading)
            first = -1
        if not indented and line[0] not in ")]}#/*":
            outer = line.strip().rstrip("{:").strip()[:200]
        if first < 0:
            first, count = start + len(line) - len(line.lstrip()), 0
            heading = outer if indented else ""
        if words > MAX_WORDS:
            for a, b, _ in cut(text, first, end, 0):
                yield _chunk(text, a, b, heading)
            first = -1
        last, blank = end, False
        count += words
    if first >= 0:
        yield _chunk(text, first, last, heading)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for line in text.split("\n"):
        yield start, start + len(line.rstrip())
        start += len(line) + 1


def _chunk(text: str, start: int, end: int, heading: str) -> Chunk:
    return Chunk(start=start, end=end, text=text[start:end], heading=heading)
