"""Splits rows with exact offsets: whole ones, under their header. For spreadsheets, and rows written out as fields.

A table is packed apart from the text around it, but for a short lead before it; every chunk of it after the first has
its header row in `Chunk.heading`. Of a row written out as lines `name: value`, a value too long for a chunk goes on
under its name. Any other text is split by sections. Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterator

from ingest.chunk_sizes import MAX_WORDS, SIZES, Unit, size_of, units
from ingest.headers import fields, tables
from ingest.splitting import pack_sentences, packed, split
from rag.types import Chunk

LEAD_WORDS = 40
"""Of a text before a table that goes with its first rows: a caption, or a sentence that leads to it."""

FINGERPRINT = f"rows-1/{SIZES}/{LEAD_WORDS}"


def split_rows(text: str, *, title: str = "") -> Iterator[Chunk]:
    """The chunks of a document, in order; as `split` gives them, but for tables and fields."""
    return split(text, title=title, pack=_pack_rows)


def _pack_rows(text: str, start: int, end: int, heading: str) -> Iterator[Chunk]:
    if written := fields(text, start, end):
        parts = [unit for field in written for unit in _whole(text, field.start, field.end)]
        yield from packed(text, parts, heading, written)
        return
    at = start
    for table in tables(text, start, end):
        lead: list[Unit] = []
        if size_of(text[at : table.start]) <= LEAD_WORDS:
            lead = list(units(text, at, table.start))
        elif text[at : table.start].strip():
            yield from pack_sentences(text, at, table.start, heading)
        yield from packed(text, [*lead, *_rows(text, table.start, table.end)], heading, [table])
        at = table.end
    if text[at:end].strip():
        yield from pack_sentences(text, at, end, heading)


def _rows(text: str, start: int, end: int) -> Iterator[Unit]:
    for line in text[start:end].splitlines(keepends=True):
        yield from _whole(text, start, start + len(line))
        start += len(line)


def _whole(text: str, start: int, end: int) -> Iterator[Unit]:
    """A row as one unit, unless it is longer than a chunk."""
    part = text[start:end]
    size = size_of(part)
    if size > MAX_WORDS:
        yield from units(text, start, end)
    elif size:
        yield start + len(part) - len(part.lstrip()), start + len(part.rstrip()), size
