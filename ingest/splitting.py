"""Splits a stored text into chunks with exact offsets: `text[chunk.start:chunk.end] == chunk.text`, always.

Whole sentences, list items and table rows are packed up to about `TARGET_WORDS`; a chunk never crosses a heading.
Own code: llama-index's node parsers find a chunk's offsets by searching for its text afterwards, which is wrong for
repeated text and quadratic for long documents. Linear in the text. Knows no format: readers write headings as
Markdown headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.lexical import sentences
from rag.types import Chunk

TARGET_WORDS = 120
MAX_WORDS = 170
"""all-MiniLM-L6-v2 reads 256 tokens; 170 English words with title and headings stay below. A lone sentence may be
longer and is then cut between words."""

CUT = 840
CUT_WIDE = 240
"""Code points of a piece of an unbroken run: about TARGET_WORDS as `size_of` counts them."""

FINGERPRINT = f"sections-1/{TARGET_WORDS}/{MAX_WORDS}/{CUT}/{CUT_WIDE}"

HEADING = re.compile(r"^(#{1,6})[ \t]+(\S[^\n]*)$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~)", re.MULTILINE)
_WORD = re.compile(r"\S+")
_WIDE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""Scripts without spaces; two of their characters count as a word, about as many tokens as the embedder makes."""


def split(text: str, *, title: str = "") -> Iterator[Chunk]:
    """The chunks of a document, in order; nothing is left out but white space and headings told in `Chunk.heading`.

    title: the document's title; a first heading that only repeats it is not repeated in `Chunk.heading`.
    """
    carried: int | None = None  # where headings without text of their own begin: they go with what follows
    sections = list(_sections(text, title))
    for number, (line, start, end, level, heading) in enumerate(sections):
        last = number + 1 == len(sections)
        if text[start:end].strip():
            yield from _pack(text, start if carried is None else carried, end, heading)
            carried = None
        elif level and carried is None and (last or sections[number + 1][3] <= level):
            carried = line
        if last and carried is not None:
            yield from _pack(text, carried, len(text), heading)


def _sections(text: str, title: str) -> Iterator[tuple[int, int, int, int, str]]:
    """(start of the heading line, start, end, level, heading path) of the text under each heading."""
    path: list[tuple[int, str]] = []
    line = begin = level = 0
    fences = [match.start() for match in FENCE.finditer(text)]
    fenced = list(zip(fences[::2], fences[1::2], strict=False))
    within = 0
    for match in HEADING.finditer(text):
        while within < len(fenced) and fenced[within][1] < match.start():
            within += 1
        if within < len(fenced) and fenced[within][0] < match.start():
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


def _pack(text: str, start: int, end: int, heading: str) -> Iterator[Chunk]:
    """Units of one section packed into chunks of like size."""
    units = list(_units(text, start, end))
    total = sum(words for _, _, words in units)
    aim = total / max(1, round(total / TARGET_WORDS))
    first, last, count = units[0]
    for a, b, words in units[1:]:
        if count >= aim or count + words > MAX_WORDS:
            yield Chunk(start=first, end=last, text=text[first:last], heading=heading)
            first, count = a, 0
        last = b
        count += words
    yield Chunk(start=first, end=last, text=text[first:last], heading=heading)


def _units(text: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, words) of each sentence, item or row; overlong ones cut between words."""
    part = text[start:end]
    for a, b in sentences(part):
        size = size_of(part[a:b])
        if size <= MAX_WORDS:
            yield start + a, start + b, size
            continue
        yield from cut(part, a, b, start)


def cut(part: str, a: int, b: int, shift: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, words) of pieces of `part[a:b]`, cut between words, each offset moved by `shift`."""
    first = last = -1
    count = 0
    for match in _WORD.finditer(part, a, b):
        step = CUT_WIDE if _WIDE.search(match[0]) else CUT
        for left in range(match.start(), match.end(), step):
            right = min(left + step, match.end())
            size = size_of(part[left:right])
            if first >= 0 and count + size > TARGET_WORDS:
                yield shift + first, shift + last, count
                first, count = -1, 0
            if first < 0:
                first = left
            last = right
            count += size
    if first >= 0:
        yield shift + first, shift + last, count


def size_of(text: str) -> int:
    """Words, or what counts as many: seven characters of an unbroken run, or two of a script without spaces."""
    size = sum(max(1, len(word) // 7) for word in text.split())
    return size if text.isascii() else size + len(_WIDE.findall(text)) // 2
