"""Splits a stored text by its sections, with exact offsets: `text[chunk.start:chunk.end] == chunk.text`, always.

Whole sentences, list items and table rows are packed up to about `TARGET_WORDS`; a chunk never crosses a heading, and
one that begins within a table has the table's header row beside its headings. Own code: llama-index's node parsers
find a chunk's offsets by searching for its text afterwards, which is wrong for repeated text and quadratic for long
documents. Linear in the text. Knows no format: readers write headings as Markdown headings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from ingest.chunk_sizes import MAX_WORDS, SIZES, TARGET_WORDS, Unit, size_of, units
from ingest.fences import fenced
from ingest.headers import Headed, header_at, tables
from rag.types import Chunk

FINGERPRINT = f"sections-2/{SIZES}"
"""Not raised when fences were paired otherwise: by `clean-2`, of the same step, every document is split anew."""

HEADING = re.compile(r"^(#{1,6})[ \t]+(\S[^\n]*)$", re.MULTILINE)

Pack = Callable[[str, int, int, str], Iterator[Chunk]]
"""The chunks of one section: of `text[start:end]`, under a path of headings."""


def pack_sentences(text: str, start: int, end: int, heading: str) -> Iterator[Chunk]:
    """Sentences, items and rows packed into chunks of like size."""
    return packed(text, units(text, start, end), heading, tables(text, start, end))


def split(text: str, *, title: str = "", pack: Pack = pack_sentences) -> Iterator[Chunk]:
    """The chunks of a document, in order; nothing is left out but white space and headings told in `Chunk.heading`.

    title: the document's title; a first heading that only repeats it is not repeated in `Chunk.heading`.
    """
    carried: int | None = None  # where headings without text of their own begin: they go with what follows
    sections = list(_sections(text, title))
    for number, (line, start, end, level, heading) in enumerate(sections):
        last = number + 1 == len(sections)
        if text[start:end].strip():
            yield from pack(text, start if carried is None else carried, end, heading)
            carried = None
        elif level and carried is None and (last or sections[number + 1][3] <= level):
            carried = line
        if last and carried is not None:
            yield from pack(text, carried, len(text), heading)


def packed(text: str, parts: Iterable[Unit], heading: str, headed: Sequence[Headed]) -> Iterator[Chunk]:
    """Units packed into chunks of like size; the header that a chunk stands under is in its heading, and counted."""
    each = list(parts)
    total = sum(words for _, _, words in each)
    aim = total / max(1, round(total / TARGET_WORDS))
    first, last, count = each[0]
    header = ""
    for a, b, words in each[1:]:
        if count >= aim or count + words > MAX_WORDS:
            yield _chunk(text, first, last, heading, header)
            header = header_at(headed, a)
            first, count = a, size_of(header)
        last = b
        count += words
    yield _chunk(text, first, last, heading, header)


def _sections(text: str, title: str) -> Iterator[tuple[int, int, int, int, str]]:
    """(start of the heading line, start, end, level, heading path) of the text under each heading."""
    path: list[tuple[int, str]] = []
    line = begin = level = 0
    code = fenced(text)
    within = 0
    for match in HEADING.finditer(text):
        while within < len(code) and code[within][1] < match.start():
            within += 1
        if within < len(code) and code[within][0] < match.start():
            continue  # a comment in a code block
        yield line, begin, match.start(), level, _joined(path, title)
        line, begin, level = match.start(), match.end(), len(match[1])
        path = [(depth, name) for depth, name in path if depth < level]
        path.append((level, match[2].rstrip(" \t#") or match[2]))
    yield line, begin, len(text), level, _joined(path, title)


def _joined(path: list[tuple[int, str]], title: str) -> str:
    names = [name for _, name in path]
    if names and names[0].casefold() == title.casefold():
        names = names[1:]
    return " > ".join(names)


def _chunk(text: str, start: int, end: int, heading: str, header: str) -> Chunk:
    above = " > ".join(filter(None, (heading, header)))
    return Chunk(start=start, end=end, text=text[start:end], heading=above)
