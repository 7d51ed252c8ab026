"""Splits a text recursively with exact offsets: paragraphs, then sentences, then words, packed up to one size.

Headings are text like any other. Knows no format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ingest.chunk_sizes import SIZES, TARGET_WORDS, Unit, size_of, units
from rag.types import Chunk

FINGERPRINT = f"tokens-1/{SIZES}"

_BREAK = re.compile(r"\n\s*\n")


def split_tokens(text: str) -> Iterator[Chunk]:
    """The chunks of a document, in order; nothing is left out but white space."""
    first = last = -1
    count = 0
    for start, end, size in _parts(text):
        if first >= 0 and count + size > TARGET_WORDS:
            yield Chunk(start=first, end=last, text=text[first:last])
            first, count = -1, 0
        first = start if first < 0 else first
        last = end
        count += size
    if first >= 0:
        yield Chunk(start=first, end=last, text=text[first:last])


def _parts(text: str) -> Iterator[Unit]:
    start = 0
    for end, after in [*((found.start(), found.end()) for found in _BREAK.finditer(text)), (len(text), len(text))]:
        part = text[start:end]
        lead, size = len(part) - len(part.lstrip()), size_of(part)
        if size and size <= TARGET_WORDS:
            yield start + lead, start + len(part.rstrip()), size
        elif size:
            yield from units(text, start, end)
        start = after
