"""How large a chunk is: in words, and what counts as one where there are none. Knows no section and no table.

Words and not the embedder's tokens: chunks stay where they are when the embedder changes, and counting needs no model,
which is asked by one caller at a time (docs/decisions.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.lexical import sentences

TARGET_WORDS = 120
MAX_WORDS = 170
"""all-MiniLM-L6-v2 reads 256 tokens; 170 English words with title and headings stay below. A lone sentence may be
longer and is then cut between words."""

CUT = 840
CUT_WIDE = 240
"""Code points of a piece of an unbroken run: about TARGET_WORDS as `size_of` counts them."""

SIZES = f"{TARGET_WORDS}/{MAX_WORDS}/{CUT}/{CUT_WIDE}"
"""Of every chunker's fingerprint."""

Unit = tuple[int, int, int]
"""(start, end, words) of what goes into one chunk as a whole."""

_WORD = re.compile(r"\S+")
_WIDE = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""Scripts without spaces; two of their characters count as a word, about as many tokens as the embedder makes."""


def units(text: str, start: int, end: int) -> Iterator[Unit]:
    """Each sentence, item or row; overlong ones cut between words."""
    part = text[start:end]
    for a, b in sentences(part):
        size = size_of(part[a:b])
        if size <= MAX_WORDS:
            yield start + a, start + b, size
            continue
        yield from cut(part, a, b, start)


def cut(part: str, a: int, b: int, shift: int) -> Iterator[Unit]:
    """Pieces of `part[a:b]`, cut between words, each offset moved by `shift`."""
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
    words = text.split()
    size = len(words) + sum([len(word) // 7 - 1 for word in words if len(word) >= 14])
    return size if text.isascii() else size + len(_WIDE.findall(text)) // 2
