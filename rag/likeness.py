"""Whether two texts say the same in nearly the same words. Pure.

Case, punctuation and line breaks make no difference. A few other words may differ, but none that could carry the
difference: no number, no name, no negation. "3.5 bar" and "4.5 bar" are never alike.

Among many texts those that may be alike are found by MinHash (Broder 1997): of the pairs of neighbouring words the
least by each of some hash functions, a few at a time together with the numbers and turning words, which must be equal.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

MAX_DIFFERENT = 0.1
"""Of the words, those that may differ."""
BANDS, ROWS = 6, 3
"""Texts that share four fifths of their pairs share one of the bands with 99%, a tenth of them with 0.6%."""
_WORD = re.compile(r"[^\W_]+(?:[.,'’/:-][^\W_]+)*")
_TURNS = frozenset({
    "no", "not", "never", "none", "neither", "nor", "without", "unless", "except", "only", "but", "all", "any", "must",
    "may", "cannot", "can't", "don't", "won't", "before", "after", "above", "below", "more", "less", "first", "last",
})  # fmt: skip
"""Words that turn a sentence round, or loosen it."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text, to be compared."""

    counts: Counter[str]
    weighty: frozenset[str]
    """Numbers, names and words that turn a sentence."""


def words_of(text: str) -> Words:
    """The words of a text."""
    found = _WORD.findall(text)
    plain = [word.casefold() for word in found]
    small = {word for word, low in zip(found, plain, strict=True) if word == low}
    weighty = {word for word in plain if word in _TURNS or word not in small or _numeric(word)}
    return Words(Counter(plain), frozenset(weighty))


def alike(one: Words, other: Words) -> bool:
    """Whether one of them adds nothing that a reader would miss."""
    most = MAX_DIFFERENT * max(one.counts.total(), other.counts.total())
    if abs(one.counts.total() - other.counts.total()) > most:
        return False
    if len(one.counts.keys() ^ other.counts.keys()) > most:
        return False
    different = (one.counts - other.counts) + (other.counts - one.counts)
    return different.total() <= most and not different.keys() & (one.weighty | other.weighty)


def lowered(text: str) -> list[str]:
    """The words of a text in their order, in small letters."""
    return _WORD.findall(text.casefold())


def words_sha256(found: Sequence[str]) -> str:
    """Equal for texts of the same lowered words in the same order; empty for one without words."""
    return hashlib.sha256(" ".join(found).encode("utf-8", "surrogatepass")).hexdigest() if found else ""


def sketch(found: Sequence[str]) -> list[int]:
    """Numbers of 64 bits of a text's lowered words; one at least it shares with nearly every text that it is alike."""
    encoded = " ".join(found).encode("utf-8", "surrogatepass").split(b" ")  # no word has a blank within
    if len(encoded) < 2:
        return []
    hashes = np.array(list({*map(zlib.crc32, map(b" ".join, pairwise(encoded)))}), np.uint64)
    least = ((hashes[:, np.newaxis] * _FACTORS + _ADDENDS) >> np.uint64(32)).min(axis=0).tolist()
    odd = [word for word in found if word in _TURNS or not word.isalpha()]  # few: the others carry no number
    facts = repr(sorted(Counter(word for word in odd if word in _TURNS or _numeric(word)).items()))
    bands = [f"({facts}, {least[first : first + ROWS]})" for first in range(0, BANDS * ROWS, ROWS)]
    return [_number(f"{place}/{band}") for place, band in enumerate(bands)]


def _numeric(word: str) -> bool:
    return not word.isalpha() and any(letter.isdigit() for letter in word)  # most words are settled by the first


def _number(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


_FACTORS = np.array([_number(f"factor {place}") % 2**64 | 1 for place in range(BANDS * ROWS)], np.uint64)
_ADDENDS = np.array([_number(f"addend {place}") % 2**64 for place in range(BANDS * ROWS)], np.uint64)
"""Hash functions: multiply and add modulo 2**64; of the result the upper half."""
